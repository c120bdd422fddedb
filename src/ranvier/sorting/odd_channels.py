"""Channels unlike the others: noise far above theirs, samples that miss everywhere, two wires that are one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.sorting.geometry import Geometry

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

#: Pieces of missing samples (NaN) a second from which nothing is left between them: filters begin anew behind each.
SCATTERED_PER_SEC = 200.0
#: Noise of a channel that has no use, as a multiple of the median over all, and in uV; of so many channels at least.
LOUDER, LOUDER_UV, FEWEST = 6.0, 50.0, 4
#: Channels that agree to this are one signal, twice; as near neighbours as this are looked at, on so many samples.
SAME, NEIGHBOURS, MOST_ROWS = 0.99, 8, 20_000


def scattered(missing: Flags, seconds: float) -> Flags:
    """Return which channels miss samples all over; ``missing`` is ``(samples, channels)``."""
    begins = np.count_nonzero(missing[1:] & ~missing[:-1], axis=0)
    return np.asarray(begins >= SCATTERED_PER_SEC * seconds)


def louder(noise_uv: F64) -> Flags:
    """Return which channels have so much more noise than the others that they would only harm a common reference."""
    heard = noise_uv[noise_uv > 0]
    if len(heard) < FEWEST:
        return np.zeros(len(noise_uv), np.bool_)
    return np.asarray((noise_uv >= LOUDER * np.median(heard)) & (noise_uv >= LOUDER_UV))


def bridged(sample: F32, geometry: Geometry) -> list[tuple[int, int]]:
    """Return pairs of near channels with one signal; ``sample`` is ``(samples, channels)``, uV, behind the filters.

    Wires that touch carry the mean of two sites: what is told of their places is wrong.
    """
    some = np.nan_to_num(sample[:: 1 + len(sample) // MOST_ROWS].astype(np.float64))
    some = some - some.mean(axis=0)
    size = np.sqrt(np.square(some).sum(axis=0))
    near = geometry.nearest(np.inf, 1 + NEIGHBOURS)
    found = []
    for one in range(some.shape[1]):
        others = np.sort(near[one][near[one] > one])
        if len(others) and size[one] > 0:
            agree = some[:, one] @ some[:, others] / (size[one] * np.maximum(size[others], np.finfo(np.float64).tiny))
            found += [(one, int(other)) for other in others[agree >= SAME]]
    return found
