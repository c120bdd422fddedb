"""Recordings made of others, without a copy: a stretch of one, or several one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.pieces import PieceTable, SourcePiece
from ranvier.recordings.recording import Recording
from ranvier.recordings.segments import Segments


class JoinedRecording(Recording):
    """Recordings one after the other, as a table of pieces says; gaps inside the sources stay gaps.

    Stored int16 counts pass through where every source has them with the same gain and offset.

    Parameters
    ----------
    columns
        Per source, which of its columns makes each column of the whole.
    channels
        Of the whole, one per column.
    """

    def __init__(
        self,
        sources: Sequence[Recording],
        table: PieceTable,
        columns: Sequence[npt.NDArray[np.int64]],
        channels: ChannelTable,
        *,
        path: Path,
        name: str = "",
    ) -> None:
        self._sources, self._taken = list(sources), list(columns)
        self.fs, self.channels, self.path, self.name = sources[0].fs, channels, path, name
        self.stores_counts = all(
            s.stores_counts
            and np.array_equal(s.channels.gains[c], channels.gains)
            and np.array_equal(s.channels.offsets[c], channels.offsets)
            for s, c in zip(sources, columns, strict=True)
        )
        self.simulated = any(s.simulated for s in sources)
        self._join(table)
        self.notes = tuple(f"piece {k}: {note}" for k, s in enumerate(sources) for note in s.notes)

    def _join(self, table: PieceTable) -> None:
        """Find which rows come from where."""
        self._rows: list[tuple[int, int, int]] = []  # first row of the whole, source, first row of the source
        runs: list[tuple[int, int]] = []
        row = 0
        for k, (source, piece) in enumerate(zip(self._sources, table.pieces, strict=True)):
            for part in source.segments.pieces(piece.start, piece.stop):
                self._rows.append((row, k, part.row))
                runs.append((part.counter - piece.start + piece.output_start, part.n))
                row += part.n
        self._first = np.array([r[0] for r in self._rows] or [0], dtype=np.int64)
        self.segments = Segments.from_runs(runs)
        self.lost_samples = sum(s.lost_samples for s in self._sources)
        first = self._sources[0]
        if first.walltime is not None:
            late = float((table.pieces[0].start - first.start) / first.fs)
            self.walltime = first.walltime + timedelta(seconds=late)

    def close(self) -> None:
        """Close the sources."""
        for source in self._sources:
            source.close()

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        for k, a, b, at in self._parts(start, stop):
            self._sources[k]._read_rows(a, b, self._taken[k][columns], out[at : at + b - a])

    def _read_counts(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.int16]) -> None:
        for k, a, b, at in self._parts(start, stop):
            self._sources[k]._read_counts(a, b, self._taken[k][columns], out[at : at + b - a])

    def _parts(self, start: int, stop: int) -> list[tuple[int, int, int, int]]:
        """Return (source, its first row, its last row + 1, row of the request) of the rows ``[start, stop)``."""
        found = []
        i = int(np.searchsorted(self._first, start, side="right")) - 1
        while i < len(self._rows) and self._rows[i][0] < stop:
            row, k, own = self._rows[i]
            end = self._rows[i + 1][0] if i + 1 < len(self._rows) else stop
            a, b = max(start, row), min(stop, end)
            found.append((k, own + a - row, own + b - row, a - start))
            i += 1
        return found


class ContinuedRecording(JoinedRecording):
    """Files of one recording that follow each other in its own counters, as one with a gap table; the last may grow.

    ``parts`` have equal channels and some samples, are in time order and do not overlap.
    """

    def __init__(self, parts: Sequence[Recording], path: Path, name: str = "") -> None:
        first = parts[0]
        every = np.arange(len(first.channels), dtype=np.int64)
        super().__init__(parts, _in_own_counters(parts), [every] * len(parts), first.channels, path=path, name=name)
        self._tell()

    def refresh(self) -> int:
        """Look again how far the last part reaches."""
        self._sources[-1].refresh()
        self._join(_in_own_counters(self._sources))
        self._tell()
        return self.stop

    def _tell(self) -> None:
        self.notes = tuple(note for part in self._sources for note in part.notes)
        if self.segments.missing:
            gaps = len(self.segments.gaps)
            said = f"{gaps} gap{'s' if gaps > 1 else ''} between files, {self.segments.missing} samples not stored"
            self.notes += (said,)


def _in_own_counters(parts: Sequence[Recording]) -> PieceTable:
    return PieceTable(tuple(SourcePiece(str(p.path), p.name, p.start, p.stop, p.start) for p in parts))


def stretch(source: Recording, start: int, stop: int, first: int, *, name: str = "") -> JoinedRecording:
    """Return the counters ``[start, stop)`` of a recording as one that begins at counter ``first``."""
    table = PieceTable((SourcePiece(str(source.path), source.name, start, stop, first),))
    every = np.arange(len(source.channels), dtype=np.int64)
    return JoinedRecording([source], table, [every], source.channels, path=source.path, name=name)
