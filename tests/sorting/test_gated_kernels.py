"""Gated matching pursuit: the incremental kernel finds what looking at everything again finds."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.sorting.gated_kernels import gated_pursuit, gated_pursuit_reference

BEFORE, LENGTH, PHASES = 8, 24, 4


def units(random: np.random.Generator, count: int, channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return waveforms on three sites each, those sites, and the main ones."""
    time = np.arange(LENGTH) - BEFORE
    waveforms = np.zeros((count, PHASES, 3, LENGTH), np.float32)
    sites = np.zeros((count, 3), np.int32)
    for u in range(count):
        width, hump = random.uniform(1.0, 2.5), random.uniform(0.1, 0.6)
        sites[u] = (np.array([0, 1, 2]) + random.integers(0, channels - 2)).astype(np.int32)
        for f in range(PHASES):
            t = time - f / PHASES
            shape = -np.exp(-0.5 * (t / width) ** 2) + hump * np.exp(-0.5 * ((t - 4 * width) / (2 * width)) ** 2)
            for k, share in enumerate(
                random.permutation([1.0, 0.6, 0.3]) if f == 0 else waveforms[u, 0, :, BEFORE] * -1 / 10
            ):
                waveforms[u, f, k] = 10 * share * shape
    mains = sites[np.arange(count), waveforms[:, 0, :, BEFORE].argmin(axis=1)]
    return waveforms, sites, mains.astype(np.int32)


@pytest.mark.parametrize("seed", range(6))
def test_the_kernel_is_its_reference(seed: int) -> None:
    random = np.random.default_rng(seed)
    waveforms, sites, mains = units(random, 5, 8)
    white = random.standard_normal((8, 220)).astype(np.float32)
    true = [(int(random.integers(5, 180)), u) for u in range(5) for _ in range(2)]
    for row, u in true:
        white[sites[u], row : row + LENGTH] += np.float32(random.uniform(0.8, 1.2)) * waveforms[u, 0]
    norms = (waveforms[:, 0].astype(np.float64) ** 2).sum(axis=(1, 2))
    seen = np.zeros((5, 8))
    for u in range(5):
        seen[u, sites[u]] = 1
    share = ((seen @ seen.T) > 0).astype(np.uint8)
    results = []
    for function in (gated_pursuit, gated_pursuit_reference):
        rows, unit = np.empty(50, np.int64), np.empty(50, np.int32)
        scale, fraction, gain = np.empty((3, 50), np.float32)
        found = function(
            white.copy(), waveforms, sites, mains, share, norms, np.clip(0.5 * norms, 30, 100), 44.0,
            np.array([0.4, 2.5]), -3.0, BEFORE, 10, 1, 190, np.full(5, -(1 << 40), np.int64), rows, unit, scale,
            fraction, gain,
        )  # fmt: skip
        results.append((rows[:found], unit[:found], scale[:found], fraction[:found], gain[:found]))
    for a, b in zip(results[0][:2], results[1][:2], strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(results[0][2:], results[1][2:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
    rows, unit = results[0][0], results[0][1]
    hits = sum(any(abs(r - row) <= 1 and u == v for r, v in zip(rows, unit, strict=True)) for row, u in true)
    assert hits >= 7  # of ten; some fell on each other, or within the guard of their own unit
