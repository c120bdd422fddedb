from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from scripted_source import ScriptedSource

from ranvier.exceptions import CapabilityError, ConfigurationError, ProbeError, SourceError
from ranvier.models.core_config import CableDelay
from ranvier.models.dsp import DSPParams, DSPType, FilterStage
from ranvier.models.ports import Port
from ranvier.models.rig import RigState
from ranvier.models.status import BackboneMode, RecordMode, StreamMode
from ranvier.models.stim import StimParams
from ranvier.rig.clock import FakeClock
from ranvier.rig.rig import Rig
from ranvier.rig.state import TRANSITIONS, Action, StateMachine

IDLE, STREAMING, RECORDING, FAULT = RigState.IDLE, RigState.STREAMING, RigState.RECORDING, RigState.FAULT
ACTIONS = st.sampled_from([a for a in Action if a != Action.FAULT])


def in_state(state: RigState) -> StateMachine:
    machine = StateMachine()
    if state in (STREAMING, RECORDING):
        machine.to(Action.START_STREAMING)
    if state == RECORDING:
        machine.to(Action.START_RECORDING, who="ann, notebook")
    if state == FAULT:
        machine.fail("cable pulled")
    return machine


@pytest.mark.parametrize("state", RigState)
@pytest.mark.parametrize("action", Action)
def test_the_machine_keeps_to_the_table(action: Action, state: RigState) -> None:
    machine = in_state(state)
    target = TRANSITIONS[action].get(state)
    if target is None:
        with pytest.raises(ConfigurationError, match=f"cannot {action.value}: .*; "):
            machine.to(action)
        assert machine.state == state
    else:
        assert machine.to(action) == target


def test_the_promises_of_the_table() -> None:
    """What users rely on, stated once more and independently of the table."""
    while_recording = {a for a in Action if RECORDING in TRANSITIONS[a]}
    assert while_recording == {
        Action.START_STREAMING,
        Action.START_RECORDING,
        Action.STOP_RECORDING,
        Action.SET_VIEW_DSP,
        Action.FAULT,
    }
    assert {a for a in Action if STREAMING not in TRANSITIONS[a]} == {
        Action.RESTART,
        Action.SET_CORE_CONFIG,
        Action.SCAN_PORTS,
        Action.ASSIGN_SENSOR,
        Action.SET_STIM_PARAMS,
        Action.MEASURE_IMPEDANCE,
        Action.SWITCH_WORKSPACE,
        Action.RECOVER,
    }
    assert all(
        target != RECORDING
        for a in Action
        if a != Action.START_RECORDING
        for s, target in TRANSITIONS[a].items()
        if s != RECORDING
    )
    assert {a for a in Action if FAULT in TRANSITIONS[a] and TRANSITIONS[a][FAULT] != FAULT} == {
        Action.START_STREAMING,
        Action.STOP_STREAMING,
        Action.RESTART,
        Action.RECOVER,
    }


def test_a_refusal_says_who_records_and_what_to_do() -> None:
    machine = in_state(RECORDING)
    with pytest.raises(
        ConfigurationError, match="cannot restart: ann, notebook is recording; stop the recording first"
    ):
        machine.require(Action.RESTART)
    machine.to(Action.STOP_RECORDING)
    assert machine.recorded_by == ""


def test_a_fault_says_what_failed() -> None:
    machine = in_state(FAULT)
    with pytest.raises(ConfigurationError, match=r"the source failed \(cable pulled\); start_streaming\(\) tries"):
        machine.require(Action.START_RECORDING)


def test_a_fault_during_a_call_is_not_overwritten() -> None:
    machine = StateMachine()
    with machine.during(Action.START_STREAMING):
        machine.fail("gone")
    assert machine.state == FAULT
    assert machine.fault == "gone"


def test_a_call_that_raises_changes_nothing() -> None:
    machine = StateMachine()
    with pytest.raises(ValueError, match="no"), machine.during(Action.START_STREAMING):
        raise ValueError("no")
    assert machine.state == IDLE


def test_a_fault_is_reported_while_a_control_call_runs() -> None:
    machine = in_state(STREAMING)
    with machine.control:
        reporter = threading.Thread(target=machine.fail, args=("gone",))
        reporter.start()
        reporter.join(5)
        assert machine.state == FAULT


