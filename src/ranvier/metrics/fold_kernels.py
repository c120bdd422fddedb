"""Folds over packets that NumPy would make several passes of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.metrics.row_kernels import DRAWN, median

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

#: Channels that are gathered together: a cache line of float32.
_GROUP = 16


def fold_moments_reference(single: F32, exact: F64, count: int, mean: int, m2: int, out: F64) -> None:
    """Define :func:`fold_moments`."""
    out[:] = 0.0
    for p in range(len(single)):
        n, m, s = single[p, count].astype(np.float64), exact[p, mean], exact[p, m2]
        whole = np.maximum(out[0] + n, 1.0)
        difference = m - out[1]
        out[2] += np.where(n > 0, s + difference**2 * (out[0] * n / whole), 0.0)
        out[1] += np.where(n > 0, difference * (n / whole), 0.0)
        out[0] += n


@kernel(
    "void(Array(float32, 3, 'A', readonly=True), Array(float64, 3, 'A', readonly=True), int64, int64, int64,"
    " float64[:,::1])",
    reference=fold_moments_reference,
)
def fold_moments(single: F32, exact: F64, count: int, mean: int, m2: int, out: F64) -> None:
    """Fold counts, means and sums of squares of packets, in their order (Chan, Golub, LeVeque 1983).

    Parameters
    ----------
    single, exact
        As those of a PacketTable; ``count``, ``mean`` and ``m2`` are rows of them.
    out
        ``(3, channels)``: count, mean, sum of squares.
    """
    out[:] = 0.0
    for p in range(single.shape[0]):
        for c in range(single.shape[2]):
            n = np.float64(single[p, count, c])
            if n > 0.0:
                part = n / (out[0, c] + n)
                difference = exact[p, mean, c] - out[1, c]
                out[2, c] += exact[p, m2, c] + difference * difference * (out[0, c] * part)
                out[1, c] += difference * part
                out[0, c] += n


def median_columns_reference(values: F32, out: F64) -> None:
    """Define :func:`median_columns`."""
    for c in range(values.shape[1]):
        column = values[:, c]
        column = column[~np.isnan(column)]
        out[c] = np.float32(np.median(column.astype(np.float64))) if len(column) else np.nan


@kernel("void(Array(float32, 2, 'C', readonly=True), float64[::1])", reference=median_columns_reference)
def median_columns(values: F32, out: F64) -> None:
    """Return the median of each column, exactly (rounded to float32); NaN does not count, and is what none gives."""
    rows, columns = values.shape
    held = np.empty((_GROUP, rows + 1), np.float32)
    filled = np.empty(_GROUP, np.int64)
    near = np.empty(rows + 1, np.float32)
    drawn = np.empty(DRAWN, np.float32)
    for left in range(0, columns, _GROUP):
        width = min(_GROUP, columns - left)
        filled[:] = 0
        for i in range(rows):
            for k in range(width):
                value = values[i, left + k]
                at = filled[k]
                held[k, at] = value
                filled[k] = at + (value == value)
        for k in range(width):
            out[left + k] = np.nan
            if filled[k] > 0:
                out[left + k] = median(
                    held[k : k + 1], 0, filled[k], np.float32(np.inf), np.float32(-np.inf), near, drawn
                )
