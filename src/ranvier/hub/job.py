"""One job: what its work sees of it, and what its caller does."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ranvier.exceptions import (
    DataProcessingError,
    JobCancelledError,
    OutputError,
    OutputExistsError,
    PartialFailureError,
    RadiensError,
    ServerCommunicationError,
    SourceError,
    StoreError,
)
from ranvier.hub.budget import Need
from ranvier.models.jobs import JobInfo, JobProgress, JobState
from ranvier.store.data import storable, utc_now

if TYPE_CHECKING:
    from ranvier.hub.jobs import JobManager

T = TypeVar("T")
ProgressCallback = Callable[[JobProgress], object]

#: What may pass: a full disk, a network drive or an engine that does not answer for a while.
TRANSIENT: tuple[type[RadiensError], ...] = (OutputError, SourceError, ServerCommunicationError)


def may_pass(kind: type[BaseException]) -> bool:
    """Whether it is worth while to try again after such an error."""
    return issubclass(kind, TRANSIENT) and not issubclass(kind, (OutputExistsError, JobCancelledError))


class PassingFailureError(PartialFailureError):
    """Some of several outputs failed in a way that may pass."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and after which failures, a job is tried again by itself; by default never.

    Attributes
    ----------
    times
        Tries after the first one.
    pause_sec
        Before the second try; each further one waits twice as long.
    kinds
        Failures that may pass. A cancel and an output that exists never do.
    """

    times: int = 0
    pause_sec: float = 5.0
    kinds: tuple[type[RadiensError], ...] = (*TRANSIENT, PassingFailureError)

    def pauses(self) -> list[float]:
        """Return the seconds before each further try."""
        return [self.pause_sec * 2**k for k in range(self.times)]


#: How often a waiting caller sees progress.
SHOW_INTERVAL_SEC = 0.1


class JobContext:
    """What running work sees of its job. Thread-safe, so that helper threads of the work may use it too.

    Attributes
    ----------
    granted
        Memory and workers that it may take.
    """

    def __init__(self, job_id: str, label: str, note_staged: Callable[[tuple[str, ...]], object] | None = None) -> None:
        self.granted = Need()
        self._note_staged = note_staged
        self._staged: tuple[str, ...] = ()
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
            Fraction, 0 to 1; None takes ``samples_done / samples_total``. Of a JobProgress, fraction, samples, phase
            and parts are taken.
        samples_done, samples_total
            Samples per channel.
        phase
            What is being done now; it stays until another one is named.
        """
        parts = None
        if isinstance(value, JobProgress):
            parts = value.parts
            samples_done, samples_total, phase = value.samples_done, value.samples_total, value.phase or phase
            value = value.fraction
        with self._lock:
            old = self._progress
            done = old.samples_done if samples_done is None else samples_done
            total = old.samples_total if samples_total is None else samples_total
            if value is None:
                value = done / total if total > 0 else old.fraction
            fraction = min(1.0, max(0.0, float(value)))  # in this order NaN becomes 0
            new: dict[str, Any] = {"samples_done": done, "samples_total": total, "fraction": fraction}
            if parts is not None:
                new["parts"] = parts
            self._progress = old.model_copy(update=new if phase is None else {**new, "phase": storable(phase)})

    def samples(self, done: int, total: int) -> None:
        """Report samples per channel; has the form of the ``progress`` callbacks of readers and metrics."""
        self.progress(samples_done=done, samples_total=total)

    def add_output(self, path: str | os.PathLike[str]) -> None:
        """Name a file that this job made."""
        with self._lock:
            self._outputs = (*self._outputs, os.fspath(path))

    def add_staged(self, token: str) -> None:
        """Name the token of files that are being written, so that they are found if this process dies."""
        with self._lock:
            self._staged = (*self._staged, token)
        if self._note_staged is not None:
            self._note_staged(self._staged)

    def wait(self, seconds: float) -> None:
        """Wait; JobCancelledError as soon as someone cancels."""
        self._cancel.wait(seconds)
        self.check()

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

    def __init__(
        self,
        manager: JobManager,
        info: JobInfo,
        work: Callable[[JobContext], T],
        need: Need,
        retries: Retries,
        request: Any = None,
    ) -> None:
        self.id = info.id
        self.need = need
        self.request = request
        self.context = JobContext(info.id, info.label, lambda tokens: manager._note_staged(info.id, tokens))
        self._retries = retries
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
        return info.model_copy(update={"progress": self.context.snapshot(), "outputs": self._all_outputs(info)})

    def _all_outputs(self, info: JobInfo) -> tuple[str, ...]:
        """Return what was announced, and what the work named, each once."""
        return tuple(dict.fromkeys((*info.outputs, *self.context._outputs)))

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
            self._value = self._attempt(work) if work is not None else None
        except JobCancelledError as error:
            state, self._error = JobState.CANCELLED, error
        except RadiensError as error:
            state, self._error = JobState.FAILED, error
        except BaseException as error:  # noqa: BLE001 - the job keeps it, and result() raises it in the caller's thread
            state = JobState.FAILED
            wrapped = DataProcessingError(f"{self._info.label or self._info.kind} failed: {_describe(error)}")
            wrapped.__cause__ = error
            self._error = wrapped
        if state is not JobState.DONE and work is not None:
            self._manager._keep_for_retry(self, work)
        self._end(state)

    def _attempt(self, work: Callable[[JobContext], T]) -> T:
        """Do the work; again, after a while, where it fails in a way that may pass."""
        for pause_sec in self._retries.pauses():
            try:
                return work(self.context)
            except self._retries.kinds as error:
                if isinstance(error, (OutputExistsError, JobCancelledError)):
                    raise  # waiting does not help
                self.context.progress(0.0, samples_done=0, phase=f"waits to try again: {error}")
                self.context.wait(pause_sec)
                self._info = self._info.model_copy(update={"attempts": self._info.attempts + 1})
        return work(self.context)

    def _end(self, state: JobState) -> None:
        final = self.context._complete() if state is JobState.DONE else self.context.snapshot()
        info = self._info.model_copy(
            update={
                "state": state,
                "progress": final,
                "finished_utc": utc_now(),
                "error": None if self._error is None else storable(str(self._error)),
                "outputs": self._all_outputs(self._info),
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


def _differs(now: JobProgress, shown: JobProgress) -> bool:
    return (now.fraction, now.samples_done, now.phase) != (shown.fraction, shown.samples_done, shown.phase) or (
        now.elapsed_sec - shown.elapsed_sec >= 1.0  # a clock that moves shows that the work lives
    )


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
