"""State, source, configuration, ports and sensors of a rig."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import deprecated

from ranvier.clients._rig_arguments import flag, model, number
from ranvier.clients._rig_base import RigClient
from ranvier.models.channels import ChannelMetadata
from ranvier.models.core_config import CableDelay, CoreConfig, SetCoreConfigRequest
from ranvier.models.flex import FlexBackboneMode, FlexPort, coerce_backbone_mode, coerce_port
from ranvier.models.rig import SensorAssignmentInfo
from ranvier.models.status import BackboneStatus, StreamMode, StreamStateRequest


class ControlClient(RigClient):
    """Calls on the state of a rig."""

    def get_status(self) -> BackboneStatus:
        """Return the documented status: streaming, recording, ports; :meth:`details` tells more."""
        return self._rig.control.status()

    def restart(
        self,
        *,
        mode: FlexBackboneMode,
        replay: str | Path | None = None,
        loop: bool = True,
        require_hardware: bool | None = None,
    ) -> None:
        """Take another instrument or simulator; only while idle.

        Parameters
        ----------
        mode
            BackboneMode, or its name in any case.
        replay
            Recording that the mode SMARTBOX_SIM_DATASOURCE plays live, in any format that can be linked (this and the
            following are additions to the documented API).
        loop
            Whether it begins again at its end.
        require_hardware
            Refuse simulators, this once; None = as the client was made.

        Raises
        ------
        ConfigurationError
            An unknown mode; while it streams; while somebody records (the message says who).
        CapabilityError
            An instrument that this engine cannot drive, naming what is missing.
        """
        self._rig.control.restart(
            coerce_backbone_mode(mode),
            replay=None if replay is None else Path(replay).expanduser().absolute(),
            loop=flag("loop", loop),
            require_hardware=self._require_hardware if require_hardware is None else require_hardware,
        )

    def start_streaming(self) -> None:
        """Start streaming with an empty cache; harmless where it streams already."""
        self._check_hardware()
        self._rig.control.start_streaming()

    def stop_streaming(self) -> None:
        """Stop streaming; harmless where it does not stream; ConfigurationError while somebody records."""
        self._rig.control.stop_streaming()

    @deprecated("set_stream_state() was removed in 0.1.0 of the API; use start_streaming() or stop_streaming()")
    def set_stream_state(self, request: StreamStateRequest) -> None:
        """Start or stop streaming, as older releases had it."""
        if model(StreamStateRequest, request, "request").mode == StreamMode.ON:
            self.start_streaming()
        else:
            self.stop_streaming()

    def get_core_config(self) -> CoreConfig:
        """Return sampling rate (Hz), period of the loop (ms), mode, cable delays by port number."""
        return self._rig.control.core_config()

    def update_core_config(
        self,
        *,
        samp_freq: float | None = None,
        loop_dur: float | None = None,
        pcache_persistence: float | None = None,
        cable_delay: CableDelay | None = None,
    ) -> None:
        """Change what is given, all of it or nothing; only while it does not stream.

        Parameters
        ----------
        samp_freq
            Sampling rate in Hz; ConfigurationError lists those that the source offers. Cache, selection and
            stimulation begin anew.
        loop_dur
            Period of the acquisition loop in ms.
        pcache_persistence
            For how many seconds the cache remembers.
        cable_delay
            Delay of one port.
        """
        self._rig.control.set_core_config(
            samp_freq=None if samp_freq is None else number("samp_freq", samp_freq),
            loop_dur=None if loop_dur is None else number("loop_dur", loop_dur),
            pcache_persistence=None if pcache_persistence is None else number("pcache_persistence", pcache_persistence),
            cable_delay=None if cable_delay is None else model(CableDelay, cable_delay, "cable_delay"),
        )

    @deprecated("set_core_config() was removed in 0.1.0 of the API; use update_core_config()")
    def set_core_config(self, request: SetCoreConfigRequest) -> None:
        """Change the configuration, as older releases had it."""
        asked = model(SetCoreConfigRequest, request, "request")
        self.update_core_config(
            samp_freq=asked.samp_freq,
            loop_dur=asked.loop_dur,
            pcache_persistence=asked.pcache_persistence,
            cable_delay=asked.cable_delay,
        )

    # --- ports and sensors ---------------------------------------------------------------------------------------

    def scan_ports(self) -> ChannelMetadata:
        """Look again at what is plugged in; stimulation, triggers and selection begin anew; not while streaming."""
        return self._rig.control.scan_ports()

    def get_available_sensors(self) -> dict[str, list[str]]:
        """Return the ids that :meth:`set_sensor` knows: ``headstages`` and ``probes`` (an addition)."""
        return {kind: list(ids) for kind, ids in self._rig.sensors.available().items()}

    def get_sensors(self) -> list[SensorAssignmentInfo]:
        """Return headstage, probe and number of channels of each port (an addition to the documented API)."""
        return self._rig.sensors.assigned()

    def set_sensor(self, *, port: FlexPort, headstage: str, probe: str | Path) -> ChannelMetadata:
        """Put a headstage and a probe on a port, and return the channels as they are then (an addition).

        Parameters
        ----------
        headstage, probe
            Ids or aliases; a probe also as a probeinterface JSON file. Both empty: nothing is on the port of a
            simulator any more, the sites of an instrument's port are unknown.

        Raises
        ------
        ProbeError
            Unknown ids, or a headstage and a probe that do not fit.
        ConfigurationError
            While it streams.
        """
        return self._rig.sensors.assign(coerce_port(port), headstage, str(probe))
