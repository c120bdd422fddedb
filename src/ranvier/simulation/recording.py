"""A simulated recording, with the truth about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.models.simulation import SimulationSpec
from ranvier.probes import assign, parse_probe_name
from ranvier.recordings.channels import ChannelTable, plain_channels
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.provenance import new_record
from ranvier.recordings.recording import Recording
from ranvier.recordings.segments import Segments
from ranvier.recordings.session import Session
from ranvier.simulation.amplifier import RAIL_UV, AmplifierSignal
from ranvier.simulation.ttl import ANALOG_INPUTS, DIGITAL_LINES, Lines
from ranvier.simulation.units import SimulatedUnit

__all__ = ["RAIL_UV", "SimulatedRecording"]


class SimulatedRecording(Recording):
    """A recording that is computed when it is read; any block can be read first, and always reads the same.

    Columns: amplifier channels of the probe (uV; channel 0 is site 1, and so on), two analog inputs (V), two digital
    inputs and two digital outputs (0 or 1). There is no file; ``path`` is a name for messages.

    Parameters
    ----------
    spec
        What it contains; the default is 64 channels, 24 units, 20 s at 30 kHz.
    walltime
        UTC time of the first sample, which has no influence on the signals.

    Attributes
    ----------
    units
        The neurons (:class:`~ranvier.simulation.units.SimulatedUnit`).
    """

    def __init__(self, spec: SimulationSpec | None = None, *, walltime: datetime | None = None) -> None:
        self.spec = spec or SimulationSpec()
        self.simulated = True
        self.walltime = walltime
        self.fs = Fraction(self.spec.fs)
        self.channels = _channels(self.spec)
        self.segments = _segments(self.spec, self.fs)
        self.path = Path(f"SIMULATED_{parse_probe_name(self.spec.probe).id}_seed{self.spec.seed}")
        self.name = f"SIMULATED seed {self.spec.seed}"
        self.notes = (f"simulated, seed {self.spec.seed}",)
        self._amplifier = AmplifierSignal(self.spec, _places(self.channels))
        self._population = self._amplifier.population
        self._lines = Lines(self.spec)

    def __reduce__(self) -> tuple[Any, ...]:
        # another process makes the tables again: that is faster than sending them
        return _rebuild, (self.spec, self.walltime)

    @property
    def units(self) -> tuple[SimulatedUnit, ...]:
        """The neurons."""
        return self._population.units

    @property
    def provenance(self) -> dict[str, Any]:
        """What a file made from this recording must say about its source."""
        stage = {"kind": "simulation", "parameters": self.spec.model_dump(mode="json")}
        return new_record(stages=[stage], simulated=True, seed=self.spec.seed)

    def template_uv(self, unit_id: int, *, drift_um: float = 0.0) -> npt.NDArray[np.float32]:
        """Return a unit's mean spike on all amplifier channels, ``(points, channels)`` uV.

        The trough of the peak channel lies at row ``template_before``. ``drift_um`` is taken to the nearest step of
        the simulation's drift.
        """
        templates = self._population.templates
        shifts = np.array([templates.drift_um(s) for s in range(templates.drift_steps)])
        return templates.dense(self.units[unit_id - 1], int(np.argmin(np.abs(shifts - drift_um))))

    @property
    def template_before(self) -> int:
        """Row of a template that belongs to the spike's counter."""
        return self._population.templates.before

    def ground_truth(self, start: int | None = None, stop: int | None = None) -> SpikeTrains:
        """Return the spikes with ``start <= counter < stop`` (None: of the recording), gaps left out.

        ``counter`` is the sample nearest to the trough; ``site`` the native index of the channel that was nearest to
        the unit at that time; unit ids are those of ``units``, which also tell positions and mean amplitudes.
        """
        first = self.start if start is None else start
        last = self.stop if stop is None else stop
        truth = self._amplifier.ground_truth(first, last)
        kept = self._stored(truth.counter)
        return SpikeTrains(truth.counter[kept], truth.unit[kept], truth.site[kept], unit_names=truth.unit_names)

    def amplitudes(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return the amplitude of each spike of ``ground_truth(start, stop)``, relative to its unit's mean."""
        spikes = self._population.spikes(start, stop)
        return spikes.amplitude[self._stored(spikes.counter)]

    def events(self, start: int | None = None, stop: int | None = None) -> Events:
        """Return the edges on the digital inputs with ``start <= counter < stop`` (None: of the recording)."""
        first = self.start if start is None else start
        last = self.stop if stop is None else stop
        parts = []
        for line in range(DIGITAL_LINES):
            counter, state = self._lines.edges(line, first, last)
            kept = self._stored(counter)
            parts.append(Events.ttl(counter[kept], np.full(int(kept.sum()), line), state[kept], source="DIN"))
        return Events.merge(*parts)

    def session(self) -> Session:
        """Return the recording with its events and its ground truth, as opening a file would."""
        return Session(
            path=self.path,
            file_type=RadiensFileType.UNKNOWN_FILE_TYPE,
            format="simulation",
            streams={"": self},
            events={"": self.events()},
            spike_trains={"ground truth": self.ground_truth()},
            provenance=self.provenance,
            notes=self.notes,
        )

    def _stored(self, counter: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return which counters the gap table holds."""
        run = np.searchsorted(self.segments.counters, counter, side="right") - 1
        ends = self.segments.counters + self.segments.lengths
        kept: npt.NDArray[np.bool_] = (run >= 0) & (counter < ends[np.maximum(run, 0)])
        return kept

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        # rows run on over gaps, counters do not; the caller never asks for rows on both sides of one
        run = int(np.searchsorted(np.cumsum(self.segments.lengths), start, side="right"))
        rows_before = int(self.segments.lengths[:run].sum())
        counter = int(self.segments.counters[run]) + start - rows_before
        self.fill(counter, columns, out)

    def fill(self, start: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        """Compute the samples from counter ``start`` on into all rows of ``out``, without looking at gaps or the end.

        What a live simulation calls; ``out`` is C order, float32, ``(n, len(columns))``.
        """
        stop = start + out.shape[0]
        amp = self.channels.count(SignalType.AMP)
        wanted = np.flatnonzero(columns < amp).astype(np.int64)
        if len(wanted):
            self._amplifier.fill(start, columns[wanted], out, wanted)
        for position in np.flatnonzero(columns >= amp):
            out[:, position] = self._auxiliary(int(columns[position]), start, stop)

    def _auxiliary(self, column: int, start: int, stop: int) -> npt.NDArray[np.float32]:
        channel = self.channels[column]
        if channel.type == SignalType.AIN:
            return self._lines.analog_v(channel.ntv, start, stop)
        if channel.type == SignalType.DIN:
            return self._lines.levels(channel.ntv, start, stop)
        return self._lines.output_levels(channel.ntv, start, stop)


def _rebuild(spec: SimulationSpec, walltime: datetime | None) -> SimulatedRecording:
    return SimulatedRecording(spec, walltime=walltime)


def _channels(spec: SimulationSpec) -> ChannelTable:
    name = parse_probe_name(spec.probe)
    count = name.site_count
    for label in ("dead_channels", "saturated_channels", "noisy_channels"):
        outside = [c for c in getattr(spec, label) if c >= count]
        if outside:
            raise ConfigurationError(f"{label} {outside}: probe {name.catalogue} has channels 0 to {count - 1}")
    plain = plain_channels(count, ANALOG_INPUTS, DIGITAL_LINES, DIGITAL_LINES, port=Port.A)
    placed = assign(plain, probe=name, wiring=range(count))
    # whatever is uncertain about the real probe, the simulation lies exactly where it says
    return replace(placed, geometry_source="simulated")


def _segments(spec: SimulationSpec, fs: Fraction) -> Segments:
    edges = [spec.start_sec, *(t for gap in spec.gaps_sec for t in gap), spec.start_sec + spec.duration_sec]
    counters = np.array([round(Fraction(t) * fs) for t in edges], np.int64).reshape(-1, 2)
    return Segments(counters[:, 0], counters[:, 1] - counters[:, 0])


def _places(channels: ChannelTable) -> npt.NDArray[np.float64]:
    sites = [c.site for c in channels if c.type == SignalType.AMP and c.site is not None]
    return np.array([(s.x_um, s.y_um, s.z_um) for s in sites], dtype=np.float64).reshape(-1, 3)
