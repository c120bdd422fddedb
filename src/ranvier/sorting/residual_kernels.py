"""What matched spikes leave of a block, and what is seen there: spikes subtracted, features of spikes.

A block lies site by site along time, in counts (``count_kernels``): a spike's waveform on a site is one stretch of
memory. What is left of a block is rounded to counts again: by far less than the noise, at half the memory.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.kernels.lanes import STRIP
from ranvier.kernels.strips import load, nothing, plus_fused, plus_product, store, summed
from ranvier.sorting.count_kernels import MOST, STEP_SD

F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


def features_at_reference(counts: I16, rows: I64, columns: I32, components: F32, out: F32) -> None:
    """Define :func:`features_at`."""
    length = components.shape[1]
    for i, row in enumerate(rows):
        used = columns[i] >= 0
        out[i] = 0.0
        out[i, used] = counts[columns[i, used], row : row + length].astype(np.float32) @ components.T


@kernel(
    "void(Array(int16, 2, 'C', readonly=True), int64[::1], int32[:,::1], Array(float32, 2, 'C', readonly=True),"
    " float32[:,:,::1])",
    reference=features_at_reference,
)
def features_at(counts: I16, rows: I64, columns: I32, components: F32, out: F32) -> None:
    """Write the inner products of components with the signal on some sites.

    Parameters
    ----------
    counts
        ``(channels, samples)``.
    rows
        ``(n,)``: the sample at which the components begin; they lie within the signal.
    columns
        ``(n, K)``: the sites of each; -1: none, the features are 0.
    components
        ``(P, length)``, for counts.
    out
        ``(n, K, P)``, written.
    """
    shapes = _in_whole_strips(components)
    length, line = components.shape[1], np.zeros((1, shapes.shape[1]), np.float32)
    for i in range(rows.shape[0]):
        for k in range(columns.shape[1]):
            c = columns[i, k]
            if c < 0:
                out[i, k] = np.float32(0.0)
                continue
            seen = counts[c, rows[i] : rows[i] + length]
            for s in range(length):
                line[0, s] = np.float32(seen[s])
            for p in range(shapes.shape[0]):
                total = nothing()
                for s in range(0, shapes.shape[1], STRIP):
                    total = plus_product(total, shapes, p, s, line, 0, s)
                out[i, k, p] = summed(total)


@numba.njit
def _in_whole_strips(shapes):  # type: ignore[no-untyped-def]
    """Return shapes with zeros behind, so that their length is a multiple of ``STRIP``."""
    count, length = shapes.shape
    made = np.zeros((count, (length + STRIP - 1) // STRIP * STRIP), np.float32)
    made[:, :length] = shapes
    return made


@numba.njit
def _less(seen, amplitude, waveform):  # type: ignore[no-untyped-def]
    """Subtract a waveform from counts, in place, rounded; what would leave int16 stays at its end."""
    for s in range(seen.shape[0]):
        left = np.rint(np.float32(seen[s]) - amplitude * waveform[s])
        seen[s] = np.int16(min(max(left, -MOST), MOST))


def _less_reference(seen: I16, amplitude: float, waveform: F32) -> None:
    seen[:] = np.clip(np.rint(seen - np.float32(amplitude) * waveform), -MOST, MOST).astype(np.int16)


def subtract_waveforms_reference(
    counts: I16, rows: I64, units: I32, amplitudes: F32, sites: I32, waveforms: F32
) -> None:
    """Define :func:`subtract_waveforms`."""
    length = waveforms.shape[2]
    for row, u, a in zip(rows, units, amplitudes, strict=True):
        first, last = max(0, row), min(counts.shape[1], row + length)
        for site, waveform in zip(sites[u], waveforms[u], strict=True):
            if site >= 0:
                _less_reference(counts[site, first:last], a, waveform[first - row : last - row])


@kernel(
    "void(int16[:,::1], int64[::1], int32[::1], float32[::1], int32[:,::1], float32[:,:,::1])",
    reference=subtract_waveforms_reference,
)
def subtract_waveforms(counts: I16, rows: I64, units: I32, amplitudes: F32, sites: I32, waveforms: F32) -> None:
    """Subtract waveforms from a signal, in place.

    Parameters
    ----------
    counts
        ``(channels, samples)``.
    rows, units, amplitudes
        ``(spikes,)``: sample at which the waveform begins (it may reach over the ends), unit, share of the waveform.
    sites
        ``(units, K)``: the sites of each unit's waveform, -1 behind the last.
    waveforms
        ``(units, K, length)``, in counts.
    """
    length = waveforms.shape[2]
    for n in range(rows.shape[0]):
        row, u = rows[n], units[n]
        first, last = max(0, row), min(counts.shape[1], row + length)
        for k in range(sites.shape[1]):
            if sites[u, k] < 0:
                break
            _less(counts[sites[u, k], first:last], amplitudes[n], waveforms[u, k, first - row :])


def subtract_templates_reference(
    counts: I16,
    rows: I64,
    units: I32,
    phases: I64,
    amplitudes: F32,
    first: I64,
    sites: I32,
    weights: F32,
    shapes: F32,
) -> None:
    """Define :func:`subtract_templates`."""
    length = shapes.shape[2]
    for row, u, phase, a in zip(rows, units, phases, amplitudes, strict=True):
        begin, end = max(0, row), min(counts.shape[1], row + length)
        for k in range(first[u], first[u + 1]):
            _less_reference(counts[sites[k], begin:end], a, (weights[k] @ shapes[phase])[begin - row : end - row])


@kernel(
    "void(int16[:,::1], int64[::1], int32[::1], int64[::1], float32[::1], int64[::1], int32[::1], float32[:,::1],"
    " float32[:,:,::1])",
    reference=subtract_templates_reference,
)
def subtract_templates(
    counts: I16,
    rows: I64,
    units: I32,
    phases: I64,
    amplitudes: F32,
    first: I64,
    sites: I32,
    weights: F32,
    shapes: F32,
) -> None:
    """Subtract templates from a signal, in place; they are made of components where they are needed.

    Parameters
    ----------
    counts
        ``(channels, samples)``.
    rows, units, phases, amplitudes
        ``(spikes,)``: sample at which the template begins, unit, fraction of a sample in steps, share of the template.
    first
        ``(units + 1,)``: where the sites of each unit begin in ``sites``.
    sites, weights
        ``(entries,)`` and ``(entries, P)``: the sites of a unit, and its components there.
    shapes
        ``(phases, P, length)``: components at fractions of a sample, in counts.
    """
    parts, length = shapes.shape[1], shapes.shape[2]
    made = _in_whole_strips(shapes.reshape(shapes.shape[0] * parts, length))
    line = np.empty((1, made.shape[1]), np.float32)
    for n in range(rows.shape[0]):
        row, u, phase = rows[n], units[n], phases[n]
        begin, end = max(0, row), min(counts.shape[1], row + length)
        for k in range(first[u], first[u + 1]):
            for s in range(0, made.shape[1], STRIP):
                total = nothing()
                for p in range(parts):
                    total = plus_fused(total, weights[k, p], load(made, phase * parts + p, s))
                store(line, 0, s, total)
            _less(counts[sites[k], begin:end], amplitudes[n], line[0, begin - row :])


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


def features_of(counts: I16, rows: I64, columns: I32, components: F32) -> F32:
    """Return what :func:`features_at` writes, ``(n, K, P)``, for components of a signal in SD."""
    columns = np.ascontiguousarray(columns)
    out = np.empty((*columns.shape, len(components)), np.float32)
    features_at(counts, rows, columns, components * np.float32(STEP_SD), out)
    return out
