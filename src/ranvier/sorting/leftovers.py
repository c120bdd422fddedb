"""Spikes that the known units leave unexplained: what further units are learned from (stage S8b).

Small units hide behind large ones: the afterwaves of a large spike pass for spikes, and fill the reservoirs of sites
around it. So the spikes of the units found so far are subtracted, and candidates are looked for in what is left. A
template never fits to the last bit; a candidate beside a matched spike counts where it holds more energy than a share
of that spike's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.sorting.candidates import CandidateFinder
from ranvier.sorting.matching import Matched, Matcher, pairs_within
from ranvier.sorting.reservoir import Spikes, thin_indices
from ranvier.sorting.residual_kernels import features_of

F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Share of a spike's energy that its template may miss.
MISFIT = 0.05
#: Scores this much larger within the reach of one another: the smaller is taken for a part of the larger.
LARGER = 2.0


def clear_of_larger(rows: I64, sites: I32, scores: F32, near: npt.NDArray[np.bool_], reach: int) -> I64:
    """Return which candidates have none that is ``LARGER`` times as large within ``reach`` rows on near sites.

    Parameters
    ----------
    rows, sites, scores
        ``(n,)``, rows rising.
    near
        ``(channels, channels)``: whether two sites see the same spikes.
    """
    which, other = pairs_within(rows, rows, reach)
    beside = near[sites[which], sites[other]] & (scores[other] >= np.float32(LARGER) * scores[which])
    covered = np.bincount(which[beside], minlength=len(rows)) > 0
    return np.flatnonzero(~covered)


@dataclass(frozen=True)
class Leftovers:
    """Finds candidates behind a matcher.

    Attributes
    ----------
    finder, noise
        The matched filter, and centre and SD of its output on noise.
    near
        ``(channels, K)``: the sites of a candidate's features.
    quota
        Candidates of one site and block, at most.
    """

    matcher: Matcher
    finder: CandidateFinder
    noise: F32
    near: I32
    quota: int

    def find(self, rest: I16, matched: Matched, first: int, last: int) -> Spikes:
        """Return the candidates in samples ``[first, last)`` of ``rest``, what matched spikes leave of a block.

        ``sample`` counts from ``first``.
        """
        basis = self.matcher.templates.basis
        score = self.finder.score(rest)
        rows, columns = self.finder.find(score, self.noise, first, last)
        above = (self.finder.at(score, rows, columns) - self.noise[0, columns]) / self.noise[1, columns]
        expected = MISFIT * self.matcher.energy_beside(rows, columns, matched)
        real = np.flatnonzero(above.astype(np.float64) ** 2 > self.finder.threshold**2 + expected)
        rows, columns = rows[real], columns[real]
        kept = thin_indices(columns, self.quota, len(rest))
        rows, columns = rows[kept], columns[kept]
        return Spikes(rows - first, columns, features_of(rest, rows, self.near[columns], basis.components))
