"""Jobs as the store remembers them, so that every process sees how each one stands or ended."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from ranvier.models.jobs import JobInfo, JobProgress, JobState
from ranvier.store.data import from_json, parsing, to_json, utc_now
from ranvier.store.database import Database

#: Finished jobs beyond this number are forgotten, oldest first.
KEPT_JOBS = 1000

UNFINISHED = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job.

    Attributes
    ----------
    info
        What users see.
    owner, pid, host
        The process that runs it: its token (see :mod:`ranvier.store.owners`), and for messages id and machine.
    heartbeat_unix
        Its last sign of life, seconds since 1970.
    request
        What any process needs to repeat it, JSON data; None where only the process that ran it can.
    staged
        Tokens in the temporary names of the files that it was writing (see :mod:`ranvier.recordings.files`).
    """

    info: JobInfo
    owner: str
    pid: int
    host: str
    heartbeat_unix: float
    request: Any = None
    staged: tuple[str, ...] = ()

    @property
    def is_finished(self) -> bool:
        """Whether it ended, in whatever way."""
        return self.info.state not in UNFINISHED

    def as_lost(self) -> JobRecord:
        """Return this job with the state LOST and an explanation."""
        error = (
            f"its process ({self.pid} on {self.host}) ended before the job did, at {self.info.progress.fraction:.0%}; "
            "nothing unfinished stands under an output's name: run it again"
        )
        lost = self.info.model_copy(update={"state": JobState.LOST, "error": error, "finished_utc": utc_now()})
        return replace(self, info=lost)


class Jobs:
    """The jobs of this home."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, record: JobRecord) -> None:
        """Add a job; of the finished ones only the newest ``KEPT_JOBS`` stay."""
        info = record.info
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO jobs (id, kind, label, state, progress, created_utc, finished_utc, error, outputs, owner, "
                "pid, host, heartbeat_unix, retry_of, request) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(info.id, info.kind, info.label, info.state.value, info.progress.model_dump_json()),
                    *(info.created_utc, info.finished_utc, info.error, to_json(list(info.outputs), "job outputs")),
                    *(record.owner, record.pid, record.host, record.heartbeat_unix, info.retry_of),
                    None if record.request is None else to_json(record.request, f"the request of {info.label}"),
                ),
            )
            connection.execute(
                "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state NOT IN (?, ?) "
                "ORDER BY created_utc DESC, rowid DESC LIMIT -1 OFFSET ?)",
                (*UNFINISHED, KEPT_JOBS),
            )

    def update(self, id: str, state: JobState, progress: JobProgress) -> bool:
        """Note state, progress and a sign of life of an unfinished job; return whether someone asked to cancel it."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, progress = ?, heartbeat_unix = ? WHERE id = ? AND state IN (?, ?)",
                (state, progress.model_dump_json(), time.time(), id, *UNFINISHED),
            )
            row = connection.execute("SELECT cancel_requested FROM jobs WHERE id = ?", (id,)).fetchone()
        return row is not None and bool(row["cancel_requested"])

    def finish(self, info: JobInfo) -> None:
        """Note how a job ended."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, progress = ?, finished_utc = ?, error = ?, outputs = ?, attempts = ?, "
                "heartbeat_unix = ? WHERE id = ?",
                (
                    *(info.state, info.progress.model_dump_json(), info.finished_utc, info.error),
                    *(to_json(list(info.outputs), "job outputs"), info.attempts, time.time(), info.id),
                ),
            )

    def note_staged(self, id: str, tokens: Iterable[str]) -> None:
        """Note the tokens of the files that a job is writing, so that they are found if its process dies."""
        with self._database.write() as connection:
            connection.execute("UPDATE jobs SET staged = ? WHERE id = ?", (to_json(list(tokens), "file tokens"), id))

    def note_error(self, id: str, error: str) -> None:
        """Replace what a job says about its end."""
        with self._database.write() as connection:
            connection.execute("UPDATE jobs SET error = ? WHERE id = ?", (error, id))

    def request_cancel(self, id: str) -> bool:
        """Ask the process of a job to cancel it; return whether the job was unfinished."""
        with self._database.write() as connection:
            cursor = connection.execute(
                "UPDATE jobs SET cancel_requested = 1 WHERE id = ? AND state IN (?, ?)", (id, *UNFINISHED)
            )
            return cursor.rowcount > 0

    def get(self, id: str) -> JobRecord | None:
        """Return one job, or None."""
        found = self._database.fetch(_record, "SELECT * FROM jobs WHERE id = ?", (id,))
        return found[0] if found else None

    def all(self) -> list[JobRecord]:
        """Return every job, newest first."""
        return self._database.fetch(_record, "SELECT * FROM jobs ORDER BY created_utc DESC, rowid DESC")

    def unfinished(self) -> list[JobRecord]:
        """Return the jobs that are queued or running, as their processes left them."""
        return self._database.fetch(_record, "SELECT * FROM jobs WHERE state IN (?, ?)", UNFINISHED)

    def mark_lost(self, is_alive: Callable[[JobRecord], bool]) -> list[JobRecord]:
        """Mark the unfinished jobs whose process is gone as LOST; return them."""
        lost = [record.as_lost() for record in self.unfinished() if not is_alive(record)]
        if not lost:
            return []
        with self._database.write() as connection:
            for record in lost:
                connection.execute(
                    "UPDATE jobs SET state = ?, error = ?, finished_utc = ? WHERE id = ? AND state IN (?, ?)",
                    (record.info.state, record.info.error, record.info.finished_utc, record.info.id, *UNFINISHED),
                )
        return lost

    def remove(self, ids: Iterable[str]) -> int:
        """Forget finished jobs; return how many. Unfinished ones stay."""
        with self._database.write() as connection:
            return sum(
                connection.execute("DELETE FROM jobs WHERE id = ? AND state NOT IN (?, ?)", (id, *UNFINISHED)).rowcount
                for id in ids
            )

    def clear(self) -> int:
        """Forget every finished job; return how many."""
        with self._database.write() as connection:
            return connection.execute("DELETE FROM jobs WHERE state NOT IN (?, ?)", UNFINISHED).rowcount


def _record(row: sqlite3.Row) -> JobRecord:
    with parsing(f"job {row['id']}"):
        return _parse(row)


def _parse(row: sqlite3.Row) -> JobRecord:
    return JobRecord(
        info=JobInfo(
            id=row["id"],
            kind=row["kind"],
            label=row["label"],
            state=JobState(row["state"]),
            progress=JobProgress.model_validate_json(row["progress"]),
            created_utc=row["created_utc"],
            finished_utc=row["finished_utc"],
            error=row["error"],
            outputs=tuple(from_json(row["outputs"])),
            attempts=row["attempts"],
            retry_of=row["retry_of"],
            repeatable=row["request"] is not None,
        ),
        owner=row["owner"],
        pid=row["pid"],
        host=row["host"],
        heartbeat_unix=row["heartbeat_unix"],
        request=from_json(row["request"]),
        staged=tuple(from_json(row["staged"]) or ()),
    )
