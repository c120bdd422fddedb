"""Filters of a live stream, bound to its rate and channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.curation.plan import chain_of
from ranvier.dsp import Chain, Stage
from ranvier.dsp.buffers import aligned_empty
from ranvier.exceptions import CapabilityError, ConfigurationError
from ranvier.models.dsp import DSPParams, FilterFamily, FilterStage
from ranvier.models.signals import SignalType
from ranvier.recordings.block import Block
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.kernels import scale


def live_chain(params: Sequence[DSPParams], fs: Fraction, channels: ChannelTable) -> Chain | None:
    """Bind filters, in their order, to a stream; None where there are none.

    Raises
    ------
    CapabilityError
        Zero phase (the future is not known), or a filter family that this engine does not design.
    FilterDesignError, ConfigurationError, DatasetError
        A filter that cannot exist at this rate, lacks a parameter, or names a port or channel that is not there.
    """
    return Chain([_stage(item, fs, channels) for item in params]) if params else None


def check_params(stage: FilterStage, params: Sequence[DSPParams]) -> None:
    """Refuse what a live group cannot hold."""
    for item in params:
        if item.zero_phase:
            raise CapabilityError(
                f"{item.type.name} with zero_phase=True: live filters are causal, as the future is not known; for zero "
                "phase filter the recording afterwards"
            )
        if item.family not in (None, FilterFamily.BUTTERWORTH):
            raise CapabilityError(
                f"{item.type.name} of family {FilterFamily(item.family).name}: this version designs Butterworth "
                "filters only"
            )
        if item.stage != stage:
            raise ConfigurationError(
                f"{item.type.name} says stage {item.stage.name}, but stage {stage.name} is set; say "
                "the same in both places"
            )


def _stage(item: DSPParams, fs: Fraction, channels: ChannelTable) -> Stage:
    if not item.is_aux and item.port is None:
        return chain_of([item], fs, channels).stages[0]
    columns = _columns(item, channels)
    part = channels.take(columns)
    if item.is_aux:  # filters act on amplifier channels: here the analog input stands for one
        part = part.with_channels(replace(c, type=SignalType.AMP) for c in part)
    return OnColumns(chain_of([item], fs, part).stages[0], columns, channels)


def _columns(item: DSPParams, channels: ChannelTable) -> npt.NDArray[np.int64]:
    if item.is_aux:
        if item.aux_chan_idx is None:
            raise ConfigurationError(f"{item.type.name} of an analog input needs aux_chan_idx, its native index")
        return channels.columns_for_ntv(SignalType.AIN, [item.aux_chan_idx])
    found = [i for i, c in enumerate(channels) if c.type == SignalType.AMP and c.port == item.port]
    if not found:
        ports = sorted({c.port.name for c in channels if c.port is not None})
        raise ConfigurationError(
            f"{item.type.name} on port {item.port.name if item.port else '?'}: no amplifier channel is there; "
            f"ports with channels: {', '.join(ports) or 'none'}"
        )
    return np.array(found, dtype=np.int64)


class OnColumns(Stage):
    """A causal stage that acts on some columns; the others pass untouched."""

    def __init__(self, inner: Stage, columns: npt.NDArray[np.int64], channels: ChannelTable) -> None:
        self.inner = inner
        self.columns = columns
        self.in_fs = self.out_fs = inner.in_fs
        self.in_channels = self.out_channels = channels

    @property
    def settling_samples(self) -> int:
        return self.inner.settling_samples

    def start(self) -> Any:
        return self.inner.start()

    def process(self, block: Block, state: Any) -> list[Block]:
        if len(block) == 0:
            return []
        x = block.physical()
        out = aligned_empty(x.shape)
        out[:] = x
        for done in self.inner.process(Block(np.ascontiguousarray(x[:, self.columns]), block.start), state):
            out[:, self.columns] = done.samples
        return [Block(out, block.start)]

    def finish(self, state: Any) -> list[Block]:
        return self.inner.finish(state)

    def describe(self) -> dict[str, Any]:
        names = [self.in_channels[int(c)].name for c in self.columns]
        return {**self.inner.describe(), "channels": names}


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
