"""Learning again and again: which units of a new round are known, which are new, and which are gone.

A new unit gets a label when a second round finds it too; a known one that two rounds in a row do not find is dropped.
Labels are never given to another neuron.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ranvier.sorting.linking import linked_labels
from ranvier.sorting.templates import Templates
from ranvier.sorting.trained import TrainedUnits

I32 = npt.NDArray[np.int32]

#: Rounds that a known unit may be missed in before it is dropped, less one.
_MISSES = 2
_NONE = 1 << 30  # above all labels


@dataclass
class Rounds:
    """What later rounds must know of earlier ones.

    Attributes
    ----------
    pending
        Units of the last round that were new there, without labels.
    misses
        By label: rounds in a row that did not find a known unit.
    """

    pending: TrainedUnits | None = None
    misses: dict[int, int] = field(default_factory=dict)

    def settle(self, fresh: TrainedUnits, known: TrainedUnits, next_label: int, fs_hz: float) -> Settled:
        """Return the units in force after a round that found ``fresh`` where ``known`` were in force."""
        linked, _ = linked_labels(fresh, known, _NONE, fs_hz, moved=True)
        old = linked < _NONE
        again = np.zeros(len(fresh), np.bool_)
        if self.pending is not None:
            numbered = self.pending.relabelled(np.arange(1, len(self.pending) + 1, dtype=np.int32))
            seen, _ = linked_labels(fresh, numbered, _NONE, fs_hz, moved=True)
            again = ~old & (seen < _NONE)
        labels = linked.copy()
        labels[again] = np.arange(next_label, next_label + int(again.sum()))
        missed = [int(label) for label in known.labels if label not in labels[old]]
        self.misses = {label: self.misses.get(label, 0) + 1 for label in missed}
        dropped = [label for label, rounds in self.misses.items() if rounds >= _MISSES]
        kept = [label for label in missed if label not in dropped]
        self.misses = {label: self.misses[label] for label in kept}
        waiting = np.flatnonzero(~old & ~again)
        self.pending = _take(fresh, waiting, np.zeros(len(waiting), np.int32)) if len(waiting) else None
        found = np.flatnonzero(old | again)
        units = _take(fresh, found, labels[found])
        if kept:
            units = _joined(units, _take(known, np.flatnonzero(np.isin(known.labels, kept)), None))
        new = [int(label) for label in labels[again]]
        return Settled(units, next_label + len(new), new, dropped, kept, len(waiting))


@dataclass(frozen=True)
class Settled:
    """Units in force, the next label that was never given, and what became of the others (labels)."""

    units: TrainedUnits
    next_label: int
    new: list[int]
    dropped: list[int]
    missed: list[int]
    pending: int


def _take(units: TrainedUnits, rows: npt.NDArray[np.int64], labels: I32 | None) -> TrainedUnits:
    return replace(
        units,
        templates=units.templates.take(rows),
        labels=units.labels[rows] if labels is None else labels,
        positions_um=units.positions_um[rows],
    )


def _joined(units: TrainedUnits, others: TrainedUnits) -> TrainedUnits:
    """Return units with others that were learned under another noise, written in the noise and shapes of the first."""
    white = others.waveforms_uv @ units.whitening.matrix
    weights = np.einsum("nsc,ps->ncp", white, units.templates.basis.components)
    weights *= (others.templates.weights != 0).any(axis=2)[:, :, None]
    joined = np.concatenate([units.templates.weights, weights]).astype(np.float32)
    return replace(
        units,
        templates=Templates(np.ascontiguousarray(joined), units.templates.basis, units.templates.geometry),
        labels=np.concatenate([units.labels, others.labels]),
        positions_um=np.concatenate([units.positions_um, others.positions_um]),
    )
