"""Products with matrices that couple near sites only, done piece by piece.

Where sites follow each other along the shank (``Geometry.along``), a matrix between near sites has its entries around
the diagonal: each stretch of columns needs a stretch of rows, not all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

#: Columns of one piece: more make larger products with more zeros in them.
WIDTH = 48
#: Pieces that leave more than this share of the work are not worth their number.
_WORTH = 0.55


@dataclass(frozen=True)
class Piece:
    """Columns ``[first, stop)`` of a matrix, and the rows ``[low, high)`` that they need."""

    first: int
    stop: int
    low: int
    high: int


def pieces(needed: npt.NDArray[np.bool_], width: int = WIDTH) -> list[Piece]:
    """Cut a matrix, of which the entries that are not zero are told, into pieces of ``width`` columns or a whole."""
    rows, columns = needed.shape
    cut = []
    for first in range(0, columns, width):
        stop = min(first + width, columns)
        used = np.flatnonzero(needed[:, first:stop].any(axis=1))
        low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)
        cut.append(Piece(first, stop, low, high))
    if sum((p.stop - p.first) * (p.high - p.low) for p in cut) > _WORTH * rows * columns:
        return [Piece(0, columns, 0, rows)]
    return cut


class LocalProduct:
    """``x @ matrix`` for a fixed matrix."""

    def __init__(self, matrix: F32) -> None:
        self.columns = matrix.shape[1]
        self._pieces = [
            (p, np.ascontiguousarray(matrix[p.low : p.high, p.first : p.stop], np.float32)) for p in pieces(matrix != 0)
        ]

    def into(self, x: F32, out: F32) -> None:
        """Write ``x @ matrix``, ``(n, columns)``, for ``(n, rows)``."""
        for piece, part in self._pieces:
            np.matmul(x[:, piece.low : piece.high], part, out=out[:, piece.first : piece.stop])
