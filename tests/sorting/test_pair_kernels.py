"""What is asked of every pair of units: the kernels by their references."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.sorting.pair_kernels import (
    add_waveforms,
    add_waveforms_reference,
    difference_at_lags,
    difference_at_lags_reference,
    most_locked_of,
    most_locked_of_reference,
)


@pytest.mark.parametrize("apart", [0.0, 9.0])
def test_locked_pairs_are_those_of_the_definition(apart: float) -> None:
    random = np.random.default_rng(2)
    train = np.unique(random.integers(0, 9000, 200)).astype(np.int64)
    other = np.unique(np.concatenate([train[::2] - 31, random.integers(0, 9000, 50)])).astype(np.int64)
    others = np.concatenate([np.arange(7), other, train])
    first = np.array([7, 7 + len(other), 3])
    last, least = first + np.array([len(other), len(train), 0]), np.array([apart, 9.0, apart])
    got, wanted = np.empty((2, 3), np.int64)
    most_locked_of(train, others, first, last, 90, 9, least, got)
    most_locked_of_reference(train, others, first, last, 90, 9, least, wanted)
    np.testing.assert_array_equal(got, wanted)
    assert got[0] >= len(train) // 2
    assert got[2] == 0


@pytest.mark.parametrize("channels", [3, 16, 37])
def test_differences_are_those_of_the_definition(channels: int) -> None:
    random = np.random.default_rng(channels)
    a = random.standard_normal((40, channels)).astype(np.float32)
    b = np.roll(a, 3, axis=0) + np.float32(0.1) * random.standard_normal(a.shape).astype(np.float32)
    got, wanted = np.empty((2, 15))
    for other, limit in ((b, 1.0), (5 * b, 0.4), (0 * b, 0.9)):
        difference_at_lags(a, np.ascontiguousarray(other), 7, limit, got)
        difference_at_lags_reference(a, other, 7, limit, wanted)
        np.testing.assert_allclose(got, wanted, rtol=1e-5)
    difference_at_lags(a, b, 7, 0.4, got)
    assert got.argmin() == 7 - 3
    assert got.min() < 0.1


def test_sums_of_waveforms_do_not_depend_on_the_order() -> None:
    random = np.random.default_rng(9)
    signal = random.integers(-32767, 32767, (5, 500)).astype(np.int16)
    rows, units = random.integers(0, 460, 80), random.integers(0, 3, 80).astype(np.int32)
    sums, turned, wanted = np.zeros((3, 5, 3, 40), np.int32)
    add_waveforms(signal, rows, units, sums)
    add_waveforms(signal, np.ascontiguousarray(rows[::-1]), np.ascontiguousarray(units[::-1]), turned)
    add_waveforms_reference(signal, rows, units, wanted)
    np.testing.assert_array_equal(sums, wanted)
    np.testing.assert_array_equal(turned, wanted)
    assert sums.any()
