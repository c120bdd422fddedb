"""Features of a spike without the other spikes that overlap it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


def clean_features_reference(
    projected: F32,
    rows: I64,
    phase: I64,
    at: I64,
    units: I32,
    scale: F32,
    weights: F32,
    correlated: F32,
    columns: I32,
    out: F32,
) -> None:
    """Define :func:`clean_features`."""
    samples = (correlated.shape[1] + 1) // 2
    for i in range(len(rows)):
        kept = columns[i] >= 0
        out[i] = 0.0
        out[i, kept] = projected[rows[i]][:, columns[i, kept]].T
        for j in range(len(rows)):
            lag = rows[i] - at[j]
            if j == i or abs(lag) >= samples:
                continue
            shape = weights[units[j]][columns[i, kept]] @ correlated[phase[j], samples - 1 + lag]
            out[i, kept] -= scale[j] * shape


@kernel(
    "void(float32[:,:,::1], int64[::1], int64[::1], int64[::1], int32[::1], float32[::1], float32[:,:,::1],"
    " float32[:,:,:,::1], int32[:,::1], float32[:,:,::1])",
    reference=clean_features_reference,
)
def clean_features(
    projected: F32,
    rows: I64,
    phase: I64,
    at: I64,
    units: I32,
    scale: F32,
    weights: F32,
    correlated: F32,
    columns: I32,
    out: F32,
) -> None:
    """Write the features of spikes after all others were subtracted.

    Parameters
    ----------
    projected
        ``(samples, P, channels)``: the block on the components.
    rows
        ``(n,)``, sorted: where each spike is looked at.
    phase, at, units, scale
        ``(n,)``: what each spike is: its fraction of a sample (in phases), its whole sample, unit and amplitude.
    weights
        ``(units, channels, P)``.
    correlated
        ``(phases, lags, P, P)``: see ``component_overlaps``.
    columns
        ``(n, K)``: the sites of each spike's features; -1: none.
    out
        ``(n, K, P)``, written.
    """
    samples = (correlated.shape[1] + 1) // 2
    parts = projected.shape[1]
    start = 0
    for i in range(rows.shape[0]):
        for k in range(columns.shape[1]):
            c = columns[i, k]
            for q in range(parts):
                out[i, k, q] = projected[rows[i], q, c] if c >= 0 else np.float32(0.0)
        while rows[start] < rows[i] - samples - 1:
            start += 1
        j = start
        while j < rows.shape[0] and rows[j] <= rows[i] + samples + 1:
            lag = rows[i] - at[j]
            if j != i and -samples < lag < samples:
                for k in range(columns.shape[1]):
                    c = columns[i, k]
                    if c < 0:
                        continue
                    for p in range(parts):
                        w = scale[j] * weights[units[j], c, p]
                        if w != 0.0:
                            for q in range(parts):
                                out[i, k, q] -= w * correlated[phase[j], samples - 1 + lag, p, q]
            j += 1
