"""A consumer with a thread and a bounded queue of its own: what most consumers of live blocks are built on."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from ranvier.models.rig import ConsumerStatus
from ranvier.recordings import Block
from ranvier.recordings.block import joined
from ranvier.rig.consumer import BackPressure, Consumer

#: Longest wait for more rows.
PATIENCE_SEC = 0.01


def _none() -> int:
    return 0


class QueueConsumer(Consumer):
    """Hands blocks to ``work`` in a thread of its own; what it has no time for, it sheds as ``policy`` says, counted.

    Parameters
    ----------
    work
        Called with one block at a time, in order. What it raises ends the consumer; ``failure`` then says why.
    max_blocks
        Length of the queue.
    together_rows
        Where blocks wait that follow one another, they are handed over as one of at most so many rows: who pays for
        each call catches up faster. 0: each by itself.
    least_rows
        Asked with every block: until there are so many rows more are waited for, but not for longer than
        ``PATIENCE_SEC``.

    Attributes
    ----------
    failure
        Why it takes no more blocks, "" while it does. A KEEP_ALL consumer fails where its queue is full: nothing is
        lost without a word.
    """

    def __init__(
        self,
        name: str,
        policy: BackPressure,
        work: Callable[[Block], None],
        *,
        max_blocks: int = 256,
        together_rows: int = 0,
        least_rows: Callable[[], int] = _none,
    ) -> None:
        self.name = name
        self.policy = policy
        self.failure = ""
        self._work = work
        self._least_rows = least_rows
        self._together_rows = together_rows
        self._max_blocks = 1 if policy == BackPressure.NEWEST_ONLY else max_blocks
        self._queue: deque[Block] = deque()
        self._ready = threading.Condition()
        self._closing = False
        self._blocks = self._shed = 0
        self._queued = self._waiting = 0  # samples in the queue; and with those that are worked on
        self._busy_sec = 0.0
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"ranvier-{name}", daemon=True)
        self._thread.start()

    def offer(self, block: Block) -> None:
        with self._ready:  # held for a few instructions only, by everyone
            if self.failure or self._closing:
                self._shed += len(block)
                return
            if len(self._queue) >= self._max_blocks:
                if self.policy == BackPressure.KEEP_ALL:
                    self._shed += len(block)
                    self.failure = f"{self.name} fell {self._max_blocks} blocks behind"
                    return
                old = self._queue.popleft()
                self._shed += len(old)
                self._waiting -= len(old)
                self._queued -= len(old)
            self._queue.append(block)
            self._waiting += len(block)
            self._queued += len(block)
            if len(self._queue) == 1 or self._is_enough():
                self._ready.notify()

    def status(self) -> ConsumerStatus:
        elapsed = max(time.monotonic() - self._began, 1e-9)
        return ConsumerStatus(
            name=self.name,
            policy=self.policy.value,
            blocks=self._blocks,
            shed_samples=self._shed,
            behind_samples=self._waiting,
            busy_fraction=min(1.0, self._busy_sec / elapsed),
        )

    def close(self, timeout_sec: float = 10.0) -> None:
        """Work off what was taken, then end; harmless where it has ended."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_sec)

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._queue and not self._closing:
                    self._ready.wait()
                if not self._is_enough():
                    self._ready.wait_for(self._is_enough, PATIENCE_SEC)
                if not self._queue:
                    return
                blocks = self._take()
            began = time.thread_time()
            try:
                self._work(blocks[0] if len(blocks) == 1 else joined(blocks))
            except Exception as error:  # noqa: BLE001  # any failure of a consumer is its own: the stream goes on
                with self._ready:
                    self.failure = f"{self.name} failed: {type(error).__name__}: {error}"
                    self._shed += self._waiting
                    self._queue.clear()
                    self._waiting = self._queued = 0
                return
            finally:
                self._busy_sec += time.thread_time() - began
            with self._ready:
                self._blocks += len(blocks)
                self._waiting -= sum(map(len, blocks))

    def _take(self) -> list[Block]:
        """Take the first block from the queue, and those behind it that go with it."""
        blocks = [self._queue.popleft()]
        rows = len(blocks[0])
        while self._queue and blocks[-1].is_followed_by(self._queue[0]):
            rows += len(self._queue[0])
            if rows > self._together_rows:
                break
            blocks.append(self._queue.popleft())
        self._queued -= sum(map(len, blocks))
        return blocks

    def _is_enough(self) -> bool:
        return self._closing or self._queued >= self._least_rows()
