"""Which processes run jobs, and which of them still live.

Each process that runs jobs holds a lock on a file of its own under ``RANVIER_HOME/owners``. The operating system gives
the lock up when the process ends, also when it is killed or the machine loses power, so another process learns the
truth by trying the lock: no process ids that are used again, no clocks that must agree, and it works for several
machines on one network drive that has locks. Where the drive has none, a heartbeat decides.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO

from ranvier._platform import try_lock
from ranvier.exceptions import StoreError

#: Without file locks, a job whose heartbeat is older than this is lost (a running job beats every second).
HEARTBEAT_LIMIT_SEC = 120.0

# Files that this process has locked, by (pid, path). They must not be opened again here: closing any handle of a file
# drops a POSIX lock. A forked child sees its parent's entries under the parent's pid.
_HELD: dict[tuple[int, Path], IO[bytes]] = {}
_HELD_LOCK = threading.Lock()


class Owners:
    """The folder of the lock files."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.realpath(folder))

    def claim(self) -> str:
        """Become an owner; return the token that jobs of this process carry."""
        token = uuid.uuid4().hex
        path = self._path(token)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = open(path, "wb")  # noqa: SIM115 - stays open as long as the process lives
        except OSError as error:
            raise StoreError(
                f"the engine's home {self.folder.parent} cannot be written ({error.strerror or error}); make it "
                "writable, or set RANVIER_HOME to a folder of yours"
            ) from error
        with suppress(OSError):  # a drive without locks: the heartbeat decides
            try_lock(handle)
        with _HELD_LOCK:
            _HELD[os.getpid(), path] = handle
        return token

    def release(self, token: str) -> None:
        """Stop being an owner."""
        path = self._path(token)
        with _HELD_LOCK:
            handle = _HELD.pop((os.getpid(), path), None)
        if handle is not None:
            handle.close()
            path.unlink(missing_ok=True)

    def is_alive(self, token: str, heartbeat_unix: float) -> bool:
        """Return whether the process behind a token lives.

        ``heartbeat_unix`` is the last sign of life of its job; it decides only on drives without file locks, where a
        job counts as alive for ``HEARTBEAT_LIMIT_SEC`` after it.
        """
        path = self._path(token)
        with _HELD_LOCK:
            if (os.getpid(), path) in _HELD:
                return True
        try:
            with open(path, "rb+") as handle:
                gone = try_lock(handle)
        except FileNotFoundError:
            return False
        except OSError:
            return time.time() - heartbeat_unix < HEARTBEAT_LIMIT_SEC
        return not gone

    def sweep(self) -> None:
        """Remove the files of processes that are gone (not those of the last minute, which may be just being made)."""
        try:
            files = [p for p in self.folder.glob("*.lock") if time.time() - p.stat().st_mtime > 60.0]
        except OSError:
            return
        for path in files:
            if not self.is_alive(path.stem, time.time()):
                try:
                    path.unlink()
                except OSError:
                    continue  # another process swept it, or the folder is read-only

    def _path(self, token: str) -> Path:
        return self.folder / f"{token}.lock"
