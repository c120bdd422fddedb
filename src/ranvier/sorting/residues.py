"""What spikes show beyond their templates: components that the basis lacks, far sites, and the waves behind (stage S9).

A template is cut off in time, in sites and in components. What it lacks of a large spike, some per cent of its energy,
is as large as a small spike, and comes again with every spike as the same mean waveform: its residue. It is measured on
matched spikes, and subtracted with them, at whole samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ranvier.recordings.buffers import aligned_empty
from ranvier.sorting.count_kernels import STEP_SD
from ranvier.sorting.drift import Drift
from ranvier.sorting.residual_kernels import products_at_lags, subtract_waveforms
from ranvier.sorting.stream_kernels import add_residuals
from ranvier.sorting.templates import Overlaps, Templates

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Sites that are looked at, at most, the nearest.
MOST_SITES = 96
#: Units of less energy leave nothing that would pass for a spike.
LEAST_ENERGY = 150.0
#: How long spikes are followed behind the end of their templates, as a share of their length.
BEHIND = 0.75
#: Share of a template's energy that it may miss.
MOST_MISSED = 0.35
#: A site's mean counts as far as it is larger than so many times what noise gives.
_BY_CHANCE = 1.5
#: A residue changes the gain of another unit by as much at least, or is not looked at (squares of SD).
_LEAST_GAIN = 0.5


@dataclass(frozen=True)
class Residues:
    """Mean residues of units.

    Attributes
    ----------
    sites
        ``(units, K)``; -1 behind the last.
    waveforms
        ``(units, K, length)``, in units of the noise, for spikes of amplitude 1; they begin with the template.
    """

    sites: I32
    waveforms: F32

    @property
    def length(self) -> int:
        """Samples of a residue."""
        return int(self.waveforms.shape[2])

    def subtract(self, counts: I16, rows: I64, units: I32, amplitudes: F32) -> None:
        """Subtract those of spikes whose templates begin at some samples of ``(channels, samples)``, in place."""
        subtract_waveforms(counts, rows, units, amplitudes, self.sites, self._in_counts)

    @cached_property
    def _in_counts(self) -> F32:
        return self.waveforms * np.float32(1.0 / STEP_SD)

    def dense(self, channels: int) -> F32:
        """Return ``(units, channels, length)``."""
        out = np.zeros((len(self.sites), channels, self.length), np.float32)
        unit, k = np.nonzero(self.sites >= 0)
        out[unit, self.sites[unit, k]] = self.waveforms[unit, k]
        return out

    def on_templates(self, unit: int, templates: Templates, seen: npt.NDArray[np.bool_]) -> tuple[I64, F32]:
        """Return the templates that share a site with one unit's residue, and what they see of it, ``(n, lags)``.

        At lag 0 a template's last sample meets the residue's first. ``seen (units, channels)``: the sites of templates.
        """
        used = self.sites[unit] >= 0
        sites, rest = self.sites[unit][used], np.ascontiguousarray(self.waveforms[unit][used])
        components = templates.basis.components
        lags = rest.shape[1] + components.shape[1] - 1
        near = np.flatnonzero(seen[:, sites].any(axis=1))
        found = np.empty((len(sites), len(components), lags), np.float32)
        products_at_lags(rest, components, found)
        weights = templates.weights[near[:, None], sites].reshape(len(near), len(sites) * len(components))
        return near, np.asarray(weights @ found.reshape(-1, lags), np.float32)


def moved_residues(residues: Residues, templates: Templates, drift: Drift, steps: I64) -> Residues:
    """Return residues with each shank displaced by so many steps, on the sites near the moved templates."""
    if not steps.any() or not len(templates):
        return residues
    geometry = templates.geometry
    dense, shank = residues.dense(len(geometry.group)), geometry.group[templates.sites]
    for g in np.flatnonzero(steps):
        columns, own = drift.mover.columns(int(g)), np.flatnonzero(shank == g)
        matrix = drift.mover.matrix(int(g), float(steps[g] * drift.step_um))
        moved = np.zeros_like(dense[own])
        moved[:, columns] = np.matmul(matrix, dense[own][:, columns])
        dense[own] = moved
    near = geometry.nearest(np.inf, MOST_SITES)[templates.sites]
    sites = np.where(residues.sites[:, :1] >= 0, near, -1).astype(np.int32)
    return Residues(sites, np.ascontiguousarray(np.take_along_axis(dense, np.maximum(sites, 0)[:, :, None], axis=1)))


def whole_overlaps(templates: Templates, residues: Residues) -> Overlaps:
    """Return overlaps of templates with whole spikes: those with their templates, and what is seen of their residues.

    Lags reach as far behind as residues do. Units whose gain a residue changes by little are no neighbours for it.
    """
    plain = templates.overlaps
    phases, _, lags = plain.value.shape
    behind = residues.length - templates.basis.samples
    norms, held = np.maximum(templates.norms, 1e-9), (templates.weights != 0).any(axis=2)
    first, other, values = [0], [np.empty(0, np.int32)], [np.empty((phases, 0, lags + 2 * behind), np.float32)]
    for u in range(len(templates)):
        pairs = slice(plain.first[u], plain.first[u + 1])
        sharing, seen = residues.on_templates(u, templates, held)
        there = (seen.astype(np.float64) ** 2).max(axis=1, initial=0.0) / norms[sharing] >= _LEAST_GAIN
        near = np.union1d(sharing[there], plain.other[pairs])
        _, of_near, of_sharing = np.intersect1d(near, sharing, return_indices=True)
        value = np.zeros((phases, len(near), lags + 2 * behind), np.float32)
        value[:, np.searchsorted(near, plain.other[pairs]), behind : behind + lags] = plain.value[:, pairs]
        for f in range(phases):
            begin = behind + int(f / phases + 0.5)  # spikes nearer to the next sample: a sample later
            stop = min(value.shape[2], begin + seen.shape[1])
            value[f, of_near, begin:stop] += seen[of_sharing, : stop - begin]
        first.append(first[-1] + len(near))
        other.append(near.astype(np.int32))
        values.append(value)
    return Overlaps(np.array(first, np.int64), np.concatenate(other), np.concatenate(values, axis=1))


class ResidueSums:
    """Sums of what is left at matched spikes, in counts."""

    def __init__(self, templates: Templates) -> None:
        near = templates.geometry.nearest(np.inf, MOST_SITES)
        samples = templates.basis.samples
        self._norms = templates.norms
        large = self._norms >= LEAST_ENERGY
        self.sites = np.where(large[:, None], near[templates.sites], -1).astype(np.int32)
        self.length = samples + int(BEHIND * samples)
        self.sums = aligned_empty((*self.sites.shape, self.length), np.float64)
        self.sums[...] = 0.0
        self.energy = np.zeros(len(templates))

    def add(self, rest: I16, rows: I64, units: I32, amplitudes: F32) -> None:
        """Add spikes: ``rest (channels, samples)`` is what matched spikes left; templates begin at ``rows``."""
        whole = np.flatnonzero(rows + self.length <= rest.shape[1])
        whole = whole[np.argsort(units[whole], kind="stable")]  # sums of one unit stay in the cache
        counts = np.zeros(len(self.energy), np.int64)
        add_residuals(rest, rows[whole], units[whole], amplitudes[whole], self.sites, self.sums, self.energy, counts)

    def plus(self, other: ResidueSums) -> ResidueSums:
        """Return these with those of another block."""
        self.sums += other.sums
        self.energy += other.energy
        return self

    def at_reference(self, reference: Templates, drift: Drift, block: int) -> ResidueSums:
        """Return sums of a block as they would have been with the tissue at its reference."""
        home = ResidueSums(reference)
        there = Residues(self.sites, np.asarray(self.sums, np.float32))
        back = moved_residues(there, reference, drift, -drift.steps[block])
        large = home.sites[:, 0] >= 0
        if back is there:
            home.sums[large] = self.sums[large]
        else:
            home.sums[large] = back.waveforms[large]
        home.energy[:] = self.energy
        return home

    def means(self) -> Residues:
        """Return the means, each site's shrunk by what noise alone gives.

        Zero for units with more than a template can miss: another neuron, not known yet, fires with them.
        """
        energy = np.maximum(self.energy, 1e-9)[:, None]
        mean = self.sums * (STEP_SD / energy[:, :, None])
        size = np.maximum((mean**2).sum(axis=2), 1e-12)
        share = np.clip(1.0 - _BY_CHANCE * self.length / energy / size, 0.0, 1.0)
        mean *= share[:, :, None]
        mean[(mean**2).sum(axis=(1, 2)) > MOST_MISSED * self._norms] = 0.0
        return Residues(self.sites, np.ascontiguousarray(mean, np.float32))
