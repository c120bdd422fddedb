from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, cheby1, sosfilt
from scripted_source import GAIN_UV, ScriptedSource, sample_counts
from test_control_calls import Bench

from ranvier.exceptions import CapabilityError, ConfigurationError, DatasetError, FilterDesignError
from ranvier.models.dsp import DSPParams, DSPType, FilterFamily, FilterStage, FreqSpecBand
from ranvier.models.ports import Port
from ranvier.recordings import Block
from ranvier.recordings.channels import ChannelTable, plain_channels
from ranvier.rig.clock import FakeClock
from ranvier.rig.live_dsp import LiveChain, live_chain

FS = Fraction(1000)
STAGE1 = FilterStage.STAGE1


@pytest.fixture
def two_ports() -> ChannelTable:
    table = plain_channels(amp=6, ain=2, din=1)
    return table.with_channels(
        replace(c, port=Port.A if i < 4 else Port.B) if i < 6 else c for i, c in enumerate(table)
    )


def noise(columns: int, rows: int = 600) -> np.ndarray:
    return np.random.default_rng(5).normal(0, 100, (rows, columns)).astype(np.float32)


def run(params: list[DSPParams], table: ChannelTable, samples: np.ndarray, rows: int) -> np.ndarray:
    chain = live_chain(params, FS, table)
    assert chain is not None
    live = LiveChain(chain)
    return np.concatenate(
        [live.apply(Block(samples[at : at + rows], 50 + at)).samples for at in range(0, len(samples), rows)]
    )


def expected_highpass(x: np.ndarray, hz: float) -> np.ndarray:
    return sosfilt(butter(4, hz, "highpass", fs=1000, output="sos"), x.astype(np.float64), axis=0)


def test_no_filters_no_chain(two_ports: ChannelTable) -> None:
    assert live_chain([], FS, two_ports) is None


def test_a_port_is_filtered_alone(two_ports: ChannelTable) -> None:
    x = noise(9)
    params = [
        DSPParams(type=DSPType.HIGHPASS, stage=STAGE1, freq=50.0, port=Port.B),
        DSPParams(type=DSPType.CAR, stage=STAGE1, port=Port.A),
    ]
    y = run(params, two_ports, x, 600)
    np.testing.assert_allclose(y[:, 4:6], expected_highpass(x[:, 4:6], 50.0), atol=1e-3)
    np.testing.assert_allclose(y[:, :4], x[:, :4] - x[:, :4].mean(axis=1, keepdims=True), atol=1e-3)
    np.testing.assert_array_equal(y[:, 6:], x[:, 6:])


def test_an_analog_input_is_filtered_alone(two_ports: ChannelTable) -> None:
    x = noise(9)
    params = [DSPParams(type=DSPType.HIGHPASS, stage=STAGE1, freq=50.0, is_aux=True, aux_chan_idx=1)]
    y = run(params, two_ports, x, 600)
    np.testing.assert_allclose(y[:, 7], expected_highpass(x[:, 7], 50.0), atol=1e-3)
    np.testing.assert_array_equal(np.delete(y, 7, axis=1), np.delete(x, 7, axis=1))


def test_families_run_live(two_ports: ChannelTable) -> None:
    x = noise(9)
    params = [DSPParams(type=DSPType.LOWPASS, stage=STAGE1, freq=50.0, family=FilterFamily.CHEBYSHEV_I, ripple_db=1.0)]
    expected = sosfilt(cheby1(4, 1.0, 50, fs=1000, output="sos"), x[:, :6].astype(np.float64), axis=0)
    np.testing.assert_allclose(run(params, two_ports, x, 77)[:, :6], expected, atol=1e-3)


def test_chunking_is_invisible(two_ports: ChannelTable) -> None:
    x = noise(9)
    params = [
        DSPParams(
            type=DSPType.BANDPASS, stage=STAGE1, freq_spec_band=FreqSpecBand(low_freq=20, high_freq=200), port=Port.A
        ),
        DSPParams(type=DSPType.CAR, stage=STAGE1),
    ]
    whole = run(params, two_ports, x, 600)
    for rows in (1, 7, 100):
        np.testing.assert_array_equal(run(params, two_ports, x, rows), whole)


def test_filters_begin_anew_behind_lost_samples(two_ports: ChannelTable) -> None:
    chain = live_chain([DSPParams(type=DSPType.HIGHPASS, stage=STAGE1, freq=50.0, port=Port.A)], FS, two_ports)
    assert chain is not None
    live = LiveChain(chain)
    x = noise(9)
    live.apply(Block(x[:300], 0))
    after = live.apply(Block(x[300:], 1000)).samples
    np.testing.assert_allclose(after[:, :4], expected_highpass(x[300:, :4], 50.0), atol=1e-3)


