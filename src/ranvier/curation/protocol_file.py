"""Protocols as YAML: a form for a lab's repository, with comments, names for nodes, and lines in every error.

::

    protocol: 1                    # version of this form
    name: spikes and lfp
    steps:
      line:    {notch: {frequency: 50, bandwidth: 2}}
      spikes:  {bandpass: {low: 300, high: 6000}}        # takes what stands above it
      car:     {}                                        # a step may bear the name of what it does
      lfp:     {from: line, lowpass: {frequency: 300}}
    outputs:
      clean:   {from: car, type: NWB}
      slow:    {from: lfp, suffix: lfp}

Each step has a name, one operation, and ``from`` where it does not take the step before it. Each output is
``<base name>_<suffix>`` of every source (``suffix``: its own name by default) or, with ``name``, one file. A text may
name its recordings under ``sources``; else whoever runs it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ranvier.curation.graph import SINKS, SOURCES, Graph
from ranvier.curation.output import format_of_suffix
from ranvier.exceptions import ConfigurationError
from ranvier.models.dataset import (
    BulkSinkParams,
    BulkSourceParams,
    ProtocolGraph,
    RadiensFileType,
    SinkParams,
    SourceParams,
    TransformEdge,
    TransformNode,
    TransformNodeType,
)
from ranvier.models.transforms import PARAMS_OF

#: Version of the form.
VERSION = 1

#: Operations by the names that the form gives them.
OPERATIONS: dict[str, TransformNodeType] = {
    "notch": TransformNodeType.NOTCH_FILTER,
    "bandpass": TransformNodeType.BANDPASS_FILTER,
    "bandstop": TransformNodeType.BANDSTOP_FILTER,
    "highpass": TransformNodeType.HIGHPASS_FILTER,
    "lowpass": TransformNodeType.LOWPASS_FILTER,
    "car": TransformNodeType.CAR_REF,
    "virtual_ref": TransformNodeType.VIRTUAL_REF,
    "paired_ref": TransformNodeType.PAIRED_REF,
    "slice_time": TransformNodeType.SLICE_TIME,
    "slice_channels": TransformNodeType.SLICE_CHANNELS,
    "downsample": TransformNodeType.DOWNSAMPLE,
    "blank_artifacts": TransformNodeType.BLANK_ARTIFACTS,
    "correct_skew": TransformNodeType.CORRECT_SKEW,
}

#: Short names of parameters in the form.
SHORT: dict[TransformNodeType, dict[str, str]] = {
    TransformNodeType.NOTCH_FILTER: {"frequency": "notch_frequency"},
    TransformNodeType.BANDPASS_FILTER: {"low": "low_frequency", "high": "high_frequency"},
    TransformNodeType.BANDSTOP_FILTER: {"low": "low_frequency", "high": "high_frequency"},
    TransformNodeType.VIRTUAL_REF: {"reference": "ref_channel"},
    TransformNodeType.PAIRED_REF: {"reference": "ref_channel", "target": "target_channel"},
    TransformNodeType.SLICE_TIME: {"start": "start_sec", "end": "end_sec"},
}

_TOP = ("protocol", "name", "description", "sources", "steps", "outputs")
_SOURCE = "source"  # name of the one source that a text need not name


class _Marked(dict[str, Any]):
    """A mapping that knows the lines of its keys."""

    lines: dict[str, int]
    line: int


class _Loader(yaml.SafeLoader):
    """Safe YAML whose mappings know their lines, and where no key stands twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> _Marked:
    made = _Marked()
    made.lines, made.line = {}, node.start_mark.line + 1
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node, deep=True))  # type: ignore[no-untyped-call]
        line = key_node.start_mark.line + 1
        if key in made:
            raise _Wrong(line, f"{key!r} stands twice (first in line {made.lines[key]})")
        made[key] = loader.construct_object(value_node, deep=True)  # type: ignore[no-untyped-call]
        made.lines[key] = line
    return made


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


