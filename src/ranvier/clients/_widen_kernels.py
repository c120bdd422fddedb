"""Time-major samples of an engine to the API's arrays: float64, one row per channel.

The transposition goes in tiles that stay in the processor's first cache: written row by row, each sample would touch a
cache line of its own. Samples are only read: they may lie in memory that another process owns.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

Counts = npt.NDArray[np.int16]
Quads = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: Rows and channels of a tile: some cache lines of input per row, half a page of output per channel.
_ROWS, _CHANNELS = 256, 64
#: Rows of a tile of quads, whose columns need no tiles: neighbours come from cache lines that are there.
_QUAD_ROWS = 64


def widen_reference(samples: Floats, columns: Indices, out: Doubles, at: int, first: int, last: int) -> None:
    """Write columns ``columns[first:last]`` of ``samples (n, width)`` into ``out[first:last, at:at+n]``."""
    out[first:last, at : at + len(samples)] = samples[:, columns[first:last]].T


@kernel(
    "void(Array(float32, 2, 'C', readonly=True), int64[::1], float64[:,::1], int64, int64, int64)",
    reference=widen_reference,
)
def widen(samples: Floats, columns: Indices, out: Doubles, at: int, first: int, last: int) -> None:
    """Write columns ``columns[first:last]`` of ``samples (n, width)`` into ``out[first:last, at:at+n]``."""
    n = samples.shape[0]
    for row in range(0, n, _ROWS):
        for channel in range(first, last, _CHANNELS):
            for c in range(channel, min(channel + _CHANNELS, last)):
                column = columns[c]
                for r in range(row, min(row + _ROWS, n)):
                    out[c, at + r] = samples[r, column]


def widen_counts_reference(
    counts: Counts, columns: Indices, gain: Doubles, offset: Doubles, out: Doubles, at: int, first: int, last: int
) -> None:
    """Write ``gain * counts + offset`` of columns ``columns[first:last]`` into ``out[first:last, at:at+n]``."""
    chosen = counts[:, columns[first:last]].T
    out[first:last, at : at + len(counts)] = chosen * gain[first:last, np.newaxis] + offset[first:last, np.newaxis]


@kernel(
    "void(Array(int16, 2, 'C', readonly=True), int64[::1], float64[::1], float64[::1], float64[:,::1], int64, int64, "
    "int64)",
    reference=widen_counts_reference,
)
def widen_counts(
    counts: Counts, columns: Indices, gain: Doubles, offset: Doubles, out: Doubles, at: int, first: int, last: int
) -> None:
    """Write ``gain * counts + offset`` of columns ``columns[first:last]`` into ``out[first:last, at:at+n]``."""
    n = counts.shape[0]
    for row in range(0, n, _ROWS):
        for channel in range(first, last, _CHANNELS):
            for c in range(channel, min(channel + _CHANNELS, last)):
                column = columns[c]
                for r in range(row, min(row + _ROWS, n)):
                    out[c, at + r] = gain[c] * counts[r, column] + offset[c]


def widen_quads_reference(
    quads: Quads, start: int, gain: Doubles, offset: Doubles, out: Doubles, at: int, first: int, last: int
) -> None:
    """Write ``gain * counts + offset`` of four channels a time, from quad ``start`` on, into ``out[:, at:at+n]``."""
    counts = quads.view(np.int16)
    columns = 4 * start + np.arange(out.shape[0], dtype=np.int64)
    widen_counts_reference(counts, columns, gain, offset, out, at, first, last)


@kernel(
    "void(Array(int64, 2, 'C', readonly=True), int64, float64[::1], float64[::1], float64[:,::1], int64, int64, int64)",
    reference=widen_quads_reference,
)
def widen_quads(
    quads: Quads, start: int, gain: Doubles, offset: Doubles, out: Doubles, at: int, first: int, last: int
) -> None:
    """Write ``gain * counts + offset`` of four channels a time, from quad ``start`` on, into ``out[:, at:at+n]``.

    ``quads`` are int16 counts, four neighbours in one int64 (little endian); ``first`` and ``last`` are multiples of
    4. One load and some shifts, which the processor does for many rows at once, instead of four loads: twice as fast.
    """
    n = quads.shape[0]
    for row in range(0, n, _QUAD_ROWS):
        stop = min(row + _QUAD_ROWS, n)
        for c in range(first, last, 4):
            q = start + c // 4
            g0, g1, g2, g3 = gain[c], gain[c + 1], gain[c + 2], gain[c + 3]
            o0, o1, o2, o3 = offset[c], offset[c + 1], offset[c + 2], offset[c + 3]
            out0, out1, out2, out3 = out[c], out[c + 1], out[c + 2], out[c + 3]
            for r in range(row, stop):
                four = quads[r, q]
                out0[at + r] = g0 * np.int32((four << 48) >> 48) + o0
                out1[at + r] = g1 * np.int32((four << 32) >> 48) + o1
                out2[at + r] = g2 * np.int32((four << 16) >> 48) + o2
                out3[at + r] = g3 * np.int32(four >> 48) + o3
