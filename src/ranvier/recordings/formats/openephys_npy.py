"""NumPy files whose header may be stale: Open Ephys writes the row count when a recording is closed.

After a crash the header says 0 rows, or too few; the file's size tells the truth.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError

_MAGIC = b"\x93NUMPY"
_MAX_HEADER_BYTES = 10_000
_DESCR = re.compile(r"""['"]descr['"]\s*:\s*['"]([<>|=]?[iufSU]\d{1,7})['"]""")
_FORTRAN = re.compile(r"""['"]fortran_order['"]\s*:\s*True""")
_SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(([\d,\s]*)\)""")
#: One spike or message takes less than this.
_MAX_ROW_BYTES = 1 << 24


@dataclass(frozen=True)
class NpyFile:
    """One ``.npy`` file of rows of equal shape.

    Attributes
    ----------
    rows
        Whole rows that the file holds, from its size.
    header_rows
        Rows that its header claims.
    is_fortran
        Whether the first index runs fastest (MATLAB).
    """

    path: Path
    dtype: np.dtype[Any]
    row_shape: tuple[int, ...]
    rows: int
    header_rows: int
    header_bytes: int
    is_fortran: bool = False

    @classmethod
    def open(cls, path: Path, row_shape: tuple[int, ...] | None = None, *, any_order: bool = False) -> NpyFile:
        """Read the header; ``row_shape`` stands in where a stale header does not tell it.

        ``any_order`` takes arrays in Fortran order too (other programs write them), and lays a single row on its side.

        Raises
        ------
        RecordingError
            If it is missing, not a NumPy file, or of a type that no recording has.
        """
        try:
            with open(path, "rb") as handle:
                text, header_bytes = _header_text(handle)
        except OSError as error:
            raise RecordingError(f"{path} cannot be read: {error.strerror or error}") from error
        descr, claimed = _DESCR.search(text), _SHAPE.search(text)
        if descr is None or claimed is None:
            raise RecordingError(f"{path}: its NumPy header is damaged, or says a type that Open Ephys does not write")
        shape = tuple(min(int(n), 2**62) for n in claimed[1].split(",") if n.strip().isdigit() and len(n) < 30)
        if any_order and len(shape) == 2 and shape[0] == 1:
            shape = shape[::-1]
        is_fortran = _FORTRAN.search(text) is not None and sum(n > 1 for n in shape) > 1
        if is_fortran and not any_order:
            raise RecordingError(f"{path}: columns in Fortran order are not what Open Ephys writes")
        try:
            dtype = np.dtype(descr[1])
        except TypeError as error:
            raise RecordingError(f"{path}: its NumPy header is damaged ({descr[1]})") from error
        inner = tuple(shape[1:])
        if row_shape is not None and len(inner) != len(row_shape):
            inner = row_shape
        row_bytes = math.prod(inner) * dtype.itemsize
        if not 0 < row_bytes <= _MAX_ROW_BYTES:
            raise RecordingError(f"{path}: its NumPy header is damaged (rows of shape {inner})")
        rows = max(0, path.stat().st_size - header_bytes) // row_bytes
        return cls(path, dtype, inner, rows, int(shape[0]) if shape else 0, header_bytes, is_fortran)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.row_shape) * self.dtype.itemsize

    def load(self, rows: int | None = None) -> npt.NDArray[Any]:
        """Return the first rows (all by default), ``(rows, *row_shape)``."""
        n = self.rows if rows is None else min(rows, self.rows)
        if self.is_fortran and n != self.header_rows:
            raise RecordingError(f"{self.path} was cut: {n} of {self.header_rows} rows are there, each in pieces")
        values = np.fromfile(self.path, self.dtype, n * math.prod(self.row_shape), offset=self.header_bytes)
        if values.size != n * math.prod(self.row_shape):
            raise RecordingError(f"{self.path} became shorter while it was read")
        return values.reshape(n, *self.row_shape, order="F" if self.is_fortran else "C")


def _header_text(handle: BinaryIO) -> tuple[str, int]:
    """Return the text of the header and where the data begin (NumPy Enhancement Proposal 1); empty where damaged."""
    head = handle.read(12)
    if len(head) < 12 or head[:6] != _MAGIC or head[6] not in (1, 2, 3):
        return "", 0
    width = 2 if head[6] == 1 else 4
    length = int.from_bytes(head[8 : 8 + width], "little")
    if length > _MAX_HEADER_BYTES:
        return "", 0
    handle.seek(8 + width)
    return handle.read(length).decode("latin-1"), 8 + width + length


def load_columns(folder: Path, *names: tuple[str, ...]) -> list[npt.NDArray[Any]]:
    """Load one-dimensional columns that belong together, cut to the shortest.

    Each of ``names`` is a list of alternatives (releases named files differently); the first that exists is taken.
    """
    files = []
    for alternatives in names:
        path = next((folder / a for a in alternatives if (folder / a).exists()), folder / alternatives[0])
        files.append(NpyFile.open(path))
    rows = min(f.rows for f in files)
    return [f.load(rows) for f in files]
