"""Candidates: spikes to learn from, found with a matched filter over time and neighbouring sites (stage S2b)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ranvier.recordings.buffers import aligned_empty
from ranvier.sorting.basis import Basis
from ranvier.sorting.count_kernels import STEP_SD
from ranvier.sorting.geometry import Geometry
from ranvier.sorting.peak_kernels import exclusive_peaks
from ranvier.sorting.shape_kernels import spread_scores

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: How a spike may spread over sites: SD of a Gaussian in um; one site alone always counts.
SPREADS_UM = (15.0, 30.0)


@dataclass(frozen=True)
class CandidateFinder:
    """A matched filter for any spike.

    Attributes
    ----------
    threshold
        In SD of the filter's output on noise.
    exclusive_um, half
        A candidate is the largest within this distance and ``half`` samples either way.
    every
        The filter is applied at one shift in so many.
    """

    basis: Basis
    geometry: Geometry
    threshold: float
    exclusive_um: float
    half: int
    every: int

    @cached_property
    def _near(self) -> I32:
        return self.geometry.nearest(self.exclusive_um, 64)

    @cached_property
    def _spreads(self) -> tuple[I64, I32, F32]:
        """Where the sites begin that are summed up, by spread and channel; those sites; their weights, of unit norm."""
        counts, sites, weights = [], [], []
        for spread in SPREADS_UM:
            share = np.exp(-0.5 * (self.geometry.distance_um / spread) ** 2)
            share[share < 0.05] = 0.0
            unit = share / np.sqrt((share**2).sum(axis=0, keepdims=True))
            channel, site = np.nonzero(unit.T)
            counts.append(np.bincount(channel, minlength=len(unit)))
            sites.append(site)
            weights.append(unit[site, channel])
        first = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
        return first, np.concatenate(sites).astype(np.int32), np.concatenate(weights).astype(np.float32)

    def score(self, counts: I16) -> F32:
        """Return the best output of all shapes and spreads at one shift in ``every``, ``(shifts, channels)``.

        ``counts (channels, samples)`` are the whitened signal in counts.
        """
        rows = (counts.shape[1] - self.basis.samples) // self.every + 1
        best = aligned_empty((rows, len(counts)))
        spread_scores(counts, STEP_SD, self.basis.prototypes, self.every, *self._spreads, best)
        return best

    def noise_of(self, score: F32) -> F32:
        """Return centre and SD of the score on noise: ``(2, channels)``."""
        sample = score[::7]
        centre = np.median(sample, axis=0)
        lower = np.quantile(sample, 0.1587, axis=0)
        return np.stack([centre, np.maximum(centre - lower, 1e-6)]).astype(np.float32)

    def find(self, score: F32, noise: F32, first: int, last: int) -> tuple[I64, I32]:
        """Return the shifts within ``[first, last)``, in samples, and the channels of the candidates, in order."""
        low, high = first // self.every, last // self.every + 1
        capacity = max(1000, score.shape[1] * (last - first) // 100)
        rows, columns = np.empty(capacity, np.int64), np.empty(capacity, np.int32)
        threshold = noise[0] + np.float32(self.threshold) * noise[1]
        half = max(1, self.half // self.every)
        found = min(exclusive_peaks(score, self._near, threshold, half, low, high, rows, columns), capacity)
        rows, columns = rows[:found], columns[:found]
        shifts = self.every * rows
        if self.every > 1:
            shifts = shifts + np.round(self.every * _tops(score, rows, columns)).astype(np.int64)
        inside = (shifts >= first) & (shifts < last)
        return shifts[inside], columns[inside]

    def at(self, score: F32, rows: I64, columns: I32) -> F32:
        """Return the score at shifts in samples: the larger of the two around each."""
        below = np.minimum(rows // self.every, len(score) - 1)
        above = np.minimum(-(-rows // self.every), len(score) - 1)
        return np.maximum(score[below, columns], score[above, columns])


def _tops(score: F32, rows: I64, columns: I32) -> F64:
    """Return where between rows the parabola through a peak and its neighbours has its top, -0.5 to 0.5."""
    inner = np.clip(rows, 1, len(score) - 2)
    left, here, right = (score[inner + d, columns].astype(np.float64) for d in (-1, 0, 1))
    bend = left - 2.0 * here + right
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bend < 0, np.clip(0.5 * (left - right) / bend, -0.5, 0.5), 0.0)
