"""The tables of the store, as a list of migrations: entry ``n`` brings a database from version ``n`` to ``n + 1``.

A published migration is never edited; a change of the schema is a new entry at the end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

Migration = Callable[[sqlite3.Connection], None]

#: Marks the file as ours (``PRAGMA application_id``): the letters "Rnvr".
APPLICATION_ID = 0x526E7672

# STRICT makes SQLite check column types; it needs SQLite 3.37.
_STRICT = " STRICT" if sqlite3.sqlite_version_info >= (3, 37) else ""


def _first(connection: sqlite3.Connection) -> None:
    for name, columns in {
        "datasets": """
            id TEXT PRIMARY KEY, path TEXT NOT NULL, file_type INTEGER NOT NULL, stream TEXT NOT NULL,
            base_name TEXT NOT NULL, uid TEXT NOT NULL, linked_utc TEXT NOT NULL,
            selected TEXT, groups TEXT, dsp TEXT""",
        "jobs": """
            id TEXT PRIMARY KEY, kind TEXT NOT NULL, label TEXT NOT NULL, state TEXT NOT NULL, progress TEXT NOT NULL,
            created_utc TEXT NOT NULL, finished_utc TEXT, error TEXT, outputs TEXT NOT NULL,
            owner TEXT NOT NULL, pid INTEGER NOT NULL, host TEXT NOT NULL,
            heartbeat_unix REAL NOT NULL, cancel_requested INTEGER NOT NULL DEFAULT 0""",
        "provenance": "path TEXT PRIMARY KEY, record TEXT NOT NULL, written_utc TEXT NOT NULL",
        "settings": "key TEXT PRIMARY KEY, value TEXT NOT NULL",
    }.items():
        connection.execute(f"CREATE TABLE {name} ({columns}){_STRICT}")
    connection.execute("CREATE INDEX jobs_by_state ON jobs (state)")


def _rig(connection: sqlite3.Connection) -> None:
    for name, columns in {
        "workspaces": """
            id TEXT PRIMARY KEY, name TEXT NOT NULL, document TEXT NOT NULL, saved_utc TEXT NOT NULL,
            used_utc TEXT NOT NULL, tags TEXT NOT NULL, notes TEXT NOT NULL""",
        "impedances": """
            id INTEGER PRIMARY KEY, measured_utc TEXT NOT NULL, port TEXT NOT NULL, probe_id TEXT NOT NULL,
            headstage_id TEXT NOT NULL, source TEXT NOT NULL, scan TEXT NOT NULL""",
        "safety_changes": """
            id INTEGER PRIMARY KEY, changed_utc TEXT NOT NULL, reason TEXT NOT NULL, old TEXT NOT NULL,
            new TEXT NOT NULL""",
    }.items():
        connection.execute(f"CREATE TABLE {name} ({columns}){_STRICT}")
    connection.execute("CREATE INDEX impedances_by_probe ON impedances (probe_id)")


def _protocols(connection: sqlite3.Connection) -> None:
    columns = "id TEXT PRIMARY KEY, graph TEXT NOT NULL, saved_utc TEXT NOT NULL"
    connection.execute(f"CREATE TABLE protocols ({columns}){_STRICT}")


def _retries(connection: sqlite3.Connection) -> None:
    for column in ("attempts INTEGER NOT NULL DEFAULT 1", "retry_of TEXT", "request TEXT", "staged TEXT"):
        connection.execute(f"ALTER TABLE jobs ADD COLUMN {column}")


def _hubs(connection: sqlite3.Connection) -> None:
    columns = "name TEXT PRIMARY KEY, address TEXT NOT NULL, added_utc TEXT NOT NULL"
    connection.execute(f"CREATE TABLE hubs ({columns}){_STRICT}")


def _summa(connection: sqlite3.Connection) -> None:
    columns = "id TEXT PRIMARY KEY, result TEXT NOT NULL, saved_utc TEXT NOT NULL"
    connection.execute(f"CREATE TABLE summa ({columns}){_STRICT}")


MIGRATIONS: tuple[Migration, ...] = (_first, _rig, _protocols, _retries, _hubs, _summa)
