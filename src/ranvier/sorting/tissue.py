"""Units of a stream ride on their tissue: all of a shank move together, by what the spikes of all of them show.

What spikes leave behind (:mod:`ranvier.sorting.tracking`) shows how each unit looks now. One displacement is looked for
that explains this for all units of a shank; their templates are moved there by kriging, always from what was learned,
so that nothing blurs. What a unit shows beyond that is its own, and is followed more slowly.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ranvier.sorting.following import on_neighbours
from ranvier.sorting.moving import Mover, can_move
from ranvier.sorting.templates import Templates
from ranvier.sorting.tracking import FEWEST, HALF_AT, Follower, refusal
from ranvier.sorting.trained import TrainedUnits
from ranvier.sorting.training import MOST_SITES

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

#: The displacement is looked for in such steps, uphill from where the tissue was; at most so many.
STEP_UM, MOST_STEPS = 2.0, 20
#: Templates are moved from this displacement on.
LEAST_UM = 0.5
#: A displacement is believed where it explains so much more than none (squares of SD), and half of that without the
#: unit that speaks for it most: one alone may be another neuron, or one that changed.
LEAST_GAIN = 6.0
#: Squared angle by which a moved template is off that of its neuron, however many spikes there are: bounds the weight
#: of units that are much larger than others.
OFF = 0.001
#: What was seen beyond the moved templates holds for this displacement and near it (um).
FADES_UM = 20.0


@dataclass
class Followed:
    """What became of the units of one update.

    Attributes
    ----------
    moved_um
        By shank, how far the tissue moved since the last update.
    changed
        Labels of units that were changed beyond that, and by how much (share of the template's size).
    refused
        Labels of units that were not, and why.
    """

    moved_um: list[float]
    changed: dict[int, float] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)

    @property
    def is_new(self) -> bool:
        """Whether any template is another one now."""
        return bool(self.changed) or any(self.moved_um)


class Tissue:
    """Units as they were learned, where they are now, and what was seen of them since.

    Parameters
    ----------
    learned
        Units where the tissue is now.

    Attributes
    ----------
    now
        The units as they are.
    shift_um
        By shank: displacement since they were learned, towards larger y.
    """

    def __init__(self, learned: TrainedUnits) -> None:
        geometry = learned.templates.geometry
        shanks = int(geometry.group.max(initial=-1)) + 1
        self.now = learned
        self.shift_um = np.zeros(shanks)
        self._learned = learned.templates
        self._shank = geometry.group[learned.templates.sites]
        self._near = geometry.nearest(learned.parameters.template_radius_um, MOST_SITES)
        self._mover = Mover(geometry, learned.whitening)
        self._moves = [can_move(geometry.positions_um[self._mover.columns(g)]) for g in range(shanks)]
        self._own = np.zeros_like(learned.templates.weights)  # beyond the moved templates
        self._forget()

    def follow(self, follower: Follower, *, settle: bool) -> Followed:
        """Take what spikes of :attr:`now` left behind, and return what became of the units.

        Parameters
        ----------
        settle
            Whether what was seen of each unit alone is added to its template now; else it is collected.
        """
        told = Followed([0.0] * len(self.shift_um))
        seen, counts = self._seen(follower), follower.counts[: len(self.now)]
        for shank in np.flatnonzero(self._moves):
            units = np.flatnonzero((self._shank == shank) & (counts > 0))
            moved = self._look(int(shank), units, seen, counts, follower.energy) if len(units) else 0.0
            told.moved_um[shank] = moved
            self.shift_um[shank] += moved
            self._own[self._shank == shank] *= np.float32(np.exp(-abs(moved) / FADES_UM))
        there = self._there(np.arange(len(self.now)), self.shift_um)
        self._collect(follower, seen, there + self._own, counts)
        if settle:
            self._settle(there, told)
        if told.is_new:
            self._replace(there + self._own)
        return told

    def move(self, by_um: F64) -> None:
        """Move units without looking: by shank, what the tissue moved since they were learned."""
        if not np.any(np.where(self._moves, by_um, 0.0)):
            return
        self.shift_um += np.where(self._moves, by_um, 0.0)
        self._replace(self._there(np.arange(len(self.now)), self.shift_um) + self._own)

    # --- inside -------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._sums = np.zeros(self._own.shape, np.float64)
        self._counts = np.zeros(len(self._own), np.int64)

    def _replace(self, weights: F32) -> None:
        before = self.now
        templates = Templates(np.ascontiguousarray(weights), self._learned.basis, self._learned.geometry)
        places = before.positions_um + (templates.positions_um - before.templates.positions_um)
        self.now = replace(before, templates=templates, positions_um=np.asarray(places, np.float32))

    def _seen(self, follower: Follower) -> F32:
        """Return how units look by their spikes; as they were on sites that they are not followed on."""
        seen = self.now.templates.weights.copy()
        change, components = follower.change, self._learned.basis.components
        for u in np.flatnonzero(follower.counts[: len(seen)]):
            sites = follower.sites[u][follower.sites[u] >= 0]
            seen[u, sites] += np.einsum("ks,ps->kp", change[u, : len(sites)], components)
        return seen

    def _there(self, units: I64, shift_um: F64) -> F32:
        """Return the templates of units at displacements of their shanks, as they were learned."""
        out = self._learned.weights[units].copy()
        for shank in np.flatnonzero(shift_um):
            own = np.flatnonzero(self._shank[units] == shank)
            if not len(own):
                continue
            columns, dense = self._mover.columns(int(shank)), np.zeros_like(out[own])
            matrix = self._mover.matrix(int(shank), float(shift_um[shank]))
            dense[:, columns] = np.matmul(matrix, out[own][:, columns])
            site = (dense**2).sum(axis=2).argmax(axis=1)
            near = self._near[site]
            kept = on_neighbours(dense, near)
            out[own] = 0.0
            for k, u in enumerate(own):
                used = near[k] >= 0
                out[u, near[k][used]] = kept[k][used]
        return out

    def _look(self, shank: int, units: I64, seen: F32, counts: I64, energy: F64) -> float:
        """Return how far the units of a shank moved: where their spikes are most alike to the moved templates."""
        size = np.linalg.norm(seen[units].reshape(len(units), -1), axis=1).astype(np.float64)
        weight = 1.0 / (1.0 / (np.maximum(energy[units], 1.0) * size**2 + 1e-9) + OFF)
        sites = (self.now.templates.weights[units] != 0).any(axis=2)
        flat = (seen[units] * sites[:, :, None]).reshape(len(units), -1)
        known: dict[int, F64] = {}

        def likeness(step: int) -> F64:
            if step not in known:
                shift = self.shift_um.copy()
                shift[shank] += step * STEP_UM
                there = (self._there(units, shift) + self._own[units]) * sites[:, :, None]
                rows = there.reshape(len(units), -1)
                lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(flat, axis=1) + 1e-12
                known[step] = weight * np.maximum((rows * flat).sum(axis=1) / lengths, 0.0) ** 2
            return known[step]

        def score(step: int) -> float:
            return float(likeness(step).sum())

        at = 0
        for _ in range(MOST_STEPS):
            best = max((at, at - 1, at + 1), key=score)
            if best == at:
                break
            at = best
        left, here, right = score(at - 1), score(at), score(at + 1)
        bend = left - 2.0 * here + right
        offset = float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else 0.0
        gains = likeness(at) - likeness(0)
        if at == 0:  # between the steps: what the parabola says
            gains = -0.25 * (likeness(-1) - likeness(1)) * offset
        moved = (at + offset) * STEP_UM
        believed = gains.sum() >= LEAST_GAIN and gains.sum() - gains.max() >= 0.5 * LEAST_GAIN
        return moved if believed and abs(moved) >= LEAST_UM else 0.0

    def _collect(self, follower: Follower, seen: F32, expected: F32, counts: I64) -> None:
        """Add what spikes show beyond where the tissue is; where it moves, sizes are what the move makes them."""
        for u in np.flatnonzero(counts):
            sites = follower.sites[u][follower.sites[u] >= 0]
            size = 1.0
            if self._moves[self._shank[u]]:
                a, b = seen[u, sites].astype(np.float64), expected[u, sites].astype(np.float64)
                size = float(np.vdot(a, b) / max(float(np.vdot(b, b)), 1e-12))
            if size > 0.1:
                self._sums[u, sites] += counts[u] * (seen[u, sites] / size - expected[u, sites])
            self._counts[u] += counts[u]

    def _settle(self, there: F32, told: Followed) -> None:
        """Add what was collected of units of enough spikes to their templates, where they may look so."""
        weights = there + self._own
        norms = np.linalg.norm(weights.reshape(len(weights), -1), axis=1)
        for u in np.flatnonzero(self._counts >= FEWEST):
            label, n = int(self.now.labels[u]), int(self._counts[u])
            step = (self._sums[u] / (n + HALF_AT)).astype(np.float32)
            why = refusal(weights[u] + step, int(u), there[u], weights, norms, self.now)
            self._sums[u], self._counts[u] = 0.0, 0
            if why:
                told.refused[label] = why
                continue
            told.changed[label] = float(np.linalg.norm(step) / max(float(norms[u]), 1e-12))
            self._own[u] += step
            weights[u] += step
            norms[u] = np.linalg.norm(weights[u])
