"""An HDF5 file to write to, on a disk that may fill up.

When the disk refuses a write, libhdf5 cannot close its file any more: it leaves the process with a file that fails
again at exit, and can crash there. So HDF5 writes through an object here that never refuses: the first error is kept,
later writes are dropped, HDF5 closes in peace, and ``check`` raises the error.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier import _platform
from ranvier.exceptions import OutputError
from ranvier.recordings.direct_file import DirectFile
from ranvier.recordings.files import writing
from ranvier.recordings.stream_file import KEPT_BYTES, PAGE_BYTES


@contextmanager
def guarded(final: Path) -> Iterator[None]:
    """Turn what the disk and HDF5 raise over an output into OutputError that names ``final``."""
    with writing(final):
        try:
            yield
        except RuntimeError as error:
            raise OutputError(f"cannot write {final}: {error}") from error


#: Pieces of at least so many bytes (samples) begin at whole pages, and go past the page cache; what is smaller (HDF5's
#: own tables) is written again and again.
BULK_BYTES = 1 << 16


class Hdf5Output:
    """A file opened for writing with h5py.

    Attributes
    ----------
    file
        The h5py.File.
    """

    def __init__(self, path: Path, mode: str) -> None:
        import h5py

        self._target = _Target(path, create=mode == "w")
        self.file: Any = h5py.File(self._target, mode, alignment_threshold=BULK_BYTES, alignment_interval=PAGE_BYTES)

    def check(self) -> None:
        """Raise the OSError that the disk gave, if any."""
        if self._target.failure is not None:
            raise self._target.failure

    def write_at(self, offset: int, data: npt.NDArray[np.uint8]) -> None:
        """Write samples where HDF5 has set space aside, past HDF5, its locks and the page cache; from any thread.

        What the disk refuses, ``check`` and ``close`` raise.
        """
        self._target.write_at(offset, data)

    def close(self) -> None:
        """Close the file; raise the OSError that the disk gave, if any."""
        self.discard()
        self.check()

    def discard(self) -> None:
        """Close the file, whatever the disk said."""
        self.file.close()
        self._target.close()

    def __enter__(self) -> Hdf5Output:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        self.discard()
        if kind is None:
            self.check()


class _Target(io.RawIOBase):
    """Reads and writes a file; keeps the first error of writing instead of raising it."""

    def __init__(self, path: Path, *, create: bool) -> None:
        self._handle = open(path, "w+b" if create else "r+b", buffering=0)  # noqa: SIM115 - closed by close
        self._bulk = open(path, "r+b", buffering=0)  # noqa: SIM115 - with a position of its own
        self._direct = DirectFile(path, self._bulk.fileno())
        self.failure: OSError | None = None

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._handle.seek(offset, whence)

    def tell(self) -> int:
        return self._handle.tell()

    def readinto(self, buffer: Any) -> int:
        """Fill the whole buffer; zeros behind the end, where a write was dropped."""
        left = memoryview(buffer).cast("B")
        size = len(left)
        while left:
            got = self._handle.readinto(left)
            if not got:
                left[:] = bytes(len(left))
                break
            left = left[got:]
        return size

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        at = self._handle.tell()
        keep = size < BULK_BYTES or at < KEPT_BYTES
        self._noting(lambda: _platform.write_past_cache(self._handle.fileno(), [data], at, keep=keep))
        self._handle.seek(at + size)
        return size

    def write_at(self, at: int, data: npt.NDArray[np.uint8]) -> None:
        if at < KEPT_BYTES:
            self._noting(lambda: _platform.write_past_cache(self._bulk.fileno(), [data], at, keep=True))
        else:
            self._noting(lambda: self._direct.write(at, data))

    def _noting(self, write: Callable[[], object]) -> None:
        """Write, unless something was refused before; keep what is refused now."""
        try:
            if self.failure is None:
                write()
        except OSError as error:
            self.failure = error

    def truncate(self, size: int | None = None) -> int:
        try:
            if self.failure is None:
                return self._handle.truncate(size)
        except OSError as error:
            self.failure = error
        return size or 0

    def close(self) -> None:
        self._direct.close()
        self._handle.close()
        self._bulk.close()
        super().close()
