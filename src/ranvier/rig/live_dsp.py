"""Filters of a live stream, bound to its rate and channels."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ranvier.curation.groups import chain_of
from ranvier.dsp import Chain
from ranvier.exceptions import CapabilityError, ConfigurationError
from ranvier.models.dsp import DSPParams, FilterStage
from ranvier.recordings.block import Block
from ranvier.recordings.buffers import aligned_empty
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.kernels import scale


def live_chain(params: Sequence[DSPParams], fs: Fraction, channels: ChannelTable) -> Chain | None:
    """Bind filters, in their order, to a stream; None where there are none.

    Raises
    ------
    CapabilityError
        Zero phase (the future is not known).
    FilterDesignError, ConfigurationError, DatasetError
        A filter that cannot exist at this rate, lacks a parameter, or names a port or channel that is not there.
    """
    return chain_of(params, fs, channels) if params else None


def check_params(stage: FilterStage, params: Sequence[DSPParams]) -> None:
    """Refuse what a live group cannot hold."""
    for item in params:
        if item.zero_phase:
            raise CapabilityError(
                f"{item.type.name} with zero_phase=True: live filters are causal, as the future is not known; for zero "
                "phase filter the recording afterwards"
            )
        if item.stage != stage:
            raise ConfigurationError(
                f"{item.type.name} says stage {item.stage.name}, but stage {stage.name} is set; say "
                "the same in both places"
            )


class LiveChain:
    """A chain with its place in the stream: what the pump runs, one block in, one block out."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._state = chain.start()
        self._gains = chain.in_channels.gains
        self._offsets = chain.in_channels.offsets

    def apply(self, block: Block) -> Block:
        """Filter a block; filters restart behind a jump of the counter."""
        if block.is_counts:
            samples = aligned_empty(block.samples.shape)
            gain = self._gains if block.gain is None else block.gain
            offset = self._offsets if block.offset is None else block.offset
            scale(np.ascontiguousarray(block.samples), gain, offset, samples)
            block = Block(samples, block.start)
        done = self.chain.process(block, self._state)
        if len(done) == 1:
            return done[0]
        return Block(np.concatenate([b.samples for b in done]), done[0].start)
