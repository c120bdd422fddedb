"""Recording as a service: the recorder, kept to the table of states."""

from __future__ import annotations

import threading
from typing import Protocol

from ranvier.models.ports import Port
from ranvier.models.rig import RigState
from ranvier.models.status import DataRecordingType, RecordingConfig
from ranvier.rig.core import Core
from ranvier.rig.recorder import Recorder
from ranvier.rig.recording_file import RecordingFile
from ranvier.rig.state import Action
from ranvier.rig.stream import StreamInfo
from ranvier.services.caller import current_caller


class Context:
    """What the recorder may ask of the rig."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def ensure_streaming(self) -> None:
        """Start streaming where it is off."""
        core = self._core
        if not core.machine.streams:
            with core.machine.during(Action.START_STREAMING):
                core.start()

    def stream(self) -> StreamInfo:
        """Describe what streams, or would."""
        return self._core.stream()

    def client_name(self) -> str:
        """Return who calls."""
        return current_caller().name


class SpikesBeside(Protocol):
    """Who writes spikes beside a recording."""

    def recording_began(self, file: RecordingFile, simulated: bool, *, waveforms: bool) -> None:
        """Begin; with ``waveforms`` where the recording itself has no amplifier signals."""
        ...

    def recording_ended(self) -> str:
        """Finish; return "" or what went wrong. Harmless where none are written."""
        ...


class Recording:
    """Service ``RigRecording``."""

    def __init__(self, core: Core) -> None:
        self._machine = core.machine
        self._core = core
        self.spikes: SpikesBeside | None = None
        self.recorder = Recorder(core.store, Context(core), core.clock, on_ended=self._ended)
        core.pump.add_consumer(self.recorder)
        core.on_fault.append(self.recorder.interrupt)

    def config(self) -> RecordingConfig:
        """Return where and how recordings are written."""
        return self.recorder.config()

    def set_config(self, config: RecordingConfig) -> None:
        """Change that, all or nothing; refused while something records."""
        with self._machine.during(Action.SET_RECORDING_CONFIG):
            self.recorder.set_config(config)

    def start(self, *, port: Port | None = None, client: str = "") -> None:
        """Record one port or everything; starts streaming where it is off."""
        who = client or current_caller().name
        with self._machine.control:
            first = self._machine.state != RigState.RECORDING
            with self._machine.during(Action.START_RECORDING, who=who if first else ""):
                self.recorder.start(port=port, client=who)
                if first:
                    self._begin_spikes()
            self._settle()

    def stop(self, *, port: Port | None = None) -> None:
        """Finish the files of one port, or all; harmless where nothing records."""
        # not inside machine.control: a disk that stalls must not hold up an emergency stop or another control call
        self._machine.require(Action.STOP_RECORDING)
        try:
            self.recorder.stop(port=port)
        finally:
            self._end_spikes()
            self._settle()

    def files(self) -> list[str]:
        """Return the paths of the recordings that are being written."""
        return self.recorder.files()

    def close(self) -> None:
        """Finish what is recorded."""
        try:
            self.recorder.close()
        finally:
            self._end_spikes()
            self._settle()

    def _settle(self) -> None:
        """Let state and recorder agree: a disk or a source may fail while the call ends that began a recording."""
        state, records = self._machine.state, self.recorder.is_recording
        if state == RigState.RECORDING and not records:
            self._machine.to(Action.STOP_RECORDING)
        elif records and not self._machine.streams:
            self.recorder.interrupt(f"the source failed while the recording began: {self._machine.fault}")

    def _begin_spikes(self) -> None:
        kind = self.recorder.config().recording_type
        file = self.recorder.whole_file()
        if kind != DataRecordingType.CONTINUOUS and file is not None and self.spikes is not None:
            alone = kind == DataRecordingType.SPIKES
            self.spikes.recording_began(file, self._core.source.info.simulated, waveforms=alone)

    def _end_spikes(self) -> None:
        """Finish the spikes of a recording that is over; what goes wrong there is a warning of the sorter."""
        if self.spikes is not None and not self.recorder.is_recording:
            self.spikes.recording_ended()

    def _ended(self, reason: str) -> None:
        self._settle()
        threading.Thread(target=self._end_spikes, name="ranvier-spikes-end", daemon=True).start()
