"""Checks of records: what tells a whole one from one that is torn or was changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from ranvier.kernels import kernel

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

#: Words of 32 bits before the body of a record: its index, and its check.
HEAD_WORDS = 4
#: What a check begins with: nothing but zeros is no record.
SEED = 0x52414E564B504932
#: Knuth's odd multiplier, 2**64 over the golden ratio.
MIX = 0x9E3779B97F4A7C15


def record_checks_reference(words: U32, rows: I64, checks: U64) -> None:
    """Define :func:`record_checks`."""
    for k, row in enumerate(rows):
        record = [int(word) for word in words[row]]
        body = record[HEAD_WORDS:]
        check = SEED
        for value in (record[0], record[1], sum(body), sum(i * word for i, word in enumerate(body))):
            check = (check ^ (value % 2**64)) * MIX % 2**64
            check ^= check >> 29
        checks[k] = check


@register_jitable  # type: ignore[untyped-decorator]
def _mixed(check: Any, value: Any) -> Any:
    check = (check ^ value) * np.uint64(MIX)
    return check ^ (check >> np.uint64(29))


@kernel("void(Array(uint32, 2, 'C', readonly=True), int64[::1], uint64[::1])", reference=record_checks_reference)
def record_checks(words: U32, rows: I64, checks: U64) -> None:
    """Compute the checks of some records, as fast as memory is read.

    Index, sum of the words, and sum of the words times their places (Fletcher 1982, with sums that do not wrap) are
    mixed one after the other. Any change of one word or of two is found; more go unnoticed once in about 2**64.

    Parameters
    ----------
    words
        ``(records, words)``: a record is two words of index, two of its check, which do not count, and the body.
    rows
        Which of them.
    checks
        Out, ``(len(rows),)``.
    """
    for k in range(len(rows)):
        record = words[rows[k]]
        body = record[HEAD_WORDS:]
        first, second = np.uint64(0), np.uint64(0)
        for i in range(np.uint64(len(body))):
            word = np.uint64(body[i])
            first += word
            second += word * np.uint64(i)
        check = _mixed(np.uint64(SEED), np.uint64(record[0]))
        check = _mixed(check, np.uint64(record[1]))
        checks[k] = _mixed(_mixed(check, first), second)
