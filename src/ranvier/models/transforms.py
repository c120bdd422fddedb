"""Transform graphs: nodes with parameters, joined by edges, as protocols run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import uuid4

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from ranvier.exceptions import ConfigurationError
from ranvier.models._base import Model, OwnModel
from ranvier.models.dsp import FilterFamily, coerce_filter_family
from ranvier.models.file_types import RadiensFileType
from ranvier.models.output_options import OutputOptions, SessionMetadata

if TYPE_CHECKING:
    from ranvier.models.dataset import DatasetMetadata

__all__ = [
    "BandParams",
    "BlankArtifactsParams",
    "BulkSinkParams",
    "BulkSourceParams",
    "CARParams",
    "CorrectSkewParams",
    "DownsampleParams",
    "HighLowPassParams",
    "NotchParams",
    "PairedRefParams",
    "ProtocolGraph",
    "ProtocolSpec",
    "SinkParams",
    "SliceChannelsParams",
    "SliceTimeParams",
    "SourceParams",
    "TransformEdge",
    "TransformNode",
    "TransformNodeType",
    "TransformParams",
    "VirtualRefParams",
]


class TransformNodeType(IntEnum):
    """What a node does."""

    NOTCH_FILTER = 0
    BANDPASS_FILTER = 1
    BANDSTOP_FILTER = 2
    HIGHPASS_FILTER = 3
    LOWPASS_FILTER = 4
    PAIRED_REF = 5
    VIRTUAL_REF = 6
    CAR_REF = 7
    SLICE_TIME = 9
    SLICE_CHANNELS = 10
    SOURCE = 11
    SINK = 12
    DOWNSAMPLE = 13
    REMAP_SENSOR = 14
    BULK_SOURCE = 15
    BULK_SINK = 16
    BLANK_ARTIFACTS = 1000
    """From here on Ranvier's own."""
    CORRECT_SKEW = 1001


#: A filter's design; ripple (Chebyshev I, elliptic) and attenuation (Chebyshev II, elliptic) in dB stand beside it.
Family = Annotated[FilterFamily | None, BeforeValidator(coerce_filter_family)]
FamilyInput = FilterFamily | str | int | None

#: Subject and session of an output, as a model or as its fields.
MetadataFields = SessionMetadata | Mapping[str, Any] | None


class HighLowPassParams(Model):
    """High- or low-pass: corner frequency in Hz; None = the engine's default."""

    frequency: float
    order: int | None = None
    zero_phase: bool = False
    family: Family = None
    ripple_db: float | None = None
    attenuation_db: float | None = None


class BandParams(Model):
    """Band-pass or band-stop: corner frequencies in Hz; None = the engine's default."""

    low_frequency: float
    high_frequency: float
    order: int | None = None
    zero_phase: bool = False
    family: Family = None
    ripple_db: float | None = None
    attenuation_db: float | None = None


