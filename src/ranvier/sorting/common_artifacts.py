"""Moments at which far more sites see something at once than any neuron reaches: stimulation, chewing, static.

Smaller ones than ``SorterParameters.artifact_uv`` would be taken for spikes of units on every site. What tells them
from a large spike nearby: most of the sites *far* from where it is largest are beyond their noise, each by a size of
its own. A common reference writes one and the same share of a large spike on all sites; that share is taken off first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.sorting.geometry import Geometry

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

#: As far from the largest no spike is seen.
FAR_UM = 150.0
#: So many far sites can tell, where such a share of them is beyond so many SD of their noise.
FEWEST, SHARE, BEYOND_SD = 6, 0.5, 5.0
#: Sites that are looked at first, on one of so many rows, and the share of them that calls for a closer look.
_FEW, _EVERY, _WORTH_A_LOOK = 16, 2, 0.35


class CommonArtifacts:
    """Finds artifacts on most sites at once.

    Parameters
    ----------
    geometry
        Of the channels.
    noise_uv
        SD of their noise; NaN for silent ones, which tell nothing.
    referenced
        Whether a mean over channels was subtracted.
    columns
        Of the signal, in which the channels stand.
    """

    def __init__(self, geometry: Geometry, noise_uv: F64, columns: I64, *, referenced: bool) -> None:
        live = np.flatnonzero(np.isfinite(noise_uv))
        self._columns, self._level = columns[live], (BEYOND_SD * noise_uv[live]).astype(np.float32)
        self._far = geometry.distance_um[np.ix_(live, live)] > FAR_UM
        self._enough = self._far.sum(axis=1) >= FEWEST
        self._referenced = referenced
        few = np.unique(np.round(np.linspace(0, len(live) - 1, min(_FEW, len(live)))).astype(np.int64))
        self._few = few if len(live) and self._enough.any() else few[:0]

    def rows(self, signal: F32) -> I64:
        """Return the rows of ``(samples, columns)`` uV that are artifacts."""
        if not len(self._few):
            return np.empty(0, np.int64)
        few = np.abs(signal[::_EVERY, self._columns[self._few]]) > self._level[self._few]
        count = few.astype(np.float32) @ np.ones(len(self._few), np.float32)  # as fast as it gets
        rows: I64 = _EVERY * np.flatnonzero(count >= _WORTH_A_LOOK * len(self._few))
        if not len(rows):
            return rows
        found = signal[rows][:, self._columns]
        largest = np.argmax(np.abs(found) / self._level, axis=1)
        rows, found, largest = (a[self._enough[largest]] for a in (rows, found, largest))
        if not len(rows):
            return rows
        far = self._far[largest]
        if self._referenced:
            found = found - np.nanmedian(np.where(far, found, np.nan), axis=1, keepdims=True)
        beyond = np.sum((np.abs(found) > self._level) & far, axis=1)
        return np.asarray(rows[beyond >= SHARE * far.sum(axis=1)], np.int64)
