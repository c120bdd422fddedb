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


@numba.njit
def round_row(row, gain, offset, counts):  # type: ignore[no-untyped-def]
    """Round a row half to even; return how many values do not fit or are NaN: those stand as 0."""
    others = np.int32(0)
    for c in range(len(row)):
        rounded = np.rint((row[c] - offset[c]) / gain[c])
        fits = abs(rounded + 0.5) < 32768.0
        others += np.int32(not fits)
        counts[c] = np.int16(np.int32(rounded) if fits else np.int32(0))
    return others


@kernel(
    "UniTuple(int64, 2)(float32[:,::1], float64[::1], float64[::1], int16[:,::1])",
    reference=_round_reference,
)
def round_to_counts(samples: Floats, gain: Doubles, offset: Doubles, out: Counts) -> tuple[int, int]:
    """``out = round((samples - offset) / gain)``, half to even, saturated, NaN as 0.

    Returns how many values saturated and how many were NaN.
    """
    clipped = 0
    unknown = 0
    for n in range(samples.shape[0]):
        if not round_row(samples[n], gain, offset, out[n]):
            continue
        for c in range(samples.shape[1]):
            rounded = np.rint((samples[n, c] - offset[c]) / gain[c])
            if rounded > 32767.0:
                out[n, c] = np.int16(32767)
                clipped += 1
            elif rounded < -32768.0:
                out[n, c] = np.int16(-32768)
                clipped += 1
            elif np.isnan(rounded):
                unknown += 1
    return clipped, unknown
