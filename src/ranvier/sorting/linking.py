"""Units that were learned anew and units that were known: which are the same (labels stay with neurons)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from ranvier.sorting.moving import Kriging, can_move
from ranvier.sorting.trained import TrainedUnits

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
F64 = npt.NDArray[np.float64]

#: Templates (in uV) of one neuron are at least this alike, at the best lag, and this near.
LEAST_COSINE = 0.9
MOST_UM = 30.0
_LAG_MS = 0.3
#: Tissue is looked for so far away from where it was, in such steps; every so manieth sample tells it.
REACH_UM, STEP_UM, _EVERY = 60.0, 5.0, 3
#: It has moved where the likeness of units that are found again sums to this and more than where it was: one alone may
#: be another neuron.
FEWEST_MOVED = 1.8


def linked_labels(
    fresh: TrainedUnits, known: TrainedUnits | None, next_label: int, fs_hz: float, *, moved: bool = False
) -> tuple[I32, int]:
    """Return the label of each fresh unit, and the next label that was never given.

    A unit keeps the label of the known unit that it is most alike (one to one over all pairs, Hungarian method); one
    that is like none gets a new label. Labels are never given to another neuron again. With ``moved`` the tissue may
    have moved along the probe since units were known (see :func:`moved_likeness`).
    """
    labels = np.zeros(len(fresh), np.int32)
    if known is not None and len(known) and len(fresh):
        alike = likeness(fresh, known, round(_LAG_MS * 1e-3 * fs_hz))
        if moved:
            alike = np.maximum(alike, moved_likeness(fresh, known))
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


def moved_likeness(fresh: TrainedUnits, known: TrainedUnits) -> F64:
    """Return the cosine of every two templates where the known units' tissue moved along its shank: ``(fresh, known)``.

    All of a shank moves alike, so its displacement is the one at which most units are found again. Units count at the
    displacements between that and none: some followed their spikes, others stayed where they were learned.
    """
    geometry, best = known.templates.geometry, np.zeros((len(fresh), len(known)))
    new, old = fresh.waveforms_uv[:, ::_EVERY], known.waveforms_uv[:, ::_EVERY]
    shifts = np.arange(-REACH_UM, REACH_UM + 0.5 * STEP_UM, STEP_UM)
    for shank in np.unique(geometry.group):
        columns = np.flatnonzero(geometry.group == shank)
        own = np.flatnonzero(geometry.group[known.sites] == shank)
        if not len(own) or not can_move(geometry.positions_um[columns]):
            continue
        kriging = Kriging(geometry.positions_um[columns])
        x, places = _of_length_one(new[:, :, columns]), known.positions_um[own]
        found = np.empty((len(shifts), len(fresh), len(own)))
        for k, shift in enumerate(shifts):
            y = _of_length_one(old[own][:, :, columns] @ kriging.moved(float(shift)).T)
            there = places + np.array([0.0, shift])
            apart = np.hypot(*(fresh.positions_um[:, None] - there[None]).transpose(2, 0, 1))
            found[k] = np.where(apart <= MOST_UM, x @ y.T, 0.0)
        again = np.where(found >= LEAST_COSINE, found, 0.0).max(axis=2, initial=0.0).sum(axis=1)
        far, home = int(again.argmax()), len(shifts) // 2
        if again[far] < max(FEWEST_MOVED, again[home] + 0.5):
            far = home
        best[:, own] = found[min(far, home) : max(far, home) + 1].max(axis=0)
    return best


def _of_length_one(waveforms: F32) -> F32:
    """Return waveforms as rows of length 1."""
    rows = waveforms.reshape(len(waveforms), waveforms.shape[1] * waveforms.shape[2])
    return np.asarray(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-12), np.float32)
