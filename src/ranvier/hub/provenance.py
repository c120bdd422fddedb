"""From our provenance record (JSON data) to the API's models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ranvier.models.dsp import DSPType, FilterFamily
from ranvier.models.provenance import (
    Provenance,
    ProvenanceAcquire,
    ProvenanceDecimate,
    ProvenanceFilter,
    ProvenanceFilterStructure,
    ProvenanceOp,
    ProvenanceOpKind,
    ProvenanceOrigin,
    ProvenanceRecord,
    ProvenanceSelectChannels,
    ProvenanceSliceTime,
    ProvenanceSort,
    ProvenanceWrite,
    TimestampRange,
)

_FILTERS = {kind.name.lower(): kind for kind in DSPType}


def provenance_model(record: Mapping[str, Any] | None) -> Provenance:
    """Return the record as the API's Provenance: the operations of all ancestors, oldest first."""
    if not record:
        return Provenance()
    ops = list(_operations(record))
    return Provenance(record=ProvenanceRecord(version=int(record.get("version", 0)), ops=ops), details=dict(record))


def _operations(record: Mapping[str, Any]) -> list[ProvenanceOp]:
    operations: list[ProvenanceOp] = []
    sources = record.get("sources", [])
    for source in sources:
        if source.get("provenance"):
            operations += _operations(source["provenance"])
        else:
            operations.append(
                ProvenanceOp(
                    kind=ProvenanceOpKind.ACQUIRE,
                    origin=ProvenanceOrigin.IMPORT,
                    acquire=ProvenanceAcquire(source_type=source.get("format"), source_name=source.get("path")),
                )
            )
    version = str(record.get("made_by", {}).get("ranvier", ""))
    if record.get("simulated") and not sources:
        operations.append(
            ProvenanceOp(
                kind=ProvenanceOpKind.ACQUIRE,
                origin=ProvenanceOrigin.IMPORT,
                server_version=version,
                acquire=ProvenanceAcquire(source_type="SIMULATED", source_name=f"seed {record.get('seed')}"),
            )
        )
    operations += [_operation(stage, version) for stage in record.get("stages", [])]
    operations.append(
        ProvenanceOp(
            kind=ProvenanceOpKind.WRITE,
            origin=ProvenanceOrigin.CURATE,
            server_version=version,
            write=ProvenanceWrite(dataset_uid=str(record.get("uid", "")), file_type=str(record.get("file_type", ""))),
        )
    )
    return operations


def _operation(stage: Mapping[str, Any], version: str) -> ProvenanceOp:
    kind = str(stage.get("kind", ""))
    parameters = stage.get("parameters", {})
    common: dict[str, Any] = {"origin": ProvenanceOrigin.CURATE, "server_version": version}
    if kind == "slice_time":
        return ProvenanceOp(
            kind=ProvenanceOpKind.SLICE_TIME,
            slice_time=ProvenanceSliceTime(
                source=_range(parameters.get("source")), retained=_range(parameters.get("retained"))
            ),
            **common,
        )
    if kind == "slice_channels":
        select = ProvenanceSelectChannels(
            prior_sys_chan_idxs=parameters.get("source", []), retained_sys_chan_idxs=parameters.get("retained", [])
        )
        return ProvenanceOp(kind=ProvenanceOpKind.SELECT_CHANNELS, select_channels=select, **common)
    if kind == "downsample":
        decimate = ProvenanceDecimate(factor=parameters.get("factor"), output_fs=stage.get("out_fs_hz"))
        return ProvenanceOp(kind=ProvenanceOpKind.DECIMATE, decimate=decimate, **common)
    if kind == "spike_sort":
        sort = ProvenanceSort(
            seed=parameters.get("seed"),
            clusterer_params=parameters.get("clusterer_params"),
            feature_params=parameters.get("feature_params"),
        )
        return ProvenanceOp(kind=ProvenanceOpKind.SORT, sort=sort, **common)
    if kind in _FILTERS:
        return ProvenanceOp(kind=ProvenanceOpKind.FILTER, filter=_filter(_FILTERS[kind], stage), **common)
    return ProvenanceOp(kind=ProvenanceOpKind.UNKNOWN, node_id=kind, **common)  # our own stages: the API has no kind


def _filter(kind: DSPType, stage: Mapping[str, Any]) -> ProvenanceFilter:
    parameters = stage.get("parameters", {})
    sections = stage.get("coefficients", {}).get("sos", [])
    frequencies = [
        float(parameters[name]) for name in ("frequency_hz", "low_hz", "high_hz") if parameters.get(name) is not None
    ]
    return ProvenanceFilter(
        type=kind,
        fs=stage.get("fs_hz"),
        freq_spec=frequencies,
        notch_bandwidth=parameters.get("bandwidth_hz"),
        filter_order=parameters.get("order"),
        family=FilterFamily.__members__.get(str(parameters.get("family")).upper()),
        ripple_db=parameters.get("ripple_db"),
        zero_phase=parameters.get("zero_phase"),
        ref_ntv_chan_idx=parameters.get("ref_channel"),
        target_ntv_chan_idx=parameters.get("target_channel"),
        structure=ProvenanceFilterStructure.SOS if sections else ProvenanceFilterStructure.UNSPECIFIED,
        b=[float(v) for row in sections for v in row[:3]],
        a=[float(v) for row in sections for v in row[3:]],
    )


def _range(values: Any) -> TimestampRange | None:
    return TimestampRange(start=int(values[0]), end=int(values[1])) if values else None
