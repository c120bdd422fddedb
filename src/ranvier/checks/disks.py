"""Disks that fail, for tests of whatever writes through :mod:`ranvier.rig.disk`.

``CrashDisk`` is a file system in memory that remembers every operation. ``crash`` materialises what a machine may find
after power loss at any of them: what was not forced to the disk is there, or not, page by page and in any order; names
that were not forced are there or not. Nothing weaker can be relied on: a file system may write back in any order
(Pillai et al. 2014, "All file systems are not created equal", OSDI '14).
"""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class _Inode:
    """A file's history: after each change, the operation's number, what it changed, and the size."""

    content: bytearray = field(default_factory=bytearray)
    changes: list[tuple[int, int, bytes, int]] = field(default_factory=list)  # (operation, offset, content, size after)
    syncs: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _NameChange:
    operation: int
    kind: str  # "create", "replace", "remove"
    path: Path
    target: Path | None = None
    inode: _Inode | None = None


class CrashDisk:
    """A disk in memory; everything written is kept, with its history.

    Attributes
    ----------
    operations
        How many there were so far.
    """

    def __init__(self) -> None:
        self.operations = 0
        self._names: dict[Path, _Inode] = {}
        self._changes: list[_NameChange] = []
        self._folder_syncs: list[tuple[int, Path]] = []

    # --- what ranvier.rig.disk.Disk asks for --------------------------------------------------------------------

    def create(self, path: Path, *, claim: bool = False) -> CrashFile:
        if path in self._names:
            raise FileExistsError(errno.EEXIST, "file exists", str(path))
        inode = self._names[path] = _Inode()
        self._changes.append(_NameChange(self.next(), "create", path, inode=inode))
        return CrashFile(self, inode)

    def replace(self, temporary: Path, final: Path) -> None:
        self._names[final] = self._names.pop(temporary)
        self._changes.append(_NameChange(self.next(), "replace", temporary, final))

    def remove(self, path: Path) -> None:
        if self._names.pop(path, None) is not None:
            self._changes.append(_NameChange(self.next(), "remove", path))

    def sync_folder(self, folder: Path) -> None:
        self._folder_syncs.append((self.next(), folder))

    def names(self, folder: Path) -> list[str]:
        return [p.name for p in self._names if p.parent == folder]

    def free_bytes(self, folder: Path) -> int:
        return 1 << 40

    def next(self) -> int:
        """Return the number of the operation that happens now."""
        self.operations += 1
        return self.operations

    # --- crashes ------------------------------------------------------------------------------------------------

    def crash(self, after: int, folder: Path, into: Path, rng: random.Random, *, page: int = 64) -> None:
        """Write what may be left of ``folder`` after power loss behind operation ``after`` into another folder."""
        synced = max((n for n, f in self._folder_syncs if n <= after and f == folder), default=0)
        names: dict[Path, _Inode] = {}
        for change in self._changes:
            if change.operation <= after and (change.operation <= synced or rng.random() < 0.5):
                _apply(names, change)
        for path, inode in names.items():
            if path.parent == folder:
                (into / path.name).write_bytes(_left(inode, after, rng, page))


class CrashFile:
    """A file of a :class:`CrashDisk`."""

    claimed_bytes = 0

    def __init__(self, disk: CrashDisk, inode: _Inode) -> None:
        self._disk = disk
        self._inode = inode

    @property
    def size(self) -> int:
        return len(self._inode.content)

    def write(self, content: Any) -> None:
        data = bytes(memoryview(content).cast("B"))
        at = self.size
        self._inode.content += data
        self._inode.changes.append((self._disk.next(), at, data, self.size))

    def sync(self) -> None:
        self._inode.syncs.append(self._disk.next())

    def truncate(self, size: int) -> None:
        if size != self.size:
            del self._inode.content[size:]
            self._inode.changes.append((self._disk.next(), size, b"", size))

    def close(self) -> None:
        pass


def _apply(names: dict[Path, _Inode], change: _NameChange) -> None:
    if change.kind == "create" and change.inode is not None:
        names[change.path] = change.inode
    elif change.kind == "remove":
        names.pop(change.path, None)
    elif change.target is not None and change.path in names:
        names[change.target] = names.pop(change.path)


def _left(inode: _Inode, after: int, rng: random.Random, page: int) -> bytes:
    """Return one content that a file may have: synced changes are there, of each page any later version may be."""
    synced = max((n for n in inode.syncs if n <= after), default=0)
    safe = [c for c in inode.changes if c[0] <= synced]
    loose = [c for c in inode.changes if synced < c[0] <= after]
    versions = [_content([*safe, *loose[:i]]) for i in range(len(loose) + 1)]
    size = len(rng.choice(versions))
    # Often all or nothing of a kind, else every page for itself.
    mode = rng.random()
    fixed = rng.randrange(len(versions))
    left = bytearray(size)
    for at in range(0, size, page):
        chosen = versions[fixed if mode < 0.3 else rng.randrange(len(versions))][at : at + page]
        chosen = chosen[: size - at]
        left[at : at + len(chosen)] = chosen
    return bytes(left)


