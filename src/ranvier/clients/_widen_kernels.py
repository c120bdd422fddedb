"""Time-major samples of an engine to the API's arrays: float64, one row per channel.

The transposition goes in tiles that stay in the processor's first cache: written row by row, each sample would touch a
cache line of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

Counts = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

#: Rows and channels of a tile: some cache lines of input per row, half a page of output per channel.
_ROWS, _CHANNELS = 256, 64


def widen_reference(samples: Floats, out: Doubles, first: int, last: int) -> None:
    """Write channels ``[first, last)`` of ``samples (n, channels)`` into ``out (channels, n)``."""
    out[first:last] = samples[:, first:last].T


@kernel("void(float32[:,::1], float64[:,::1], int64, int64)", reference=widen_reference)
def widen(samples: Floats, out: Doubles, first: int, last: int) -> None:
    """Write channels ``[first, last)`` of ``samples (n, channels)`` into ``out (channels, n)``."""
    n = samples.shape[0]
    for row in range(0, n, _ROWS):
        for channel in range(first, last, _CHANNELS):
            for c in range(channel, min(channel + _CHANNELS, last)):
                for r in range(row, min(row + _ROWS, n)):
                    out[c, r] = samples[r, c]


def widen_counts_reference(counts: Counts, gain: Doubles, offset: Doubles, out: Doubles, first: int, last: int) -> None:
    """Write ``gain * counts + offset`` of channels ``[first, last)`` into ``out (channels, n)``."""
    out[first:last] = counts[:, first:last].T * gain[first:last, np.newaxis] + offset[first:last, np.newaxis]


@kernel(
    "void(int16[:,::1], float64[::1], float64[::1], float64[:,::1], int64, int64)", reference=widen_counts_reference
)
def widen_counts(counts: Counts, gain: Doubles, offset: Doubles, out: Doubles, first: int, last: int) -> None:
    """Write ``gain * counts + offset`` of channels ``[first, last)`` into ``out (channels, n)``."""
    n = counts.shape[0]
    for row in range(0, n, _ROWS):
        for channel in range(first, last, _CHANNELS):
            for c in range(channel, min(channel + _CHANNELS, last)):
                for r in range(row, min(row + _ROWS, n)):
                    out[c, r] = gain[c] * counts[r, c] + offset[c]
