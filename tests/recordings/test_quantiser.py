"""Physical samples to the counts of an output."""

from __future__ import annotations

import numpy as np

from ranvier.recordings import Block
from ranvier.recordings.quantiser import Quantiser

GAIN = np.array([0.195, 0.195, 0.5])
OFFSET = np.array([0.0, 0.0, 1.0])


def _counts(rows: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-32768, 32768, (rows, 3)).astype(np.int16)


def test_own_counts_are_handed_on_without_a_copy() -> None:
    block = Block(_counts(50), 7, GAIN, OFFSET)
    made = Quantiser(None, GAIN, OFFSET).counts(block)
    assert np.shares_memory(made.samples, block.samples)
    assert (made.start, made.clipped, made.unknown) == (7, 0, 0)
    picked = Quantiser(np.array([2, 0]), GAIN[[2, 0]], OFFSET[[2, 0]]).counts(block)
    np.testing.assert_array_equal(picked.samples, block.samples[:, [2, 0]])


def test_other_counts_are_scaled_rounded_and_saturated() -> None:
    block = Block(_counts(200), 0, GAIN, OFFSET)
    made = Quantiser(None, np.full(3, 0.195), np.zeros(3)).counts(block)
    expected = np.rint((block.samples * GAIN + OFFSET).astype(np.float32) / 0.195)
    np.testing.assert_array_equal(made.samples, np.clip(expected, -32768, 32767))
    assert made.clipped == np.count_nonzero(np.abs(expected + 0.5) > 32768) > 0
    assert not np.shares_memory(made.samples, block.samples)


def test_missing_samples_are_zero_and_counted() -> None:
    samples = np.array([[np.nan, 0.1, np.inf], [-np.inf, np.nan, 1e30]], np.float32)
    made = Quantiser(None, GAIN, OFFSET).counts(Block(samples, 0))
    assert made.samples.tolist() == [[0, 1, 32767], [-32768, 0, 32767]]
    assert (made.clipped, made.unknown) == (3, 2)
