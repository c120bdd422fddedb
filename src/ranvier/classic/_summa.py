"""``VidereClient.summa_*``: metrics of many datasets as histograms."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

from ranvier.classic._errors import ArgumentTypeError
from ranvier.classic._hubs import HubClient
from ranvier.classic.lib import _from_models as convert
from ranvier.classic.lib.channel_metadata import ChannelMetadata
from ranvier.classic.lib.summa import SummaAggregateStats, SummaAnalysis, SummaDatasourceStats, SummaStatus
from ranvier.classic.utils.constants import DEFAULT_HUB_ID
from ranvier.classic.utils.enums import MetricID, MetricMode, MetricName
from ranvier.classic.utils.util import Histogram
from ranvier.exceptions import DatasetError
from ranvier.models.kpi import KpiMetricId
from ranvier.models.summa import SummaHistogram, SummaResult, SummaState
from ranvier.services import Hub

#: What ``summa_id`` None means.
DEFAULT_SUMMA = "default"


class SummaClient(HubClient):
    """Analyses over many datasets. They run in the background and are kept; DatasetError for an unknown id."""

    def summa_list_sessions(self, hub_name: str = DEFAULT_HUB_ID) -> dict[str, dict[str, list[str]]]:
        """Return the analyses that there are: ``{summa_id: {'dsource_ids': [...]}}``."""
        return {state.id: {"dsource_ids": list(state.dataset_ids)} for state in self._on(hub_name).list_summa()}

    def summa_clear_sessions(self, hub_name: str = DEFAULT_HUB_ID) -> None:
        """Forget all analyses; those that run are cancelled."""
        self._on(hub_name).clear_summa()

    def summa_launch_session_analysis(
        self, summa_id: str | None = None, dataset_ids: Sequence[str] | None = None, bin_dur_sec: float = 1.0,
        hub_name: str = DEFAULT_HUB_ID,
    ) -> SummaStatus:  # fmt: skip
        """Begin to analyse datasets (a list of ids) in packets of ``bin_dur_sec``, and return how it stands.

        RMS, noise and peak-to-peak amplitude of the selected amplifier channels. ``summa_id`` None is ``'default'``; an
        earlier analysis of that id is replaced.
        """
        if not isinstance(dataset_ids, list | tuple):
            raise ArgumentTypeError(f"dataset_ids is a list of dataset ids, not {dataset_ids!r}")
        found = self._on(hub_name).launch_summa(
            datasets=dataset_ids, summa_id=summa_id or DEFAULT_SUMMA, packet_dur_sec=bin_dur_sec, wait=False
        )
        return _status(found)

    def summa_session_status(self, summa_id: str | None = None, hub_name: str = DEFAULT_HUB_ID) -> SummaStatus:
        """Return how an analysis stands."""
        return _status(self._on(hub_name).get_summa(summa_id=summa_id or DEFAULT_SUMMA).state)

    def summa_get_session_aggregate_statistics(
        self, summa_id: str | None = None, hub_name: str = DEFAULT_HUB_ID
    ) -> SummaAnalysis:
        """Return the histograms over all datasets, in ``aggregate_stats``; empty before the analysis is complete."""
        found = self._on(hub_name).get_summa(summa_id=summa_id or DEFAULT_SUMMA)
        stats = SummaAggregateStats(OrderedDict((_metric(one.metric), _histogram(one)) for one in found.aggregate))
        return _analysis(self._hub(hub_name), found, aggregate_stats=stats)

    def summa_get_session_datasource_statistics(
        self, summa_id: str | None = None, dataset_ids: Sequence[str] | None = None, hub_name: str = DEFAULT_HUB_ID
    ) -> SummaAnalysis:
        """Return the histograms of datasets (None or an empty list: all), in ``datasource_stats``."""
        found = self._on(hub_name).get_summa(summa_id=summa_id or DEFAULT_SUMMA)
        wanted = list(dataset_ids or found.state.dataset_ids)
        unknown = sorted(set(wanted) - set(found.state.dataset_ids))
        if unknown:
            raise DatasetError(
                f"the analysis {found.state.id!r} is not of {unknown}; it is of {found.state.dataset_ids}"
            )
        stats = {
            source.dataset_id: SummaDatasourceStats(
                [_metric(one.metric) for one in source.histograms], [_histogram(one) for one in source.histograms]
            )
            for source in found.sources
            if source.dataset_id in wanted
        }
        return _analysis(self._hub(hub_name), found, datasource_stats=stats)


def _status(state: SummaState) -> SummaStatus:
    return SummaStatus(state.id, state.is_complete, state.frac_complete, state.packet_dur_sec)


def _analysis(hub: Hub, found: SummaResult, **stats: Any) -> SummaAnalysis:
    return SummaAnalysis(found.state.id, _status(found.state), _info(hub, found.state.dataset_ids), **stats)


def _info(hub: Hub, dataset_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return channels and range of the datasets that are still linked."""
    linked = hub.datasets.list(None)
    return {
        one: {
            "SG": ChannelMetadata(linked[one].channel_metadata),
            "TR": convert.time_range(linked[one].time_range),
        }
        for one in dataset_ids
        if one in linked
    }


def _metric(ours: KpiMetricId) -> MetricID:
    return MetricID(convert.member(MetricMode, ours.mode), convert.member(MetricName, ours.name))


def _histogram(ours: SummaHistogram) -> Histogram:
    """Return a histogram; its ``stats`` are in the order of the enum StatsVector."""
    return Histogram(ours.stats, ours.counts, ours.dividers, len(ours.counts), "counts")
