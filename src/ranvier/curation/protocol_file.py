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
name its recordings under ``sources``; else whoever runs it does. ``metadata`` (subject and session, for NWB) and
``compression`` stand at the top, for all outputs, or at one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ranvier.curation.marked_yaml import Marked, Mistakes, load_marked
from ranvier.curation.output import format_of_suffix
from ranvier.curation.protocol_words import OPERATIONS, SHORT, VERSION
from ranvier.exceptions import ConfigurationError
from ranvier.models.dataset import (
    BulkSourceParams,
    ProtocolGraph,
    RadiensFileType,
    SourceParams,
    TransformEdge,
    TransformNode,
    TransformNodeType,
)
from ranvier.models.output_options import OutputOptions
from ranvier.models.transform_params import PARAMS_OF

_TOP = ("protocol", "name", "description", "sources", "steps", "outputs", "metadata", "compression")
_OUTPUT = ("from", "suffix", "name", "dir", "type")
_OPTIONS = ("metadata", "compression")
_OUTPUT_WORDS = "from, suffix or name, dir, type, metadata, compression"
_SOURCE = "source"  # name of the one source that a text need not name


def parse_protocol(
    text: str,
    *,
    name: str = "protocol",
    sources: Sequence[SourceParams] | None = None,
    output_dir: Path | None = None,
    file_type: RadiensFileType | None = None,
    options: OutputOptions | None = None,
) -> ProtocolGraph:
    """Return the graph that a text describes; ConfigurationError with line and node of every mistake.

    Parameters
    ----------
    sources, output_dir, file_type, options
        Take the place of what the text says.
    """
    mistakes = Mistakes(name)
    document = load_marked(text, name, mistakes)
    if not isinstance(document, Marked) or "protocol" not in document:
        raise ConfigurationError(f"{name} is no protocol: it begins with 'protocol: {VERSION}'")
    if document["protocol"] != VERSION or isinstance(document["protocol"], bool):
        raise ConfigurationError(
            f"{name} is a protocol of version {document['protocol']!r}; this version of Ranvier reads {VERSION}"
        )
    for key in document:
        if key not in _TOP:
            mistakes.add(document.lines[key], f"{key!r} is unknown here; known are {', '.join(_TOP)}")
    reader = _Reader(document, mistakes, sources, output_dir, file_type, options)
    graph = reader.graph(str(document.get("name", "")))
    mistakes.raise_any()
    return graph


class _Reader:
    def __init__(
        self,
        document: Marked,
        mistakes: Mistakes,
        sources: Sequence[SourceParams] | None,
        output_dir: Path | None,
        file_type: RadiensFileType | None,
        options: OutputOptions | None,
    ) -> None:
        self.document = document
        self.mistakes = mistakes
        self.given = sources
        self.output_dir = output_dir
        self.file_type = file_type
        self.options = options
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

    def _section(self, name: str) -> Sequence[tuple[str, Marked, int]]:
        """Return the entries of a section: name, what is given, line."""
        section = self.document.get(name)
        if section is None:
            return []
        if not isinstance(section, Marked):
            self.mistakes.add(self.document.lines[name], f"{name} are given by name, like 'bandpass: {{low: 300}}'")
            return []
        entries = []
        for key, value in section.items():
            line = section.lines[key]
            if value is None:
                value = Marked()
                value.lines, value.line = {}, line
            if isinstance(value, Marked):
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

    def _source(self, name: str, given: Marked, line: int) -> None:
        if set(given) & {"path", "paths"} == {"paths"} and isinstance(given["paths"], list):
            found = [self._recording(name, item, given, line) for item in given["paths"]]
            self._many(name, line, [source for source in found if source is not None])
        elif source := self._recording(name, given, given, line):
            self._add(name, line, TransformNodeType.SOURCE, source.model_dump())

    def _recording(self, name: str, item: Any, given: Marked, line: int) -> SourceParams | None:
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

    def _step(self, name: str, given: Marked, before: str, line: int) -> None:
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

    def _output(self, name: str, given: Marked, before: str, line: int) -> None:
        extra = [key for key in given if key not in (*_OUTPUT, *_OPTIONS)]
        if extra or ("name" in given and "suffix" in given):
            what = f"unknown {', '.join(map(repr, extra))}; " if extra else "name or suffix, not both; "
            self.mistakes.add(line, f"output {name!r}: {what}it takes {_OUTPUT_WORDS}")
            return
        folder = self.output_dir or (Path(str(given["dir"])).expanduser().absolute() if "dir" in given else None)
        if folder is None:
            self.mistakes.add(line, f"output {name!r} names no folder: add dir, or name one where the protocol is run")
            return
        file_type = self.file_type or self._type(name, given, line) or RadiensFileType.XDAT
        common = {"path": str(folder), "file_type": file_type, "options": self._output_options(name, given, line)}
        if "name" in given:
            self._add(name, line, TransformNodeType.SINK, {**common, "base_name": str(given["name"])})
        else:
            suffix = str(given.get("suffix", name))
            self._add(name, line, TransformNodeType.BULK_SINK, {**common, "suffix": suffix})
        self._join(given, before, name, line)

    def _output_options(self, name: str, given: Marked, line: int) -> OutputOptions | None:
        """Return metadata and compression of an output: the caller's, its own, or those at the top of the text."""
        stated = {key: part[key] for key in _OPTIONS for part in (self.document, given) if part.get(key) is not None}
        if self.options is not None or not stated:
            return self.options
        if isinstance(stated.get("metadata"), str):
            self.mistakes.add(line, f"{name!r}: metadata is a table of fields here; a file is named where this is run")
            return None
        try:
            return OutputOptions.model_validate(stated)
        except ValidationError as error:
            for e in error.errors():
                self.mistakes.add(line, f"{name!r}: {'.'.join(map(str, e['loc']))}: {e['msg'].lower()}")
            return None

    def _join(self, given: Marked, before: str, name: str, line: int) -> None:
        source = given.get("from", before)
        if not isinstance(source, str):
            self.mistakes.add(line, f"{name!r} takes one input, from: the name of a step; got {source!r}")
            return
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
