"""Analyses over many linked datasets."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError, DatasetError
from ranvier.hub.datasets import Datasets
from ranvier.hub.jobs import JobContext, JobManager
from ranvier.hub.linked import Linked
from ranvier.hub.metrics import Metrics
from ranvier.hub.timing import time_range
from ranvier.metrics.summa import dividers_of, histogram, packets_of
from ranvier.models.jobs import JobState
from ranvier.models.kpi import KpiMetricId
from ranvier.models.summa import SummaDatasource, SummaHistogram, SummaResult, SummaState
from ranvier.recordings.selection import amplifier_columns
from ranvier.services.progress import Progress
from ranvier.store import Store
from ranvier.store.data import utc_now

F64 = npt.NDArray[np.float64]
States = list[SummaState]

#: Values (packets x channels x metrics) of one analysis, at most (400 MB).
MOST_VALUES = 50_000_000
MOST_BINS = 10_000
_RUNNING = (JobState.QUEUED, JobState.RUNNING)


class Summa:
    """Service ``HubSumma``."""

    def __init__(self, datasets: Datasets, metrics: Metrics, jobs: JobManager, store: Store) -> None:
        self._datasets = datasets
        self._metrics = metrics
        self._jobs = jobs
        self._store = store.summa

    def launch(
        self,
        summa_id: str,
        dataset_ids: Sequence[str],
        metrics: Sequence[KpiMetricId],
        *,
        packet_dur_sec: float = 1.0,
        bins: int = 50,
        wait: bool = False,
        progress: Progress | None = None,
    ) -> SummaState:
        """Start an analysis; see the Protocol."""
        ids = tuple(dict.fromkeys(dataset_ids))
        sources = [self._datasets.linked(i) for i in ids]
        _check(summa_id, sources, metrics, packet_dur_sec, bins)
        old = self._store.find(summa_id)
        if old is not None and self._state(old).message == "" and not old.state.is_complete:
            raise ConfigurationError(f"the analysis {summa_id!r} is running; wait, or clear it first")
        state = SummaState(
            id=summa_id, is_complete=False, frac_complete=0.0, packet_dur_sec=packet_dur_sec, dataset_ids=ids,
            started_utc=utc_now(),
        )  # fmt: skip
        chosen = tuple(metrics)

        stored = threading.Event()  # the end must not be overwritten by the start

        def work(job: JobContext) -> SummaState:
            stored.wait()
            done = state.model_copy(update={"job_id": job.snapshot().job_id, "is_complete": True, "frac_complete": 1.0})
            self._store.put(_analysed(done, sources, chosen, bins, self._metrics, job))
            return done

        job = self._jobs.submit("summa", f"summa {summa_id} of {len(ids)} dataset(s)", work)
        state = state.model_copy(update={"job_id": job.id})
        try:
            self._store.put(SummaResult(state=state, metrics=chosen))
        finally:
            stored.set()
        return job.result(progress) if wait else state

    def get(self, summa_id: str) -> SummaResult:
        """Return an analysis; see the Protocol."""
        found = self._store.find(summa_id)
        if found is None:
            known = ", ".join(repr(r.state.id) for r in self._store.all()) or "none"
            raise DatasetError(f"there is no analysis {summa_id!r}; there are {known}")
        return found.model_copy(update={"state": self._state(found)})

    def list(self) -> States:
        """Return how all analyses stand."""
        return [self._state(found) for found in self._store.all()]

    def clear(self, ids: Sequence[str] | None = None) -> int:
        """Forget analyses; see the Protocol."""
        wanted = [r.state.id for r in self._store.all()] if ids is None else list(ids)
        for summa_id in wanted:
            state = self.get(summa_id).state
            if not state.is_complete and not state.message:
                self._stop(state.job_id)
            self._store.remove(summa_id)
        return len(wanted)

    def _stop(self, job_id: str) -> None:
        """Cancel a job and wait for its end, where it is one of this process."""
        self._jobs.cancel(job_id)
        mine = self._jobs.mine(job_id)
        if mine is not None:
            mine.wait()

    def _state(self, found: SummaResult) -> SummaState:
        """Return the stored state with what its job says now."""
        state = found.state
        if state.is_complete:
            return state
        try:
            job = self._jobs.get(state.job_id)
        except DatasetError:
            return state.model_copy(update={"message": "its job is not known any more; launch it again"})
        if job.state in _RUNNING:
            return state.model_copy(update={"frac_complete": min(job.progress.fraction, 0.999)})
        again = self._store.find(state.id)  # it may have ended between the two looks
        if again is not None and again.state.is_complete:
            return again.state
        return state.model_copy(update={"message": f"{job.state.value}: {job.error or 'it did not end'}"})


def _check(
    summa_id: str, sources: Sequence[Linked], metrics: Sequence[KpiMetricId], packet_dur_sec: float, bins: int
) -> None:
    if not summa_id:
        raise ConfigurationError("an analysis needs an id")
    if not sources:
        raise ConfigurationError("name at least one dataset to analyse")
    if not 1 <= bins <= MOST_BINS:
        raise ConfigurationError(f"{bins} bins: 1 to {MOST_BINS}")
    if not packet_dur_sec > 0:
        raise ConfigurationError(f"packets last longer than 0 s, not {packet_dur_sec:g}")
    if not metrics:
        raise ConfigurationError("name at least one metric, e.g. 'RMS'; KpiMetric lists them")
    values = 0
    for linked in sources:
        packets = len(packets_of(linked.recording, packet_dur_sec)[0])
        values += packets * len(amplifier_columns(linked.channels, None)) * len(metrics)
    if values > MOST_VALUES:
        raise ConfigurationError(
            f"{values:,} values, more than {MOST_VALUES:,}: take longer packets, fewer datasets or fewer metrics"
        )


def _analysed(
    state: SummaState,
    sources: Sequence[Linked],
    metrics: tuple[KpiMetricId, ...],
    bins: int,
    measures: Metrics,
    job: JobContext,
) -> SummaResult:
    """Measure every dataset, then put all values into common bins."""
    columns = [amplifier_columns(linked.channels, None) for linked in sources]
    values: list[F64] = []
    for i, linked in enumerate(sources):

        def progress(done: int, total: int, i: int = i) -> None:
            job.progress((i + done / max(1, total)) / len(sources))

        values.append(
            measures.window_values(
                linked, metrics, packets_of(linked.recording, state.packet_dur_sec), progress, job.cancelled
            )
        )
    dividers = [dividers_of([v[:, :, k] for v in values], bins) for k in range(len(metrics))]

    def histograms(one: F64) -> tuple[SummaHistogram, ...]:
        return tuple(histogram(m, one[:, :, k].ravel(), dividers[k]) for k, m in enumerate(metrics))

    everything = [np.concatenate([v[:, :, k].ravel() for v in values]) for k in range(len(metrics))]
    return SummaResult(
        state=state,
        metrics=metrics,
        aggregate=tuple(histogram(m, everything[k], dividers[k]) for k, m in enumerate(metrics)),
        sources=tuple(
            SummaDatasource(
                dataset_id=linked.id,
                base_name=linked.base_name,
                time_range=time_range(linked.recording),
                num_packets=len(v),
                channel_indices=tuple(linked.channels[int(c)].ntv for c in chosen),
                channel_mean=_mean(v),
                histograms=histograms(v),
            )
            for linked, chosen, v in zip(sources, columns, values, strict=True)
        ),
    )


def _mean(values: F64) -> F64:
    """Return the mean over packets that have a value, ``(channels, metrics)``; NaN where none has."""
    held = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(held, values, 0.0).sum(axis=0) / held.sum(axis=0), dtype=np.float64)
