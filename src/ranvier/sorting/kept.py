"""Blocks of whitened signal, kept in files so that later passes need not filter and whiten again; or of projections.

Sorting passes over the signal four times. What is kept are counts (``count_kernels``); a block is rounded to them
whether it is kept or not, so that a full disk changes nothing but time.
"""

from __future__ import annotations

import shutil
import tempfile
from threading import Lock
from typing import IO

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.int16] | npt.NDArray[np.float32]

#: Share of the room on the disk of temporary files that is taken, and bytes that are taken at most.
ROOM_SHARE = 0.25
MOST_BYTES = 32 * 2**30
#: More than there are threads on most machines, mostly.
FILES = 4


class KeptBlocks:
    """Temporary files of blocks; any thread may keep and read them. Without room, or a disk, nothing more is kept.

    A block goes to a file that no other thread is busy with: a file has one position, and takes one writer at a time.
    """

    def __init__(self) -> None:
        self._lock = Lock()  # of what follows
        self._places: dict[int, tuple[_File, int]] = {}
        self._files: list[_File] = []
        self._room = 0
        try:
            self._room = min(MOST_BYTES, int(ROOM_SHARE * shutil.disk_usage(tempfile.gettempdir()).free))
            for _ in range(FILES):
                self._files.append(_File())
        except OSError:
            self._room = 0

    def keep(self, block: int, values: Values) -> None:
        """Keep a block, where there is room."""
        with self._lock:
            if not self._files or block in self._places or values.nbytes > self._room:
                return
            self._room -= values.nbytes
            file = self._free_file()
        place = file.write(values)
        with self._lock:
            if place is None:  # the disk is full: what was kept before stays
                self._room = 0
            elif block not in self._places:
                self._places[block] = (file, place)

    def _free_file(self) -> _File:
        idle = [file for file in self._files if not file.lock.locked()]
        return min(idle or self._files, key=lambda file: file.end)

    def read(self, block: int, values: Values) -> bool:
        """Fill in a block; return whether it was kept."""
        with self._lock:
            kept = self._places.get(block)
        if kept is None:
            return False
        file, place = kept
        if file.read(place, values):
            return True
        with self._lock:
            self._places.pop(block, None)
        return False

    def close(self) -> None:
        """Let the files go."""
        with self._lock:
            self._places = {}
            while self._files:
                self._files.pop().close()


class _File:
    """One temporary file."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.end = 0
        self._file: IO[bytes] | None = tempfile.TemporaryFile(prefix="ranvier-sort-", buffering=0)  # noqa: SIM115

    def write(self, values: Values) -> int | None:
        """Write at the end; return where that was, None where it failed."""
        with self.lock:
            if self._file is None:
                return None
            place = self.end
            try:
                self._file.seek(place)
                whole, done = values.data.cast("B"), 0
                while done < len(whole):
                    done += self._file.write(whole[done:])
            except OSError:
                return None
            self.end += values.nbytes
            return place

    def read(self, place: int, values: Values) -> bool:
        """Fill in values; return whether all of them were there."""
        with self.lock:
            if self._file is None:
                return False
            whole, done = values.data.cast("B"), 0
            try:
                self._file.seek(place)
                while done < len(whole):
                    got = self._file.readinto(whole[done:])  # type: ignore[attr-defined]
                    if not got:
                        return False
                    done += got
            except OSError:
                return False
            return True

    def close(self) -> None:
        """Let it go."""
        with self.lock:
            if self._file is not None:
                self._file.close()
            self._file = None
