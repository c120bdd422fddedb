"""Datasets of an HDF5 file that grow row by row, plain or compressed without loss.

Compression is HDF5's own ``gzip`` with ``shuffle`` (zlib; every HDF5 reader has it), or h5py's ``lzf``. HDF5 compresses
in one thread, and writes rows into plain chunks in small pieces; so chunks are made here. gzip ones are compressed by
one thread per core, and handed over finished (``H5Dwrite_chunk``). For plain ones HDF5 only sets space aside; threads
of their own write them there, past HDF5, its locks and the page cache, while the next ones are filled. The file is the
same as HDF5 would write.

HDF5 finds a chunk's place only by looking at all chunks before it, which over an hour takes longer than the writing.
Chunks that are set aside together mostly lie one behind the other at the end of the file, which is seen from how much
that grew; only where something else came between them HDF5 is asked. ``finish`` asks it about every chunk, once.
"""

from __future__ import annotations

import errno
import math
import zlib
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier._platform import worker_count
from ranvier.exceptions import ConfigurationError
from ranvier.recordings.direct_file import page_aligned
from ranvier.recordings.formats.hdf5_output import BULK_BYTES, Hdf5Output
from ranvier.recordings.stream_file import PAGE_BYTES

#: What ``compression`` may be; "" for none.
COMPRESSIONS: tuple[str, ...] = ("", "gzip", "lzf")
#: zlib's level: 4 takes a third of the time of 9 and is a few per cent larger.
GZIP_LEVEL = 4
#: Bytes of a row of chunks, and the columns that a chunk spans at most.
_PLAIN_BYTES = 1 << 23
_COMPRESSED_BYTES = 1 << 20
_CHUNK_COLUMNS = 64
#: Rows of plain chunks that are being written while the next one is filled.
_IN_FLIGHT = 2


