"""A subscription: blocks as they come, until the stream ends, it is closed, or the client is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Self

from ranvier.clients._arrays import widened
from ranvier.models.rig import LiveSignalArrays
from ranvier.services.signals import SignalBlock


class Subscription(Iterator[LiveSignalArrays]):
    """What ``subscribe`` returns: iterate over it; leave it with ``close`` or a ``with`` block.

    Parameters
    ----------
    blocks
        What the engine yields.
    check
        Raises where the client was closed.
    """

    def __init__(self, blocks: Iterator[SignalBlock], check: Callable[[], object]) -> None:
        self._blocks: Iterator[SignalBlock] | None = blocks
        self._check = check

    def __next__(self) -> LiveSignalArrays:
        if self._blocks is None:
            raise StopIteration
        self._check()
        return arrays(next(self._blocks))

    def close(self) -> None:
        """End the subscription; safe to call twice."""
        blocks, self._blocks = self._blocks, None
        end = getattr(blocks, "close", None)
        if end is not None:
            end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def arrays(block: SignalBlock) -> LiveSignalArrays:
    """Return a block as the API has it."""
    return LiveSignalArrays(**widened(block), time_range=block.time_range, gaps=block.gaps)
