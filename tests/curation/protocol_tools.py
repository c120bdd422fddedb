"""What tests of protocols share: graphs from short words, recordings in memory as inputs, paths run step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from ranvier.curation.executor import make_header, run
from ranvier.curation.graph import Faults, shape_faults
from ranvier.curation.plan import plan
from ranvier.curation.protocol_plan import Input, collision_faults, make_task
from ranvier.curation.task import Branch, SourceRef, Task
from ranvier.models.dataset import RadiensFileType, SourceParams, TransformEdge, TransformNode, TransformNodeType
from ranvier.recordings import Events, Segments
from ranvier.recordings.formats.xdat import FORMAT
from ranvier.recordings.memory import ArrayRecording, ArraySink

FS = Fraction(30000)


def node(node_id: str, made: TransformNode) -> TransformNode:
    return made.model_copy(update={"id": node_id})


def source(node_id: str = "source", name: str = "rec", folder: str = "/data") -> TransformNode:
    params = SourceParams(base_name=name, path=folder, file_type=RadiensFileType.XDAT)
    return TransformNode(id=node_id, type=TransformNodeType.SOURCE, params=params)


def sink(node_id: str, name: str | None = None, folder: str = "/out", kind: RadiensFileType = RadiensFileType.XDAT):
    return node(node_id, TransformNode.sink(name or node_id, folder, kind))


def edges(*ways: str) -> list[TransformEdge]:
    """Return the edges of ways like ``"source line clean"``."""
    return [
        TransformEdge(source=a, target=b) for way in ways for a, b in zip(way.split(), way.split()[1:], strict=False)
    ]


def as_input(recording: ArrayRecording, node_id: str = "source", path: str = "/data/rec.xdat.json") -> Input:
    return Input(
        node=node_id,
        base_name=Path(path).name.removesuffix(".xdat.json"),
        recording=recording,
        channels=recording.channels,
        format=replace(FORMAT, files=lambda file: [file], base_name=lambda file: file.name.removesuffix(".xdat.json")),
        canonical=Path(path),
        stream="",
        record={"path": path},
    )


def planned(
    nodes: Sequence[TransformNode],
    ways: Sequence[TransformEdge],
    recording: ArrayRecording,
    events: Events | None = None,
) -> tuple[Task, Faults]:
    faults = Faults(nodes)
    graph = shape_faults(nodes, ways, faults)
    given = replace(as_input(recording), events=lambda: events or Events.empty())
    if given.node not in graph.nodes:
        return Task("", SourceRef("", RadiensFileType.XDAT, None, given.channels, 0, 0), Branch()), faults
    task = make_task(graph, given, faults)
    collision_faults([task], [given], faults)
    return task, faults


def step_by_step(
    path: Sequence[TransformNode], recording: ArrayRecording, events: Events | None = None
) -> tuple[np.ndarray, np.ndarray, Events]:
    """Run each node of a path as a call of its own, over what the one before it wrote.

    Returns samples, counters and events.
    """
    events = Events.empty() if events is None else events
    for one in path:
        made = plan([one], recording, recording.channels)
        written = ArraySink(make_header(recording, made.chain, start=made.start))
        run(recording, made.chain, written, start=made.start, stop=made.stop, workers=1, events=events)
        recording = ArrayRecording(
            written.samples(),
            written.header.fs,
            written.header.channels,
            segments=Segments.from_counters(written.counters()),
        )
        events = Events.merge(*written.events)
    counters = [np.arange(c, c + n) for c, n in recording.segments.runs()]
    samples = np.concatenate([recording.read(c, c + n).samples for c, n in recording.segments.runs()])
    return samples, np.concatenate(counters), events


class CountingRecording(ArrayRecording):
    """Counts the samples that were read."""

    rows_read = 0

    def _read_rows(self, start, stop, columns, out) -> None:
        type(self).rows_read += stop - start
        super()._read_rows(start, stop, columns, out)


class MemorySinks:
    """Opens sinks in memory and keeps them by node."""

    def __init__(self) -> None:
        self.made: dict[str, ArraySink] = {}

    def __call__(self, output) -> ArraySink:
        self.made[output.node] = ArraySink(output.header)
        return self.made[output.node]
