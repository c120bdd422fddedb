"""Stages whose output samples each see a window of the input around them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.dsp.stage import Stage, stage_input
from ranvier.models.signals import SignalType
from ranvier.recordings.block import Block
from ranvier.recordings.buffers import aligned_empty
from ranvier.recordings.channels import ChannelTable

#: Outputs are shared among threads in units of this: kernels take many columns at once, and like to have them all.
ROW_UNIT = 32

F32 = npt.NDArray[np.float32]


@dataclass
class WindowedState:
    """Where the stream stands.

    Attributes
    ----------
    next
        Counter of the next sample to come; None before the first.
    began
        Counter of the first sample of this run.
    due
        Counter of the next output.
    recent
        The last input rows, up to ``next``, that outputs still need.
    """

    next: int | None
    began: int
    due: int
    recent: F32


class Windowed(Stage):
    """Output k depends on the input samples within ``reach`` of k * factor; digital channels take that sample itself.

    A subclass says in ``_filter`` what the amplifier channels and analog inputs give.
    """

    fresh_output = True

    def __init__(
        self, reach: int, fs: Fraction, channels: ChannelTable, out_channels: ChannelTable, *, factor: int = 1
    ) -> None:
        self.reach, self.factor = reach, factor
        self.in_fs, self.out_fs = fs, fs / factor
        self.in_channels, self.out_channels = channels, out_channels
        self.analog = channels.count(SignalType.AMP) + channels.count(SignalType.AIN)
        self.latency = reach

    def start(self) -> WindowedState:
        """Return the state before the first block."""
        return WindowedState(None, 0, 0, np.empty((0, len(self.in_channels)), dtype=np.float32))

    def process(self, block: Block, state: WindowedState) -> list[Block]:
        """Filter a block."""
        if len(block) == 0:
            return []
        x = stage_input(block, self.in_channels)
        done: list[Block] = []
        if state.next != block.start:
            done = self.finish(state)
            state.began, state.due = block.start, self.first_output(block.start)
        state.next = block.stop
        done += self._outputs(x, self.first_output(block.stop - self.reach), state)
        kept = max(state.began, state.due * self.factor - self.reach)
        state.recent = _tail(state.recent, x, max(0, block.stop - kept))
        return done

    def finish(self, state: WindowedState) -> list[Block]:
        """Return what is left at the end of the stream."""
        if state.next is None:
            return []
        done = self._outputs(state.recent[:0], self.first_output(state.next), state)
        state.next, state.recent = None, self.start().recent
        return done

    @abstractmethod
    def _filter(self, recent: F32, x: F32, row: int, low: int, columns: tuple[int, int], out: F32) -> None:
        """Fill some columns of ``out``: its row j sees the window around row ``row + j factor``.

        Rows are those of ``recent``, then of ``x``. The run begins in row ``low`` (maybe before the first) and ends
        with ``x``, as far as anybody knows.
        """

    def _outputs(self, x: F32, until: int, state: WindowedState) -> list[Block]:
        """Return the outputs due before ``until``; ``x`` follows the recent rows and ends at ``state.next``."""
        if until <= state.due or state.next is None:
            return []
        first = state.next - len(x) - len(state.recent)  # counter of the first row
        row = state.due * self.factor - first
        out = aligned_empty((until - state.due, len(self.in_channels)))

        def share(a: int, b: int) -> None:
            self._filter(state.recent, x, row + a * self.factor, state.began - first, (0, self.analog), out[a:b])

        self.team.each(share, self.team.shares(len(out), multiple=ROW_UNIT))
        if self.analog < out.shape[1]:
            rows = row + self.factor * np.arange(len(out))
            old = int(np.searchsorted(rows, len(state.recent)))
            out[:old, self.analog :] = state.recent[rows[:old], self.analog :]
            out[old:, self.analog :] = x[rows[old:] - len(state.recent), self.analog :]
        block = Block(out, state.due)
        state.due = until
        return [block]


def _tail(recent: F32, x: F32, rows: int) -> F32:
    """Return a copy of the last rows of ``recent`` and ``x`` together."""
    if rows <= len(x):
        return x[len(x) - rows :].copy()
    return np.concatenate([recent[len(recent) - (rows - len(x)) :], x])
