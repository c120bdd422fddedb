"""Doubtful spikes explained again, as pairs (behind the pursuit of stage S9).

The pursuit takes the largest gain first. Where two units alike in shape fire at once, one of them, or a third, explains
nearly all with twice its size; what is left is no spike's, or another wrong one's. An amplitude that its unit seldom
has gives such places away. There the spike, alone or with one that overlaps it, is put back, and every pair of units is
fitted jointly around its place: the energy that both explain at their best lags, less what amplitudes far from 1 cost
(the prior of :mod:`ranvier.sorting.match_kernels`). A pair that explains enough more takes its place: for one spike, as
much more as a spike of either unit must explain at least; for two, more at all.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.sorting.joint_reference import DOUBTFUL, LEAST_MORE, SEEN, TURNS, explain_again_reference
from ranvier.sorting.match_kernels import top_of

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


@numba.njit
def _put_back(line, value, k, row, a, shift, begin):  # type: ignore[no-untyped-def]
    """Add to a line, which begins at a row, what the pair ``k`` says that it holds of a spike."""
    phases, lags = value.shape[0], value.shape[2]
    step = math.floor(shift * phases + 0.5)
    to_lag = begin - (row + step // phases) + (lags - 1) // 2
    for w in range(max(0, -to_lag), min(line.shape[0], lags - to_lag)):
        line[w] += a * value[step % phases, k, w + to_lag]


@numba.njit
def _on_grid(x, y, norm_u, norm_v, prior, amplitudes, products, reach):  # type: ignore[no-untyped-def]
    """Return the best places of a pair at whole shifts, and the amplitudes there; amplitude 0: there are none."""
    best, at_u, at_v, size_u, size_v = -np.inf, 0, 0, 0.0, 0.0
    for p in range(1, x.shape[0] - 1):
        if x[p] < SEEN * norm_u:
            continue
        b = x[p] + prior
        for r in range(1, x.shape[0] - 1):
            c, g = y[r] + prior, np.float64(products[r - p + reach])
            det = (norm_u + prior) * (norm_v + prior) - g * g
            if det <= 1e-9:
                continue
            a_u, a_v = ((norm_v + prior) * b - g * c) / det, ((norm_u + prior) * c - g * b) / det
            if min(a_u, a_v) < amplitudes[0] or max(a_u, a_v) > amplitudes[1]:
                continue
            explained = a_u * b + a_v * c - 2.0 * prior
            if explained > best:
                best, at_u, at_v, size_u, size_v = explained, p, r, a_u, a_v
    return at_u, at_v, size_u, size_v


@numba.njit
def _beside(rest, x, norm, prior, value, k, at, size, shift, place):  # type: ignore[no-untyped-def]
    """Fit a unit to what the other of a pair leaves, near its place: its place, shift, amplitude, gain."""
    rest[:] = x
    _put_back(rest, value, k, at, -size, shift, 0)
    for _ in range(2):
        if rest[place - 1] > max(rest[place], rest[place + 1]) and place > 1:
            place -= 1
        elif rest[place + 1] > rest[place] and place < x.shape[0] - 2:
            place += 1
    top, own = top_of(rest[place - 1], rest[place], rest[place + 1])
    raised = top + prior
    return place, own, raised / (norm + prior), raised * raised / (norm + prior) - prior


@kernel(
    "int64(float32[:,::1], float64[::1], float64[::1], float64, float64[::1], int32[:,::1], int64[::1], int32[::1],"
    " float32[:,:,::1], int64, int64, int64, int64[::1], int32[::1], float32[::1], float32[::1], float32[::1])",
    reference=explain_again_reference,
)
def explain_again(
    projection: F32,
    norms: F64,
    thresholds: F64,
    prior: float,
    amplitudes: F64,
    pair: I32,
    first: I64,
    other: I32,
    value: F32,
    guard: int,
    far: int,
    found: int,
    rows: I64,
    units: I32,
    scale: F32,
    fraction: F32,
    gain: F32,
) -> int:
    """Put pairs in the place of doubtful spikes where these explain more.

    Parameters
    ----------
    projection, norms, thresholds, prior, amplitudes, first, other, value, guard
        Of :func:`~ranvier.sorting.match_kernels.pursue`; ``projection`` as that left it, kept up to date.
    pair
        ``(units, units)``: where in ``other`` the second is as a neighbour of the first; -1: nowhere.
    far
        Shifts that either of a pair may be away from the doubtful spike.
    found, rows, units, scale, fraction, gain
        The spikes; changed.

    Returns
    -------
    found
        Number of spikes now.
    """
    samples, reach = projection.shape[1], (value.shape[2] - 1) // 2
    order = np.argsort(rows[:found], kind="mergesort")
    alive = np.ones(rows.shape[0], np.bool_)
    total = found
    width = 2 * far + 3
    lines, rest = np.empty((norms.shape[0], width)), np.empty(width)
    able = np.empty(norms.shape[0], np.int64)
    two = np.empty((2, 4))  # place, shift, amplitude, gain of either
    for n in range(found):
        i = order[n]
        begin = rows[i] - far - 1
        if not alive[i] or abs(scale[i] - 1.0) <= DOUBTFUL or begin < 1 or begin + width >= samples:
            continue
        low, high = n, n + 1
        while low > 0 and rows[i] - rows[order[low - 1]] <= guard + far:
            low -= 1
        while high < found and rows[order[high]] - rows[i] <= guard + far:
            high += 1
        most, best_j, best_u, best_v = 0.0, np.int64(-1), -1, -1
        for m in range(low - 1, high):
            j = np.int64(-1)
            if m >= low:
                j = order[m]
                if j == i or not alive[j] or abs(rows[j] - rows[i]) > guard or pair[units[i], units[j]] < 0:
                    continue
            count = 0
            for k in range(first[units[i]], first[units[i] + 1]):
                v = other[k]
                x = lines[count]
                for w in range(width):
                    x[w] = projection[v, begin + w]
                _put_back(x, value, k, rows[i], scale[i], fraction[i], begin)
                if j >= 0 and pair[units[j], v] >= 0:
                    _put_back(x, value, pair[units[j], v], rows[j], scale[j], fraction[j], begin)
                if not x.max() > SEEN * norms[v]:
                    continue
                busy = False
                for z in range(low, high):
                    s = order[z]
                    busy = busy or (s != i and s != j and alive[s] and units[s] == v)
                if not busy:
                    able[count] = v
                    count += 1
            known = np.float64(gain[i]) + (np.float64(gain[j]) if j >= 0 else 0.0)
            for p in range(count):
                for q in range(p + 1, count):
                    u, v = able[p], able[q]
                    forth, back = pair[u, v], pair[v, u]
                    if forth < 0 or back < 0:
                        continue
                    at_u, at_v, a_u, a_v = _on_grid(
                        lines[p], lines[q], norms[u], norms[v], prior, amplitudes, value[0, forth], reach
                    )
                    if a_u == 0.0:
                        continue
                    s_u, s_v, alone = 0.0, 0.0, 0.0
                    for _ in range(TURNS):
                        at_u, s_u, a_u, _g = _beside(rest, lines[p], norms[u], prior, value, back, at_v, a_v, s_v, at_u)
                        at_v, s_v, a_v, alone = _beside(
                            rest, lines[q], norms[v], prior, value, forth, at_u, a_u, s_u, at_v
                        )
                    if min(a_u, a_v) < amplitudes[0] or max(a_u, a_v) > amplitudes[1]:
                        continue
                    left, here, right = lines[p, at_u - 1], lines[p, at_u], lines[p, at_u + 1]
                    whole = here + 0.5 * s_u * (right - left) + 0.5 * s_u * s_u * (left - 2.0 * here + right)
                    gained = 2.0 * a_u * whole - a_u * a_u * norms[u] - prior * (a_u - 1.0) ** 2
                    asked = min(thresholds[u], thresholds[v]) if j < 0 else LEAST_MORE
                    if gained + alone - known - asked > most:
                        most, best_j, best_u, best_v = gained + alone - known - asked, j, u, v
                        two[0, 0], two[0, 1], two[0, 2], two[0, 3] = at_u, s_u, a_u, gained
                        two[1, 0], two[1, 1], two[1, 2], two[1, 3] = at_v, s_v, a_v, alone
        if best_u < 0 or total + 2 > rows.shape[0]:
            continue
        for e in range(2):
            s = i if e == 0 else best_j
            if s < 0:
                continue
            alive[s] = False
            for k in range(first[units[s]], first[units[s] + 1]):
                _put_back(projection[other[k]], value, k, rows[s], scale[s], fraction[s], 0)
        for e in range(2):
            s, total = total, total + 1
            rows[s], units[s] = begin + np.int64(two[e, 0]), best_u if e == 0 else best_v
            fraction[s], scale[s], gain[s] = two[e, 1], two[e, 2], two[e, 3]
            for k in range(first[units[s]], first[units[s] + 1]):
                _put_back(projection[other[k]], value, k, rows[s], -scale[s], fraction[s], 0)
    kept = 0
    for s in range(total):
        if alive[s]:
            rows[kept], units[kept], scale[kept], fraction[kept], gain[kept] = (
                rows[s], units[s], scale[s], fraction[s], gain[s]
            )  # fmt: skip
            kept += 1
    return kept
