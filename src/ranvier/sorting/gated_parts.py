"""What the steps of :mod:`ranvier.sorting.gated_kernels` are made of: look for a unit at a trough, subtract it."""

from __future__ import annotations

import numba
import numpy as np

from ranvier.kernels.lanes import STRIP, lowest_bit
from ranvier.kernels.strips import below, nothing, plus_product, summed
from ranvier.sorting.early_reference import CLOSE, STEPS

NOTHING, LATER, FOUND = 0, 1, 2


@numba.njit(forceinline=True)
def project(white, flat, front, length, sites, most, first, u, r):  # type: ignore[no-untyped-def]
    """Return the inner product of a unit on ``most`` of its sites with the signal from row r on.

    Its waveforms begin at row ``first`` of ``flat``.
    """
    whole = length - length % STRIP
    sums, rest = nothing(), np.float32(0.0)
    for k in range(most):
        site = sites[u, k]
        if site < 0:
            break
        for s in range(0, whole, STRIP):
            sums = plus_product(sums, white, site, r + s, flat, first + k, front + s)
        for s in range(whole, length):
            rest += white[site, r + s] * flat[first + k, front + s]
    return float(summed(sums)) + float(rest)


@numba.njit(forceinline=True)
def fit(  # type: ignore[no-untyped-def]
    white, flat, rows_per_unit, front, length, before, sites, u, t, begin, highest, low, three
):  # fmt: skip
    """Look for a unit at a trough of its main site; return what came of it and its row, and write three projections."""
    first, most, r = u * rows_per_unit, sites.shape[1], t - before
    here = project(white, flat, front, length, sites, most, first, u, r)
    if not here > CLOSE * low:
        return NOTHING, r
    left = project(white, flat, front, length, sites, most, first, u, r - 1)
    right = project(white, flat, front, length, sites, most, first, u, r + 1)
    for k in range(STEPS + 1):
        if here > left and here >= right:
            break
        if k == STEPS:
            return NOTHING, r
        if right > left:
            r += 1
            if r > highest:
                return LATER, r
            left, here, right = here, right, project(white, flat, front, length, sites, most, first, u, r + 1)
        else:
            r -= 1
            if r - 1 < begin:
                return NOTHING, r
            left, here, right = project(white, flat, front, length, sites, most, first, u, r - 1), left, here
    three[0], three[1], three[2] = left, here, right
    return (FOUND if here > low else NOTHING), r


@numba.njit(forceinline=True)
def troughs(white, flat, first, main, front, length, before, u, low, stop, begin, gate, least, work, count):  # type: ignore[no-untyped-def]
    """Add the troughs of a site in rows ``[low, stop)`` that a unit's main waveform looks like; return how many."""
    for at in range(low, stop, STRIP):
        deep = below(white, main, at, gate)
        if at + STRIP > stop:
            deep &= (np.uint64(1) << np.uint64(stop - at)) - np.uint64(1)
        while deep != 0:
            t = at + lowest_bit(deep)
            deep &= deep - np.uint64(1)
            r = t - before
            if not (white[main, t] <= white[main, t - 1] and white[main, t] < white[main, t + 1]) or r - 1 < begin:
                continue
            whole = length - length % STRIP
            sums, rest = nothing(), np.float32(0.0)
            for s in range(0, whole, STRIP):
                sums = plus_product(sums, white, main, r + s, flat, first, front + s)
            for s in range(whole, length):
                rest += white[main, r + s] * flat[first, front + s]
            if summed(sums) + rest > least and count < len(work):
                work[count, 0], work[count, 1] = t, u
                count += 1
    return count


@numba.njit(forceinline=True)
def subtract(white, waveforms, sites, at, u, phase, a, first, stop):  # type: ignore[no-untyped-def]
    """Subtract a spike whose waveform begins at row ``at`` from the rows ``[first, stop)``."""
    low, high = max(first, at), min(stop, at + waveforms.shape[3])
    for k in range(sites.shape[1]):
        if sites[u, k] < 0:
            break
        x, w = white[sites[u, k]], waveforms[u, phase, k]
        for s in range(low, high):
            x[s] -= a * w[s - at]


@numba.njit(forceinline=True)
def ahead_of(places, fits, a, b):  # type: ignore[no-untyped-def]
    """Return whether a candidate comes before another: more gain, then sooner, then the smaller unit."""
    if fits[a, 0] != fits[b, 0]:
        return fits[a, 0] > fits[b, 0]
    if places[a, 0] != places[b, 0]:
        return places[a, 0] < places[b, 0]
    return places[a, 1] < places[b, 1]
