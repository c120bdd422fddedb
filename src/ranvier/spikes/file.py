"""One ``.spikes`` file, read: also while it is written, and what is left of it after a crash."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.spikes import container
from ranvier.spikes.columns import KNOWN, SNIPPETS
from ranvier.spikes.container import Chunk
from ranvier.spikes.index import RowIndex
from ranvier.spikes.info import StoreInfo, UnitRecord, unit_from_json
from ranvier.spikes.segment import Segment

#: Kinds of chunks: what the file is; spikes; units; templates; what the sorter did; indexes; the end of writing; and
#: what people changed afterwards.
META, SPIKES, UNITS, TEMPLATES, LOG, INDEX, DONE, CURATION = (
    "META", "SPKS", "UNIT", "TMPL", "SLOG", "INDX", "DONE", "CURA",
)  # fmt: skip
#: Columns and indexes of finished files up to this size are compared with their checksums when it is opened (0.1 s),
#: those of larger ones when all of them are read anyway, to convert or to export.
CHECKED_BYTES = 256 << 20


@dataclass(frozen=True)
class Templates:
    """Mean waveforms of units, as the sorter left them.

    Attributes
    ----------
    units
        int32 ``(units,)``.
    sites
        NTV indices, int32 ``(sites,)``.
    templates_uv
        float32 uV ``(units, sites, points)``; NaN where a site was not looked at.
    before
        Point that belongs to the spike's sample.
    """

    units: npt.NDArray[np.int32]
    sites: npt.NDArray[np.int32]
    templates_uv: npt.NDArray[np.float32]
    before: int

    def of(self, unit: int) -> npt.NDArray[np.float32] | None:
        """Return one unit's template ``(sites, points)``, or None."""
        at = np.flatnonzero(self.units == unit)
        return None if not len(at) else self.templates_uv[int(at[0])]


@dataclass(frozen=True)
class Edit:
    """One entry of the curation log: its JSON data, and the arrays that came with it."""

    text: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


