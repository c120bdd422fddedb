from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.kernels import all_kernels
from ranvier.simulation.kernels import TILE, add_spikes, background


def wrapped(rng: np.random.Generator, rows: int, period: int) -> np.ndarray:
    table = rng.standard_normal((rows, period)).astype(np.float32)
    return np.ascontiguousarray(np.take(table, np.arange(period + TILE) % period, axis=1))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(0, 700),
    start=st.integers(-1000, 10**12),
    channels=st.integers(1, 6),
    width=st.integers(1, 4),
    hum_period=st.integers(1, 600),
)
def test_background_is_its_reference(
    seed: int, rows: int, start: int, channels: int, width: int, hum_period: int
) -> None:
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, channels, rng.integers(0, channels + 1))
    weights = rng.standard_normal((channels, width)).astype(np.float32)
    weights[0] = 0
    arguments = (
        start,
        chosen,
        np.arange(len(chosen)),
        wrapped(rng, 1, 1000)[0],
        rng.integers(0, 1000, channels),
        rng.integers(0, channels, (channels, width)),
        weights,
        wrapped(rng, 3, 777),
        rng.standard_normal((channels, 3)).astype(np.float32),
        wrapped(rng, 2, hum_period),
        rng.standard_normal((channels, 2)).astype(np.float32),
    )
    ours = np.full((rows, channels), 7, np.float32)
    expected = ours.copy()
    background(ours, *arguments)
    background.reference(expected, *arguments)
    np.testing.assert_array_equal(ours, expected)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), rows=st.integers(0, 300), start=st.integers(-50, 10**12), spikes=st.integers(0, 30))
def test_add_spikes_is_its_reference(seed: int, rows: int, start: int, spikes: int) -> None:
    rng = np.random.default_rng(seed)
    templates = rng.standard_normal((4, 40, 3)).astype(np.float32)
    support = np.array([[0, 1, 2], [1, 3, 4], [0, 4, 5], [2, 3, 5]])
    column_of = np.array([2, -1, 0, 1, -1, 3])
    arguments = (
        start,
        15,
        np.sort(start + rng.integers(-60, rows + 60, spikes)),
        rng.integers(0, 4, spikes),
        rng.standard_normal(spikes).astype(np.float32),
        templates,
        support,
        column_of,
    )
    ours = rng.standard_normal((rows, 4)).astype(np.float32)
    expected = ours.copy()
    add_spikes(ours, *arguments)
    add_spikes.reference(expected, *arguments)
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("made", [background, add_spikes])
def test_kernels_are_registered(made: object) -> None:
    assert made in list(all_kernels())
