"""Transforms from file to file, each a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, floor
from pathlib import Path
from typing import Any

from ranvier.curation.branches import run_tree
from ranvier.curation.executor import make_header, run
from ranvier.curation.executors import copy_spike_trains
from ranvier.curation.memory import block_rows, run_bytes, tree_bytes
from ranvier.curation.output import refuse_own_source, resolve_output, writable
from ranvier.curation.plan import Part, Plan, plan, plan_in_order, slices_late
from ranvier.curation.task import Branch, OutputRef, to_uri
from ranvier.dsp import Chain
from ranvier.exceptions import CapabilityError, OutputError
from ranvier.hub.datasets import Datasets, Linked
from ranvier.hub.jobs import JobContext, JobManager, Need
from ranvier.hub.signals import stream_events
from ranvier.models.dataset import DatasetMetadata, TransformNode
from ranvier.models.output_options import OutputOptions
from ranvier.recordings import Format
from ranvier.recordings.digital import edges_lost_at
from ranvier.recordings.fingerprint import fingerprint
from ranvier.recordings.sink import Sink
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
        label = f"{linked.base_name}: {what}"
        given = (nodes, linked.recording, linked.channels)
        if slices_late(nodes):
            parts, stages = plan_in_order(*given, zero_phase=zero_phase, events=lambda: stream_events(linked))
            record = {"sources": [source_record(linked)], "stages": stages, "file_type": known.file_type.name}
            path = self.write_branch(
                linked, parts, destination, known, record=record, options=options, label=label, keep_record=True,
                force=force, progress=progress,
            )  # fmt: skip
            return [path]
        return self.write_planned(
            linked,
            plan(*given, zero_phase=zero_phase, events=lambda: stream_events(linked)),
            destination,
            known,
            label=label,
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
        """Run a bound chain over a range into ``dir/base``; return the files written, the one to link first.

        ``sources`` is what provenance says about them, where they are not the dataset's own file. Without
        ``keep_record`` the store does not remember the output's provenance.
        """
        recording = linked.recording
        header = make_header(
            recording,
            planned.chain,
            sources=[source_record(linked)] if sources is None else sources,
            extra=linked.session.extra,
            start=planned.start,
            columns=planned.columns,
        )
        record = dict(header.provenance or {})
        record["stages"] = [*planned.slices, *record.get("stages", [])]
        record["file_type"] = known.file_type.name
        header = replace(header, channels=header.channels if planned.chain else planned.channels, provenance=record)
        if options is not None:
            record["options"] = options.model_dump(mode="json")
            header = replace(header, options=options)
        sink_type = known.sink
        if sink_type is None:
            raise OutputError(f"{known.name} files cannot be written")
        refuse_own_source(linked.format, linked.canonical, destination, known, linked.session.provenance)

        width = len(linked.channels)
        need = Need(run_bytes(width, planned.chain), workers=RUN_WORKERS)

        def work(job: JobContext) -> list[Path]:
            events, ratio = stream_events(linked), recording.fs / header.fs
            if lost := edges_lost_at(events.between(planned.start, planned.stop), ratio):
                record["notes"] = [*record.get("notes", []), f"{lost} edges of digital lines lie between kept samples"]
            with sink_type(destination, header, force=force) as sink:
                job.add_staged(sink.staged.token)
                for name, trains in linked.session.spike_trains.items():
                    inside = trains.counted_at(recording.fs).between(planned.start, planned.stop)
                    try:
                        sink.write_spike_trains(name, inside.at_rate(ratio, ceil(planned.stop / ratio)))
                    except CapabilityError as error:  # the format has no place for spikes; say so in the record
                        record["notes"] = [*record.get("notes", []), f"left out: {error}"]
                run(
                    recording,
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
                return sink.final_paths()

        paths = self._jobs.run(
            "curate",
            label,
            work,
            outputs=[str(destination)],
            need=need,
            request=repeat_request(record, destination, known, force),
            progress=progress,
        )
        if keep_record:
            self._store.provenance.put(paths[0], record)
        return paths

    def write_branch(
        self,
        linked: Linked,
        parts: Sequence[Part],
        destination: Path,
        known: Format,
        *,
        record: Mapping[str, Any],
        options: OutputOptions | None = None,
        label: str,
        keep_record: bool,
        force: bool = False,
        progress: Progress | None = None,
    ) -> Path:
        """Run cuts and operations in any order (as protocols have them) into ``dir/base``; return the path to link.

        ``record`` says sources, stages and type of file of the output's provenance.
        """
        recording, fs, channels = linked.recording, linked.recording.fs, linked.channels
        start, stop = recording.start, recording.stop
        for cut, operations in parts:
            start, stop = cut or (start, stop)
            if operations:
                chain = Chain.bind(operations, fs, channels)
                start, stop = ceil(start * chain.out_fs / fs), ceil(stop * chain.out_fs / fs)
                fs, channels = chain.out_fs, chain.out_channels
        header = make_header(
            recording, None, sources=[], extra=linked.session.extra, start=ceil(start * recording.fs / fs)
        )
        made = {**(header.provenance or {}), **{key: record[key] for key in ("sources", "stages", "file_type")}}
        header = replace(header, fs=fs, channels=channels, start=start, provenance=made)
        if options is not None:
            made["options"] = options.model_dump(mode="json")
            header = replace(header, options=options)
        refuse_own_source(linked.format, linked.canonical, destination, known, linked.session.provenance)
        ref = OutputRef("", destination.name, to_uri(destination), known.file_type, header, start, stop, force)
        root: Branch | None = None
        for cut, operations in reversed(parts):
            behind = {"outputs": (ref,)} if root is None else {"branches": (root,)}
            root = Branch(cut, tuple(operations), **behind)  # type: ignore[arg-type]  # one of two fields
        tree = Branch(branches=() if root is None else (root,))
        sink_type = writable(known.file_type, destination).sink

        def work(job: JobContext) -> Path:
            def open_sink(output: OutputRef) -> Sink:
                if sink_type is None:
                    raise OutputError(f"{known.name} files cannot be written")
                sink = sink_type(destination, header, force=force)
                job.add_staged(sink.staged.token)
                return sink

            events, ratio = stream_events(linked), recording.fs / header.fs
            if lost := edges_lost_at(events.between(floor(start * ratio), ceil(stop * ratio)), ratio):
                made["notes"] = [*made.get("notes", []), f"{lost} edges of digital lines lie between kept samples"]
            report = run_tree(
                recording,
                tree,
                open_sink,
                channels=linked.channels,
                events=events,
                prepare=lambda output, sink: copy_spike_trains(linked.session, recording, output, sink, made),
                workers=job.granted.workers,
                progress=job.progress,
                cancelled=job.cancelled,
            )
            if report.failures or report.outputs[0].path is None:
                raise OutputError("; ".join(report.failures.values()))
            return report.outputs[0].path

        need = Need(tree_bytes(len(linked.channels), tree), RUN_WORKERS)
        path = self._jobs.run(
            "curate",
            label,
            work,
            outputs=[str(destination)],
            need=need,
            request=repeat_request(made, destination, known, force),
            progress=progress,
        )
        if keep_record:
            self._store.provenance.put(path, made)
        return path


def repeat_request(record: Mapping[str, Any], destination: Path, known: Format, force: bool) -> dict[str, Any]:
    """Return what any process needs to do a job again (see ``Replays.repeat``)."""
    return {
        "record": dict(record),
        "destination": str(destination),
        "file_type": known.file_type.name,
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
