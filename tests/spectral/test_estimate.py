"""Densities, spectrograms and coherence against scipy.signal, and what must hold for any of them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from ranvier.dsp.parallel import Team
from ranvier.exceptions import ConfigurationError, JobCancelledError
from ranvier.models.spectral import SpectralWindowType
from ranvier.recordings.memory import ArrayRecording
from ranvier.recordings.segments import Segments
from ranvier.spectral.bands import band_power, check_bands
from ranvier.spectral.downsampled import DownsampledRecording, factor_for
from ranvier.spectral.estimate import Watch, cross_density, density, spectrogram
from ranvier.spectral.fft_kernels import CONSTANT, RAW
from ranvier.spectral.frames import Framing
from ranvier.spectral.tapers import tapers
from ranvier.spectral.windows import variance_reduction, window

FS = Fraction(2000)
NAMES = {
    SpectralWindowType.RECT: "boxcar",
    SpectralWindowType.HANN: "hann",
    SpectralWindowType.HAMMING: "hamming",
    SpectralWindowType.BLACKMAN: "blackman",
}


def recording(rows: int = 9000, channels: int = 5, seed: int = 0, **more: object) -> ArrayRecording:
    rng = np.random.default_rng(seed)
    t = np.arange(rows) / float(FS)
    x = rng.standard_normal((rows, channels)) * 8 + 40 * np.sin(2 * np.pi * 60 * t)[:, None] + 100
    return ArrayRecording(x.astype(np.float32), FS, **more)  # type: ignore[arg-type]


def columns(r: ArrayRecording) -> np.ndarray:
    return np.arange(len(r.channels), dtype=np.int64)


@pytest.mark.parametrize(("kind", "name"), NAMES.items())
@pytest.mark.parametrize("n", [7, 64, 1000])
def test_windows_are_those_of_scipy(kind: SpectralWindowType, name: str, n: int) -> None:
    np.testing.assert_allclose(window(kind, n), signal.get_window(name, n), atol=1e-14)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [256, 500, 77, 1021])  # our kernel (two), an odd length, a prime
@pytest.mark.parametrize("detrend", [RAW, CONSTANT])
def test_density_equals_welch_of_scipy(name: SpectralWindowType, n: int, detrend: int) -> None:
    r = recording()
    hop = n - n // 3
    found = density(r, 0, r.stop, columns(r), Framing(FS, window(name, n)[None], hop, detrend))
    f, expected = signal.welch(
        r.samples.astype(np.float64), float(FS), NAMES[name], n, n // 3, axis=0,
        detrend="constant" if detrend == CONSTANT else False,
    )  # fmt: skip
    np.testing.assert_allclose(found.frequencies_hz, f, rtol=1e-12)
    scale = 1e-10 * expected.max() if detrend == CONSTANT else 0  # scipy's own constant is exact to rounding only
    np.testing.assert_allclose(found.density.T, expected, rtol=1e-6, atol=scale)
    assert found.segments.tolist() == [(len(r.samples) - n) // hop + 1] * 5


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(300, 2500),
    n=st.sampled_from([64, 90, 77, 250]),
    tile=st.integers(1, 20_000),
    workers=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_neither_tiles_nor_workers_change_a_bit(rows: int, n: int, tile: int, workers: int, seed: int) -> None:
    r = recording(rows, 20, seed)
    framing = Framing(FS, np.stack([window(SpectralWindowType.HANN, n), np.ones(n)]), max(1, n // 2))
    whole = density(r, 0, rows, columns(r), framing)
    pieces = density(r, 0, rows, columns(r), framing, tile_values=tile, team=Team(workers))
    np.testing.assert_array_equal(whole.density, pieces.density)
    a = spectrogram(r, 5, rows, columns(r), framing)
    b = spectrogram(r, 5, rows, columns(r), framing, tile_values=tile, team=Team(workers))
    np.testing.assert_array_equal(a, b)


@settings(max_examples=20, deadline=None)
@given(n=st.sampled_from([64, 100, 77, 512]), seed=st.integers(0, 1000))
def test_parseval_the_density_sums_up_to_the_mean_square(n: int, seed: int) -> None:
    x = (np.random.default_rng(seed).standard_normal((4 * n, 3)) * 10).astype(np.float32)
    r = ArrayRecording(x, FS)
    found = density(r, 0, 4 * n, columns(r), Framing(FS, np.ones((1, n)), n, RAW))
    power = found.density.sum(axis=1) * float(FS) / n
    np.testing.assert_allclose(power, np.mean(x.astype(np.float64) ** 2, axis=0), rtol=1e-10)
    banded = band_power(found.frequencies_hz, found.density, {"all": (0.0, 1e9)})
    np.testing.assert_allclose(banded[:, 0], power, rtol=1e-12)


def test_spectrogram_equals_that_of_scipy() -> None:
    r = recording(4000)
    framing = Framing(FS, window(SpectralWindowType.HANN, 256)[None], 64)
    found = spectrogram(r, 0, 4000, columns(r), framing, keep=slice(3, 40))
    _, _, expected = signal.spectrogram(
        r.samples.astype(np.float64), float(FS), "hann", 256, 192, axis=0, detrend="constant"
    )
    np.testing.assert_allclose(found, np.moveaxis(expected, 1, 0)[:, 3:40], rtol=1e-6, atol=1e-10)


def test_cross_density_and_coherence_equal_those_of_scipy() -> None:
    rng = np.random.default_rng(5)
    common = rng.standard_normal(8000)
    x = np.stack([common + rng.standard_normal(8000), np.roll(common, 3) + rng.standard_normal(8000), common], axis=1)
    r = ArrayRecording(x.astype(np.float32), FS)
    framing = Framing(FS, window(SpectralWindowType.HANN, 200)[None], 100)
    pairs = [(0, 1), (2, 0)]
    found = cross_density(r, 0, 8000, columns(r), pairs, framing)
    for i, (a, b) in enumerate(pairs):
        y = r.samples.astype(np.float64)
        _, cross = signal.csd(y[:, a], y[:, b], float(FS), "hann", 200, 100)
        _, coherence = signal.coherence(y[:, a], y[:, b], float(FS), "hann", 200, 100)
        np.testing.assert_allclose(found.cross[i, 1:], cross[1:], rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(found.coherence(pairs)[i, 1:], coherence[1:], rtol=1e-6)


def test_segments_that_touch_a_gap_or_nan_are_left_out() -> None:
    x = recording(3000).samples.copy()
    x[100, 2] = np.nan
    gappy = Segments.from_runs([(0, 1500), (1600, 1500)])
    r = ArrayRecording(x, FS, segments=gappy)
    n, hop = 200, 100
    found = density(r, 0, 3100, columns(r), Framing(FS, window(SpectralWindowType.HANN, n)[None], hop))
    grid = range(0, 3100 - n + 1, hop)
    whole = [a for a in grid if a + n <= 1500 or a >= 1600]
    assert found.planned == len(grid)
    assert found.segments.tolist() == [len(whole)] * 2 + [len(whole) - 2] + [len(whole)] * 2
    each = [signal.periodogram(r.read(a, a + n).samples[:, 0].astype(np.float64), float(FS), "hann")[1] for a in whole]
    np.testing.assert_allclose(found.density[0, 1:], np.mean(each, axis=0)[1:], rtol=1e-6)


def test_a_channel_without_any_sample_is_nan_never_zero() -> None:
    x = recording(1000).samples.copy()
    x[:, 1] = np.nan
    r = ArrayRecording(x, FS)
    found = density(r, 0, 1000, columns(r), Framing(FS, window(SpectralWindowType.HANN, 100)[None], 50))
    assert np.isnan(found.density[1]).all()
    assert np.isfinite(found.density[[0, 2, 3, 4]]).all()
    assert found.segments[1] == 0


def test_multitaper_is_the_mean_over_tapers_and_scatters_less() -> None:
    x = np.random.default_rng(2).standard_normal((4096, 1)).astype(np.float32)
    r = ArrayRecording(x, FS)
    many = density(r, 0, 4096, columns(r), Framing(FS, tapers(4096, 4.0), 4096, RAW))
    one = density(r, 0, 4096, columns(r), Framing(FS, np.ones((1, 4096)), 4096, RAW))
    y = x[:, 0].astype(np.float64)
    eigen = [np.abs(np.fft.rfft(y * w)) ** 2 for w in signal.windows.dpss(4096, 4.0, 7)]
    expected = 2 * np.mean(eigen, axis=0) / float(FS)
    np.testing.assert_allclose(many.density[0, 1:-1], expected[1:-1], rtol=1e-8)
    assert np.std(many.density[0, 20:-20]) < 0.55 * np.std(one.density[0, 20:-20])
    assert np.mean(many.density[0]) == pytest.approx(2 / float(FS), rel=0.05)


@pytest.mark.parametrize(("time_bandwidth", "count"), [(0.5, None), (300.0, None), (4.0, 9), (4.0, 0)])
def test_tapers_that_cannot_be_are_refused(time_bandwidth: float, count: int | None) -> None:
    with pytest.raises(ConfigurationError, match=r"taper|time_bandwidth"):
        tapers(400, time_bandwidth, count)


def test_averaging_lowers_the_variance_as_predicted() -> None:
    n, hop = 64, 32
    w = window(SpectralWindowType.HANN, n)
    segments = 20
    predicted = variance_reduction(w, hop, segments)
    x = np.random.default_rng(9).standard_normal((n + (segments - 1) * hop, 4000)).astype(np.float32)
    r = ArrayRecording(x, FS)
    found = density(r, 0, len(x), columns(r), Framing(FS, w[None], hop, RAW))
    bins = found.density[:, 5:28]
    measured = np.mean(np.mean(bins, axis=0) ** 2 / np.var(bins, axis=0))
    assert measured == pytest.approx(predicted, rel=0.06)
    assert variance_reduction(w, n, 10) == pytest.approx(10)


def test_progress_is_told_and_cancel_is_heard() -> None:
    r = recording()
    framing = Framing(FS, window(SpectralWindowType.HANN, 100)[None], 50)
    seen: list[tuple[int, int]] = []
    watch = Watch(lambda done, total: seen.append((done, total)))
    density(r, 0, r.stop, columns(r), framing, watch=watch, tile_values=2000)
    assert len(seen) > 5
    assert seen[-1] == (r.stop, r.stop)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    with pytest.raises(JobCancelledError):
        density(r, 0, r.stop, columns(r), framing, watch=Watch(cancelled=lambda: True))


@pytest.mark.parametrize(("n", "hop"), [(1, 1), (10, 0), (10, 11)])
def test_frames_that_cannot_be_are_refused(n: int, hop: int) -> None:
    with pytest.raises(ConfigurationError, match="frames"):
        Framing(FS, np.ones((1, n)), hop)


@pytest.mark.parametrize("bands", [{}, {"a": (5.0, 5.0)}, {"a": (-1.0, 5.0)}, {"a": (1000.0, 2000.0)}])
def test_bands_that_cannot_be_are_named(bands: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(ConfigurationError, match="bands go from low to high"):
        check_bands(bands, 1000.0)


def test_a_lower_rate_shows_the_same_spectrum_below_half_of_it() -> None:
    fs = Fraction(30000)
    rng = np.random.default_rng(8)
    x = (rng.standard_normal((120_000, 3)) * 10).astype(np.float32)
    r = ArrayRecording(x, fs, start=12_345)
    factor = factor_for(fs, 1000.0)
    assert factor == 24
    lower = DownsampledRecording(r, factor)
    assert lower.fs == fs / 24
    hann = SpectralWindowType.HANN
    slow = density(lower, lower.start, 5500, columns(r), Framing(lower.fs, window(hann, 500)[None], 250))
    start = lower.start * factor
    fast = density(r, start, 5500 * factor, columns(r), Framing(fs, window(hann, 12_000)[None], 6_000))
    inside = np.flatnonzero((slow.frequencies_hz > 3) & (slow.frequencies_hz < 490))
    ratio = slow.density[:, inside] / fast.density[:, inside]
    assert np.median(np.abs(ratio - 1)) < 1e-3
    assert np.abs(ratio - 1).max() < 0.2
    beyond = slow.frequencies_hz > 600  # where the filter against aliasing acts
    assert slow.density[:, beyond].mean() < 0.3 * slow.density[:, inside].mean()


def test_reads_at_a_lower_rate_do_not_depend_on_where_they_begin() -> None:
    x = np.random.default_rng(1).standard_normal((9000, 4)).astype(np.float32)
    r = ArrayRecording(x, FS, segments=Segments.from_runs([(7, 4000), (5000, 5000)]))
    lower = DownsampledRecording(r, 10)
    assert (lower.start, lower.stop) == (1, 1000)
    whole = lower.read(lower.start, lower.stop).samples
    assert np.isnan(whole[401 - 1 : 500 - 1]).all()
    assert np.isfinite(whole[: 401 - 1]).all()
    for a, b in ((1, 50), (390, 520), (600, 601), (900, 1000)):
        np.testing.assert_array_equal(lower.read(a, b, [2, 0]).samples, whole[a - 1 : b - 1][:, [2, 0]])


def test_a_higher_rate_than_that_of_the_recording_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="above the recording's own rate"):
        factor_for(FS, 2500.0)
    assert factor_for(FS, 1990.0) == 1
    assert factor_for(Fraction(2 * 7919), 1.0) >= 1
