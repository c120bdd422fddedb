"""Matching pursuit on the projections of a block on all templates (stage S9).

A spike of unit u with amplitude a explains ``2 a B - a^2 N`` of the block's energy, where B is the projection on the
template and N the template's energy. With a normal prior of the amplitude around 1 the best gain is
``(B + k)^2 / (N + k) - k``, ``k = 1 / sd^2``. The largest gain of the whole block is taken first, its projection on all
near templates is subtracted at the exact fraction of a sample, and what that changed is looked at again. B is taken
at the top of the parabola through three samples: projections need not be sampled more often than their spectrum asks.
"""

from __future__ import annotations

import heapq
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


def _peaks(projection: F32) -> F64:
    """Return the tops of parabolas through each sample and its neighbours."""
    x = projection.astype(np.float64)
    left, here, right = x[:, :-2], x[:, 1:-1], x[:, 2:]
    bend = left - 2 * here + right
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(bend < 0, np.clip(0.5 * (left - right) / bend, -0.5, 0.5), 0.0)
    x[:, 1:-1] = here - 0.25 * (left - right) * shift
    return x


def pursue_reference(
    projection: F32,
    norms: F64,
    thresholds: F64,
    prior: float,
    amplitudes: F64,
    first: I64,
    other: I32,
    value: F32,
    guard: int,
    rows: I64,
    units: I32,
    scale: F32,
    fraction: F32,
    gain: F32,
) -> int:
    """Define :func:`pursue`: look for the largest gain of all again and again."""
    samples = projection.shape[1]
    phases, lags = value.shape[0], value.shape[2]
    reach = (lags - 1) // 2
    blocked = np.zeros(projection.shape, np.bool_)
    found = 0
    while found < len(rows):
        peaks = _peaks(projection)
        raised = peaks + prior
        gains = np.where(raised > 0, raised**2 / (norms[:, None] + prior) - prior, 0.0)
        best_amplitude = raised / (norms[:, None] + prior)
        fine = (gains > thresholds[:, None]) & ~blocked
        fine &= (best_amplitude >= amplitudes[0]) & (best_amplitude <= amplitudes[1])
        fine[:, 1:] &= projection[:, 1:] > projection[:, :-1]
        fine[:, :-1] &= projection[:, :-1] >= projection[:, 1:]
        fine[:, [0, samples - 1]] = False
        if not fine.any():
            break
        gains[~fine] = -1.0
        largest = gains.max()
        t, u = min((int(t), int(u)) for u, t in zip(*np.nonzero(gains == largest), strict=True))
        left, here, right = (float(projection[u, t + d]) for d in (-1, 0, 1))
        bend = left - 2 * here + right
        shift = min(max(0.5 * (left - right) / bend, -0.5), 0.5) if bend < 0 else 0.0
        step = int(np.floor(shift * phases + 0.5))
        at, phase = t + step // phases, step % phases
        a = best_amplitude[u, t]
        rows[found], units[found], scale[found], fraction[found] = t, u, a, shift
        gain[found] = largest
        found += 1
        blocked[u, max(0, t - guard) : t + guard + 1] = True
        for k in range(first[u], first[u + 1]):
            low, high = max(0, at - reach), min(samples, at + reach + 1)
            projection[other[k], low:high] -= np.float32(a) * value[phase, k, low - at + reach : high - at + reach]
    return found


#: A local maximum below this share of what is asked for has no parabola that reaches it (its top is at most 1/8 of
#: the difference of the neighbours higher, and neighbours are not negative twice as large).
_CLOSE = 0.8


@numba.njit
def top_of(before, at, after):  # type: ignore[no-untyped-def]
    """Return height and place (-0.5 to 0.5) of the top of the parabola through a local maximum and its neighbours."""
    left, here, right = np.float64(before), np.float64(at), np.float64(after)
    bend = left - 2.0 * here + right
    shift = 0.0
    if bend < 0.0:
        shift = min(max(0.5 * (left - right) / bend, -0.5), 0.5)
    return here - 0.25 * (left - right) * shift, shift


@numba.njit
def _any_above(values, least):  # type: ignore[no-untyped-def]
    """Return whether any value is larger; all are looked at, many at a time."""
    count = 0
    for s in range(values.shape[0]):
        count += values[s] > least
    return count > 0


