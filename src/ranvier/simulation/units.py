"""Simulated neurons: where they lie, what their spikes look like, when they fire.

Spike trains are drawn per unit in windows of 2 s whose borders differ from unit to unit. Within a window a train is a
renewal process with an absolute refractory period; nothing fires in the first refractory period of a window, so that
neighbouring windows fit together, whichever is made first. (This costs about 0.1 % of the rate.)
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.models.simulation import SimulationSpec
from ranvier.simulation.rng import Purpose, generator
from ranvier.simulation.templates import Templates, Waveform

WINDOW_SEC = 2.0
#: Amplitude of a spike within a burst, relative to the one before.
_BURST_DECAY = 0.88
#: Windows that are remembered per unit.
_REMEMBERED = 32

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class SimulatedUnit:
    """One neuron.

    Attributes
    ----------
    id
        1, 2, ...
    position_um
        x, y, z in probe coordinates, at the beginning of the recording.
    peak_ntv
        Amplifier channel with the largest trough, at the beginning of the recording.
    amplitude_uv
        Size of that trough outside bursts, a positive number.
    rate_hz
        Mean firing rate.
    waveform
        Shape in time and decay in space.
    """

    id: int
    position_um: tuple[float, float, float]
    peak_ntv: int
    amplitude_uv: float
    rate_hz: float
    waveform: Waveform


@dataclass(frozen=True, slots=True)
class Spikes:
    """Spikes of all units, ordered by counter, then unit.

    Attributes
    ----------
    counter
        Sample that is nearest to the trough, int64.
    unit
        Index of the unit (its id - 1), int64.
    amplitude
        Relative to the unit's mean, float32.
    phase
        Where between two samples the trough lies, in steps of 1 / :data:`~ranvier.simulation.templates.PHASES`.
    """

    counter: I64
    unit: I64
    amplitude: F32
    phase: I64

    def between(self, start: int, stop: int) -> Spikes:
        """Return the spikes with ``start <= counter < stop``."""
        a, b = np.searchsorted(self.counter, (start, stop))
        return Spikes(self.counter[a:b], self.unit[a:b], self.amplitude[a:b], self.phase[a:b])


class Population:
    """All neurons of one recording, a pure function of settings and counter."""

    def __init__(self, spec: SimulationSpec, places_um: F64) -> None:
        self.spec = spec
        self.fs = float(spec.fs)
        self.refractory = int(np.ceil(spec.refractory_ms * self.fs / 1000))
        self.window = max(int(WINDOW_SEC * self.fs), 4 * self.refractory + 4)
        self.units = _place_units(spec, places_um)
        self.templates = Templates(spec, self.units, places_um)
        self._shift = _window_shifts(spec, len(self.units), self.window)
        self._known: dict[tuple[int, int], tuple[F64, F32]] = {}
        self._merged: dict[int, Spikes] = {}
        self._ahead: tuple[int, list[tuple[F64, F32]]] = (-1, [])
        self._lock = threading.Lock()

    def spikes(self, start: int, stop: int) -> Spikes:
        """Return the spikes with ``start <= counter < stop``."""
        first, last = start // self.window, max(start, stop - 1) // self.window
        parts = [self._all_units(w).between(start, stop) for w in range(first, last + 1)]
        if len(parts) == 1:
            return parts[0]
        return Spikes(
            np.concatenate([p.counter for p in parts]),
            np.concatenate([p.unit for p in parts]),
            np.concatenate([p.amplitude for p in parts]),
            np.concatenate([p.phase for p in parts]),
        )

    def _all_units(self, window: int) -> Spikes:
        """Return one window of all units; remembered, since blocks are often shorter than windows."""
        with self._lock:
            known = self._merged.get(window)
        if known is None:
            known = self._merge(window * self.window, (window + 1) * self.window)
            with self._lock:
                _remember(self._merged, window, known, _REMEMBERED)
        return known

    def look_ahead(self, start: int, n: int) -> None:
        """Do a share of what the next window needs: with each block ``[start, start + n)`` so much that all is done
        in half a window. Without it one block in every 2 s would have to draw the spikes of all units.
        """
        window = start // self.window + 1
        if window in self._merged:
            return
        if self._ahead[0] != window:
            self._ahead = (window, [])
        parts = self._ahead[1]
        share = -(-2 * len(self.units) * n // self.window)
        for unit in range(len(parts), min(len(parts) + share, len(self.units))):
            parts.append(self._unit_spikes(unit, window * self.window, (window + 1) * self.window))
        if len(parts) == len(self.units):
            with self._lock:
                _remember(self._merged, window, self._join(parts), _REMEMBERED)

    def _merge(self, start: int, stop: int) -> Spikes:
        return self._join([self._unit_spikes(u, start, stop) for u in range(len(self.units))])

    def _join(self, parts: list[tuple[F64, F32]]) -> Spikes:
        """Join the spikes of each unit."""
        moments = np.concatenate([p[0] for p in parts]) if parts else np.empty(0)
        amplitude = np.concatenate([p[1] for p in parts]) if parts else np.empty(0, np.float32)
        unit = np.repeat(np.arange(len(parts)), [len(p[0]) for p in parts])
        counter = np.floor(moments + 0.5)
        phase = np.minimum((moments + 0.5 - counter) * self.templates.phases, self.templates.phases - 1)
        order = np.lexsort((unit, counter))
        return Spikes(
            counter[order].astype(np.int64),
            unit[order].astype(np.int64),
            amplitude[order],
            phase[order].astype(np.int64),
        )

    def _unit_spikes(self, unit: int, start: int, stop: int) -> tuple[F64, F32]:
        """Return moments (in samples, with fractions) and amplitudes of one unit's spikes."""
        shift = int(self._shift[unit])
        first, last = (start - 1 + shift) // self.window, (stop + shift) // self.window
        parts = [self._train(unit, w) for w in range(first, last + 1)]
        moments = np.concatenate([p[0] for p in parts])
        amplitudes = np.concatenate([p[1] for p in parts])
        counter = np.floor(moments + 0.5)
        wanted = (counter >= start) & (counter < stop)
        return moments[wanted], amplitudes[wanted]

    def _train(self, unit: int, window: int) -> tuple[F64, F32]:
        """Return one window of a unit's train; remembered, since windows of units and of all units overlap."""
        key = (unit, window)
        with self._lock:
            known = self._known.get(key)
        if known is None:
            known = self._draw(unit, window)
            with self._lock:
                _remember(self._known, key, known, _REMEMBERED * len(self.units))
        return known

    def _draw(self, unit: int, window: int) -> tuple[F64, F32]:
        spec = self.spec
        begin = float(window * self.window - int(self._shift[unit]))
        rng = generator(spec.seed, Purpose.SPIKES, unit, window)
        moments, amplitudes = self._renewal(rng, self.units[unit].rate_hz)
        moments += begin
        if spec.overlap_fraction > 0 and unit % 2 == 1:
            moments, amplitudes = self._forced(unit, window, begin, moments, amplitudes)
        return moments, amplitudes.astype(np.float32)

    def _renewal(self, rng: np.random.Generator, rate_hz: float) -> tuple[F64, F64]:
        """Draw intervals, some of them within bursts, until the window is full."""
        spec = self.spec
        burst = spec.burst_isi_ms * self.fs / 1000
        p = spec.burst_fraction
        pause = (self.fs / rate_hz - self.refractory - p * burst / 2) / (1 - p)
        expected = int(self.window * rate_hz / self.fs)
        moments, run, total = np.empty(0), np.empty(0, np.int64), 0.0
        while total < self.window:
            n = expected + 20
            in_burst = rng.random(n) < p
            interval = self.refractory + np.where(in_burst, rng.random(n) * burst, rng.exponential(pause, n))
            moments = np.concatenate((moments, total + np.cumsum(interval)))
            run = np.concatenate((run, _run_length(in_burst)))
            total = float(moments[-1])
        inside = moments < self.window
        moments, run = moments[inside], run[inside]
        jitter = 1 + spec.amplitude_jitter * np.clip(rng.standard_normal(len(moments)), -3, 3)
        return moments, jitter * _BURST_DECAY ** np.minimum(run, 5)

    def _forced(self, unit: int, window: int, begin: float, moments: F64, amplitudes: F64) -> tuple[F64, F64]:
        """Add spikes that follow or precede the partner's; own spikes that come too near to them make way."""
        lag_rng = generator(self.spec.seed, Purpose.OVERLAPS, unit)
        lag = lag_rng.uniform(-self.spec.overlap_lag_ms, self.spec.overlap_lag_ms) * self.fs / 1000
        partner = self._train(unit - 1, window)[0]
        chosen = generator(self.spec.seed, Purpose.OVERLAPS, unit, window).random(len(partner))
        forced = partner[chosen < self.spec.overlap_fraction] + lag
        forced = forced[(forced >= begin + self.refractory) & (forced < begin + self.window)]
        if len(forced) == 0:
            return moments, amplitudes
        nearest = np.searchsorted(forced, moments)
        before = np.abs(moments - forced[np.maximum(nearest - 1, 0)])
        after = np.abs(moments - forced[np.minimum(nearest, len(forced) - 1)])
        free = np.minimum(before, after) >= self.refractory
        moments = np.concatenate((moments[free], forced))
        amplitudes = np.concatenate((amplitudes[free], np.ones(len(forced))))
        order = np.argsort(moments, kind="stable")
        return moments[order], amplitudes[order]


