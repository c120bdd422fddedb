"""Where the spikes of each unit, or of each site, stand: built in one pass, read through a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError

I64 = npt.NDArray[np.int64]
#: Spikes that are sorted at a time.
BLOCK = 1 << 20


@dataclass(frozen=True)
class RowIndex:
    """Rows by key (unit or site): those of ``keys[i]`` are ``rows[offsets[i]:offsets[i + 1]]``, ascending.

    Attributes
    ----------
    keys
        Distinct keys, ascending.
    rows
        uint32, or int64 where there are more spikes than that numbers.
    """

    keys: npt.NDArray[np.int32]
    offsets: I64
    rows: npt.NDArray[Any]

    def of(self, key: int) -> npt.NDArray[Any]:
        """Return the rows of one key; none where it does not occur; RecordingError where it is damaged."""
        at = int(np.searchsorted(self.keys, key))
        if at == len(self.keys) or int(self.keys[at]) != key:
            return self.rows[:0]
        found = self.rows[int(self.offsets[at]) : int(self.offsets[at + 1])]
        if len(found) and not 0 <= int(found.min()) <= int(found.max()) < len(self.rows):
            raise RecordingError(f"the index of {key} is damaged; write the spikes to a new file (convert_spikes)")
        return found

    def counts(self) -> dict[int, int]:
        """Return how many rows each key has."""
        return dict(zip(self.keys.tolist(), np.diff(self.offsets).tolist(), strict=True))

    def is_sound(self, n: int) -> bool:
        """Return whether it can belong to ``n`` spikes (a damaged one must not lead outside them)."""
        return (
            len(self.offsets) == len(self.keys) + 1
            and len(self.rows) == n
            and int(self.offsets[0]) == 0
            and int(self.offsets[-1]) == n
            and not bool(np.any(np.diff(self.offsets) < 0))
            and not bool(np.any(np.diff(self.keys.astype(np.int64)) <= 0))
        )


def build(keys: npt.NDArray[np.int32]) -> RowIndex:
    """Return the index of a column, by a counting sort in blocks: 4 bytes per spike and one block of memory."""
    n = len(keys)
    counts: dict[int, int] = {}
    for at in range(0, n, BLOCK):
        found, number = np.unique(keys[at : at + BLOCK], return_counts=True)
        for key, count in zip(found.tolist(), number.tolist(), strict=True):
            counts[key] = counts.get(key, 0) + count
    distinct = sorted(counts)
    offsets = np.concatenate([[0], np.cumsum([counts[key] for key in distinct])]).astype(np.int64)
    rows = np.empty(n, np.uint32 if n < 2**32 else np.int64)
    cursor = dict(zip(distinct, offsets[:-1].tolist(), strict=True))
    for at in range(0, n, BLOCK):
        block = keys[at : at + BLOCK]
        order = np.argsort(block, kind="stable")
        found, first = np.unique(block[order], return_index=True)
        for key, a, b in zip(found.tolist(), first.tolist(), [*first.tolist()[1:], len(block)], strict=True):
            rows[cursor[key] : cursor[key] + b - a] = order[a:b] + at
            cursor[key] += b - a
    return RowIndex(np.array(distinct, np.int32), offsets, rows)
