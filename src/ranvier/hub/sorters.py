"""Spike sorters of linked recordings."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from ranvier.exceptions import ConfigurationError, DatasetError, RadiensError
from ranvier.hub.datasets import Datasets
from ranvier.hub.detect_settings import DetectSettings
from ranvier.hub.dsp import DspGroups
from ranvier.hub.job import Job, JobContext
from ranvier.hub.jobs import JobManager
from ranvier.hub.linked import Linked
from ranvier.hub.sidecars import holds_spikes
from ranvier.hub.sort_events import EventsPlan, are_events, plan_events
from ranvier.hub.sort_plan import plan_sort
from ranvier.hub.sort_run import need_of
from ranvier.hub.sorted_board import board_of_events, board_of_file, board_of_plan
from ranvier.hub.sorted_stats import neuron_stats, planned_sites, site_stats
from ranvier.hub.sorter import Ids, Plan, Sorter, StallWatch, off_state, run_of
from ranvier.hub.spike_sets import SpikeSets
from ranvier.models.dataset import RadiensFileType
from ranvier.models.sorter_stats import SorterNeuronStats
from ranvier.models.sorting import SortOptions
from ranvier.models.spikesorter import (
    DashElement,
    SpikeDetectParams,
    SpikeSorterClustererParams,
    SpikeSorterCommand,
    SpikeSorterDashboard,
    SpikeSorterFeatureParams,
    SpikeSorterLaunchParams,
    SpikeSorterLaunchResult,
    SpikeSorterPhase,
    SpikeSorterState,
    SpikeSorterSubCommand,
)
from ranvier.services.progress import Progress
from ranvier.sorting.port_stats import port_stats
from ranvier.spikes.writer import SUFFIX
from ranvier.store import Store
from ranvier.store.data import real_path
from ranvier.store.datasets import dataset_id as id_of

_OF_SITES = {DashElement.SITE_STATS, DashElement.SITE_PANEL, DashElement.PORT_STATS}
_OF_NEURONS = {DashElement.NEURON_STATS, DashElement.NEURON_PANEL, DashElement.PORT_STATS}


class Sorters:
    """Service ``HubSorters``."""

    def __init__(self, datasets: Datasets, dsp: DspGroups, jobs: JobManager, store: Store, sets: SpikeSets) -> None:
        self._datasets, self._dsp, self._jobs, self._sets = datasets, dsp, jobs, sets
        self._detect = DetectSettings(store)
        self._sorters: dict[str, Sorter] = {}
        self._lock = threading.RLock()

    # --- beginning ------------------------------------------------------------------------------------------------

    def launch(
        self, dataset_ids: Sequence[str], params: SpikeSorterLaunchParams, options: SortOptions | None = None
    ) -> SpikeSorterLaunchResult:
        """Make a sorter; see the Protocol."""
        sorter = self._made(dataset_ids, params, options or SortOptions())
        if params.is_auto_on:
            self._begin(sorter)
        return SpikeSorterLaunchResult(
            spike_sorter_id=sorter.id, sorter_type=sorter.type, msg="; ".join(sorter.run.notes)
        )

    def sort(
        self,
        dataset_ids: Sequence[str],
        params: SpikeSorterLaunchParams,
        options: SortOptions | None = None,
        *,
        stall_sec: float = 120.0,
        progress: Progress | None = None,
    ) -> Ids:
        """Launch and wait; see the Protocol."""
        if not stall_sec > 0:
            raise ConfigurationError(f"stall_sec={stall_sec}: how long to wait without progress, in seconds")
        sorter = self._made(dataset_ids, params, options or SortOptions())
        job = self._begin(sorter)
        watch = StallWatch(job, stall_sec, progress)
        try:
            return job.result(watch)
        except BaseException:
            sorter.end()
            self._forget(sorter)
            raise

    def command(
        self,
        sorter_id: str,
        command: SpikeSorterCommand,
        *,
        sub_command: SpikeSorterSubCommand = SpikeSorterSubCommand.NULL,
        clusterer: SpikeSorterClustererParams | None = None,
        features: SpikeSorterFeatureParams | None = None,
        neighbor_radius_um: float | None = None,
        max_num_site_neighbors: int | None = None,
    ) -> None:
        """Begin, end, or begin anew; see the Protocol."""
        sorter = self._mine(sorter_id)
        with sorter.lock:
            if command == SpikeSorterCommand.OFF:
                sorter.end()
                self._forget(sorter)
                return
            if command == SpikeSorterCommand.ON and sorter.is_on:
                return
            changed = {
                "clusterer_params": clusterer,
                "feature_params": features,
                "neighbor_radius_um": neighbor_radius_um,
                "max_num_site_neighbors": max_num_site_neighbors,
                "sub_cmd": sub_command if sub_command != SpikeSorterSubCommand.NULL else None,
            }
            fresh = command == SpikeSorterCommand.INIT
            keeps = command == SpikeSorterCommand.CLEAR_SORT
            given = {} if keeps else {name: value for name, value in changed.items() if value is not None}
            params = (sorter.launched if fresh else sorter.params).model_copy(update=given)
            plan = self._plan(sorter.dataset_ids, params, sorter.options, {} if fresh else None)
            if not fresh:
                plan.check_outputs()  # what is refused leaves the sorter as it was
            sorter.end()
            if fresh:
                self._detect.forget(sorter.dataset_ids[0])
            sorter.params, sorter.plan, sorter.run, sorter.job = params, plan, run_of(plan), None
            if not fresh:
                self._begin(sorter)

    def delete(self, sorter_id: str) -> None:
        """Forget a sorter; see the Protocol."""
        with self._lock:
            sorter = self._sorters.get(sorter_id)
        if sorter is not None:
            with sorter.lock:
                sorter.end()
                self._forget(sorter)

    # --- what is --------------------------------------------------------------------------------------------------

    def ids(self, dataset_id: str) -> Ids:
        """Return the ids of a dataset's sorters; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        written = [i for i in self._datasets.link_spikes(linked) if self._is_sorted(i)]
        with self._lock:
            mine = [s.id for s in self._sorters.values() if linked.id in s.dataset_ids]
        return list(dict.fromkeys([*mine, *written]))

    def state(self, sorter_id: str) -> SpikeSorterState:
        """Return phase and fraction; see the Protocol."""
        with self._lock:
            sorter = self._sorters.get(sorter_id)
        if sorter is None:
            linked = self._written(sorter_id)
            said = "; ".join(map(str, (linked.session.provenance or {}).get("notes", ())))
            return off_state(SpikeSorterPhase.COMPLETE, 1.0, msg=str(linked.canonical), warn_msg=said)
        return sorter.state()

    def dashboard(self, sorter_id: str, elements: Sequence[DashElement]) -> SpikeSorterDashboard:
        """Return the elements that are asked for; see the Protocol."""
        state = self.state(sorter_id)
        with self._lock:
            sorter = self._sorters.get(sorter_id)
        wanted = set(elements)
        neurons: list[SorterNeuronStats] = []
        if sorter is not None and state.phase != SpikeSorterPhase.COMPLETE:
            plan = sorter.plan
            if isinstance(plan, EventsPlan):
                ports, general = board_of_events(plan, sorter.id, state)
                sites = site_stats(self._sets.get(plan.source.id)) if wanted & _OF_SITES else []
            else:
                ports, general = board_of_plan(plan, sorter.id, state)
                sites = planned_sites(plan.recording.channels, list(plan.ntv))
        else:
            linked = self._written(sorter_id)
            owner = self._datasets.parent_of(linked) or linked
            spikes = self._sets.get(owner.id, linked.id)
            ports, general = board_of_file(spikes, state)
            sites = site_stats(spikes, labels=DashElement.SITE_PANEL in wanted) if wanted & _OF_SITES else []
            if wanted & _OF_NEURONS:
                known = self._sets.units(spikes)
                neurons = neuron_stats(spikes, known, templates=DashElement.NEURON_PANEL in wanted)
        return SpikeSorterDashboard(
            enabled_ports=ports if DashElement.ENABLED_PORTS in wanted else [],
            general=general if DashElement.GENERAL in wanted else None,
            ports=port_stats(sites, neurons) if DashElement.PORT_STATS in wanted else [],
            sites=sites if wanted & (_OF_SITES - {DashElement.PORT_STATS}) else [],
            neurons=neurons if wanted & (_OF_NEURONS - {DashElement.PORT_STATS}) else [],
        )

    def params(self, sorter_id: str) -> list[SpikeDetectParams]:
        """Return how events are detected; see the Protocol."""
        return self._detect.with_changes(self._dataset(sorter_id), [SpikeDetectParams()])

    def set_params(self, sorter_id: str, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        """Change how events are detected; see the Protocol."""
        linked = self._dataset(sorter_id)
        with self._lock:
            return self._detect.change(linked, changes)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _made(self, dataset_ids: Sequence[str], params: SpikeSorterLaunchParams, options: SortOptions) -> Sorter:
        plan = self._plan(dataset_ids, params, options)
        path = plan.targets[0].path
        name = path.name.removesuffix(SUFFIX)
        sorter_id = id_of(name, real_path(path), RadiensFileType.SPIKES)
        ids = tuple(target.linked.id for target in plan.targets)
        sorter = Sorter(sorter_id, ids, params, params, options, plan, run_of(plan))
        with self._lock:
            old = self._sorters.get(sorter_id)
            if old is not None and old.is_on:
                raise ConfigurationError(
                    f"a sorter of {path.name} is at work already ({sorter_id}); wait, cancel it (spike_sorter_cancel), "
                    f"or name another output"
                )
            self._sorters[sorter_id] = sorter
        return sorter

    def _plan(
        self,
        dataset_ids: Sequence[str],
        params: SpikeSorterLaunchParams,
        options: SortOptions,
        detect: dict[int, SpikeDetectParams] | None = None,
    ) -> Plan:
        if are_events(self._datasets, dataset_ids):
            return plan_events(self._datasets, dataset_ids, params, options)
        first = next(iter(dataset_ids), None)
        known = self._detect.kept(first) if detect is None and first is not None else detect or {}
        return plan_sort(self._datasets, self._dsp, dataset_ids, params, options, known)

    def _begin(self, sorter: Sorter) -> Job[Ids]:
        sorter.plan.check_outputs()
        run = sorter.run = run_of(sorter.plan)
        names = ", ".join(target.linked.base_name for target in sorter.plan.targets)

        def work(job: JobContext) -> Ids:
            return [self._datasets.link(path, RadiensFileType.SPIKES).id for path in run.work(job)]

        sorter.job = self._jobs.submit(
            "spike_sort",
            f"sorting {names}",
            work,
            outputs=[target.path for target in sorter.plan.targets],
            need=sorter.plan.need if isinstance(sorter.plan, EventsPlan) else need_of(sorter.plan),
        )
        return sorter.job

    def _forget(self, sorter: Sorter) -> None:
        with self._lock:
            if self._sorters.get(sorter.id) is sorter:
                del self._sorters[sorter.id]

    def _mine(self, sorter_id: str) -> Sorter:
        with self._lock:
            sorter = self._sorters.get(sorter_id)
            known = ", ".join(self._sorters) or "none"
        if sorter is None:
            raise DatasetError(
                f"no sorter {sorter_id!r} is there; known: {known}. spike_sorter_launch makes one; a cancelled one is "
                f"forgotten"
            )
        return sorter

    def _written(self, sorter_id: str) -> Linked:
        """Return the spikes that a sorter has written; DatasetError where the id names none."""
        try:
            linked = self._datasets.linked(sorter_id)
        except (DatasetError, RadiensError) as error:
            self._mine(sorter_id)
            raise DatasetError(f"the spikes of sorter {sorter_id!r} cannot be read: {error}") from error
        if not holds_spikes(linked):
            raise DatasetError(f"{sorter_id!r} is a recording, not a sorter; get_spike_sorter_ids lists its sorters")
        return linked

    def _is_sorted(self, spikes_id: str) -> bool:
        try:
            return holds_spikes(self._datasets.linked(spikes_id))
        except RadiensError:  # spikes within a recording have no dataset of their own
            return False

    def _dataset(self, some_id: str) -> Linked:
        """Return the recording that an id stands for: its own, or that of a sorter or of spikes."""
        with self._lock:
            sorter = self._sorters.get(some_id)
        linked = self._datasets.linked(sorter.dataset_ids[0] if sorter is not None else some_id)
        if holds_spikes(linked):
            owner = self._datasets.parent_of(linked)
            if owner is None:
                raise DatasetError(f"the recording of the spikes {some_id!r} is not linked; link it first")
            return owner
        return linked
