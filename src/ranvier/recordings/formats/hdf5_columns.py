"""Recordings that lie in datasets of an HDF5 file: columns side by side, rows in time order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.formats.nwb_file import UNREADABLE, open_h5
from ranvier.recordings.kernels import scale
from ranvier.recordings.recording import Recording
from ranvier.recordings.segments import Segments

#: Bytes of stored values that are read and scaled at once.
_SLAB_BYTES = 1 << 22


@dataclass(frozen=True)
class StoredColumns:
    """A dataset that holds some columns of a recording.

    Attributes
    ----------
    path
        Name of the dataset in the file.
    first, count
        Which columns of the recording it holds.
    gain, offset
        Per column: physical = gain * stored + offset.
    transposed
        Whether the dataset is ``(columns, rows)``.
    """

    path: str
    first: int
    count: int
    gain: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    is_counts: bool
    transposed: bool = False

    @property
    def is_physical(self) -> bool:
        """Whether values need no scaling."""
        return bool(np.all(self.gain == 1.0) and np.all(self.offset == 0.0))


class Hdf5Recording(Recording):
    """Datasets of one HDF5 file as one stream; the file stays open until ``close``."""

    def __init__(
        self,
        path: Path,
        name: str,
        table: ChannelTable,
        stored: list[StoredColumns],
        fs: Fraction,
        segments: Segments,
    ) -> None:
        self.path = path
        self.name = name
        self.fs = fs
        self.segments = segments
        self.channels = table
        self.stores_counts = all(s.is_counts for s in stored)
        self._stored = stored
        self._file = open_h5(path)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        for stored in self._stored:
            where = np.flatnonzero((columns >= stored.first) & (columns < stored.first + stored.count))
            if len(where):
                wanted = columns[where] - stored.first
                if len(where) == len(columns):
                    self._read_scaled(stored, start, stop, wanted, out)
                else:
                    part = np.empty((stop - start, len(where)), np.float32)
                    self._read_scaled(stored, start, stop, wanted, part)
                    out[:, where] = part

    def _read_counts(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.int16]) -> None:
        for stored in self._stored:
            where = np.flatnonzero((columns >= stored.first) & (columns < stored.first + stored.count))
            if len(where):
                for a, b, values in self._slabs(stored, start, stop, columns[where] - stored.first):
                    out[a - start : b - start, where] = values

    def _read_scaled(
        self,
        stored: StoredColumns,
        start: int,
        stop: int,
        wanted: npt.NDArray[np.int64],
        out: npt.NDArray[np.float32],
    ) -> None:
        dataset = self._dataset(stored)
        whole = len(wanted) == stored.count and bool(np.all(wanted == np.arange(stored.count)))
        plain = dataset.dtype == np.float32 and dataset.ndim == 2 and not stored.transposed
        if whole and stored.is_physical and plain:
            with self._reading(start, stop):
                dataset.read_direct(out, np.s_[start:stop])
            return
        gain, offset = stored.gain[wanted], stored.offset[wanted]
        for a, b, values in self._slabs(stored, start, stop, wanted):
            target = out[a - start : b - start]
            if values.dtype == np.int16 and not stored.is_physical:
                scale(np.ascontiguousarray(values), gain, offset, target)
            else:
                with np.errstate(over="ignore", invalid="ignore"):  # damaged values may be infinite
                    target[:] = values if stored.is_physical else values * gain + offset

    def _slabs(
        self, stored: StoredColumns, start: int, stop: int, wanted: npt.NDArray[np.int64]
    ) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
        """Yield ``(a, b, values)`` for rows ``[a, b)``; HDF5 sees contiguous slices only, cut where chunks end."""
        dataset = self._dataset(stored)
        low, high = int(wanted.min()), int(wanted.max()) + 1
        pick = wanted - low
        identity = len(pick) == high - low and bool(np.all(pick == np.arange(high - low)))
        rows = max(1, _SLAB_BYTES // max(1, dataset.dtype.itemsize * (high - low)))
        chunk = dataset.chunks[-1 if stored.transposed else 0] if dataset.chunks else 1
        rows = max(rows // chunk * chunk, chunk) if chunk <= 4 * rows else rows
        at = start
        while at < stop:
            end = min(stop, (at // rows + 1) * rows)
            with self._reading(at, end):
                if stored.transposed:
                    values = dataset[low:high, at:end].T
                else:
                    values = dataset[at:end, low:high] if dataset.ndim == 2 else dataset[at:end][:, None]
            values = values.astype(values.dtype.newbyteorder("="), copy=False)
            yield at, end, values if identity else values[:, pick]
            at = end

    @contextmanager
    def _reading(self, start: int, stop: int) -> Iterator[None]:
        """Turn what HDF5 raises over a damaged piece into RecordingError."""
        try:
            yield
        except UNREADABLE as error:
            raise RecordingError(
                f"{self.path}: rows {start} to {stop} cannot be read, the file is damaged there ({error}); other times "
                f"can still be read"
            ) from error

    def _dataset(self, stored: StoredColumns) -> Any:
        try:
            return self._file[stored.path]
        except (ValueError, KeyError) as error:
            raise RecordingError(f"{self.path} is closed; open it again") from error
