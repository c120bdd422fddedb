"""Products of a signal with a matrix that couples near sites only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.kernels.lanes import STRIP
from ranvier.kernels.strips import load, nothing, plus_fused, store

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

#: Rows whose sums are made together: each weight is loaded once for all of them.
_ROWS = 8


def near_product_reference(x: F32, matrix: F32, low: I64, high: I64, out: F32) -> None:
    """Define :func:`near_product`."""
    for g in range(len(low)):
        columns = slice(g * STRIP, min((g + 1) * STRIP, out.shape[1]))
        out[:, columns] = x[:, low[g] : high[g]] @ matrix[low[g] : high[g], columns]


@kernel("void(float32[:,:], float32[:,::1], int64[::1], int64[::1], float32[:,::1])", reference=near_product_reference)
def near_product(x: F32, matrix: F32, low: I64, high: I64, out: F32) -> None:
    """Write ``x @ matrix``.

    Parameters
    ----------
    x
        ``(samples, rows)``.
    matrix
        ``(rows, columns)``, its columns padded to a multiple of ``STRIP``.
    low, high
        ``(columns / STRIP,)``: the rows ``[low, high)`` in which each group of columns has entries.
    out
        ``(samples, columns)``, written, without the padding.
    """
    samples, columns = out.shape
    line = np.empty((_ROWS, STRIP), np.float32)
    for first in range(0, samples, _ROWS):
        t = min(first, max(0, samples - _ROWS))  # the last rows again rather than fewer of them
        many = samples >= _ROWS
        for g in range(low.shape[0]):
            at = g * STRIP
            whole = many and at + STRIP <= columns
            a0, a1, a2, a3 = nothing(), nothing(), nothing(), nothing()
            a4, a5, a6, a7 = nothing(), nothing(), nothing(), nothing()
            if many:
                for k in range(low[g], high[g]):
                    w = load(matrix, k, at)
                    a0, a1 = plus_fused(a0, x[t, k], w), plus_fused(a1, x[t + 1, k], w)
                    a2, a3 = plus_fused(a2, x[t + 2, k], w), plus_fused(a3, x[t + 3, k], w)
                    a4, a5 = plus_fused(a4, x[t + 4, k], w), plus_fused(a5, x[t + 5, k], w)
                    a6, a7 = plus_fused(a6, x[t + 6, k], w), plus_fused(a7, x[t + 7, k], w)
            if whole:
                store(out, t, at, a0), store(out, t + 1, at, a1), store(out, t + 2, at, a2)
                store(out, t + 3, at, a3), store(out, t + 4, at, a4), store(out, t + 5, at, a5)
                store(out, t + 6, at, a6), store(out, t + 7, at, a7)
                continue
            store(line, 0, 0, a0), store(line, 1, 0, a1), store(line, 2, 0, a2), store(line, 3, 0, a3)
            store(line, 4, 0, a4), store(line, 5, 0, a5), store(line, 6, 0, a6), store(line, 7, 0, a7)
            for s in range(min(_ROWS, samples)):
                for c in range(at, min(at + STRIP, columns)):
                    if many:
                        out[t + s, c] = line[s, c - at]
                        continue
                    total = np.float32(0.0)
                    for k in range(low[g], high[g]):
                        total += x[t + s, k] * matrix[k, c]
                    out[t + s, c] = total
