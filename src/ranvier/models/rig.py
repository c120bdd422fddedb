"""The state of a rig in detail: our own models, an addition to the API."""

from __future__ import annotations

from enum import StrEnum

from ranvier.models._base import OwnModel
from ranvier.models.ports import Port
from ranvier.models.signals import SignalArrays
from ranvier.models.status import BackboneMode

__all__ = [
    "ConsumerStatus",
    "DiskStatus",
    "LatePolicy",
    "LatencyReport",
    "LiveSignalArrays",
    "LoopSettings",
    "LoopStatus",
    "OutputStatus",
    "PulseRecord",
    "RigState",
    "RigStatus",
    "SafetyLimits",
    "SensorAssignmentInfo",
    "SourceStatus",
    "Workspace",
]


class RigState(StrEnum):
    """What a rig is doing; the transitions between these are one table in ``ranvier.rig.state``."""

    IDLE = "idle"
    STREAMING = "streaming"
    RECORDING = "recording"
    FAULT = "fault"


class SourceStatus(OwnModel):
    """The instrument, or what stands for it.

    Attributes
    ----------
    received_samples
        Samples per channel that arrived since streaming began.
    lost_samples
        Samples per channel that never arrived (jumps of the counter).
    nan_samples
        Samples (of any channel) that arrived as NaN.
    fault
        What went wrong, "" while nothing did.
    """

    mode: BackboneMode
    name: str
    simulated: bool
    fs_hz: float
    num_channels: int
    received_samples: int = 0
    lost_samples: int = 0
    jumps: int = 0
    nan_samples: int = 0
    fault: str = ""


class ConsumerStatus(OwnModel):
    """One consumer of live blocks: what it took, what it shed, how far it is behind."""

    name: str
    policy: str
    blocks: int = 0
    shed_samples: int = 0
    behind_samples: int = 0
    busy_fraction: float = 0.0


class DiskStatus(OwnModel):
    """Where a recording goes: free space, how long it lasts at the present rate, and what is not yet on disk."""

    path: str
    free_bytes: int
    minutes_left: float | None = None
    queued_bytes: int = 0
    unwritten_samples: int = 0
    stalled_sec: float = 0.0


class LatencyReport(OwnModel):
    """Latencies in milliseconds. With a simulated source they are those of the software alone."""

    count: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    p999_ms: float = 0.0
    max_ms: float = 0.0
    missed: int = 0
    software_only: bool = True


class LatePolicy(StrEnum):
    """What a closed loop does when it misses its deadline."""

    SKIP = "skip"  # no output for that event
    LATE = "late"  # output late, counted
    DISARM = "disarm"  # turn the loop off


class LoopSettings(OwnModel):
    """What a closed loop watches and how it answers.

    Attributes
    ----------
    channels
        Amplifier channels (NTV).
    threshold_uv
        Negative: crossed downward; positive: upward.
    dout_idx
        The digital output.
    pulse_sec
        How long an answer lasts; its end comes with the first block behind it.
    refractory_sec
        From edge to edge at least.
    deadline_ms
        From the event's sample to the output that holds.
    late
        What happens to an event whose deadline has passed.
    highpass_hz
        Corner of a causal Butterworth high-pass in front of the detector; None for the raw signal.
    """

    channels: tuple[int, ...]
    threshold_uv: float
    dout_idx: int
    pulse_sec: float = 0.001
    refractory_sec: float = 0.005
    deadline_ms: float = 5.0
    late: LatePolicy = LatePolicy.LATE
    highpass_hz: float | None = None


class LoopStatus(OwnModel):
    """A closed loop: threshold events to an edge on a digital output."""

    armed: bool
    events: int = 0
    edges: int = 0
    policy: LatePolicy = LatePolicy.LATE
    deadline_ms: float = 5.0
    latency: LatencyReport = LatencyReport()


class LiveSignalArrays(SignalArrays):
    """Signals that follow earlier ones of the same reader; and what is missing between.

    Attributes
    ----------
    gaps
        Counter ranges ``[start, stop)`` that the reader does not get, before ``time_range`` or inside: lost on the way
        from the instrument, skipped because a newer block was there (newest wins), or forgotten by the cache.
    """

    gaps: tuple[tuple[int, int], ...] = ()


class SafetyLimits(OwnModel):
    """Hard limits of stimulation, per site; raising one is recorded.

    Attributes
    ----------
    charge_per_phase_nc
        For sites up to 2000 um^2, and for sites of unknown area (Cogan et al. 2016, J Neural Eng 13:021001).
    shannon_k
        For larger sites (Shannon 1992, IEEE TBME 39:424): log10(charge density) = k - log10(charge).
    imbalance_fraction
        Net charge of a pulse, as a fraction of its first phase.
    """

    charge_per_phase_nc: float = 4.0
    shannon_k: float = 1.75
    small_site_um2: float = 2000.0
    imbalance_fraction: float = 0.01


class OutputStatus(OwnModel):
    """Stimulation: who may, within which limits, and what a person at the rig should know.

    Attributes
    ----------
    armed_by
        The client that armed the outputs, None while they are not armed.
    ignored_triggers
        Triggers that came while not armed, or within a refractory period, since streaming began.
    limits_changed
        What differs from the defaults, and the reason given; "" where nothing does.
    """

    armed_by: str | None = None
    pulses: int = 0
    ignored_triggers: int = 0
    limits: SafetyLimits = SafetyLimits()
    limits_changed: str = ""
    notes: tuple[str, ...] = ()


class RigStatus(OwnModel):
    """Everything a person at the rig wants to see."""

    state: RigState
    source: SourceStatus
    clients: int = 0
    consumers: tuple[ConsumerStatus, ...] = ()
    disk: DiskStatus | None = None
    loop: LoopStatus | None = None
    outputs: OutputStatus | None = None
    recording_files: tuple[str, ...] = ()
    recorded_by: str = ""
    engine_load: float = 0.0
    warnings: tuple[str, ...] = ()


class SensorAssignmentInfo(OwnModel):
    """What is plugged into a port."""

    port: Port
    headstage_id: str
    probe_id: str
    num_channels: int
    wiring_verified: bool = False


class PulseRecord(OwnModel):
    """One delivered pulse."""

    counter: int
    sys_chan_idx: int
    cause: str
    charge_nc: float


class Workspace(OwnModel):
    """A saved set-up of a rig.

    Attributes
    ----------
    saved_utc, used_utc
        When it was saved, and when it was saved or taken over last.
    is_current
        Whether it is the one that was saved or taken over last by this rig.
    is_modified
        Whether the rig is set up otherwise by now; only of the current one.
    """

    id: str
    name: str
    saved_utc: str
    used_utc: str = ""
    is_current: bool = False
    is_modified: bool = False
    tags: str = ""
    notes: str = ""
