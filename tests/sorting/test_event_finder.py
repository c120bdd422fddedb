"""Threshold events of a stream: the same for any packets, the largest of near sites, no artifacts."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.metrics.event_levels import changed_params
from ranvier.models.signals import SignalType
from ranvier.models.simulation import SimulationSpec
from ranvier.models.spikesorter import SpikeDetectParams
from ranvier.recordings import plain_channels
from ranvier.recordings.block import Block
from ranvier.simulation import SimulatedRecording
from ranvier.sorting.event_finder import EventFinder, FinderSettings, default_detect_params
from ranvier.sorting.event_kernels import (
    judge_events,
    judge_events_reference,
    order_events,
    order_events_reference,
    peak_widths,
    peak_widths_reference,
    settle_events,
    settle_events_reference,
)
from ranvier.sorting.geometry import geometry_of
from ranvier.sorting.noise_tracker import NoiseTracker
from ranvier.sorting.running_kernels import (
    count_spikes,
    count_spikes_reference,
    middle_values,
    middle_values_reference,
)
from ranvier.sorting.spike_table import SpikeFlag, SpikeRing, SpikeTable
from ranvier.sorting.unit_statistics import UnitStatistics

FS = 30_000.0
SITES = 16


def settings(*changes: SpikeDetectParams, discover_noise: bool = True) -> FinderSettings:
    ntv = list(range(SITES))
    params = changed_params({}, changes or [SpikeDetectParams()], ntv, FS, default=default_detect_params, widths=True)
    near = np.array([[c, *[n if 0 <= n < SITES else -1 for n in (c - 1, c + 1)]] for c in ntv], np.int32)
    near = np.array([[r[0], *sorted(r[1:], key=lambda n: n < 0)] for r in near], np.int32)
    return FinderSettings.of(params, ntv, FS, near, np.zeros(SITES, np.int32), discover_noise=discover_noise)


def noise(seconds: float, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.standard_normal((round(seconds * FS), SITES)) * 10).astype(np.float32)


def put(x: np.ndarray, at: int, site: int, peak: float, width: int = 3) -> None:
    shape = np.exp(-0.5 * (np.arange(-15, 16) / width) ** 2)
    x[at - 15 : at + 16, site] += (peak * shape).astype(np.float32)


def found(x: np.ndarray, chosen: FinderSettings, sizes: list[int], start: int = 1000) -> tuple[SpikeTable, EventFinder]:
    finder = EventFinder(chosen, FS, SITES)
    parts, at, k = [], 0, 0
    while at < len(x):
        n = sizes[k % len(sizes)]
        parts.append(finder.process(Block(x[at : at + n].copy(), start + at)))
        at, k = at + n, k + 1
    parts.append(finder.flush())
    return SpikeTable.concatenate(parts), finder


@pytest.mark.parametrize("width", [None, [0.0001, 0.0009]])
def test_packets_do_not_matter(width: list[float] | None) -> None:
    x = noise(2.6)
    random = np.random.default_rng(3)
    for at in random.integers(100, len(x) - 100, 800):
        put(x, int(at), int(random.integers(SITES)), -float(random.uniform(40, 120)))
    chosen = settings(SpikeDetectParams(spike_width_sec=width))
    whole, _ = found(x, chosen, [len(x)])
    assert len(whole) > 300
    for sizes in ([30_000], [150], [31, 1, 77, 600]):
        parts, _ = found(x, chosen, sizes)
        for name in ("counter", "site", "amplitude_uv", "flags"):
            np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    assert (np.diff(whole.counter) >= 0).all()


def test_spikes_are_found_once_on_the_largest_site() -> None:
    x = noise(3.0)
    times = np.arange(40_000, 85_000, 500)
    for at in times:
        put(x, int(at), 5, -150)
        put(x, int(at) + 2, 6, -90)
        put(x, int(at), 12, -100)
    spikes, finder = found(x, settings(), [150])
    for site in (5, 12):
        own = spikes.counter[(spikes.site == site) & (np.abs(spikes.amplitude_uv) > 60)] - 1000
        assert len(own) == len(times)
        assert np.abs(own - times).max() <= 2
    assert not ((spikes.site == 6) & (spikes.amplitude_uv < -70)).any()
    assert finder.counts.by_neighbour >= len(times)
    np.testing.assert_allclose(finder.noise.sd_uv, 10, rtol=0.05)


def test_artifacts_widths_and_what_comes_everywhere() -> None:
    x = noise(3.0)
    put(x, 40_000, 2, -3000)
    put(x, 45_000, 4, -200, width=1)
    put(x, 50_000, 4, -200, width=5)
    for site in range(SITES):
        put(x, 60_000, site, -200)
    chosen = settings(
        SpikeDetectParams(weak_thr=[-1000, 1000], is_set_weak_thr=[True, True], spike_width_sec=[0.0002, 0.001])
    )
    spikes, finder = found(x, chosen, [150])
    at = spikes.counter - 1000
    assert not (np.abs(at - 40_000) < 30).any()
    assert finder.counts.artifacts == 1

    def flags_near(counter: int) -> int:
        (row,) = np.flatnonzero((np.abs(at - counter) < 5) & (np.abs(spikes.amplitude_uv) > 100))[:1]
        return int(spikes.flags[row])

    assert flags_near(45_000) & SpikeFlag.NOISE
    assert not flags_near(50_000) & SpikeFlag.NOISE
    assert flags_near(60_000) & SpikeFlag.NOISE
    kept, _ = found(x, settings(discover_noise=False), [150])
    both = (np.abs(kept.counter - 61_000) < 5) & (kept.flags & SpikeFlag.NOISE > 0)
    assert not both.any()


def test_gaps_nan_and_silent_sites() -> None:
    x = noise(2.0)
    x[:, 3] = 0
    x[20_000:20_100, 7] = np.nan
    put(x, 50_000, 8, -200)
    finder = EventFinder(settings(), FS, SITES)
    first = finder.process(Block(x[:30_000], 0))
    second = finder.process(Block(x[30_000:], 90_000))  # 60 000 samples are missing
    last = SpikeTable.concatenate([first, second, finder.flush()])
    assert np.isnan(finder.noise.sd_uv[3])
    assert not (last.site == 3).any()
    assert (np.diff(last.counter) >= 0).all()
    assert ((last.site == 8) & (np.abs(last.counter - 110_000) < 3)).any()
    again = finder.process(Block(noise(0.5), 0))  # the counter begins anew
    assert (again.counter < 20_000).all()


def test_kernels_are_their_references() -> None:
    random = np.random.default_rng(5)
    counters = np.sort(random.integers(0, 400, 200))
    sites = random.integers(0, SITES, 200).astype(np.int32)
    values = np.round(random.normal(0, 3, 200)).astype(np.float32)
    near = settings().near
    port = (np.arange(SITES) // 8).astype(np.int32)
    enough = np.array([3, 5], np.int64)
    low, high = np.full(SITES, -7.0, np.float32), np.full(SITES, 8.0, np.float32)
    for first, last in ((0, 200), (37, 120)):
        results = []
        for function in (judge_events, judge_events_reference):
            rows, flags, numbers = np.zeros(200, np.int64), np.zeros(200, np.uint8), np.zeros(4, np.int64)
            kept = function(
                counters, sites, values, near, port, enough, 7, 30, first, last, low, high, True, rows, flags, numbers
            )
            results.append((rows[:kept].tolist(), flags[:kept].tolist(), numbers.tolist()))
        assert results[0] == results[1]
        assert set(results[0][1]) == {1, 3}
        assert min(results[0][2]) > 0
    x = random.standard_normal((300, SITES)).astype(np.float32).cumsum(axis=0).astype(np.float32)
    rows, chosen = random.integers(0, 300, 50), random.integers(0, SITES, 50).astype(np.int32)
    most = random.integers(1, 20, 50)
    got = [np.empty(50, np.int64) for _ in range(2)]
    peak_widths(x, rows, chosen, most, got[0])
    peak_widths_reference(x, rows, chosen, most, got[1])
    np.testing.assert_array_equal(got[0], got[1])


def test_kernels_of_known_spikes_are_their_references() -> None:
    random = np.random.default_rng(1)
    near = np.array([[c, (c + 1) % 8, -1 if c % 2 else (c + 3) % 8] for c in range(8)], np.int32)
    place = random.permuted(np.tile(np.array([0, 1, 2, -1, -1, -1, -1, -1], np.int32), (3, 1)), axis=1)
    shapes = random.standard_normal((3, 3, 9)).astype(np.float32)
    row_of = np.array([-1, 2, 0, 1, -1], np.int32)
    results = []
    for function in (settle_events, settle_events_reference):
        random = np.random.default_rng(2)
        counters, spikes = np.sort(random.integers(0, 300, 60)), random.integers(0, 300, 40)
        sites, at = random.integers(0, 8, 60).astype(np.int32), random.integers(0, 8, 40).astype(np.int32)
        values, flags = random.normal(0, 1, 60).astype(np.float32), random.integers(1, 4, 60).astype(np.uint8)
        labels, scales = random.integers(0, 5, 40).astype(np.int32), random.uniform(0.5, 1.5, 40).astype(np.float32)
        held = np.array([55, 38])
        out = (np.zeros(60, np.int64), np.zeros(60, np.int32), np.zeros(60, np.float32), np.zeros(60, np.uint8))
        told = function(
            counters, sites, values, flags, spikes, at, labels, scales, held, near, row_of, place, shapes, 3, 6, 0.5,
            200, *out,
        )  # fmt: skip
        kept = [a[: held[0]] for a in (counters, sites, values, flags)]
        recent = [a[: held[1]] for a in (spikes, at, labels, scales)]
        results.append([*(a[:told] for a in out), *kept, *recent])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
    assert 10 < len(results[0][0]) < 45
    assert min(len(results[0][4]), len(results[0][8])) > 5


def test_kernels_of_running_numbers_are_their_references() -> None:
    random = np.random.default_rng(3)
    sample = random.standard_normal((101, 20)).astype(np.float32)
    sample[5, 3] = np.nan
    sample[:, 4] = 0.0
    guess = np.full(20, 0.67, np.float32)
    guess[7], guess[8] = np.nan, 100.0
    for rows in (101, 100, 1):
        got, wanted = np.empty((2, 20), np.float32)
        middle_values(sample, rows, guess, got)
        middle_values_reference(sample, rows, guess, wanted)
        np.testing.assert_array_equal(got, wanted)
    tables = []
    for function in (order_events, order_events_reference):
        random = np.random.default_rng(4)
        counters, sites, values = np.arange(0, 60, 2), np.arange(30, dtype=np.int32), np.arange(30, dtype=np.float32)
        new = (random.permutation(80)[:10], random.integers(0, 60, 10).astype(np.int32), -np.ones(10, np.float32))
        function(counters, sites, values, 20, *new)
        tables.append((counters, sites, values))
    for a, b in zip(*tables, strict=True):
        np.testing.assert_array_equal(a, b)
    numbers = []
    for function in (count_spikes, count_spikes_reference):
        random = np.random.default_rng(5)
        counts = (
            np.zeros(5, np.int64), np.zeros(5, np.int32), np.zeros((5, 3)), np.full(5, np.iinfo(np.int64).min),
            np.zeros(5, np.int64), np.zeros(5, np.int64), np.full(5, -1),
        )  # fmt: skip
        for part in range(2):
            n = 50
            counters, labels = np.sort(random.integers(0, 2000, n)) + 2000 * part, random.integers(0, 5, n)
            floats = random.normal(0, 50, (3, n)).astype(np.float32)
            function(counters, labels.astype(np.int32), np.arange(n, dtype=np.int32), *floats, 40, 300, 700, *counts)
        numbers.append(counts)
    for a, b in zip(*numbers, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert numbers[0][4][1:].min() > 0
    assert numbers[0][0][0] == 0


def test_units_are_counted() -> None:
    units = UnitStatistics(30_000.0)
    table = SpikeTable.empty(6)
    table.label[:] = [3, 0, 200, 3, 3, 0]
    table.amplitude_uv[:] = [-10, -500, 40, -20, -30, -500]
    table.site[:] = [1, 9, 4, 1, 2, 9]
    table.x_um[:], table.y_um[:] = 5.0, [10, 0, 70, 20, 30, 0]
    for _ in range(2):
        units.add(table)
    first, second = units.numbers()
    assert (first.label, first.site, first.count, first.mean_abs_peak_uv, first.x_um, first.y_um) == (
        3,
        2,
        6,
        20,
        5,
        20,
    )
    assert (second.label, second.site, second.count, second.mean_abs_peak_uv) == (200, 4, 2, 40)
    units.clear()
    assert units.numbers() == []


def test_near_sites_are_of_one_shank() -> None:
    channels = SimulatedRecording(SimulationSpec(probe="a2x8_5mm100_200_177")).channels
    sites = channels.take(channels.columns_of(SignalType.AMP))
    geometry = geometry_of(sites, np.arange(16))
    near = geometry.nearest(250.0, 4)
    assert near.shape == (16, 4)
    assert near[:, 0].tolist() == list(range(16))
    places = [(c.shank, c.site.y_um) for c in sites if c.site is not None]
    for k, row in enumerate(near):
        others = [n for n in row[1:] if n >= 0]
        assert len(others) >= 2
        assert {places[n][0] for n in others} == {places[k][0]}
        assert all(abs(places[n][1] - places[k][1]) <= 250 for n in others)
    assert (geometry.nearest(250.0, 1) == np.arange(16)[:, None]).all()
    alone = geometry_of(plain_channels(amp=5), np.arange(5)).nearest(9_000.0, 5)
    assert (alone[:, 1:] == -1).all()


def test_the_ring_forgets_the_oldest() -> None:
    ring = SpikeRing(100, 4)
    table = SpikeTable.empty(70)
    table.label[:] = 1
    for k in range(3):
        table.counter[:] = np.arange(70) + 1000 * k
        ring.add(table.take(slice(None)))
    assert (ring.total, ring.labelled, ring.by_site.tolist()) == (210, 210, [210, 0, 0, 0])
    kept = ring.read()
    assert kept.counter.tolist() == [*range(1040, 1070), *range(2000, 2070)]
    assert ring.read(1060, 2001).counter.tolist() == [*range(1060, 1070), 2000]
    large = SpikeTable.empty(250)
    large.counter[:] = np.arange(250) + 5000
    ring.add(large)
    assert ring.read().counter.tolist() == list(range(5150, 5250))
    ring.clear()
    assert len(ring.read()) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (SpikeDetectParams(thr=[20.0, 30.0]), "below and above 0"),
        (SpikeDetectParams(shadow=5.0), "ms instead of s"),
        (SpikeDetectParams(spike_width_sec=[0.001, 0.0005]), "rising"),
        (SpikeDetectParams(spike_width_sec=[0.1, 0.5]), "ms instead of s"),
    ],
)
def test_parameters_out_of_range(change: SpikeDetectParams, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        settings(change)


@pytest.mark.parametrize("packet", [30, 7, 1000])
def test_noise_is_measured_in_parts_and_in_force_at_the_same_samples_whatever_the_packets(packet: int) -> None:
    random = np.random.default_rng(1)
    x = random.standard_normal((6000, 37)).astype(np.float32) * np.linspace(1, 2, 6000, dtype=np.float32)[:, None]
    tracker, at, told = NoiseTracker(37, 1000), 0, {}
    while at < len(x):
        n = min(packet, tracker.left, len(x) - at)
        new = tracker.add(x[at : at + n])
        at += n
        if new:
            told[at] = tracker.sd_uv.copy()
    assert list(told) == [1000, 2100, 3100, 4100, 5100]  # the last piece is over, and not measured yet
    expected = np.full(37, np.nan)
    for piece, sd_uv in enumerate(told.values()):
        level = np.median(np.abs(x[1000 * piece : 1000 * piece + 1000 : 16]), axis=0) / 0.6744897501960817
        bounded = level if piece == 0 else np.clip(level, 0.8 * expected, 1.2 * expected)
        expected = level if piece == 0 else expected + (bounded - expected) / (piece + 1)
        np.testing.assert_allclose(sd_uv, expected, rtol=1e-5)
