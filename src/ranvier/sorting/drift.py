"""Where the tissue was in each block: the motion of each shank, from the spikes that were found to learn from (S10).

Rigid per shank, one displacement per block, in steps of a few um. Displacements count from a reference, the
displacement in the recording that is nearest to the median. Shanks whose sites are too far apart to interpolate
between, and those whose motion is too small to matter, stand still.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ranvier.sorting.basis import Basis
from ranvier.sorting.count_kernels import STEP_SD
from ranvier.sorting.crew import Crew
from ranvier.sorting.geometry import Geometry
from ranvier.sorting.motion import Motion, MotionParameters, estimate_motion
from ranvier.sorting.moving import Mover, can_move
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.peak_kernels import troughs_of
from ranvier.sorting.reservoir import Spikes
from ranvier.sorting.residual_kernels import features_of
from ranvier.sorting.source import SortSource

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Motion is told from spikes of at least this norm on their site (SD of the noise): smaller ones are badly placed.
_CLEAR_SD = 8.0
#: Sites that a spike is placed by.
_PLACING_SITES = 8
#: Where the recording is not learned from, the troughs of spikes are looked for: SD, and the largest within so many um.
_LOOK_SD, _LOOK_UM = 5.0, 50.0
_SIGHTED = ("sample", "site", "size", "depth_um")
#: Displacements that templates are held for, at most; larger motion, wider steps.
STEP_UM = 2.0
MOST_STEPS = 64


@dataclass(frozen=True)
class Drift:
    """Displacements of the shanks.

    Attributes
    ----------
    motions
        By shank (``Geometry.group``), against the reference; all zero where a shank stands still.
    steps
        ``(blocks, shanks)``: displacement of each block in steps.
    step_um
        Length of a step.
    mover
        Of the sites.
    """

    motions: tuple[Motion, ...]
    steps: I64
    step_um: float
    mover: Mover

    @property
    def geometry(self) -> Geometry:
        """Of the sites."""
        return self.mover.geometry

    @property
    def lowest(self) -> int:
        """The smallest step of any shank."""
        return int(self.steps.min())

    @property
    def bins(self) -> int:
        """Number of steps from the smallest to the largest one."""
        return int(np.ptp(self.steps)) + 1

    def of(self, block: int, site: I32) -> I64:
        """Return the steps of sites in a block."""
        return np.asarray(self.steps[block][self.geometry.group[site]], np.int64)

    def at(self, sample: I64, site: I32, source: SortSource) -> I64:
        """Return the steps of sites at counters."""
        block = np.clip((sample - source.start) // source.rows, 0, len(self.steps) - 1)
        return np.asarray(self.steps[block, self.geometry.group[site]], np.int64)

    def shift_um(self, sample: I64, site: I32, source: SortSource) -> F64:
        """Return the displacement of sites at counters."""
        return np.asarray(self.at(sample, site, source) * self.step_um, np.float64)

    @cached_property
    def site_at(self) -> I32:
        """``(channels, bins)``: the site nearest to where each site's tissue is at each step."""
        positions, out = self.geometry.positions_um, np.empty((len(self.geometry.group), self.bins), np.int32)
        for k in range(self.bins):
            moved = positions + np.array([0.0, (k + self.lowest) * self.step_um])
            out[:, k] = nearest_site(moved, self.geometry)
        out[:, -self.lowest] = np.arange(len(out))
        return out


def nearest_site(places_um: F64, geometry: Geometry) -> I32:
    """Return the site nearest to each place (of equal ones the first)."""
    apart = ((places_um[:, None] - geometry.positions_um[None]) ** 2).sum(axis=2)
    return np.asarray(apart.argmin(axis=1), np.int32)


@dataclass(frozen=True)
class Sightings:
    """Where spikes were seen: counter, site, norm on it (SD of the noise), depth in um."""

    sample: I64
    site: I32
    size: F64
    depth_um: F64


def find_drift(
    spikes: Spikes,
    source: SortSource,
    parameters: SorterParameters,
    basis: Basis,
    near: I32,
    blocks: list[int],
    crew: Crew,
) -> Drift | None:
    """Return the motion that the spikes of a recording show; None where every shank stands still.

    Where the spikes of some blocks show motion, clear spikes of all blocks tell its course.

    Parameters
    ----------
    spikes
        Of some blocks, with features on the sites ``near``.
    """
    seen = placed(spikes, source.geometry, near)
    motions = motions_of(seen, source, parameters)
    if all(m.range_um < parameters.least_motion_um for m in motions):
        return None
    others = sorted(set(source.seen) - set(blocks))
    if others:
        parts = [seen, *crew.map(lambda block: look(source, basis, near, block), others)]
        seen = Sightings(*(np.concatenate([getattr(s, name) for s in parts]) for name in _SIGHTED))
        motions = motions_of(seen, source, parameters)
    return as_drift(motions, source, parameters.least_motion_um)


