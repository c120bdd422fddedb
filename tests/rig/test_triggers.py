"""Recording triggers."""

from __future__ import annotations

import json

import pytest
from outputs_fake import FIRST_DIN, FIRST_DOUT, FakeSource

from ranvier.exceptions import CapabilityError, ConfigurationError, OutputError
from ranvier.models.ports import Port
from ranvier.models.rig import LatePolicy, LoopSettings
from ranvier.models.triggers import TriggerChannel
from ranvier.rig.clock import FakeClock
from ranvier.rig.dac import Dac
from ranvier.rig.dio import Dio
from ranvier.rig.loop import ClosedLoop
from ranvier.rig.triggers import Triggers

DIN_0, DIN_1, NONE = TriggerChannel.T_DIN_0, TriggerChannel.T_DIN_1, TriggerChannel.T_NONE


class Recorder:
    def __init__(self) -> None:
        self.calls: list[tuple[str, Port | None, str]] = []
        self.full = False

    def start(self, *, port: Port | None = None, client: str = "") -> None:
        if self.full:
            raise OutputError("the disk is full")
        self.calls.append(("start", port, client))

    def stop(self, *, port: Port | None = None) -> None:
        self.calls.append(("stop", port, ""))


class Bench:
    def __init__(self) -> None:
        self.source = FakeSource()
        self.recorder = Recorder()
        self.split = False
        dio = Dio(lambda: self.source, Dac(lambda: self.source).routed_to)
        self.loop = ClosedLoop(lambda: self.source, FakeClock(), dio)
        self.triggers = Triggers(lambda: self.source, self.loop, lambda: self.recorder, lambda: self.split)

    def run(self, **signals: object) -> None:
        self.triggers.on_block(self.source.block(30, **signals), 0.0)  # type: ignore[arg-type]
        assert self.triggers.idle()


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.triggers.close()


def test_a_line_gates_the_recording(bench: Bench) -> None:
    bench.triggers.enable(DIN_0)
    bench.triggers.stream_started()
    bench.run()
    bench.run(high={FIRST_DIN: slice(10, None)})
    assert bench.recorder.calls == [("start", None, "trigger T_DIN_0")]
    bench.run(high={FIRST_DIN: slice(None)})
    bench.run()
    assert bench.recorder.calls[1:] == [("stop", None, "")]
    bench.run(high={FIRST_DIN: slice(5, 6)})
    assert [c[0] for c in bench.recorder.calls] == ["start", "stop", "start", "stop"]


def test_a_line_that_is_high_already_waits_for_its_next_edge(bench: Bench) -> None:
    bench.triggers.enable(DIN_0)
    bench.triggers.stream_started()
    bench.run(high={FIRST_DIN: slice(None)})
    bench.run()
    assert bench.recorder.calls == []  # and the falling edge ends no recording that was not its own
    bench.run(high={FIRST_DIN: slice(1, None)})
    assert len(bench.recorder.calls) == 1


def test_digital_outputs_trigger_too(bench: Bench) -> None:
    bench.triggers.enable(TriggerChannel.T_DOUT_1)
    bench.run()
    bench.run(high={FIRST_DOUT + 1: slice(3, None)})
    assert bench.recorder.calls == [("start", None, "trigger T_DOUT_1")]


def test_one_trigger_at_a_time_unless_files_are_split(bench: Bench) -> None:
    bench.triggers.enable(DIN_0, Port.A)
    bench.triggers.enable(DIN_0)  # the same once more
    with pytest.raises(ConfigurationError, match="T_DIN_0 triggers already"):
        bench.triggers.enable(DIN_1)
    state = bench.triggers.state()
    assert (state.enabled_channels, state.ports) == ([DIN_0], [Port.A])
    bench.triggers.disable(DIN_0)
    bench.split = True
    with pytest.raises(ConfigurationError, match="name the port"):
        bench.triggers.enable(DIN_0)
    bench.triggers.enable(DIN_0, Port.A)
    bench.triggers.enable(DIN_1, Port.B)
    with pytest.raises(ConfigurationError, match="port B is triggered by T_DIN_1"):
        bench.triggers.enable(DIN_0, Port.B)
    assert bench.triggers.state().ports == [Port.A, Port.B]
    bench.run()
    bench.run(high={FIRST_DIN + 1: slice(3, None)})
    assert bench.recorder.calls == [("start", Port.B, "trigger T_DIN_1")]
    bench.triggers.disable(DIN_0, Port.B)
    assert len(bench.triggers.state().ports) == 2
    bench.triggers.disable(DIN_0, Port.A)
    assert bench.triggers.state().ports == [Port.B]


def test_none_disables_all_and_enables_nothing(bench: Bench) -> None:
    bench.triggers.enable(DIN_0)
    bench.triggers.disable(NONE)
    assert bench.triggers.state().enabled_channels == []
    bench.run()
    bench.run(high={FIRST_DIN: slice(1, None)})
    assert bench.recorder.calls == []
    with pytest.raises(ConfigurationError, match="T_NONE"):
        bench.triggers.enable(NONE)


def test_lines_that_are_not_there(bench: Bench) -> None:
    with pytest.raises(CapabilityError, match="4 digital inputs"):
        bench.triggers.enable(TriggerChannel.T_DIN_9)


def test_a_recording_that_cannot_start_is_told(bench: Bench) -> None:
    bench.recorder.full = True
    bench.triggers.enable(DIN_0)
    bench.triggers.stream_started()
    bench.run()
    bench.run(high={FIRST_DIN: slice(3, None)})
    assert "T_DIN_0 could not start a recording: the disk is full" in bench.triggers.notes[0]
    bench.run()
    assert bench.recorder.calls == []


def test_a_snapshot_comes_back(bench: Bench) -> None:
    bench.split = True
    bench.triggers.enable(DIN_0, Port.A)
    bench.triggers.enable(DIN_1, Port.B)
    saved = json.loads(json.dumps(bench.triggers.snapshot()))
    expected = bench.triggers.state()
    bench.triggers.reset()
    bench.triggers.validate(saved)
    bench.triggers.restore(saved)
    assert bench.triggers.state() == expected
    with pytest.raises(ConfigurationError, match="cannot be read"):
        bench.triggers.validate({"enabled": [["T_MOON", None]]})


def test_the_closed_loop_is_switched_here(bench: Bench) -> None:
    settings = LoopSettings(channels=(0, 1), threshold_uv=-40.0, dout_idx=2, late=LatePolicy.DISARM)
    bench.triggers.arm_loop(settings, client="me")
    status = bench.loop.status()
    assert status is not None
    assert status.armed
    assert status.policy == LatePolicy.DISARM
    bench.triggers.disarm_loop()
    assert not bench.loop.is_armed
