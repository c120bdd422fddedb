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
from typing import Any, Generic, TypeVar

from ranvier.exceptions import DataProcessingError, DatasetError, JobCancelledError, RadiensError, StoreError
from ranvier.models.jobs import JobInfo, JobProgress, JobState
from ranvier.store import JobRecord, Store

T = TypeVar("T")

#: How often a waiting caller sees progress, and how often progress is written to the store.
SHOW_INTERVAL_SEC = 0.1
STORE_INTERVAL_SEC = 1.0

ProgressCallback = Callable[[JobProgress], object]
JobInfos = list[JobInfo]


class JobContext:
    """What running work sees of its job. Thread-safe, so that helper threads of the work may use it too."""

    def __init__(self, job_id: str, label: str) -> None:
        self._cancel = threading.Event()
        self._lock = threading.Lock()
        self._started: float | None = None
        self._progress = JobProgress(job_id=job_id, label=label)
        self._outputs: tuple[str, ...] = ()

    def progress(
        self,
        value: float | JobProgress | None = None,
        *,
        samples_done: int | None = None,
        samples_total: int | None = None,
        phase: str | None = None,
    ) -> None:
        """Report how far the work is; cheap enough for every block.

        Parameters
        ----------
        value
            Fraction, 0 to 1; None takes ``samples_done / samples_total``. Of a JobProgress, fraction, samples and
            phase are taken.
        samples_done, samples_total
            Samples per channel.
        phase
            What is being done now; it stays until another one is named.
        """
        if isinstance(value, JobProgress):
            samples_done, samples_total, phase = value.samples_done, value.samples_total, value.phase or phase
            value = value.fraction
        with self._lock:
            old = self._progress
            done = old.samples_done if samples_done is None else samples_done
            total = old.samples_total if samples_total is None else samples_total
            if value is None:
                value = done / total if total > 0 else old.fraction
            new = {"samples_done": done, "samples_total": total, "fraction": min(max(float(value), 0.0), 1.0)}
            self._progress = old.model_copy(update=new if phase is None else {**new, "phase": phase})

    def samples(self, done: int, total: int) -> None:
        """Report samples per channel; has the form of the ``progress`` callbacks of readers and metrics."""
        self.progress(samples_done=done, samples_total=total)

    def add_output(self, path: str | os.PathLike[str]) -> None:
        """Name a file that this job made."""
        with self._lock:
            self._outputs = (*self._outputs, os.fspath(path))

    def cancelled(self) -> bool:
        """Return whether someone cancelled the job."""
        return self._cancel.is_set()

    def check(self) -> None:
        """Raise JobCancelledError where someone cancelled the job."""
        if self._cancel.is_set():
            raise JobCancelledError(f"{self._progress.label or 'the job'} was cancelled")

    def snapshot(self) -> JobProgress:
        """Return the progress now, with rate and remaining time."""
        with self._lock:
            now, started = self._progress, self._started
        if started is None:
            return now
        elapsed = time.monotonic() - started
        rate = now.samples_done / elapsed if elapsed > 0 else 0.0
        # before half a second the rate says more about caches than about the work
        known = now.fraction > 0 and elapsed > 0.5
        remaining = elapsed * (1.0 - now.fraction) / now.fraction if known else None
        return now.model_copy(
            update={"elapsed_sec": elapsed, "samples_per_sec": rate, "remaining_sec": remaining},
        )

    def _begin(self) -> None:
        self._started = time.monotonic()

    def _complete(self) -> JobProgress:
        """Return the last progress of finished work."""
        snapshot = self.snapshot()
        done = max(snapshot.samples_done, snapshot.samples_total)
        elapsed = snapshot.elapsed_sec
        rate = done / elapsed if elapsed > 0 else 0.0
        return snapshot.model_copy(
            update={"fraction": 1.0, "samples_done": done, "samples_per_sec": rate, "remaining_sec": 0.0}
        )


