"""Gated matching pursuit: the step-by-step kernel finds what looking at everything again finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier.sorting.early_reference import ALIKE, EARLY, MAIN_EARLY
from ranvier.sorting.gated_kernels import gated_steps
from ranvier.sorting.gated_reference import MAIN, gated_steps_reference

BEFORE, LENGTH, PHASES, FRONT, COMPARED, HOP, EARLY_LENGTH = 8, 24, 4, 2, 19, 4, 9
SAMPLES = 320


def units(random: np.random.Generator, count: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return waveforms on three sites each, the main one first, and those sites."""
    time = np.arange(LENGTH) - BEFORE - FRONT
    waveforms = np.zeros((count, PHASES, 3, LENGTH), np.float32)
    sites = np.zeros((count, 3), np.int32)
    for u in range(count):
        width, hump = random.uniform(1.0, 2.5), random.uniform(0.1, 0.6)
        sites[u] = (random.permutation(3) + random.integers(0, channels - 2)).astype(np.int32)
        for f in range(PHASES):
            t = time - f / PHASES
            shape = -np.exp(-0.5 * (t / width) ** 2) + hump * np.exp(-0.5 * ((t - 4 * width) / (2 * width)) ** 2)
            waveforms[u, f] = 10 * np.array([1.0, 0.6, 0.3])[:, None] * shape
    return waveforms, sites


def told(function: Any, white: np.ndarray, waveforms: np.ndarray, sites: np.ndarray, packets: list[int]) -> list[Any]:
    """Return what a kernel tells of a signal that comes in packets, and what is left of it."""
    count, white = len(sites), white.copy()
    compared = waveforms[:, 0, :, FRONT : FRONT + COMPARED].astype(np.float64)
    norms = (compared**2).sum(axis=(1, 2))
    prior = 44.0
    by_gain = np.sqrt((np.clip(0.5 * norms, 30, 100) + prior) * (norms + prior)) - prior
    lows = np.maximum(by_gain, 0.4 * (norms + prior) - prior)
    seen = np.zeros((count, white.shape[0]))
    for u in range(count):
        seen[u, sites[u]] = 1
    share = ((seen @ seen.T) > 0).astype(np.uint8)
    near = np.array([[*np.flatnonzero(s), *[-1] * int((s == 0).sum())] for s in share], np.int32)
    flat = np.zeros((count, white.shape[0], COMPARED))
    for u in range(count):
        flat[u, sites[u]] = compared[u]
    flat = flat.reshape(count, -1)
    apart = np.sqrt(np.maximum(norms[:, None] + norms[None] - 2 * flat @ flat.T, 1e-9))
    apart[(flat @ flat.T <= 0.5 * np.sqrt(np.outer(norms, norms))) | np.eye(count, dtype=np.bool_)] = np.nan
    state = (
        np.full((count, 2), -(1 << 40)), np.zeros(4, np.int64), np.empty((500, 2), np.int64), np.empty((500, 5)),
        np.empty((500, 2), np.int64), np.empty((500, 3), np.int64), np.empty(500, np.float32),
        np.empty((500, 3), np.int64), np.empty(500, np.float32), np.zeros((count, 2), np.int64),
    )  # fmt: skip
    beginning = waveforms[:, 0, :, FRONT + 5 : FRONT + 5 + EARLY_LENGTH].astype(np.float64)
    flat = np.zeros((count, white.shape[0], EARLY_LENGTH))
    for u in range(count):
        flat[u, sites[u]] = beginning[u]
    products = np.ascontiguousarray(flat.reshape(count, -1) @ flat.reshape(count, -1).T)
    alike = products > ALIKE * np.sqrt(np.outer(products.diagonal(), products.diagonal()))
    rivals = np.full((count, count), -1, np.int32)
    for u in range(count):
        others = np.flatnonzero(alike[u] & (np.arange(count) != u))
        rivals[u, : len(others)] = others
    early = (
        FRONT + 5, EARLY_LENGTH, BEFORE - 5, rivals, products.diagonal().copy(), products,
        0.8 * (products.diagonal() + prior) - prior, MAIN_EARLY * (beginning[:, 0] ** 2).sum(axis=1),
    )  # fmt: skip
    parts: list[Any] = []
    filled, stop, origin = 0, HOP, 1000
    for packet in packets:
        fresh, filled = filled, filled + packet
        out = (
            np.empty(100, np.int64), np.empty(100, np.int32), *np.empty((4, 100), np.float32), np.empty(100, np.uint8)
        )  # fmt: skip
        found = function(
            white, 0, fresh, filled, stop, filled, HOP, 3, 7, 12, 20, origin, waveforms, FRONT, COMPARED, BEFORE, sites,
            near, share, norms, lows, MAIN * (compared[:, 0] ** 2).sum(axis=1), apart, prior, 2.5, -3.0, 10, HOP,
            *early, *state, *out,
        )  # fmt: skip
        stop += max(0, (filled - stop) // HOP + 1) * HOP
        parts.append([a[:found] for a in out])
    return [*(np.concatenate(a) for a in zip(*parts, strict=True)), white]


@pytest.mark.parametrize("seed", range(6))
def test_the_kernel_is_its_reference(seed: int) -> None:
    random = np.random.default_rng(seed)
    waveforms, sites = units(random, 5, 8)
    white = random.standard_normal((8, SAMPLES + 16)).astype(np.float32)
    true = [(int(random.integers(5, SAMPLES - 60)), u) for u in range(5) for _ in range(3)]
    for row, u in true:
        white[sites[u], row : row + LENGTH] += np.float32(random.uniform(0.8, 1.2)) * waveforms[u, 0]
    got = told(gated_steps, white, waveforms, sites, [30] * 10 + [20])
    wanted = told(gated_steps_reference, white, waveforms, sites, [30] * 10 + [20])
    for a, b in zip(got[:2], wanted[:2], strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(got[2:], wanted[2:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
    for a, b in zip(got, told(gated_steps, white, waveforms, sites, [7, 93, 120, 100]), strict=True):
        np.testing.assert_array_equal(a, b)  # packets do not matter, to the last bit
    rows = got[0] - 1000 - FRONT
    decided = got[6] != EARLY
    rows, who = rows[decided], got[1][decided]
    hits = sum(any(abs(r - row) <= 1 and u == v for r, v in zip(rows, who, strict=True)) for row, u in true)
    assert hits >= 9  # of fifteen; some fell on each other, or within the guard of their own unit
    assert np.isfinite(got[5]).any()
