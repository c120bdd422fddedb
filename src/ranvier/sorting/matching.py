"""Who fired when: a block explained as a sum of templates (stage S9)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ranvier.sorting.basis import project
from ranvier.sorting.match_kernels import pursue
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.residual_kernels import clean_features
from ranvier.sorting.templates import PHASES, Templates, component_overlaps

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
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


@dataclass(frozen=True)
class Matcher:
    """Templates, ready to be looked for."""

    templates: Templates
    parameters: SorterParameters
    guard: int

    @cached_property
    def _flat(self) -> F32:
        """Return ``(units, P x channels)``, as projected blocks have their columns."""
        weights = self.templates.weights.transpose(0, 2, 1)
        return np.ascontiguousarray(weights.reshape(len(self.templates), -1))

    @cached_property
    def _correlated(self) -> F32:
        return component_overlaps(self.templates.basis.components)

    @cached_property
    def thresholds(self) -> F64:
        """Gain that a spike of each unit must have, ``(units,)``."""
        return np.clip(0.5 * self.templates.norms, *self.parameters.match_threshold)

    def match(self, white: F32) -> tuple[Matched, F32]:
        """Explain a block of whitened signal.

        Returns
        -------
        matched
            Of the whole block, its margins included.
        projected
            ``(rows, P, channels)``: the block on the components.
        """
        projected = project(white, self.templates.basis.components)
        rows = len(projected)
        on_templates = np.ascontiguousarray(self._flat @ projected.reshape(rows, -1).T)
        capacity = max(1000, rows // 10 + 20 * len(self.templates))
        row, unit = np.empty(capacity, np.int64), np.empty(capacity, np.int32)
        amplitude, fraction, gain = np.empty((3, capacity), np.float32)
        overlaps = self.templates.overlaps
        found = pursue(
            on_templates,
            self.templates.norms,
            self.thresholds,
            1.0 / self.parameters.amplitude_sd**2,
            np.array(AMPLITUDES),
            overlaps.first,
            overlaps.other,
            overlaps.value,
            self.guard,
            row,
            unit,
            amplitude,
            fraction,
            gain,
        )
        order = np.lexsort((unit[:found], row[:found]))
        return Matched(row[order], unit[order], amplitude[order], fraction[order], gain[order]), projected

    def features(self, matched: Matched, projected: F32, columns: I32) -> F32:
        """Return the features of spikes without those that overlap them, ``(n, K, P)``.

        Parameters
        ----------
        columns
            ``(n, K)``: the sites that are looked at; -1: none.
        """
        columns = np.ascontiguousarray(columns)
        out = np.empty((len(matched), columns.shape[1], projected.shape[1]), np.float32)
        step = np.floor(matched.fraction * PHASES + 0.5).astype(np.int64)
        if len(matched):
            clean_features(
                projected,
                matched.row,
                step % PHASES,
                matched.row + step // PHASES,
                matched.unit,
                matched.amplitude,
                self.templates.weights,
                self._correlated,
                columns,
                out,
            )
        return out
