"""Kernels against the NumPy functions that define them."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.recordings import kernels


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (1, 1), (17, 5), (100, 128)])
def test_scale(rng: np.random.Generator, rows: int, columns: int) -> None:
    counts = rng.integers(-32768, 32768, (rows, columns)).astype(np.int16)
    gain, offset = rng.normal(size=columns), rng.normal(size=columns)
    out, expected = np.empty((2, rows, columns), np.float32)
    kernels.scale(counts, gain, offset, out)
    kernels.scale.reference(counts, gain, offset, expected)
    assert np.array_equal(out, expected)
    pick = rng.integers(0, columns, 7)
    out, expected = np.empty((2, rows, 7), np.float32)
    kernels.scale_selected(counts, pick, gain[pick], offset[pick], out)
    kernels.scale_selected.reference(counts, pick, gain[pick], offset[pick], expected)
    assert np.array_equal(out, expected)


def test_scale_uniform(rng: np.random.Generator) -> None:
    counts = np.arange(-32768, 32768, dtype=np.int16)
    out, expected = np.empty((2, len(counts)), np.float32)
    kernels.scale_uniform(counts, 0.195, -3.0, out)
    kernels.scale_uniform.reference(counts, 0.195, -3.0, expected)
    assert np.array_equal(out, expected)


def test_round_to_counts(rng: np.random.Generator) -> None:
    samples = (rng.normal(0, 5000, (200, 4)) * [1, 1, 0.01, 100]).astype(np.float32)
    samples[3] = [np.nan, np.inf, -np.inf, 0.5 * 0.195]
    gain, offset = np.array([0.195, 0.3, 1.0, 2.0]), np.array([0.0, 1.0, -1.0, 0.5])
    out, expected = np.empty((2, 200, 4), np.int16)
    counted = kernels.round_to_counts(samples, gain, offset, out)
    assert counted == kernels.round_to_counts.reference(samples, gain, offset, expected)
    assert np.array_equal(out, expected)
    assert counted[0] > 2
    assert counted[1] == 1


def test_halves_are_rounded_as_by_division(rng: np.random.Generator) -> None:
    """Where a product with the inverse gain lies on the other side of a half, or of the last count."""
    gain, offset = np.array([0.195, 0.3, 0.1]), np.array([0.0, 1.0, -0.25])
    halves = (rng.integers(-40000, 40000, (5000, 3)) + 0.5) * gain + offset
    samples = halves.astype(np.float32)
    samples[::2] = np.nextafter(samples[::2], np.float32(0))
    by_inverse = np.rint((samples - offset) * (1.0 / gain))
    out, expected = np.empty((2, 5000, 3), np.int16)
    counted = kernels.round_to_counts(samples, gain, offset, out)
    assert counted == kernels.round_to_counts.reference(samples, gain, offset, expected)
    assert np.array_equal(out, expected)
    assert np.count_nonzero(np.clip(by_inverse, -32768, 32767) != expected) > 5  # so the test can fail


def test_counts_survive_scaling_and_rounding() -> None:
    counts = np.arange(-32768, 32768, dtype=np.int16)[:, None]
    gain, offset = np.array([0.195]), np.array([0.0])
    physical = np.empty(counts.shape, np.float32)
    back = np.empty_like(counts)
    kernels.scale(counts, gain, offset, physical)
    assert kernels.round_to_counts(physical, gain, offset, back) == (0, 0)
    assert np.array_equal(back, counts)
