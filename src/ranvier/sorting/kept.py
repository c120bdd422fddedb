"""Blocks of whitened signal, kept in a file so that later passes need not filter and whiten again; or of projections.

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


class KeptBlocks:
    """A temporary file of blocks; any thread may keep and read them. Without room, or a disk, it keeps nothing more."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._places: dict[int, int] = {}
        self._next = 0
        self._file: IO[bytes] | None = None
        self._room = 0
        try:
            self._room = min(MOST_BYTES, int(ROOM_SHARE * shutil.disk_usage(tempfile.gettempdir()).free))
            self._file = tempfile.TemporaryFile(prefix="ranvier-sort-", buffering=0)  # noqa: SIM115 (closed by close)
        except OSError:
            self._room = 0

    def keep(self, block: int, values: Values) -> None:
        """Keep a block, where there is room."""
        with self._lock:
            if self._file is None or block in self._places or self._next + values.nbytes > self._room:
                return
            try:
                self._file.seek(self._next)
                whole, done = values.data.cast("B"), 0
                while done < len(whole):
                    done += self._file.write(whole[done:])
            except OSError:  # the disk is full: what was kept before stays
                self._room = 0
                return
            self._places[block] = self._next
            self._next += values.nbytes

    def read(self, block: int, values: Values) -> bool:
        """Fill in a block; return whether it was kept."""
        with self._lock:
            place = self._places.get(block)
            if self._file is None or place is None:
                return False
            whole, done = values.data.cast("B"), 0
            try:
                self._file.seek(place)
                while done < len(whole):
                    got = self._file.readinto(whole[done:])  # type: ignore[attr-defined]
                    if not got:
                        break
                    done += got
            except OSError:
                done = 0
            if done < len(whole):
                del self._places[block]
            return done == len(whole)

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file, self._places = None, {}
