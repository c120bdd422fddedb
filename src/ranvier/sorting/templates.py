"""Templates: what each unit's spike looks like on the sites around it, in the basis of components (stage S7).

Everything lives in whitened signals and in the basis: a unit is ``U[channel, component]``, its waveform ``U @ basis``.
Overlaps of two templates at any lag follow from the products of their ``U`` and of the components with themselves
shifted; shifts by fractions of a sample shift the components only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ranvier.sorting.basis import Basis
from ranvier.sorting.geometry import Geometry

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

#: Fractions of a sample that templates are shifted by when they are subtracted.
PHASES = 4


@dataclass(frozen=True)
class Templates:
    """The units that are known.

    Attributes
    ----------
    weights
        ``(units, channels, P)``, float32; 0 on sites that a unit is not seen on.
    basis, geometry
        What they are written in, and where.
    """

    weights: F32
    basis: Basis
    geometry: Geometry

    def __len__(self) -> int:
        return len(self.weights)

    @cached_property
    def norms(self) -> F64:
        """Energy of each template, ``(units,)``."""
        return np.asarray((self.weights.astype(np.float64) ** 2).sum(axis=(1, 2)), np.float64)

    @cached_property
    def noise_sd(self) -> F64:
        """SD of noise along each template (of unit norm), ``(units,)``: 1 where samples are independent."""
        if self.basis.noise is None:
            return np.ones(len(self))
        weights = self.weights.astype(np.float64)
        energy = np.einsum("ucp,pq,ucq->u", weights, self.basis.noise, weights, optimize=True)
        return np.asarray(np.sqrt(np.maximum(energy, 1e-12) / np.maximum(self.norms, 1e-12)), np.float64)

    @cached_property
    def waveforms(self) -> F32:
        """Whitened waveforms, ``(units, samples, channels)``."""
        return np.ascontiguousarray(np.einsum("ucp,ps->usc", self.weights, self.basis.components), np.float32)

    def waveform(self, unit: int) -> F32:
        """Whitened waveform of one unit, ``(samples, channels)``."""
        return np.asarray(self.basis.components.T @ self.weights[unit].T, np.float32)

    @cached_property
    def sites(self) -> I32:
        """Site of the largest energy, ``(units,)``."""
        if not len(self):
            return np.empty(0, np.int32)
        return np.asarray((self.weights**2).sum(axis=2).argmax(axis=1), np.int32)

    @cached_property
    def positions_um(self) -> F64:
        """Centre of energy, ``(units, 2)``."""
        energy = (self.weights.astype(np.float64) ** 2).sum(axis=2)
        energy = np.asarray(energy, np.float64)
        total = np.maximum(energy.sum(axis=1, keepdims=True), 1e-12)
        return np.asarray(energy @ self.geometry.positions_um / total, np.float64)

    def take(self, chosen: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Templates:
        """Return some of them."""
        return Templates(np.ascontiguousarray(self.weights[chosen]), self.basis, self.geometry)

    def and_also(self, others: Templates) -> Templates:
        """Return these, then others of the same basis and geometry."""
        return Templates(np.concatenate([self.weights, others.weights]), self.basis, self.geometry)

    def on_channels(self, chosen: npt.NDArray[np.int64]) -> Templates:
        """Return the same with the channels in another order."""
        return Templates(np.ascontiguousarray(self.weights[:, chosen]), self.basis, self.geometry.take(chosen))

    @cached_property
    def overlaps(self) -> Overlaps:
        """Inner products of near templates at every lag."""
        return overlaps_of(self)


def on_sites(sites: list[int], features: list[F32], near: I32, basis: Basis, geometry: Geometry) -> Templates:
    """Return templates from mean features on the neighbours of each unit's site.

    Parameters
    ----------
    features
        ``(K, P)`` each, on the sites ``near[site]``.
    near
        ``(channels, K)``; -1: none.
    """
    weights = np.zeros((len(sites), len(near), len(basis.components)), np.float32)
    for u, site in enumerate(sites):
        used = near[site] >= 0
        weights[u, near[site][used]] = features[u][used]
    return Templates(weights, basis, geometry)


@dataclass(frozen=True)
class Overlaps:
    """Inner products of templates.

    Attributes
    ----------
    first
        ``(units + 1,)``: where each unit's neighbours begin in ``other``.
    other
        ``(pairs,)``: the neighbours, the unit itself among them.
    value
        ``(PHASES, pairs, lags)``: at ``[f, k, samples - 1 + d]`` what the projection on template ``other[k]`` at time
        ``t + d`` holds of a spike of the unit at ``t + f / PHASES``.
    """

    first: npt.NDArray[np.int64]
    other: I32
    value: F32

    def among(self, units: npt.NDArray[np.int64]) -> Overlaps:
        """Return those of some units (rising) with each other."""
        number = np.full(len(self.first) - 1, -1, np.int32)
        number[units] = np.arange(len(units), dtype=np.int32)
        own = [np.arange(self.first[u], self.first[u + 1]) for u in units]
        kept = [pairs[number[self.other[pairs]] >= 0] for pairs in own]
        first = np.concatenate([[0], np.cumsum([len(pairs) for pairs in kept])]).astype(np.int64)
        chosen = np.concatenate(kept)
        return Overlaps(first, number[self.other[chosen]], np.ascontiguousarray(self.value[:, chosen]))

    def at_one_shift_in(self, every: int) -> Overlaps:
        """Return the same for projections on one shift in ``every``: lags and phases in units of those shifts."""
        if every == 1:
            return self
        phases, pairs, lags = self.value.shape
        most = lags // 2
        reach = -(-(most + every - 1) // every)
        value = np.zeros((every * phases, pairs, 2 * reach + 1), np.float32)
        for whole in range(every):
            lag = every * np.arange(-reach, reach + 1) - whole
            held = np.abs(lag) <= most
            value[whole * phases : (whole + 1) * phases, :, held] = self.value[:, :, most + lag[held]]
        return Overlaps(self.first, self.other, value)


def overlaps_of(templates: Templates) -> Overlaps:
    """Compute the overlaps of all templates that share a site."""
    seen = np.asarray((np.abs(templates.weights) > 0).any(axis=2), np.float32)
    shared = np.asarray(seen @ seen.T > 0, np.bool_)
    np.fill_diagonal(shared, True)
    first = np.concatenate([[0], np.cumsum(shared.sum(axis=1))]).astype(np.int64)
    other = np.nonzero(shared)[1].astype(np.int32)
    correlated = component_overlaps(templates.basis.components)
    phases, lags, p, _ = correlated.shape
    table = np.ascontiguousarray(correlated.transpose(0, 2, 3, 1)).reshape(phases, p * p, lags)
    value = np.empty((phases, len(other), lags), np.float32)
    for u in range(len(templates)):
        neighbours = other[first[u] : first[u + 1]]
        sites = np.flatnonzero(seen[u] > 0)
        own = templates.weights[u][sites]
        products = np.einsum("cp,vcq->vpq", own, templates.weights[neighbours][:, sites]).reshape(-1, p * p)
        value[:, first[u] : first[u + 1]] = products @ table
    return Overlaps(first, other, value)


def component_overlaps(components: F32) -> F32:
    """Return products of components with shifted ones, ``(PHASES, lags, P, P)``.

    ``out[f, samples - 1 + d, p, q]`` is the inner product of component q with component p that comes ``f / PHASES - d``
    samples later.
    """
    count, samples = components.shape
    out = np.zeros((PHASES, 2 * samples - 1, count, count), np.float32)
    for f in range(PHASES):
        shifted = fractional_shift(components, f / PHASES)
        for d in range(-(samples - 1), samples):
            a = shifted[:, max(0, d) : samples + min(0, d)]
            b = components[:, max(0, -d) : samples + min(0, -d)]
            out[f, samples - 1 + d] = a @ b.T
    return out


def fractional_shift(shapes: F32, later: float) -> F32:
    """Return shapes that come a fraction of a sample later (band-limited, zeros around)."""
    if later == 0.0:
        return shapes
    samples = shapes.shape[1]
    padded = 1 << int(np.ceil(np.log2(2 * samples)))
    spectrum = np.fft.rfft(shapes.astype(np.float64), padded, axis=1)
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(padded) * later)
    return np.ascontiguousarray(np.fft.irfft(spectrum * turn, padded, axis=1)[:, :samples], np.float32)


def shifted_components(components: F32) -> F32:
    """Return components ``(P, samples)`` at every fraction of a sample, ``(PHASES, P, samples)``."""
    return np.stack([fractional_shift(components, f / PHASES) for f in range(PHASES)])


def shifted_waveforms(templates: Templates) -> tuple[I32, F32]:
    """Return the sites of each unit and its whitened waveforms there at every fraction of a sample.

    Returns
    -------
    sites
        ``(units, K)``; -1 behind the last.
    waveforms
        ``(units, PHASES, K, samples)``.
    """
    weights, components = templates.weights, templates.basis.components
    seen = (weights != 0).any(axis=2)
    most = max(1, int(seen.sum(axis=1).max(initial=0)))
    sites = np.full((len(weights), most), -1, np.int32)
    own = np.zeros((len(weights), most, weights.shape[2]), np.float32)
    for u in range(len(weights)):
        columns = np.flatnonzero(seen[u])
        sites[u, : len(columns)] = columns
        own[u, : len(columns)] = weights[u, columns]
    shifted = shifted_components(components)
    return sites, np.ascontiguousarray(np.einsum("ukp,fps->ufks", own, shifted), np.float32)
