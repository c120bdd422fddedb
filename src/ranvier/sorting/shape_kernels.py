"""Signals on shapes over time, and what is summed of that over sites: the products that sorting is made of.

Stages S2b and S9. A block is worked through in short strips that stay in the cache. It lies site by site along time, so
that sums over samples and sites run over vectors of neighbouring shifts; only the sites that a unit or a spread has are
touched. All of it is in whole numbers, two products to an instruction: the signal comes in counts, shapes are rounded
to whole steps, their products with the signal to two counts each, and the weights of sites to whole steps again. Sums
are exact.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.kernels.lanes import WIDTH, turn
from ranvier.kernels.pairs import greater_sums, load_pairs, no_sums, plus_pairs, plus_sums, store_scaled
from ranvier.sorting.shape_strips import (
    SHIFTS,
    in_pairs,
    jit_halvings,
    jit_steps_of_spreads,
    jit_steps_of_weights,
    jit_steps_per_one,
    laid_out,
    pair_of,
    projections,
    six_shapes,
    steps_of_spreads,
    steps_of_weights,
    strip_of,
    two_shapes,
    two_sites,
    whole_lines,
)

F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]


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
    projected, unit = projections(counts, step, shapes, every)
    for u in range(len(first) - 1):
        own = slice(first[u], first[u + 1])
        exact = weights[own].astype(np.float64)
        per_one = steps_of_weights(float(np.sqrt((exact**2).sum())), float(np.abs(exact).max(initial=0.0)), exact.size)
        summed = np.einsum("tpk,kp->t", projected[:, :, sites[own]], np.rint(exact * per_one).astype(np.int64))
        out[u] = summed.astype(np.float32) * np.float32(unit / per_one)


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
    channels, shifts = counts.shape[0], out.shape[1]
    per_one = jit_steps_per_one(shapes)
    shift = np.int32(jit_halvings(per_one))
    six = shapes.shape[0] % 6 == 0
    paired = in_pairs(shapes, per_one, 2)
    half = paired.shape[0] // 2
    strip = strip_of(channels, every, paired.shape[1])
    projected = whole_lines(channels * half, SHIFTS)
    shares, scales = _whole_weights(first, weights, half, step * 2.0**shift / per_one)
    order, line = np.argsort(_lowest_sites(first, sites)), np.empty((1, SHIFTS), np.float32)
    for begin in range(0, shifts, SHIFTS):
        laid_out(counts, begin, every, strip)
        if six:
            six_shapes(strip, every, channels, paired, shift, projected)
        else:
            two_shapes(strip, every, channels, paired, shift, projected)
        kept = min(SHIFTS, shifts - begin)
        for u in order:  # those of near sites after each other: what they have in common stays in the nearest cache
            one, two = no_sums(), no_sums()
            for k in range(first[u], first[u + 1]):
                row = np.int64(sites[k]) * half
                for q in range(0, half - 1, 2):
                    one = plus_pairs(one, shares[k, q], load_pairs(projected, row + q, 0))
                    two = plus_pairs(two, shares[k, q + 1], load_pairs(projected, row + q + 1, 0))
                if half % 2:
                    one, two = two, plus_pairs(one, shares[k, half - 1], load_pairs(projected, row + half - 1, 0))
            if kept == SHIFTS:
                store_scaled(out, u, begin, plus_sums(one, two), scales[u])
                continue
            store_scaled(line, 0, 0, plus_sums(one, two), scales[u])
            for t in range(kept):
                out[u, begin + t] = line[0, t]


@numba.njit
def _whole_weights(first, weights, half, unit):  # type: ignore[no-untyped-def]
    """Return weights ``(entries, P)`` in whole steps, two components in one int32, and what a unit's sums are in."""
    shares, scales = np.zeros((weights.shape[0], half), np.int32), np.empty(first.shape[0] - 1, np.float32)
    for u in range(scales.shape[0]):
        square, largest = 0.0, 0.0
        for k in range(first[u], first[u + 1]):
            for p in range(weights.shape[1]):
                square += float(weights[k, p]) ** 2
                largest = max(largest, abs(float(weights[k, p])))
        per_one = jit_steps_of_weights(np.sqrt(square), largest, (first[u + 1] - first[u]) * weights.shape[1])
        scales[u] = np.float32(unit / per_one)
        for k in range(first[u], first[u + 1]):
            for q in range(half):
                high = float(weights[k, 2 * q + 1]) if 2 * q + 1 < weights.shape[1] else 0.0
                shares[k, q] = pair_of(float(weights[k, 2 * q]) * per_one, high * per_one)
    return shares, scales


