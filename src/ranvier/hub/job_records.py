"""What the store tells of jobs of every process: which still run, which are lost with theirs."""

from __future__ import annotations

from pathlib import Path

from ranvier.recordings.files import remove_left_behind
from ranvier.store import JobRecord, Store


def is_alive(store: Store, record: JobRecord) -> bool:
    """Return whether the process of a job still lives."""
    return store.owners.is_alive(record.owner, record.heartbeat_unix)


def truth(store: Store, record: JobRecord) -> JobRecord:
    """Return a record of another process as it is now: LOST where that process is gone."""
    if record.is_finished or is_alive(store, record):
        return record
    # it may have ended properly between the two looks
    again = store.jobs.get(record.info.id) or record
    return again if again.is_finished else again.as_lost()


def mark_lost(store: Store) -> None:
    """Write down which jobs are lost, where the store can be written, and clean up behind them."""
    if not store.database.is_writable:
        return
    for record in store.jobs.mark_lost(lambda one: is_alive(store, one)):
        removed = remove_left_behind({Path(path).parent for path in record.info.outputs}, record.staged)
        if removed:
            names = ", ".join(path.name for path in removed)
            store.jobs.note_error(record.info.id, f"{record.info.error} (what it had begun was cleaned up: {names})")
    store.owners.sweep()
