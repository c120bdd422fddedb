"""Samples of Blackrock NSx files: plain rows (2.1), packets of rows (2.2 to 3.0), one packet a sample (PTP)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ranvier.recordings.chunked import StampColumn
from ranvier.recordings.flat import FlatFile, Scaler
from ranvier.recordings.formats.nsx_header import NsxHeader, channel_table, read_header
from ranvier.recordings.recording import Recording
from ranvier.recordings.segments import Segments
from ranvier.recordings.stamps import StampedTime, packets_to_read, place_packets

#: More packets than this are damage, except in PTP files, whose packets are not walked.
_MOST_PACKETS = 1 << 21


@dataclass(frozen=True)
class Part:
    """Rows of one stretch of the file: each row has ``skip`` bytes of something else before its samples."""

    offset: int
    rows: int
    skip: int = 0


@dataclass(frozen=True)
class NsxLayout:
    """Where the rows lie, what their packets say of time (``rows``, ``ticks``: None for 2.1), and what is missing."""

    parts: tuple[Part, ...]
    rows: npt.NDArray[np.int64]
    ticks: npt.NDArray[np.int64] | None
    lost_samples: int
    notes: tuple[str, ...]

    @property
    def total_rows(self) -> int:
        """Rows stored."""
        return sum(part.rows for part in self.parts)


def read_layout(path: Path, header: NsxHeader) -> NsxLayout:
    """Find the rows of a file."""
    size = path.stat().st_size
    row_bytes = 2 * len(header.channels)
    if header.stamp_bytes == 0:
        rows, left = divmod(max(0, size - header.header_bytes), row_bytes)
        notes = (f"{path.name} ends inside a sample: {left} bytes left over",) if left else ()
        return NsxLayout((Part(header.header_bytes, rows),), np.empty(0, np.int64), None, int(left > 0), notes)
    if header.is_ptp:
        layout = _read_ptp(path, header, size, row_bytes)
        if layout is not None:
            return layout
    with open(path, "rb") as handle:
        return _walk(handle, path, header, size, row_bytes)


def _read_ptp(path: Path, header: NsxHeader, size: int, row_bytes: int) -> NsxLayout | None:
    """Return the layout of a file with one packet a sample; None where its packets hold more."""
    stride = 1 + header.stamp_bytes + 4 + row_bytes
    rows, left = divmod(max(0, size - header.header_bytes), stride)
    if not rows:
        return None
    stamps = StampColumn(path, header.header_bytes + 1, stride, f"<u{header.stamp_bytes}")
    counts = StampColumn(path, header.header_bytes + 1 + header.stamp_bytes, stride, "<u4")
    looked_at = np.unique(np.linspace(0, rows - 1, min(rows, 64)).astype(np.int64))
    if np.any(counts.at(looked_at) != 1):
        return None
    chosen = packets_to_read(stamps.at, rows, 1, header.fs, header.tick_hz)
    notes = (f"{path.name} ends inside a sample: {left} bytes left over",) if left else ()
    part = Part(header.header_bytes, rows, stride - row_bytes)
    return NsxLayout((part,), chosen, _signed(stamps.at(chosen)), int(left > 0), notes)


def _walk(handle: BinaryIO, path: Path, header: NsxHeader, size: int, row_bytes: int) -> NsxLayout:
    packet = struct.Struct("<BQI" if header.stamp_bytes == 8 else "<BII")
    parts: list[Part] = []
    ticks: list[int] = []
    notes: list[str] = []
    lost = 0
    at = header.header_bytes
    while at + packet.size <= size:
        handle.seek(at)
        marker, tick, n = packet.unpack(handle.read(packet.size))
        at += packet.size
        if marker != 1 or len(parts) >= _MOST_PACKETS:
            why = f"a packet starts with {marker} instead of 1" if marker != 1 else "there are too many packets"
            notes.append(f"{path.name}: {why}; the {size - at + packet.size} bytes from there on cannot be read")
            lost += (size - at) // row_bytes
            break
        there = (size - at) // row_bytes
        rows = min(n, there)
        if n == 0:
            notes.append(
                f"{path.name}: the recording was not closed; its last packet is taken to reach the end of the file"
            )
            rows = there
        elif n > there:
            notes.append(f"{path.name} is truncated: {n - there} samples of its last packet are lost")
            lost += n - there
        if rows:
            parts.append(Part(at, rows))
            ticks.append(tick)
        if n == 0 or n > there:
            break
        at += n * row_bytes
    rows_of = np.array([p.rows for p in parts], dtype=np.int64)
    return NsxLayout(
        tuple(parts),
        np.cumsum(rows_of) - rows_of,
        _signed(np.array(ticks, dtype=np.uint64)),
        lost,
        tuple(notes),
    )


def _signed(ticks: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    clipped: npt.NDArray[np.int64] = np.minimum(ticks, np.uint64(2**62)).astype(np.int64)
    return clipped


class NsxRecording(Recording):
    """One NSx file."""

    stores_counts = True

    def __init__(self, path: Path, name: str, nev_gains_uv: Mapping[int, float], origin: int | None = None) -> None:
        with open(path, "rb") as handle:
            self.header = read_header(handle, path)
        self.path = path
        self.name = name
        self.fs = self.header.fs
        self.channels, columns, self._channel_notes = channel_table(self.header, nev_gains_uv)
        self._columns_in_file = np.array(columns, dtype=np.int64)
        self._gains, self._offsets = self.channels.gains, self.channels.offsets
        self._origin = origin
        self._adopt()

    def refresh(self) -> int:
        """Look again how far a file that is being recorded reaches."""
        self._adopt()
        return self.stop

    @property
    def first_tick(self) -> int | None:
        """Time stamp of the first sample, or None."""
        return int(self._layout.ticks[0]) if self._layout.ticks is not None and len(self._layout.ticks) else None

    def place(self, origin: int) -> None:
        """Count samples from another tick of the clock: files of one session need the same."""
        self._origin = origin
        self._adopt()

    def _adopt(self) -> None:
        layout = read_layout(self.path, self.header)
        self._layout = layout
        self._first_rows = np.cumsum([0, *(p.rows for p in layout.parts)])
        self.lost_samples = layout.lost_samples
        self.time: StampedTime | None = None
        notes: tuple[str, ...] = ()
        if layout.ticks is None or not len(layout.ticks):
            self.segments = Segments.single(0, layout.total_rows)
        else:
            # Sample counters of the instrument are kept; nanoseconds since 1970 are not counters anybody wants.
            first = int(layout.ticks[0]) if self.header.is_ptp else 0
            self.time = place_packets(
                layout.rows,
                layout.ticks,
                layout.total_rows,
                self.fs,
                self.header.tick_hz,
                origin=first if self._origin is None else self._origin,
                drifts=self.header.is_ptp,
                what=f"{self.path.name} ({'PTP clock' if self.header.is_ptp else 'clock of the instrument'})",
            )
            self.segments, notes = self.time.segments, self.time.notes
        self.notes = (*(f"{self.path.name}: {n}" for n in self._channel_notes), *layout.notes, *notes)
        if self.header.walltime is not None:
            origin_sec = 0.0 if self.header.is_ptp else float(self.start / self.fs)
            try:
                self.walltime = self.header.walltime + timedelta(seconds=origin_sec)
            except OverflowError:
                self.walltime = None

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        scaler = Scaler(self._gains[columns], self._offsets[columns], self._in_file(columns), is_physical=False)
        for a, tile in self._tiles(start, stop):
            scaler.scale(tile, out[a : a + len(tile)])

    def _read_counts(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.int16]) -> None:
        picked = self._in_file(columns)
        for a, tile in self._tiles(start, stop):
            target = out[a : a + len(tile)]
            if picked is None:
                target[:] = tile
            else:
                np.take(tile, picked, axis=1, out=target, mode="clip")

    def _in_file(self, columns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
        """Return the columns of the file, or None where these are all of them in order."""
        picked = self._columns_in_file[columns]
        n = len(self._columns_in_file)
        return None if len(picked) == n and bool(np.all(picked == np.arange(n))) else picked

    def _tiles(self, start: int, stop: int) -> Iterator[tuple[int, npt.NDArray[np.int16]]]:
        """Yield rows ``[start, stop)`` in pieces, each with its place among them."""
        n = len(self._columns_in_file)
        at = start
        i = int(np.searchsorted(self._first_rows, start, side="right")) - 1
        while at < stop:
            part, first = self._layout.parts[i], int(self._first_rows[i])
            end = min(stop, first + part.rows)
            is_plain = part.skip == 0
            dtype, width = (np.dtype("<i2"), n) if is_plain else (np.dtype(np.uint8), part.skip + 2 * n)
            for row, tile in FlatFile(self.path, dtype, width, part.offset).tiles(at - first, end - first):
                cells = tile if is_plain else np.ndarray((len(tile), n), "<i2", tile, part.skip, (width, 2))
                yield row + first - start, np.ascontiguousarray(cells)
            at, i = end, i + 1
