"""Saved protocols: whole graphs, by id."""

from __future__ import annotations

import sqlite3

from ranvier.exceptions import ConfigurationError, DatasetError
from ranvier.models.transforms import ProtocolGraph
from ranvier.store.data import parsing, storable, utc_now
from ranvier.store.database import Database


class Protocols:
    """The protocols of this home."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, graph: ProtocolGraph) -> None:
        """Save a protocol; one of the same id is replaced."""
        text = graph.model_dump_json()
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO protocols (id, graph, saved_utc) VALUES (?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET graph = excluded.graph, saved_utc = excluded.saved_utc",
                (storable(graph.id), text, utc_now()),
            )

    def get(self, protocol_id: str) -> ProtocolGraph:
        """Return one; DatasetError where there is none of that id."""
        found = self._database.fetch(_graph, "SELECT * FROM protocols WHERE id = ?", (protocol_id,))
        if not found:
            known = ", ".join(repr(graph.id) for graph in self.all()) or "none"
            raise DatasetError(f"there is no protocol {protocol_id!r}; saved are {known}")
        return found[0]

    def all(self) -> list[ProtocolGraph]:
        """Return every protocol, oldest first."""
        return self._database.fetch(_graph, "SELECT * FROM protocols ORDER BY rowid")

    def rename(self, protocol_id: str, new_id: str) -> ProtocolGraph:
        """Give a protocol another id; ConfigurationError where that one is taken."""
        graph = self.get(protocol_id).model_copy(update={"id": new_id})
        with self._database.write() as connection:
            if connection.execute("SELECT 1 FROM protocols WHERE id = ? AND id != ?", (new_id, protocol_id)).fetchone():
                raise ConfigurationError(f"there is a protocol {new_id!r} already; remove it first")
            connection.execute(
                "UPDATE protocols SET id = ?, graph = ? WHERE id = ?", (new_id, graph.model_dump_json(), protocol_id)
            )
        return graph

    def remove(self, protocol_id: str) -> None:
        """Forget one; DatasetError where there is none of that id."""
        self.get(protocol_id)
        with self._database.write() as connection:
            connection.execute("DELETE FROM protocols WHERE id = ?", (protocol_id,))


def _graph(row: sqlite3.Row) -> ProtocolGraph:
    with parsing(f"protocol {row['id']!r}"):
        return ProtocolGraph.model_validate_json(row["graph"])