def motions_of(seen: Sightings, source: SortSource, parameters: SorterParameters) -> list[Motion]:
    """Return the motion of each shank; that of shanks whose sites are too far apart is zero."""
    geometry = source.geometry
    clear = (seen.size >= _CLEAR_SD) & np.isfinite(seen.depth_um)
    seconds = (seen.sample - source.start) / float(source.fs)
    settings = MotionParameters(bin_sec=parameters.motion_bin_sec)
    motions = []
    for shank in range(int(geometry.group.max()) + 1):
        chosen = clear & (geometry.group[seen.site] == shank)
        if not can_move(geometry.positions_um[geometry.group == shank]):
            chosen[:] = False
        motions.append(
            estimate_motion(seconds[chosen], seen.depth_um[chosen], seen.size[chosen], source.duration_sec, settings)
        )
    return motions


def look(source: SortSource, basis: Basis, near: I32, block: int) -> Sightings:
    """Return where the clear spikes of a block are."""
    counts = source.counts(block)
    first, last = source.bounds(block)
    begin, half = source.margin, max(1, source.margin // 4)
    close = source.geometry.nearest(_LOOK_UM, 64)
    limit = -int(_LOOK_SD / STEP_SD) - 1
    rows, sites = troughs_of(counts, close, limit, half, begin, begin + last - first)
    features = features_of(counts, rows - basis.before, near[sites][:, :_PLACING_SITES], basis.components)
    return placed(Spikes(rows - begin + first, sites, features), source.geometry, near)


def as_drift(motions: list[Motion], source: SortSource, least_um: float) -> Drift:
    """Return displacements of blocks from motions; those of less than ``least_um`` count for none."""
    centres = np.array([np.mean(source.bounds(k)) - source.start for k in range(source.blocks)]) / float(source.fs)
    against, steps = [], np.zeros((source.blocks, len(motions)), np.int64)
    step_um = max(STEP_UM, max(m.range_um for m in motions) / (MOST_STEPS - 2))
    for g, motion in enumerate(motions):
        if motion.range_um < least_um:
            against.append(replace(motion, shift_um=np.zeros_like(motion.shift_um)))
            continue
        course = motion.at(centres)
        reference = course[np.abs(course - np.median(course)).argmin()]
        steps[:, g] = np.round((course - reference) / step_um).astype(np.int64)
        against.append(replace(motion, shift_um=motion.shift_um - reference))
    return Drift(tuple(against), steps, step_um, Mover(source.geometry, source.noise))


def placed(spikes: Spikes, geometry: Geometry, near: I32) -> Sightings:
    """Return where spikes are: the centre of their energy, beyond that of noise, over their nearest sites."""
    few = min(_PLACING_SITES, near.shape[1])
    energy = (spikes.features[:, :few].astype(np.float64) ** 2).sum(axis=2)
    columns = near[spikes.site][:, :few]
    weight = np.where(columns >= 0, np.maximum(energy - spikes.features.shape[2], 0.0), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        depth = (weight * geometry.positions_um[np.maximum(columns, 0), 1]).sum(axis=1) / weight.sum(axis=1)
    return Sightings(spikes.sample, spikes.site, np.sqrt(energy[:, 0]), depth)


def registered(spikes: Spikes, drift: Drift, source: SortSource, near: I32) -> Spikes:
    """Return spikes as they would have been with the tissue at its reference.

    A spike's site becomes that on which its registered waveform is largest.
    """
    geometry = drift.geometry
    step = drift.at(spikes.sample, spikes.site, source)
    shift_um = -step * drift.step_um
    site = spikes.site.copy()
    for s in np.unique(step):
        own = step == s
        there = nearest_site(geometry.positions_um - np.array([0.0, s * drift.step_um]), geometry)
        site[own] = there[spikes.site[own]]
    features = drift.mover.features(spikes.features, near, spikes.site, site, shift_um)
    energy = (features**2).sum(axis=2)
    largest = near[site, energy.argmax(axis=1)]
    off = (largest != site) & (step != 0)
    features[off] = drift.mover.features(spikes.features[off], near, spikes.site[off], largest[off], shift_um[off])
    features[step == 0] = spikes.features[step == 0]
    return Spikes(spikes.sample, np.where(step == 0, spikes.site, largest).astype(np.int32), features)
