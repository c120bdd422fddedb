"""Row statistics over channels, for common references.

The order of a sum is fixed by the number of channels alone: two times WIDTH partial sums in float64 (channel c goes to
number c mod 2 WIDTH), added up by halves, then the channels behind the last whole group, one by one. Chunking and
threads cannot change it.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.dsp import references
from ranvier.kernels import kernel
from ranvier.kernels.lanes import WIDTH, load, spread, total

#: The largest float32 that is a number.
LARGEST = np.float32(np.finfo(np.float32).max)

F32 = npt.NDArray[np.float32]


@numba.njit
def _row_mean(x, t, columns):  # type: ignore[no-untyped-def]
    even, odd = spread(0.0), spread(0.0)
    whole = columns - columns % (2 * WIDTH)
    for c in range(0, whole, 2 * WIDTH):
        even += load(x, t, c)
        odd += load(x, t, c + WIDTH)
    summed = total(even + odd)
    for c in range(whole, columns):
        summed += np.float64(x[t, c])
    if np.isfinite(summed):
        return np.float32(summed / columns)
    return _row_mean_of_finite(x, t, columns)


@numba.njit
def _row_mean_of_finite(x, t, columns):  # type: ignore[no-untyped-def]
    summed, count = 0.0, 0
    for c in range(columns):
        if np.isfinite(x[t, c]):
            summed += x[t, c]
            count += 1
    return np.float32(summed / max(count, 1))


@kernel("void(float32[:,::1], int64, float32[::1])", reference=references.row_mean)
def row_mean(x: F32, columns: int, out: F32) -> None:
    """Mean of the finite values of the first ``columns`` of each row; 0 where none is finite."""
    for t in range(len(x)):
        out[t] = _row_mean(x, t, columns)


@kernel("void(float32[:,::1], int64, float32[:,::1])", reference=references.subtract_mean)
def subtract_mean(x: F32, columns: int, out: F32) -> None:
    """Subtract the mean of the finite values of the first ``columns`` from them, row by row; copy the others."""
    for t in range(len(x)):
        row, y = x[t], out[t]
        r = _row_mean(x, t, columns)
        for c in range(columns):
            y[c] = row[c] - r
        for c in range(columns, len(row)):
            y[c] = row[c]


@kernel("void(float32[:,::1], int64)", reference=references.subtract_mean_in_place)
def subtract_mean_in_place(x: F32, columns: int) -> None:
    """``subtract_mean`` in the memory of ``x``."""
    for t in range(len(x)):
        row = x[t]
        r = _row_mean(x, t, columns)
        for c in range(columns):
            row[c] -= r


@kernel("void(float32[:,::1], float32[::1], int64, float32[:,::1])", reference=references.subtract)
def subtract(x: F32, ref: F32, columns: int, out: F32) -> None:
    """Subtract ``ref[t]`` from the first ``columns`` of row t; copy the others."""
    for t in range(len(x)):
        row, y, r = x[t], out[t], ref[t]
        for c in range(columns):
            y[c] = row[c] - r
        for c in range(columns, len(row)):
            y[c] = row[c]


@numba.njit
def _select(values, n, k):  # type: ignore[no-untyped-def]
    """Hoare's selection: put the k-th smallest of ``values[:n]`` at k, smaller ones before it, larger ones behind."""
    low, high = 0, n - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


@numba.njit
def _middle(values, n, rank, both):  # type: ignore[no-untyped-def]
    """Return the value of a rank, or the mean of it and the one before it; never the negative zero."""
    upper = _select(values, n, rank)
    if not both:
        return upper + np.float32(0)
    lower = values[0]
    for j in range(1, rank):
        lower = max(lower, values[j])
    return np.float32(0.5 * (np.float64(lower) + np.float64(upper))) + np.float32(0)


@numba.njit
def _median_near(row, columns, guess, reach, values):  # type: ignore[no-untyped-def]
    """Look for the median within ``guess`` +- ``reach``: return whether it is there, it, and how many values are.

    Three counts tell (and vectorise); only what lies inside is gathered and searched. Any guess gives the same median.
    """
    low, high = guess - reach, guess + reach
    below = inside = above = 0
    for c in range(columns):
        v = row[c]
        below += (v < low) & (v >= -LARGEST)
        inside += (v >= low) & (v <= high)
        above += (v > high) & (v <= LARGEST)
    rank, both = columns // 2 - below, columns % 2 == 0
    known = low >= -LARGEST and high <= LARGEST and below + inside + above == columns  # all are numbers
    if not known or rank - both < 0 or rank >= inside:
        return False, guess, inside
    n = 0
    for c in range(columns):
        values[n] = row[c]
        n += (row[c] >= low) & (row[c] <= high)
    return True, _middle(values, n, rank, both), inside


@kernel("void(float32[:,::1], int64, float32[::1])", reference=references.row_median)
def row_median(x: F32, columns: int, out: F32) -> None:
    """Exact median of the finite values of the first ``columns`` of each row (mean of the two in the middle).

    It is looked for near that of the row before, in a range that is kept at a sixteenth to a quarter of the values.
    """
    values = np.empty(columns + 1, np.float32)
    guess, reach = np.float32(0), np.float32(0)
    for t in range(len(x)):
        row = x[t]
        if reach > 0:
            found, median, inside = _median_near(row, columns, guess, reach, values)
            if found:
                out[t] = guess = median
                if inside > columns // 4:
                    reach *= np.float32(0.8)
                elif inside < columns // 16:
                    reach *= np.float32(1.25)
                continue
        n = 0
        for c in range(columns):
            if np.isfinite(row[c]):
                values[n] = row[c]
                n += 1
        if n == 0:
            out[t] = 0.0
            continue
        out[t] = guess = _middle(values, n, n // 2, n % 2 == 0)
        reach = _select(values, n, min(n // 2 + n // 16 + 1, n - 1)) - guess
