"""Jobs: long work in a worker thread, with typed progress, cancel, error, and an honest record in the store.

::

    def work(job: JobContext) -> Path:
        for done in range(0, total, step):
            job.check()                        # raises JobCancelledError once someone cancelled
            ...
            job.progress(samples_done=done, samples_total=total)
        return path

    path = manager.run("bandpass", "bandpass sample.rhd", work, outputs=[path], progress=show)
"""

from __future__ import annotations

import os
import platform
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from ranvier.exceptions import CapabilityError, ConfigurationError, DataProcessingError, DatasetError, StoreError
from ranvier.hub.budget import Budget, Need, change_settings, settings_of
from ranvier.hub.job import SHOW_INTERVAL_SEC, Job, JobContext, ProgressCallback, Retries
from ranvier.hub.job_records import mark_lost, truth
from ranvier.models.jobs import JobInfo, JobProgress, JobSettings, JobState
from ranvier.store import JobRecord, Store
from ranvier.store.data import storable, utc_now
from ranvier.store.jobs import UNFINISHED

__all__ = ["Budget", "Job", "JobContext", "JobManager", "Need", "ProgressCallback", "Retries"]

T = TypeVar("T")
JobInfos = list[JobInfo]

#: How often the progress of running jobs is written to the store.
STORE_INTERVAL_SEC = 1.0

#: Of so many failed or cancelled jobs the work is kept for a retry in this process.
KEPT_WORK = 20

_RETRY_OF: ContextVar[str | None] = ContextVar("retry_of", default=None)


class _Again(NamedTuple):
    """What runs a job once more: arguments and options of ``run``."""

    call: tuple[str, str, Callable[[JobContext], Any]]
    options: dict[str, Any]


