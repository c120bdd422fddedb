"""Filters against SciPy in float64, on the signals that break them: offsets, 0.1 Hz, gaps, missing samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import signal

from ranvier.checks.stages import joined, run_stage
from ranvier.dsp import BandPass, BandStop, Chain, CommonAverageReference, HighPass, LowPass, Notch, Team
from ranvier.dsp.operations import Operation
from ranvier.dsp.tiles import TILE_ROWS, TileQueue
from ranvier.exceptions import ConfigurationError
from ranvier.recordings import Block, plain_channels

FS = 30000


def _lfp(rows: int, columns: int, *, offset: float = 1000.0, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(rows)[:, None] / FS
    return (50 * np.sin(2 * np.pi * 8 * t) + rng.standard_normal((rows, columns)) * 10 + offset).astype(np.float32)


def _ulp_of_peak(x: np.ndarray) -> float:
    return float(np.spacing(np.float32(np.abs(x).max())))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "make",
    [
        lambda n: HighPass(0.1, n), lambda n: HighPass(1, n), lambda n: HighPass(300, n), lambda n: LowPass(0.1, n),
        lambda n: LowPass(250, n), lambda n: BandPass(0.1, 100, n), lambda n: BandPass(300, 6000, n),
        lambda n: BandStop(50, 70, n), lambda n: Notch(60, 2),
    ],
)  # fmt: skip
def test_causal_is_within_one_unit_of_scipy_float64(make, order: int) -> None:
    x = _lfp(60_000, 3)
    stage = make(order).bind(FS, plain_channels(amp=3))
    got = joined(run_stage(stage, x, cuts=(17, 20_000)))
    expected = signal.sosfilt(stage.design.sos_array, x.astype(np.float64), axis=0)
    assert np.abs(got - expected).max() <= _ulp_of_peak(x)


def _filtfilt(sos: np.ndarray, x: np.ndarray) -> np.ndarray:
    """SciPy over each run of finite samples of each channel."""
    taps = 2 * len(sos) + 1 - min((sos[:, 2] == 0).sum(), (sos[:, 5] == 0).sum())
    out = np.full(x.shape, np.nan)
    for c in range(x.shape[1]):
        edges = np.flatnonzero(np.diff(np.r_[0, np.isfinite(x[:, c]).astype(int), 0]))
        for a, b in zip(edges[::2], edges[1::2], strict=True):
            run = x[a:b, c].astype(np.float64)
            out[a:b, c] = signal.sosfiltfilt(sos, run, padlen=min(3 * taps, b - a - 1))
    return out


ZERO_PHASE = {
    "bandpass": BandPass(300, 6000, 5, zero_phase=True),
    "bandpass of order 8": BandPass(300, 6000, 8, zero_phase=True),
    "lowpass": LowPass(250, zero_phase=True),
    "highpass": HighPass(300, zero_phase=True),
    "highpass of 1 Hz": HighPass(1, zero_phase=True),
    "highpass of 0.1 Hz": HighPass(0.1, 2, zero_phase=True),
    "bandstop": BandStop(50, 70, zero_phase=True),
    "notch": Notch(60, 20, zero_phase=True),
}


@pytest.mark.parametrize("name", ZERO_PHASE)
@pytest.mark.parametrize("start", [0, 3001, 8192 * 5 - 1])
def test_zero_phase_is_scipys(name: str, start: int) -> None:
    x = _lfp(90_000, 2)
    stage = ZERO_PHASE[name].bind(FS, plain_channels(amp=2))
    got = joined(run_stage(stage, x, cuts=(10, 8000, 50_000), start=start))
    expected = _filtfilt(stage.design.sos_array, x)
    assert np.abs(got - expected).max() <= 1e-6 * np.abs(x).max()


@pytest.mark.parametrize("name", ["bandpass", "lowpass", "bandstop", "highpass of 1 Hz"])
def test_zero_phase_parts_at_missing_samples(name: str) -> None:
    x = _lfp(60_000, 6)
    x[5000:5100, 1] = np.nan
    x[8191, 2] = np.nan
    x[8192, 3] = np.nan
    x[20_000:20_010] = np.nan
    x[[100, 130, 131, 133], 0] = np.nan  # runs of 29, 1 and no sample
    x[:, 4] = np.nan
    x[777, 4] = 5
    x[-1, 1] = np.nan
    x[-3, 2] = np.inf
    x[0, 5] = np.nan
    x[16_380:16_390, 5] = np.nan
    stage = ZERO_PHASE[name].bind(FS, plain_channels(amp=6))
    expected = _filtfilt(stage.design.sos_array, x)
    for cuts in ((), (1, 2, 134), (8192,), tuple(range(0, 60_000, 997))):
        got = joined(run_stage(stage, x, cuts=cuts, start=0))
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
        assert np.nanmax(np.abs(got - expected)) <= 1e-6 * 1200


@pytest.mark.parametrize("rows", [1, 2, 5, 33, 34, 35, 8192, 8193, 17_000])
def test_zero_phase_of_short_runs(rows: int) -> None:
    x = _lfp(rows, 2)
    stage = ZERO_PHASE["bandpass"].bind(FS, plain_channels(amp=2))
    got = joined(run_stage(stage, x, start=8100))
    assert np.abs(got - _filtfilt(stage.design.sos_array, x)).max() <= 1e-6 * 1200


def test_zero_phase_shifts_nothing() -> None:
    """A symmetric pulse stays symmetric, in its place."""
    x = np.zeros((20_001, 1), np.float32)
    x[10_000] = 100
    got = joined(run_stage(ZERO_PHASE["bandpass"].bind(FS, plain_channels(amp=1)), x))[:, 0]
    assert int(np.abs(got).argmax()) == 10_000
    np.testing.assert_allclose(got[9000:10_000], got[10_001:11_001][::-1], atol=1e-4)


def test_long_margins_use_the_disk_when_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    import ranvier.dsp.tiles as tiles

    x = _lfp(12 * TILE_ROWS, 2)
    stage = BandStop(50, 70, zero_phase=True).bind(FS, plain_channels(amp=2))
    in_memory = joined(run_stage(stage, x))
    parked = []
    monkeypatch.setattr(tiles, "HELD_BYTES", 2 * TILE_ROWS * 2 * 4)
    original = TileQueue.park

    def park(self: TileQueue, tile: tiles.Tile) -> None:
        original(self, tile)
        parked.append(tile.samples is None)

    monkeypatch.setattr(TileQueue, "park", park)
    on_disk = joined(run_stage(stage, x, cuts=tuple(range(0, len(x), 5000))))
    assert any(parked)
    np.testing.assert_array_equal(in_memory, on_disk)


@pytest.mark.parametrize("end", [4 * TILE_ROWS - 1, 4 * TILE_ROWS, 4 * TILE_ROWS + 1])
def test_a_run_that_ends_with_a_tile_is_known_in_the_tiles_before(end: int) -> None:
    x = _lfp(6 * TILE_ROWS, 2)
    x += 100 * np.sin(2 * np.pi * 60 * np.arange(len(x)) / float(FS), dtype=np.float32)[:, None]
    x[end, 0] = np.nan
    stage = Notch(60, 2, zero_phase=True).bind(FS, plain_channels(amp=2))
    assert stage.margin > TILE_ROWS
    got = joined(run_stage(stage, x, cuts=tuple(range(0, len(x), 5000)), start=0))
    sos = stage.design.sos_array
    for run, channel in ((slice(0, end), 0), (slice(end + 1, None), 0), (slice(None), 1)):
        expected = _filtfilt(sos, x[run, channel : channel + 1])
        assert np.abs(got[run, channel] - expected[:, 0]).max() <= 1e-6 * 1200


@pytest.mark.parametrize("operation", [BandPass(300, 6000), BandPass(300, 6000, 5, zero_phase=True), Notch(60, 2)])
def test_a_channel_does_not_depend_on_the_others(operation: Operation) -> None:
    x = _lfp(30_000, 67)
    whole = joined(run_stage(operation.bind(FS, plain_channels(amp=67)), x))
    for first, stop in ((0, 1), (5, 22), (66, 67)):
        part = joined(run_stage(operation.bind(FS, plain_channels(amp=stop - first)), x[:, first:stop].copy()))
        np.testing.assert_array_equal(whole[:, first:stop], part)


@pytest.mark.parametrize(
    "operation", [BandPass(300, 6000), BandPass(300, 6000, zero_phase=True), CommonAverageReference()]
)
def test_only_amplifier_channels_are_touched(operation: Operation) -> None:
    x = _lfp(20_000, 5)
    x[:, 4] = np.arange(20_000) % 2
    channels = plain_channels(amp=3, ain=1, din=1)
    got = joined(run_stage(operation.bind(FS, channels), x))
    np.testing.assert_array_equal(got[:, 3:], x[:, 3:])
    assert not np.array_equal(got[:, :3], x[:, :3])


def test_streams_without_amplifier_channels_pass() -> None:
    x = _lfp(20_000, 2)
    for operation in (BandPass(300, 6000), BandPass(300, 6000, zero_phase=True)):
        got = joined(run_stage(operation.bind(FS, plain_channels(ain=2)), x))
        np.testing.assert_array_equal(got, x)


def test_counts_are_scaled_on_the_way_in() -> None:
    counts = np.random.default_rng(0).integers(-500, 500, (3000, 2)).astype(np.int16)
    gain, offset = np.array([0.195, 0.5]), np.array([0.0, 10.0])
    stage = HighPass(300).bind(FS, plain_channels(amp=2))
    got = stage.process(Block(counts, 0, gain, offset), stage.start())[0].samples
    expected = signal.sosfilt(stage.design.sos_array, counts * gain + offset, axis=0)
    assert np.abs(got - expected).max() < 1e-3


def test_read_only_and_strided_input() -> None:
    x = _lfp(3000, 8)
    stage = HighPass(300).bind(FS, plain_channels(amp=4))
    expected = joined(run_stage(stage, np.ascontiguousarray(x[:, ::2])))
    view = x[:, ::2]
    view.flags.writeable = False
    np.testing.assert_array_equal(joined(run_stage(stage, view)), expected)


def test_misfits_are_named() -> None:
    stage = HighPass(300).bind(FS, plain_channels(amp=4))
    with pytest.raises(ConfigurationError, match="bound to 4 channels"):
        stage.process(Block(np.zeros((10, 3), np.float32), 0), stage.start())
    with pytest.raises(ConfigurationError, match="at least one stage"):
        Chain.bind([], FS, plain_channels(amp=4))
    with pytest.raises(ConfigurationError, match="do not fit"):
        Chain([stage, HighPass(300).bind(FS, plain_channels(amp=3))])
    with pytest.raises(ConfigurationError, match="0 workers"):
        Team(0)


def test_fused_chain_equals_its_stages() -> None:
    x = _lfp(20_000, 9)
    x[500:520, 3] = math.nan
    operations = [CommonAverageReference(), BandPass(300, 6000), CommonAverageReference(), Notch(60, 4)]
    chain = Chain.bind(operations, FS, plain_channels(amp=9))
    one_by_one = x
    for stage in chain.stages:
        one_by_one = joined(run_stage(stage, one_by_one))
    np.testing.assert_array_equal(joined(run_stage(chain, x, cuts=(999,))), one_by_one)
