"""Threads for kernels that release the interpreter lock."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

from ranvier.exceptions import ConfigurationError

Range = tuple[int, int]


class Team:
    """Some threads that share the columns or the rows of a block. What is computed never depends on how many.

    The caller's thread is one of them: waking another one costs more than a small share of work. Teams do not travel: a
    pickled one comes back as a team of one.
    """

    def __init__(self, workers: int = 1) -> None:
        if workers < 1:
            raise ConfigurationError(f"{workers} workers cannot work; use 1 or more, or None for one per core")
        self.workers = workers
        self._pool: ThreadPoolExecutor | None = None
        if workers > 1:
            self._pool = ThreadPoolExecutor(workers - 1, thread_name_prefix="ranvier-dsp")
            weakref.finalize(self, self._pool.shutdown, wait=False)

    def each(self, work: Callable[[int, int], None], ranges: Sequence[Range]) -> None:
        """Call ``work(first, stop)`` for every range; return when all are done; raise what one of them raised."""
        if self._pool is None or len(ranges) < 2:
            for first, stop in ranges:
                work(first, stop)
            return
        futures = [self._pool.submit(work, first, stop) for first, stop in ranges[1:]]
        try:
            work(*ranges[0])
        finally:  # nobody may still write when this returns
            errors = [error for error in (future.exception() for future in futures) if error is not None]
        if errors:
            raise errors[0]

    def shares(self, n: int, *, multiple: int = 1) -> list[Range]:
        """Cut ``0..n`` into one range per worker, at multiples of ``multiple``; ranges are never empty."""
        if n <= 0:
            return []
        units = -(-n // multiple)
        parts = min(self.workers, units)
        edges = [min(n, multiple * (units * i // parts)) for i in range(parts + 1)]
        return list(pairwise(edges))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Team, (1,))


#: The caller's own thread.
ALONE = Team(1)
