"""Recordings whose columns lie apart: each in chunks of its own, in one file or in many.

Where a read needs many chunks that lie close to each other, the stretch of the file that holds them is read at once and
the values are picked out of it; otherwise each chunk is read by itself. Memory stays at a few tiles either way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.recording import Recording

#: Rows that are brought into memory at once, and the longest stretch of a file that is read for them.
TILE_ROWS = 1 << 15
STRETCH_BYTES = 1 << 25

Stretches = dict[Path, tuple[int, npt.NDArray[np.uint8]]]


@dataclass(frozen=True)
class ChunkColumn:
    """Where the samples of one column lie.

    Attributes
    ----------
    offsets
        Byte offset of each chunk: an array, or a ``range`` where they are evenly spaced.
    """

    path: Path
    dtype: np.dtype[Any]
    offsets: npt.NDArray[np.int64] | range

    def offsets_of(self, first: int, last: int) -> npt.NDArray[np.int64]:
        """Return the offsets of chunks ``[first, last)``."""
        return np.asarray(self.offsets[first:last], dtype=np.int64)


class Chunks:
    """How the rows of a stream are divided into chunks; the same for all of its columns.

    Parameters
    ----------
    rows
        Rows in all.
    chunk_rows
        Rows that a chunk has room for.
    lengths
        Rows that each chunk really holds, where that is not ``chunk_rows`` for all but the last.
    """

    def __init__(self, rows: int, chunk_rows: int, lengths: npt.NDArray[np.int64] | None = None) -> None:
        self.rows = rows
        self.chunk_rows = max(1, chunk_rows)
        self._first_rows = None if lengths is None else np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Return the chunks ``[first, last)`` that hold rows ``[start, stop)``."""
        if self._first_rows is None:
            return start // self.chunk_rows, (stop - 1) // self.chunk_rows + 1
        first = int(np.searchsorted(self._first_rows, start, side="right")) - 1
        return first, int(np.searchsorted(self._first_rows, stop, side="left"))

    def first_row(self, chunk: int) -> int:
        """Return the first row of a chunk."""
        return chunk * self.chunk_rows if self._first_rows is None else int(self._first_rows[chunk])

    def lengths(self, first: int, last: int) -> npt.NDArray[np.int64]:
        """Return how many rows the chunks ``[first, last)`` hold."""
        if self._first_rows is not None:
            return np.diff(self._first_rows[first : last + 1])
        starts = np.arange(first, last, dtype=np.int64) * self.chunk_rows
        return np.minimum(self.chunk_rows, self.rows - starts)


class ChunkedRecording(Recording):
    """Base of readers whose columns lie in chunks; fill the attributes of ``Recording``, then call ``_adopt``."""

    def _adopt(self, columns: list[ChunkColumn], chunks: Chunks) -> None:
        self._places = columns
        self._chunks = chunks
        self.stores_counts = all(c.dtype == np.dtype("<i2") for c in columns)
        self._gains, self._offsets = self.channels.gains, self.channels.offsets

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        for a, b, i, values in self._values(start, stop, columns):
            gain, offset = self._gains[columns[i]], self._offsets[columns[i]]
            if gain == 1.0 and offset == 0.0 and values.dtype != np.float64:
                out[a:b, i] = values
            else:
                with np.errstate(over="ignore", invalid="ignore"):  # damaged values become infinite
                    out[a:b, i] = values * gain + offset

    def _read_counts(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.int16]) -> None:
        for a, b, i, values in self._values(start, stop, columns):
            out[a:b, i] = values

    def _values(
        self, start: int, stop: int, columns: npt.NDArray[np.int64]
    ) -> Iterator[tuple[int, int, int, npt.NDArray[Any]]]:
        """Yield ``(a, b, i, values)``: rows ``[start + a, start + b)`` of column ``columns[i]``, as they are stored."""
        for row in range(start, stop, TILE_ROWS):
            end = min(stop, row + TILE_ROWS)
            first, last = self._chunks.span(row, end)
            stretches = self._stretches(columns, first, last) if last - first > 1 else {}
            for i, column in enumerate(columns):
                place = self._places[int(column)]
                yield row - start, end - start, i, self._column(place, row, end, first, last, stretches)

    def _column(
        self, place: ChunkColumn, row: int, end: int, first: int, last: int, stretches: Stretches
    ) -> npt.NDArray[Any]:
        head = self._chunks.first_row(first)
        if last - first == 1:
            at = int(place.offsets[first]) + (row - head) * place.dtype.itemsize
            return np.frombuffer(_read(place.path, at, (end - row) * place.dtype.itemsize), place.dtype)
        lengths = self._chunks.lengths(first, last)
        offsets = place.offsets_of(first, last)
        if place.path in stretches:
            values = _pick(*stretches[place.path], offsets, lengths, place.dtype)
        else:
            values = _read_each(place, offsets, lengths)
        return values[row - head : end - head]

    def _stretches(self, columns: npt.NDArray[np.int64], first: int, last: int) -> Stretches:
        """Read, per file, the stretch that holds some chunks of all columns wanted, where that is no waste."""
        wanted: dict[Path, list[ChunkColumn]] = {}
        for column in dict.fromkeys(columns.tolist()):
            place = self._places[column]
            wanted.setdefault(place.path, []).append(place)
        lengths = self._chunks.lengths(first, last)
        found: Stretches = {}
        for path, places in wanted.items():
            offsets = [p.offsets_of(first, last) for p in places]
            begin = min(int(o.min()) for o in offsets)
            end = max(int((o + lengths * p.dtype.itemsize).max()) for o, p in zip(offsets, places, strict=True))
            needed = sum(int(lengths.sum()) * p.dtype.itemsize for p in places)
            if end - begin <= min(STRETCH_BYTES, max(1 << 20, 16 * needed)):
                found[path] = begin, np.frombuffer(_read(path, begin, end - begin), np.uint8)
        return found


