"""Transforms from file to file, each a job."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ranvier.curation.executor import run
from ranvier.curation.executors import carry_over, events_of, run_on
from ranvier.curation.memory import block_rows, run_bytes, tree_bytes
from ranvier.curation.output import refuse_own_source, resolve_output, writable
from ranvier.curation.plan import Plan, output_header, plan
from ranvier.curation.task import Branch, OutputRef, SourceRef, Task, to_path, to_uri
from ranvier.exceptions import OutputError
from ranvier.hub.datasets import Datasets
from ranvier.hub.jobs import JobContext, JobManager, Need
from ranvier.hub.linked import Linked
from ranvier.hub.signals import stream_events
from ranvier.models.dataset import DatasetMetadata, TransformNode
from ranvier.models.output_options import OutputOptions
from ranvier.recordings import Format
from ranvier.recordings.fingerprint import fingerprint
from ranvier.services.progress import Progress
from ranvier.store import Store

#: Threads that a run keeps busy: reading, computing and writing overlap.
RUN_WORKERS = 2


class Curation:
    """Service ``HubCuration``: linear chains of transforms that write a new recording."""

    def __init__(self, datasets: Datasets, jobs: JobManager, store: Store) -> None:
        self._datasets = datasets
        self._jobs = jobs
        self._store = store

    def apply(
        self,
        dataset_id: str,
        nodes: Sequence[TransformNode],
        output: Path,
        *,
        zero_phase: bool = False,
        options: OutputOptions | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> DatasetMetadata:
        """Apply transforms to a dataset, write the result and link it; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        paths = self.write(
            linked, nodes, output, zero_phase=zero_phase, options=options, force=force, progress=progress
        )
        return self._datasets.link(paths[0])

    def convert(
        self,
        dataset_id: str,
        output: Path,
        *,
        options: OutputOptions | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> DatasetMetadata:
        """Write a dataset unchanged and link the result."""
        return self.apply(dataset_id, [], output, options=options, force=force, progress=progress)

    def write(
        self,
        linked: Linked,
        nodes: Sequence[TransformNode],
        output: Path,
        *,
        default: Format | None = None,
        zero_phase: bool = False,
        options: OutputOptions | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> list[Path]:
        """Run a chain from a dataset into a new recording; return its files, the one to link first."""
        destination, known = resolve_output(output, default)
        what = ", ".join(node.type.name.lower() for node in nodes) or f"converting to {known.name}"
        planned = plan(
            nodes, linked.recording, linked.channels, zero_phase=zero_phase, events=lambda: stream_events(linked)
        )
        return self.write_planned(
            linked,
            planned,
            destination,
            known,
            label=f"{linked.base_name}: {what}",
            options=options,
            force=force,
            progress=progress,
        )

    def write_planned(
        self,
        linked: Linked,
        planned: Plan,
        destination: Path,
        known: Format,
        *,
        label: str,
        sources: Sequence[Mapping[str, Any]] | None = None,
        keep_record: bool = True,
        options: OutputOptions | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> list[Path]:
        """Run a plan into ``dir/base``; return the files written, the one to link first.

        ``sources`` is what provenance says about them, where they are not the dataset's own file. Without
        ``keep_record`` the store does not remember the output's provenance.
        """
        end = planned.end
        said = [source_record(linked)] if sources is None else sources
        header = output_header(linked.recording, end, known, sources=said, extra=linked.session.extra, options=options)
        refuse_own_source(linked.format, linked.canonical, destination, known, linked.session.provenance)
        output = OutputRef(
            node="",
            name=destination.name,
            uri=to_uri(destination),
            file_type=known.file_type,
            header=header,
            start=end.start,
            stop=end.stop,
            events=end.events,
            force=force,
            format=known.name,
        )
        if planned.parts:
            work, need = _in_turn(linked, planned, output)
        else:
            work, need = _in_one(linked, planned, output)
        paths, record = self._jobs.run(
            "curate",
            label,
            work,
            outputs=[str(destination)],
            need=need,
            request=repeat_request(header.provenance or {}, destination, known, force),
            progress=progress,
        )
        if keep_record:
            self._store.provenance.put(paths[0], record)
        return paths


#: What was written, the path to link first, and its provenance.
Written = tuple[list[Path], dict[str, Any]]


def _in_one(linked: Linked, planned: Plan, output: OutputRef) -> tuple[Callable[[JobContext], Written], Need]:
    """Return the work of a plan that is one chain over one range, and what it takes."""
    width = len(linked.channels)
    need = Need(run_bytes(width, planned.chain), workers=RUN_WORKERS)
    destination = to_path(output.uri)
    sink_type = writable(output.file_type, destination, output.format).sink
    if sink_type is None:
        raise OutputError(f"{output.file_type.name} files cannot be written")

    def work(job: JobContext) -> Written:
        record = dict(output.header.provenance or {})
        events = events_of(linked.session, linked.recording, record)
        with sink_type(destination, replace(output.header, provenance=record), force=output.force) as sink:
            job.add_staged(sink.staged.token)
            carry_over(linked.session, linked.recording, events, output, sink, record)
            run(
                linked.recording,
                planned.chain,
                sink,
                start=planned.start,
                stop=planned.stop,
                workers=job.granted.workers,
                block_rows=block_rows(width, job.granted.memory_bytes, need.memory_bytes),
                columns=planned.columns,
                events=events,
                progress=job.progress,
                cancelled=job.cancelled,
            )
            return sink.final_paths(), record

    return work, need


def _in_turn(linked: Linked, planned: Plan, output: OutputRef) -> tuple[Callable[[JobContext], Written], Need]:
    """Return the work of a plan that cuts time between its steps, and what it takes."""
    root = Branch(outputs=(output,))
    for part in reversed(planned.parts):
        inner = replace(root, cut=part.cut, operations=tuple(part.operations))
        root = Branch(branches=(inner,))
    source = SourceRef(
        to_uri(linked.canonical),
        linked.format.file_type,
        linked.stream or None,
        linked.channels,
        planned.start,
        planned.stop,
    )
    task = Task(linked.base_name, source, root)

    def work(job: JobContext) -> Written:
        result = run_on(
            linked.session,
            task,
            progress=job.progress,
            cancelled=job.cancelled,
            staged=job.add_staged,
            workers=job.granted.workers,
        )
        if result.failures:
            raise OutputError("; ".join(result.failures.values()))
        return [Path(result.outputs[output.name])], result.records[output.name]

    return work, Need(tree_bytes(len(linked.channels), root), RUN_WORKERS)


def repeat_request(record: Mapping[str, Any], destination: Path, known: Format, force: bool) -> dict[str, Any]:
    """Return what any process needs to do a job again (see ``Replays.repeat``)."""
    return {
        "record": dict(record),
        "destination": str(destination),
        "file_type": known.file_type.name,
        "format": known.name,
        "force": force,
    }


def source_record(linked: Linked) -> dict[str, Any]:
    """Return what provenance says about the source of an output."""
    files = [f for f in linked.format.files(linked.canonical) if f.exists()]
    return {
        "path": str(linked.canonical),
        "stream": linked.stream,
        "format": linked.format.name,
        "uid": linked.id,
        "bytes": sum(f.stat().st_size for f in files),
        "fingerprint": fingerprint(files),
        "samples": [linked.recording.start, linked.recording.stop],
        "provenance": linked.session.provenance,
    }
