"""Units that are sums of others: spikes that often come together, or once, at one lag, and were clustered as one.

Each template is explained by the others as a piece of signal is (matching pursuit); those that were taken are fitted
together. Where two or more of them, each at its own size, leave little, and each also fires alone, it is no unit.
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
LEFT = 0.12
#: How far the parts of a sum may be from their own size: units that are none are made up of others at any size.
OFF_SIZE = 0.2
_MOST_PARTS = 3
#: A part fires alone at least this often, as a share of how often the sum is there.
_RARER = 1.0


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
        values = overlaps.value[0, overlaps.first[u] : overlaps.first[u + 1]][able]
        explained, shares = _explain(values, templates, near[able], prior, float(norms[u]))
        whole = len(shares) >= 2 and bool((np.abs(shares - 1.0) <= OFF_SIZE).all())
        found[u] = whole and explained >= (1.0 - LEFT) * norms[u]
    return found


def _explain(
    values: npt.NDArray[np.float32], templates: Templates, units: I64, prior: float, whole: float
) -> tuple[float, F64]:
    """Return the energy of a template that some units explain, and the share that each of them has in it."""
    rest = np.array(values, order="C")
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
    held = np.zeros((count, count))  # of each part, in the projection on each
    reach = part.value.shape[2] // 2
    for i, j in np.ndindex(held.shape):
        pairs = slice(part.first[unit[i]], part.first[unit[i] + 1])
        lag = int(row[j] - row[i])
        if abs(lag) <= reach:
            held[i, j] = part.value[0, pairs][part.other[pairs] == unit[j], reach + lag].sum()
    seen = values[unit[:count], row[:count]].astype(np.float64)
    shares = np.asarray(np.linalg.lstsq(held, seen)[0], np.float64)
    return float(seen @ shares), shares
