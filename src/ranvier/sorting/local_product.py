"""Products with matrices that couple near sites only: of each column only the entries there are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.sorting.product_kernels import near_product

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


class LocalProduct:
    """``x @ matrix`` for a fixed matrix; ``columns`` of ``x`` are its rows (all, in order, where None)."""

    def __init__(self, matrix: F32, columns: I64 | None = None) -> None:
        column, row = np.nonzero(matrix.T)
        self._first = np.concatenate([[0], np.cumsum(np.bincount(column, minlength=matrix.shape[1]))]).astype(np.int64)
        self._inputs = np.asarray(row if columns is None else columns[row], np.int32)
        self._weights = np.ascontiguousarray(matrix[row, column], np.float32)

    def into(self, x: F32, out: F32) -> None:
        """Write ``(x @ matrix).T``, ``(columns, n)``, for ``(n, rows)``."""
        near_product(x, self._first, self._inputs, self._weights, out)
