"""The SD of the noise of a stream, followed second by second (stage S1 online)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ranvier.sorting.running_kernels import middle_values

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

#: One sample in so many is looked at.
EVERY = 16
#: Weight of the newest second, once there were ten.
LEAST_WEIGHT = 0.1
#: A second moves the estimate by this share of it at most: a burst of artifacts is not a new noise.
LARGEST_STEP = 0.2
#: Channels that are measured at a time.
PART = 16
_TO_SD = 1.0 / 0.6744897501960817


@dataclass
class NoiseTracker:
    """Median of absolute values over pieces of ``period`` samples, averaged exponentially.

    Attributes
    ----------
    sd_uv
        ``(channels,)``: NaN before the first piece, and for a channel that never moved (silent).
    pieces
        How many pieces were measured.
    frozen
        While True pieces are not used: stimulation or saturation would pass for noise.
    in_parts_after
        Once so many pieces were measured, each is measured during the first tenth of the next one, a few channels at a
        time: of many channels at once it takes as long as several packets. None: always at once.
    """

    channels: int
    period: int
    sd_uv: F64 = field(init=False)
    pieces: int = 0
    frozen: bool = False
    in_parts_after: int | None = None

    def __post_init__(self) -> None:
        self.sd_uv = np.full(self.channels, np.nan)
        self._sample = np.zeros((-(-self.period // EVERY), self.channels), np.float32)
        self._held = 0
        self._seen = 0
        self._waiting: F32 | None = None  # the piece that is measured in parts
        self._middle = np.empty(self.channels, np.float32)
        self._measured = 0  # channels of it

    @property
    def left(self) -> int:
        """Samples until the next estimate: blocks must be split there."""
        return self.period - self._seen

    def add(self, x: F32) -> bool:
        """Take at most ``left`` samples ``(n, channels)``; return whether the estimate is new."""
        first = -self._seen % EVERY
        taken = x[first::EVERY]
        self._sample[self._held : self._held + len(taken)] = taken
        self._held += len(taken)
        self._seen += len(x)
        if self._waiting is not None:
            self._go_on(self._waiting, -(-self.channels * 10 * self._seen // self.period))
        if self._seen < self.period:
            return False
        held, self._held, self._seen = self._held, 0, 0
        if self.frozen:
            return False
        if self.in_parts_after is not None and self.pieces >= self.in_parts_after:
            self._waiting, self._measured = self._sample[:held], 0
            self._sample = np.empty_like(self._sample)
            return False
        middle_values(self._sample, held, self._guess(), self._middle)
        self._take()
        return True

    def restart(self) -> None:
        """Begin the piece anew, behind a gap; the estimate stays."""
        self._held = self._seen = 0

    def _guess(self) -> F32:
        return (self.sd_uv / _TO_SD).astype(np.float32)

    def _go_on(self, sample: F32, channels: int) -> None:
        """Measure a piece that is over, up to so many channels."""
        guess = self._guess()
        while self._measured < min(channels, self.channels):
            some = slice(self._measured, self._measured + PART)
            part = np.ascontiguousarray(sample[:, some])
            middle_values(part, len(part), guess[some], self._middle[some])
            self._measured += part.shape[1]
        if self._measured == self.channels:
            self._waiting = None
            self._take()

    def _take(self) -> None:
        """Move the estimate by what was measured."""
        middle = self._middle
        level = middle.astype(np.float64) * _TO_SD  # NaN where a sample is: that piece says nothing
        level[~(level > 0)] = np.nan
        known = np.isfinite(self.sd_uv)
        step = np.where(known, self.sd_uv, level)
        bounded = np.clip(level, step * (1 - LARGEST_STEP), step * (1 + LARGEST_STEP))
        weight = max(LEAST_WEIGHT, 1.0 / (self.pieces + 1))
        mixed = step + weight * (bounded - step)
        self.sd_uv = np.where(np.isfinite(mixed), mixed, self.sd_uv)
        self.pieces += 1
