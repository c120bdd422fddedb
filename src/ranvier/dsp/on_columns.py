"""A stage for some channels of a stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp.stage import Stage
from ranvier.recordings.block import Block
from ranvier.recordings.buffers import aligned_empty
from ranvier.recordings.channels import ChannelTable


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
