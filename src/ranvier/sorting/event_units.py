"""Units of spikes that were detected before, of which only a waveform is there (stages S6 to S8 on one site).

Each site's waveforms are clustered, clusters that are one neuron are joined (shape and correlogram), small or unclear
ones are no units; then every spike goes to the nearest cluster of its site. Spikes of one neuron that were told on two
sites stay two units, and overlaps stay what they are: that needs the recording.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ranvier.sorting.clusters import cluster_site
from ranvier.sorting.merging import MergeLimits, merge_units
from ranvier.sorting.parameters import SorterParameters

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: A spike farther from its cluster than this share of the cluster's own spikes, and half as far again, is nobody's.
_INSIDE, _FAR = 99.0, 1.5
#: A unit of a later round is the one that it looks like by this cosine, or more.
ALIKE = 0.9
_TO_SD = 1.0 / 0.6744897501960817


@dataclass(frozen=True, eq=False)
class SiteUnits:
    """The clusters of one site.

    Attributes
    ----------
    noise_uv
        SD of the noise there.
    mean, axes
        ``(points,)`` and ``(points, P)``: waveforms in SD of the noise become ``(w - mean) @ axes``.
    centres, reach
        ``(clusters, P)``, and how far from it a spike may lie, ``(clusters,)``.
    templates_uv
        ``(clusters, points)``: mean waveforms.
    labels
        ``(clusters,)``: 0 for those that are no unit.
    """

    noise_uv: float
    mean: F32
    axes: F32
    centres: F32
    reach: F32
    templates_uv: F32
    labels: I32

    def label(self, waveforms_uv: F32) -> I32:
        """Return the label of each waveform ``(spikes, points)``; 0 where it is nobody's, or not whole."""
        labels = np.zeros(len(waveforms_uv), np.int32)
        whole = np.flatnonzero(np.isfinite(waveforms_uv).all(axis=1))
        if not len(self.labels) or not len(whole):
            return labels
        places = (waveforms_uv[whole] / np.float32(self.noise_uv) - self.mean) @ self.axes
        apart = ((places[:, None] - self.centres[None]) ** 2).sum(axis=2)
        nearest = apart.argmin(axis=1)
        inside = apart[np.arange(len(whole)), nearest] <= self.reach[nearest] ** 2
        labels[whole[inside]] = self.labels[nearest[inside]]
        return labels


@dataclass(frozen=True)
class EventUnits:
    """What was learned from detected spikes: the clusters of each site, by its number."""

    sites: dict[int, SiteUnits]

    def __len__(self) -> int:
        return sum(int(np.count_nonzero(np.unique(site.labels))) for site in self.sites.values())

    def label(self, sites: I32, waveforms_uv: F32) -> I32:
        """Return the label of each spike: ``(spikes,)`` numbers of sites, ``(spikes, points)`` waveforms."""
        labels = np.zeros(len(sites), np.int32)
        for number in np.unique(sites):
            known = self.sites.get(int(number))
            if known is not None:
                own = np.flatnonzero(sites == number)
                labels[own] = known.label(waveforms_uv[own])
        return labels

    def template_uv(self, site: int, label: int) -> F32:
        """Return the mean waveform of a unit, that of its clusters where it has several; empty where it is unknown."""
        known = self.sites.get(site)
        if known is None or not (own := known.labels == label).any():
            return np.zeros(0, np.float32)
        mean: F32 = known.templates_uv[own].mean(axis=0, dtype=np.float32)
        return mean


def learn_events(
    samples: I64,
    sites: I32,
    waveforms_uv: F32,
    noise_uv: dict[int, float],
    before: int,
    fs_hz: float,
    parameters: SorterParameters,
    *,
    seed: int,
    first_label: int = 1,
    report: Callable[[float], None] = lambda fraction: None,
    check: Callable[[], None] = lambda: None,
) -> EventUnits:
    """Learn the units of detected spikes.

    Parameters
    ----------
    samples, sites, waveforms_uv
        ``(spikes,)`` counters in order, ``(spikes,)`` numbers of sites, ``(spikes, points)`` waveforms, the spike at
        point ``before``. NaN where a waveform is not whole: it is left out.
    noise_uv
        SD of the noise by number of the site; measured on the waveforms' first points where it is not known.
    first_label
        Units are labelled from here on, site by site.
    report, check
        Called with the fraction done; raises to end the work.
    """
    found: dict[int, SiteUnits] = {}
    whole = np.isfinite(waveforms_uv).all(axis=1)
    numbers = np.unique(sites)
    for done, number in enumerate(numbers):
        check()
        own = np.flatnonzero((sites == number) & whole)
        if len(own) >= parameters.min_cluster:
            noise = noise_uv.get(int(number), np.nan)
            known = noise if noise > 0 else _noise_of(waveforms_uv[own], before)
            spawned = np.random.SeedSequence(seed, spawn_key=(11, int(number)))
            site = _learn_site(samples[own], waveforms_uv[own], known, before, fs_hz, parameters, spawned, first_label)
            first_label = max(first_label, int(site.labels.max(initial=0)) + 1)
            found[int(number)] = site
        report((done + 1) / len(numbers))
    return EventUnits(found)


