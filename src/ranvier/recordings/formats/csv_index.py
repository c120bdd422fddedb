"""Where the rows of a text file lie, so that a read parses only what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError

#: Text that a read parses at least; also what the index resolves.
CHUNK_BYTES = 1 << 18
_SCAN_BYTES = 1 << 23
#: Longest line that is taken for one.
MOST_LINE_BYTES = 1 << 24
_NEWLINE = 10


@dataclass(frozen=True)
class LineIndex:
    """Every chunk begins with a row.

    Attributes
    ----------
    offsets
        First byte of each chunk, and the end of the data, int64 ``(chunks + 1,)``.
    rows
        First row of each chunk, and the number of rows, int64 ``(chunks + 1,)``.
    """

    offsets: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]

    @property
    def total(self) -> int:
        """Rows in all."""
        return int(self.rows[-1])


def index_lines(path: Path, first_byte: int, *, keep_open_line: bool) -> tuple[LineIndex, int]:
    """Find the chunks of the lines from ``first_byte`` on; blank lines at the end do not count.

    Parameters
    ----------
    keep_open_line
        Whether a last line without a newline counts.

    Returns
    -------
    tuple
        The index, and the bytes of an open last line that was left out.

    Raises
    ------
    RecordingError
        Where a line is longer than 16 MB.
    """
    offsets, rows = [first_byte], [0]
    with open(path, "rb") as handle:
        end = _end_of_text(handle, first_byte)
        at, row, line_start = first_byte, 0, first_byte
        handle.seek(at)
        while at < end:
            block = np.frombuffer(handle.read(min(_SCAN_BYTES, end - at)), np.uint8)
            if not len(block):
                break
            starts = np.flatnonzero(block == _NEWLINE) + (at + 1)
            at += len(block)
            if not len(starts):
                if at - line_start > MOST_LINE_BYTES:
                    raise RecordingError(f"{path}: a line of more than {MOST_LINE_BYTES >> 20} MB; this is no table")
                continue
            line_start = int(starts[-1])
            row = _add_chunks(offsets, rows, starts, row)
        open_bytes = end - line_start
        if open_bytes and keep_open_line:
            row += 1
        else:
            end = line_start
    if row > rows[-1]:
        offsets.append(end)
        rows.append(row)
    return LineIndex(np.array(offsets, np.int64), np.array(rows, np.int64)), 0 if keep_open_line else open_bytes


def _add_chunks(offsets: list[int], rows: list[int], starts: npt.NDArray[np.int64], row: int) -> int:
    """Add the chunks that begin at some of these line starts; return how many rows lie before the last of them."""
    i = 0
    while True:
        i = int(np.searchsorted(starts, offsets[-1] + CHUNK_BYTES))
        if i >= len(starts):
            return row + len(starts)
        offsets.append(int(starts[i]))
        rows.append(row + i + 1)


def _end_of_text(handle: BinaryIO, first_byte: int) -> int:
    """Return the end without blank lines and zeros (what a crash may leave) there; the last newline stays."""
    end = handle.seek(0, 2)
    while end > first_byte:
        start = max(first_byte, end - (1 << 16))
        handle.seek(start)
        tail = handle.read(end - start)
        kept = tail.rstrip(b"\r\n\0 \t")
        if kept:
            newline = tail[len(kept) :].find(b"\n")
            return start + len(kept) + newline + 1 if newline >= 0 else start + len(kept)
        end = start
    return first_byte
