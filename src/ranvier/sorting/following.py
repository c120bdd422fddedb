"""Templates that follow the tissue: one set for each displacement (S10).

A unit's template at a displacement is its template at the reference moved by kriging; where spikes were matched at that
displacement and near it, what they show beyond that is added, the more the more they are. Traces are never resampled.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np
import numpy.typing as npt

from ranvier.sorting.drift import Drift
from ranvier.sorting.matching import Matcher
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.residues import Residues, moved_residues
from ranvier.sorting.templates import Templates
from ranvier.sorting.window import Window

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Matchers that are held at once: blocks that are worked on together have few displacements.
_MOST_HELD = 4
#: Spikes count for displacements this near (SD of a Gaussian), and as many speak for the moved template.
_SMOOTH_UM = 3.0
_PRIOR_SPIKES = 12.0


@dataclass(frozen=True)
class MovingTemplates:
    """Units at every displacement of a recording.

    Attributes
    ----------
    reference
        At the reference displacement.
    drift
        Where the tissue is when.
    near
        ``(channels, K)``: the sites that a unit is seen on, by its main site.
    sites
        ``(units, bins)``: main site at each step, from ``drift.lowest`` on.
    weights
        ``(units, bins, K, P)``: on the sites ``near[sites]``.
    """

    reference: Templates
    drift: Drift
    near: I32
    sites: I32
    weights: F32

    def __len__(self) -> int:
        return len(self.reference)

    def at(self, steps: I64) -> Templates:
        """Return the templates with each shank displaced by so many steps, ``(shanks,)``."""
        reference = self.reference
        units = np.arange(len(reference))
        column = steps[reference.geometry.group[self.home]] - self.drift.lowest
        dense = np.zeros_like(reference.weights)
        site = self.sites[units, column]
        for u in units:
            used = self.near[site[u]] >= 0
            dense[u, self.near[site[u]][used]] = self.weights[u, column[u]][used]
        return Templates(dense, reference.basis, reference.geometry)

    @property
    def home(self) -> I32:
        """``(units,)``: main site at the reference."""
        return self.sites[:, -self.drift.lowest]

    def column(self, block: int, unit: I32) -> I64:
        """Return the bin of units' displacement in a block."""
        return self.drift.of(block, self.home[unit]) - self.drift.lowest


def moved_templates(reference: Templates, drift: Drift, near: I32) -> MovingTemplates:
    """Return what kriging makes of templates at every step."""
    units, parts = len(reference), reference.weights.shape[2]
    sites = drift.site_at[reference.sites]
    weights = np.zeros((units, drift.bins, near.shape[1], parts), np.float32)
    group = reference.geometry.group
    for g in range(int(group.max()) + 1):
        own, columns = np.flatnonzero(group[reference.sites] == g), drift.mover.columns(g)
        if not len(own):
            continue
        for k in range(int(drift.steps[:, g].min()), int(drift.steps[:, g].max()) + 1):
            dense = reference.weights[own]
            if k != 0:
                dense = np.zeros_like(dense)
                dense[:, columns] = np.matmul(
                    drift.mover.matrix(g, k * drift.step_um), reference.weights[own][:, columns]
                )
            weights[own, k - drift.lowest] = on_neighbours(dense, near[sites[own, k - drift.lowest]])
    return MovingTemplates(reference, drift, near, sites, weights)


def on_neighbours(dense: F32, columns: I32) -> F32:
    """Return of ``(units, channels, P)`` the sites ``(units, K)``; 0 where there is none."""
    taken = np.take_along_axis(dense, np.maximum(columns, 0)[:, :, None], axis=1)
    return np.asarray(np.where((columns >= 0)[:, :, None], taken, 0.0), np.float32)


