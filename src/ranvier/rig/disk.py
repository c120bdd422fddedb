"""The few operations that a recorder needs of a file system, in one place, so that tests can put a worse disk there.

Nothing here is buffered in the process: what ``write`` took is with the operating system (and survives the end of the
process); what ``sync`` flushed is on the disk (and survives the end of power).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Protocol

from ranvier import _platform

#: Space that a growing file claims ahead, where the platform can do that without changing the file's size.
CLAIM_BYTES = 64 << 20


class GrowingFile(Protocol):
    """A file that is only ever appended to; one thread writes."""

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        ...

    @property
    def claimed_bytes(self) -> int:
        """Bytes that are set aside for it behind its end."""
        ...

    def write(self, content: Any) -> None:
        """Append a buffer, all of it, or raise OSError (``size`` then tells how much of it was taken)."""
        ...

    def sync(self) -> None:
        """Return when everything is on the disk."""
        ...

    def truncate(self, size: int) -> None:
        """Cut off what lies behind ``size``, and give back what was claimed."""
        ...

    def close(self) -> None:
        """Let go of the file; nothing is flushed. Harmless where it is closed."""
        ...


class Disk(Protocol):
    """Where recordings go. Every method raises OSError where the system refuses."""

    def create(self, path: Path, *, claim: bool = False) -> GrowingFile:
        """Create a file; FileExistsError where it is there already. ``claim`` sets space aside as it grows."""
        ...

    def replace(self, temporary: Path, final: Path) -> None:
        """Rename, atomically, over what may be there."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file; harmless where there is none."""
        ...

    def sync_folder(self, folder: Path) -> None:
        """Return when the names in a folder are on the disk."""
        ...

    def names(self, folder: Path) -> list[str]:
        """Return what lies in a folder."""
        ...

    def free_bytes(self, folder: Path) -> int:
        """Return how much fits."""
        ...


class RealDisk:
    """The file system of this machine."""

    def create(self, path: Path, *, claim: bool = False) -> GrowingFile:
        return _RealFile(path, claim=claim)

    def replace(self, temporary: Path, final: Path) -> None:
        os.replace(temporary, final)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        _platform.flush_folder(folder)

    def names(self, folder: Path) -> list[str]:
        return os.listdir(folder)

    def free_bytes(self, folder: Path) -> int:
        return shutil.disk_usage(folder).free


class _RealFile:
    def __init__(self, path: Path, *, claim: bool) -> None:
        self._handle = open(path, "xb", buffering=0)  # noqa: SIM115 - close() closes it
        self._size = 0
        self._claims = claim
        self._claimed_to = 0

    @property
    def size(self) -> int:
        return self._size

    @property
    def claimed_bytes(self) -> int:
        return max(0, self._claimed_to - self._size)

    def write(self, content: Any) -> None:
        left = memoryview(content).cast("B")
        if self._claims and self._size + len(left) > self._claimed_to:
            self._claim(len(left))
        while left:
            taken = self._handle.write(left)
            self._size += taken
            left = left[taken:]

    def sync(self) -> None:
        _platform.flush_handle(self._handle.fileno())

    def truncate(self, size: int) -> None:
        self._handle.truncate(size)
        self._handle.seek(size)
        self._size = size
        self._claimed_to = 0

    def close(self) -> None:
        self._handle.close()

    def _claim(self, needed: int) -> None:
        start = max(self._claimed_to, self._size)
        length = max(CLAIM_BYTES, self._size + needed - start)
        self._claims = _platform.claim_space(self._handle.fileno(), start, length)
        if self._claims:
            self._claimed_to = start + length


def write_whole(disk: Disk, path: Path, content: bytes) -> None:
    """Write a small file so that at every moment, also after power loss, the old or the new content is there."""
    temporary = path.with_name(f".{path.name}.writing")
    disk.remove(temporary)
    file = disk.create(temporary)
    try:
        file.write(content)
        file.sync()
    except OSError:
        file.close()
        disk.remove(temporary)
        raise
    file.close()
    disk.replace(temporary, path)
    disk.sync_folder(path.parent)
