"""Waveforms of spikes cut out of a stream while it passes: the newest filtered samples, and no more."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from ranvier.recordings.block import Block

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


class SignalTail:
    """The newest block of a signal and ``keep`` samples before it; one thread adds and cuts.

    Attributes
    ----------
    stop
        Counter behind the newest sample; None before the first.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._blocks: deque[Block] = deque()
        self.stop: int | None = None

    def add(self, block: Block) -> None:
        """Take the next block; behind a gap what came before is forgotten."""
        if self.stop is not None and block.start != self.stop:
            self._blocks.clear()
        self._blocks.append(block)
        self.stop = block.stop
        while len(self._blocks) > 1 and self._blocks[1].start <= block.start - self._keep:
            self._blocks.popleft()

    def cut(self, counters: I64, sites: I32, before: int, after: int) -> F32:
        """Return ``(spikes, before + after)`` samples around counters, one site each; NaN for what is not there."""
        out = np.full((len(counters), before + after), np.nan, np.float32)
        if not len(counters) or not self._blocks:
            return out
        first, stop = int(counters.min()) - before, int(counters.max()) + after
        asked = [b for b in self._blocks if b.stop > first and b.start < stop]
        if not asked:
            return out
        x, start = np.concatenate([b.samples for b in asked]), asked[0].start
        rows = counters[:, None] - before - start + np.arange(before + after)
        there = (rows >= 0) & (rows < len(x))
        return np.where(there, x[np.clip(rows, 0, len(x) - 1), sites[:, None]], out).astype(np.float32)