@kernel(
    "int64(float32[:,::1], float64[::1], float64[::1], float64, float64[::1], int64[::1], int32[::1],"
    " float32[:,:,::1], int64, int64[::1], int32[::1], float32[::1], float32[::1], float32[::1])",
    reference=pursue_reference,
)
def pursue(
    projection: F32,
    norms: F64,
    thresholds: F64,
    prior: float,
    amplitudes: F64,
    first: I64,
    other: I32,
    value: F32,
    guard: int,
    rows: I64,
    units: I32,
    scale: F32,
    fraction: F32,
    gain: F32,
) -> int:
    """Explain a block as a sum of templates.

    Parameters
    ----------
    projection
        ``(units, samples)``: of the block on each template starting at each sample; what is left of it is written back.
    norms, thresholds
        ``(units,)``: energy of each template, and the gain that a spike of it must have.
    prior
        ``1 / sd^2`` of the amplitude.
    amplitudes
        Smallest and largest one.
    first, other, value
        Of the templates' ``Overlaps``.
    guard
        A unit fires again after more than so many samples.
    rows, units, scale, fraction, gain
        Written, one entry per spike: sample, unit, amplitude, where between samples, energy explained.

    Returns
    -------
    found
        Number of spikes, at most ``len(rows)``.
    """
    count, samples = projection.shape
    phases = value.shape[0]
    reach = (value.shape[2] - 1) // 2
    blocked = np.zeros((count, samples), np.bool_)
    heap: Any = [(0.0, 0, 0)]
    heap.pop()
    low = np.empty(count, np.float32)  # projection that the threshold and the smallest amplitude ask for
    for u in range(count):
        by_gain = np.sqrt((thresholds[u] + prior) * (norms[u] + prior)) - prior
        by_scale = amplitudes[0] * (norms[u] + prior) - prior
        low[u] = np.float32(max(max(by_gain, by_scale), 0.0))
    for u in range(count):
        least = _CLOSE * low[u]
        for t in range(1, samples - 1):
            here = projection[u, t]
            if here > least and here > projection[u, t - 1] and here >= projection[u, t + 1]:
                peak, _ = top_of(projection[u, t - 1], projection[u, t], projection[u, t + 1])
                if peak > low[u]:
                    heap.append((-((peak + prior) ** 2 / (norms[u] + prior) - prior), t, u))
    heapq.heapify(heap)
    found = 0
    while len(heap) > 0 and found < rows.shape[0]:
        negative, t, u = heapq.heappop(heap)
        here = projection[u, t]
        if blocked[u, t] or not (here > projection[u, t - 1] and here >= projection[u, t + 1]):
            continue
        peak, shift = top_of(projection[u, t - 1], projection[u, t], projection[u, t + 1])
        raised = peak + prior
        now = raised**2 / (norms[u] + prior) - prior
        a = raised / (norms[u] + prior)
        if not peak > low[u] or now != -negative or a > amplitudes[1]:
            continue
        step = int(np.floor(shift * phases + 0.5))
        at = t + step // phases
        phase = step % phases
        rows[found], units[found] = t, u
        scale[found], fraction[found], gain[found] = a, shift, now
        found += 1
        for s in range(max(0, t - guard), min(samples, t + guard + 1)):
            blocked[u, s] = True
        begin_row, end_row = max(0, at - reach), min(samples, at + reach + 1)
        a32 = np.float32(a)
        for k in range(first[u], first[u + 1]):
            v = np.int64(other[k])
            least = _CLOSE * low[v]
            line, spike = projection[v, begin_row:end_row], value[phase, k, begin_row - at + reach :]
            for s in range(line.shape[0]):
                line[s] -= a32 * spike[s]
            begin, end = max(1, begin_row - 1), min(samples - 1, end_row + 1)
            if not _any_above(projection[v, begin:end], least):
                continue
            for s in range(begin, end):
                x = projection[v, s]
                if x > least and x > projection[v, s - 1] and x >= projection[v, s + 1] and not blocked[v, s]:
                    top, _ = top_of(projection[v, s - 1], projection[v, s], projection[v, s + 1])
                    if top > low[v]:
                        again: Any = (-((top + prior) ** 2 / (norms[v] + prior) - prior), s, v)
                        heapq.heappush(heap, again)
    return found
