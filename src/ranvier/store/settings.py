"""Settings: plain JSON data under a name."""

from __future__ import annotations

import sqlite3
from typing import Any

from ranvier.store.data import from_json, parsing, to_json
from ranvier.store.database import Database


class Settings:
    """Key and value."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str, default: Any = None) -> Any:
        """Return a setting, or the default."""
        found = self._database.fetch(_pair, "SELECT key, value FROM settings WHERE key = ?", (key,))
        return found[0][1] if found else default

    def set(self, key: str, value: Any) -> None:
        """Store plain JSON data under a name."""
        text = to_json(value, f"setting {key!r}")
        with self._database.write() as connection:
            connection.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (key, text))

    def remove(self, key: str) -> None:
        """Forget a setting; one that is not there is no error."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM settings WHERE key = ?", (key,))

    def all(self) -> dict[str, Any]:
        """Return every setting, by name."""
        return dict(self._database.fetch(_pair, "SELECT key, value FROM settings ORDER BY key"))


def _pair(row: sqlite3.Row) -> tuple[str, Any]:
    with parsing(f"setting {row['key']!r}"):
        return row["key"], from_json(row["value"])
