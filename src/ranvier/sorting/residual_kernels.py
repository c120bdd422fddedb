"""Features of spikes: their waveforms on the components."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


def features_at_reference(white: F32, rows: I64, columns: I32, components: F32, out: F32) -> None:
    """Define :func:`features_at`."""
    length = components.shape[1]
    for i, row in enumerate(rows):
        used = columns[i] >= 0
        out[i] = 0.0
        out[i, used] = (components @ white[row : row + length][:, columns[i, used]]).T


@kernel(
    "void(Array(float32, 2, 'C', readonly=True), int64[::1], int32[:,::1], Array(float32, 2, 'C', readonly=True),"
    " float32[:,:,::1])",
    reference=features_at_reference,
)
def features_at(white: F32, rows: I64, columns: I32, components: F32, out: F32) -> None:
    """Write the inner products of components with the signal on some sites.

    Parameters
    ----------
    white
        ``(samples, channels)``.
    rows
        ``(n,)``: where the components begin; they lie within the signal.
    columns
        ``(n, K)``: the sites of each; -1: none, the features are 0.
    components
        ``(P, length)``.
    out
        ``(n, K, P)``, written.
    """
    parts, length = components.shape
    near = columns.shape[1]
    held, total = np.empty(near, np.float32), np.empty((parts, near), np.float32)
    for i in range(rows.shape[0]):
        total[:] = np.float32(0.0)
        for s in range(length):
            row = white[rows[i] + s]
            for k in range(near):
                c = columns[i, k]
                held[k] = row[c] if c >= 0 else np.float32(0.0)
            for p in range(parts):
                weight, sums = components[p, s], total[p]
                for k in range(near):
                    sums[k] += weight * held[k]
        for k in range(near):
            for p in range(parts):
                out[i, k, p] = total[p, k]


def features_of(white: F32, rows: I64, columns: I32, components: F32) -> F32:
    """Return what :func:`features_at` writes, ``(n, K, P)``."""
    columns = np.ascontiguousarray(columns)
    out = np.empty((*columns.shape, len(components)), np.float32)
    features_at(white, rows, columns, components, out)
    return out
