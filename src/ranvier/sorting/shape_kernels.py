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
from ranvier.kernels.pairs import (
    SUMS,
    greater_sums,
    load_pairs,
    no_sums,
    plus_pairs,
    plus_sums,
    store_pairs,
    store_scaled,
    store_second,
)

F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]

#: Shifts of one strip: one variable of whole sums.
_SHIFTS = SUMS
#: int32 numbers in a line of the cache.
_LINE = 16
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


def steps_of_weights(norm: float, largest: float, count: int) -> float:
    """Return the steps of 1 that ``count`` weights are rounded to: as many as no sum of products with them overflows.

    Parameters
    ----------
    norm, largest
        Of the weights (of several lists, the largest of all).
    """
    if norm <= 0.0:
        return 1.0
    root = np.sqrt(max(count, 1))
    return float(min((2.0**31 / (_LARGEST_COUNT * root) - root) / norm, _LARGEST_COUNT / largest))


_steps_of_weights = numba.njit(steps_of_weights)


def steps_of_spreads(first: npt.NDArray[np.int64], weights: F32) -> float:
    """Return the steps of 1 that the weights of spreads are rounded to; a site alone counts 1."""
    norm, largest, most = 1.0, 1.0, 1
    for k in range(first.shape[0] - 1):
        square = 0.0
        for e in range(first[k], first[k + 1]):
            square += float(weights[e]) ** 2
            largest = max(largest, abs(float(weights[e])))
        norm, most = max(norm, np.sqrt(square)), max(most, first[k + 1] - first[k])
    return float(_steps_of_weights(norm, largest, most))


_steps_of_spreads = numba.njit(steps_of_spreads)


def halvings(per_one: float) -> int:
    """Return by which power of 2 sums over samples are divided: two counts are left (more, were shapes huge)."""
    return max(1, int(np.rint(np.log2(per_one))) + 1)


_halvings = numba.njit(halvings)


