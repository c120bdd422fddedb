"""A step of processing, compiled for one stream."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp.parallel import ALONE, Team
from ranvier.exceptions import ConfigurationError
from ranvier.recordings.block import Block
from ranvier.recordings.buffers import address, aligned_empty
from ranvier.recordings.channels import ChannelTable

#: Channels that kernels load at once (:mod:`ranvier.kernels.lanes`), and their bytes.
WIDTH = 8
VECTOR_BYTES = 4 * WIDTH

#: Work that was left for later, maybe in another thread: gives finished output blocks, in order.
Rest = Callable[[], list[Block]]


class Stage(ABC):
    """Filter, reference or slice, bound to the rate and channels of its input; coefficients are fixed.

    Blocks are physical float32. A stage never changes the block it is given, and may return that same block. All
    that it
    remembers is in the state object (picklable), so a stage can be saved and restored in mid-stream. Any chunking of
    the input gives bit-identical output. It restarts where ``block.start`` jumps (a gap) and, per channel, behind NaN.

    Attributes
    ----------
    in_fs, in_channels, out_fs, out_channels
        Of the blocks that come and go.
    latency
        The output sample of counter k can depend on input up to counter k + latency, and is given once that was
        seen. 0 for causal stages.
    fresh_output
        Whether nothing else refers to the arrays it returns, so that the next stage of a chain may work in them.
    independent
        Whether the rests that ``begin`` returns may be done in any order, and several at once.
    team
        Threads that a stage may use inside ``process``; the output never depends on their number.
    """

    in_fs: Fraction
    in_channels: ChannelTable
    out_fs: Fraction
    out_channels: ChannelTable
    latency: int = 0
    fresh_output: bool = False
    independent: bool = False
    team: Team = ALONE

    @property
    def settling_samples(self) -> int:
        """After so many samples from any start the output no longer shows where it started (1e-7 of full scale)."""
        return 0

    def use(self, team: Team) -> None:
        """Share the work among these threads."""
        self.team = team

    def first_output(self, counter: int) -> int:
        """Return the counter of the first output sample at or behind an input sample.

        Output k stands at input k * in_fs / out_fs: both streams count from the same moment.
        """
        return math.ceil(counter / (self.in_fs / self.out_fs)) if self.in_fs != self.out_fs else counter

    @abstractmethod
    def start(self) -> Any:
        """Return the state before the first block."""

    @abstractmethod
    def process(self, block: Block, state: Any) -> list[Block]:
        """Take a block; return the finished output so far (none, one or several blocks, in order)."""

    def begin(self, block: Block, state: Any) -> list[Rest]:
        """Do the part of ``process`` that needs the state; return the rest of the work.

        The rests together give what ``process`` would. Call each once, in their order, in any one thread (in any, where
        the stage is ``independent``); the stage may take further blocks (and finish) before that.
        """
        done = self.process(block, state)
        return [lambda: done] if done else []

    def finish(self, state: Any) -> list[Block]:
        """Return what is left at the end of the stream; the state is then as at the start."""
        return []

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return kind, parameters and coefficients, as plain JSON data for provenance."""


def stage_input(block: Block, channels: ChannelTable) -> npt.NDArray[np.float32]:
    """Return a block's samples as the kernels take them: float32, C order, one column per channel of the stage.

    Memory that came from elsewhere and is not aligned is copied: kernels that load WIDTH channels at once would take
    twice as long where every second load crosses a line of the cache.
    """
    samples = block.physical()
    if samples.dtype != np.float32 or not samples.flags.carray:  # aligned, C order, may be written: see kernels
        samples = np.require(samples, dtype=np.float32, requirements=("C", "W"))  # W: kernels know no read-only
    if samples.ndim != 2 or samples.shape[1] != len(channels):
        raise ConfigurationError(
            f"a block of shape {samples.shape} does not fit a stage that was bound to {len(channels)} channels"
        )
    if samples.shape[1] % WIDTH == 0 and address(samples) % VECTOR_BYTES:
        aligned = aligned_empty(samples.shape)
        aligned[...] = samples
        return aligned
    return samples
