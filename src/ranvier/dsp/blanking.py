"""Samples around events, such as stimulation artifacts, replaced."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp.operations import BlankArtifacts
from ranvier.dsp.stage import Stage, stage_input
from ranvier.exceptions import ConfigurationError
from ranvier.models.signals import SignalType
from ranvier.recordings.block import Block
from ranvier.recordings.buffers import aligned_empty
from ranvier.recordings.channels import ChannelTable

F32 = npt.NDArray[np.float32]

#: A line is drawn over so many seconds at most: until its end is seen, all channels wait in memory.
LONGEST_LINE_SEC = 1.0


@dataclass
class BlankingState:
    """Where the stream stands.

    Attributes
    ----------
    next
        Counter of the next sample to come; None before the first.
    held
        Rows before ``next`` that wait for the end of a window.
    last
        The last good sample of the blanked columns before the rows held; NaN where there is none in this run.
    """

    next: int | None
    held: F32
    last: F32


class Blanking(Stage):
    """Replace the samples of some amplifier channels in windows of counters; everything else passes untouched.

    Windows that overlap or touch are one. Samples that are not there (NaN) stay so. A line whose one end lies beyond
    its run of samples is the other end; where neither is there, and for ``hold`` without a good sample before it, the
    window is NaN.
    """

    fresh_output = True

    def __init__(self, operation: BlankArtifacts, fs: Fraction, channels: ChannelTable) -> None:
        self.in_fs = self.out_fs = fs
        self.in_channels = self.out_channels = channels
        self.operation = operation
        self.mode = operation.mode
        chosen = operation.channels
        self.columns = (
            channels.columns_of(SignalType.AMP)
            if chosen is None
            else channels.columns_for_ntv(SignalType.AMP, sorted(set(chosen)))
        )
        self.starts, self.stops = _windows(operation, fs)
        if self.mode == "linear":
            self.latency = int((self.stops - self.starts).max())
            if self.latency > LONGEST_LINE_SEC * fs:
                raise ConfigurationError(
                    f"{len(operation.counters)} events follow each other so closely that "
                    f"{float(self.latency / fs):.3g} s would become one line; use hold, zero or nan, shorter windows, "
                    f"or fewer events"
                )

    def start(self) -> BlankingState:
        """Return the state before the first block."""
        nothing = np.full(len(self.columns), np.nan, dtype=np.float32)
        return BlankingState(None, np.empty((0, len(self.in_channels)), dtype=np.float32), nothing)

    def process(self, block: Block, state: BlankingState) -> list[Block]:
        """Blank a block, as far as the ends of its windows are known."""
        if len(block) == 0:
            return []
        x = stage_input(block, self.in_channels)
        done = self.finish(state) if state.next != block.start else []
        state.next = block.stop
        rows = np.concatenate([state.held, x]) if len(state.held) else x
        first = block.stop - len(rows)
        return done + self._give(rows, first, max(first, self._known_until(block.stop)), state)

    def finish(self, state: BlankingState) -> list[Block]:
        """Return what is left at the end of the stream."""
        if state.next is None:
            return []
        done = self._give(state.held, state.next - len(state.held), state.next, state)
        fresh = self.start()
        state.next, state.held, state.last = None, fresh.held, fresh.last
        return done

    def describe(self) -> dict[str, Any]:
        """Return kind and parameters, and how many samples of a channel are replaced, as JSON data."""
        return {
            **self.operation.describe(),
            "windows": len(self.starts),
            "window_samples": int((self.stops - self.starts).sum()),
        }

    def _known_until(self, stop: int) -> int:
        """Return up to which counter output can be given when all before ``stop`` was seen."""
        if self.mode != "linear":
            return stop
        last = int(np.searchsorted(self.starts, stop)) - 1  # the last window that has begun
        return stop if last < 0 or self.stops[last] < stop else int(self.starts[last])

    def _give(self, rows: F32, first: int, until: int, state: BlankingState) -> list[Block]:
        """Return the rows of the counters ``[first, until)``, blanked, and keep the others."""
        state.held = rows[until - first :].copy()
        if until == first:
            return []
        out = aligned_empty((until - first, rows.shape[1]))
        out[:] = rows[: until - first]
        at = int(np.searchsorted(self.stops, first, side="right"))
        blanked_until = first
        while at < len(self.starts) and self.starts[at] < until:
            a, b = int(self.starts[at]), int(self.stops[at])
            if a > first:
                state.last = rows[a - 1 - first, self.columns].copy()
            behind = rows[b - first, self.columns] if b - first < len(rows) else np.full_like(state.last, np.nan)
            part = out[max(a, first) - first : min(b, until) - first]
            self._fill(part, max(a, first) - a + 1, b - a + 1, state.last, behind)
            blanked_until = min(b, until)
            at += 1
        if blanked_until < until:
            state.last = rows[until - 1 - first, self.columns].copy()
        return [Block(out, first)]

    def _fill(self, part: F32, step: int, steps: int, before: F32, behind: F32) -> None:
        """Replace rows of a window: the first is step ``step`` of ``steps`` from the last good sample to the next."""
        there = ~np.isnan(part[:, self.columns])
        match self.mode:
            case "zero":
                made = np.zeros(there.shape, dtype=np.float32)
            case "nan":
                made = np.full(there.shape, np.nan, dtype=np.float32)
            case "hold":
                made = np.broadcast_to(before, there.shape)
            case _:
                left = np.where(np.isfinite(before), before, behind).astype(np.float64)
                right = np.where(np.isfinite(behind), behind, before).astype(np.float64)
                share = np.arange(step, step + len(part)) / steps
                made = (left + (right - left) * share[:, None]).astype(np.float32)
        part[:, self.columns] = np.where(there, made, np.float32(np.nan))


def _windows(operation: BlankArtifacts, fs: Fraction) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return starts and stops of the windows, in order, with those that overlap or touch joined."""
    before, after = round(operation.before_sec * fs), round(operation.after_sec * fs)
    counters = np.unique(np.array(operation.counters, dtype=np.int64))
    starts, stops = counters - before, np.maximum(counters + after, counters - before + 1)
    apart = starts[1:] > stops[:-1]
    return starts[np.r_[True, apart]], stops[np.r_[apart, True]]
