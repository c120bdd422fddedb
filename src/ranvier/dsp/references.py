"""What the kernels compute, in plain NumPy: the definition that the tests hold the machine code to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int16]


def cascade(
    x: F32,
    x_row: int,
    out: F32,
    out_row: int,
    rows: int,
    step: int,
    column: int,
    width: int,
    ref: F32,
    gain: float,
    coef: F64,
    state: F64,
    counter: int,
) -> None:
    """Second-order sections in transposed direct form II, row by row."""
    those = slice(column, column + width)
    for t in range(rows):
        i = x_row + t * step
        row = x[i, those] - ref[i if len(ref) > 1 else 0]
        out[out_row + t * step, those] = _one_row(row.astype(np.float64), gain, coef, state[:, those])
        if (counter + t + 1) % 256 == 0:
            _flush(state[:, those])


def cascade_restarting(
    x: F32, out: F32, column: int, width: int, ref: F32, gain: float, coef: F64, state: F64, counter: int
) -> None:
    """As ``cascade``; a channel whose sample is not finite gives NaN and restarts from zero."""
    for t in range(len(x)):
        for c in range(column, column + width):
            v = x[t, c] - ref[t if len(ref) > 1 else 0]
            if np.isfinite(v):
                out[t, c] = _one_row(np.array([v], np.float64), gain, coef, state[:, c : c + 1])[0]
            else:
                out[t, c] = np.nan
                state[:, c] = 0.0
        if (counter + t + 1) % 256 == 0:
            _flush(state[:, column : column + width])


def cascade_float64(x: F64, out: F64, gain: float, coef: F64, state: F64) -> None:
    """As ``cascade``, in float64, without flushing."""
    for t, row in enumerate(x):
        out[t] = _one_row(row, gain, coef, state)


def largest_bits(bits: npt.NDArray[np.int32], column: int, width: int, out: npt.NDArray[np.int32]) -> None:
    """Largest bit pattern without sign in each column."""
    those = slice(column, column + width)
    if len(bits):
        out[those] = np.maximum(out[those], (bits[:, those] & 0x7FFFFFFF).max(axis=0))


def row_mean(x: F32, columns: int, out: F32) -> None:
    """Mean of the finite values of the first columns of each row; 0 where none is."""
    finite = np.isfinite(x[:, :columns])
    total = np.where(finite, x[:, :columns], 0).sum(axis=1, dtype=np.float64)
    out[:] = total / np.maximum(finite.sum(axis=1), 1)


def row_median(x: F32, columns: int, out: F32) -> None:
    """Median of the finite values of the first columns of each row; 0 where none is."""
    for t, row in enumerate(x[:, :columns]):
        finite = row[np.isfinite(row)].astype(np.float64)
        out[t] = np.median(finite) if len(finite) else 0.0


def subtract(x: F32, ref: F32, columns: int, out: F32) -> None:
    """Subtract one value per row from the first columns; copy the others."""
    out[:, :columns] = x[:, :columns] - ref[:, None]
    out[:, columns:] = x[:, columns:]


def subtract_mean(x: F32, columns: int, out: F32) -> None:
    """``row_mean`` and ``subtract`` in one."""
    ref = np.empty(len(x), np.float32)
    row_mean(x, columns, ref)
    subtract(x, ref, columns, out)


def subtract_mean_in_place(x: F32, columns: int) -> None:
    """``subtract_mean`` in the memory of ``x``."""
    subtract_mean(x.copy(), columns, x)


def subtract_median(x: F32, columns: int, out: F32) -> None:
    """``row_median`` and ``subtract`` in one."""
    ref = np.empty(len(x), np.float32)
    row_median(x, columns, ref)
    subtract(x, ref, columns, out)


def subtract_median_in_place(x: F32, columns: int) -> None:
    """``subtract_median`` in the memory of ``x``."""
    subtract_median(x.copy(), columns, x)


def subtract_median_of_counts(
    x: Counts, gain: float, offset: float, out_gain: F64, out_offset: F64, same: bool, out: Counts
) -> int:
    """Scaled to float32, ``subtract_median``, rounded half to even and saturated; how many were."""
    physical = (x[:, : out.shape[1]] * gain + offset).astype(np.float32)
    subtract_median_in_place(physical, out.shape[1])
    rounded = np.rint((physical - out_offset) / out_gain)
    out[:] = np.clip(rounded, -32768, 32767)
    return int(np.count_nonzero(out != rounded))


def _one_row(v: F64, gain: float, coef: F64, state: F64) -> F64:
    v = gain * v
    for k, (b1, b2, a1, a2) in enumerate(coef):
        y = v + state[2 * k]
        state[2 * k] = b1 * v + state[2 * k + 1] - a1 * y
        state[2 * k + 1] = b2 * v - a2 * y
        v = y
    return v


def _flush(state: F64) -> None:
    state[np.abs(state) < 1e-100] = 0.0


def decimate(
    recent: F32, x: F32, row: int, low: int, factor: int, h: F32, column: int, width: int, out: F32, pack: F32
) -> None:
    """One window per output and channel; its run of finite samples is reflected at its ends."""
    rows = np.concatenate([recent, x])
    for j in range(len(out)):
        middle = row + j * factor
        for c in range(column, column + width):
            out[j, c] = _window_sum(rows[:, c], middle, max(low, 0), h)


def shift(
    recent: F32, x: F32, row: int, low: int, h: F32, column: int, width: int, out: F32, pack: F32, taps_of_group: F32
) -> None:
    """As ``decimate`` by 1, with taps of its own for each channel."""
    rows = np.concatenate([recent, x])
    for j in range(len(out)):
        for c in range(column, column + width):
            out[j, c] = _window_sum(rows[:, c], row + j, max(low, 0), np.ascontiguousarray(h[:, c]))


def _window_sum(x: F32, middle: int, low: int, h: F32) -> np.float32:
    if not np.isfinite(x[middle]):
        return np.float32(np.nan)
    a, b = middle, middle + 1
    while a > low and np.isfinite(x[a - 1]):
        a -= 1
    while b < len(x) and np.isfinite(x[b]):
        b += 1
    rows = np.arange(middle - len(h) // 2, middle + len(h) // 2 + 1)
    rows = np.where(rows < a, np.minimum(2 * a - rows, b - 1), rows)
    rows = np.where(rows >= b, np.maximum(2 * (b - 1) - rows, a), rows)
    products = h * x[rows]
    total = np.float32(0)
    for part in products[:-1].reshape(-1, 8):
        s = part[0]
        for value in part[1:]:
            s = s + value
        total = total + s
    return np.float32(total + products[-1])