def projections(counts: I16, step: float, shapes: F32, every: int) -> tuple[npt.NDArray[np.int64], float]:
    """Return the inner product of shapes with the signal at one shift in ``every``, as it is summed over sites.

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
        which the shapes lie within the signal, as whole numbers of at most 32767 either way.
    unit
        What one of those numbers stands for.
    """
    per_one = steps_per_one(shapes)
    shift = halvings(per_one)
    whole = np.rint(shapes.astype(np.float64) * per_one).astype(np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(counts, shapes.shape[1], axis=1)[:, ::every]
    sums = np.einsum("ctl,pl->tpc", windows.astype(np.int64), whole)
    rounded = (sums + (1 << (shift - 1))) >> shift
    return np.clip(rounded, -int(_LARGEST_COUNT), int(_LARGEST_COUNT)), step * 2.0**shift / per_one


@numba.njit
def _paired(shapes, per_one, wide):  # type: ignore[no-untyped-def]
    """Return shapes in whole steps, two samples in one int32; zeros behind, for ``wide`` shapes at a time."""
    count, length = shapes.shape
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
    if every == 2:  # what the compiler knows it does with many at a time
        _lay_out(counts, first, 2, strip)
    else:
        _lay_out(counts, first, every, strip)


@numba.njit
def _lay_out(counts, first, every, strip):  # type: ignore[no-untyped-def]
    channels, samples = counts.shape
    gap = 2 - every % 2
    each = every // gap
    for c in range(channels):
        for r in range(each):
            begin, row = every * first + gap * r, strip[c * each + r]
            seen = counts[c, begin:]
            many = min(row.shape[0], max(0, (samples - begin + every - 2) // every))  # with a sample behind
            for k in range(many):
                t = every * k
                row[k] = (np.int32(seen[t]) & np.int32(0xFFFF)) | (np.int32(seen[t + 1]) << np.int32(16))
            for k in range(many, row.shape[0]):
                t = begin + every * k
                row[k] = np.int32(counts[c, t]) & np.int32(0xFFFF) if t < samples else np.int32(0)


@numba.njit
def _walk(every, r):  # type: ignore[no-untyped-def]
    """Return which pair of samples of shapes row ``r`` of a site begins with, where in it, and the steps from there.

    Divisions in the innermost loop would take longer than its products.
    """
    if every % 2 == 0:
        return r, 0, every // 2, 1
    return (every * (r % 2) + r) // 2, r % 2, every, 2


@numba.njit
def _two_shapes(strip, every, channels, shapes, shift, out):  # type: ignore[no-untyped-def]
    """Write ``out[c * Q + q]``: the shifts of a strip on the shapes 2 q and 2 q + 1, a pair each, for all Q pairs."""
    pairs, each, half = shapes.shape[1], strip.shape[0] // channels, shapes.shape[0] // 2
    for p in range(0, shapes.shape[0], 2):
        for c in range(channels):
            one, two = no_sums(), no_sums()
            for r in range(each):
                j, at, step, along = _walk(every, r)
                while j < pairs:
                    x = load_pairs(strip, c * each + r, at)
                    one, two = plus_pairs(one, shapes[p, j], x), plus_pairs(two, shapes[p + 1, j], x)
                    j, at = j + step, at + along
            store_pairs(out, c * half + p // 2, 0, one, two, shift)


@numba.njit
def _six_shapes(strip, every, channels, shapes, shift, out):  # type: ignore[no-untyped-def]
    """As :func:`_two_shapes`, six at a time."""
    pairs, each, half = shapes.shape[1], strip.shape[0] // channels, shapes.shape[0] // 2
    for p in range(0, shapes.shape[0], 6):
        for c in range(channels):
            one, two, three, four, five, six = no_sums(), no_sums(), no_sums(), no_sums(), no_sums(), no_sums()
            for r in range(each):
                j, at, step, along = _walk(every, r)
                while j < pairs:
                    x = load_pairs(strip, c * each + r, at)
                    one, two = plus_pairs(one, shapes[p, j], x), plus_pairs(two, shapes[p + 1, j], x)
                    three, four = plus_pairs(three, shapes[p + 2, j], x), plus_pairs(four, shapes[p + 3, j], x)
                    five, six = plus_pairs(five, shapes[p + 4, j], x), plus_pairs(six, shapes[p + 5, j], x)
                    j, at = j + step, at + along
            k = c * half + p // 2
            store_pairs(out, k, 0, one, two, shift), store_pairs(out, k + 1, 0, three, four, shift)
            store_pairs(out, k + 2, 0, five, six, shift)


@numba.njit
def _two_sites(strip, every, channels, shapes, shift, out):  # type: ignore[no-untyped-def]
    """Write ``out[p * H + h]``: the shifts of a strip on each shape at the sites 2 h and 2 h + 1, for all H pairs.

    Four shapes at a time; where the number of sites is odd, the last one alone.
    """
    pairs, each, half = shapes.shape[1], strip.shape[0] // channels, (channels + 1) // 2
    for p in range(0, shapes.shape[0], 4):
        for c in range(channels):
            one, two, three, four = no_sums(), no_sums(), no_sums(), no_sums()
            for r in range(each):
                j, at, step, along = _walk(every, r)
                while j < pairs:
                    x = load_pairs(strip, c * each + r, at)
                    one, two = plus_pairs(one, shapes[p, j], x), plus_pairs(two, shapes[p + 1, j], x)
                    three, four = plus_pairs(three, shapes[p + 2, j], x), plus_pairs(four, shapes[p + 3, j], x)
                    j, at = j + step, at + along
            k = p * half + c // 2
            if c % 2 == 0:
                store_pairs(out, k, 0, one, no_sums(), shift), store_pairs(out, k + half, 0, two, no_sums(), shift)
                store_pairs(out, k + 2 * half, 0, three, no_sums(), shift)
                store_pairs(out, k + 3 * half, 0, four, no_sums(), shift)
            else:
                store_second(out, k, 0, one, shift), store_second(out, k + half, 0, two, shift)
                store_second(out, k + 2 * half, 0, three, shift), store_second(out, k + 3 * half, 0, four, shift)


@numba.njit
def _whole_lines(rows, columns):  # type: ignore[no-untyped-def]
    """Return a matrix of int32 zeros that begins with a line of the cache: vectors then lie in one line each."""
    memory = np.zeros(rows * columns + _LINE, np.int32)
    skip = -(memory.ctypes.data // 4) % _LINE
    return memory[skip : skip + rows * columns].reshape((rows, columns))


@numba.njit
def _strip_of(channels, every, pairs):  # type: ignore[no-untyped-def]
    """Return memory of one strip: its pairs of samples."""
    gap = 2 - every % 2
    wide = (_SHIFTS + 2 * pairs // every + _LINE) // _LINE * _LINE
    return _whole_lines(channels * (every // gap), wide)


@numba.njit
def _pair_of(low, high):  # type: ignore[no-untyped-def]
    """Return two whole numbers, rounded from floats, in one int32."""
    one, two = np.int32(np.rint(low)), np.int32(np.rint(high))
    return (one & np.int32(0xFFFF)) | (two << np.int32(16))


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
    per_one = _steps_per_one(shapes)
    shift = np.int32(_halvings(per_one))
    six = shapes.shape[0] % 6 == 0
    paired = _paired(shapes, per_one, 2)
    half = paired.shape[0] // 2
    strip = _strip_of(channels, every, paired.shape[1])
    projected = _whole_lines(channels * half, _SHIFTS)
    shares, scales = _whole_weights(first, weights, half, step * 2.0**shift / per_one)
    order, line = np.argsort(_lowest_sites(first, sites)), np.empty((1, _SHIFTS), np.float32)
    for begin in range(0, shifts, _SHIFTS):
        _laid_out(counts, begin, every, strip)
        if six:
            _six_shapes(strip, every, channels, paired, shift, projected)
        else:
            _two_shapes(strip, every, channels, paired, shift, projected)
        kept = min(_SHIFTS, shifts - begin)
        for u in order:  # those of near sites after each other: what they have in common stays in the nearest cache
            one, two = no_sums(), no_sums()
            for k in range(first[u], first[u + 1]):
                row = np.int64(sites[k]) * half
                for q in range(0, half - 1, 2):
                    one = plus_pairs(one, shares[k, q], load_pairs(projected, row + q, 0))
                    two = plus_pairs(two, shares[k, q + 1], load_pairs(projected, row + q + 1, 0))
                if half % 2:
                    one, two = two, plus_pairs(one, shares[k, half - 1], load_pairs(projected, row + half - 1, 0))
            if kept == _SHIFTS:
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
        per_one = _steps_of_weights(np.sqrt(square), largest, (first[u + 1] - first[u]) * weights.shape[1])
        scales[u] = np.float32(unit / per_one)
        for k in range(first[u], first[u + 1]):
            for q in range(half):
                high = float(weights[k, 2 * q + 1]) if 2 * q + 1 < weights.shape[1] else 0.0
                shares[k, q] = _pair_of(float(weights[k, 2 * q]) * per_one, high * per_one)
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
                    places[count], shares[count] = h, _pair_of(own[2 * h] * per_one, own[2 * h + 1] * per_one)
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
    per_one = _steps_per_one(shapes)
    shift = np.int32(_halvings(per_one))
    paired = _paired(shapes, per_one, 4)
    half = (channels + 1) // 2
    strip = _strip_of(channels, every, paired.shape[1])
    projected = _whole_lines(paired.shape[0] * half, _SHIFTS)
    best = np.empty((channels, _SHIFTS), np.float32)
    of_weights = _steps_of_spreads(first, weights)
    scale = np.float32(step * 2.0**shift / per_one / of_weights)
    begins, places, shares = _spread_pairs(first, sites, weights, channels, of_weights)
    each = (begins.shape[0] - 1) // channels
    for begin in range(0, shifts, _SHIFTS):
        _laid_out(counts, begin, every, strip)
        _two_sites(strip, every, channels, paired, shift, projected)
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
