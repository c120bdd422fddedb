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
#: A piece is measured during this part of the next one.
_DURING = 0.1
_TO_SD = 1.0 / 0.6744897501960817


@dataclass
class NoiseTracker:
    """Median of absolute values over pieces of ``period`` samples, averaged exponentially.

    Of hundreds of channels a piece takes as long to measure as several packets. So the first one is measured when it is
    over, and every later one a few channels at a time during the first tenth of the next one; the estimate is new
    behind that tenth, whatever the packets.

    Attributes
    ----------
    sd_uv
        ``(channels,)``: NaN before the first piece, and for a channel that never moved (silent).
    pieces
        How many pieces were measured.
    frozen
        While True pieces are not used: stimulation or saturation would pass for noise.
    """

    channels: int
    period: int
    sd_uv: F64 = field(init=False)
    pieces: int = 0
    frozen: bool = False

    def __post_init__(self) -> None:
        self.sd_uv = np.full(self.channels, np.nan)
        self._sample = np.zeros((-(-self.period // EVERY), self.channels), np.float32)
        self._held = 0
        self._seen = 0
        self._over = np.empty_like(self._sample)  # the piece that is measured in parts: its first _waiting rows
        self._waiting = 0
        self._within = max(1, round(_DURING * self.period))
        self._middle = np.empty(self.channels, np.float32)
        self._measured = 0  # channels of it
        self._is_first = True

    @property
    def left(self) -> int:
        """Samples until the next estimate or the end of a piece: blocks must be split there."""
        return (self._within if self._waiting else self.period) - self._seen

    def add(self, x: F32) -> bool:
        """Take at most ``left`` samples ``(n, channels)``; return whether the estimate is new."""
        first = -self._seen % EVERY
        taken = x[first::EVERY]
        self._sample[self._held : self._held + len(taken)] = taken
        self._held += len(taken)
        self._seen += len(x)
        if self._waiting:
            return self._go_on(-(-self.channels * self._seen // self._within))
        if self._seen < self.period:
            return False
        held, self._held, self._seen = self._held, 0, 0
        if self.frozen:
            return False
        if self._is_first:
            middle_values(self._sample, held, self._guess(), self._middle)
            self._take()
            self._is_first = False
            return True
        self._sample, self._over = self._over, self._sample
        self._waiting, self._measured = held, 0
        return False

    def restart(self) -> None:
        """Begin the piece anew, behind a gap; the estimate stays."""
        self._held = self._seen = 0

    def _guess(self) -> F32:
        return (self.sd_uv / _TO_SD).astype(np.float32)

    def _go_on(self, channels: int) -> bool:
        """Measure so many channels, those before among them, of the piece that is over; return whether it is done."""
        guess = self._guess()
        while self._measured < min(channels, self.channels):
            some = slice(self._measured, self._measured + PART)
            part = np.ascontiguousarray(self._over[: self._waiting, some])
            middle_values(part, len(part), guess[some], self._middle[some])
            self._measured += part.shape[1]
        if self._seen < self._within:
            return False
        self._waiting = 0
        self._take()
        return True

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
