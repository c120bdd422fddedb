"""Whether the spikes of two units form one cloud once the displacement of the tissue is taken out of them.

A neuron that moves past the sites looks different at every displacement, and what kriging does not make good may be cut
into clusters. Such pieces differ only as far as their displacements do: the mean of both together, as a smooth function
of the displacement, is subtracted, and what is left where both fire is tested for two modes along the axis between them
(ISO-CUT). Units that fire alike at all displacements are no such pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ranvier.sorting.clusters import principal
from ranvier.sorting.geometry import Geometry
from ranvier.sorting.isocut import isocut
from ranvier.sorting.merging import Part
from ranvier.sorting.parameters import SorterParameters

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: SD of the Gaussian that the mean is smoothed with over displacements.
SMOOTH_UM = 3.0
#: Units whose displacements have more in common are not pieces of one neuron along them.
MOST_COMMON = 2.0 / 3.0
#: Those whose displacements have less in common are hardly ever seen together.
LEAST_COMMON = 0.2
#: Fewer spikes of either do not tell two modes from one.
FEWEST = 20
#: Displacements are looked at where the rarer unit (each in shares of its own spikes) has this share.
LEAST_MIXED = 0.15
#: Spikes of either side, at most.
_MOST = 600


def detrended(features: F32, shift_um: F64) -> F32:
    """Return features ``(n, D)`` without the smooth course of their mean over the displacements ``(n,)``.

    The course is a local line at each displacement (Gaussian weights), whose ends are not biased as those of a local
    mean are.
    """
    places, place = np.unique(shift_um, return_inverse=True)
    place = place.ravel()
    sums = np.zeros((len(places), features.shape[1]))
    np.add.at(sums, place, features)
    counts = np.bincount(place, minlength=len(places)).astype(np.float64)
    apart = (places[None] - places[:, None]) / SMOOTH_UM
    kernel = np.exp(-0.5 * apart**2)
    n0, n1, n2 = (((kernel * apart**k) @ counts)[:, None] for k in range(3))
    s0, s1 = kernel @ sums, (kernel * apart) @ sums
    n2 = n2 + 1e-6 * n0
    course = (n2 * s0 - n1 * s1) / (n2 * n0 - n1 * n1)
    return np.asarray(features - course[place], np.float32)


class Together(NamedTuple):
    """How two sets of displacements lie to each other.

    Attributes
    ----------
    share
        What their distributions have in common, 0 to 1.
    first, second
        Which of either set lie where both are about as frequent, each for itself.
    """

    share: float
    first: npt.NDArray[np.bool_]
    second: npt.NDArray[np.bool_]


def together(first_um: F64, second_um: F64) -> Together:
    """Compare the displacements of two units' spikes."""
    places, place = np.unique(np.concatenate([first_um, second_um]), return_inverse=True)
    place = place.ravel()
    at_first, at_second = place[: len(first_um)], place[len(first_um) :]
    kernel = np.exp(-0.5 * ((places[:, None] - places[None]) / SMOOTH_UM) ** 2)
    kernel /= kernel.sum(axis=0)
    a = kernel @ np.bincount(at_first, minlength=len(places)) / max(len(first_um), 1)
    b = kernel @ np.bincount(at_second, minlength=len(places)) / max(len(second_um), 1)
    mixed = np.minimum(a, b) >= LEAST_MIXED * (a + b)
    return Together(float(np.minimum(a, b).sum()), mixed[at_first], mixed[at_second])


@dataclass(frozen=True)
class Clouds:
    """Features of units' spikes, at the reference.

    Attributes
    ----------
    features
        ``(n, K, P)``, on ``near[site]`` of the spike's unit.
    shift_um
        ``(n,)``: displacement of the tissue with each spike.
    members
        Of each unit: which of the spikes.
    sites
        Of each unit.
    near, geometry
        See there.
    correlated
        Products of components with shifted ones (``component_overlaps``).
    parameters
        The radius of the sites that count, and the threshold of the cut.
    """

    features: F32
    shift_um: F64
    members: list[I64]
    sites: list[int]
    near: I32
    geometry: Geometry
    correlated: F32
    parameters: SorterParameters

    def take(self, chosen: I64) -> Clouds:
        """Return those of some units."""
        return Clouds(
            self.features,
            self.shift_um,
            [self.members[k] for k in chosen],
            [self.sites[k] for k in chosen],
            self.near,
            self.geometry,
            self.correlated,
            self.parameters,
        )

    def are_one(self, first: list[Part], second: list[Part]) -> bool:
        """Return whether the spikes of two groups of units, each unit's times moved by a shift, are one cloud."""
        sites = self._common([unit for unit, _ in first + second])
        if not len(sites):
            return False
        (a, at_a), (b, at_b) = self._gathered(first, sites), self._gathered(second, sites)
        both = together(at_a, at_b)
        if both.share > MOST_COMMON:
            return False
        if both.share < LEAST_COMMON:  # nothing but their displacements parts them
            return True
        a, at_a, b, at_b = a[both.first], at_a[both.first], b[both.second], at_b[both.second]
        if min(len(a), len(b)) < FEWEST:
            return False
        few = 2 * min(len(a), len(b))
        a, at_a, b, at_b = *_fewer(a, at_a, few), *_fewer(b, at_b, few)
        rest = detrended(np.concatenate([a, b]), np.concatenate([at_a, at_b]))
        reduced = principal(rest, self.parameters.latent_dim).astype(np.float64)
        own, other = reduced[: len(a)], reduced[len(a) :]
        within = np.atleast_2d(np.cov(own.T) * len(own) + np.cov(other.T) * len(other)) / len(reduced)
        within += 1e-3 * np.trace(within) / len(within) * np.eye(len(within))
        axis = np.linalg.solve(within, own.mean(axis=0) - other.mean(axis=0))
        return bool(isocut(reduced @ axis).score < self.parameters.isocut_threshold)

    def _common(self, units: list[int]) -> I32:
        """Return the sites that all units are held on, near each of them."""
        radius = self.parameters.neighbor_radius_um
        counts = np.zeros(len(self.near), np.int64)
        close = np.zeros(len(self.near), np.bool_)
        for site in {self.sites[u] for u in units}:
            held = self.near[site][self.near[site] >= 0]
            counts[held] += 1
            close[held[self.geometry.distance_um[site, held] <= radius]] = True
        return np.flatnonzero((counts == counts.max()) & (counts > 0) & close).astype(np.int32)

    def _gathered(self, parts: list[Part], sites: I32) -> tuple[F32, F64]:
        taken, at = [], []
        length = (self.correlated.shape[1] + 1) // 2
        for unit, shift in parts:
            held = self.near[self.sites[unit]]
            column = np.array([int(np.flatnonzero(held == s)[0]) for s in sites if s in held], np.int64)
            if len(column) < len(sites):
                continue
            own = self.members[unit]
            own = own[np.linspace(0, len(own) - 1, min(len(own), _MOST)).astype(np.int64)]
            found = self.features[own][:, column]
            if shift and abs(shift) < length:
                found = found @ self.correlated[0, length - 1 + shift]
            taken.append(found.reshape(len(own), -1))
            at.append(self.shift_um[own])
        return np.concatenate(taken), np.concatenate(at)


def _fewer(features: F32, shift_um: F64, most: int) -> tuple[F32, F64]:
    if len(features) <= most:
        return features, shift_um
    kept = np.linspace(0, len(features) - 1, most).astype(np.int64)
    return features[kept], shift_um[kept]