class GrowingRows:
    """A dataset ``(rows, columns)`` of a group to which rows are appended.

    Parameters
    ----------
    output
        The open file that the group belongs to; its ``check`` tells what the disk refused.
    compression
        One of ``COMPRESSIONS``; ConfigurationError for another.
    """

    def __init__(
        self,
        output: Hdf5Output,
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
        self._output = output
        self._columns = columns
        self._dtype = np.dtype(dtype)
        self._chunk = _chunk_shape(columns, self._dtype, _COMPRESSED_BYTES if compression else _PLAIN_BYTES)
        filters: dict[str, Any] = {"fill_time": "never", "dcpl": _space_at_once()}
        if compression:
            filters = {"compression": compression, "shuffle": True}
            filters |= {"compression_opts": GZIP_LEVEL} if compression == "gzip" else {}
        self.dataset: Any = group.create_dataset(
            name, shape=(0, columns), maxshape=(None, columns), chunks=self._chunk, dtype=self._dtype, **filters
        )
        self.dataset.attrs.update(attributes or {})
        self._by_hdf5 = compression == "lzf"
        self._compressing = compression == "gzip"
        threads = 0 if self._by_hdf5 else worker_count() if self._compressing else _IN_FLIGHT
        self._pool = ThreadPoolExecutor(threads, "ranvier-chunks") if threads else None
        self._tiles = self._fresh_tiles()
        plain = not (self._by_hdf5 or self._compressing)
        self._spare = [self._fresh_tiles() for _ in range(_IN_FLIGHT if plain else 0)]  # of plain chunks: not in use
        self._places: dict[tuple[int, int], int] = {}  # of plain chunks
        self._under_way: deque[tuple[tuple[int, int], Future[Any]]] = deque()

    def _fresh_tiles(self) -> npt.NDArray[Any]:
        """Return memory for one row of chunks ``(chunks, rows, columns of a chunk)``; no columns stand as zeros."""
        if self._by_hdf5:
            return np.empty((0, *self._chunk), self._dtype)
        across = -(-self._columns // self._chunk[1])
        shape = (across, *self._chunk)
        tiles = page_aligned(math.prod(shape) * self._dtype.itemsize).view(self._dtype).reshape(shape)
        tiles[-1, :, self._columns - (across - 1) * self._chunk[1] :] = 0
        return tiles

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
            for k, tile in enumerate(self._tiles):
                part = values[at : at + n, k * self._chunk[1] : (k + 1) * self._chunk[1]]
                tile[filled : filled + n, : part.shape[1]] = part
            self.rows += n
            at += n
            if self.rows % self._chunk[0] == 0:
                self._hand_over(self.rows - self._chunk[0])

    def finish(self) -> None:
        """Write what is held back; nothing can be appended afterwards."""
        if self._pool is None:
            return
        filled = self.rows % self._chunk[0]
        if filled:
            self._tiles[:, filled:] = 0
            self._hand_over(self.rows - filled)
        self._settle(0)
        self._pool.shutdown()
        if not self._compressing:
            self._check_places()

    def discard(self) -> None:
        """Stop the threads; what is held back is dropped."""
        self._under_way.clear()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _hand_over(self, row: int) -> None:
        """Give the chunks of one row of chunks to the threads that compress, or to the one that writes."""
        if self._pool is None:
            return
        tiles = self._tiles
        if not self._compressing:
            self._settle(_IN_FLIGHT - 1)
            stretches = self._stretches(row, len(tiles))
            work = self._pool.submit(self._write_plain, stretches, tiles)
            self._under_way.append(((row, 0), work))
            self._tiles = self._spare.pop()
            return
        self._tiles = self._fresh_tiles()
        self.dataset.resize(self.rows, axis=0)
        for k, tile in enumerate(tiles):
            self._under_way.append(((row, k * self._chunk[1]), self._pool.submit(_deflated, tile)))
        self._settle(2 * worker_count())

    def _stretches(self, row: int, across: int) -> list[tuple[int, int, int]]:
        """Set a row of chunks aside; return ``(place, first, stop)`` of those that follow each other in the file."""
        size = math.prod(self._chunk) * self._dtype.itemsize
        file = self.dataset.file.id
        end = file.get_filesize()
        self.dataset.resize(self.rows, axis=0)
        begin = end + -end % PAGE_BYTES
        places = [begin + k * size for k in range(across)]
        if size < BULK_BYTES or file.get_filesize() != places[-1] + size:
            places = [self._place(row, k * self._chunk[1]) for k in range(across)]
        self._places.update(((row, k * self._chunk[1]), place) for k, place in enumerate(places))
        breaks = [k for k in range(1, across) if places[k] != places[k - 1] + size]
        edges = [0, *breaks, across]
        return [(places[a], a, b) for a, b in pairwise(edges)]

    def _place(self, row: int, column: int) -> int:
        """Return the offset in the file that HDF5 has set aside for a chunk."""
        return int(self.dataset.id.get_chunk_info_by_coord((row, column)).byte_offset)

    def _check_places(self) -> None:
        """Raise OSError where HDF5 finds a chunk elsewhere than it was written."""
        wrong: list[tuple[int, ...]] = []

        def look(chunk: Any) -> None:
            if self._places.pop(chunk.chunk_offset, None) != chunk.byte_offset:
                wrong.append(chunk.chunk_offset)

        self.dataset.id.chunk_iter(look)
        if wrong or self._places:
            raise OSError(errno.EIO, f"HDF5 does not find the chunks {[*wrong, *self._places][:3]} where they are")

    def _write_plain(self, stretches: list[tuple[int, int, int]], tiles: npt.NDArray[Any]) -> npt.NDArray[Any]:
        data = tiles.reshape(len(tiles), -1).view(np.uint8)
        for place, first, stop in stretches:
            self._output.write_at(place, data[first:stop].reshape(-1))
        return tiles

    def _settle(self, most_left: int) -> None:
        """Wait until no more than so many chunks are under way; write those that were compressed."""
        while len(self._under_way) > most_left:
            place, future = self._under_way.popleft()
            made = future.result()
            if self._compressing:
                self.dataset.id.write_direct_chunk(place, made)
            else:
                self._spare.append(made)


def _space_at_once() -> Any:
    """Return properties of a dataset whose chunks get their place in the file as soon as it grows."""
    import h5py

    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    return properties


def check_compression(compression: str) -> None:
    """Raise ConfigurationError where a compression is none that we know."""
    if compression not in COMPRESSIONS:
        raise ConfigurationError(f"compression {compression!r} is not one of gzip, lzf, or '' for none")


def _chunk_shape(columns: int, dtype: np.dtype[Any], row_of_chunks_bytes: int) -> tuple[int, int]:
    """Return rows and columns of a chunk; its bytes fill whole pages."""
    width = min(columns, _CHUNK_COLUMNS)
    across = -(-columns // _CHUNK_COLUMNS)
    step = PAGE_BYTES // math.gcd(PAGE_BYTES, width * dtype.itemsize)
    return step * max(1, row_of_chunks_bytes // (width * dtype.itemsize * across * step)), width


def _deflated(tile: npt.NDArray[Any]) -> bytes:
    """Return a chunk as HDF5's filters make it: ``shuffle`` (bytes of equal weight side by side), then ``deflate``."""
    planes = np.ascontiguousarray(tile.reshape(-1).view(np.uint8).reshape(-1, tile.dtype.itemsize).T)
    return zlib.compress(planes.data, GZIP_LEVEL)
