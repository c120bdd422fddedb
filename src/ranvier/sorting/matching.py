"""Who fired when: a block explained as a sum of templates (stage S9)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ranvier.recordings.buffers import aligned_empty
from ranvier.sorting.count_kernels import STEP_SD
from ranvier.sorting.faint import least_projections
from ranvier.sorting.joint_kernels import explain_again
from ranvier.sorting.match_kernels import pursue
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.residual_kernels import features_of, subtract_templates
from ranvier.sorting.residues import Residues, whole_overlaps
from ranvier.sorting.shape_kernels import on_templates
from ranvier.sorting.templates import PHASES, Overlaps, Templates, component_overlaps, shifted_components
from ranvier.sorting.window import Window

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Smallest and largest share of a template that a spike is.
AMPLITUDES = (0.4, 2.5)


@dataclass(frozen=True)
class Matched:
    """Spikes of one block, in the order of time.

    Attributes
    ----------
    row
        ``(n,)``: row of the projected block (waveforms begin there).
    unit
        ``(n,)``.
    amplitude
        ``(n,)``: share of the template.
    fraction
        ``(n,)``: where between samples, -0.5 to 0.5.
    gain
        ``(n,)``: energy explained.
    """

    row: I64
    unit: I32
    amplitude: F32
    fraction: F32
    gain: F32

    def __len__(self) -> int:
        return len(self.row)

    def take(self, chosen: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Matched:
        """Return some of them."""
        return Matched(
            self.row[chosen], self.unit[chosen], self.amplitude[chosen], self.fraction[chosen], self.gain[chosen]
        )


def projection_of_gain(gain: F64, norms: F64, prior: float) -> F64:
    """Return the projection on each template that explains ``gain``, with the prior that amplitudes are near 1."""
    return np.asarray(np.sqrt((gain + prior) * (norms + prior)) - prior, np.float64)


@dataclass(frozen=True)
class Matcher:
    """Templates, ready to be looked for.

    Attributes
    ----------
    residues
        What is subtracted with spikes beside their templates, where it is known.
    """

    templates: Templates
    parameters: SorterParameters
    window: Window
    residues: Residues | None = None

    @cached_property
    def _shapes(self) -> F32:
        """Components at fractions of a sample, in counts."""
        return shifted_components(self.templates.basis.components) * np.float32(1.0 / STEP_SD)

    @cached_property
    def _sparse(self) -> tuple[I64, I32, F32]:
        """Where the sites of each unit begin, those sites, and the unit's components there."""
        seen = (self.templates.weights != 0).any(axis=2)
        unit, site = np.nonzero(seen)
        first = np.concatenate([[0], np.cumsum(seen.sum(axis=1))]).astype(np.int64)
        return first, site.astype(np.int32), np.ascontiguousarray(self.templates.weights[unit, site])

    @cached_property
    def _overlaps(self) -> Overlaps:
        overlaps = self.templates.overlaps
        if self.residues is not None:
            overlaps = whole_overlaps(self.templates, self.residues)
        return overlaps.at_one_shift_in(self.window.every)

    @cached_property
    def _pairs(self) -> I32:
        """``(units, units)``: where the second is among the overlaps of the first; -1: nowhere."""
        first, other = self._overlaps.first, self._overlaps.other
        out = np.full((len(first) - 1, len(first) - 1), -1, np.int32)
        out[np.repeat(np.arange(len(out)), np.diff(first)), other] = np.arange(len(other))
        return out

    @cached_property
    def _correlated(self) -> F32:
        return component_overlaps(self.templates.basis.components)

    @property
    def _prior(self) -> float:
        return 1.0 / self.parameters.amplitude_sd**2

    @cached_property
    def thresholds(self) -> F64:
        """Gain that a spike of each unit must have, ``(units,)``: half its template's, and more than noise gives."""
        norms, prior = self.templates.norms, self._prior
        least = least_projections(self.templates.noise_sd, norms, self.parameters)
        of_noise = (least + prior) ** 2 / (norms + prior) - prior
        return np.maximum(np.clip(0.5 * norms, *self.parameters.match_threshold), of_noise)

    @cached_property
    def least_sizes(self) -> F64:
        """What the thresholds ask for of the projection on each template, in SD of noise along it, ``(units,)``."""
        norms, prior = self.templates.norms, self._prior
        least = projection_of_gain(self.thresholds, norms, prior)
        return np.asarray(least / np.maximum(np.sqrt(norms) * self.templates.noise_sd, 1e-12), np.float64)

    def beyond(self, unit: I32, amplitude: F32) -> F32:
        """Return how far above its unit's threshold each spike is, in SD of noise along the template."""
        norms, prior = self.templates.norms, self._prior
        least = np.sqrt((self.thresholds + prior) / (norms + prior))
        scale = (norms + prior) / (np.sqrt(norms) * self.templates.noise_sd)
        return np.asarray((amplitude - least[unit]) * scale[unit], np.float32)

    def match(self, counts: I16, on_templates: F32 | None = None, *, pairs: bool = False) -> Matched:
        """Explain a block of whitened signal, ``(channels, samples)`` in counts: its spikes, also those in its margins.

        ``on_templates`` are its projections where they are known; they are not the same afterwards. With ``pairs``
        doubtful spikes are explained again, as pairs.
        """
        if on_templates is None:
            on_templates = self.projections(counts.shape[1])
            self.project(counts, on_templates)
        rows = on_templates.shape[1]
        capacity = max(1000, rows // 10 + 20 * len(self.templates))
        row, unit = np.empty(capacity, np.int64), np.empty(capacity, np.int32)
        amplitude, fraction, gain = np.empty((3, capacity), np.float32)
        overlaps = self._overlaps
        every = self.window.every
        guard, prior = self.window.half // every, self._prior
        asked = (self.templates.norms, self.thresholds, prior, np.array(AMPLITUDES))
        overlap = (overlaps.first, overlaps.other, overlaps.value)
        spikes = (row, unit, amplitude, fraction, gain)
        found = pursue(on_templates, *asked, *overlap, guard, *spikes)
        if pairs:
            together = -(-guard // 2)
            found = explain_again(on_templates, *asked, self._pairs, *overlap, guard, together, found, *spikes)
        place = every * (row[:found] + fraction[:found].astype(np.float64))
        whole = np.clip(np.floor(place + 0.5).astype(np.int64), 0, counts.shape[1] - self.window.samples)
        order = np.lexsort((unit[:found], whole))
        rest = (place - whole).astype(np.float32)
        return Matched(whole[order], unit[order], amplitude[order], rest[order], gain[order])

    def projections(self, samples: int) -> F32:
        """Return memory for the projections of a block of so many samples, ``(units, rows)``."""
        return aligned_empty((len(self.templates), (samples - self.window.samples) // self.window.every + 1))

    def project(self, counts: I16, out: F32) -> None:
        """Write the projection on each template starting at one sample in ``every``; residues do not matter."""
        on_templates(counts, STEP_SD, self.templates.basis.components, self.window.every, *self._sparse, out)

    @cached_property
    def _around(self) -> F64:
        """``(units, channels)``: energy of each template near each site."""
        own = (self.templates.weights.astype(np.float64) ** 2).sum(axis=2)
        near = self.templates.geometry.distance_um <= self.parameters.exclusive_um
        return np.asarray(own @ near, np.float64)

    def energy_beside(self, rows: I64, sites: I32, matched: Matched) -> F64:
        """Return the energy of the matched spikes within half a waveform of some rows near some sites, ``(rows,)``."""
        which, spike = pairs_within(rows, matched.row, self.templates.basis.samples // 2)
        energy = matched.amplitude[spike].astype(np.float64) ** 2 * self._around[matched.unit[spike], sites[which]]
        return np.asarray(np.bincount(which, energy, minlength=len(rows)), np.float64)

    def subtract(self, counts: I16, matched: Matched) -> None:
        """Subtract matched spikes from a block, in place."""
        step = np.floor(matched.fraction * PHASES + 0.5).astype(np.int64)
        spikes = (matched.row + step // PHASES, matched.unit, step % PHASES, matched.amplitude)
        subtract_templates(counts, *spikes, *self._sparse, self._shapes)
        if self.residues is not None:
            self.residues.subtract(counts, matched.row, matched.unit, matched.amplitude)

    def features(self, matched: Matched, rest: I16, columns: I32) -> F32:
        """Return the features of spikes without those that overlap them, ``(n, K, P)``.

        Parameters
        ----------
        rest
            What :meth:`subtract` left of the block.
        columns
            ``(n, K)``: the sites that are looked at; -1: none.
        """
        components = self.templates.basis.components
        out = features_of(rest, matched.row, columns, components)
        step = np.floor(matched.fraction * PHASES + 0.5).astype(np.int64)
        lag = components.shape[1] - 1 - step // PHASES
        used = columns >= 0
        own = np.where(used[:, :, None], self.templates.weights[matched.unit[:, None], columns], np.float32(0.0))
        own *= matched.amplitude[:, None, None]
        out += np.matmul(own, self._correlated[step % PHASES, lag])
        return out


def pairs_within(rows: I64, others: I64, reach: int) -> tuple[I64, I64]:
    """Return all pairs of a row and another (rising) that are at most ``reach`` apart, as two lists of indices."""
    low = np.searchsorted(others, rows - reach, side="left")
    count = np.searchsorted(others, rows + reach, side="right") - low
    which = np.repeat(np.arange(len(rows)), count)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(count) - count - low, count)
