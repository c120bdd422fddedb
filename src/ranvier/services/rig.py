"""The contract of a rig: one acquisition system, as small services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ranvier.models.channels import ChannelMetadata
from ranvier.models.core_config import CableDelay, CoreConfig
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.dsp import DSPGroup, DSPParams, FilterStage
from ranvier.models.events import EventTable
from ranvier.models.ports import Port
from ranvier.models.rig import (
    RigStatus,
    SensorAssignmentInfo,
    Workspace,
)
from ranvier.models.signals import SignalType, SigSelect
from ranvier.models.status import BackboneMode, BackboneStatus, RecordingConfig
from ranvier.services.rig_measures import RigMetrics, RigQuality, RigSpectra
from ranvier.services.rig_outputs import RigOutputs, RigTriggers
from ranvier.services.signals import SignalBlock
from ranvier.services.sorter import RigSorter


class RigControl(Protocol):
    """State of the rig. Every call is legal in the states that ``ranvier.rig.state`` lists, and refused elsewhere."""

    def status(self) -> BackboneStatus:
        """Return the documented status."""
        ...

    def details(self) -> RigStatus:
        """Return state, losses, consumers, disk, latency, warnings."""
        ...

    def restart(
        self, mode: BackboneMode, *, replay: Path | None = None, loop: bool = True, require_hardware: bool = False
    ) -> None:
        """Take another source; legal when idle (or in fault) only.

        ``replay`` is the recording of the data-source mode. CapabilityError for instruments that this engine cannot
        drive, naming what is missing, and for simulators where ``require_hardware``. While something records:
        ConfigurationError naming who records.
        """
        ...

    def start_streaming(self) -> None:
        """Start; harmless where it streams already. The live cache is emptied."""
        ...

    def stop_streaming(self) -> None:
        """Stop; harmless where it does not stream; refused while recording."""
        ...

    def core_config(self) -> CoreConfig:
        """Return rate, loop duration, mode, cable delays."""
        ...

    def set_core_config(
        self,
        *,
        samp_freq: float | None = None,
        loop_dur: float | None = None,
        pcache_persistence: float | None = None,
        cable_delay: CableDelay | None = None,
    ) -> None:
        """Change some of it; refused while streaming. ConfigurationError names the rates that the source offers."""
        ...

    def scan_ports(self) -> ChannelMetadata:
        """Look again at what is plugged in; refused while streaming; resets stimulation and triggers."""
        ...

    def ground_truth(self, time_range: TimeRangeSpec) -> EventTable:
        """Return the true spikes of a simulated source (``line`` = unit, ``state`` = 1); CapabilityError otherwise."""
        ...


class RigSensors(Protocol):
    """Headstages and probes on ports."""

    def available(self) -> Mapping[str, Mapping[str, int]]:
        """Return the known ids and how many channels each has: ``headstages``, ``probes``."""
        ...

    def assigned(self) -> list[SensorAssignmentInfo]:
        """Return what is on each port."""
        ...

    def assign(self, port: Port, headstage: str, probe: str) -> ChannelMetadata:
        """Put a headstage and a probe (ids or aliases) on a port; ProbeError where they do not fit; idle only."""
        ...


class RigSignals(Protocol):
    """The live cache."""

    def channel_metadata(self) -> ChannelMetadata:
        """Return the channels with their index spaces."""
        ...

    def channels_revision(self) -> int:
        """Return a number that changes whenever ``channel_metadata`` does: cheap to ask before every read."""
        ...

    def cached(self) -> tuple[int, int]:
        """Return the counters ``[start, stop)`` that the cache holds."""
        ...

    def read(
        self,
        time_range: TimeRangeSpec,
        select: SigSelect,
        *,
        apply_dsp: bool = False,
        counts: bool = False,
        lend: bool = False,
    ) -> SignalBlock:
        """Read from the cache; what has left it raises TimeRangeError; ``counts`` keeps int16 where it is stored.

        With ``lend`` the engine may say where the samples lie instead (``SignalBlock.lent``), in memory that the
        caller maps; it does where they are many.
        """
        ...

    def kept(self, epoch: int) -> int | None:
        """Return the oldest counter of a stream that was not overwritten yet; None where that stream is gone."""
        ...

    def read_new(self, reader: str, select: SigSelect) -> SignalBlock:
        """Return what came since this reader's last call (its first call starts at the head); losses show in gaps."""
        ...

    def to_head(self, reader: str) -> None:
        """Let a reader's next ``read_new`` start at the head."""
        ...

    def subscribe(
        self, select: SigSelect, *, every_block: bool = False, start_counter: int | None = None, block_sec: float = 0.05
    ) -> Iterator[SignalBlock]:
        """Yield blocks as they come: newest wins, or every block; dropped samples show as gaps of the next block."""
        ...

    def events(self, time_range: TimeRangeSpec) -> EventTable:
        """Return the digital edges in the cache."""
        ...

    def set_selected(self, channels: Mapping[SignalType, Sequence[int]]) -> ChannelMetadata:
        """Select channels (NTV) of the types named."""
        ...

    def set_groups(self, groups: Sequence[Mapping[SignalType, Sequence[int]]]) -> ChannelMetadata:
        """Give groups of selected channels their color groups."""
        ...


