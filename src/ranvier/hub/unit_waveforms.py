"""Waveforms of spikes and units: read from the recording, stored with the spikes, or the sorter's mean."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import CapabilityError, ConfigurationError
from ranvier.hub.spike_sets import SpikeSet, nearest_sites
from ranvier.models.units import UnitWaveforms
from ranvier.spikes.columns import SNIPPETS
from ranvier.spikes.store import Spikes

#: Values of waveforms that are returned at once (800 MB).
MOST_VALUES = 200_000_000
#: Sites of a unit's waveforms unless others are named.
NEAREST_SITES = 6


def waveforms_of_spikes(spikes: SpikeSet, found: Spikes, ntv: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Return waveforms of spikes on one channel each, or the stored ones as they are."""
    if SNIPPETS in found.columns:
        stored: npt.NDArray[np.float32] = found.columns[SNIPPETS]
        _refuse_too_many(stored.size)
        return stored[:, 0] if stored.shape[1] == 1 else stored
    reader = spikes.reader()
    _refuse_too_many(len(found) * (reader.before + reader.after))
    known = np.isin(ntv, reader.ntv)
    out = np.full((len(found), reader.before + reader.after), np.nan, np.float32)
    if known.any():
        out[known] = reader.read_own(found.samples[known], np.asarray(ntv[known], np.int64))
    return out


def waveforms_of_unit(
    spikes: SpikeSet, unit: int, channels: list[int] | None, start: int, stop: int, most: int
) -> UnitWaveforms:
    """Return waveforms of at most so many spikes of a unit with ``start <= sample < stop``, spread evenly."""
    store, record = spikes.store, spikes.store.units.get(unit)
    store.need([unit])
    stored = store.info.waveforms == "stored"
    every = store.select(start, stop, units=[unit], columns=(SNIPPETS,) if stored else ("sample_index",))
    at = np.linspace(0, max(len(every) - 1, 0), min(len(every), most)).astype(np.int64)
    samples = every.samples[at]
    main = -1 if record is None else record.site
    if stored:
        found, source = every.columns[SNIPPETS][at], "stored"
        sites = [main] if found.shape[1] == 1 else list(range(found.shape[1]))
    else:
        try:
            reader = spikes.reader()
        except CapabilityError:
            return _from_template(spikes, unit, channels)
        sites = channels or nearest_sites(spikes, main, set(reader.ntv), NEAREST_SITES)
        _refuse_too_many(len(samples) * len(sites) * (reader.before + reader.after))
        found, source = reader.read(samples, sites), "recording"
    mean, sd = _mean_and_sd(found)
    ms = (np.arange(found.shape[2]) - store.info.before) / spikes.fs * 1e3
    return UnitWaveforms(
        unit=unit, label=store.units[unit].label, ms=ms, site_ntv_chan_idx=tuple(sites), mean_uv=mean, sd_uv=sd,
        waveforms_uv=found, sec=samples / spikes.fs, source=source,
    )  # fmt: skip


def _from_template(spikes: SpikeSet, unit: int, channels: list[int] | None) -> UnitWaveforms:
    """Return the sorter's mean where single waveforms cannot be had; CapabilityError where there is none either."""
    template, templates = spikes.store.template(unit), spikes.store.templates
    if template is None or templates is None:
        spikes.reader()  # refuses, and says why
        raise CapabilityError(f"unit {unit} has no waveforms")
    record = spikes.store.units[unit]
    known = set(templates.sites.tolist())
    sites = channels or nearest_sites(spikes, record.site, known, NEAREST_SITES)
    rows = [int(np.flatnonzero(templates.sites == n)[0]) for n in sites if n in known]
    points = template.shape[1]
    return UnitWaveforms(
        unit=unit, label=record.label, ms=(np.arange(points) - templates.before) / spikes.fs * 1e3,
        site_ntv_chan_idx=tuple(n for n in sites if n in known), mean_uv=template[rows],
        sd_uv=np.full((len(rows), points), np.nan, np.float32),
        waveforms_uv=np.empty((0, len(rows), points), np.float32), sec=np.empty(0), source="template",
    )  # fmt: skip


def _mean_and_sd(found: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return mean and SD over spikes, NaN where nothing is known."""
    known = np.isfinite(found)
    n = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, found, 0).sum(axis=0, dtype=np.float64) / n
        var = np.where(known, (found - mean) ** 2, 0).sum(axis=0, dtype=np.float64) / n
    return mean.astype(np.float32), np.sqrt(var).astype(np.float32)


def _refuse_too_many(values: int) -> None:
    if values > MOST_VALUES:
        raise ConfigurationError(
            f"{values:,} values of waveforms are too many to return at once (at most {MOST_VALUES:,}); "
            f"name channels, or a shorter time range"
        )
