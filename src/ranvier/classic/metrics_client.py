"""``radiens.metrics_client``: signal metrics of datasets, and the parameters of the events in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import TYPE_CHECKING, Any, Protocol

from ranvier.classic._errors import ArgumentTypeError, NoDatasetError
from ranvier.classic.lib import _from_models as convert
from ranvier.classic.lib.channel_metadata import ChannelMetadata
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.lib.sig_metrics import SignalMetrics, SignalMetricsStatus
from ranvier.classic.utils.constants import DEFAULT_HUB_ID
from ranvier.classic.utils.enums import MetricID, MetricMode, MetricName
from ranvier.exceptions import ConfigurationError
from ranvier.models.flex import coerce_time_range
from ranvier.models.jobs import JobState
from ranvier.models.kpi import KpiMetric, KpiMetricId, KpiMode
from ranvier.models.spikesorter import SpikeDetectParams
from ranvier.services import Hub

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

#: Field of the level and of its switch, by the unit and by whether the weak (artifact) level is meant.
_LEVELS = {
    ("uv", False): ("thr", "is_set_thr"),
    ("sd", False): ("thr_sd", "is_set_thr"),
    ("uv", True): ("weak_thr", "is_set_weak_thr"),
    ("sd", True): ("weak_thr_sd", "is_set_weak_thr"),
}

#: Columns of ``get_params``: the field of the parameters, and what its seconds are multiplied by.
_COLUMNS: dict[str, tuple[str, float | None]] = {
    "ntv_idx": ("ntv_chan_idx", None),
    "chan_enabled": ("is_enabled", None),
    "thr_activated": ("is_set_thr", None),
    "thr": ("thr", None),
    "thr_sd": ("thr_sd", None),
    "thr_wdw": ("thr_wdw", 1e3),
    "shadow": ("shadow", 1e3),
    "weak_thr_activated": ("is_set_weak_thr", None),
    "weak_thr": ("weak_thr", None),
    "weak_thr_sd": ("weak_thr_sd", None),
    "thr_wdw_pts": ("thr_wdw_pts", None),
    "shadow_pts": ("shadow_pts", None),
}

_SWITCH = {"on": True, "off": False, True: True, False: False}


class _Parent(Protocol):
    """A client of a hub."""

    def _hub(self, hub_name: str = ...) -> Hub: ...


class MetricsClient:
    """Metrics of the datasets of a VidereClient or CurateClient (``client.signal_metrics()``).

    ``dataset_metadata`` is what ``link_data_file`` returns; NoDatasetError (a ValueError) without it. Times of
    events are in ms, levels in uV or standard deviations of the noise.
    """

    def __init__(self, parent_client: _Parent) -> None:
        self._parent = parent_client

    def clear(self, dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID) -> None:
        """Forget what was computed for a dataset, and delete the file that keeps it."""
        self._hub(hub_name).metrics.clear(_id(dataset_metadata))

    def calculate(self, dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID) -> None:
        """Compute and keep the metrics of a dataset, with the event parameters that it has.

        Where none were set, events are 5 standard deviations of the noise away, as everywhere in this engine; the
        documentation says 2 x RMS, which noise alone crosses a thousand times a second.
        """
        self._hub(hub_name).metrics.calculate(_id(dataset_metadata))

    def set_event_threshold_level(
        self, neg_thr: float | None = None, pos_thr: float | None = None, scale: str = "uV",
        ntv_idxs: int | Sequence[int] | None = None, weak_thr: bool = False,
        dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID,
        channel_meta: ChannelMetadata | None = None,
    ) -> str:  # fmt: skip
        """Set the levels of events, in ``scale`` 'uV' or 'sd'; a level that is None stays.

        A negative threshold may be given with or without its sign. ``weak_thr`` means the artifact level instead.
        """
        if (scale.lower(), bool(weak_thr)) not in _LEVELS:
            raise ConfigurationError(f"scale={scale!r} is neither 'uV' nor 'sd'")
        field, _ = _LEVELS[scale.lower(), bool(weak_thr)]
        levels = [nan if neg_thr is None else -abs(_number(neg_thr)), nan if pos_thr is None else _number(pos_thr)]
        count = self._change({field: levels}, ntv_idxs, dataset_metadata, hub_name)
        kind = "weak " if weak_thr else ""
        return f"[{count} channels] {kind}event threshold: negative={neg_thr}, positive={pos_thr} {scale}"

    def set_event_threshold(
        self, neg_thr: str | bool | None = None, pos_thr: str | bool | None = None,
        ntv_idxs: int | Sequence[int] | None = None, weak_thr: bool = False,
        dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID,
        channel_metadata: ChannelMetadata | None = None,
    ) -> str:  # fmt: skip
        """Switch thresholds 'on' or 'off'; one that is None stays."""
        _, field = _LEVELS["uv", bool(weak_thr)]
        hub, dataset = self._hub(hub_name), _id(dataset_metadata)
        wanted = [None if one is None else _switch(one) for one in (neg_thr, pos_thr)]
        chosen = _chosen(ntv_idxs)
        rows = [row for row in hub.metrics.params(dataset) if chosen is None or row.ntv_chan_idx in chosen]
        changes = [
            SpikeDetectParams.model_validate(
                {
                    "ntv_chan_idx": row.ntv_chan_idx,
                    field: [
                        old if new is None else new
                        for old, new in zip(getattr(row, field) or (False, False), wanted, strict=True)
                    ],
                }
            )
            for row in rows
        ]
        hub.metrics.set_params(dataset, changes)
        kind = "weak " if weak_thr else ""
        return f"[{len(changes)} channels] {kind}event threshold: negative={neg_thr}, positive={pos_thr}"

    def set_event_window(
        self, pre_ms: float, post_ms: float, dataset_metadata: DatasetMetadata | None = None,
        hub_name: str = DEFAULT_HUB_ID, channel_metadata: ChannelMetadata | None = None,
    ) -> str:  # fmt: skip
        """Set the window around an event, in ms before and after it."""
        window = [_number(pre_ms) / 1e3, _number(post_ms) / 1e3]
        count = self._change({"thr_wdw": window}, None, dataset_metadata, hub_name)
        return f"[{count} channels] event window: pre-threshold={pre_ms} ms, post-threshold={post_ms} ms"

    def set_event_shadow(
        self, shadow_ms: float, dataset_metadata: DatasetMetadata | None = None,
        channel_metadata: ChannelMetadata | None = None, hub_name: str = DEFAULT_HUB_ID,
    ) -> str:  # fmt: skip
        """Set the dead time behind an event, in ms."""
        count = self._change({"shadow": _number(shadow_ms) / 1e3}, None, dataset_metadata, hub_name)
        return f"[{count} channels] event shadow {shadow_ms} ms,"

    def set_packet_duration(
        self, packet_dur_sec: float, dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID
    ) -> None:
        """Set how long packets are, in s; those of another length are computed anew."""
        self._hub(hub_name).metrics.set_packet_duration(_id(dataset_metadata), packet_dur_sec)

    def get_params(
        self, dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID
    ) -> pd.DataFrame:
        """Return the event parameters, a row per channel; ``thr_wdw`` and ``shadow`` in ms, pairs as lists."""
        import pandas as pd

        rows = self._hub(hub_name).metrics.params(_id(dataset_metadata))
        return pd.DataFrame([_row(params) for params in rows], columns=list(_COLUMNS))

    def get_metrics_status(
        self, dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID
    ) -> SignalMetricsStatus:
        """Return which packets are there. (An object, although the documentation says dict; it has ``attributes``.)"""
        dataset, hub = _dataset(dataset_metadata), self._hub(hub_name)
        found = hub.metrics.status(dataset.id)
        covered = found.time_range
        reached = convert.empty_time_range(dataset.TR.fs) if covered is None else convert.time_range(covered)
        # the engine keeps no packet that the end of the recording cuts off: a growing one would change it
        total = max((found.num_packets_total or 0) - 1, 1)
        kpi = {
            "is_avail": found.num_packets > 0,
            "is_complete": found.num_packets >= total,
            "frac_complete": min(found.num_packets / total, 1.0),
            "file_path_and_name": found.packet_file,
            "TR": reached,
            "packet_dur_sec": found.packet_dur,
            "num_sigs": found.num_sigs or 0,
            "num_packets": found.num_packets,
            "dataset_uid": dataset.attributes["dataset_uid"],
        }
        source = {"TR": dataset.TR, "dataset_uid": kpi["dataset_uid"], "dsource_id": dataset.id}
        return SignalMetricsStatus(
            time_range=reached,
            type="file",
            datasource_id=dataset.id,
            num_sigs=found.num_sigs or 0,
            packet_dur_sec=found.packet_dur,
            num_packets=found.num_packets,
            is_calculating_metrics=any(
                job.label == f"metrics of {dataset.base_name}" and job.state in (JobState.QUEUED, JobState.RUNNING)
                for job in hub.jobs.list()
            ),
            attributes={
                "file": {"kpi": kpi, "source": source},
                "time_range": reached,
                "packet_dur_sec": found.packet_dur,
                "beta": found.beta,
                "is_tracking_cache": found.is_tracking_signal_cache,
                "persistence_sec": found.persistence,
            },
        )

    def get_metrics(
        self, time_range: Any = None, metrics: Sequence[MetricID] | None = None,
        ntv_idxs: int | Sequence[int] | None = None, tail: bool = True, plot: bool = True, file: str | None = None,
        data: bool = True, dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID,
        channel_metadata: ChannelMetadata | None = None,
    ) -> SignalMetrics:  # fmt: skip
        """Return metrics by packet: ``val`` float64 (packets, signals, metrics), amplitudes in uV.

        ``time_range`` is ``[start, end]`` in s, None the whole dataset. ``ntv_idxs`` None is every amplifier channel.
        ``tail``, ``plot``, ``file`` and ``data`` are accepted and draw nothing, as in the vendor's package.
        """
        dataset = _dataset(dataset_metadata)
        wanted = DEFAULT_METRICS if metrics is None else metrics
        chosen = _chosen(ntv_idxs)
        channels = dataset.model.channel_metadata
        found = self._hub(hub_name).metrics.series(
            dataset.id,
            [KpiMetricId(mode=KpiMode[mode.name], name=KpiMetric[name.name]) for mode, name in wanted],
            None,
            [row for kind, keys in channels.sig_map.items() if kind.name == "AMP" for row in keys.ntv]
            if chosen is None
            else chosen,
            None if time_range is None else coerce_time_range(getattr(time_range, "sec", time_range)),
        )
        duration = self._hub(hub_name).metrics.status(dataset.id).packet_dur
        return SignalMetrics.of(found, duration, dataset.id, dataset.TR.fs)

    def _hub(self, hub_name: str) -> Hub:
        return self._parent._hub(hub_name)

    def _change(
        self, fields: Mapping[str, Any], ntv_idxs: int | Sequence[int] | None,
        dataset_metadata: DatasetMetadata | None, hub_name: str,
    ) -> int:  # fmt: skip
        """Change fields of channels (None: all), and return of how many."""
        hub, dataset, chosen = self._hub(hub_name), _id(dataset_metadata), _chosen(ntv_idxs)
        targets: Sequence[int | None] = [None] if chosen is None else chosen
        changes = [SpikeDetectParams.model_validate({"ntv_chan_idx": ntv, **fields}) for ntv in targets]
        now = hub.metrics.set_params(dataset, changes)
        return len(now) if chosen is None else len(chosen)


def _dataset(metadata: DatasetMetadata | None) -> DatasetMetadata:
    if metadata is None:
        raise NoDatasetError("dataset_metadata must be given: what link_data_file() returned")
    if not isinstance(metadata, DatasetMetadata):
        raise ArgumentTypeError(f"{type(metadata).__name__} is no DatasetMetadata of radiens.lib")
    return metadata


def _id(metadata: DatasetMetadata | None) -> str:
    return _dataset(metadata).id


def _chosen(ntv_idxs: int | Sequence[int] | None) -> list[int] | None:
    if ntv_idxs is None:
        return None
    return [int(ntv_idxs)] if isinstance(ntv_idxs, int) else [int(ntv) for ntv in ntv_idxs]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{value!r} is no number") from None


def _switch(word: str | bool) -> bool:
    wanted = word.lower() if isinstance(word, str) else word
    if wanted not in _SWITCH:
        raise ConfigurationError(f"{word!r} is neither 'on' nor 'off'")
    return _SWITCH[wanted]


def _row(params: SpikeDetectParams) -> dict[str, Any]:
    return {column: _scaled(getattr(params, field), factor) for column, (field, factor) in _COLUMNS.items()}


def _scaled(value: Any, factor: float | None) -> Any:
    if value is None or factor is None:
        return value
    return [one * factor for one in value] if isinstance(value, list) else value * factor