class _Wrong(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line, self.message = line, message


class _Mistakes:
    """All that is wrong with a text, by line."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: list[tuple[int, str]] = []

    def add(self, line: int, message: str) -> None:
        self.found.append((line, message))

    def raise_any(self) -> None:
        if self.found:
            lines = [f"{self.name}, line {line}: {message}" for line, message in sorted(self.found)]
            raise ConfigurationError("\n".join(lines))


def parse_protocol(
    text: str,
    *,
    name: str = "protocol",
    sources: Sequence[SourceParams] | None = None,
    output_dir: Path | None = None,
    file_type: RadiensFileType | None = None,
) -> ProtocolGraph:
    """Return the graph that a text describes; ConfigurationError with line and node of every mistake.

    Parameters
    ----------
    sources, output_dir, file_type
        Take the place of what the text says.
    """
    mistakes = _Mistakes(name)
    try:
        document = yaml.load(text, _Loader)
    except _Wrong as wrong:
        mistakes.add(wrong.line, wrong.message)
        mistakes.raise_any()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        mistakes.add(mark.line + 1 if mark is not None else 1, f"no YAML: {error.problem}")
        mistakes.raise_any()
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigurationError(f"{name} is no YAML: {error}") from error
    if not isinstance(document, _Marked) or "protocol" not in document:
        raise ConfigurationError(f"{name} is no protocol: it begins with 'protocol: {VERSION}'")
    if document["protocol"] != VERSION or isinstance(document["protocol"], bool):
        raise ConfigurationError(
            f"{name} is a protocol of version {document['protocol']!r}; this version of Ranvier reads {VERSION}"
        )
    for key in document:
        if key not in _TOP:
            mistakes.add(document.lines[key], f"{key!r} is unknown here; known are {', '.join(_TOP)}")
    reader = _Reader(document, mistakes, sources, output_dir, file_type)
    graph = reader.graph(str(document.get("name", "")))
    mistakes.raise_any()
    return graph


class _Reader:
    def __init__(
        self,
        document: _Marked,
        mistakes: _Mistakes,
        sources: Sequence[SourceParams] | None,
        output_dir: Path | None,
        file_type: RadiensFileType | None,
    ) -> None:
        self.document = document
        self.mistakes = mistakes
        self.given = sources
        self.output_dir = output_dir
        self.file_type = file_type
        self.nodes: list[TransformNode] = []
        self.edges: list[TransformEdge] = []
        self.names: dict[str, int] = {}
        self.wanted: list[tuple[str, str, int]] = []  # (from, to, line)

    def graph(self, graph_id: str) -> ProtocolGraph:
        before = self._sources()
        for step, given, line in self._section("steps"):
            self._step(step, given, before, line)
            before = step
        outputs = list(self._section("outputs"))
        if not outputs:
            self.mistakes.add(1, "there are no outputs: name at least one under 'outputs'")
        for output, given, line in outputs:
            self._output(output, given, before, line)
        for source, target, line in self.wanted:
            if source not in self.names:
                known = ", ".join(map(repr, self.names))
                self.mistakes.add(line, f"{target!r} comes from {source!r}, which is no step; known are {known}")
            self.edges.append(TransformEdge(id=f"{source} -> {target}", source=source, target=target))
        return ProtocolGraph(id=graph_id, nodes=self.nodes, edges=self.edges)

    def _section(self, name: str) -> Sequence[tuple[str, _Marked, int]]:
        """Return the entries of a section: name, what is given, line."""
        section = self.document.get(name)
        if section is None:
            return []
        if not isinstance(section, _Marked):
            self.mistakes.add(self.document.lines[name], f"{name} are given by name, like 'bandpass: {{low: 300}}'")
            return []
        entries = []
        for key, value in section.items():
            line = section.lines[key]
            if value is None:
                value = _Marked()
                value.lines, value.line = {}, line
            if isinstance(value, _Marked):
                entries.append((key, value, line))
            else:
                self.mistakes.add(line, f"{key!r} takes parameters like {{low: 300}}, got {value!r}")
        return entries

    def _add(self, name: str, line: int, kind: TransformNodeType, params: Mapping[str, Any] | None) -> None:
        if name in self.names:
            self.mistakes.add(line, f"{name!r} is the name of a node in line {self.names[name]} already")
            return
        self.names[name] = line
        wanted = PARAMS_OF[kind]
        unknown = [key for key in params or {} if key not in wanted.model_fields]
        if unknown:
            short = {full: brief for brief, full in SHORT.get(kind, {}).items()}
            known = ", ".join(short.get(key, key) for key in wanted.model_fields) or "none"
            self.mistakes.add(line, f"{name!r} has no parameter {', '.join(map(repr, unknown))}; it has {known}")
            return
        try:
            self.nodes.append(TransformNode.model_validate({"id": name, "type": kind, "params": dict(params or {})}))
        except (ValidationError, ConfigurationError) as error:
            self.mistakes.add(line, f"{name!r}: {_short(error, kind)}")

    # Sources ----------------------------------------------------------------------------------------------------------

    def _sources(self) -> str:
        """Add the sources; return the name of the last one, which the first step takes."""
        if self.given is not None:
            self._many(_SOURCE, 1, list(self.given))
            for name in self.document.get("sources") or {}:
                self.names.setdefault(str(name), 1)  # steps that name it get what is given
            return _SOURCE
        found = list(self._section("sources"))
        if not found:
            self.mistakes.add(1, "there are no sources: name them under 'sources', or where the protocol is run")
        for name, given, line in found:
            self._source(name, given, line)
        return found[-1][0] if found else _SOURCE

    def _source(self, name: str, given: _Marked, line: int) -> None:
        if set(given) & {"path", "paths"} == {"paths"} and isinstance(given["paths"], list):
            found = [self._recording(name, item, given, line) for item in given["paths"]]
            self._many(name, line, [source for source in found if source is not None])
        elif source := self._recording(name, given, given, line):
            self._add(name, line, TransformNodeType.SOURCE, source.model_dump())

    def _recording(self, name: str, item: Any, given: _Marked, line: int) -> SourceParams | None:
        """Read one recording: a path, or a mapping of path, type and stream."""
        entry = {**given, "path": item} if isinstance(item, str) else item
        entry = {key: value for key, value in entry.items() if key != "paths"} if isinstance(entry, Mapping) else {}
        extra = [key for key in entry if key not in ("path", "type", "stream")]
        if extra or not isinstance(entry.get("path"), str) or not entry["path"]:
            what = f"unknown {', '.join(map(repr, extra))}; " if extra else ""
            self.mistakes.add(line, f"source {name!r}: {what}it takes path, or paths (a list), and type and stream")
            return None
        path = Path(entry["path"]).expanduser().absolute()
        known = format_of_suffix(path)
        file_type = self._type(name, entry, line) or (known[1] if known else None)
        if file_type is None:
            self.mistakes.add(line, f"source {name!r}: {path.name} does not tell its format; add type: XDAT or another")
            return None
        return SourceParams(
            base_name=path.name[: -len(known[0])] if known else path.name,
            path=str(path.parent),
            file_type=file_type,
            stream=str(entry.get("stream", "")),
        )

    def _many(self, name: str, line: int, sources: list[SourceParams]) -> None:
        self._add(name, line, TransformNodeType.BULK_SOURCE, BulkSourceParams(sources=sources).model_dump())

    # Steps and outputs ------------------------------------------------------------------------------------------------

    def _step(self, name: str, given: _Marked, before: str, line: int) -> None:
        rest = {key: value for key, value in given.items() if key != "from"}
        operations = [key for key in rest if key in OPERATIONS]
        params: Any = rest
        if len(operations) == 1 and len(rest) == 1:
            operation = operations[0]
            params = rest[operation] if rest[operation] is not None else {}
        elif name in OPERATIONS and not operations:
            operation = name
        else:
            known = ", ".join(OPERATIONS)
            self.mistakes.add(line, f"step {name!r} names {len(operations)} operations; it takes one of {known}")
            self.names.setdefault(name, line)
            return
        if not isinstance(params, Mapping):
            self.mistakes.add(line, f"step {name!r}: {operation} takes parameters like {{low: 300}}, got {params!r}")
            self.names.setdefault(name, line)
            return
        kind = OPERATIONS[operation]
        short = SHORT.get(kind, {})
        self._add(name, line, kind, {short.get(str(key), str(key)): value for key, value in params.items()})
        self._join(given, before, name, line)

    def _output(self, name: str, given: _Marked, before: str, line: int) -> None:
        extra = [key for key in given if key not in ("from", "suffix", "name", "dir", "type")]
        if extra or ("name" in given and "suffix" in given):
            what = f"unknown {', '.join(map(repr, extra))}; " if extra else "name or suffix, not both; "
            self.mistakes.add(line, f"output {name!r}: {what}it takes from, suffix or name, dir, type")
            return
        folder = self.output_dir or (Path(str(given["dir"])).expanduser().absolute() if "dir" in given else None)
        if folder is None:
            self.mistakes.add(line, f"output {name!r} names no folder: add dir, or name one where the protocol is run")
            return
        file_type = self.file_type or self._type(name, given, line) or RadiensFileType.XDAT
        common = {"path": str(folder), "file_type": file_type}
        if "name" in given:
            self._add(name, line, TransformNodeType.SINK, {**common, "base_name": str(given["name"])})
        else:
            suffix = str(given.get("suffix", name))
            self._add(name, line, TransformNodeType.BULK_SINK, {**common, "suffix": suffix})
        self._join(given, before, name, line)

    def _join(self, given: _Marked, before: str, name: str, line: int) -> None:
        source = str(given.get("from", before))
        if self.given is not None and source in (self.document.get("sources") or {}):
            source = _SOURCE
        self.wanted.append((source, name, given.lines.get("from", line)))

    def _type(self, name: str, given: Mapping[str, Any], line: int) -> RadiensFileType | None:
        word = given.get("type")
        if word is None:
            return None
        try:
            return RadiensFileType[str(word).upper()]
        except KeyError:
            known = ", ".join(kind.name for kind in RadiensFileType)
            self.mistakes.add(line, f"{name!r}: {word!r} is no type of file; known are {known}")
            return RadiensFileType.XDAT


def _short(error: Exception, kind: TransformNodeType) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    brief = {full: short for short, full in SHORT.get(kind, {}).items()}
    return "; ".join(
        f"{brief.get(str(e['loc'][-1]), str(e['loc'][-1])) if e['loc'] else 'parameters'}: {e['msg'].lower()}"
        + ("" if e["type"] == "missing" else f", got {e['input']!r}")
        for e in error.errors()
    )


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
        return {"name": params.base_name, "dir": params.path, "type": params.file_type.name}
    if isinstance(params, BulkSinkParams):
        return {"suffix": params.suffix, "dir": params.path, "type": params.file_type.name}
    raise ConfigurationError(f"{node.id} is an output without a name")


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
