"""Scores of a sorting against the truth: SpikeInterface's ground-truth comparison in definition, code of our own.

Two spikes match within +-0.4 ms; a pair of units has ``matches / (true + found - matches)`` agreement; units are paired
one to one so that the sum of agreements of 0.5 and more is largest (Hungarian method). ``tests/benchmarks`` compares
the figures with ``spikeinterface.comparison``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

TOLERANCE_MS = 0.4
#: Agreement from which a true and a found unit can be paired; from which a unit is well detected; from which an
#: unpaired one is redundant and no false one (and one that has it with two true units is overmerged).
PAIRED, WELL, REDUNDANT = 0.5, 0.8, 0.2
#: Two true spikes of different units within this are one collision.
COLLISION_MS = 0.1
BANDS = (("<3", 0.0, 3.0), ("3-5", 3.0, 5.0), (">=5", 5.0, np.inf))
#: Similar and dissimilar templates.
COSINE = 0.8


@numba.njit(cache=True)
def _matches(a: I64, b: I64, tolerance: int) -> int:
    """Count pairs of two sorted trains that lie within the tolerance, each spike used once (as many as possible)."""
    i = j = count = 0
    while i < a.size and j < b.size:
        lag = b[j] - a[i]
        if lag < -tolerance:
            j += 1
        elif lag > tolerance:
            i += 1
        else:
            count += 1
            i += 1
            j += 1
    return count


@dataclass(frozen=True)
class Comparison:
    """Two sortings held against each other.

    Attributes
    ----------
    agreement
        ``(true units, found units)``.
    partner
        ``(true units,)`` index of the paired found unit, -1 where there is none.
    accuracy, precision, recall
        ``(true units,)``; 0 without a partner.
    """

    agreement: F64
    partner: I64
    accuracy: F64
    precision: F64
    recall: F64
    labels: npt.NDArray[Any]

    @property
    def well(self) -> int:
        """Well detected units."""
        return int(np.sum(self.accuracy >= WELL))

    @property
    def _unpaired(self) -> npt.NDArray[np.bool_]:
        free = np.ones(self.agreement.shape[1], bool)
        free[self.partner[self.partner >= 0]] = False
        return free

    @property
    def false(self) -> int:
        """Found units that are like no true one."""
        return int(np.sum(self._unpaired & (_largest(self.agreement, 0) < REDUNDANT)))

    @property
    def redundant(self) -> int:
        """Found units that are like a true one to which another found unit is more alike."""
        if not self.agreement.size:
            return 0
        best_true = self.agreement.argmax(axis=0)
        is_its_best = self.agreement.argmax(axis=1)[best_true] == np.arange(self.agreement.shape[1])
        alike = _largest(self.agreement, 0) >= REDUNDANT
        return int(np.sum(self._unpaired & alike & ~is_its_best))

    @property
    def overmerged(self) -> int:
        """Found units that are like two or more true ones."""
        return int(np.sum((self.agreement > REDUNDANT).sum(axis=0) > 1))


def compare(
    true_sample: I64, true_unit: I64, units: int, found_sample: I64, found_unit: npt.NDArray[Any], fs: float
) -> Comparison:
    """Compare a sorting with the truth.

    Parameters
    ----------
    true_unit
        0 .. ``units`` - 1.
    found_unit
        Any labels; 0 and positive ones count, negative ones are no units.
    """
    keep = np.asarray(found_unit) >= 0
    labels, found_index = np.unique(np.asarray(found_unit)[keep], return_inverse=True)
    a = _trains(true_sample, true_unit, units)
    b = _trains(np.asarray(found_sample, np.int64)[keep], found_index, len(labels))
    tolerance = int(TOLERANCE_MS / 1000 * fs)
    matches = np.array([[_matches(x, y, tolerance) for y in b] for x in a], np.float64).reshape(units, len(labels))
    n_true, n_found = np.array([len(x) for x in a], float), np.array([len(y) for y in b], float)
    union = n_true[:, None] + n_found[None] - matches
    agreement = matches / np.maximum(union, 1)
    partner = np.full(units, -1, np.int64)
    allowed = np.where(agreement >= PAIRED, agreement, 0.0)
    for i, j in zip(*linear_sum_assignment(-allowed), strict=True):
        if allowed[i, j] > 0:
            partner[i] = j
    has = partner >= 0
    at = (np.flatnonzero(has), partner[has])
    accuracy, precision, recall = np.zeros(units), np.zeros(units), np.zeros(units)
    accuracy[has] = agreement[at]
    precision[has] = matches[at] / np.maximum(n_found[partner[has]], 1)
    recall[has] = matches[at] / np.maximum(n_true[has], 1)
    return Comparison(agreement, partner, accuracy, precision, recall, labels)


def collision_recall(
    comparison: Comparison,
    true_sample: I64,
    true_unit: I64,
    found_sample: I64,
    found_unit: npt.NDArray[Any],
    cosine: F64,
    snr: F64,
    fs: float,
    least_snr: float = 5.0,
) -> dict[str, tuple[int, int]]:
    """Return how many spikes in zero-lag collisions were found, of how many, by similarity of the two templates.

    A collision is two spikes of different units within 0.1 ms, both units of SNR >= ``least_snr`` and paired with a
    found unit, and their templates overlapping in space (cosine of at least 0.1 in size). A spike is found where its
    own unit's partner has one within 0.4 ms.
    """
    apart, tolerance = round(COLLISION_MS / 1000 * fs), int(TOLERANCE_MS / 1000 * fs)
    order = np.argsort(true_sample, kind="stable")
    sample, unit = true_sample[order], true_unit[order]
    usable = (snr >= least_snr) & (comparison.partner >= 0)
    found: dict[int, I64] = {}
    for u in np.flatnonzero(usable):
        label = comparison.labels[comparison.partner[u]]
        found[int(u)] = np.sort(np.asarray(found_sample, np.int64)[np.asarray(found_unit) == label])
    # name -> spikes in collisions, each once
    colliding: dict[str, set[int]] = {f"cosine<{COSINE}": set(), f"cosine>={COSINE}": set()}
    for step in range(1, 12):  # spikes of many units can lie between two that collide
        lag = sample[step:] - sample[:-step]
        for i in np.flatnonzero(lag <= apart):
            u, v = int(unit[i]), int(unit[i + step])
            if u != v and usable[u] and usable[v] and abs(cosine[u, v]) >= 0.1:
                colliding[f"cosine>={COSINE}" if cosine[u, v] >= COSINE else f"cosine<{COSINE}"] |= {i, i + step}
    result = {}
    for name, spikes in colliding.items():
        hit = sum(_has(found[int(unit[i])], int(sample[i]), tolerance) for i in spikes)
        result[name] = (hit, len(spikes))
    return result


def scores(
    true_sample: I64, true_unit: I64, snr: F64, cosine: F64, found_sample: I64, found_unit: npt.NDArray[Any], fs: float
) -> dict[str, Any]:
    """Return all scores of a sorting as plain numbers, ready for JSON."""
    c = compare(true_sample, true_unit, len(snr), found_sample, found_unit, fs)
    bands = {}
    for name, low, high in BANDS:
        inside = (snr >= low) & (snr < high)
        bands[name] = {"units": int(inside.sum()), "accuracy": _mean(c.accuracy[inside])}
    return {
        "units": len(snr),
        "found": len(c.labels),
        "accuracy": _mean(c.accuracy),
        "precision": _mean(c.precision),
        "recall": _mean(c.recall),
        "well": c.well,
        "false": c.false,
        "redundant": c.redundant,
        "overmerged": c.overmerged,
        "bands": bands,
        "collisions": collision_recall(c, true_sample, true_unit, found_sample, found_unit, cosine, snr, fs),
        "by_unit": [round(float(v), 4) for v in c.accuracy],
    }


def interval(values: list[float], level: float = 0.95, rounds: int = 2000) -> tuple[float, float]:
    """Return a bootstrap interval of the median over seeds (percentiles; the widest it can be with few seeds)."""
    x = np.asarray(values, float)
    if len(x) < 2:
        return (float("nan"), float("nan"))
    rng = np.random.default_rng(0)
    medians = np.median(x[rng.integers(0, len(x), (rounds, len(x)))], axis=1)
    low, high = np.quantile(medians, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _trains(sample: I64, unit: npt.NDArray[Any], units: int) -> list[I64]:
    order = np.lexsort((sample, unit))
    s, u = np.ascontiguousarray(sample[order], np.int64), unit[order]
    edges = np.searchsorted(u, np.arange(units + 1))
    return [s[edges[i] : edges[i + 1]] for i in range(units)]


def _has(train: I64, sample: int, tolerance: int) -> bool:
    i = int(np.searchsorted(train, sample - tolerance))
    return i < len(train) and int(train[i]) <= sample + tolerance


def _largest(x: F64, axis: int) -> F64:
    return x.max(axis=axis) if x.size else np.zeros(x.shape[1 - axis])


def _mean(x: F64) -> float | None:
    return float(x.mean()) if len(x) else None
