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
    absorb_events,
    absorb_events_reference,
    explain_events,
    explain_events_reference,
    judge_events,
    judge_events_reference,
    peak_widths,
    peak_widths_reference,
)
from ranvier.sorting.geometry import geometry_of
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
    for first, last in ((0, 200), (37, 120)):
        got, wanted = np.empty((2, 3, last - first), np.uint8)
        judge_events(counters, sites, values, near, port, enough, 7, 30, first, last, *got)
        judge_events_reference(counters, sites, values, near, port, enough, 7, 30, first, last, *wanted)
        np.testing.assert_array_equal(got, wanted)
        assert (got.sum(axis=1) > 0).all()
        assert (got.sum(axis=1) < last - first).all()
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
    counters, spikes = np.sort(random.integers(0, 300, 60)), np.sort(random.integers(0, 300, 40))
    sites, at = random.integers(0, 8, 60).astype(np.int32), random.integers(0, 8, 40).astype(np.int32)
    got = [(np.empty(60, np.uint8), np.zeros(40, np.uint8)) for _ in range(2)]
    for function, (absorbed, flags) in zip((absorb_events, absorb_events_reference), got, strict=True):
        function(counters, sites, spikes, at, near, 6, absorbed, flags)
    values = np.empty((2, 60), np.float32)
    scales, of = random.uniform(0.5, 1.5, 40).astype(np.float32), random.integers(-1, 3, 40).astype(np.int32)
    shapes = random.standard_normal((3, 9, 8)).astype(np.float32)
    explain_events(counters, sites, spikes, of, scales, shapes, 3, values[0])
    explain_events_reference(counters, sites, spikes, of, scales, shapes, 3, values[1])
    np.testing.assert_allclose(values[0], values[1], atol=1e-5)
    assert (values[0] != 0).sum() > 20
    for a, b in zip(*got, strict=True):
        np.testing.assert_array_equal(a, b)
    assert 0 < got[0][0].sum() < 60


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
    assert (ring.first, ring.last) == (0, 2069)
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
