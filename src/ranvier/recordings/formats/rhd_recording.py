"""Samples and counters of Intan RHD and RHS files in the traditional layout."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.recordings.flat import FlatFile
from ranvier.recordings.formats.counters import exact_rate, find_runs, read_cells
from ranvier.recordings.formats.rhd_channels import Column, block_layout, channel_table, columns_of
from ranvier.recordings.formats.rhd_header import RhdHeader, read_header
from ranvier.recordings.formats.rhd_kernels import counts_of_blocks, physical_of_blocks
from ranvier.recordings.recording import Recording
from ranvier.recordings.segments import Segments


@dataclass(frozen=True)
class RhdFile:
    """One file: its header, its data blocks (one block is a row of 16-bit words), its gap table.

    Attributes
    ----------
    left_over_bytes
        Bytes of a last block that is not complete.
    """

    header: RhdHeader
    data: FlatFile
    blocks: int
    left_over_bytes: int
    segments: Segments
    notes: tuple[str, ...]

    @classmethod
    def open(cls, path: Path) -> RhdFile:
        """Read the header and the gap table; errors name the file."""
        header = header_of(path)
        data = FlatFile(path, np.dtype("<u2"), block_layout(header, []).block_words, header.header_bytes)
        blocks, left_over = data.rows(), data.leftover_bytes()
        segments, notes = _gap_table(header, data, blocks)
        if left_over:
            notes.append(
                f"{path.name}: the last data block is not complete ({left_over} of {data.row_bytes} bytes); its "
                f"{header.block_samples} samples are lost"
            )
        if not blocks:
            notes.append(f"{path.name} holds a header, but no complete data block")
        return cls(header, data, blocks, left_over, segments, tuple(notes))

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.data.path

    @property
    def rows(self) -> int:
        """Samples per channel."""
        return self.blocks * self.header.block_samples


def header_of(path: Path) -> RhdHeader:
    """Read a header; errors name the file."""
    with open(path, "rb") as handle:
        header = read_header(handle, str(path))
    exact_rate(header.fs_hz, single=True, where=str(path))
    return header


def join_files(files: list[RhdFile]) -> tuple[list[list[RhdFile]], str]:
    """Return all files as one group, in time order, where they follow each other.

    Where they do not, one group per file, and which file does not fit the others and why.
    """
    with_data = sorted((f for f in files if f.rows), key=lambda f: f.segments.start)
    if not with_data:
        return [[f] for f in files], ""
    reason = _why_apart(with_data)
    return ([[f] for f in files] if reason else [with_data]), reason


def _why_apart(files: list[RhdFile]) -> str:
    """Return why files, in time order, do not make one recording; empty where they do."""
    setups = [_setup(file.header) for file in files]
    usual = max(setups, key=setups.count)
    for file, setup in zip(files, setups, strict=True):
        if setup != usual:
            other = files[setups.index(usual)].path.name
            return f"{file.path.name} is foreign: its rate or channels differ from those of {other}"
    for a, b in itertools.pairwise(files):
        if a.segments.stop > b.segments.start:
            return (
                f"{a.path.name} and {b.path.name} overlap: one holds the sample counters {a.segments.start} to "
                f"{a.segments.stop - 1}, the other starts at {b.segments.start}"
            )
    return ""


def _setup(header: RhdHeader) -> tuple[Any, ...]:
    names = tuple((c.kind, c.native_name, c.native_order) for c in header.channels)
    return header.fs_hz, header.board_mode, header.block_samples, header.temperature_sensors, header.dc_saved, names


class RhdRecording(Recording):
    """Samples of one file, or of several that continue each other.

    Auxiliary inputs, sampled at a quarter of the rate, are held for four samples.

    Parameters
    ----------
    columns
        Which columns; all signals by default.
    """

    stores_counts = True

    def __init__(self, files: list[RhdFile], path: Path, name: str = "", columns: list[Column] | None = None) -> None:
        header = files[0].header
        wanted = columns_of(header) if columns is None else columns
        self.path = path
        self.name = name
        self.fs = exact_rate(header.fs_hz, single=True, where=str(path))
        self.channels = channel_table(header, wanted)
        self._layout = block_layout(header, wanted)
        self._gains, self._offsets = self.channels.gains, self.channels.offsets
        self._adopt(files)

    def refresh(self) -> int:
        """Look again how far a file that is being recorded reaches."""
        self._adopt([RhdFile.open(f.path) for f in self._files])
        return self.stop

    def _adopt(self, files: list[RhdFile]) -> None:
        self._files = files
        self._first_rows = [0, *itertools.accumulate(f.rows for f in files)]
        self.segments = Segments.from_runs(itertools.chain.from_iterable(f.segments.runs() for f in files))
        self.notes = tuple(itertools.chain.from_iterable(f.notes for f in files))
        self.lost_samples = sum(f.header.block_samples for f in files if f.left_over_bytes)

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        places = self._layout.take(columns)
        gain, offset = self._gains[columns], self._offsets[columns]
        for blocks, row, a, b in self._tiles(start, stop):
            physical_of_blocks(blocks, row, self._layout.block_samples, *places, gain, offset, out[a:b])

    def _read_counts(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.int16]) -> None:
        places = self._layout.take(columns)
        for blocks, row, a, b in self._tiles(start, stop):
            counts_of_blocks(blocks, row, self._layout.block_samples, *places, out[a:b])

    def _tiles(self, start: int, stop: int) -> Iterator[tuple[npt.NDArray[np.uint16], int, int, int]]:
        """Yield some blocks, the row in them to begin with, and which of the rows ``[start, stop)`` these are."""
        n = self._layout.block_samples
        for file, first in zip(self._files, self._first_rows, strict=False):
            a, b = max(start, first) - first, min(stop, first + file.rows) - first
            if a >= b:
                continue
            for block, tile in file.data.tiles(a // n, -(-b // n)):
                begin, end = max(a, block * n), min(b, (block + len(tile)) * n)
                yield tile, begin - block * n, begin + first - start, end + first - start


def _gap_table(header: RhdHeader, data: FlatFile, blocks: int) -> tuple[Segments, list[str]]:
    n = header.block_samples

    def offset_of(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return data.header_bytes + rows // n * data.row_bytes + 4 * (rows % n)

    return stored_counters(header, data.path, offset_of, blocks * n)


def stored_counters(
    header: RhdHeader, path: Path, offset_of: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]], rows: int
) -> tuple[Segments, list[str]]:
    """Return the gap table from the stored counters; without usable ones all rows are taken to follow each other.

    ``offset_of`` tells at which byte of ``path`` the counter of a row lies.
    """
    if not rows:
        return Segments.single(0, 0), []
    stored = np.dtype("<i4" if header.signed_counters else "<u4")

    def counters_at(at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return read_cells(path, offset_of(at), stored).astype(np.int64)

    segments = find_runs(counters_at, rows)
    if segments is None:
        note = f"{path.name}: stored sample counters run backwards; samples are counted from the first instead"
        return Segments.single(int(counters_at(np.zeros(1, np.int64))[0]), rows), [note]
    if not segments.missing:
        return segments, []
    return segments, [f"{path.name}: {len(segments.gaps)} gaps, {segments.missing} samples were never stored"]
