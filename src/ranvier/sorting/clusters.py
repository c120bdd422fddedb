"""Clusters among the spikes of one site (stage S6)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.sorting.isosplit import isosplit
from ranvier.sorting.parameters import SorterParameters

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]

_DEPTH = 3
_INITIAL = 15


def cluster_site(features: F32, parameters: SorterParameters, seed: np.random.SeedSequence) -> I32:
    """Return a label per spike, from 0; -1 for spikes that DBSCAN calls noise.

    Parameters
    ----------
    features
        ``(spikes, dimensions)`` in units of the noise.
    """
    if len(features) < 2 * parameters.min_cluster or parameters.clusterer == "disabled":
        return np.zeros(len(features), np.int32)
    if parameters.clusterer == "dbscan":
        from sklearn.cluster import DBSCAN

        reduced = principal(features, parameters.latent_dim)
        found = DBSCAN(eps=parameters.eps, min_samples=parameters.min_pts).fit_predict(reduced)
        return np.asarray(found, np.int32)
    labels = np.zeros(len(features), np.int32)
    _split(features, np.arange(len(features)), labels, parameters, seed, 0)
    return labels


def principal(features: F32, dimensions: int) -> F32:
    """Return the coordinates along the principal axes of some spikes."""
    centred = features - features.mean(axis=0, keepdims=True)
    exact = centred.astype(np.float64)
    _, vectors = np.linalg.eigh(exact.T @ exact)  # of one matrix with itself: half of the products
    axes = vectors[:, ::-1][:, :dimensions]
    return np.asarray(centred @ axes, np.float32)


def _split(
    features: F32,
    members: npt.NDArray[np.int64],
    labels: I32,
    parameters: SorterParameters,
    seed: np.random.SeedSequence,
    depth: int,
) -> None:
    """Split members in place, and the parts again in axes of their own."""
    reduced = principal(features[members], parameters.latent_dim)
    found = isosplit(
        reduced,
        isocut_threshold=parameters.isocut_threshold,
        min_size=10,
        max_initial=_INITIAL,
        seed=np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, depth, int(members[0]))),
    )
    count = int(found.max()) + 1
    if count == 1:
        return
    for part in range(count):
        own = members[found == part]
        if part:
            labels[own] = labels.max() + 1
        if depth + 1 < _DEPTH and len(own) >= 2 * parameters.min_cluster:
            _split(features, own, labels, parameters, seed, depth + 1)
