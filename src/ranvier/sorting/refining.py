"""Better templates from matched spikes: averages free of overlaps, splits, merges, and what was not explained yet."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.sorting.averages import Averages, Cluster, averages_of
from ranvier.sorting.candidates import CandidateFinder
from ranvier.sorting.clouds import detrended
from ranvier.sorting.clusters import cluster_site
from ranvier.sorting.composites import composites
from ranvier.sorting.cores import without_noise
from ranvier.sorting.crew import Crew
from ranvier.sorting.drift import Drift, registered
from ranvier.sorting.faint import beyond_noise
from ranvier.sorting.following import Follower, MovingTemplates, Rests, moved_templates
from ranvier.sorting.kept import KeptBlocks
from ranvier.sorting.leftovers import Leftovers
from ranvier.sorting.matching import Matcher
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.reservoir import Pile, SpikePile, Spikes, members_of, thin
from ranvier.sorting.residues import Residues, ResidueSums
from ranvier.sorting.shadows import shadows
from ranvier.sorting.source import SortSource, spread
from ranvier.sorting.templates import Templates
from ranvier.sorting.training import MOST_SITES, Report, cluster_averages, is_unit, join_averages, quota_of
from ranvier.sorting.window import Window

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Blocks that residues are measured on, at most.
_RESIDUE_BLOCKS = 20


@dataclass(frozen=True)
class Block:
    """What matching one block gives: spikes of the block itself, without its margins."""

    sample: I64
    unit: I32
    amplitude: F32
    gain: F32
    beyond: F32  # SD of noise above the unit's threshold
    features: F32  # (spikes, K, P) where asked for, else empty
    left: Spikes | None = None  # candidates that the matched spikes leave, where asked for


class Still:
    """One matcher for all blocks: the tissue stands still."""

    def __init__(
        self, templates: Templates, parameters: SorterParameters, window: Window, residues: Residues | None = None
    ) -> None:
        self._matcher = Matcher(templates, parameters, window, residues)

    def knowing(self, residues: Residues) -> Still:
        """Return the same with residues."""
        known = self._matcher
        return Still(known.templates, known.parameters, known.window, residues)

    def matcher(self, block: int) -> Matcher:
        """Return the matcher of a block."""
        return self._matcher

    def main_sites(self, block: int, unit: I32) -> I32:
        """Return where spikes of units are seen in a block."""
        return self._matcher.templates.sites[unit]


def match_block(
    view: Still | Follower,
    source: SortSource,
    window: Window,
    near: I32,
    block: int,
    *,
    features: bool = False,
    leftovers: Leftovers | None = None,
    seen: KeptBlocks | None = None,
    pairs: bool = False,
) -> Block:
    """Match one block; on request with the clean features of its spikes, as they are seen in that block, and with what
    they leave to learn from (behind the matcher of that block).

    ``seen`` may hold the block's projections on the templates. ``pairs`` as in :meth:`Matcher.match`.
    """
    matcher = view.matcher(block)
    if leftovers is not None and leftovers.matcher is not matcher:
        leftovers = replace(leftovers, matcher=matcher)
    counts = source.counts(block)
    projections = matcher.projections(counts.shape[1])
    if seen is None or not seen.read(block, projections):
        matcher.project(counts, projections)
    matched = matcher.match(counts, projections, pairs=pairs)
    del projections  # its memory is used again below
    first, last = source.bounds(block)
    sample = matched.row + np.floor(matched.fraction + 0.5).astype(np.int64) + (first - source.margin + window.before)
    kept = (sample >= first) & (sample < last)
    clean = np.zeros((0, 0, 0), np.float32)
    left = None
    if features or leftovers is not None:
        matcher.subtract(counts, matched)
    if features:
        clean = matcher.features(matched, counts, near[view.main_sites(block, matched.unit)])[kept]
    if leftovers is not None:
        low = source.margin - window.before
        left = leftovers.find(counts, matched, low, low + last - first)
        left = replace(left, sample=left.sample + first)
    unit, amplitude = matched.unit[kept], matched.amplitude[kept]
    return Block(sample[kept], unit, amplitude, matched.gain[kept], matcher.beyond(unit, amplitude), clean, left)


def measure_residues(
    view: Still | Follower, source: SortSource, window: Window, blocks: list[int], crew: Crew, seen: KeptBlocks
) -> Residues:
    """Return what spikes in some of the blocks show beyond their templates, at the reference where the tissue moves.

    Projections of those blocks are kept in ``seen``: they hold for the same templates with residues, too.
    """

    def one(block: int) -> ResidueSums:
        matcher = view.matcher(block)
        counts = source.counts(block)
        projections = matcher.projections(counts.shape[1])
        matcher.project(counts, projections)
        seen.keep(block, projections)
        matched = matcher.match(counts, projections)
        del projections
        matcher.subtract(counts, matched)
        first, last = source.bounds(block)
        low = source.margin - window.before
        own = matched.take((matched.row >= low) & (matched.row < low + last - first))
        sums = ResidueSums(matcher.templates)
        sums.add(counts, own.row, own.unit, own.amplitude)
        return sums if isinstance(view, Still) else sums.at_reference(view.moving.reference, view.moving.drift, block)

    total: ResidueSums | None = None
    for sums in crew.map(one, [blocks[k] for k in spread(len(blocks), _RESIDUE_BLOCKS)]):
        total = sums if total is None else total.plus(sums)
    if total is None:
        raise ConfigurationError("no blocks to measure residues on")
    return total.means()


def refine(
    templates: Templates,
    source: SortSource,
    parameters: SorterParameters,
    window: Window,
    blocks: list[int],
    seed: int,
    crew: Crew,
    report: Report,
    *,
    split: bool,
    drift: Drift | None = None,
    finder: CandidateFinder | None = None,
    noise: F32 | None = None,
) -> Templates:
    """Return better templates: matched on some blocks, averaged, split where two clouds show, merged.

    Where the tissue moves, templates are those at its reference displacement.

    Parameters
    ----------
    finder, noise
        Where given, further units are learned from what the matched spikes leave. Else residues are subtracted with
        spikes: behind units that are not known yet they would hide those that fire with them.
    """
    near = source.geometry.nearest(parameters.template_radius_um, MOST_SITES)
    view: Still | Follower = Still(templates, parameters, window)
    if drift is not None:
        view = Follower(moved_templates(templates, drift, near), parameters, window)
    behind = None
    if finder is not None and noise is not None:
        behind = Leftovers(view.matcher(blocks[0]), finder, noise, near, quota_of(parameters, blocks, source.channels))
    units: list[I32] = []
    samples: list[I64] = []
    beyond: list[F32] = []
    own, left = Pile(), SpikePile()

    def one(block: int) -> Block:
        part = match_block(view, source, window, near, block, features=True, leftovers=behind, seen=seen)
        if isinstance(view, Still):
            return part
        return replace(part, features=view.registered(block, part.unit, part.amplitude, part.features))

    with closing(KeptBlocks()) as seen:
        if finder is None:
            view = view.knowing(measure_residues(view, source, window, blocks, crew, seen))
        for k, part in enumerate(crew.map(one, blocks)):
            units.append(part.unit)
            samples.append(part.sample)
            beyond.append(part.beyond)
            own.add(part.features)
            if part.left is not None:
                left.add(part.left)
            report((k + 1) / len(blocks))
    unit, sample, features = np.concatenate(units), np.concatenate(samples), own.whole()
    shift_um = None if drift is None else drift.shift_um(sample, templates.sites[unit], source)
    made = _averages(templates, source, parameters, near, unit, sample, features, seed, crew, shift_um, split=split)
    made = made.take(np.flatnonzero(beyond_noise(made.members, np.concatenate(beyond), parameters)))
    if behind is not None:
        spikes = left.whole()
        if drift is not None:
            spikes = registered(spikes, drift, source, near)
        spikes = thin(spikes, parameters.most_events(source.channels), source.channels)
        second = np.random.SeedSequence(seed, spawn_key=(4,))
        further = cluster_averages(spikes, source, parameters, templates.basis, second, crew, lambda fraction: None)
        if drift is not None:
            further = replace(further, members=[m + len(features) for m in further.members])
            features = np.concatenate([features, spikes.features])
            shift_um = np.concatenate([shift_um, drift.shift_um(spikes.sample, spikes.site, source)])
        made = made.and_also(further)
    made = made.take(_real(made, source, parameters, len(blocks) * parameters.block_sec, crew))
    joined, counts = join_averages(made, features, shift_um, source, parameters, crew.map)
    return joined.take(~composites(joined, counts, parameters.amplitude_sd))


def _real(made: Averages, source: SortSource, parameters: SorterParameters, learned_sec: float, crew: Crew) -> I64:
    """Return which averages may be units: of enough spikes, told from noise, and no shadows of others."""
    enough = np.array([len(t) >= max(parameters.min_cluster, 0.1 * learned_sec) for t in made.trains], np.bool_)
    norms, positions_um = made.templates.norms, made.templates.positions_um
    locked = shadows(made.trains, norms, positions_um, float(source.fs), crew.map)
    return np.flatnonzero(enough & ~locked & is_unit(made.templates, source, parameters))


def follow(
    templates: Templates,
    drift: Drift,
    source: SortSource,
    parameters: SorterParameters,
    window: Window,
    blocks: list[int],
    crew: Crew,
    report: Report,
) -> MovingTemplates:
    """Return templates at every displacement, measured on the spikes matched in some blocks."""
    near = source.geometry.nearest(parameters.template_radius_um, MOST_SITES)
    view = Follower(moved_templates(templates, drift, near), parameters, window)
    rests = Rests(view.moving)

    def one(block: int) -> Block:
        part = match_block(view, source, window, near, block, features=True)
        return replace(part, features=part.features - view.expected(block, part.unit))

    for k, (block, part) in enumerate(zip(blocks, crew.map(one, blocks), strict=True)):
        rests.add(block, part.unit, part.features)
        report((k + 1) / len(blocks))
    return rests.corrected()


def _averages(
    templates: Templates,
    source: SortSource,
    parameters: SorterParameters,
    near: I32,
    unit: I32,
    sample: I64,
    features: F32,
    seed: int,
    crew: Crew,
    shift_um: F64 | None,
    *,
    split: bool,
) -> Averages:
    members = members_of(unit, len(templates))
    radius = parameters.neighbor_radius_um

    def one(u: int) -> list[Cluster]:
        own = members[u]
        if not len(own):
            return []
        site = int(templates.sites[u])
        labels = np.zeros(len(own), np.int32)
        if split and len(own) >= 2 * parameters.min_cluster:
            inner = (near[site] >= 0) & (source.geometry.distance_um[site, near[site]] <= radius)
            flat = np.ascontiguousarray(features[own][:, inner].reshape(len(own), -1))
            if shift_um is not None:
                flat = detrended(flat, shift_um[own])
            labels = cluster_site(flat, parameters, np.random.SeedSequence(seed, spawn_key=(3, u)))
        made = []
        for label in range(int(labels.max()) + 1):
            together = own[labels == label]
            if len(together) >= parameters.min_cluster or label == 0:
                kept = without_noise(together, features, templates.basis, parameters)
                made.append(Cluster.of(site, features, kept))
        return made

    found: list[Cluster] = []
    for parts in crew.map(one, range(len(templates))):
        found += parts
    return averages_of(found, sample, near, templates.basis, templates.geometry)
