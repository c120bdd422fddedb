"""Sines on amplifier channels: what simulators play where the right answer must be known to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.simulation.live_kernels import tones

#: No tone is higher than this fraction of the sampling rate.
HIGHEST = 0.4
#: The mapped sine gives channels frequencies from here on, one hertz apart, over so many channels ...
MAPPED_FIRST_HZ, MAPPED_CHANNELS = 5, 128
#: ... and the next ones begin again with a phase so much further on.
MAPPED_PHASE_DEG = 45
_SINE = (20, 200.0)
_HIGH_FREQUENCY = (1000, 200.0)
#: Theta, gamma, ripple and spike band: Hz and uV.
_BANDS = ((8, 100.0), (60, 50.0), (150, 30.0), (1500, 20.0))

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]


class Tone(NamedTuple):
    """``amplitude_uv sin(2 pi (hz n / fs + phase_deg / 360))`` at counter ``n``."""

    hz: int
    amplitude_uv: float
    phase_deg: int = 0


class ToneSignal:
    """Tones on channels, a pure function of the counter; every tone has whole hertz, so all repeat after a second.

    Parameters
    ----------
    fs
        Sampling rate.
    channels
        The tones of each channel; all channels have the same number of tones.

    Raises
    ------
    ConfigurationError
        A tone above 0.4 of the sampling rate.
    """

    def __init__(self, fs: Fraction, channels: Sequence[Sequence[Tone]]) -> None:
        too_high = sorted({t.hz for c in channels for t in c if not 0 <= t.hz <= HIGHEST * fs})
        if too_high:
            raise ConfigurationError(f"tones of {too_high[:4]} Hz do not fit a sampling rate of {float(fs):g} Hz")
        self.tones = tuple(tuple(c) for c in channels)
        # cycles per sample = hz * denominator / numerator: the table holds one cycle in ``numerator`` steps
        self._period = fs.numerator
        self._table = np.sin(2 * np.pi * np.arange(self._period) / self._period).astype(np.float32)
        table = np.array(self.tones, dtype=np.float64).reshape(len(channels), -1, 3).transpose(2, 1, 0)
        self._steps = (table[0] * fs.denominator).astype(np.int64)
        self._amplitudes = np.ascontiguousarray(table[1], dtype=np.float32)
        self._phases = np.rint(table[2] / 360 * self._period).astype(np.int64)

    def fill(self, start: int, channels: I64, out: F32) -> None:
        """Compute some channels from counter ``start`` on into all rows of ``out``, in uV."""
        steps = self._steps[:, channels]
        at = (self._phases[:, channels] + steps * (start % self._period)) % self._period
        tones(
            self._table,
            np.ascontiguousarray(at, dtype=np.int32),
            np.ascontiguousarray(steps, dtype=np.int32),
            np.ascontiguousarray(self._amplitudes[:, channels]),
            out,
        )

    def look_ahead(self, start: int, n: int) -> None:
        """Nothing can be done in advance."""


def sine(fs: Fraction, count: int) -> ToneSignal:
    """20 Hz, 200 uV, the same on every channel."""
    return ToneSignal(fs, [[Tone(*_SINE)]] * count)


def high_frequency(fs: Fraction, count: int) -> ToneSignal:
    """1000 Hz (a quarter of the sampling rate where that is below 4 kHz), 200 uV, the same on every channel."""
    hz, amplitude_uv = _HIGH_FREQUENCY
    return ToneSignal(fs, [[Tone(min(hz, int(fs / 4)), amplitude_uv)]] * count)


def multi_band(fs: Fraction, count: int) -> ToneSignal:
    """8, 60, 150 and 1500 Hz of 100, 50, 30 and 20 uV, as far as they are below 0.4 of the sampling rate."""
    return ToneSignal(fs, [[Tone(hz, uv) for hz, uv in _BANDS if hz <= HIGHEST * fs]] * count)


def mapped_tone(channel: int) -> Tone:
    """Return the tone of a channel (native index) of the mapped sine: no two of 1024 channels have the same.

    5 + channel mod 128 Hz, 100 uV, at a phase of 45 degrees times channel div 128.
    """
    turn, place = divmod(channel, MAPPED_CHANNELS)
    return Tone(MAPPED_FIRST_HZ + place, 100.0, MAPPED_PHASE_DEG * turn % 360)


def mapped_sine(fs: Fraction, count: int) -> ToneSignal:
    """:func:`mapped_tone` on every channel, so that the order of channels can be verified."""
    return ToneSignal(fs, [[mapped_tone(c)] for c in range(count)])
