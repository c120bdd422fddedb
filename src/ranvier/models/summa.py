"""Summa: signal metrics of many datasets as histograms; our own models, an addition to the typed API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ranvier.exceptions import ConfigurationError
from ranvier.models._base import ArrayModel, FloatArray, IntArray, OwnModel
from ranvier.models.kpi import KpiMetric, KpiMetricId, coerce_kpi_metric
from ranvier.models.time_range import TimeRange

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SUMMA_STATISTICS", "SummaDatasource", "SummaHistogram", "SummaResult", "SummaState"]

#: What ``SummaHistogram.stats`` holds, in this order.
SUMMA_STATISTICS = (
    "mean", "sd", "mode", "min", "max", "mode_count", "median", "q25", "q75", "skew", "kurtosis", "n",
)  # fmt: skip


class SummaState(OwnModel):
    """How an analysis stands.

    Attributes
    ----------
    frac_complete
        0 to 1; 1 only where it is complete.
    message
        Why an analysis that is not complete does not run any more; empty otherwise.
    job_id
        Its job; ``cancel_job`` stops it.
    """

    id: str
    is_complete: bool
    frac_complete: float
    packet_dur_sec: float
    dataset_ids: tuple[str, ...]
    job_id: str = ""
    started_utc: str = ""
    message: str = ""


class SummaHistogram(ArrayModel, OwnModel):
    """Values of one metric, one per packet and channel.

    Attributes
    ----------
    stats
        float64 ``(12,)`` in the order of ``SUMMA_STATISTICS``: SD with n - 1, ``mode`` the middle of the fullest bin,
        ``kurtosis`` in excess of a normal distribution's; NaN where too few values are there.
    counts
        int64 ``(bins,)``.
    dividers
        Edges of the bins, ascending, float64 ``(bins + 1,)``; the last bin holds its upper edge too.
    missing
        Packets and channels without a value (NaN): they are in no bin.
    """

    metric: KpiMetricId
    stats: FloatArray
    counts: IntArray
    dividers: FloatArray
    missing: int = 0


class SummaDatasource(ArrayModel, OwnModel):
    """One dataset of an analysis: a histogram per metric, and the mean over packets per channel.

    ``channel_mean`` is float64 ``(channels, metrics)``.
    """

    dataset_id: str
    base_name: str
    time_range: TimeRange
    num_packets: int
    channel_indices: tuple[int, ...]
    channel_mean: FloatArray
    histograms: tuple[SummaHistogram, ...]


class SummaResult(OwnModel):
    """An analysis: what it is over all datasets (``aggregate``) and per dataset, with the same bins everywhere."""

    state: SummaState
    metrics: tuple[KpiMetricId, ...]
    aggregate: tuple[SummaHistogram, ...] = ()
    sources: tuple[SummaDatasource, ...] = ()

    def histogram(self, metric: KpiMetric | str | int, dataset_id: str | None = None) -> SummaHistogram:
        """Return one histogram, of all datasets or of one; ConfigurationError says what exists."""
        name = coerce_kpi_metric(metric)
        found = self.aggregate
        if dataset_id is not None:
            found = next((s.histograms for s in self.sources if s.dataset_id == dataset_id), ())
        for one in found:
            if one.metric.name == name:
                return one
        raise ConfigurationError(
            f"no histogram of {name.name} of {dataset_id or 'all datasets'}; there are "
            f"{', '.join(m.name.name for m in self.metrics)} of {', '.join(self.state.dataset_ids)}"
        )

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per dataset and metric (dataset ``""``: all of them), one column per statistic."""
        import pandas as pd

        rows = [("", h) for h in self.aggregate] + [(s.dataset_id, h) for s in self.sources for h in s.histograms]
        index = pd.MultiIndex.from_tuples([(i, h.metric.name.name) for i, h in rows], names=["dataset_id", "metric"])
        values = np.array([h.stats for _, h in rows]).reshape(len(rows), len(SUMMA_STATISTICS))
        return pd.DataFrame(values, index=index, columns=list(SUMMA_STATISTICS))
