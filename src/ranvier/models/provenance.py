"""Where a dataset came from: the operations behind it, oldest first."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

from pydantic import Field

from ranvier.models._base import Model
from ranvier.models.dsp import DSPType, FilterFamily
from ranvier.models.ports import Port
from ranvier.models.spikesorter import SpikeSorterClustererParams, SpikeSorterFeatureParams

__all__ = [
    "Provenance",
    "ProvenanceAcquire",
    "ProvenanceDecimate",
    "ProvenanceFilter",
    "ProvenanceFilterStructure",
    "ProvenanceOp",
    "ProvenanceOpKind",
    "ProvenanceOrigin",
    "ProvenanceRecord",
    "ProvenanceRemapSensor",
    "ProvenanceSelectChannels",
    "ProvenanceSliceTime",
    "ProvenanceSort",
    "ProvenanceWrite",
    "SensorAssignment",
    "TimestampRange",
]


class ProvenanceOpKind(StrEnum):
    """What an operation did."""

    FILTER = "filter"
    DECIMATE = "decimate"
    SELECT_CHANNELS = "select_channels"
    REMAP_SENSOR = "remap_sensor"
    SLICE_TIME = "slice_time"
    WRITE = "write"
    DETECT = "detect"
    MEASURE = "measure"
    SORT = "sort"
    ACQUIRE = "acquire"
    UNKNOWN = "unknown"


class ProvenanceOrigin(IntEnum):
    """Which part of the engine ran an operation."""

    UNKNOWN = 0
    HARDWARE = 1
    ACQUISITION_STAGE1 = 2
    SPIKE_SORT = 3
    CURATE = 4
    KPI = 5
    IMPORT = 6


class ProvenanceFilterStructure(IntEnum):
    """How filter coefficients are arranged."""

    UNSPECIFIED = 0
    DIRECT = 1
    """One transfer function, ``b`` over ``a``."""
    SOS = 2
    """Second-order sections: ``b`` and ``a`` hold three numbers per section."""


class TimestampRange(Model):
    """Sample counters ``[start, end)``."""

    start: int
    end: int


class SensorAssignment(Model):
    """Which probe and headstage were on a port."""

    port: str = ""
    probe_id: str = ""
    headstage_id: str = ""


class ProvenanceAcquire(Model):
    """How the signal was acquired; None = not known."""

    backbone_mode: str | None = None
    allego_version: str | None = None
    source_type: str | None = None
    source_name: str | None = None


class ProvenanceFilter(Model):
    """A filter or reference, with the coefficients that ran; None or empty = not known or not applicable.

    Attributes
    ----------
    fs
        Sampling rate that it was designed for, in Hz.
    freq_spec
        Corner or centre frequencies in Hz.
    notch_bandwidth
        -3 dB width in Hz.
    ripple_db
        Pass-band ripple in dB.
    ref_ntv_chan_idx, target_ntv_chan_idx
        Native indices of reference and target.
    b, a
        Numerator and denominator, arranged as ``structure`` says.
    """

    type: DSPType | None = None
    fs: float | None = None
    freq_spec: list[float] = Field(default_factory=list)
    notch_bandwidth: float | None = None
    filter_order: int | None = None
    family: FilterFamily | None = None
    ripple_db: float | None = None
    zero_phase: bool | None = None
    port: Port | None = None
    ref_ntv_chan_idx: int | None = None
    target_ntv_chan_idx: int | None = None
    structure: ProvenanceFilterStructure | None = None
    b: list[float] = Field(default_factory=list)
    a: list[float] = Field(default_factory=list)


class ProvenanceDecimate(Model):
    """Samples were dropped: every ``factor``-th was kept; ``output_fs`` in Hz."""

    factor: int | None = None
    output_fs: float | None = None


class ProvenanceSelectChannels(Model):
    """Channels were dropped; system (SYS) indices before and after."""

    prior_sys_chan_idxs: list[int] = Field(default_factory=list)
    retained_sys_chan_idxs: list[int] = Field(default_factory=list)


class ProvenanceRemapSensor(Model):
    """Probes were assigned anew."""

    prior: list[SensorAssignment] = Field(default_factory=list)
    assigned: list[SensorAssignment] = Field(default_factory=list)


class ProvenanceSliceTime(Model):
    """Time was cut: sample counters before and after."""

    source: TimestampRange | None = None
    retained: TimestampRange | None = None


class ProvenanceWrite(Model):
    """A file was written."""

    dataset_uid: str = ""
    file_type: str = ""


class ProvenanceSort(Model):
    """Spikes were sorted."""

    seed: int | None = None
    clusterer_params: SpikeSorterClustererParams | None = None
    feature_params: SpikeSorterFeatureParams | None = None


class ProvenanceOp(Model):
    """One operation; the field named like ``kind`` holds its details.

    Attributes
    ----------
    node_id, protocol_id
        The transform node and protocol that it was, where it was one.
    server_version
        Version of the engine that ran it.
    """

    kind: ProvenanceOpKind
    origin: ProvenanceOrigin
    node_id: str = ""
    protocol_id: str = ""
    server_version: str | None = None
    filter: ProvenanceFilter | None = None
    decimate: ProvenanceDecimate | None = None
    select_channels: ProvenanceSelectChannels | None = None
    remap_sensor: ProvenanceRemapSensor | None = None
    slice_time: ProvenanceSliceTime | None = None
    write: ProvenanceWrite | None = None
    sort: ProvenanceSort | None = None
    acquire: ProvenanceAcquire | None = None


class ProvenanceRecord(Model):
    """The operations behind a file, oldest first; ``reconstructed`` where they were inferred, not written down."""

    version: int = 0
    ops: list[ProvenanceOp] = Field(default_factory=list)
    reconstructed: bool = False


class Provenance(Model):
    """Where a dataset came from.

    Attributes
    ----------
    record
        What was done to the file; None where it does not tell.
    stage2_dsp
        The dataset's stage-2 filters as they stand now.
    details
        Ranvier's own record, as JSON data: sources with their checksums, versions, CPU, seed, notes.
    """

    record: ProvenanceRecord | None = None
    stage2_dsp: list[ProvenanceFilter] = Field(default_factory=list)
    details: dict[str, Any] | None = None
