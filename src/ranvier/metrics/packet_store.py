"""Where whole packets are kept: a ``.kpi`` file beside the recording, or memory.

Layout of ``<base>.kpi`` (little-endian): a header of 256 bytes, then records of one size, appended in any order. Where
several hold one packet, the last that is whole counts.

========  ======  ====================================================================
offset    type    header
========  ======  ====================================================================
0         8s      ``RANVKPI2``
8         u4, u4  size of the header (256) and of a record
16        u4, u4  channels; rows of the two arrays (``NUM_EXACT << 16 | NUM_SINGLE``)
24        i8, i8  sampling rate as a fraction
40        i8, i8  packet duration in seconds as a fraction
56        i8      version of the definitions
64        32s     SHA-256 of the event parameters
96        32s     SHA-256 of what was measured: id of the dataset, its file, its filters
128       u4      CRC-32 of the bytes before
========  ======  ====================================================================

A record: ``i8`` packet index, ``u8`` check of the rest (:func:`ranvier.metrics.check_kernels.record_checks`), float64
``(NUM_EXACT, channels)``, float32 ``(NUM_SINGLE, channels)``, zeros to a multiple of 8. Checks are looked at when a
record is used, once by each program that has the file open: a record that is torn, or that was changed, is computed
again. A file with another header is replaced, not trusted.
"""

from __future__ import annotations

import os
import struct
import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ranvier._platform import replace, try_lock
from ranvier.metrics.check_kernels import record_checks
from ranvier.metrics.packet_columns import NUM_EXACT, NUM_SINGLE
from ranvier.metrics.packets import PacketGrid, PacketTable

MAGIC = b"RANVKPI2"
HEADER_BYTES = 256
#: Raise it whenever a packet of the same samples and parameters would hold other numbers.
DEFINITIONS_VERSION = 1

_UNKNOWN, _WHOLE, _DAMAGED = range(3)

#: Files of packets are opened one at a time in this process: to close one gives up its lock, whoever took it (POSIX).
_FILES = threading.Lock()
_LONGEST_WAIT_SEC = 2.0


def packet_file(recording: Path, base_name: str, stream: str = "") -> Path:
    """Return where the packets of a recording (the path to link it by) are kept: beside it, one file per stream."""
    name = f"{base_name}_{stream}" if stream else base_name
    for mark in "/\\:":
        name = name.replace(mark, "_")
    return recording.parent / f"{name}.kpi"


def delete_packets(path: Path) -> None:
    """Delete a packet file; one that is not ours, or that cannot be deleted, is left (it can always be made again)."""
    with suppress(OSError):
        with path.open("rb") as handle:
            ours = handle.read(len(MAGIC)) == MAGIC
        if ours:
            path.unlink()


