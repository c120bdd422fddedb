"""Units that were learned anew and units that were known: which are the same (labels stay with neurons)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from ranvier.sorting.trained import TrainedUnits

I32 = npt.NDArray[np.int32]
F64 = npt.NDArray[np.float64]

#: Templates (in uV) of one neuron are at least this alike, at the best lag, and this near.
LEAST_COSINE = 0.9
MOST_UM = 30.0
_LAG_MS = 0.3


def linked_labels(fresh: TrainedUnits, known: TrainedUnits | None, next_label: int, fs_hz: float) -> tuple[I32, int]:
    """Return the label of each fresh unit, and the next label that was never given.

    A unit keeps the label of the known unit that it is most alike (one to one over all pairs, Hungarian method); one
    that is like none gets a new label. Labels are never given to another neuron again.
    """
    labels = np.zeros(len(fresh), np.int32)
    if known is not None and len(known) and len(fresh):
        alike = likeness(fresh, known, round(_LAG_MS * 1e-3 * fs_hz))
        rows, columns = linear_sum_assignment(-alike)
        for row, column in zip(rows, columns, strict=True):
            if alike[row, column] >= LEAST_COSINE:
                labels[row] = known.labels[column]
    for row in np.flatnonzero(labels == 0):
        labels[row] = next_label
        next_label += 1
    return labels, next_label


def likeness(a: TrainedUnits, b: TrainedUnits, most_lag: int) -> F64:
    """Return the cosine of every two templates in uV at the best lag, 0 for units that are far apart: ``(a, b)``."""
    best = np.full((len(a), len(b)), -1.0)
    one, two = a.waveforms_uv, b.waveforms_uv
    samples = min(one.shape[1], two.shape[1])
    norms = [np.sqrt((w.astype(np.float64) ** 2).sum(axis=(1, 2))) + 1e-12 for w in (one, two)]
    for lag in range(-most_lag, most_lag + 1):
        x = one[:, max(lag, 0) : samples + min(lag, 0)].reshape(len(a), -1)
        y = two[:, max(-lag, 0) : samples + min(-lag, 0)].reshape(len(b), -1)
        np.maximum(best, (x @ y.T) / (norms[0][:, None] * norms[1][None]), out=best)
    apart = np.hypot(*(a.positions_um[:, None] - b.positions_um[None]).transpose(2, 0, 1))
    return np.where(apart <= MOST_UM, best, 0.0)
