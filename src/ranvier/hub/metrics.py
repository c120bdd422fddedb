"""Channel quality of linked datasets."""

from __future__ import annotations

from ranvier.hub.datasets import Datasets
from ranvier.hub.jobs import JobManager
from ranvier.hub.timing import resolve
from ranvier.metrics import channel_quality, measure
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.quality import ChannelQualityTable
from ranvier.models.signals import SignalType
from ranvier.services.progress import Progress


class Metrics:
    """Service ``HubMetrics``, first part: noise, RMS and verdicts per amplifier channel."""

    def __init__(self, datasets: Datasets, jobs: JobManager) -> None:
        self._datasets = datasets
        self._jobs = jobs

    def channel_quality(
        self,
        dataset_id: str,
        time_range: TimeRangeSpec | None = None,
        *,
        progress: Progress | None = None,
    ) -> ChannelQualityTable:
        """Measure every amplifier channel over a time range (all by default)."""
        linked = self._datasets.linked(dataset_id)
        start, stop = resolve(time_range, linked.recording)
        columns = linked.channels.columns_of(SignalType.AMP)
        fs = linked.recording.fs

        def work(context: object) -> ChannelQualityTable:
            statistics = measure(
                linked.recording,
                start=start,
                stop=stop,
                columns=columns,
                progress=context.progress,  # type: ignore[attr-defined]
                cancelled=context.cancelled,  # type: ignore[attr-defined]
            )
            return ChannelQualityTable(
                dataset_id=dataset_id,
                sec=(float(start / fs), float(stop / fs)),
                channels=channel_quality(statistics, linked.channels.take(columns)),
            )

        return self._jobs.run("channel_quality", f"measuring {linked.base_name}", work, progress=progress)
