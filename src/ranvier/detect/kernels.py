"""Threshold events of many channels in one pass over a time-major block."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from ranvier.kernels import kernel
from ranvier.kernels.lanes import BITS, STRIP, far_from_zero, lowest_bit, reaching

#: Rows in which samples far from 0 are looked for before these are looked at.
TILE_ROWS = 32

_NEVER = np.iinfo(np.int64).max

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


@register_jitable  # type: ignore[untyped-decorator]
def crosses(value: Any, before: Any, negative: Any, positive: Any) -> Any:
    """Say whether a sample is at or beyond a threshold, and the one before it was not: what an event begins with."""
    return (value <= negative and before > negative) or (value >= positive and before < positive)


def threshold_events_reference(
    x: F32,
    start: int,
    negative: F32,
    positive: F32,
    shadow: I64,
    window: int,
    previous: F32,
    dead_until: I64,
    crossing: I64,
    peak_at: I64,
    peak: F32,
    events: I64,
    channels: I32,
    values: F32,
) -> tuple[int, int]:
    """Define :func:`threshold_events`, sample by sample."""
    n = 0
    for row in range(x.shape[0]):
        if row % TILE_ROWS == 0 and n + x.shape[1] * (TILE_ROWS + 1) > len(values):
            return n, row
        for c in range(x.shape[1]):
            counter, value, before = start + row, x[row, c], previous[c]
            begins = crosses(value, before, negative[c], positive[c]) and counter >= dead_until[c]
            if crossing[c] < 0 and begins:
                crossing[c], peak_at[c], peak[c] = counter, counter, value
                dead_until[c] = counter + 1 + max(shadow[c], window)
            elif crossing[c] >= 0 and (value < peak[c] if peak[c] <= negative[c] else value > peak[c]):
                peak_at[c], peak[c] = counter, value
            if crossing[c] >= 0 and counter >= crossing[c] + window:
                events[n] = peak_at[c], crossing[c]
                channels[n], values[n] = c, peak[c]
                crossing[c] = -1
                n += 1
            previous[c] = value
    return n, x.shape[0]


@numba.njit
def _least(negative, positive):  # type: ignore[no-untyped-def]
    """Return how far from 0 a sample must be to reach a threshold: one comparison, instead of two, passes it over.

    It may be too near (then a closer look finds nothing), never too far. Lies in lines of the cache of its own.
    """
    room = np.empty(len(negative) + STRIP, np.float32)
    skip = -room.ctypes.data % (4 * STRIP) // 4
    least = room[skip : skip + len(negative)]
    for c in range(len(negative)):
        least[c] = min(-negative[c], positive[c])
    return least


@numba.njit
def _waiting(crossing, queue):  # type: ignore[no-untyped-def]
    """Write the columns whose windows are open in order of their crossings; return how many."""
    n = 0
    for c in range(len(crossing)):
        if crossing[c] >= 0:
            k = n
            while k > 0 and crossing[queue[k - 1]] > crossing[c]:
                queue[k] = queue[k - 1]
                k -= 1
            queue[k] = c
            n += 1
    return n


@numba.njit
def _follow(x, start, stop, c, negative, crossing, peak_at, peak):  # type: ignore[no-untyped-def]
    """Look for the extremum of a window that stays open in the rows up to ``stop``."""
    sign = np.float32(1.0) if peak[c] <= negative[c] else np.float32(-1.0)
    for i in range(max(0, crossing[c] + 1 - start), stop):
        if sign * x[i, c] < sign * peak[c]:
            peak_at[c], peak[c] = start + i, x[i, c]


@numba.njit
def _look(  # type: ignore[no-untyped-def]
    x, start, stop, found, where, far, negative, positive, shadow, window,
    previous, dead_until, crossing, peak_at, peak, events, channels, values, queue, n, head, tail,
):  # fmt: skip
    """Look at samples that are far from 0, in order, and finish the windows that are over before row ``stop``.

    Returns how many events there are, and head and tail of the queue.
    """
    columns = x.shape[1]
    due = crossing[queue[head]] + window if head < tail else _NEVER
    for k in range(found + 1):
        row = where[k] // columns if k < found else stop
        while due < start + row:
            c = queue[head]
            sign = np.float32(1.0) if peak[c] <= negative[c] else np.float32(-1.0)
            best, at = sign * peak[c], peak_at[c]
            for i in range(max(0, crossing[c] + 1 - start), due + 1 - start):
                value = sign * x[i, c]
                at = start + i if value < best else at
                best = value if value < best else best
            peak_at[c], peak[c] = at, sign * best
            events[n, 0], events[n, 1] = at, crossing[c]
            channels[n], values[n] = c, peak[c]
            crossing[c] = -1
            n += 1
            head += 1
            due = crossing[queue[head]] + window if head < tail else _NEVER
        if k == found:
            break
        left, bits = where[k] - row * columns, far[k]
        while bits != 0:
            c = left + lowest_bit(bits)
            bits &= bits - np.uint64(1)
            counter, value, before = start + row, x[row, c], x[row - 1, c] if row > 0 else previous[c]
            if counter >= dead_until[c] and crosses(value, before, negative[c], positive[c]):
                crossing[c], peak_at[c], peak[c] = counter, counter, value
                dead_until[c] = counter + 1 + max(shadow[c], window)
                queue[tail] = c
                tail += 1
                due = min(due, counter + window)
    if head >= columns:
        queue[: tail - head] = queue[head:tail]
        head, tail = 0, tail - head
    return n, head, tail


@register_jitable  # type: ignore[untyped-decorator]
def row_crossings(row: Any, negative: Any, positive: Any, dead: Any, out: Any) -> Any:
    """Write where one channel crosses, as :func:`threshold_events` does with no window; return how often.

    ``row`` is ``(1, n)``: a channel that lies in memory on its own. What lies within its thresholds is passed over.
    """
    n, ready, length = 0, 0, row.shape[1]
    least = min(-negative, positive)  # as _least says
    for begin in range(0, length, BITS):
        if begin + BITS <= length and far_from_zero(row, 0, begin, least) == np.uint64(0):
            continue
        before = row[0, begin - 1] if begin > 0 else np.float32(np.nan)
        for i in range(begin, min(length, begin + BITS)):
            x = row[0, i]
            if i >= ready and crosses(x, before, negative, positive):
                out[n] = i
                n += 1
                ready = i + 1 + dead
            before = x
    return n


@kernel(
    "UniTuple(int64, 2)(Array(float32, 2, 'C', readonly=True), int64, float32[::1], float32[::1], int64[::1], int64,"
    " float32[::1], int64[::1], int64[::1], int64[::1], float32[::1], int64[:,::1], int32[::1], float32[::1])",
    reference=threshold_events_reference,
)
def threshold_events(
    x: F32,
    start: int,
    negative: F32,
    positive: F32,
    shadow: I64,
    window: int,
    previous: F32,
    dead_until: I64,
    crossing: I64,
    peak_at: I64,
    peak: F32,
    events: I64,
    channels: I32,
    values: F32,
) -> tuple[int, int]:
    """Write the threshold events of a block; return how many, and how many rows were done.

    A channel crosses at counter ``t`` where ``x[t] <= negative < x[t-1]`` or ``x[t] >= positive > x[t-1]``. The
    event is the extremum (first of equals, on the side of the crossing) of ``x[t .. t + window]``; crossings before
    ``t + 1 + max(shadow, window)`` are not looked at. NaN crosses nothing and is no extremum; behind it a channel must
    be seen on the near side of a threshold first. One vectorised pass looks for samples that are far from 0; an
    extremum is looked for when its window is over, while that is still in the cache.

    Parameters
    ----------
    x
        ``(n, channels)``, physical units; ``start`` is the counter of row 0.
    negative, positive
        ``(channels,)``, ``negative < positive``; -inf and +inf for none.
    shadow, window
        Samples.
    previous, dead_until, crossing, peak_at, peak
        State of each channel, changed in place: last sample (NaN: not known), first counter that may cross, counter
        of a crossing whose window is open (-1 for none), and the extremum so far.
    events, channels, values
        Out: ``(k, 2)`` counters of event and crossing, ``(k,)`` column and value, in order of crossing, then of column.
        The kernel stops before a tile of rows whose events might not fit.
    """
    n, rows, columns = 0, x.shape[0], x.shape[1]
    inner = columns // STRIP * STRIP
    least = _least(negative, positive)
    where = np.empty(TILE_ROWS * (columns // STRIP + STRIP), np.int64)
    far = np.empty(len(where), np.uint64)
    queue = np.empty(columns * (TILE_ROWS + 2), np.int64)  # columns whose windows are open, from head to tail
    head, tail = 0, _waiting(crossing, queue)
    for first in range(0, rows, TILE_ROWS):
        if n + columns * (TILE_ROWS + 1) > len(values):
            rows = first
            break
        stop = min(first + TILE_ROWS, rows)
        found = 0
        for row in range(first, stop):
            for left in range(0, inner, STRIP):
                bits = reaching(x, row, left, least)
                if bits != 0:
                    where[found], far[found] = row * columns + left, bits
                    found += 1
            for c in range(inner, columns):
                if np.abs(x[row, c]) >= least[c]:
                    where[found], far[found] = row * columns + c, np.uint64(1)
                    found += 1
        if found > 0 or tail > head:
            n, head, tail = _look(
                x, start, stop, found, where, far, negative, positive, shadow, window,
                previous, dead_until, crossing, peak_at, peak, events, channels, values, queue, n, head, tail,
            )  # fmt: skip
    for k in range(head, tail):
        _follow(x, start, rows, queue[k], negative, crossing, peak_at, peak)
    if rows > 0:
        for c in range(columns):
            previous[c] = x[rows - 1, c]
    return n, rows
