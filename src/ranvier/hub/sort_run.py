"""One run of a sort inside a job: phases, memory, and the files, which are there whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.exceptions import OutputError, RadiensError
from ranvier.hub.budget import Need
from ranvier.hub.job import JobContext
from ranvier.hub.sort_plan import SortPlan, SortView, Target
from ranvier.hub.sort_state import SortState
from ranvier.models.spikesorter import SpikeSorterPhase
from ranvier.recordings.provenance import new_record
from ranvier.sorting.detecting import detect_recording
from ranvier.sorting.geometry import geometry_of
from ranvier.sorting.offline import SortedUnits, phase_end, sort_recording
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.requested import finder_settings
from ranvier.sorting.spike_table import SpikeTable
from ranvier.sorting.stored import event_columns, site_records, write_units
from ranvier.sorting.suitable import suitable
from ranvier.spikes.info import RecordingIdentity, SiteRecord, StoreInfo
from ranvier.spikes.writer import SpikeWriter

#: Threads that a sort keeps busy, at least.
WORKERS = 2
#: Copies of a block that a worker holds, about: read, filtered, whitened, residuals.
_COPIES = 10
#: Bytes per site of what is learned from: spikes in components, noise, templates.
_SITE_BYTES = 2 << 20
_BASE_BYTES = 64 << 20
#: Blocks do not get shorter.
_SHORTEST_BLOCK_SEC = 0.1
#: Share of the whole that sorting is; the rest is writing.
_SORTING_SHARE = 0.97

Sites = tuple[SiteRecord, ...]

SORTER, DETECTOR = "ranvier", "ranvier threshold events"


def need_of(plan: SortPlan) -> Need:
    """Return what a sort takes of the budget."""
    return Need(_fixed(plan) + WORKERS * _per_worker(plan, plan.parameters.block_sec), WORKERS)


def fitted(plan: SortPlan, granted: Need) -> tuple[SorterParameters, int, str]:
    """Return parameters and workers that fit into what was granted, and what had to give, in words.

    Fewer workers first (the result stays), then shorter blocks.
    """
    parameters, workers = plan.parameters, max(1, granted.workers)
    left = granted.memory_bytes - _fixed(plan)
    while workers > 1 and workers * _per_worker(plan, parameters.block_sec) > left:
        workers -= 1
    block_sec = parameters.block_sec
    while block_sec / 2 >= _SHORTEST_BLOCK_SEC and _per_worker(plan, block_sec) > left:
        block_sec /= 2
    if block_sec == parameters.block_sec:
        return parameters, workers, ""
    note = (
        f"blocks of {block_sec:g} s instead of {parameters.block_sec:g} s: the memory of jobs is limited to "
        f"{granted.memory_bytes / 2**20:.0f} MB (set_job_settings)"
    )
    return replace(parameters, block_sec=block_sec), workers, note


class SortRun(SortState):
    """A run of a plan; :meth:`work` is the job's work."""

    def __init__(self, plan: SortPlan) -> None:
        super().__init__(plan.notes, plan.stop - plan.start)
        self.plan = plan

    def work(self, job: JobContext) -> list[Path]:
        """Sort, write, and return the files; raises what ``HubSorters.sort`` raises."""
        plan = self.plan
        parameters, workers, note = fitted(plan, job.granted)
        plan = replace(plan, parameters=parameters)
        if note:
            self.notes.append(note)
        with _writers(plan, job) as writers:
            self._at(job, SpikeSorterPhase.DETECTING, 0.0, 0.0)
            plan = self._usable(plan, job)
            view = plan.view(plan.columns)
            if plan.detects_only:
                sites = self._detect(plan, view, job, writers)
            else:
                sites = self._sort(plan, view, job, writers, workers)
            job.check()
            _finish(plan, view, writers, sites, tuple(self.notes))
        for writer in writers:
            job.add_output(writer.path)
        self._at(job, SpikeSorterPhase.COMPLETE, 1.0, 1.0)
        return [writer.path for writer in writers]

    def _usable(self, plan: SortPlan, job: JobContext) -> SortPlan:
        """Return the plan without channels that cannot be sorted."""
        view = plan.view(plan.columns)
        usable = suitable(view.signal, view.behind, view.columns, plan.start, plan.stop, job.check)
        self.notes += usable.notes
        return replace(plan, columns=plan.columns[np.isin(view.columns, usable.columns)])

    def _sort(self, plan: SortPlan, view: SortView, job: JobContext, writers: list[SpikeWriter], workers: int) -> Sites:
        begun, before = SpikeSorterPhase.DETECTING, 0.0

        def report(phase: SpikeSorterPhase, whole: float) -> None:
            nonlocal begun, before
            if phase != begun:
                begun, before = phase, whole
            left = phase_end(phase) - before
            self._at(job, phase, min(1.0, (whole - before) / left) if left > 0 else 1.0, _SORTING_SHARE * whole)

        found = sort_recording(
            view.signal,
            plan.parameters,
            columns=view.columns,
            start=plan.start,
            stop=plan.stop,
            seed=plan.seed,
            workers=workers,
            progress=report,
            cancelled=job.cancelled,
        )
        if not len(found):
            self.notes.append("no units were found: nothing in the recording can be told from noise")
        if found.blanked:
            left_out_ms = 1000 * found.blanked / float(view.signal.fs)
            self.notes.append(
                f"{left_out_ms:.1f} ms around artifacts (beyond {plan.parameters.artifact_uv / 1000:g} mV behind the "
                f"filters, or on most sites at once) were left out: no spikes are looked for there"
            )
        for number, (writer, target) in enumerate(zip(writers, plan.targets, strict=True)):
            done = number / len(writers)
            self._at(job, SpikeSorterPhase.FINALIZING, done, _SORTING_SHARE + (1 - _SORTING_SHARE) * done)
            write_units(writer, found, view.channels, _rows(found, target), target.shift, job.check)
        return site_records(
            view.channels,
            view.columns,
            geometry_of(view.channels, view.columns),
            plan.parameters.neighbor_radius_um,
            found.noise_uv,
        )

    def _detect(self, plan: SortPlan, view: SortView, job: JobContext, writers: list[SpikeWriter]) -> Sites:
        ntv = np.array(plan.ntv, np.int32)
        settings = finder_settings(
            plan.detect,
            view.channels,
            view.columns,
            float(view.signal.fs),
            radius_um=plan.event_radius_um,
            most=plan.event_neighbors,
            discover_noise=plan.launch.discover_noise,
        )

        def keep(table: SpikeTable) -> None:
            columns = event_columns(table, ntv)
            for writer, target in zip(writers, plan.targets, strict=True):
                inside = (table.counter >= target.start) & (table.counter < target.stop)
                if inside.any():
                    mine = {name: column[inside] for name, column in columns.items()}
                    writer.append(**{**mine, "sample_index": mine["sample_index"] + target.shift})

        finder = detect_recording(
            view.behind,
            view.columns,
            settings,
            keep,
            start=plan.start,
            stop=plan.stop,
            progress=lambda done: self._at(job, SpikeSorterPhase.DETECTING, done, _SORTING_SHARE * done),
            check=job.check,
        )
        self._at(job, SpikeSorterPhase.FINALIZING, 0.0, _SORTING_SHARE)
        low, high = finder.thresholds()
        known = site_records(
            view.channels,
            view.columns,
            geometry_of(view.channels, view.columns),
            plan.event_radius_um,
            finder.noise.sd_uv,
        )
        return tuple(
            replace(site, neg_threshold_uv=_finite(low[k]), pos_threshold_uv=_finite(high[k]))
            for k, site in enumerate(known)
        )


