"""Writing so that nothing unfinished ever stands under a final name.

``StagedFiles`` gives every output a temporary name beside its final one; ``commit`` flushes everything to the disk and
renames in order (metadata last), ``abort`` removes everything. What stood under the final names before (``force``) is
moved aside first and comes back where a rename fails.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
import weakref
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import BinaryIO

from ranvier import _platform
from ranvier.exceptions import OutputError
from ranvier.recordings.stream_file import KEPT_BYTES, StreamFile

_SUFFIX = ".writing"

#: After so many bytes a thread begins to bring them to the disk, while more are made.
FLUSH_BEHIND_BYTES = 64 * 2**20


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the body into an OutputError that names ``path`` and says what to do."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {_advice(error)}") from error


class StagedFiles:
    """The files (or folders) of one output while it is written.

    Temporary names start with a dot and end in ``.writing``; they lie in the folder of the final name, because only
    there a rename is atomic.
    """

    def __init__(self) -> None:
        self._token = uuid.uuid4().hex[:8]
        self._temporary: dict[Path, Path] = {}
        self._handles: list[BinaryIO | StreamFile] = []
        self._unflushed_bytes = 0
        self._flusher: ThreadPoolExecutor | None = None
        self._flushing: Future[None] | None = None
        # Also where nobody calls abort: a sink that is dropped, or the interpreter's end.
        self._cleanup = weakref.finalize(self, _remove_all, os.getpid(), self._handles, self._temporary)

    @property
    def token(self) -> str:
        """What the temporary names of this output have in common; no other output has it."""
        return self._token

    def path(self, final: Path) -> Path:
        """Return the temporary path that becomes ``final`` (a file or a folder); nothing is created."""
        if final not in self._temporary:
            self._temporary[final] = final.with_name(f".{final.name}.{self._token}{_SUFFIX}")
        return self._temporary[final]

    def open(self, final: Path) -> BinaryIO:
        """Create the temporary file of ``final`` for binary writing; commit and abort close it."""
        with writing(final):
            handle = open(self.path(final), "xb", buffering=1 << 20)  # noqa: SIM115 - closed by commit or abort
        self._handles.append(handle)
        return handle

    def open_stream(self, final: Path) -> StreamFile:
        """Create the temporary file of ``final`` for samples without end; commit and abort close it."""
        with writing(final):
            handle = StreamFile(self.path(final))
        self._handles.append(handle)
        return handle

    def write_bytes(self, final: Path, content: bytes) -> None:
        """Write a small file whole."""
        with writing(final), open(self.path(final), "xb") as handle:
            handle.write(content)

    def flush_behind(self, written_bytes: int) -> None:
        """Take note of what was written; now and then bring it to the disk meanwhile, in a thread of its own.

        The disk works while more is computed, and ``commit`` has little left to wait for. What the disk refuses here is
        raised by ``commit``.
        """
        self._unflushed_bytes += written_bytes
        if self._unflushed_bytes < FLUSH_BEHIND_BYTES or (self._flushing is not None and not self._flushing.done()):
            return
        if self._flushing is not None:
            self._flushing.result()
        if self._flusher is None:
            self._flusher = ThreadPoolExecutor(1, "ranvier-flush")
        self._unflushed_bytes = 0
        self._flushing = self._flusher.submit(_flush_files, list(self._temporary.items()))

    def _stop_flushing(self) -> None:
        """Wait for the thread; raise what the disk refused."""
        flushing, self._flushing = self._flushing, None
        if self._flusher is not None:
            self._flusher.shutdown()
            self._flusher = None
        if flushing is not None:
            flushing.result()

    def close(self) -> None:
        """Close every handle, so that the files can be flushed or read; OutputError where the last bytes do not fit."""
        while self._handles:
            handle = self._handles[-1]
            with writing(Path(handle.name)):
                handle.close()
            self._handles.pop()

    def commit(self, order: Sequence[Path], *, remove: Iterable[Path] = ()) -> None:
        """Flush everything, then rename in this order; ``remove`` are stale files of a replaced output.

        Raises
        ------
        OutputError
            Nothing of the output stands under a final name then, and what it was to replace is back. So where a folder
            stands in the place of a file, or a file in that of a folder.
        """
        self.close()
        self._stop_flushing()
        for final in order:
            if final.exists() and final.is_dir() != self.path(final).is_dir():
                kind = ("a folder", "a file") if final.is_dir() else ("a file", "a folder")
                raise OutputError(f"{final} is {kind[0]}, and {kind[1]} is to be written; choose another name")
            with writing(final):
                _flush(self.path(final))
        self._swap(list(order), [p for p in remove if p not in order])
        self._temporary.clear()
        for folder in {final.parent for final in order}:
            with writing(folder):
                _platform.flush_folder(folder)

    def abort(self) -> None:
        """Close and remove everything; safe at any time and twice."""
        with suppress(OutputError):
            self._stop_flushing()
        _remove_all(os.getpid(), self._handles, self._temporary)

    def _swap(self, order: list[Path], stale: list[Path]) -> None:
        aside: dict[Path, Path] = {}
        done: list[Path] = []
        try:
            # Metadata goes first on the way out, so that no moment shows old metadata over new data.
            for final in [*reversed(order), *stale]:
                if final.exists():
                    old = final.with_name(f".{final.name}.{self._token}.replaced{_SUFFIX}")
                    os.replace(final, old)
                    aside[final] = old
            for final in order:
                os.replace(self._temporary[final], final)
                done.append(final)
        except BaseException as error:
            for final in reversed(done):
                os.replace(final, self._temporary[final])
            for final, old in reversed(aside.items()):
                os.replace(old, final)
            if isinstance(error, OSError):
                raise OutputError(f"cannot write {order[-1]}: {_advice(error)}") from error
            raise
        for old in aside.values():
            _remove(old)


def check_replaceable(folder: Path, names: Iterable[str]) -> None:
    """Raise OutputError where a folder to be replaced holds anything but an earlier output of its kind.

    Replacing a folder removes all that is in it, so that somebody's recordings or notes in it would be lost.

    Parameters
    ----------
    names
        Patterns (``fnmatch``) of what such an output holds, not looked into where that is a folder.
    """
    if not folder.is_dir():
        if folder.exists():
            raise OutputError(f"{folder} is a file, and a folder is to be written; choose another name")
        return
    known = list(names)
    other = sorted(p.name for p in folder.iterdir() if not any(fnmatch(p.name, name) for name in known))
    if other:
        shown = ", ".join(other[:3]) + (f" and {len(other) - 3} more" if len(other) > 3 else "")
        raise OutputError(
            f"{folder} is not replaced, whatever force says: it holds {shown}, which would be lost. Name another folder"
        )


def remove_left_behind(folders: Iterable[Path], tokens: Iterable[str]) -> list[Path]:
    """Clean up after a process that died while it wrote; return what was removed or put back.

    Only files with one of the tokens are touched. Unfinished files are removed. Where the process died between two
    renames, what the output was to replace is put back; where all had been renamed, the old files are removed.
    """
    done: list[Path] = []
    for folder in folders:
        for token in tokens:
            found = sorted(folder.glob(f".*.{token}*{_SUFFIX}")) if folder.is_dir() else []
            old_end = f".{token}.replaced{_SUFFIX}"
            aside = [p for p in found if p.name.endswith(old_end)]
            unfinished = [p for p in found if p not in aside]
            for path in aside:
                final = path.with_name(path.name[1 : -len(old_end)])
                if unfinished or not final.exists():
                    with suppress(OSError):
                        os.replace(path, final)
                        done.append(final)
                else:
                    _remove(path)
                    done.append(path)
            for path in unfinished:
                _remove(path)
                done.append(path)
    return done


def _advice(error: OSError) -> str:
    text = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return f"the disk is full ({text}); free some space or write elsewhere; what was written so far was removed"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{text}; choose a folder that you may write to"
    return text


def _flush_files(files: Sequence[tuple[Path, Path]]) -> None:
    for final, temporary in files:
        if temporary.is_file():
            with writing(final):
                _platform.flush_to_disk(temporary)
                _platform.forget_cached(temporary, KEPT_BYTES)


def _flush(path: Path) -> None:
    if path.is_dir():
        for inner in sorted(path.iterdir()):
            _flush(inner)
        _platform.flush_folder(path)
    else:
        _platform.flush_to_disk(path)
        _platform.forget_cached(path, KEPT_BYTES)


def _remove_all(owner: int, handles: list[BinaryIO | StreamFile], temporary: dict[Path, Path]) -> None:
    if os.getpid() != owner:  # a forked child must not remove its parent's work
        return
    while handles:
        with suppress(OSError):  # the buffer of a full disk cannot be flushed
            handles[-1].close()
        handles.pop()
    for path in temporary.values():
        _remove(path)
    temporary.clear()


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
