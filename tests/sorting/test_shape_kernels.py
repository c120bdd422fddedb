"""Products of signals with shapes and sites: the kernels by their references."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.sorting.shape_kernels import (
    on_templates,
    on_templates_reference,
    projections,
    spread_scores,
    spread_scores_reference,
    steps_per_one,
)

STEP = 1.0 / 128.0


def lists(random: np.random.Generator, count: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``first`` and ``sites`` of random lists of sites; the second one is empty."""
    own = [np.sort(random.choice(channels, random.integers(1, channels + 1), replace=False)) for _ in range(count)]
    own[1] = own[1][:0]
    first = np.concatenate([[0], np.cumsum([len(o) for o in own])]).astype(np.int64)
    return first, np.concatenate(own).astype(np.int32)


def test_projections_are_inner_products_at_every_shift() -> None:
    random = np.random.default_rng(4)
    x, shapes = random.standard_normal((5, 333)), random.standard_normal((3, 21)).astype(np.float32)
    counts = np.rint(x / STEP).astype(np.int16)
    wanted = np.stack([np.einsum("pl,cl->pc", shapes, STEP * counts[:, t : t + 21]) for t in range(0, 333 - 20, 3)])
    np.testing.assert_allclose(projections(counts, STEP, shapes, 3), wanted, atol=0.02)


def test_the_largest_signal_does_not_leave_the_whole_numbers() -> None:
    shape = np.sqrt(np.full((1, 61), 1.0 / 61.0)).astype(np.float32)
    signal = np.full((3, 200), 32767, np.int16)
    assert steps_per_one(shape) == 2.0**13
    out = np.empty((1, 140), np.float32)
    on_templates(signal, STEP, shape, 1, np.array([0, 1]), np.array([2], np.int32), np.ones((1, 1), np.float32), out)
    np.testing.assert_allclose(out, 32767 * STEP * np.sqrt(61), rtol=1e-3)


@pytest.mark.parametrize(("samples", "channels", "parts", "every"), [(333, 5, 3, 1), (700, 16, 6, 2), (517, 19, 1, 3)])
def test_kernels_are_their_references(samples: int, channels: int, parts: int, every: int) -> None:
    random = np.random.default_rng(samples)
    x = random.integers(-900, 900, (channels, samples)).astype(np.int16)
    shapes = random.standard_normal((parts, 21)).astype(np.float32)
    shifts = (samples - 21) // every + 1
    first, sites = lists(random, 4, channels)
    weights = random.standard_normal((len(sites), parts)).astype(np.float32)
    got, wanted = np.full((2, 4, shifts), np.nan, np.float32)
    on_templates(x, STEP, shapes, every, first, sites, weights, got)
    on_templates_reference(x, STEP, shapes, every, first, sites, weights, wanted)
    np.testing.assert_allclose(got, wanted, atol=1e-3)
    assert np.abs(got[0]).max() > 1.0
    first, sites = lists(random, 2 * channels, channels)
    share = random.standard_normal(len(sites)).astype(np.float32)
    got, wanted = np.full((2, shifts, channels), np.nan, np.float32)
    spread_scores(x, STEP, shapes, every, first, sites, share, got)
    spread_scores_reference(x, STEP, shapes, every, first, sites, share, wanted)
    np.testing.assert_allclose(got, wanted, atol=1e-3)
    assert (wanted > projections(x, STEP, shapes, every).max(axis=1)).any()  # some sums are larger than any single site


@pytest.mark.parametrize(("length", "parts", "every"), [(61, 6, 2), (41, 4, 1), (97, 5, 3), (29, 5, 3), (30, 2, 4)])
def test_sums_over_samples_are_exact(length: int, parts: int, every: int) -> None:
    random = np.random.default_rng(length)
    x = random.integers(-32767, 32767, (11, 400)).astype(np.int16)
    shapes = random.standard_normal((parts, length)).astype(np.float32)
    wanted = projections(x, STEP, shapes, every)
    got = np.empty((len(wanted), 11), np.float32)
    nowhere = np.zeros(12, np.int64), np.empty(0, np.int32), np.empty(0, np.float32)  # lists of no sites
    spread_scores(x, STEP, shapes, every, *nowhere, got)
    np.testing.assert_array_equal(got, np.maximum(wanted.max(axis=1), 0.0))
    assert np.abs(wanted).max() > 1000.0
