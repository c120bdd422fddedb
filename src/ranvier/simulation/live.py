"""What a live simulator can play: signal models by name, for any number of sites."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ranvier.models.simulation import SimulationSpec
from ranvier.simulation import tones
from ranvier.simulation.amplifier import AmplifierSignal

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
Places = tuple[tuple[float, float, float], ...]

#: Neurons per channel.
UNITS_PER_CHANNEL = 3 / 8


class SignalModel(Protocol):
    """Signals of amplifier channels: a pure function of the counter."""

    def fill(self, start: int, channels: I64, out: F32) -> None:
        """Compute some channels (native indices) from counter ``start`` on into all rows of ``out``, in uV.

        ``out`` is ``(n, len(channels))``, C order.
        """
        ...

    def look_ahead(self, start: int, n: int) -> None:
        """Do a share of the work for later blocks, after the block ``[start, start + n)``; evens out their cost."""
        ...


def neural_spec(fs: Fraction, count: int, seed: int, **changes: float | tuple[float, float]) -> SimulationSpec:
    """Return the settings of a live simulation with neurons on ``count`` channels."""
    units = max(1, round(count * UNITS_PER_CHANNEL))
    settings = {"seed": seed, "fs": float(fs), "start_sec": 0.0, "num_units": units, **changes}
    return SimulationSpec.model_validate(settings)


def spikes(fs: Fraction, places_um: Places, seed: int) -> AmplifierSignal:
    """Neurons and background noise of 8 uV RMS."""
    return _neural(neural_spec(fs, len(places_um), seed, lfp_uv=0.0, mains_uv=0.0), places_um)


def broadband(fs: Fraction, places_um: Places, seed: int) -> AmplifierSignal:
    """Neurons, noise, local field potential of 120 uV RMS, mains hum of 10 uV."""
    return _neural(neural_spec(fs, len(places_um), seed), places_um)


def lfp(fs: Fraction, places_um: Places, seed: int) -> AmplifierSignal:
    """Local field potential of 150 uV RMS and noise of 2 uV RMS."""
    spec = neural_spec(fs, len(places_um), seed, num_units=0, noise_uv=2.0, lfp_uv=150.0, mains_uv=0.0)
    return _neural(spec, places_um)


def _only_count(make: Callable[[Fraction, int], SignalModel]) -> Callable[[Fraction, Places, int], SignalModel]:
    return lambda fs, places_um, seed: make(fs, len(places_um))


#: By name: ``model(fs, places_um, seed)``; the models ``spikes`` and ``broadband`` know the truth.
SIGNAL_MODELS: dict[str, Callable[[Fraction, Places, int], SignalModel]] = {
    "sine": _only_count(tones.sine),
    "mapped sine": _only_count(tones.mapped_sine),
    "high frequency": _only_count(tones.high_frequency),
    "multi-band": _only_count(tones.multi_band),
    "spikes": spikes,
    "lfp": lfp,
    "broadband": broadband,
}


@lru_cache(maxsize=2)  # tables take tens of MB; restarting with the same set-up should not make them again
def _neural(spec: SimulationSpec, places_um: Places) -> AmplifierSignal:
    return AmplifierSignal(spec, np.array(places_um, dtype=np.float64).reshape(-1, 3))
