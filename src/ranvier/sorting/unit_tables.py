"""What a live matcher looks up of known units. Making it takes long with many units: it is made beside the stream."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.sorting.early_reference import ALIKE, MAIN_EARLY, SIZES, SURE
from ranvier.sorting.faint import least_projections
from ranvier.sorting.gated_reference import MAIN
from ranvier.sorting.matching import AMPLITUDES, projection_of_gain
from ranvier.sorting.templates import shifted_waveforms
from ranvier.sorting.trained import TrainedUnits

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: What is compared with the signal around a trough, at least; more where a unit has more energy beyond than these
#: shares.
BEFORE_SEC, AFTER_SEC = 0.27e-3, 0.77e-3
BEYOND = (0.01, 0.08)
#: The beginning of a waveform, by which spikes that are sure are told early.
EARLY_BEFORE_SEC, EARLY_AFTER_SEC = 0.1e-3, 0.4e-3
#: Rivals for that beginning: how large spikes are, and how much noise may help, in SD.
RIVAL_AMPLITUDE, RIVAL_NOISE_SD = 1.5, 2.0
#: Length of a step: short where few sites are sorted, as it adds to the time until a spike is told.
STEP_SEC, LONG_STEP_SEC, MANY_SITES = 0.13e-3, 0.27e-3, 512
#: Units this alike (cosine) are rivals for a spike.
RIVAL_COSINE = 0.5
#: Weights of the whitening are left out while their energy is below this share of a site's (1.7 % of the noise's SD).
LEFT_OUT = 3e-4
#: Sites on which a spike may explain an event.
SEEN_SITES = 32


class UnitTables:
    """Known units as :class:`ranvier.sorting.stream_matcher.StreamMatcher` needs them; nothing in it changes.

    Attributes
    ----------
    hop
        Length of a step.
    before, length, front
        Samples of a waveform that are compared with the signal: so many before the trough, so many in all, the first of
        them at ``front``.
    sites, waveforms
        ``(units, K)``: sites of each unit, the main one first, -1 behind the last; whitened waveforms there
        ``(units, phases, K, samples)``.
    near, weights
        ``(sites, J)``: the sites that each whitened one is made of, and with which weights.
    norms, lows, leasts
        ``(units,)``: energy of what is compared, the least projection that is a spike, and on the main site alone.
    early
        The beginnings of waveforms (see :func:`ranvier.sorting.early_kernels.foretell`): ``front``, ``length``,
        ``before``, ``rivals``, ``norms``, ``products``, ``lows``, ``leasts``, in that order.
    share, sharing
        Units with a site in common, ``(units, units)``, and as lists padded with -1.
    apart
        ``(units, units)``: distance of what is compared of rivals, NaN for units that are none.
    row_of, place, seen_uv
        Row of a unit by label, -1 for none; ``(units, sites)``: which of its waveforms is that of a site, -1 where it
        has none; ``(units, K, samples)`` in uV.
    """

    def __init__(self, trained: TrainedUnits, fs_hz: float) -> None:
        self.trained = trained
        self.fs_hz = fs_hz
        window, parameters = trained.window, trained.parameters
        self.site_count = trained.whitening.matrix.shape[0]
        self.hop = max(1, round((STEP_SEC if self.site_count <= MANY_SITES else LONG_STEP_SEC) * fs_hz))
        self.sites, self.waveforms = _main_first(*shifted_waveforms(trained.templates))
        before, after = _compared(self.waveforms, window.before)
        self.before = min(window.before, max(before, round(BEFORE_SEC * fs_hz)))
        self.length = self.before + 1 + min(window.after, max(after, round(AFTER_SEC * fs_hz)))
        self.front = window.before - self.before
        self.near, self.weights = _sparse(trained.whitening.matrix)
        compared = self.waveforms[:, 0, :, self.front : self.front + self.length].astype(np.float64)
        self.norms = np.asarray((compared**2).sum(axis=(1, 2)), np.float64)
        self.prior = 1.0 / parameters.amplitude_sd**2
        of_noise = least_projections(trained.templates.noise_sd, self.norms, parameters)
        self.lows = np.maximum(_least(self.norms, parameters.match_threshold, self.prior), of_noise)
        self.leasts = MAIN * (compared[:, 0] ** 2).sum(axis=1)
        self.share, self.sharing = _sharing(self.sites, self.site_count)
        components = trained.templates.basis.components[:, self.front : self.front + self.length].astype(np.float64)
        self.apart = _distances(trained.templates.weights, components, self.norms)
        self.early = _beginnings(trained, self.waveforms, self.prior, fs_hz)
        self.labels, self.main_sites = np.asarray(trained.labels, np.int32), np.asarray(trained.sites, np.int32)
        self.x_um, self.y_um = (np.ascontiguousarray(v, np.float32) for v in trained.positions_um.T)
        self.row_of, self.place = np.full(1, -1, np.int32), np.zeros((1, 1), np.int32)
        self.seen_uv = np.zeros((1, 1, 1), np.float32)
        if len(trained):
            self.place, self.seen_uv = _seen(trained.waveforms_uv)
            self.row_of = np.full(int(trained.labels.max()) + 1, -1, np.int32)
            self.row_of[trained.labels] = np.arange(len(trained), dtype=np.int32)

    def __len__(self) -> int:
        return len(self.trained)

    def rows_of(self, labels: I32) -> I32:
        """Return the rows of units by label, -1 where there is none."""
        known = np.full(len(labels), -1, np.int32)
        told = labels < len(self.row_of)
        known[told] = self.row_of[labels[told]]
        return known


def _main_first(sites: I32, waveforms: F32) -> tuple[I32, F32]:
    """Put the site with the deepest trough first, then the others by energy."""
    sites, waveforms = sites.copy(), waveforms.copy()
    for u in range(len(sites)):
        used = int((sites[u] >= 0).sum())
        if not used:
            continue
        own = waveforms[u, 0, :used]
        order = np.argsort(-(own.astype(np.float64) ** 2).sum(axis=1), kind="stable")
        main = int(own.min(axis=1).argmin())
        order = np.concatenate([[main], order[order != main]])
        sites[u, :used] = sites[u, order]
        waveforms[u, :, :used] = waveforms[u][:, order]
    return sites, waveforms


def _compared(waveforms: F32, trough: int) -> tuple[int, int]:
    """Return how many samples before and behind the trough hold what units are told by."""
    if not len(waveforms):
        return 0, 0
    energy = (waveforms[:, 0].astype(np.float64) ** 2).sum(axis=1)
    share = energy.cumsum(axis=1) / np.maximum(energy.sum(axis=1, keepdims=True), 1e-12)
    first = int((share <= BEYOND[0]).sum(axis=1).min())
    last = int((share < 1.0 - BEYOND[1]).sum(axis=1).max())
    return max(0, trough - first), max(0, last - trough)


def _least(norms: F64, limits: tuple[float, float], prior: float) -> F64:
    """Return the projection that a spike of each unit must have: by its gain, and by the smallest amplitude."""
    gain = np.clip(0.5 * norms, *limits)
    by_gain = projection_of_gain(gain, norms, prior)
    return np.maximum(np.maximum(by_gain, AMPLITUDES[0] * (norms + prior) - prior), 0.0)


def _beginnings(
    trained: TrainedUnits, waveforms: F32, prior: float, fs_hz: float
) -> tuple[int, int, int, I32, F64, F64, F64, F64]:
    """Return which part of waveforms is their beginning, and energies, inner products and limits of it."""
    before = min(trained.window.before, max(1, round(EARLY_BEFORE_SEC * fs_hz)))
    front, length = trained.window.before - before, before + 1 + round(EARLY_AFTER_SEC * fs_hz)
    part = waveforms[:, 0, :, front : front + length].astype(np.float64)
    norms = np.asarray((part**2).sum(axis=(1, 2)), np.float64)
    components = trained.templates.basis.components[:, front : front + length].astype(np.float64)
    products = _inner_products(trained.templates.weights, components, components)
    by_gain = projection_of_gain(2.0 * SURE * np.sqrt(norms), norms, prior)
    lows = np.maximum(by_gain, SIZES[0] * (norms + prior) - prior)
    leasts = MAIN_EARLY * (part[:, 0] ** 2).sum(axis=1)
    most = products
    for d in (-1, 1):  # rivals are tried a row before and behind
        whole = trained.templates.basis.components[:, max(0, front + d) : front + d + length].astype(np.float64)
        moved = _inner_products(trained.templates.weights, whole, components[:, -whole.shape[1] :])
        most = np.maximum(most, moved)
    rivals = _rivals(products, most, norms, lows, prior)
    return front, length, before, _lists(rivals), norms, np.ascontiguousarray(products), lows, leasts


def _rivals(products: F64, most: F64, norms: F64, lows: F64, prior: float) -> npt.NDArray[np.bool_]:
    """Return which units alike may be taken for one another by their beginnings, ``(units, units)``.

    Those whose largest spike may look like the unit's, and those that may explain its smallest spike nearly as well,
    with ``RIVAL_NOISE_SD`` of noise. ``most`` are the inner products where they are largest within a sample.
    """
    alike = products > ALIKE * np.sqrt(np.outer(norms, norms))
    mimics = RIVAL_AMPLITUDE * most + RIVAL_NOISE_SD * np.sqrt(norms)[:, None] > lows[:, None]
    least = (SIZES[0] * (norms + prior) - prior) / np.maximum(norms, 1e-9)
    raised = least[:, None] * most + RIVAL_NOISE_SD * np.sqrt(norms) + prior
    share = raised / (norms + prior)
    apart = np.sqrt(np.maximum(norms[:, None] + share**2 * norms - 2.0 * share * products, 1e-9))
    margin = ((SIZES[0] ** 2 * (norms + prior))[:, None] - raised * share) / (2.0 * apart)
    rivals = alike & (mimics | (margin < SURE))
    np.fill_diagonal(rivals, False)
    return rivals


def _sharing(sites: I32, count: int) -> tuple[npt.NDArray[np.uint8], I32]:
    """Return which units have a site in common, ``(units, units)``, and the same as lists padded with -1."""
    seen = np.zeros((len(sites), count + 1), np.float32)
    np.put_along_axis(seen, sites.astype(np.int64) % (count + 1), 1.0, axis=1)
    seen = seen[:, :count]
    share = np.ascontiguousarray((seen @ seen.T) > 0, np.uint8)
    return share, _lists(share > 0)


def _lists(related: npt.NDArray[np.bool_]) -> I32:
    """Return the units that each one is related to, padded with -1."""
    lists = np.full((len(related), max(1, int(related.sum(axis=1).max(initial=0)))), -1, np.int32)
    for u in range(len(related)):
        others = np.flatnonzero(related[u])
        lists[u, : len(others)] = others
    return lists


def _inner_products(weights: F32, first: F64, second: F64) -> F64:
    """Return those of every two units, ``(units, units)``: one written in ``first``, one in ``second`` (components)."""
    flat = weights.reshape(len(weights), weights.shape[1] * weights.shape[2])
    turned = weights @ (first @ second.T).astype(np.float32)
    return np.asarray(turned.reshape(flat.shape) @ flat.T, np.float64)


def _distances(weights: F32, components: F64, norms: F64) -> F64:
    """Return how far apart what is compared of rivals is, ``(units, units)``; NaN for units that are none.

    ``components`` are ``(P, samples)`` of what is compared, ``weights`` those of the units on them.
    """
    products = _inner_products(weights, components, components)
    size = np.sqrt(np.outer(norms, norms))
    squared = np.maximum(norms[:, None] + norms[None] - 2 * products, 1e-9)
    rivals = (products > RIVAL_COSINE * size) & (size > 0)
    np.fill_diagonal(rivals, False)
    return np.where(rivals, np.sqrt(squared), np.nan)


def _sparse(matrix: F32) -> tuple[I32, F32]:
    """Return the entries of each column of a whitening matrix that matter, ``(sites, K)`` each."""
    energy = matrix.astype(np.float64) ** 2
    order = np.argsort(-energy, axis=0, kind="stable")
    ordered = np.take_along_axis(energy, order, axis=0)
    rest = ordered[::-1].cumsum(axis=0)[::-1]  # of an entry and all smaller ones
    used = (rest > LEFT_OUT * rest[0]) & (ordered > 0)
    most = max(1, int(used.sum(axis=0).max(initial=0)))
    near = np.full((matrix.shape[1], most), -1, np.int32)
    weights = np.zeros((matrix.shape[1], most), np.float32)
    for j in range(matrix.shape[1]):
        rows = np.sort(order[used[:, j], j])
        near[j, : len(rows)] = rows
        weights[j, : len(rows)] = matrix[rows, j]
    return near, weights


def _seen(waveforms_uv: F32) -> tuple[I32, F32]:
    """Return which waveform is that of a site, ``(units, sites)``, and the largest ones, ``(units, K, samples)``."""
    units, samples, sites = waveforms_uv.shape
    most = min(sites, SEEN_SITES)
    place, seen = np.full((units, sites), -1, np.int32), np.empty((units, most, samples), np.float32)
    for u, waveform in enumerate(waveforms_uv):
        chosen = np.argsort(-np.abs(waveform).max(axis=0), kind="stable")[:most]
        place[u, chosen] = np.arange(most)
        seen[u] = waveform[:, chosen].T
    return place, seen
