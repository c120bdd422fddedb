"""Protocols written as YAML; :mod:`ranvier.curation.protocol_file` describes the form and reads it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from ranvier.curation.graph import SINKS, SOURCES, Graph
from ranvier.curation.protocol_words import OPERATIONS, SHORT, VERSION
from ranvier.exceptions import ConfigurationError
from ranvier.models.dataset import (
    BulkSinkParams,
    BulkSourceParams,
    ProtocolGraph,
    SinkParams,
    SourceParams,
    TransformNode,
    TransformNodeType,
)
from ranvier.models.output_options import OutputOptions
from ranvier.models.transform_params import PARAMS_OF


def protocol_text(graph: ProtocolGraph) -> str:
    """Return the YAML form of a protocol.

    Raises
    ------
    ConfigurationError
        For a graph that the form cannot say: a node with several inputs, a kind of node that it does not know.
    """
    shape = Graph(graph.nodes, graph.edges)
    names = _names(graph.nodes)
    document: dict[str, Any] = {"protocol": VERSION}
    if graph.id:
        document["name"] = graph.id
    sections: dict[str, dict[str, Any]] = {"sources": {}, "steps": {}, "outputs": {}}
    for node_id in _in_order(shape):
        node = shape.nodes[node_id]
        parents = shape.parents[node_id]
        if len(parents) > 1:
            raise ConfigurationError(f"{node_id} has {len(parents)} inputs; a protocol with faults has no YAML form")
        origin = {"from": names[parents[0]]} if parents else {}
        name = names[node_id]
        if node.type in SOURCES:
            sections["sources"][name] = _source_entry(node)
        elif node.type in SINKS:
            sections["outputs"][name] = {**origin, **_sink_entry(node)}
        else:
            sections["steps"][name] = {**origin, **_step_entry(node)}
    document.update({key: value for key, value in sections.items() if value})
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)


def _in_order(shape: Graph) -> list[str]:
    """Return the nodes, each behind what it takes."""
    order: list[str] = []
    todo = [i for i in shape.nodes if not shape.parents[i]]
    while todo:
        node = todo.pop(0)
        if node not in order:
            order.append(node)
            todo = [*shape.children[node], *todo]
    if len(order) != len(shape.nodes):
        raise ConfigurationError("a protocol with a cycle has no YAML form")
    return order


def _names(nodes: Sequence[TransformNode]) -> dict[str, str]:
    """Return a name for each node: its id where a person gave it, else what it does."""
    words: dict[TransformNodeType, str] = {kind: word for word, kind in OPERATIONS.items()}
    words |= {TransformNodeType.SOURCE: "source", TransformNodeType.BULK_SOURCE: "sources"}
    taken = {node.id for node in nodes if not _is_uuid(node.id)}
    names = {}
    for node in nodes:
        if not _is_uuid(node.id):
            names[node.id] = node.id
            continue
        stem = words.get(node.type, "output")
        name, n = stem, 1
        while name in taken:
            n += 1
            name = f"{stem}_{n}"
        taken.add(name)
        names[node.id] = name
    return names


def _is_uuid(text: str) -> bool:
    parts = text.split("-")
    return [len(p) for p in parts] == [8, 4, 4, 4, 12] and all(c in "0123456789abcdef" for p in parts for c in p)


def _source_entry(node: TransformNode) -> dict[str, Any]:
    params = node.params
    if isinstance(params, SourceParams):
        return _recording_entry(params)
    if isinstance(params, BulkSourceParams):
        return {"paths": [_recording_entry(source) for source in params.sources]}
    raise ConfigurationError(f"{node.id} is a source without recordings")


def _recording_entry(params: SourceParams) -> dict[str, Any]:
    path = str(Path(params.path) / params.base_name)
    return {"path": path, "type": params.file_type.name, **({"stream": params.stream} if params.stream else {})}


def _sink_entry(node: TransformNode) -> dict[str, Any]:
    params = node.params
    if isinstance(params, SinkParams):
        return {"name": params.base_name, "dir": params.path, "type": params.file_type.name, **_options(params.options)}
    if isinstance(params, BulkSinkParams):
        return {"suffix": params.suffix, "dir": params.path, "type": params.file_type.name, **_options(params.options)}
    raise ConfigurationError(f"{node.id} is an output without a name")


def _options(options: OutputOptions | None) -> dict[str, Any]:
    return {} if options is None else options.model_dump(mode="json", exclude_defaults=True)


def _said(value: Any) -> Any:
    """Return a parameter as YAML says it: members of an enumeration by name."""
    if isinstance(value, Enum):
        return value.name.lower()
    return [_said(item) for item in value] if isinstance(value, (list, tuple)) else value


def _step_entry(node: TransformNode) -> dict[str, Any]:
    words = {kind: word for word, kind in OPERATIONS.items()}
    if node.type not in words:
        raise ConfigurationError(f"{node.id}: the YAML form has no {node.type.name}")
    brief = {full: short for short, full in SHORT.get(node.type, {}).items()}
    defaults = {name: f.default for name, f in PARAMS_OF[node.type].model_fields.items() if not f.is_required()}
    given = {} if node.params is None else {key: _said(value) for key, value in node.params.model_dump().items()}
    kept = {key: value for key, value in given.items() if key not in defaults or value != defaults[key]}
    return {words[node.type]: {brief.get(key, key): value for key, value in kept.items()}}
