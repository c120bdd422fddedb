"""Opening an NWB file with h5py, also one that was cut; small reads that fit any release of the format."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError

if TYPE_CHECKING:
    import h5py

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: Bytes of decoded chunks that HDF5 keeps per dataset; compressed chunks are then decoded once, not per block.
_CHUNK_CACHE_BYTES = 1 << 25
_ALWAYS_PLAUSIBLE_BYTES = 1 << 24
#: What HDF5 raises where a part of a file is damaged or missing.
UNREADABLE: tuple[type[Exception], ...] = (OSError, RuntimeError, KeyError, ValueError, TypeError)
#: Longest table or text that is read whole.
MAX_VALUES = 1 << 28


def is_hdf5(path: Path) -> bool:
    """Return whether a file begins with HDF5's signature (a user block may stand before it)."""
    try:
        with open(path, "rb") as handle:
            for offset in (0, 512, 1024, 2048):
                handle.seek(offset)
                if handle.read(8) == _SIGNATURE:
                    return True
    except OSError:
        return False
    return False


def open_h5(path: Path) -> h5py.File:
    """Open a file for reading; one that was cut opens with zeros for what is missing (see ``missing_from``).

    Raises
    ------
    RecordingError
        Where HDF5 cannot make sense of it.
    """
    import h5py

    try:
        # No say about file locking: HDF5 refuses a file that the same process has open with another setting.
        return h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE_BYTES)
    except OSError as error:
        claimed = _claimed_bytes(path)
        size = path.stat().st_size
        if claimed is None or claimed <= size:
            raise RecordingError(f"{path}: HDF5 cannot open it ({error}); the file is damaged") from error
    try:
        return h5py.File(io.BufferedReader(_Padded(path, claimed), 1 << 20), "r", rdcc_nbytes=_CHUNK_CACHE_BYTES)
    except (OSError, RuntimeError, ValueError) as error:
        raise RecordingError(
            f"{path}: only {size} of {claimed} bytes are there, and what is missing is needed to find the rest"
        ) from error


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for the time of a ``with`` block."""
    file = open_h5(path)
    try:
        yield file
    finally:
        file.close()


def missing_from(path: Path) -> int | None:
    """Return the byte from which on a cut file is missing, None for a whole one."""
    claimed = _claimed_bytes(path)
    size = path.stat().st_size
    return size if claimed is not None and claimed > size else None


def rows_present(dataset: h5py.Dataset, end: int) -> int:
    """Return how many leading rows of a dataset lie wholly before byte ``end`` of the file."""
    rows = int(dataset.shape[0])
    if dataset.chunks is None:
        offset = dataset.id.get_offset()
        if offset is None or not rows:
            return 0
        row_bytes = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
        return int(min(rows, max(0, end - offset) // max(1, row_bytes)))
    return _chunked_rows_present(dataset, end)


def _chunked_rows_present(dataset: h5py.Dataset, end: int) -> int:
    """Count rows up to the first that is missing in some chunk; a plain chunk that was cut still holds rows."""
    chunk_rows, total = int(dataset.chunks[0]), int(dataset.shape[0])
    row_bytes = dataset.dtype.itemsize * int(np.prod(dataset.chunks[1:], dtype=np.int64))
    plain = dataset.id.get_create_plist().get_nfilters() == 0
    across = int(np.prod([-(-n // c) for n, c in zip(dataset.shape[1:], dataset.chunks[1:], strict=True)], dtype=int))
    held: dict[int, list[int]] = {}
    for i in range(dataset.id.get_num_chunks()):
        info = dataset.id.get_chunk_info(i)
        if info.byte_offset is None:
            continue
        missing = max(0, info.byte_offset + info.size - end)
        rows = chunk_rows if not missing else max(0, info.size - missing) // row_bytes if plain else 0
        held.setdefault(int(info.chunk_offset[0]), []).append(rows)
    for first in range(0, total, chunk_rows):
        rows_of_chunks = held.get(first, [])
        rows = min(rows_of_chunks) if len(rows_of_chunks) == across else 0
        if rows < chunk_rows:
            return min(total, first + rows)
    return total


def is_plausible(dataset: h5py.Dataset) -> bool:
    """Return whether a dataset can hold what its shape claims: a damaged shape may claim anything.

    Compression by more than a thousand is taken for damage; small datasets always pass.
    """
    claimed = int(dataset.size) * int(dataset.dtype.itemsize)
    return claimed <= _ALWAYS_PLAUSIBLE_BYTES or claimed <= 1000 * int(dataset.id.get_storage_size())


def text_of(value: Any) -> str:
    """Return an attribute or scalar as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.ndarray) and value.size == 1:
        return text_of(value.reshape(-1)[0])
    return str(value)