def test_counts_become_microvolts() -> None:
    source = ScriptedSource(FakeClock())
    chain = live_chain([DSPParams(type=DSPType.CAR, stage=STAGE1)], FS, source.channels)
    assert chain is not None
    done = LiveChain(chain).apply(source.block(20, 0))
    amp = sample_counts(0, 20, 7)[:, :4] * GAIN_UV
    np.testing.assert_allclose(done.samples[:, :4], amp - amp.mean(axis=1, keepdims=True), atol=1e-3)
    assert not done.is_counts


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.rig.close()


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({"type": DSPType.LOWPASS, "freq": 100.0, "zero_phase": True}, CapabilityError, "causal"),
        ({"type": DSPType.LOWPASS, "freq": 100.0, "ripple_db": 1.0}, FilterDesignError, "ripple_db means nothing"),
        ({"type": DSPType.LOWPASS, "freq": 500.0}, FilterDesignError, "Nyquist"),
        ({"type": DSPType.LOWPASS}, ConfigurationError, "freq"),
        ({"type": DSPType.LOWPASS, "freq": 100.0, "stage": FilterStage.STAGE2}, ConfigurationError, "STAGE2"),
        ({"type": DSPType.CAR, "port": Port.C}, ConfigurationError, "ports with channels: A"),
        ({"type": DSPType.VIRTUAL_REFERENCE, "ref_ntv_chan_idx": 77}, DatasetError, "77"),
        ({"type": DSPType.LOWPASS, "freq": 100.0, "is_aux": True}, ConfigurationError, "aux_chan_idx"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(
    bench: Bench, params: dict[str, object], error: type[Exception], words: str
) -> None:
    good = DSPParams(type=DSPType.HIGHPASS, stage=STAGE1, freq=10.0)
    bench.rig.dsp.set(STAGE1, [good])
    before = bench.rig.dsp.live
    with pytest.raises(error, match=words):
        bench.rig.dsp.set(STAGE1, [good, DSPParams(**{"stage": STAGE1, **params})])
    assert bench.rig.dsp.get().software_stage1 == [good]
    assert bench.rig.dsp.live is before


def test_stages_act_in_their_order_and_are_described(bench: Bench) -> None:
    dsp = bench.rig.dsp
    dsp.set(STAGE1, [DSPParams(type=DSPType.CAR, stage=STAGE1)])
    hardware = FilterStage.STAGE_HARDWARE
    dsp.set(hardware, [DSPParams(type=DSPType.HIGHPASS, stage=hardware, freq=10.0)])
    dsp.set(FilterStage.STAGE2, [DSPParams(type=DSPType.NOTCH, stage=FilterStage.STAGE2, freq=60, notch_bandwidth=5)])
    assert [stage["kind"] for stage in dsp.describe()] == ["highpass", "car"]
    assert [len(v) for v in (dsp.get().hardware, dsp.get().software_stage1, dsp.get().software_stage2)] == [1, 1, 1]
    assert bench.rig.core.stream().dsp == dsp.describe()


def test_what_is_recorded_cannot_change_while_it_is_recorded(bench: Bench) -> None:
    rig = bench.rig
    rig.recording.start()
    with pytest.raises(ConfigurationError, match=r"cannot change hardware or stage 1 filters: .* is recording"):
        rig.dsp.set(STAGE1, [])
    rig.dsp.set(FilterStage.STAGE2, [DSPParams(type=DSPType.CAR, stage=FilterStage.STAGE2)])
    rig.recording.stop()
    rig.dsp.set(STAGE1, [DSPParams(type=DSPType.CAR, stage=STAGE1)])


def test_filters_change_between_blocks_never_within(bench: Bench) -> None:
    """While one thread switches a filter on and off, every block of a consumer is wholly one or wholly the other."""
    rig = bench.rig
    seen: list[bool] = []

    class Watch:
        name = "watch"

        def offer(self, block: Block) -> None:
            raw = sample_counts(block.start, len(block), 7)[:, :4] * GAIN_UV
            samples = block.physical()[:, :4]
            is_raw = np.allclose(samples, raw, atol=1e-3)
            is_filtered = np.allclose(samples, raw - raw.mean(axis=1, keepdims=True), atol=1e-3)
            assert is_raw != is_filtered
            seen.append(is_raw)

        def status(self) -> None:
            return None

    rig.core.pump.add_consumer(Watch())  # type: ignore[arg-type]
    rig.control.start_streaming()
    stop = threading.Event()

    def switch() -> None:
        while not stop.is_set():
            rig.dsp.set(STAGE1, [DSPParams(type=DSPType.CAR, stage=STAGE1)])
            time.sleep(0.003)
            rig.dsp.set(STAGE1, [])
            time.sleep(0.003)

    switcher = threading.Thread(target=switch)
    switcher.start()
    time.sleep(0.5)
    stop.set()
    switcher.join(10)
    assert "watch" not in rig.core.pump.warnings
    assert {True, False} <= set(seen)