class JobManager:
    """Runs jobs and knows those of every process that shares the store.

    Jobs start in the order of ``submit``: the oldest that waits starts as soon as the budget has room for it, and none
    overtakes it. A job that alone exceeds the budget runs alone. Threads exist only while there is work, and are no
    daemons: a script that ends still finishes the jobs it submitted. Submitting writes the store and raises StoreError
    where that is impossible.

    Parameters
    ----------
    store
        Where jobs are recorded.
    budget
        What running jobs take together, at most; None takes what the settings of the store say.
    retries
        How jobs that fail in a way that may pass are tried again, where ``submit`` does not say; None: the settings.
    """

    def __init__(self, store: Store, *, budget: Budget | None = None, retries: Retries | None = None) -> None:
        self._store = store
        self._budget = budget
        self._given_retries = retries
        self._again: OrderedDict[str, _Again] = OrderedDict()
        #: Repeats a job of another process from its request; the hub sets it.
        self.repeater: Callable[[Any, Any], object] | None = None
        self._lock = threading.Lock()
        self._owner: str | None = None
        self._jobs: dict[str, Job[Any]] = {}
        self._queue: deque[Job[Any]] = deque()
        self._running: dict[str, Need] = {}
        self._workers: set[threading.Thread] = set()
        self._reporter: threading.Thread | None = None
        self._all_idle = threading.Event()
        self._all_idle.set()
        self._closed = False

    @property
    def budget(self) -> Budget:
        """What running jobs take together, at most."""
        if self._budget is None:
            self._budget = Budget.of(self._store)
        return self._budget

    @property
    def _retries(self) -> Retries:
        if self._given_retries is not None:
            return self._given_retries
        found = settings_of(self._store)
        return Retries(found.retries, found.retry_pause_sec)

    def settings(self) -> JobSettings:
        """Return what running jobs take together, and how often a job is tried again."""
        return settings_of(self._store)

    def change_settings(
        self,
        *,
        memory_bytes: int | None = None,
        workers: int | None = None,
        max_running: int | None = None,
        retries: int | None = None,
        retry_pause_sec: float | None = None,
    ) -> JobSettings:
        """Change some settings, for jobs that start from now on; see the Protocol."""
        given = {
            "memory_bytes": memory_bytes,
            "workers": workers,
            "max_running": max_running,
            "retries": retries,
            "retry_pause_sec": retry_pause_sec,
        }
        found = change_settings(self._store, {name: value for name, value in given.items() if value is not None})
        with self._lock:
            self._budget = Budget.of(self._store)
        return found

    def submit(
        self,
        kind: str,
        label: str,
        work: Callable[[JobContext], T],
        *,
        outputs: Iterable[str | os.PathLike[str]] = (),
        need: Need | None = None,
        retries: Retries | None = None,
        request: Any = None,
    ) -> Job[T]:
        """Queue work and return its job at once.

        Parameters
        ----------
        kind
            Operation, e.g. ``"bandpass"``.
        label
            What a user sees beside the progress.
        work
            Called with the job's context in a worker thread; what it returns is the result.
        outputs
            Paths that the job will make.
        need
            What it takes of the budget.
        retries
            Whether it is tried again by itself.
        request
            JSON data from which any process can repeat it (see ``repeater``).
        """
        created, label = utc_now(), storable(label)
        job_id = f"job-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
        info = JobInfo(
            id=job_id,
            kind=kind,
            label=label,
            state=JobState.QUEUED,
            progress=JobProgress(job_id=job_id, label=label),
            created_utc=created,
            outputs=tuple(os.fspath(path) for path in outputs),
            retry_of=_RETRY_OF.get(),
            repeatable=request is not None,
        )
        job = Job(self, info, work, need or Need(), retries or self._retries, request)
        with self._lock:
            if self._closed:
                raise DataProcessingError("this engine was closed; open a new client")
            if self._owner is None:
                self._owner = self._store.owners.claim()
            owner = self._owner
        self._store.jobs.insert(JobRecord(info, owner, os.getpid(), platform.node(), time.time(), request))
        try:
            with self._lock:
                self._jobs[job_id] = job
                self._queue.append(job)
                self._all_idle.clear()
                self._start_threads()
        except KeyboardInterrupt:  # while its thread starts: nobody will wait for it, as in ``Job.result``
            job.cancel()
            while not job.wait(SHOW_INTERVAL_SEC) and any(worker.is_alive() for worker in tuple(self._workers)):
                pass
            raise
        return job

    def run(
        self,
        kind: str,
        label: str,
        work: Callable[[JobContext], T],
        *,
        outputs: Iterable[str | os.PathLike[str]] = (),
        need: Need | None = None,
        retries: Retries | None = None,
        request: Any = None,
        progress: ProgressCallback | None = None,
    ) -> T:
        """Submit work and wait for its result; see :meth:`Job.result` for progress, errors and Ctrl-C."""
        job = self.submit(kind, label, work, outputs=outputs, need=need, retries=retries, request=request)
        return job.result(progress)

    def retry(self, job_id: str, progress: ProgressCallback | None = None) -> JobInfo:
        """Do again what a job that failed, was cancelled or lost should have done, and wait for it.

        Returns
        -------
        JobInfo
            Of the new job; its ``retry_of`` is the old one. The old one, where all its outputs stand already.

        Raises
        ------
        DatasetError
            The id is unknown.
        ConfigurationError
            The job has not ended, or did what it should.
        CapabilityError
            Its process is gone, and its record does not tell what it did.
        RadiensError
            What the work raises this time.
        """
        info = self.get(job_id)
        if info.state in (*UNFINISHED, JobState.DONE):
            raise ConfigurationError(f"job {job_id} is {info.state.value}: there is nothing to do again")
        mark_lost(self._store)
        with self._lock:
            again = self._again.get(job_id)
        record = self._store.jobs.get(job_id)
        token = _RETRY_OF.set(job_id)
        try:
            if again is not None:
                self.run(*again.call, **again.options, progress=progress)
            elif record is not None and record.request is not None and self.repeater is not None:
                self.repeater(record.request, progress)
            else:
                raise CapabilityError(f"job {job_id} ({info.label}) cannot be repeated from its record; call it again")
        finally:
            _RETRY_OF.reset(token)
        return next((one for one in self.list() if one.retry_of == job_id), info)

    def list(self) -> JobInfos:
        """Return all jobs of all processes, newest first; those whose process died are LOST."""
        mark_lost(self._store)
        return [self._truth(record).info for record in self._store.jobs.all()]

    def get(self, job_id: str) -> JobInfo:
        """Return one job; DatasetError where it is unknown."""
        with self._lock:
            mine = self._jobs.get(job_id)
        if mine is not None:
            return mine.info
        record = self._store.jobs.get(job_id)
        if record is None:
            raise DatasetError(f"no job {job_id!r}; list the jobs to see those that are known")
        return self._truth(record).info

    def mine(self, job_id: str) -> Job[Any] | None:
        """Return an unfinished job of this manager; None for one that has ended, or that another process runs."""
        with self._lock:
            return self._jobs.get(job_id)

    def cancel(self, job_id: str) -> JobInfo:
        """Ask a job to stop and return it as it is now; one that has ended is left as it is.

        A job of another process learns of it within about a second. DatasetError where the id is unknown.
        """
        with self._lock:
            mine = self._jobs.get(job_id)
        if mine is not None:
            mine.cancel()
            return mine.info
        info = self.get(job_id)
        if info.state in UNFINISHED:
            self._store.jobs.request_cancel(job_id)
        return info

    def clear(self, ids: Iterable[str] | None = None) -> int:
        """Forget finished jobs, all or some; return how many. Unfinished ones stay."""
        mark_lost(self._store)
        return self._store.jobs.clear() if ids is None else self._store.jobs.remove(ids)

    def is_busy(self) -> bool:
        """Return whether a job of this manager runs or waits."""
        return not self._all_idle.is_set()

    def close(self, *, cancel: bool = False) -> None:
        """Wait for the jobs of this manager, cancelling them first where asked; no more are accepted."""
        with self._lock:
            self._closed = True
            mine = tuple(self._jobs.values())
        if cancel:
            for job in mine:
                job.cancel()
        self._all_idle.wait()
        with self._lock:
            reporter, owner = self._reporter, self._owner
            self._owner = None
        if reporter is not None:
            reporter.join()
        if owner is not None:
            self._store.owners.release(owner)

    def __enter__(self) -> JobManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(cancel=error is not None)

    def _truth(self, record: JobRecord) -> JobRecord:
        """Return a record as it is now: live for jobs of this manager, LOST where the process is gone."""
        with self._lock:
            mine = self._jobs.get(record.info.id)
        if mine is not None:
            return JobRecord(mine.info, record.owner, record.pid, record.host, record.heartbeat_unix)
        return truth(self._store, record)

    def _start_threads(self) -> None:
        """Start the oldest jobs that wait, as long as the budget has room (the caller holds the lock)."""
        while self._queue and self.budget.fits(self._queue[0].need, list(self._running.values())):
            job = self._queue.popleft()
            job.context.granted = self.budget.grant(job.need, list(self._running.values()))
            self._running[job.id] = job.context.granted
            worker = threading.Thread(target=self._work_off, args=(job,), name="ranvier-job", daemon=False)
            self._workers.add(worker)
            worker.start()
        if self._reporter is None:
            self._reporter = threading.Thread(target=self._report, name="ranvier-job-report", daemon=True)
            self._reporter.start()

    def _work_off(self, job: Job[Any]) -> None:
        job._run()
        with self._lock:
            self._running.pop(job.id, None)
            self._workers.discard(threading.current_thread())
            self._start_threads()
            self._note_idle()

    def _note_idle(self) -> None:
        if not self._workers and not self._queue:
            self._all_idle.set()

    def _report(self) -> None:
        """Write progress of the unfinished jobs to the store once a second, until all are finished."""
        while not self._all_idle.wait(STORE_INTERVAL_SEC):
            with self._lock:
                unfinished = [job for job in self._jobs.values() if not job.is_finished]
            for job in unfinished:
                try:
                    info = job.info
                    if self._store.jobs.update(job.id, info.state, info.progress):
                        job.cancel()
                except StoreError:
                    continue  # the work matters more; the end of the job says whether the store still fails
        with self._lock:
            self._reporter = None
            if self._queue or self._workers:  # submitted while this thread was leaving
                self._start_threads()

    def _note_start(self, info: JobInfo) -> None:
        with suppress(StoreError):  # the work matters more; the end of the job says whether the store still fails
            self._store.jobs.update(info.id, info.state, info.progress)

    def _note_end(self, info: JobInfo) -> None:
        """Record how a job ended; from then on the store knows it, and this manager need not."""
        self._store.jobs.finish(info)
        with self._lock:
            self._jobs.pop(info.id, None)

    def _drop_if_queued(self, job: Job[Any]) -> None:
        """End a cancelled job that has not started."""
        with self._lock:
            if job not in self._queue:
                return
            self._queue.remove(job)
        job._run()  # its first check ends it, as CANCELLED
        with self._lock:
            self._start_threads()
            self._note_idle()

    def _note_staged(self, job_id: str, tokens: tuple[str, ...]) -> None:
        with suppress(StoreError):  # then what a crash leaves behind stays; the work matters more
            self._store.jobs.note_staged(job_id, tokens)

    def _keep_for_retry(self, job: Job[Any], work: Callable[[JobContext], Any]) -> None:
        """Keep the work of the last jobs that failed or were cancelled."""
        info = job._info
        options = {"outputs": info.outputs, "need": job.need, "retries": job._retries, "request": job.request}
        with self._lock:
            self._again[job.id] = _Again((info.kind, info.label, work), options)
            while len(self._again) > KEPT_WORK:
                self._again.popitem(last=False)

    def _refuse_to_wait_in_a_worker(self, job: Job[Any]) -> None:
        with self._lock:
            inside = threading.current_thread() in self._workers
        if inside and not job.is_finished:
            raise DataProcessingError("a job cannot wait for another job of its engine: they would wait for each other")
