from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scripted_source import GAIN_UV, sample_counts
from test_control_calls import Bench, wait_for

from ranvier.exceptions import ConfigurationError, SignalSelectionError, TimeRangeError
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.dsp import DSPParams, DSPType, FilterStage
from ranvier.models.signals import KeyIndex, SignalType, SigSelect
from ranvier.services.signals import SignalBlock

AMP, AIN, DIN = SignalType.AMP, SignalType.AIN, SignalType.DIN


def select(amp: object = (), ain: object = (), din: object = (), space: KeyIndex = KeyIndex.NTV) -> SigSelect:
    return SigSelect(amp=amp, gpio_ain=ain, gpio_din=din, gpio_dout=(), key_idx=space)


class Stepped(Bench):
    """A rig whose source gives a block of 10 samples when it is told to."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.rig.control.set_core_config(loop_dur=10.0)
        self.source.gate = threading.Semaphore(0)
        self.rig.control.start_streaming()
        self.total = 0

    def feed(self, blocks: int) -> None:
        self.total += 10 * blocks
        assert self.source.gate is not None
        self.source.gate.release(blocks)
        wait_for(lambda: self.rig.core.pump.counts.received_samples == self.total)
        wait_for(lambda: self.rig.core.cache.head == self.source._next)


@pytest.fixture
def stepped(tmp_path: Path) -> Iterator[Stepped]:
    made = Stepped(tmp_path)
    yield made
    made.rig.close()


def amp_uv(start: int, n: int, columns: object) -> np.ndarray:
    return (sample_counts(start, n, 7) * GAIN_UV)[:, columns].astype(np.float32)


def test_read_in_request_order_units_and_index_spaces(stepped: Stepped) -> None:
    stepped.feed(20)
    signals = stepped.rig.signals
    block = signals.read(TimeRangeSpec.subset(0.05, 0.1), select(amp=[2, 0], ain=[0], din=[0]))
    assert block.time_range.timestamp == (50, 100)
    np.testing.assert_array_equal(block.samples[AMP], amp_uv(50, 50, [2, 0]))
    np.testing.assert_array_equal(block.samples[AIN][:, 0], sample_counts(50, 50, 7)[:, 4])
    assert (block.samples[DIN] == 0).all()
    by_sys = signals.read(TimeRangeSpec.subset(0.05, 0.1), select(amp=[2], ain=[4], space=KeyIndex.SYS))
    np.testing.assert_array_equal(by_sys.samples[AMP], block.samples[AMP][:, :1])
    np.testing.assert_array_equal(by_sys.samples[AIN], block.samples[AIN])


def test_a_read_right_after_the_start_waits_for_the_first_samples(stepped: Stepped) -> None:
    assert stepped.source.gate is not None
    threading.Timer(0.1, stepped.source.gate.release).start()
    assert stepped.rig.signals.read(TimeRangeSpec.lookback(1.0), select(amp=[0])).time_range.timestamp == (0, 10)


def test_read_as_counts(stepped: Stepped) -> None:
    stepped.feed(5)
    block = stepped.rig.signals.read(TimeRangeSpec.lookback(0.02), select(amp=[3, 1]), counts=True)
    assert block.samples[AMP].dtype == np.int16
    np.testing.assert_array_equal(block.samples[AMP], sample_counts(30, 20, 7)[:, [3, 1]])
    np.testing.assert_array_equal(block.gain[AMP], [GAIN_UV, GAIN_UV])
    also = stepped.rig.signals.read(TimeRangeSpec.lookback(0.02), select(amp=[3, 1]), counts=True, apply_dsp=True)
    np.testing.assert_array_equal(also.samples[AMP], block.samples[AMP])
    car = DSPParams(type=DSPType.CAR, stage=FilterStage.STAGE2)
    stepped.rig.dsp.set(FilterStage.STAGE2, [car])
    filtered = stepped.rig.signals.read(TimeRangeSpec.lookback(0.02), select(amp=[3]), counts=True, apply_dsp=True)
    assert filtered.samples[AMP].dtype == np.float32
    assert filtered.gain == {}


def test_ranges_are_clipped_or_refused(stepped: Stepped) -> None:
    signals = stepped.rig.signals
    with pytest.raises(TimeRangeError, match="start_streaming"):
        signals.read(TimeRangeSpec.lookback(1.0), select(amp=[0]))
    stepped.feed(10)
    assert signals.read(TimeRangeSpec.lookback(9.0), select(amp=[0])).time_range.timestamp == (0, 100)
    assert signals.read(TimeRangeSpec.to_head(0.09), select(amp=[0])).time_range.timestamp == (90, 100)
    with pytest.raises(TimeRangeError, match="lie outside the live cache"):
        signals.read(TimeRangeSpec.subset(5.0, 6.0), select(amp=[0]))
    with pytest.raises(SignalSelectionError):
        signals.read(TimeRangeSpec.lookback(1.0), select(amp=[77]))
    with pytest.raises(SignalSelectionError):
        signals.read(TimeRangeSpec.lookback(1.0), select())


def test_apply_dsp_equals_the_filter_over_all_that_came(stepped: Stepped) -> None:
    from scipy.signal import butter, sosfilt

    rig = stepped.rig
    rig.dsp.set(FilterStage.STAGE2, [DSPParams(type=DSPType.HIGHPASS, stage=FilterStage.STAGE2, freq=50.0)])
    stepped.feed(100)
    got = rig.signals.read(TimeRangeSpec.subset(0.9, 1.0), select(amp=[1]), apply_dsp=True)
    raw = amp_uv(0, 1000, [1]).astype(np.float64)
    sos = butter(4, 50.0, "highpass", fs=1000, output="sos")
    np.testing.assert_allclose(got.samples[AMP], sosfilt(sos, raw, axis=0)[900:], atol=1e-2)
    unfiltered = rig.signals.read(TimeRangeSpec.subset(0.9, 1.0), select(amp=[1]))
    np.testing.assert_array_equal(unfiltered.samples[AMP], raw[900:].astype(np.float32))


def test_stage1_changes_what_is_cached_and_empties_the_cache(stepped: Stepped) -> None:
    rig = stepped.rig
    stepped.feed(10)
    rig.dsp.set(FilterStage.STAGE1, [DSPParams(type=DSPType.CAR, stage=FilterStage.STAGE1)])
    stepped.feed(10)
    assert rig.signals.cached() == (100, 200)
    got = rig.signals.read(TimeRangeSpec.lookback(0.1), select(amp=[0, 1, 2, 3], ain=[0]))
    expected = amp_uv(100, 100, [0, 1, 2, 3])
    np.testing.assert_allclose(got.samples[AMP], expected - expected.mean(axis=1, keepdims=True), atol=1e-2)
    np.testing.assert_array_equal(got.samples[AIN][:, 0], sample_counts(100, 100, 7)[:, 4])
    as_counts = rig.signals.read(TimeRangeSpec.lookback(0.1), select(amp=[0]), counts=True)
    assert as_counts.samples[AMP].dtype == np.float32
    assert as_counts.gain == {}
    rig.dsp.set(FilterStage.STAGE1, [])
    stepped.feed(1)
    assert rig.signals.read(TimeRangeSpec.lookback(0.1), select(amp=[0]), counts=True).time_range.timestamp == (
        200,
        210,
    )


def test_read_new_is_complete_and_in_order(stepped: Stepped) -> None:
    signals = stepped.rig.signals
    stepped.feed(3)
    assert signals.read_new("a", select(amp=[0])).time_range.n == 0
    collected = []
    for n in (1, 4, 2):
        stepped.feed(n)
        block = signals.read_new("a", select(amp=[0]))
        assert block.gaps == ()
        collected.append(block.samples[AMP])
    assert signals.read_new("a", select(amp=[0])).time_range.n == 0
    np.testing.assert_array_equal(np.concatenate(collected), amp_uv(30, 70, [0]))
    assert signals.read_new("b", select(amp=[0])).time_range.n == 0
    stepped.feed(5)
    signals.to_head("a")
    assert signals.read_new("a", select(amp=[0])).time_range.n == 0
    assert signals.read_new("b", select(amp=[0])).time_range.n == 50


def test_a_slow_reader_is_told_what_it_lost(stepped: Stepped) -> None:
    rig = stepped.rig
    rig.control.stop_streaming()
    rig.control.set_core_config(pcache_persistence=1.0)
    stepped.total = 0
    rig.control.start_streaming()
    stepped.feed(1)
    rig.signals.read_new("slow", select(amp=[0]))
    stepped.feed(500)
    block = rig.signals.read_new("slow", select(amp=[0]))
    served = block.time_range.timestamp
    assert served[1] == 5010
    assert block.gaps == ((10, served[0]),)
    np.testing.assert_array_equal(block.samples[AMP], amp_uv(served[0], served[1] - served[0], [0]))


def test_a_reader_gets_a_new_stream_from_its_beginning(stepped: Stepped) -> None:
    rig = stepped.rig
    stepped.feed(5)
    rig.signals.read_new("a", select(amp=[0]))
    rig.control.stop_streaming()
    rig.control.start_streaming()
    stepped.total = 0
    stepped.feed(2)
    assert rig.signals.read_new("a", select(amp=[0])).time_range.timestamp == (0, 20)


def test_lost_samples_show_as_gaps(stepped: Stepped) -> None:
    rig = stepped.rig
    rig.signals.read_new("a", select(amp=[0]))
    stepped.feed(2)
    stepped.source._next += 15
    stepped.feed(1)
    block = rig.signals.read_new("a", select(amp=[0], din=[0]))
    assert block.gaps == ((20, 35),)
    assert np.isnan(block.samples[AMP][20:35]).all()
    assert (block.samples[DIN][20:35] == 0).all()


def test_events_are_the_digital_edges(stepped: Stepped) -> None:
    stepped.feed(45)
    table = stepped.rig.signals.events(TimeRangeSpec.subset(0.1, 0.4))
    np.testing.assert_array_equal(table.timestamp, [100, 200, 300])
    np.testing.assert_array_equal(table.state, [1, 0, 1])
    np.testing.assert_array_equal(table.line, [0, 0, 0])
    assert set(table.source) == {"DIN"}
    np.testing.assert_allclose(table.sec, [0.1, 0.2, 0.3])


def test_every_block_misses_nothing(stepped: Stepped) -> None:
    stepped.feed(1)
    got: list[SignalBlock] = []
    stream = stepped.rig.signals.subscribe(select(amp=[0]), every_block=True, block_sec=0.02, start_counter=0)
    reader = threading.Thread(target=lambda: got.extend(stream))
    reader.start()
    for _ in range(10):
        stepped.feed(3)
        time.sleep(0.002)
    stepped.rig.control.stop_streaming()
    reader.join(10)
    assert not reader.is_alive()
    assert all(b.gaps == () for b in got)
    assert {b.time_range.n for b in got[:-1]} == {20}
    np.testing.assert_array_equal(np.concatenate([b.samples[AMP] for b in got]), amp_uv(0, 310, [0]))


def test_newest_wins_and_counts_what_it_skips(stepped: Stepped) -> None:
    stepped.feed(1)
    stream = stepped.rig.signals.subscribe(select(amp=[0]), block_sec=0.02)
    stepped.feed(2)
    first = next(stream)
    assert first.time_range.timestamp == (10, 30)
    stepped.feed(50)
    second = next(stream)
    assert second.time_range.timestamp == (510, 530)
    assert second.gaps == ((30, 510),)
    stepped.feed(2)
    assert next(stream).gaps == ()


def test_resume_by_counter_tells_what_is_gone(stepped: Stepped) -> None:
    rig = stepped.rig
    rig.control.stop_streaming()
    rig.control.set_core_config(pcache_persistence=1.0)
    stepped.total = 0
    rig.control.start_streaming()
    stepped.feed(500)
    stream = rig.signals.subscribe(select(amp=[0]), every_block=True, block_sec=0.1, start_counter=500)
    block = next(stream)
    start = block.time_range.timestamp[0]
    assert block.gaps == ((500, start),)
    assert start >= 1900
    assert next(stream).gaps == ()


def test_subscription_goes_on_over_a_change_of_filters(stepped: Stepped) -> None:
    stepped.feed(2)
    stream = stepped.rig.signals.subscribe(select(amp=[0]), every_block=True, block_sec=0.01, start_counter=0)
    assert [next(stream).time_range.timestamp for _ in range(2)] == [(0, 10), (10, 20)]
    stepped.rig.dsp.set(FilterStage.STAGE1, [DSPParams(type=DSPType.CAR, stage=FilterStage.STAGE1)])
    stepped.feed(2)
    assert [next(stream).time_range.timestamp for _ in range(2)] == [(20, 30), (30, 40)]


def test_subscription_needs_a_stream(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(ConfigurationError, match="start_streaming"):
        bench.rig.signals.subscribe(select(amp=[0]))
    bench.rig.control.start_streaming()
    with pytest.raises(ConfigurationError, match="block_sec"):
        bench.rig.signals.subscribe(select(amp=[0]), block_sec=0.0)
    bench.rig.close()


def test_a_failing_source_ends_subscriptions(stepped: Stepped) -> None:
    stepped.feed(1)
    stream = stepped.rig.signals.subscribe(select(amp=[0]), every_block=True, block_sec=0.01)
    stepped.source.then = "silence"
    stepped.source.gate = None
    assert list(stream) == []


def test_selection_and_groups(stepped: Stepped) -> None:
    signals = stepped.rig.signals
    after = signals.set_selected({AMP: [3, 1]})
    assert after.selected_index(AMP).ntv == [1, 3]
    assert after.selected_index(AIN).ntv == [0]
    with pytest.raises(SignalSelectionError, match="not selected"):
        signals.set_groups([{AMP: [0]}])
    with pytest.raises(SignalSelectionError, match="two groups"):
        signals.set_groups([{AMP: [1]}, {AMP: [1]}])
    grouped = signals.set_groups([{AMP: [1]}, {AMP: [3]}])
    assert grouped.color_group_idxs[AMP][1] == 0
    assert grouped.color_group_idxs[AMP][3] == 1
    with pytest.raises(SignalSelectionError, match=r"\[9\]"):
        signals.set_selected({AMP: [9]})
