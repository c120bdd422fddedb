"""From a recording to templates: find clear spikes, cluster each site's, average, merge (stages S2 to S8)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ranvier.sorting.basis import Basis, clear_spikes, learn_basis
from ranvier.sorting.candidates import CandidateFinder
from ranvier.sorting.clouds import Clouds
from ranvier.sorting.clusters import cluster_site
from ranvier.sorting.crew import Crew
from ranvier.sorting.merging import MergeLimits, OneCloud, merge_units
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.reservoir import Spikes, join, thin_indices
from ranvier.sorting.residual_kernels import features_at
from ranvier.sorting.source import SortSource, spread
from ranvier.sorting.templates import Templates, component_overlaps, on_sites
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
#: A unit's trough lies this near its place: others are afterwaves of the causal filter, found as spikes.
MOST_OFF_SEC = 0.0002


def learn_shapes(source: SortSource, parameters: SorterParameters, window: Window, seed: int, crew: Crew) -> Basis:
    """Return the basis of the recording's own spikes."""

    def clear(block: int) -> F32:
        return clear_spikes(source.white(block), source.geometry, window.before, window.after, window.half)

    blocks = [int(k) for k in spread(source.blocks, _BASIS_BLOCKS)]
    found = list(crew.map(clear, blocks))
    return learn_basis(
        np.concatenate(found), window.before, window.after, parameters.components, float(source.fs), seed
    )


def gather(
    source: SortSource,
    parameters: SorterParameters,
    window: Window,
    basis: Basis,
    blocks: list[int],
    crew: Crew,
    report: Report,
) -> Spikes:
    """Return the spikes of some blocks that the sorter may learn from (to be thinned)."""
    finder = CandidateFinder(
        basis, source.geometry, parameters.detection_threshold, parameters.exclusive_um, window.half, window.every
    )
    noise = finder.noise_of(finder.score(source.white(blocks[len(blocks) // 2])))
    near = source.geometry.nearest(parameters.template_radius_um, MOST_SITES)
    quota = max(4, -(-2 * parameters.events_per_site // len(blocks)))

    def one(block: int) -> Spikes:
        white = source.white(block)
        first, last = source.bounds(block)
        low = source.margin - window.before
        rows, sites = finder.find(finder.score(white), noise, low, low + last - first)
        kept = thin_indices(sites, quota, source.channels)
        rows, sites = rows[kept], sites[kept]
        columns = np.ascontiguousarray(near[sites])
        features = np.empty((*columns.shape, len(basis.components)), np.float32)
        features_at(white, rows, columns, basis.components, features)
        return Spikes(rows + (first - low), sites, features)

    parts = []
    for k, part in enumerate(crew.map(one, blocks)):
        parts.append(part)
        report((k + 1) / len(blocks))
    return join(parts)


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
    near = source.geometry.nearest(parameters.template_radius_um, MOST_SITES)
    inner = source.geometry.distance_um[np.arange(source.channels)[:, None], near] <= parameters.neighbor_radius_um
    inner &= near >= 0
    order = np.argsort(spikes.site, kind="stable")
    bounds = np.searchsorted(spikes.site[order], np.arange(source.channels + 1))

    def one(site: int) -> list[I64]:
        own = order[bounds[site] : bounds[site + 1]]
        if len(own) < parameters.min_cluster:
            return []
        features = spikes.features[own]
        flat = np.ascontiguousarray(features[:, inner[site]].reshape(len(own), -1))
        labels = cluster_site(flat, parameters, np.random.SeedSequence(seed, spawn_key=(2, site)))
        made = []
        for label in range(int(labels.max()) + 1):
            members = labels == label
            if members.sum() >= parameters.min_cluster:
                made.append(own[members])
        return made

    sites, means, trains, members = [], [], [], []
    for site, made in enumerate(crew.map(one, range(source.channels))):
        report((site + 1) / source.channels)
        for chosen in made:
            sites.append(site)
            means.append(spikes.features[chosen].mean(axis=0))
            trains.append(np.sort(spikes.sample[chosen]))
            members.append(chosen)
    found = on_sites(sites, means, near, basis, source.geometry)
    kept = np.flatnonzero(is_unit(found, source, parameters))
    one_cloud = None
    if shift_um is not None:
        correlated = component_overlaps(basis.components)
        clouds = Clouds(spikes.features, shift_um, members, sites, near, source.geometry, correlated, parameters)
        one_cloud = clouds.take(kept).are_one
    return join_units(found.take(kept), [trains[k] for k in kept], parameters, float(source.fs), one_cloud)[0]


def is_unit(templates: Templates, source: SortSource, parameters: SorterParameters) -> npt.NDArray[np.bool_]:
    """Return which templates are large enough to be told from noise, and have their trough where it should be."""
    if not len(templates):
        return np.zeros(0, np.bool_)
    waveforms, snr, best = in_microvolts(templates, source.noise)
    own = waveforms[np.arange(len(templates)), :, best]
    white = templates.waveforms[np.arange(len(templates)), :, templates.sites]
    most = MOST_OFF_SEC * float(source.fs)
    in_place = np.abs(own.argmin(axis=1) - templates.basis.before) <= most
    in_place &= np.abs(white.argmin(axis=1) - templates.basis.before) <= most
    fine = (templates.norms >= parameters.min_energy) & (snr >= parameters.min_snr) & in_place
    return np.asarray(fine, np.bool_)


def in_microvolts(templates: Templates, noise: Whitening) -> tuple[F32, F64, I64]:
    """Return waveforms in uV ``(units, samples, channels)``, their SNR on the best site, and that site.

    SNR is the depth of the template's trough by the SD of the noise there, both before whitening. Components and sites
    that a template leaves out are missing: it is somewhat smaller than the mean spike.
    """
    if not len(templates):
        nothing = np.empty(0)
        return np.empty((0, templates.basis.samples, len(noise.noise_uv)), np.float32), nothing, np.empty(0, np.int64)
    waveforms = noise.in_microvolts(templates.waveforms)
    with np.errstate(invalid="ignore"):
        snr = np.nan_to_num(-waveforms.min(axis=1) / noise.noise_uv)
    best = snr.argmax(axis=1)
    return waveforms, np.asarray(snr[np.arange(len(templates)), best], np.float64), best


def join_units(
    templates: Templates,
    trains: list[I64],
    parameters: SorterParameters,
    fs_hz: float,
    one_cloud: OneCloud | None = None,
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
        templates.waveforms,
        trains,
        templates.positions_um,
        fs_hz,
        MergeLimits(difference=parameters.merge_difference),
        one_cloud=one_cloud,
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
