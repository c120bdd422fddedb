"""One packet of one channel per row: sums, extremes and exact medians in a few passes over memory that is in cache."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from ranvier.kernels import kernel

#: Columns of a packet table, float64.
COUNT, MEAN, M2 = 0, 1, 2  # finite samples, their mean, sum of squared differences from it
MIN, N_MIN, MIN_2, N_MIN_2 = 3, 4, 5, 6  # the two lowest distinct values and how often each occurs
MAX, N_MAX, MAX_2, N_MAX_2 = 7, 8, 9, 10  # the two highest
PAIRS, SAME = 11, 12  # neighbouring finite samples, and how many of these pairs are equal
RAIL = 13  # samples at or beyond the limits
MAD = 14  # median of |x - median(x)|
COLUMNS = 15


def packet_table_reference(
    values: npt.NDArray[np.float32],
    low: npt.NDArray[np.float32],
    high: npt.NDArray[np.float32],
    table: npt.NDArray[np.float64],
) -> None:
    """Define :func:`packet_table`."""
    for c, row in enumerate(values):
        finite = np.isfinite(row)
        x = row[finite]
        table[c] = _EMPTY
        table[c, COUNT] = len(x)
        if not len(x):
            continue
        exact = x.astype(np.float64)
        table[c, MEAN] = np.sum(exact) / len(x)
        table[c, M2] = np.sum((exact - table[c, MEAN]) ** 2)
        distinct, counts = np.unique(x, return_counts=True)
        table[c, MIN], table[c, N_MIN], table[c, MAX], table[c, N_MAX] = (
            distinct[0],
            counts[0],
            distinct[-1],
            counts[-1],
        )
        if len(distinct) > 1:
            table[c, MIN_2], table[c, N_MIN_2] = distinct[1], counts[1]
            table[c, MAX_2], table[c, N_MAX_2] = distinct[-2], counts[-2]
        table[c, PAIRS] = np.sum(finite[1:] & finite[:-1])
        table[c, SAME] = np.sum((row[1:] == row[:-1]) & finite[1:])
        table[c, RAIL] = np.sum((x <= low[c]) | (x >= high[c]))
        table[c, MAD] = _median_reference(np.abs(x - _median_reference(x)))


def _median_reference(x: npt.NDArray[np.float32]) -> Any:
    ranked = np.sort(x)
    middle = (float(ranked[(len(x) - 1) // 2]) + float(ranked[len(x) // 2])) / 2
    return np.float32(middle)


_EMPTY = np.array([0, 0, 0, np.inf, 0, np.inf, 0, -np.inf, 0, -np.inf, 0, 0, 0, 0, np.nan])


@kernel(
    "void(float32[:,::1], float32[::1], float32[::1], float64[:,::1])",
    reference=packet_table_reference,
)
def packet_table(
    values: npt.NDArray[np.float32],
    low: npt.NDArray[np.float32],
    high: npt.NDArray[np.float32],
    table: npt.NDArray[np.float64],
) -> None:
    """Fill a table with the statistics of one packet.

    Parameters
    ----------
    values
        ``(channels, samples)``, one channel per row; samples that are not finite are missing.
    low, high
        Per channel, the limits at or beyond which a sample counts as at the rails; infinite where unknown.
    table
        ``(channels, COLUMNS)``, filled. The variance is by two passes, the medians are exact (the mean of the two
        middle values, rounded to float32, for even counts), found by radix selection.
    """
    channels, samples = values.shape
    keys = np.empty(samples, np.uint32)
    spare = np.empty(samples, np.uint32)
    histogram = np.empty(2048, np.int64)
    for c in range(channels):
        row = values[c]
        n, total = _extremes(row, low[c], high[c], table[c])
        if n == 0:
            continue
        mean = total / n
        squares = 0.0
        bits = row.view(np.uint32)
        k = 0
        for i in range(samples):
            if np.isfinite(row[i]):
                difference = np.float64(row[i]) - mean
                squares += difference * difference
                keys[k] = _ordered(bits[i])
                k += 1
        table[c, MEAN] = mean
        table[c, M2] = squares
        median = _median(keys, n, spare, histogram)
        # |x - median| is not negative, and the bits of such floats have the order of their values
        deviations = keys.view(np.float32)
        k = 0
        for i in range(samples):
            if np.isfinite(row[i]):
                deviations[k] = np.abs(row[i] - median)
                k += 1
        for i in range(n):
            keys[i] |= np.uint32(0x80000000)
        table[c, MAD] = _median(keys, n, spare, histogram)


@register_jitable  # type: ignore[untyped-decorator]
def _extremes(row: Any, low: Any, high: Any, out: Any) -> Any:
    """Write counts and the two extremes of each side; return the number of finite samples and their sum."""
    n, pairs, same, rail = 0, 0, 0, 0
    total = 0.0
    least, n_least, least_2, n_least_2 = np.float32(np.inf), 0, np.float32(np.inf), 0
    most, n_most, most_2, n_most_2 = np.float32(-np.inf), 0, np.float32(-np.inf), 0
    before = np.float32(np.nan)
    for i in range(row.shape[0]):
        x = row[i]
        if not np.isfinite(x):
            before = np.float32(np.nan)
            continue
        n += 1
        total += np.float64(x)
        if not np.isnan(before):
            pairs += 1
            same += x == before
        before = x
        rail += (x <= low) | (x >= high)
        if x >= most_2:
            if x > most:
                most_2, n_most_2 = most, n_most
                most, n_most = x, 1
            elif x == most:
                n_most += 1
            elif x > most_2:
                most_2, n_most_2 = x, 1
            else:
                n_most_2 += 1
        if x <= least_2:
            if x < least:
                least_2, n_least_2 = least, n_least
                least, n_least = x, 1
            elif x == least:
                n_least += 1
            elif x < least_2:
                least_2, n_least_2 = x, 1
            else:
                n_least_2 += 1
    out[COUNT], out[MEAN], out[M2], out[MAD] = n, 0.0, 0.0, np.nan
    out[MIN], out[N_MIN], out[MIN_2], out[N_MIN_2] = least, n_least, least_2, n_least_2
    out[MAX], out[N_MAX], out[MAX_2], out[N_MAX_2] = most, n_most, most_2, n_most_2
    out[PAIRS], out[SAME], out[RAIL] = pairs, same, rail
    return n, total


@register_jitable  # type: ignore[untyped-decorator]
def _ordered(bits: Any) -> Any:
    """Map the bits of a float32 to an integer of the same order."""
    if bits & np.uint32(0x80000000):
        return ~bits
    return bits | np.uint32(0x80000000)


@register_jitable  # type: ignore[untyped-decorator]
def _median(keys: Any, n: Any, spare: Any, histogram: Any) -> Any:
    """Return the median of ``n`` ordered keys as float32."""
    lower, not_above = _select(keys, n, (n - 1) // 2, spare, histogram)
    upper = lower
    if n // 2 >= not_above:  # n is even and the upper middle is the next larger key
        upper = np.uint32(0xFFFFFFFF)
        for i in range(n):
            if keys[i] > lower and keys[i] < upper:
                upper = keys[i]
    return np.float32((np.float64(_value(lower)) + np.float64(_value(upper))) / 2.0)


@register_jitable  # type: ignore[untyped-decorator]
def _value(key: Any) -> Any:
    """Return the float32 whose ordered key this is."""
    bits = np.empty(1, np.uint32)
    bits[0] = key ^ np.uint32(0x80000000) if key & np.uint32(0x80000000) else ~key
    return bits.view(np.float32)[0]


@register_jitable  # type: ignore[untyped-decorator]
def _select(keys: Any, n: Any, rank: Any, spare: Any, histogram: Any) -> Any:
    """Return the key of a rank (0 = least) and how many keys are not above it: radix selection, 11 + 11 + 10 bits."""
    source = keys
    below = 0
    for shift in (21, 10, 0):
        histogram[:] = 0
        for i in range(n):
            histogram[(source[i] >> np.uint32(shift)) & np.uint32(2047)] += 1
        digit = 0
        while below + histogram[digit] <= rank:
            below += histogram[digit]
            digit += 1
        k = 0
        for i in range(n):
            key = source[i]
            spare[k] = key
            k += ((key >> np.uint32(shift)) & np.uint32(2047)) == digit
        # with the last shift, bit 10 is the same in all that is left: the 2047 mask does no harm
        n = k
        source = spare
    return spare[0], below + n
