"""Finite impulse responses over time-major blocks.

``y[j] = sum_i h[i] w_j[i]`` with the window ``w_j`` around the input sample of output j. Products are added in float32,
in an order that the taps alone fix: sums of ``UNROLL`` neighbours, added up one after the other. Up to ``GROUP``
channels are copied side by side first, rows at a constant distance, so that the compiler knows what cannot overlap.

A window that leaves its run of samples (a gap, the end of the recording, a sample that is not finite) sees the run
reflected at its last sample: ``x[b + m] = x[b - m]``; beyond what a short run has, its other end is held.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.dsp import references
from ranvier.kernels import kernel
from ranvier.recordings.buffers import aligned_empty

#: Channels that are filtered together.
GROUP = 128

#: Taps whose products are added before they join the sum; numbers of taps are a multiple of it, plus one.
UNROLL = 8

#: Rows that one pass takes at least.
PASS_ROWS = 256

F32 = npt.NDArray[np.float32]


@numba.njit
def _reflected(row, low, high):  # type: ignore[no-untyped-def]
    """Return the row of the run ``[low, high)`` that stands for a row beyond its ends."""
    if row < low:
        return min(2 * low - row, high - 1)
    if row >= high:
        return max(2 * (high - 1) - row, low)
    return row


@numba.njit
def _pack(recent, x, row, rows, low, high, column, width, pack):  # type: ignore[no-untyped-def]
    """Copy rows of a group of channels, reflected at the ends of the run, into ``pack``."""
    old = len(recent)
    for t in range(rows):
        i = _reflected(row + t, low, high)
        source = recent[i, column : column + width] if i < old else x[i - old, column : column + width]
        target = pack[t * GROUP : t * GROUP + width]
        for c in range(width):
            target[c] = source[c]


@numba.njit
def _one_window(pack, first, c, low, high, h):  # type: ignore[no-untyped-def]
    """One output of one channel whose window, from packed row ``first``, holds samples that are not finite."""
    middle = first + len(h) // 2
    if not np.isfinite(pack[middle * GROUP + c]):
        return np.float32(np.nan)
    a, b = middle, middle + 1
    while a > max(first, low) and np.isfinite(pack[(a - 1) * GROUP + c]):
        a -= 1
    while b < min(first + len(h), high) and np.isfinite(pack[b * GROUP + c]):
        b += 1
    total = np.float32(0)
    for i in range(0, len(h) - 1, UNROLL):
        part = h[i] * pack[_reflected(first + i, a, b) * GROUP + c]
        for j in range(1, UNROLL):
            part += h[i + j] * pack[_reflected(first + i + j, a, b) * GROUP + c]
        total += part
    return total + h[-1] * pack[_reflected(first + len(h) - 1, a, b) * GROUP + c]


@kernel(
    "void(float32[:,::1], float32[:,::1], int64, int64, int64, float32[::1], int64, int64, float32[:,::1],"
    " float32[::1])",
    reference=references.decimate,
)
def decimate(
    recent: F32,
    x: F32,
    row: int,
    low: int,
    factor: int,
    h: F32,
    column: int,
    width: int,
    out: F32,
    pack: F32,
) -> None:
    """Filter, and keep one of ``factor`` samples: ``out[j, c] = sum_i h[i] x[row + j factor - len(h) // 2 + i, c]``.

    Parameters
    ----------
    recent, x
        Rows that follow each other, counted from the first of ``recent``; the run ends with the last of ``x``.
    row
        The row of the first output.
    low
        The row in which the run begins (may lie before the first).
    h
        ``UNROLL`` n + 1 taps.
    column, width
        The columns to filter; the others of ``out`` are left alone.
    out
        ``(outputs, columns)``. NaN where the sample itself is not finite.
    pack
        Scratch, a multiple of GROUP long, for ``len(h)`` rows at least.
    """
    taps = len(h)
    high = len(recent) + len(x)
    together = (len(pack) // GROUP - taps) // factor + 1
    total = np.empty(GROUP, np.float32)
    last_tap = h[taps - 1]
    for first in range(column, column + width, GROUP):
        w = min(GROUP, column + width - first)
        for done in range(0, len(out), together):
            n = min(together, len(out) - done)
            begin = row + done * factor - taps // 2
            _pack(recent, x, begin, (n - 1) * factor + taps, low, high, first, w, pack)
            for j in range(n):
                at = j * factor * GROUP
                for c in range(GROUP):
                    total[c] = 0.0
                for i in range(0, taps - 1, UNROLL):
                    h0, h1, h2, h3 = h[i], h[i + 1], h[i + 2], h[i + 3]
                    h4, h5, h6, h7 = h[i + 4], h[i + 5], h[i + 6], h[i + 7]
                    p = at + i * GROUP
                    x0, x1 = pack[p : p + GROUP], pack[p + GROUP : p + 2 * GROUP]
                    x2, x3 = pack[p + 2 * GROUP : p + 3 * GROUP], pack[p + 3 * GROUP : p + 4 * GROUP]
                    x4, x5 = pack[p + 4 * GROUP : p + 5 * GROUP], pack[p + 5 * GROUP : p + 6 * GROUP]
                    x6, x7 = pack[p + 6 * GROUP : p + 7 * GROUP], pack[p + 7 * GROUP : p + 8 * GROUP]
                    for c in range(GROUP):
                        total[c] += (
                            h0 * x0[c] + h1 * x1[c] + h2 * x2[c] + h3 * x3[c]
                            + h4 * x4[c] + h5 * x5[c] + h6 * x6[c] + h7 * x7[c]
                        )  # fmt: skip
                y = out[done + j, first : first + w]
                p = at + (taps - 1) * GROUP
                last = pack[p : p + GROUP]
                for c in range(w):
                    y[c] = total[c] + last_tap * last[c]
                for c in range(w):
                    if not np.isfinite(y[c]):
                        y[c] = _one_window(pack, j * factor, c, low - begin, high - begin, h)


@kernel(
    "void(float32[:,::1], float32[:,::1], int64, int64, float32[:,::1], int64, int64, float32[:,::1], float32[::1],"
    " float32[::1])",
    reference=references.shift,
)
def shift(
    recent: F32, x: F32, row: int, low: int, h: F32, column: int, width: int, out: F32, pack: F32, taps_of_group: F32
) -> None:
    """Filter each column with taps of its own: ``out[j, c] = sum_i h[i, c] x[row + j - len(h) // 2 + i, c]``.

    Parameters are those of ``decimate``; ``h`` is ``(taps, columns)``, ``taps_of_group`` scratch for ``len(h) GROUP``.
    """
    taps = len(h)
    high = len(recent) + len(x)
    together = len(pack) // GROUP - taps + 1
    total = np.empty(GROUP, np.float32)
    one = np.empty(taps, np.float32)
    for first in range(column, column + width, GROUP):
        w = min(GROUP, column + width - first)
        for i in range(taps):
            for c in range(w):
                taps_of_group[i * GROUP + c] = h[i, first + c]
        for done in range(0, len(out), together):
            n = min(together, len(out) - done)
            begin = row + done - taps // 2
            _pack(recent, x, begin, n - 1 + taps, low, high, first, w, pack)
            for j in range(n):
                for c in range(GROUP):
                    total[c] = 0.0
                for i in range(0, taps - 1, UNROLL):
                    p, q = (j + i) * GROUP, i * GROUP
                    x0, x1 = pack[p : p + GROUP], pack[p + GROUP : p + 2 * GROUP]
                    x2, x3 = pack[p + 2 * GROUP : p + 3 * GROUP], pack[p + 3 * GROUP : p + 4 * GROUP]
                    x4, x5 = pack[p + 4 * GROUP : p + 5 * GROUP], pack[p + 5 * GROUP : p + 6 * GROUP]
                    x6, x7 = pack[p + 6 * GROUP : p + 7 * GROUP], pack[p + 7 * GROUP : p + 8 * GROUP]
                    g = taps_of_group[q : q + UNROLL * GROUP]
                    h0, h1, h2, h3 = g[:GROUP], g[GROUP : 2 * GROUP], g[2 * GROUP : 3 * GROUP], g[3 * GROUP : 4 * GROUP]
                    h4, h5 = g[4 * GROUP : 5 * GROUP], g[5 * GROUP : 6 * GROUP]
                    h6, h7 = g[6 * GROUP : 7 * GROUP], g[7 * GROUP : 8 * GROUP]
                    for c in range(GROUP):
                        total[c] += (
                            h0[c] * x0[c] + h1[c] * x1[c] + h2[c] * x2[c] + h3[c] * x3[c]
                            + h4[c] * x4[c] + h5[c] * x5[c] + h6[c] * x6[c] + h7[c] * x7[c]
                        )  # fmt: skip
                y = out[done + j, first : first + w]
                p, q = (j + taps - 1) * GROUP, (taps - 1) * GROUP
                last, h_last = pack[p : p + GROUP], taps_of_group[q : q + GROUP]
                for c in range(w):
                    y[c] = total[c] + h_last[c] * last[c]
                for c in range(w):
                    if not np.isfinite(y[c]):
                        for i in range(taps):
                            one[i] = h[i, first + c]
                        y[c] = _one_window(pack, j, c, low - begin, high - begin, one)


def shift_rows(recent: F32, x: F32, row: int, low: int, h: F32, columns: tuple[int, int], out: F32) -> None:
    """Run ``shift`` over the columns ``[first, stop)``, in scratch memory of its own."""
    first, stop = columns
    pack = aligned_empty((len(h) + PASS_ROWS) * GROUP)
    shift(recent, x, row, low, h, first, stop - first, out, pack, aligned_empty(len(h) * GROUP))


def decimate_rows(
    recent: F32, x: F32, row: int, low: int, factor: int, h: F32, columns: tuple[int, int], out: F32
) -> None:
    """Run ``decimate`` over the columns ``[first, stop)``, in scratch memory of its own."""
    first, stop = columns
    pack = aligned_empty((len(h) + max(PASS_ROWS, len(h) // 2, factor)) * GROUP)
    decimate(recent, x, row, low, factor, h, first, stop - first, out, pack)
