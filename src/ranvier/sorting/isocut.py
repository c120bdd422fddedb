"""ISO-CUT: test one-dimensional data for a single mode, and find the best cut where there are two.

Source: Magland and Barnett 2015, arXiv:1508.04841: the density between sorted points is compared with its best
unimodal ("up, then down") fit; the score is a Kolmogorov-Smirnov distance times the root of the number of points,
maximised over stretches that run from either end up to the peak, so that a small cluster beside a big one counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ranvier.sorting.cut_kernels import cut_ordered
from ranvier.sorting.cut_reference import SHORTEST


class Cut(NamedTuple):
    """What ISO-CUT says of a sample.

    Attributes
    ----------
    score
        How far it is from unimodal; about 1 or less for one mode, whatever the number of points.
    position
        Where the sample is best cut, in its own unit; what lies below belongs to the first part.
    """

    score: float
    position: float


def isocut(sample: npt.NDArray[np.floating]) -> Cut:
    """Test a sample for unimodality.

    Parameters
    ----------
    sample
        ``(points,)``, finite; not sorted.

    Returns
    -------
    Cut
        Score 0 and position 0 where there are fewer than four different points.
    """
    ordered = np.sort(np.asarray(sample, np.float64))
    if len(ordered) < SHORTEST or ordered[0] == ordered[-1]:
        return Cut(0.0, 0.0)
    found = np.empty(2)
    cut_ordered(ordered, found)
    return Cut(float(found[0]), float(found[1]))
