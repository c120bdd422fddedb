"""Reading the headers of binary files."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from ranvier.exceptions import RecordingError


def exactly(handle: BinaryIO, size: int, path: Path) -> bytes:
    """Read so many bytes of a header; RecordingError where the file ends before."""
    data = handle.read(size)
    if len(data) < size:
        raise RecordingError(f"{path} ends inside its header")
    return data
