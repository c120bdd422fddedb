"""Digital lines and analog inputs, as pure functions of the sample counter."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ranvier.models.simulation import SimulationSpec
from ranvier.simulation.rng import Purpose, generator

DIGITAL_LINES = 2
ANALOG_INPUTS = 2

#: Line 1: in each slot of a quarter second there is a pulse with this probability.
_SLOT_SEC = 0.25
_PULSE_PROBABILITY = 0.3
_SLOTS_PER_WINDOW = 64
_PULSES_PER_WINDOW = 64
#: Digital output 0 repeats digital input 0 so much later.
_ECHO_SEC = 0.001
#: Analog input 0: a sine. Analog input 1: a ramp.
_SINE_SEC, _SINE_V = 2.0, 1.0
_RAMP_SEC, _RAMP_V = 5.0, 3.3

I64 = npt.NDArray[np.int64]


class Lines:
    """Pulses on the digital inputs of one recording."""

    def __init__(self, spec: SimulationSpec) -> None:
        self.spec = spec
        self.fs = float(spec.fs)
        self.period = max(4, round(spec.ttl_period_sec * self.fs))
        self.slot = round(_SLOT_SEC * self.fs)
        self._sine = np.sin(2 * np.pi * np.arange(round(_SINE_SEC * self.fs)) / round(_SINE_SEC * self.fs))
        self._ramp = round(_RAMP_SEC * self.fs)
        # blocks are often much shorter than windows
        self._regular_window = lru_cache(64)(self._draw_regular)
        self._random_window = lru_cache(64)(self._draw_random)

    def edges(self, line: int, start: int, stop: int) -> tuple[I64, npt.NDArray[np.int8]]:
        """Return counters and states (1 rising, 0 falling) of the edges with ``start <= counter < stop``."""
        rising, falling = self._pulses(line, start, stop)
        counter = np.column_stack((rising, falling)).ravel()
        state = np.tile(np.array([1, 0], np.int8), len(rising))
        wanted = (counter >= start) & (counter < stop)
        return counter[wanted], state[wanted]

    def levels(self, line: int, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return the level of an input at each sample, 0 or 1."""
        levels = np.zeros(stop - start, np.float32)
        for a, b in zip(*self._pulses(line, start, stop), strict=True):
            levels[max(0, a - start) : max(0, b - start)] = 1.0
        return levels

    def output_levels(self, line: int, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return the level of an output: output 0 repeats input 0 after 1 ms, the other ones are low."""
        if line != 0:
            return np.zeros(stop - start, np.float32)
        delay = round(_ECHO_SEC * self.fs)
        return self.levels(0, start - delay, stop - delay)

    def analog_v(self, channel: int, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return an analog input in V: a sine of 1 V and 2 s, or a ramp from 0 to 3.3 V in 5 s."""
        counter = np.arange(start, stop, dtype=np.int64)
        if channel == 0:
            return (_SINE_V * self._sine[counter % len(self._sine)]).astype(np.float32)
        return (_RAMP_V * (counter % self._ramp) / self._ramp).astype(np.float32)

    def _pulses(self, line: int, start: int, stop: int) -> tuple[I64, I64]:
        """Return starts and ends of the pulses that reach into a range (and perhaps a few more), in order."""
        return self._regular(start, stop) if line == 0 else self._random(start, stop)

    def _regular(self, start: int, stop: int) -> tuple[I64, I64]:
        """A pulse of half a period per period, jittered."""
        first = (start // self.period - 1) // _PULSES_PER_WINDOW
        last = (stop // self.period + 1) // _PULSES_PER_WINDOW
        starts = np.concatenate([self._regular_window(w) for w in range(first, last + 1)])
        return starts, starts + self.period // 2

    def _draw_regular(self, window: int) -> I64:
        rng = generator(self.spec.seed, Purpose.TTL, 0, window)
        jitter = self.spec.ttl_jitter_sec * self.fs * rng.standard_normal(_PULSES_PER_WINDOW)
        limit = self.period / 5
        pulse = window * _PULSES_PER_WINDOW + np.arange(_PULSES_PER_WINDOW)
        starts: I64 = pulse * self.period + np.rint(np.clip(jitter, -limit, limit)).astype(np.int64)
        return starts

    def _random(self, start: int, stop: int) -> tuple[I64, I64]:
        """In some slots one pulse of 20 to 120 ms, which ends within its slot."""
        length = _SLOTS_PER_WINDOW * self.slot
        windows = [self._random_window(w) for w in range(start // length, stop // length + 1)]
        return np.concatenate([w[0] for w in windows]), np.concatenate([w[1] for w in windows])

    def _draw_random(self, window: int) -> tuple[I64, I64]:
        rng = generator(self.spec.seed, Purpose.TTL, 1, window)
        there = rng.random(_SLOTS_PER_WINDOW) < _PULSE_PROBABILITY
        slots = (window * _SLOTS_PER_WINDOW + np.arange(_SLOTS_PER_WINDOW)) * self.slot
        at = slots + np.rint(rng.uniform(0, 0.1, _SLOTS_PER_WINDOW) * self.fs).astype(np.int64)
        duration = np.rint(rng.uniform(0.02, 0.12, _SLOTS_PER_WINDOW) * self.fs).astype(np.int64)
        return at[there], (at + duration)[there]
