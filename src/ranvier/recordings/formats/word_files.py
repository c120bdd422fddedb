"""Recordings whose columns are fields of 16-bit words in headerless files: one interleaved file, several, or one each.

SpikeGLX keeps counts and words of digital lines in one file; Intan's split layouts keep one file per signal type, or
one per channel. All of them are :class:`Part` objects of one :class:`WordRecording`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.flat import FlatFile
from ranvier.recordings.formats.word_kernels import counts_of_words, physical_of_words
from ranvier.recordings.recording import Recording
from ranvier.recordings.segments import Segments

#: Where every channel is a file of its own: bytes that are read before they are turned into rows (opening files costs
#: more than reading them), and rows that are turned at once (these stay in the cache).
_PLANAR_BYTES = 1 << 23
_TURNED_ROWS = 512
_WORD = np.dtype("<i2")


class Field(NamedTuple):
    """Where one column lies: ``((word >> bit) & mask) - zero`` of a column of a part.

    The defaults are a signed count. See :mod:`ranvier.recordings.formats.word_kernels`.
    """

    part: int
    column: int
    bit: int = 0
    mask: int = -1
    zero: int = 0


def unsigned_field(part: int, column: int) -> Field:
    """Return the field of an unsigned word; its count is the word minus 32768."""
    return Field(part, column, 0, 0xFFFF, 32768)


def line_field(part: int, column: int, bit: int) -> Field:
    """Return the field of one digital line."""
    return Field(part, column, bit, 1, 0)


class WordSource(Protocol):
    """Files whose words make columns: see :class:`Part`."""

    @property
    def files(self) -> tuple[FlatFile, ...]:
        """The files."""

    @property
    def hold(self) -> int:
        """Each stored row serves ``2**hold`` samples."""

    def rows(self) -> int:
        """Return how many samples of the recording all files hold."""

    def tiles(
        self, start: int, stop: int, columns: npt.NDArray[np.int64]
    ) -> Iterator[tuple[int, npt.NDArray[np.int16], npt.NDArray[np.int64]]]:
        """Yield ``(row, words, where)`` of stored rows ``[start, stop)``, as :meth:`Part.tiles` does."""


@dataclass(frozen=True)
class Part:
    """Words of some columns: one file that interleaves them, or one file for each.

    Attributes
    ----------
    files
        One file of all columns, or files of one column each.
    hold
        Each stored row serves ``2**hold`` samples of the recording.
    """

    files: tuple[FlatFile, ...]
    hold: int = 0

    @classmethod
    def interleaved(cls, path: Path, columns: int, hold: int = 0) -> Part:
        """One file of rows of words."""
        return cls((FlatFile(path, _WORD, columns),), hold)

    @classmethod
    def planar(cls, paths: Sequence[Path], hold: int = 0) -> Part:
        """One file of words per column."""
        return cls(tuple(FlatFile(path, _WORD, 1) for path in paths), hold)

    def rows(self) -> int:
        """Return how many samples of the recording all its files hold."""
        return min(file.rows() for file in self.files) << self.hold

    def tiles(
        self, start: int, stop: int, columns: npt.NDArray[np.int64]
    ) -> Iterator[tuple[int, npt.NDArray[np.int16], npt.NDArray[np.int64]]]:
        """Yield ``(row, words, where)`` of stored rows ``[start, stop)``: the words and where ``columns`` are in them.

        The memory is valid only until the next is asked for.
        """
        if len(self.files) == 1:
            for row, tile in self.files[0].tiles(start, stop):
                yield row, tile, columns
            return
        used, where = np.unique(columns, return_inverse=True)
        n = min(stop - start, max(_TURNED_ROWS, _PLANAR_BYTES // (2 * len(used))))
        planes = np.empty((len(used), n), _WORD)
        turned = np.empty((n, len(used)), _WORD)
        for row in range(start, stop, n):
            m = min(n, stop - row)
            for i, column in enumerate(used.tolist()):
                self.files[column].read_into(row, planes[i, :m].reshape(m, 1))
            for a in range(0, m, _TURNED_ROWS):
                b = min(m, a + _TURNED_ROWS)
                np.copyto(turned[a:b], planes[:, a:b].T)
            yield row, turned[:m], where.astype(np.int64)


class WordRecording(Recording):
    """One stream whose columns are fields of words in one or more files.

    Parameters
    ----------
    fields
        One per channel, in the order of ``channels``.
    """

    stores_counts = True

    def __init__(
        self,
        parts: Sequence[WordSource],
        fields: Sequence[Field],
        *,
        fs: Fraction,
        channels: ChannelTable,
        segments: Segments,
        path: Path,
        name: str = "",
        walltime: datetime | None = None,
        notes: tuple[str, ...] = (),
        lost_samples: int = 0,
    ) -> None:
        if len(fields) != len(channels):
            raise RecordingError(f"{path}: {len(fields)} columns, but {len(channels)} channels are described")
        self.parts = tuple(parts)
        self.fs = fs
        self.channels = channels
        self.segments = segments
        self.path = path
        self.name = name
        self.walltime = walltime
        self.notes = notes
        self.lost_samples = lost_samples
        table = np.array(fields, dtype=np.int64).reshape(-1, 5)
        self._part, self._column = table[:, 0].copy(), table[:, 1].copy()
        self._bit, self._mask, self._zero = (table[:, i].astype(np.int32) for i in (2, 3, 4))
        self._gains, self._offsets = channels.gains, channels.offsets

    def refresh(self) -> int:
        """Look again how far files without gaps reach; those with a gap table do not change."""
        if len(self.segments.counters) == 1:
            rows = min(part.rows() for part in self.parts)
            self.segments = Segments.single(self.start, max(rows, self.segments.rows))
        return self.stop

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        gain, offset = self._gains[columns], self._offsets[columns]
        for words, skip, hold, picked, where, a, b in self._tiles(start, stop, columns):
            bit, mask, zero = self._codes(columns[picked])
            physical_of_words(words, skip, hold, where, bit, mask, zero, gain[picked], offset[picked], picked, out[a:b])

    def _read_counts(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.int16]) -> None:
        for words, skip, hold, picked, where, a, b in self._tiles(start, stop, columns):
            bit, mask, zero = self._codes(columns[picked])
            counts_of_words(words, skip, hold, where, bit, mask, zero, picked, out[a:b])

    def _codes(
        self, columns: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        return self._bit[columns], self._mask[columns], self._zero[columns]

    def _tiles(
        self, start: int, stop: int, columns: npt.NDArray[np.int64]
    ) -> Iterator[tuple[npt.NDArray[np.int16], int, int, npt.NDArray[np.int64], npt.NDArray[np.int64], int, int]]:
        """Yield words, skip, hold, which of the columns are in them, where in them, and for which output rows."""
        for number, part in enumerate(self.parts):
            picked = np.flatnonzero(self._part[columns] == number).astype(np.int64)
            if not len(picked):
                continue
            hold = part.hold
            for row, words, where in part.tiles(start >> hold, ((stop - 1) >> hold) + 1, self._column[columns[picked]]):
                first, last = max(start, row << hold), min(stop, (row + len(words)) << hold)
                yield words, first - (row << hold), hold, picked, where, first - start, last - start
