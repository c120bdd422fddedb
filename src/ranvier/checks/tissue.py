"""Signals as in tissue, with channels broken on purpose: what detectors of channel quality are judged by.

Not the simulator of the demo (:mod:`ranvier.simulation`): this one is about what neighbouring sites share, and makes no
spike trains with ground truth. Sources of background along a probe fall off with distance, some reach all sites;
a slow rhythm, spikes, and noise of each amplifier come on top; faults replace or change channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.recordings.channels import Site, plain_channels
from ranvier.recordings.memory import ArrayRecording

F64 = npt.NDArray[np.float64]

FS_HZ = 30_000
STEP_UV = 0.195


@dataclass(frozen=True)
class BrokenProbe:
    """A recording, and what each of its channels is: good, dead, saturated, noisy, bridged or outside."""

    recording: ArrayRecording
    truth: tuple[str, ...]


def tissue(rng: np.random.Generator, channels: int, pitch_um: float, seconds: float) -> F64:
    """Return signals of a line of sites in tissue, uV, ``(samples, channels)``."""
    from scipy import signal

    n = int(FS_HZ * seconds)
    z = np.arange(channels) * pitch_um
    sources = rng.uniform(-200, channels * pitch_um + 200, 2 * channels)
    reach = rng.uniform(30, 120, 2 * channels)
    weights = rng.exponential(1, 2 * channels) / (1 + ((z[:, None] - sources) / reach) ** 2)
    band = signal.butter(2, [200, 5000], "bandpass", fs=FS_HZ, output="sos")
    x = signal.sosfilt(band, rng.standard_normal((n, 2 * channels)), axis=0) @ weights.T
    x *= rng.uniform(6, 10) / np.std(x)
    far = signal.sosfilt(band, rng.standard_normal((n, 3)), axis=0)
    x += far @ (np.array([[3.0], [2.0], [2.0]]) * (1 + 0.2 * rng.standard_normal((3, channels)))) / (2 * np.std(far))
    t = np.arange(n)[:, None] / FS_HZ
    x += 80 * np.sin(2 * np.pi * 7 * t + rng.uniform(0, 6)) * (1 + 0.3 * np.sin(z / 300))
    ms = np.arange(45) - 12
    wave = 0.4 * np.exp(-(((ms - 14) / 8) ** 2)) - np.exp(-((ms / 4) ** 2))
    for _ in range(channels // 3):
        height = rng.uniform(40, 250) * np.exp(-np.abs(z - rng.uniform(0, z[-1])) / rng.uniform(15, 40))
        for at in rng.integers(0, n - 60, int(rng.uniform(2, 20) * seconds)):
            x[at : at + 45] += wave[:, None] * height
    noise = rng.uniform(2.5, 6) * np.exp(rng.normal(0, 0.1, channels))
    return np.asarray(x + rng.standard_normal((n, channels)) * noise, dtype=np.float64)


def broken_probe(seed: int, *, seconds: float = 4.0, channels: int | None = None, broken: bool = True) -> BrokenProbe:
    """Return a line of 32 to 96 sites, 15 to 50 um apart, with some channels broken in several ways (or none)."""
    rng = np.random.default_rng(seed)
    count = int(rng.choice([32, 64, 96])) if channels is None else channels
    pitch = float(rng.choice([15, 20, 25, 50]))
    x = tissue(rng, count, pitch, seconds)
    truth = ["good"] * count
    above = int(rng.choice([0, 0, 8, 16])) if broken else 0
    if above:
        slow = 30 * np.sin(2 * np.pi * 7 * np.arange(len(x)) / FS_HZ)
        x[:, count - above :] = rng.standard_normal((len(x), above)) * 4 + slow[:, None]
        truth[count - above :] = ["outside"] * above
    pool = [int(c) for c in rng.permutation(count - above)]
    for _ in range(int(rng.integers(0, 3)) if broken else 0):
        pair = _pair(rng, pool)
        _bridge(rng, x, *pair)
        for c in pair:
            truth[c] = "bridged"
    for fault, most in (("noisy", 4), ("dead", 4), ("saturated", 2)):
        for _ in range(int(rng.integers(0, most)) if broken else 0):
            c = pool.pop()
            truth[c] = fault
            _break(rng, x[:, c], fault)
    x = np.round(x / STEP_UV) * STEP_UV
    table = plain_channels(amp=count)
    sites = [replace(c, site=Site(0.0, i * pitch)) for i, c in enumerate(table)]
    table = replace(table, channels=tuple(sites), geometry_source="file")
    return BrokenProbe(ArrayRecording(x.astype(np.float32), Fraction(FS_HZ), table, simulated=True), tuple(truth))


def _pair(rng: np.random.Generator, pool: list[int]) -> tuple[int, int]:
    """Take two channels, more often than not neighbours."""
    one = pool.pop()
    near = [c for c in pool if abs(c - one) == 1]
    two = near[0] if near and rng.random() < 0.6 else pool[-1]
    pool.remove(two)
    return one, two


def _bridge(rng: np.random.Generator, x: F64, one: int, two: int) -> None:
    way = rng.integers(3)
    middle = (x[:, one] + x[:, two]) / 2
    if way == 0:
        x[:, two] = x[:, one]
    elif way == 1:
        x[:, one] = x[:, two] = middle
    else:  # through some resistance: a little noise of their own, gains that differ
        x[:, one] = middle + 0.7 * rng.standard_normal(len(x))
        x[:, two] = middle * rng.uniform(0.9, 1.1) + 0.7 * rng.standard_normal(len(x))


def _break(rng: np.random.Generator, x: F64, fault: str) -> None:
    n = len(x)
    way = rng.integers(4)
    if fault == "noisy":
        x += rng.standard_normal(n) * np.std(x) * rng.uniform(2, 8)
    elif fault == "saturated":
        x[rng.random(n) < rng.uniform(0.004, 0.3)] = 5000.0
    elif way == 0:
        x[:] = rng.uniform(-100, 100)  # constant
    elif way == 1:
        x[:] = rng.normal(0, rng.uniform(0.02, 0.4), n)  # nearly nothing
    elif way == 2:
        x[:] = rng.standard_normal(n) * rng.uniform(2, 5)  # not connected: the amplifier's own noise
    else:
        x *= rng.uniform(0.005, 0.03)  # a trace of what the others have
