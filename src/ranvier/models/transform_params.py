"""What the nodes of transform graphs do, and the parameters of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from ranvier.exceptions import ConfigurationError
from ranvier.models._base import Model, OwnModel
from ranvier.models.dsp import FilterFamily, coerce_filter_family
from ranvier.models.file_types import RadiensFileType
from ranvier.models.output_options import OutputOptions

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
    "SinkParams",
    "SliceChannelsParams",
    "SliceTimeParams",
    "SourceParams",
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
