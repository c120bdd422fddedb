"""Products with matrices that couple near sites only, done piece by piece.

Where sites follow each other along the shank (``Geometry.along``), a matrix between near sites has its entries around
the diagonal: each stretch of columns needs a stretch of rows, not all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels.lanes import STRIP
from ranvier.sorting.product_kernels import near_product

F32 = npt.NDArray[np.float32]


class LocalProduct:
    """``x @ matrix`` for a fixed matrix."""

    def __init__(self, matrix: F32) -> None:
        rows, columns = matrix.shape
        self.columns = columns
        self._matrix = np.zeros((rows, -(-columns // STRIP) * STRIP), np.float32)
        self._matrix[:, :columns] = matrix
        needed = np.asarray((self._matrix != 0).reshape(rows, -1, STRIP).any(axis=2), np.bool_)
        used = needed.any(axis=0)
        self._low = np.where(used, needed.argmax(axis=0), 0).astype(np.int64)
        self._high = np.where(used, rows - needed[::-1].argmax(axis=0), 0).astype(np.int64)

    def into(self, x: F32, out: F32) -> None:
        """Write ``x @ matrix``, ``(n, columns)``, for ``(n, rows)``."""
        near_product(x, self._matrix, self._low, self._high, out)
