"""Row means over channels, and references that are subtracted.

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
