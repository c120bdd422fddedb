"""Datasets; and, under their documented names, file types, time range requests and transform graphs."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ranvier.models._base import Model
from ranvier.models.channels import ChannelMetadata
from ranvier.models.file_types import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.models.time_range import TimeRange, TimeRangeSpec, TrsMode
from ranvier.models.transform_params import (
    BandParams,
    BulkSinkParams,
    BulkSourceParams,
    CARParams,
    DownsampleParams,
    HighLowPassParams,
    NotchParams,
    PairedRefParams,
    SinkParams,
    SliceChannelsParams,
    SliceTimeParams,
    SourceParams,
    TransformNodeType,
    TransformParams,
    VirtualRefParams,
)
from ranvier.models.transforms import ProtocolGraph, ProtocolSpec, TransformEdge, TransformNode

__all__ = [
    "BandParams",
    "BulkSinkParams",
    "BulkSourceParams",
    "CARParams",
    "DatasetMetadata",
    "DownsampleParams",
    "FileInfo",
    "HighLowPassParams",
    "NotchParams",
    "PairedRefParams",
    "ProtocolGraph",
    "ProtocolSpec",
    "RadiensFileType",
    "SinkParams",
    "SliceChannelsParams",
    "SliceTimeParams",
    "SourceParams",
    "TimeRangeSpec",
    "TransformEdge",
    "TransformNode",
    "TransformNodeType",
    "TransformParams",
    "TrsMode",
    "VirtualRefParams",
]


class DatasetMetadata(Model):
    """One linked dataset: one stream of one recording.

    Attributes
    ----------
    id
        What names the dataset in every call.
    path, base_name
        The directory that holds the recording, and the recording's name in it.
    associated_spikes_ids
        Ids of spike data that was linked with it.
    notes
        What a user should know: what was lost, assumed, repaired.
    lost_samples
        Samples per channel that the file's header promised and the file does not hold.
    gaps
        Stream seconds ``[start, end)`` without samples.
    simulated
        True where the data was simulated; ``repr`` shows it.
    stream
        Which stream of the recording, where it has several.
    """

    id: str
    base_name: str
    path: str
    file_type: RadiensFileType
    time_range: TimeRange
    channel_metadata: ChannelMetadata
    parent_dsource_id: str = ""
    probe_uid: str = ""
    associated_spikes_ids: list[str] = Field(default_factory=list)
    notes: tuple[str, ...] = ()
    lost_samples: int = 0
    gaps: tuple[tuple[float, float], ...] = ()
    simulated: bool = False
    stream: str = ""

    @property
    def duration(self) -> float:
        """Length in seconds, gaps included."""
        return self.time_range.dur_sec

    @property
    def sampling_rate(self) -> float:
        """Samples per second."""
        return self.time_range.fs

    @property
    def base_path(self) -> Path:
        """Directory and base name, joined."""
        return Path(self.path) / self.base_name

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{n} {kind.name}" for kind in SignalType if (n := self.channel_metadata.get_num_channels(kind))
        )
        start, end = self.time_range.sec
        remarks = [f"{self.lost_samples} samples lost"] if self.lost_samples else []
        remarks += [f"{len(self.gaps)} gaps"] if self.gaps else []
        return (
            f"<{'SIMULATED ' if self.simulated else ''}DatasetMetadata {self.id!r}: {self.file_type.name} "
            f"{self.base_name!r} in {self.path!r}, {counts or 'no'} channels, {start:.3f} to {end:.3f} s "
            f"at {self.sampling_rate:g} Hz{''.join(', ' + r for r in remarks)}>"
        )

    __str__ = __repr__


class FileInfo(Model):
    """A recording in a directory, linked or not.

    Attributes
    ----------
    path, base_name
        Directory and name.
    duration_sec
        Length in seconds.
    sample_rate
        Samples per second; not always a whole number.
    num_bytes
        Size of all its files.
    num_files, num_meta_bytes, modified_unix
        How many files, how much of them describes instead of holding samples, and when the newest was changed (an
        addition).
    """

    path: str
    base_name: str
    file_type: RadiensFileType
    dataset_uid: str
    num_channels: int
    duration_sec: float
    sample_rate: float
    num_bytes: int
    num_files: int = 0
    num_meta_bytes: int = 0
    modified_unix: float = 0.0
