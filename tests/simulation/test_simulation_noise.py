from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt, welch

from ranvier.simulation import RAIL_UV, SimulatedRecording, SimulationSpec
from ranvier.simulation.noise import noise_period

FS = 30000


def signals(seconds: float = 10.0, **settings: object) -> np.ndarray:
    spec = SimulationSpec(**{"probe": "A1x32-5mm-25-177", "num_units": 0, "duration_sec": seconds, **settings})
    recording = SimulatedRecording(spec)
    return recording.read(recording.start, recording.stop, range(32)).samples


def spike_band(samples: np.ndarray) -> np.ndarray:
    return sosfiltfilt(butter(4, (300, 6000), "bandpass", fs=FS, output="sos"), samples, axis=0)


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return signals(noise_uv=9.0, lfp_uv=0.0, mains_uv=0.0)


def test_noise_has_the_declared_size_in_the_spike_band(noise: np.ndarray) -> None:
    rms = spike_band(noise).std(axis=0)
    assert np.sqrt(np.mean(rms**2)) == pytest.approx(9.0, rel=0.05)
    assert rms.min() > 0.75 * 9
    assert rms.max() < 1.25 * 9
    # Gaussian: the median absolute deviation gives the same
    mad = np.median(np.abs(spike_band(noise)), axis=0) / 0.6745
    np.testing.assert_allclose(mad, rms, rtol=0.03)


def test_noise_is_coloured(noise: np.ndarray) -> None:
    hz, power = welch(noise, FS, nperseg=8192, axis=0)
    level = power.mean(axis=1)

    def at(low: float, high: float) -> float:
        return float(level[(hz >= low) & (hz < high)].mean())

    assert at(10, 30) > 5 * at(1000, 2000)
    assert at(1000, 2000) == pytest.approx(at(2000, 3000), rel=0.3)
    assert at(12000, 14000) < 0.4 * at(1000, 2000)


def test_noise_of_neighbours_is_alike_and_less_so_further_away(noise: np.ndarray) -> None:
    correlation = np.corrcoef(spike_band(noise).T)
    # channel i is site i + 1; on this probe site 1 is the lowest, then 32, 2, 31, ...
    order = [n // 2 if n % 2 == 0 else 31 - n // 2 for n in range(32)]
    correlation = correlation[np.ix_(order, order)]
    by_lag = [float(np.mean(np.diag(correlation, lag))) for lag in range(32)]
    assert 0.3 < by_lag[1] < 0.9
    assert by_lag[1] > by_lag[2] > by_lag[4] > by_lag[8] - 0.02
    assert max(abs(v) for v in by_lag[16:]) < 0.05


def test_independent_noise() -> None:
    correlation = np.corrcoef(spike_band(signals(noise_correlation_um=0.0, lfp_uv=0.0, mains_uv=0.0)).T)
    assert np.abs(correlation - np.eye(32)).max() < 0.05


@pytest.mark.parametrize("mains_hz", [50.0, 60.0, 49.97])
def test_hum_peaks_at_the_mains(mains_hz: float) -> None:
    hum = signals(noise_uv=1.0, lfp_uv=0.0, mains_uv=20.0, mains_hz=mains_hz)
    hz = np.fft.rfftfreq(len(hum), 1 / FS)
    amplitude = 2 * np.abs(np.fft.rfft(hum, axis=0)).mean(axis=1) / len(hum)
    assert hz[np.argmax(amplitude[hz > 5]) + np.count_nonzero(hz <= 5)] == pytest.approx(mains_hz, abs=0.1)
    # the third harmonic follows; the whole hum has the declared amplitude
    third = amplitude[np.abs(hz - 3 * mains_hz) < 0.15].max()
    assert 2.5 < third < 8
    expected = 20 * np.sqrt((1 + 0.25**2) / 2)
    assert np.sqrt(np.mean(hum**2)) == pytest.approx(expected, rel=0.15)


def test_lfp_has_the_declared_size_and_is_slow() -> None:
    lfp = signals(30.0, noise_uv=0.0, mains_uv=0.0, lfp_uv=150.0)[:, ::4]
    assert np.sqrt(np.mean(lfp**2)) == pytest.approx(150, rel=0.25)
    hz, power = welch(lfp, FS, nperseg=2**17, axis=0)
    level = power.mean(axis=1)
    assert level[hz < 100].sum() > 0.999 * level.sum()
    assert level[np.argmin(np.abs(hz - 7.5))] > 20 * level[np.argmin(np.abs(hz - 18))]
    # a gradient along the probe
    assert np.ptp(lfp.std(axis=0)) > 5


def test_tables_repeat_after_ten_seconds_or_later() -> None:
    for fs in (1000.0, 20000.0, 30000.0, 200000.0):
        assert noise_period(fs) >= 10 * fs
    recording = SimulatedRecording(SimulationSpec(num_units=0, mains_hz=0.0, duration_sec=80.0))
    period = noise_period(30000.0)
    a = recording.read(recording.start, recording.start + 3000, [0, 5]).samples
    b = recording.read(recording.start + period, recording.start + period + 3000, [0, 5]).samples
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(
        a, recording.read(recording.start + period // 2, recording.start + period // 2 + 3000, [0, 5]).samples
    )


def test_faulty_channels() -> None:
    bad = signals(dead_channels=(2,), saturated_channels=(4, 5), noisy_channels=(9,), noise_uv=8.0, num_units=5)
    assert np.all(bad[:, 2] == 0)
    for channel in (4, 5):
        at_rail = np.abs(bad[:, channel]) == np.float32(RAIL_UV)
        assert at_rail.mean() > 0.5
        assert {-1, 1} == set(np.sign(bad[at_rail, channel]).astype(int))
    rms = spike_band(bad).std(axis=0)
    healthy = [c for c in range(32) if c not in (2, 4, 5, 9)]
    assert rms[9] > 4 * np.median(rms[healthy])
    assert np.abs(bad[:, healthy]).max() < RAIL_UV
