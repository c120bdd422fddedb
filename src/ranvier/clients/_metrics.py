"""Metrics of datasets: the documented ``get_kpi_...`` calls."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.clients._base import BaseClient
from ranvier.clients._spectra import spec_of
from ranvier.exceptions import ConfigurationError
from ranvier.models.flex import (
    FlexBundleStatId,
    FlexDataset,
    FlexKpiMetricId,
    FlexKpiServiceMode,
    FlexSignalType,
    FlexTimeRange,
    coerce_bundle_stat_id,
    coerce_kpi_metric_id,
    coerce_kpi_service_mode,
    coerce_signal_type,
)
from ranvier.models.kpi import (
    KpiBundleStatsResult,
    KpiMetricId,
    KpiMetricsResult,
    KpiMetricsSeriesResult,
    KpiServiceMode,
    KpiStatus,
)
from ranvier.models.signals import SignalType
from ranvier.models.spikesorter import SpikeDetectParams


class MetricsClient(BaseClient):
    """Metrics per channel over time ranges, from packets that are computed once.

    Channels are native indices; None (or an empty list) means the selected ones. What cannot be computed is NaN.
    """

    def get_kpi_metrics(
        self,
        dataset: FlexDataset,
        metrics: Sequence[FlexKpiMetricId],
        channel_indices: Sequence[int] | None = None,
        time_range: FlexTimeRange | None = None,
        signal_type: FlexSignalType = SignalType.AMP,
        *,
        service_mode: FlexKpiServiceMode = KpiServiceMode.RANGE,
        stream_lookback_sec: float | None = None,
    ) -> KpiMetricsResult:
        """Return metrics, ``values`` float64 ``(channels, metrics)``, over a time range (None = all).

        Parameters
        ----------
        metrics
            Names (``"RMS"``), KpiMetric, pairs ``("AVG", "RMS")`` or KpiMetricId. Numbers are refused: releases number
            metrics differently.
        service_mode
            RANGE, or STREAM for the newest whole packet of a growing file.
        stream_lookback_sec
            Not for files: a ConfigurationError, which is a ValueError; use ``TimeRangeSpec.lookback(sec)``.

        Raises
        ------
        ConfigurationError
            An unknown metric; the message lists those that exist.
        SignalSelectionError, TimeRangeError
            A channel that the dataset does not have; a range outside the recording.
        """
        if stream_lookback_sec is not None:
            raise ConfigurationError(
                "stream_lookback_sec is for live signals; for a file pass time_range=TimeRangeSpec.lookback(seconds)"
            )
        with self._work("metrics", dataset) as (source, progress):
            return self._hub.metrics.get(
                source.id,
                metric_ids(metrics),
                channel_indices,
                spec_of(time_range),
                coerce_signal_type(signal_type),
                service_mode=coerce_kpi_service_mode(service_mode),
                progress=progress,
            )

    def get_kpi_metrics_series(
        self,
        dataset: FlexDataset,
        metrics: Sequence[FlexKpiMetricId],
        window_dur_sec: float | None,
        channel_indices: Sequence[int] | None = None,
        time_range: FlexTimeRange | None = None,
        signal_type: FlexSignalType = SignalType.AMP,
    ) -> KpiMetricsSeriesResult:
        """Return metrics over successive windows; ``window_dur_sec`` None takes the packets themselves."""
        with self._work("metrics", dataset) as (source, progress):
            return self._hub.metrics.series(
                source.id, metric_ids(metrics), window_dur_sec, channel_indices, spec_of(time_range),
                coerce_signal_type(signal_type), progress=progress,
            )  # fmt: skip

    def get_kpi_bundle_stats(
        self,
        dataset: FlexDataset,
        stats: Sequence[FlexBundleStatId],
        window_dur_sec: float | None,
        channel_indices: Sequence[int] | None = None,
        time_range: FlexTimeRange | None = None,
        signal_type: FlexSignalType = SignalType.AMP,
    ) -> KpiBundleStatsResult:
        """Return metrics reduced over channels (``("RMS", "MAX")``), over successive windows."""
        wanted = [coerce_bundle_stat_id(stat) for stat in stats]
        if not wanted:
            raise ConfigurationError("name at least one statistic, e.g. ('RMS', 'MEAN')")
        with self._work("metrics", dataset) as (source, progress):
            return self._hub.metrics.bundle_stats(
                source.id, wanted, window_dur_sec, channel_indices, spec_of(time_range),
                coerce_signal_type(signal_type), progress=progress,
            )  # fmt: skip

    def get_kpi_status(self, dataset: FlexDataset) -> KpiStatus:
        """Return how many packets are there, how long they are, and where they are kept."""
        return self._hub.metrics.status(self._id(dataset))

    def kpi_calculate(self, dataset: FlexDataset) -> None:
        """Compute every packet of the amplifier channels now; later calls of metrics are then quick."""
        with self._work("metrics", dataset) as (source, progress):
            self._hub.metrics.calculate(source.id, progress=progress)

    def kpi_clear(self, dataset: FlexDataset) -> None:
        """Forget the packets of a dataset, and delete its ``.kpi`` file."""
        self._hub.metrics.clear(self._id(dataset))

    def set_kpi_packet_dur(self, dataset: FlexDataset, packet_dur: float) -> None:
        """Set how long packets are, 0.01 to 60 s; those of another length are not used any more."""
        self._hub.metrics.set_packet_duration(self._id(dataset), packet_dur)

    def get_event_params(self, dataset: FlexDataset) -> list[SpikeDetectParams]:
        """Return how events of metrics are detected, per amplifier channel (an addition to the documented API)."""
        return self._hub.metrics.params(self._id(dataset))

    def set_event_params(
        self, dataset: FlexDataset, params: SpikeDetectParams | Sequence[SpikeDetectParams]
    ) -> list[SpikeDetectParams]:
        """Change how events of metrics are detected, all or nothing (an addition to the documented API).

        Fields that are None stay; without ``ntv_chan_idx`` a change is for all amplifier channels. Times are seconds.
        """
        changes = [params] if isinstance(params, SpikeDetectParams) else list(params)
        return self._hub.metrics.set_params(self._id(dataset), changes)


def metric_ids(metrics: Sequence[FlexKpiMetricId] | FlexKpiMetricId) -> list[KpiMetricId]:
    """Return the metrics that are meant; one alone, not in a list, is accepted."""
    if isinstance(metrics, str | KpiMetricId):
        return [coerce_kpi_metric_id(metrics)]
    return [coerce_kpi_metric_id(metric) for metric in metrics]  # type: ignore[union-attr]
