"""``radiens.metrics_client``: signal metrics of datasets and of the live stream, and the parameters of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ranvier.classic._events import COLUMNS, changes_of, chosen_channels, level_fields, number, row_of, switched
from ranvier.classic._measured import Measured
from ranvier.classic.lib.channel_metadata import ChannelMetadata
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.lib.sig_metrics import SignalMetrics, SignalMetricsStatus
from ranvier.classic.utils.constants import DEFAULT_HUB_ID
from ranvier.classic.utils.enums import MetricID, MetricMode, MetricName
from ranvier.models.kpi import KpiMetric, KpiMetricId, KpiMode

if TYPE_CHECKING:
    import pandas as pd

#: What ``get_metrics`` gives where nothing is asked for.
DEFAULT_METRICS = [
    MetricID(MetricMode.BASE, name)
    for name in (
        MetricName.RMS,
        MetricName.NOISE_UV,
        MetricName.MAX_MIN_DIFF_ABS,
        MetricName.SNR,
        MetricName.EVENT_RATE,
        MetricName.EVENT_MEAN_MAX_MIN_DIFF_ABS,
    )
]


class _Parent(Protocol):
    """A client of a hub or of a rig."""

    def _measured(self, dataset_metadata: DatasetMetadata | None, hub_name: str) -> Measured: ...


class MetricsClient:
    """Metrics of datasets (of a VidereClient or CurateClient) or of the live stream (of an AllegoClient).

    ``client.signal_metrics()`` makes one. For datasets ``dataset_metadata`` is what ``link_data_file`` returns;
    NoDatasetError (a ValueError) without it. For the live stream it is not looked at, and ``clear`` and ``calculate``
    raise CapabilityError (a RuntimeError, as documented). Times of events are in ms, levels in uV or standard
    deviations of the noise.
    """

    def __init__(self, parent_client: _Parent) -> None:
        self._parent = parent_client

    def clear(self, dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID) -> None:
        """Forget what was computed for a dataset, and delete the file that keeps it."""
        self._of(dataset_metadata, hub_name).clear()

    def calculate(self, dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID) -> None:
        """Compute and keep the metrics of a dataset, with the event parameters that it has.

        Where none were set, events are 5 standard deviations of the noise away, as everywhere in this engine; the
        documentation says 2 x RMS, which noise alone crosses a thousand times a second.
        """
        self._of(dataset_metadata, hub_name).calculate()

    def set_event_threshold_level(
        self, neg_thr: float | None = None, pos_thr: float | None = None, scale: str = "uV",
        ntv_idxs: int | Sequence[int] | None = None, weak_thr: bool = False,
        dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID,
        channel_meta: ChannelMetadata | None = None,
    ) -> str:  # fmt: skip
        """Set the levels of events, in ``scale`` 'uV' or 'sd'; a level that is None stays.

        A negative threshold may be given with or without its sign. ``weak_thr`` means the artifact level instead.
        """
        fields = level_fields(neg_thr, pos_thr, scale, weak_thr)
        count = self._change(fields, ntv_idxs, dataset_metadata, hub_name)
        kind = "weak " if weak_thr else ""
        return f"[{count} channels] {kind}event threshold: negative={neg_thr}, positive={pos_thr} {scale}"

    def set_event_threshold(
        self, neg_thr: str | bool | None = None, pos_thr: str | bool | None = None,
        ntv_idxs: int | Sequence[int] | None = None, weak_thr: bool = False,
        dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID,
        channel_metadata: ChannelMetadata | None = None,
    ) -> str:  # fmt: skip
        """Switch thresholds 'on' or 'off'; one that is None stays."""
        measured = self._of(dataset_metadata, hub_name)
        changes = switched(measured.params(), neg_thr, pos_thr, weak_thr, chosen_channels(ntv_idxs))
        measured.set_params(changes)
        kind = "weak " if weak_thr else ""
        return f"[{len(changes)} channels] {kind}event threshold: negative={neg_thr}, positive={pos_thr}"

    def set_event_window(
        self, pre_ms: float, post_ms: float, dataset_metadata: DatasetMetadata | None = None,
        hub_name: str = DEFAULT_HUB_ID, channel_metadata: ChannelMetadata | None = None,
    ) -> str:  # fmt: skip
        """Set the window around an event, in ms before and after it."""
        window = [number(pre_ms) / 1e3, number(post_ms) / 1e3]
        count = self._change({"thr_wdw": window}, None, dataset_metadata, hub_name)
        return f"[{count} channels] event window: pre-threshold={pre_ms} ms, post-threshold={post_ms} ms"

    def set_event_shadow(
        self, shadow_ms: float, dataset_metadata: DatasetMetadata | None = None,
        channel_metadata: ChannelMetadata | None = None, hub_name: str = DEFAULT_HUB_ID,
    ) -> str:  # fmt: skip
        """Set the dead time behind an event, in ms."""
        count = self._change({"shadow": number(shadow_ms) / 1e3}, None, dataset_metadata, hub_name)
        return f"[{count} channels] event shadow {shadow_ms} ms,"

    def set_packet_duration(
        self, packet_dur_sec: float, dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID
    ) -> None:
        """Set how long packets are, in s; those of another length are computed anew."""
        self._of(dataset_metadata, hub_name).set_packet_duration(number(packet_dur_sec))

    def get_params(
        self, dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID
    ) -> pd.DataFrame:
        """Return the event parameters, a row per channel; ``thr_wdw`` and ``shadow`` in ms, pairs as lists."""
        import pandas as pd

        rows = self._of(dataset_metadata, hub_name).params()
        return pd.DataFrame([row_of(params) for params in rows], columns=list(COLUMNS))

    def get_metrics_status(
        self, dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID
    ) -> SignalMetricsStatus:
        """Return which packets are there. (An object, although the documentation says dict; it has ``attributes``.)"""
        return self._of(dataset_metadata, hub_name).status()

    def get_metrics(
        self, time_range: Any = None, metrics: Sequence[MetricID | MetricName | str] | None = None,
        ntv_idxs: int | Sequence[int] | None = None, tail: bool = True, plot: bool = True, file: str | None = None,
        data: bool = True, dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID,
        channel_metadata: ChannelMetadata | None = None,
    ) -> SignalMetrics:  # fmt: skip
        """Return metrics by packet: ``val`` float64 (packets, signals, metrics), amplitudes in uV.

        ``time_range`` is a TimeRange, ``[start, end]`` in s, or a number: the last so many seconds. None is the whole
        dataset, or the last 5 s of a stream, in whole packets. ``ntv_idxs`` None is every amplifier channel. A
        metric is a MetricID; a name or member alone is that of mode BASE.
        ``tail``, ``plot``, ``file`` and ``data`` are accepted and draw nothing, as in the vendor's package.
        """
        asked = [_metric(one) for one in (DEFAULT_METRICS if metrics is None else metrics)]
        return self._of(dataset_metadata, hub_name).series(asked, chosen_channels(ntv_idxs), time_range)

    def _of(self, dataset_metadata: DatasetMetadata | None, hub_name: str) -> Measured:
        return self._parent._measured(dataset_metadata, hub_name)

    def _change(
        self, fields: Mapping[str, Any], ntv_idxs: int | Sequence[int] | None,
        dataset_metadata: DatasetMetadata | None, hub_name: str,
    ) -> int:  # fmt: skip
        """Change fields of channels (None: all), and return of how many."""
        chosen = chosen_channels(ntv_idxs)
        now = self._of(dataset_metadata, hub_name).set_params(changes_of(fields, chosen))
        return len(now) if chosen is None else len(chosen)


def _metric(given: Any) -> KpiMetricId:
    mode, name = given if isinstance(given, tuple) and len(given) == 2 else (MetricMode.BASE, given)
    return KpiMetricId(mode=KpiMode[MetricMode.parse(mode).name], name=KpiMetric[MetricName.parse(name).name])
