"""Products of a signal with a matrix that couples near sites only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.kernels.lanes import STRIP, WIDTH, turn
from ranvier.kernels.strips import load, nothing, plus_fused, store

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Samples whose sums are made together: each weight is loaded once for all of them.
_TOGETHER = 4 * STRIP


def near_product_reference(x: F32, first: I64, inputs: I32, weights: F32, out: F32) -> None:
    """Define :func:`near_product`."""
    for j in range(len(out)):
        own = slice(first[j], first[j + 1])
        out[j] = x[:, inputs[own]] @ weights[own]


@kernel(
    "void(Array(float32, 2, 'C', readonly=True), int64[::1], int32[::1], float32[::1], float32[:,::1])",
    reference=near_product_reference,
)
def near_product(x: F32, first: I64, inputs: I32, weights: F32, out: F32) -> None:
    """Write weighted sums of a signal's columns, each along time.

    Parameters
    ----------
    x
        ``(samples, columns)``.
    first
        ``(outputs + 1,)``: where the inputs of each output begin in ``inputs``.
    inputs, weights
        ``(entries,)``: the columns that are summed, and how much each counts.
    out
        ``(outputs, samples)``, written.
    """
    samples, columns = x.shape
    lines = np.zeros((columns, _TOGETHER), np.float32)
    line = np.empty((1, _TOGETHER), np.float32)
    broad = columns - columns % WIDTH
    for begin in range(0, samples, _TOGETHER):
        kept = min(_TOGETHER, samples - begin)
        whole = kept - kept % WIDTH
        for t in range(0, whole, WIDTH):
            for c in range(0, broad, WIDTH):
                turn(x, begin + t, c, lines, c, t)
        for t in range(kept):
            for c in range(broad if t < whole else 0, columns):
                lines[c, t] = x[begin + t, c]
        for j in range(out.shape[0]):
            a0, a1, a2, a3 = nothing(), nothing(), nothing(), nothing()
            for k in range(first[j], first[j + 1]):
                w, row = weights[k], np.int64(inputs[k])
                a0, a1 = plus_fused(a0, w, load(lines, row, 0)), plus_fused(a1, w, load(lines, row, STRIP))
                a2 = plus_fused(a2, w, load(lines, row, 2 * STRIP))
                a3 = plus_fused(a3, w, load(lines, row, 3 * STRIP))
            if kept == _TOGETHER:
                store(out, j, begin, a0), store(out, j, begin + STRIP, a1)
                store(out, j, begin + 2 * STRIP, a2), store(out, j, begin + 3 * STRIP, a3)
                continue
            store(line, 0, 0, a0), store(line, 0, STRIP, a1)
            store(line, 0, 2 * STRIP, a2), store(line, 0, 3 * STRIP, a3)
            for t in range(kept):
                out[j, begin + t] = line[0, t]
