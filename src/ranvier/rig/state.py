"""What a rig may do in which state: one table, and the machine that keeps to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from ranvier.exceptions import ConfigurationError
from ranvier.models.rig import RigState

IDLE, STREAMING, RECORDING, FAULT = RigState.IDLE, RigState.STREAMING, RigState.RECORDING, RigState.FAULT


class Action(StrEnum):
    """Every call whose legality depends on the state."""

    START_STREAMING = "start streaming"
    STOP_STREAMING = "stop streaming"
    START_RECORDING = "start recording"
    STOP_RECORDING = "stop recording"
    RESTART = "restart"
    SET_CORE_CONFIG = "change the core configuration"
    SCAN_PORTS = "scan the ports"
    ASSIGN_SENSOR = "assign a sensor"
    SET_ACQUISITION_DSP = "change hardware or stage 1 filters"
    SET_VIEW_DSP = "change stage 2 or sorter filters"
    SET_RECORDING_CONFIG = "change the recording configuration"
    SET_STIM_PARAMS = "change the stimulation"
    MEASURE_IMPEDANCE = "measure impedances"
    SWITCH_WORKSPACE = "switch the workspace"
    FAULT = "report a failure of the source"
    RECOVER = "recover"


def _same(*states: RigState) -> dict[RigState, RigState]:
    return {state: state for state in states}


#: The state that an action leads to, by the state it begins in; what is not listed is refused.
TRANSITIONS: dict[Action, dict[RigState, RigState]] = {
    Action.START_STREAMING: {IDLE: STREAMING, FAULT: STREAMING, STREAMING: STREAMING, RECORDING: RECORDING},
    Action.STOP_STREAMING: {STREAMING: IDLE, IDLE: IDLE, FAULT: IDLE},
    Action.START_RECORDING: {IDLE: RECORDING, STREAMING: RECORDING, RECORDING: RECORDING},
    Action.STOP_RECORDING: {RECORDING: STREAMING, STREAMING: STREAMING, IDLE: IDLE, FAULT: FAULT},
    Action.RESTART: {IDLE: IDLE, FAULT: IDLE},
    Action.SET_CORE_CONFIG: _same(IDLE, FAULT),
    Action.SCAN_PORTS: _same(IDLE, FAULT),
    Action.ASSIGN_SENSOR: _same(IDLE, FAULT),
    Action.SET_ACQUISITION_DSP: _same(IDLE, FAULT, STREAMING),
    Action.SET_VIEW_DSP: _same(IDLE, FAULT, STREAMING, RECORDING),
    Action.SET_RECORDING_CONFIG: _same(IDLE, FAULT, STREAMING),
    Action.SET_STIM_PARAMS: _same(IDLE, FAULT),
    Action.MEASURE_IMPEDANCE: _same(IDLE, FAULT),
    Action.SWITCH_WORKSPACE: _same(IDLE, FAULT),
    Action.FAULT: {IDLE: FAULT, STREAMING: FAULT, RECORDING: FAULT, FAULT: FAULT},
    Action.RECOVER: {FAULT: IDLE, IDLE: IDLE},
}

#: What to do about a refusal, by the state that refuses.
_ADVICE = {
    IDLE: "start streaming first",
    STREAMING: "stop streaming first",
    RECORDING: "stop the recording first",
    FAULT: "start_streaming() tries the source again, restart(mode=...) takes another",
}


class StateMachine:
    """The state of one rig.

    Control calls run one at a time, inside ``control``; the pump reports a fault without waiting for them. Reading
    ``state`` never waits.

    Attributes
    ----------
    fault
        What went wrong, "" while nothing did.
    recorded_by
        Who records, "" while nobody does.
    control
        Held by every call that changes the rig.
    """

    def __init__(self) -> None:
        self._state = IDLE
        self._lock = threading.Lock()
        self._num_faults = 0
        self.fault = ""
        self.recorded_by = ""
        self.control = threading.RLock()

    @property
    def state(self) -> RigState:
        """The state now."""
        return self._state

    @property
    def streams(self) -> bool:
        """Whether samples stream (recording or not)."""
        return self._state in (STREAMING, RECORDING)

    def require(self, action: Action) -> None:
        """Raise ConfigurationError, with the state and what to do, unless an action is legal now."""
        state = self._state
        if state in TRANSITIONS[action]:
            return
        because = f"the rig is in state {state.value!r}"
        if state == RECORDING:
            because = f"{self.recorded_by or 'a client'} is recording"
        elif state == FAULT:
            because = f"the source failed ({self.fault})"
        raise ConfigurationError(f"cannot {action.value}: {because}; {_ADVICE[state]}")

    def to(self, action: Action, *, who: str = "") -> RigState:
        """Do the transition of an action, where it is legal; return the new state.

        ``who`` names the client where the action starts a recording.
        """
        with self._lock:
            self.require(action)
            self._enter(action, who)
            return self._state

    @contextmanager
    def during(self, action: Action, *, who: str = "") -> Iterator[None]:
        """Hold ``control``, require an action, run the body, then do the transition.

        Where the body raises, or the source failed meanwhile, the state is left as it is then.
        """
        with self.control:
            with self._lock:
                self.require(action)
                faults = self._num_faults
            yield
            with self._lock:
                if self._num_faults == faults and self._state in TRANSITIONS[action]:
                    self._enter(action, who)

    def fail(self, text: str) -> None:
        """Enter FAULT; never waits for a control call."""
        with self._lock:
            self.fault = text
            self._num_faults += 1
            self._enter(Action.FAULT, "")

    def _enter(self, action: Action, who: str) -> None:
        self._state = TRANSITIONS[action][self._state]
        if action == Action.START_RECORDING:
            self.recorded_by = who or self.recorded_by
        if self._state != RECORDING:
            self.recorded_by = ""
        if self._state != FAULT:
            self.fault = ""

    def __repr__(self) -> str:
        return f"<StateMachine {self._state.value}{': ' + self.fault if self.fault else ''}>"
