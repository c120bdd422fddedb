"""Metrics and channel quality of linked datasets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ranvier._platform import worker_count
from ranvier.curation.groups import chain_of
from ranvier.dsp.view import FilteredRecording
from ranvier.exceptions import ConfigurationError, DatasetError, JobCancelledError, SignalSelectionError
from ranvier.hub.datasets import Datasets
from ranvier.hub.dsp import DspGroups
from ranvier.hub.jobs import JobContext, JobManager
from ranvier.hub.linked import Linked
from ranvier.hub.packets import DatasetPackets, KeptPackets
from ranvier.hub.timing import resolve, time_range
from ranvier.metrics.assessment import assess
from ranvier.metrics.event_levels import changed_params
from ranvier.metrics.packet_store import FilePackets, MemoryPackets
from ranvier.metrics.packets import PacketGrid
from ranvier.metrics.ranges import DEFAULT_BETA, DEFAULT_PERSISTENCE_SEC, RangeMetrics, reduced
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.kpi import (
    BundleStatId,
    KpiBundleStatsResult,
    KpiBundleStatsWindow,
    KpiMetricId,
    KpiMetricsResult,
    KpiMetricsSeriesResult,
    KpiMetricsWindow,
    KpiServiceMode,
    KpiStatus,
)
from ranvier.models.quality import ChannelQualityTable
from ranvier.models.signals import SignalType, SigSelect
from ranvier.models.spikesorter import SpikeDetectParams
from ranvier.models.time_range import TimeRange
from ranvier.recordings import Recording
from ranvier.recordings.selection import columns_of_kind, selected_columns
from ranvier.services.progress import Progress
from ranvier.store import Store

T = TypeVar("T")


class Metrics:
    """Service ``HubMetrics``."""

    def __init__(self, datasets: Datasets, dsp: DspGroups, jobs: JobManager, store: Store) -> None:
        self._datasets = datasets
        self._dsp = dsp
        self._jobs = jobs
        self._packets = DatasetPackets(datasets, dsp, store)

    def channel_quality(
        self,
        dataset_id: str,
        time_range: TimeRangeSpec | None = None,
        select: SigSelect | None = None,
        *,
        apply_dsp: bool = False,
        progress: Progress | None = None,
    ) -> ChannelQualityTable:
        """Measure amplifier channels (the selected ones by default) over a time range (all by default)."""
        linked = self._datasets.linked(dataset_id)
        recording: Recording = linked.recording
        start, stop = resolve(time_range, recording)
        chosen = columns_of_kind(linked.channels, SignalType.AMP, None)
        if select is not None:
            chosen = selected_columns(linked.channels, select).get(SignalType.AMP, chosen)
        if len(chosen) == 0:
            raise SignalSelectionError(f"{linked.base_name} has no selected amplifier channel to measure")
        filters = self._dsp.get(dataset_id).software_stage2 if apply_dsp else []
        view = None
        if filters:
            view = FilteredRecording(recording, chain_of(filters, recording.fs, linked.channels))

        def work(job: JobContext) -> ChannelQualityTable:
            return assess(
                dataset_id, recording, linked.channels, chosen, start, stop, filtered=view, progress=job.samples,
                cancelled=job.cancelled, workers=worker_count(),
            )  # fmt: skip

        return self._jobs.run("channel_quality", f"measuring {linked.base_name}", work, progress=progress)

    def get(
        self,
        dataset_id: str,
        metrics: Sequence[KpiMetricId],
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        signal_type: SignalType = SignalType.AMP,
        *,
        service_mode: KpiServiceMode = KpiServiceMode.RANGE,
        progress: Progress | None = None,
    ) -> KpiMetricsResult:
        """Return metrics over a time range; see the Protocol."""
        asked = _Asked(self._datasets.linked(dataset_id), channels, signal_type, self._packets)
        names = _named(metrics)
        if service_mode == KpiServiceMode.STREAM:
            if time_range is not None:
                raise ConfigurationError(
                    "service mode STREAM takes the newest packet; leave time_range out, or use RANGE"
                )
            start, stop = asked.newest()
        else:
            start, stop = resolve(time_range, asked.linked.recording)

        def work() -> KpiMetricsResult:
            return KpiMetricsResult(
                channel_indices=asked.ntv,
                metrics=names,
                signal_type=signal_type,
                values=asked.metrics.values(names, start, stop),
                time_range=asked.range(start, stop),
                answered_mode=service_mode,
            )

        return self._run(asked, work, progress)

    def series(
        self,
        dataset_id: str,
        metrics: Sequence[KpiMetricId],
        window_sec: float | None = None,
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        signal_type: SignalType = SignalType.AMP,
        *,
        progress: Progress | None = None,
    ) -> KpiMetricsSeriesResult:
        """Return metrics over successive windows; see the Protocol."""
        asked = _Asked(self._datasets.linked(dataset_id), channels, signal_type, self._packets)
        names = _named(metrics)
        start, stop = resolve(time_range, asked.linked.recording)
        windows = list(asked.metrics.windows(start, stop, window_sec))

        def work() -> KpiMetricsSeriesResult:
            found = (KpiMetricsWindow(time_range=asked.range(a, b), values=asked.metrics.values(names, a, b))
                     for a, b in windows)  # fmt: skip
            return KpiMetricsSeriesResult(
                channel_indices=asked.ntv, metrics=names, signal_type=signal_type, windows=tuple(found)
            )

        return self._run(asked, work, progress)

    def bundle_stats(
        self,
        dataset_id: str,
        stats: Sequence[BundleStatId],
        window_sec: float | None = None,
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        signal_type: SignalType = SignalType.AMP,
        *,
        progress: Progress | None = None,
    ) -> KpiBundleStatsResult:
        """Return metrics reduced over channels; see the Protocol."""
        wanted = list(dict.fromkeys(stat.metric for stat in stats))
        names = [KpiMetricId(name=name) for name in wanted]
        found = self.series(dataset_id, names, window_sec, channels, time_range, signal_type, progress=progress)
        windows = tuple(
            KpiBundleStatsWindow(time_range=w.time_range, values=reduced(w.values, stats, wanted))
            for w in found.windows
        )
        return KpiBundleStatsResult(stats=tuple(stats), windows=windows)

    def status(self, dataset_id: str) -> KpiStatus:
        """Return how many packets are there; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        kept = self._packets.of(linked)
        grid, recording = kept.maker.grid, linked.recording
        begin = grid.index_of(recording.start)
        whole = grid.index_of(recording.stop - 1) + 1 - begin if recording.stop else 0
        there = [i for i in kept.store.indices if begin <= i < begin + whole]  # a damaged one may tell any index
        in_memory = isinstance(kept.store, MemoryPackets)
        covered = None
        if there:
            first, last = grid.start_of(there[0]), grid.start_of(there[-1] + 1)
            covered = time_range(recording, max(first, recording.start), min(last, recording.stop))
        return KpiStatus(
            stream_group_id=linked.id,
            num_packets_memory=kept.store.most if isinstance(kept.store, MemoryPackets) else whole,
            packet_dur=float(grid.dur),
            update_period=float(grid.dur),
            persistence=DEFAULT_PERSISTENCE_SEC,
            beta=DEFAULT_BETA,
            is_tracking_signal_cache=False,
            num_packets=len(there),
            memory_bytes=float(kept.store.num_bytes) if in_memory else 0.0,
            num_sigs=len(kept.maker.columns),
            time_range=covered,
            num_packets_total=whole,
            packet_file=str(kept.store.path) if isinstance(kept.store, FilePackets) else "",
            note=kept.note,
        )

    def calculate(self, dataset_id: str, *, background: bool = False, progress: Progress | None = None) -> None:
        """Compute every packet; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        kept, recording = self._packets.of(linked), linked.recording
        if recording.stop <= recording.start or not len(kept.maker.columns):
            return
        grid = kept.maker.grid
        first, stop = grid.index_of(recording.start), grid.index_of(recording.stop - 1) + 1
        while stop > first and not kept.maker.is_final(stop - 1):
            stop -= 1

        def work(job: JobContext) -> None:
            with suppress(DatasetError):  # it may have been unlinked meanwhile
                _watched(kept, job, lambda: kept.complete(first, stop))

        job = self._jobs.submit("metrics", f"metrics of {linked.base_name}", work)
        if not background:
            job.result(progress)

    def clear(self, dataset_id: str) -> None:
        """Forget the packets; see the Protocol."""
        self._packets.clear(self._datasets.linked(dataset_id))

    def set_packet_duration(self, dataset_id: str, packet_sec: float) -> None:
        """Set how long packets are; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        PacketGrid.of(linked.recording.fs, packet_sec)
        settings = self._packets.settings(linked.id)
        settings.packet_sec = packet_sec
        self._packets.save(linked.id, settings)

    def params(self, dataset_id: str) -> list[SpikeDetectParams]:
        """Return the event parameters; see the Protocol."""
        return self.set_params(dataset_id, [SpikeDetectParams()])

    def set_params(self, dataset_id: str, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        """Change event parameters; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        settings = self._packets.settings(linked.id)
        ntv = [linked.channels[int(c)].ntv for c in linked.channels.columns_of(SignalType.AMP)]
        changed = changed_params(settings.params, changes, ntv, float(linked.recording.fs))
        if changed != settings.params and any(c != SpikeDetectParams() for c in changes):
            settings.params = changed
            self._packets.save(linked.id, settings)
        return [changed[i] for i in ntv]

    def window_values(
        self,
        linked: Linked,
        metrics: Sequence[KpiMetricId],
        windows: tuple[npt.NDArray[np.int64], int],
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> npt.NDArray[np.float64]:
        """Return metrics of the selected amplifier channels, ``(windows, channels, metrics)``, for work inside a job.

        ``windows`` are first counters, and one length in samples.
        """
        asked = _Asked(linked, None, SignalType.AMP, self._packets)
        starts, n = windows

        def work() -> npt.NDArray[np.float64]:
            out = np.empty((len(starts), len(asked.ntv), len(metrics)))
            for i, start in enumerate(starts.tolist()):
                if cancelled():
                    raise JobCancelledError("the analysis was cancelled")
                out[i] = asked.metrics.values(metrics, start, start + n)
                progress(i + 1, len(starts))
            return out

        return asked.kept.watched(work, progress, cancelled)

    def _run(self, asked: _Asked, work: Callable[[], T], progress: Progress | None) -> T:
        def watched(job: JobContext) -> T:
            return _watched(asked.kept, job, work)

        return self._jobs.run("metrics", f"metrics of {asked.linked.base_name}", watched, progress=progress)


class _Asked:
    """The channels of a request, and where their packets are."""

    def __init__(
        self, linked: Linked, channels: Sequence[int] | None, kind: SignalType, packets: DatasetPackets
    ) -> None:
        self.linked = linked
        self.kept = packets.of(linked, kind)
        columns = _columns(linked, channels, kind)
        place = {int(c): row for row, c in enumerate(self.kept.maker.columns)}
        rows = np.array([place[int(c)] for c in columns], dtype=np.int64)
        self.ntv = tuple(linked.channels[int(c)].ntv for c in columns)
        self.metrics = RangeMetrics(self.kept.maker, self.kept, rows)

    def newest(self) -> tuple[int, int]:
        """Return the newest whole packet (or what there is of the first one)."""
        grid, recording = self.kept.maker.grid, self.linked.recording
        last = grid.index_of(recording.stop)
        first = max(recording.start, grid.start_of(last - 1))
        stop = grid.start_of(last)
        return (first, stop) if stop > first else (recording.start, recording.stop)

    def range(self, start: int, stop: int) -> TimeRange:
        """Return counters as a model."""
        return time_range(self.linked.recording, start, stop)


def _columns(linked: Linked, channels: Sequence[int] | None, kind: SignalType) -> npt.NDArray[np.int64]:
    chosen = columns_of_kind(linked.channels, kind, None if channels is None or not len(channels) else channels)
    if not len(chosen):
        raise SignalSelectionError(f"{linked.base_name} has no selected {kind.name} channel to measure")
    return chosen


def _named(metrics: Sequence[KpiMetricId]) -> tuple[KpiMetricId, ...]:
    if not metrics:
        raise ConfigurationError("name at least one metric, e.g. 'RMS'; KpiMetric lists them")
    return tuple(metrics)


def _watched(kept: KeptPackets, job: JobContext, work: Callable[[], T]) -> T:
    """Do work that computes packets under a job's eyes."""
    return kept.watched(work, lambda done, total: job.progress(done / max(1, total)), job.cancelled)
