"""One writer per ``.spikes`` file: a lock on a file beside it, gone with the writer however that ends."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from ranvier import _platform
from ranvier.exceptions import OutputError
from ranvier.recordings.files import writing

#: What this process writes (locks of one process do not exclude each other).
_MINE: set[str] = set()


class WriterLock:
    """Held while a file is written; OutputError where somebody else writes it."""

    def __init__(self, path: Path) -> None:
        self._key = os.path.realpath(path)
        self._lock = path.with_name(f".{path.name}.lock")
        if self._key in _MINE:
            raise OutputError(f"{path} is being written in this process; close that writer first")
        with writing(path):
            self._handle = open(self._lock, "ab")  # noqa: SIM115 - held until release
        try:
            free = _platform.try_lock(self._handle)
        except OSError:  # a file system without locks
            free = True
        if not free:
            self._handle.close()
            raise OutputError(f"{path} is being written by another process; wait until it is finished")
        _MINE.add(self._key)

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
