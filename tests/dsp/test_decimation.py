"""Downsampling: what passes, what cannot alias, where samples stand, edges, gaps, NaN."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal
from scipy.ndimage import correlate1d

from ranvier.checks.stages import joined, run_stage
from ranvier.dsp import Downsample
from ranvier.dsp.decimation import ATTENUATION_DB, PASS_EDGE, steps_for
from ranvier.exceptions import ConfigurationError, FilterDesignError
from ranvier.recordings import Block, plain_channels

FS = Fraction(30000)
FACTORS = [2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 16, 20, 25, 30, 32, 36, 48, 60, 64, 97, 100, 120, 300]


def whole_filter(factor: int) -> np.ndarray:
    """The taps of all steps as one filter at the input's rate."""
    taps, rate = np.ones(1), 1
    for step in steps_for(factor):
        spread = np.zeros((len(step.taps) - 1) * rate + 1)
        spread[::rate] = step.taps
        taps, rate = np.convolve(taps, spread), rate * step.factor
    return taps


@pytest.mark.parametrize("factor", FACTORS)
def test_response_is_what_is_promised(factor: int) -> None:
    taps = whole_filter(factor)
    assert len(taps) % 2 == 1
    for step in steps_for(factor):  # linear phase: no delay around the middle
        assert step.taps == step.taps[::-1]
    assert abs(taps.sum() - 1) < 3e-7
    frequency, response = signal.freqz(taps, worN=2**15 + 1, include_nyquist=True)
    share = frequency / np.pi * factor  # of the output's Nyquist frequency
    gain = np.abs(response)
    np.testing.assert_allclose(gain[share <= PASS_EDGE], 1, atol=1e-4)
    assert 20 * np.log10(gain[share >= 1].max()) < -ATTENUATION_DB


