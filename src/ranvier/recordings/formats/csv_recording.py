"""The rows of a CSV file as a recording: chunks are parsed when they are read, the last few are kept."""

from __future__ import annotations

import io
import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.formats.csv_head import Head, number_of_cell
from ranvier.recordings.formats.csv_index import CHUNK_BYTES, MOST_LINE_BYTES, LineIndex
from ranvier.recordings.recording import Recording
from ranvier.recordings.segments import Segments

_KEPT_CHUNKS = 4


class CsvTable:
    """The numbers of a CSV file, by chunk of its index."""

    def __init__(self, path: Path, head: Head, index: LineIndex) -> None:
        self.path = path
        self.head = head
        self.index = index
        self._kept: OrderedDict[int, npt.NDArray[np.float64]] = OrderedDict()
        self._lock = threading.Lock()

    def chunk(self, i: int) -> npt.NDArray[np.float64]:
        """Return the numbers of one chunk, ``(rows, columns of the file)``; RecordingError where they are none."""
        with self._lock:
            if i in self._kept:
                self._kept.move_to_end(i)
                return self._kept[i]
        values = self._parse(i)
        with self._lock:
            self._kept[i] = values
            while len(self._kept) > _KEPT_CHUNKS:
                self._kept.popitem(last=False)
        return values

    def chunks(self, start: int, stop: int) -> Iterator[tuple[int, int, npt.NDArray[np.float64]]]:
        """Yield ``(a, b, numbers)`` for the rows ``[start, stop)``."""
        first = int(np.searchsorted(self.index.rows, start, side="right")) - 1
        for i in range(first, len(self.index.rows) - 1):
            a, b = int(self.index.rows[i]), int(self.index.rows[i + 1])
            if a >= stop:
                return
            low, high = max(a, start), min(b, stop)
            yield low, high, self.chunk(i)[low - a : high - a]

    @property
    def time_column(self) -> int:
        """The column of the time; RecordingError where there is none."""
        if self.head.time_column is None:
            raise RecordingError(f"{self.path} has no column of the time")
        return self.head.time_column

    def first_time(self, i: int) -> npt.NDArray[np.float64]:
        """Return the time cell of the first row of a chunk as the file has it, ``(1,)``; NaN where it is no number."""
        cell = self._first_lines(i, 1)[0]
        return np.array([math.nan if (value := number_of_cell(cell, self.head.decimal)) is None else value])

    def time_step_sec(self) -> float:
        """Return the smallest step that the written digits of the time can tell, in seconds."""
        cells = self._first_lines(0, 100)
        digits = max(len(cell.strip().partition(self.head.decimal)[2]) for cell in cells)
        return 10.0 ** -min(digits, 18) / self.head.per_second

    def _first_lines(self, i: int, most: int) -> list[str]:
        """Return the time cells of the first rows of a chunk."""
        begin, end = int(self.index.offsets[i]), int(self.index.offsets[i + 1])
        with open(self.path, "rb", buffering=0) as handle:
            handle.seek(begin)
            text = handle.read(min(end - begin, CHUNK_BYTES if most > 1 else 4096))
            lines = text.split(b"\n")[:most]
            if b"\n" not in text:  # a row longer than what was read
                lines = [text + handle.read(min(MOST_LINE_BYTES, end - begin - len(text))).split(b"\n")[0]]
        column = self.time_column
        cells = [line.decode("latin-1").split(self.head.delimiter) for line in lines if line.strip()]
        return [row[column] if column < len(row) else "" for row in cells] or [""]

    def _parse(self, i: int) -> npt.NDArray[np.float64]:
        import pandas as pd

        begin, end = int(self.index.offsets[i]), int(self.index.offsets[i + 1])
        row, n = int(self.index.rows[i]), int(self.index.rows[i + 1] - self.index.rows[i])
        with open(self.path, "rb", buffering=0) as handle:
            handle.seek(begin)
            text = handle.read(end - begin)
        if len(text) < end - begin:
            raise RecordingError(f"{self.path} became shorter after it was opened: open it again to see what is left")
        columns = len(self.head.names)
        delimiter = self.head.delimiter.encode()
        if text.count(delimiter) != n * (columns - 1):
            raise RecordingError(f"{self.path}: {_uneven(text, delimiter, row, columns)}")
        try:
            table = pd.read_csv(
                io.BytesIO(text),
                header=None,
                names=range(columns),
                index_col=False,
                sep=self.head.delimiter,
                decimal=self.head.decimal,
                dtype=np.float64,
                skip_blank_lines=False,
                quoting=3,
                encoding="latin-1",
                engine="c",
                low_memory=False,
            )
        except (ValueError, OverflowError) as error:
            raise RecordingError(f"{self.path}: rows {row} to {row + n}: {str(error).splitlines()[0]}") from error
        values: npt.NDArray[np.float64] = table.to_numpy(dtype=np.float64)
        if len(values) != n:
            raise RecordingError(f"{self.path}: rows {row} to {row + n} are damaged ({len(values)} of {n} are there)")
        return values


def _uneven(text: bytes, delimiter: bytes, first_row: int, columns: int) -> str:
    for i, line in enumerate(text.split(b"\n")):
        if line.strip() and line.count(delimiter) != columns - 1:
            return f"row {first_row + i} has {line.count(delimiter) + 1} cells, the head names {columns} columns"
    return f"rows from {first_row} on do not have {columns} cells each"


class CsvRecording(Recording):
    """A CSV file as one stream; ``columns`` tells which column of the file each channel is."""

    def __init__(
        self,
        table: CsvTable,
        channels: ChannelTable,
        columns: npt.NDArray[np.int64],
        fs: Fraction,
        segments: Segments,
    ) -> None:
        self.path = table.path
        self.fs = fs
        self.channels = channels
        self.segments = segments
        self._table = table
        self._file_columns = columns
        self._gains = channels.gains

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        gains = self._gains[columns]
        with np.errstate(over="ignore", invalid="ignore"):  # a damaged number may be huge
            for a, b, values in self._table.chunks(start, stop):
                picked = values[:, self._file_columns[columns]]
                out[a - start : b - start] = picked if np.all(gains == 1.0) else picked * gains