class RigRecording(Protocol):
    """The recorder."""

    def config(self) -> RecordingConfig:
        """Return where and how recordings are written."""
        ...

    def set_config(self, config: RecordingConfig) -> None:
        """Change that; all or nothing; refused while recording, and for a folder that is missing or not writable."""
        ...

    def start(self, *, port: Port | None = None, client: str = "") -> None:
        """Record one port or everything; starts streaming where it is off."""
        ...

    def stop(self, *, port: Port | None = None) -> None:
        """Finish the files of one port, or all."""
        ...

    def files(self) -> list[str]:
        """Return the paths of the recordings that are being written, linkable at any time."""
        ...


class RigDsp(Protocol):
    """Live filters per stage: hardware and stage 1 change what is cached and recorded, stage 2 what consumers see."""

    def get(self) -> DSPGroup:
        """Return the filters of every stage."""
        ...

    def set(self, stage: FilterStage, params: Sequence[DSPParams]) -> None:
        """Replace one stage; hardware and stage 1 are refused while recording."""
        ...


class RigWorkspaces(Protocol):
    """Saved set-ups."""

    def list(self) -> list[Workspace]:
        """Return the saved set-ups."""
        ...

    def current(self) -> Workspace | None:
        """Return the one in force, or None."""
        ...

    def save(self, name: str, *, tags: str = "", notes: str = "") -> Workspace:
        """Save source, sensors, filters, recording, outputs and selection under a name."""
        ...

    def switch(self, workspace_id: str) -> Workspace:
        """Take a saved set-up over, all or nothing; idle only."""
        ...

    def delete(self, workspace_id: str) -> None:
        """Forget one."""
        ...


class Rig(Protocol):
    """The services of one rig, and nothing more."""

    @property
    def control(self) -> RigControl:
        """State."""
        ...

    @property
    def sensors(self) -> RigSensors:
        """Headstages and probes."""
        ...

    @property
    def signals(self) -> RigSignals:
        """The live cache."""
        ...

    @property
    def spectra(self) -> RigSpectra:
        """Spectra of the cache."""
        ...

    @property
    def quality(self) -> RigQuality:
        """Quality of the channels."""
        ...

    @property
    def recording(self) -> RigRecording:
        """The recorder."""
        ...

    @property
    def dsp(self) -> RigDsp:
        """Live filters."""
        ...

    @property
    def outputs(self) -> RigOutputs:
        """Stimulation, analog, digital."""
        ...

    @property
    def triggers(self) -> RigTriggers:
        """Triggers and the closed loop."""
        ...

    @property
    def metrics(self) -> RigMetrics:
        """Metrics of the live stream."""
        ...

    @property
    def sorter(self) -> RigSorter:
        """The spike sorter."""
        ...

    @property
    def workspaces(self) -> RigWorkspaces:
        """Saved set-ups."""
        ...

    def close(self) -> None:
        """Stop streaming (a recording is finished first), turn outputs off, release the source."""
        ...
