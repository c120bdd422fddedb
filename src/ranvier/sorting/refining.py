"""Better templates from matched spikes: averages free of overlaps, splits, merges, and what was not explained yet."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ranvier.sorting.candidates import CandidateFinder
from ranvier.sorting.clouds import Averages, Cluster, averages_of
from ranvier.sorting.clusters import cluster_site
from ranvier.sorting.composites import composites
from ranvier.sorting.crew import Crew
from ranvier.sorting.leftovers import Leftovers
from ranvier.sorting.matching import Matcher
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.reservoir import Spikes, join, thin
from ranvier.sorting.shadows import shadows
from ranvier.sorting.source import SortSource
from ranvier.sorting.templates import Templates
from ranvier.sorting.training import MOST_SITES, Report, Window, cluster_averages, is_unit, join_averages, quota_of

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Spikes of a unit that a split is judged by, at most.
_SPLIT_SPIKES = 1000


@dataclass(frozen=True)
class Block:
    """What matching one block gives: spikes of the block itself, without its margins."""

    sample: I64
    unit: I32
    amplitude: F32
    gain: F32
    features: F32  # (spikes, K, P) where asked for, else empty
    left: Spikes | None = None


def match_block(
    matcher: Matcher,
    source: SortSource,
    window: Window,
    near: I32,
    block: int,
    *,
    features: bool = False,
    leftovers: Leftovers | None = None,
) -> Block:
    """Match one block; on request with the clean features of its spikes, and with what they leave to learn from."""
    white = source.white(block)
    matched, projected = matcher.match(white)
    first, last = source.bounds(block)
    sample = matched.row + np.floor(matched.fraction + 0.5).astype(np.int64) + (first - source.margin + window.before)
    inside = (sample >= first) & (sample < last)
    clean = matcher.features(matched, projected, near)[inside] if features else np.zeros((0, 0, 0), np.float32)
    left = None
    if leftovers is not None:
        low = source.margin - window.before
        left = leftovers.find(white, matched, low, low + last - first)
        left = replace(left, sample=left.sample + first)
    return Block(sample[inside], matched.unit[inside], matched.amplitude[inside], matched.gain[inside], clean, left)


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
    finder: CandidateFinder | None = None,
    noise: F32 | None = None,
) -> Templates:
    """Return better templates: matched on some blocks, averaged, split where two clouds show, merged.

    Parameters
    ----------
    finder, noise
        Where given, further units are learned from what the matched spikes leave unexplained.
    """
    near = source.geometry.nearest(parameters.template_radius_um, MOST_SITES)
    matcher = Matcher(templates, parameters, window.half)
    behind = None
    if finder is not None and noise is not None:
        behind = Leftovers(matcher, finder, noise, near, quota_of(parameters, blocks))
    parts: list[Block] = []

    def one(block: int) -> Block:
        return match_block(matcher, source, window, near, block, features=True, leftovers=behind)

    for k, part in enumerate(crew.map(one, blocks)):
        parts.append(part)
        report((k + 1) / len(blocks))
    unit = np.concatenate([p.unit for p in parts])
    sample = np.concatenate([p.sample for p in parts])
    features = np.concatenate([p.features for p in parts])
    made = _averages(templates, source, parameters, near, unit, sample, features, seed, crew, split=split)
    left = [p.left for p in parts if p.left is not None]
    if left:
        spikes = thin(join(left), parameters.events_per_site, source.channels)
        fresh = cluster_averages(
            spikes, source, parameters, templates.basis, np.random.SeedSequence(seed, spawn_key=(4,)), crew, _silent
        )
        made = made.and_also(fresh)
    return _units(made, source, parameters, len(blocks) * parameters.block_sec)


def _silent(fraction: float) -> None:
    """Take a report that nobody waits for."""


def _units(made: Averages, source: SortSource, parameters: SorterParameters, learned_sec: float) -> Templates:
    """Return the units among averages, those that are one neuron joined."""
    enough = np.array([len(t) >= max(parameters.min_cluster, 0.1 * learned_sec) for t in made.trains], np.bool_)
    locked = shadows(made.trains, made.templates.norms, made.templates.positions_um, float(source.fs))
    kept = np.flatnonzero(enough & ~locked & is_unit(made.templates, source, parameters))
    joined, counts = join_averages(made.take(kept), source, parameters)
    return joined.take(~composites(joined, counts, parameters.amplitude_sd))


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
    *,
    split: bool,
) -> Averages:
    order = np.argsort(unit, kind="stable")
    bounds = np.searchsorted(unit[order], np.arange(len(templates) + 1))
    radius = parameters.neighbor_radius_um

    def one(u: int) -> list[Cluster]:
        own = order[bounds[u] : bounds[u + 1]]
        if not len(own):
            return []
        site = int(templates.sites[u])
        labels = np.zeros(len(own), np.int32)
        if split and len(own) >= 2 * parameters.min_cluster:
            inner = (near[site] >= 0) & (source.geometry.distance_um[site, near[site]] <= radius)
            flat = np.ascontiguousarray(features[own][:, inner].reshape(len(own), -1))
            labels = cluster_site(flat, parameters, np.random.SeedSequence(seed, spawn_key=(3, u)))
        made = []
        for label in range(int(labels.max()) + 1):
            members = own[labels == label]
            if len(members) >= parameters.min_cluster or label == 0:
                made.append(Cluster.of(site, features[members], sample[members]))
        return made

    found: list[Cluster] = []
    for parts in crew.map(one, range(len(templates))):
        found += parts
    return averages_of(found, near, templates.basis, templates.geometry)
