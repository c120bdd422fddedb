"""Kernels of live simulations: pure tones, and the analog-digital converter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]


def _tones_reference(table: F32, at: I32, steps: I32, amplitudes: F32, out: F32) -> None:
    rows = np.arange(out.shape[0], dtype=np.int64)
    out[:] = 0
    for k in range(at.shape[0]):
        where = (at[k] + rows[:, None] * steps[k]) % len(table)
        out += amplitudes[k] * table[where]
        at[k] = (at[k] + out.shape[0] * steps[k].astype(np.int64)) % len(table)


@kernel("void(float32[::1], int32[:,::1], int32[:,::1], float32[:,::1], float32[:,::1])", reference=_tones_reference)
def tones(table: F32, at: I32, steps: I32, amplitudes: F32, out: F32) -> None:
    """Sum the tones of each channel, in their order; ``table`` is one cycle, all steps are below its length.

    out[n, c] = sum_k amplitudes[k, c] table[(at[k, c] + n steps[k, c]) mod len(table)]

    ``at`` comes back as that of the row behind the last.
    """
    period = np.int32(table.shape[0])
    for n in range(out.shape[0]):
        for c in range(out.shape[1]):
            out[n, c] = np.float32(0.0)
        for k in range(at.shape[0]):
            for c in range(out.shape[1]):
                i = at[k, c]
                out[n, c] += amplitudes[k, c] * table[i]
                i += steps[k, c]
                at[k, c] = i - period if i >= period else i


def _convert_reference(samples: F32, per_unit: float, out: I16) -> None:
    scaled = np.rint(samples * np.float32(per_unit))
    out[:, : samples.shape[1]] = np.clip(scaled, np.float32(-32768), np.float32(32767)).astype(np.int16)


@kernel("void(float32[:,::1], float32, int16[:,::1])", reference=_convert_reference)
def convert(samples: F32, per_unit: float, out: I16) -> None:
    """``out[n, c] = round(samples[n, c] per_unit)``, half to even, saturated; into the first columns of ``out``."""
    low, high = np.float32(-32768.0), np.float32(32767.0)
    for n in range(samples.shape[0]):
        for c in range(samples.shape[1]):
            value = np.rint(samples[n, c] * per_unit)
            out[n, c] = np.int16(min(max(value, low), high))
