"""What :func:`ranvier.sorting.joint_kernels.explain_again` computes, in steps that can be read."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: An amplitude so far from 1 is looked at again.
DOUBTFUL = 0.2
#: A unit may be one of a pair where the signal has this share of its template, the other's part included.
SEEN = 0.5
#: How often the two of a pair are fitted in turn.
TURNS = 3
#: A pair that explains so little more (squares of SD) is the same.
LEAST_MORE = 1e-3


def _top_of(three: F64) -> tuple[float, float]:
    left, here, right = (float(x) for x in three)
    bend = left - 2 * here + right
    shift = min(max(0.5 * (left - right) / bend, -0.5), 0.5) if bend < 0 else 0.0
    return here - 0.25 * (left - right) * shift, shift


def explain_again_reference(
    projection: F32, norms: F64, thresholds: F64, prior: float, amplitudes: F64, pair: I32, first: I64, other: I32,
    value: F32, guard: int, far: int, found: int, rows: I64, units: I32, scale: F32, fraction: F32, gain: F32,
) -> int:  # fmt: skip
    """Define :func:`ranvier.sorting.joint_kernels.explain_again`."""
    samples, phases, reach = projection.shape[1], value.shape[0], (value.shape[2] - 1) // 2
    order, alive, total, width = (
        np.argsort(rows[:found], kind="stable"),
        np.ones(len(rows), np.bool_),
        found,
        2 * far + 3,
    )

    def seen(u: int, v: int, row: int, a: float, shift: float, begin: int, length: int) -> F64:
        """What the projection on v holds of a spike of u."""
        out = np.zeros(length)
        step = math.floor(shift * phases + 0.5)
        lag = np.arange(length) + begin - (row + step // phases) + reach
        held = (lag >= 0) & (lag <= 2 * reach) & (pair[u, v] >= 0)
        out[held] = a * value[step % phases, pair[u, v], lag[held]].astype(np.float64)
        return out

    def add(s: int, sign: float) -> None:
        for v in other[first[units[s]] : first[units[s] + 1]]:
            projection[v] += np.float32(sign) * seen(
                int(units[s]), int(v), int(rows[s]), float(scale[s]), float(fraction[s]), 0, samples
            ).astype(np.float32)

    def fitted(u: int, v: int, x: F64, y: F64) -> tuple[float, list[float], list[float]] | None:
        """Energy that a pair explains, and place, shift, amplitude, gain of either."""
        best, at, size = -np.inf, (0, 0), (0.0, 0.0)
        for p in range(1, width - 1):
            for r in range(1, width - 1):
                if x[p] < SEEN * norms[u]:
                    continue
                matrix = np.array([[norms[u] + prior, 0.0], [0.0, norms[v] + prior]])
                matrix[0, 1] = matrix[1, 0] = value[0, pair[u, v], r - p + reach]
                told = np.array([x[p], y[r]]) + prior
                if np.linalg.det(matrix) <= 1e-9:
                    continue
                both = np.linalg.solve(matrix, told)
                if (both < amplitudes[0]).any() or (both > amplitudes[1]).any():
                    continue
                if both @ told - 2 * prior > best:
                    best, at, size = float(both @ told - 2 * prior), (p, r), (float(both[0]), float(both[1]))
        if best == -np.inf:
            return None
        place, shift, a, signal, unit = list(at), [0.0, 0.0], list(size), (x, y), (u, v)
        alone = 0.0
        for turn in range(2 * TURNS):
            me, it = turn % 2, 1 - turn % 2
            rest = signal[me] - seen(unit[it], unit[me], place[it], a[it], shift[it], 0, width)
            for _ in range(2):
                p = place[me]
                if rest[p - 1] > max(rest[p], rest[p + 1]) and p > 1:
                    place[me] -= 1
                elif rest[p + 1] > rest[p] and p < width - 2:
                    place[me] += 1
            top, shift[me] = _top_of(rest[place[me] - 1 : place[me] + 2])
            a[me] = (top + prior) / (norms[unit[me]] + prior)
            alone = (top + prior) ** 2 / (norms[unit[me]] + prior) - prior
        left, here, right = x[place[0] - 1 : place[0] + 2]
        whole = here + 0.5 * shift[0] * (right - left) + 0.5 * shift[0] ** 2 * (left - 2 * here + right)
        gained = 2 * a[0] * whole - a[0] ** 2 * norms[u] - prior * (a[0] - 1) ** 2
        if min(a) < amplitudes[0] or max(a) > amplitudes[1]:
            return None
        return gained + alone, [place[0], shift[0], a[0], gained], [place[1], shift[1], a[1], alone]

    for n in range(found):
        i = int(order[n])
        begin = int(rows[i]) - far - 1
        if not alive[i] or abs(scale[i] - 1) <= DOUBTFUL or begin < 1 or begin + width >= samples:
            continue
        near = [int(j) for j in order if alive[j] and j != i and abs(rows[j] - rows[i]) <= guard + far]
        near = sorted(near, key=lambda j: (rows[j], j))
        most: tuple[float, int, int, int, list[float], list[float]] | None = None
        for j in (-1, *(j for j in near if abs(rows[j] - rows[i]) <= guard and pair[units[i], units[j]] >= 0)):
            lines = {}
            for v in other[first[units[i]] : first[units[i] + 1]]:
                x = projection[v, begin : begin + width].astype(np.float64)
                for s in (i, j) if j >= 0 else (i,):
                    x = x + seen(int(units[s]), int(v), int(rows[s]), float(scale[s]), float(fraction[s]), begin, width)
                busy = any(units[z] == v for z in near if z != j)
                if x.max() > SEEN * norms[v] and not busy:
                    lines[int(v)] = x
            known = float(gain[i]) + (float(gain[j]) if j >= 0 else 0.0)
            for u, x in lines.items():
                for v, y in lines.items():
                    if v <= u or pair[u, v] < 0 or pair[v, u] < 0:
                        continue
                    fit = fitted(u, v, x, y)
                    asked = min(thresholds[u], thresholds[v]) if j < 0 else LEAST_MORE
                    if fit is not None and fit[0] - known - asked > (0.0 if most is None else most[0]):
                        most = fit[0] - known - asked, j, u, v, fit[1], fit[2]
        if most is None or total + 2 > len(rows):
            continue
        for s in (i, most[1]) if most[1] >= 0 else (i,):
            alive[s] = False
            add(s, 1.0)
        for unit, (place, shift, a, explained) in zip(most[2:4], most[4:6], strict=True):
            rows[total], units[total], scale[total], fraction[total] = begin + place, unit, a, shift
            gain[total] = explained
            add(total, -1.0)
            total += 1
    kept = np.flatnonzero(alive[:total])
    for column in (rows, units, scale, fraction, gain):
        column[: len(kept)] = column[kept]
    return len(kept)
