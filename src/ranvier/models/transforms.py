"""Transform graphs: nodes with parameters, joined by edges, as protocols run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from pydantic import Field, ValidationError, model_validator

from ranvier.exceptions import ConfigurationError
from ranvier.models._base import Model, OwnModel
from ranvier.models._coerce import faults_of
from ranvier.models.file_types import RadiensFileType
from ranvier.models.output_options import SessionMetadata
from ranvier.models.transform_params import (
    PARAMS_OF,
    BulkSourceParams,
    FamilyInput,
    SourceParams,
    TransformNodeType,
    TransformParams,
)

if TYPE_CHECKING:
    from ranvier.models.dataset import DatasetMetadata

__all__ = ["ProtocolGraph", "ProtocolSpec", "TransformEdge", "TransformNode"]


#: Subject and session of an output, as a model or as its fields.
MetadataFields = SessionMetadata | Mapping[str, Any] | None


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
            raise ConfigurationError(f"{kind.name}: {faults_of(error)}") from error


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
