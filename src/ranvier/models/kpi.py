"""Signal metrics (key performance indicators) per channel."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Annotated

from ranvier.models._base import ArrayModel, FloatArray, Model
from ranvier.models._coerce import EnumInput
from ranvier.models.signals import SignalType
from ranvier.models.time_range import TimeRange

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ranvier.models.channels import ChannelMetadata
    from ranvier.models.dataset import DatasetMetadata

__all__ = [
    "BundleStatId",
    "ChannelReduction",
    "KpiBundleStatsResult",
    "KpiBundleStatsWindow",
    "KpiMetric",
    "KpiMetricId",
    "KpiMetricsResult",
    "KpiMetricsSeriesResult",
    "KpiMetricsWindow",
    "KpiMode",
    "KpiServiceMode",
    "KpiStatus",
]


class KpiMode(IntEnum):
    """Which samples a metric is about."""

    BASE = 0
    """Those of one packet or time range."""
    AVG = 1
    """Averaged over packets, each new one with weight ``beta``."""
    STREAM = 2
    """All since the stream began."""


class KpiMetric(IntEnum):
    """A metric of one channel; amplitudes in uV, durations in s, timestamps as sample counters.

    ``_ISI``: of the samples between events. The guide on metrics has formula and sentinel of each.

    Numbers are those of the documented release; newer releases number them otherwise, so adapters map by name.
    Metrics that only newer releases have are numbered from 1000.
    """

    NUM_PTS = 0
    NUM_PTS_ISI = 1
    DUR_SEC = 2
    MEAN = 3
    MIN = 4
    MIN_ISI = 5
    MAX = 6
    MAX_ISI = 7
    MAX_ABS = 8
    MAX_ABS_ISI = 9
    TIMESTAMP_MIN = 10
    TIMESTAMP_MAX = 11
    MAX_MIN_DIFF_ABS = 12
    MAX_MIN_DIFF_ABS_ISI = 13
    SD = 14
    SD_ISI = 15
    VAR = 16
    VAR_ISI = 17
    RMS = 18
    RMS_ISI = 19
    NOISE_UV = 20
    SNR = 21
    NUM_EVENTS = 22
    EVENT_RATE = 23
    EVENT_MAX = 24
    EVENT_MIN = 25
    EVENT_MAX_ABS = 26
    EVENT_MAX_MIN_DIFF_ABS = 27
    EVENT_TIMESTAMP_MIN = 28
    EVENT_TIMESTAMP_MAX = 29
    EVENT_TIMESTAMP_MAX_ABS = 30
    EVENT_TIMESTAMP_MAX_MIN_DIFF_ABS = 31
    MEAN_MAX = 32
    MEAN_MIN = 33
    MEAN_MAX_ABS = 34
    EVENT_MEAN_MAX_MIN_DIFF_ABS = 35
    MAX_MIN_DIFF_ABS_AMPLIFIED = 36
    EVENT_MEAN_MAX_ABS = 1000

    @property
    def unit(self) -> str:
        """What it is measured in; "1" for a plain number (an addition to the documented API)."""
        return "sample counter" if "TIMESTAMP" in self.name else _UNITS.get(self.name, "uV")


_UNITS = {
    "NUM_PTS": "samples", "NUM_PTS_ISI": "samples", "DUR_SEC": "s", "VAR": "uV^2", "VAR_ISI": "uV^2", "SNR": "1",
    "NUM_EVENTS": "events", "EVENT_RATE": "1/s", "MAX_MIN_DIFF_ABS_AMPLIFIED": "uV^2",
}  # fmt: skip


class KpiServiceMode(IntEnum):
    """How the metrics service answered: for a time range, or from the live stream."""

    RANGE = 0
    STREAM = 1


class ChannelReduction(IntEnum):
    """How a metric of many channels becomes one number."""

    MEAN = 0
    MAX = 1
    MIN = 2
    SUM = 3
    COUNT = 4


coerce_kpi_metric = EnumInput(KpiMetric, "a metric")
coerce_kpi_mode = EnumInput(KpiMode, "a metric mode")
coerce_kpi_service_mode = EnumInput(KpiServiceMode, "a mode of the metrics service")
coerce_channel_reduction = EnumInput(ChannelReduction, "a reduction over channels")


class KpiMetricId(Model):
    """A metric, and which samples it is about."""

    mode: Annotated[KpiMode, coerce_kpi_mode.field] = KpiMode.BASE
    name: Annotated[KpiMetric, coerce_kpi_metric.field]


class BundleStatId(Model):
    """A metric, and how it is reduced over channels."""

    metric: Annotated[KpiMetric, coerce_kpi_metric.field]
    reduce: Annotated[ChannelReduction, coerce_channel_reduction.field] = ChannelReduction.MEAN


class KpiStatus(Model):
    """How the metrics service stands.

    Attributes
    ----------
    num_packets_memory, num_packets
        How many packets are kept at most, and how many there are.
    packet_dur, update_period
        Seconds per packet, and seconds between updates.
    persistence
        Seconds for which packets are kept.
    beta
        Weight of a new packet in the AVG metrics, 0 to 1.
    memory_bytes
        Memory in use, in bytes.
    num_sigs, time_range
        Channels, and the range that the packets cover; None before the first one.
    num_packets_total, packet_file, note, headroom
        Ours: packets of the whole recording; the file that keeps them ("" = memory); what a user should know, e.g. why
        they are not kept; how many times faster than it arrives a live stream is measured (None: not live, or no
        packet yet).
    """

    stream_group_id: str
    num_packets_memory: int
    packet_dur: float
    update_period: float
    persistence: float
    beta: float
    is_tracking_signal_cache: bool
    num_packets: int
    memory_bytes: float
    num_sigs: int | None = None
    time_range: TimeRange | None = None
    num_packets_total: int | None = None
    packet_file: str = ""
    note: str = ""
    headroom: float | None = None


class KpiMetricsResult(ArrayModel):
    """Metrics over one time range.

    Attributes
    ----------
    channel_indices
        Native indices: the rows of ``values``.
    metrics
        The columns of ``values``.
    values
        float64 ``(channels, metrics)``; amplitudes in uV.
    """

    channel_indices: tuple[int, ...]
    metrics: tuple[KpiMetricId, ...]
    signal_type: SignalType
    values: FloatArray
    time_range: TimeRange
    answered_mode: KpiServiceMode = KpiServiceMode.RANGE

    def plot(
        self,
        channels: ChannelMetadata | DatasetMetadata,
        metric: KpiMetric | str | int | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """Draw one metric (the first by default) on the sites of the probe; channels without a value are empty."""
        from ranvier.models._pictures_probe import column_of, draw_on_probe, with_unit

        names = [m.name.name for m in self.metrics]
        name = names[0] if metric is None else coerce_kpi_metric(metric).name
        values = self.values[:, column_of(name, names)]
        return draw_on_probe(channels, self.channel_indices, values, with_unit(name, KpiMetric[name].unit), ax)


class KpiMetricsWindow(ArrayModel):
    """Metrics over one window of a series; ``values`` float64 ``(channels, metrics)``."""

    time_range: TimeRange
    values: FloatArray


class KpiMetricsSeriesResult(Model):
    """Metrics over successive windows; rows and columns as in :class:`KpiMetricsResult`."""

    channel_indices: tuple[int, ...]
    metrics: tuple[KpiMetricId, ...]
    signal_type: SignalType
    windows: tuple[KpiMetricsWindow, ...]
    answered_mode: KpiServiceMode = KpiServiceMode.RANGE


class KpiBundleStatsWindow(Model):
    """Metrics reduced over channels, in one window; one value per statistic."""

    time_range: TimeRange
    values: tuple[float, ...]


class KpiBundleStatsResult(Model):
    """Metrics reduced over channels, over successive windows."""

    stats: tuple[BundleStatId, ...]
    windows: tuple[KpiBundleStatsWindow, ...]
    answered_mode: KpiServiceMode = KpiServiceMode.RANGE
