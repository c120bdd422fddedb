"""Strips of a signal in pairs of samples, and what they are on shapes: the first half of ``shape_kernels``.

Shapes and weights are rounded to whole steps, as fine as no sum can leave int32. Only inside Numba functions, but for
what defines the numbers.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels.lanes import STRIP
from ranvier.kernels.pairs import (
    SUMS,
    lay_one_in_four,
    lay_one_in_three,
    load_pairs,
    no_sums,
    plus_pairs,
    store_pairs,
    store_second,
)

F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]

#: Shifts of one strip: one variable of whole sums.
SHIFTS = SUMS
#: int32 numbers in a line of the cache.
_LINE = 16
LARGEST_COUNT = 32767.0


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
    sums = 2.0**31 / (LARGEST_COUNT * np.sqrt(shapes.shape[1]) * norm * 1.001)
    return float(2.0 ** np.floor(np.log2(min(sums, LARGEST_COUNT / largest))))


jit_steps_per_one = numba.njit(steps_per_one)


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
    return float(min((2.0**31 / (LARGEST_COUNT * root) - root) / norm, LARGEST_COUNT / largest))


jit_steps_of_weights = numba.njit(steps_of_weights)


def steps_of_spreads(first: npt.NDArray[np.int64], weights: F32) -> float:
    """Return the steps of 1 that the weights of spreads are rounded to; a site alone counts 1."""
    norm, largest, most = 1.0, 1.0, 1
    for k in range(first.shape[0] - 1):
        square = 0.0
        for e in range(first[k], first[k + 1]):
            square += float(weights[e]) ** 2
            largest = max(largest, abs(float(weights[e])))
        norm, most = max(norm, np.sqrt(square)), max(most, first[k + 1] - first[k])
    return float(jit_steps_of_weights(norm, largest, most))


jit_steps_of_spreads = numba.njit(steps_of_spreads)


def halvings(per_one: float) -> int:
    """Return by which power of 2 sums over samples are divided: two counts are left (more, were shapes huge)."""
    return max(1, int(np.rint(np.log2(per_one))) + 1)


jit_halvings = numba.njit(halvings)


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
    return np.clip(rounded, -int(LARGEST_COUNT), int(LARGEST_COUNT)), step * 2.0**shift / per_one


@numba.njit
def in_pairs(shapes, per_one, wide):  # type: ignore[no-untyped-def]
    """Return shapes in whole steps, two samples in one int32; zeros behind, for ``wide`` shapes at a time."""
    count, length = shapes.shape
    made = np.zeros(((count + wide - 1) // wide * wide, (length + 1) // 2 * 2), np.int16)
    for p in range(count):
        for s in range(length):
            made[p, s] = np.int16(np.rint(float(shapes[p, s]) * per_one))
    return made.view(np.int32)


@numba.njit
def laid_out(counts, first, every, strip):  # type: ignore[no-untyped-def]
    """Write ``strip[c * R + r, k]``: samples ``every * (first + k) + g * r`` and the one behind it, zeros beyond.

    ``g`` is 2 where ``every`` is even, else 1, and ``R = every / g``: pairs of samples that shapes begin or go on at.
    """
    if every == 2:  # what the compiler knows it does with many at a time
        _lay_out(counts, first, 2, strip)
    else:
        _lay_out(counts, first, every, strip)


@numba.njit
def _lay_vectors(counts, c, begin, every, strip, row, many):  # type: ignore[no-untyped-def]
    """Lay out as much of a row as whole vectors hold, one pair in three or four samples; return how many pairs."""
    done = 0
    while done + STRIP <= many and begin + every * done + 4 * STRIP <= counts.shape[1]:
        if every == 3:
            lay_one_in_three(strip, row, done, counts, c, begin + every * done)
        else:
            lay_one_in_four(strip, row, done, counts, c, begin + every * done)
        done += STRIP
    return done


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
            done = 0
            if every == 3 or every == 4:
                done = _lay_vectors(counts, c, begin, every, strip, c * each + r, many)
            for k in range(done, many):
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
def two_shapes(strip, every, channels, shapes, shift, out):  # type: ignore[no-untyped-def]
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
def six_shapes(strip, every, channels, shapes, shift, out):  # type: ignore[no-untyped-def]
    """As :func:`two_shapes`, six at a time."""
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
def two_sites(strip, every, channels, shapes, shift, out):  # type: ignore[no-untyped-def]
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
def whole_lines(rows, columns):  # type: ignore[no-untyped-def]
    """Return a matrix of int32 zeros that begins with a line of the cache: vectors then lie in one line each."""
    memory = np.zeros(rows * columns + _LINE, np.int32)
    skip = -(memory.ctypes.data // 4) % _LINE
    return memory[skip : skip + rows * columns].reshape((rows, columns))


@numba.njit
def strip_of(channels, every, pairs):  # type: ignore[no-untyped-def]
    """Return memory of one strip: its pairs of samples."""
    gap = 2 - every % 2
    wide = (SHIFTS + 2 * pairs // every + _LINE) // _LINE * _LINE
    return whole_lines(channels * (every // gap), wide)


@numba.njit
def pair_of(low, high):  # type: ignore[no-untyped-def]
    """Return two whole numbers, rounded from floats, in one int32."""
    one, two = np.int32(np.rint(low)), np.int32(np.rint(high))
    return (one & np.int32(0xFFFF)) | (two << np.int32(16))
