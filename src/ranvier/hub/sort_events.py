"""Sorts of ``.spikes`` files: spikes that were detected before get units, by the waveforms that are there of them."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import CapabilityError, ConfigurationError, DataProcessingError
from ranvier.hub.budget import Need
from ranvier.hub.curation import source_record
from ranvier.hub.datasets import Datasets
from ranvier.hub.job import JobContext
from ranvier.hub.linked import Linked
from ranvier.hub.sidecars import holds_spikes
from ranvier.hub.sort_plan import Target, check_seed, check_targets, output_of
from ranvier.hub.sort_state import SortState
from ranvier.models.sorting import SortOptions
from ranvier.models.spikesorter import SpikeSorterLaunchParams, SpikeSorterPhase, SpikeSorterSubCommand
from ranvier.recordings.provenance import new_record
from ranvier.sorting.event_units import EventUnits, learn_events
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.requested import requested
from ranvier.sorting.reservoir import thin_indices
from ranvier.spikes.columns import FLAG_ARTIFACT, KNOWN, SNIPPETS, Columns
from ranvier.spikes.info import StoreInfo, UnitRecord
from ranvier.spikes.store import SpikeStore
from ranvier.spikes.waveforms import WaveformReader
from ranvier.spikes.writer import SpikeWriter

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

EVENT_SORTER = "ranvier detected spikes"
#: Spikes whose waveforms are held at once.
_AT_A_TIME = 1 << 16
_MEMORY_BYTES = 512 << 20


@dataclass(frozen=True, eq=False)
class EventsPlan:
    """A sort of detected spikes that can begin.

    Attributes
    ----------
    targets
        The file of spikes and the one that is written.
    recording
        In which the spikes were found, where their waveforms must be read from it; else None.
    """

    targets: tuple[Target, ...]
    recording: Linked | None
    parameters: SorterParameters
    launch: SpikeSorterLaunchParams
    seed: int
    force: bool
    notes: tuple[str, ...] = field(default=())
    need = Need(_MEMORY_BYTES, 1)

    @property
    def source(self) -> Linked:
        """The file of spikes."""
        return self.targets[0].linked

    def check_outputs(self) -> None:
        """Raise OutputExistsError or OutputError as :meth:`ranvier.hub.sort_plan.SortPlan.check_outputs`."""
        check_targets(self.targets, self.force)


def plan_events(
    datasets: Datasets, dataset_ids: Sequence[str], launch: SpikeSorterLaunchParams, options: SortOptions
) -> EventsPlan:
    """Look a sort of detected spikes through; raises what ``HubSorters.launch`` raises."""
    linked = [datasets.linked(i) for i in dict.fromkeys(dataset_ids)]
    if len(linked) > 1:
        raise CapabilityError(
            "files of spikes are sorted one by one: what two of them call a site need not be the same"
        )
    if launch.sub_cmd == SpikeSorterSubCommand.DETECT_ONLY:
        raise ConfigurationError("these spikes are detected already; DETECT_ONLY is for recordings")
    if options.channels is not None or (options.time_range is not None and not options.time_range.is_full()):
        raise CapabilityError("detected spikes are sorted as a whole; a range or some channels: sort the recording")
    (one,) = linked
    with SpikeStore.open(one.canonical) as store:
        info, count = store.info, len(store)
    if not count:
        raise DataProcessingError(f"{one.base_name} holds no spikes")
    recording = datasets.parent_of(one) if info.waveforms == "recording" else None
    if info.waveforms == "none" or (info.waveforms == "recording" and recording is None):
        raise CapabilityError(
            f"{one.base_name} has no waveforms: they were not stored with the spikes, and "
            + ("nothing tells of a recording" if info.waveforms == "none" else "its recording is not linked; link it")
        )
    path = output_of(one, launch, options, 1, datasets, default=f"{one.base_name}.sorted")
    if path.exists() and path.samefile(one.canonical):
        raise ConfigurationError(f"{path} is what is sorted; name another output")
    plan = EventsPlan(
        targets=(Target(one, path, info.start, info.stop, 0),),
        recording=recording,
        parameters=requested(launch.clusterer_params, launch.feature_params),
        launch=launch,
        seed=secrets.randbits(31) if launch.seed is None else check_seed(launch.seed),
        force=options.force,
    )
    plan.check_outputs()
    return plan


class EventsRun(SortState):
    """A run of a plan; :meth:`work` is the job's work."""

    def __init__(self, plan: EventsPlan) -> None:
        super().__init__(plan.notes)
        self.plan = plan

    def work(self, job: JobContext) -> list[Path]:
        """Learn, label, write, and return the file."""
        plan = self.plan
        with SpikeStore.open(plan.source.canonical) as store, ExitStack() as stack:
            writer = SpikeWriter(plan.targets[0].path, store.info, force=plan.force)
            stack.callback(writer.abort)
            job.add_staged(writer.token)
            units = self._learn(store, job)
            if not len(units):
                self.notes.append("no units were found: no site has enough spikes that are alike")
            self._label(store, units, writer, job)
            job.check()
            writer.close(self._info(store.info))
        job.add_output(writer.path)
        self._at(job, SpikeSorterPhase.COMPLETE, 1.0, 1.0)
        return [writer.path]

    def _learn(self, store: SpikeStore, job: JobContext) -> EventUnits:
        """Return what the clearest spikes of each site teach."""
        plan = self.plan
        self._at(job, SpikeSorterPhase.TRAINING, 0.0, 0.0)
        parts = list(store.walk(columns=("sample_index", "site", "flags")))
        samples, sites, flags = (np.concatenate([p[name] for p in parts]) for name in ("sample_index", "site", "flags"))
        clean = np.flatnonzero((flags & FLAG_ARTIFACT == 0) & (sites >= 0))
        numbers, rows = np.unique(sites[clean], return_inverse=True)
        kept = clean[thin_indices(rows.astype(np.int32), plan.parameters.most_events(len(numbers)), len(numbers))]
        wanted = np.zeros(len(samples), np.bool_)
        wanted[kept] = True
        at, found = 0, []
        for columns in self._walk(store):
            job.check()
            n = len(columns["sample_index"])
            own = np.flatnonzero(wanted[at : at + n])
            found.append(self._waveforms(store.info, columns, own))
            at += n
            self._at(job, SpikeSorterPhase.TRAINING, 0.5 * at / len(samples), 0.25 * at / len(samples))
        order = np.argsort(samples[kept], kind="stable")
        return learn_events(
            samples[kept][order],
            sites[kept][order].astype(np.int32),
            np.concatenate(found)[order],
            {s.ntv: s.noise_sd_uv for s in store.info.sites if s.noise_sd_uv is not None},
            store.info.before,
            float(store.info.fs),
            plan.parameters,
            seed=plan.seed,
            report=lambda done: self._at(job, SpikeSorterPhase.TRAINING, 0.5 + done / 2, 0.25 + done / 4),
            check=job.check,
        )

    def _label(self, store: SpikeStore, units: EventUnits, writer: SpikeWriter, job: JobContext) -> None:
        """Write every spike with its label."""
        info, done, total = store.info, 0, len(store)
        sums: dict[int, list[float]] = {}
        for columns in self._walk(store):
            job.check()
            every = np.arange(len(columns["sample_index"]))
            waveforms = self._waveforms(info, columns, every)
            label = units.label(np.asarray(columns["site"], np.int32), waveforms)
            label[columns["flags"] & FLAG_ARTIFACT != 0] = 0
            writer.append(**{**columns, "unit": label})
            for unit in np.unique(label[label > 0]):
                own = label == unit
                size = np.abs(columns["amplitude_uv"][own].astype(np.float64)).sum()
                held = sums.setdefault(int(unit), [0.0, 0.0, float(columns["site"][own][0])])
                held[0], held[1] = held[0] + size, held[1] + np.count_nonzero(own)
            done += len(every)
            self._at(job, SpikeSorterPhase.SORTING, done / total, 0.5 + 0.45 * done / total)
        places = {site.ntv: site for site in info.sites}
        records = []
        for unit, (size, count, ntv) in sorted(sums.items()):
            site = places.get(int(ntv))
            noise = None if site is None else site.noise_sd_uv
            records.append(
                UnitRecord(
                    unit,
                    site=int(ntv),
                    x_um=None if site is None else site.x_um,
                    y_um=None if site is None else site.y_um,
                    z_um=None if site is None else site.z_um,
                    snr=size / count / noise if noise else None,
                    mean_abs_peak_uv=size / count,
                )
            )
        writer.set_units(records)

    def _walk(self, store: SpikeStore) -> Iterator[Columns]:
        """Yield the columns of all spikes, snippets where they are stored."""
        stored = (SNIPPETS,) if store.info.waveforms == "stored" else ()
        return store.walk(columns=(*KNOWN, *stored), at_most=_AT_A_TIME)

    def _waveforms(self, info: StoreInfo, columns: Columns, rows: I64) -> F32:
        """Return the waveforms of some spikes of a piece, ``(spikes, points)``; several sites one behind the other."""
        if SNIPPETS in columns:
            return np.asarray(columns[SNIPPETS][rows], np.float32).reshape(len(rows), -1)
        linked = self.plan.recording
        if linked is None:
            raise DataProcessingError(f"{self.plan.source.base_name}: its recording is not linked any more")
        samples, ntv = columns["sample_index"][rows], columns["site"][rows]
        if not len(rows):
            return np.empty((0, info.before + info.after), np.float32)
        order = np.argsort(samples, kind="stable")
        found = np.empty((len(rows), info.before + info.after), np.float32)
        found[order] = WaveformReader(linked.recording, info).read_own(samples[order], ntv[order])
        return found

    def _info(self, info: StoreInfo) -> StoreInfo:
        plan = self.plan
        launch = plan.launch.model_dump(mode="json", exclude_none=True)
        asked: dict[str, Any] = {k: launch[k] for k in ("clusterer_params", "feature_params") if k in launch}
        parameters: dict[str, Any] = {**asdict(plan.parameters), "seed": plan.seed, **asked}
        record = new_record(
            sources=[source_record(plan.source)],
            stages=[*info.filters, {"kind": "spike_sort", "parameters": parameters}],
            simulated=info.simulated,
            seed=plan.seed,
            notes=tuple(self.notes),
        )
        return replace(
            info,
            sorter=EVENT_SORTER,
            parameters=parameters,
            seed=plan.seed,
            provenance={**record, "file_type": "SPIKES"},
            uid=uuid.uuid4().hex,
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def are_events(datasets: Datasets, dataset_ids: Sequence[str]) -> bool:
    """Return whether the first of some datasets is a file of spikes."""
    first = next(iter(dataset_ids), None)
    return first is not None and holds_spikes(datasets.linked(first))
