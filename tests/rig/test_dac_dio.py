"""Analog and digital outputs."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from outputs_fake import FakeSource

from ranvier.exceptions import CapabilityError, ConfigurationError, DatasetError
from ranvier.models.dio import DIOMode
from ranvier.rig.dac import Dac
from ranvier.rig.dio import Dio


class Bench:
    def __init__(self) -> None:
        self.source = FakeSource()
        self.dac = Dac(lambda: self.source)
        self.dio = Dio(lambda: self.source, self.dac.routed_to)

    def run(self, n: int = 30, **signals: object) -> None:
        self.dio.on_block(self.source.block(n, **signals))  # type: ignore[arg-type]

    def levels(self) -> list[bool]:
        return [self.source.level(line) for line in range(4)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- analog


def test_the_analog_register(bench: Bench) -> None:
    empty = bench.dac.register()
    assert [(c.analog_out_ntv_chan_idx, c.pri_ntv_chan_idx) for c in empty.channels] == [(0, -1), (1, -1)]
    bench.dac.set_gain(5)
    bench.dac.set_stream(1, 6)
    bench.dac.set_highpass(True, 250)
    now = bench.dac.register()
    assert (now.gain, now.highpass_reg.enable, now.highpass_reg.cutoff_freq) == (5, True, 250)
    assert (now.channels[1].pri_ntv_chan_idx, now.channels[1].stream_offset_idx) == (6, 6)
    bench.dac.set_stream(1, -1)
    assert bench.dac.routed_to(1) == -1
    bench.dac.set_stream(0, 2)
    bench.dac.off()
    assert bench.dac.routed_to(0) == -1


@pytest.mark.parametrize("gain", [-1, 8, 1.5, True])
def test_gains_are_0_to_7(bench: Bench, gain: object) -> None:
    with pytest.raises(ConfigurationError, match="0-7"):
        bench.dac.set_gain(gain)  # type: ignore[arg-type]


def test_analog_mistakes(bench: Bench) -> None:
    with pytest.raises(ConfigurationError, match="0-1"):
        bench.dac.set_stream(2, 0)
    with pytest.raises(DatasetError, match="99"):
        bench.dac.set_stream(0, 99)
    for cutoff in (0.0, 15_000.0, float("nan")):
        with pytest.raises(ConfigurationError, match="15000"):
            bench.dac.set_highpass(True, cutoff)


def test_an_analog_snapshot_comes_back(bench: Bench) -> None:
    bench.dac.set_gain(5)
    bench.dac.set_stream(1, 6)
    saved = json.loads(json.dumps(bench.dac.snapshot()))
    expected = bench.dac.register()
    bench.dac.reset()
    bench.dac.restore(saved)
    assert bench.dac.register() == expected


# --- digital


def test_by_hand(bench: Bench) -> None:
    bench.dio.set_manual(2, True)
    assert bench.levels() == [False, False, True, False]
    register = bench.dio.register()
    assert register.mode == DIOMode.MANUAL
    assert [c.manual_state for c in register.dout_chan_registers] == [False, False, True, False]
    bench.dio.set_manual(2, False)
    assert bench.levels() == [False] * 4
    with pytest.raises(ConfigurationError, match="0-3"):
        bench.dio.set_manual(4, True)


def test_gated_by_streaming(bench: Bench) -> None:
    bench.dio.set_gated(True)
    assert bench.levels() == [False] * 4
    bench.dio.stream_started()
    assert bench.levels() == [True] * 4
    bench.dio.stream_stopped()
    assert bench.levels() == [False] * 4
    bench.dio.set_gated(False)
    assert bench.levels() == [True] * 4
    bench.dio.stream_started()
    assert bench.levels() == [False] * 4
    assert bench.dio.register().gated_polarity is False


def test_events_raise_an_output_for_a_millisecond(bench: Bench) -> None:
    bench.dac.set_stream(1, 6)
    bench.dio.set_events(1, -50.0, positive=False)
    bench.dio.set_events(3, 40.0, positive=True)
    register = bench.dio.register()
    assert register.mode == DIOMode.EVENTS
    watched = [(c.ntv_chan_idx, c.event_threshold, c.event_polarity) for c in register.dout_chan_registers]
    assert watched[1] == (6, -50.0, False)  # what analog output 1 carries
    assert watched[3] == (3, 40.0, True)  # no such analog output: the channel of that index
    bench.dio.stream_started()
    bench.run()
    bench.run(amp={6: {4: -60.0}, 1: {3: -60.0}})
    assert bench.levels() == [False, True, False, False]
    bench.run(amp={3: {4: 60.0}})
    assert bench.levels() == [False, False, False, True]
    bench.dio.stream_stopped()
    assert bench.levels() == [False] * 4


def test_pulses_keep_their_clock(bench: Bench) -> None:
    bench.dio.set_pulse(0.010, 0.002, -1)
    bench.dio.stream_started()
    for _ in range(103):
        bench.run()
    rises = [at for line, state, at in bench.source.outs if line == 2 and state]
    falls = [at for line, state, at in bench.source.outs if line == 2 and not state]
    assert len(rises) == 11
    assert (np.diff(rises) == 300).all()
    assert [f - r for f, r in zip(falls, rises, strict=False)] == [60] * len(falls)
    register = bench.dio.register()
    assert (register.req_pulse_interval_sec, register.req_pulse_duration_sec, register.req_pulse_ntv_chan_idx) == (
        0.010,
        0.002,
        -1,
    )
    bench.dio.set_pulse(0.010, 0.002, 1)
    for _ in range(15):
        bench.run()
    assert bench.levels()[0] is False


@pytest.mark.parametrize("rows", [30, 150, 157])
def test_pulses_are_as_long_as_they_should_be_whenever_commands_take_effect(bench: Bench, rows: int) -> None:
    """A command takes effect some samples behind the block that it comes with: no pulse is a block too long for it."""
    rng = np.random.default_rng(rows)
    bench.dio.set_pulse(0.1, 0.02, 0)
    bench.dio.stream_started()
    for _ in range(40_000 // rows):
        bench.source.lag = int(rng.integers(1, 20))
        bench.run(rows)
    rises = np.array([at for line, state, at in bench.source.outs if line == 0 and state])
    falls = np.array([at for line, state, at in bench.source.outs if line == 0 and not state])
    assert len(falls) >= 12
    widths = falls - rises[: len(falls)]
    assert np.abs(widths - 600).max() <= rows / 2 + 40
    assert abs(widths.mean() - 600) < rows / 4 + 10
    assert np.abs(rises - rises[0] - 3000 * np.arange(len(rises))).max() <= rows / 2 + 40


def test_a_new_mode_leaves_the_old_outputs_at_rest(bench: Bench) -> None:
    bench.dio.set_pulse(1.0, 0.5, -1)
    bench.dio.stream_started()
    bench.run()
    assert bench.levels() == [True] * 4
    bench.dio.set_manual(3, True)
    bench.run()
    assert bench.levels() == [False, False, False, True]


@pytest.mark.parametrize(("interval", "duration"), [(0.0, 0.0), (0.01, 0.01), (0.01, -1.0), (float("nan"), 0.1)])
def test_pulses_that_cannot_be(bench: Bench, interval: float, duration: float) -> None:
    with pytest.raises(ConfigurationError, match="0 < duration < interval"):
        bench.dio.set_pulse(interval, duration, -1)


def test_events_that_cannot_be(bench: Bench) -> None:
    with pytest.raises(ConfigurationError, match="finite"):
        bench.dio.set_events(0, float("nan"), positive=True)


@pytest.mark.parametrize("mode", ["manual", "events", "gated", "pulse"])
def test_a_digital_snapshot_comes_back(bench: Bench, mode: str) -> None:
    bench.dio.set_manual(2, True)
    if mode == "events":
        bench.dac.set_stream(1, 6)
        bench.dio.set_events(1, -50.0, positive=False)
    elif mode == "gated":
        bench.dio.set_gated(False)
    elif mode == "pulse":
        bench.dio.set_pulse(0.01, 0.002, 1)
    saved = json.loads(json.dumps(bench.dio.snapshot()))
    expected = bench.dio.register()
    bench.dio.reset()
    bench.dac.reset()
    bench.dio.validate(saved)
    bench.dio.restore(saved)
    assert bench.dio.register() == expected


def test_sources_without_digital_outputs_say_so(bench: Bench) -> None:
    bench.source.configure(Fraction(30_000), bench.source.channels.take(range(8)))
    for call in (lambda: bench.dio.set_manual(0, True), lambda: bench.dio.set_gated(True)):
        with pytest.raises(CapabilityError):
            call()
    assert bench.dio.register().dout_chan_registers == []
