"""Statistics of one row of samples that is in the cache: moments, extremes, exact medians; for kernels of metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from ranvier.kernels.lanes import (
    BITS,
    WIDTH,
    greater,
    lesser,
    load,
    lowest_bit,
    prefetch,
    spread,
    total,
    turn,
    within,
)
from ranvier.kernels.lanes import least as least_of
from ranvier.kernels.lanes import most as most_of

F32 = npt.NDArray[np.float32]

#: Columns that are turned into rows together: a cache line of int16 counts, two of float32.
GROUP = 32
#: Rows that are asked for before they are turned.
AHEAD = 32
#: So few values are gathered and ranked rather than counted again.
FEW = 700
#: How far, as a share of a range, interpolation in it may err because densities are not flat.
CURVED = 0.02
#: Values drawn to guess where a median lies, and how many of them around it are the guess (3.5 standard deviations).
DRAWN = 64
_AROUND = 14
#: Where medians are looked for first, in standard deviations: around the mean, and of the absolute deviation.
NEAR_MEAN = 0.1
MAD_RANGE = (0.5, 0.72)

_NAN = np.float32(np.nan)
_INF = np.float32(np.inf)


def moments_reference(x: F32) -> tuple[Any, Any]:
    """Define :func:`moments` of finite samples: mean, and sum of squares about it."""
    mean = np.mean(x, dtype=np.float64)
    return mean, np.sum((x.astype(np.float64) - mean) ** 2)


def median_deviation_reference(x: F32) -> Any:
    """Define :func:`median_deviation`."""
    x = x[np.isfinite(x)]
    return median_reference(np.abs(x - median_reference(x))) if len(x) else _NAN


def median_reference(x: F32) -> Any:
    """Define :func:`median`."""
    ranked = np.sort(x)
    return np.float32((float(ranked[(len(x) - 1) // 2]) + float(ranked[len(x) // 2])) / 2)


@register_jitable  # type: ignore[untyped-decorator]
def columns_to_rows(samples: Any, left: Any, width: Any, turned: Any) -> Any:
    """Turn columns into rows: each line of the cache is read once (columns of a power of two share cache sets)."""
    n = samples.shape[0]
    inner, across = n // WIDTH * WIDTH, width // WIDTH * WIDTH
    for i in range(0, inner, WIDTH):
        for k in range(i + AHEAD, i + AHEAD + WIDTH):
            prefetch(samples, k, left)
            prefetch(samples, k, left + GROUP // 2)
        for k in range(0, across, WIDTH):
            turn(samples, i, left + k, turned, k, i)
    for i in range(n):
        for k in range(across if i < inner else 0, width):
            turned[k, i] = samples[i, left + k]


@register_jitable  # type: ignore[untyped-decorator]
def extent(row: Any, a: Any, b: Any) -> Any:
    """Return the sum, the least and the most of ``row[0, a:b]``; NaN is neither least nor most."""
    one, two, low, high = spread(0.0), spread(0.0), spread(np.inf), spread(-np.inf)
    low_2, high_2 = low, high
    end = a + (b - a) // (2 * WIDTH) * (2 * WIDTH)
    for i in range(a, end, 2 * WIDTH):
        first, second = load(row, 0, i), load(row, 0, i + WIDTH)
        one += first
        two += second
        low, low_2 = lesser(first, low), lesser(second, low_2)
        high, high_2 = greater(first, high), greater(second, high_2)
    summed, bottom, top = total(one + two), least_of(lesser(low, low_2)), most_of(greater(high, high_2))
    for i in range(end, b):
        value = np.float64(row[0, i])
        summed += value
        bottom = value if value < bottom else bottom
        top = value if value > top else top
    return summed, bottom, top


@register_jitable  # type: ignore[untyped-decorator]
def mark_missing(x: Any) -> Any:
    """Make all that is not finite NaN, which no comparison finds."""
    for i in range(len(x)):
        if not np.isfinite(x[i]):
            x[i] = _NAN


@register_jitable  # type: ignore[untyped-decorator]
def _squares(row: Any, a: Any, b: Any, mean: Any) -> Any:
    one, two = spread(0.0), spread(0.0)
    end = a + (b - a) // (2 * WIDTH) * (2 * WIDTH)
    for i in range(a, end, 2 * WIDTH):
        first = load(row, 0, i) - mean
        second = load(row, 0, i + WIDTH) - mean
        one += first * first
        two += second * second
    result = total(one + two)
    for i in range(end, b):
        rest = np.float64(row[0, i]) - mean
        result += rest * rest
    return result


@register_jitable  # type: ignore[untyped-decorator]
def moments(row: Any, summed: Any, a: Any, b: Any, whole: Any) -> Any:
    """Return how many samples are there, their mean and their sum of squares about it, by two passes."""
    if whole:
        mean = summed / (b - a)
        return b - a, mean, _squares(row, a, b, mean)
    n, summed, squares = 0, 0.0, 0.0
    for i in range(a, b):
        if not np.isnan(row[0, i]):
            n += 1
            summed += np.float64(row[0, i])
    mean = summed / max(n, 1)
    for i in range(a, b):
        if not np.isnan(row[0, i]):
            squares += (np.float64(row[0, i]) - mean) ** 2
    return n, mean, squares


@register_jitable  # type: ignore[untyped-decorator]
def first_of(row: Any, value: Any, a: Any, b: Any) -> Any:
    """Return where in ``[a, b)`` a value that is there is first."""
    i = a
    while i + BITS <= b:
        found = within(row, 0, i, value, value)
        if found != 0:
            return i + lowest_bit(found)
        i += BITS
    while row[0, i] != value:
        i += 1
    return i


@register_jitable  # type: ignore[untyped-decorator]
def median_deviation(row: Any, a: Any, b: Any, whole: Any, mean: Any, sd: Any, near: Any, away: Any, drawn: Any) -> Any:
    """Return the median of ``|x - median(x)|``, exactly; mean and standard deviation only tell where to look first."""
    least, most = np.float32(mean - NEAR_MEAN * sd), np.float32(mean + NEAR_MEAN * sd)
    n, x = b - a, row[0, a:b]
    if whole:
        middle = median(row, a, b, least, most, near, drawn)
        for i in range(n):
            away[0, i] = np.abs(x[i] - middle)
    else:
        n = 0
        for i in range(a, b):
            away[0, n] = row[0, i]
            n += not np.isnan(row[0, i])
        if n == 0:
            return _NAN
        middle = median(away, 0, n, least, most, near, drawn)
        for i in range(n):
            away[0, i] = np.abs(away[0, i] - middle)
    return median(away, 0, n, np.float32(MAD_RANGE[0] * sd), np.float32(MAD_RANGE[1] * sd), near, drawn)


@register_jitable  # type: ignore[untyped-decorator]
def median(row: Any, a: Any, b: Any, least: Any, most: Any, near: Any, drawn: Any) -> Any:
    """Return the median of ``row[0, a:b]``, as float32, which may lie in ``[least, most]``.

    If it does not, a sample says between which values it lies (Floyd and Rivest 1975); counting narrows that by
    interpolation, and what is left between is ranked. Counts prove the bounds: where both guesses were wrong, all is
    ranked.
    """
    n = b - a
    lower, upper = (n - 1) // 2, n // 2
    x = row[0, a:b]
    below, kept = 0, n
    if n > 4 * DRAWN:
        under, upto = _number_up_to(x, least, most)
        if not (under <= lower and upper < upto):
            least, most = _drawn_range(x, drawn)
            under, upto = _number_up_to(x, least, most)
        if under <= lower and upper < upto:
            least, most, under, upto = _narrowed(x, least, most, under, upto, lower, upper)
            if least == most:
                return least
            below, kept = under, _gather(row, a, b, least, most, near)
    if kept == n:
        near[:n] = x
    one, not_above, two = _ranked(near, kept, lower - below)
    if upper - below < not_above:
        two = one
    return np.float32((np.float64(one) + np.float64(two)) / 2.0)


@register_jitable  # type: ignore[untyped-decorator]
def _ranked(x: Any, n: Any, rank: Any) -> Any:
    """Return the value of a rank (0 = least) of the first ``n``, how many are not above it, and the next larger.

    Hoare's selection; each turn counts first and then moves what is left to the front, without branches.
    """
    dropped, following = 0, _INF
    while True:
        one, two, three = x[0], x[n // 2], x[n - 1]
        pivot = max(min(one, two), min(max(one, two), three))
        below, upto = _number_up_to(x[:n], pivot, pivot)
        k = 0
        if rank < below:
            following = pivot
            for i in range(n):
                value = x[i]
                x[k] = value
                k += value < pivot
            n = below
        elif rank >= upto:
            for i in range(n):
                value = x[i]
                x[k] = value
                k += value > pivot
            dropped, n, rank = dropped + upto, n - upto, rank - upto
        else:
            for i in range(n):
                following = x[i] if x[i] > pivot and x[i] < following else following
            return pivot, dropped + upto, following


@register_jitable  # type: ignore[untyped-decorator]
def _drawn_range(x: Any, drawn: Any) -> Any:
    """Return between which values the median lies, by a sample."""
    step = len(x) // DRAWN
    for i in range(DRAWN):
        drawn[i] = x[i * step + step // 2]
    drawn.sort()
    return drawn[DRAWN // 2 - _AROUND], drawn[DRAWN // 2 + _AROUND]


@register_jitable  # type: ignore[untyped-decorator]
def _narrowed(x: Any, least: Any, most: Any, under: Any, upto: Any, lower: Any, upper: Any) -> Any:
    """Narrow ``[least, most]``, which holds the ranks ``lower`` and ``upper``, while both stay on one side."""
    for _ in range(8):
        inside = upto - under
        if inside <= FEW or least == most:
            break
        share = (lower - under + 0.5) / inside
        half = 2.0 / np.sqrt(np.float64(inside)) + CURVED
        width = np.float64(most) - np.float64(least)
        low = max(least, np.float32(least + width * (share - half)))
        high = min(most, np.float32(least + width * (share + half)))
        to_low, to_high = _number_up_to(x, low, high)
        if to_low <= lower and upper < to_high:
            if to_high - to_low == inside:
                break
            least, most, under, upto = low, high, to_low, to_high
        elif upper < to_low:
            most, upto = np.nextafter(low, -_INF), to_low
        elif lower >= to_high:
            least, under = np.nextafter(high, _INF), to_high
        else:
            break
    return least, most, under, upto


@register_jitable  # type: ignore[untyped-decorator]
def _number_up_to(x: Any, low: Any, high: Any) -> Any:
    """Return how many values are below ``low``, and how many are not above ``high``; none is NaN."""
    below, above = np.int32(0), np.int32(0)
    for i in range(len(x)):
        below += np.int32(x[i] < low)
        above += np.int32(x[i] > high)
    return np.int64(below), np.int64(len(x) - above)


@register_jitable  # type: ignore[untyped-decorator]
def _gather(row: Any, a: Any, b: Any, least: Any, most: Any, near: Any) -> Any:
    """Copy what lies in ``[least, most]``; return how many."""
    k = 0
    end = a + (b - a) // BITS * BITS
    for begin in range(a, end, BITS):
        found = within(row, 0, begin, least, most)
        while found != 0:
            near[k] = row[0, begin + lowest_bit(found)]
            k += 1
            found &= found - np.uint64(1)
    for i in range(end, b):
        if row[0, i] >= least and row[0, i] <= most:
            near[k] = row[0, i]
            k += 1
    return k
