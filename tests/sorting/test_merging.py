"""Refractory correlograms and the merging of units, on trains and templates that we know."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from ranvier.sorting.correlograms import cross_refractory
from ranvier.sorting.merging import MergeLimits, merge_units, template_difference

RATE = 30_000.0
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


def train(seed: int, rate_hz: float = 10.0, duration_sec: float = 300.0) -> I64:
    """Return the spike times of a neuron with a refractory period of 4 ms."""
    random = np.random.default_rng(seed)
    gaps = 0.004 + random.exponential(1 / rate_hz - 0.004, int(2 * rate_hz * duration_sec))
    times = np.cumsum(gaps)
    return np.asarray(times[times < duration_sec] * RATE, np.int64)


def split(times: I64, seed: int = 0) -> tuple[I64, I64]:
    side = np.random.default_rng(seed).random(len(times)) < 0.4
    return times[side], times[~side]


def wave(at: float, amplitude: float = 100.0, centre: int = 30) -> F32:
    """Return a template on eight channels, 20 um apart, around a depth."""
    time = (np.arange(90) - centre) / 8.0
    shape = -np.exp(-(time**2)) + 0.4 * np.exp(-((time - 1.8) ** 2) / 2.0)
    depth = np.exp(-np.abs(np.arange(8) * 20.0 - at) / 25.0)
    return np.asarray(amplitude * shape[:, None] * depth[None], np.float32)


def test_pairs_are_counted_as_their_definition_says() -> None:
    a, b = train(21, duration_sec=30.0), train(22, duration_sec=30.0)
    got = cross_refractory(a, b, RATE)
    lags = np.abs(a[:, None] - b[None])

    def pairs(low_ms: float, high_ms: float) -> int:
        return int(np.sum((lags > low_ms * 30) & (lags <= high_ms * 30)))

    density = max(pairs(low, high) / (2 * (high - low)) for low, high in ((10.0, 30.0), (30.0, 100.0), (100.0, 250.0)))
    windows = [(pairs(0.5, half), density * 2 * (half - 0.5)) for half in (1.0, 1.5, 2.0, 3.0, 4.0)]
    found, expected = min(windows, key=lambda w: (w[0] + 0.5) / (w[1] + 0.5))
    assert (got.found, got.expected) == (found, pytest.approx(expected))
    assert got.ratio == pytest.approx((found + 0.5) / (expected + 0.5))


@pytest.mark.parametrize("seed", range(5))
def test_halves_of_one_neuron_are_refractory_and_two_neurons_are_not(seed: int) -> None:
    halves = cross_refractory(*split(train(seed)), RATE)
    assert halves.ratio < 0.1
    assert halves.p_value < 1e-4
    apart = cross_refractory(train(seed), train(seed + 100), RATE)
    assert apart.ratio > 0.5
    assert apart.is_independent(0.25)
    assert not halves.is_independent(0.25)


def test_one_unit_is_refractory_and_a_mixture_is_not() -> None:
    assert cross_refractory(*split(train(1)), RATE).ratio < 0.05
    mixed = cross_refractory(*split(np.sort(np.concatenate([train(1), train(2)]))), RATE)
    assert 0.3 < mixed.ratio < 0.6  # half of all pairs are between the two
    assert mixed.is_independent(0.2)


def test_trains_without_pairs_cannot_be_judged() -> None:
    got = cross_refractory(np.array([5, 10**9]), np.array([10**8]), RATE)
    assert np.isnan(got.ratio)
    assert got.expected == 0.0
    assert not got.is_independent(0.25)
    assert np.isnan(cross_refractory(np.empty(0, np.int64), train(1), RATE).ratio)


def test_the_difference_of_templates_is_that_of_the_best_lag() -> None:
    a = wave(70.0)
    assert template_difference(a, a, 15) == (0.0, 0)
    later = wave(70.0, centre=36)
    difference, lag = template_difference(a, later, 15)
    assert lag == -6
    assert difference < 0.01
    assert template_difference(later, a, 15)[1] == 6
    assert template_difference(a, 0 * a, 15)[0] == pytest.approx(1.0)
    assert template_difference(0 * a, 0 * a, 15)[0] == 0.0


def test_parts_of_one_neuron_become_one_unit_and_their_times_agree() -> None:
    one, other = train(3), train(4)
    early, late = split(one)
    templates = np.stack([wave(60.0), wave(62.0, 92.0, centre=33), wave(66.0, 95.0)])
    merged = merge_units(templates, [late, early - 3, other], np.array([[0, 60.0], [0, 62.0], [0, 66.0]]), RATE)
    assert merged.kept_as.tolist() == [0, 0, 2]
    assert merged.shift.tolist() == [0, 3, 0]
    [decision] = merged.decisions
    assert (decision.kept, decision.absorbed) == (0, 1)


def test_units_far_apart_unlike_or_empty_stay() -> None:
    early, late = split(train(3))
    nothing = np.empty(0, np.int64)
    templates = np.stack([wave(20.0), wave(20.0), wave(20.0)])
    far = merge_units(templates, [early, late, nothing], np.array([[0, 0.0], [0, 90.0], [0, 0.0]]), RATE)
    assert far.kept_as.tolist() == [0, 1, 2]
    unlike = merge_units(np.stack([wave(20.0), wave(120.0)]), [early, late], np.zeros((2, 2)), RATE)
    assert unlike.kept_as.tolist() == [0, 1]


def test_where_the_correlogram_cannot_judge_one_cloud_is_asked_for() -> None:
    early, late = train(3)[:40], train(4)[1500:1540]  # never at the same time
    templates = np.stack([wave(20.0), wave(28.0, centre=33)])
    asked = []

    def answer(said: bool) -> list[int]:
        def one_cloud(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> bool:
            asked.append((a, b))
            return said

        merged = merge_units(templates, [early, late], np.zeros((2, 2)), RATE, one_cloud=one_cloud)
        return [int(u) for u in merged.kept_as]

    assert merge_units(templates, [early, late], np.zeros((2, 2)), RATE).kept_as.tolist() == [0, 1]
    assert answer(True) == [0, 0]
    assert answer(False) == [0, 1]
    assert asked == [([(0, 0)], [(1, 3)])] * 2
    asked.clear()
    merge_units(templates[[0, 0]], [train(3), train(4)], np.zeros((2, 2)), RATE, one_cloud=lambda a, b: 1 / 0)


def test_a_chain_of_parts_becomes_one_unit_with_shifts_to_the_largest() -> None:
    whole = train(9)
    parts = [whole[k::3] for k in range(3)]
    parts[0] = np.sort(np.concatenate([parts[0], parts[1][::2]]))
    parts[1] = parts[1][1::2]
    templates = np.stack([wave(50.0, centre=30), wave(50.0, centre=32), wave(50.0, centre=27)])
    moved = [parts[0], parts[1] - 2, parts[2] + 3]
    merged = merge_units(templates, moved, np.zeros((3, 2)), RATE)
    assert merged.kept_as.tolist() == [0, 0, 0]
    assert merged.shift.tolist() == [0, 2, -3]
    joined = np.sort(np.concatenate([moved[u] + merged.shift[u] for u in range(3)]))
    np.testing.assert_array_equal(joined, whole)


def test_two_neurons_whose_near_coincidences_a_matcher_took_for_one_are_not_proven_to_be_one() -> None:
    first, second = train(31, 4.4, 180.0), train(32, 6.5, 180.0)
    near = np.abs(first[:, None] - second[None]).min(axis=0) <= 1.0 * 30
    second = second[~near]
    empty = cross_refractory(first, second, RATE)
    assert empty.found == 0
    assert 0.002 < empty.p_value < 0.01  # of five windows the emptiest: that is no proof
    templates = np.stack([wave(60.0), wave(75.0)])
    merged = merge_units(templates, [first, second], np.array([[0.0, 60.0], [0.0, 75.0]]), RATE)
    assert merged.kept_as.tolist() == [0, 1]
    lenient = MergeLimits(p_value=0.01)
    assert len(set(merge_units(templates, [first, second], np.zeros((2, 2)), RATE, lenient).kept_as)) == 1
