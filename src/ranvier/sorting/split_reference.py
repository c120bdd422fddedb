"""ISO-SPLIT in NumPy: what the kernel of ``split_kernels`` computes (Magland and Barnett 2015, arXiv:1508.04841)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.sorting import cut_reference

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

#: Rounds of k-means of the first parcellation.
LLOYD_ROUNDS = 8
#: Rounds of comparisons in one pass, at most.
MOST_ROUNDS = 100
#: A pair whose border moved by less is as it was to all others.
MOVED_SHARE = 0.02
#: Share of the mean variance that is added to the diagonal of a covariance before it is inverted.
RIDGE = 1e-3


def split_points(points: F64, first: int, draws: F64, threshold: float, min_size: int, labels: I32) -> None:
    """Define :func:`ranvier.sorting.split_kernels.split_points`."""
    labels[:] = first_parcels(points, first, draws)
    clusters = _Clusters(points, labels, len(draws) + 1, threshold, min_size)
    clusters.settle()


def first_parcels(points: F64, first: int, draws: F64) -> I32:
    """Return a fine k-means parcellation, begun far apart (k-means++, Arthur and Vassilvitskii 2007)."""
    centres = [points[first]]
    for draw in draws:
        nearest = np.min([((points - centre) ** 2).sum(axis=1) for centre in centres], axis=0)
        centres.append(points[min(np.searchsorted(np.cumsum(nearest / nearest.sum()), draw), len(points) - 1)])
    held = np.array(centres)
    for _ in range(LLOYD_ROUNDS):
        labels = ((points[:, None] - held[None]) ** 2).sum(axis=2).argmin(axis=1)
        for c in np.unique(labels):  # a parcel without points stays where it was
            held[c] = points[labels == c].mean(axis=0)
    return np.asarray(labels, np.int32)


class _Clusters:
    """Clusters while they are compared: labels, centres, covariances, and which pairs were found to be apart."""

    def __init__(self, points: F64, labels: I32, count: int, threshold: float, min_size: int) -> None:
        self.points = points
        self.labels = labels
        self.threshold = threshold
        self.min_size = min_size
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
        for _ in range(MOST_ROUNDS):
            pairs = self._nearest_pairs()
            if not pairs:
                return
            for a, b in pairs:
                if self._compare(a, b) > MOVED_SHARE:
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
        if min(self.sizes[a], self.sizes[b]) < self.min_size:
            return self._merge(a, b)
        either = np.flatnonzero((self.labels == a) | (self.labels == b))
        projected = self.points[either] @ self._separating_axis(a, b)
        cut = np.zeros(2)
        ordered = np.sort(projected)
        if len(ordered) >= cut_reference.SHORTEST and ordered[0] != ordered[-1]:
            cut_reference.cut_ordered(ordered, cut)
        if cut[0] < self.threshold:
            return self._merge(a, b)
        wanted = np.where(projected < cut[1], a, b).astype(np.int32)
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
        ridge = RIDGE * np.trace(pooled) / len(pooled)
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