class NotchParams(Model):
    """Second-order notch: centre and -3 dB width in Hz; ``frequency`` is accepted for ``notch_frequency``."""

    notch_frequency: float
    bandwidth: Annotated[float, Field(gt=0)]
    zero_phase: bool = False

    @model_validator(mode="before")
    @classmethod
    def _newer_name(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or "frequency" not in data:
            return data
        renamed = dict(data)
        frequency = renamed.pop("frequency")
        if renamed.setdefault("notch_frequency", frequency) != frequency:
            raise ConfigurationError("notch_frequency and frequency are one parameter; give one of them")
        return renamed

    @property
    def frequency(self) -> float:
        """Centre in Hz: the newer name of ``notch_frequency``."""
        return self.notch_frequency


class CARParams(Model):
    """Common average reference: subtracts the mean (or the median) over the amplifier channels, or over each group."""

    operator: Literal["mean", "median"] = "mean"
    groups: Literal["all", "port", "probe", "shank"] = "all"


class VirtualRefParams(Model):
    """Subtracts one amplifier channel (NTV) from all."""

    ref_channel: int


class PairedRefParams(Model):
    """Subtracts one amplifier channel (NTV) from another."""

    ref_channel: int
    target_channel: int


class SliceTimeParams(Model):
    """Keeps the stream seconds ``[start_sec, end_sec)``."""

    start_sec: float
    end_sec: float


class SliceChannelsParams(Model):
    """Keeps channels, given by system (SYS) index."""

    channels: Annotated[list[int], Field(min_length=1)]


class DownsampleParams(Model):
    """Keeps every ``factor``-th sample, behind an anti-alias filter (``antialiased``) or as it is (``plain``)."""

    factor: Annotated[int, Field(ge=1)]
    operator: Literal["antialiased", "plain"] = "antialiased"


class BlankArtifactsParams(OwnModel):
    """Replaces samples around events: those of a source, line and state (each None = any), or at given counters.

    Attributes
    ----------
    counters
        Sample counters of the stream that comes in; None to take the recording's events.
    before_ms, after_ms
        From how long before to how long after an event.
    mode
        ``linear``: a line from the last good sample to the next; ``hold``: the last good one; ``zero``; ``nan``.
    channels
        Amplifier channels (NTV); None for all.
    """

    source: str | None = None
    line: int | None = None
    state: int | None = 1
    counters: list[int] | None = None
    before_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    after_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    mode: Literal["linear", "hold", "nan", "zero"] = "linear"
    channels: list[int] | None = None


class CorrectSkewParams(OwnModel):
    """Takes back by how much each channel was sampled later than its frame says; the recording tells how much."""


class SourceParams(Model):
    """A recording to read: directory, base name, type; ``dataset_id`` is empty where it is not linked yet.

    ``stream`` names one of several streams of the path.
    """

    dataset_id: str = ""
    base_name: str
    path: str
    file_type: RadiensFileType
    stream: str = ""


class SinkParams(Model):
    """A recording to write: directory, base name, type; ``options``: metadata and compression (an addition)."""

    base_name: str
    path: str
    file_type: RadiensFileType
    options: OutputOptions | None = None


class BulkSourceParams(Model):
    """Several recordings to read."""

    sources: list[SourceParams]


class BulkSinkParams(Model):
    """Where to write several recordings: directory, and ``suffix``, joined to each base name with an underscore.

    ``options``: metadata and compression of all of them (an addition).
    """

    suffix: str
    path: str
    file_type: RadiensFileType
    options: OutputOptions | None = None


TransformParams = (
    HighLowPassParams
    | BandParams
    | NotchParams
    | CARParams
    | VirtualRefParams
    | PairedRefParams
    | SliceTimeParams
    | SliceChannelsParams
    | DownsampleParams
    | BlankArtifactsParams
    | CorrectSkewParams
    | SourceParams
    | SinkParams
    | BulkSourceParams
    | BulkSinkParams
    | None
)

#: The parameters that each type of node has.
PARAMS_OF: dict[TransformNodeType, type[Model]] = {
    TransformNodeType.NOTCH_FILTER: NotchParams,
    TransformNodeType.BANDPASS_FILTER: BandParams,
    TransformNodeType.BANDSTOP_FILTER: BandParams,
    TransformNodeType.HIGHPASS_FILTER: HighLowPassParams,
    TransformNodeType.LOWPASS_FILTER: HighLowPassParams,
    TransformNodeType.PAIRED_REF: PairedRefParams,
    TransformNodeType.VIRTUAL_REF: VirtualRefParams,
    TransformNodeType.CAR_REF: CARParams,
    TransformNodeType.SLICE_TIME: SliceTimeParams,
    TransformNodeType.SLICE_CHANNELS: SliceChannelsParams,
    TransformNodeType.SOURCE: SourceParams,
    TransformNodeType.SINK: SinkParams,
    TransformNodeType.DOWNSAMPLE: DownsampleParams,
    TransformNodeType.BLANK_ARTIFACTS: BlankArtifactsParams,
    TransformNodeType.CORRECT_SKEW: CorrectSkewParams,
    TransformNodeType.BULK_SOURCE: BulkSourceParams,
    TransformNodeType.BULK_SINK: BulkSinkParams,
}


def _new_id() -> str:
    return str(uuid4())


class TransformEdge(Model):
    """Joins two nodes by id."""

    id: str = Field(default_factory=_new_id)
    source: str
    target: str


class TransformNode(Model):
    """One step of a graph; make one with the class methods. Parameters as a dict are read by the node's type."""

    id: str = Field(default_factory=_new_id)
    type: TransformNodeType
    params: TransformParams = None

    @model_validator(mode="before")
    @classmethod
    def _params_by_type(cls, data: Any) -> Any:
        """Several parameter models have the same keys: the type tells which one a dict means."""
        if not isinstance(data, Mapping) or not isinstance(data.get("params"), Mapping):
            return data
        kind = data.get("type")
        if not isinstance(kind, int) or kind not in PARAMS_OF:
            return data
        return {**data, "params": PARAMS_OF[TransformNodeType(kind)].model_validate(data["params"])}

    @classmethod
    def highpass(
        cls, frequency: float, order: int | None = None, *, zero_phase: bool = False, family: FamilyInput = None,
        ripple_db: float | None = None, attenuation_db: float | None = None,
    ) -> TransformNode:  # fmt: skip
        """Keep what lies above ``frequency`` Hz."""
        return cls._of(
            TransformNodeType.HIGHPASS_FILTER, frequency=frequency, order=order, zero_phase=zero_phase, family=family,
            ripple_db=ripple_db, attenuation_db=attenuation_db,
        )  # fmt: skip

    @classmethod
    def lowpass(
        cls, frequency: float, order: int | None = None, *, zero_phase: bool = False, family: FamilyInput = None,
        ripple_db: float | None = None, attenuation_db: float | None = None,
    ) -> TransformNode:  # fmt: skip
        """Keep what lies below ``frequency`` Hz."""
        return cls._of(
            TransformNodeType.LOWPASS_FILTER, frequency=frequency, order=order, zero_phase=zero_phase, family=family,
            ripple_db=ripple_db, attenuation_db=attenuation_db,
        )  # fmt: skip

    @classmethod
    def bandpass(
        cls, low_frequency: float, high_frequency: float, order: int | None = None, *, zero_phase: bool = False,
        family: FamilyInput = None, ripple_db: float | None = None, attenuation_db: float | None = None,
    ) -> TransformNode:  # fmt: skip
        """Keep what lies between two frequencies in Hz."""
        band = {"low_frequency": low_frequency, "high_frequency": high_frequency}
        return cls._of(
            TransformNodeType.BANDPASS_FILTER, **band, order=order, zero_phase=zero_phase, family=family,
            ripple_db=ripple_db, attenuation_db=attenuation_db,
        )  # fmt: skip

    @classmethod
    def bandstop(
        cls, low_frequency: float, high_frequency: float, order: int | None = None, *, zero_phase: bool = False,
        family: FamilyInput = None, ripple_db: float | None = None, attenuation_db: float | None = None,
    ) -> TransformNode:  # fmt: skip
        """Remove what lies between two frequencies in Hz."""
        band = {"low_frequency": low_frequency, "high_frequency": high_frequency}
        return cls._of(
            TransformNodeType.BANDSTOP_FILTER, **band, order=order, zero_phase=zero_phase, family=family,
            ripple_db=ripple_db, attenuation_db=attenuation_db,
        )  # fmt: skip

    @classmethod
    def notch(
        cls, notch_frequency: float | None = None, bandwidth: float | None = None, *, frequency: float | None = None,
        zero_phase: bool = False,
    ) -> TransformNode:  # fmt: skip
        """Remove a narrow band; ``frequency`` is the newer name of ``notch_frequency``. Both in Hz, both required."""
        centres = {f for f in (notch_frequency, frequency) if f is not None}
        if len(centres) != 1 or bandwidth is None:
            raise ConfigurationError(
                "a notch needs notch_frequency (or its newer name, frequency) and bandwidth, in Hz"
            )
        return cls._of(
            TransformNodeType.NOTCH_FILTER, notch_frequency=centres.pop(), bandwidth=bandwidth, zero_phase=zero_phase
        )

    @classmethod
    def car(
        cls, *, operator: Literal["mean", "median"] = "mean", groups: Literal["all", "port", "probe", "shank"] = "all"
    ) -> TransformNode:
        """Subtract the mean (or the median) over the amplifier channels, or over those of each group."""
        return cls._of(TransformNodeType.CAR_REF, operator=operator, groups=groups)

    @classmethod
    def virtual_ref(cls, ref_channel: int) -> TransformNode:
        """Subtract one amplifier channel (NTV) from all."""
        return cls._of(TransformNodeType.VIRTUAL_REF, ref_channel=ref_channel)

    @classmethod
    def paired_ref(cls, ref_channel: int, target_channel: int) -> TransformNode:
        """Subtract ``ref_channel`` from ``target_channel`` (NTV)."""
        return cls._of(TransformNodeType.PAIRED_REF, ref_channel=ref_channel, target_channel=target_channel)

    @classmethod
    def slice_time(cls, start_sec: float, end_sec: float) -> TransformNode:
        """Keep the stream seconds ``[start_sec, end_sec)``."""
        return cls._of(TransformNodeType.SLICE_TIME, start_sec=start_sec, end_sec=end_sec)

    @classmethod
    def slice_channels(cls, channels: Sequence[int]) -> TransformNode:
        """Keep channels, given by system (SYS) index."""
        return cls._of(TransformNodeType.SLICE_CHANNELS, channels=list(channels))

    @classmethod
    def downsample(cls, factor: int, *, operator: Literal["antialiased", "plain"] = "antialiased") -> TransformNode:
        """Keep every ``factor``-th sample, without aliasing; ``operator="plain"`` keeps it unfiltered."""
        return cls._of(TransformNodeType.DOWNSAMPLE, factor=factor, operator=operator)

    @classmethod
    def blank_artifacts(
        cls, *, source: str | None = None, line: int | None = None, state: int | None = 1,
        counters: Sequence[int] | None = None, before_ms: float = 0.0, after_ms: float = 1.0,
        mode: Literal["linear", "hold", "nan", "zero"] = "linear", channels: Sequence[int] | None = None,
    ) -> TransformNode:  # fmt: skip
        """Replace the samples around events; see :class:`BlankArtifactsParams`."""
        return cls._of(
            TransformNodeType.BLANK_ARTIFACTS, source=source, line=line, state=state,
            counters=None if counters is None else [int(c) for c in counters], before_ms=before_ms, after_ms=after_ms,
            mode=mode, channels=None if channels is None else [int(c) for c in channels],
        )  # fmt: skip

    @classmethod
    def correct_skew(cls) -> TransformNode:
        """Take back by how much each channel was sampled later than its frame says."""
        return cls._of(TransformNodeType.CORRECT_SKEW)

    @classmethod
    def source(cls, dataset: DatasetMetadata) -> TransformNode:
        """Read a linked dataset."""
        return cls(type=TransformNodeType.SOURCE, params=_source_of(dataset))

    @classmethod
    def sink(
        cls, base_name: str, path: str, file_type: RadiensFileType, *, metadata: MetadataFields = None,
        compression: str = "",
    ) -> TransformNode:  # fmt: skip
        """Write a recording into the directory ``path``; ``metadata`` (NWB), ``compression`` (NWB, HDF5) on request."""
        options = _options(metadata, compression)
        return cls._of(TransformNodeType.SINK, base_name=base_name, path=path, file_type=file_type, options=options)

    @classmethod
    def bulk_source(cls, datasets: Sequence[DatasetMetadata]) -> TransformNode:
        """Read several linked datasets, one after the other."""
        return cls(type=TransformNodeType.BULK_SOURCE, params=BulkSourceParams(sources=[*map(_source_of, datasets)]))

    @classmethod
    def bulk_sink(
        cls, suffix: str, path: str, file_type: RadiensFileType, *, metadata: MetadataFields = None,
        compression: str = "",
    ) -> TransformNode:  # fmt: skip
        """Write each recording of a bulk source into ``path``, as ``<base name>_<suffix>``; options as for ``sink``."""
        options = _options(metadata, compression)
        return cls._of(TransformNodeType.BULK_SINK, suffix=suffix, path=path, file_type=file_type, options=options)

    @classmethod
    def _of(cls, kind: TransformNodeType, **params: Any) -> TransformNode:
        try:
            return cls.model_validate({"type": kind, "params": params})
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r})" for e in error.errors()
            )
            raise ConfigurationError(f"{kind.name}: {faults}") from error


def _options(metadata: MetadataFields, compression: str) -> dict[str, Any] | None:
    if metadata is None and not compression:
        return None
    return {"metadata": metadata, "compression": compression}


def _source_of(dataset: DatasetMetadata) -> SourceParams:
    return SourceParams(
        dataset_id=dataset.id,
        base_name=dataset.base_name,
        path=dataset.path,
        file_type=dataset.file_type,
        stream=dataset.stream,
    )


class ProtocolSpec(Model):
    """A stored protocol: its id and how many nodes it has."""

    id: str
    node_count: int


class ProtocolGraph(OwnModel):
    """A whole protocol: nodes, and edges that join them by id."""

    id: str = ""
    nodes: list[TransformNode]
    edges: list[TransformEdge]
