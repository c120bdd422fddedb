"""Local maxima over time and neighbouring sites."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.kernels.lanes import BITS, STRIP, at_most, lowest_bit, reaching

F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


def exclusive_peaks_reference(
    score: F32, near: I32, threshold: F32, half: int, first: int, last: int, rows: I64, columns: I32
) -> int:
    """Define :func:`exclusive_peaks`."""
    found = 0
    for t in range(first, last):
        for c in np.flatnonzero(score[t] > threshold):
            low, high = max(0, t - half), min(len(score), t + half + 1)
            among = near[c][near[c] >= 0]
            window = score[low:high, among]
            best = window.max()
            if score[t, c] < best:
                continue
            earliest = low + int(np.flatnonzero((window == best).any(axis=1))[0])
            if earliest != t or among[window[t - low] == best].min() != c:
                continue
            if found < len(rows):
                rows[found], columns[found] = t, c
            found += 1
    return found


@kernel(
    "int64(Array(float32, 2, 'C', readonly=True), Array(int32, 2, 'C', readonly=True),"
    " Array(float32, 1, 'C', readonly=True), int64, int64, int64, int64[::1], int32[::1])",
    reference=exclusive_peaks_reference,
)
def exclusive_peaks(
    score: F32, near: I32, threshold: F32, half: int, first: int, last: int, rows: I64, columns: I32
) -> int:
    """Find values above a threshold that are the largest within a time window over a site's neighbours.

    Of equal values the earliest counts, then that of the lowest column.

    Parameters
    ----------
    score
        ``(samples, channels)``.
    near
        ``(channels, K)``: each site itself and its neighbours, -1 where there are fewer.
    threshold
        ``(channels,)``.
    half
        Half width of the window, in samples.
    first, last
        Rows that peaks are looked for in; their windows may reach beyond.
    rows, columns
        Written, in the order of rows, then columns.

    Returns
    -------
    found
        Number of peaks; only as many as ``rows`` holds are written.
    """
    channels = score.shape[1]
    whole = channels - channels % STRIP
    limits = threshold.copy()
    found = 0
    for t in range(first, last):
        for at in range(0, channels, STRIP):
            few = np.uint64((1 << min(channels - at, STRIP)) - 1)
            bits = reaching(score, t, at, limits) if at < whole else few  # those far below zero as well
            while bits != 0:
                c = at + lowest_bit(bits)
                bits &= bits - np.uint64(1)
                if score[t, c] > threshold[c] and _is_largest(score, near[c], half, t, c):
                    if found < rows.shape[0]:
                        rows[found] = t
                        columns[found] = c
                    found += 1
    return found


@numba.njit
def _is_largest(score, near, half, t, c):  # type: ignore[no-untyped-def]
    """Return whether a value is the largest within ``half`` rows and its site's neighbours; of equal ones the first."""
    value, samples = score[t, c], score.shape[0]
    if (t > 0 and score[t - 1, c] >= value) or (t + 1 < samples and score[t + 1, c] > value):
        return False
    few = 0
    while few < near.shape[0] and near[few] >= 0:
        few += 1
    for k in range(few):  # most that are not the largest fail here, in one line of memory
        if score[t, near[k]] > value or (score[t, near[k]] == value and near[k] < c):
            return False
    for s in range(max(0, t - half), min(samples, t + half + 1)):
        if s != t:
            for k in range(few):
                other = score[s, near[k]]
                if other > value or (other == value and s < t):
                    return False
    return True


def exclusive_troughs_reference(
    counts: I16, near: I32, limit: int, half: int, first: int, last: int, rows: I64, columns: I32
) -> int:
    """Define :func:`exclusive_troughs`, but for the order."""
    depth = np.ascontiguousarray(-counts.T, np.float32)
    threshold = np.full(len(counts), -limit - 1, np.float32)
    return exclusive_peaks_reference(depth, near, threshold, half, first, last, rows, columns)


@kernel(
    "int64(Array(int16, 2, 'C', readonly=True), Array(int32, 2, 'C', readonly=True), int64, int64, int64, int64,"
    " int64[::1], int32[::1])",
    reference=exclusive_troughs_reference,
)
def exclusive_troughs(
    counts: I16, near: I32, limit: int, half: int, first: int, last: int, rows: I64, columns: I32
) -> int:
    """Find values no larger than ``limit`` that are the least within a time window over a site's neighbours.

    As :func:`exclusive_peaks`, the sign turned, for ``(channels, samples)`` in counts; found site by site.
    """
    found, bound = 0, np.int16(limit)
    for c in range(counts.shape[0]):
        t = first
        while t < last:
            bits, many = np.uint64(0), min(BITS, last - t)
            if t + BITS <= counts.shape[1]:
                bits = at_most(counts, c, t, bound)
                if many < BITS:
                    bits &= np.uint64((1 << many) - 1)
            else:
                for k in range(many):
                    bits |= np.uint64(counts[c, t + k] <= bound) << np.uint64(k)
            while bits != 0:
                at = t + lowest_bit(bits)
                bits &= bits - np.uint64(1)
                if _is_least(counts, near[c], half, at, c):
                    if found < rows.shape[0]:
                        rows[found] = at
                        columns[found] = c
                    found += 1
            t += BITS
    return found


@numba.njit
def _is_least(counts, near, half, t, c):  # type: ignore[no-untyped-def]
    """Tell whether a value is the least within ``half`` samples and its site's neighbours; the first of equal ones."""
    value, samples = counts[c, t], counts.shape[1]
    if (t > 0 and counts[c, t - 1] <= value) or (t + 1 < samples and counts[c, t + 1] < value):
        return False
    for k in range(near.shape[0]):
        d = near[k]
        if d < 0:
            break
        for s in range(max(0, t - half), min(samples, t + half + 1)):
            other = counts[d, s]
            if other < value or (other == value and (s < t or (s == t and d < c))):
                return False
    return True


def troughs_of(counts: I16, near: I32, limit: int, half: int, first: int, last: int) -> tuple[I64, I32]:
    """Return what :func:`exclusive_troughs` finds, in the order of samples, then sites."""
    most = 1000
    while True:
        rows, columns = np.empty(most, np.int64), np.empty(most, np.int32)
        found = exclusive_troughs(counts, near, limit, half, first, last, rows, columns)
        if found <= most:
            order = np.lexsort((columns[:found], rows[:found]))
            return rows[order], columns[order]
        most = found
