"""Blanking: which samples are replaced, by what, however the stream is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.checks.stages import joined, run_stage
from ranvier.dsp import BlankArtifacts
from ranvier.exceptions import ConfigurationError, DatasetError
from ranvier.recordings import plain_channels

FS = 1000  # a sample per millisecond
CHANNELS = plain_channels(amp=3, ain=1, din=1)


def signal(rows: int = 300) -> np.ndarray:
    x = (np.random.default_rng(2).standard_normal((rows, 5)) * 50).astype(np.float32)
    x[:, 4] = x[:, 4] > 0
    return x


def blanked(x: np.ndarray, operation: BlankArtifacts, cuts=()) -> np.ndarray:
    return joined(run_stage(operation.bind(FS, CHANNELS), x, cuts, start=0))


def test_linear_draws_from_good_sample_to_good_sample() -> None:
    x = signal()
    got = blanked(x, BlankArtifacts((100,), before_sec=0.002, after_sec=0.003))
    expected = x.copy()
    for c in range(3):
        expected[97:104, c] = np.interp(np.arange(97, 104), [97, 103], [x[97, c], x[103, c]])
    np.testing.assert_allclose(got, expected, atol=1e-4)
    untouched = np.r_[0:98, 103:300]
    np.testing.assert_array_equal(got[untouched], x[untouched])
    np.testing.assert_array_equal(got[:, 3:], x[:, 3:])


@pytest.mark.parametrize("mode", ["hold", "zero", "nan"])
def test_other_modes(mode: str) -> None:
    x = signal()
    got = blanked(x, BlankArtifacts((100, 103), after_sec=0.005, mode=mode, channels=(0, 2)))  # one window: 100-107
    expected = x.copy()
    for c in (0, 2):
        expected[100:108, c] = {"hold": x[99, c], "zero": 0, "nan": np.nan}[mode]
    np.testing.assert_array_equal(got, expected)


def test_windows_at_the_ends_of_a_run() -> None:
    x = signal()
    linear = blanked(x, BlankArtifacts((1, 298), before_sec=0.005, after_sec=0.01))
    np.testing.assert_array_equal(linear[:11, 0], np.full(11, x[11, 0]))
    np.testing.assert_array_equal(linear[293:, 1], np.full(7, x[292, 1]))
    hold = blanked(x, BlankArtifacts((1,), before_sec=0.005, after_sec=0.01, mode="hold"))
    assert np.isnan(hold[:11, :3]).all()
    everything = blanked(x[:5], BlankArtifacts((1,), before_sec=0.005, after_sec=0.01))
    assert np.isnan(everything[:, :3]).all()


def test_missing_samples_stay_missing_and_are_no_support() -> None:
    x = signal()
    x[99, 0] = x[104, 1] = np.nan
    x[102, 2] = np.nan
    got = blanked(x, BlankArtifacts((100,), after_sec=0.004))
    np.testing.assert_array_equal(got[100:104, 0], np.full(4, x[104, 0]))
    np.testing.assert_array_equal(got[100:104, 1], np.full(4, x[99, 1]))
    assert np.isnan(got[102, 2])
    assert np.isfinite(got[[100, 101, 103], 2]).all()


@settings(max_examples=60, deadline=None)
@given(
    counters=st.lists(st.integers(-5, 305), min_size=1, max_size=20),
    before=st.integers(0, 9),
    after=st.integers(0, 9),
    mode=st.sampled_from(["linear", "hold", "zero", "nan"]),
    cuts=st.lists(st.integers(1, 299), max_size=8),
)
def test_only_windows_change_and_cuts_do_not_matter(
    counters: list[int], before: int, after: int, mode: str, cuts: list[int]
) -> None:
    x = signal()
    operation = BlankArtifacts(tuple(counters), before / 1e3, after / 1e3, mode)
    got = blanked(x, operation)
    inside = np.zeros(300, bool)
    for c in counters:
        inside[max(0, c - before) : max(0, c + after, c - before + 1)] = True
    np.testing.assert_array_equal(got[~inside], x[~inside])
    if mode != "nan":
        assert not (got[inside][:, :3] == x[inside][:, :3]).any()
    np.testing.assert_array_equal(got, blanked(x, operation, cuts))


def test_nonsense_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="linear, hold, nan, zero"):
        BlankArtifacts((1,), mode="spline")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="after_sec"):
        BlankArtifacts((1,), after_sec=float("nan"))
    with pytest.raises(ConfigurationError, match="no event"):
        BlankArtifacts(())
    with pytest.raises(ConfigurationError, match="one line"):
        BlankArtifacts(tuple(range(0, 2000, 5)), after_sec=0.006).bind(FS, CHANNELS)
    with pytest.raises(DatasetError, match="7"):
        BlankArtifacts((1,), channels=(7,)).bind(FS, CHANNELS)
