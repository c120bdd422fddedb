"""Signals and spikes around events of linked datasets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ranvier._platform import worker_count
from ranvier.aligned.results import average_result, csd_result, histogram_result, time_frequency_result
from ranvier.dsp.parallel import Team
from ranvier.exceptions import DatasetError
from ranvier.hub.datasets import Datasets
from ranvier.hub.dsp import DspGroups
from ranvier.hub.jobs import JobContext, JobManager
from ranvier.hub.linked import Linked
from ranvier.hub.signals import filtered, stream_events
from ranvier.hub.spike_sets import SpikeSets
from ranvier.models.aligned import (
    EventQuery,
    PeriEventHistogram,
    PeriEventResult,
    PeriEventSpectrogram,
    TimeFrequencyQuery,
)
from ranvier.models.spectra import CsdResult
from ranvier.recordings import Recording, SpikeTrains
from ranvier.recordings.selection import amplifier_columns
from ranvier.services.progress import Progress
from ranvier.spectral.estimate import Watch

T = TypeVar("T")

#: Windows up to this far apart are read in one go: filters need as much to settle anyway.
REACH_SEC = {False: 1.0, True: 10.0}


class Aligned:
    """Service ``HubAligned``."""

    def __init__(self, datasets: Datasets, dsp: DspGroups, jobs: JobManager, sets: SpikeSets) -> None:
        self._datasets = datasets
        self._dsp = dsp
        self._jobs = jobs
        self._sets = sets

    def average(
        self,
        dataset_id: str,
        query: EventQuery,
        channels: Sequence[int] | None = None,
        *,
        baseline_sec: tuple[float, float] | None = None,
        samp_freq_hz: float | None = None,
        keep_trials: bool = False,
        apply_dsp: bool = False,
        progress: Progress | None = None,
    ) -> PeriEventResult:
        """Average signals; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        columns = amplifier_columns(linked.channels, channels)

        def work(watch: Watch) -> PeriEventResult:
            return average_result(
                self._source(linked, apply_dsp), linked.channels, stream_events(linked), query, columns,
                baseline_sec=baseline_sec, samp_freq_hz=samp_freq_hz, keep_trials=keep_trials,
                reach_sec=REACH_SEC[apply_dsp], watch=watch,
            )  # fmt: skip

        return self._run("average around events", linked, work, progress)

    def time_frequency(
        self,
        dataset_id: str,
        query: EventQuery,
        how: TimeFrequencyQuery,
        channels: Sequence[int] | None = None,
        *,
        progress: Progress | None = None,
    ) -> PeriEventSpectrogram:
        """Average spectrograms; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        columns = amplifier_columns(linked.channels, channels)

        def work(watch: Watch) -> PeriEventSpectrogram:
            return time_frequency_result(
                self._source(linked, how.apply_dsp), linked.channels, stream_events(linked), query, how, columns,
                reach_sec=REACH_SEC[how.apply_dsp], watch=watch, team=Team(worker_count()),
            )  # fmt: skip

        return self._run("spectrogram around events", linked, work, progress)

    def csd(
        self,
        dataset_id: str,
        query: EventQuery,
        channels: Sequence[int] | None = None,
        *,
        conductivity_s_per_m: float = 0.3,
        baseline_sec: tuple[float, float] | None = None,
        samp_freq_hz: float | None = None,
        apply_dsp: bool = False,
        progress: Progress | None = None,
    ) -> CsdResult:
        """Return the current-source density of the average; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        columns = amplifier_columns(linked.channels, channels)

        def work(watch: Watch) -> CsdResult:
            return csd_result(
                self._source(linked, apply_dsp), linked.channels, stream_events(linked), query, columns,
                conductivity_s_per_m=conductivity_s_per_m, baseline_sec=baseline_sec, samp_freq_hz=samp_freq_hz,
                reach_sec=REACH_SEC[apply_dsp], watch=watch,
            )  # fmt: skip

        return self._run("current sources around events", linked, work, progress)

    def spikes(
        self,
        dataset_id: str,
        query: EventQuery,
        units: Sequence[int] | None = None,
        *,
        bin_sec: float = 0.01,
        spike_train: str | None = None,
    ) -> PeriEventHistogram:
        """Count spikes around events; see the Protocol."""
        linked = self._datasets.linked(dataset_id)
        trains = self._spikes_of(linked, spike_train)
        return histogram_result(linked.recording, stream_events(linked), query, trains, units, bin_sec)

    def _spikes_of(self, linked: Linked, name: str | None) -> SpikeTrains:
        """Return the spikes that a name means (of the recording's own, or an id), those beside it, or the only ones."""
        own, ids = list(linked.session.spike_trains), self._sets.ids(linked.id)
        beside = [i for i in ids if not i.startswith(f"{linked.id}_")]
        if name is None and (beside or len(own) == 1):
            name = beside[0] if beside else own[0]
        if name in own:
            return linked.session.spike_trains[name]
        if name in ids:
            return self._sets.get(linked.id, name).store.trains()
        listing = ", ".join(repr(k) for k in (*beside, *own)) or "none"
        wanted = "name one of them" if name is None else f"none is called {name!r}"
        raise DatasetError(f"{linked.base_name} holds {len(beside) + len(own)} sets of spikes ({listing}); {wanted}")

    def _source(self, linked: Linked, apply_dsp: bool) -> Recording:
        return filtered(linked, self._dsp) if apply_dsp else linked.recording

    def _run(self, what: str, linked: Linked, work: Callable[[Watch], T], progress: Progress | None) -> T:
        def run(job: JobContext) -> T:
            return work(Watch(lambda done, total: job.progress(done / max(1, total)), job.cancelled))

        return self._jobs.run("aligned", f"{what}: {linked.base_name}", run, progress=progress)
