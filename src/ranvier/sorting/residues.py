"""What spikes show beyond their templates: components that the basis lacks, far sites, and the waves behind (stage S9).

A template is cut off in time, in sites and in components. What it lacks of a large spike, some per cent of its energy,
is as large as a small spike, and comes again with every spike: the same mean waveform. Where matched spikes are
subtracted, these means are subtracted with them. They are measured, and held at whole samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ranvier.sorting.basis import project
from ranvier.sorting.stream_kernels import add_residuals, subtract_spikes

if TYPE_CHECKING:
    from ranvier.sorting.matching import Matched
    from ranvier.sorting.templates import Templates

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
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

    def subtract(self, white: F32, matched: Matched) -> None:
        """Subtract those of matched spikes from a block ``(samples, channels)``, in place."""
        whole = np.zeros(len(matched), np.int64)
        subtract_spikes(
            white.T, matched.row, matched.unit, whole, matched.amplitude, self.sites, self.waveforms[:, None]
        )

    def on_templates(self, unit: int, templates: Templates) -> F32:
        """Return what templates see of one unit's residue, ``(units, lags)``; lag 0 of a template is the first sample
        at which it overlaps the residue: it begins ``samples - 1`` before.
        """
        used = self.sites[unit] >= 0
        sites, rest = self.sites[unit][used], self.waveforms[unit][used]
        components = templates.basis.components
        few = components.shape[1] - 1
        padded = np.pad(rest.T, ((few, few), (0, 0)))
        seen = project(np.ascontiguousarray(padded), components)  # (lags, P, sites)
        weights = templates.weights[:, sites].transpose(0, 2, 1).reshape(len(templates), -1)
        return np.asarray(weights @ seen.reshape(len(seen), -1).T, np.float32)


class ResidueSums:
    """Sums of what is left at matched spikes."""

    def __init__(self, templates: Templates) -> None:
        near = templates.geometry.nearest(np.inf, MOST_SITES)
        large = templates.norms >= LEAST_ENERGY
        self.sites = np.where(large[:, None], near[templates.sites], -1).astype(np.int32)
        samples = templates.basis.samples
        self.length = samples + int(BEHIND * samples)
        self.sums = np.zeros((*self.sites.shape, self.length), np.float64)
        self.energy = np.zeros(len(templates))
        self.counts = np.zeros(len(templates), np.int64)
        self.norms = templates.norms

    def add(self, rest: F32, matched: Matched, low: int, high: int) -> None:
        """Add the spikes in rows ``[low, high)`` of what matched spikes leave of a block."""
        own = (matched.row >= low) & (matched.row < min(high, len(rest) - self.length + 1))
        add_residuals(
            rest.T,
            matched.row[own],
            matched.unit[own],
            matched.amplitude[own],
            self.sites,
            self.sums,
            self.energy,
            self.counts,
        )

    def join(self, other: ResidueSums) -> None:
        """Add those of another block."""
        self.sums += other.sums
        self.energy += other.energy

    def means(self) -> Residues:
        """Return the means, each site's shrunk by what noise alone gives.

        None (zeros) for units with more than a template can miss: another neuron, not known yet, fires with them.
        """
        energy = np.maximum(self.energy, 1e-9)[:, None]
        mean = self.sums / energy[:, :, None]
        size = (mean**2).sum(axis=2)
        by_chance = self.length / energy
        share = np.clip(1.0 - 1.5 * by_chance / np.maximum(size, 1e-12), 0.0, 1.0)
        waveforms = np.asarray(mean * share[:, :, None], np.float32)
        whole = (waveforms.astype(np.float64) ** 2).sum(axis=(1, 2))
        waveforms[whole > MOST_MISSED * self.norms] = 0.0
        return Residues(self.sites, np.ascontiguousarray(waveforms))