@contextmanager
def _writers(plan: SortPlan, job: JobContext) -> Iterator[list[SpikeWriter]]:
    """Open a file per recording: claimed from now on, and gone where the body fails."""
    with ExitStack() as stack:
        made: list[SpikeWriter] = []
        for target in plan.targets:
            info = StoreInfo(plan.recording.fs, seed=plan.seed)
            writer = SpikeWriter(target.path, info, force=plan.force)
            stack.callback(writer.abort)
            job.add_staged(writer.token)
            made.append(writer)
        yield made


def _finish(plan: SortPlan, view: SortView, writers: list[SpikeWriter], sites: Sites, notes: tuple[str, ...]) -> None:
    """Finish all files; where one cannot be, those of this run that replaced nothing are taken back."""
    fresh = [writer.path for writer in writers if not writer.path.exists()]
    record = new_record(
        sources=plan.sources(),
        stages=[*view.filters, plan.stage()],
        simulated=plan.recording.simulated,
        seed=plan.seed,
        notes=notes,
    )
    try:
        for writer, target in zip(writers, plan.targets, strict=True):
            writer.close(_info(plan, view, target, sites, record))
    except RadiensError:
        for path in fresh:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(f"{path} is not of a whole sort and could not be removed: {error}") from error
        raise


def _info(plan: SortPlan, view: SortView, target: Target, sites: Sites, record: dict[str, Any]) -> StoreInfo:
    linked, p = target.linked, plan.parameters
    rate = float(plan.recording.fs)
    growing = linked.recording.is_being_written()
    files = [] if growing else linked.format.files(linked.canonical)
    identity = RecordingIdentity.of(
        linked.recording, files, name=linked.base_name, stream=linked.stream, dataset_id=linked.id
    )
    first, last = max(plan.start, target.start), min(plan.stop, target.stop)
    return StoreInfo(
        plan.recording.fs,
        start=first + target.shift,
        stop=last + target.shift,
        recording=identity,
        sites=sites,
        sorter=DETECTOR if plan.detects_only else SORTER,
        parameters=plan.stage()["parameters"],
        seed=plan.seed,
        filters=view.filters,
        before=max(1, round(p.before_ms * 1e-3 * rate)),
        after=max(1, round(p.after_ms * 1e-3 * rate)) + 1,
        neighbor_radius_um=plan.event_radius_um if plan.detects_only else p.neighbor_radius_um,
        simulated=plan.recording.simulated,
        provenance={**record, "file_type": "SPIKES"},
    )


def _rows(found: SortedUnits, target: Target) -> slice:
    low, high = np.searchsorted(found.sample_index, [target.start, target.stop])
    return slice(int(low), int(high))


def _finite(value: np.floating[Any]) -> float | None:
    return float(value) if np.isfinite(value) else None


def _per_worker(plan: SortPlan, block_sec: float) -> int:
    width = len(plan.recording.channels) + len(plan.columns)
    return int(_COPIES * (block_sec + 0.2) * float(plan.recording.fs) * width / 2 * 4)


def _fixed(plan: SortPlan) -> int:
    return _BASE_BYTES + _SITE_BYTES * len(plan.columns)
