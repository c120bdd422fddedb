"""Spectral queries: what they mean, what is wrong with them, and what info says beforehand."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ranvier.exceptions import ConfigurationError
from ranvier.models.spectral import (
    SpectralAlgorithm,
    SpectralMode,
    SpectralQuery,
    SpectralWindowType,
    StftConfig,
    WelchConfig,
)
from ranvier.recordings.memory import ArrayRecording
from ranvier.spectral.info import spectral_info
from ranvier.spectral.query import plan
from ranvier.spectral.results import spectral_result

FS = Fraction(1000)


def query(**given: Any) -> SpectralQuery:
    return SpectralQuery(**{"ntv_chan_idxs": (0, 3), "ranges": ((10.0, 1.0, 3.0),), **given})


def test_a_periodogram_takes_the_whole_range() -> None:
    found = plan(query(), FS)
    assert found.ranges == ((9000, 13000),)
    assert (found.framing.n, found.frames) == (4000, 1)
    assert found.frequencies_hz[[0, -1]].tolist() == [0.0, 500.0]
    assert len(found.time_axis) == 0


def test_welch_segments_overlap_by_default_unless_the_window_is_flat() -> None:
    hann = plan(query(algorithm=SpectralAlgorithm.WELCH), FS)
    assert (hann.framing.n, hann.framing.hop, hann.frames) == (1000, 500, 7)
    flat = plan(query(algorithm=SpectralAlgorithm.WELCH, window_type=SpectralWindowType.RECT), FS)
    assert (flat.framing.hop, flat.frames) == (1000, 4)
    config = WelchConfig(segment_duration_sec=0.4, overlap_frac=0.25)
    asked = plan(query(algorithm=SpectralAlgorithm.WELCH, welch_config=config), FS)
    assert (asked.framing.n, asked.framing.hop) == (400, 300)


def test_times_are_the_centres_of_windows_from_the_reference() -> None:
    config = StftConfig(window_duration_sec=0.5, window_step_sec=0.1)
    found = plan(query(mode=SpectralMode.TIME_RESOLVED, algorithm=SpectralAlgorithm.STFT, stft_config=config), FS)
    np.testing.assert_allclose(found.time_axis, -1 + 0.25 + 0.1 * np.arange(36), atol=1e-12)
    assert found.frames == 36


def test_frequencies_are_kept_at_both_ends() -> None:
    found = plan(query(f_min=10.0, f_max=20.0), FS)
    assert found.frequencies_hz[[0, -1]].tolist() == [10.0, 20.0]
    beyond = plan(query(f_max=900.0), FS)
    assert beyond.frequencies_hz[-1] == 500.0
    assert "Nyquist" in beyond.warnings[0]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"ntv_chan_idxs": ()}, "names no channel"),
        ({"ranges": ()}, "has no range"),
        ({"ranges": ((1.0, 0.0, 1.0), (2.0, 0.0, 2.0))}, "differ in length"),
        ({"ranges": ((1.0, 0.0, 0.001),)}, "less than two samples"),
        ({"f_min": 50.0, "f_max": 20.0}, "not below"),
        ({"f_min": 600.0, "f_max": 700.0}, "above the Nyquist"),
        ({"f_min": 10.01, "f_max": 10.02}, "no frequency lies between"),
        ({"algorithm": SpectralAlgorithm.STFT}, "TIME_RESOLVED"),
        ({"algorithm": SpectralAlgorithm.WELCH, "mode": SpectralMode.TIME_RESOLVED}, "STATIC"),
        (
            {"algorithm": SpectralAlgorithm.WELCH, "welch_config": WelchConfig(segment_duration_sec=9.0)},
            "does not fit a range",
        ),
        ({"welch_config": WelchConfig(), "stft_config": StftConfig()}, "exclude each other"),
        (
            {
                "mode": SpectralMode.TIME_RESOLVED,
                "stft_config": StftConfig(window_duration_sec=0.1, window_step_sec=0.2),
            },
            "a step of 200 samples",
        ),
        ({"ranges": ((1e5, 0.0, 4e4),)}, "would not fit in memory"),
    ],
)
def test_impossible_queries_say_why(given: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        plan(query(**given), FS)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"f_min": 50.0, "f_max": 20.0}, "not below"),
        ({"algorithm": SpectralAlgorithm.STFT}, "TIME_RESOLVED"),
        (
            {"algorithm": SpectralAlgorithm.WELCH, "welch_config": WelchConfig(segment_duration_sec=9.0)},
            "does not fit a range",
        ),
    ],
)
def test_info_tells_the_faults_instead_of_raising(given: dict[str, Any], word: str) -> None:
    found = spectral_info(query(**given), 1000.0, 4.0, 2)
    assert any(word in error for error in found.errors)
    assert found.output_dimensions == ()
    assert found.estimated_time_sec is None


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan(query(ntv_chan_idxs=(), algorithm=SpectralAlgorithm.STFT, f_min=5.0, f_max=1.0), FS)
    for word in ("no channel", "TIME_RESOLVED", "not below"):
        assert word in str(caught.value)


def test_info_predicts_the_shape_that_a_query_gives() -> None:
    welch = query(algorithm=SpectralAlgorithm.WELCH, f_max=100.0)
    told = spectral_info(welch, 1000.0, 4.0, 2)
    made = plan(welch, FS)
    assert told.output_dimensions == (1, 2, len(made.frequencies_hz))
    assert (told.welch_num_segments, told.welch_overlap_percent) == (made.frames, 50.0)
    assert told.achieved_df_hz == made.framing.df_hz
    assert told.estimated_memory_mb == pytest.approx(2 * len(made.frequencies_hz) * 8 / 2**20)
    assert told.variance_reduction_factor is not None
    assert 1 < told.variance_reduction_factor < made.frames
    resolved = query(mode=SpectralMode.TIME_RESOLVED)
    told = spectral_info(resolved, 1000.0, 4.0, 2)
    made = plan(resolved, FS)
    assert told.output_dimensions == (1, 2, len(made.frequencies_hz), made.frames)
    assert told.num_time_steps == len(made.time_axis)
    assert told.welch_num_segments is None
    assert told.estimated_time_sec is not None


ONE = ((2.0, 1.0, 3.0),)
TWO = ((2.0, 1.0, 2.001), (4.0, 1.0, 2.001))


@pytest.mark.parametrize("ranges", [ONE, TWO])
@pytest.mark.parametrize("band", [{}, {"f_min": 3.3, "f_max": 77.7}, {"f_max": 1e4}])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"algorithm": SpectralAlgorithm.WELCH},
        {"algorithm": SpectralAlgorithm.WELCH, "welch_config": WelchConfig(segment_duration_sec=0.127)},
        {"algorithm": SpectralAlgorithm.WELCH, "window_type": SpectralWindowType.RECT},
        {"mode": SpectralMode.TIME_RESOLVED},
        {
            "mode": SpectralMode.TIME_RESOLVED,
            "stft_config": StftConfig(window_duration_sec=0.3, window_step_sec=0.07),
        },
    ],
)
def test_info_predicts_the_size_exactly(given: dict[str, Any], band: dict[str, Any], ranges: Any) -> None:
    asked = query(ranges=ranges, **given, **band)
    x = np.random.default_rng(0).standard_normal((8000, 4)).astype(np.float32)
    recording = ArrayRecording(x, FS)
    found = spectral_result(recording, recording.channels, asked)
    told = spectral_info(asked, float(FS), ranges[0][1] + ranges[0][2], 2)
    powers = [[channel.power for channel in one.channels] for one in found.ranges]
    assert np.shape(powers) == told.output_dimensions
    assert sum(power.nbytes for one in powers for power in one) == told.estimated_memory_mb * 2**20
    assert len(found.freq_axis) == told.num_bins
    assert (len(found.time_axis) or None) == told.num_time_steps
    assert np.diff(found.freq_axis)[0] == pytest.approx(told.achieved_df_hz)


@pytest.mark.slow
def test_info_predicts_which_estimator_takes_how_long() -> None:
    """Relative to each other, within a factor of 2.5: how fast a machine is, nobody knows beforehand."""
    fs = Fraction(30_000)
    x = np.random.default_rng(0).standard_normal((600_000, 16)).astype(np.float32)
    recording = ArrayRecording(x, fs)
    channels = tuple(range(16))
    whole, awkward = ((0.0, 0.0, 20.0),), ((0.0, 0.0, 299_993 / 30_000),)
    welch = {"algorithm": SpectralAlgorithm.WELCH, "welch_config": WelchConfig(segment_duration_sec=1024 / 30_000)}
    ratios = []
    for ranges, given in ((whole, welch), (whole, {}), (awkward, {}), (whole, {"mode": SpectralMode.TIME_RESOLVED})):
        asked = query(ntv_chan_idxs=channels, ranges=ranges, **given)
        spent = []
        for _ in range(3):
            began = time.thread_time()
            spectral_result(recording, recording.channels, asked)
            spent.append(time.thread_time() - began)
        told = spectral_info(asked, float(fs), ranges[0][2], len(channels)).estimated_time_sec
        assert told is not None
        ratios.append(min(spent) / told)
    assert max(ratios) < 2.5 * min(ratios), ratios


@pytest.mark.parametrize(("fs", "duration", "channels"), [(0.0, 1.0, 1), (1.0, -1.0, 1), (1.0, 1.0, 0), (np.nan, 1, 1)])
def test_info_refuses_what_is_not_positive(fs: float, duration: float, channels: int) -> None:
    with pytest.raises(ConfigurationError, match="must be positive"):
        spectral_info(query(), fs, duration, channels)
