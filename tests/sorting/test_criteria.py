"""Which waveforms are a spike's, behind the sorter's filters: those of neurons are, artifacts and ringing are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import butter, sosfilt

from ranvier.simulation.templates import Waveform
from ranvier.sorting.criteria import odd_shape
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.window import Window

FS = 30_000.0
F64 = npt.NDArray[np.float64]


def filtered(signal: F64, fs_hz: float = FS) -> F64:
    p = SorterParameters()
    assert p.band_hz is not None
    design = butter(p.filter_order, p.band_hz, "bandpass", fs=fs_hz, output="sos")
    return np.asarray(sosfilt(design, signal), np.float64)


def behind_filter(shape: Callable[[F64], F64], fs_hz: float = FS) -> npt.NDArray[np.float32]:
    """Return a shape (a function of ms) behind the sorter's causal filter, in the sorter's window about its trough."""
    signal = filtered(shape(np.arange(-600, 600) / fs_hz * 1e3), fs_hz)
    window, trough = Window.of(SorterParameters(), fs_hz), int(signal[300:900].argmin()) + 300
    return np.asarray(signal[trough - window.before : trough + window.after + 1], np.float32)


@pytest.mark.parametrize("fs_hz", [20_000.0, 30_000.0, 40_000.0])
def test_simulated_neurons_are_no_noise_for_their_slow_undershoot(fs_hz: float) -> None:
    deep = 0
    for seed in range(200):
        waveform = 80 * behind_filter(Waveform.draw(np.random.default_rng(seed)).at, fs_hz)
        assert odd_shape(waveform, fs_hz) == "", seed
        peak = int(waveform[waveform.argmin() :].argmax()) + int(waveform.argmin())
        deep += waveform[peak:].min() < 0.2 * waveform.min()
    assert deep > 60  # of 200 a fifth of the trough or more: the filter's doing


def test_noise_on_a_mean_waveform_makes_no_troughs() -> None:
    """The mean of 30 spikes of SNR 5 keeps noise, whose ripples stand on the undershoot."""
    random, odd = np.random.default_rng(2), 0
    for seed in range(400):
        waveform = behind_filter(Waveform.draw(np.random.default_rng(seed)).at)
        noise = filtered(random.standard_normal(600))
        ripples = (noise / noise[300:].std())[-len(waveform) :] / (5 * np.sqrt(30))
        odd += bool(odd_shape((80 * (waveform / -waveform.min() + ripples)).astype(np.float32), FS))
    assert odd <= 8


def test_real_templates_are_spikes(samples: Path) -> None:
    """The 15 units of a Kilosort output, unwhitened, and once more through the sorter's filter."""
    folder = samples / "kilosort_bombcell_toy"
    templates = np.load(folder / "templates.npy") @ np.load(folder / "whitening_mat_inv.npy")
    for template in templates:
        own = template[:, template.min(axis=0).argmin()]
        at = np.arange(len(own)) - int(own.argmin())

        def shape(ms: F64, own: F64 = own, at: npt.NDArray[np.int64] = at) -> F64:
            return np.interp(ms * FS * 1e-3, at, own, 0.0, 0.0)

        assert odd_shape(behind_filter(shape), FS) == ""


def ringing(khz: float, decay_ms: float) -> Callable[[F64], F64]:
    return lambda ms: np.where(ms >= 0, -np.sin(2 * np.pi * khz * ms) * np.exp(-np.abs(ms) / decay_ms), 0.0)


def pulse(width_ms: float, tail: float = 0.0) -> Callable[[F64], F64]:
    """Return a biphasic stimulation pulse, and what the electrode gives back slowly."""

    def shape(ms: F64) -> F64:
        first, second = (ms >= 0) & (ms < width_ms), (ms >= width_ms) & (ms < 2 * width_ms)
        slow = np.where(ms >= 2 * width_ms, np.exp(-np.abs(ms - 2 * width_ms) / 2.0), 0.0)
        return np.asarray(second - 1.0 * first - tail * slow, np.float64)

    return shape


def bump(width_ms: float, sign: float = -1.0, again_ms: float | None = None) -> Callable[[F64], F64]:
    def shape(ms: F64) -> F64:
        again = 0.0 if again_ms is None else 0.8 * np.exp(-0.5 * ((ms - again_ms) / width_ms) ** 2)
        return np.asarray(sign * (np.exp(-0.5 * (ms / width_ms) ** 2) + again), np.float64)

    return shape


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        (ringing(1.0, 1.0), "peaks and 2 troughs"),
        (ringing(1.5, 0.5), "peaks and 2 troughs"),
        (ringing(2.0, 1.0), "peaks and 3 troughs"),
        (ringing(3.0, 3.0), "peaks"),
        (ringing(5.0, 1.0), "peaks"),
        (pulse(0.1), "2 troughs"),
        (pulse(0.2, tail=0.3), "2 troughs"),
        (bump(0.08, again_ms=0.6), "2 troughs"),
        (bump(0.3), "width at half"),
        (bump(2.0), "width at half"),
        (bump(0.08, sign=1.0), "peak comes"),
        (lambda ms: np.where(ms >= 0, np.exp(-np.abs(ms) / 2.0), 0.0), "width at half"),
    ],
)
def test_artifacts_and_ringing_are_no_spikes(shape: Callable[[F64], F64], why: str) -> None:
    assert why in odd_shape(50 * behind_filter(shape), FS)
