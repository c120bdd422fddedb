"""What signal metrics are of: a dataset of a hub, or the live stream of a rig."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ranvier.classic._errors import NotLiveError
from ranvier.classic._times import spec_of
from ranvier.classic.lib import _from_models as convert
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.lib.sig_metrics import SignalMetrics, SignalMetricsStatus
from ranvier.models.jobs import JobState
from ranvier.models.kpi import KpiMetricId
from ranvier.models.spikesorter import SpikeDetectParams
from ranvier.models.time_range import TrsMode
from ranvier.services import Hub
from ranvier.services.rig import Rig


class Measured(Protocol):
    """Where metrics are kept."""

    def clear(self) -> None:
        """Forget what was computed."""
        ...

    def calculate(self) -> None:
        """Compute and keep everything."""
        ...

    def params(self) -> list[SpikeDetectParams]:
        """Return the event parameters of every amplifier channel."""
        ...

    def set_params(self, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        """Change event parameters."""
        ...

    def set_packet_duration(self, packet_dur_sec: float) -> None:
        """Set how long packets are."""
        ...

    def status(self) -> SignalMetricsStatus:
        """Return which packets are there."""
        ...

    def series(self, metrics: Sequence[KpiMetricId], channels: Sequence[int] | None, time_range: Any) -> SignalMetrics:
        """Return metrics by packet; ``channels`` None is every amplifier channel."""
        ...


class DatasetMeasured:
    """Metrics of a linked dataset."""

    def __init__(self, hub: Hub, dataset: DatasetMetadata) -> None:
        self._hub, self._dataset = hub, dataset

    def clear(self) -> None:
        self._hub.metrics.clear(self._dataset.id)

    def calculate(self) -> None:
        self._hub.metrics.calculate(self._dataset.id)

    def params(self) -> list[SpikeDetectParams]:
        return self._hub.metrics.params(self._dataset.id)

    def set_params(self, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        return self._hub.metrics.set_params(self._dataset.id, changes)

    def set_packet_duration(self, packet_dur_sec: float) -> None:
        self._hub.metrics.set_packet_duration(self._dataset.id, packet_dur_sec)

    def series(self, metrics: Sequence[KpiMetricId], channels: Sequence[int] | None, time_range: Any) -> SignalMetrics:
        dataset = self._dataset
        everything = dataset.channel_metadata.index("amp").ntv
        spec = None if time_range is None else spec_of(time_range)
        found = self._hub.metrics.series(dataset.id, metrics, None, everything if channels is None else channels, spec)
        duration = self._hub.metrics.status(dataset.id).packet_dur
        return SignalMetrics.of(found, duration, dataset.id, dataset.TR.fs)

    def status(self) -> SignalMetricsStatus:
        dataset, found = self._dataset, self._hub.metrics.status(self._dataset.id)
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
                for job in self._hub.jobs.list()
            ),
            attributes={
                "file": {"kpi": kpi, "source": source},
                "time_range": reached,
                "packet_dur_sec": found.packet_dur,
                "beta": found.beta,
                "is_tracking_cache": found.is_tracking_signal_cache,
                "wall_time_start": reached.walltime,
                "persistence_sec": found.persistence,
            },
        )


class StreamMeasured:
    """Metrics of the live stream: measured as it comes, from the first request on."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def clear(self) -> None:
        raise NotLiveError("metrics of the live stream are not cleared: they are those of what the cache still holds")

    def calculate(self) -> None:
        raise NotLiveError("metrics of the live stream are calculated as it comes; get_metrics() begins to")

    def params(self) -> list[SpikeDetectParams]:
        return self._rig.metrics.params()

    def set_params(self, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        return self._rig.metrics.set_params(changes)

    def set_packet_duration(self, packet_dur_sec: float) -> None:
        self._rig.metrics.set_packet_duration(packet_dur_sec)

    def series(self, metrics: Sequence[KpiMetricId], channels: Sequence[int] | None, time_range: Any) -> SignalMetrics:
        everything = [row.ntv_chan_idx for row in self.params() if row.ntv_chan_idx is not None]
        spec = None if time_range is None else spec_of(time_range)
        back = spec.start if spec is not None and spec.mode == TrsMode.FROM_HEAD else None
        found = self._rig.metrics.series(
            metrics, everything if channels is None else channels, None if back is not None else spec, lookback_sec=back
        )
        status = self._rig.metrics.status()
        return SignalMetrics.of(found, status.packet_dur, status.stream_group_id, found.windows[0].time_range.fs)

    def status(self) -> SignalMetricsStatus:
        found = self._rig.metrics.status()
        fs = self._rig.control.core_config().base_samp_freq
        covered = convert.empty_time_range(fs) if found.time_range is None else convert.time_range(found.time_range)
        cache = {
            "dsource_id": found.stream_group_id,
            "num_packets_memory": found.num_packets_memory,
            "num_sigs": found.num_sigs or 0,
            "packet_dur_sec": found.packet_dur,
            "update_period_sec": found.update_period,
            "beta": found.beta,
            "is_tracking_cache": found.is_tracking_signal_cache,
            "num_packets": found.num_packets,
            "persistence_sec": found.persistence,
            "memory_bytes": found.memory_bytes,
            "TR": covered,
        }
        return SignalMetricsStatus(
            time_range=covered,
            type="cache",
            datasource_id=found.stream_group_id,
            num_sigs=found.num_sigs or 0,
            packet_dur_sec=found.packet_dur,
            num_packets=found.num_packets,
            is_calculating_metrics=found.is_tracking_signal_cache,
            attributes={
                "cache": cache,
                "time_range": covered,
                "wall_time_start": covered.walltime,
                **{key: cache[key] for key in _AT_THE_TOP},
            },
        )


#: Keys that the documentation has outside of ``cache``.
_AT_THE_TOP = ("packet_dur_sec", "beta", "is_tracking_cache", "persistence_sec")
