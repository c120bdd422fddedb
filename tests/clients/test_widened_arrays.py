"""Samples of an engine as the API's arrays: kernels and NumPy say the same."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.clients import _arrays
from ranvier.clients._arrays import widened
from ranvier.models import SignalType
from ranvier.models.time_range import TimeRange
from ranvier.services.signals import Lent, SignalBlock

RNG = np.random.default_rng(5)
SHAPES = [(1, 1), (63, 65), (1000, 7), (64, 128), (5, 300), (131, 260), (40, 8)]


def block(samples: np.ndarray, *, start: int = 100, gaps: tuple[tuple[int, int], ...] = ()) -> SignalBlock:
    channels = samples.shape[1]
    counts = samples.dtype == np.int16
    return SignalBlock(
        samples={SignalType.AMP: samples, SignalType.DIN: samples},
        time_range=TimeRange.from_samples(start, start + len(samples), 30_000),
        gaps=gaps,
        gain={k: np.linspace(0.1, 0.2, channels) for k in (SignalType.AMP, SignalType.DIN)} if counts else {},
        offset={k: np.linspace(-3, 3, channels) for k in (SignalType.AMP, SignalType.DIN)} if counts else {},
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_kernels_are_their_references(shape: tuple[int, int], dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = RNG.integers(-32768, 32767, shape).astype(dtype)
    expected = widened(block(samples))
    monkeypatch.setattr(_arrays, "_FEW", 0)
    got = widened(block(samples))
    assert set(got) == {"amp", "gpio_din"}
    for name, array in got.items():
        assert (array.dtype, array.shape) == (np.float64, shape[::-1])
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize("few", [0, 1 << 20])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("columns", [range(8), range(4, 11), (3, 0, 9), range(12)])
@pytest.mark.parametrize("start", [5, 70, 95])
def test_lent_samples_are_read_from_the_ring(
    few: int, dtype: type, columns: range, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the columns asked, over the end of the ring, without writing to it; holes read as missing."""
    monkeypatch.setattr(_arrays, "_FEW", few)
    ring = RNG.integers(-32768, 32767, (100, 12)).astype(dtype)
    ring.flags.writeable = False
    chosen = np.array(columns, dtype=np.int64)
    gain, offset = np.linspace(0.1, 0.2, len(chosen)), np.linspace(-3, 3, len(chosen))
    counts = dtype == np.int16
    lent = SignalBlock(
        samples={},
        time_range=TimeRange.from_samples(start, start + 80, 30_000),
        gaps=((start + 10, start + 12),),
        gain={SignalType.AMP: gain} if counts else {},
        offset={SignalType.AMP: offset} if counts else {},
        lent=Lent("token", 1, 100, 12, np.dtype(dtype).name, {SignalType.AMP: chosen}),
    )
    made = widened(lent, None, ring.reshape(-1).view(np.uint8))["amp"]
    expected = ring[np.arange(start, start + 80) % 100][:, chosen].astype(np.float64).T
    if counts:
        expected = expected * gain[:, None] + offset[:, None]
    expected[:, 10:12] = np.nan
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("few", [0, 1 << 20])
def test_counts_that_are_missing_become_nan_and_zero(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_arrays, "_FEW", few)
    made = widened(block(np.ones((50, 3), np.int16), gaps=((90, 100), (110, 112), (148, 200))))
    gone = np.zeros(50, bool)
    gone[[10, 11, 48, 49]] = True
    np.testing.assert_array_equal(np.isnan(made["amp"]), np.tile(gone, (3, 1)))
    assert (made["gpio_din"][:, gone] == 0.0).all()


def test_memory_that_is_no_plain_block_is_filled_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_arrays, "_FEW", 0)
    samples = RNG.integers(-100, 100, (40, 3)).astype(np.int16)
    memory = np.zeros((3, 80))[:, ::2]
    made = widened(block(samples), {"amp": memory})
    assert made["amp"] is memory
    np.testing.assert_array_equal(memory, made["gpio_din"])
