"""ISO-CUT: is a one-dimensional sample unimodal, and where would it be cut? Its definition is in ``cut_reference``.

Source: Magland and Barnett 2015, "Unimodal clustering using isotonic regression: ISO-SPLIT", arXiv:1508.04841,
sections 2 and 3. The lines are ours.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.sorting import cut_reference
from ranvier.sorting.cut_reference import SHORTEST
from ranvier.sorting.isocut_kernels import rising_fit

F64 = npt.NDArray[np.float64]

_rising = numba.njit(rising_fit.function)


@numba.njit
def _unimodal(values, weights):  # type: ignore[no-untyped-def]
    """Return the best fit that rises, then falls."""
    n = values.shape[0]
    rising, falling, up, down = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    back, back_weights = values[::-1].copy(), weights[::-1].copy()
    _rising(values, weights, rising, up)
    _rising(back, back_weights, falling, down)
    last, least = 0, np.inf  # of the rising part
    for i in range(n):
        total = up[i] + (down[n - 2 - i] if i + 1 < n else 0.0)
        if total < least:
            last, least = i, total
    _rising(values[: last + 1].copy(), weights[: last + 1].copy(), rising, up)
    if last + 1 < n:
        _rising(back[: n - last - 1].copy(), back_weights[: n - last - 1].copy(), falling, down)
    for i in range(last + 1, n):
        rising[i] = falling[n - 1 - i]
    return rising


@numba.njit
def _bins(ordered):  # type: ignore[no-untyped-def]
    """Return the bounds of bins that are fine at the ends: indices of points, rising."""
    n = ordered.shape[0] - 1
    half = int(np.ceil(np.sqrt(n / 2.0)))
    bounds = np.empty(2 * half + 1, np.int64)
    whole, count, at = half * (half + 1), 1, 0
    bounds[0] = 0
    for k in range(2 * half):
        at += k + 1 if k < half else 2 * half - k
        bound = np.int64(np.rint(at * (n / whole)))
        if bound != bounds[count - 1]:
            bounds[count] = bound
            count += 1
    return bounds[:count]


@numba.njit
def _smirnov(counts, expected):  # type: ignore[no-untyped-def]
    """Return the distance of two cumulative distributions times the root of the mean number of points."""
    observed, model = counts.sum(), expected.sum()
    apart, a, b = 0.0, 0.0, 0.0
    for i in range(counts.shape[0]):
        a += counts[i]
        b += expected[i]
        apart = max(apart, abs(a / observed - b / model))
    return apart * np.sqrt(0.5 * (observed + model))


@kernel("void(float64[::1], float64[::1])", reference=cut_reference.cut_ordered)
def cut_ordered(ordered: F64, out: F64) -> None:
    """Test an ordered sample for one mode: write the score, and where it is best cut (see ``isocut``).

    Parameters
    ----------
    ordered
        ``(points,)``, at least ``SHORTEST``, not all equal.
    out
        ``(2,)``, written: score and position.
    """
    bounds = _bins(ordered)
    n = bounds.shape[0] - 1
    smallest = (ordered[-1] - ordered[0]) * 1e-9
    counts, widths, density = np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        counts[i] = bounds[i + 1] - bounds[i]
        widths[i] = max(ordered[bounds[i + 1]] - ordered[bounds[i]], smallest)
        density[i] = np.log(counts[i] / widths[i])
    fit = _unimodal(density, counts)
    peak = int(np.argmax(fit))
    expected = np.exp(fit) * widths
    expected *= counts.sum() / expected.sum()
    best, low, high = -1.0, 0, n
    for rising in (True, False):
        length = peak + 1 if rising else n - peak
        whole = length
        while length >= SHORTEST or length == whole:
            first = 0 if rising else n - length
            score = _smirnov(counts[first : first + length], expected[first : first + length])
            if score > best:
                best, low, high = score, first, first + length
            if length == 1:
                break
            length //= 2
    valley = low + int(np.argmin(-_unimodal(fit[low:high] - density[low:high], widths[low:high].copy())))
    out[0] = best
    out[1] = 0.5 * (ordered[bounds[valley]] + ordered[bounds[valley + 1]])
