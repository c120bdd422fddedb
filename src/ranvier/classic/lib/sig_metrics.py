"""``radiens.lib.sig_metrics``: signal metrics by packet, and how their service stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ranvier.classic.lib import _from_models as convert
from ranvier.classic.utils.constants import TimeRange
from ranvier.classic.utils.enums import MetricID, MetricMode, MetricName, SignalType
from ranvier.models.kpi import KpiMetricsSeriesResult

if TYPE_CHECKING:
    import pandas as pd

#: Label and unit of metrics, by name; all others are called what the enum calls them.
_LABELS = {
    MetricName.MAX_ABS: ("|V_max|", "uV"),
    MetricName.MAX_MIN_DIFF_ABS: ("|V_pp|", "uV"),
    MetricName.SD: ("|V_sd|", "uV"),
    MetricName.RMS: ("V_rms", "uV"),
    MetricName.NOISE_UV: ("Noise", "uV"),
    MetricName.SNR: ("SNR", ""),
    MetricName.EVENT_RATE: ("Spike Rate", "spikes/sec"),
    MetricName.EVENT_MAX_ABS: ("Spike |V_max|", "uV"),
    MetricName.EVENT_MAX_MIN_DIFF_ABS: ("Spike |V_pp|", "uV"),
    MetricName.MEAN_MAX_ABS: ("Avg. Spike |V_max|", "uV"),
    MetricName.EVENT_MEAN_MAX_MIN_DIFF_ABS: ("Avg. Spike |V_pp|", "uV"),
    MetricName.MAX_MIN_DIFF_ABS_AMPLIFIED: ("|V_pp| amplified", "uV^2"),
}


def metric_spec(metric: MetricID) -> dict[str, str]:
    """Return label and unit of a metric: ``{'lbl', 'units'}``."""
    label, units = _LABELS.get(metric.name, (metric.name.name, ""))
    return {"lbl": label, "units": units}


def sort_metric_ids(metric_ids: Iterable[MetricID]) -> list[MetricID]:
    """Return metrics by mode, then by name."""
    return sorted(metric_ids, key=lambda metric: (metric.mode.value, metric.name.name))


@dataclass
class SignalMetricsStatus:
    """How the metrics of a dataset (``type`` 'file') or of the live stream ('cache') stand.

    Attributes
    ----------
    packet_dur_sec
        Seconds per packet.
    attributes
        Everything, as a dict with the documented keys.
    """

    time_range: TimeRange
    type: str
    datasource_id: str
    num_sigs: int
    packet_dur_sec: float
    num_packets: int
    is_calculating_metrics: bool
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def TR(self) -> TimeRange:  # noqa: N802  # the documented name
        """The range that the packets cover."""
        return self.time_range

    @property
    def summary_table(self) -> pd.DataFrame:
        """The essentials as a table with one column (``num_packetes`` is the documented spelling)."""
        return _table(
            {
                "dsource_id": self.datasource_id,
                "source": self.type,
                "time_range": convert.text(self.time_range),
                "walltime": self.time_range.walltime,
                "num_signals": self.num_sigs,
                "packet_dur_sec": self.packet_dur_sec,
                "num_packetes": self.num_packets,
            }
        )

    def print(self) -> None:
        """Print the table."""
        print(self.summary_table.to_string())  # noqa: T201


@dataclass
class SignalMetrics:
    """Metrics by packet.

    Attributes
    ----------
    val
        float64 ``(packets, signals, metrics)``; amplitudes in uV.
    metric_ids, ntv_idxs, packet_idxs
        What the axes are.
    packet_dur_sec
        Seconds per packet.
    """

    val: npt.NDArray[np.float64]
    metric_ids: list[MetricID]
    ntv_idxs: list[int]
    packet_idxs: list[int]
    packet_dur_sec: float
    time_range: TimeRange
    datasource_id: str = ""
    signal_type: SignalType = SignalType.AMP
    packet_stats: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, found: KpiMetricsSeriesResult, packet_dur_sec: float, datasource_id: str, fs: float) -> SignalMetrics:
        """Return a typed series of windows as the classic container (an addition to the documented API)."""
        windows = found.windows
        shape = (len(windows), len(found.channel_indices), len(found.metrics))
        val = np.stack([window.values for window in windows]) if windows else np.empty(shape)
        return cls(
            val=val.reshape(shape),
            metric_ids=[
                MetricID(convert.member(MetricMode, one.mode), convert.member(MetricName, one.name))
                for one in found.metrics
            ],
            ntv_idxs=list(found.channel_indices),
            packet_idxs=list(range(len(windows))),
            packet_dur_sec=packet_dur_sec,
            time_range=_span(found, fs),
            datasource_id=datasource_id,
            signal_type=convert.member(SignalType, found.signal_type),
        )

    @property
    def TR(self) -> TimeRange:  # noqa: N802  # the documented name
        """The range that the packets cover."""
        return self.time_range

    @property
    def num_packets(self) -> int:
        """How many packets."""
        return int(self.val.shape[0])

    @property
    def num_sigs(self) -> int:
        """How many signals."""
        return int(self.val.shape[1])

    @property
    def settings(self) -> dict[str, Any]:
        """What was computed, as a dict."""
        return {
            "dsource_id": self.datasource_id,
            "num_packets": self.num_packets,
            "num_sigs": self.num_sigs,
            "num_metrics": int(self.val.shape[2]),
            "packet_dur_sec": self.packet_dur_sec,
            "time_range": self.time_range,
            "signal_type": self.signal_type,
        }

    @property
    def table(self) -> pd.DataFrame:
        """The essentials as a table with one column."""
        return _table(
            {
                "datasource ID": self.datasource_id,
                "signal type": self.signal_type.name,
                "time range (sec)": convert.text(self.time_range),
                "wall time": self.time_range.walltime,
                "num signals": self.num_sigs,
                "num metrics": int(self.val.shape[2]),
                "packet dur (sec)": self.packet_dur_sec,
                "num packets": self.num_packets,
            }
        )

    def print(self) -> None:
        """Print the table."""
        print(self.table.to_string())  # noqa: T201


def _span(found: KpiMetricsSeriesResult, fs: float) -> TimeRange:
    if not found.windows:
        return convert.empty_time_range(fs)
    first, last = found.windows[0].time_range, found.windows[-1].time_range
    return convert.time_range(
        type(first).from_samples(first.timestamp[0], last.timestamp[1], first.fs, first.walltime_str)
    )


def _table(rows: dict[str, object]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"Value": pd.Series(rows, dtype=object)})
