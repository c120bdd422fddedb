"""Skew: a sine sampled late on every channel comes out as if sampled at once; the sign is the documented one."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from ranvier.checks.stages import joined, run_stage
from ranvier.dsp import CorrectSkew
from ranvier.dsp.skew import REACH, skew_taps
from ranvier.exceptions import ConfigurationError
from ranvier.recordings import plain_channels

FS = Fraction(30000)
SKEW = np.r_[np.arange(13) / 13, -0.25, 1.0]


def skewed(amp: int, skew: np.ndarray, ain: int = 0):
    table = plain_channels(amp=amp, ain=ain, din=1)
    return table.with_channels(replace(c, skew_samples=float(skew[i])) if i < amp else c for i, c in enumerate(table))


@pytest.mark.parametrize("share_of_nyquist", [0.001, 0.1, 0.5, 0.8, 0.9])
def test_sines_are_aligned(share_of_nyquist: float) -> None:
    """Analytic: channel c holds sin at n + skew[c]; all must come out as sin at n."""
    omega = np.pi * share_of_nyquist
    n = np.arange(5000)
    x = 100 * np.sin(omega * (n[:, None] + SKEW[None, :]))
    x = np.column_stack([x, n % 2]).astype(np.float32)
    stage = CorrectSkew().bind(FS, skewed(len(SKEW), SKEW))
    got = joined(run_stage(stage, x, cuts=(1234,), start=0))
    expected = 100 * np.sin(omega * n)
    inner = slice(2 * REACH, -2 * REACH)
    np.testing.assert_allclose(got[inner, :-1], np.repeat(expected[inner, None], len(SKEW), 1), atol=100 * 1e-4)
    np.testing.assert_array_equal(got[:, 0], x[:, 0])  # no skew: the same bits
    np.testing.assert_array_equal(got[:, -1], x[:, -1])  # digital
    assert not stage.out_channels.skew_samples.any()


def test_offsets_stay_and_edges_are_reflected() -> None:
    x = (np.random.default_rng(0).standard_normal((500, 2)) * 10 + 6000).astype(np.float32)
    table = plain_channels(amp=2)
    table = table.with_channels(replace(c, skew_samples=0.4) for c in table)
    got = joined(run_stage(CorrectSkew().bind(FS, table), x))
    expected = correlate1d(x.astype(np.float64), skew_taps(0.4), axis=0, mode="mirror")
    np.testing.assert_allclose(got, expected, atol=1e-6 * 6000)
    assert skew_taps(0.4).sum() == pytest.approx(1)


def test_nothing_to_correct_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="says that it was sampled late"):
        CorrectSkew().bind(FS, plain_channels(amp=2))
    with pytest.raises(ConfigurationError, match="at most 1"):
        CorrectSkew().bind(FS, skewed(2, np.array([0, 9.0])))
