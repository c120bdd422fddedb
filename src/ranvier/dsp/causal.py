"""Causal filters: one pass, state carried from block to block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp import kernels
from ranvier.dsp.design import FilterDesign
from ranvier.dsp.response import achieved
from ranvier.dsp.stage import Stage, stage_input
from ranvier.exceptions import FilterDesignError
from ranvier.models.signals import SignalType
from ranvier.recordings.block import Block
from ranvier.recordings.buffers import aligned_empty
from ranvier.recordings.channels import ChannelTable

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

#: Settling of a filter that rings longer than anybody waits.
ENDLESS = 2**62

#: Columns are shared among threads in units of one cache line of float32.
COLUMN_UNIT = 16


@dataclass
class CausalState:
    """Where the stream stands (counter of the next sample; None before the first), and the memory of the sections."""

    next: int | None
    sections: F64


class CausalFilter(Stage):
    """A cascade of second-order sections over the amplifier channels, from a zero state; other channels pass untouched.

    A sample that is not finite gives NaN, and that channel goes on behind it from a zero state; so do all channels
    behind a gap.
    """

    fresh_output = True

    def __init__(
        self, design: FilterDesign, fs: Fraction, channels: ChannelTable, description: dict[str, Any] | None = None
    ) -> None:
        self.design = design
        self.in_fs = self.out_fs = fs
        self.in_channels = self.out_channels = channels
        self.amplifiers = channels.count(SignalType.AMP)
        self._description = description or {"kind": design.kind, "parameters": {"zero_phase": False}}

    @property
    def settling_samples(self) -> int:
        """The filter's own decay; the largest number for one that practically never ends."""
        try:
            return self.design.decay_samples
        except FilterDesignError:
            return ENDLESS

    def start(self) -> CausalState:
        """Return the state before the first block."""
        return CausalState(None, np.zeros((2 * len(self.design.coefficients), self.amplifiers)))

    def process(self, block: Block, state: CausalState) -> list[Block]:
        """Filter a block."""
        return self.process_referenced(block, kernels.NO_REFERENCE, state)

    def process_referenced(self, block: Block, reference: F32, state: CausalState) -> list[Block]:
        """Filter ``block - reference`` (one float32 per row, or none): what a reference stage before this one gives."""
        if len(block) == 0:
            return []
        x = stage_input(block, self.in_channels)
        if state.next != block.start:
            state.sections[:] = 0.0
        state.next = block.stop
        out = aligned_empty(x.shape)
        design, sections = self.design, state.sections

        def share(first: int, stop: int) -> None:
            for a, b in filter_and_find_broken(
                design, x, 0, out, 0, len(x), (first, stop), sections, block.start, reference
            ):
                kernels.cascade_restarting(
                    x, out, a, b - a, reference, design.gain, design.coefficients, sections, block.start
                )

        self.team.each(share, self.team.shares(self.amplifiers, multiple=COLUMN_UNIT))
        out[:, self.amplifiers :] = x[:, self.amplifiers :]
        return [Block(out, block.start)]

    def finish(self, state: CausalState) -> list[Block]:
        """Return what is left at the end of the stream."""
        state.next = None
        state.sections[:] = 0.0
        return []

    def describe(self) -> dict[str, Any]:
        """Return kind, parameters, coefficients and what they achieve, as JSON data."""
        return {**self._description, "coefficients": self.design.describe(), "response": achieved(self.design)}


def filter_and_find_broken(
    design: FilterDesign,
    x: F32,
    x_row: int,
    out: F32,
    out_row: int,
    rows: int,
    columns: tuple[int, int],
    sections: F64,
    counter: int,
    reference: F32 = kernels.NO_REFERENCE,
) -> list[tuple[int, int]]:
    """Filter rows forward, as ``kernels.filter_rows``; return the columns that hold a sample that is not finite.

    Nobody looks for such samples beforehand, which would take a pass over memory: they leave the state not finite. The
    state of those columns is as it was, and their output is to be made otherwise.
    """
    first, stop = columns
    before = sections[:, first:stop].copy()
    kernels.filter_rows(design, x, x_row, out, out_row, rows, 1, columns, sections, counter, reference)
    if np.isfinite(sections[::2, first:stop].sum()):
        return []
    broken: npt.NDArray[np.bool_] = np.any(~np.isfinite(sections[::2, first:stop]), axis=0)
    if not broken.any():
        return []
    sections[:, first:stop][:, broken] = before[:, broken]
    return [(a, b) for a, b, is_broken in runs_of(broken, first) if is_broken]


def finite_columns(x: F32, first: int, stop: int) -> npt.NDArray[np.bool_]:
    """Return which of the columns ``[first, stop)`` hold no NaN and no infinity."""
    most = np.zeros(x.shape[1], dtype=np.int32)
    kernels.largest_bits(x.view(np.int32), first, stop - first, most)
    finite: npt.NDArray[np.bool_] = most[first:stop] < kernels.INFINITY_BITS
    return finite


def runs_of(mask: npt.NDArray[np.bool_], first: int) -> Iterator[tuple[int, int, bool]]:
    """Yield ``(start, stop, value)`` of equal neighbours, counted from ``first``."""
    if len(mask) == 0:
        return
    edges = [0, *(np.flatnonzero(mask[1:] != mask[:-1]) + 1).tolist(), len(mask)]
    for a, b in pairwise(edges):
        yield first + a, first + b, bool(mask[a])