@pytest.mark.parametrize("factor", [2, 5, 10, 30])
def test_sines_keep_amplitude_and_time(factor: int) -> None:
    """Analytic: a sine below 0.8 of the new Nyquist frequency comes out sampled at k * factor, one above not at all."""
    first, n = 12_345, 12_000
    counter = np.arange(first, first + n)
    nyquist = float(FS) / factor / 2
    inside, outside = 0.75 * nyquist, 1.05 * nyquist
    x = np.column_stack([100 * np.sin(2 * np.pi * f * counter / float(FS)) for f in (inside, outside)])
    stage = Downsample(factor).bind(FS, plain_channels(amp=2))
    blocks = run_stage(stage, x.astype(np.float32), cuts=(5000,), start=first)
    assert stage.out_fs == FS / factor
    assert blocks[0].start == -(-first // factor)
    assert blocks[-1].stop == -(-(first + n) // factor)
    got = joined(blocks)
    k = np.arange(blocks[0].start, blocks[-1].stop)
    middle = slice(200, -200) if len(k) > 1000 else slice(70, -70)
    expected = 100 * np.sin(2 * np.pi * inside * k * factor / float(FS))
    np.testing.assert_allclose(got[middle, 0], expected[middle], atol=100 * 1.5e-4)
    assert np.abs(got[middle, 1]).max() < 100 * 10 ** (-95 / 20)


@pytest.mark.parametrize("factor", [3, 10])
def test_equals_scipy(factor: int) -> None:
    """One step is scipy's correlation with reflected ends; several steps are several such."""
    x = (np.random.default_rng(3).standard_normal((5000, 3)) * 100 + 2000).astype(np.float32)
    got = joined(run_stage(Downsample(factor).bind(FS, plain_channels(amp=3)), x, start=0))
    expected = x.astype(np.float64)
    for step in steps_for(factor):
        expected = correlate1d(expected, np.array(step.taps), axis=0, mode="mirror")[:: step.factor]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * np.abs(x).max())


@settings(max_examples=40, deadline=None)
@given(
    factor=st.sampled_from([2, 6, 10]),
    start=st.integers(-500, 500),
    rows=st.integers(1, 700),
    cuts=st.lists(st.integers(1, 699), max_size=6),
    holes=st.lists(st.tuples(st.integers(0, 699), st.integers(1, 40), st.integers(0, 2)), max_size=4),
)
def test_short_and_holed_streams(
    factor: int, start: int, rows: int, cuts: list[int], holes: list[tuple[int, int, int]]
) -> None:
    """Any start, any length, any holes: samples stand on the grid, are NaN only in their own holes, chunks agree."""
    channels = plain_channels(amp=2, ain=1, din=1)
    x = (np.random.default_rng(rows).standard_normal((rows, 4)) * 50).astype(np.float32)
    x[:, 3] = x[:, 3] > 0
    for row, length, column in holes:
        x[row : row + length, column] = np.nan
    stage = Downsample(factor).bind(FS, channels)
    whole = run_stage(stage, x, start=start)
    if not whole:
        assert -(-start // factor) == -(-(start + rows) // factor)
        return
    got = joined(whole)
    at = np.arange(whole[0].start, whole[-1].stop) * factor - start
    np.testing.assert_array_equal(at, np.flatnonzero((np.arange(start, start + rows) % factor) == 0))
    np.testing.assert_array_equal(np.isnan(got[:, :3]), np.isnan(x[at, :3]))
    np.testing.assert_array_equal(got[:, 3], x[at, 3])
    np.testing.assert_array_equal(got, joined(run_stage(stage, x, cuts, start=start)))
    plain = run_stage(Downsample(factor, "plain").bind(FS, channels), x, cuts, start=start)
    np.testing.assert_array_equal(joined(plain), x[at])
    assert plain[0].start == whole[0].start


def test_a_slice_of_a_stream_agrees_with_the_stream() -> None:
    """Away from its ends the output of a part is the output of the whole, to the last bit."""
    x = (np.random.default_rng(1).standard_normal((20_000, 2)) * 100).astype(np.float32)
    stage = Downsample(10).bind(FS, plain_channels(amp=2))
    whole, part = run_stage(stage, x, start=0), run_stage(stage, x[3333:16_667], start=3333)
    assert part[0].start == 334
    inner = joined(part)[40:-40]
    np.testing.assert_array_equal(inner, joined(whole)[334 + 40 :][: len(inner)])


def test_constants_and_offsets_stay() -> None:
    x = np.full((3000, 2), 6389.0, np.float32)
    got = joined(run_stage(Downsample(30).bind(FS, plain_channels(amp=2)), x))
    np.testing.assert_allclose(got, 6389.0, rtol=3e-7)


def test_plain_folds_and_antialiased_does_not() -> None:
    t = np.arange(30_000) / float(FS)
    x = (100 * np.sin(2 * np.pi * 2900 * t))[:, None].astype(np.float32)
    channels = plain_channels(amp=1)
    plain = joined(run_stage(Downsample(10, "plain").bind(FS, channels), x, start=0))
    clean = joined(run_stage(Downsample(10).bind(FS, channels), x, start=0))
    assert plain.std() == pytest.approx(100 / np.sqrt(2), rel=0.01)  # 2900 Hz became 100 Hz
    assert clean[100:-100].std() < 0.01


def test_skew_is_a_share_of_the_longer_period() -> None:
    channels = plain_channels(amp=2)
    channels = channels.with_channels(replace(c, skew_samples=0.5 * c.ntv) for c in channels)
    for operation in (Downsample(10), Downsample(10, "plain")):
        np.testing.assert_allclose(operation.bind(FS, channels).out_channels.skew_samples, [0, 0.05])


def test_gap_without_a_kept_sample_still_parts_the_stream() -> None:
    x = np.r_[np.zeros(1000), np.full(1000, 1000.0)][:, None].astype(np.float32)
    stage = Downsample(10).bind(FS, plain_channels(amp=1))
    state = stage.start()
    done = [*stage.process(Block(x[:1000], 1), state), *stage.process(Block(x[1000:], 1005), state)]
    done += stage.finish(state)
    got = joined(done)
    assert done[0].start == 1
    assert done[-1].stop == 201
    assert not got[:100].any()
    np.testing.assert_allclose(got[100:], 1000, rtol=1e-6)


@pytest.mark.parametrize("factor", [0, -3, 1.5, "10"])
def test_nonsense_is_refused(factor: object) -> None:
    with pytest.raises(FilterDesignError, match="factor"):
        Downsample(factor).bind(FS, plain_channels(amp=1))  # type: ignore[arg-type]


def test_large_primes_and_unknown_operators_are_refused() -> None:
    with pytest.raises(FilterDesignError, match="prime factors"):
        Downsample(997).bind(FS, plain_channels(amp=1))
    with pytest.raises(ConfigurationError, match="antialiased, plain"):
        Downsample(10, "mean")  # type: ignore[arg-type]


def test_description_names_the_taps() -> None:
    told = Downsample(10).bind(FS, plain_channels(amp=1)).describe()
    assert (told["kind"], told["parameters"]) == ("downsample", {"factor": 10, "operator": "antialiased"})
    assert (told["out_fs_hz"], told["pass_hz"], told["stop_hz"]) == (3000.0, 1200.0, 1500.0)
    assert [s["parameters"]["factor"] for s in told["steps"]] == [5, 2]
