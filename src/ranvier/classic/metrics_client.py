"""``radiens.metrics_client``: signal metrics of datasets and of the live stream, and the parameters of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ranvier.classic._errors import ArgumentTypeError
from ranvier.classic._measured import Measured
from ranvier.classic.lib.channel_metadata import ChannelMetadata
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.lib.sig_metrics import SignalMetrics, SignalMetricsStatus
from ranvier.classic.utils.constants import DEFAULT_HUB_ID
from ranvier.classic.utils.enums import MetricID, MetricMode, MetricName
from ranvier.exceptions import ConfigurationError
from ranvier.models.kpi import KpiMetric, KpiMetricId, KpiMode
from ranvier.models.spikesorter import SpikeDetectParams

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
        measured = self._of(dataset_metadata, hub_name)
        wanted = [None if one is None else _switch(one) for one in (neg_thr, pos_thr)]
        chosen = _chosen(ntv_idxs)
        rows = [row for row in measured.params() if chosen is None or row.ntv_chan_idx in chosen]
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
        measured.set_params(changes)
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
        self._of(dataset_metadata, hub_name).set_packet_duration(_number(packet_dur_sec))

    def get_params(
        self, dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID
    ) -> pd.DataFrame:
        """Return the event parameters, a row per channel; ``thr_wdw`` and ``shadow`` in ms, pairs as lists."""
        import pandas as pd

        rows = self._of(dataset_metadata, hub_name).params()
        return pd.DataFrame([_row(params) for params in rows], columns=list(_COLUMNS))

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
        return self._of(dataset_metadata, hub_name).series(asked, _chosen(ntv_idxs), time_range)

    def _of(self, dataset_metadata: DatasetMetadata | None, hub_name: str) -> Measured:
        return self._parent._measured(dataset_metadata, hub_name)

    def _change(
        self, fields: Mapping[str, Any], ntv_idxs: int | Sequence[int] | None,
        dataset_metadata: DatasetMetadata | None, hub_name: str,
    ) -> int:  # fmt: skip
        """Change fields of channels (None: all), and return of how many."""
        chosen = _chosen(ntv_idxs)
        targets: Sequence[int | None] = [None] if chosen is None else chosen
        changes = [SpikeDetectParams.model_validate({"ntv_chan_idx": ntv, **fields}) for ntv in targets]
        now = self._of(dataset_metadata, hub_name).set_params(changes)
        return len(now) if chosen is None else len(chosen)


def _metric(given: Any) -> KpiMetricId:
    mode, name = given if isinstance(given, tuple) and len(given) == 2 else (MetricMode.BASE, given)
    return KpiMetricId(mode=KpiMode[MetricMode.parse(mode).name], name=KpiMetric[MetricName.parse(name).name])


def _chosen(ntv_idxs: int | Sequence[int] | None) -> list[int] | None:
    if ntv_idxs is None:
        return None
    try:
        return [int(ntv) for ntv in np.atleast_1d(np.asarray(ntv_idxs)).tolist()]
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{ntv_idxs!r} is neither a native index nor a list of them") from None


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{value!r} is no number") from None


def _switch(word: str | bool) -> bool:
    wanted = word.lower() if isinstance(word, str) else word
    if not isinstance(wanted, str | int) or wanted not in _SWITCH:
        raise ConfigurationError(f"{word!r} is neither 'on' nor 'off'")
    return _SWITCH[wanted]


def _row(params: SpikeDetectParams) -> dict[str, Any]:
    return {column: _scaled(getattr(params, field), factor) for column, (field, factor) in _COLUMNS.items()}


def _scaled(value: Any, factor: float | None) -> Any:
    if value is None or factor is None:
        return value
    return [one * factor for one in value] if isinstance(value, list) else value * factor
