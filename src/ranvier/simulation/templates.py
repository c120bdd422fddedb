"""What a spike looks like on every channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ranvier.models.simulation import SimulationSpec
from ranvier.simulation.drift import Drift

if TYPE_CHECKING:
    from ranvier.simulation.units import SimulatedUnit

BEFORE_MS = 1.0
AFTER_MS = 2.2
#: Steps between two samples at which a spike can lie.
PHASES = 4
#: Channels on which no spike of any unit exceeds this are left out (uV).
FLOOR_UV = 0.2
#: Drift moves templates in steps of this size (um), or larger ones where it is long.
DRIFT_STEP_UM = 2.0
_MAX_DRIFT_STEPS = {"ramp": 16, "walk": 48}
#: Speed with which a spike spreads from the soma (um per ms), and distance over which it gets twice as wide (um).
_SPREAD_UM_PER_MS = 500.0
_WIDENING_UM = 250.0

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Waveform:
    """A triphasic spike: a small rise, the trough at time 0 (exactly -1), and a slower overshoot.

    Attributes
    ----------
    trough_ms, rise_ms, overshoot_ms
        Widths (standard deviations of Gaussians).
    delay_ms
        From trough to overshoot.
    rise, overshoot
        Heights relative to the trough.
    decay_um
        Distance over which the amplitude falls to 1/e. Gray et al. 1995, doi:10.1016/0165-0270(95)00085-2, measured
        such falls in tens of micrometres.
    """

    trough_ms: float
    rise_ms: float
    overshoot_ms: float
    delay_ms: float
    rise: float
    overshoot: float
    decay_um: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Waveform:
        """Draw a narrow (one third) or a broad spike."""
        narrow = rng.random() < 1 / 3
        return cls(
            trough_ms=float(rng.uniform(0.06, 0.09) if narrow else rng.uniform(0.10, 0.15)),
            rise_ms=0.12,
            overshoot_ms=float(rng.uniform(0.14, 0.2) if narrow else rng.uniform(0.25, 0.4)),
            delay_ms=float(rng.uniform(0.28, 0.38) if narrow else rng.uniform(0.5, 0.8)),
            rise=float(rng.uniform(0.03, 0.15)),
            overshoot=float(rng.uniform(0.25, 0.5) if narrow else rng.uniform(0.15, 0.3)),
            decay_um=float(rng.uniform(22, 45)),
        )

    def at(self, ms: F64) -> F64:
        """Return the spike's shape at some times."""
        fine = np.linspace(-0.3, 0.3, 2401)
        raw = self._raw(fine)
        lowest = int(np.argmin(raw))
        shape: F64 = self._raw(ms + fine[lowest]) / -raw[lowest]
        return shape

    def _raw(self, ms: F64) -> F64:
        return (
            -np.exp(-0.5 * (ms / self.trough_ms) ** 2)
            + self.rise * np.exp(-0.5 * ((ms + 2.5 * self.trough_ms + 0.1) / self.rise_ms) ** 2)
            + self.overshoot * np.exp(-0.5 * ((ms - self.delay_ms) / self.overshoot_ms) ** 2)
        )


