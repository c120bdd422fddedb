"""One packet of one channel per row: sums, extremes and exact medians in a few passes over memory that is in cache."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from ranvier.kernels import kernel
from ranvier.metrics.row_kernels import (
    DRAWN,
    extent,
    mark_missing,
    median_deviation,
    median_deviation_reference,
    moments,
    moments_reference,
)

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
        table[c, MEAN], table[c, M2] = moments_reference(x)
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
        table[c, MAD] = median_deviation_reference(x)


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
        middle values, rounded to float32, for even counts).
    """
    channels, samples = values.shape
    row, away = np.empty((1, samples), np.float32), np.empty((1, samples + 1), np.float32)
    near, drawn = np.empty(samples, np.float32), np.empty(DRAWN, np.float32)
    for c in range(channels):
        row[0] = values[c]
        summed, _, _ = extent(row, 0, samples)
        whole = np.isfinite(summed)
        if not whole:
            mark_missing(row[0])
        n, mean, squares = moments(row, summed, 0, samples, whole)
        _extremes(row[0], low[c], high[c], table[c])
        if n > 0:
            sd = np.sqrt(squares / n)
            table[c, COUNT], table[c, MEAN], table[c, M2] = n, mean, squares
            table[c, MAD] = median_deviation(row, 0, samples, whole, mean, sd, near, away, drawn)


@register_jitable  # type: ignore[untyped-decorator]
def _extremes(row: Any, low: Any, high: Any, out: Any) -> Any:
    """Write the two extremes of each side, and counts of them, of equal neighbours and of samples at the rails."""
    pairs, same, rail = 0, 0, 0
    least, n_least, least_2, n_least_2 = np.float32(np.inf), 0, np.float32(np.inf), 0
    most, n_most, most_2, n_most_2 = np.float32(-np.inf), 0, np.float32(-np.inf), 0
    before = np.float32(np.nan)
    for i in range(row.shape[0]):
        x = row[i]
        if np.isnan(x):
            before = x
            continue
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
    out[COUNT], out[MEAN], out[M2], out[MAD] = 0, 0.0, 0.0, np.nan
    out[MIN], out[N_MIN], out[MIN_2], out[N_MIN_2] = least, n_least, least_2, n_least_2
    out[MAX], out[N_MAX], out[MAX_2], out[N_MAX_2] = most, n_most, most_2, n_most_2
    out[PAIRS], out[SAME], out[RAIL] = pairs, same, rail
