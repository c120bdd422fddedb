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
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TypeVar

from ranvier.exceptions import DataProcessingError, DatasetError, StoreError
from ranvier.hub.job import Job, JobContext, ProgressCallback
from ranvier.models.jobs import JobInfo, JobProgress, JobState
from ranvier.store import JobRecord, Store
from ranvier.store.data import storable, utc_now
from ranvier.store.jobs import UNFINISHED

__all__ = ["Job", "JobContext", "JobManager", "ProgressCallback"]

T = TypeVar("T")
JobInfos = list[JobInfo]

#: How often the progress of running jobs is written to the store.
STORE_INTERVAL_SEC = 1.0


class JobManager:
    """Runs jobs and knows those of every process that shares the store.

    Jobs run in the order of ``submit``, ``max_running`` at a time. Worker threads exist only while there is work, and
    are no daemons: a script that ends still finishes the jobs it submitted. Submitting writes the store and raises
    StoreError where that is impossible.

    Parameters
    ----------
    store
        Where jobs are recorded.
    max_running
        How many jobs of this manager run at once; each may use several threads itself.
    """

    def __init__(self, store: Store, *, max_running: int = 1) -> None:
        self._store = store
        self._max_running = max_running
        self._lock = threading.Lock()
        self._owner: str | None = None
        self._jobs: dict[str, Job[Any]] = {}
        self._queue: deque[Job[Any]] = deque()
        self._running: set[str] = set()
        self._workers: set[threading.Thread] = set()
        self._reporter: threading.Thread | None = None
        self._all_idle = threading.Event()
        self._all_idle.set()
        self._closed = False

    def submit(
        self,
        kind: str,
        label: str,
        work: Callable[[JobContext], T],
        *,
        outputs: Iterable[str | os.PathLike[str]] = (),
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
        )
        job = Job(self, info, work)
        with self._lock:
            if self._closed:
                raise DataProcessingError("this engine was closed; open a new client")
            if self._owner is None:
                self._owner = self._store.owners.claim()
            owner = self._owner
        self._store.jobs.insert(JobRecord(info, owner, os.getpid(), platform.node(), time.time()))
        with self._lock:
            self._jobs[job_id] = job
            self._queue.append(job)
            self._all_idle.clear()
            self._start_threads()
        return job

    def run(
        self,
        kind: str,
        label: str,
        work: Callable[[JobContext], T],
        *,
        outputs: Iterable[str | os.PathLike[str]] = (),
        progress: ProgressCallback | None = None,
    ) -> T:
        """Submit work and wait for its result; see :meth:`Job.result` for progress, errors and Ctrl-C."""
        return self.submit(kind, label, work, outputs=outputs).result(progress)

    def list(self) -> JobInfos:
        """Return all jobs of all processes, newest first; those whose process died are LOST."""
        self._mark_lost()
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
        self._mark_lost()
        return self._store.jobs.clear() if ids is None else self._store.jobs.remove(ids)

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
        if not record.is_finished and not self._is_alive(record):
            # it may have ended properly between the two looks
            again = self._store.jobs.get(record.info.id) or record
            return again if again.is_finished else again.as_lost()
        return record

    def _is_alive(self, record: JobRecord) -> bool:
        return self._store.owners.is_alive(record.owner, record.heartbeat_unix)

    def _mark_lost(self) -> None:
        """Write down which jobs are lost, where the store can be written."""
        if self._store.database.is_writable:
            self._store.jobs.mark_lost(self._is_alive)
            self._store.owners.sweep()

    def _start_threads(self) -> None:
        """Start workers for what is queued (the caller holds the lock)."""
        while len(self._workers) < min(self._max_running, len(self._running) + len(self._queue)):
            worker = threading.Thread(target=self._work_off, name="ranvier-job", daemon=False)
            self._workers.add(worker)
            worker.start()
        if self._reporter is None:
            self._reporter = threading.Thread(target=self._report, name="ranvier-job-report", daemon=True)
            self._reporter.start()

    def _work_off(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._workers.discard(threading.current_thread())
                    if not self._workers:
                        self._all_idle.set()
                    return
                job = self._queue.popleft()
                self._running.add(job.id)
            job._run()
            with self._lock:
                self._running.discard(job.id)

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

    def _refuse_to_wait_in_a_worker(self, job: Job[Any]) -> None:
        with self._lock:
            inside = threading.current_thread() in self._workers
        if inside and not job.is_finished:
            raise DataProcessingError("a job cannot wait for another job of its engine: they would wait for each other")
