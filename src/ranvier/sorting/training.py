"""From a recording to templates: find clear spikes, cluster each site's, average, merge (stages S2 to S8)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ranvier.sorting.averages import Averages, Cluster, StillClouds, averages_of
from ranvier.sorting.basis import Basis, clear_spikes, learn_basis, quiet_products, some_sites
from ranvier.sorting.candidates import CandidateFinder
from ranvier.sorting.clouds import Clouds
from ranvier.sorting.clusters import cluster_site
from ranvier.sorting.cores import without_noise
from ranvier.sorting.crew import Crew
from ranvier.sorting.faint import stands_out
from ranvier.sorting.leftovers import clear_of_larger
from ranvier.sorting.merging import MergeLimits, OneCloud, Part, Spread, merge_units
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.reservoir import SpikePile, Spikes, members_of, thin_indices
from ranvier.sorting.residual_kernels import features_of
from ranvier.sorting.source import SortSource, spread
from ranvier.sorting.templates import Templates, component_overlaps
from ranvier.sorting.whitening import Whitening
from ranvier.sorting.window import Window

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Report = Callable[[float], None]

#: Sites of a template, at most.
MOST_SITES = 32
_BASIS_BLOCKS = 20
#: Whole waveforms of all units would be as large as blocks.
_UNITS_AT_ONCE = 32
#: Fewer stretches of noise do not tell its covariance.
_FEWEST_QUIET = 1000
#: A unit's trough lies this near its place: others are afterwaves of the causal filter, found as spikes.
MOST_OFF_SEC = 0.0002


def learn_shapes(source: SortSource, parameters: SorterParameters, window: Window, seed: int, crew: Crew) -> Basis:
    """Return the basis of the recording's own spikes."""

    def one(block: int) -> tuple[F64, int, F32]:
        counts = source.counts(block)
        quiet = quiet_products(some_sites(counts), window.samples)
        return *quiet, clear_spikes(counts, source.geometry, window.before, window.after, window.half)

    blocks = [source.seen[k] for k in spread(len(source.seen), _BASIS_BLOCKS)]
    found = list(crew.map(one, blocks))
    clear = np.concatenate([part[2] for part in found])
    count = sum(part[1] for part in found)
    noise = np.sum([part[0] for part in found], axis=0) / count if count >= _FEWEST_QUIET else None
    return learn_basis(clear, window.before, window.after, parameters.components, float(source.fs), seed, noise)