def linked_events(fresh: EventUnits, known: EventUnits | None, next_label: int) -> tuple[EventUnits, int]:
    """Return units under the labels of those known before that look like them, and the next label never given."""
    sites: dict[int, SiteUnits] = {}
    for number, site in fresh.sites.items():
        labels = np.zeros_like(site.labels)
        old = None if known is None else known.sites.get(number)
        given: set[int] = set()
        for unit in np.unique(site.labels[site.labels > 0]):
            own = site.labels == unit
            label = 0 if old is None else _alike(site.templates_uv[own], old, given)
            if not label:
                label, next_label = next_label, next_label + 1
            given.add(label)
            labels[own] = label
        sites[number] = replace(site, labels=labels)
    return EventUnits(sites), next_label


def _alike(templates_uv: F32, old: SiteUnits, given: set[int]) -> int:
    """Return the label of the known unit that looks most like one of some templates, 0 where none does."""
    best, label = ALIKE, 0
    for template, number in zip(old.templates_uv, old.labels, strict=True):
        if number and int(number) not in given and template.shape == templates_uv.shape[1:]:
            size = np.linalg.norm(template) * np.linalg.norm(templates_uv, axis=1) + 1e-9
            now = float((templates_uv @ template / size).max())
            if now > best:
                best, label = now, int(number)
    return label


def _learn_site(
    samples: I64,
    waveforms_uv: F32,
    noise_uv: float,
    before: int,
    fs_hz: float,
    parameters: SorterParameters,
    seed: np.random.SeedSequence,
    first_label: int,
) -> SiteUnits:
    w = np.asarray(waveforms_uv / noise_uv, np.float32)
    cluster = cluster_site(w, parameters, seed)
    mean = w.mean(axis=0)
    _, vectors = np.linalg.eigh((w - mean).T.astype(np.float64) @ (w - mean))
    axes = np.ascontiguousarray(vectors[:, ::-1][:, : parameters.latent_dim], np.float32)
    places = (w - mean) @ axes
    kept = [c for c in range(int(cluster.max(initial=-1)) + 1) if np.count_nonzero(cluster == c) >= 2]
    rows = [np.flatnonzero(cluster == c) for c in kept]
    means = np.array([w[r].mean(axis=0) for r in rows], np.float32).reshape(len(rows), w.shape[1])
    unit = np.array(
        [
            len(r) >= parameters.min_cluster and abs(m[before]) >= parameters.min_snr
            for r, m in zip(rows, means, strict=True)
        ],
        np.bool_,
    )
    labels = _labelled(unit, means, [samples[r] for r in rows], fs_hz, parameters, first_label)
    centres = np.array([places[r].mean(axis=0) for r in rows], np.float32).reshape(len(rows), axes.shape[1])
    reach = [np.percentile(np.linalg.norm(places[r] - c, axis=1), _INSIDE) for r, c in zip(rows, centres, strict=True)]
    return SiteUnits(
        noise_uv, mean, axes, centres, np.asarray(reach, np.float32) * np.float32(_FAR), means * noise_uv, labels
    )


def _labelled(
    unit: Bools, means: F32, trains: list[I64], fs_hz: float, parameters: SorterParameters, first_label: int
) -> I32:
    """Return labels of clusters: one for those that are parts of one neuron, 0 for those that are no unit."""
    labels = np.zeros(len(unit), np.int32)
    chosen = np.flatnonzero(unit)
    if not len(chosen):
        return labels
    merged = merge_units(
        means[chosen][:, :, None],
        [trains[c] for c in chosen],
        np.zeros((len(chosen), 2)),
        fs_hz,
        MergeLimits(difference=parameters.merge_difference),
    )
    _, numbers = np.unique(merged.kept_as, return_inverse=True)
    labels[chosen] = first_label + numbers
    return labels


def _noise_of(waveforms_uv: F32, before: int) -> float:
    """Return the SD of the noise where nothing tells it: that of the points well before the spikes."""
    points = waveforms_uv[:, : max(1, before // 2)]
    level = float(np.median(np.abs(points))) * _TO_SD
    return level if level > 0 else 1.0
