"""Whitened signals as the counts that matching works on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.sorting.count_kernels import to_counts


def counts_of(white: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Return a signal ``(samples, channels)`` in counts, ``(channels, samples)``."""
    counts = np.empty(white.shape[::-1], np.int16)
    to_counts(np.ascontiguousarray(white.T), counts, 0)
    return counts
