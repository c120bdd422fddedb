"""Features of spikes: their waveforms on the components."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.kernels.lanes import STRIP
from ranvier.kernels.strips import load, nothing, plus_fused, store

F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


def features_at_reference(white: F32 | I16, rows: I64, columns: I32, components: F32, out: F32) -> None:
    """Define :func:`features_at`."""
    length = components.shape[1]
    for i, row in enumerate(rows):
        used = columns[i] >= 0
        out[i] = 0.0
        out[i, used] = (components @ white[row : row + length][:, columns[i, used]]).T


@kernel(
    [
        f"void(Array({kind}, 2, 'C', readonly=True), int64[::1], int32[:,::1], Array(float32, 2, 'C', readonly=True),"
        " float32[:,:,::1])"
        for kind in ("float32", "int16")
    ],
    reference=features_at_reference,
)
def features_at(white: F32 | I16, rows: I64, columns: I32, components: F32, out: F32) -> None:
    """Write the inner products of components with the signal on some sites.

    Parameters
    ----------
    white
        ``(samples, channels)``, also in counts.
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
                held[k] = np.float32(row[c]) if c >= 0 else np.float32(0.0)
            for p in range(parts):
                weight, sums = components[p, s], total[p]
                for k in range(near):
                    sums[k] += weight * held[k]
        for k in range(near):
            for p in range(parts):
                out[i, k, p] = total[p, k]


def spans_of(sites: I32) -> tuple[I64, I64]:
    """Return the stretch of columns ``[low, high)`` that has all sites of each unit: ``sites (units, K)``; -1: none.

    Sites lie along the shank (``Geometry.along``): few others are between those of a unit.
    """
    used = sites >= 0
    low = np.where(used, sites, np.iinfo(np.int32).max).min(axis=1, initial=np.iinfo(np.int32).max)
    high = np.where(used, sites + 1, 0).max(axis=1, initial=0)
    return np.where(high > 0, low, 0).astype(np.int64), high.astype(np.int64)


def subtract_spans_reference(
    x: F32, rows: I64, units: I32, amplitudes: F32, low: I64, high: I64, waveforms: F32
) -> None:
    """Define :func:`subtract_spans`."""
    length = waveforms.shape[1]
    for row, u, a in zip(rows, units, amplitudes, strict=True):
        first, last = max(0, row), min(len(x), row + length)
        x[first:last, low[u] : high[u]] -= a * waveforms[u, first - row : last - row, : high[u] - low[u]]


@kernel(
    "void(float32[:,::1], int64[::1], int32[::1], float32[::1], int64[::1], int64[::1], float32[:,:,::1])",
    reference=subtract_spans_reference,
)
def subtract_spans(x: F32, rows: I64, units: I32, amplitudes: F32, low: I64, high: I64, waveforms: F32) -> None:
    """Subtract waveforms from a signal, in place.

    Parameters
    ----------
    x
        ``(samples, channels)``.
    rows, units, amplitudes
        ``(spikes,)``: row at which the waveform begins (it may reach over the ends), unit, share of the waveform.
    low, high
        ``(units,)``: the columns ``[low, high)`` that a waveform lies on.
    waveforms
        ``(units, length, W)``, the first ``high - low`` columns of each.
    """
    length = waveforms.shape[1]
    for n in range(rows.shape[0]):
        row, u, a = rows[n], units[n], amplitudes[n]
        for s in range(max(0, -row), min(length, x.shape[0] - row)):
            line, shape = x[row + s, low[u] : high[u]], waveforms[u, s]
            for c in range(line.shape[0]):
                line[c] -= a * shape[c]


