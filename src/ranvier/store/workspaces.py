"""Saved set-ups of a rig."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ranvier.exceptions import DatasetError
from ranvier.store.data import from_json, parsing, storable, to_json, utc_now
from ranvier.store.database import Database


@dataclass(frozen=True, slots=True)
class WorkspaceRecord:
    """One saved set-up; ``document`` is plain JSON data that tells its own version."""

    id: str
    name: str
    document: dict[str, Any]
    saved_utc: str
    used_utc: str
    tags: str = ""
    notes: str = ""


class WorkspaceStore:
    """The saved set-ups of this home."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(
        self, id: str, name: str, document: Mapping[str, Any], *, tags: str = "", notes: str = ""
    ) -> WorkspaceRecord:
        """Save a set-up; one of the same id is replaced."""
        now = utc_now()
        record = WorkspaceRecord(id, storable(name), dict(document), now, now, storable(tags), storable(notes))
        text = to_json(record.document, f"workspace {id!r}")
        with self._database.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO workspaces (id, name, document, saved_utc, used_utc, tags, notes) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (id, record.name, text, now, now, record.tags, record.notes),
            )
        return record

    def get(self, id: str) -> WorkspaceRecord:
        """Return one; DatasetError where there is none of that id."""
        found = self._database.fetch(_record, "SELECT * FROM workspaces WHERE id = ?", (id,))
        if not found:
            raise DatasetError(f"there is no workspace {id!r}; saved are {[r.id for r in self.all()] or 'none'}")
        return found[0]

    def all(self) -> list[WorkspaceRecord]:
        """Return every set-up by name."""
        return self._database.fetch(_record, "SELECT * FROM workspaces ORDER BY name, id")

    def used(self, id: str) -> None:
        """Note that one was taken over now."""
        with self._database.write() as connection:
            connection.execute("UPDATE workspaces SET used_utc = ? WHERE id = ?", (utc_now(), id))

    def remove(self, id: str) -> None:
        """Forget one; DatasetError where there is none of that id."""
        self.get(id)
        with self._database.write() as connection:
            connection.execute("DELETE FROM workspaces WHERE id = ?", (id,))


def _record(row: sqlite3.Row) -> WorkspaceRecord:
    with parsing(f"workspace {row['id']!r}"):
        return WorkspaceRecord(
            row["id"],
            row["name"],
            dict(from_json(row["document"])),
            row["saved_utc"],
            row["used_utc"],
            row["tags"],
            row["notes"],
        )
