"""Bridged channels, sites outside the brain, noise of a channel's own: verdicts on synthetic tissue, and features."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from ranvier.checks.tissue import broken_probe
from ranvier.metrics import measure, quality_table
from ranvier.metrics.likeness import likeness
from ranvier.metrics.quality import TREND_OUTSIDE, unusable
from ranvier.models.quality import ChannelQualityTable
from ranvier.recordings.memory import ArrayRecording
from ranvier.recordings.segments import Segments


def judged(recording: ArrayRecording) -> ChannelQualityTable:
    stats = measure(recording)
    columns = np.arange(len(recording.channels))
    alike = likeness(
        recording, recording.channels, columns, 0, recording.stop, ~unusable(stats), outside_limit=TREND_OUTSIDE
    )
    return quality_table("x", stats, recording.channels, alike=alike)


@pytest.mark.parametrize("seed", [201, 202, *(pytest.param(s, marks=pytest.mark.slow) for s in (203, 204, 205, 206))])
def test_verdicts_on_broken_probes(seed: int) -> None:
    """One or two mistakes in a probe happen; ``benchmarks/bench_quality.py`` counts them over many."""
    probe = broken_probe(seed, seconds=2.0, channels=48)
    found = [c.verdict.value for c in judged(probe.recording).channels]
    mistakes = [(i, a, b) for i, (a, b) in enumerate(zip(probe.truth, found, strict=True)) if a != b]
    assert len(mistakes) <= 2, mistakes
    broken = [i for i, truth in enumerate(probe.truth) if truth != "good"]
    assert sum(found[i] == probe.truth[i] for i in broken) >= len(broken) - 1


@pytest.fixture(scope="module")
def good() -> ArrayRecording:
    return broken_probe(300, seconds=1.5, channels=32, broken=False).recording


def changed(good: ArrayRecording, **columns: np.ndarray) -> ArrayRecording:
    x = good.samples.copy()
    for name, values in columns.items():
        x[:, int(name[1:])] = values
    return ArrayRecording(x, good.fs, good.channels)


def test_a_whole_probe_is_good(good: ArrayRecording) -> None:
    assert judged(good).good == list(range(32))


def test_bridged_channels_name_each_other(good: ArrayRecording) -> None:
    table = judged(changed(good, c20=good.samples[:, 3]))
    assert table.by_verdict("bridged") == [3, 20]
    assert table.channels[3].bridged_to == (20,)
    assert "pri_20" in table.channels[3].reasons[0]


def test_an_unconnected_channel_is_dead_by_its_likeness(good: ArrayRecording) -> None:
    noise = np.random.default_rng(0).standard_normal(len(good.samples)) * 6
    channel = judged(changed(good, c9=noise)).channels[9]
    assert channel.verdict == "dead"
    assert channel.likeness is not None
    assert channel.likeness < -0.5


def test_outside_needs_a_known_geometry(good: ArrayRecording) -> None:
    rng = np.random.default_rng(1)
    slow = 30 * np.sin(2 * np.pi * 7 * np.arange(len(good.samples)) / 30_000)  # field potentials reach out of the brain
    above = {f"c{c}": slow + rng.standard_normal(len(slow)) * 4 for c in range(20, 32)}
    outside = changed(good, **above)
    assert judged(outside).by_verdict("outside") == list(range(20, 32))
    assumed = ArrayRecording(outside.samples, good.fs, replace(good.channels, geometry_source="assumed"))
    assert judged(assumed).by_verdict("outside") == []
    below = {f"c{c}": slow + rng.standard_normal(len(slow)) * 4 for c in range(12)}
    assert judged(changed(good, **below)).by_verdict("outside") == []  # the tip is in tissue, or nothing is


def test_pieces_with_missing_samples_are_passed_over(good: ArrayRecording) -> None:
    x = good.samples.copy()
    x[1000, 4] = np.nan
    n = len(x)
    gappy = ArrayRecording(
        x, good.fs, good.channels, segments=Segments.from_runs([(0, n // 2), (n // 2 + 50, n - n // 2)])
    )
    columns = np.arange(32)
    usable = np.ones(32, dtype=bool)
    found = likeness(gappy, gappy.channels, columns, 0, gappy.stop, usable, outside_limit=-0.75)
    assert 0 < found.pieces < 12
    assert np.isfinite(found.deviation).all()
    nothing = likeness(gappy, gappy.channels, columns, 0, 20, usable, outside_limit=-0.75)
    assert nothing.pieces == 0
    assert np.isnan(nothing.deviation).all()
    assert (nothing.distance == 1).all()


def test_slow_recordings_and_few_channels_have_no_likeness(good: ArrayRecording) -> None:
    slow = ArrayRecording(good.samples[::30].copy(), Fraction(1000), good.channels)
    found = likeness(slow, slow.channels, np.arange(32), 0, slow.stop, np.ones(32, dtype=bool), outside_limit=-0.75)
    assert np.isnan(found.deviation).all()
    four = likeness(good, good.channels, np.arange(4), 0, good.stop, np.ones(4, dtype=bool), outside_limit=-0.75)
    assert np.isnan(four.deviation).all()
    assert np.isfinite(four.noise_uv).all()


def test_referenced_recordings_have_no_likeness(good: ArrayRecording) -> None:
    """A common reference takes away what the probe shares; what is left says nothing about channels."""
    x = good.samples - good.samples.mean(axis=1, keepdims=True)
    referenced = ArrayRecording(x, good.fs, good.channels)
    table = judged(referenced)
    assert all(c.likeness is None and c.trend is None for c in table.channels)
    assert table.good == list(range(32))