class Templates:
    """Templates of all units at all steps of drift and all phases between samples, as the kernel takes them.

    Attributes
    ----------
    before
        Samples before the trough.
    values
        ``(rows, points, support)`` float32 uV; see ``row``.
    support
        ``(rows, support)``: which channels the last axis is, int64.
    peak
        ``(units, drift steps)``: channel with the largest trough, int64.
    """

    phases = PHASES

    def __init__(self, spec: SimulationSpec, units: Sequence[SimulatedUnit], places_um: F64) -> None:
        self.spec = spec
        self.before = round(BEFORE_MS * spec.fs / 1000)
        self.points = self.before + round(AFTER_MS * spec.fs / 1000) + 1
        most = _MAX_DRIFT_STEPS[spec.drift_path]
        self.drift_steps = 1 + min(most - 1, int(np.ceil(abs(spec.drift_um) / DRIFT_STEP_UM)))
        self._drift = Drift(spec)
        self._places = places_um
        self._silent = np.array([*spec.dead_channels, *spec.saturated_channels], dtype=np.int64)
        gains = [[self._gains(unit, step) for step in range(self.drift_steps)] for unit in units]
        self.peak = np.array([[int(np.argmax(g)) for g in row] for row in gains], np.int64)
        largest = [np.max(row, axis=0) for row in gains]
        width = max([int(np.count_nonzero(g * 1.5 > FLOOR_UV)) for g in largest] or [0])
        # the lists of channels are fixed per unit, strongest first
        channels = [np.sort(np.argsort(-g, kind="stable")[:width]) for g in largest]
        rows = len(units) * self.drift_steps * PHASES
        self.values = np.zeros((rows, self.points, width), np.float32)
        self.support = np.zeros((rows, width), np.int64)
        for u, unit in enumerate(units):
            for step in range(self.drift_steps):
                for phase in range(PHASES):
                    row = self.row(u, step, phase)
                    shift = (phase + 0.5) / PHASES - 0.5
                    self.support[row] = channels[u]
                    self.values[row] = self._shape(unit, step, shift, channels[u]) * gains[u][step][channels[u]]

    def row(self, unit: int, step: int, phase: int) -> int:
        """Return which row holds a unit's template at one step of drift and one phase."""
        return (unit * self.drift_steps + step) * PHASES + phase

    def rows(self, unit: I64, counter: I64, phase: I64) -> I64:
        """Return the rows of many spikes."""
        return (unit * self.drift_steps + self.drift_step(counter)) * PHASES + phase

    def drift_step(self, counter: I64) -> I64:
        """Return the step of drift at some counters."""
        if self.drift_steps == 1:
            return np.zeros(len(counter), np.int64)
        way = self._drift.fraction(counter / self.spec.fs - self.spec.start_sec)
        steps: I64 = np.rint(way * (self.drift_steps - 1)).astype(np.int64)
        return steps

    def drift_um(self, step: int) -> float:
        """Return how far units have moved up at a step."""
        return self.spec.drift_um * step / max(self.drift_steps - 1, 1)

    def dense(self, unit: SimulatedUnit, step: int = 0) -> F32:
        """Return a unit's mean template on all channels, ``(points, channels)`` uV, trough on a sample."""
        channels = np.arange(len(self._places))
        return (self._shape(unit, step, 0.0, channels) * self._gains(unit, step)).astype(np.float32)

    def _distance(self, unit: SimulatedUnit, step: int) -> F64:
        x_um, y_um, z_um = unit.position_um
        distance: F64 = np.linalg.norm(self._places - (x_um, y_um + self.drift_um(step), z_um), axis=1)
        return distance

    def _gains(self, unit: SimulatedUnit, step: int) -> F64:
        """Size of the trough on every channel: exp(-distance / decay), ``amplitude_uv`` on the peak channel at rest."""
        at_rest = float(self._distance(unit, 0)[unit.peak_ntv])
        gain = unit.amplitude_uv * np.exp((at_rest - self._distance(unit, step)) / unit.waveform.decay_um)
        gain[self._silent] = 0.0
        return gain

    def _shape(self, unit: SimulatedUnit, step: int, shift: float, channels: I64) -> F64:
        """Shape on some channels, ``(points, channels)``; further away it comes later and is wider."""
        distance = self._distance(unit, step)
        further = np.maximum(distance - distance[self._peak_channel(unit, step)], 0.0)[channels]
        ms = (np.arange(self.points) - self.before - shift) * 1000 / self.spec.fs
        later = (ms[:, None] - further / _SPREAD_UM_PER_MS) / (1 + further / _WIDENING_UM)
        return unit.waveform.at(later)

    def _peak_channel(self, unit: SimulatedUnit, step: int) -> int:
        return int(np.argmax(self._gains(unit, step)))
