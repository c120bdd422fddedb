"""One writer per ``.spikes`` file: a lock on a file beside it, gone with the writer however that ends."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from ranvier import _platform
from ranvier.exceptions import OutputError
from ranvier.recordings.files import writing

#: What this process writes (locks of one process do not exclude each other).
_MINE: set[str] = set()
_GUARD = threading.Lock()


class WriterLock:
    """Held while a file is written; OutputError where somebody else writes it."""

    def __init__(self, path: Path) -> None:
        self._key = os.path.realpath(path)
        self._lock = path.with_name(f".{path.name}.lock")
        with _GUARD:
            if self._key in _MINE:
                raise OutputError(f"{path} is being written in this process; close that writer first")
            _MINE.add(self._key)
        try:
            self._handle, free = self._taken(path)
            while free and not self._is_there():  # who held it took the file away before we had locked it
                self._handle.close()
                self._handle, free = self._taken(path)
            if not free:
                self._handle.close()
                raise OutputError(f"{path} is being written by another process; wait until it is finished")
        except BaseException:
            _MINE.discard(self._key)
            raise

    def _taken(self, path: Path) -> tuple[IO[bytes], bool]:
        """Open the lock's file; return it, and whether the lock is ours."""
        with writing(path):
            handle = open(self._lock, "ab")  # noqa: SIM115 - held until release
        try:
            return handle, _platform.try_lock(handle)
        except OSError:  # a file system without locks
            return handle, True

    def _is_there(self) -> bool:
        """Return whether what we locked is what others will open."""
        try:
            return os.path.samestat(os.fstat(self._handle.fileno()), os.stat(self._lock))
        except OSError:
            return False

    def release(self) -> None:
        """Let others write; safe to call twice."""
        if self._handle.closed:
            return
        with suppress(OSError):
            self._lock.unlink(missing_ok=True)
        self._handle.close()
        _MINE.discard(self._key)

    def __enter__(self) -> WriterLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.release()
