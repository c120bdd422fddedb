"""Channels that a converter took one after the other, as if it had taken them at once.

A channel with skew d was sampled d sample periods later than its frame's counter says: ``y[n] = s(n + d)``. What is
wanted is s(n), the value d periods earlier, which is between samples::

    s(n) = sum_j y[n + j] sinc(j + d) w(j + d),   j = -REACH .. REACH

with a Kaiser window w (Laakso et al., *Splitting the unit delay*, IEEE Signal Processing Magazine 13(1), 1996); the
taps of each channel sum up to 1. A positive skew is thus taken back by delaying the channel. Up to 0.9 of the Nyquist
frequency the result is exact to 1e-4; above, it falls off.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp.fir_kernels import shift_rows
from ranvier.dsp.windowed import Windowed
from ranvier.exceptions import ConfigurationError
from ranvier.recordings.channels import ChannelTable

F32 = npt.NDArray[np.float32]

#: Samples on each side that a value between two samples is made from.
REACH = 32

#: Of the Kaiser window.
BETA = 9.0

#: Sample periods: a converter takes all its channels within one.
LARGEST_SKEW = 1.0


def skew_taps(skew_samples: float) -> npt.NDArray[np.float64]:
    """Return the ``2 REACH + 1`` taps that take back a skew, for ``y[n - REACH] .. y[n + REACH]``."""
    at = np.arange(-REACH, REACH + 1) + skew_samples
    if skew_samples == 0:
        unchanged: npt.NDArray[np.float64] = (at == 0).astype(np.float64)
        return unchanged
    inside = np.clip(1 - (at / (REACH + 1)) ** 2, 0, None)
    taps = np.sinc(at) * np.i0(BETA * np.sqrt(inside))
    scaled: npt.NDArray[np.float64] = taps / taps.sum()
    return scaled


class SkewCorrection(Windowed):
    """Take back the skew of every amplifier channel and analog input; channels without one pass unchanged."""

    def __init__(self, fs: Fraction, channels: ChannelTable, description: dict[str, Any]) -> None:
        corrected = channels.with_channels(replace(c, skew_samples=0.0) for c in channels)
        super().__init__(REACH, fs, channels, corrected)
        self.skew = channels.skew_samples[: self.analog]
        if not self.skew.any():
            raise ConfigurationError(
                "no channel of this recording says that it was sampled late (skew); there is nothing to correct"
            )
        if np.abs(self.skew).max() > LARGEST_SKEW:
            raise ConfigurationError(
                f"a channel was sampled {np.abs(self.skew).max():g} sample periods late; at most {LARGEST_SKEW:g} can "
                f"be corrected"
            )
        self.taps = np.ascontiguousarray(np.array([skew_taps(d) for d in self.skew]).T, dtype=np.float32)
        self._description = description

    def describe(self) -> dict[str, Any]:
        """Return kind, parameters and the skew of each analog channel, as JSON data."""
        return {**self._description, "skew_samples": self.skew.tolist(), "reach_samples": REACH, "kaiser_beta": BETA}

    def _filter(self, recent: F32, x: F32, row: int, low: int, columns: tuple[int, int], out: F32) -> None:
        shift_rows(recent, x, row, low, self.taps, columns, out)
