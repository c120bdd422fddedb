"""Recordings that lie in a headerless matrix file: rows of interleaved columns.

The file is opened for each read and read with ordinary calls into a small buffer that stays in the CPU's cache, where
it is scaled. No memory map: a map crashes the process (SIGBUS) where a file shrinks or a network drive vanishes, and
on Windows it forbids renaming and truncating; and the copy in cache costs almost nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.recording import Recording
from ranvier.recordings.segments import Segments

#: Bytes that are read and scaled at once; fits the second-level cache together with what is made of it.
TILE_BYTES = 1 << 19

_LOCAL = threading.local()


@dataclass(frozen=True)
class FlatFile:
    """A file of ``(rows, columns)`` values of one type, C order, behind ``header_bytes``."""

    path: Path
    dtype: np.dtype[Any]
    columns: int
    header_bytes: int = 0

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.columns * self.dtype.itemsize

    def rows(self) -> int:
        """Return how many whole rows the file holds now (a growing file changes its answer)."""
        return max(0, self.path.stat().st_size - self.header_bytes) // self.row_bytes

    def leftover_bytes(self) -> int:
        """Return the bytes behind the last whole row: what a crash in the middle of a sample leaves."""
        return max(0, self.path.stat().st_size - self.header_bytes) % self.row_bytes

    def read_into(self, start: int, out: npt.NDArray[Any]) -> None:
        """Fill ``out`` (C order, this file's type, whole rows) with the rows from ``start``."""
        with self._open_at(start) as handle:
            self._fill(handle, start, out)

    def tiles(self, start: int, stop: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Yield ``(row, rows)`` pieces of ``[start, stop)``; each is valid only until the next is asked for."""
        rows = max(1, TILE_BYTES // self.row_bytes)
        buffer = _take_scratch(rows * self.row_bytes)
        try:
            with self._open_at(start) as handle:
                for at in range(start, stop, rows):
                    n = min(rows, stop - at)
                    tile = buffer[: n * self.row_bytes].view(self.dtype).reshape(n, self.columns)
                    self._fill(handle, at, tile)
                    yield at, tile
        finally:
            _LOCAL.buffer = buffer

    def _open_at(self, row: int) -> FileIO:
        try:
            handle = open(self.path, "rb", buffering=0)  # noqa: SIM115 - the caller closes it
        except OSError as error:
            raise RecordingError(f"{self.path} cannot be read any more: {error.strerror or error}") from error
        handle.seek(self.header_bytes + row * self.row_bytes)
        return handle

    def _fill(self, handle: FileIO, row: int, out: npt.NDArray[Any]) -> None:
        left = out.reshape(-1).view(np.uint8).data
        while left:
            got = handle.readinto(left)
            if not got:
                raise RecordingError(
                    f"{self.path} ended while rows from {row} were read; it became shorter after it was opened: "
                    f"open it again to see what is left"
                )
            left = left[got:]


class FlatRecording(Recording):
    """One flat file as a recording. int16 columns scale by ``gain * count + offset`` of their channel."""

    def __init__(
        self,
        file: FlatFile,
        *,
        fs: Fraction,
        channels: ChannelTable,
        segments: Segments | None = None,
        path: Path | None = None,
        name: str = "",
        walltime: datetime | None = None,
        simulated: bool = False,
        notes: tuple[str, ...] = (),
        lost_samples: int = 0,
    ) -> None:
        if len(channels) != file.columns:
            raise RecordingError(f"{file.path}: {file.columns} columns, but {len(channels)} channels are described")
        self.file = file
        self.fs = fs
        self.channels = channels
        self.segments = Segments.single(0, file.rows()) if segments is None else segments
        self.path = file.path if path is None else path
        self.name = name
        self.walltime = walltime
        self.simulated = simulated
        self.notes = notes
        self.lost_samples = lost_samples
        self.stores_counts = file.dtype == np.dtype("<i2")
        self._gains = channels.gains
        self._offsets = channels.offsets
        self._is_physical = file.dtype == np.dtype("<f4") and bool(
            np.all(self._gains == 1.0) and np.all(self._offsets == 0.0)
        )

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        whole = self._is_all(columns)
        if self._is_physical and whole:
            self.file.read_into(start, out)
            return
        scaler = Scaler(self._gains[columns], self._offsets[columns], None if whole else columns, self._is_physical)
        for row, tile in self.file.tiles(start, stop):
            scaler.scale(tile, out[row - start : row - start + len(tile)])

    def _read_counts(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.int16]) -> None:
        if self._is_all(columns):
            self.file.read_into(start, out)
            return
        for row, tile in self.file.tiles(start, stop):
            np.take(tile, columns, axis=1, out=out[row - start : row - start + len(tile)], mode="clip")

    def _is_all(self, columns: npt.NDArray[np.int64]) -> bool:
        return len(columns) == self.file.columns and bool(np.all(columns == np.arange(self.file.columns)))


class Scaler:
    """Turns rows of counts into physical float32 rows.

    ``gain`` and ``offset`` belong to the ``columns`` that are taken (None: all); ``is_physical`` rows are only copied.
    """

    def __init__(
        self,
        gain: npt.NDArray[np.float64],
        offset: npt.NDArray[np.float64],
        columns: npt.NDArray[np.int64] | None,
        is_physical: bool,
    ) -> None:
        self.gain = gain
        self.offset = offset
        self.columns = columns
        self.is_physical = is_physical
        self.uniform = len(gain) > 0 and bool(np.all(gain == gain[0]) and np.all(offset == offset[0]))

    def scale(self, tile: npt.NDArray[Any], out: npt.NDArray[np.float32]) -> None:
        """Fill ``out`` (C order, one row per row of ``tile``); int16 tiles must be writeable memory in C order."""
        if self.is_physical and self.columns is not None:
            np.take(tile, self.columns, axis=1, out=out, mode="clip")
        elif tile.dtype == np.dtype("<i2"):
            self._scale_counts(tile, out)
        else:
            picked = tile if self.columns is None else tile[:, self.columns]
            np.copyto(out, picked * self.gain + self.offset, casting="same_kind")

    def _scale_counts(self, tile: npt.NDArray[np.int16], out: npt.NDArray[np.float32]) -> None:
        from ranvier.recordings import kernels

        if self.columns is not None:
            kernels.scale_selected(tile, self.columns, self.gain, self.offset, out)
        elif self.uniform:
            kernels.scale_uniform(tile.reshape(-1), float(self.gain[0]), float(self.offset[0]), out.reshape(-1))
        else:
            kernels.scale(tile, self.gain, self.offset, out)


def _take_scratch(size: int) -> npt.NDArray[np.uint8]:
    """Take this thread's buffer, kept between reads because fresh memory is slow on first touch."""
    buffer: npt.NDArray[np.uint8] | None = getattr(_LOCAL, "buffer", None)
    _LOCAL.buffer = None  # a second reader in this thread gets one of its own
    return buffer if buffer is not None and len(buffer) >= size else np.empty(size, np.uint8)