class SpikesFile:
    """A ``.spikes`` file, mapped.

    Attributes
    ----------
    info, units, templates, log, edits
        What it says; later chunks go before earlier ones, logs are whole.
    segments
        Its spikes: one segment with indexes once it is finished, many while it is written.
    finished
        Whether writing came to its end.
    notes
        What was left out, in words.

    Raises
    ------
    RecordingError
        No ``.spikes`` file, or damaged before its description ends.
    CapabilityError
        Written by a newer version.
    """

    info: StoreInfo | None
    units: tuple[UnitRecord, ...]
    templates: Templates | None
    log: list[dict[str, Any]]
    edits: list[Edit]
    segments: list[Segment]
    finished: bool
    _data: mmap.mmap
    _end: int
    _torn: tuple[str, ...]
    _seen: tuple[int, int]
    _heads: dict[int, bytes]
    _unread: bool

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_whole()

    def refresh(self) -> bool:
        """Take in what was written since; return whether there was anything."""
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        if status.st_ino != self._inode or status.st_size < self._end:
            self._read_whole()
            return True
        if (status.st_size, status.st_mtime_ns) == self._seen:
            return False
        before = self._end
        self._data = self._map()
        if any(container.head_at(self._data, at) != head for at, head in self._heads.items()):
            self._read_whole()  # somebody copied another file over it
            return True
        found = container.scan(self._data, self.path, before)
        self._torn = tuple(found.notes)
        self._take(found.chunks)
        self._end = found.end
        self._heads = self._known_heads()
        return self._end > before

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, and whether writing came to its end."""
        unfinished = () if self.finished else ("it was not finished: it is being written, or the writer was ended",)
        return (*self._damage, *self._torn, *unfinished)

    @property
    def end(self) -> int:
        """Where the next chunk goes."""
        return self._end

    def damage(self) -> list[str]:
        """Return in words what is not as it was written; reads all of the file."""
        bad = [c for c in self._chunks if c not in self._bad and not container.body_is_whole(self._data, c)]
        return [*self._damage, *self._torn, *map(_damaged, bad)]

    def damaged_spikes(self) -> list[str]:
        """Return in words which spikes, or indexes in use, are damaged; reads them, where nobody did yet."""
        if self._unread:
            self._unread = False
            found = [
                c for c in self._chunks if c.kind in (SPIKES, INDEX) and not container.body_is_whole(self._data, c)
            ]
            self._bad += found
            self._damage += [f"{_damaged(c)}: some of its spikes are wrong" for c in found]
        return [_damaged(c) for c in self._bad]

    def _read_whole(self) -> None:
        self.info, self.units, self.templates = None, (), None
        self.log, self.edits, self.segments = [], [], []
        self.finished = False
        self._indexes: dict[str, RowIndex] = {}
        self._chunks: list[Chunk] = []
        self._bad: list[Chunk] = []
        self._damage: list[str] = []
        self._data = self._map()
        found = container.scan(self._data, self.path)
        self._torn = tuple(found.notes)
        self._end = found.end
        finished = any(c.kind == DONE for c in found.chunks)
        self._unread = finished and len(self._data) > CHECKED_BYTES
        self._take(found.chunks, finished=finished)
        self._heads = self._known_heads()
        if self.info is None:
            raise RecordingError(f"{self.path} is damaged or ends before its description does: nothing can be read")

    def _map(self) -> mmap.mmap:
        with open(self.path, "rb") as handle:
            status = os.fstat(handle.fileno())
            self._inode, self._seen = status.st_ino, (status.st_size, status.st_mtime_ns)
            return container.map_file(handle, self.path)

    def _known_heads(self) -> dict[int, bytes]:
        """Return the heads of the first and the last chunk: a file that still has these was only added to."""
        ends = (self._chunks[0], self._chunks[-1]) if self._chunks else ()
        return {chunk.start: container.head_at(self._data, chunk.start) for chunk in ends}

    def _take(self, chunks: list[Chunk], *, finished: bool = False) -> None:
        """Take in chunks whose bodies are what was written; of a large finished file columns are not looked at.

        Damaged columns of a finished file are all its spikes: they are kept, with a note.
        """
        readers: dict[str, Callable[[Chunk], None]] = {
            META: self._take_info, SPIKES: self._take_spikes, UNITS: self._take_units, TEMPLATES: self._take_templates,
            LOG: self._take_log, INDEX: self._take_index, DONE: self._take_done, CURATION: self._take_edit,
        }  # fmt: skip
        for chunk in chunks:
            large = self._unread and chunk.kind in (SPIKES, INDEX)
            if not large and not container.body_is_whole(self._data, chunk):
                if not (finished and chunk.kind == SPIKES):
                    self._damage.append(f"{_damaged(chunk)}; they are left out")
                    continue
                self._damage.append(f"{_damaged(chunk)}: some of its spikes are wrong")
                self._bad.append(chunk)
            try:
                if chunk.kind in readers:
                    readers[chunk.kind](chunk)
            except (KeyError, ValueError, TypeError, AttributeError) as error:
                self._damage.append(f"{chunk.kind} at {chunk.start:,} makes no sense and is left out ({error})")
            else:
                self._chunks.append(chunk)
        if self.finished and len(self.segments) == 1:
            only = self.segments[0]
            kept = {name: index for name, index in self._indexes.items() if index.is_sound(len(only))}
            self.segments = [Segment(only.columns, kept.get("unit"), kept.get("site"))]

    def _array(self, chunk: Chunk, name: str) -> npt.NDArray[Any]:
        return container.array_of(self._data, chunk, name)

    def _take_info(self, chunk: Chunk) -> None:
        self.info = StoreInfo.from_json(chunk.text["info"])

    def _take_spikes(self, chunk: Chunk) -> None:
        columns = {name: self._array(chunk, name) for name in chunk.arrays if name in KNOWN or name == SNIPPETS}
        if len({len(column) for column in columns.values()}) != 1:
            raise ValueError("its columns differ in length")
        if any(columns[name].dtype != KNOWN[name][0] or columns[name].ndim != 1 for name in columns if name in KNOWN):
            raise ValueError("its columns have other types")
        segment = Segment(columns)
        if len(segment):
            self.segments.append(segment)

    def _take_units(self, chunk: Chunk) -> None:
        self.units = tuple(unit_from_json(unit) for unit in chunk.text["units"])

    def _take_templates(self, chunk: Chunk) -> None:
        units, sites = self._array(chunk, "unit"), self._array(chunk, "site")
        values = self._array(chunk, "templates_uv")
        if values.ndim != 3 or values.shape[:2] != (len(units), len(sites)):
            raise ValueError("its arrays do not fit")
        self.templates = Templates(units, sites, values, int(chunk.text["before"]))

    def _take_log(self, chunk: Chunk) -> None:
        self.log.append(chunk.text)

    def _take_index(self, chunk: Chunk) -> None:
        keys, offsets, rows = (self._array(chunk, name) for name in ("keys", "offsets", "rows"))
        if keys.dtype.kind != "i" or offsets.dtype != np.int64 or rows.dtype.kind not in "iu":
            raise ValueError("its arrays have other types")
        self._indexes[str(chunk.text["of"])] = RowIndex(keys, offsets, rows)

    def _take_done(self, chunk: Chunk) -> None:
        self.finished = True
        self._damage += [str(note) for note in chunk.text.get("notes", ())]

    def _take_edit(self, chunk: Chunk) -> None:
        self.edits.append(Edit(chunk.text, {name: self._array(chunk, name) for name in chunk.arrays}))


def _damaged(chunk: Chunk) -> str:
    return f"{chunk.body_bytes:,} bytes of {chunk.kind} at {chunk.body:,} are damaged"
