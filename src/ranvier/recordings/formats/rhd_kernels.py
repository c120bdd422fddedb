"""From RHD data blocks to rows.

A block stores ``block_samples`` samples channel after channel, as 16-bit words. Column ``c`` of row ``r`` comes from
word ``at[c] + (s >> hold[c])`` of block ``r // block_samples``, where ``s = r % block_samples``: ``hold`` is 0 for
signals at the full rate and 2 for those at a quarter of it, whose value is held for four samples. Of that word the
count is ``((word >> bit[c]) & mask[c]) - zero[c]``: all sixteen bits minus 32768 for analog signals, one bit minus 0
for a digital line.

The kernels turn one block at a time into rows before they scale it, so that both loops run along memory: twice as fast
as scaling while gathering.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

_Ints = npt.NDArray[np.int32]


def counts_reference(
    words: npt.NDArray[np.uint16],
    first_row: int,
    block_samples: int,
    at: _Ints,
    hold: _Ints,
    bit: _Ints,
    mask: _Ints,
    zero: _Ints,
    out: npt.NDArray[np.int16],
) -> None:
    """Fill ``out`` (rows, columns) with counts: the definition of the kernel, in NumPy."""
    rows = first_row + np.arange(len(out))
    word = words[(rows // block_samples)[:, None], at + ((rows % block_samples)[:, None] >> hold)].astype(np.int32)
    out[:] = ((word >> bit) & mask) - zero


def physical_reference(
    words: npt.NDArray[np.uint16],
    first_row: int,
    block_samples: int,
    at: _Ints,
    hold: _Ints,
    bit: _Ints,
    mask: _Ints,
    zero: _Ints,
    gain: npt.NDArray[np.float64],
    offset: npt.NDArray[np.float64],
    out: npt.NDArray[np.float32],
) -> None:
    """Fill ``out`` (rows, columns) with ``gain * count + offset``: the definition of the kernel, in NumPy."""
    counts: npt.NDArray[Any] = np.empty(out.shape, np.int16)
    counts_reference(words, first_row, block_samples, at, hold, bit, mask, zero, counts)
    out[:] = counts * gain + offset


@kernel(
    "void(uint16[:,::1], int64, int64, int32[::1], int32[::1], int32[::1], int32[::1], int32[::1], int16[:,::1])",
    reference=counts_reference,
)
def counts_of_blocks(
    words: npt.NDArray[np.uint16],
    first_row: int,
    block_samples: int,
    at: _Ints,
    hold: _Ints,
    bit: _Ints,
    mask: _Ints,
    zero: _Ints,
    out: npt.NDArray[np.int16],
) -> None:
    """Fill ``out`` (rows, columns) with the counts of rows ``first_row`` onwards."""
    block = first_row // block_samples
    s = first_row - block * block_samples
    tile = np.empty((block_samples, out.shape[1]), np.uint16)  # words of one block, row by row
    r = 0
    while r < out.shape[0]:
        n = min(block_samples - s, out.shape[0] - r)
        for c in range(out.shape[1]):
            for i in range(n):
                tile[i, c] = words[block, at[c] + ((s + i) >> hold[c])]
        for i in range(n):
            for c in range(out.shape[1]):
                out[r + i, c] = np.int16(((np.int32(tile[i, c]) >> bit[c]) & mask[c]) - zero[c])
        r += n
        s = 0
        block += 1


@kernel(
    "void(uint16[:,::1], int64, int64, int32[::1], int32[::1], int32[::1], int32[::1], "
    "int32[::1], float64[::1], float64[::1], float32[:,::1])",
    reference=physical_reference,
)
def physical_of_blocks(
    words: npt.NDArray[np.uint16],
    first_row: int,
    block_samples: int,
    at: _Ints,
    hold: _Ints,
    bit: _Ints,
    mask: _Ints,
    zero: _Ints,
    gain: npt.NDArray[np.float64],
    offset: npt.NDArray[np.float64],
    out: npt.NDArray[np.float32],
) -> None:
    """Fill ``out`` (rows, columns) with ``gain * count + offset`` of rows ``first_row`` onwards."""
    block = first_row // block_samples
    s = first_row - block * block_samples
    tile = np.empty((block_samples, out.shape[1]), np.uint16)  # words of one block, row by row
    r = 0
    while r < out.shape[0]:
        n = min(block_samples - s, out.shape[0] - r)
        for c in range(out.shape[1]):
            for i in range(n):
                tile[i, c] = words[block, at[c] + ((s + i) >> hold[c])]
        for i in range(n):
            for c in range(out.shape[1]):
                count = ((np.int32(tile[i, c]) >> bit[c]) & mask[c]) - zero[c]
                out[r + i, c] = np.float32(count * gain[c] + offset[c])
        r += n
        s = 0
        block += 1
