"""Blocks worked on by several threads, their results taken in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Crew:
    """A few threads; each piece of work must not depend on who does it, and BLAS does not multiply threads."""

    def __init__(self, workers: int, check: Callable[[], None]) -> None:
        self.workers = max(1, workers)
        self._pool = ThreadPoolExecutor(self.workers, "sorter") if self.workers > 1 else None
        self._check = check

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield results in the order of the items; at most two per worker wait."""
        if self._pool is None:
            for item in items:
                self._check()
                yield function(item)
            return
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(self._pool.submit(function, item))
                while len(waiting) > 2 * self.workers:
                    self._check()
                    yield waiting.popleft().result()
            while waiting:
                self._check()
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """Wait for what runs and let the threads go."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


@contextmanager
def crew(workers: int, check: Callable[[], None]) -> Iterator[Crew]:
    """Give a crew for a while; matrix products stay in the thread that asked for them."""
    from threadpoolctl import threadpool_limits

    made = Crew(workers, check)
    with threadpool_limits(limits=1, user_api="blas"):
        try:
            yield made
        finally:
            made.close()