class Job(Generic[T]):
    """A job of this process: ask for its state, wait for its result, cancel it."""

    def __init__(self, manager: JobManager, info: JobInfo, work: Callable[[JobContext], T]) -> None:
        self.id = info.id
        self.context = JobContext(info.id, info.label)
        self._manager = manager
        self._info = info
        self._work: Callable[[JobContext], T] | None = work  # dropped when it ran: it may hold much memory
        self._finished = threading.Event()
        self._value: T | None = None
        self._error: RadiensError | None = None

    @property
    def info(self) -> JobInfo:
        """State and progress, now."""
        info = self._info
        if self._finished.is_set():
            return info
        return info.model_copy(
            update={"progress": self.context.snapshot(), "outputs": (*info.outputs, *self.context._outputs)}
        )

    @property
    def is_finished(self) -> bool:
        """Whether it ended, in whatever way."""
        return self._finished.is_set()

    def cancel(self) -> None:
        """Ask the work to stop; it cleans up first. A queued job never starts."""
        self.context._cancel.set()
        self._manager._drop_if_queued(self)

    def wait(self, timeout_sec: float | None = None) -> bool:
        """Wait for the end, without raising what the work raised; return whether it came."""
        return self._finished.wait(timeout_sec)

    def result(self, progress: ProgressCallback | None = None, *, timeout_sec: float | None = None) -> T:
        """Wait for the work and return what it returned.

        Parameters
        ----------
        progress
            Called in this thread, about ten times a second where something changed, and once at the end.
        timeout_sec
            Give up waiting after this long, with TimeoutError; the job goes on.

        Raises
        ------
        RadiensError
            What the work raised; DataProcessingError with the cause for exceptions that are not ours;
            JobCancelledError after a cancel.
        KeyboardInterrupt
            Ctrl-C while waiting cancels the job and waits until it has cleaned up; a second one stops that waiting.
        """
        self._manager._refuse_to_wait_in_a_worker(self)
        deadline = None if timeout_sec is None else time.monotonic() + timeout_sec
        try:
            self._follow(progress, deadline)
        except TimeoutError:
            raise
        except BaseException:  # Ctrl-C, or the caller's callback failed: leave no work behind that nobody waits for
            self.cancel()
            while not self._finished.wait(SHOW_INTERVAL_SEC):  # in slices: Windows cannot interrupt an endless wait
                pass
            raise
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # the work returned a T, which may be None

    def _follow(self, progress: ProgressCallback | None, deadline: float | None) -> None:
        shown: JobProgress | None = None
        while not self._finished.wait(SHOW_INTERVAL_SEC):
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"{self._info.label or self.id} is still {self._info.state}")
            if progress is not None:
                now = self.context.snapshot()
                if shown is None or _differs(now, shown):
                    progress(now)
                    shown = now
        if progress is not None and self._info.state is JobState.DONE:
            progress(self._info.progress)

    def _run(self) -> None:
        """Do the work in this thread and keep how it ended."""
        work, self._work = self._work, None
        self.context._begin()
        self._info = self._info.model_copy(update={"state": JobState.RUNNING})
        state = JobState.DONE
        try:
            self.context.check()
            self._manager._note_start(self._info)
            self._value = work(self.context) if work is not None else None
        except JobCancelledError as error:
            state, self._error = JobState.CANCELLED, error
        except RadiensError as error:
            state, self._error = JobState.FAILED, error
        except BaseException as error:  # noqa: BLE001 - the job keeps it, and result() raises it in the caller's thread
            state = JobState.FAILED
            wrapped = DataProcessingError(f"{self._info.label or self._info.kind} failed: {_describe(error)}")
            wrapped.__cause__ = error
            self._error = wrapped
        self._end(state)

    def _end(self, state: JobState) -> None:
        final = self.context._complete() if state is JobState.DONE else self.context.snapshot()
        info = self._info.model_copy(
            update={
                "state": state,
                "progress": final,
                "finished_utc": _now(),
                "error": None if self._error is None else str(self._error),
                "outputs": (*self._info.outputs, *self.context._outputs),
            }
        )
        try:
            self._manager._note_end(info)
        except StoreError as error:
            # The work's own outcome stands; the record says that it could not be kept.
            note = f"its end could not be recorded: {error}"
            info = info.model_copy(update={"error": f"{info.error}; {note}" if info.error else note})
        self._info = info
        self._finished.set()


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
        created = _now()
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

    def get(self, id: str) -> JobInfo:
        """Return one job; DatasetError where it is unknown."""
        with self._lock:
            mine = self._jobs.get(id)
        if mine is not None:
            return mine.info
        record = self._store.jobs.get(id)
        if record is None:
            raise DatasetError(f"no job {id!r}; list the jobs to see those that are known")
        return self._truth(record).info

    def cancel(self, id: str) -> None:
        """Cancel a job, also one that another process runs (it learns of it within about a second)."""
        with self._lock:
            mine = self._jobs.get(id)
        if mine is not None:
            mine.cancel()
        elif not self._store.jobs.request_cancel(id):
            self.get(id)  # raises where it is unknown; a finished one needs no cancel

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


def _differs(now: JobProgress, shown: JobProgress) -> bool:
    return (now.fraction, now.samples_done, now.phase) != (shown.fraction, shown.samples_done, shown.phase) or (
        now.elapsed_sec - shown.elapsed_sec >= 1.0  # a clock that moves shows that the work lives
    )


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
