"""Filter coefficients: SciPy's designs as second-order sections, checked, with what the filter really does.

Cut-offs are -3 dB frequencies of one causal pass; forward and backward (zero phase) makes them -6 dB.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp.defaults import ATTENUATION_DB, RIPPLE_DB
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

FILTER_TYPES = ("lowpass", "highpass", "bandpass", "bandstop")

#: How the gain at a cut-off must come out, by family: in dB, as a function of ripple and attenuation.
CUTOFF_GAIN_DB: dict[str, Callable[[float, float], float]] = {
    "butterworth": lambda ripple_db, attenuation_db: -10 * math.log10(2),
    "chebyshev_i": lambda ripple_db, attenuation_db: -ripple_db,
    "chebyshev_ii": lambda ripple_db, attenuation_db: -attenuation_db,
    "elliptic": lambda ripple_db, attenuation_db: -ripple_db,
    "bessel": lambda ripple_db, attenuation_db: -10 * math.log10(2),
}
FAMILIES = tuple(CUTOFF_GAIN_DB)

#: A design whose gain at a cut-off is further off than this has lost its digits.
CUTOFF_TOLERANCE_DB = 0.1


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
    edges_hz
        The frequencies that were asked for.
    """

    kind: str
    fs_hz: float
    sos: tuple[tuple[float, ...], ...]
    edges_hz: tuple[float, ...] = ()

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

    def settled_samples(self, share: float) -> int:
        """Return after how many samples the rest of the impulse response sums up to less than ``share``."""
        return _decay_samples(self, share)

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
        return _power_frequencies(self, 0.5)

    def overall_cutoffs_hz(self, zero_phase: bool) -> list[float]:
        """Return where all that is done is 3 dB down: one causal pass, or forward and backward together."""
        return _power_frequencies(self, math.sqrt(0.5) if zero_phase else 0.5)

    def describe(self) -> dict[str, Any]:
        """Return coefficients and what they achieve, as JSON data."""
        return {
            "sos": [list(section) for section in self.sos],
            "pole_radius": self.pole_radius,
            "minus_3db_hz": self.cutoffs_hz(),
        }


def butterworth(kind: str, frequencies_hz: tuple[float, ...], order: int, fs: Fraction | float) -> FilterDesign:
    """Design a Butterworth filter as ``scipy.signal.butter(order, ..., output="sos")`` does; see ``iir``."""
    return iir(kind, frequencies_hz, order, fs)


def iir(
    kind: str,
    frequencies_hz: tuple[float, ...],
    order: int,
    fs: Fraction | float,
    *,
    family: str = "butterworth",
    ripple_db: float = RIPPLE_DB,
    attenuation_db: float = ATTENUATION_DB,
) -> FilterDesign:
    """Design a filter as SciPy's ``butter``, ``cheby1``, ``cheby2``, ``ellip`` and ``bessel(norm="mag")`` do.

    Parameters
    ----------
    kind
        ``lowpass``, ``highpass`` (one frequency), ``bandpass`` or ``bandstop`` (two).
    frequencies_hz
        Where the gain is -3 dB (Butterworth, Bessel), first falls below the ripple (Chebyshev I, elliptic) or first
        reaches the attenuation (Chebyshev II).
    order
        As SciPy takes it: a band filter has twice as many poles.
    family
        One of FAMILIES.
    ripple_db
        How far the gain falls within the pass-band: Chebyshev I and elliptic.
    attenuation_db
        How far the stop-band is down at least: Chebyshev II and elliptic.

    Raises
    ------
    FilterDesignError
        For a cut-off that is not finite, not above 0 or not below Nyquist, low >= high, order < 1, a ripple or
        attenuation that is none, an unstable result, or one that does not do at its cut-offs what it should.
    """
    rate = float(fs)
    if family not in CUTOFF_GAIN_DB:
        raise FilterDesignError(f"there is no filter family {family!r}; it is one of {', '.join(FAMILIES)}")
    if kind not in FILTER_TYPES:
        raise FilterDesignError(f"there is no {_title(family)} filter {kind!r}; it is one of {', '.join(FILTER_TYPES)}")
    _check_order(order)
    for frequency in frequencies_hz:
        _check_frequency(f"{kind} cut-off", frequency, rate)
    if len(frequencies_hz) == 2 and not frequencies_hz[0] < frequencies_hz[1]:
        low, high = frequencies_hz
        raise FilterDesignError(f"{kind} from {low:g} to {high:g} Hz: the low cut-off must be below the high one")
    _check_decibels(ripple_db, attenuation_db)
    edges = tuple(float(f) for f in frequencies_hz)
    return _iir(kind, edges, int(order), rate, family, float(ripple_db), float(attenuation_db))


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
def _iir(
    kind: str,
    edges_hz: tuple[float, ...],
    order: int,
    fs_hz: float,
    family: str,
    ripple_db: float,
    attenuation_db: float,
) -> FilterDesign:
    from scipy import signal

    cutoff = edges_hz[0] if len(edges_hz) == 1 else list(edges_hz)
    common: dict[str, Any] = {"btype": kind, "fs": fs_hz, "output": "sos"}
    match family:
        case "chebyshev_i":
            sos = signal.cheby1(order, ripple_db, cutoff, **common)
        case "chebyshev_ii":
            sos = signal.cheby2(order, attenuation_db, cutoff, **common)
        case "elliptic":
            sos = signal.ellip(order, ripple_db, attenuation_db, cutoff, **common)
        case "bessel":
            sos = signal.bessel(order, cutoff, norm="mag", **common)
        case _:
            sos = signal.butter(order, cutoff, **common)
    sections = tuple(tuple(float(v) for v in section) for section in sos)
    design = FilterDesign(kind, fs_hz, sections, edges_hz)
    _check_cutoffs(design, family, CUTOFF_GAIN_DB[family](ripple_db, attenuation_db))
    return design


