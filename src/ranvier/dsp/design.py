"""Filter coefficients: SciPy's designs as second-order sections, checked, with what the filter really does.

Cut-offs are -3 dB frequencies of one causal pass; forward and backward (zero phase) makes them -6 dB.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import FilterDesignError

F64 = npt.NDArray[np.float64]

#: Sections that the kernel takes through one row at a time. Longer cascades are filled up with sections that do nothing
#: to a multiple of PASS_SECTIONS, and run in passes.
MAX_SECTIONS = 6
PASS_SECTIONS = 4

#: What a cut-off response may leave out, as a share of the largest input (the rest of the response, summed absolutely).
NEGLIGIBLE = 1e-7

#: The longest response that is followed, in samples; a filter that rings longer has no zero-phase form here.
LONGEST_DECAY = 2**25

BUTTERWORTH_TYPES = ("lowpass", "highpass", "bandpass", "bandstop")


@dataclass(frozen=True)
class FilterDesign:
    """A designed filter.

    Attributes
    ----------
    kind
        ``lowpass``, ``highpass``, ``bandpass``, ``bandstop`` or ``notch``.
    fs_hz
        Sampling rate it was designed for.
    sos
        Second-order sections ``(b0, b1, b2, 1, a1, a2)`` each, as SciPy gives them.
    """

    kind: str
    fs_hz: float
    sos: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if not np.all(np.isfinite(self.sos_array)) or not np.all(self.sos_array[:, 0]):
            raise FilterDesignError(
                f"this {self.kind} filter has no coefficients that a computer can hold at {self.fs_hz:g} Hz; "
                f"use a lower order or a cut-off further from 0"
            )
        if self.pole_radius >= 1:
            raise FilterDesignError(
                f"this {self.kind} filter is not stable at {self.fs_hz:g} Hz (pole radius {self.pole_radius:.9f}); "
                f"use a lower order or a cut-off further from 0 and from Nyquist"
            )

    @property
    def sos_array(self) -> F64:
        """Sections as an array ``(sections, 6)``."""
        return np.array(self.sos, dtype=np.float64)

    @cached_property
    def gain(self) -> float:
        """Product of all b0."""
        return float(np.prod(self.sos_array[:, 0]))

    @cached_property
    def coefficients(self) -> F64:
        """``(sections, 4)``: b1/b0, b2/b0, a1, a2, as the kernels take them.

        A cascade of more than MAX_SECTIONS is filled up with sections of zeros, which do nothing, to a multiple of
        PASS_SECTIONS.
        """
        sos = self.sos_array
        n = len(sos)
        rows = n if n <= MAX_SECTIONS else PASS_SECTIONS * math.ceil(n / PASS_SECTIONS)
        table = np.zeros((rows, 4))
        table[:n, 0] = sos[:, 1] / sos[:, 0]
        table[:n, 1] = sos[:, 2] / sos[:, 0]
        table[:n, 2:] = sos[:, 4:]
        return table

    @cached_property
    def pole_radius(self) -> float:
        """Largest distance of a pole from 0."""
        return max(float(np.abs(np.roots(section[3:])).max(initial=0.0)) for section in self.sos_array)

    @cached_property
    def edge_samples(self) -> int:
        """Length of the odd extension of ``scipy.signal.sosfiltfilt`` at each end of a run (its ``padlen``)."""
        sos = self.sos_array
        taps = 2 * len(sos) + 1 - min(int((sos[:, 2] == 0).sum()), int((sos[:, 5] == 0).sum()))
        return 3 * taps

    @cached_property
    def decay_samples(self) -> int:
        """Samples after which the rest of the impulse response sums up to less than NEGLIGIBLE (absolutely)."""
        return _decay_samples(self)

    def steady_state(self) -> F64:
        """Return the state ``(2 sections,)`` of the kernels that a constant input of 1 leads to."""
        state = []
        level = self.gain
        for b1, b2, a1, a2 in self.coefficients:
            y = level * (1 + b1 + b2) / (1 + a1 + a2)
            state += [y - level, b2 * level - a2 * y]
            level = y
        return np.array(state, dtype=np.float64)

    def response(self, frequency_hz: npt.ArrayLike) -> npt.NDArray[np.complex128]:
        """Return the complex gain of one causal pass at some frequencies."""
        z = np.exp(-2j * np.pi * np.asarray(frequency_hz, dtype=np.float64) / self.fs_hz)
        gain = np.ones(z.shape, dtype=np.complex128)
        for b0, b1, b2, a0, a1, a2 in self.sos:
            gain *= (b0 + b1 * z + b2 * z**2) / (a0 + a1 * z + a2 * z**2)
        return gain

    def cutoffs_hz(self) -> list[float]:
        """Return the frequencies at which one causal pass really is 3 dB down (half the power)."""
        return _half_power_frequencies(self)

    def describe(self) -> dict[str, Any]:
        """Return coefficients and what they achieve, as JSON data."""
        return {
            "sos": [list(section) for section in self.sos],
            "pole_radius": self.pole_radius,
            "minus_3db_hz": self.cutoffs_hz(),
        }


def butterworth(kind: str, frequencies_hz: tuple[float, ...], order: int, fs: Fraction | float) -> FilterDesign:
    """Design a Butterworth filter as ``scipy.signal.butter(order, ..., output="sos")`` does.

    Parameters
    ----------
    kind
        ``lowpass``, ``highpass`` (one frequency), ``bandpass`` or ``bandstop`` (two).
    order
        As SciPy takes it: a band filter has twice as many poles.

    Raises
    ------
    FilterDesignError
        For a cut-off that is not finite, not above 0 or not below Nyquist, low >= high, order < 1, or an unstable
        result.
    """
    rate = float(fs)
    if kind not in BUTTERWORTH_TYPES:
        raise FilterDesignError(f"there is no Butterworth filter {kind!r}; it is one of {', '.join(BUTTERWORTH_TYPES)}")
    _check_order(order)
    for frequency in frequencies_hz:
        _check_frequency(f"{kind} cut-off", frequency, rate)
    if len(frequencies_hz) == 2 and not frequencies_hz[0] < frequencies_hz[1]:
        low, high = frequencies_hz
        raise FilterDesignError(f"{kind} from {low:g} to {high:g} Hz: the low cut-off must be below the high one")
    return _butterworth(kind, tuple(float(f) for f in frequencies_hz), int(order), rate)


def notch(frequency_hz: float, bandwidth_hz: float, fs: Fraction | float) -> FilterDesign:
    """Design a second-order notch as ``scipy.signal.iirnotch(frequency, frequency / bandwidth)`` does."""
    rate = float(fs)
    _check_frequency("notch frequency", frequency_hz, rate)
    if not (math.isfinite(bandwidth_hz) and bandwidth_hz > 0):
        raise FilterDesignError(f"notch bandwidth {bandwidth_hz} Hz: it must be a number above 0")
    if bandwidth_hz >= rate / 2:
        raise FilterDesignError(f"notch bandwidth {bandwidth_hz:g} Hz: it must be below half the sampling rate")
    return _notch(float(frequency_hz), float(bandwidth_hz), rate)


@lru_cache(maxsize=256)
def _butterworth(kind: str, frequencies_hz: tuple[float, ...], order: int, fs_hz: float) -> FilterDesign:
    from scipy import signal

    cutoff = frequencies_hz[0] if len(frequencies_hz) == 1 else list(frequencies_hz)
    sos = signal.butter(order, cutoff, kind, fs=fs_hz, output="sos")
    return FilterDesign(kind, fs_hz, tuple(tuple(float(v) for v in section) for section in sos))


@lru_cache(maxsize=256)
def _notch(frequency_hz: float, bandwidth_hz: float, fs_hz: float) -> FilterDesign:
    from scipy import signal

    b, a = signal.iirnotch(frequency_hz, frequency_hz / bandwidth_hz, fs=fs_hz)
    return FilterDesign("notch", fs_hz, (tuple(float(v) for v in (*b, *a)),))


def _check_order(order: int) -> None:
    try:
        number = operator.index(order)
    except TypeError:
        raise FilterDesignError(f"filter order {order!r}: it must be a whole number") from None
    if number < 1:
        raise FilterDesignError(f"filter order {number}: it must be at least 1")


def _check_frequency(what: str, frequency_hz: float, fs_hz: float) -> None:
    if not math.isfinite(frequency_hz) or frequency_hz <= 0:
        raise FilterDesignError(f"{what} {frequency_hz} Hz: it must be a number above 0")
    if frequency_hz >= fs_hz / 2:
        raise FilterDesignError(
            f"{what} {frequency_hz:g} Hz: it must be below the Nyquist frequency, {fs_hz / 2:g} Hz at {fs_hz:g} Hz"
        )


@lru_cache(maxsize=256)
def _decay_samples(design: FilterDesign) -> int:
    from scipy import signal

    rate = -math.log(design.pole_radius) if design.pole_radius > 0 else math.inf
    # Repeated and close poles hold the envelope up for a while: follow it far beyond the slowest single pole.
    length = 256 + math.ceil(-3 * math.log(NEGLIGIBLE) / rate)
    if length > LONGEST_DECAY:
        raise FilterDesignError(
            f"this {design.kind} filter rings for {length / design.fs_hz:.3g} s, too long for zero phase; "
            f"use a cut-off further from 0, a wider band, a lower order, or the causal form"
        )
    impulse = np.zeros(length)
    impulse[0] = 1.0
    response = np.abs(signal.sosfilt(design.sos_array, impulse))
    rest = np.cumsum(response[::-1])[::-1]  # rest[k] = what comes at and after k
    below = np.flatnonzero(rest < NEGLIGIBLE)
    return int(below[0]) if len(below) else length


@lru_cache(maxsize=256)
def _half_power_frequencies(design: FilterDesign) -> list[float]:
    """Find the -3 dB frequencies: bracket them on a logarithmic grid with fine places at the poles, then bisect."""
    nyquist = design.fs_hz / 2
    poles = np.concatenate([np.roots(section[3:]) for section in design.sos_array])
    centres = np.abs(np.angle(poles)) * design.fs_hz / (2 * np.pi)
    widths = np.maximum((1 - np.abs(poles)) * design.fs_hz / (2 * np.pi), 1e-12 * nyquist)
    near = (centres[:, None] + widths[:, None] * np.linspace(-20, 20, 401)[None, :]).ravel()
    grid = np.unique(np.concatenate([np.geomspace(1e-7 * nyquist, nyquist * (1 - 1e-9), 4001), near]))
    grid = grid[(grid > 0) & (grid < nyquist)]

    def excess(frequency: F64) -> F64:
        power: F64 = np.abs(design.response(frequency)) ** 2 - 0.5
        return power

    sign = np.sign(excess(grid))
    low, high = grid[:-1][sign[:-1] != sign[1:]], grid[1:][sign[:-1] != sign[1:]]
    rising = excess(low) < 0
    for _ in range(60):
        middle = (low + high) / 2
        below = (excess(middle) < 0) == rising
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return [float(f) for f in (low + high) / 2]