def _pick(
    begin: int,
    stretch: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    dtype: np.dtype[Any],
) -> npt.NDArray[Any]:
    """Return the values of chunks out of a stretch of their file."""
    at = offsets - begin
    longest = int(lengths.max())
    values: npt.NDArray[Any]
    shift = int(at[0]) % dtype.itemsize
    if np.all(at % dtype.itemsize == shift):
        usable = (len(stretch) - shift) // dtype.itemsize * dtype.itemsize
        cells = stretch[shift : shift + usable].view(dtype)
        index = ((at - shift) // dtype.itemsize)[:, None] + np.arange(longest)
        if np.all(lengths == longest):
            values = cells[index].reshape(-1)
        else:
            values = cells[index[np.arange(longest) < lengths[:, None]]]
        return values
    parts = [stretch[a : a + n * dtype.itemsize] for a, n in zip(at.tolist(), lengths.tolist(), strict=True)]
    return np.concatenate(parts).view(dtype)


def _read_each(place: ChunkColumn, offsets: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    size = place.dtype.itemsize
    with _opened(place.path) as handle:
        parts = [
            _read_at(handle, place.path, a, n * size) for a, n in zip(offsets.tolist(), lengths.tolist(), strict=True)
        ]
    return np.frombuffer(b"".join(parts), place.dtype)


def _opened(path: Path) -> FileIO:
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read any more: {error.strerror or error}") from error


def _read(path: Path, offset: int, size: int) -> bytes:
    with _opened(path) as handle:
        return _read_at(handle, path, offset, size)


def _read_at(handle: FileIO, path: Path, offset: int, size: int) -> bytes:
    handle.seek(offset)
    data: bytes = handle.read(size)
    while len(data) < size:
        more = handle.read(size - len(data))
        if not more:
            raise RecordingError(
                f"{path} ended while it was read; it became shorter after it was opened: open it again"
            )
        data += more
    return data


class StampColumn:
    """One value in each of many evenly spaced records of a file, read without reading the records."""

    def __init__(self, path: Path, offset: int, stride: int, dtype: npt.DTypeLike) -> None:
        self.path = path
        self.offset = offset
        self.stride = stride
        self.dtype = np.dtype(dtype)

    def at(self, records: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the values of some records, in increasing order."""
        out = np.empty(len(records), self.dtype)
        breaks = np.flatnonzero(np.diff(records) != 1) + 1
        most = max(1, STRETCH_BYTES // 4 // self.stride)
        with _opened(self.path) as handle:
            for a, b in zip([0, *breaks.tolist()], [*breaks.tolist(), len(records)], strict=True):
                for i in range(a, b, most):
                    self._fill(handle, int(records[i]), out[i : min(b, i + most)])
        return out

    def _fill(self, handle: FileIO, record: int, out: npt.NDArray[Any]) -> None:
        size = (len(out) - 1) * self.stride + self.dtype.itemsize
        data = _read_at(handle, self.path, self.offset + record * self.stride, size)
        cells = np.ndarray(len(out), self.dtype, data, 0, (self.stride,))
        out[:] = cells
