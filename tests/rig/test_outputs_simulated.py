"""Outputs on the simulator, through a whole rig: what is asked for shows in the signal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from outputs_fake import biphasic

from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.rig import LatePolicy, LoopSettings
from ranvier.models.signals import KeyIndex, SignalType, SigSelect
from ranvier.models.status import BackboneMode
from ranvier.rig.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, mode=BackboneMode.SMARTBOX_SIM_GEN_SINE)
    yield made
    made.close()


def read(rig: Rig, start: int, stop: int) -> dict[SignalType, np.ndarray]:
    fs = float(rig.core.source.fs)
    none = np.empty(0, np.int64)
    four = np.arange(4)
    select = SigSelect(amp=four, gpio_ain=none, gpio_din=none, gpio_dout=np.arange(2), key_idx=KeyIndex.NTV)
    return dict(rig.signals.read(TimeRangeSpec.subset(start / fs, stop / fs), select).samples)


def wait_for(what, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_train_shows_at_the_counters_of_the_log(rig: Rig) -> None:
    rig.outputs.set_stim_params(
        biphasic(0, pulse_or_train=1, number_of_stim_pulses=20, pulse_train_period=10_000, post_trigger_delay=20_000)
    )
    rig.outputs.arm(client="test")
    rig.control.start_streaming()
    rig.outputs.keypress(1, True)
    wait_for(lambda: len(rig.outputs.pulses()) == 20)
    last = rig.outputs.pulses()[-1].counter
    wait_for(lambda: rig.signals.cached()[1] > last + 300)
    counters = np.array([p.counter for p in rig.outputs.pulses()])
    assert (np.diff(counters) == 300).all()
    start = int(counters[0]) - 60
    amp = read(rig, start, int(counters[-1]) + 60)[SignalType.AMP][:, 0]
    steep = np.flatnonzero(np.abs(np.diff(amp)) > 3000) + 1  # the artifact drives the amplifier to its rails
    near = np.abs(steep[:, None] + start - counters[None]).min(axis=0)
    assert (near <= 6).all()
    status = rig.control.details().outputs
    assert status is not None
    assert (status.armed_by, status.pulses) == ("test", 20)
    rig.control.stop_streaming()
    assert rig.outputs.armed_by is None


def test_the_emergency_stop_reaches_the_simulator(rig: Rig) -> None:
    rig.outputs.set_stim_params(biphasic(0, pulse_or_train=1, number_of_stim_pulses=256, pulse_train_period=5_000))
    rig.outputs.arm(client="test")
    rig.control.start_streaming()
    rig.outputs.keypress(1, True)
    wait_for(lambda: len(rig.outputs.pulses()) > 5)
    rig.outputs.disarm()
    counters = [p.counter for p in rig.outputs.pulses()]
    head = rig.signals.cached()[1]
    wait_for(lambda: rig.signals.cached()[1] > head + 6000)
    assert [p.counter for p in rig.outputs.pulses()] == counters
    assert [d.counter for d in rig.core.source.delivered] == counters  # type: ignore[attr-defined]


def test_the_closed_loop_answers_on_the_simulator(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    try:
        rig.control.set_core_config(loop_dur=1.0)
        settings = LoopSettings(
            channels=tuple(range(32)),
            threshold_uv=-60.0,
            dout_idx=1,
            highpass_hz=300.0,
            deadline_ms=100.0,
            late=LatePolicy.SKIP,
        )
        rig.triggers.arm_loop(settings, client="test")
        rig.control.start_streaming()
        wait_for(lambda: (s := rig.loop.status()) is not None and s.edges >= 10, 20.0)
        rig.triggers.disarm_loop()
        status = rig.loop.status()
        assert status is not None
        assert not status.armed
        assert status.events >= status.edges >= 10
        assert status.latency.count >= status.edges
        assert 0 < status.latency.p50_ms <= status.latency.max_ms
        assert status.latency.software_only
        head = rig.signals.cached()[1]
        wait_for(lambda: rig.signals.cached()[1] > head + 300)
        dout = read(rig, max(rig.signals.cached()[0], 0), rig.signals.cached()[1])[SignalType.DOUT][:, 1]
        rises = np.flatnonzero(np.diff(dout) > 0)
        assert len(rises) >= 10
        assert np.diff(rises).min() >= 150  # 5 ms refractory
        assert dout[-1] == 0
    finally:
        rig.close()
