"""The kernels compute what their NumPy references define; machine code differs in nothing but speed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from ranvier.dsp import fir_kernels, kernels, median_kernels, reference_kernels, references
from ranvier.dsp.design import butterworth
from ranvier.kernels import all_kernels

RNG = np.random.default_rng(5)
OURS = ("ranvier.dsp.",)


def _signal(rows: int, columns: int, *, nan: bool = False) -> np.ndarray:
    x = (RNG.standard_normal((rows, columns)) * 100).astype(np.float32)
    if nan:
        x[RNG.random(x.shape) < 0.02] = np.nan
        x[3, 0] = np.inf
    return x


def test_every_dsp_kernel_has_a_reference() -> None:
    mine = [k for k in all_kernels() if k.name.startswith(OURS)]
    assert len(mine) >= 8
    assert all(k.reference is not None for k in mine)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 6, 7, 9, 13])
@pytest.mark.parametrize(("columns", "step"), [(1, 1), (7, 1), (64, -1), (131, 1), (131, -1)])
def test_cascade(order: int, columns: int, step: int) -> None:
    design = butterworth("bandpass", (300.0, 6000.0), order, 30000)
    coef = design.coefficients
    x = _signal(600, columns)
    ref = _signal(600, 1)[:, 0].copy() if step > 0 else kernels.NO_REFERENCE
    row = 10 if step > 0 else 580
    results = []
    for function in (kernels.cascade, references.cascade):
        out = np.zeros_like(x)
        state = np.full((2 * len(coef), columns), 0.25)
        function(x, row, out, row, 550, step, 0, columns, ref, design.gain, coef, state, 1000)
        results.append((out, state))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert np.any(results[0][0])


@pytest.mark.parametrize("width", [1, 2, 3, 8, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200])
def test_a_channel_does_not_see_how_many_there_are(width: int) -> None:
    """No fused multiply-add in vector bodies that scalar remainders lack: the same bits for any number of columns."""
    design = butterworth("bandpass", (1.0, 6000.0), 4, 30000)
    x = _signal(500, 200)
    whole, part = np.zeros_like(x), np.zeros_like(x)
    kernels.filter_rows(design, x, 0, whole, 0, 500, 1, (0, 200), np.zeros((8, 200)), 0)
    for first in range(0, 200, width):
        stop = min(first + width, 200)
        kernels.filter_rows(design, x, 0, part, 0, 500, 1, (first, stop), np.zeros((8, 200)), 0)
    np.testing.assert_array_equal(whole, part)


def test_restarting_cascade() -> None:
    design = butterworth("bandpass", (300.0, 6000.0), 3, 30000)
    x = _signal(700, 5, nan=True)
    results = []
    for function in (kernels.cascade_restarting, references.cascade_restarting):
        out, state = np.zeros_like(x), np.zeros((6, 5))
        function(x, out, 1, 4, kernels.NO_REFERENCE, design.gain, design.coefficients, state, 77)
        results.append((out, state))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


def test_restarting_and_fast_cascade_agree_bitwise() -> None:
    design = butterworth("highpass", (0.5,), 4, 30000)
    x = _signal(2000, 9)
    fast, slow = np.zeros_like(x), np.zeros_like(x)
    a, b = np.zeros((4, 9)), np.zeros((4, 9))
    kernels.filter_rows(design, x, 0, fast, 0, 2000, 1, (0, 9), a, 130)
    kernels.cascade_restarting(x, slow, 0, 9, kernels.NO_REFERENCE, design.gain, design.coefficients, b, 130)
    np.testing.assert_array_equal(fast, slow)
    np.testing.assert_array_equal(a, b)


def test_states_of_silence_become_zero() -> None:
    """Behind a pulse and long silence the state is 0, not denormal."""
    design = butterworth("highpass", (3000.0,), 4, 30000)
    x = np.zeros((4096, 4), np.float32)
    x[0] = 1000
    state = np.zeros((4, 4))
    out = np.zeros_like(x)
    kernels.filter_rows(design, x, 0, out, 0, 4096, 1, (0, 4), state, 0)
    assert not state.any()


def test_cascade_float64() -> None:
    design = butterworth("bandpass", (300.0, 6000.0), 4, 30000)
    x = RNG.standard_normal((40, 3))
    out, state = np.empty_like(x), np.zeros((8, 3))
    kernels.cascade_float64(x, out, design.gain, design.coefficients, state)
    np.testing.assert_allclose(out, signal.sosfilt(design.sos_array, x, axis=0), rtol=1e-9, atol=1e-12)
    again, state2 = np.empty_like(x), np.zeros((8, 3))
    references.cascade_float64(x, again, design.gain, design.coefficients, state2)
    np.testing.assert_array_equal(out, again)


def test_largest_bits_finds_what_is_not_finite() -> None:
    x = _signal(100, 6)
    x[50, 1], x[99, 3], x[0, 4] = np.nan, -np.inf, -np.nan
    found, expected = np.zeros(6, np.int32), np.zeros(6, np.int32)
    kernels.largest_bits(x.view(np.int32), 0, 6, found)
    references.largest_bits(x.view(np.int32), 0, 6, expected)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found >= kernels.INFINITY_BITS, [False, True, False, True, True, False])


@pytest.mark.parametrize("columns", [1, 2, 5, 16, 17, 128, 130])
@pytest.mark.parametrize("nan", [False, True])
def test_row_statistics(columns: int, nan: bool) -> None:
    x = _signal(300, columns + 2, nan=nan)
    x[7, :columns] = np.nan if nan else 1
    for function, reference, exact in (
        (reference_kernels.row_mean, references.row_mean, False),
        (median_kernels.row_median, references.row_median, True),
    ):
        out, expected = np.empty(300, np.float32), np.empty(300, np.float32)
        function(x, columns, out)
        reference(x, columns, expected)
        if exact:
            np.testing.assert_array_equal(out, expected)
        else:
            np.testing.assert_allclose(out, expected, rtol=2e-7, atol=1e-5)


@pytest.mark.parametrize("columns", [1, 2, 3, 8, 9, 33, 64])
def test_median_of_equal_values_and_of_extreme_ones(columns: int) -> None:
    x = RNG.integers(-2, 3, (400, columns)).astype(np.float32)
    x[:100] *= np.float32(1e-40)  # denormal numbers
    x[100:150] *= np.float32(1e38)
    x[200:210] = -0.0
    x[RNG.random(x.shape) < 0.1] = np.nan
    x[RNG.random(x.shape) < 0.05] = -np.inf
    got, expected = np.empty(400, np.float32), np.empty(400, np.float32)
    median_kernels.row_median(x, columns, got)
    references.row_median(x, columns, expected)
    np.testing.assert_array_equal(got, expected)


def test_subtract_and_its_forms() -> None:
    x = _signal(200, 20, nan=True)
    ref = np.empty(200, np.float32)
    reference_kernels.row_mean(x, 18, ref)
    one, two, three = np.empty_like(x), np.empty_like(x), x.copy()
    reference_kernels.subtract(x, ref, 18, one)
    reference_kernels.subtract_mean(x, 18, two)
    reference_kernels.subtract_mean_in_place(three, 18)
    expected = np.empty_like(x)
    references.subtract(x, ref, 18, expected)
    for got in (one, two, three):
        np.testing.assert_array_equal(got, expected)
    median_kernels.row_median(x, 18, ref)
    one, two, three = np.empty_like(x), np.empty_like(x), x.copy()
    reference_kernels.subtract(x, ref, 18, one)
    median_kernels.subtract_median(x, 18, two)
    median_kernels.subtract_median_in_place(three, 18)
    references.subtract_median(x, 18, expected)
    for got in (one, two, three):
        np.testing.assert_array_equal(got, expected)
    three = x.copy()
    reference_kernels.subtract_mean_in_place(three, 18)
    in_numpy = x.copy()
    references.subtract_mean_in_place(in_numpy, 18)
    np.testing.assert_allclose(in_numpy, three, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("columns", "factor", "taps"), [(1, 1, 9), (5, 2, 33), (131, 5, 57), (130, 7, 17)])
@pytest.mark.parametrize("low", [-1000, 3])
def test_decimate(columns: int, factor: int, taps: int, low: int) -> None:
    x = _signal(300, columns, nan=True)
    x[:, columns // 2] = _signal(300, 1)[:, 0]
    h = RNG.standard_normal(taps).astype(np.float32)
    row = 5 if low > 0 else taps // 2
    outputs = (300 - 1 - row) // factor + 1
    results = []
    for function in (fir_kernels.decimate, references.decimate):
        out = np.zeros((outputs, columns + 1), np.float32)
        pack = np.empty((taps + 64) * fir_kernels.GROUP, np.float32)
        function(x[:40].copy(), x[40:].copy(), row, low, factor, h, 0, columns, out, pack)
        results.append(out)
    np.testing.assert_array_equal(*results)
    assert not results[0][:, columns].any()
    assert np.isfinite(results[0][:, columns // 2]).all()


@pytest.mark.parametrize("columns", [1, 2, 3, 8, 33, 64, 129, 384])
@pytest.mark.parametrize(
    "kind", ["noise", "steps", "few values", "silence", "two values", "neighbours", "holes", "huge", "largest"]
)
def test_row_median_is_exact_whatever_came_before(columns: int, kind: str) -> None:
    """Near the last row's or far from it, ties, holes, infinities: always the median; the cut never matters."""
    x = _signal(400, columns, nan=kind == "holes")
    if kind == "steps":
        x += np.repeat(RNG.choice([-5000, 0, 4000], 40), 10)[:, None]
    elif kind == "few values":
        x = np.sign(x) * 0.0 + np.round(x / 100)
    elif kind == "huge":
        x *= np.float32(3e35)
        x[::7, 0] = -np.inf
    elif kind == "silence":
        x[:, 3:] = 0.0
    elif kind == "two values":  # which of them, and the mean of both where they are as many
        x = np.where(RNG.random(x.shape) < 0.5, 7.0, -1e-40)
    elif kind == "neighbours":  # no float lies between them, and their mean rounds to the larger
        x = np.where(RNG.random(x.shape) < RNG.random((400, 1)), 2.0, np.nextafter(np.float32(2), np.float32(0)))
    elif kind == "largest":
        x = np.where(RNG.random(x.shape) < RNG.random((400, 1)), 1, -1) * np.finfo(np.float32).max
    x = x.astype(np.float32)
    out = np.empty(400, np.float32)
    median_kernels.row_median(x, columns, out)
    expected = np.empty(400, np.float32)
    references.row_median(x, columns, expected)
    np.testing.assert_array_equal(out, expected)
    parts = np.empty(400, np.float32)
    for a in range(0, 400, 37):
        part = np.empty(len(x[a : a + 37]), np.float32)
        median_kernels.row_median(x[a : a + 37].copy(), columns, part)
        parts[a : a + 37] = part
    assert parts.tobytes() == out.tobytes()


@pytest.mark.parametrize("columns", [1, 5, 130])
@pytest.mark.parametrize("low", [-1000, 3])
def test_shift(columns: int, low: int) -> None:
    x = _signal(200, columns, nan=True)
    h = RNG.standard_normal((17, columns)).astype(np.float32)
    results = []
    for function in (fir_kernels.shift, references.shift):
        out = np.zeros((180, columns), np.float32)
        pack = np.empty((17 + 64) * fir_kernels.GROUP, np.float32)
        scratch = np.empty(17 * fir_kernels.GROUP, np.float32)
        function(x[:40].copy(), x[40:].copy(), 10, low, h, 0, columns, out, pack, scratch)
        results.append(out)
    np.testing.assert_array_equal(*results)
    assert np.isfinite(results[0]).any()
