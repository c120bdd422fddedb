"""Who gets the live blocks, and what happens when one falls behind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum

from ranvier.models.rig import ConsumerStatus
from ranvier.recordings import Block


class BackPressure(StrEnum):
    """What becomes of blocks that a consumer has no time for."""

    SHED_OLDEST = "shed oldest"  # its own work is lost and counted; it sees a jump of the counter
    NEWEST_ONLY = "newest only"  # it sees the latest block and skips the rest
    KEEP_ALL = "keep all"  # a bounded queue; when that is full the consumer fails loudly (the recorder)


class Consumer(ABC):
    """Takes blocks from the pump without ever holding it up."""

    name: str
    policy: BackPressure

    @abstractmethod
    def offer(self, block: Block) -> None:
        """Take a block or shed; returns at once. Called by the pump's thread.

        Several consumers share a block: nobody writes to it, and its memory stays valid. (NumPy's write protection is
        not used, as compiled kernels take writable arrays only.)
        """

    @abstractmethod
    def status(self) -> ConsumerStatus:
        """Return counts of what was taken and shed."""

    def close(self) -> None:  # noqa: B027 - most consumers end with their thread
        """Finish what was taken and end."""
