"""Units that are sums of others: spikes that often come together, or once, at one lag, and were clustered as one.

Each template is explained by the others as a piece of signal is (matching pursuit). Where two or more of them, each
near its own size, leave nothing that would be a unit, and each also fires alone, it is no unit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.sorting.match_kernels import pursue
from ranvier.sorting.templates import Templates

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

#: Share of a template that its parts have.
_AMPLITUDES = (0.6, 1.5)
#: A part explains this much (squares of SD), and this share of the whole.
_LEAST_GAIN = 20.0
_LEAST_SHARE = 0.08
#: What may be left of a sum, as a share of its energy.
LEFT = 0.15
_MOST_PARTS = 3
#: A part fires alone at least this often, as a share of how often the sum is there: pairs may mostly fire together.
_RARER = 0.7


def composites(templates: Templates, counts: I64, amplitude_sd: float) -> npt.NDArray[np.bool_]:
    """Return which units are sums of others.

    Parameters
    ----------
    counts
        ``(units,)``: spikes of each.
    """
    overlaps, norms = templates.overlaps, templates.norms
    prior = 1.0 / amplitude_sd**2
    found = np.zeros(len(templates), np.bool_)
    for u in np.argsort(counts, kind="stable"):
        near = overlaps.other[overlaps.first[u] : overlaps.first[u + 1]].astype(np.int64)
        able = (near != u) & (counts[near] > _RARER * counts[u]) & (norms[near] < norms[u]) & ~found[near]
        if np.count_nonzero(able) < 2:
            continue
        values = overlaps.value[overlaps.first[u] : overlaps.first[u + 1], 0][able]
        explained, parts = _explain(values, templates, near[able], prior, float(norms[u]))
        found[u] = parts >= 2 and explained >= (1.0 - LEFT) * norms[u]
    return found


def _explain(
    values: npt.NDArray[np.float32], templates: Templates, units: I64, prior: float, whole: float
) -> tuple[float, int]:
    """Return the energy of a template that some units explain, and how many of them."""
    rest = np.ascontiguousarray(values)
    norms = np.ascontiguousarray(templates.norms[units])
    part = templates.overlaps.among(units)
    row, unit = np.empty(_MOST_PARTS, np.int64), np.empty(_MOST_PARTS, np.int32)
    scale, fraction, gain = np.empty((3, _MOST_PARTS), np.float32)
    least = np.full(len(units), max(_LEAST_GAIN, _LEAST_SHARE * whole))
    guard = templates.basis.samples
    count = pursue(
        rest, norms, least, prior, np.array(_AMPLITUDES), part.first, part.other, part.value, guard,
        row, unit, scale, fraction, gain,
    )  # fmt: skip
    a, own = scale[:count].astype(np.float64), norms[unit[:count]]
    projection = a * (own + prior) - prior
    return float((2 * a * projection - a**2 * own).sum()), count
