"""Simulated recordings, written and linked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ranvier.curation.executor import make_header, run
from ranvier.curation.executors import left_out
from ranvier.curation.output import resolve_output
from ranvier.exceptions import CapabilityError
from ranvier.hub.curation import RUN_WORKERS, repeat_request
from ranvier.hub.datasets import Datasets
from ranvier.hub.jobs import JobContext, JobManager, Need
from ranvier.models.dataset import DatasetMetadata
from ranvier.models.simulation import SimulationSpec
from ranvier.recordings import Format
from ranvier.services.progress import Progress
from ranvier.simulation import SimulatedRecording


class Simulation:
    """Service ``HubSimulation``: recordings made from a seed, always marked as simulated."""

    def __init__(self, datasets: Datasets, jobs: JobManager) -> None:
        self._datasets = datasets
        self._jobs = jobs

    def simulate(
        self, spec: SimulationSpec, output: Path, *, force: bool = False, progress: Progress | None = None
    ) -> DatasetMetadata:
        """Write a simulated recording with its ground truth and link it; see the Protocol."""
        destination, known = resolve_output(output)
        return self._datasets.link(self.write(spec, marked(destination), known, force=force, progress=progress))

    def write(
        self,
        spec: SimulationSpec,
        destination: Path,
        known: Format,
        *,
        force: bool = False,
        progress: Progress | None = None,
    ) -> Path:
        """Write a simulated recording to ``dir/base``; return the path to link."""
        sink_type = known.sink
        if sink_type is None:
            raise CapabilityError(f"{known.name} files cannot be written")
        recording = SimulatedRecording(spec)
        header = make_header(recording, None, sources=[], seed=spec.seed)
        record = dict(header.provenance or {}) | {
            "file_type": known.file_type.name,
            "simulation": spec.model_dump(mode="json"),
        }
        header = replace(header, provenance=record)

        def work(job: JobContext) -> Path:
            with sink_type(destination, header, force=force) as sink:
                job.add_staged(sink.staged.token)
                if notes := left_out(sink, "ground_truth", recording.ground_truth()):
                    record["notes"] = [*record.get("notes", []), *notes]
                run(
                    recording,
                    None,
                    sink,
                    workers=job.granted.workers,
                    events=recording.events(),
                    progress=job.progress,
                    cancelled=job.cancelled,
                )
                return sink.final_paths()[0]

        return self._jobs.run(
            "simulate",
            f"simulating {destination.name}",
            work,
            outputs=[str(destination)],
            need=Need(workers=RUN_WORKERS),
            request=repeat_request(record, destination, known, force),
            progress=progress,
        )


def marked(destination: Path) -> Path:
    """Return the destination with SIMULATED in its name."""
    if "simulated" in destination.name.lower():
        return destination
    return destination.with_name(f"{destination.name}_SIMULATED")
