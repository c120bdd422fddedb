"""Blocks as the rows that a file holds: float32 in physical units, all columns or some."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.recordings import Block
from ranvier.recordings.flat import Scaler

#: Bytes of float32 that are made at once: they stay in the processor's cache until the system has copied them.
TILE_BYTES = 1 << 19


class RowMaker:
    """Turns blocks into float32 rows, tile by tile, in memory of its own.

    Parameters
    ----------
    columns
        Columns of a block that are taken, in order; None takes all.
    width
        Columns that a block has.
    """

    def __init__(self, columns: npt.NDArray[np.int64] | None, width: int) -> None:
        self._columns = columns
        self._width = width
        num_columns = width if columns is None else len(columns)
        self._rows = max(1, TILE_BYTES // (4 * num_columns))
        self._out = np.empty((self._rows, num_columns), np.dtype("<f4"))
        self._counts = np.empty((0, 0), np.int16)
        self._gain: npt.NDArray[np.float64] | None = None
        self._offset: npt.NDArray[np.float64] | None = None
        self._scaler: Scaler | None = None

    def tiles(self, block: Block) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the rows of a block in order; each piece is valid until the next is asked for.

        ValueError where the block has not the columns that were announced.
        """
        samples = block.samples
        self._check(block)
        plain = self._columns is None and not block.is_counts
        if plain and samples.dtype == np.dtype("<f4") and samples.flags.c_contiguous:
            yield samples
            return
        for row in range(0, len(block), self._rows):
            piece = samples[row : row + self._rows]
            out = self._out[: len(piece)]
            self._convert(block, piece, out)
            yield out

    def _check(self, block: Block) -> None:
        shape = block.samples.shape
        if len(shape) != 2 or shape[1] != self._width:
            raise ValueError(f"a block of shape {shape} came where {self._width} columns were announced")
        if block.gain is not None and len(block.gain) != self._width:  # kernels do not look
            raise ValueError(f"a block came with {len(block.gain)} gains for {self._width} columns")

    def _convert(self, block: Block, piece: npt.NDArray[Any], out: npt.NDArray[np.float32]) -> None:
        if not block.is_counts:
            np.copyto(out, piece if self._columns is None else piece[:, self._columns], casting="same_kind")
        elif piece.dtype == np.int16:
            # Blocks are read-only and kernels want memory that is not: this copy stays in the cache.
            if self._counts.shape != (self._rows, piece.shape[1]):
                self._counts = np.empty((self._rows, piece.shape[1]), np.int16)
            counts = self._counts[: len(piece)]
            counts[:] = piece
            self._scaler_of(block).scale(counts, out)
        else:
            self._scaler_of(block).scale(piece, out)

    def _scaler_of(self, block: Block) -> Scaler:
        if self._scaler is None or block.gain is not self._gain or block.offset is not self._offset:
            self._gain, self._offset = block.gain, block.offset
            gain, offset = np.asarray(block.gain, np.float64), np.asarray(block.offset, np.float64)
            if self._columns is not None:
                gain, offset = gain[self._columns], offset[self._columns]
            self._scaler = Scaler(
                np.array(gain, np.float64), np.array(offset, np.float64), self._columns, is_physical=False
            )
        return self._scaler


def warm() -> None:
    """Load the kernels that the writer needs, so that nothing is compiled while samples come."""
    from ranvier.recordings import kernels

    for kernel in (kernels.scale, kernels.scale_selected, kernels.scale_uniform):
        kernel.compile()
