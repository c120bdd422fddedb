"""The packet kernel equals its NumPy reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ranvier.metrics import kernels as k


def compare(values: np.ndarray, low: float = -np.inf, high: float = np.inf) -> None:
    channels = len(values)
    lows, highs = np.full(channels, low, np.float32), np.full(channels, high, np.float32)
    got, wanted = np.full((channels, k.COLUMNS), 7.0), np.full((channels, k.COLUMNS), 9.0)
    before = values.copy()
    k.packet_table(values, lows, highs, got)
    k.packet_table_reference(values, lows, highs, wanted)
    np.testing.assert_array_equal(values, before)
    sums = [k.MEAN, k.M2]
    exact = [c for c in range(k.COLUMNS) if c not in sums]
    np.testing.assert_array_equal(got[:, exact], wanted[:, exact])
    scale = np.nanmax(np.abs(np.where(np.isfinite(values), values, 0.0)), initial=0.0) + 1e-30
    np.testing.assert_allclose(got[:, k.MEAN], wanted[:, k.MEAN], rtol=1e-12, atol=1e-12 * float(scale))
    np.testing.assert_allclose(got[:, k.M2], wanted[:, k.M2], rtol=1e-9, atol=1e-18 * float(scale) ** 2)


@pytest.mark.parametrize("n", [1, 2, 3, 999, 1000, 30_000])
@pytest.mark.parametrize("offset", [0.0, 1000.0, -5000.0])
def test_noise(n: int, offset: float) -> None:
    rng = np.random.default_rng(n)
    compare((rng.normal(offset, 10.0, (3, n))).astype(np.float32), offset - 20, offset + 20)


def test_counts_with_many_ties() -> None:
    rng = np.random.default_rng(0)
    compare((np.round(rng.normal(0.0, 2.0, (4, 5000))) * 0.195).astype(np.float32), -0.39, 0.585)


def test_odd_values() -> None:
    rows = [
        [np.nan] * 6,
        [np.inf, 1.0, np.nan, -np.inf, 1.0, 1.0],
        [0.0, -0.0, 0.0, -0.0, 0.0, 1e-45],
        [5.0] * 6,
        [-3e38, 3e38, -1e-38, 1e-38, 1e30, -1e30],
        [1.0, 1.0, np.nan, 1.0, 2.0, 2.0],
    ]
    compare(np.array(rows, dtype=np.float32))


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.integers(1, 40)),
        elements=st.floats(-(2.0**40), 2.0**40, width=32) | st.sampled_from([np.nan, np.inf, 0.0, 1.0, -1.0]),
    )
)
def test_anything(values: np.ndarray) -> None:
    compare(values)