class MemoryPackets:
    """Packets in memory, the newest ``max_bytes`` of them."""

    note = ""

    def __init__(self, channels: int, max_bytes: int = 1 << 28) -> None:
        self._channels = channels
        self._most = max(2, max_bytes // (channels * (8 * NUM_EXACT + 4 * NUM_SINGLE) or 1))
        self._held: dict[int, PacketTable] = {}
        self._lock = threading.Lock()

    @property
    def most(self) -> int:
        """How many packets are kept at most."""
        return self._most

    @property
    def indices(self) -> list[int]:
        """Packets that are there."""
        with self._lock:
            return sorted(self._held)

    @property
    def num_bytes(self) -> int:
        """Memory in use."""
        return len(self._held) * self._channels * (8 * NUM_EXACT + 4 * NUM_SINGLE)

    def add(self, index: int, table: PacketTable) -> None:
        """Keep a packet; the oldest goes where there are too many."""
        with self._lock:
            self._held[index] = table
            while len(self._held) > self._most:
                del self._held[min(self._held)]

    def rows(self, first: int, stop: int) -> dict[int, PacketTable]:
        """Return those of the packets ``[first, stop)`` that are there."""
        with self._lock:
            return {i: self._held[i] for i in range(first, stop) if i in self._held}

    def table(self, first: int, stop: int) -> PacketTable | None:
        """Return the packets ``[first, stop)`` as one table, or None where one is missing."""
        found = self.rows(first, stop)
        if len(found) < stop - first:
            return None
        return PacketTable.concatenate([found[i] for i in range(first, stop)], self._channels)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._held.clear()


class FilePackets:
    """Packets in a ``.kpi`` file; OSError where it cannot be made. Reads map the file, so memory stays bounded."""

    note = ""

    def __init__(self, path: Path, grid: PacketGrid, channels: int, parameters: bytes, source: bytes) -> None:
        self.path = path
        self.grid = grid
        body = channels * (8 * NUM_EXACT + 4 * NUM_SINGLE)
        self._dtype = np.dtype(
            {
                "names": ["index", "check", "exact", "single"],
                "formats": ["<i8", "<u8", ("<f8", (NUM_EXACT, channels)), ("<f4", (NUM_SINGLE, channels))],
                "offsets": [0, 8, 16, 16 + channels * 8 * NUM_EXACT],
                "itemsize": -(-(16 + body) // 8) * 8,
            }
        )
        self._channels = channels
        self._header = self._make_header(parameters, source)
        self._lock = threading.RLock()
        self._map: npt.NDArray[Any] | None = None
        self._forget()

    @property
    def indices(self) -> list[int]:
        """Packets that are there, as far as is known: one that turns out to be damaged is not, from then on."""
        with self._lock:
            return sorted(self._row_of)

    @property
    def num_bytes(self) -> int:
        """Bytes on disk."""
        return HEADER_BYTES + len(self._whole) * self._dtype.itemsize

    def add(self, index: int, table: PacketTable) -> None:
        """Append a packet behind all records, also those that others wrote meanwhile; they are taken over.

        OSError where the disk is full, the folder is gone, or another program does not let go (the file stays whole).
        """
        record = np.zeros(1, self._dtype)
        record["index"], record["exact"], record["single"] = index, table.exact, table.single
        record["check"] = _checks(record, np.zeros(1, np.int64))
        with self._lock:
            if index in self._row_of:
                return
            with _FILES, self.path.open("r+b") as handle:
                _claim(handle)
                self._mine(handle)
                self._take_over(handle)
                if index in self._row_of:
                    return
                handle.seek(HEADER_BYTES + len(self._whole) * self._dtype.itemsize)
                handle.write(record.tobytes())
            self._note([index], _WHOLE)

    def table(self, first: int, stop: int) -> PacketTable | None:
        """Return the packets ``[first, stop)`` as one table (mapped where they lie in order), or None.

        None where one is missing or damaged; what is damaged is not there any more then.
        """
        with self._lock:
            try:
                while True:
                    rows = self._rows_of(first, stop)
                    if rows is None:
                        return None
                    held = self._mapped()
                    if self._checked(held, rows):
                        break
            except OSError:  # another program began it anew: what was ours is gone
                self._reset()
                return None
        follow = bool((np.diff(rows) == 1).all())
        part = held[rows[0] : rows[0] + len(rows)] if follow else held[rows]
        return PacketTable(self.grid.starts_of(first, stop), part["exact"], part["single"])

    def rows(self, first: int, stop: int) -> dict[int, PacketTable]:
        """Return those of the packets ``[first, stop)`` that are there."""
        found = {}
        for i in range(first, stop):
            one = self.table(i, i + 1)
            if one is not None:
                found[i] = one
        return found

    def clear(self) -> None:
        """Delete the file."""
        with self._lock:
            self._reset()
            self.path.unlink(missing_ok=True)

    def _reset(self) -> None:
        self._map = None
        self._row_of: dict[int, int] = {}
        self._index = np.empty(0, np.int64)  # of each record: its packet,
        self._whole = np.empty(0, np.uint8)  # and whether it is whole, damaged, or was not looked at

    def _forget(self) -> None:
        """Look anew at what the file holds."""
        with self._lock:
            self._reset()
            self._open()

    def _rows_of(self, first: int, stop: int) -> npt.NDArray[np.int64] | None:
        """Return where packets lie, or None where one is missing."""
        rows = [self._row_of.get(i, -1) for i in range(first, stop)]
        return None if min(rows, default=-1) < 0 else np.array(rows, np.int64)

    def _checked(self, held: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> bool:
        """Look at those of some records that were not looked at yet; say whether all are whole."""
        fresh = rows[self._whole[rows] == _UNKNOWN]
        if not len(fresh):
            return True
        right = (held["check"][fresh] == _checks(held, fresh)) & (held["index"][fresh] == self._index[fresh])
        self._whole[fresh] = np.where(right, _WHOLE, _DAMAGED)
        for row in fresh[~right].tolist():
            index = int(self._index[row])
            del self._row_of[index]
            others = np.flatnonzero((self._index == index) & (self._whole != _DAMAGED))
            if len(others):
                self._row_of[index] = int(others[-1])
        return bool(right.all())

    def _mapped(self) -> npt.NDArray[Any]:
        if self._map is None or len(self._map) < len(self._whole):
            with _FILES, self.path.open("rb") as handle:
                self._mine(handle)
                self._map = np.memmap(handle, self._dtype, "r", HEADER_BYTES, (len(self._whole),))
        return self._map

    def _mine(self, handle: IO[bytes]) -> None:
        handle.seek(0)
        if handle.read(HEADER_BYTES) != self._header:
            raise OSError(f"{self.path.name} was begun anew by another program, for other parameters")

    def _open(self) -> None:
        """Take the records of a file that is ours; begin a new file otherwise.

        The new one replaces the old one as a whole: who has the old one mapped keeps it (to cut it would kill them).
        """
        with suppress(FileNotFoundError), _FILES, self.path.open("rb", buffering=0) as handle:
            if handle.read(HEADER_BYTES) == self._header:
                self._take_over(handle)
                return
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}-{id(self):x}.tmp")
        try:
            fresh.write_bytes(self._header)
            replace(fresh, self.path)
        finally:
            fresh.unlink(missing_ok=True)

    def _take_over(self, handle: IO[bytes]) -> None:
        """Take the records behind those that are known, unchecked; one that is cut short is none."""
        there = (os.fstat(handle.fileno()).st_size - HEADER_BYTES) // self._dtype.itemsize
        index: list[int] = []
        for row in range(len(self._whole), there):  # read: mapped, each would cost a page fault
            handle.seek(HEADER_BYTES + row * self._dtype.itemsize)
            index += struct.unpack("<q", handle.read(8))
        self._note(index, _UNKNOWN)

    def _note(self, index: list[int], state: int) -> None:
        """Remember records behind those that are known."""
        known = len(self._whole)
        self._row_of.update(zip(index, range(known, known + len(index)), strict=True))
        self._index = np.append(self._index, np.array(index, np.int64))
        self._whole = np.append(self._whole, np.full(len(index), state, np.uint8))

    def _make_header(self, parameters: bytes, source: bytes) -> bytes:
        grid = self.grid
        head = struct.pack(
            "<8sIIIIqqqqq32s32s", MAGIC, HEADER_BYTES, self._dtype.itemsize, self._channels,
            NUM_EXACT << 16 | NUM_SINGLE, grid.fs.numerator, grid.fs.denominator, grid.dur.numerator,
            grid.dur.denominator, DEFINITIONS_VERSION, parameters, source,
        )  # fmt: skip
        return (head + struct.pack("<I", zlib.crc32(head))).ljust(HEADER_BYTES, b"\0")


def _claim(handle: IO[bytes]) -> None:
    """Wait until no other process writes the file; the claim ends when the file is closed."""
    until = time.monotonic() + _LONGEST_WAIT_SEC
    while not try_lock(handle):
        if time.monotonic() > until:
            raise OSError(f"{handle.name} is held by another program")
        time.sleep(0.002)


def _checks(records: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Return what the checks of some records should be."""
    words = np.asarray(records).view(np.uint32).reshape(len(records), -1)
    checks = np.empty(len(rows), np.uint64)
    record_checks(words, rows, checks)
    return checks
