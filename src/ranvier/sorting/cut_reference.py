"""ISO-CUT in NumPy: what the kernel of ``cut_kernels`` computes (Magland and Barnett 2015, arXiv:1508.04841)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.sorting.isocut_kernels import rising_fit

F64 = npt.NDArray[np.float64]

#: A stretch of fewer bins is not tested for itself.
SHORTEST = 4


def cut_ordered(ordered: F64, out: F64) -> None:
    """Define :func:`ranvier.sorting.cut_kernels.cut_ordered`."""
    edges, counts, widths = _bins(ordered)
    density = np.log(counts / widths)
    fit, peak = unimodal_fit(density, counts)
    expected = np.exp(fit) * widths
    expected *= counts.sum() / expected.sum()
    score, low, high = _distance(counts, expected, peak)
    valley = low + int(np.argmin(_valley_fit((density - fit)[low:high], widths[low:high])))
    out[:] = score, 0.5 * (edges[valley] + edges[valley + 1])


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
