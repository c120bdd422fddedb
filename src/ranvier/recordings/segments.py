"""Gap-honest time: which sample counters a file holds, and in which rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError


class Piece(NamedTuple):
    """Rows ``[row, row + n)`` of a file hold the counters ``[counter, counter + n)``."""

    row: int
    counter: int
    n: int


class Gap(NamedTuple):
    """Counters ``[start, stop)`` that were never stored."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Segments:
    """The gap table of a recording: gap-free runs, in time order.

    Attributes
    ----------
    counters
        First counter of each run, int64, increasing.
    lengths
        Rows of each run, int64, positive.
    """

    counters: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    _first_rows: npt.NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.counters) != len(self.lengths) or np.any(self.lengths <= 0):
            raise RecordingError("a gap table needs one positive length per run")
        if np.any(self.counters[1:] < self.counters[:-1] + self.lengths[:-1]):
            raise RecordingError("sample counters run backwards: runs of the gap table overlap")
        object.__setattr__(self, "_first_rows", np.concatenate(([0], np.cumsum(self.lengths))).astype(np.int64))

    @classmethod
    def single(cls, start: int, n: int) -> Segments:
        """One run without gaps; none at all for ``n == 0``."""
        if n <= 0:
            return cls(np.empty(0, np.int64), np.empty(0, np.int64))
        return cls(np.array([start], np.int64), np.array([n], np.int64))

    @classmethod
    def from_counters(cls, counters: npt.NDArray[np.int64]) -> Segments:
        """Find the runs of a stored counter column (one counter per row, strictly increasing)."""
        if len(counters) == 0:
            return cls.single(0, 0)
        breaks = np.flatnonzero(np.diff(counters) != 1) + 1
        first = np.concatenate(([0], breaks))
        lengths = np.diff(np.concatenate((first, [len(counters)])))
        return cls(counters[first].astype(np.int64), lengths.astype(np.int64))

    @classmethod
    def from_runs(cls, runs: Iterable[tuple[int, int]]) -> Segments:
        """Make a table of ``(counter, length)`` runs in time order; runs that follow each other directly are joined."""
        joined: list[list[int]] = []
        for counter, n in runs:
            if n > 0 and joined and joined[-1][0] + joined[-1][1] == counter:
                joined[-1][1] += n
            elif n > 0:
                joined.append([counter, n])
        table = np.array(joined, dtype=np.int64).reshape(-1, 2)
        return cls(np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1]))

    def runs(self) -> list[tuple[int, int]]:
        """Return the table as ``(counter, length)`` pairs."""
        return [(int(c), int(n)) for c, n in zip(self.counters, self.lengths, strict=True)]

    @property
    def start(self) -> int:
        """First counter (0 for an empty table)."""
        return int(self.counters[0]) if len(self.counters) else 0

    @property
    def stop(self) -> int:
        """Counter after the last sample."""
        return int(self.counters[-1] + self.lengths[-1]) if len(self.counters) else 0

    @property
    def rows(self) -> int:
        """Rows stored."""
        return int(self._first_rows[-1])

    @property
    def missing(self) -> int:
        """Samples between start and stop that are not stored."""
        return self.stop - self.start - self.rows

    @property
    def gaps(self) -> list[Gap]:
        """The missing stretches."""
        ends = self.counters + self.lengths
        return [Gap(int(a), int(b)) for a, b in zip(ends[:-1], self.counters[1:], strict=True) if b > a]

    def rows_before(self, counters: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return how many rows are stored before each of some counters."""
        if not len(self.counters):
            return np.zeros(np.shape(counters), np.int64)
        i = np.searchsorted(self.counters, counters, side="right") - 1
        run = np.maximum(i, 0)
        inside = np.clip(counters - self.counters[run], 0, self.lengths[run])
        return np.asarray(self._first_rows[run] + inside, np.int64)

    def without_gaps(self, counters: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return counters as if time stood still in gaps: less the samples that are missing before each."""
        inside = np.clip(counters, self.start, self.stop)
        return np.asarray(counters - inside + self.start + self.rows_before(inside), np.int64)

    def counter_of(self, row: int) -> int:
        """Return the sample counter of a stored row."""
        i = int(np.searchsorted(self._first_rows, row, side="right")) - 1
        i = min(max(i, 0), len(self.counters) - 1)
        return int(self.counters[i]) + row - int(self._first_rows[i])

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """Yield the stored pieces of the counters ``[start, stop)``, in order."""
        i = max(0, int(np.searchsorted(self.counters, start, side="right")) - 1)
        while i < len(self.counters) and int(self.counters[i]) < stop:
            a = max(start, int(self.counters[i]))
            b = min(stop, int(self.counters[i] + self.lengths[i]))
            if b > a:
                yield Piece(int(self._first_rows[i]) + a - int(self.counters[i]), a, b - a)
            i += 1
