"""Folds over packets that NumPy would make several passes of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.kernels.lanes import WIDTH, greater, load, spread, store
from ranvier.metrics.row_kernels import DRAWN, GROUP, columns_to_rows, extent, median

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


def fold_moments_reference(count: F32, mean: F64, m2: F64, out: F64) -> None:
    """Define :func:`fold_moments`."""
    out[:] = 0.0
    for n, m, s in zip(count.astype(np.float64), mean, m2, strict=True):
        part = n / np.maximum(out[0] + n, 1.0)
        difference = m - out[1]
        out[2] += s + difference**2 * (out[0] * part)
        out[1] += difference * part
        out[0] += n


@kernel(
    "void(Array(float32, 2, 'A', readonly=True), Array(float64, 2, 'A', readonly=True),"
    " Array(float64, 2, 'A', readonly=True), float64[:,::1])",
    reference=fold_moments_reference,
)
def fold_moments(count: F32, mean: F64, m2: F64, out: F64) -> None:
    """Fold counts, means and sums of squares of packets, in their order (Chan, Golub, LeVeque 1983).

    Parameters
    ----------
    count, mean, m2
        ``(packets, channels)``, channels next to each other; the mean and the sum of nothing are 0.
    out
        ``(3, channels)``: count, mean, sum of squares.
    """
    out[:] = 0.0
    packets, channels = count.shape
    inner = channels // WIDTH * WIDTH
    one = spread(1.0)
    for p in range(packets):
        for c in range(0, inner, WIDTH):
            n, before = load(count, p, c), load(out, 0, c)
            part = n / greater(before + n, one)
            difference = load(mean, p, c) - load(out, 1, c)
            store(out, 2, c, load(out, 2, c) + (load(m2, p, c) + difference * difference * (before * part)))
            store(out, 1, c, load(out, 1, c) + difference * part)
            store(out, 0, c, before + n)
        for c in range(inner, channels):
            n_1, before_1 = np.float64(count[p, c]), out[0, c]
            part_1 = n_1 / max(before_1 + n_1, 1.0)
            difference_1 = mean[p, c] - out[1, c]
            out[2, c] += m2[p, c] + difference_1 * difference_1 * (before_1 * part_1)
            out[1, c] += difference_1 * part_1
            out[0, c] += n_1


def fold_sums_reference(values: F32, out: F64) -> None:
    """Define :func:`fold_sums`."""
    out[:] = values.sum(axis=0, dtype=np.float64)


@kernel("void(Array(float32, 2, 'A', readonly=True), float64[:,::1])", reference=fold_sums_reference)
def fold_sums(values: F32, out: F64) -> None:
    """Add up ``(packets, channels)``, channels next to each other, over packets in their order; ``out`` is one row."""
    out[:] = 0.0
    packets, channels = values.shape
    inner = channels // WIDTH * WIDTH
    for p in range(packets):
        for c in range(0, inner, WIDTH):
            store(out, 0, c, load(out, 0, c) + load(values, p, c))
        for c in range(inner, channels):
            out[0, c] += np.float64(values[p, c])


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
    held = np.empty((GROUP, rows + (32 - rows) % 64), np.float32)
    near = np.empty(rows + 1, np.float32)
    drawn = np.empty(DRAWN, np.float32)
    nowhere = np.float32(np.inf), np.float32(-np.inf)
    for left in range(0, columns, GROUP):
        width = min(GROUP, columns - left)
        columns_to_rows(values, left, width, held)
        for k in range(width):
            row, n = held[k : k + 1], rows
            if np.isnan(extent(row, 0, rows)[0]):
                n = 0
                for i in range(rows):
                    row[0, n] = row[0, i]
                    n += not np.isnan(row[0, i])
            out[left + k] = median(row, 0, n, *nowhere, near, drawn) if n > 0 else np.nan
