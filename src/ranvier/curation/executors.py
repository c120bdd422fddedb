"""Who runs tasks: a small interface, and threads of this process behind it.

A :class:`~ranvier.curation.task.Task` is plain data, and :func:`run_task` needs nothing but the task: another executor
(a process pool, a Dask cluster) sends tasks away and gives their results back as futures.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ranvier.curation.branches import run_tree
from ranvier.curation.output import writable
from ranvier.curation.task import OutputRef, Task, to_path
from ranvier.exceptions import CapabilityError, JobCancelledError, RadiensError, RecordingError
from ranvier.models.jobs import JobProgress, PartProgress
from ranvier.recordings import Events, Recording, Session, SpikeTrains, open_session
from ranvier.recordings.digital import edges_lost_at
from ranvier.recordings.sink import Sink

Report = Callable[[JobProgress], None]
Cancelled = Callable[[], bool]
Staged = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How a task ended.

    Attributes
    ----------
    outputs
        By name of the output, what stands on the disk: the path to link.
    failures
        By name of the output, what went wrong; nothing of these stands under a final name.
    records
        By name of the output, its provenance.
    samples
        Samples per channel that were read.
    kinds
        By name of the output, the class of what went wrong: some failures may pass.
    """

    outputs: dict[str, str]
    failures: dict[str, str]
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    samples: int = 0
    kinds: dict[str, type[BaseException]] = field(default_factory=dict)


class Executor(Protocol):
    """Runs tasks somewhere."""

    def submit(
        self,
        task: Task,
        *,
        progress: Report | None = None,
        cancelled: Cancelled | None = None,
        staged: Staged | None = None,
    ) -> Future[TaskResult]:
        """Run a task; what fails in it is in the result, and only a cancel is raised (JobCancelledError).

        ``progress`` and ``cancelled`` are called from any thread of this process; ``staged`` with the token of the
        temporary names of each output, as soon as it is opened.
        """
        ...

    def close(self) -> None:
        """Wait for what was submitted, and let go of the workers."""
        ...


class ThreadExecutor:
    """Runs tasks in this process, one after the other by default: each uses all cores by itself."""

    def __init__(self, at_once: int = 1, *, workers: int | None = None) -> None:
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="ranvier-task")
        self._workers = workers

    def submit(
        self,
        task: Task,
        *,
        progress: Report | None = None,
        cancelled: Cancelled | None = None,
        staged: Staged | None = None,
    ) -> Future[TaskResult]:
        """Run a task in a thread; see :class:`Executor`."""
        return self._pool.submit(
            run_task, task, progress=progress, cancelled=cancelled, staged=staged, workers=self._workers
        )

    def close(self) -> None:
        """Wait for what runs; what has not begun never does."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def run_task(
    task: Task,
    *,
    progress: Report | None = None,
    cancelled: Cancelled | None = None,
    staged: Staged | None = None,
    workers: int | None = None,
) -> TaskResult:
    """Run a task here: open its source, run its tree, commit its outputs."""
    try:
        with open_session(to_path(task.source.uri), task.source.file_type) as session:
            return run_on(session, task, progress=progress, cancelled=cancelled, staged=staged, workers=workers)
    except JobCancelledError:
        raise
    except RadiensError as error:
        if progress is not None:
            progress(JobProgress(label=task.label, phase="failed", fraction=1.0, parts=_all_failed(task)))
        names = [output.name for output in task.outputs]
        return TaskResult({}, dict.fromkeys(names, str(error)), kinds=dict.fromkeys(names, type(error)))


def run_on(
    session: Session,
    task: Task,
    *,
    progress: Report | None = None,
    cancelled: Cancelled | None = None,
    staged: Staged | None = None,
    workers: int | None = None,
) -> TaskResult:
    """Run a task on its source, which is open."""
    recording = session.stream(task.source.stream)
    records = {output.name: dict(output.header.provenance or {}) for output in task.outputs}
    events = events_of(session, recording, *records.values())

    def open_sink(output: OutputRef) -> Sink:
        destination = to_path(output.uri)
        sink = writable(output.file_type, destination, output.format).sink
        if sink is None:
            raise CapabilityError(f"{output.file_type.name} files cannot be written")
        made = sink(destination, replace(output.header, provenance=records[output.name]), force=output.force)
        if staged is not None:
            staged(made.staged.token)
        return made

    report = run_tree(
        recording,
        task.root,
        open_sink,
        channels=task.source.channels,
        start=task.source.start,
        stop=task.source.stop,
        events=events,
        prepare=lambda output, sink: carry_over(session, recording, events, output, sink, records[output.name]),
        workers=workers,
        progress=progress,
        cancelled=cancelled,
        label=task.label,
    )
    done = {o.ref.name: str(o.path) for o in report.outputs if o.path is not None}
    return TaskResult(done, report.failures, {name: records[name] for name in done}, report.samples, report.kinds)


def events_of(session: Session, recording: Recording, *records: dict[str, Any]) -> Events:
    """Return the events of a recording; where their table is damaged none, and the records of outputs say so.

    It is no reason to leave the signals behind.
    """
    try:
        return session.events.get(session.stream_name(recording), Events.empty())
    except RecordingError as error:
        for record in records:
            record["notes"] = [*record.get("notes", []), f"left out: {error}"]
        return Events.empty()


def carry_over(
    session: Session, recording: Recording, events: Events, output: OutputRef, sink: Sink, record: dict[str, Any]
) -> None:
    """Give an output the spike trains of its range; what it has no place for, or cannot be read, its record says."""
    ratio, notes = recording.fs / output.header.fs, list(record.get("notes", []))
    if lost := edges_lost_at(events.between(*output.events), ratio):
        notes.append(f"{lost} edges of digital lines lie between kept samples")
    for name in session.spike_trains:
        try:
            trains = session.spike_trains[name]
        except RecordingError as error:
            notes.append(f"left out: {error}")
            continue
        inside = trains.counted_at(recording.fs).between(*output.events)
        notes += left_out(sink, name, inside.at_rate(ratio, output.stop))
    if notes:
        record["notes"] = notes


def left_out(sink: Sink, name: str, trains: SpikeTrains) -> list[str]:
    """Give spike trains to a sink; return what the record must say, where its format has no place for them."""
    try:
        sink.write_spike_trains(name, trains)
    except CapabilityError as error:
        return [f"left out: {error}"]
    return []


def _all_failed(task: Task) -> tuple[PartProgress, ...]:
    return tuple(PartProgress(name=output.name, state="failed") for output in task.outputs)
