"""``radiens.lib.allego_lib``: how an acquisition system stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.classic.lib._from_models import member, shown
from ranvier.classic.utils.enums import Port, SystemMode
from ranvier.exceptions import ConfigurationError
from ranvier.models.core_config import CoreConfig
from ranvier.models.status import BackboneStatus, RecordMode, StreamMode

_STREAM = {StreamMode.OFF: "S_OFF", StreamMode.ON: "S_ON"}
_RECORD = {RecordMode.OFF: "R_OFF", RecordMode.ON: "R_ON"}

#: ``<base>_<index>__uid<timestamp>``, or ``<base>_<index>``.
_FILE_NAME = re.compile(r"(?P<base>.*)_(?P<index>\d+)(?:__uid(?P<timestamp>.+))?")


@dataclass(frozen=True)
class RecordingSpec:
    """How recording stands; ``str()`` gives the mode.

    Attributes
    ----------
    mode
        ``'R_ON'`` or ``'R_OFF'``.
    file_name
        The whole path of what is recorded, or was recorded last; empty before.
    dur_sec
        Recorded so far, seconds.
    error
        What went wrong; empty while nothing did.
    path, base_name, index, timestamp
        What the file's name says; -1 and '' where it does not.
    """

    mode: str
    file_name: str
    dur_sec: float
    error: str
    path: str
    base_name: str
    index: int
    timestamp: str

    def __str__(self) -> str:
        return self.mode


@dataclass(frozen=True)
class StreamSpec:
    """How streaming stands; ``str()`` gives the mode.

    Attributes
    ----------
    mode
        ``'S_ON'`` or ``'S_OFF'``.
    time_range
        What the signal cache holds, stream seconds, float64 ``(2,)``.
    hw_mem_level
        How full the instrument's buffer is, 0 to 1.
    """

    mode: str
    time_range: npt.NDArray[np.float64]
    hw_mem_level: float

    def __str__(self) -> str:
        return self.mode


class AllegoState:
    """How an acquisition system stands, at the moment of asking."""

    def __init__(self, status: BackboneStatus, core: CoreConfig) -> None:
        self._status = status
        self._core = core

    @property
    def sample_freq(self) -> float:
        """Samples per second."""
        return self._core.base_samp_freq

    @property
    def system_mode(self) -> SystemMode:
        """The instrument or simulation; a newer one than the classic enum knows is a member of the typed enum."""
        return member(SystemMode, self._core.backbone_mode)  # type: ignore[no-any-return]

    @property
    def port_num_channels(self) -> dict[Port, int]:
        """How many amplifier channels are on each port."""
        return {member(Port, one.port): one.channel_count for one in self._status.ports}

    @property
    def cable_delay_spec(self) -> dict[Port, dict[str, Any] | None]:
        """The cable delay of each port, as the instrument counts it; None where it is not known."""
        found = self._core.cable_delays
        return {
            port: {"delay": found[port.value].cable_delay, "is_auto": found[port.value].is_auto}
            if port.value in found
            else None
            for port in self.port_num_channels
        }

    @property
    def cable_length_ft(self) -> dict[Port, float | None]:
        """The length of each port's cable in feet: None, as this engine does not measure it."""
        return dict.fromkeys(self.port_num_channels)

    @property
    def recording(self) -> RecordingSpec:
        """How recording stands."""
        ours = self._status.recording
        path = PurePath(ours.active_filename)
        name = path.name.removesuffix(".json").removesuffix(".xdat")
        found = _FILE_NAME.fullmatch(name)
        return RecordingSpec(
            mode=_RECORD[ours.record_mode],
            file_name=ours.active_filename,
            dur_sec=ours.duration,
            error=ours.error,
            path=str(path.parent) if ours.active_filename else "",
            base_name=name if found is None else found["base"],
            index=-1 if found is None else int(found["index"]),
            timestamp="" if found is None else found["timestamp"] or "",
        )

    @property
    def stream(self) -> StreamSpec:
        """How streaming stands."""
        ours = self._status.streaming
        return StreamSpec(
            mode=_STREAM[ours.stream_mode],
            time_range=np.array(ours.primary_cache_t_range, dtype=np.float64),
            hw_mem_level=ours.hardware_memory_level,
        )

    @property
    def connected(self) -> bool:
        """Whether the instrument answers."""
        return self._status.is_connected

    @property
    def base_name(self) -> str:
        """The base name of the recording."""
        return self.recording.base_name

    def print(self, detail: str = "brief") -> None:
        """Print the state: ``'brief'`` or ``'verbose'``; ConfigurationError (a ValueError) otherwise."""
        if detail not in _DETAILS:
            raise ConfigurationError(f"{detail!r} is no detail; valid: {', '.join(_DETAILS)}")
        rows = {name: tell(self) for kind in _DETAILS[detail] for name, tell in kind.items()}
        width = max(map(len, rows))
        print("\n".join(["Allego status", *(f"  {name:<{width}} : {value}" for name, value in rows.items())]))  # noqa: T201

    def __repr__(self) -> str:
        return shown(
            self,
            system_mode=self.system_mode.name,
            sample_freq=self.sample_freq,
            stream=self.stream.mode,
            recording=self.recording.mode,
        )


def _seconds(state: AllegoState) -> str:
    start, end = state.stream.time_range
    return f"[{start:.3f}, {end:.3f}] sec"


def _simulated(state: AllegoState) -> str:
    return f"{state.system_mode.name}{' (SIMULATED)' if state._status.simulated else ''}"


_BRIEF = {
    "system mode": _simulated,
    "connected": lambda state: state.connected,
    "sample freq": lambda state: f"{state.sample_freq:g} Hz",
    "stream": lambda state: state.stream.mode,
    "recording": lambda state: state.recording.mode,
}
_MORE = {
    "ports": lambda state: ", ".join(f"{port.name}: {n}" for port, n in state.port_num_channels.items()) or "none",
    "stream time range": _seconds,
    "hardware memory": lambda state: f"{state.stream.hw_mem_level:.1%}",
    "recording file": lambda state: state.recording.file_name or "none",
    "recording duration": lambda state: f"{state.recording.dur_sec:.3f} sec",
    "recording error": lambda state: state.recording.error or "none",
}
_DETAILS: dict[str, tuple[dict[str, Any], ...]] = {"brief": (_BRIEF,), "verbose": (_BRIEF, _MORE)}
