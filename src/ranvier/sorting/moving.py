"""Move templates and snippets along a shank: what each site would see if the tissue had moved.

Kriging with a Gaussian covariance over the sites, the kernel of Kilosort's registration (Pachitariu et al. 2024, Nat.
Methods 21:914: sigma 20 um, ridge 0.01). Traces are never resampled: templates follow the tissue instead.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

SIGMA_UM = 20.0
RIDGE = 0.01
#: Sites whose nearest neighbour is farther away than this cannot be interpolated between.
LARGEST_PITCH_UM = 45.0


def can_move(positions_um: F64) -> bool:
    """Return whether sites are near enough to interpolate between them (the median nearest distance decides)."""
    if len(positions_um) < 4:
        return False
    apart = cdist(positions_um, positions_um)
    np.fill_diagonal(apart, np.inf)
    return bool(np.median(apart.min(axis=1)) <= LARGEST_PITCH_UM)


def shift_matrix(positions_um: F64, shift_um: float, *, sigma_um: float = SIGMA_UM, ridge: float = RIDGE) -> F32:
    """Return the matrix that turns the values at sites into those after the tissue moved.

    Parameters
    ----------
    positions_um
        ``(channels, 2)``: x, y; the tissue moves along y.
    shift_um
        How far, towards larger y.

    Returns
    -------
    matrix
        ``(channels, channels)``, float32: ``moved = values @ matrix.T`` for values ``(..., channels)``.
    """
    origin = np.asarray(positions_um, np.float64) - np.array([0.0, shift_um])
    among = np.exp(-0.5 * (cdist(positions_um, positions_um) / sigma_um) ** 2)
    between = np.exp(-0.5 * (cdist(origin, positions_um) / sigma_um) ** 2)
    solved = np.linalg.solve(among + ridge * np.eye(len(among)), between.T).T
    return np.ascontiguousarray(solved, np.float32)
