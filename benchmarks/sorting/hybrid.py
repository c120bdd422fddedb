"""Hybrid recordings, from the sample recordings (``RANVIER_SAMPLES``); what is real in them and what is not:

    python -m benchmarks.sorting.hybrid NAME SEED

* ``hybrid_kilosort``: the 15 templates of a real Kilosort 2 output (Neuropixels, unwhitened with its
  ``whitening_mat_inv``) with their real spread of amplitudes, at simulated times. The noise is synthesised: its spatial
  covariance is what that recording's whitening matrix holds, its spectrum that of a real Open Ephys recording.
  Amplitude per count is assumed (2.34 uV).
* ``hybrid_locust``: a real tetrode recording of 28.8 s, as it is, to which its own largest units are added again: mean
  waveforms with the channels rotated by one, at simulated times. The truth is that of the added units only, so false
  and redundant units mean nothing there. Amplitude per count is assumed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from benchmarks.sorting.recipes import FS, GAIN_UV, RECIPES, truth_folder
from benchmarks.sorting.truth import BLOCK, Truth, is_finished, save
from scipy import signal

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_COUNT_UV = 2.34
_CHANNELS = 32
_PHASES = 4
_REFRACTORY_SEC = 0.0025
_LOCUST_FS, _LOCUST_ZERO = 15_000, 2056
_OPEN_EPHYS = "openephys_binary_v0.6.7/Record Node 105/experiment1/recording1"


def samples_folder() -> Path | None:
    """Return the folder of sample recordings, or None."""
    named = os.environ.get("RANVIER_SAMPLES")
    return Path(named) if named and Path(named).is_dir() else None


def kilosort_templates(folder: Path) -> tuple[F64, list[F64], F64, F64]:
    """Return templates ``(units, points, channels)`` of unit amplitude, real amplitudes per unit, sites, and the square
    root of the noise's covariance, all in uV and of the first channels, where the units lie.
    """
    inverse = np.load(folder / "whitening_mat_inv.npy")
    templates = np.load(folder / "templates.npy").astype(np.float64) @ inverse * _COUNT_UV
    amplitude, which = np.load(folder / "amplitudes.npy").ravel(), np.load(folder / "spike_templates.npy").ravel()
    places = np.load(folder / "channel_positions.npy").astype(np.float64)
    amplitudes = [amplitude[which == k] for k in range(len(templates))]
    root = inverse[:_CHANNELS] * _COUNT_UV  # rows: channels; columns: independent sources
    return templates[:, :, :_CHANNELS], amplitudes, places[:_CHANNELS], root


def real_spectrum(samples: Path) -> tuple[F64, F64]:
    """Return frequencies and density of a real recording, median over channels; mean 1 within 300-6000 Hz."""
    from ranvier.recordings import open_session

    with open_session(samples / _OPEN_EPHYS) as session:
        recording = session.stream()
        stop = min(recording.stop, recording.start + int(10 * recording.fs))
        columns = [i for i, c in enumerate(recording.channels) if c.type.name == "AMP"]
        x = recording.read(recording.start, stop, columns).samples
        fs = float(recording.fs)
    hz, density = signal.welch(x, fs, nperseg=4096, axis=0)
    middle = np.median(density, axis=1)
    return hz, middle / middle[(hz >= 300) & (hz <= 6000)].mean()


def coloured(hz: F64, density: F64, fs: float, points: int = 1024) -> F64:
    """Return a linear-phase filter whose power response follows a density, cut below 5 Hz."""
    at = np.linspace(0, fs / 2, points // 2 + 1)
    gain = np.sqrt(np.interp(at, hz, density))
    gain[at < 5] = 0
    taps: F64 = signal.firwin2(points + 1, at, gain, fs=fs)
    return taps


def train(rng: np.random.Generator, rate_hz: float, seconds: float, fs: float) -> F64:
    """Return times in samples, with fractions: exponential pauses after a refractory period."""
    n = int(rate_hz * seconds * 1.5) + 50
    pauses = _REFRACTORY_SEC + rng.exponential(max(1 / rate_hz - _REFRACTORY_SEC, 1e-4), n)
    at: F64 = np.cumsum(pauses) * fs
    return at[(at > 200) & (at < seconds * fs - 200)]


def shifted(template: F64, samples: float) -> F64:
    """Return a template ``(points, channels)`` a part of a sample later (Fourier)."""
    padded = np.pad(template, ((32, 32), (0, 0)))
    hz = np.fft.rfftfreq(len(padded))
    turned = np.fft.rfft(padded, axis=0) * np.exp(-2j * np.pi * hz * samples)[:, None]
    moved: F64 = np.fft.irfft(turned, len(padded), axis=0)[32:-32]
    return moved


def add_units(
    x: F32, templates: F64, amplitudes: list[F64], seed: int, fs: float, rates_hz: tuple[float, float]
) -> tuple[I64, I64]:
    """Add units to a recording ``(samples, channels)`` in place; return sample of each trough, and unit.

    ``amplitudes`` are scales to draw from, per unit.
    """
    rng = np.random.default_rng([seed, 7])
    samples, units = [], []
    for u, template in enumerate(templates):
        centre = int(template.min(axis=1).argmin())
        phases = [shifted(template, (p + 0.5) / _PHASES - 0.5).astype(np.float32) for p in range(_PHASES)]
        at = train(rng, float(rng.uniform(*rates_hz)), len(x) / fs, fs)
        nearest = np.rint(at).astype(np.int64)
        phase = np.clip(((at - nearest + 0.5) * _PHASES).astype(int), 0, _PHASES - 1)
        scale = rng.choice(amplitudes[u], len(at)).astype(np.float32)
        for t, p, s in zip(nearest, phase, scale, strict=True):
            x[t - centre : t - centre + len(template)] += s * phases[p]
        samples.append(nearest)
        units.append(np.full(len(at), u))
    sample, unit = np.concatenate(samples), np.concatenate(units).astype(np.int64)
    order = np.argsort(sample, kind="stable")
    return sample[order], unit[order]


def make_kilosort(samples: Path, seed: int, folder: Path, seconds: float) -> Truth:
    templates, amplitudes, places, root = kilosort_templates(samples / "kilosort_bombcell_toy")
    taps = coloured(*real_spectrum(samples), FS)
    taps /= np.sqrt(_band_power(taps))
    rng = np.random.default_rng([seed, 1])
    n = int(seconds * FS)
    x = np.empty((n, len(places)), np.float32)
    mixing = root.T.astype(np.float32)  # (sources, channels)
    history = rng.standard_normal((len(taps) - 1, len(places)), np.float32)
    # noise with the covariance root rootᵀ, from as many sources as there are channels
    mixing = np.linalg.cholesky(mixing.T.astype(float) @ mixing).T.astype(np.float32)
    for start in range(0, n, BLOCK):
        m = min(BLOCK, n - start)
        white = np.concatenate((history, rng.standard_normal((m, len(places)), np.float32)))
        history = white[-(len(taps) - 1) :]
        x[start : start + m] = signal.oaconvolve(white, taps[:, None].astype(np.float32), mode="valid", axes=0) @ mixing
    sample, unit = add_units(x, templates, amplitudes, seed, FS, (2.0, 10.0))
    at = np.array([[*places[np.ptp(t, axis=0).argmax()], 0.0] for t in templates])
    about = {"name": "hybrid_kilosort", "seed": seed, "recipe": "hybrid", "generator": __doc__}
    return save(folder, _blocks(x), places, sample, unit, at, about)


def _band_power(taps: F64) -> float:
    """Power of filtered white noise between 300 Hz and half the rate, relative to white noise's."""
    hz, response = signal.freqz(taps, worN=4096, fs=FS)
    return float(np.mean(np.abs(response[hz >= 300]) ** 2))