def _content(changes: list[tuple[int, int, bytes, int]]) -> bytes:
    content = bytearray()
    for _, offset, data, size in changes:
        if len(content) < offset:
            content += bytes(offset - len(content))
        content[offset : offset + len(data)] = data
        del content[size:]
    return bytes(content)


class FaultyDisk:
    """Another disk with faults that a test turns on and off.

    Attributes
    ----------
    free
        What ``free_bytes`` tells and how much can still be written; None asks the other disk and limits nothing.
    broken
        An errno with which every write and sync fails; 0 for none.
    running
        While it is cleared, writes and syncs wait: the disk stalls.
    """

    def __init__(self, disk: Any, *, free: int | None = None) -> None:
        self.disk = disk
        self.free = free
        self.broken = 0
        self.running = threading.Event()
        self.running.set()

    def create(self, path: Path, *, claim: bool = False) -> FaultyFile:
        self.check()
        return FaultyFile(self, self.disk.create(path, claim=claim and self.free is None))

    def replace(self, temporary: Path, final: Path) -> None:
        self.check()
        self.disk.replace(temporary, final)

    def remove(self, path: Path) -> None:
        self.disk.remove(path)

    def sync_folder(self, folder: Path) -> None:
        self.check()
        self.disk.sync_folder(folder)

    def names(self, folder: Path) -> list[str]:
        return list(self.disk.names(folder))

    def free_bytes(self, folder: Path) -> int:
        return int(self.disk.free_bytes(folder)) if self.free is None else self.free

    def check(self) -> None:
        """Wait or fail, as the test wants it."""
        self.running.wait()
        if self.broken:
            raise OSError(self.broken, os.strerror(self.broken))


class FaultyFile:
    """A file of a :class:`FaultyDisk`."""

    def __init__(self, disk: FaultyDisk, file: Any) -> None:
        self._disk = disk
        self._file = file

    @property
    def size(self) -> int:
        return int(self._file.size)

    @property
    def claimed_bytes(self) -> int:
        return int(self._file.claimed_bytes)

    def write(self, content: Any) -> None:
        self._disk.check()
        data = memoryview(content).cast("B")
        free = self._disk.free
        if free is None:
            self._file.write(data)
            return
        fits = min(free, len(data))
        self._file.write(data[:fits])
        self._disk.free = free - fits
        if fits < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sync(self) -> None:
        self._disk.check()
        self._file.sync()

    def truncate(self, size: int) -> None:
        self._disk.check()
        if self._disk.free is not None:
            self._disk.free += max(0, self.size - size)
        self._file.truncate(size)

    def close(self) -> None:
        self._file.close()


class CountingDisk:
    """A disk that keeps no samples: only how many bytes each file would have.

    Small files (the metadata) are kept in ``content``.
    """

    def __init__(self) -> None:
        self.sizes: dict[Path, int] = {}
        self.content: dict[Path, bytes] = {}
        self.listener: Callable[[Path, int], None] | None = None

    def create(self, path: Path, *, claim: bool = False) -> CountingFile:
        if path in self.sizes:
            raise FileExistsError(errno.EEXIST, "file exists", str(path))
        self.sizes[path] = 0
        return CountingFile(self, path)

    def replace(self, temporary: Path, final: Path) -> None:
        self.sizes[final] = self.sizes.pop(temporary)
        self.content[final] = self.content.pop(temporary, b"")

    def remove(self, path: Path) -> None:
        self.sizes.pop(path, None)
        self.content.pop(path, None)

    def sync_folder(self, folder: Path) -> None:
        pass

    def names(self, folder: Path) -> list[str]:
        return [p.name for p in self.sizes if p.parent == folder]

    def free_bytes(self, folder: Path) -> int:
        return 1 << 45


class CountingFile:
    """A file of a :class:`CountingDisk`."""

    claimed_bytes = 0

    def __init__(self, disk: CountingDisk, path: Path) -> None:
        self._disk = disk
        self._path = path

    @property
    def size(self) -> int:
        return self._disk.sizes.get(self._path, 0)

    def write(self, content: Any) -> None:
        data = memoryview(content).cast("B")
        self._disk.sizes[self._path] = self.size + len(data)
        if ".json" in self._path.name:
            self._disk.content[self._path] = self._disk.content.get(self._path, b"") + bytes(data)

    def sync(self) -> None:
        pass

    def truncate(self, size: int) -> None:
        self._disk.sizes[self._path] = size

    def close(self) -> None:
        pass
