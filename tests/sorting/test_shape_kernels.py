"""Products of signals with shapes and sites: the kernels by their references."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.sorting.shape_kernels import (
    on_templates,
    on_templates_reference,
    spread_scores,
    spread_scores_reference,
)
from ranvier.sorting.shape_strips import projections, steps_per_one

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
    projected, unit = projections(counts, STEP, shapes, 3)
    assert unit == 2 * STEP
    np.testing.assert_allclose(projected * unit, wanted, atol=0.02)


@pytest.mark.parametrize("parts", [1, 6])
def test_the_largest_signal_does_not_leave_the_whole_numbers(parts: int) -> None:
    shape = np.sqrt(np.full((parts, 61), 1.0 / 61.0)).astype(np.float32)
    signal = np.full((40, 200), 32767, np.int16)
    assert steps_per_one(shape) == 2.0**13
    out, most = np.empty((1, 140), np.float32), 32767 * 2 * STEP  # of one projection: 512 SD
    on_templates(
        signal, STEP, shape, 1, np.array([0, 40]), np.arange(40, dtype=np.int32), np.ones((40, parts), np.float32), out
    )
    np.testing.assert_allclose(out, 40 * parts * most, rtol=1e-3)
    signal *= -1
    on_templates(
        signal, STEP, shape, 1, np.array([0, 1]), np.array([2], np.int32), np.ones((1, parts), np.float32), out
    )
    np.testing.assert_allclose(out, -parts * most, rtol=1e-3)
    signal, best = np.full((9, 200), 32767, np.int16), np.empty((140, 9), np.float32)
    spread = np.arange(10, dtype=np.int64) * 9, np.tile(np.arange(9, dtype=np.int32), 9), np.full(81, 1 / 3, np.float32)
    spread_scores(signal, STEP, shape, 1, *spread, best)
    np.testing.assert_allclose(best, 3 * most, rtol=1e-3)


@pytest.mark.parametrize(
    ("samples", "channels", "parts", "every"),
    [(333, 5, 3, 1), (700, 16, 6, 2), (517, 19, 1, 3), (640, 5, 6, 3), (901, 6, 2, 4)],
)
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
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)
    assert np.abs(got[0]).max() > 1.0
    first, sites = lists(random, 2 * channels, channels)
    share = random.standard_normal(len(sites)).astype(np.float32)
    got, wanted = np.full((2, shifts, channels), np.nan, np.float32)
    spread_scores(x, STEP, shapes, every, first, sites, share, got)
    spread_scores_reference(x, STEP, shapes, every, first, sites, share, wanted)
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)
    projected, unit = projections(x, STEP, shapes, every)
    assert (wanted > unit * projected.max(axis=1)).any()  # some sums are larger than any single site


@pytest.mark.parametrize(("length", "parts", "every"), [(61, 6, 2), (41, 4, 1), (97, 5, 3), (29, 5, 3), (30, 2, 4)])
def test_sums_over_samples_are_exact(length: int, parts: int, every: int) -> None:
    random = np.random.default_rng(length)
    x = random.integers(-8000, 8000, (11, 400)).astype(np.int16)
    shapes = random.standard_normal((parts, length)).astype(np.float32)
    shapes /= np.sqrt((shapes**2).sum(axis=1, keepdims=True))
    wanted, unit = projections(x, STEP, shapes, every)
    got = np.empty((len(wanted), 11), np.float32)
    nowhere = np.zeros(12, np.int64), np.empty(0, np.int32), np.empty(0, np.float32)  # lists of no sites
    spread_scores(x, STEP, shapes, every, *nowhere, got)
    np.testing.assert_allclose(got, unit * np.maximum(wanted.max(axis=1), 0), rtol=1e-6)
    assert 100 < unit * np.abs(wanted).max() < 512
    alone = np.empty((11 * parts, len(wanted)), np.float32)  # a unit on one site and component each
    weights = np.tile(np.eye(parts, dtype=np.float32), (11, 1))
    on_templates(
        x,
        STEP,
        shapes,
        every,
        np.arange(11 * parts + 1),
        np.repeat(np.arange(11, dtype=np.int32), parts),
        weights,
        alone,
    )
    np.testing.assert_allclose(alone, unit * wanted.transpose(2, 1, 0).reshape(11 * parts, -1), rtol=1e-4)