def _remember(known: dict[K, V], key: K, value: V, limit: int) -> None:
    """Keep a value, and forget the oldest ones beyond a limit."""
    while len(known) >= limit:
        del known[next(iter(known))]
    known[key] = value


def _run_length(in_burst: npt.NDArray[np.bool_]) -> I64:
    """Return how many burst intervals in a row end at each spike."""
    index = np.arange(len(in_burst))
    last_pause = np.maximum.accumulate(np.where(in_burst, -1, index))
    run: I64 = np.where(in_burst, index - last_pause, 0)
    return run


def _window_shifts(spec: SimulationSpec, units: int, window: int) -> I64:
    """Return how far each unit's windows are shifted; the units of a pair share theirs."""
    pairs = generator(spec.seed, Purpose.UNITS, item=1).integers(0, window, units // 2 + 1)
    return np.repeat(pairs, 2)[:units].astype(np.int64)


def _place_units(spec: SimulationSpec, places_um: F64) -> tuple[SimulatedUnit, ...]:
    """Put each unit near a site that records, the sites taken in random order."""
    broken = {*spec.dead_channels, *spec.saturated_channels}
    sites = np.array([i for i in range(len(places_um)) if i not in broken], dtype=np.int64)
    if spec.num_units and not len(sites):
        raise ConfigurationError("no channel is left for units: all are dead or saturated")
    rng = generator(spec.seed, Purpose.UNITS)
    rounds = -(-spec.num_units // max(len(sites), 1))
    home = np.concatenate([rng.permutation(sites) for _ in range(rounds)] or [sites])
    units: list[SimulatedUnit] = []
    for i in range(spec.num_units):
        reach, depth = spec.unit_spread_um, spec.unit_depth_um
        offset = np.array((rng.uniform(-reach, reach), rng.uniform(-reach, reach), rng.uniform(*depth)))
        position = places_um[home[i]] + offset
        if spec.pair_distance_um and i % 2:
            apart = spec.pair_distance_um
            beside = (rng.uniform(-apart, apart), rng.uniform(-apart, apart))
            position[:2] = np.add(units[i - 1].position_um[:2], beside)
        peak = int(sites[np.argmin(np.linalg.norm(places_um[sites] - position, axis=1))])
        units.append(
            SimulatedUnit(
                id=i + 1,
                position_um=(float(position[0]), float(position[1]), float(position[2])),
                peak_ntv=peak,
                amplitude_uv=_log_uniform(rng, spec.amplitude_uv),
                rate_hz=_log_uniform(rng, spec.rate_hz),
                waveform=Waveform.draw(rng),
            )
        )
    return tuple(units)


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    low, high = np.log(limits)
    return float(np.exp(rng.uniform(low, high)))
