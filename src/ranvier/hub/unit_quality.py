"""Quality metrics of units: from spikes to the numbers of :mod:`ranvier.spikes.quality`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ranvier.hub.spike_sets import SpikeSet, nearest_sites
from ranvier.models.units import UnitQuality
from ranvier.spikes import UnitRecord, quality
from ranvier.spikes.waveforms import WaveformReader

F64 = npt.NDArray[np.float64]
#: Isolation: spikes of a unit and of all others near it, sites, and principal components over all of these.
OWN_SPIKES, OTHER_SPIKES, SITES, COMPONENTS = 400, 1600, 4, 6


def quality_of(
    spikes: SpikeSet, units: Sequence[UnitRecord], start: int, stop: int, *, isolation: bool
) -> list[UnitQuality]:
    """Return the metrics of some units over counters ``[start, stop)``; what is missing there is no time."""
    reader = spikes.reader() if isolation else None
    return [_one(spikes, record, start, stop, reader) for record in units]


def _one(spikes: SpikeSet, record: UnitRecord, start: int, stop: int, reader: WaveformReader | None) -> UnitQuality:
    fs, seconds = spikes.fs, spikes.recorded_sec(start, stop)
    columns = ("sample_index", "amplitude_uv", "y_um")
    found = spikes.store.select(start, stop, units=[record.unit], columns=columns)
    samples = np.ascontiguousarray(found.samples)
    first, last = spikes.without_gaps([start, stop]).tolist()
    distance, l_ratio = (math.nan, math.nan) if reader is None else _isolation(spikes, record, samples, reader)
    return UnitQuality(
        unit=record.unit,
        label=record.label,
        site_ntv_chan_idx=record.site,
        spike_count=len(samples),
        spike_rate_hz=len(samples) / seconds if seconds > 0 else math.nan,
        presence_ratio=quality.presence_ratio(spikes.without_gaps(samples), first, last, fs),
        isi_violations_ratio=quality.isi_violations_ratio(samples, fs, seconds),
        contamination=quality.contamination(samples, fs, seconds),
        sliding_contamination=quality.sliding_contamination(samples, fs, seconds),
        amplitude_cutoff=quality.amplitude_cutoff(found.columns["amplitude_uv"]),
        snr=math.nan if record.snr is None else record.snr,
        mean_abs_peak_uv=math.nan if record.mean_abs_peak_uv is None else record.mean_abs_peak_uv,
        drift_ptp_um=quality.drift_ptp_um(samples, found.columns["y_um"], start, fs),
        isolation_distance=distance,
        l_ratio=l_ratio,
    )


def _isolation(
    spikes: SpikeSet, record: UnitRecord, samples: npt.NDArray[np.int64], reader: WaveformReader
) -> tuple[float, float]:
    """Return isolation distance and L-ratio in the principal components of waveforms on the nearest sites.

    Foreign spikes are those with their peak on one of these sites. Where only some of them are looked at, both are
    given as many spikes as their true ratio allows, so that the distance keeps its meaning.
    """
    near = nearest_sites(spikes, record.site, set(reader.ntv), SITES)
    if not near or len(samples) <= COMPONENTS + 1:
        return math.nan, math.nan
    others = spikes.store.select(int(samples[0]), int(samples[-1]) + 1, sites=near, columns=("unit",))
    foreign = others.samples[others.units != record.unit]
    share = min(1.0, OWN_SPIKES / len(samples), OTHER_SPIKES / max(len(foreign), 1))
    points = reader.before + reader.after
    own_at, other_at = _thinned(samples, share), _thinned(foreign, share)
    own, other = (
        reader.read(np.ascontiguousarray(s), near).reshape(len(s), len(near) * points) for s in (own_at, other_at)
    )
    own, other = own[np.isfinite(own).all(axis=1)], other[np.isfinite(other).all(axis=1)]
    both = np.concatenate([own, other]).astype(np.float64)
    if len(own) <= COMPONENTS + 1 or len(both) < 2:
        return math.nan, math.nan
    both -= both.mean(axis=0)
    axes = np.linalg.svd(both, full_matrices=False)[2][:COMPONENTS]
    features: F64 = both @ axes.T
    return quality.isolation(features[: len(own)], features[len(own) :])


def _thinned(samples: npt.NDArray[np.int64], share: float) -> npt.NDArray[np.int64]:
    n = round(len(samples) * share)
    return samples[np.linspace(0, max(len(samples) - 1, 0), n).astype(np.int64)]
