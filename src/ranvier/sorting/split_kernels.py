"""ISO-SPLIT: clusters of points, all of it without the interpreter. Its definition is in ``split_reference``.

Source: Magland and Barnett 2015, "Unimodal clustering using isotonic regression: ISO-SPLIT", arXiv:1508.04841. The
lines are ours. Clusters are numbers; ``sizes``, ``centres`` and ``covariances`` are kept for each.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.sorting import split_reference
from ranvier.sorting.cut_kernels import cut_ordered
from ranvier.sorting.cut_reference import SHORTEST
from ranvier.sorting.split_reference import LLOYD_ROUNDS, MOST_ROUNDS, MOVED_SHARE, RIDGE

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

_cut = numba.njit(cut_ordered.function)


@numba.njit
def _apart(one, two):  # type: ignore[no-untyped-def]
    """Return the squared distance of two points."""
    total = 0.0
    for k in range(one.shape[0]):
        total += (one[k] - two[k]) ** 2
    return total


@numba.njit
def _far_apart(points, first, draws, centres):  # type: ignore[no-untyped-def]
    """Choose points to begin with: each with a chance as the square of its distance to those before it."""
    nearest = np.full(points.shape[0], np.inf)
    chosen = first
    for c in range(centres.shape[0]):
        if c > 0:
            whole, passed = nearest.sum(), 0.0
            for i in range(points.shape[0]):
                passed += nearest[i] / whole
                chosen = i
                if passed >= draws[c - 1]:
                    break
        centres[c] = points[chosen]
        for i in range(points.shape[0]):
            nearest[i] = min(nearest[i], _apart(points[i], centres[c]))


@numba.njit
def _parcels(points, centres, labels):  # type: ignore[no-untyped-def]
    """Run k-means for a few rounds; a parcel without points stays where it was."""
    count, dimensions = centres.shape
    sums, sizes = np.empty((count, dimensions)), np.empty(count, np.int64)
    for _ in range(LLOYD_ROUNDS):
        sums[:], sizes[:] = 0.0, 0
        for i in range(points.shape[0]):
            least = np.inf
            for c in range(count):
                apart = _apart(points[i], centres[c])
                if apart < least:
                    least, labels[i] = apart, c
            sizes[labels[i]] += 1
            for k in range(dimensions):
                sums[labels[i], k] += points[i, k]
        for c in range(count):
            if sizes[c] > 0:
                for k in range(dimensions):
                    centres[c, k] = sums[c, k] / sizes[c]


@numba.njit
def _measure(points, labels, c, sizes, centres, covariances):  # type: ignore[no-untyped-def]
    """Measure size, centre and covariance of a cluster."""
    dimensions = points.shape[1]
    centre, covariance = centres[c], covariances[c]
    count = 0
    centre[:], covariance[:] = 0.0, 0.0
    for i in range(points.shape[0]):
        if labels[i] == c:
            count += 1
            for k in range(dimensions):
                centre[k] += points[i, k]
    sizes[c] = count
    if count == 0:
        return
    centre /= count
    rest = np.empty(dimensions)
    for i in range(points.shape[0]):
        if labels[i] == c:
            for k in range(dimensions):
                rest[k] = points[i, k] - centre[k]
                for j in range(k + 1):
                    covariance[k, j] += rest[k] * rest[j]
    for k in range(dimensions):
        for j in range(k + 1):
            covariance[k, j] /= count
            covariance[j, k] = covariance[k, j]


@numba.njit
def _solved(matrix, vector):  # type: ignore[no-untyped-def]
    """Solve ``matrix @ x = vector`` for a positive matrix (Cholesky), in place; return x."""
    n = vector.shape[0]
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = np.sqrt(total) if i == j else total / matrix[j, j]
    for i in range(n):
        for k in range(i):
            vector[i] -= matrix[i, k] * vector[k]
        vector[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            vector[i] -= matrix[k, i] * vector[k]
        vector[i] /= matrix[i, i]
    return vector


@numba.njit
def _separating_axis(a, b, sizes, centres, covariances):  # type: ignore[no-untyped-def]
    """Return the axis from a to b that separates them best (Fisher's discriminant)."""
    pooled = (covariances[a] * sizes[a] + covariances[b] * sizes[b]) / (sizes[a] + sizes[b])
    n = pooled.shape[0]
    ridge = RIDGE * np.trace(pooled) / n
    axis = centres[b] - centres[a]
    if ridge <= 0:
        return axis
    for k in range(n):
        pooled[k, k] += ridge
    return _solved(pooled, axis)


@numba.njit
def _compare(points, labels, a, b, threshold, min_size, sizes, centres, covariances):  # type: ignore[no-untyped-def]
    """Merge two clusters or move the border between them; return the share that moved (merged: 1)."""
    score, border = 0.0, 0.0
    both = sizes[a] + sizes[b]
    projected, which = np.empty(both), np.empty(both, np.int64)
    if min(sizes[a], sizes[b]) >= min_size:
        axis = _separating_axis(a, b, sizes, centres, covariances)
        found = 0
        for i in range(points.shape[0]):
            if labels[i] == a or labels[i] == b:
                total = 0.0
                for k in range(axis.shape[0]):
                    total += points[i, k] * axis[k]
                projected[found], which[found] = total, i
                found += 1
        ordered = np.sort(projected)
        if both >= SHORTEST and ordered[0] != ordered[-1]:
            cut = np.empty(2)
            _cut(ordered, cut)
            score, border = cut[0], cut[1]
    if score < threshold:
        for i in range(points.shape[0]):
            if labels[i] == b:
                labels[i] = a
        _measure(points, labels, a, sizes, centres, covariances)
        sizes[b] = 0
        return 1.0
    moved = 0
    for n in range(both):
        wanted = a if projected[n] < border else b
        if labels[which[n]] != wanted:
            labels[which[n]] = wanted
            moved += 1
    if moved > 0:
        _measure(points, labels, a, sizes, centres, covariances)
        _measure(points, labels, b, sizes, centres, covariances)
    return moved / both


@numba.njit
def _nearest(c, sizes, centres, compared):  # type: ignore[no-untyped-def]
    """Return the cluster nearest to c among those it was not compared with; -1: none."""
    least, nearest = np.inf, -1
    for d in range(sizes.shape[0]):
        if d != c and sizes[d] > 0 and not compared[c, d]:
            apart = _apart(centres[c], centres[d])
            if apart < least:
                least, nearest = apart, d
    return nearest


@numba.njit
def _pass(points, labels, threshold, min_size, sizes, centres, covariances):  # type: ignore[no-untyped-def]
    """Compare mutually nearest pairs until each was compared as it is now; see the reference."""
    count = sizes.shape[0]
    compared, nearest = np.zeros((count, count), np.bool_), np.empty(count, np.int64)
    for _ in range(MOST_ROUNDS):
        for c in range(count):
            nearest[c] = _nearest(c, sizes, centres, compared) if sizes[c] > 0 else -1
        any_left = False
        for a in range(count):
            b = nearest[a]
            if b <= a or nearest[b] != a:
                continue
            any_left = True
            if _compare(points, labels, a, b, threshold, min_size, sizes, centres, covariances) > MOVED_SHARE:
                compared[a], compared[b] = False, False
                compared[:, a], compared[:, b] = False, False
            compared[a, b] = compared[b, a] = True
        if not any_left:
            return


@kernel("void(float64[:,::1], int64, float64[::1], float64, int64, int32[::1])", reference=split_reference.split_points)
def split_points(points: F64, first: int, draws: F64, threshold: float, min_size: int, labels: I32) -> None:
    """Cluster points (see ``isosplit``).

    Parameters
    ----------
    points
        ``(n, dimensions)``; at least as many different ones as there are clusters to begin with.
    first, draws
        Which point the first cluster begins at, and a random number from 0 to 1 for each further one.
    threshold
        Two clusters whose ISO-CUT score is lower become one.
    min_size
        A cluster of fewer points is not tested: it becomes part of its nearest neighbour.
    labels
        ``(n,)``, written: numbers from 0, not all of which are there.
    """
    count, dimensions = draws.shape[0] + 1, points.shape[1]
    sizes = np.zeros(count, np.int64)
    centres, covariances = np.empty((count, dimensions)), np.empty((count, dimensions, dimensions))
    _far_apart(points, first, draws, centres)
    _parcels(points, centres, labels)
    for c in range(count):
        _measure(points, labels, c, sizes, centres, covariances)
    living = -1
    while living != np.count_nonzero(sizes):
        living = int(np.count_nonzero(sizes))
        _pass(points, labels, threshold, min_size, sizes, centres, covariances)
