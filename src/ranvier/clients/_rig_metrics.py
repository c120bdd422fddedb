"""Metrics of the live stream: the documented ``get_kpi_...`` calls."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.clients._metrics import metric_ids
from ranvier.clients._rig_arguments import LIVE, live
from ranvier.clients._rig_base import RigClient
from ranvier.clients._spectra import spec_of
from ranvier.models.flex import (
    FlexKpiMetricId,
    FlexKpiServiceMode,
    FlexSignalType,
    FlexTimeRange,
    coerce_kpi_service_mode,
    coerce_signal_type,
)
from ranvier.models.kpi import KpiMetricsResult, KpiMetricsSeriesResult, KpiServiceMode, KpiStatus
from ranvier.models.signals import SignalType
from ranvier.models.spikesorter import SpikeDetectParams


class LiveMetricsClient(RigClient):
    """Metrics of the stream, packet by packet. The first request begins to measure; it costs part of one core."""

    def get_kpi_metrics(
        self,
        metrics: Sequence[FlexKpiMetricId],
        channel_indices: Sequence[int] | None = None,
        time_range: FlexTimeRange | None = None,
        signal_type: FlexSignalType = SignalType.AMP,
        stream_group_id: str = LIVE,
        *,
        service_mode: FlexKpiServiceMode | None = None,
        stream_lookback_sec: float | None = None,
    ) -> KpiMetricsResult:
        """Return metrics of the newest whole packets, or of a time range of what is kept of the stream.

        Parameters
        ----------
        metrics, channel_indices
            As those of ``VidereClient.get_kpi_metrics``.
        time_range
            In stream seconds: exact within the live cache, to whole packets before it. None: the newest packets.
        service_mode
            STREAM or RANGE; None takes RANGE where a time range is given.
        stream_lookback_sec
            How far STREAM looks back, 5 s unless told otherwise; rounded up to whole packets.

        Raises
        ------
        TimeRangeError
            Nothing streams, or nothing of the range is kept.
        """
        live(stream_group_id)
        self._check_hardware()
        mode = KpiServiceMode.STREAM if time_range is None else KpiServiceMode.RANGE
        return self._rig.metrics.get(
            metric_ids(metrics),
            None if channel_indices is None else list(channel_indices),
            spec_of(time_range),
            coerce_signal_type(signal_type),
            service_mode=mode if service_mode is None else coerce_kpi_service_mode(service_mode),
            lookback_sec=stream_lookback_sec,
        )

    def get_kpi_metrics_series(
        self,
        metrics: Sequence[FlexKpiMetricId],
        channel_indices: Sequence[int] | None = None,
        time_range: FlexTimeRange | None = None,
        signal_type: FlexSignalType = SignalType.AMP,
        stream_group_id: str = LIVE,
        *,
        stream_lookback_sec: float | None = None,
    ) -> KpiMetricsSeriesResult:
        """Return metrics of each packet, arguments as those of :meth:`get_kpi_metrics` (an addition)."""
        live(stream_group_id)
        self._check_hardware()
        return self._rig.metrics.series(
            metric_ids(metrics),
            None if channel_indices is None else list(channel_indices),
            spec_of(time_range),
            coerce_signal_type(signal_type),
            lookback_sec=stream_lookback_sec,
        )

    def get_kpi_status(self, stream_group_id: str = LIVE) -> KpiStatus:
        """Return packets, durations, memory, and ``headroom``: how much faster than real time they are measured."""
        live(stream_group_id)
        return self._rig.metrics.status()

    def set_kpi_packet_dur(self, packet_dur: float, stream_group_id: str = LIVE) -> None:
        """Set how long packets are, 0.01 to 60 s; measuring begins anew."""
        live(stream_group_id)
        self._rig.metrics.set_packet_duration(packet_dur)

    def set_kpi_update_period(self, update_period: float, stream_group_id: str = LIVE) -> None:
        """Set how often packets are measured while nobody asks, 0.01 to 60 s; a request always gets the newest."""
        live(stream_group_id)
        self._rig.metrics.set_update_period(update_period)

    def get_event_params(self) -> list[SpikeDetectParams]:
        """Return how events of metrics are detected, per amplifier channel (an addition to the documented API)."""
        return self._rig.metrics.params()

    def set_event_params(self, params: SpikeDetectParams | Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        """Change how events of metrics are detected; as ``VidereClient.set_event_params`` (an addition)."""
        changes = [params] if isinstance(params, SpikeDetectParams) else list(params)
        return self._rig.metrics.set_params(changes)
