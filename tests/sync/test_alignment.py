"""Two clocks by their pulses: offset, rate, residual; missing and spurious pulses; honest refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.exceptions import ConfigurationError, DataProcessingError
from ranvier.models.sessions import AlignmentQuality
from ranvier.sync.alignment import Search, align_barcodes, align_pulses, map_counters
from ranvier.sync.barcodes import read_barcodes, write_barcode

FS = 30_000.0


def seen(true_sec, fs, *, offset=0.0, ppm=0.0, missing=0.0, spurious=0, jitter=0.0, rng=None):
    """Return the counters at which a clock of some offset and rate sees pulses of true times."""
    rng = rng or np.random.default_rng(0)
    kept = true_sec[rng.random(len(true_sec)) >= missing]
    local = offset + kept * (1 + ppm * 1e-6) + jitter * rng.standard_normal(len(kept))
    if spurious:
        local = np.concatenate((local, rng.uniform(local.min(), local.max(), spurious)))
    return np.sort(np.rint(local * fs).astype(np.int64))


def pulses(seconds, rng, low=0.5, high=1.5):
    return np.cumsum(rng.uniform(low, high, int(seconds)))


@pytest.mark.parametrize("seed", range(8))
def test_50_ppm_and_5_percent_missing(seed: int) -> None:
    """The acceptance: at most one sample rms, also against the truth that no pulse tells."""
    rng = np.random.default_rng(seed)
    true = pulses(3600, rng)
    offset = float(rng.uniform(-2000, 2000))
    a = seen(true, FS, missing=0.05, rng=rng)
    b = seen(true, FS, offset=offset, ppm=50.0, missing=0.05, rng=rng)
    found = align_pulses(a, b, FS, FS, Search())
    assert found.residual_rms_samples <= 1.0
    assert found.rate_ppm == pytest.approx(50.0, abs=0.05)
    assert found.quality is AlignmentQuality.GOOD
    assert found.matched >= 0.9 * 0.95**2 * len(true)
    times = np.linspace(0, true[-1], 1001)
    truth = (offset + times * (1 + 50e-6)) * FS
    error = map_counters(np.rint(times * FS).astype(np.int64), found) - truth
    assert np.sqrt(np.mean(error**2)) <= 1.0
    assert np.abs(error).max() <= 2.0


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    ppm=st.floats(-300, 300),
    offset=st.floats(-5000, 5000),
    missing=st.floats(0, 0.15),
    spurious=st.integers(0, 30),
    n=st.integers(60, 600),
    fs=st.sampled_from([(30_000.0, 30_000.0), (30_000.0, 2_500.0), (1_000.0, 30_000.0), (24_414.0625, 20_000.0)]),
)
def test_any_rate_offset_and_losses(seed, ppm, offset, missing, spurious, n, fs) -> None:
    rng = np.random.default_rng(seed)
    true = pulses(n, rng)
    a = seen(true, fs[0], missing=missing, spurious=spurious, rng=rng)
    b = seen(true, fs[1], offset=offset, ppm=ppm, missing=missing, spurious=spurious, rng=rng)
    found = align_pulses(a, b, *fs, Search())
    slow = max(1 / fs[0], 1 / fs[1])
    times = np.linspace(true[0], true[-1], 101)
    mapped = map_counters(np.rint(times * fs[0]).astype(np.int64), found) / fs[1]
    assert np.abs(mapped - (offset + times * (1 + ppm * 1e-6))).max() <= 2 * slow
    assert found.residual_rms_samples / fs[1] <= slow


def test_recordings_that_overlap_in_part() -> None:
    rng = np.random.default_rng(4)
    true = pulses(2000, rng)
    a, b = seen(true[:1300], FS, rng=rng), seen(true[900:], FS, offset=-700.0, ppm=20.0, rng=rng)
    found = align_pulses(a, b, FS, FS, Search())
    assert (found.matched, found.unmatched_source, found.unmatched_target) == (400, 0, 0)
    assert found.rate_ppm == pytest.approx(20, abs=0.2)


def test_jitter_of_software_pulses() -> None:
    rng = np.random.default_rng(5)
    true = pulses(1000, rng)
    a, b = seen(true, FS, rng=rng), seen(true, FS, offset=3.0, ppm=-30.0, jitter=2e-4, rng=rng)
    found = align_pulses(a, b, FS, FS, Search())
    assert found.rate_ppm == pytest.approx(-30, abs=0.5)
    assert 4 < found.residual_rms_samples < 8
    assert found.quality is AlignmentQuality.FAIR


def test_a_rate_that_wanders_is_followed() -> None:
    rng = np.random.default_rng(6)
    true = pulses(7200, rng)
    wander = 3e-3 * np.sin(2 * np.pi * true / 5000.0)
    a, b = seen(true, FS, rng=rng), seen(true + wander, FS, offset=10.0, ppm=10.0, rng=rng)
    found = align_pulses(a, b, FS, FS, Search())
    assert found.matched > 0.98 * len(true)
    assert found.residual_rms_samples < 2.0
    assert any("wander" in note for note in found.notes)


@pytest.mark.parametrize("missing", [0.0, 0.05])
def test_a_fixed_period_is_refused_and_an_offset_helps(missing: float) -> None:
    rng = np.random.default_rng(7)
    true = np.arange(1, 500) * 1.0
    a, b = seen(true, FS, missing=missing, rng=rng), seen(true, FS, offset=33.0, ppm=5.0, missing=missing, rng=rng)
    with pytest.raises(DataProcessingError, match=r"ambiguous.*fixed period of 1 s.*near_offset_sec"):
        align_pulses(a, b, FS, FS, Search())
    found = align_pulses(a, b, FS, FS, Search(near_offset_sec=33.1, within_sec=0.4))
    assert found.offset_sec == pytest.approx(33.0, abs=1e-3)
    assert found.rate_ppm == pytest.approx(5.0, abs=0.1)


def test_a_nearly_fixed_period_is_told_by_its_jitter() -> None:
    rng = np.random.default_rng(8)
    true = np.arange(1, 1200) + rng.uniform(-1e-3, 1e-3, 1199)
    a, b = seen(true, FS, missing=0.05, rng=rng), seen(true, FS, offset=-400.0, ppm=50.0, missing=0.05, rng=rng)
    found = align_pulses(a, b, FS, FS, Search())
    assert found.offset_sec == pytest.approx(-400.0, abs=0.1)
    assert found.residual_rms_samples <= 1.0


@pytest.mark.parametrize("seed", range(6))
def test_pulses_that_have_nothing_in_common(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = seen(pulses(500, rng), FS), seen(pulses(500, rng), FS)
    with pytest.raises(DataProcessingError, match="no common pattern: 500 source and 500 target"):
        align_pulses(a, b, FS, FS, Search())


def test_too_few_pulses() -> None:
    with pytest.raises(ConfigurationError, match="the target has 3 pulses"):
        align_pulses(np.arange(10) ** 2 * 1000, np.array([1, 5, 99]), FS, FS, Search())
    with pytest.raises(ConfigurationError, match="tolerance_sec"):
        Search(tolerance_sec=0.0)


def barcode_edges(values, starts, fs, rng=None, missing=0.0):
    t, level = zip(*(write_barcode(v, s) for v, s in zip(values, starts, strict=True)), strict=True)
    counter = np.rint(np.concatenate(t) * fs).astype(np.int64)
    keep = np.ones(len(counter), bool) if rng is None else rng.random(len(counter)) >= missing
    return counter[keep], np.concatenate(level)[keep]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5), st.sampled_from([1000.0, 2500.0, 30_000.0]))
def test_barcodes_are_read_back(values: list[int], fs: float) -> None:
    starts = 1.0 + 5.0 * np.arange(len(values))
    read = read_barcodes(*barcode_edges(values, starts, fs), fs)
    assert read.value.tolist() == values
    assert read.damaged == 0


def test_a_barcode_with_a_wrong_edge_is_left_out() -> None:
    counter, state = barcode_edges([0xAAAAAAAA, 0x12345678], [1.0, 6.0], FS)
    counter[5] += int(0.012 * FS)
    read = read_barcodes(counter, state, FS)
    assert read.value.tolist() == [0x12345678]
    assert read.damaged == 1


@pytest.mark.parametrize("seed", range(3))
def test_clocks_by_barcode(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = int(rng.integers(1, 2**31))
    values, starts = first + np.arange(720), 5.0 * np.arange(720) + 1.0
    a = read_barcodes(*barcode_edges(values, starts, FS), FS)
    drifted = 321.0 + starts * (1 + 50e-6)
    b = read_barcodes(*barcode_edges(values, drifted, FS, rng, 0.001), FS)
    found = align_barcodes(a, b, FS, FS)
    assert found.method == "barcode"
    assert found.residual_rms_samples <= 1.0
    assert found.rate_ppm == pytest.approx(50.0, abs=0.05)
    assert 600 < found.matched < 720


def test_barcodes_without_a_common_value() -> None:
    a = read_barcodes(*barcode_edges([1, 2, 3], [1.0, 6.0, 11.0], FS), FS)
    b = read_barcodes(*barcode_edges([7, 8], [1.0, 6.0], FS), FS)
    with pytest.raises(DataProcessingError, match="0 barcodes in common"):
        align_barcodes(a, b, FS, FS)
