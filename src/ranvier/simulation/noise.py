"""What an amplifier records without spikes: noise, local field potential, hum; from seeded periodic tables.

Every table is made once per recording and is periodic in the sample counter, so that any block is a lookup. Noise and
local field potential repeat after at least 10 s (``NOISE_PERIOD_MIN_SEC``; at 30 kHz after 35 s); the hum after a whole
number of its cycles.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.models.simulation import SimulationSpec
from ranvier.simulation.kernels import TILE
from ranvier.simulation.rng import Purpose, generator

NOISE_PERIOD_MIN_SEC = 10
_NOISE_PERIOD_MIN = 2**20

#: Band in which ``SimulationSpec.noise_uv`` is measured, Hz.
NOISE_BAND_HZ = (300.0, 6000.0)
#: Below this the noise rises as 1/f, above that it falls (the amplifier's bandwidth); Hz.
_NOISE_CORNER_HZ = 200.0
_NOISE_BANDWIDTH_HZ = 7500.0
#: Local field potential: centre and width of its rhythms in Hz, and their share of the power.
_RHYTHMS = ((2.0, 1.0, 0.55), (7.5, 1.0, 0.35), (45.0, 12.0, 0.10))
#: Sites that share noise with a site, itself included.
_MAX_NEIGHBORS = 13
#: How far a saturated channel would swing, as a multiple of the rails.
_SATURATION_SWING = 3.0

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Background:
    """Tables and gains, as :func:`ranvier.simulation.kernels.background` takes them."""

    noise: F32
    offsets: npt.NDArray[np.int64]
    neighbors: npt.NDArray[np.int64]
    weights: F32
    slow: F32
    slow_gains: F32
    hum: F32
    hum_gains: F32


def make_background(spec: SimulationSpec, places_um: F64, rail_uv: float) -> Background:
    """Make the tables of a recording.

    Parameters
    ----------
    places_um
        ``(channels, 3)`` site positions.
    rail_uv
        Where the amplifier saturates.
    """
    count = len(places_um)
    period = noise_period(spec.fs)
    neighbors, weights = _mixing(spec, places_um)
    rng = generator(spec.seed, Purpose.CHANNELS)
    loudness = rng.uniform(0.85, 1.15, count)
    hum_share, hum_phase = rng.uniform(0.7, 1.3, count), rng.normal(0, 0.15, count)
    loudness /= np.sqrt(np.mean(loudness**2)) if count else 1.0
    loudness[list(spec.noisy_channels)] *= spec.noisy_factor
    loudness[list(spec.dead_channels)] = 0.0
    swing = np.zeros(count)
    swing[list(spec.saturated_channels)] = _SATURATION_SWING * rail_uv
    alive = np.ones(count)
    alive[list(spec.dead_channels)] = 0.0
    lfp = spec.lfp_uv * alive[:, None] * _lfp_gains(spec, places_um)
    hum = spec.mains_uv * (alive * hum_share)[:, None] * np.column_stack((np.cos(hum_phase), np.sin(hum_phase)))
    return Background(
        noise=_wrapped(_noise_table(spec, period)),
        offsets=np.arange(count, dtype=np.int64) * (period // max(count, 1)),
        neighbors=neighbors,
        weights=(weights * loudness[:, None]).astype(np.float32),
        slow=_wrapped(_slow_tables(spec, period)),
        slow_gains=np.column_stack((lfp, swing)).astype(np.float32),
        hum=_wrapped(_hum_tables(spec)),
        hum_gains=np.ascontiguousarray(hum, dtype=np.float32),
    )


def noise_period(fs: float) -> int:
    """Return after how many samples noise and local field potential repeat (a power of two)."""
    period = _NOISE_PERIOD_MIN
    while period < NOISE_PERIOD_MIN_SEC * fs:
        period *= 2
    return period


def _noise_table(spec: SimulationSpec, period: int) -> F64:
    """Gaussian noise with the spectrum of an electrode: white, 1/f below 200 Hz, first order roll-off at 7.5 kHz."""
    hz = np.fft.rfftfreq(period, 1 / spec.fs)
    power = (1 + _NOISE_CORNER_HZ / np.maximum(hz, 0.5)) / (1 + (hz / _NOISE_BANDWIDTH_HZ) ** 2)
    power[hz < 0.5] = 0.0
    spectrum = _white(spec, Purpose.NOISE, 0, len(hz)) * np.sqrt(power)
    band = (hz >= NOISE_BAND_HZ[0]) & (hz <= NOISE_BAND_HZ[1])
    return spec.noise_uv / _rms(spectrum[band], period) * np.fft.irfft(spectrum, period)


def _slow_tables(spec: SimulationSpec, period: int) -> F64:
    """One row of unit RMS per rhythm of the local field potential, and a slow sine for saturated channels."""
    hz = np.fft.rfftfreq(period, 1 / spec.fs)
    rows = []
    for i, (centre, width, _) in enumerate(_RHYTHMS):
        spectrum = _white(spec, Purpose.LFP, i, len(hz)) * np.exp(-0.25 * ((hz - centre) / width) ** 2)
        spectrum[0] = 0.0
        rows.append(np.fft.irfft(spectrum, period) / _rms(spectrum, period))
    cycles = max(1, round(0.7 * period / spec.fs))
    rows.append(np.sin(2 * np.pi * cycles * np.arange(period) / period))
    return np.array(rows)


def _hum_tables(spec: SimulationSpec) -> F64:
    """Sine (with its third harmonic, a quarter as large) and cosine of the mains over a whole number of cycles."""
    if spec.mains_hz == 0 or spec.mains_uv == 0:
        return np.zeros((2, 1))
    mains = Fraction(spec.mains_hz).limit_denominator(100)
    ratio = mains / Fraction(spec.fs).limit_denominator(100)
    # cycles per sample = a / b: b samples hold a whole cycles
    phase = 2 * np.pi * ((ratio.numerator * np.arange(ratio.denominator)) % ratio.denominator) / ratio.denominator
    return np.array((np.sin(phase) + 0.25 * np.sin(3 * phase), np.cos(phase)))


def _lfp_gains(spec: SimulationSpec, places_um: F64) -> F64:
    """Return how strong each rhythm is at each site: a smooth change of gain and sign along the probe."""
    count = len(places_um)
    rng = generator(spec.seed, Purpose.LFP, item=100)
    height = places_um[:, 1] - places_um[:, 1].min() if count else np.zeros(0)
    height = height / max(float(height.max(initial=0.0)), 1.0)
    columns = []
    for _, _, share in _RHYTHMS:
        phase, turns = rng.uniform(-0.5, 0.5), rng.uniform(0.1, 0.35)
        gain = np.cos(2 * np.pi * (turns * height + phase * 0.2))
        columns.append(np.sqrt(share / max(float(np.mean(gain**2)), 1e-9)) * gain if count else gain)
    return np.column_stack(columns)


def _mixing(spec: SimulationSpec, places_um: F64) -> tuple[npt.NDArray[np.int64], F64]:
    """Return for each site which noise sources it hears, and how much: weights fall as exp(-distance / length).

    Squares of the weights add up to 1. The correlation of two sites is the overlap of their weights.
    """
    count = len(places_um)
    width = min(_MAX_NEIGHBORS, count) if spec.noise_correlation_um > 0 else min(1, count)
    neighbors = np.empty((count, width), np.int64)
    weights = np.empty((count, width))
    for i in range(count):
        distance = np.linalg.norm(places_um - places_um[i], axis=1)
        nearest = np.argsort(distance, kind="stable")[:width]
        neighbors[i] = nearest
        weights[i] = np.exp(-distance[nearest] / max(spec.noise_correlation_um, 1e-9))
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True)) if count else 1.0
    return neighbors, weights


def _white(spec: SimulationSpec, purpose: Purpose, item: int, n: int) -> npt.NDArray[np.complex128]:
    rng = generator(spec.seed, purpose, item)
    return rng.standard_normal(n) + 1j * rng.standard_normal(n)


def _rms(spectrum: npt.NDArray[np.complex128], period: int) -> float:
    """Return the RMS of the signal that an inner part of an rfft spectrum stands for (Parseval), at least 1e-30."""
    return max(float(np.sqrt(2 * np.sum(np.abs(spectrum) ** 2)) / period), 1e-30)


def _wrapped(table: F64) -> F32:
    """Continue a periodic table by one tile."""
    period = table.shape[-1]
    return np.ascontiguousarray(np.take(table, np.arange(period + TILE) % period, axis=-1), dtype=np.float32)
