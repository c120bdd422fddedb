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
        if self._seen < self.period:
            return False
        if not self.frozen:
            self._measure()
        self._held = self._seen = 0
        return not self.frozen

    def restart(self) -> None:
        """Begin the piece anew, behind a gap; the estimate stays."""
        self._held = self._seen = 0

    def _measure(self) -> None:
        middle = np.empty(self.channels, np.float32)
        middle_values(self._sample, self._held, (self.sd_uv / _TO_SD).astype(np.float32), middle)
        level = middle.astype(np.float64) * _TO_SD  # NaN where a sample is: that piece says nothing
        level[~(level > 0)] = np.nan
        known = np.isfinite(self.sd_uv)
        step = np.where(known, self.sd_uv, level)
        bounded = np.clip(level, step * (1 - LARGEST_STEP), step * (1 + LARGEST_STEP))
        weight = max(LEAST_WEIGHT, 1.0 / (self.pieces + 1))
        mixed = step + weight * (bounded - step)
        self.sd_uv = np.where(np.isfinite(mixed), mixed, self.sd_uv)
        self.pieces += 1
