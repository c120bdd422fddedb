from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.exceptions import ConfigurationError, TimeRangeError
from ranvier.models import DatasetMetadata, TimeRange, TimeRangeSpec, TrsMode, resolve_time_range, sample_at

NAN, INF = math.nan, math.inf


@given(
    counter=st.integers(-(2**40), 2**40),
    fs=st.sampled_from([Fraction(30000), Fraction(20000), Fraction(25_000_000, 1024), Fraction(48828125, 2000)]),
)
def test_seconds_of_a_counter_give_the_counter_back(counter: int, fs: Fraction) -> None:
    assert sample_at(float(counter / fs), fs) == counter


@pytest.mark.parametrize(("sec", "sample"), [(0.29, 29), (0.2999, 29), (0.299, 29), (0.3, 30), (-0.005, -1)])
def test_a_time_between_samples_belongs_to_the_earlier_one(sec: float, sample: int) -> None:
    assert sample_at(sec, 100.0) == sample


def test_from_samples() -> None:
    given_ = TimeRange.from_samples(10, 40, Fraction(20), datetime(2026, 1, 2, tzinfo=UTC))
    assert given_.sec == (0.5, 2.0)
    assert (given_.n, given_.dur_sec, given_.fs) == (30, 1.5, 20.0)
    assert given_.walltime == datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05",
        "2026-01-02T04:04:05+01:00",
        "2026-01-02 03:04:05",
        "Fri Jan  2 03:04:05 UTC 2026",
        "Fri Jan  2 03:04:05 2026",
        "2026-01-02 03:04:05 +0000 UTC",
        "2026-01-02 03:04:05 UTC",
        "2026/01/02 03:04:05",
    ],
)
def test_walltime_reads(text: str) -> None:
    found = TimeRange.from_samples(0, 1, 1, text).walltime
    assert found == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert found.utcoffset() in (timedelta(0), timedelta(hours=1))


@pytest.mark.parametrize("text", ["", "yesterday"])
def test_walltime_that_is_no_date(text: str) -> None:
    with pytest.raises(ValueError, match="not a date"):
        _ = TimeRange.from_samples(0, 1, 1, text).walltime


@pytest.mark.parametrize(
    ("given_", "mode", "expected"),
    [
        ([1, 2], None, TimeRangeSpec(mode=TrsMode.SUBSET, start=1, end=2)),
        ([5, NAN], None, TimeRangeSpec(mode=TrsMode.FROM_HEAD, start=5)),
        ([0, INF], None, TimeRangeSpec.full()),
        ([-INF, INF], None, TimeRangeSpec.full()),
        ([3, INF], None, TimeRangeSpec(mode=TrsMode.SUBSET, start=3, end=INF)),
        ([3, NAN], TrsMode.TO_HEAD, TimeRangeSpec.to_head(3)),
        ([3, 9], TrsMode.FROM_HEAD, TimeRangeSpec.lookback(3)),
    ],
)
def test_from_list(given_: list[float], mode: TrsMode | None, expected: TimeRangeSpec) -> None:
    assert TimeRangeSpec.from_list(given_, mode) == expected


@pytest.mark.parametrize("wrong", [[1, 0], [1, 1], [1], [1, 2, 3], [NAN, 1], [0, NAN], [-1, NAN], [NAN, NAN]])
def test_from_list_refuses(wrong: list[float]) -> None:
    with pytest.raises(TimeRangeError):
        TimeRangeSpec.from_list(wrong)


def test_the_constructor_checks_nothing() -> None:
    assert TimeRangeSpec(mode=TrsMode.SUBSET, start=3, end=1).duration == -2


def test_duration_and_is_full() -> None:
    assert TimeRangeSpec.lookback(4).duration == 4
    assert TimeRangeSpec.subset(1, 3.5).duration == 2.5
    assert TimeRangeSpec.to_head(3).duration is TimeRangeSpec.full().duration is None
    assert TimeRangeSpec.full().is_full()
    assert not TimeRangeSpec.subset(3, INF).is_full()
    assert not TimeRangeSpec.to_head(0).is_full()


