"""Whitened signals in whole counts: what is kept between passes, and what products with shapes are made of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.recordings.buffers import aligned_empty

F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]

#: A count, in SD of the noise: its rounding is 1/440 of the noise, and 256 SD are the most.
STEP_SD = 1.0 / 128.0
_MOST = np.float32(32767.0)
_PER_SD = np.float32(1.0 / STEP_SD)
_STEP = np.float32(STEP_SD)


def to_counts_reference(white: F32, counts: I16) -> None:
    """Define :func:`to_counts`."""
    counts[:] = np.clip(np.rint(white * _PER_SD), -_MOST, _MOST).astype(np.int16)


@kernel("void(Array(float32, 2, 'C', readonly=True), int16[:,::1])", reference=to_counts_reference)
def to_counts(white: F32, counts: I16) -> None:
    """Write a whitened signal in counts, rounded; both ``(samples, channels)``."""
    for t in range(white.shape[0]):
        row, out = white[t], counts[t]
        for c in range(row.shape[0]):
            out[c] = np.int16(min(max(np.rint(row[c] * _PER_SD), -_MOST), _MOST))


def in_sd_reference(counts: I16, white: F32) -> None:
    """Define :func:`in_sd`."""
    white[:] = counts * _STEP


@kernel("void(Array(int16, 2, 'C', readonly=True), float32[:,::1])", reference=in_sd_reference)
def in_sd(counts: I16, white: F32) -> None:
    """Write counts in units of the noise's SD; both ``(samples, channels)``."""
    for t in range(white.shape[0]):
        row, out = counts[t], white[t]
        for c in range(row.shape[0]):
            out[c] = np.float32(row[c]) * _STEP


def sd_of(counts: I16) -> F32:
    """Return what :func:`in_sd` writes."""
    out = aligned_empty(counts.shape)
    in_sd(counts, out)
    return out
