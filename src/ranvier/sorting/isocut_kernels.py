"""ISO-CUT: is a one-dimensional sample unimodal, and where would it be cut? Its definition is in ``isocut``.

Source: Magland and Barnett 2015, "Unimodal clustering using isotonic regression: ISO-SPLIT", arXiv:1508.04841,
sections 2 and 3. The lines are ours.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

F64 = npt.NDArray[np.float64]


def rising_fit_reference(values: F64, weights: F64, fit: F64, errors: F64) -> None:
    """Define :func:`rising_fit`: the best non-decreasing fit of every leading part, by the min-max formula."""
    for n in range(1, len(values) + 1):
        total = np.concatenate(([0.0], np.cumsum(weights[:n] * values[:n])))
        weight = np.concatenate(([0.0], np.cumsum(weights[:n])))
        means = np.full((n, n), np.inf)
        for a in range(n):
            means[a, a:] = (total[a + 1 :] - total[a]) / (weight[a + 1 :] - weight[a])
        fit[:n] = [max(means[a, i:].min() for a in range(i + 1)) for i in range(n)]
        errors[n - 1] = np.sum(weights[:n] * (values[:n] - fit[:n]) ** 2)


@kernel("void(float64[::1], float64[::1], float64[::1], float64[::1])", reference=rising_fit_reference)
def rising_fit(values: F64, weights: F64, fit: F64, errors: F64) -> None:
    """Fit a non-decreasing sequence by weighted least squares (pool adjacent violators, one pass).

    Parameters
    ----------
    values, weights
        ``(n,)``; the weights are positive.
    fit
        ``(n,)``, written: the fit of all values.
    errors
        ``(n,)``, written: the weighted squared error of the best fit of ``values[: i + 1]``.
    """
    n = values.shape[0]
    mean, weight, squares = np.empty(n), np.empty(n), np.empty(n)
    first = np.empty(n, np.int64)
    pools = 0
    before = np.zeros(n + 1)  # the error of all pools before this one
    for i in range(n):
        mean[pools], weight[pools], squares[pools], first[pools] = values[i], weights[i], 0.0, i
        while pools > 0 and mean[pools - 1] >= mean[pools]:
            a, b = pools - 1, pools
            both = weight[a] + weight[b]
            apart = mean[b] - mean[a]
            squares[a] += squares[b] + apart * apart * weight[a] * weight[b] / both
            mean[a] += apart * weight[b] / both
            weight[a] = both
            pools = a
        before[pools + 1] = before[pools] + squares[pools]
        errors[i] = before[pools + 1]
        pools += 1
    end = n
    for p in range(pools - 1, -1, -1):
        fit[first[p] : end] = mean[p]
        end = first[p]


#: A stretch of fewer bins is not tested for itself.
SHORTEST = 4

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


@kernel("void(float64[::1], float64[::1])")
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
