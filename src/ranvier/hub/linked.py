"""A linked dataset, and whether its files are still those that were linked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ranvier.models.dataset import RadiensFileType
from ranvier.recordings import ChannelTable, Format, Recording, Session


@dataclass
class Linked:
    """One linked dataset: an open stream and what the store remembers of it."""

    id: str
    format: Format
    canonical: Path
    session: Session
    recording: Recording
    stream: str
    channels: ChannelTable
    signature: tuple[int, int, int]
    files: tuple[Path, ...] = ()
    parts: tuple[tuple[int, int, int], ...] = ()  # signatures of all its files, when it was linked
    seen: tuple[tuple[int, int, int], ...] = ()  # and when they were last looked at

    @property
    def base_name(self) -> str:
        """Name of the recording without the format's suffix."""
        return self.format.base_name(self.canonical)


def signature_of(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file is replaced: its identity, size and time of change."""
    try:
        stat = path.stat()
    except OSError:
        return (0, 0, 0)
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns)


def was_replaced(linked: Linked) -> bool:
    """Return whether one of its files is another one, or was changed; one that only grew is the same recording."""
    whole = linked.format.file_type == RadiensFileType.XDAT  # its JSON is rewritten whole
    if _changed(signature_of(linked.canonical), linked.signature, whole=whole):
        return True
    now = tuple(signature_of(file) for file in linked.files)
    changed = any(_changed(a, b) for a, b in zip(now, linked.seen or linked.parts, strict=True))
    if not changed:  # what cannot be opened again stays changed
        linked.seen = now
    return changed


def _changed(now: tuple[int, int, int], then: tuple[int, int, int], *, whole: bool = False) -> bool:
    return now != then and (whole or now[0] != then[0] or now[1] <= then[1])
