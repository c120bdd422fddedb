"""Signals on shapes over time, and what is summed of that over sites: the products that sorting is made of.

Stages S2b and S9. A block is worked through in short strips that stay in the cache. It lies site by site along time, so
that sums over samples and sites run over vectors of neighbouring shifts; only the sites that a unit or a spread has are
touched. The signal comes in whole counts and shapes are rounded to whole steps: sums over samples
are exact, and take half the time of single precision.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.kernels.lanes import STRIP, WIDTH, turn
from ranvier.kernels.pairs import SUMS, load_pairs, no_sums, plus_pairs, store_scaled
from ranvier.kernels.strips import greater, load, nothing, plus_fused, store

F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]

#: Shifts of one strip: one variable of whole sums, four of sixteen values.
_SHIFTS = SUMS
_LARGEST_COUNT = 32767.0


def steps_per_one(shapes: F32) -> float:
    """Return the steps of 1 that shapes are rounded to: the most (a power of 2) with which no sum leaves int32.

    A sum is at most the norm of the shape times that of as many counts, all the largest.
    """
    largest, norm = 0.0, 0.0
    for p in range(shapes.shape[0]):
        square = 0.0
        for s in range(shapes.shape[1]):
            largest = max(largest, abs(float(shapes[p, s])))
            square += float(shapes[p, s]) ** 2
        norm = max(norm, np.sqrt(square))
    if norm <= 0.0:
        return 1.0
    sums = 2.0**31 / (_LARGEST_COUNT * np.sqrt(shapes.shape[1]) * norm * 1.001)
    return float(2.0 ** np.floor(np.log2(min(sums, _LARGEST_COUNT / largest))))


_steps_per_one = numba.njit(steps_per_one)


def projections(counts: I16, step: float, shapes: F32, every: int) -> F32:
    """Return the inner product of shapes with the signal at one shift in ``every``.

    Parameters
    ----------
    counts
        ``(channels, samples)``: the signal, in counts of ``step``.
    shapes
        ``(P, length)``.

    Returns
    -------
    projected
        ``(shifts, P, channels)``: ``out[t, p, c] = sum_l shapes[p, l] signal[c, every * t + l]``, for all shifts at
        which the shapes lie within the signal.
    """
    per_one = steps_per_one(shapes)
    whole = np.rint(shapes.astype(np.float64) * per_one).astype(np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(counts, shapes.shape[1], axis=1)[:, ::every]
    sums = np.einsum("ctl,pl->tpc", windows.astype(np.int64), whole)
    return np.asarray(sums.astype(np.float32) * np.float32(step / per_one), np.float32)


@numba.njit
def _paired(shapes, per_one):  # type: ignore[no-untyped-def]
    """Return shapes in whole steps, two samples in one int32; zeros behind, for three or four shapes at a time."""
    count, length = shapes.shape
    wide = 3 if count % 3 == 0 else 4
    made = np.zeros(((count + wide - 1) // wide * wide, (length + 1) // 2 * 2), np.int16)
    for p in range(count):
        for s in range(length):
            made[p, s] = np.int16(np.rint(float(shapes[p, s]) * per_one))
    return made.view(np.int32)


@numba.njit
def _laid_out(counts, first, every, strip):  # type: ignore[no-untyped-def]
    """Write ``strip[c * R + r, k]``: samples ``every * (first + k) + g * r`` and the one behind it, zeros beyond.

    ``g`` is 2 where ``every`` is even, else 1, and ``R = every / g``: pairs of samples that shapes begin or go on at.
    """
    channels, samples = counts.shape
    gap = 2 - every % 2
    each = every // gap
    for c in range(channels):
        for r in range(each):
            begin, row = every * first + gap * r, strip[c * each + r]
            seen = counts[c, begin:]
            many = min(row.shape[0], max(0, (samples - begin + every - 2) // every))  # with a sample behind
            if every == 2:  # what the compiler knows it does with many at a time
                for k in range(many):
                    row[k] = (np.int32(seen[2 * k]) & np.int32(0xFFFF)) | (np.int32(seen[2 * k + 1]) << np.int32(16))
            else:
                for k in range(many):
                    t = every * k
                    row[k] = (np.int32(seen[t]) & np.int32(0xFFFF)) | (np.int32(seen[t + 1]) << np.int32(16))
            for k in range(many, row.shape[0]):
                t = begin + every * k
                row[k] = np.int32(counts[c, t]) & np.int32(0xFFFF) if t < samples else np.int32(0)


def _at_a_time(wide):  # type: ignore[no-untyped-def]
    """Return what takes three or four shapes at a time: a number that is known when it is compiled."""

    @numba.njit
    def on_shapes(strip, every, channels, shapes, scale, out):  # type: ignore[no-untyped-def]
        count, pairs = shapes.shape
        gap = 2 - every % 2
        each = every // gap
        for p in range(0, count, wide):
            for c in range(channels):
                one, two, three, four = no_sums(), no_sums(), no_sums(), no_sums()
                for j in range(pairs):
                    x = load_pairs(strip, c * each + 2 * j % every // gap, 2 * j // every)
                    one, two = plus_pairs(one, shapes[p, j], x), plus_pairs(two, shapes[p + 1, j], x)
                    three = plus_pairs(three, shapes[p + 2, j], x)
                    if wide == 4:
                        four = plus_pairs(four, shapes[p + 3, j], x)
                k = p * channels + c
                store_scaled(out, k, 0, one, scale), store_scaled(out, k + channels, 0, two, scale)
                store_scaled(out, k + 2 * channels, 0, three, scale)
                if wide == 4:
                    store_scaled(out, k + 3 * channels, 0, four, scale)

    return on_shapes


_threes, _fours = _at_a_time(3), _at_a_time(4)  # type: ignore[no-untyped-call]


@numba.njit
def _on_shapes(strip, every, channels, shapes, scale, out):  # type: ignore[no-untyped-def]
    """Write ``out[p * channels + c]``: the shifts of a strip on each shape."""
    if shapes.shape[0] % 3 == 0:
        _threes(strip, every, channels, shapes, scale, out)
    else:
        _fours(strip, every, channels, shapes, scale, out)


@numba.njit
def _memory(channels, every, shapes):  # type: ignore[no-untyped-def]
    """Return memory of one strip: its pairs of samples, and what they are on shapes."""
    gap = 2 - every % 2
    wide = (_SHIFTS + 2 * shapes.shape[1] // every + WIDTH) // WIDTH * WIDTH
    strip = np.empty((channels * (every // gap), wide), np.int32)
    return strip, np.empty((shapes.shape[0] * channels, _SHIFTS), np.float32)


def on_templates_reference(
    counts: I16,
    step: float,
    shapes: F32,
    every: int,
    first: npt.NDArray[np.int64],
    sites: I32,
    weights: F32,
    out: F32,
) -> None:
    """Define :func:`on_templates`."""
    projected = projections(counts, step, shapes, every)
    for u in range(len(first) - 1):
        own = slice(first[u], first[u + 1])
        out[u] = np.einsum("tpk,kp->t", projected[:, :, sites[own]], weights[own])


@kernel(
    "void(Array(int16, 2, 'C', readonly=True), float64, Array(float32, 2, 'C', readonly=True), int64, int64[::1],"
    " int32[::1], float32[:,::1], float32[:,::1])",
    reference=on_templates_reference,
)
def on_templates(
    counts: I16,
    step: float,
    shapes: F32,
    every: int,
    first: npt.NDArray[np.int64],
    sites: I32,
    weights: F32,
    out: F32,
) -> None:
    """Write the inner products of templates with the signal, starting at one sample in ``every``.

    Parameters
    ----------
    counts
        ``(channels, samples)``: the signal, in counts of ``step``; no -32768 among them.
    shapes
        ``(P, length)``, the components that templates are written in; rounded (see :func:`steps_per_one`).
    first
        ``(units + 1,)``: where the sites of each unit begin in ``sites``.
    sites, weights
        ``(entries,)`` and ``(entries, P)``: the sites of a unit, and its components there.
    out
        ``(units, shifts)``, written: all shifts at which templates lie within the signal.
    """
    channels, units, shifts = counts.shape[0], out.shape[0], out.shape[1]
    per_one = _steps_per_one(shapes)
    paired, scale = _paired(shapes, per_one), np.float32(step / per_one)
    strip, projected = _memory(channels, every, paired)
    sums, shares = np.empty((units, _SHIFTS), np.float32), weights.T.copy()
    for begin in range(0, shifts, _SHIFTS):
        _laid_out(counts, begin, every, strip)
        _on_shapes(strip, every, channels, paired, scale, projected)
        sums[:] = np.float32(0.0)
        for p in range(shapes.shape[0]):  # one component of the sites around a unit stays in the nearest cache
            for u in range(units):
                a0, a1 = load(sums, u, 0), load(sums, u, STRIP)
                a2, a3 = load(sums, u, 2 * STRIP), load(sums, u, 3 * STRIP)
                for k in range(first[u], first[u + 1]):
                    w, row = shares[p, k], p * channels + np.int64(sites[k])
                    a0 = plus_fused(a0, w, load(projected, row, 0))
                    a1 = plus_fused(a1, w, load(projected, row, STRIP))
                    a2 = plus_fused(a2, w, load(projected, row, 2 * STRIP))
                    a3 = plus_fused(a3, w, load(projected, row, 3 * STRIP))
                store(sums, u, 0, a0), store(sums, u, STRIP, a1)
                store(sums, u, 2 * STRIP, a2), store(sums, u, 3 * STRIP, a3)
        kept = min(_SHIFTS, shifts - begin)
        for u in range(units):
            for t in range(kept):
                out[u, begin + t] = sums[u, t]


def spread_scores_reference(
    counts: I16,
    step: float,
    shapes: F32,
    every: int,
    first: npt.NDArray[np.int64],
    sites: I32,
    weights: F32,
    out: F32,
) -> None:
    """Define :func:`spread_scores`."""
    projected = projections(counts, step, shapes, every)
    out[:] = projected.max(axis=1)
    channels = counts.shape[0]
    for k in range(len(first) - 1):
        own = slice(first[k], first[k + 1])
        summed = np.einsum("tpk,k->tp", projected[:, :, sites[own]], weights[own])
        column = out[:, k % channels]
        np.maximum(column, summed.max(axis=1), out=column)


@kernel(
    "void(Array(int16, 2, 'C', readonly=True), float64, Array(float32, 2, 'C', readonly=True), int64, int64[::1],"
    " int32[::1], float32[::1], float32[:,::1])",
    reference=spread_scores_reference,
)
def spread_scores(
    counts: I16,
    step: float,
    shapes: F32,
    every: int,
    first: npt.NDArray[np.int64],
    sites: I32,
    weights: F32,
    out: F32,
) -> None:
    """Write the largest output of any shape, on one site or summed over the sites of a spread.

    Parameters
    ----------
    counts, step
        ``(channels, samples)``: the signal, in counts of ``step``; no -32768 among them.
    shapes
        ``(P, length)``; rounded (see :func:`steps_per_one`).
    first
        ``(spreads * channels + 1,)``: where the sites of each spread around each channel begin in ``sites``; all
        channels of one spread, then of the next.
    sites, weights
        ``(entries,)``: the sites that are summed, and how much each counts.
    out
        ``(shifts, channels)``, written: one shift in ``every``.
    """
    channels, shifts = counts.shape[0], out.shape[0]
    per_one = _steps_per_one(shapes)
    paired, scale = _paired(shapes, per_one), np.float32(step / per_one)
    strip, projected = _memory(channels, every, paired)
    best = np.empty((channels, _SHIFTS), np.float32)
    spreads = (first.shape[0] - 1) // channels
    for begin in range(0, shifts, _SHIFTS):
        _laid_out(counts, begin, every, strip)
        _on_shapes(strip, every, channels, paired, scale, projected)
        best[:] = projected[:channels]
        for p in range(shapes.shape[0]):  # one shape of the sites around a channel stays in the nearest cache
            for c in range(channels):
                row = p * channels + c
                m0, m1 = load(best, c, 0), load(best, c, STRIP)
                m2, m3 = load(best, c, 2 * STRIP), load(best, c, 3 * STRIP)
                m0, m1 = greater(load(projected, row, 0), m0), greater(load(projected, row, STRIP), m1)
                m2, m3 = greater(load(projected, row, 2 * STRIP), m2), greater(load(projected, row, 3 * STRIP), m3)
                for s in range(spreads):
                    a0, a1, a2, a3 = nothing(), nothing(), nothing(), nothing()
                    for k in range(first[s * channels + c], first[s * channels + c + 1]):
                        w, row = weights[k], p * channels + np.int64(sites[k])
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
