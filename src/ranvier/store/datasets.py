"""Linked datasets: which file, which stream, and what was set for it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ranvier.exceptions import DatasetError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.store.data import from_json, parsing, real_path, to_json, utc_now
from ranvier.store.database import Database

Selection = Mapping[SignalType, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """One linked dataset.

    Attributes
    ----------
    path
        Real path (absolute, links resolved) of the file or folder.
    stream
        Name of the stream in it, "" for the only one.
    uid
        Identity that the file itself carries, "" for none.
    selected
        Native (NTV) indices of the selected channels per signal type; a type that is missing has all its channels
        selected.
    groups, dsp
        Channel groups and DSP group, plain JSON data; None while nothing was set.
    """

    id: str
    path: Path
    file_type: RadiensFileType
    stream: str = ""
    base_name: str = ""
    uid: str = ""
    linked_utc: str = field(default_factory=utc_now)
    selected: Selection = field(default_factory=dict)
    groups: Any = None
    dsp: Any = None


def dataset_id(base_name: str, real_path: str | Path, file_type: RadiensFileType, stream: str | None = None) -> str:
    """Return ``<base>_-_<8 hex>``: the hex digits are of a SHA-256 over real path, file type and stream.

    The same file has the same id in every process; the caller resolves links first (``os.path.realpath``).
    """
    key = "\0".join((os.path.normcase(real_path), file_type.name, stream or ""))
    return f"{base_name}_-_{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


class Datasets:
    """The linked datasets of this home."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def link(
        self,
        base_name: str,
        path: str | Path,
        file_type: RadiensFileType,
        stream: str | None = None,
        *,
        uid: str = "",
        force: bool = False,
    ) -> DatasetRecord:
        """Return the record of a file, known or new.

        A file that is linked already keeps its id and its settings. ``force`` links it once more, under the next free
        counter: ``<id>.2``, ``<id>.3``. The counter also keeps two files apart whose 8 digits are equal.
        """
        target, name = real_path(path), stream or ""
        first = dataset_id(base_name, target, file_type, name)
        with self._database.write() as connection:
            candidate, counter = first, 1
            while (row := _find(connection, candidate)) is not None:
                known = _record(row)
                same = (str(known.path), known.file_type, known.stream) == (target, file_type, name)
                if same and not force:
                    return known
                counter += 1
                candidate = f"{first}.{counter}"
            made = DatasetRecord(candidate, Path(target), file_type, name, base_name, uid)
            _insert(connection, made)
        return made

    def put(self, record: DatasetRecord) -> None:
        """Store a record as it is, replacing the one with its id."""
        with self._database.write() as connection:
            _insert(connection, record)

    def get(self, id: str) -> DatasetRecord:
        """Return one dataset; DatasetError where it is not linked."""
        record = self.find(id)
        if record is None:
            raise DatasetError(f"no dataset {id!r} is linked; link its file first")
        return record

    def find(self, id: str) -> DatasetRecord | None:
        """Return one dataset, or None."""
        found = self._database.fetch(_record, "SELECT * FROM datasets WHERE id = ?", (id,))
        return found[0] if found else None

    def all(self) -> list[DatasetRecord]:
        """Return every linked dataset, in the order of linking."""
        return self._database.fetch(_record, "SELECT * FROM datasets ORDER BY linked_utc, rowid")

    def remove(self, ids: Iterable[str]) -> list[str]:
        """Forget datasets (files are not touched); return the ids that were there."""
        sql = "DELETE FROM datasets WHERE id = ?"
        with self._database.write() as connection:
            return [id for id in ids if connection.execute(sql, (id,)).rowcount]

    def set_selection(self, id: str, selected: Mapping[SignalType, Iterable[int]]) -> None:
        """Set the selected channels (NTV) of some signal types; the other types keep theirs."""
        new = {kind: tuple(int(i) for i in ntv) for kind, ntv in selected.items()}
        with self._database.write() as connection:
            row = _find(connection, id)
            merged = {**(_record(row).selected if row is not None else {}), **new}
            _set(connection, id, "selected", _selection_text(merged))

    def set_groups(self, id: str, groups: Any) -> None:
        """Set the channel groups (plain JSON data; None forgets them)."""
        self._set_json(id, "groups", groups)

    def set_dsp(self, id: str, dsp: Any) -> None:
        """Set the DSP group (plain JSON data; None forgets it)."""
        self._set_json(id, "dsp", dsp)

    def _set_json(self, id: str, column: str, value: Any) -> None:
        text = None if value is None else to_json(value, f"{column} of dataset {id}")
        with self._database.write() as connection:
            _set(connection, id, column, text)


def _find(connection: sqlite3.Connection, id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute("SELECT * FROM datasets WHERE id = ?", (id,)).fetchone()
    return row


def _set(connection: sqlite3.Connection, id: str, column: str, text: str | None) -> None:
    # column is one of three names written in this module, never a caller's text
    if not connection.execute(f"UPDATE datasets SET {column} = ? WHERE id = ?", (text, id)).rowcount:
        raise DatasetError(f"no dataset {id!r} is linked; link its file first")


def _insert(connection: sqlite3.Connection, record: DatasetRecord) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO datasets "
        "(id, path, file_type, stream, base_name, uid, linked_utc, selected, groups, dsp) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.id,
            str(record.path),
            int(record.file_type),
            record.stream,
            record.base_name,
            record.uid,
            record.linked_utc,
            _selection_text(record.selected),
            None if record.groups is None else to_json(record.groups, f"groups of dataset {record.id}"),
            None if record.dsp is None else to_json(record.dsp, f"dsp of dataset {record.id}"),
        ),
    )


def _selection_text(selected: Selection) -> str | None:
    return to_json({kind.name: list(ntv) for kind, ntv in selected.items()}, "a selection") if selected else None


def _record(row: sqlite3.Row) -> DatasetRecord:
    with parsing(f"dataset {row['id']}"):
        return _parse(row)


def _parse(row: sqlite3.Row) -> DatasetRecord:
    selected = from_json(row["selected"]) or {}
    return DatasetRecord(
        id=row["id"],
        path=Path(row["path"]),
        file_type=RadiensFileType(row["file_type"]),
        stream=row["stream"],
        base_name=row["base_name"],
        uid=row["uid"],
        linked_utc=row["linked_utc"],
        selected={SignalType[kind]: tuple(ntv) for kind, ntv in selected.items()},
        groups=from_json(row["groups"]),
        dsp=from_json(row["dsp"]),
    )
