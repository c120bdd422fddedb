"""ISO-SPLIT: cluster points without a bandwidth; pairs of clusters stay apart only if a cut between them is real.

Source: Magland and Barnett 2015, arXiv:1508.04841. From a fine first parcellation, the two clusters that are nearest
to each other are projected on the axis that separates them best (inverse mean covariance times difference of the
centres) and tested with ISO-CUT: one mode, and they become one cluster; two, and the points go to either side of the
cut. Every decision is deterministic given the seed; the lines are ours.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from scipy.cluster.vq import kmeans2

from ranvier.exceptions import ConfigurationError
from ranvier.sorting.isocut import isocut

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
Seed = int | np.random.SeedSequence

_LLOYD_ROUNDS = 8
_MOST_ROUNDS = 100
#: A pair whose border moved by less is as it was to all others.
_MOVED_SHARE = 0.02
#: Share of the mean variance that is added to the diagonal of a covariance before it is inverted.
_RIDGE = 1e-3


def isosplit(
    features: npt.NDArray[np.floating],
    *,
    isocut_threshold: float = 2.0,
    min_size: int = 10,
    max_initial: int = 15,
    seed: Seed,
) -> I32:
    """Cluster points.

    Parameters
    ----------
    features
        ``(points, dimensions)``, finite.
    isocut_threshold
        Two clusters whose ISO-CUT score is lower become one.
    min_size
        A cluster of fewer points is not tested: it becomes part of its nearest neighbour.
    max_initial
        Number of clusters to begin with, at most.
    seed
        Of the first parcellation.

    Returns
    -------
    labels
        ``(points,)``, from 0, in the order of the clusters' sizes (largest first).

    Raises
    ------
    ConfigurationError
        If the features are not a table of finite numbers, or a parameter is not positive.
    """
    points = np.ascontiguousarray(features, np.float64)
    if points.ndim != 2 or not np.isfinite(points).all():
        raise ConfigurationError("features must be a table (points, dimensions) of finite numbers")
    if isocut_threshold <= 0 or min_size < 1 or max_initial < 1:
        raise ConfigurationError("isocut_threshold, min_size and max_initial must be positive")
    if len(points) == 0 or points.shape[1] == 0:
        return np.zeros(len(points), np.int32)
    count = min(max_initial, len(points) // min_size)
    if len(np.unique(points[:, 0])) < count:  # there may be too few different points
        count = min(count, len(np.unique(points, axis=0)))
    labels = _first_parcels(points, max(count, 1), seed)
    clusters = _Clusters(points, labels, isocut_threshold, min_size)
    clusters.settle()
    return _by_size(clusters.labels)


def _first_parcels(points: F64, count: int, seed: Seed) -> I32:
    """Return a fine k-means parcellation."""
    if count == 1:
        return np.zeros(len(points), np.int32)
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    random = np.random.Generator(np.random.PCG64(sequence))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an empty parcel: it is left out below
        _, labels = kmeans2(points, count, iter=_LLOYD_ROUNDS, minit="++", rng=random)
    return np.asarray(np.unique(labels, return_inverse=True)[1], np.int32)


def _by_size(labels: I32) -> I32:
    """Number clusters from 0 by descending size; equal ones by their first point."""
    _, first, inverse, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int32)
    rank[np.lexsort((first, -counts))] = np.arange(len(counts), dtype=np.int32)
    return rank[inverse]


class _Clusters:
    """Clusters while they are compared: labels, centres, covariances, and which pairs were found to be apart."""

    def __init__(self, points: F64, labels: I32, threshold: float, min_size: int) -> None:
        self.points = points
        self.labels = labels
        self.threshold = threshold
        self.min_size = min_size
        count = int(labels.max()) + 1
        dimensions = points.shape[1]
        self.centres = np.full((count, dimensions), np.inf)
        self.covariances = np.zeros((count, dimensions, dimensions))
        self.sizes = np.zeros(count, np.int64)
        self.compared = np.zeros((count, count), np.bool_)
        for c in range(count):
            self._measure(c)

    def settle(self) -> None:
        """Compare nearest pairs until a whole pass that began with all pairs open merges nothing."""
        living = -1
        while living != np.count_nonzero(self.sizes):
            living = int(np.count_nonzero(self.sizes))
            self.compared[:] = False
            self._pass()

    def _pass(self) -> None:
        """Compare mutually nearest pairs until each was compared as it is now.

        Borders that move by a little would open pairs for ever, in circles: such a cluster counts as unchanged, and
        the number of rounds has an end.
        """
        for _ in range(_MOST_ROUNDS):
            pairs = self._nearest_pairs()
            if not pairs:
                return
            for a, b in pairs:
                if self._compare(a, b) > _MOVED_SHARE:
                    for c in (a, b):
                        self.compared[c], self.compared[:, c] = False, False
                self.compared[a, b] = self.compared[b, a] = True

    def _nearest_pairs(self) -> list[tuple[int, int]]:
        """Return the pairs that are each other's nearest among those not compared."""
        living = np.flatnonzero(self.sizes)
        if len(living) < 2:
            return []
        centres = self.centres[living]
        apart = ((centres[:, None] - centres[None]) ** 2).sum(axis=2)
        apart[self.compared[np.ix_(living, living)]] = np.inf
        np.fill_diagonal(apart, np.inf)
        nearest = apart.argmin(axis=1)
        rows = np.arange(len(living))
        mutual = (nearest[nearest] == rows) & (rows < nearest) & np.isfinite(apart[rows, nearest])
        return [(int(living[i]), int(living[nearest[i]])) for i in rows[mutual]]

    def _compare(self, a: int, b: int) -> float:
        """Merge two clusters or move the border between them; return the share that moved (merged: 1)."""
        of_a, of_b = self.labels == a, self.labels == b
        if min(self.sizes[a], self.sizes[b]) < self.min_size:
            return self._merge(a, b)
        axis = self._separating_axis(a, b)
        either = np.flatnonzero(of_a | of_b)
        projected = self.points[either] @ axis
        cut = isocut(projected)
        if cut.score < self.threshold:
            return self._merge(a, b)
        wanted = np.where(projected < cut.position, a, b).astype(np.int32)
        moved = float(np.mean(wanted != self.labels[either]))
        if moved > 0.0:
            self.labels[either] = wanted
            self._measure(a)
            self._measure(b)
        return moved

    def _separating_axis(self, a: int, b: int) -> F64:
        """Return the axis from a to b that separates them best (Fisher's discriminant)."""
        pooled = (self.covariances[a] * self.sizes[a] + self.covariances[b] * self.sizes[b]) / (
            self.sizes[a] + self.sizes[b]
        )
        ridge = _RIDGE * np.trace(pooled) / len(pooled)
        if ridge <= 0:
            return np.asarray(self.centres[b] - self.centres[a], np.float64)
        pooled[np.diag_indices(len(pooled))] += ridge
        return np.asarray(np.linalg.solve(pooled, self.centres[b] - self.centres[a]), np.float64)

    def _merge(self, a: int, b: int) -> float:
        self.labels[self.labels == b] = a
        self._measure(a)
        self._measure(b)
        return 1.0

    def _measure(self, c: int) -> None:
        own = self.points[self.labels == c]
        self.sizes[c] = len(own)
        if not len(own):
            self.centres[c] = np.inf
            return
        self.centres[c] = own.mean(axis=0)
        apart = own - self.centres[c]
        self.covariances[c] = apart.T @ apart / len(own)