@numba.njit
def _lowest_sites(first, sites):  # type: ignore[no-untyped-def]
    """Return the first of the sites of each unit."""
    lowest = np.zeros(first.shape[0] - 1, np.int64)
    for u in range(lowest.shape[0]):
        if first[u] < first[u + 1]:
            lowest[u] = sites[first[u]]
    return lowest


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
    projected, unit = projections(counts, step, shapes, every)
    per_one = steps_of_spreads(first, weights)
    channels = counts.shape[0]
    best = projected.max(axis=1) * int(np.rint(per_one))
    for k in range(len(first) - 1):
        own = slice(first[k], first[k + 1])
        whole = np.rint(weights[own].astype(np.float64) * per_one).astype(np.int64)
        summed = np.einsum("tpk,k->tp", projected[:, :, sites[own]], whole)
        column = best[:, k % channels]
        np.maximum(column, summed.max(axis=1), out=column)
    out[:] = best.astype(np.float32) * np.float32(unit / per_one)


@numba.njit
def _spread_pairs(first, sites, weights, channels, per_one):  # type: ignore[no-untyped-def]
    """Return spreads as pairs of sites 2 h and 2 h + 1: where those of each begin, h, and both weights in one int32.

    In the order of channels, the spreads of one after each other, the site alone first.
    """
    spreads = (first.shape[0] - 1) // channels
    begins = np.zeros(channels * (spreads + 1) + 1, np.int64)
    places = np.empty(channels + sites.shape[0], np.int32)
    shares = np.empty(channels + sites.shape[0], np.int32)
    own, used = np.zeros(channels + 1), np.zeros((channels + 1) // 2, np.bool_)
    count = 0
    for c in range(channels):
        for s in range(spreads + 1):
            if s == 0:
                own[c], used[c // 2] = 1.0, True
            else:
                k = (s - 1) * channels + c
                for e in range(first[k], first[k + 1]):
                    own[sites[e]], used[sites[e] // 2] = own[sites[e]] + weights[e], True
            for h in range(used.shape[0]):
                if used[h]:
                    places[count], shares[count] = h, pair_of(own[2 * h] * per_one, own[2 * h + 1] * per_one)
                    count += 1
                    own[2 * h], own[2 * h + 1], used[h] = 0.0, 0.0, False
            begins[c * (spreads + 1) + s + 1] = count
    return begins, places, shares


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
    per_one = jit_steps_per_one(shapes)
    shift = np.int32(jit_halvings(per_one))
    paired = in_pairs(shapes, per_one, 4)
    half = (channels + 1) // 2
    strip = strip_of(channels, every, paired.shape[1])
    projected = whole_lines(paired.shape[0] * half, SHIFTS)
    best = np.empty((channels, SHIFTS), np.float32)
    of_weights = jit_steps_of_spreads(first, weights)
    scale = np.float32(step * 2.0**shift / per_one / of_weights)
    begins, places, shares = _spread_pairs(first, sites, weights, channels, of_weights)
    each = (begins.shape[0] - 1) // channels
    for begin in range(0, shifts, SHIFTS):
        laid_out(counts, begin, every, strip)
        two_sites(strip, every, channels, paired, shift, projected)
        for c in range(channels):
            alone = begins[c * each]
            most = plus_pairs(no_sums(), shares[alone], load_pairs(projected, np.int64(places[alone]), 0))
            for s in range(each):
                k = c * each + s
                for p in range(0, shapes.shape[0] - 1, 2):  # two at a time: sums that do not wait for each other
                    one, two = no_sums(), no_sums()
                    for e in range(begins[k], begins[k + 1]):
                        row = p * half + np.int64(places[e])
                        one = plus_pairs(one, shares[e], load_pairs(projected, row, 0))
                        two = plus_pairs(two, shares[e], load_pairs(projected, row + half, 0))
                    most = greater_sums(one, greater_sums(two, most))
                if shapes.shape[0] % 2:
                    one = no_sums()
                    for e in range(begins[k], begins[k + 1]):
                        row = (shapes.shape[0] - 1) * half + np.int64(places[e])
                        one = plus_pairs(one, shares[e], load_pairs(projected, row, 0))
                    most = greater_sums(one, most)
            store_scaled(best, c, 0, most, scale)
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
