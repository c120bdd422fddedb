"""Whitened signals as the counts that matching works on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.sorting.count_kernels import to_counts


def counts_of(white: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    counts = np.empty(white.shape, np.int16)
    to_counts(white, counts)
    return counts
