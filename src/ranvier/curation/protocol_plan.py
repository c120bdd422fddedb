"""From a protocol graph and the recordings that it reads to tasks: stages bound, ranges cut, outputs named.

What can be wrong only with a recording in hand (a filter that cannot exist at its rate, a channel that it does not
have, a slice outside, an output that would overwrite a source) is found here, all of it at once, by node.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ranvier.curation.graph import SINKS, SOURCES, Faults, Graph, Step, has_its_params
from ranvier.curation.nodes import operation_of
from ranvier.curation.output import SUFFIXES, existing_files, refuse_own_source, writable
from ranvier.curation.plan import Point, events_at, output_header
from ranvier.curation.task import Branch, OutputRef, SourceRef, Task, to_path, to_uri
from ranvier.dsp import Operation
from ranvier.exceptions import ConfigurationError, OutputExistsError, RadiensError
from ranvier.models.dataset import BulkSinkParams, RadiensFileType, SinkParams, SliceTimeParams, TransformNodeType
from ranvier.recordings import ChannelTable, Events, Format, Recording


@dataclass(frozen=True)
class Input:
    """A recording that a source node names, open.

    Attributes
    ----------
    node
        The source node.
    bulk
        Whether it is one of several of that node.
    record
        What provenance says about it.
    events
        Gives its events, for steps that ask for them.
    sibling
        What tells it from another recording of the same base name beside it (``ns2`` and ``ns6``).
    """

    node: str
    base_name: str
    recording: Recording
    channels: ChannelTable
    format: Format
    canonical: Path
    stream: str
    record: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict)
    bulk: bool = False
    events: Callable[[], Events] = Events.empty
    sibling: str = ""

    @property
    def name(self) -> str:
        """Its base name; with its stream, where it is one of several, and what else tells it from its siblings."""
        return "_".join([self.base_name, *(_word(part) for part in (self.stream, self.sibling) if part)])


def make_task(graph: Graph, source: Input, faults: Faults, *, force: bool = False) -> Task:
    """Return what a graph means for one of its recordings; faults are noted by node.

    The task means something only where no fault was noted, here or of the graph's shape.
    """
    return _Planner(graph, source, faults, force).task()


class _Planner:
    def __init__(self, graph: Graph, source: Input, faults: Faults, force: bool) -> None:
        self.graph = graph
        self.source = source
        self.faults = faults
        self.force = force

    def task(self) -> Task:
        recording = self.source.recording
        point = Point.of(recording, self.source.channels)
        root = self._grown(self.graph.tree(self.source.node), point)
        return Task(
            label=self.source.name,
            source=SourceRef(
                uri=to_uri(self.source.canonical),
                file_type=self.source.format.file_type,
                stream=self.source.stream or None,
                channels=self.source.channels,
                start=recording.start,
                stop=recording.stop,
            ),
            root=root,
        )

    def _grown(self, step: Step, point: Point, branch: Branch | None = None) -> Branch:
        """Return a branch with all that is behind its last step."""
        sinks = [child for child in step.children if child.node.type in SINKS]
        return replace(
            branch or Branch(),
            branches=tuple(self._branch(child, point) for child in step.children if child.node.type not in SINKS),
            outputs=tuple(output for child in sinks if (output := self._output(child, point)) is not None),
        )

    def _branch(self, step: Step, point: Point) -> Branch:
        """Return the steps in a row from here on, up to a fork, a slice of time, or the end."""
        cut: tuple[int, int] | None = None
        operations: list[Operation] = []
        if isinstance(step.node.params, SliceTimeParams):
            point = self._sliced(step, step.node.params, point)
            cut = (point.start, point.stop)
        else:
            point = self._bound(step, point, operations)
        while len(step.children) == 1 and _is_plain(following := step.children[0]):
            step = following
            point = self._bound(step, point, operations)
        return self._grown(step, point, Branch(cut, tuple(operations)))

    def _bound(self, step: Step, point: Point, operations: list[Operation]) -> Point:
        """Bind a step to what comes; where that fails, go on as if it were not there."""
        if step.node.type in SOURCES or not has_its_params(step.node):
            return point  # a fault of the shape, told already
        try:
            operation = operation_of(step.node, events=lambda: events_at(self.source.events, point))
            behind = point.behind(operation.bind(point.fs, point.channels))
        except RadiensError as error:
            self._fault(step, str(error))
            return point
        operations.append(operation)
        return behind

    def _sliced(self, step: Step, params: SliceTimeParams, point: Point) -> Point:
        try:
            return point.sliced(params)
        except RadiensError as error:
            self._fault(step, str(error))
            return point

    def _output(self, step: Step, point: Point) -> OutputRef | None:
        if not has_its_params(step.node):
            return None
        try:
            destination, known = destination_of(step, self.source.name)
            refuse_own_source(
                self.source.format, self.source.canonical, destination, known, self.source.record.get("provenance")
            )
        except RadiensError as error:
            self._fault(step, str(error))
            return None
        params, source = step.node.params, self.source
        options = params.options if isinstance(params, (SinkParams, BulkSinkParams)) else None
        header = output_header(
            source.recording, point, known, sources=[source.record], extra=source.extra, options=options
        )
        return OutputRef(
            node=step.node.id,
            name=name_of(destination, known),
            uri=to_uri(destination),
            file_type=known.file_type,
            header=header,
            start=point.start,
            stop=point.stop,
            events=point.events,
            force=self.force,
        )

    def _fault(self, step: Step, message: str) -> None:
        where = f"{self.source.name}: " if self.source.bulk else ""
        for node in (step.node.id, *step.aliases):
            self.faults.add(node, where + message)


def tell_siblings_apart(inputs: Sequence[Input]) -> list[Input]:
    """Return inputs such that files side by side that differ in nothing but their suffix have names of their own."""
    files = {(source.canonical.parent / source.base_name, source.canonical, source.stream) for source in inputs}
    same = Counter((place, stream) for place, _, stream in files)
    return [
        replace(source, sibling=source.canonical.suffix.lstrip("."))
        if same[source.canonical.parent / source.base_name, source.stream] > 1
        else source
        for source in inputs
    ]


def _word(stream: str) -> str:
    """Return the name of a stream as a part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", stream).strip("_")


