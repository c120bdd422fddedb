"""Refractory periods in cross-correlograms: did one neuron fire these spikes?

A neuron cannot fire twice within its refractory period, so the auto-correlogram of one unit has a hole at its centre,
and the cross-correlogram of two halves of one neuron has the same hole. The test follows the idea of Pachitariu,
Sridhar, Pennington, Stringer 2024 (Nat. Methods 21:914, Methods, "refractory period"): the count inside windows of
growing width is compared with what the shoulders promise, and with a Poisson count of that mean.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import pdtr, pdtrc

I64 = npt.NDArray[np.int64]

#: Half widths of the windows that may be refractory, in ms.
REFRACTORY_MS = (1.0, 1.5, 2.0, 3.0, 4.0)
#: Shoulders, in ms: the largest of their densities is what is expected at the centre.
SHOULDERS_MS = ((10.0, 30.0), (30.0, 100.0), (100.0, 250.0))
#: Lags shorter than this say nothing: a matcher resolves such pairs to one unit.
CENSOR_MS = 0.5


class Refractoriness(NamedTuple):
    """How empty the centre of a correlogram is.

    Attributes
    ----------
    ratio
        Pairs inside the emptiest window by those expected there: 0 for a perfect refractory period, about 1 for
        independent trains; NaN where nothing is expected (no pairs in any shoulder).
    p_value
        Probability of as few pairs or fewer if they came independently.
    expected
        Number of pairs expected in that window.
    found
        Number of pairs in it.
    """

    ratio: float
    p_value: float
    expected: float
    found: int = 0

    def is_independent(self, ratio: float, p_value: float = 0.05) -> bool:
        """Return whether there are too many pairs for a window that is ``ratio`` as full as the shoulders."""
        return self.found > 0 and bool(pdtrc(self.found - 1, ratio * self.expected) <= p_value)


def cross_refractory(
    times_a: I64, times_b: I64, sampling_rate_hz: float, *, censor_ms: float = CENSOR_MS
) -> Refractoriness:
    """Test the cross-correlogram of two spike trains for a common refractory period.

    Parameters
    ----------
    times_a, times_b
        Sample counters, sorted.
    sampling_rate_hz
        Of the counters.
    censor_ms
        Half width of the innermost window, which is left out.
    """
    inner = _pairs_within(times_a, times_b, censor_ms, sampling_rate_hz)
    return _judge(times_a, times_b, sampling_rate_hz, censor_ms, inner)


def _judge(a: I64, b: I64, rate: float, censor_ms: float, inner: int) -> Refractoriness:
    density = max(
        (_pairs_within(a, b, far, rate) - _pairs_within(a, b, near, rate)) / (2.0 * (far - near))
        for near, far in SHOULDERS_MS
    )
    if density <= 0:
        return Refractoriness(np.nan, 1.0, 0.0)
    best = Refractoriness(np.inf, 1.0, 0.0)
    for half in REFRACTORY_MS:
        if half <= censor_ms:
            continue
        expected = density * 2.0 * (half - censor_ms)
        found = _pairs_within(a, b, half, rate) - inner
        # half a pair more than was found: an empty window of little expectation is no proof
        judged = Refractoriness((found + 0.5) / (expected + 0.5), float(pdtr(found, expected)), expected, found)
        if judged.ratio < best.ratio:
            best = judged
    return best


def _pairs_within(a: I64, b: I64, half_ms: float, rate: float) -> int:
    """Return the number of pairs whose lag is at most ``half_ms``, either way."""
    half = int(half_ms * 1e-3 * rate)
    first = np.searchsorted(b, a - half, side="left")
    last = np.searchsorted(b, a + half, side="right")
    return int((last - first).sum())
