"""Transforms from file to file, each a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ranvier.curation.executor import make_header, run
from ranvier.curation.memory import block_rows, run_bytes
from ranvier.curation.output import refuse_own_source, resolve_output
from ranvier.curation.plan import Plan, plan
from ranvier.exceptions import CapabilityError, OutputError
from ranvier.hub.datasets import Datasets, Linked
from ranvier.hub.jobs import JobContext, JobManager, Need
from ranvier.hub.signals import stream_events
from ranvier.models.dataset import DatasetMetadata, TransformNode
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
        force: bool = False,
        progress: Progress | None = None,
    ) -> DatasetMetadata:
        """Apply transforms to a dataset, write the result and link it; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        paths = self.write(linked, nodes, output, zero_phase=zero_phase, force=force, progress=progress)
        return self._datasets.link(paths[0])

    def convert(
        self, dataset_id: str, output: Path, *, force: bool = False, progress: Progress | None = None
    ) -> DatasetMetadata:
        """Write a dataset unchanged and link the result."""
        return self.apply(dataset_id, [], output, force=force, progress=progress)

    def write(
        self,
        linked: Linked,
        nodes: Sequence[TransformNode],
        output: Path,
        *,
        default: Format | None = None,
        zero_phase: bool = False,
        force: bool = False,
        progress: Progress | None = None,
    ) -> list[Path]:
        """Run a chain from a dataset into a new recording; return its files, the one to link first."""
        destination, known = resolve_output(output, default)
        planned = plan(nodes, linked.recording, linked.channels, zero_phase=zero_phase)
        label = ", ".join(node.type.name.lower() for node in nodes) or f"converting to {known.name}"
        return self.write_planned(
            linked, planned, destination, known, label=f"{linked.base_name}: {label}", force=force, progress=progress
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
        )
        record = dict(header.provenance or {})
        record["stages"] = [*planned.slices, *record.get("stages", [])]
        record["file_type"] = known.file_type.name
        header = replace(header, channels=header.channels if planned.chain else linked.channels, provenance=record)
        sink_type = known.sink
        if sink_type is None:
            raise OutputError(f"{known.name} files cannot be written")
        refuse_own_source(linked.format, linked.canonical, destination, known, linked.session.provenance)

        width = len(linked.channels)
        need = Need(run_bytes(width, planned.chain), workers=RUN_WORKERS)

        def work(job: JobContext) -> list[Path]:
            with sink_type(destination, header, force=force) as sink:
                job.add_staged(sink.staged.token)
                for name, trains in linked.session.spike_trains.items():
                    try:
                        sink.write_spike_trains(name, trains.between(planned.start, planned.stop))
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
                    events=stream_events(linked),
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
