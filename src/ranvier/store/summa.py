"""Analyses of many datasets, by id."""

from __future__ import annotations

import sqlite3

from ranvier.models.summa import SummaResult
from ranvier.store.data import parsing, storable, utc_now
from ranvier.store.database import Database


class SummaStore:
    """The analyses of this home."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, result: SummaResult) -> None:
        """Save an analysis; one of the same id is replaced."""
        text = result.model_dump_json()
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO summa (id, result, saved_utc) VALUES (?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET result = excluded.result, saved_utc = excluded.saved_utc",
                (storable(result.state.id), text, utc_now()),
            )

    def find(self, summa_id: str) -> SummaResult | None:
        """Return one, or None."""
        found = self._database.fetch(_result, "SELECT * FROM summa WHERE id = ?", (summa_id,))
        return found[0] if found else None

    def all(self) -> list[SummaResult]:
        """Return every analysis, oldest first."""
        return self._database.fetch(_result, "SELECT * FROM summa ORDER BY rowid")

    def remove(self, summa_id: str) -> None:
        """Forget one."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM summa WHERE id = ?", (summa_id,))


def _result(row: sqlite3.Row) -> SummaResult:
    with parsing(f"analysis {row['id']!r}"):
        return SummaResult.model_validate_json(row["result"])
