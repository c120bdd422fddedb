"""Signals on shapes over time, and what is summed of that over sites: the products that sorting is made of.

Stages S2b and S9. A block is worked through in short strips that stay in the cache. A strip is laid out along time,
site by site, so that sums over samples and sites run over vectors of neighbouring shifts; only the sites that a unit
or a spread has are touched.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.kernels.lanes import STRIP, WIDTH, turn
from ranvier.kernels.strips import greater, load, nothing, plus_fused, store

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]

#: Shifts of one strip: four variables of sixteen values.
_SHIFTS = 4 * STRIP


def projections(signal: F32, shapes: F32, every: int) -> F32:
    """Return the inner product of shapes with the signal at one shift in ``every``.

    Parameters
    ----------
    signal
        ``(samples, channels)``.
    shapes
        ``(P, length)``.

    Returns
    -------
    projected
        ``(shifts, P, channels)``: ``out[t, p, c] = sum_l shapes[p, l] signal[every * t + l, c]``, for all shifts at
        which the shapes lie within the signal.
    """
    windows = np.lib.stride_tricks.sliding_window_view(signal, shapes.shape[1], axis=0)[::every]
    return np.asarray(np.einsum("tcl,pl->tpc", windows, shapes), np.float32)


@numba.njit
def _laid_out(signal, first, every, strip):  # type: ignore[no-untyped-def]
    """Write ``strip[c * every + e, k] = signal[every * (first + k) + e, c]``; zeros behind the end."""
    channels, wide = signal.shape[1], strip.shape[1]
    for e in range(every):
        rows = signal[e::every]
        have = max(0, min(wide, rows.shape[0] - first))
        whole, broad = have - have % WIDTH, channels - channels % WIDTH
        columns = strip.reshape(channels, every, wide)[:, e]
        for k in range(0, whole, WIDTH):
            for c in range(0, broad, WIDTH):
                turn(rows, first + k, c, columns, c, k)
        for c in range(channels):
            for k in range(0 if c >= broad else whole, have):
                columns[c, k] = rows[first + k, c]
            for k in range(have, wide):
                columns[c, k] = np.float32(0.0)


@numba.njit
def _on_shapes(strip, every, channels, shapes, out):  # type: ignore[no-untyped-def]
    """Write ``out[c * P + p]``: the shifts of a strip on each shape; P is even."""
    count, length = shapes.shape
    for c in range(channels):
        for p in range(0, count, 2):
            a0, a1, a2, a3 = nothing(), nothing(), nothing(), nothing()
            b0, b1, b2, b3 = nothing(), nothing(), nothing(), nothing()
            row, at = c * every, 0
            for s in range(length):
                one, two = shapes[p, s], shapes[p + 1, s]
                x0, x1 = load(strip, row, at), load(strip, row, at + STRIP)
                x2, x3 = load(strip, row, at + 2 * STRIP), load(strip, row, at + 3 * STRIP)
                a0, a1 = plus_fused(a0, one, x0), plus_fused(a1, one, x1)
                a2, a3 = plus_fused(a2, one, x2), plus_fused(a3, one, x3)
                b0, b1 = plus_fused(b0, two, x0), plus_fused(b1, two, x1)
                b2, b3 = plus_fused(b2, two, x2), plus_fused(b3, two, x3)
                row += 1
                if row == (c + 1) * every:
                    row, at = c * every, at + 1
            k = c * count + p
            store(out, k, 0, a0), store(out, k, STRIP, a1)
            store(out, k, 2 * STRIP, a2), store(out, k, 3 * STRIP, a3)
            store(out, k + 1, 0, b0), store(out, k + 1, STRIP, b1)
            store(out, k + 1, 2 * STRIP, b2), store(out, k + 1, 3 * STRIP, b3)


@numba.njit
def _even(shapes):  # type: ignore[no-untyped-def]
    """Return the shapes with one of zeros behind them where their number is odd."""
    count, length = shapes.shape
    made = np.zeros((count + count % 2, length), np.float32)
    made[:count] = shapes
    return made


def on_templates_reference(
    signal: F32, shapes: F32, every: int, first: npt.NDArray[np.int64], sites: I32, weights: F32, out: F32
) -> None:
    """Define :func:`on_templates`."""
    projected = projections(signal, shapes, every)
    for u in range(len(first) - 1):
        own = slice(first[u], first[u + 1])
        out[u] = np.einsum("tpk,kp->t", projected[:, :, sites[own]], weights[own])


@kernel(
    "void(Array(float32, 2, 'C', readonly=True), Array(float32, 2, 'C', readonly=True), int64, int64[::1], int32[::1],"
    " float32[:,::1], float32[:,::1])",
    reference=on_templates_reference,
)
def on_templates(
    signal: F32, shapes: F32, every: int, first: npt.NDArray[np.int64], sites: I32, weights: F32, out: F32
) -> None:
    """Write the inner products of templates with the signal, starting at one sample in ``every``.

    Parameters
    ----------
    signal
        ``(samples, channels)``.
    shapes
        ``(P, length)``, the components that templates are written in.
    first
        ``(units + 1,)``: where the sites of each unit begin in ``sites``.
    sites, weights
        ``(entries,)`` and ``(entries, P)``: the sites of a unit, and its components there.
    out
        ``(units, shifts)``, written: all shifts at which templates lie within the signal.
    """
    channels, (parts, length) = signal.shape[1], shapes.shape
    even = _even(shapes)
    count = even.shape[0]
    strip = np.empty((channels * every, _SHIFTS + (length - 1) // every + WIDTH), np.float32)
    projected = np.empty((channels * count, _SHIFTS), np.float32)
    line = np.empty((1, _SHIFTS), np.float32)
    shifts = out.shape[1]
    for begin in range(0, shifts, _SHIFTS):
        _laid_out(signal, begin, every, strip)
        _on_shapes(strip, every, channels, even, projected)
        kept = min(_SHIFTS, shifts - begin)
        for u in range(out.shape[0]):
            a0, a1, a2, a3 = nothing(), nothing(), nothing(), nothing()
            for k in range(first[u], first[u + 1]):
                row = np.int64(sites[k]) * count
                for p in range(parts):
                    w = weights[k, p]
                    a0 = plus_fused(a0, w, load(projected, row + p, 0))
                    a1 = plus_fused(a1, w, load(projected, row + p, STRIP))
                    a2 = plus_fused(a2, w, load(projected, row + p, 2 * STRIP))
                    a3 = plus_fused(a3, w, load(projected, row + p, 3 * STRIP))
            store(line, 0, 0, a0), store(line, 0, STRIP, a1)
            store(line, 0, 2 * STRIP, a2), store(line, 0, 3 * STRIP, a3)
            for t in range(kept):
                out[u, begin + t] = line[0, t]


def spread_scores_reference(
    signal: F32, shapes: F32, every: int, first: npt.NDArray[np.int64], sites: I32, weights: F32, out: F32
) -> None:
    """Define :func:`spread_scores`."""
    projected = projections(signal, shapes, every)
    out[:] = projected.max(axis=1)
    for k in range(len(first) - 1):
        own = slice(first[k], first[k + 1])
        summed = np.einsum("tpk,k->tp", projected[:, :, sites[own]], weights[own])
        column = out[:, k % signal.shape[1]]
        np.maximum(column, summed.max(axis=1), out=column)


@kernel(
    "void(Array(float32, 2, 'C', readonly=True), Array(float32, 2, 'C', readonly=True), int64, int64[::1], int32[::1],"
    " float32[::1], float32[:,::1])",
    reference=spread_scores_reference,
)
def spread_scores(
    signal: F32, shapes: F32, every: int, first: npt.NDArray[np.int64], sites: I32, weights: F32, out: F32
) -> None:
    """Write the largest output of any shape, on one site or summed over the sites of a spread.

    Parameters
    ----------
    signal
        ``(samples, channels)``.
    shapes
        ``(P, length)``.
    first
        ``(spreads * channels + 1,)``: where the sites of each spread around each channel begin in ``sites``; all
        channels of one spread, then of the next.
    sites, weights
        ``(entries,)``: the sites that are summed, and how much each counts.
    out
        ``(shifts, channels)``, written: one shift in ``every``.
    """
    channels, (parts, length) = signal.shape[1], shapes.shape
    even = _even(shapes)
    count = even.shape[0]
    strip = np.empty((channels * every, _SHIFTS + (length - 1) // every + WIDTH), np.float32)
    projected = np.empty((channels * count, _SHIFTS), np.float32)
    best = np.empty((channels, _SHIFTS), np.float32)
    shifts = out.shape[0]
    spreads = (first.shape[0] - 1) // channels
    for begin in range(0, shifts, _SHIFTS):
        _laid_out(signal, begin, every, strip)
        _on_shapes(strip, every, channels, even, projected)
        for c in range(channels):
            row = c * count
            m0, m1 = load(projected, row, 0), load(projected, row, STRIP)
            m2, m3 = load(projected, row, 2 * STRIP), load(projected, row, 3 * STRIP)
            for p in range(1, parts):
                m0 = greater(load(projected, row + p, 0), m0)
                m1 = greater(load(projected, row + p, STRIP), m1)
                m2 = greater(load(projected, row + p, 2 * STRIP), m2)
                m3 = greater(load(projected, row + p, 3 * STRIP), m3)
            for s in range(spreads):
                low, high = first[s * channels + c], first[s * channels + c + 1]
                for p in range(parts):
                    a0, a1, a2, a3 = nothing(), nothing(), nothing(), nothing()
                    for k in range(low, high):
                        w, row = weights[k], np.int64(sites[k]) * count + p
                        a0 = plus_fused(a0, w, load(projected, row, 0))
                        a1 = plus_fused(a1, w, load(projected, row, STRIP))
                        a2 = plus_fused(a2, w, load(projected, row, 2 * STRIP))
                        a3 = plus_fused(a3, w, load(projected, row, 3 * STRIP))
                    m0, m1, m2, m3 = greater(a0, m0), greater(a1, m1), greater(a2, m2), greater(a3, m3)
            store(best, c, 0, m0), store(best, c, STRIP, m1)
            store(best, c, 2 * STRIP, m2), store(best, c, 3 * STRIP, m3)
        _turned_back(best, begin, out)


@numba.njit
def _turned_back(best, begin, out):  # type: ignore[no-untyped-def]
    """Write ``out[begin + t, c] = best[c, t]``."""
    channels, kept = best.shape[0], min(best.shape[1], out.shape[0] - begin)
    whole, broad = kept - kept % WIDTH, channels - channels % WIDTH
    for t in range(0, whole, WIDTH):
        for c in range(0, broad, WIDTH):
            turn(best, c, t, out, begin + t, c)
    for c in range(channels):
        for t in range(0 if c >= broad else whole, kept):
            out[begin + t, c] = best[c, t]
