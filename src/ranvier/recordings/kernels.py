"""Counts to physical values and back, in one pass over memory each."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

Counts = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def _scale_reference(counts: Counts, gain: Doubles, offset: Doubles, out: Floats) -> None:
    out[:] = counts * gain + offset


@kernel("void(int16[:,::1], float64[::1], float64[::1], float32[:,::1])", reference=_scale_reference)
def scale(counts: Counts, gain: Doubles, offset: Doubles, out: Floats) -> None:
    """``out[n, c] = gain[c] * counts[n, c] + offset[c]``, computed in float64 and rounded once."""
    for n in range(counts.shape[0]):
        for c in range(counts.shape[1]):
            out[n, c] = gain[c] * counts[n, c] + offset[c]


def _scale_selected_reference(counts: Counts, columns: Indices, gain: Doubles, offset: Doubles, out: Floats) -> None:
    out[:] = counts[:, columns] * gain + offset


@kernel(
    "void(int16[:,::1], int64[::1], float64[::1], float64[::1], float32[:,::1])", reference=_scale_selected_reference
)
def scale_selected(counts: Counts, columns: Indices, gain: Doubles, offset: Doubles, out: Floats) -> None:
    """``out[n, i] = gain[i] * counts[n, columns[i]] + offset[i]``; gain and offset belong to the selection."""
    for n in range(counts.shape[0]):
        for i in range(columns.shape[0]):
            out[n, i] = gain[i] * counts[n, columns[i]] + offset[i]


def _scale_uniform_reference(counts: Counts, gain: float, offset: float, out: Floats) -> None:
    out[:] = counts * gain + offset


@kernel("void(int16[::1], float64, float64, float32[::1])", reference=_scale_uniform_reference)
def scale_uniform(counts: Counts, gain: float, offset: float, out: Floats) -> None:
    """``out[i] = gain * counts[i] + offset``: every column has the same gain, so rows need not be told apart."""
    for i in range(counts.shape[0]):
        out[i] = gain * counts[i] + offset


def _round_reference(samples: Floats, gain: Doubles, offset: Doubles, out: Counts) -> tuple[int, int]:
    unknown = np.isnan(samples)
    rounded = np.rint((np.where(unknown, 0.0, samples) - offset * ~unknown) / gain)
    out[:] = np.clip(rounded, -32768, 32767).astype(np.int16)
    return int(np.count_nonzero((rounded > 32767) | (rounded < -32768))), int(np.count_nonzero(unknown))


#: A quotient that is further from a half than this can be taken from a product with the inverse gain: that is wrong by
#: less than 2e-11 counts up to 32768.
CLEARLY = 0.5 - 1e-9


@numba.njit
def _round_clear(row, inverse, offset, counts):  # type: ignore[no-untyped-def]
    """Round a row by multiplication; return how many values need the division, saturate, or are NaN."""
    unclear = np.int32(0)
    for c in range(len(row)):
        quotient = (row[c] - offset[c]) * inverse[c]
        rounded = np.rint(quotient)
        clear = (abs(quotient - rounded) <= CLEARLY) & (abs(rounded + 0.5) < 32768.0)
        unclear += np.int32(not clear)
        counts[c] = np.int16(np.int32(rounded) if clear else np.int32(0))
    return unclear


@kernel(
    "UniTuple(int64, 2)(float32[:,::1], float64[::1], float64[::1], int16[:,::1])",
    reference=_round_reference,
)
def round_to_counts(samples: Floats, gain: Doubles, offset: Doubles, out: Counts) -> tuple[int, int]:
    """``out = round((samples - offset) / gain)``, half to even, saturated, NaN as 0.

    Returns how many values saturated and how many were NaN.
    """
    inverse = 1.0 / gain
    clipped = 0
    unknown = 0
    for n in range(samples.shape[0]):
        if not _round_clear(samples[n], inverse, offset, out[n]):
            continue
        for c in range(samples.shape[1]):
            rounded = np.rint((samples[n, c] - offset[c]) / gain[c])
            if rounded > 32767.0:
                rounded = 32767.0
                clipped += 1
            elif rounded < -32768.0:
                rounded = -32768.0
                clipped += 1
            elif np.isnan(rounded):
                rounded = 0.0
                unknown += 1
            out[n, c] = np.int16(rounded)
    return clipped, unknown
