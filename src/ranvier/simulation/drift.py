"""Where the tissue is: how far it has moved along the probe, a pure function of settings and counter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.models.simulation import SimulationSpec
from ranvier.simulation.rng import Purpose, generator

F64 = npt.NDArray[np.float64]

#: The part of a walk that goes to and fro, and its period.
_ZIGZAG_SHARE, _ZIGZAG_SEC = 0.2, 200.0
#: A walk has rhythms from this to its whole length.
_FASTEST_SEC = 10.0
_RHYTHMS = 40
#: Steps in which the range of a walk is looked for (s).
_LOOK_SEC = 0.25


class Drift:
    """How far units have moved, as a fraction of ``drift_um`` (0 to 1).

    A walk is a sum of sines whose amplitudes fall as 1 / frequency, the spectrum of a random walk, scaled so that it
    spans the whole range within ``duration_sec``; beyond that it is cut at the range.
    """

    def __init__(self, spec: SimulationSpec) -> None:
        self.spec = spec
        self._hz, self._phase, self._low, self._span = np.empty(0), np.empty(0), 0.0, 1.0
        if spec.drift_path == "walk":
            rng = generator(spec.seed, Purpose.DRIFT)
            slowest = 1 / max(spec.duration_sec, 2 * _FASTEST_SEC)
            self._hz = np.geomspace(slowest, 1 / _FASTEST_SEC, _RHYTHMS) * rng.uniform(0.97, 1.03, _RHYTHMS)
            self._phase = rng.uniform(0, 2 * np.pi, _RHYTHMS)
            walk = self._walk(np.arange(0, spec.duration_sec, _LOOK_SEC))
            self._low, self._span = float(walk.min()), max(float(np.ptp(walk)), 1e-12)

    def fraction(self, sec: F64) -> F64:
        """Return the fraction of ``drift_um`` at some times, in s after the recording's first sample."""
        if self.spec.drift_path == "ramp":
            turns: F64 = sec / self.spec.duration_sec
            there: F64 = 1 - np.abs(np.mod(turns, 2) - 1)
            return there
        walk = (self._walk(sec) - self._low) / self._span
        zigzag = 1 - np.abs(np.mod(2 * sec / _ZIGZAG_SEC, 2) - 1)
        at: F64 = np.clip((1 - _ZIGZAG_SHARE) * walk + _ZIGZAG_SHARE * zigzag, 0.0, 1.0)
        return at

    def _walk(self, sec: F64) -> F64:
        # one sine after the other: a matrix product would add in an order that depends on how many times are asked for
        total: F64 = np.zeros(np.shape(sec))
        for hz, phase in zip(self._hz, self._phase, strict=True):
            total += np.sin(2 * np.pi * hz * sec + phase) / hz
        return total
