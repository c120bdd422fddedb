"""Pairs of spikes by lag, over all pairs of units in one pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


def count_pairs_reference(samples: I64, unit: I32, width: int, half: int, counts: I64) -> None:
    """Define :func:`count_pairs`, pair by pair."""
    for i in range(len(samples)):
        for j in range(len(samples)):
            lag = int(samples[j] - samples[i])
            if i != j and -half * width <= lag < half * width:
                counts[unit[i], unit[j], lag // width + half] += 1


@kernel(
    "void(Array(int64, 1, 'C', readonly=True), Array(int32, 1, 'C', readonly=True), int64, int64, int64[:,:,::1])",
    reference=count_pairs_reference,
)
def count_pairs(samples: I64, unit: I32, width: int, half: int, counts: I64) -> None:
    """Add the pairs of spikes (no spike with itself) to cross-correlograms.

    Parameters
    ----------
    samples
        Counters, ascending.
    unit
        Row of ``counts`` of each spike, from 0 on.
    width, half
        Samples per bin, and bins on either side of lag 0.
    counts
        ``(units, units, 2 * half)``, added to: ``counts[a, b, k]`` are the pairs whose spike of b comes
        ``(k - half) * width <= lag < (k + 1 - half) * width`` samples after that of a.
    """
    reach = half * width
    for i in range(samples.shape[0]):
        for j in range(i + 1, samples.shape[0]):
            lag = samples[j] - samples[i]
            if lag > reach:
                break
            if lag < reach:
                counts[unit[i], unit[j], lag // width + half] += 1
            counts[unit[j], unit[i], (-lag) // width + half] += 1
