"""From stored counters and rates to exact ones: shared by the readers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.events import Events
from ranvier.recordings.segments import Segments

#: More runs than this are damage, not gaps.
_MOST_RUNS = 1 << 16

#: Rates outside are taken as damage: nothing samples slower than once a day or faster than 1 GHz.
_SLOWEST_HZ, _FASTEST_HZ = 1e-5, 1e9


def exact_rate(rate_hz: float, *, single: bool = False, where: str = "") -> Fraction:
    """Return the simplest fraction that a stored floating-point rate stands for.

    3333.3333 stored in four bytes is 10000/3, 24414.0625 is 390625/16. Denominators reach 1000 for rates stored in
    single precision and 10^6 for double; within those the nearest fraction is taken.

    Raises
    ------
    RecordingError
        If the value is not a positive, finite, plausible rate; ``where`` names what held it.
    """
    value = float(rate_hz)
    if not _SLOWEST_HZ <= value <= _FASTEST_HZ:  # also refuses NaN
        raise RecordingError(f"{where}: {value!r} Hz is not a sampling rate; the header is damaged")
    fraction = Fraction(value).limit_denominator(1000 if single else 10**6)
    return fraction if fraction > 0 else Fraction(value)


def find_runs(counters_at: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]], rows: int) -> Segments | None:
    """Find the gap-free runs of a stored counter column without reading all of it.

    A stretch of rows whose last counter minus its first equals its length minus one holds no gap, since counters
    grow by at least one per row. Other stretches are halved until the breaks stand out, so that a recording with g
    gaps costs about ``g * log2(rows)`` reads, not ``rows``.

    Parameters
    ----------
    counters_at
        ``counters_at(rows) -> counters``, int64, for an array of row numbers.
    rows
        How many rows there are.

    Returns
    -------
    Segments or None
        None where the counters run backwards or stand still somewhere, or break more than 65,536 times: they cannot
        be used.
    """
    if rows <= 0:
        return Segments.single(0, 0)
    a = np.zeros(1, np.int64)
    b = np.full(1, rows - 1, np.int64)
    breaks: list[npt.NDArray[np.int64]] = []
    while len(a):
        grown = counters_at(b) - counters_at(a)
        if np.any(grown < b - a) or len(a) > _MOST_RUNS:
            return None
        split = grown != b - a
        a, b = a[split], b[split]
        adjacent = b - a == 1
        breaks.append(b[adjacent])
        a, b = a[~adjacent], b[~adjacent]
        middle = (a + b) // 2
        a, b = np.concatenate((a, middle)), np.concatenate((middle, b))
    first = np.sort(np.concatenate([np.zeros(1, np.int64), *breaks]))
    return Segments(counters_at(first), np.diff(np.append(first, rows)))


def counters_of_seconds(seconds: npt.ArrayLike, fs: Fraction) -> npt.NDArray[np.int64]:
    """Return the nearest sample counters of times in seconds; times that are no numbers are refused."""
    times = np.asarray(seconds, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # damaged times are refused below
        counters = np.rint(times * float(fs))
    if not np.all(np.abs(counters) < 2.0**62):  # also refuses NaN
        raise RecordingError("a time is not a number, or beyond what a sample counter holds")
    return counters.astype(np.int64)


def counters_of_rows(segments: Segments, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the sample counters of file rows."""
    first_rows = np.cumsum(segments.lengths) - segments.lengths
    run = np.searchsorted(first_rows, rows, side="right") - 1
    counters: npt.NDArray[np.int64] = segments.counters[run] + rows - first_rows[run]
    return counters


def read_cells(path: Path, offsets: npt.NDArray[np.int64], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Read single values at byte offsets of a file; RecordingError where it ends before one of them."""
    kind = np.dtype(dtype)
    parts = []
    with open(path, "rb", buffering=0) as handle:
        for offset in offsets.tolist():
            handle.seek(offset)
            parts.append(handle.read(kind.itemsize))
    data = b"".join(parts)
    if len(data) != kind.itemsize * len(offsets):
        raise RecordingError(f"{path} became shorter while it was read: open it again to see what is left")
    return np.frombuffer(data, kind)


def events_inside(events: Events, start: int, stop: int) -> tuple[Events, int]:
    """Return the events within a stream's counters ``[start, stop]``, and how many lie outside.

    One counter outside is rounding of another clock, and moved to the edge. A stream whose samples are lost altogether
    keeps all events: they are what is left.
    """
    if stop <= start:
        return events, 0
    near = events.between(start - 1, stop + 2)
    moved = np.clip(near.counter, start, stop)
    return Events(moved, near.line, near.state, near.source, near.text), len(events) - len(near)
