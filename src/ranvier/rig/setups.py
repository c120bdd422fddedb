"""The parts of a rig that a workspace saves: each as plain data, checked before anything changes, and restored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from ranvier.exceptions import ConfigurationError
from ranvier.models.core_config import CableDelay
from ranvier.models.dsp import DSPGroup, FilterStage
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.models.status import BackboneMode, RecordingConfig
from ranvier.rig.control import Control
from ranvier.rig.core import Core
from ranvier.rig.dsp import DspStages
from ranvier.rig.recording import Recording
from ranvier.rig.sensors import Sensors

M = TypeVar("M")


class _Source(BaseModel):
    mode: str
    replay: str | None = None
    loop: bool = True
    samp_freq_hz: float
    loop_ms: float
    persistence_sec: float
    cable_delays: list[CableDelay] = []


class SourcePart:
    """The source, its rate, and the core's configuration."""

    def __init__(self, core: Core, control: Control) -> None:
        self._core = core
        self._control = control

    def snapshot(self) -> dict[str, Any]:
        """Return the set-up as plain data."""
        core, config = self._core, self._control.core_config()
        return _Source(
            mode=core.mode.name,
            replay=None if core.replay is None else str(core.replay),
            loop=core.replay_loops,
            samp_freq_hz=config.base_samp_freq,
            loop_ms=core.loop_ms,
            persistence_sec=core.persistence_sec,
            cable_delays=list(config.cable_delays.values()),
        ).model_dump(mode="json", by_alias=True)

    def validate(self, document: Mapping[str, Any], /) -> None:
        """Refuse what ``snapshot`` cannot have made."""
        self._read(document)

    def restore(self, document: Mapping[str, Any], /) -> None:
        """Take another source, where it is another one, and configure it."""
        wanted, core = self._read(document), self._core
        mode, replay = BackboneMode[wanted.mode], None if wanted.replay is None else Path(wanted.replay)
        if (mode, replay, wanted.loop) != (core.mode, core.replay, core.replay_loops):
            self._control.restart(mode, replay=replay, loop=wanted.loop)
        self._control.set_core_config(
            samp_freq=wanted.samp_freq_hz, loop_dur=wanted.loop_ms, pcache_persistence=wanted.persistence_sec
        )
        self._control.replace_cable_delays(wanted.cable_delays)

    def _read(self, document: Mapping[str, Any]) -> _Source:
        found = _parse(_Source, document, "source")
        if found.mode not in BackboneMode.__members__:
            raise ConfigurationError(f"the source of a workspace has the unknown mode {found.mode!r}")
        return found


class SensorsPart:
    """What is on the ports."""

    def __init__(self, sensors: Sensors) -> None:
        self._sensors = sensors

    def snapshot(self) -> dict[str, Any]:
        """Return headstage and probe by port."""
        return {s.port.name: [s.headstage_id, s.probe_id] for s in self._sensors.assigned()}

    def validate(self, document: Mapping[str, Any], /) -> None:
        """Refuse what ``snapshot`` cannot have made."""
        self._read(document)

    def restore(self, document: Mapping[str, Any], /) -> None:
        """Assign what differs; ports that had nothing are emptied first."""
        wanted, found = self._read(document), self.snapshot()
        for name in sorted(set(found) - set(wanted)):
            self._sensors.assign(Port[name], "", "")
        for name, (headstage, probe) in sorted(wanted.items()):
            if probe and found.get(name) != [headstage, probe]:
                self._sensors.assign(Port[name], headstage, probe)

    @staticmethod
    def _read(document: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
        found = _parse(dict[str, tuple[str, str]], document, "sensors")
        unknown = sorted(set(found) - set(Port.__members__))
        if unknown:
            raise ConfigurationError(f"the sensors of a workspace name unknown ports: {', '.join(unknown)}")
        return found


class DspPart:
    """The filters of every stage."""

    def __init__(self, dsp: DspStages) -> None:
        self._dsp = dsp

    def snapshot(self) -> dict[str, Any]:
        """Return the filters as plain data."""
        return self._dsp.get().model_dump(mode="json")

    def validate(self, document: Mapping[str, Any], /) -> None:
        """Refuse what ``snapshot`` cannot have made."""
        _parse(DSPGroup, document, "filters")

    def restore(self, document: Mapping[str, Any], /) -> None:
        """Set every stage."""
        group = _parse(DSPGroup, document, "filters")
        self._dsp.set(FilterStage.STAGE_HARDWARE, group.hardware)
        self._dsp.set(FilterStage.STAGE1, group.software_stage1)
        self._dsp.set(FilterStage.STAGE2, group.software_stage2)
        self._dsp.set(FilterStage.SPIKE_SORTER, group.spike_sorter)


class RecordingPart:
    """Where and how recordings are written."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def snapshot(self) -> dict[str, Any]:
        """Return the configuration as plain data."""
        return self._recording.config().model_dump(mode="json")

    def validate(self, document: Mapping[str, Any], /) -> None:
        """Refuse what ``snapshot`` cannot have made."""
        _parse(RecordingConfig, document, "recording configuration")

    def restore(self, document: Mapping[str, Any], /) -> None:
        """Set the configuration; a folder that was never made yet is no obstacle where it is in force already."""
        config = _parse(RecordingConfig, document, "recording configuration")
        if config != self._recording.config():
            self._recording.set_config(config)


class SelectionPart:
    """Selected channels and color groups."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def snapshot(self) -> dict[str, Any]:
        """Return channels by name of their type."""
        selection = self._core.selection
        return {
            "selected": {kind.name: list(ntv) for kind, ntv in selection.selected.items()},
            "groups": [{kind.name: list(ntv) for kind, ntv in group.items()} for group in selection.groups],
        }

    def validate(self, document: Mapping[str, Any], /) -> None:
        """Refuse what ``snapshot`` cannot have made."""
        self._read(document)

    def restore(self, document: Mapping[str, Any], /) -> None:
        """Select and group, on the channels of now."""
        selected, groups = self._read(document)
        selection, channels = self._core.selection, self._core.source.channels
        selection.clear()
        selection.select(selected, channels)
        selection.group(groups, channels)

    @staticmethod
    def _read(
        document: Mapping[str, Any],
    ) -> tuple[dict[SignalType, list[int]], list[dict[SignalType, list[int]]]]:
        by_name = dict[str, list[int]]
        selected = _parse(by_name, document.get("selected"), "selection")
        groups = _parse(list[by_name], document.get("groups"), "color groups")
        try:
            return (
                {SignalType[kind]: ntv for kind, ntv in selected.items()},
                [{SignalType[kind]: ntv for kind, ntv in group.items()} for group in groups],
            )
        except KeyError as error:
            raise ConfigurationError(f"the selection of a workspace names an unknown signal type {error}") from error


def _parse(kind: type[M], data: object, what: str) -> M:
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"the {what} of a workspace cannot be read ({where}: {first['msg']})") from error