def test_to_array() -> None:
    np.testing.assert_array_equal(TimeRangeSpec.subset(1, 2).to_array(), [1.0, 2.0])
    np.testing.assert_array_equal(TimeRangeSpec.lookback(5).to_array(), [5.0, NAN])
    np.testing.assert_array_equal(TimeRangeSpec.to_head(5).to_array(), [5.0, NAN])
    with pytest.raises(TimeRangeError, match="whole recording"):
        TimeRangeSpec.full().to_array()


def test_resolve(dataset: DatasetMetadata) -> None:
    found = TimeRangeSpec.subset(0.5, 1.0).resolve(dataset)
    assert found is not None
    assert (found.timestamp, found.sec, found.n, found.dur_sec) == ((15_000, 30_000), (0.5, 1.0), 15_000, 0.5)
    assert found.walltime - dataset.time_range.walltime == timedelta(seconds=5_000 / 30_000).__abs__()
    assert TimeRangeSpec.full().resolve(dataset) == dataset.time_range
    assert TimeRangeSpec.lookback(1).resolve(dataset) is None


@pytest.mark.parametrize(
    ("spec", "served"),
    [
        (TimeRangeSpec.subset(-5, 0.5), (10_000, 15_000)),
        (TimeRangeSpec.subset(1, 99), (30_000, 70_000)),
        (TimeRangeSpec.subset(1, INF), (30_000, 70_000)),
        (TimeRangeSpec.subset(-INF, 1), (10_000, 30_000)),
        (TimeRangeSpec.to_head(2), (60_000, 70_000)),
        (TimeRangeSpec.lookback(0.5), (55_000, 70_000)),
        (TimeRangeSpec.lookback(60), (10_000, 70_000)),
    ],
)
def test_a_range_partly_outside_is_clipped(
    dataset: DatasetMetadata, spec: TimeRangeSpec, served: tuple[int, int]
) -> None:
    assert resolve_time_range(spec, dataset.time_range).timestamp == served


@pytest.mark.parametrize(
    "spec",
    [
        TimeRangeSpec.subset(0, 0.3),
        TimeRangeSpec.subset(3, 4),
        TimeRangeSpec.to_head(3),
        TimeRangeSpec(mode=TrsMode.SUBSET, start=1, end=0.5),
        TimeRangeSpec(mode=TrsMode.SUBSET, start=1, end=NAN),
        TimeRangeSpec.subset(1, 1.000001),
    ],
)
def test_a_range_without_samples_is_refused(dataset: DatasetMetadata, spec: TimeRangeSpec) -> None:
    with pytest.raises(TimeRangeError):
        spec.resolve(dataset)


def test_resolve_needs_a_dataset() -> None:
    with pytest.raises(ConfigurationError, match="DatasetMetadata"):
        TimeRangeSpec.subset(0, 1).resolve()


def test_resolve_at_another_rate(dataset: DatasetMetadata) -> None:
    found = TimeRangeSpec.subset(0.5, 1.0).resolve(dataset, fs=1000.0)
    assert found is not None
    assert found.timestamp == (500, 1000)


def test_unknown_walltime_is_not_moved() -> None:
    available = TimeRange.from_samples(0, 100, 10, "0001-01-01T00:00:00Z")
    assert resolve_time_range(TimeRangeSpec.subset(1, 2), available).walltime_str == available.walltime_str
    zone = timezone(timedelta(hours=1))
    available = TimeRange.from_samples(0, 100, 10, datetime(2026, 1, 1, tzinfo=zone))
    assert resolve_time_range(TimeRangeSpec.subset(1, 2), available).walltime == datetime(
        2026, 1, 1, 0, 0, 1, tzinfo=zone
    )
