"""References: common average and median, one channel, a pair."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ranvier.checks.stages import joined, run_stage
from ranvier.dsp import CommonAverageReference, PairedReference, VirtualReference
from ranvier.exceptions import ConfigurationError, DatasetError
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.recordings import plain_channels

FS = 30000
CHANNELS = plain_channels(amp=4, ain=1)


@pytest.fixture
def x() -> np.ndarray:
    return (np.random.default_rng(1).standard_normal((1000, 5)) * 50 + 300).astype(np.float32)


def test_mean(x: np.ndarray) -> None:
    got = joined(run_stage(CommonAverageReference().bind(FS, CHANNELS), x))
    expected = x[:, :4] - x[:, :4].astype(np.float64).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(got[:, :4], expected, atol=1e-4)
    np.testing.assert_array_equal(got[:, 4], x[:, 4])


def test_missing_channels_are_left_out_of_the_mean(x: np.ndarray) -> None:
    x[100:200, 2] = np.nan
    x[300, :4] = np.nan
    got = joined(run_stage(CommonAverageReference().bind(FS, CHANNELS), x))
    with_others = x[100:200, [0, 1, 3]]
    np.testing.assert_allclose(
        got[100:200, [0, 1, 3]], with_others - with_others.mean(axis=1, keepdims=True), atol=1e-4
    )
    assert np.isnan(got[100:200, 2]).all()
    assert np.isnan(got[300, :4]).all()
    assert np.isfinite(got[300, 4])


def test_median_is_exact(x: np.ndarray) -> None:
    got = joined(run_stage(CommonAverageReference("median").bind(FS, CHANNELS), x))
    median = np.median(x[:, :4].astype(np.float64), axis=1).astype(np.float32)
    np.testing.assert_array_equal(got[:, :4], x[:, :4] - median[:, None])


def test_virtual_reference_becomes_zero(x: np.ndarray) -> None:
    got = joined(run_stage(VirtualReference(2).bind(FS, CHANNELS), x))
    np.testing.assert_array_equal(got[:, :4], x[:, :4] - x[:, 2:3])
    assert not got[:, 2].any()
    np.testing.assert_array_equal(got[:, 4], x[:, 4])


def test_paired_reference_is_target_minus_reference(x: np.ndarray) -> None:
    got = joined(run_stage(PairedReference(ref_channel=1, target_channel=3).bind(FS, CHANNELS), x))
    np.testing.assert_array_equal(got[:, 3], x[:, 3] - x[:, 1])
    assert not got[:, 1].any()
    np.testing.assert_array_equal(got[:, [0, 2, 4]], x[:, [0, 2, 4]])


def test_channels_are_native_indices(x: np.ndarray) -> None:
    sliced = plain_channels(amp=8, ain=1).take([1, 3, 5, 7, 8])
    got = joined(run_stage(VirtualReference(5).bind(FS, sliced), x))
    assert not got[:, 2].any()
    with pytest.raises(DatasetError, match="native index"):
        VirtualReference(2).bind(FS, sliced)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 2"):
        CommonAverageReference().bind(FS, plain_channels(amp=1))
    with pytest.raises(ConfigurationError, match="mean, median"):
        CommonAverageReference("sum")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="itself"):
        PairedReference(1, 1).bind(FS, CHANNELS)


def test_groups_are_referenced_for_themselves(x: np.ndarray) -> None:
    """Two ports of two channels; and two shanks of one probe."""
    rows = x.copy()
    rows[5, 0] = np.nan
    channels = CHANNELS.with_channels(
        replace(c, port=Port.A if c.ntv < 2 else Port.B, shank=c.ntv % 2) if c.type == SignalType.AMP else c
        for c in CHANNELS
    )
    statistics = {"mean": np.nanmean, "median": np.nanmedian}
    for operator, statistic in statistics.items():
        for groups, columns in (("port", ([0, 1], [2, 3])), ("probe", ([0, 1], [2, 3]))):
            stage = CommonAverageReference(operator, groups).bind(FS, channels)
            got = joined(run_stage(stage, rows, cuts=(100, 777)))
            expected = rows.astype(np.float64)
            for those in columns:
                expected[:, those] -= statistic(rows[:, those].astype(np.float64), axis=1)[:, None]
            np.testing.assert_allclose(got, expected, atol=1e-4)
            assert list(stage.describe()["groups"].values()) == [2, 2]
    one_port = CHANNELS.with_channels(replace(c, shank=c.ntv % 2) if c.type == SignalType.AMP else c for c in CHANNELS)
    by_shank = joined(run_stage(CommonAverageReference("mean", "shank").bind(FS, one_port), x))
    np.testing.assert_allclose(by_shank[:, 0] - by_shank[:, 2], x[:, 0] - x[:, 2], atol=1e-4)
    np.testing.assert_allclose(by_shank[:, [1, 3]].sum(axis=1), 0, atol=1e-4)


def test_groups_of_one_channel_are_refused() -> None:
    alone = CHANNELS.with_channels(
        replace(c, port=Port.B if c.ntv == 3 else Port.A) if c.type == SignalType.AMP else c for c in CHANNELS
    )
    with pytest.raises(ConfigurationError, match="port B has fewer"):
        CommonAverageReference(groups="port").bind(FS, alone)
    with pytest.raises(ConfigurationError, match="all, port, probe, shank"):
        CommonAverageReference(groups="side")  # type: ignore[arg-type]
