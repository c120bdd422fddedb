"""The kernels compute what their NumPy references define."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.spectral import fft_kernels as k


def setup(n: int, channels: int, rows: int = 0) -> tuple[object, ...]:
    x = (np.random.default_rng(n).standard_normal((max(rows, n + 5), channels)) * 20 + 3).astype(np.float32)
    cosines, sines = k.twiddles(n)
    radices = k.radices_of(n // 2)
    assert radices is not None
    assert int(np.prod(radices, dtype=np.int64)) == n // 2
    window = np.hanning(n) + 0.1
    return x, window, cosines, sines, np.array(radices, dtype=np.int64)


@pytest.mark.parametrize("n", [2, 4, 6, 8, 10, 30, 64, 90, 128, 250, 360, 1024, 3000])
@pytest.mark.parametrize("detrend", [k.RAW, k.CONSTANT])
def test_a_frame_is_transformed_as_numpy_does(n: int, detrend: int) -> None:
    x, window, cosines, sines, radices = setup(n, 21)
    found, expected = np.full((2, 2, n // 2 + 1, 21), -1.0)
    arguments = (x, 3, window, detrend, cosines, sines, radices, 2, 20)
    k.frame_transform(*arguments, *found)
    k.frame_transform_reference(*arguments, *expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    assert (found[:, :, [0, 1, 20]] == -1).all()  # columns that were not asked for stay


@pytest.mark.parametrize("n", [8, 50, 256])
def test_powers_are_added_frame_by_frame_and_missing_samples_leave_a_frame_out(n: int) -> None:
    x, window, cosines, sines, radices = setup(n, 19, 6 * n)
    x[2 * n + 1, 4] = np.nan
    x[1, 18] = np.inf
    rows = np.arange(0, 5 * n, n // 2, dtype=np.int64)
    found, expected = np.ones((2, n // 2 + 1, 19))
    used, counted = np.zeros((2, 19), dtype=np.int64)
    arguments = (x, rows, window, k.CONSTANT, cosines, sines, radices, 0, 19)
    k.add_frame_powers(*arguments, found, used)
    k.add_frame_powers_reference(*arguments, expected, counted)
    np.testing.assert_array_equal(used, counted)
    assert used[4] < len(rows)
    assert used[18] == len(rows) - 1
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * expected.max())


def test_lengths_with_large_prime_factors_are_refused() -> None:
    assert k.radices_of(7) is None
    assert k.radices_of(2 * 11) is None
    assert k.radices_of(1) == []
