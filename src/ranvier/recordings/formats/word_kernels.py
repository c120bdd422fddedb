"""From rows of 16-bit words to rows of counts or physical values.

Field ``i`` of a row is ``((words[row, column[i]] >> bit[i]) & mask[i]) - zero[i]``, the word taken as signed: ``bit`` 0
and ``mask`` -1 give int16 counts; ``mask`` 0xFFFF and ``zero`` 32768 turn unsigned words into int16; ``mask`` 1 gives
one line of a digital word. It goes to column ``place[i]`` of the output. ``hold`` and ``skip`` serve signals at a
fraction of the rate: row ``r`` of the output comes from row ``(skip + r) >> hold`` of the words.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

Words = npt.NDArray[np.int16]
_Ints = npt.NDArray[np.int32]
_Places = npt.NDArray[np.int64]
_Doubles = npt.NDArray[np.float64]


def _fields(
    words: Words, skip: int, hold: int, column: _Places, bit: _Ints, mask: _Ints, zero: _Ints, rows: int
) -> npt.NDArray[np.int64]:
    picked = words[((skip + np.arange(rows)) >> hold)[:, None], column].astype(np.int64)
    fields: npt.NDArray[np.int64] = ((picked >> bit) & mask) - zero
    return fields


def _counts_reference(
    words: Words,
    skip: int,
    hold: int,
    column: _Places,
    bit: _Ints,
    mask: _Ints,
    zero: _Ints,
    place: _Places,
    out: npt.NDArray[np.int16],
) -> None:
    out[:, place] = _fields(words, skip, hold, column, bit, mask, zero, len(out))


def _physical_reference(
    words: Words,
    skip: int,
    hold: int,
    column: _Places,
    bit: _Ints,
    mask: _Ints,
    zero: _Ints,
    gain: _Doubles,
    offset: _Doubles,
    place: _Places,
    out: npt.NDArray[np.float32],
) -> None:
    out[:, place] = _fields(words, skip, hold, column, bit, mask, zero, len(out)) * gain + offset


@kernel(
    "void(int16[:,::1], int64, int64, int64[::1], int32[::1], int32[::1], int32[::1], int64[::1], int16[:,::1])",
    reference=_counts_reference,
)
def counts_of_words(
    words: Words,
    skip: int,
    hold: int,
    column: _Places,
    bit: _Ints,
    mask: _Ints,
    zero: _Ints,
    place: _Places,
    out: npt.NDArray[np.int16],
) -> None:
    """Fill columns ``place`` of ``out`` with the fields as int16."""
    for r in range(out.shape[0]):
        row = words[(skip + r) >> hold]
        for i in range(column.shape[0]):
            out[r, place[i]] = np.int16(((np.int32(row[column[i]]) >> bit[i]) & mask[i]) - zero[i])


@kernel(
    "void(int16[:,::1], int64, int64, int64[::1], int32[::1], int32[::1], int32[::1], float64[::1], float64[::1], "
    "int64[::1], float32[:,::1])",
    reference=_physical_reference,
)
def physical_of_words(
    words: Words,
    skip: int,
    hold: int,
    column: _Places,
    bit: _Ints,
    mask: _Ints,
    zero: _Ints,
    gain: _Doubles,
    offset: _Doubles,
    place: _Places,
    out: npt.NDArray[np.float32],
) -> None:
    """Fill columns ``place`` of ``out`` with ``gain * field + offset``, computed in float64 and rounded once."""
    for r in range(out.shape[0]):
        row = words[(skip + r) >> hold]
        for i in range(column.shape[0]):
            field = ((np.int32(row[column[i]]) >> bit[i]) & mask[i]) - zero[i]
            out[r, place[i]] = np.float32(gain[i] * field + offset[i])
