"""Two arrays of rows that meet, as one stretch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]


class JointRows:
    """Recent rows and a new block, as one stretch of counters ``[start, stop)`` that meet at ``joint``."""

    def __init__(self, recent: F32, x: F32, joint: int) -> None:
        self.recent, self.x, self.joint = recent, x, joint
        self.start, self.stop = joint - len(recent), joint + len(x)

    def parts(self, start: int, stop: int) -> Iterator[tuple[F32, int, int, int]]:
        """Yield ``(array, its row, first counter, counter behind)`` for the one or two arrays that hold a range."""
        if start < self.joint:
            yield self.recent, start - self.start, start, min(stop, self.joint)
        if stop > self.joint:
            first = max(start, self.joint)
            yield self.x, first - self.joint, first, stop

    def rows(self, start: int, stop: int, channels: npt.NDArray[np.int64]) -> F32:
        """Return a copy of some rows of some columns, C order."""
        old = self.recent[max(start - self.start, 0) : max(stop - self.start, 0)]
        new = self.x[max(start - self.joint, 0) : max(stop - self.joint, 0)]
        return np.ascontiguousarray(np.concatenate([old[:, channels], new[:, channels]]))

    def tail(self, start: int) -> F32:
        """Return a copy of the rows from ``start`` (or what there is) on."""
        every = np.arange(self.recent.shape[1])
        return self.rows(max(start, self.start), self.stop, every)
