"""Provenance records by output path, for formats and copies that cannot carry their own."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ranvier.store.data import from_json, parsing, real_path, to_json, utc_now
from ranvier.store.database import Database


class Provenance:
    """What the outputs of this engine were made from (see :mod:`ranvier.recordings.provenance` for the record)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, path: str | Path, record: Mapping[str, Any]) -> None:
        """Keep the record of an output; it replaces an earlier one of the same path."""
        text = to_json(dict(record), f"the provenance of {path}")
        with self._database.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO provenance (path, record, written_utc) VALUES (?, ?, ?)",
                (real_path(path), text, utc_now()),
            )

    def get(self, path: str | Path) -> dict[str, Any] | None:
        """Return the record of an output, or None."""
        found = self._database.fetch(_parse, "SELECT path, record FROM provenance WHERE path = ?", (real_path(path),))
        return found[0] if found else None

    def move(self, old: str | Path, new: str | Path, *, copy: bool = False) -> None:
        """Follow an output to its new path; with ``copy``, both paths have the record. Unknown outputs are ignored."""
        record = self.get(old)
        if record is None:
            return
        self.put(new, record)
        if not copy:
            self.remove(old)

    def remove(self, path: str | Path) -> None:
        """Forget the record of an output."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM provenance WHERE path = ?", (real_path(path),))


def _parse(row: sqlite3.Row) -> dict[str, Any]:
    with parsing(f"the provenance of {row['path']}"):
        return dict(from_json(row["record"]))
