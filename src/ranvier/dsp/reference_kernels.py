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

F32 = npt.NDArray[np.float32]

#: Bits of a float32 without its sign; those of infinity; and the bounds of the numbers that floats are sorted as.
MAGNITUDE = np.int32(0x7FFFFFFF)
INFINITY_BITS = np.int32(0x7F800000)
FIRST, LAST = np.int32(-0x80000000), np.int32(0x7FFFFFFF)


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
def _fill_keys(bits, t, columns, keys):  # type: ignore[no-untyped-def]
    """Integers in the order of the floats whose bits they are made of, LAST where not finite; how many are finite."""
    finite = np.int32(0)
    for c in range(columns):
        b = bits[t, c]
        is_finite = (b & MAGNITUDE) < INFINITY_BITS
        keys[c] = b ^ ((b >> np.int32(31)) & MAGNITUDE) if is_finite else LAST
        finite = np.int32(finite + is_finite)
    return finite


@numba.njit
def _count_up_to(keys, columns, key):  # type: ignore[no-untyped-def]
    count = np.int32(0)
    for c in range(columns):
        count = np.int32(count + (keys[c] <= key))
    return count


@numba.njit
def _largest_up_to(keys, columns, key):  # type: ignore[no-untyped-def]
    largest = FIRST
    for c in range(columns):
        largest = max(largest, keys[c] if keys[c] <= key else FIRST)
    return largest


@numba.njit
def _smallest_above(keys, columns, key):  # type: ignore[no-untyped-def]
    smallest = LAST
    for c in range(columns):
        smallest = min(smallest, keys[c] if keys[c] > key else LAST)
    return smallest


@numba.njit
def _middle(keys, columns, n):  # type: ignore[no-untyped-def]
    """The keys number (n - 1) // 2 and n // 2 of the n smallest: by bisection of the numbers, counting keys.

    Done as soon as a bound has exactly the lower half at or below it; for n odd that includes the middle.
    """
    wanted = (n + 1) // 2
    low, high = np.int64(FIRST), np.int64(LAST) - 1  # the middle lies in [low, high]
    while low < high:
        bound = np.int32((low + high) >> 1)
        count = _count_up_to(keys, columns, bound)
        if count == wanted:
            lower = _largest_up_to(keys, columns, bound)
            return lower, lower if n % 2 else _smallest_above(keys, columns, bound)
        if count > wanted:
            high = np.int64(bound)
        else:
            low = np.int64(bound) + 1
    lower = np.int32(low)  # several keys are the same
    if n % 2 or _count_up_to(keys, columns, lower) > wanted:
        return lower, lower
    return lower, _smallest_above(keys, columns, lower)


@kernel("void(int32[:,::1], int64, int32[::1], float32[::1], float32[::1])", reference=references.row_median_of_bits)
def row_median_of_bits(
    bits: npt.NDArray[np.int32], columns: int, pair: npt.NDArray[np.int32], as_float: F32, out: F32
) -> None:
    """Exact median of the finite values of the first ``columns`` of each row (mean of the two in the middle).

    ``bits`` are those of float32 samples; ``pair`` and ``as_float`` are the same two numbers of memory.
    """
    keys = np.empty(columns, np.int32)
    for t in range(len(bits)):
        n = _fill_keys(bits, t, columns, keys)
        if n == 0:
            out[t] = 0.0
            continue
        lower, upper = _middle(keys, columns, n)
        pair[0] = lower ^ ((lower >> np.int32(31)) & MAGNITUDE)
        pair[1] = upper ^ ((upper >> np.int32(31)) & MAGNITUDE)
        middle = np.float32(0.5 * (np.float64(as_float[0]) + np.float64(as_float[1])))
        out[t] = middle + np.float32(0)  # never the negative zero


def row_median(x: F32, columns: int, out: F32) -> None:
    """Exact median of the finite values of the first ``columns`` of each row of ``x``; 0 where none is finite."""
    pair = np.zeros(2, np.int32)
    row_median_of_bits(x.view(np.int32), columns, pair, pair.view(np.float32), out)