def type_of(item: Any) -> str:
    """Return the ``neurodata_type`` of a group or dataset, empty where there is none or it cannot be read."""
    try:
        return text_of(item.attrs["neurodata_type"]) if "neurodata_type" in item.attrs else ""
    except UNREADABLE:
        return ""


def groups_below(file: Any, tops: Iterable[str]) -> list[tuple[str, Any]]:
    """Return names and groups below some groups, themselves left out; what cannot be opened is left out."""
    import h5py

    found: list[tuple[str, Any]] = []
    for top in tops:
        group = child(file, top)
        if not isinstance(group, h5py.Group):
            continue

        def keep(name: str, item: Any, top: str = top) -> None:
            if isinstance(item, h5py.Group):
                found.append((f"{top}/{name}", item))

        with suppress(*UNREADABLE):
            group.visititems(keep)
    return found


def number_of(attributes: Any, key: str, default: float) -> float:
    """Return a finite number among attributes; the default where it is absent.

    RecordingError where it is no number.
    """
    if key not in attributes:
        return default
    value = np.asarray(attributes[key])
    if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value.reshape(-1)[0]):
        raise RecordingError(f"its attribute {key!r} is not a number")
    return float(value.reshape(-1)[0])


def child(group: Any, name: str) -> Any:
    """Return a member of a group, None where it is absent, its link is broken, or it cannot be opened."""
    try:
        return group.get(name) if name in group else None
    except UNREADABLE:
        return None


def column(group: Any, name: str) -> npt.NDArray[Any] | None:
    """Return a whole one-dimensional column of a table, texts as ``str``; None where it is absent or unreadable."""
    import h5py

    item = child(group, name)
    if not isinstance(item, h5py.Dataset) or item.ndim != 1 or item.size > MAX_VALUES or not is_plausible(item):
        return None
    try:
        if h5py.check_string_dtype(item.dtype) is not None:
            return np.asarray(item.asstr(errors="replace")[:], dtype=object)
        values: npt.NDArray[Any] = item[:]
    except UNREADABLE:
        return None
    return values


def scalar_text(group: Any, name: str) -> str | None:
    """Return a dataset of one text, None where it is absent or cannot be read."""
    item = child(group, name)
    if item is None or getattr(item, "shape", None) not in ((), (1,)):
        return None
    try:
        return text_of(item[()])
    except UNREADABLE:
        return None


def texts(values: npt.NDArray[Any] | None) -> list[str] | None:
    """Return a column of texts as a list; None where it holds something else."""
    if values is None or values.dtype.kind not in "OSU":
        return None
    return [text_of(v) for v in values.tolist()]


def numbers(values: npt.NDArray[Any] | None) -> npt.NDArray[np.float64] | None:
    """Return a column of numbers as float64; None where it holds something else."""
    return None if values is None or values.dtype.kind not in "iufb" else values.astype(np.float64)


def _claimed_bytes(path: Path) -> int | None:
    """Return the end of file that the superblock tells (HDF5 File Format Specification, section II.A)."""
    with open(path, "rb") as handle:
        head = handle.read(64)
    if len(head) < 52 or head[:8] != _SIGNATURE:
        return None
    at = {0: 40, 1: 44, 2: 28, 3: 28}.get(head[8])
    width = head[13] if head[8] < 2 else head[9]
    if at is None or width != 8:
        return None
    return int.from_bytes(head[at : at + 8], "little")


class _Padded(io.RawIOBase):
    """A file that reads as zeros behind its end, up to the size it should have."""

    def __init__(self, path: Path, size: int) -> None:
        self._handle = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close
        self._size = size
        self._real = path.stat().st_size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")
        n = max(0, min(len(target), self._size - self._at))
        real = max(0, min(n, self._real - self._at))
        if real:
            self._handle.seek(self._at)
            real = self._handle.readinto(target[:real]) or 0
        target[real:n] = bytes(n - real)
        self._at += n
        return n

    def close(self) -> None:
        self._handle.close()
        super().close()
