"""Whitened signals in whole counts: what is kept between passes, and what products with shapes are made of.

They lie site by site along time: a strip for sums over neighbouring shifts, a spike on a site are stretches of memory.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.kernels.lanes import WIDTH, turn
from ranvier.recordings.buffers import aligned_empty

F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]

#: A count, in SD of the noise: its rounding is 1/440 of the noise, and 256 SD are the most.
STEP_SD = 1.0 / 128.0
#: The largest count, either way.
MOST = np.float32(32767.0)
_PER_SD = np.float32(1.0 / STEP_SD)
_STEP = np.float32(STEP_SD)


def to_counts_reference(white: F32, counts: I16, at: int) -> None:
    """Define :func:`to_counts`."""
    counts[:, at : at + white.shape[1]] = np.clip(np.rint(white * _PER_SD), -MOST, MOST).astype(np.int16)


@kernel("void(Array(float32, 2, 'C', readonly=True), int16[:,::1], int64)", reference=to_counts_reference)
def to_counts(white: F32, counts: I16, at: int) -> None:
    """Write a whitened signal ``(channels, n)`` in counts, from sample ``at`` of ``(channels, samples)`` on."""
    samples = white.shape[1]
    for c in range(white.shape[0]):
        line, out = white[c], counts[c, at : at + samples]
        for t in range(samples):
            out[t] = np.int16(min(max(np.rint(line[t] * _PER_SD), -MOST), MOST))


def by_time_reference(counts: I16, white: F32) -> None:
    """Define :func:`by_time`."""
    white[:] = counts.T * _STEP


@kernel("void(Array(int16, 2, 'C', readonly=True), float32[:,::1])", reference=by_time_reference)
def by_time(counts: I16, white: F32) -> None:
    """Write counts ``(channels, samples)`` in units of the noise's SD, ``(samples, channels)``."""
    channels, samples = counts.shape
    tile = np.empty((WIDTH, WIDTH), np.int16)
    broad, whole = channels - channels % WIDTH, samples - samples % WIDTH
    for t in range(0, whole, WIDTH):
        for c in range(0, broad, WIDTH):
            turn(counts, c, t, tile, 0, 0)
            for i in range(WIDTH):
                for j in range(WIDTH):
                    white[t + i, c + j] = np.float32(tile[i, j]) * _STEP
    for t in range(samples):
        for c in range(broad if t < whole else 0, channels):
            white[t, c] = np.float32(counts[c, t]) * _STEP


def sd_of(counts: I16) -> F32:
    """Return what :func:`by_time` writes."""
    white = aligned_empty(counts.shape[::-1])
    by_time(counts, white)
    return white
