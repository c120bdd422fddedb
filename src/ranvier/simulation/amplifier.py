"""What amplifier channels at given places record: background and spikes, any counter, without gaps or an end."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.models.simulation import SimulationSpec
from ranvier.recordings.events import SpikeTrains
from ranvier.simulation.kernels import add_spikes, background
from ranvier.simulation.noise import make_background
from ranvier.simulation.units import Population

#: Largest value of the amplifier (Intan RHD: 32767 counts of 0.195 uV).
RAIL_UV = 6389.0

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


class AmplifierSignal:
    """Neurons, noise, local field potential and hum at some sites: a pure function of settings and counter.

    Parameters
    ----------
    spec
        What there is; its probe, start, duration and gaps mean nothing here (except for drift).
    places_um
        ``(channels, 3)`` site positions.

    Attributes
    ----------
    population
        The neurons.
    """

    def __init__(self, spec: SimulationSpec, places_um: F64) -> None:
        self.spec = spec
        self.count = len(places_um)
        self.population = Population(spec, places_um)
        self._background = make_background(spec, places_um, RAIL_UV)

    def fill(self, start: int, channels: I64, out: F32, positions: I64 | None = None) -> None:
        """Compute some channels from counter ``start`` on into all rows of ``out``, in uV.

        ``positions`` are the columns of ``out`` that the channels go to; None: 0, 1, 2, ...
        """
        at = np.arange(len(channels), dtype=np.int64) if positions is None else positions
        b = self._background
        background(
            out, start, channels, at, b.noise, b.offsets, b.neighbors, b.weights, b.slow, b.slow_gains, b.hum,
            b.hum_gains,
        )  # fmt: skip
        templates = self.population.templates
        spikes = self.population.spikes(start - templates.points, start + out.shape[0] + templates.before)
        rows = templates.rows(spikes.unit, spikes.counter, spikes.phase)
        for channel_at in _column_maps(channels, at, self.count):
            add_spikes(
                out, start, templates.before, spikes.counter, rows, spikes.amplitude, templates.values,
                templates.support, channel_at,
            )  # fmt: skip
        if self.spec.saturated_channels:
            out[:, at] = np.clip(out[:, at], -RAIL_UV, RAIL_UV)

    def look_ahead(self, start: int, n: int) -> None:
        """Do a share of the work for later blocks, after the block ``[start, start + n)``; see ``Population``."""
        self.population.look_ahead(start, n)

    def ground_truth(self, start: int, stop: int) -> SpikeTrains:
        """Return the spikes with ``start <= counter < stop``.

        ``counter`` is the sample nearest to the trough; ``site`` the index of the channel that was nearest to the unit
        at that time.
        """
        units = self.population.units
        spikes = self.population.spikes(start, stop)
        templates = self.population.templates
        site = templates.peak[spikes.unit, templates.drift_step(spikes.counter)] if len(units) else spikes.unit
        return SpikeTrains(
            spikes.counter,
            (spikes.unit + 1).astype(np.int32),
            site.astype(np.int32),
            unit_names={u.id: f"unit {u.id}" for u in units},
        )


def _column_maps(channels: I64, positions: I64, count: int) -> list[I64]:
    """Return maps from channel to column of ``out`` (-1: none); more than one where a channel is asked for twice."""
    maps: list[I64] = []
    while len(channels):
        _, first = np.unique(channels, return_index=True)
        column_of = np.full(count, -1, np.int64)
        column_of[channels[first]] = positions[first]
        maps.append(column_of)
        channels, positions = np.delete(channels, first), np.delete(positions, first)
    return maps
