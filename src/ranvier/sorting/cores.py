"""The spikes of a faint cluster that noise would not give: those beyond a size along its mean, again and again.

Rare faint units drown: of the candidates in their cluster, or of the spikes matched to them, more than half may be
noise, and the mean of both is too small for a unit. But noise falls off quickly above a size that it is cut at (Rice
1945: 0.23 SD in the mean at 4.3 SD), a unit's spikes do not. So the mean is taken again of those beyond it, as long as
that changes something; where they lie far enough beyond, they are what the cluster consists of.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.sorting.basis import Basis
from ranvier.sorting.parameters import SorterParameters

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: Size (projection on the mean) that the spikes of a core have, in SD of noise along it.
CORE_SD = 4.3
#: How far beyond that they are in the mean: noise 0.15 to 0.55, and faint units of half noise 0.85 to 1.3, measured.
CORE_EXCESS_SD = 0.8
#: A single spike counts as no further beyond (others overlap it).
_FURTHEST = 3.0
#: Clusters whose mean is larger have little noise among them.
_FAINT_SD = 6.0
#: Where more of the spikes are in the core, noise does little harm; the mean of all is that of the unit.
_MOST = 0.6
_ROUNDS = 4


def without_noise(members: I64, features: F32, basis: Basis, parameters: SorterParameters) -> I64:
    """Return the spikes of a cluster, those of its core where it is a faint and rare unit's (``rare_units``).

    ``features (n, K, P)`` are those of all spikes.
    """
    core = core_of(features[members], basis.noise, parameters.min_rare) if parameters.rare_units else None
    return members if core is None else members[core]


def core_of(features: F32, noise: F64 | None, fewest: int) -> Flags | None:
    """Return which spikes are the core of a faint cluster; None where it is not faint, has none, or consists of it.

    Parameters
    ----------
    features
        ``(n, K, P)``.
    noise
        ``(P, P)``: covariance of the noise over components (``Basis.noise``); None: independent, of SD 1.
    fewest
        A core has at least as many spikes.
    """
    if len(features) < fewest:
        return None
    core = np.ones(len(features), np.bool_)
    sizes = np.zeros(len(features))
    for number in range(_ROUNDS):
        mean = features[core].mean(axis=0, dtype=np.float64)
        sizes = _sizes(features, mean, noise)
        if number == 0 and float(sizes.mean()) >= _FAINT_SD:
            return None
        core = sizes >= CORE_SD
        if core.sum() < fewest:
            return None
    beyond = np.minimum(sizes[core] - CORE_SD, _FURTHEST)
    return core if float(beyond.mean()) >= CORE_EXCESS_SD and core.sum() < _MOST * len(core) else None


def _sizes(features: F32, mean: F64, noise: F64 | None) -> F64:
    """Return projections on a mean, in SD of noise along it."""
    energy = float((mean**2).sum())
    variance = energy if noise is None else float(np.einsum("kp,pq,kq->", mean, noise, mean))
    flat = features.reshape(len(features), -1) @ mean.reshape(-1).astype(np.float32)
    return np.asarray(flat / np.sqrt(max(variance, 1e-12)), np.float64)