@lru_cache(maxsize=256)
def _notch(frequency_hz: float, bandwidth_hz: float, fs_hz: float) -> FilterDesign:
    from scipy import signal

    b, a = signal.iirnotch(frequency_hz, frequency_hz / bandwidth_hz, fs=fs_hz)
    return FilterDesign("notch", fs_hz, (tuple(float(v) for v in (*b, *a)),), (frequency_hz,))


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


def _check_decibels(ripple_db: float, attenuation_db: float) -> None:
    for name, value in (("ripple", ripple_db), ("attenuation", attenuation_db)):
        if not (math.isfinite(value) and value > 0):
            raise FilterDesignError(f"{name} {value} dB: it must be a number above 0")
    if not ripple_db < attenuation_db:
        raise FilterDesignError(
            f"ripple {ripple_db:g} dB and attenuation {attenuation_db:g} dB: the pass-band must fall by less than the "
            f"stop-band does"
        )


def _check_cutoffs(design: FilterDesign, family: str, wanted_db: float) -> None:
    gains_db = 20 * np.log10(np.maximum(np.abs(design.response(design.edges_hz)), 1e-30))
    worst = float(np.abs(gains_db - wanted_db).max())
    if worst > CUTOFF_TOLERANCE_DB:
        raise FilterDesignError(
            f"this {_title(family)} {design.kind} filter is off by {worst:.3g} dB at its cut-off at {design.fs_hz:g} "
            f"Hz: a computer cannot hold its coefficients well enough; use a lower order, a wider band, or downsample "
            f"first"
        )


def _title(family: str) -> str:
    return {"chebyshev_i": "Chebyshev I", "chebyshev_ii": "Chebyshev II"}.get(family, family.capitalize())


@lru_cache(maxsize=256)
def _decay_samples(design: FilterDesign, negligible: float = NEGLIGIBLE) -> int:
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
    below = np.flatnonzero(rest < negligible)
    return int(below[0]) if len(below) else length


@lru_cache(maxsize=256)
def _power_frequencies(design: FilterDesign, power: float) -> list[float]:
    """Find where one pass has this power gain.

    Brackets on a logarithmic grid, with fine places at the poles, then bisection.
    """
    nyquist = design.fs_hz / 2
    poles = np.concatenate([np.roots(section[3:]) for section in design.sos_array])
    centres = np.abs(np.angle(poles)) * design.fs_hz / (2 * np.pi)
    widths = np.maximum((1 - np.abs(poles)) * design.fs_hz / (2 * np.pi), 1e-12 * nyquist)
    near = (centres[:, None] + widths[:, None] * np.linspace(-20, 20, 401)[None, :]).ravel()
    grid = np.unique(np.concatenate([np.geomspace(1e-7 * nyquist, nyquist * (1 - 1e-9), 4001), near]))
    grid = grid[(grid > 0) & (grid < nyquist)]

    def excess(frequency: F64) -> F64:
        above: F64 = np.abs(design.response(frequency)) ** 2 - power
        return above

    sign = np.sign(excess(grid))
    low, high = grid[:-1][sign[:-1] != sign[1:]], grid[1:][sign[:-1] != sign[1:]]
    rising = excess(low) < 0
    for _ in range(60):
        middle = (low + high) / 2
        below = (excess(middle) < 0) == rising
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return [float(f) for f in (low + high) / 2]
