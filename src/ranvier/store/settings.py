"""Settings: plain JSON data under a name."""

from __future__ import annotations

from typing import Any

from ranvier.store.data import from_json, to_json
from ranvier.store.database import Database


class Settings:
    """Key and value."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str, default: Any = None) -> Any:
        """Return a setting, or the default."""
        rows = self._database.read("SELECT value FROM settings WHERE key = ?", (key,))
        return from_json(rows[0]["value"]) if rows else default

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
        rows = self._database.read("SELECT key, value FROM settings ORDER BY key")
        return {row["key"]: from_json(row["value"]) for row in rows}
