"""Recording, and what triggers it."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import deprecated

from ranvier.clients._rig_arguments import flag, model
from ranvier.clients._rig_base import RigClient
from ranvier.exceptions import ConfigurationError
from ranvier.models.flex import FlexPort, FlexTriggerChannel, coerce_port, coerce_trigger_channel
from ranvier.models.ports import Port
from ranvier.models.status import RecordingConfig, RecordMode, RecordStateRequest
from ranvier.models.triggers import TriggerChannel, TriggerState


class RecordingClient(RigClient):
    """Calls on the recorder of a rig."""

    def start_recording(self, *, port: FlexPort | None = None) -> None:
        """Record everything, or one port where files are split by port; starts streaming where it is off.

        Raises
        ------
        OutputError
            The folder is missing, read-only, or too full.
        ConfigurationError
            A port without channels, or files that are not split by port.
        """
        self._check_hardware()
        self._rig.recording.start(port=_port(port), client=self._name)

    def stop_recording(self, *, port: FlexPort | None = None) -> None:
        """Finish the files of one port, or all; harmless where nothing is recorded.

        Raises
        ------
        OutputError
            The disk refused the end of a file; the message says what there is.
        """
        self._rig.recording.stop(port=_port(port))

    @deprecated("set_record_state() was removed in 0.1.0 of the API; use start_recording() or stop_recording()")
    def set_record_state(self, request: RecordStateRequest) -> None:
        """Start or stop recording, as older releases had it."""
        asked = model(RecordStateRequest, request, "request")
        if asked.mode == RecordMode.ON:
            self.start_recording(port=asked.port)
        else:
            self.stop_recording(port=asked.port)

    def get_recording_config(self) -> RecordingConfig:
        """Return where and how recordings are written."""
        return self._rig.recording.config()

    def update_recording_config(self, config: RecordingConfig) -> None:
        """Change where and how recordings are written: all of it, or nothing; not while recording.

        Raises
        ------
        OutputError, ConfigurationError
            A folder that is missing or not writable, a name that is no file name, a type of recording that this
            engine does not write.
        """
        wanted = model(RecordingConfig, config, "config")
        folder = str(Path(wanted.base_file_path).expanduser().absolute()) if wanted.base_file_path else ""
        self._rig.recording.set_config(wanted.model_copy(update={"base_file_path": folder}))

    @deprecated("set_recording_config() was removed in 0.1.0 of the API; use update_recording_config()")
    def set_recording_config(self, config: RecordingConfig) -> None:
        """Change where and how recordings are written, as older releases had it."""
        self.update_recording_config(config)

    def get_recording_files(self) -> list[Path]:
        """Return what is being recorded; link it at any time, it is readable while it grows (an addition)."""
        return [Path(name) for name in self._rig.recording.files()]

    # --- triggers ------------------------------------------------------------------------------------------------

    def enable_trigger(self, *, channel: FlexTriggerChannel, port: FlexPort | None = None) -> None:
        """Let a digital line start and stop the recording of a port.

        Raises
        ------
        ConfigurationError
            T_NONE (a ValueError); a second trigger where files are not split by port; a line that is not there.
        """
        self._rig.triggers.enable(_line(channel), _port(port))

    def disable_trigger(self, *, channel: FlexTriggerChannel, port: FlexPort | None = None) -> None:
        """Do not let a digital line trigger any more; T_NONE is refused: see :meth:`disable_all_triggers`."""
        self._rig.triggers.disable(_line(channel), _port(port))

    def disable_all_triggers(self) -> None:
        """Disable every trigger."""
        self._rig.triggers.disable(TriggerChannel.T_NONE)

    @deprecated(
        "set_trigger_state() was removed in 0.1.0 of the API; use enable_trigger(), disable_trigger() or "
        "disable_all_triggers()"
    )
    def set_trigger_state(self, *, channel: FlexTriggerChannel, enabled: bool, port: FlexPort) -> None:
        """Enable or disable a trigger, as older releases had it; T_NONE disables all."""
        line, where = coerce_trigger_channel(channel), coerce_port(port)
        if flag("enabled", enabled):
            self._rig.triggers.enable(line, where)
        else:
            self._rig.triggers.disable(line, None if line == TriggerChannel.T_NONE else where)

    def get_trigger_state(self) -> TriggerState:
        """Return the enabled triggers: lines and ports in parallel."""
        return self._rig.triggers.state()


def _port(port: FlexPort | None) -> Port | None:
    return None if port is None else coerce_port(port)


def _line(channel: FlexTriggerChannel) -> TriggerChannel:
    line = coerce_trigger_channel(channel)
    if line == TriggerChannel.T_NONE:
        raise ConfigurationError("T_NONE is no line; disable_all_triggers() disables every trigger")
    return line
