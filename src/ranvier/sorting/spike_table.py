"""Spikes as columns of numbers, and the newest ones of a stream in bounded memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields
from enum import IntFlag

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


class SpikeFlag(IntFlag):
    """What else is known of a spike."""

    THRESHOLD = 1  #: crossed the threshold of its site
    NOISE = 2  #: its width is not accepted, it came on much of a port at once, or behind one twice as large
    COLLISION = 4  #: overlaps a spike of another unit


@dataclass(frozen=True, slots=True, eq=False)
class SpikeTable:
    """Spikes in order of their counters, then sites.

    Attributes
    ----------
    counter
        Sample counters of the peaks.
    site
        DATA index (position among the sorted amplifier columns) of the site with the peak.
    label
        Unit; 0 = none.
    amplitude_uv
        Signed value at the peak.
    scale
        Amplitude in units of the unit's template; NaN without a label.
    margin
        By how much the unit explains the spike better than the next one does, in SD; NaN without a label.
    x_um, y_um
        Position on the probe; NaN where it is not known.
    flags
        See :class:`SpikeFlag`.
    """

    counter: I64
    site: I32
    label: I32
    amplitude_uv: F32
    scale: F32
    margin: F32
    x_um: F32
    y_um: F32
    flags: U8

    def __len__(self) -> int:
        return len(self.counter)

    @classmethod
    def empty(cls, size: int = 0) -> SpikeTable:
        """Return a table of ``size`` rows of zeros and NaN."""
        site, label = np.zeros((2, size), np.int32)
        unknown = np.empty((4, size), np.float32)
        unknown.fill(np.nan)  # a stream makes such tables for every packet: few arrays are sooner made than many
        scale, margin, x_um, y_um = unknown
        counter, amplitude_uv, flags = np.zeros(size, np.int64), np.zeros(size, np.float32), np.zeros(size, np.uint8)
        return cls(counter, site, label, amplitude_uv, scale, margin, x_um, y_um, flags)

    def take(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice) -> SpikeTable:
        """Return some rows."""
        return SpikeTable(
            self.counter[rows],
            self.site[rows],
            self.label[rows],
            self.amplitude_uv[rows],
            self.scale[rows],
            self.margin[rows],
            self.x_um[rows],
            self.y_um[rows],
            self.flags[rows],
        )

    @classmethod
    def concatenate(cls, parts: list[SpikeTable]) -> SpikeTable:
        """Return several tables as one, rows in their order."""
        parts = [p for p in parts if len(p.counter)] or parts[:1]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in _NAMES))

    def ordered(self) -> SpikeTable:
        """Return the rows by counter, then site; itself where they are."""
        counter = self.counter
        if len(counter) < 2 or bool((counter[1:] > counter[:-1]).all()):
            return self
        return self.take(np.lexsort((self.site, self.counter)))


_NAMES = tuple(f.name for f in fields(SpikeTable))
#: A spike is told before so many earlier ones at most.
_ASTRAY = 2048


class SpikeRing:
    """The newest spikes of a stream and counts of all of them; one thread adds, any reads.

    Parameters
    ----------
    capacity
        Spikes that are kept; older ones are forgotten.
    sites
        Number of sites.
    """

    def __init__(self, capacity: int, sites: int) -> None:
        self._table = SpikeTable.empty(capacity)
        self._lock = threading.Lock()
        self.sites = sites
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self.total = 0
            self.labelled = 0
            self.by_site = np.zeros(self.sites, np.int64)

    def add(self, spikes: SpikeTable) -> None:
        """Add spikes; of those that are there some may lie a little behind them."""
        n = len(spikes)
        if not n:
            return
        capacity = len(self._table)
        with self._lock:
            kept = spikes.take(slice(max(0, n - capacity), n))
            at = (self.total + n - len(kept)) % capacity
            fits = min(len(kept), capacity - at)  # the rest goes to the beginning
            for name in _NAMES:
                place, values = getattr(self._table, name), getattr(kept, name)
                place[at : at + fits] = values[:fits]
                if fits < len(kept):
                    place[: len(kept) - fits] = values[fits:]
            self.total += n
            self.labelled += int(np.count_nonzero(spikes.label))
            np.add.at(self.by_site, spikes.site, 1)

    def read(self, start: int | None = None, stop: int | None = None) -> SpikeTable:
        """Return the kept spikes with ``start <= counter < stop``, in order."""
        with self._lock:
            held, capacity = min(self.total, len(self._table)), len(self._table)
            first = (self.total - held) % capacity
            oldest = self._within(slice(first, min(first + held, capacity)), start, stop)
            newest = self._within(slice(0, max(0, first + held - capacity)), start, stop)
        return SpikeTable.concatenate([oldest, newest]).ordered()

    def _within(self, rows: slice, start: int | None, stop: int | None) -> SpikeTable:
        """Return a copy of the spikes in a range; they were told nearly in order."""
        counters = self._table.counter[rows]
        low = 0 if start is None else max(0, int(np.searchsorted(counters, start)) - _ASTRAY)
        high = len(counters) if stop is None else int(np.searchsorted(counters, stop)) + _ASTRAY
        rows = slice(rows.start + low, min(rows.start + high, rows.stop))
        counters = self._table.counter[rows]
        wanted = np.ones(len(counters), np.bool_)
        if start is not None:
            wanted &= counters >= start
        if stop is not None:
            wanted &= counters < stop
        return self._table.take(rows.start + np.flatnonzero(wanted))
