"""Folds over packets that NumPy would make several passes of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from ranvier.kernels import kernel
from ranvier.metrics.kernels import _ordered, _select, _value

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


def median_rows_reference(single: F32, row: int, count: int, enough: float, out: F64) -> None:
    """Define :func:`median_rows`."""
    for c in range(single.shape[2]):
        values, n = single[:, row, c], single[:, count, c]
        values = values[(n >= enough) & ~np.isnan(values)] if np.any(n >= enough) else values[~np.isnan(values)]
        out[c] = np.median(values.astype(np.float64)) if len(values) else np.nan


@kernel(
    "void(Array(float32, 3, 'A', readonly=True), int64, int64, float64, float64[::1])",
    reference=median_rows_reference,
)
def median_rows(single: F32, row: int, count: int, enough: float, out: F64) -> None:
    """Return the median over packets of a row, per channel, exactly.

    Parameters
    ----------
    count, enough
        Packets that hold fewer samples (row ``count``) count only where no other is there.
    out
        ``(channels,)``; NaN where there is none.
    """
    packets, channels = single.shape[0], single.shape[2]
    keys = np.empty((_GROUP, packets), np.uint32)
    filled = np.empty(_GROUP, np.int64)
    spare = np.empty(packets, np.uint32)
    histogram = np.empty(2048, np.int64)
    for left in range(0, channels, _GROUP):
        width = min(_GROUP, channels - left)
        for attempt in range(2):
            filled[:] = 0
            for p in range(packets):
                for k in range(width):
                    value = single[p, row, left + k]
                    if not np.isnan(value) and (attempt == 1 or single[p, count, left + k] >= enough):
                        keys[k, filled[k]] = _key(value)
                        filled[k] += 1
            for k in range(width):
                if attempt == 0 or np.isnan(out[left + k]):
                    out[left + k] = _median_of(keys[k], filled[k], spare, histogram)
            if not np.isnan(out[left : left + width]).any():
                break


@register_jitable  # type: ignore[untyped-decorator]
def _key(value: Any) -> Any:
    held = np.empty(1, np.float32)
    held[0] = value
    return _ordered(held.view(np.uint32)[0])


@register_jitable  # type: ignore[untyped-decorator]
def _median_of(keys: Any, n: Any, spare: Any, histogram: Any) -> Any:
    if n == 0:
        return np.nan
    lower, not_above = _select(keys, n, (n - 1) // 2, spare, histogram)
    upper = lower
    if n // 2 >= not_above:
        upper = np.uint32(0xFFFFFFFF)
        for i in range(n):
            if keys[i] > lower and keys[i] < upper:
                upper = keys[i]
    return (np.float64(_value(lower)) + np.float64(_value(upper))) / 2.0
