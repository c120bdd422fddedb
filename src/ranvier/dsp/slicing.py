"""Fewer channels."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp.stage import Stage, stage_input
from ranvier.exceptions import SignalSelectionError
from ranvier.recordings.block import Block
from ranvier.recordings.channels import ChannelTable


def columns_for_sys(channels: ChannelTable, sys_indices: Iterable[int]) -> npt.NDArray[np.int64]:
    """Return the columns of system indices, in the order of the recording; a channel named twice is there once.

    Raises
    ------
    SignalSelectionError
        For none at all, or for indices that the recording does not have: all of them are named.
    """
    wanted = {int(i) for i in sys_indices}
    known = {c.sys: column for column, c in enumerate(channels)}
    unknown = sorted(wanted - known.keys())
    if unknown:
        raise SignalSelectionError(
            f"no channel with system index {unknown[:8]}; this dataset has {len(known)}, from {min(known)} to "
            f"{max(known)} (one count over amplifier, analog, digital inputs and outputs)"
        )
    if not wanted:
        raise SignalSelectionError("a channel slice keeps at least one channel; name system indices")
    return np.array(sorted(known[i] for i in wanted), dtype=np.int64)


class ChannelSelection(Stage):
    """Keep some channels, in the order of the recording; each keeps its native and system index."""

    fresh_output = True

    def __init__(self, columns: npt.NDArray[np.int64], fs: Fraction, channels: ChannelTable) -> None:
        self.columns = columns
        self.in_fs = self.out_fs = fs
        self.in_channels, self.out_channels = channels, channels.take(columns)

    def start(self) -> None:
        """Nothing is remembered."""

    def process(self, block: Block, state: None) -> list[Block]:
        """Keep the columns of a block."""
        if len(block) == 0:
            return []
        return [Block(np.ascontiguousarray(stage_input(block, self.in_channels)[:, self.columns]), block.start)]

    def describe(self) -> dict[str, Any]:
        """Return kind and parameters, as JSON data."""
        return describe_slice(self.in_channels, self.out_channels)


def describe_slice(before: ChannelTable, after: ChannelTable) -> dict[str, Any]:
    """Return what provenance says about a slice: system indices before and after it."""
    source, retained = [c.sys for c in before], [c.sys for c in after]
    return {"kind": "slice_channels", "parameters": {"source": source, "retained": retained}}
