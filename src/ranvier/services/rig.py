"""The contract of a rig: one acquisition system, as small services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ranvier.models.channels import ChannelMetadata
from ranvier.models.core_config import CableDelay, CoreConfig
from ranvier.models.dac import AnalogOutRegister
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.dio import DigitalOutRegister
from ranvier.models.dsp import DSPGroup, DSPParams, FilterStage
from ranvier.models.events import EventTable
from ranvier.models.impedance import Impedance
from ranvier.models.kpi import KpiMetricId, KpiMetricsResult, KpiMetricsSeriesResult, KpiServiceMode, KpiStatus
from ranvier.models.ports import Port
from ranvier.models.quality import ChannelQualityTable
from ranvier.models.rig import (
    LoopSettings,
    PulseRecord,
    RigStatus,
    SafetyLimits,
    SensorAssignmentInfo,
    Workspace,
)
from ranvier.models.signals import SignalType, SigSelect
from ranvier.models.spectra import BandPowerTable, CoherenceResult, PsdQuery, PsdResult
from ranvier.models.spectral import SpectralQuery, SpectralResult
from ranvier.models.spikesorter import SpikeDetectParams
from ranvier.models.status import BackboneMode, BackboneStatus, RecordingConfig, SinapsStatusRegisters
from ranvier.models.stim import StimParams, StimStep, StimStepState
from ranvier.models.triggers import TriggerChannel, TriggerState
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


class RigSpectra(Protocol):
    """Spectra of what the live cache holds; results as those of :class:`ranvier.services.HubSpectra`.

    ``time_range`` None = everything in the cache; ``channels`` (AMP NTV) None = the selected ones.
    """

    def get(self, query: SpectralQuery) -> SpectralResult:
        """Compute a query; times are stream seconds. What has left the cache raises TimeRangeError."""
        ...

    def psd(
        self, query: PsdQuery, time_range: TimeRangeSpec | None = None, channels: Sequence[int] | None = None
    ) -> PsdResult:
        """Estimate a spectrum per channel."""
        ...

    def band_power(
        self,
        bands_hz: Mapping[str, tuple[float, float]],
        query: PsdQuery,
        time_range: TimeRangeSpec | None = None,
        channels: Sequence[int] | None = None,
    ) -> BandPowerTable:
        """Return the power in bands, uV^2, per channel."""
        ...

    def coherence(
        self, pairs: Sequence[tuple[int, int]], query: PsdQuery, time_range: TimeRangeSpec | None = None
    ) -> CoherenceResult:
        """Return the magnitude-squared coherence and the phase of pairs of channels."""
        ...


class RigQuality(Protocol):
    """Quality of the channels, from what the live cache holds."""

    def get(
        self, time_range: TimeRangeSpec | None = None, channels: Sequence[int] | None = None
    ) -> ChannelQualityTable:
        """Return noise, RMS and verdict of amplifier channels (NTV, in the order asked; None = the selected ones).

        ``time_range`` None = everything in the cache. Verdicts as those of :class:`ranvier.services.HubMetrics`.
        """
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


class RigOutputs(Protocol):
    """Stimulation, analog and digital outputs, impedance."""

    def stim_params(self) -> dict[int, StimParams]:
        """Return the stimulation of every configured channel, by SYS index."""
        ...

    def set_stim_params(self, params: StimParams) -> None:
        """Set one channel; refused while streaming, beyond the safety limits, and where it cannot stimulate."""
        ...

    def stim_step(self) -> StimStepState:
        """Return the current step size."""
        ...

    def set_stim_step(self, step: StimStep) -> None:
        """Set the current step size."""
        ...

    def keypress(self, keypress: int, on: bool | None = None) -> None:
        """Set (or, for None, toggle) a manual trigger, 1-8."""
        ...

    def arm(self, *, client: str) -> None:
        """Allow pulses; they stop when that client is gone, or the engine dies."""
        ...

    def disarm(self) -> None:
        """Emergency stop: no pulse starts from now on."""
        ...

    def safety_limits(self) -> SafetyLimits:
        """Return the limits in force."""
        ...

    def set_safety_limits(self, limits: SafetyLimits, *, reason: str) -> None:
        """Change the limits; the reason and the change are recorded."""
        ...

    def pulses(self) -> list[PulseRecord]:
        """Return every pulse delivered since streaming began."""
        ...

    def dac(self) -> AnalogOutRegister:
        """Return gain, high-pass and routing of the analog outputs."""
        ...

    def set_dac_gain(self, gain: int) -> None:
        """Set the gain of the analog outputs."""
        ...

    def set_dac_stream(self, dac_idx: int, ntv_chan_idx: int) -> None:
        """Route an amplifier channel (NTV) to an analog output; -1 for none."""
        ...

    def set_dac_off(self) -> None:
        """Route nothing to any analog output."""
        ...

    def set_dac_highpass(self, enable: bool, cutoff_hz: float) -> None:
        """Set the high-pass of the analog outputs."""
        ...

    def dio(self) -> DigitalOutRegister:
        """Return mode and registers of the digital outputs."""
        ...

    def set_dio_manual(self, chan_idx: int, state: bool) -> None:
        """Drive a digital output by hand."""
        ...

    def set_dio_events(self, chan_idx: int, threshold_uv: float, positive: bool) -> None:
        """Drive a digital output by threshold crossings of an amplifier channel."""
        ...

    def set_dio_gated(self, polarity: bool) -> None:
        """Hold the digital outputs while streaming or recording."""
        ...

    def set_dio_pulse(self, interval_sec: float, duration_sec: float, chan_idx: int) -> None:
        """Pulse a digital output; -1 for all."""
        ...

    def impedance(self, port: Port) -> Impedance:
        """Measure the electrodes of a port; stored with its date."""
        ...

    def load_all_mosi(self, register_values: Sequence[int]) -> None:
        """Load the MOSI registers (a simulator echoes them)."""
        ...

    def transmit_mosi(self) -> None:
        """Send the MOSI registers."""
        ...

    def read_wire_out(self, address: int) -> int:
        """Read a wire-out register."""
        ...

    def sinaps_status(self) -> SinapsStatusRegisters:
        """Read the SiNAPS registers."""
        ...

    def flash_sinaps(self, bitfile: str) -> None:
        """Flash a SiNAPS; CapabilityError on simulators."""
        ...


class RigTriggers(Protocol):
    """Recording triggers, and the closed loop from threshold events to a digital output."""

    def enable(self, channel: TriggerChannel, port: Port | None = None) -> None:
        """Enable a trigger; without splitting by port one is active at a time."""
        ...

    def disable(self, channel: TriggerChannel, port: Port | None = None) -> None:
        """Disable a trigger; T_NONE disables all."""
        ...

    def state(self) -> TriggerState:
        """Return the enabled triggers."""
        ...

    def arm_loop(self, settings: LoopSettings, *, client: str = "") -> None:
        """Answer threshold crossings of amplifier channels with an edge on a digital output."""
        ...

    def disarm_loop(self) -> None:
        """Turn the closed loop off."""
        ...


class RigMetrics(Protocol):
    """Metrics of the live stream behind stage 2: every packet is measured from the first request on.

    Packets that this engine has no time for are left out and counted; acquisition never waits. The ring of packets is
    bounded: the mode STREAM of a metric is over what it holds.
    """

    def get(
        self,
        metrics: Sequence[KpiMetricId],
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        signal_type: SignalType = SignalType.AMP,
        *,
        service_mode: KpiServiceMode = KpiServiceMode.STREAM,
        lookback_sec: float | None = None,
    ) -> KpiMetricsResult:
        """Return metrics of the newest whole packets (STREAM; ``lookback_sec`` None = 5 s), or of a range.

        A range is exact within the cache and rounded to whole packets before it. TimeRangeError where nothing of it is
        kept, or no packet is whole yet.
        """
        ...

    def series(
        self,
        metrics: Sequence[KpiMetricId],
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        signal_type: SignalType = SignalType.AMP,
        *,
        lookback_sec: float | None = None,
    ) -> KpiMetricsSeriesResult:
        """Return metrics of each packet: of the newest whole ones (``lookback_sec`` None = 5 s), or of a range.

        Ranges and errors as those of :meth:`get`; the first and last packet of a range are cut to it.
        """
        ...

    def status(self) -> KpiStatus:
        """Return packets, memory, what was left out, and the measured headroom."""
        ...

    def set_packet_duration(self, packet_sec: float) -> None:
        """Set how long packets are, 0.01 to 60 s; measuring begins anew."""
        ...

    def set_update_period(self, update_sec: float) -> None:
        """Set how often packets are measured while nobody asks, 0.01 to 60 s."""
        ...

    def params(self) -> list[SpikeDetectParams]:
        """Return the event parameters of every amplifier channel."""
        ...

    def set_params(self, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        """Change event parameters, all or nothing, as ``HubMetrics.set_params``; measuring begins anew."""
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
