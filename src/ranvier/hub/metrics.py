"""Channel quality of linked datasets."""

from __future__ import annotations

import numpy as np

from ranvier._platform import worker_count
from ranvier.curation.plan import chain_of
from ranvier.dsp.view import FilteredRecording
from ranvier.exceptions import SignalSelectionError
from ranvier.hub.datasets import Datasets
from ranvier.hub.dsp import DspGroups
from ranvier.hub.jobs import JobContext, JobManager
from ranvier.hub.timing import resolve
from ranvier.metrics.assessment import assess
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.quality import ChannelQualityTable
from ranvier.models.signals import SignalType, SigSelect
from ranvier.recordings import Recording
from ranvier.recordings.selection import selected_columns
from ranvier.services.progress import Progress


class Metrics:
    """Service ``HubMetrics``, first part: noise, RMS and verdicts per amplifier channel."""

    def __init__(self, datasets: Datasets, dsp: DspGroups, jobs: JobManager) -> None:
        self._datasets = datasets
        self._dsp = dsp
        self._jobs = jobs

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
        selected = [i for i in linked.channels.columns_of(SignalType.AMP) if linked.channels[int(i)].selected]
        chosen = np.array(selected, dtype=np.int64)
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
