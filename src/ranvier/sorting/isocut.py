"""ISO-CUT: test one-dimensional data for a single mode, and find the best cut where there are two.

Source: Magland and Barnett 2015, arXiv:1508.04841: the density between sorted points is compared with its best
unimodal ("up, then down") fit; the score is a Kolmogorov-Smirnov distance times the root of the number of points,
maximised over stretches that run from either end up to the peak, so that a small cluster beside a big one counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ranvier.sorting.isocut_kernels import SHORTEST, cut_ordered, rising_fit

F64 = npt.NDArray[np.float64]


class Cut(NamedTuple):
    """What ISO-CUT says of a sample.

    Attributes
    ----------
    score
        How far it is from unimodal; about 1 or less for one mode, whatever the number of points.
    position
        Where the sample is best cut, in its own unit; what lies below belongs to the first part.
    """

    score: float
    position: float


def isocut(sample: npt.NDArray[np.floating]) -> Cut:
    """Test a sample for unimodality.

    Parameters
    ----------
    sample
        ``(points,)``, finite; not sorted.

    Returns
    -------
    Cut
        Score 0 and position 0 where there are fewer than four different points.
    """
    ordered = np.sort(np.asarray(sample, np.float64))
    if len(ordered) < SHORTEST or ordered[0] == ordered[-1]:
        return Cut(0.0, 0.0)
    found = np.empty(2)
    cut_ordered(ordered, found)
    return Cut(float(found[0]), float(found[1]))


def isocut_reference(ordered: F64) -> Cut:
    """Define :func:`isocut` for an ordered sample that is not all equal."""
    edges, counts, widths = _bins(ordered)
    density = np.log(counts / widths)
    fit, peak = unimodal_fit(density, counts)
    expected = np.exp(fit) * widths
    expected *= counts.sum() / expected.sum()
    score, low, high = _distance(counts, expected, peak)
    valley = low + int(np.argmin(_valley_fit((density - fit)[low:high], widths[low:high])))
    return Cut(score, float(0.5 * (edges[valley] + edges[valley + 1])))


def unimodal_fit(values: F64, weights: F64) -> tuple[F64, int]:
    """Return the best fit that rises, then falls, by weighted least squares, and the index of its peak."""
    n = len(values)
    rising, falling = np.empty(n), np.empty(n)
    up, down = np.empty(n), np.empty(n)
    rising_fit(values, weights, rising, up)
    rising_fit(np.ascontiguousarray(values[::-1]), np.ascontiguousarray(weights[::-1]), falling, down)
    total = up.copy()
    total[:-1] += down[::-1][1:]
    last = int(np.argmin(total))  # of the rising part
    fit = np.empty(n)
    rising_fit(np.ascontiguousarray(values[: last + 1]), np.ascontiguousarray(weights[: last + 1]), fit[: last + 1], up)
    if last + 1 < n:
        tail = np.empty(n - last - 1)
        rest = slice(None, last, -1)
        rising_fit(np.ascontiguousarray(values[rest]), np.ascontiguousarray(weights[rest]), tail, down)
        fit[last + 1 :] = tail[::-1]
    return fit, int(np.argmax(fit))


def _bins(ordered: F64) -> tuple[F64, F64, F64]:
    """Return edges, counts and widths of bins that are fine at the ends, where a small cluster may lie."""
    n = len(ordered) - 1  # intervals between neighbours
    half = int(np.ceil(np.sqrt(n / 2.0)))
    sizes = np.concatenate([np.arange(1, half + 1), np.arange(half, 0, -1)])
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    bounds = np.unique(np.round(bounds * (n / bounds[-1])).astype(np.int64))
    edges = ordered[bounds]
    smallest = (ordered[-1] - ordered[0]) * 1e-9
    return edges, np.diff(bounds).astype(np.float64), np.maximum(np.diff(edges), smallest)


def _distance(counts: F64, expected: F64, peak: int) -> tuple[float, int, int]:
    """Return the largest distance of all stretches from an end to the peak, and that stretch."""
    n = len(counts)
    best = (-1.0, 0, n)
    for sign in (1, -1):
        length = peak + 1 if sign == 1 else n - peak
        whole = length
        while length >= SHORTEST or length == whole:
            low, high = (0, length) if sign == 1 else (n - length, n)
            score = _kolmogorov_smirnov(counts[low:high], expected[low:high])
            if score > best[0]:
                best = (score, low, high)
            if length == 1:
                break
            length //= 2
    return best


def _kolmogorov_smirnov(counts: F64, expected: F64) -> float:
    """Return the distance of two cumulative distributions times the root of the mean number of points."""
    observed, model = counts.sum(), expected.sum()
    apart = np.abs(np.cumsum(counts) / observed - np.cumsum(expected) / model).max()
    return float(apart * np.sqrt(0.5 * (observed + model)))


def _valley_fit(values: F64, weights: F64) -> F64:
    """Return the best fit that falls, then rises."""
    return -unimodal_fit(np.ascontiguousarray(-values), np.ascontiguousarray(weights))[0]
