"""Elements of the dashboard of spikes that were written: ports, sites and neurons in numbers, after curation."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from ranvier.hub.spike_sets import SpikeSet
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.models.sorter_stats import SorterNeuronStats, SorterSiteStats
from ranvier.models.spikesorter import SpikeSorterCriterionLevel
from ranvier.recordings import ChannelTable
from ranvier.sorting.criteria import ISI_SEC, PRESENCE_SEC, UnitEvidence, isi_ratio, verdict
from ranvier.spikes import UnitRecord
from ranvier.spikes.quality import presence_ratio


def neuron_stats(spikes: SpikeSet, units: dict[int, UnitRecord], *, templates: bool = False) -> list[SorterNeuronStats]:
    """Return the neurons of spikes, judged by the balanced criterion; ``units`` with their size."""
    start, stop = spikes.extent
    return [_neuron(spikes, units[u], start, stop, templates) for u in spikes.chosen(None)]


def _neuron(spikes: SpikeSet, unit: UnitRecord, start: int, stop: int, templates: bool) -> SorterNeuronStats:
    samples = spikes.store.unit_samples(unit.unit, start, stop)
    seconds = spikes.recorded_sec(start, stop)
    first, last = (int(c) for c in spikes.without_gaps([start, stop]))
    waveform = _template(spikes, unit)
    known = UnitEvidence(
        waveform_uv=waveform,
        fs_hz=spikes.fs,
        spikes=len(samples),
        violations=int((np.diff(samples) < ISI_SEC * spikes.fs).sum()),
        seconds=seconds,
        snr=math.nan if unit.snr is None else unit.snr,
        amplitude_uv=math.nan if unit.mean_abs_peak_uv is None else unit.mean_abs_peak_uv,
        presence=presence_ratio(spikes.without_gaps(samples), first, last, spikes.fs, bin_sec=PRESENCE_SEC),
    )
    quality, reason = verdict(known, SpikeSorterCriterionLevel.BALANCED)
    return SorterNeuronStats(
        spike_label=str(unit.unit),
        ntv_chan_idx=unit.site,
        num_spikes=known.spikes,
        spike_rate=known.spikes / seconds if seconds > 0 else 0.0,
        snr=known.snr,
        mean_abs_peak_uv=known.amplitude_uv,
        isi_violations_ratio=isi_ratio(known),
        presence_ratio=known.presence,
        quality=quality,
        reason=reason,
        template_uv=[float(v) for v in waveform] if templates else [],
        position_um=(math.nan if unit.x_um is None else unit.x_um, math.nan if unit.y_um is None else unit.y_um),
    )


def _template(spikes: SpikeSet, unit: UnitRecord) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return the mean waveform of a unit on its site, as the sorter left it; empty where there is none."""
    held, template = spikes.store.templates, spikes.store.template(unit.unit)
    row = np.empty(0, np.int64) if held is None else np.flatnonzero(held.sites == unit.site)
    if template is None or not len(row) or not np.isfinite(template[row[0]]).all():
        return np.zeros(0, np.float32)
    return np.asarray(template[row[0]], np.float32).reshape(-1)


def site_stats(spikes: SpikeSet, *, labels: bool = False) -> list[SorterSiteStats]:
    """Return the amplifier channels of the recording; those that were not sorted are not enabled.

    Noise and thresholds are what the sorter knew of them: of a whole sort None.
    """
    counts: dict[int, int] = defaultdict(int)
    for columns in spikes.store.walk(columns=("site",)):
        for ntv, n in zip(*np.unique(columns["site"], return_counts=True), strict=True):
            counts[int(ntv)] += int(n)
    neurons: dict[int, list[str]] = defaultdict(list)
    if labels:
        for unit in spikes.chosen(None):
            neurons[spikes.store.units[unit].site].append(str(unit))
    ports, sites = _ports(spikes.recording.channels), spikes.sites
    return [
        SorterSiteStats(
            ntv_chan_idx=ntv,
            port=ports.get(ntv),
            is_enabled=ntv in sites,
            noise_sd_uv=sites[ntv].noise_sd_uv if ntv in sites else None,
            thr_uv=(sites[ntv].neg_threshold_uv, sites[ntv].pos_threshold_uv) if ntv in sites else (None, None),
            num_spikes=counts[ntv],
            neuron_labels=neurons[ntv],
        )
        for ntv in sorted({*ports, *sites})
    ]


def planned_sites(channels: ChannelTable, enabled: list[int]) -> list[SorterSiteStats]:
    """Return the sites of a sort that has written nothing yet."""
    ports, wanted = _ports(channels), set(enabled)
    return [
        SorterSiteStats(ntv_chan_idx=ntv, port=ports.get(ntv), is_enabled=ntv in wanted)
        for ntv in sorted({*ports, *wanted})
    ]


def _ports(channels: ChannelTable) -> dict[int, Port | None]:
    return {c.ntv: c.port for c in channels if c.type == SignalType.AMP}
