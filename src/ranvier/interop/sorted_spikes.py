"""What an export is made of: spikes, their units after curation, and the recording where it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import CapabilityError
from ranvier.models.signals import SignalType
from ranvier.recordings import ChannelTable, Recording
from ranvier.spikes import SpikeStore, UnitRecord
from ranvier.spikes.curation import NO_UNITS
from ranvier.spikes.waveforms import WaveformReader

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

#: Spikes of a unit that its mean waveform is taken from, where the sorter left none.
MEAN_SPIKES = 200


@dataclass(frozen=True)
class UnitMeans:
    """Mean waveforms, float32 uV ``(units, sites, points)``; NaN where a site was not looked at."""

    units: tuple[int, ...]
    sites: tuple[int, ...]
    waveforms_uv: F32
    before: int

    def peaks(self) -> tuple[I64, F32]:
        """Return, per unit, the row of the site with the largest swing, and the extreme value there, signed, uV."""
        known = np.nan_to_num(self.waveforms_uv)
        row = np.ptp(known, axis=2).argmax(axis=1).astype(np.int64)
        own = known[np.arange(len(known)), row]
        return row, np.asarray(own[np.arange(len(own)), np.abs(own).argmax(axis=1)], np.float32)


@dataclass(frozen=True)
class SortedSpikes:
    """Spikes to export.

    Attributes
    ----------
    store
        The spikes; curation is in force.
    units
        Every unit that exists, by number.
    channels
        Those of the recording, or the sites.
    recording
        None where it is not there.
    start
        Counter of the recording's first sample, from which other programs count.
    stop
        Counter behind the last one that was looked at.
    """

    store: SpikeStore
    units: Mapping[int, UnitRecord]
    channels: ChannelTable
    recording: Recording | None
    start: int
    stop: int
    name: str = ""
    walltime: datetime | None = None

    @property
    def fs(self) -> float:
        """Counters per second."""
        return float(self.store.info.fs)

    @cached_property
    def amplifier(self) -> ChannelTable:
        """The amplifier channels, in the order of the recording's columns."""
        return self.channels.take(self.channels.columns_of(SignalType.AMP))

    @cached_property
    def ntv(self) -> list[int]:
        """Native indices of the amplifier channels."""
        return [channel.ntv for channel in self.amplifier]

    def counted(self) -> list[int]:
        """Return the units that have spikes, ascending, those labelled as noise too."""
        counts = self.store.counts()
        return [unit for unit in self.units if counts.get(unit, 0)]

    def neurons(self) -> list[int]:
        """Return the units that have spikes and are not labelled noise, bad or delete."""
        return [unit for unit in self.counted() if self.units[unit].label.lower() not in NO_UNITS]

    def reader(self, *, before: int | None = None, after: int | None = None, raw: bool = False) -> WaveformReader:
        """Return what reads waveforms; CapabilityError where the recording is not there."""
        if self.recording is None:
            raise CapabilityError(
                f"{self.store.path.name}: waveforms are read from the recording, and none is known; name it"
            )
        info = self.store.info
        info = replace(info, before=info.before if before is None else before, after=after or info.after)
        return WaveformReader(self.recording, replace(info, filters=()) if raw else info)

    def means(self, units: list[int]) -> UnitMeans:
        """Return mean waveforms of units on all amplifier channels.

        The sorter's; where it left none of a unit, or a split divided one, those of at most 200 spikes of each.

        Raises
        ------
        CapabilityError
            The sorter left none of a unit, and the recording is not there.
        """
        templates = self.store.templates
        known = {} if templates is None else {u: t for u in units if (t := self.store.template(u)) is not None}
        whole = all(not self.store.is_divided(u) for u in known) or self.recording is None
        if templates is None or len(known) < len(units) or not whole:
            return self._measured(units)
        out = np.full((len(units), len(self.ntv), templates.templates_uv.shape[2]), np.nan, np.float32)
        column = {int(n): k for k, n in enumerate(templates.sites)}
        rows = [k for k, n in enumerate(self.ntv) if n in column]
        for k, unit in enumerate(units):
            out[k, rows] = known[unit][[column[self.ntv[row]] for row in rows]]
        return UnitMeans(tuple(units), tuple(self.ntv), out, templates.before)

    def _measured(self, units: list[int]) -> UnitMeans:
        reader = self.reader()
        out = np.full((len(units), len(self.ntv), reader.before + reader.after), np.nan, np.float32)
        for k, unit in enumerate(units):
            found = reader.read(spread(self.store.unit_samples(unit), MEAN_SPIKES), self.ntv)
            whole = found[np.isfinite(found).all(axis=(1, 2))]
            if len(whole):
                out[k] = whole.mean(axis=0)
        return UnitMeans(tuple(units), tuple(self.ntv), out, reader.before)


def spread(samples: I64, most: int) -> I64:
    """Return at most so many of ascending samples, spread evenly."""
    return samples[np.linspace(0, max(len(samples) - 1, 0), min(len(samples), most)).astype(np.int64)]


def positions_of(channels: ChannelTable) -> npt.NDArray[np.float64]:
    """Return places ``(channels, 2)`` in um; channels without one stand below each other, 40 um apart, beside all."""
    known = [c.site for c in channels if c.site is not None]
    beside = max((s.x_um for s in known), default=0.0) + (1000.0 if known else 0.0)
    out = np.empty((len(channels), 2))
    for k, channel in enumerate(channels):
        out[k] = (beside, 40.0 * k) if channel.site is None else (channel.site.x_um, channel.site.y_um)
    return out
