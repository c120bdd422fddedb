"""Averages of spikes, and whether two of them are one unit's: what merging asks where a correlogram has too few pairs.

The mean features of two parts of one neuron differ by little, whatever their number of spikes; and projected on the
axis between them, both together have one mode (ISO-CUT). Parts that were aligned a sample or so apart are compared at
one alignment. A basis that is cut off loses a little of what is moved, so both sides are moved by as much. Where the
tissue moves, :mod:`ranvier.sorting.clouds` is asked instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ranvier.sorting.basis import Basis
from ranvier.sorting.clusters import principal
from ranvier.sorting.geometry import Geometry
from ranvier.sorting.isocut import isocut
from ranvier.sorting.merging import Part
from ranvier.sorting.templates import Templates, component_overlaps, on_sites

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Spikes of a unit that stand for it, at most.
MOST = 400
#: Squared distance of two means that may be one unit's: a share of the smaller energy, and what averages of few spikes
#: leave (squares of SD).
SHARE = 0.12
FEW = 15.0
#: Share of a unit's energy that may lie on sites that the other is not seen on.
_OUTSIDE = 0.15
_RIDGE = 1e-3


@dataclass(frozen=True)
class Averages:
    """Means of spikes, with the spikes that they are the means of.

    Attributes
    ----------
    templates
        The means.
    trains
        Sorted sample counters of each one's spikes.
    members
        Which of the spikes that were clustered they are, each.
    clouds
        ``(n, K, P)`` each: features of some of them, on the sites ``near[site]``.
    at
        ``(units,)``: the site that features were taken around.
    """

    templates: Templates
    trains: list[I64]
    members: list[I64]
    clouds: list[F32]
    at: I64

    def __len__(self) -> int:
        return len(self.trains)

    def take(self, chosen: I64) -> Averages:
        """Return some of them."""
        return Averages(
            self.templates.take(chosen),
            [self.trains[k] for k in chosen],
            [self.members[k] for k in chosen],
            [self.clouds[k] for k in chosen],
            self.at[chosen],
        )

    def and_also(self, others: Averages) -> Averages:
        """Return these, then others."""
        return Averages(
            self.templates.and_also(others.templates),
            self.trains + others.trains,
            self.members + others.members,
            self.clouds + others.clouds,
            np.concatenate([self.at, others.at]),
        )


@dataclass(frozen=True)
class Cluster:
    """Spikes that lie together: the site they were seen from, their mean, which they are, and some of them."""

    site: int
    mean: F32
    members: I64
    cloud: F32

    @classmethod
    def of(cls, site: int, features: F32, members: I64) -> Cluster:
        """Return the cluster of some spikes; features of all, ``(n, K, P)``."""
        some = members
        if len(members) > MOST:
            some = members[np.linspace(0, len(members) - 1, MOST).astype(np.int64)]
        return cls(site, features[members].mean(axis=0), members, np.ascontiguousarray(features[some]))


def averages_of(clusters: list[Cluster], sample: I64, near: I32, basis: Basis, geometry: Geometry) -> Averages:
    """Return the averages of clusters of spikes at some counters; ``near`` as in :class:`StillClouds`."""
    sites = [c.site for c in clusters]
    templates = on_sites(sites, [c.mean for c in clusters], near, basis, geometry)
    return Averages(
        templates,
        [np.sort(sample[c.members]) for c in clusters],
        [c.members for c in clusters],
        [c.cloud for c in clusters],
        np.array(sites, np.int64),
    )


@dataclass(frozen=True)
class StillClouds:
    """Compares units by their spikes.

    Attributes
    ----------
    near
        ``(channels, K)``: sites of the features, by the site of a unit.
    radius_um
        Sites whose features are projected.
    isocut_threshold
        A smaller score is one mode.
    """

    averages: Averages
    near: I32
    radius_um: float
    dimensions: int
    isocut_threshold: float

    @cached_property
    def _moved(self) -> F32:
        """``(lags, P, P)``: features of a spike seen ``lag - samples + 1`` samples later."""
        return np.ascontiguousarray(component_overlaps(self.averages.templates.basis.components)[0])

    def are_one(self, first: list[Part], second: list[Part]) -> bool:
        """Return whether the largest units of two groups, each unit's times moved by a shift, are one cloud."""
        (a, moved_a), (b, moved_b) = (max(parts, key=self._size) for parts in (first, second))
        return self.one_cloud(a, b, moved_b - moved_a)

    def _size(self, part: Part) -> tuple[int, int]:
        return len(self.averages.trains[part[0]]), -part[0]

    def one_cloud(self, a: int, b: int, shift: int) -> bool:
        """Return whether b, its times moved by ``shift``, and a are parts of one cloud."""
        sites, of_a, of_b = self._common(a, b)
        if not len(sites):
            return False
        first, second = self._aligned(self.averages.clouds[a][:, of_a], self.averages.clouds[b][:, of_b], shift)
        mean_a, mean_b = first.mean(axis=0, dtype=np.float64), second.mean(axis=0, dtype=np.float64)
        energy = min(float((mean_a**2).sum()), float((mean_b**2).sum()))
        norms = self.averages.templates.norms
        seen = (self.averages.templates.weights[[a, b]][:, sites].astype(np.float64) ** 2).sum(axis=(1, 2))
        if (seen < (1.0 - _OUTSIDE) * norms[[a, b]]).any():
            return False
        if float(((mean_a - mean_b) ** 2).sum()) > SHARE * energy + FEW:
            return False
        return self._one_mode(first, second, sites, a, b)

    def _common(self, a: int, b: int) -> tuple[I64, I64, I64]:
        """Return the sites that the features of both units have, and where they are among either's."""
        first, second = self.near[self.averages.at[a]], self.near[self.averages.at[b]]
        sites, of_a, of_b = np.intersect1d(first, second, return_indices=True)
        real = sites >= 0
        return sites[real].astype(np.int64), of_a[real], of_b[real]

    def _aligned(self, a: F32, b: F32, shift: int) -> tuple[F32, F32]:
        if shift == 0:
            return a, b
        middle = (len(self._moved) - 1) // 2
        later, earlier = self._moved[middle + shift], self._moved[middle - shift]
        return a @ (earlier @ later), b @ later

    def _one_mode(self, first: F32, second: F32, sites: I64, a: int, b: int) -> bool:
        apart = self.averages.templates.geometry.distance_um
        inner = np.minimum(apart[self.averages.at[a], sites], apart[self.averages.at[b], sites]) <= self.radius_um
        both = np.concatenate([first[:, inner], second[:, inner]])
        reduced = principal(np.ascontiguousarray(both.reshape(len(both), -1)), self.dimensions).astype(np.float64)
        one, two = reduced[: len(first)], reduced[len(first) :]
        within = (len(one) * np.cov(one.T, bias=True) + len(two) * np.cov(two.T, bias=True)) / len(both)
        within = np.atleast_2d(within)
        within[np.diag_indices(len(within))] += _RIDGE * np.trace(within) / len(within) + 1e-12
        axis = np.linalg.solve(within, two.mean(axis=0) - one.mean(axis=0))
        return isocut(reduced @ axis).score < self.isocut_threshold