def _is_plain(step: Step) -> bool:
    return step.node.type not in SINKS and step.node.type != TransformNodeType.SLICE_TIME


def destination_of(step: Step, source_name: str) -> tuple[Path, Format]:
    """Return ``dir/base`` and the format that a sink node means for a source of this name (``Input.name``)."""
    params = step.node.params
    if isinstance(params, SinkParams):
        name = _without_suffix(params.base_name, params.file_type)
    elif isinstance(params, BulkSinkParams):
        name = f"{source_name}_{params.suffix}"
    else:
        raise TypeError(f"{step.node.id} is no sink")
    destination = Path(params.path).expanduser().absolute() / name
    if not name or Path(name).name != name:
        raise ConfigurationError(f"{name!r} is no name of a file; give the folder as path")
    return destination, writable(params.file_type, destination)


def name_of(destination: Path, known: Format) -> str:
    """Return how reports call an output."""
    return f"{destination}{known.sink.suffixes[0] if known.sink is not None else ''}"


def _without_suffix(name: str, file_type: RadiensFileType) -> str:
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if SUFFIXES[suffix] == file_type and name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def collision_faults(tasks: Sequence[Task], inputs: Sequence[Input], faults: Faults) -> None:
    """Note outputs of one name, and outputs that would replace any recording that the protocol reads."""
    read = {(_place(source.canonical.parent / source.base_name), source.format.file_type) for source in inputs}
    taken: dict[tuple[str, RadiensFileType], str] = {}
    for task in tasks:
        for output in task.outputs:
            key = (_place(to_path(output.uri)), output.file_type)
            if key in read:
                faults.add(output.node, f"{output.name} is a source of this protocol; choose another name or folder")
            other = taken.get(key)
            taken.setdefault(key, output.node)
            if other == output.node:
                faults.add(other, f"{output.name} is written for two sources; outputs need names of their own")
            elif other is not None:
                for one, two in ((output.node, other), (other, output.node)):
                    faults.add(one, f"{output.name} is written by {two!r} too; outputs need names of their own")


def refuse_existing(tasks: Sequence[Task]) -> None:
    """Raise OutputExistsError with every output that is there already and was not to be replaced."""
    there = [
        str(files[0])
        for task in tasks
        for output in task.outputs
        if not output.force and (files := existing_files(to_path(output.uri), output.file_type))
    ]
    if there:
        raise OutputExistsError(
            f"{', '.join(there)}: there already; choose other names or a new folder, or pass force=True"
        )


def _place(path: Path) -> str:
    return os.path.normcase(path.parent.resolve() / path.name)
