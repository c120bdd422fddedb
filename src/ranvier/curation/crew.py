"""A few threads that serve many mailboxes: each mailbox in order and by one thread at a time.

That is all the order a tree of stages needs: a branch takes its blocks one after the other, an output is written block
by block, and everything else may happen at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

Work = Callable[[], None]


class Flight:
    """Something under way that several pieces of work belong to; ``landed`` is called when the last of them is done."""

    def __init__(self, landed: Work) -> None:
        self._landed = landed
        self._lock = threading.Lock()
        self._open = 1  # whoever launches it

    def board(self) -> None:
        """Add a piece of work."""
        with self._lock:
            self._open += 1

    def leave(self) -> None:
        """Take one away."""
        with self._lock:
            self._open -= 1
            last = self._open == 0
        if last:
            self._landed()


class Mailbox:
    """Work to be done in order."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Work, Flight]] = deque()
        self.served = False


class Crew:
    """Threads for mailboxes; with no thread, work is done at once by who posts it.

    Work must not raise: what can go wrong is noted by the work itself. Should it raise all the same, ``failure`` tells.
    Leaving the context waits until every mailbox is empty; after an exception, what waits there is dropped.
    """

    def __init__(self, threads: int) -> None:
        self._lock = threading.Condition()
        self._busy = 0  # mailboxes that are served
        self._dropping = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ranvier-branch") if threads else None
        self.failure: BaseException | None = None

    def post(self, box: Mailbox, work: Work, flight: Flight) -> None:
        """Have work done after all that was posted to this box before."""
        flight.board()
        with self._lock:
            box.waiting.append((work, flight))
            if box.served:
                return
            box.served = True
            self._busy += 1
        if self._pool is None:
            while self._serve_one(box):
                pass
        else:
            self._pool.submit(self._serve, box)

    def _serve(self, box: Mailbox) -> None:
        if self._serve_one(box) and self._pool is not None:
            self._pool.submit(self._serve, box)  # behind the others: what is downstream frees memory

    def _serve_one(self, box: Mailbox) -> bool:
        """Do the first piece of work; return whether there is more."""
        with self._lock:
            work, flight = box.waiting.popleft()
        try:
            if not self._dropping:
                work()
        except BaseException as error:  # noqa: BLE001 - kept for the thread that waits
            self.failure = self.failure or error
        finally:
            flight.leave()
        with self._lock:
            box.served = bool(box.waiting)
            if not box.served:
                self._busy -= 1
                self._lock.notify_all()
            return box.served

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._dropping = kind is not None
            while self._busy:
                self._lock.wait()
        if self._pool is not None:
            self._pool.shutdown(wait=True)