class RigAgainstTable(RuleBasedStateMachine):
    """All control calls in any order, with a source that fails now and then, against the table."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.sources: list[ScriptedSource] = []
        self.home = Path(tempfile.mkdtemp())
        self.rig = Rig(self.home, clock=self.clock, make=self._make)
        self.state = IDLE

    def _make(self, mode: BackboneMode, replay: Path | None, loop: bool) -> ScriptedSource:
        source = ScriptedSource(self.clock, mode=mode)
        source.on_read = lambda: time.sleep(0.0005)
        self.sources.append(source)
        return source

    def teardown(self) -> None:
        self.rig.close()
        assert self.sources[-1].log[-1] == "close"
        assert not self.rig.core.pump.runs
        assert not self.rig.recording.recorder.is_recording
        shutil.rmtree(self.home)

    def _expect(self, action: Action, call: object) -> None:
        target = TRANSITIONS[action].get(self.state)
        if target is None:
            with pytest.raises(ConfigurationError, match=f"cannot {action.value}"):
                call()  # type: ignore[operator]
        else:
            call()  # type: ignore[operator]
            self.state = target

    @rule()
    def start_streaming(self) -> None:
        broken = self.sources[-1].fail_start
        if broken and self.state in (IDLE, FAULT):
            with pytest.raises(SourceError, match="no instrument"):
                self.rig.control.start_streaming()
            self.state = FAULT
        else:
            self._expect(Action.START_STREAMING, self.rig.control.start_streaming)

    @rule()
    def stop_streaming(self) -> None:
        self._expect(Action.STOP_STREAMING, self.rig.control.stop_streaming)

    @rule()
    def start_recording(self) -> None:
        if self.sources[-1].fail_start and self.state == IDLE:
            return
        self._expect(Action.START_RECORDING, lambda: self.rig.recording.start(client="test"))

    @rule()
    def stop_recording(self) -> None:
        self._expect(Action.STOP_RECORDING, self.rig.recording.stop)

    @rule()
    def set_recording_config(self) -> None:
        config = self.rig.recording.config().model_copy(update={"base_file_path": str(self.home)})
        self._expect(Action.SET_RECORDING_CONFIG, lambda: self.rig.recording.set_config(config))

    @rule()
    def set_stim_params(self) -> None:
        def call() -> None:  # this source cannot stimulate, so where the state allows it that is said instead
            with contextlib.suppress(CapabilityError):
                self.rig.outputs.set_stim_params(StimParams(stim_sys_chan_idx=0, trigger_source_idx=1))

        self._expect(Action.SET_STIM_PARAMS, call)

    @rule()
    def assign_sensor(self) -> None:
        def call() -> None:
            with contextlib.suppress(ProbeError):
                self.rig.sensors.assign(Port.A, "", "no such probe")

        self._expect(Action.ASSIGN_SENSOR, call)

    @rule()
    def measure_impedance(self) -> None:
        def call() -> None:
            with contextlib.suppress(CapabilityError):
                self.rig.outputs.impedance(Port.A)

        self._expect(Action.MEASURE_IMPEDANCE, call)

    @rule()
    def switch_workspace(self) -> None:
        saved = self.rig.workspaces.save("one")
        self._expect(Action.SWITCH_WORKSPACE, lambda: self.rig.workspaces.switch(saved.id))

    @rule(mode=st.sampled_from([BackboneMode.SMARTBOX_SIM_GEN_SINE, BackboneMode.SMARTBOX_SIM_GEN_SPIKES]))
    def restart(self, mode: BackboneMode) -> None:
        self._expect(Action.RESTART, lambda: self.rig.control.restart(mode))
        assert self.rig.control.core_config().backbone_mode == self.sources[-1].info.mode or self.state != IDLE

    @rule(rate=st.sampled_from([500.0, 1000.0, None]), loop=st.sampled_from([None, 10.0]))
    def set_core_config(self, rate: float | None, loop: float | None) -> None:
        delay = CableDelay(port=Port.A, cableDelay=3, isAuto=False)
        self._expect(
            Action.SET_CORE_CONFIG,
            lambda: self.rig.control.set_core_config(samp_freq=rate, loop_dur=loop, cable_delay=delay),
        )

    @rule()
    def scan_ports(self) -> None:
        self._expect(Action.SCAN_PORTS, self.rig.control.scan_ports)

    @rule(stage=st.sampled_from(FilterStage), on=st.booleans())
    def set_dsp(self, stage: FilterStage, on: bool) -> None:
        acts = stage in (FilterStage.STAGE_HARDWARE, FilterStage.STAGE1)
        params = [DSPParams(type=DSPType.HIGHPASS, stage=stage, freq=20.0)] if on else []
        self._expect(
            Action.SET_ACQUISITION_DSP if acts else Action.SET_VIEW_DSP, lambda: self.rig.dsp.set(stage, params)
        )

    @rule()
    def cable_is_pulled(self) -> None:
        if self.state not in (STREAMING, RECORDING):
            return
        source = self.sources[-1]

        def pulled() -> None:
            raise SourceError("the cable was pulled")

        source.on_read = pulled
        until = time.monotonic() + 10
        while self.rig.core.machine.state != FAULT and time.monotonic() < until:
            time.sleep(0.001)
        source.on_read = lambda: time.sleep(0.0005)
        while self.rig.recording.recorder.is_recording and time.monotonic() < until:
            time.sleep(0.001)
        self.state = FAULT

    @rule(broken=st.booleans())
    def source_breaks_or_is_repaired(self, broken: bool) -> None:
        self.sources[-1].fail_start = broken

    @invariant()
    def status_agrees(self) -> None:
        machine, status, details = self.rig.core.machine, self.rig.control.status(), self.rig.control.details()
        assert machine.state == self.state == details.state
        assert status.streaming.stream_mode == (
            StreamMode.ON if self.state in (STREAMING, RECORDING) else StreamMode.OFF
        )
        assert (status.recording.record_mode == RecordMode.ON) == (self.state == RECORDING)
        assert bool(details.recording_files) == (self.state == RECORDING)
        assert status.is_connected == (self.state != FAULT)
        assert bool(details.source.fault) == (self.state == FAULT)
        assert self.rig.busy() == (self.state in (STREAMING, RECORDING))
        assert (details.recorded_by == "test") == (self.state == RECORDING)


RigAgainstTable.TestCase.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestRigAgainstTable = RigAgainstTable.TestCase
