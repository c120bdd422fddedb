"""Threshold events of many channels in one pass over a time-major block."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.kernels.lanes import STRIP, beyond, lowest_bit

#: Rows that are looked at together: whether one of them reaches a threshold decides if a column is worth a closer look.
TILE_ROWS = 32

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


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
    for first in range(0, x.shape[0], TILE_ROWS):
        stop = min(first + TILE_ROWS, x.shape[0])
        if n + x.shape[1] * (TILE_ROWS + 1) > len(values):
            return n, first
        for c in range(x.shape[1]):
            for row in range(first, stop):
                counter, value, before = start + row, x[row, c], previous[c]
                down = value <= negative[c] and before > negative[c]
                up = value >= positive[c] and before < positive[c]
                if crossing[c] < 0 and (down or up) and counter >= dead_until[c]:
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
def _column(  # type: ignore[no-untyped-def]
    x, start, first, stop, c, low, high, shadow, window,
    previous, dead_until, crossing, peak_at, peak, events, channels, values, n,
):  # fmt: skip
    """Follow one column through the rows of a tile."""
    before, dead, began = previous[c], dead_until[c], crossing[c]
    for row in range(first, stop):
        value, counter = x[row, c], start + row
        if began < 0:
            if counter >= dead and ((value <= low and before > low) or (value >= high and before < high)):
                began, peak_at[c], peak[c] = counter, counter, value
                dead = counter + 1 + max(shadow[c], window)
        elif (value < peak[c]) if peak[c] <= low else (value > peak[c]):
            peak_at[c], peak[c] = counter, value
        if began >= 0 and counter >= began + window:
            events[n, 0], events[n, 1] = peak_at[c], began
            channels[n], values[n] = c, peak[c]
            began = np.int64(-1)
            n += 1
        before = value
    dead_until[c], crossing[c] = dead, began
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
    be seen on the near side of a threshold first. Columns that stay within the thresholds for a tile of rows are passed
    over after one vectorised pass.

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
        Out: ``(k, 2)`` counters of event and crossing, ``(k,)`` column and value. In order of time within a channel
        only. The kernel stops before a tile that might not fit.
    """
    n = 0
    columns = x.shape[1]
    inner, strips = columns // STRIP, -(-columns // STRIP)
    open_ = np.zeros(strips, np.uint64)  # a bit per column: those whose window is open are followed on
    found = np.empty(strips, np.uint64)
    for c in range(columns):
        open_[c // STRIP] |= np.uint64(crossing[c] >= 0) << np.uint64(c % STRIP)
    for first in range(0, x.shape[0], TILE_ROWS):
        stop = min(first + TILE_ROWS, x.shape[0])
        if n + columns * (TILE_ROWS + 1) > len(values):
            return n, first
        found[:] = open_
        for row in range(first, stop):
            for strip in range(inner):
                found[strip] |= beyond(x, row, strip * STRIP, negative, positive)
            for c in range(inner * STRIP, columns):
                reached = x[row, c] <= negative[c] or x[row, c] >= positive[c]
                found[inner] |= np.uint64(reached) << np.uint64(c % STRIP)
        for strip in range(strips):
            bits = found[strip]
            while bits != 0:
                c = strip * STRIP + lowest_bit(bits)
                n = _column(
                    x, start, first, stop, c, negative[c], positive[c], shadow, window,
                    previous, dead_until, crossing, peak_at, peak, events, channels, values, n,
                )  # fmt: skip
                one = np.uint64(1) << np.uint64(c % STRIP)
                open_[strip] = open_[strip] | one if crossing[c] >= 0 else open_[strip] & ~one
                bits &= bits - np.uint64(1)
        previous[:] = x[stop - 1]
    return n, x.shape[0]
