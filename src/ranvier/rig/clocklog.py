"""Which counter stood at which time: what ties a stream to clocks, without trusting them."""

from __future__ import annotations

import time
from collections import deque

from ranvier.recordings.formats.xdat_clock import ClockTriple

#: How often the log takes an entry.
PERIOD_SEC = 1.0

#: A day of entries.
MAX_ENTRIES = 86400


class ClockLog:
    """The entries of one stream. One thread notes, any may read."""

    def __init__(self) -> None:
        self._entries: deque[ClockTriple] = deque(maxlen=MAX_ENTRIES)
        self._next_sec = -1.0

    def clear(self) -> None:
        """Begin another stream."""
        self._entries.clear()
        self._next_sec = -1.0

    def note(self, counter: int, arrival_sec: float, uncertainty_sec: float) -> ClockTriple | None:
        """Take an entry where the last one is ``PERIOD_SEC`` old; return it.

        ``arrival_sec`` is of the rig's clock, and only decides whether it is time.
        """
        if arrival_sec < self._next_sec:
            return None
        self._next_sec = arrival_sec + PERIOD_SEC
        entry = ClockTriple(counter, time.monotonic_ns(), time.time_ns(), int(uncertainty_sec * 1e6))
        self._entries.append(entry)
        return entry

    @property
    def last(self) -> ClockTriple | None:
        """The newest entry."""
        entries = self._entries
        return entries[-1] if entries else None

    def entries(self, start: int | None = None, stop: int | None = None) -> list[ClockTriple]:
        """Return the entries with ``start <= counter < stop``, in order."""
        return [
            e
            for e in list(self._entries)
            if (start is None or e.counter >= start) and (stop is None or e.counter < stop)
        ]

    def drift_ppm(self, fs_hz: float) -> float | None:
        """Return how much faster than ``fs_hz`` the source samples, in parts per million; None before 5 s are seen."""
        entries = list(self._entries)
        if len(entries) < 2:
            return None
        elapsed = (entries[-1].monotonic_ns - entries[0].monotonic_ns) / 1e9
        if elapsed < 5.0:
            return None
        return ((entries[-1].counter - entries[0].counter) / elapsed / fs_hz - 1.0) * 1e6
