"""What the dashboard of the live sorter shows: ports, sites and neurons in numbers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from ranvier.models.sorter_stats import SorterNeuronStats, SorterSiteStats
from ranvier.models.spikesorter import SorterDynamics, SorterTask
from ranvier.rig.sorting import Sorting
from ranvier.sorting.criteria import UnitEvidence, isi_ratio, verdict
from ranvier.sorting.online import OnlineSorter

F32 = npt.NDArray[np.float32]


def neuron_stats(sorting: Sorting, *, templates: bool = False) -> list[SorterNeuronStats]:
    """Return the units with spikes, judged by the criterion of the task ``sort``."""
    engine = sorting.engine
    if engine is None:
        return []
    level, seconds = sorting.settings.dynamics.level["sort"], engine.labelled_sec
    ntv, found = engine.sites.ntv, []
    units = engine.units.numbers(engine.next)
    waveform_of = _waveforms(engine)  # behind the numbers: whoever has spikes is here, or was replaced
    for unit in units:
        noise = float(engine.finder.noise.sd_uv[unit.site])
        waveform = waveform_of(unit.site, unit.label)
        known = UnitEvidence(
            waveform_uv=waveform,
            fs_hz=float(engine.sites.fs),
            spikes=unit.count,
            violations=unit.violations,
            seconds=seconds,
            snr=unit.mean_abs_peak_uv / noise if noise > 0 else math.nan,
            amplitude_uv=unit.mean_abs_peak_uv,
            presence=unit.presence,
        )
        quality, reason = verdict(known, level)
        found.append(
            SorterNeuronStats(
                spike_label=str(unit.label),
                ntv_chan_idx=ntv[unit.site],
                num_spikes=unit.count,
                spike_rate=unit.count / seconds if seconds > 0 else 0.0,
                snr=known.snr,
                mean_abs_peak_uv=unit.mean_abs_peak_uv,
                isi_violations_ratio=isi_ratio(known),
                presence_ratio=known.presence if seconds > 0 else math.nan,
                quality=quality,
                reason=reason,
                template_uv=[float(v) for v in waveform] if templates else [],
                position_um=(unit.x_um, unit.y_um),
            )
        )
    return found


def _waveforms(engine: OnlineSorter) -> Callable[[int, int], F32]:
    """Return what gives the mean waveform of a unit by its site and label, on that site; empty where none is known."""
    trained, labeller = engine.trained, engine.labeller
    by_events = None if labeller is None else labeller.units
    rows = {} if trained is None else {int(label): row for row, label in enumerate(trained.labels)}

    def waveform(site: int, label: int) -> F32:
        if by_events is not None:
            return by_events.template_uv(site, label)
        if trained is not None and label in rows:
            learned: F32 = trained.waveforms_uv[rows[label], :, site]
            return learned
        replaced = engine.replaced_waveform_uv(label)
        return np.zeros(0, np.float32) if replaced is None else replaced

    return waveform


def site_stats(sorting: Sorting, *, labels: bool = False) -> list[SorterSiteStats]:
    """Return the sites in the order of the channels."""
    engine = sorting.engine
    if engine is None:
        return []
    low, high = engine.finder.thresholds()
    neurons: dict[int, list[str]] = defaultdict(list)
    if labels:
        for unit in engine.units.numbers():
            neurons[unit.site].append(str(unit.label))
    found = []
    for k, column in enumerate(engine.sites.columns):
        channel = engine.sites.channels[int(column)]
        found.append(
            SorterSiteStats(
                ntv_chan_idx=channel.ntv,
                port=channel.port,
                is_enabled=sorting.settings.of_site(channel.ntv).is_enabled is not False,
                noise_sd_uv=_number(engine.finder.noise.sd_uv[k]),
                thr_uv=(_number(low[k]), _number(high[k])),
                num_spikes=int(engine.ring.by_site[k]),
                neuron_labels=neurons[k],
            )
        )
    return found


def dynamics_of(sorting: Sorting) -> SorterDynamics:
    """Return how the sorter adapts and what it changed."""
    dynamics = sorting.settings.dynamics
    tasks = sorting.schedule.state(dynamics)
    return SorterDynamics(
        config=dynamics.config(),
        tasks={task: SorterTask(**state) for task, state in tasks.items()},
        log=list(sorting.log),
        not_spikes={} if sorting.engine is None else asdict(sorting.engine.finder.counts),
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
