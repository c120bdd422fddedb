"""Which formats there are, and which one a path is: decided by content and siblings, never by suffix alone."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from ranvier.exceptions import CapabilityError, NotARecordingError, RadiensError, RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.format import Format as Format
from ranvier.recordings.plugins import plugin_formats, plugin_problems
from ranvier.recordings.session import Session
from ranvier.recordings.unreadable import why_unreadable, why_unreadable_type

#: What reading a damaged file may raise, here and in the libraries that readers use.
FILE_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    EOFError,
    MemoryError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
)


#: Modules with a ``FORMAT``, most specific detection first. Plug-ins come before the last, which takes what has a
#: description beside it.
FORMAT_MODULES: tuple[str, ...] = (
    "ranvier.recordings.formats.xdat",
    "ranvier.recordings.formats.rhd",
    "ranvier.recordings.formats.nsx",
    "ranvier.recordings.formats.nex",
    "ranvier.recordings.formats.ncs",
    "ranvier.recordings.formats.ncs_session",
    "ranvier.recordings.formats.tdt",
    "ranvier.recordings.formats.rhs",
    "ranvier.recordings.formats.nwb",
    "ranvier.recordings.formats.hdf5",
    "ranvier.recordings.formats.mearec",
    "ranvier.recordings.formats.edf",
    "ranvier.recordings.formats.csv_files",
    "ranvier.recordings.formats.openephys",
    "ranvier.recordings.formats.openephys_legacy",
    "ranvier.recordings.formats.spikeglx",
    "ranvier.recordings.formats.phy",
    "ranvier.recordings.formats.kilosort",
    "ranvier.spikes.format",
    "ranvier.recordings.formats.joined",
    "ranvier.recordings.formats.raw",
)


def all_formats() -> tuple[Format, ...]:
    """Return every known format, in the order in which detection tries them."""
    return tuple(_one_by_one())


def _one_by_one() -> Iterator[Format]:
    """Yield the formats, importing each module only when its turn comes."""
    known: list[Format] = []
    for name in FORMAT_MODULES[:-1]:
        known.append(import_module(name).FORMAT)
        yield known[-1]
    last = import_module(FORMAT_MODULES[-1]).FORMAT
    yield from plugin_formats(frozenset(f.name for f in (*known, last)))
    yield last


def format_for_type(file_type: RadiensFileType) -> Format:
    """Return the format of an API file type; CapabilityError where there is none."""
    for known in _one_by_one():
        if known.file_type == file_type:
            return known
    why = why_unreadable_type(file_type)
    if why is not None:
        raise CapabilityError(f"{file_type.name} files cannot be read or written: {why}")
    have = ", ".join(sorted({f.file_type.name for f in all_formats()}))
    raise CapabilityError(f"{file_type.name} files cannot be read or written by this version; it knows {have}")


def detect(path: Path) -> tuple[Format, Path]:
    """Return the format of a path and its canonical path.

    Raises
    ------
    NotARecordingError
        Nothing recognises it.
    CapabilityError
        It is of a type that nobody outside its maker can read; the message says what to do instead.
    """
    path = path.absolute()  # "." has no name to put a suffix to
    if not path.name:
        raise NotARecordingError(f"{path} is the root of all folders, not a recording")
    if not path.exists() and not any(path.parent.glob(_escape(path.name) + "*")):
        raise NotARecordingError(f"{path} does not exist")
    for known in _one_by_one():
        found = known.detect(path)
        if found is not None:
            return known, found
    why = why_unreadable(path)
    if why is not None:
        raise CapabilityError(why)
    names = ", ".join(f.name for f in all_formats())
    broken = "".join(f"; {problem}" for problem in plugin_problems().values())
    if path.is_file() and path.stat().st_size == 0:
        raise NotARecordingError(f"{path} is empty")
    what = "is a folder without" if path.is_dir() else "is not"
    raise NotARecordingError(f"{path} {what} a recording that this version recognises ({names}){broken}")


def detect_as(path: Path, file_type: RadiensFileType) -> tuple[Format, Path]:
    """Return which format of an API file type a path is, and its canonical path; several formats may share a type.

    The path may leave out the format's suffix. NotARecordingError where it is none of them, CapabilityError where this
    version knows no format of that type.
    """
    format_for_type(file_type)
    path = path.absolute()
    candidates = [known for known in _one_by_one() if known.file_type == file_type]
    for known in candidates:
        for suffix in ("", *known.suffixes):
            found = known.detect(path.with_name(path.name + suffix) if suffix and path.name else path)
            if found is not None:
                return known, found
    if not os.path.lexists(path) and not path.parent.is_dir():
        raise NotARecordingError(f"{path} is not there: its folder was moved or removed")
    if not os.path.lexists(path) and any(path.name.endswith(s) for known in candidates for s in known.suffixes):
        raise NotARecordingError(f"{path} is not there; was it moved or removed?")
    raise NotARecordingError(f"{path} is not a {' or '.join(known.name for known in candidates)} recording")


def open_session(path: str | Path, file_type: RadiensFileType | None = None) -> Session:
    """Open a path as the recording it is.

    Parameters
    ----------
    path
        File, folder or base name. ``~`` is expanded.
    file_type
        Insist on one format instead of detecting it.

    Raises
    ------
    NotARecordingError
        Nothing recognises it, or it is not of the wanted type.
    RecordingError
        It is damaged beyond reading; truncated files open with what is there.
    """
    target = Path(path).expanduser()
    known, canonical = detect(target) if file_type is None else detect_as(target, file_type)
    try:
        return known.open(canonical)
    except RadiensError:
        raise
    except FILE_ERRORS as error:
        raise RecordingError(
            f"{canonical}: cannot be read as {known.name} ({type(error).__name__}: {error})"
        ) from error


def _escape(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
