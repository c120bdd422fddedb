"""``radiens.lib.summa``: statistics over the datasets of a session."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from ranvier.classic.utils.enums import MetricID
from ranvier.classic.utils.util import Histogram


@dataclass
class SummaStatus:
    """How an analysis stands: complete or not, 0 to 1, seconds per packet."""

    id: str
    is_complete: bool
    frac_complete: float
    packet_dur_sec: float

    def string(self) -> str:
        """Return it as one line."""
        state = "complete" if self.is_complete else f"{self.frac_complete:.0%} complete"
        return f"summa session {self.id}: {state}, packets of {self.packet_dur_sec:g} sec"


@dataclass
class SummaAggregateStats:
    """Statistics over all datasets of a session."""

    histogram: OrderedDict[MetricID, Histogram] = field(default_factory=OrderedDict)

    @property
    def metric_ids(self) -> list[MetricID]:
        """The metrics."""
        return list(self.histogram)


@dataclass
class SummaDatasourceStats:
    """Statistics of one dataset: a histogram per metric."""

    metric_ids: list[MetricID] = field(default_factory=list)
    histogram: list[Histogram] = field(default_factory=list)


@dataclass
class SummaAnalysis:
    """Statistics of a session.

    Attributes
    ----------
    all_dsource_info
        By id, of datasets that are linked: ``{'SG': ChannelMetadata, 'TR': TimeRange}``.
    """

    id: str
    status: SummaStatus
    all_dsource_info: dict[str, dict[str, Any]] = field(default_factory=dict)
    aggregate_stats: SummaAggregateStats = field(default_factory=SummaAggregateStats)
    datasource_stats: dict[str, SummaDatasourceStats] = field(default_factory=dict)