def subtract_templates_reference(
    x: F32,
    rows: I64,
    units: I32,
    phases: I64,
    amplitudes: F32,
    low: I64,
    high: I64,
    weights: F32,
    shapes: F32,
) -> None:
    """Define :func:`subtract_templates`."""
    length = shapes.shape[2]
    for row, u, phase, a in zip(rows, units, phases, amplitudes, strict=True):
        first, last = max(0, row), min(len(x), row + length)
        waveform = shapes[phase, :, first - row : last - row].T @ weights[u, :, : high[u] - low[u]]
        x[first:last, low[u] : high[u]] -= a * waveform


@kernel(
    "void(float32[:,::1], int64[::1], int32[::1], int64[::1], float32[::1], int64[::1], int64[::1], float32[:,:,::1],"
    " float32[:,:,::1])",
    reference=subtract_templates_reference,
)
def subtract_templates(
    x: F32,
    rows: I64,
    units: I32,
    phases: I64,
    amplitudes: F32,
    low: I64,
    high: I64,
    weights: F32,
    shapes: F32,
) -> None:
    """Subtract templates from a signal, in place; they are made of components where they are needed.

    Parameters
    ----------
    x
        ``(samples, channels)``.
    rows, units, phases, amplitudes
        ``(spikes,)``: row at which the template begins, unit, fraction of a sample in steps, share of the template.
    low, high
        ``(units,)``: the columns ``[low, high)`` that a template lies on.
    weights
        ``(units, P, W)``, the first ``high - low`` columns of each, zeros behind; W is a multiple of ``STRIP``.
    shapes
        ``(phases, P, length)``: components at fractions of a sample.
    """
    parts, length = shapes.shape[1], shapes.shape[2]
    own = weights.reshape(weights.shape[0] * parts, weights.shape[2])
    line = np.empty((1, STRIP), np.float32)
    for n in range(rows.shape[0]):
        row, u, phase, a = rows[n], units[n], phases[n], amplitudes[n]
        for s in range(max(0, -row), min(length, x.shape[0] - row)):
            for at in range(0, high[u] - low[u], STRIP):
                total, column = nothing(), low[u] + at
                for p in range(parts):
                    total = plus_fused(total, shapes[phase, p, s], load(own, u * parts + p, at))
                if column + STRIP <= x.shape[1]:
                    store(x, row + s, column, plus_fused(load(x, row + s, column), -a, total))
                else:
                    store(line, 0, 0, total)
                    for c in range(column, x.shape[1]):
                        x[row + s, c] -= a * line[0, c - column]


def products_at_lags_reference(shapes: F32, components: F32, out: F32) -> None:
    """Define :func:`products_at_lags`."""
    length = components.shape[1]
    padded = np.pad(shapes, ((0, 0), (length - 1, length - 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, length, axis=1)
    out[:] = np.einsum("kls,ps->kpl", windows, components)


@kernel(
    "void(float32[:,::1], Array(float32, 2, 'C', readonly=True), float32[:,:,::1])",
    reference=products_at_lags_reference,
)
def products_at_lags(shapes: F32, components: F32, out: F32) -> None:
    """Write the inner products of shapes with components at every lag at which they meet.

    Parameters
    ----------
    shapes
        ``(n, samples)``.
    components
        ``(P, length)``.
    out
        ``(n, P, samples + length - 1)``, written; at lag 0 the last sample of a component meets the first of a shape.
    """
    parts, length = components.shape
    samples = shapes.shape[1]
    for n in range(shapes.shape[0]):
        shape = shapes[n]
        for p in range(parts):
            sums = out[n, p]
            sums[:] = np.float32(0.0)
            for s in range(length):
                weight, row = components[p, s], sums[length - 1 - s : length - 1 - s + samples]
                for t in range(samples):
                    row[t] += weight * shape[t]


def features_of(white: F32 | I16, rows: I64, columns: I32, components: F32) -> F32:
    """Return what :func:`features_at` writes, ``(n, K, P)``."""
    columns = np.ascontiguousarray(columns)
    out = np.empty((*columns.shape, len(components)), np.float32)
    features_at(white, rows, columns, components, out)
    return out
