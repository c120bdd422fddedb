"""What a filter achieves, at its corners and beyond: told before it is used, and kept in provenance."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp.design import FilterDesign
from ranvier.exceptions import FilterDesignError

F64 = npt.NDArray[np.float64]

#: The rest of the impulse response sums up to less than this share when a filter counts as settled.
SETTLED = 0.01

#: Gains below this are told as this: a zero of the filter is no number in dB.
LOWEST_DB = -300.0

#: Points of the curve.
POINTS = 256


def group_delay_sec(design: FilterDesign, frequency_hz: npt.ArrayLike) -> F64:
    """Return the delay of one causal pass: minus the derivative of phase by angular frequency.

    For a polynomial p(z) = sum c_k z^-k it is Re(sum k c_k z^-k / p); the filter's is numerator minus denominator
    (Oppenheim & Schafer, *Discrete-Time Signal Processing*, section 5.1.2).
    """
    z = np.exp(-2j * np.pi * np.asarray(frequency_hz, dtype=np.float64) / design.fs_hz)
    delay = np.zeros(z.shape)
    for b0, b1, b2, a0, a1, a2 in design.sos:
        for sign, (c0, c1, c2) in ((1, (b0, b1, b2)), (-1, (a0, a1, a2))):
            value = c0 + c1 * z + c2 * z**2
            value = np.where(value == 0, np.nan, value)
            delay += sign * ((c1 * z + 2 * c2 * z**2) / value).real
    return delay / design.fs_hz


@lru_cache(maxsize=64)
def achieved(design: FilterDesign, *, zero_phase: bool = False) -> dict[str, Any]:
    """Return what all passes together do, as JSON data.

    Returns
    -------
    dict
        ``minus_3db_hz``: where the gain really is -3 dB. ``edges_hz``, ``edge_gain_db``: the frequencies asked for.
        ``beyond_hz``, ``beyond_gain_db``: one octave beyond each edge, on the side that is removed (the middle of a
        band-stop). ``max_group_delay_sec``: within the pass-band; 0 for zero phase. ``settling_sec``: until what was
        before shows by less than 1 % of its size; None for a filter that practically never settles.
    """
    passes = 2 if zero_phase else 1
    beyond = _beyond(design)
    corners = design.overall_cutoffs_hz(zero_phase)
    delay = group_delay_sec(design, _pass_band(design))
    finite = delay[np.isfinite(delay)]
    try:
        settling: float | None = design.settled_samples(SETTLED) / design.fs_hz
    except FilterDesignError:
        settling = None
    return {
        "minus_3db_hz": corners,
        "edges_hz": list(design.edges_hz),
        "edge_gain_db": _gain_db(design, design.edges_hz, passes),
        "beyond_hz": beyond,
        "beyond_gain_db": _gain_db(design, beyond, passes),
        "max_group_delay_sec": 0.0 if zero_phase or not len(finite) else float(finite.max()),
        "settling_sec": settling,
        "pole_radius": design.pole_radius,
    }


def curve(design: FilterDesign, *, zero_phase: bool = False, points: int = POINTS) -> dict[str, list[float]]:
    """Return frequencies (logarithmic, a decade beyond the edges, and these), gain in dB and group delay in seconds."""
    nyquist = design.fs_hz / 2
    low = min(design.edges_hz, default=nyquist / 1000) / 10
    high = min(nyquist * 0.999, max(design.edges_hz, default=nyquist) * 10)
    frequency = np.union1d(np.geomspace(low, high, points), [f for f in design.edges_hz if low < f < high])
    delay = np.zeros(len(frequency)) if zero_phase else np.nan_to_num(group_delay_sec(design, frequency))
    return {
        "frequency_hz": frequency.tolist(),
        "gain_db": _gain_db(design, frequency, 2 if zero_phase else 1),
        "group_delay_sec": delay.tolist(),
    }


def _gain_db(design: FilterDesign, frequency_hz: npt.ArrayLike, passes: int) -> list[float]:
    gain = np.atleast_1d(np.abs(design.response(frequency_hz)))
    decibels = passes * 20 * np.log10(np.maximum(gain, 1e-150))
    return [float(g) for g in np.maximum(decibels, LOWEST_DB)]


def _beyond(design: FilterDesign) -> list[float]:
    edges, nyquist = design.edges_hz, design.fs_hz / 2
    match design.kind:
        case "lowpass":
            return [min(2 * edges[0], nyquist)]
        case "highpass":
            return [edges[0] / 2]
        case "bandpass":
            return [edges[0] / 2, min(2 * edges[1], nyquist)]
        case "bandstop":
            return [float(np.sqrt(edges[0] * edges[1]))]
    return list(edges)


def _pass_band(design: FilterDesign) -> F64:
    """Return a dense grid of the frequencies that pass."""
    nyquist = design.fs_hz / 2
    corners = design.overall_cutoffs_hz(False) if design.kind == "notch" else list(design.edges_hz)
    match design.kind:
        case "lowpass":
            bands = [(corners[0] * 1e-3, corners[0])]
        case "highpass":
            bands = [(corners[0], nyquist * 0.999)]
        case "bandpass":
            bands = [(corners[0], corners[1])]
        case _:
            bands = [(corners[0] * 1e-3, corners[0]), (corners[-1], nyquist * 0.999)]
    return np.concatenate([np.geomspace(a, b, 2001) for a, b in bands])
