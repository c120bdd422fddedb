"""Folds over packets that NumPy would make several passes of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.metrics.packet_kernels import DRAWN, _middle

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

#: Channels that are gathered together: a cache line of float32.
_GROUP = 64


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


def median_rows_reference(single: F32, row: int, count: int, enough: float, out: F64) -> None:
    """Define :func:`median_rows`."""
    for c in range(single.shape[2]):
        values, n = single[:, row, c], single[:, count, c]
        values = values[(n >= enough) & ~np.isnan(values)] if np.any(n >= enough) else values[~np.isnan(values)]
        out[c] = np.float32(np.median(values.astype(np.float64))) if len(values) else np.nan


@kernel(
    "void(Array(float32, 3, 'A', readonly=True), int64, int64, float64, float64[::1])",
    reference=median_rows_reference,
)
def median_rows(single: F32, row: int, count: int, enough: float, out: F64) -> None:
    """Return the median over packets of a row, per channel, exactly (rounded to float32).

    Parameters
    ----------
    count, enough
        Packets that hold fewer samples (row ``count``) count only where no other is there.
    out
        ``(channels,)``; NaN where there is none.
    """
    packets, channels = single.shape[0], single.shape[2]
    values = np.empty((_GROUP, packets + 1), np.float32)
    filled = np.empty(_GROUP, np.int64)
    near = np.empty(packets + 1, np.float32)
    keys = np.empty(packets, np.uint32)
    spare = np.empty(packets, np.uint32)
    histogram = np.empty(2048, np.int64)
    drawn = np.empty(DRAWN, np.float32)
    for left in range(0, channels, _GROUP):
        width = min(_GROUP, channels - left)
        out[left : left + width] = np.nan
        for attempt in range(2):
            least = enough if attempt == 0 else 0.0
            filled[:] = 0
            for p in range(packets):
                for k in range(width):
                    value = single[p, row, left + k]
                    values[k, filled[k]] = value
                    filled[k] += (not np.isnan(value)) & (single[p, count, left + k] >= least)
            missing = False
            for k in range(width):
                if np.isnan(out[left + k]) and filled[k] > 0:
                    out[left + k] = _middle(values[k], filled[k], near, keys, spare, histogram, drawn)
                missing |= np.isnan(out[left + k])
            if not missing:
                break