def candidate_finder(
    source: SortSource, parameters: SorterParameters, window: Window, basis: Basis, blocks: list[int]
) -> tuple[CandidateFinder, F32]:
    """Return the matched filter for spikes to learn from, and centre and SD of its output on noise."""
    finder = CandidateFinder(
        basis, source.geometry, parameters.detection_threshold, parameters.exclusive_um, window.half, window.every
    )
    return finder, finder.noise_of(finder.score(source.counts(blocks[len(blocks) // 2])))


def quota_of(parameters: SorterParameters, blocks: list[int], sites: int) -> int:
    """Return how many spikes of one site are taken from one block, at most."""
    return max(4, -(-2 * parameters.most_events(sites) // len(blocks)))


def gather(
    source: SortSource,
    parameters: SorterParameters,
    window: Window,
    finder: CandidateFinder,
    noise: F32,
    blocks: list[int],
    crew: Crew,
    report: Report,
) -> Spikes:
    """Return the spikes of some blocks that the sorter may learn from (to be thinned): those no larger one covers."""
    near = source.geometry.nearest(parameters.template_radius_um, MOST_SITES)
    quota = quota_of(parameters, blocks, source.channels)
    same = source.geometry.distance_um <= parameters.template_radius_um

    def one(block: int) -> Spikes:
        counts = source.counts(block)
        first, last = source.bounds(block)
        low = source.margin - window.before
        score = finder.score(counts)
        rows, sites = finder.find(score, noise, low, low + last - first)
        clear = clear_of_larger(rows, sites, finder.at(score, rows, sites), same, window.samples)
        rows, sites = rows[clear], sites[clear]
        kept = thin_indices(sites, quota, source.channels)
        rows, sites = rows[kept], sites[kept]
        return Spikes(rows + (first - low), sites, features_of(counts, rows, near[sites], finder.basis.components))

    found = SpikePile()
    for k, part in enumerate(crew.map(one, blocks)):
        found.add(part)
        report((k + 1) / len(blocks))
    return found.whole()


def first_templates(
    spikes: Spikes,
    source: SortSource,
    parameters: SorterParameters,
    basis: Basis,
    seed: int,
    crew: Crew,
    report: Report,
    shift_um: F64 | None = None,
) -> Templates:
    """Cluster each site's spikes, average the clusters, join what is one neuron seen from two sites.

    Parameters
    ----------
    shift_um
        ``(spikes,)``: displacement of the tissue that was made good in each spike; None where it stood still.
    """
    first = np.random.SeedSequence(seed, spawn_key=(2,))
    found = cluster_averages(spikes, source, parameters, basis, first, crew, report)
    found = found.take(np.flatnonzero(is_unit(found.templates, source, parameters)))
    return join_averages(found, spikes.features, shift_um, source, parameters, crew.map)[0]


def cluster_averages(
    spikes: Spikes,
    source: SortSource,
    parameters: SorterParameters,
    basis: Basis,
    seed: np.random.SeedSequence,
    crew: Crew,
    report: Report,
) -> Averages:
    """Cluster each site's spikes; return the averages of the clusters."""
    near = source.geometry.nearest(parameters.template_radius_um, MOST_SITES)
    inner = source.geometry.distance_um[np.arange(source.channels)[:, None], near] <= parameters.neighbor_radius_um
    inner &= near >= 0
    members_at = members_of(spikes.site, source.channels)

    def one(site: int) -> list[Cluster]:
        own = members_at[site]
        if len(own) < parameters.min_cluster:
            return []
        features = spikes.features[own]
        flat = np.ascontiguousarray(features[:, inner[site]].reshape(len(own), -1))
        labels = cluster_site(flat, parameters, np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, site)))
        made = []
        for label in range(int(labels.max()) + 1):
            members = own[labels == label]
            if len(members) >= parameters.min_cluster:
                kept = without_noise(members, spikes.features, basis, parameters)
                made.append(Cluster.of(site, spikes.features, kept))
        return made

    found: list[Cluster] = []
    for site, made in enumerate(crew.map(one, range(source.channels))):
        report((site + 1) / source.channels)
        found += made
    return averages_of(found, spikes.sample, near, basis, source.geometry)


def is_unit(templates: Templates, source: SortSource, parameters: SorterParameters) -> npt.NDArray[np.bool_]:
    """Return which templates are large enough to be told from noise, and have their trough where it should be."""
    if not len(templates):
        return np.zeros(0, np.bool_)
    own, snr = in_microvolts(templates, source.noise)
    white = templates.weights[np.arange(len(templates)), templates.sites] @ templates.basis.components
    most = MOST_OFF_SEC * float(source.fs)
    in_place = np.abs(own.argmin(axis=1) - templates.basis.before) <= most
    in_place &= np.abs(white.argmin(axis=1) - templates.basis.before) <= most
    fine = (templates.norms >= parameters.min_energy) & stands_out(templates, snr, parameters) & in_place
    return np.asarray(fine, np.bool_)


def in_microvolts(templates: Templates, noise: Whitening) -> tuple[F32, F64]:
    """Return waveforms in uV on the best site, ``(units, samples)``, and their SNR there.

    SNR is the depth of the template's trough by the SD of the noise there, both before whitening. Components and sites
    that a template leaves out are missing: it is somewhat smaller than the mean spike.
    """
    own, largest = np.empty((len(templates), templates.basis.samples), np.float32), np.empty(len(templates))
    for first in range(0, len(templates), _UNITS_AT_ONCE):
        some = slice(first, first + _UNITS_AT_ONCE)
        components = noise.in_microvolts(templates.weights[some].swapaxes(1, 2))  # (units, P, channels)
        waveforms = np.matmul(templates.basis.components.T, components)
        with np.errstate(invalid="ignore"):
            snr = np.nan_to_num(-waveforms.min(axis=1) / noise.noise_uv)
        units, best = np.arange(len(snr)), snr.argmax(axis=1)
        own[some], largest[some] = waveforms[units, :, best], snr[units, best]
    return own, largest


def join_averages(
    averages: Averages,
    features: F32,
    shift_um: F64 | None,
    source: SortSource,
    parameters: SorterParameters,
    spread: Spread = map,
) -> tuple[Templates, I64]:
    """Merge the averages that are one neuron.

    Parameters
    ----------
    features, shift_um
        Of the spikes that the averages' members are among; ``shift_um`` is None where the tissue stands still.
    spread
        As of :func:`merge_units`.

    Returns
    -------
    templates, counts
        Of the units that remain: their templates, and how many spikes each has.
    """
    near = source.geometry.nearest(parameters.template_radius_um, MOST_SITES)
    still = StillClouds(
        averages, near, parameters.neighbor_radius_um, parameters.latent_dim, parameters.isocut_threshold
    )
    one_cloud: OneCloud = still.are_one
    if shift_um is not None:
        correlated = component_overlaps(averages.templates.basis.components)
        sites = [int(site) for site in averages.at]
        moving = Clouds(features, shift_um, averages.members, sites, near, source.geometry, correlated, parameters)

        def either(a: list[Part], b: list[Part]) -> bool:
            return still.are_one(a, b) or moving.are_one(a, b)

        one_cloud = either
    joined, kept_as, _ = join_units(
        averages.templates, averages.trains, parameters, float(source.fs), one_cloud, spread
    )
    counts = np.array([len(train) for train in averages.trains], np.float64)
    return joined, np.bincount(kept_as, counts, minlength=len(joined)).astype(np.int64)


def join_units(
    templates: Templates,
    trains: list[I64],
    parameters: SorterParameters,
    fs_hz: float,
    one_cloud: OneCloud | None = None,
    spread: Spread = map,
) -> tuple[Templates, I64, I64]:
    """Merge the units that are one neuron.

    Returns
    -------
    templates
        Of the units that remain, in the basis at the lag of the unit that each absorbed.
    kept_as
        ``(units,)``: number of each old unit among the remaining ones.
    shift
        ``(units,)``: samples to add to the times of each old unit.
    """
    merged = merge_units(
        (templates.waveform(u) for u in range(len(templates))),
        trains,
        templates.positions_um,
        fs_hz,
        MergeLimits(difference=parameters.merge_difference),
        one_cloud=one_cloud,
        spread=spread,
    )
    remaining = np.unique(merged.kept_as)
    counts = np.array([len(train) for train in trains], np.float64)
    weights = templates.weights.copy()
    for u in remaining:
        own = np.flatnonzero((merged.kept_as == u) & (merged.shift == 0))
        share = counts[own] / max(counts[own].sum(), 1.0)
        weights[u] = np.einsum("u,ucp->cp", share, templates.weights[own])
    joined = Templates(np.ascontiguousarray(weights[remaining]), templates.basis, templates.geometry)
    return joined, np.searchsorted(remaining, merged.kept_as), merged.shift
