"""A file of any length that is written from front to back, past the memory in which the system keeps files.

What the system keeps of a long output pushes out what users work with, and new memory for it costs more than the disk
does (on a virtual machine 0.5 GB/s against 2 to 3). So what lies behind the first ``KEPT_BYTES`` is copied into blocks
that threads bring to the disk past that memory (:class:`ranvier.recordings.direct_file.WriteBehind`), in whole pages.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from ranvier import _platform
from ranvier.recordings.direct_file import WriteBehind

#: An output of no more than this stays in memory for whoever reads it next.
KEPT_BYTES = 8 * 2**20

#: Small writes are held back until there are so many bytes.
HELD_BYTES = 1 << 18

#: Whole pages of every platform that we know (16 KiB on some ARM).
PAGE_BYTES = 1 << 14


class StreamFile(io.RawIOBase):
    """A new file; OSError as by ``open`` and by the disk, some writes later. ``flush`` and ``close`` write the rest."""

    def __init__(self, path: Path) -> None:
        self._handle = open(path, "xb", buffering=0)  # noqa: SIM115 - closed by close
        self.name = str(path)
        self._at = 0  # where the bytes that are held belong
        self._held = bytearray()
        self._behind: WriteBehind | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._handle.fileno()

    def tell(self) -> int:
        return self._at + len(self._held)

    def write(self, data: Any, *, lent: bool = False) -> int:
        """Append bytes (any C-order buffer); if ``lent``, their memory does not change until ``flush`` or ``close``."""
        size = memoryview(data).nbytes
        if size == 0:
            return 0
        view = memoryview(data).cast("B")
        stop = self.tell() + size
        whole = stop - stop % PAGE_BYTES
        if len(self._held) + size < HELD_BYTES or whole < self.tell():
            self._held += view
            return size
        taken = whole - self.tell()
        if self._held:
            self._write([self._held, view[:taken]])
        else:
            self._write([view[:taken]], lent=lent)
        self._held = bytearray(view[taken:])
        return size

    def skip(self, size: int) -> None:
        """Leave a hole, which reads as zeros."""
        self.flush()
        self._at += size

    def flush(self) -> None:
        """Write what is held back (not: what the disk itself holds back)."""
        if self.closed:
            return
        if self._held:
            held, self._held = self._held, bytearray()
            self._write([held])
        if self._behind is not None:
            self._behind.drain()

    def close(self) -> None:
        """Write what is held back, and close; closed also where the disk refuses it."""
        try:
            super().close()  # calls flush
        finally:
            self._end()

    def _end(self) -> None:
        behind, self._behind = self._behind, None
        try:
            if behind is not None:
                behind.close()
        finally:
            self._handle.close()

    def _write(self, parts: list[Any], *, lent: bool = False) -> None:
        if self._at < KEPT_BYTES:
            self._at += _platform.write_past_cache(self.fileno(), parts, self._at, keep=True)
            return
        if self._behind is None:
            self._behind = WriteBehind(Path(self.name), self.fileno())
        for part in parts:
            taken = self._behind.lend(self._at, np.frombuffer(part, np.uint8)) if lent else 0
            self._behind.put(self._at + taken, part[taken:])
            self._at += len(part)
