"""Move templates and snippets along a shank: what each site would see if the tissue had moved.

Kriging with a Gaussian covariance over the sites, the kernel of Kilosort's registration (Pachitariu et al. 2024, Nat.
Methods 21:914: sigma 20 um, ridge 0.01). Traces are never resampled: templates follow the tissue instead.
"""

from __future__ import annotations

from threading import Lock

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from ranvier.sorting.geometry import Geometry
from ranvier.sorting.whitening import Whitening

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

SIGMA_UM = 20.0
RIDGE = 0.01
#: Sites whose nearest neighbour is farther away than this cannot be interpolated between.
LARGEST_PITCH_UM = 45.0
#: A shank of fewer sites, or of a shorter range of depths, is not followed.
FEWEST_SITES = 8
SHORTEST_UM = 100.0
#: Matrices that a mover holds, at most.
_HELD_BYTES = 64 << 20


def can_move(positions_um: F64) -> bool:
    """Return whether motion along sites can be followed.

    They must be near enough to interpolate between them (the median nearest distance decides), and reach far enough
    along the shank to tell motion from other spikes: a tetrode does not.
    """
    if len(positions_um) < FEWEST_SITES or np.ptp(positions_um[:, 1]) < SHORTEST_UM:
        return False
    apart = cdist(positions_um, positions_um)
    np.fill_diagonal(apart, np.inf)
    return bool(np.median(apart.min(axis=1)) <= LARGEST_PITCH_UM)


class Kriging:
    """Values between sites from values at sites, for one set of sites.

    Parameters
    ----------
    positions_um
        ``(sites, 2)``.
    """

    def __init__(self, positions_um: F64, *, sigma_um: float = SIGMA_UM, ridge: float = RIDGE) -> None:
        self.positions_um = np.asarray(positions_um, np.float64)
        self._sigma_um = sigma_um
        among = np.exp(-0.5 * (cdist(self.positions_um, self.positions_um) / sigma_um) ** 2)
        self._inverse = np.linalg.inv(among + ridge * np.eye(len(among)))

    def matrix(self, at_um: F64) -> F32:
        """Return ``(places, sites)``, float32: ``values_at = matrix @ values``, for places ``(places, 2)``."""
        between = np.exp(-0.5 * (cdist(at_um, self.positions_um) / self._sigma_um) ** 2)
        return np.ascontiguousarray(between @ self._inverse, np.float32)

    def moved(self, shift_um: float) -> F32:
        """Return the matrix to the values after the tissue moved by ``shift_um`` towards larger y: what a site sees
        then was before at a place that lies as much lower.
        """
        return self.matrix(self.positions_um - np.array([0.0, shift_um]))


class Mover:
    """Moves what is written in whitened signals: back to microvolts, along the shank, and whitened again.

    Microvolts are smoother over the sites: interpolated there, templates are off by 3 % of their energy where whitened
    ones are off by 5 % (two staggered columns, 23 um pitch).

    Parameters
    ----------
    geometry
        Of the sites; shanks move on their own.
    noise
        What the signals were whitened with.
    """

    def __init__(self, geometry: Geometry, noise: Whitening) -> None:
        self.geometry = geometry
        self._noise = noise
        self._kriging: dict[int, Kriging] = {}
        self._held: dict[tuple[int, float], F32] = {}
        self._lock = Lock()

    def columns(self, shank: int) -> I64:
        """Return the sites of a shank."""
        return np.flatnonzero(self.geometry.group == shank)

    def matrix(self, shank: int, shift_um: float) -> F32:
        """Return ``moved = matrix @ values`` for whitened values ``(sites of the shank, ...)``."""
        key = (shank, shift_um)
        with self._lock:
            if key in self._held:
                return self._held[key]
            if shank not in self._kriging:
                self._kriging[shank] = Kriging(self.geometry.positions_um[self.columns(shank)])
            kriging = self._kriging[shank]
        own = np.ix_(self.columns(shank), self.columns(shank))
        back, white = self._noise.inverse[own].T, self._noise.matrix[own].T
        made = np.ascontiguousarray(white @ (kriging.moved(shift_um) @ back))
        with self._lock:
            while self._held and sum(m.nbytes for m in self._held.values()) + made.nbytes > _HELD_BYTES:
                self._held.pop(next(iter(self._held)))
            self._held[key] = made
        return made

    def features(self, features: F32, near: I32, site: I32, to_site: I32, shift_um: npt.NDArray[np.floating]) -> F32:
        """Return features ``(n, K, P)`` on the neighbours of other sites after the tissue moved.

        Parameters
        ----------
        features
            ``(n, K, P)`` on ``near[site]``.
        near
            ``(channels, K)``; -1: none.
        site, to_site
            ``(n,)``: the sites whose neighbours features are known at, and asked for; of one shank.
        shift_um
            ``(n,)``: how far the tissue moves, towards larger y.
        """
        out = np.zeros_like(features)
        if not len(features):
            return out
        row = np.empty(len(near), np.int64)  # of a site among those of its shank
        for shank in np.unique(self.geometry.group):
            row[self.columns(shank)] = np.arange(len(self.columns(shank)))
        keys = np.stack([site.astype(np.float64), to_site.astype(np.float64), shift_um], axis=1)
        kinds, kind = np.unique(keys, axis=0, return_inverse=True)
        order = np.argsort(kind.ravel(), kind="stable")
        bounds = np.searchsorted(kind.ravel()[order], np.arange(len(kinds) + 1))
        for k, (a, b, shift) in enumerate(kinds):
            own = order[bounds[k] : bounds[k + 1]]
            known, asked = near[int(a)][near[int(a)] >= 0], near[int(b)][near[int(b)] >= 0]
            matrix = self.matrix(int(self.geometry.group[int(a)]), float(shift))[np.ix_(row[asked], row[known])]
            out[own, : len(asked)] = matrix @ features[own, : len(known)]
        return out
