"""The packet and fold kernels equal their references."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from ranvier.detect import ThresholdDetector
from ranvier.detect.kernels import row_crossings
from ranvier.metrics import packet_columns as k
from ranvier.metrics.fold_kernels import (
    fold_moments,
    fold_moments_reference,
    fold_sums,
    fold_sums_reference,
    median_columns,
    median_columns_reference,
)
from ranvier.metrics.packet_kernels import packet_rows, packet_rows_reference
from ranvier.recordings import Block


@pytest.mark.parametrize(
    ("n", "channels", "span", "missing", "threshold", "seed"),
    [
        (6200, 20, (100, 6100), 0.0, 3.0, 1),
        (6200, 5, (100, 6100), 0.02, 2.0, 2),
        (3000, 3, (100, 1500), 0.0, 1.5, 3),
        (40, 17, (3, 37), 0.5, 0.5, 4),
        (9, 4, (1, 6), 0.3, 1.0, 5),
    ],
)
def test_packet_rows(n: int, channels: int, span: tuple[int, int], missing: float, threshold: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(3, 10, (n, channels)) / 0.195).astype(np.float32) * np.float32(0.195)
    x[rng.random(x.shape) < missing] = np.nan
    x[:, 0] = 7.0  # flat
    if missing:
        x[:, 1] = np.nan
        x[2, 2] = np.inf
    levels = np.tile(np.array([-threshold, threshold, -4, 4], np.float32), (channels, 1))
    levels[-1] = [-np.inf, 12.0, -np.inf, 30.0]
    in_sd = np.ones((channels, 2), np.uint8)
    in_sd[-1] = 0
    wings = np.tile(np.array([15, 30, 20]), (channels, 1))
    first, stop = span[0], min(n - 1, span[1] + n // 3)
    results = []
    for function in (packet_rows, packet_rows_reference):
        exact = np.full((k.NUM_EXACT, channels), 7.0)
        single = np.full((k.NUM_SINGLE, channels), 7.0, np.float32)
        function(
            x,
            np.ones(channels),
            np.zeros(channels),
            0,
            channels,
            first,
            stop,
            *span,
            span[0] - 2,
            levels,
            in_sd,
            wings,
            exact,
            single,
        )
        results.append((exact, single))
    np.testing.assert_array_equal(results[0][1], results[1][1])
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-9, atol=1e-9)


def test_counts_are_measured_as_their_physical_values() -> None:
    rng = np.random.default_rng(6)
    n, channels = 4000, 41  # neither a multiple of what is turned together
    counts = np.round(rng.normal(0, 60, (n, channels))).astype(np.int16)
    counts[:, 3], counts[::2, 4] = 17, -32768
    gain, offset = rng.uniform(0.05, 0.4, channels), rng.normal(0, 3, channels)
    gain[7] = -0.195
    physical = Block(counts, 0, gain, offset).physical()
    levels = np.tile(np.array([-3, 3, -5, 5], np.float32), (channels, 1))
    in_sd, wings = np.ones((channels, 2), np.uint8), np.tile(np.array([15, 30, 20]), (channels, 1))
    results = []
    for samples, g, o in ((counts, gain, offset), (physical, np.ones(channels), np.zeros(channels))):
        exact, single = np.zeros((k.NUM_EXACT, channels)), np.zeros((k.NUM_SINGLE, channels), np.float32)
        packet_rows(samples, g, o, 0, channels, 50, n - 60, 50, n - 60, 50, levels, in_sd, wings, exact, single)
        results.append((exact, single))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert results[0][1][k.EVENTS].sum() > 100


def test_medians_of_awkward_values() -> None:
    n = 20_000
    rng = np.random.default_rng(9)
    x = np.stack(
        [
            np.arange(n), -np.arange(n)[::-1] ** 2, np.repeat([0.0, 1.0], n // 2), np.tile([-5.0, 5.0], n // 2),
            np.round(rng.normal(0, 1, n)), rng.standard_cauchy(n), np.sin(np.arange(n) / 3000) * 1000,
            np.where(rng.random(n) < 0.5, 0.0, rng.normal(0, 1, n)), np.tile(np.arange(n // 100), 100) % 7, np.zeros(n),
            rng.normal(0, 1e-30, n), np.sign(rng.normal(0, 1, n)) * 1e30,
        ],
        axis=1,
    ).astype(np.float32)  # fmt: skip
    channels = x.shape[1]
    off = np.tile(np.array([-np.inf, np.inf, -np.inf, np.inf], np.float32), (channels, 1))
    results = []
    for function in (packet_rows, packet_rows_reference):
        exact, single = np.zeros((k.NUM_EXACT, channels)), np.zeros((k.NUM_SINGLE, channels), np.float32)
        wings = np.zeros((channels, 3), np.int64)
        function(
            x,
            np.ones(channels),
            np.zeros(channels),
            0,
            channels,
            0,
            n,
            0,
            n,
            0,
            off,
            np.zeros((channels, 2), np.uint8),
            wings,
            exact,
            single,
        )
        results.append(single)
    np.testing.assert_array_equal(*results)


@numba.njit
def crossings_of(x: np.ndarray, negative: float, positive: float, dead: int, out: np.ndarray) -> int:
    n: int = row_crossings(x, negative, positive, dead, out)
    return n


@pytest.mark.parametrize("missing", [0.0, 0.05])
@pytest.mark.parametrize("levels", [(-25, 28), (-25, np.inf), (3, 9), (-np.inf, 20)])
@pytest.mark.parametrize("dead", [0, 30])
def test_crossings_are_those_of_the_detector(levels: tuple[float, float], missing: float, dead: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 10, (20_003, 3)).astype(np.float32)
    x[rng.random(x.shape) < missing] = np.nan
    detector = ThresholdDetector(*levels, dead, num_channels=3)
    found = detector.process(Block(x, 0), detector.start())
    out = np.empty(len(x), np.int64)
    for c in range(3):
        n = crossings_of(np.ascontiguousarray(x[:, c])[None], *np.float32(levels), dead, out)
        assert out[:n].tolist() == found.crossings[found.channels == c].tolist()
        assert n > 30


def test_folds() -> None:
    rng = np.random.default_rng(3)
    packets, channels = 37, 21
    single = rng.normal(0, 1, (packets, k.NUM_SINGLE, channels)).astype(np.float32)
    exact = rng.normal(0, 1, (packets, k.NUM_EXACT, channels)) ** 2
    single[:, k.N] = rng.integers(0, 3, (packets, channels)) * 500
    single[:, k.MAD][rng.random((packets, channels)) < 0.3] = np.nan
    single[:, k.MAD, 4] = np.nan
    got, wanted = np.empty((3, channels)), np.empty((3, channels))
    exact[single[:, [k.N] * k.NUM_EXACT] == 0] = 0.0
    given = single[:, k.N], exact[:, k.MEAN], exact[:, k.M2]
    fold_moments(*given, got)
    fold_moments_reference(*given, wanted)
    np.testing.assert_array_equal(got, wanted)
    for values in (single[:, k.SEEN], np.ascontiguousarray(single[:, k.SEEN, :3])):
        sums = np.empty((2, 1, values.shape[1]))
        fold_sums(values, sums[0])
        fold_sums_reference(values, sums[1])
        np.testing.assert_allclose(sums[0], sums[1], rtol=1e-13, atol=1e-13)
    got, wanted = np.empty(channels), np.empty(channels)
    mads = np.ascontiguousarray(single[:, k.MAD])
    mads.flags.writeable = False  # as a mapped packet file is
    median_columns(mads, got)
    median_columns_reference(mads, wanted)
    np.testing.assert_array_equal(got, wanted)
    assert np.isnan(got[4])
    assert np.isfinite(got[3])
