"""Datasets of an HDF5 file that grow row by row, plain or compressed without loss.

Compression is HDF5's own ``gzip`` with ``shuffle`` (zlib; every HDF5 reader has it), or h5py's ``lzf``. HDF5 compresses
in one thread, and writes rows into plain chunks in small pieces; so chunks are made here, gzip ones compressed by one
thread per core, and handed over finished (``H5Dwrite_chunk``): the file is the same as HDF5 would write.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier._platform import worker_count
from ranvier.exceptions import ConfigurationError

#: What ``compression`` may be; "" for none.
COMPRESSIONS: tuple[str, ...] = ("", "gzip", "lzf")
#: zlib's level: 4 takes a third of the time of 9 and is a few per cent larger.
GZIP_LEVEL = 4
#: Bytes of a row of chunks, and the columns that a chunk spans at most.
_PLAIN_BYTES = 1 << 22
_COMPRESSED_BYTES = 1 << 20
_CHUNK_COLUMNS = 64


class GrowingRows:
    """A dataset ``(rows, columns)`` of a group to which rows are appended.

    Parameters
    ----------
    compression
        One of ``COMPRESSIONS``; ConfigurationError for another.
    """

    def __init__(
        self,
        group: Any,
        name: str,
        columns: int,
        dtype: npt.DTypeLike,
        *,
        compression: str = "",
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        check_compression(compression)
        self.rows = 0
        self._columns = columns
        self._dtype = np.dtype(dtype)
        self._chunk = _chunk_shape(columns, self._dtype, _COMPRESSED_BYTES if compression else _PLAIN_BYTES)
        filters: dict[str, Any] = {"fill_time": "never"}
        if compression:
            filters = {"compression": compression, "shuffle": True}
            filters |= {"compression_opts": GZIP_LEVEL} if compression == "gzip" else {}
        self.dataset: Any = group.create_dataset(
            name, shape=(0, columns), maxshape=(None, columns), chunks=self._chunk, dtype=self._dtype, **filters
        )
        self.dataset.attrs.update(attributes or {})
        self._by_hdf5 = compression == "lzf"
        self._held = np.empty((0 if self._by_hdf5 else self._chunk[0], columns), self._dtype)
        self._tile = np.zeros(self._chunk, self._dtype)
        self._pool = ThreadPoolExecutor(worker_count(), "ranvier-deflate") if compression == "gzip" else None
        self._packed: deque[tuple[tuple[int, int], Future[bytes]]] = deque()

    def append(self, values: npt.NDArray[Any]) -> None:
        """Append rows."""
        if self._by_hdf5:
            self.dataset.resize(self.rows + len(values), axis=0)
            self.dataset[self.rows :] = values
            self.rows += len(values)
            return
        at = 0
        while at < len(values):
            filled = self.rows % self._chunk[0]
            n = min(self._chunk[0] - filled, len(values) - at)
            self._held[filled : filled + n] = values[at : at + n]
            self.rows += n
            at += n
            if self.rows % self._chunk[0] == 0:
                self._pack(self.rows - self._chunk[0])

    def finish(self) -> None:
        """Write what is held back; nothing can be appended afterwards."""
        if self._by_hdf5:
            return
        filled = self.rows % self._chunk[0]
        if filled:
            self._held[filled:] = 0
            self._pack(self.rows - filled)
        self._write_packed(0)
        if self._pool is not None:
            self._pool.shutdown()

    def discard(self) -> None:
        """Stop the threads; what is held back is dropped."""
        self._packed.clear()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _pack(self, row: int) -> None:
        """Write the chunks of one row of chunks, or give them to the threads that compress."""
        self.dataset.resize(self.rows, axis=0)
        width = self._chunk[1]
        for column in range(0, self._columns, width):
            part = self._held[:, column : column + width]
            tile = self._tile if self._pool is None else np.zeros(self._chunk, self._dtype)
            tile[:, : part.shape[1]] = part
            tile[:, part.shape[1] :] = 0
            if self._pool is None:
                self.dataset.id.write_direct_chunk((row, column), tile)
            else:
                self._packed.append(((row, column), self._pool.submit(_deflated, tile)))
        self._write_packed(2 * worker_count())

    def _write_packed(self, most_left: int) -> None:
        while len(self._packed) > most_left:
            place, future = self._packed.popleft()
            self.dataset.id.write_direct_chunk(place, future.result())


def check_compression(compression: str) -> None:
    """Raise ConfigurationError where a compression is none that we know."""
    if compression not in COMPRESSIONS:
        raise ConfigurationError(f"compression {compression!r} is not one of gzip, lzf, or '' for none")


def _chunk_shape(columns: int, dtype: np.dtype[Any], row_of_chunks_bytes: int) -> tuple[int, int]:
    width = min(columns, _CHUNK_COLUMNS)
    across = -(-columns // _CHUNK_COLUMNS)
    return max(256, row_of_chunks_bytes // (width * dtype.itemsize * across)), width


def _deflated(tile: npt.NDArray[Any]) -> bytes:
    """Return a chunk as HDF5's filters make it: ``shuffle`` (bytes of equal weight side by side), then ``deflate``."""
    planes = np.ascontiguousarray(tile.reshape(-1).view(np.uint8).reshape(-1, tile.dtype.itemsize).T)
    return zlib.compress(planes.data, GZIP_LEVEL)
