"""What one file format is to the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.session import Session
from ranvier.recordings.sink import Sink


@dataclass(frozen=True)
class Format:
    """One file format.

    Attributes
    ----------
    detect
        ``detect(path) -> canonical path | None``: looks at content and siblings; cheap; never raises on foreign or
        damaged files. The canonical path is what ``open`` takes (a ``_data.xdat`` gives its ``.xdat.json``).
    open
        ``open(path) -> Session``; raises RecordingError naming the file and what is wrong with it.
    sink
        The writer, or None.
    files
        ``files(path) -> list[Path]``: every file that belongs to the recording (copy, move, remove use it).
    base_name
        ``base_name(path) -> str``: the name without the format's suffix.
    """

    name: str
    file_type: RadiensFileType
    suffixes: tuple[str, ...]
    detect: Callable[[Path], Path | None]
    open: Callable[[Path], Session]
    files: Callable[[Path], list[Path]]
    base_name: Callable[[Path], str]
    sink: type[Sink] | None = None
