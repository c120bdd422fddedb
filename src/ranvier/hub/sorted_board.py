"""The dashboard of a sort: of what it will do, and of the spikes that it has written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ranvier.hub.sort_events import EVENT_SORTER, EventsPlan
from ranvier.hub.sort_plan import SortPlan
from ranvier.hub.spike_sets import SpikeSet
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.models.spikesorter import SpikeSorterDashboardGeneral, SpikeSorterState, SpikeSorterType
from ranvier.recordings import ChannelTable
from ranvier.spikes.store import SpikeStore

Board = tuple[list[Port], SpikeSorterDashboardGeneral]


def board_of_plan(plan: SortPlan, sorter_id: str, state: SpikeSorterState) -> Board:
    """Return the dashboard of a sort that has written nothing yet."""
    rate = float(plan.recording.fs)
    return _board(
        plan.recording.channels,
        plan.ntv,
        state=state,
        sorter_id=sorter_id,
        dataset_id=plan.targets[0].linked.id,
        time_range=(plan.start / rate, plan.stop / rate),
    )


def board_of_events(plan: EventsPlan, sorter_id: str, state: SpikeSorterState) -> Board:
    """Return the dashboard of a sort of detected spikes that has written nothing yet."""
    with SpikeStore.open(plan.source.canonical) as store:
        info, total = store.info, len(store)
        active = [s for s in store.site_ids() if s >= 0]
    rate = float(info.fs)
    return _board(
        plan.source.channels,
        [site.ntv for site in info.sites],
        state=state,
        sorter_id=sorter_id,
        dataset_id=plan.source.id,
        time_range=(info.start / rate, info.stop / rate),
        active=len(active),
        spikes=total,
        sorter_type=SpikeSorterType.SPIKES_FILE,
    )


def board_of_file(spikes: SpikeSet, state: SpikeSorterState) -> Board:
    """Return the dashboard of spikes, after curation."""
    units, of_events = spikes.chosen(None), spikes.store.info.sorter == EVENT_SORTER
    counts = spikes.store.counts()
    sites = {spikes.store.units[u].site for u in units if counts.get(u)}
    active = [s for s in spikes.store.site_ids() if s >= 0]
    return _board(
        spikes.recording.channels,
        sorted(spikes.sites),
        state=state,
        sorter_id=spikes.id,
        dataset_id=spikes.recording.id,
        time_range=spikes.seconds(*spikes.extent),
        active=len(active),
        neurons=len(units),
        with_neurons=len(sites),
        spikes=len(spikes.store),
        labelled=sum(counts.get(u, 0) for u in units),
        sorter_type=SpikeSorterType.SPIKES_FILE if of_events else SpikeSorterType.VEX_FILE,
    )


def _board(
    channels: ChannelTable,
    ntv: Sequence[int],
    *,
    state: SpikeSorterState,
    sorter_id: str,
    dataset_id: str,
    time_range: tuple[float, float],
    active: int = 0,
    neurons: int = 0,
    with_neurons: int = 0,
    spikes: int = 0,
    labelled: int = 0,
    sorter_type: SpikeSorterType = SpikeSorterType.VEX_FILE,
) -> Board:
    enabled = len(ntv)
    general = SpikeSorterDashboardGeneral(
        state=state,
        sorter_type=sorter_type,
        sorter_id=sorter_id,
        datasource_id=dataset_id,
        time_range=time_range,
        num_total_sites=max(channels.count(SignalType.AMP), enabled),
        num_enabled_sites=enabled,
        num_active_sites=active,
        num_neurons=neurons,
        probe_yield=neurons / enabled if enabled else 0.0,
        site_yield=with_neurons / enabled if enabled else 0.0,
        num_spikes_processed=spikes,
        num_spikes_labeled=labelled,
        sort_efficiency=labelled / spikes if spikes else 0.0,
    )
    return _ports(channels, ntv), general


def _ports(channels: ChannelTable, ntv: Iterable[int]) -> list[Port]:
    wanted = set(ntv)
    return sorted({c.port for c in channels if c.type == SignalType.AMP and c.ntv in wanted and c.port is not None})
