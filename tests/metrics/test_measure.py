"""Measures against NumPy on the whole array, chunking, gaps, NaN, memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.exceptions import DataProcessingError, JobCancelledError, SignalSelectionError, TimeRangeError
from ranvier.metrics import ChannelMeter, ChannelStatistics, measure
from ranvier.metrics import kernels as k
from ranvier.metrics import statistics as statistics_module
from ranvier.models.signals import SignalType
from ranvier.recordings import Block, Segments, plain_channels

ARRAYS = [f.name for f in fields(ChannelStatistics) if f.name not in ("fs", "start", "stop", "packets")]


def assert_same_bits(a: ChannelStatistics, b: ChannelStatistics) -> None:
    for name in ARRAYS:
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name
    assert (a.fs, a.start, a.stop, a.packets) == (b.fs, b.start, b.stop, b.packets)


def noise(n: int, channels: int, seed: int = 0, sd_uv: float = 10.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, sd_uv, (n, channels)).astype(np.float32)


def test_against_numpy_on_the_whole_array(recording_of: Callable) -> None:
    x = noise(10_000, 3) + np.float32([0, 100, -2000])
    found = measure(recording_of(x))
    exact = x.astype(np.float64)
    np.testing.assert_allclose(found.mean_uv, exact.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.sd_uv, exact.std(0), rtol=1e-12)
    np.testing.assert_allclose(found.rms_uv, np.sqrt((exact**2).mean(0)), rtol=1e-12)
    np.testing.assert_array_equal(found.min_uv, x.min(0))
    np.testing.assert_array_equal(found.max_uv, x.max(0))
    packets = x.reshape(10, 1000, 3)
    mad = np.median(np.abs(packets - np.median(packets, axis=1, keepdims=True)), axis=1)
    np.testing.assert_allclose(found.noise_uv, np.median(mad, axis=0) / 0.6745, rtol=1e-6)
    np.testing.assert_allclose(found.noise_uv, 10.0, rtol=0.05)
    assert found.n.tolist() == [10_000] * 3
    assert (found.packets, found.start, found.stop) == (10, 0, 10_000)
    assert found.saturated_fraction.tolist() == [0.0] * 3


def test_spikes_and_a_short_artifact_hardly_move_the_noise(recording_of: Callable) -> None:
    x = noise(20_000, 2)
    x[::100, 1] -= 300.0
    x[5000:5400, 1] += 5000.0
    found = measure(recording_of(x))
    assert found.noise_uv[1] == pytest.approx(found.noise_uv[0], rel=0.04)
    assert found.sd_uv[1] > 10 * found.sd_uv[0]


def metered(x: np.ndarray, fs: Fraction, start: int, cuts: list[int], workers: int = 1) -> ChannelStatistics:
    meter = ChannelMeter(fs, np.arange(x.shape[1]), workers=workers)
    edges = [0, *sorted(cuts), len(x)]
    for a, b in pairwise(edges):
        if b > a:
            meter.add(Block(np.ascontiguousarray(x[a:b]), start + a))
    return meter.finish()


@settings(max_examples=40, deadline=None)
@given(
    start=st.integers(0, 3000),
    fs=st.sampled_from([Fraction(500), Fraction(1000, 3), Fraction(24414_0625, 1000_000), Fraction(50)]),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
    workers=st.integers(1, 3),
)
def test_chunking_is_invisible(start: int, fs: Fraction, cuts: list[int], workers: int) -> None:
    x = noise(2000, 3, seed=start) * np.float32([1, 3, 0.1]) + np.float32(500)
    x[100:130, 1] = np.nan
    assert_same_bits(metered(x, fs, start, []), metered(x, fs, start, cuts, workers))


def test_read_size_is_invisible(recording_of: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = recording_of(noise(5300, 4), 1000)
    whole = measure(recording)
    monkeypatch.setattr("ranvier.metrics.measuring._VALUES_PER_READ", 4 * 77)
    assert_same_bits(whole, measure(recording, workers=2))


def test_packets_are_counted_from_counter_0() -> None:
    meter = ChannelMeter(Fraction(1000, 3), np.arange(1))
    assert [meter._grid.start_of(i) for i in range(4)] == [0, 334, 667, 1000]
    # the same samples, but 700 counters later: packets of 300, 1000 and 700 samples, of which the first is ignored
    x = noise(2000, 1)
    x[:300] *= 100
    shifted = metered(x, Fraction(1000), 700, [])
    parts = [x[300:1300], x[1300:]]
    mads = [np.median(np.abs(p - np.median(p))) for p in parts]
    assert shifted.packets == 3
    assert shifted.noise_uv[0] == pytest.approx(np.median(mads) / 0.6745, rel=1e-6)


def test_a_recording_shorter_than_half_a_second_has_a_noise(recording_of: Callable) -> None:
    assert measure(recording_of(noise(300, 1))).noise_uv[0] == pytest.approx(10.0, rel=0.2)


def test_gaps_and_nan_are_left_out(recording_of: Callable) -> None:
    x = noise(6000, 2)
    segments = Segments(np.array([100, 10_000_000], np.int64), np.array([2500, 3500], np.int64))
    found = measure(recording_of(x, 1000, segments))
    assert found.n.tolist() == [6000, 6000]
    assert found.packets == 7  # 900 + 1000 + 600 and 1000 + 1000 + 1000 + 500: the gap costs nothing
    np.testing.assert_allclose(found.sd_uv, x.astype(np.float64).std(0), rtol=1e-12)
    x[:, 1] = np.nan
    x[::2, 0] = np.nan
    found = measure(recording_of(x, 1000, segments))
    assert found.n.tolist() == [3000, 0]
    assert found.noise_uv[0] == pytest.approx(10.0, rel=0.05)
    nothing = [found.mean_uv, found.rms_uv, found.sd_uv, found.noise_uv, found.min_uv, found.max_uv]
    assert np.isnan([values[1] for values in nothing]).all()
    assert (found.saturated_fraction[1], found.flat_fraction[1]) == (0.0, 0.0)


def test_range_and_columns(recording_of: Callable) -> None:
    channels = plain_channels(amp=3, ain=1)
    x = noise(4000, 4)
    recording = recording_of(x, 1000, channels=channels)
    assert measure(recording).columns.tolist() == [0, 1, 2]  # amplifier channels
    found = measure(recording, start=1500, stop=99_000, columns=[3, 0])
    assert (found.start, found.stop, found.columns.tolist()) == (1500, 4000, [3, 0])
    np.testing.assert_allclose(found.sd_uv, x[1500:, [3, 0]].astype(np.float64).std(0), rtol=1e-12)
    with pytest.raises(TimeRangeError):
        measure(recording, start=4000, stop=5000)
    with pytest.raises(SignalSelectionError, match="no amplifier channel"):
        measure(recording_of(x, 1000, channels=plain_channels(ain=4)))


def test_progress_and_cancel(recording_of: Callable) -> None:
    recording = recording_of(noise(300_000, 1), 1000)
    seen: list[tuple[int, int]] = []
    measure(recording, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1 << 18, 300_000), (300_000, 300_000)]
    with pytest.raises(JobCancelledError, match=r"memory\.xdat"):
        measure(recording, cancelled=lambda: len(seen) > 0)


def test_blocks_that_run_backwards_are_refused() -> None:
    meter = ChannelMeter(Fraction(1000), np.arange(1))
    meter.add(Block(noise(10, 1), 100))
    with pytest.raises(DataProcessingError, match="sample 105 came after sample 109"):
        meter.add(Block(noise(10, 1), 105))


def test_rails_of_the_converter(recording_of: Callable) -> None:
    counts = np.random.default_rng(0).normal(0, 50, (5000, 3)).round().astype(np.int16)
    counts[::50, 1] = 32767 - np.arange(100)  # near the top, no plateau: 2 %
    counts[::25, 2] = -32768
    gained = plain_channels(amp=3)
    found = measure(recording_of(counts, 1000, channels=gained))
    np.testing.assert_allclose(found.saturated_fraction, [0.0, 0.02, 0.04])
    assert recording_of(counts).channels.count(SignalType.AMP) == 3


def test_own_clipping_level(recording_of: Callable) -> None:
    x = noise(20_000, 4, sd_uv=200.0)
    x[:, 1] = np.clip(x[:, 1], -400, 400)  # both sides: 4.55 %
    x[:, 2] = np.minimum(x[:, 2], 400)  # one side: 2.28 %
    x[:, 3] = np.round(x[:, 3] / 5) * 5  # a coarse converter is no clipping
    found = measure(recording_of(x))
    np.testing.assert_allclose(found.saturated_fraction, [0.0, 0.0455, 0.0228, 0.0], atol=0.004)


def test_flat(recording_of: Callable) -> None:
    x = noise(5000, 3)
    x[:, 1] = 12.5
    x[1000:3500, 2] = 0.0
    found = measure(recording_of(x))
    np.testing.assert_allclose(found.flat_fraction, [0.0, 1.0, 0.5], atol=2e-3)
    assert found.sd_uv[1] == 0.0
    assert found.saturated_fraction[1] == 0.0


def test_extremes_merge_over_packets() -> None:
    # packets whose extremes differ, tie and repeat, some without a sample: counts and sums are those of the whole
    x = np.round(noise(6000, 3, sd_uv=3.0)).astype(np.float32)
    x[:2000, 1] = 4.0
    x[1000:1500, 2] = np.nan
    unknown = np.full(3, np.inf, np.float32)
    totals, part, whole = statistics_module._empty(3), *np.empty((2, 3, k.COLUMNS))
    for rows in np.split(x, 60):
        k.packet_table(np.ascontiguousarray(rows.T), -unknown, unknown, part)
        totals = statistics_module._merged(totals, part)
    k.packet_table(np.ascontiguousarray(x.T), -unknown, unknown, whole)
    extremes = slice(k.MIN, k.N_MAX_2 + 1)
    np.testing.assert_array_equal(totals[:, extremes], whole[:, extremes])
    assert (totals[:, k.N_MAX] > 0).all()
    np.testing.assert_array_equal(totals[:, k.COUNT], whole[:, k.COUNT])
    np.testing.assert_allclose(totals[:, [k.MEAN, k.M2]], whole[:, [k.MEAN, k.M2]], rtol=1e-11)


def test_memory_does_not_grow_with_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics_module, "KEPT_PACKETS", 64)
    x = noise(100, 2)
    meter = ChannelMeter(Fraction(10), np.arange(2))

    def feed(blocks: range) -> int:
        for i in blocks:
            meter.add(Block(x, i * 100))
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        early, late = feed(range(50)), feed(range(50, 300))
    finally:
        tracemalloc.stop()
    assert late - early < 50_000
    assert 32 <= len(meter._kept) <= 65
    assert {index % meter._stride for index, _, _ in meter._kept} == {0}
    assert meter.finish().noise_uv[0] == pytest.approx(metered(x, Fraction(10), 0, []).noise_uv[0], rel=0.1)


def test_blocks_are_not_changed() -> None:
    x = noise(1500, 2)
    before = x.copy()
    metered(x, Fraction(1000), 0, [700])
    np.testing.assert_array_equal(x, before)