def make_locust(samples: Path, seed: int, folder: Path) -> Truth:
    raw = np.fromfile(samples / "tetrode_locust" / "locust_trial_01.raw", "<i2").reshape(-1, 4)
    x = (raw.astype(np.float32) - _LOCUST_ZERO) * np.float32(GAIN_UV)
    templates = np.roll(own_templates(x, _LOCUST_FS), 1, axis=2)
    spread = np.clip(np.random.default_rng([seed, 2]).normal(1, 0.08, 500), 0.7, 1.3)
    sample, unit = add_units(x, templates, [spread] * len(templates), seed, _LOCUST_FS, (4.0, 10.0))
    places = np.array([(0.0, 0.0), (0.0, 50.0), (50.0, 0.0), (50.0, 50.0)])  # assumed: the file tells none
    about = {
        "name": "hybrid_locust",
        "seed": seed,
        "recipe": "hybrid",
        "generator": __doc__,
        "fs": _LOCUST_FS,
        "exhaustive": False,
    }
    return save(folder, _blocks(x), places, sample, unit, np.zeros((len(templates), 3)), about)


def own_templates(x: F32, fs: float, units: int = 3) -> F64:
    """Return mean waveforms ``(units, points, channels)`` of the largest groups of large spikes of a recording.

    Troughs beyond 8 SD, grouped by their size on the four channels (k-means, seeded); only to have realistic shapes:
    nothing depends on whether the groups are neurons.
    """
    from scipy.cluster.vq import kmeans2

    sos = signal.butter(3, [300, 5000], "bandpass", fs=fs, output="sos")
    y = signal.sosfiltfilt(sos, x, axis=0)
    noise = np.median(np.abs(y), axis=0) / 0.6745
    depth = (y / noise).min(axis=1)
    peaks, _ = signal.find_peaks(-depth, height=8.0, distance=int(0.001 * fs))
    before, after = int(0.001 * fs), int(0.002 * fs)
    peaks = peaks[(peaks > before) & (peaks < len(x) - after)]
    sizes = (y / noise)[peaks]
    _, group = kmeans2(sizes, units + 2, seed=1, minit="++")
    most = np.argsort(-np.bincount(group, minlength=units + 2), kind="stable")[:units]
    window = np.hanning(before + after)[:, None] ** 0.25  # ends at zero
    means = [np.mean([y[p - before : p + after] for p in peaks[group == g]], axis=0) * window for g in most]
    return np.array(means)


def _blocks(x: F32) -> Iterator[F32]:
    for start in range(0, len(x), BLOCK):
        yield x[start : start + BLOCK]


def make(name: str, seed: int) -> Truth | None:
    """Make one recording, unless it is there; None where the samples are not."""
    folder, samples = truth_folder(name, seed), samples_folder()
    if is_finished(folder):
        return Truth.load(folder)
    if samples is None:
        return None
    if name == "hybrid_locust":
        made = make_locust(samples, seed, folder)
    else:
        made = make_kilosort(samples, seed, folder, RECIPES[name].seconds)
    print(f"{folder.name}: {len(made.unit)} spikes, sha256 {made.about['sha256'][:12]}")
    return made


if __name__ == "__main__":
    sys.exit(0 if make(sys.argv[1], int(sys.argv[2])) else "no sample recordings (RANVIER_SAMPLES)")
