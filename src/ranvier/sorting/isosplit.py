"""ISO-SPLIT: cluster points without a bandwidth; pairs of clusters stay apart only if a cut between them is real.

Source: Magland and Barnett 2015, arXiv:1508.04841. From a fine first parcellation, the two clusters that are nearest
to each other are projected on the axis that separates them best (inverse mean covariance times difference of the
centres) and tested with ISO-CUT: one mode, and they become one cluster; two, and the points go to either side of the
cut. Every decision is deterministic given the seed; the lines are ours.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.sorting.split_kernels import split_points

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
Seed = int | np.random.SeedSequence


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
    if count <= 1:
        return np.zeros(len(points), np.int32)
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    random = np.random.Generator(np.random.PCG64(sequence))
    labels = np.empty(len(points), np.int32)
    first = int(random.integers(len(points)))
    split_points(points, first, random.random(count - 1), isocut_threshold, min_size, labels)
    return _by_size(labels)


def _by_size(labels: I32) -> I32:
    """Number clusters from 0 by descending size; equal ones by their first point."""
    _, first, inverse, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int32)
    rank[np.lexsort((first, -counts))] = np.arange(len(counts), dtype=np.int32)
    return rank[inverse]
