"""Protocols: checked, kept, and run as jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

from ranvier.curation.executors import Executor, TaskResult, ThreadExecutor
from ranvier.curation.graph import SOURCES, Faults, Graph, shape_faults
from ranvier.curation.memory import tree_bytes
from ranvier.curation.output import writable
from ranvier.curation.protocol_file import parse_protocol
from ranvier.curation.protocol_plan import Input, collision_faults, make_task, refuse_existing, tell_siblings_apart
from ranvier.curation.protocol_text import protocol_text
from ranvier.curation.task import OutputRef, Task, to_path
from ranvier.exceptions import (
    CapabilityError,
    ConfigurationError,
    DatasetError,
    JobCancelledError,
    PartialFailureError,
    RadiensError,
)
from ranvier.hub.curation import RUN_WORKERS, repeat_request, source_record
from ranvier.hub.datasets import Datasets
from ranvier.hub.job import PassingFailureError, may_pass
from ranvier.hub.jobs import JobContext, JobManager, Need
from ranvier.hub.linked import Linked
from ranvier.hub.signals import stream_events
from ranvier.models.dataset import (
    BulkSinkParams,
    BulkSourceParams,
    ProtocolGraph,
    ProtocolSpec,
    RadiensFileType,
    SourceParams,
    TransformEdge,
    TransformNode,
    TransformNodeType,
)
from ranvier.models.jobs import JobProgress, PartProgress
from ranvier.models.output_options import OutputOptions
from ranvier.recordings import all_formats
from ranvier.recordings.signalless import NoSignals
from ranvier.services.progress import Progress
from ranvier.store import Store

Specs = list[ProtocolSpec]
Inputs = list[Input]

#: A report names every output up to so many; beyond, those of the pass under way and the failed ones.
MOST_PARTS = 64


@dataclass
class _Plan:
    """What will be done: tasks, those that cannot be, and what is known to fail already, by name of the source."""

    tasks: list[Task] = field(default_factory=list)
    faulty: list[Task] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


class Protocols:
    """Service ``HubProtocols``."""

    def __init__(self, datasets: Datasets, jobs: JobManager, store: Store, executor: Executor | None = None) -> None:
        self._datasets = datasets
        self._jobs = jobs
        self._store = store
        self._executor = executor

    def set(self, graph: ProtocolGraph) -> ProtocolSpec:
        """Check a protocol as a whole and save it; see the Protocol."""
        if not graph.id:
            graph = graph.model_copy(update={"id": str(uuid4())})
        self._plan(graph, force=True)
        self._store.protocols.put(graph)
        return _spec(graph)

    def get(self, protocol_id: str) -> ProtocolGraph:
        """Return a saved protocol."""
        return self._store.protocols.get(protocol_id)

    def list(self) -> Specs:
        """Return every saved protocol, oldest first."""
        return [_spec(graph) for graph in self._store.protocols.all()]

    def rename(self, protocol_id: str, new_id: str) -> ProtocolSpec:
        """Give a protocol another id."""
        if not new_id.strip():
            raise ConfigurationError("a protocol needs an id that is not empty")
        return _spec(self._store.protocols.rename(protocol_id, new_id))

    def remove(self, protocol_id: str) -> None:
        """Forget a protocol."""
        self._store.protocols.remove(protocol_id)

    def check(self, graph: ProtocolGraph, *, force: bool = True) -> Sequence[Path]:
        """Check a protocol; return the outputs that it would write."""
        planned = self._plan(graph, force=force)
        refuse_existing(planned.tasks)
        outputs = [output.name for task in planned.tasks for output in task.outputs]
        if planned.failures:
            lines = [f"{name}: {message}" for name, message in planned.failures.items()]
            first = f"{len(lines)} would fail, {len(outputs)} outputs would be written:"
            raise PartialFailureError("\n  ".join([first, *lines]), planned.failures, outputs)
        return [Path(name) for name in outputs]

    def run(self, protocol_id: str, *, force: bool = False, progress: Progress | None = None) -> Sequence[Path]:
        """Run a saved protocol; see the Protocol."""
        return self.run_graph(self.get(protocol_id), force=force, progress=progress)

    def run_graph(
        self, graph: ProtocolGraph, *, force: bool = False, progress: Progress | None = None
    ) -> Sequence[Path]:
        """Run a protocol without saving it; see the Protocol."""
        planned = self._plan(graph, force=force)
        refuse_existing(planned.tasks)
        label = f"protocol {graph.id}" if graph.id else "protocol"
        return self._run(planned, label, progress)

    def apply_many(
        self,
        dataset_ids: Sequence[str],
        nodes: Sequence[TransformNode],
        output_dir: Path,
        suffix: str,
        *,
        file_type: RadiensFileType | None = None,
        options: OutputOptions | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> Sequence[Path]:
        """Run a chain over several datasets; see the Protocol."""
        if not dataset_ids:
            raise ConfigurationError("there is no dataset to work on; name at least one")
        known = [self._datasets.linked(i) for i in dataset_ids]
        sources = BulkSourceParams(sources=[_source(linked) for linked in known])
        sink = BulkSinkParams(
            suffix=suffix,
            path=str(output_dir),
            file_type=file_type or _writable(known[0].format.file_type),
            options=options,
        )
        line = [
            TransformNode(id="sources", type=TransformNodeType.BULK_SOURCE, params=sources),
            *nodes,
            TransformNode(id="outputs", type=TransformNodeType.BULK_SINK, params=sink),
        ]
        edges = [TransformEdge(source=a.id, target=b.id) for a, b in pairwise(line)]
        planned = self._plan(ProtocolGraph(nodes=line, edges=edges), force=force)
        refuse_existing(planned.tasks)
        what = " + ".join(node.type.name.lower().replace("_", " ") for node in nodes) or "converting"
        return self._run(planned, f"{what}: {len(dataset_ids)} recordings", progress)

    def from_yaml(
        self,
        text: str,
        *,
        name: str = "protocol",
        sources: Sequence[SourceParams] | None = None,
        output_dir: Path | None = None,
        file_type: RadiensFileType | None = None,
        options: OutputOptions | None = None,
    ) -> ProtocolGraph:
        """Return the protocol that a YAML text describes; see the Protocol."""
        return parse_protocol(
            text, name=name, sources=sources, output_dir=output_dir, file_type=file_type, options=options
        )

    def to_yaml(self, graph: ProtocolGraph) -> str:
        """Return the YAML form of a protocol."""
        return protocol_text(graph)

    # Planning ---------------------------------------------------------------------------------------------------------

    def _plan(self, model: ProtocolGraph, *, force: bool) -> _Plan:
        """Check everything and return what is to be done; GraphError with every fault."""
        faults, planned = Faults(model.nodes), _Plan()
        graph = shape_faults(model.nodes, model.edges, faults)
        inputs: list[Input] = []
        before = set(self._datasets.ids())
        for node in graph.of_kind(SOURCES):
            inputs += self._plan_source(graph, node, faults, planned, force=force)
        collision_faults([*planned.tasks, *planned.faulty], inputs, faults)
        known = {source.dataset_id for node in model.nodes for source in _sources_of(node)}
        self._datasets.clear([i for i in self._datasets.ids() if i not in before and i not in known])
        faults.raise_any()
        return planned

    def _plan_source(self, graph: Graph, node: TransformNode, faults: Faults, planned: _Plan, *, force: bool) -> Inputs:
        """Plan each recording of a source node; what only some recordings of a bulk source suffer from is no fault."""
        sources = _sources_of(node)
        if node.params is not None and not sources:
            faults.add(node.id, "names no recording")
        opened: list[Input] = []
        broken: dict[str, Faults] = {}
        for params in sources:
            try:
                opened.append(self._open(node, params))
            except RadiensError as error:
                name = str(Path(params.path) / params.base_name) + (f"#{params.stream}" if params.stream else "")
                broken[name] = Faults()
                broken[name].add(node.id, f"{name}: {error}")
        inputs = tell_siblings_apart(opened)
        for source in inputs:
            own = Faults()
            task = make_task(graph, source, own, force=force)
            (planned.faulty if own.by_node else planned.tasks).append(task)
            if own.by_node:
                broken[str(source.canonical.parent / source.name)] = own
        if broken and len(broken) == len(sources):
            for own in broken.values():
                for at, messages in own.by_node.items():
                    for message in messages:
                        faults.add(at, message)
        else:
            for name, own in broken.items():
                planned.failures[name] = "; ".join(f"{at}: {' '.join(m)}" for at, m in own.by_node.items())
        return inputs

    def _open(self, node: TransformNode, params: SourceParams) -> Input:
        linked = self._linked(params)
        if isinstance(linked.recording, NoSignals):
            raise CapabilityError("; ".join(linked.recording.notes) + ": there is nothing to transform")
        return Input(
            node=node.id,
            base_name=linked.base_name,
            recording=linked.recording,
            channels=linked.channels,
            format=linked.format,
            canonical=linked.canonical,
            stream=linked.stream,
            record=source_record(linked),
            extra=linked.session.extra,
            bulk=node.type == TransformNodeType.BULK_SOURCE,
            events=lambda: stream_events(linked),
        )

    def _linked(self, params: SourceParams) -> Linked:
        """Return the dataset of a source: by id where it is known, else by path."""
        if params.dataset_id:
            try:
                return self._datasets.linked(params.dataset_id)
            except DatasetError:
                pass  # from another home, or cleared: the path says the same
        found = self._datasets.link(
            Path(params.path) / params.base_name, params.file_type, stream=params.stream or None
        )
        return self._datasets.linked(found.id)

    # Running ----------------------------------------------------------------------------------------------------------

    def _run(self, planned: _Plan, label: str, progress: Progress | None) -> Sequence[Path]:
        names = [output.name for task in planned.tasks for output in task.outputs]
        made: dict[str, str] = {}  # by name; what an earlier try of the same job made is not made again

        def work(job: JobContext) -> list[str]:
            left = [rest for task in planned.tasks if (rest := task.without(made)).outputs]
            executor = self._executor or ThreadExecutor(workers=job.granted.workers)
            failures: dict[str, str] = {}
            kinds: set[type[BaseException]] = set()
            try:
                for result in _run_all(executor, left, job):
                    made.update(result.outputs)
                    failures.update(result.failures)
                    kinds.update(result.kinds.values())
                    for name, path in result.outputs.items():
                        self._store.provenance.put(path, result.records[name])
            except JobCancelledError as error:
                if not made:
                    raise
                raise JobCancelledError(
                    f"cancelled; whole, and kept: {', '.join(made)}; nothing is left of the others"
                ) from error
            finally:
                if self._executor is None:
                    executor.close()
            if failures:
                told = PassingFailureError if any(map(may_pass, kinds)) else PartialFailureError
                raise told.of(failures, list(made.values()))
            return list(made.values())

        failures = dict(planned.failures)
        try:
            outputs = self._jobs.run(
                "protocol",
                label,
                work,
                outputs=names,
                need=_need(planned.tasks),
                request={"outputs": [_request(output) for task in planned.tasks for output in task.outputs]},
                progress=progress,
            )
        except PartialFailureError as error:
            outputs, failures = list(error.outputs), {**failures, **error.failures}
        if failures:
            raise PartialFailureError.of(failures, outputs)
        return [Path(path) for path in outputs]


def _request(output: OutputRef) -> dict[str, Any]:
    """Return what any process needs to make one output again."""
    known = writable(output.file_type, to_path(output.uri))
    return repeat_request(output.header.provenance or {}, to_path(output.uri), known, output.force)


def _need(tasks: Sequence[Task]) -> Need:
    """Return what the largest task takes: one pass at a time, all its branches at once."""
    return Need(max((tree_bytes(len(t.source.channels), t.root) for t in tasks), default=1), workers=RUN_WORKERS)


def _run_all(executor: Executor, tasks: Sequence[Task], job: JobContext) -> Iterator[TaskResult]:
    """Run tasks one after the other; a cancel stops the one under way and all that follow."""
    board = _Board(tasks, job)
    for i, task in enumerate(tasks):
        job.check()
        result = executor.submit(
            task, progress=board.reporter(i), cancelled=job.cancelled, staged=job.add_staged
        ).result()
        board.finished(i, result)
        yield result


class _Board:
    """Joins the progress of tasks into that of their job."""

    def __init__(self, tasks: Sequence[Task], job: JobContext) -> None:
        self._job = job
        self._tasks = tasks
        self._samples = [task.source.stop - task.source.start for task in tasks]
        self._parts = [tuple(PartProgress(name=output.name) for output in task.outputs) for task in tasks]
        self._total = max(1, sum(self._samples))

    def reporter(self, i: int) -> Progress:
        before = sum(self._samples[:i])

        def report(now: JobProgress) -> None:
            self._parts[i] = now.parts
            done = before + round(now.fraction * self._samples[i])
            which = f" {i + 1} of {len(self._tasks)}" if len(self._tasks) > 1 else ""
            self._job.progress(
                JobProgress(
                    phase=f"{now.phase}{which}",
                    fraction=done / self._total,
                    samples_done=done,
                    samples_total=self._total,
                    parts=self._shown(i),
                )
            )

        return report

    def finished(self, i: int, result: TaskResult) -> None:
        self._parts[i] = tuple(
            PartProgress(name=part.name, state="failed" if part.name in result.failures else "done", fraction=1.0)
            for part in self._parts[i]
        )
        self.reporter(i)(JobProgress(phase="done", fraction=1.0, parts=self._parts[i]))

    def _shown(self, i: int) -> tuple[PartProgress, ...]:
        every = tuple(part for parts in self._parts for part in parts)
        if len(every) <= MOST_PARTS:
            return every
        return (*self._parts[i], *(part for part in every if part.state == "failed"))


def _sources_of(node: TransformNode) -> list[SourceParams]:
    if isinstance(node.params, SourceParams) and node.type == TransformNodeType.SOURCE:
        return [node.params]
    if isinstance(node.params, BulkSourceParams) and node.type == TransformNodeType.BULK_SOURCE:
        return list(node.params.sources)
    return []


def _source(linked: Linked) -> SourceParams:
    return SourceParams(
        dataset_id=linked.id,
        base_name=linked.base_name,
        path=str(linked.canonical.parent),
        file_type=linked.format.file_type,
        stream=linked.stream,
    )


def _writable(file_type: RadiensFileType) -> RadiensFileType:
    can = any(known.file_type == file_type and known.sink is not None for known in all_formats())
    return file_type if can else RadiensFileType.XDAT


def _spec(graph: ProtocolGraph) -> ProtocolSpec:
    return ProtocolSpec(id=graph.id, node_count=len(graph.nodes))
