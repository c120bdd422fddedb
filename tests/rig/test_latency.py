"""The histogram of latencies, against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.exceptions import ConfigurationError
from ranvier.rig.latency import HIGHEST_MS, LOWEST_MS, STEP, LatencyHistogram

latencies = st.lists(st.floats(2 * LOWEST_MS, HIGHEST_MS / 2), min_size=1, max_size=300)


@settings(deadline=None)
@given(values=latencies, percent=st.sampled_from([0, 1, 50, 90, 99, 99.9, 100]))
def test_percentiles_are_those_of_numpy_to_the_width_of_a_bucket(values: list[float], percent: float) -> None:
    histogram = LatencyHistogram()
    histogram.extend(values)
    exact = np.percentile(values, percent, method="inverted_cdf")
    assert histogram.percentile(percent) == pytest.approx(exact, rel=(STEP - 1) / 2 + 1e-6)
    assert histogram.max_ms == max(values)
    assert histogram.count == len(values)


def test_a_smooth_distribution() -> None:
    values = np.random.default_rng(0).lognormal(0.0, 0.5, 50_000)
    histogram = LatencyHistogram(deadline_ms=2.0)
    histogram.extend(values)
    report = histogram.report(software_only=False)
    for got, percent in ((report.p50_ms, 50), (report.p99_ms, 99), (report.p999_ms, 99.9)):
        assert got == pytest.approx(np.percentile(values, percent), rel=0.03)
    assert report.missed == int((values > 2.0).sum())
    assert report.count == len(values)
    assert not report.software_only


@given(values=latencies, cut=st.integers(0, 300))
def test_merging_is_counting_together(values: list[float], cut: int) -> None:
    whole, left, right = (LatencyHistogram(deadline_ms=5.0) for _ in range(3))
    whole.extend(values)
    left.extend(values[:cut])
    right.extend(values[cut:])
    left.merge(right)
    assert left.report() == whole.report()
    with pytest.raises(ConfigurationError, match="5"):
        left.merge(LatencyHistogram(deadline_ms=6.0))


def test_the_ends_of_the_scale() -> None:
    histogram = LatencyHistogram()
    assert histogram.report().p99_ms == 0
    histogram.extend([0.0, -1.0, math.nan, 1e-9])
    assert histogram.percentile(100) <= LOWEST_MS
    histogram.add(10 * HIGHEST_MS)
    assert histogram.max_ms == 10 * HIGHEST_MS
    assert histogram.percentile(100) >= HIGHEST_MS
    with pytest.raises(ConfigurationError):
        histogram.percentile(101)
