"""Reader of one Neuralynx ``.ncs`` file: one channel, with the events of the session that it lies in."""

from __future__ import annotations

from pathlib import Path

from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.formats.ncs_files import NlxFile, require
from ranvier.recordings.formats.ncs_session import open_files
from ranvier.recordings.registry import Format
from ranvier.recordings.session import Session

_NAME = "Neuralynx NCS"


def detect(path: Path) -> Path | None:
    """Return the path itself, with the suffix where it was left out; None where it is no file of samples."""
    for candidate in (path, path.with_name(path.name + ".ncs")):
        file = NlxFile.open(candidate)
        if file is not None and file.kind == "ncs":
            return candidate
    return None


def open_ncs(path: Path) -> Session:
    """Open one channel; RecordingError where it holds no usable header."""
    return open_files(path, [require(path)], RadiensFileType.NCS, _NAME)


def files_of(path: Path) -> list[Path]:
    """Return the file: other channels of its session are recordings of their own."""
    return [path]


def base_name(path: Path) -> str:
    """Return the name without ``.ncs``."""
    return path.stem if path.suffix.lower() == ".ncs" else path.name


FORMAT = Format(
    name=_NAME,
    file_type=RadiensFileType.NCS,
    suffixes=(".ncs",),
    detect=detect,
    open=open_ncs,
    files=files_of,
    base_name=base_name,
)