@dataclass(frozen=True)
class Follower:
    """Matchers for the blocks of a recording whose tissue moves."""

    moving: MovingTemplates
    parameters: SorterParameters
    window: Window
    residues: Residues | None = None
    _held: dict[tuple[int, ...], Matcher] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def knowing(self, residues: Residues) -> Follower:
        """Return the same with residues, at the reference."""
        return Follower(self.moving, self.parameters, self.window, residues)

    def matcher(self, block: int) -> Matcher:
        """Return the matcher of a block; what is held is bounded."""
        steps = self.moving.drift.steps[block]
        key = tuple(int(s) for s in steps)
        with self._lock:
            found = self._held.get(key)
        if found is None:
            templates, residues = self.moving.at(steps), self.residues
            if residues is not None:
                residues = moved_residues(residues, templates, self.moving.drift, steps)
            found = Matcher(templates, self.parameters, self.window, residues)
            with self._lock:
                while len(self._held) >= _MOST_HELD:
                    self._held.pop(next(iter(self._held)))
                self._held[key] = found
        return found

    def main_sites(self, block: int, unit: I32) -> I32:
        """Return where spikes of units are seen in a block."""
        return self.moving.sites[unit, self.moving.column(block, unit)]

    def expected(self, block: int, unit: I32) -> F32:
        """Return the features of mean spikes of units in a block, ``(n, K, P)``."""
        return self.moving.weights[unit, self.moving.column(block, unit)]

    def registered(self, block: int, unit: I32, amplitude: F32, features: F32) -> F32:
        """Return features as they would have been at the reference, on the neighbours of the units' sites there.

        What the template explains is exchanged for the template at the reference; only the rest is interpolated.
        """
        moving = self.moving
        home = moving.home[unit]
        step = moving.drift.of(block, home)
        if not step.any():
            return features
        share = amplitude[:, None, None]
        rest = features - share * self.expected(block, unit)
        moved = moving.drift.mover.features(
            rest, moving.near, self.main_sites(block, unit), home, -step * moving.drift.step_um
        )
        moved += share * moving.weights[unit, -moving.drift.lowest]
        moved[step == 0] = features[step == 0]
        return moved


class Rests:
    """What matched spikes show beyond their templates, summed by unit and step, in the order of blocks."""

    def __init__(self, moving: MovingTemplates) -> None:
        self._moving = moving
        self._sums = np.zeros(moving.weights.shape, np.float64)
        self._counts = np.zeros(moving.weights.shape[:2], np.int64)

    def add(self, block: int, unit: I32, rests: F32) -> None:
        """Add the rests ``(n, K, P)`` of a block's spikes."""
        moving = self._moving
        column = moving.column(block, unit)
        np.add.at(self._sums, (unit, column), rests)
        np.add.at(self._counts, (unit, column), 1)

    def corrected(self) -> MovingTemplates:
        """Return the templates with what was seen added to them."""
        moving, sums, counts = self._moving, self._sums, self._counts
        bins = moving.drift.bins
        apart = (np.arange(bins)[:, None] - np.arange(bins)[None]) * moving.drift.step_um
        kernel = np.exp(-0.5 * (apart / _SMOOTH_UM) ** 2)
        weights = moving.weights.copy()
        channels = moving.reference.weights.shape[1]
        for u in range(len(weights)):
            columns = moving.near[moving.sites[u]]
            dense = np.zeros((bins, channels + 1, weights.shape[3]))
            dense[np.arange(bins)[:, None], columns] = sums[u]  # -1, none, is the last
            known = np.zeros((bins, channels + 1))
            known[np.arange(bins)[:, None], columns] = counts[u][:, None]
            smooth = np.einsum("bk,kcp->bcp", kernel, dense) / (kernel @ known + _PRIOR_SPIKES)[:, :, None]
            smooth[:, -1] = 0.0
            weights[u] += smooth[np.arange(bins)[:, None], columns]
        home = np.ascontiguousarray(weights[:, -moving.drift.lowest])
        reference = moving.reference.weights.copy()
        for u, site in enumerate(moving.home):
            used = moving.near[site] >= 0
            reference[u, moving.near[site][used]] = home[u][used]
        at_home = Templates(reference, moving.reference.basis, moving.reference.geometry)
        return replace(moving, reference=at_home, weights=weights)
