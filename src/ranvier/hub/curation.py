"""Transforms from file to file, each a job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ranvier.curation.executor import make_header, run
from ranvier.curation.output import refuse_own_source, resolve_output
from ranvier.curation.plan import plan
from ranvier.exceptions import CapabilityError, OutputError
from ranvier.hub.datasets import Datasets, Linked
from ranvier.hub.jobs import JobContext, JobManager
from ranvier.hub.signals import stream_events
from ranvier.models.dataset import DatasetMetadata, TransformNode
from ranvier.models.output_options import OutputOptions
from ranvier.recordings import Format
from ranvier.recordings.digital import edges_lost_at
from ranvier.services.progress import Progress
from ranvier.store import Store


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
        recording = linked.recording
        planned = plan(nodes, recording, linked.channels, zero_phase=zero_phase, events=lambda: stream_events(linked))
        header = make_header(
            recording,
            planned.chain,
            sources=[source_record(linked)],
            extra=linked.session.extra,
            start=planned.start,
            columns=planned.columns,
        )
        record = dict(header.provenance or {})
        record["stages"] = [*planned.slices, *record.get("stages", [])]
        record["file_type"] = known.file_type.name
        header = replace(header, channels=header.channels if planned.chain else planned.channels, provenance=record)
        header = replace(header, options=options or header.options)
        sink_type = known.sink
        if sink_type is None:
            raise OutputError(f"{known.name} files cannot be written")
        refuse_own_source(linked.format, linked.canonical, destination, known)
        label = ", ".join(node.type.name.lower() for node in nodes) or f"converting to {known.name}"

        def work(job: JobContext) -> list[Path]:
            events, ratio = stream_events(linked), recording.fs / header.fs
            if lost := edges_lost_at(events.between(planned.start, planned.stop), ratio):
                record["notes"] = [*record.get("notes", []), f"{lost} edges of digital lines lie between kept samples"]
            with sink_type(destination, header, force=force) as sink:
                for name, trains in linked.session.spike_trains.items():
                    inside = trains.counted_at(recording.fs).between(planned.start, planned.stop)
                    try:
                        sink.write_spike_trains(name, inside.at_rate(ratio, header.start))
                    except CapabilityError as error:  # the format has no place for spikes; say so in the record
                        record["notes"] = [*record.get("notes", []), f"left out: {error}"]
                run(
                    recording,
                    planned.chain,
                    sink,
                    start=planned.start,
                    stop=planned.stop,
                    columns=planned.columns,
                    events=events,
                    progress=job.progress,
                    cancelled=job.cancelled,
                )
                return sink.final_paths()

        paths = self._jobs.run(
            "curate", f"{linked.base_name}: {label}", work, outputs=[str(destination)], progress=progress
        )
        self._store.provenance.put(paths[0], record)
        return paths


def source_record(linked: Linked) -> dict[str, Any]:
    """Return what provenance says about the source of an output."""
    files = [f for f in linked.format.files(linked.canonical) if f.exists()]
    return {
        "path": str(linked.canonical),
        "stream": linked.stream,
        "format": linked.format.name,
        "uid": linked.id,
        "bytes": sum(f.stat().st_size for f in files),
        "samples": [linked.recording.start, linked.recording.stop],
        "provenance": linked.session.provenance,
    }
