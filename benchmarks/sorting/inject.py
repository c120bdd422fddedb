"""Adding many spikes to an array; used in both environments."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt


@numba.njit(cache=True)
def inject(
    x: npt.NDArray[np.float32],
    templates: npt.NDArray[np.float32],
    times: npt.NDArray[np.int64],
    units: npt.NDArray[np.int64],
    before: int,
) -> None:
    """Add ``templates[units[k]]`` (points, channels) to ``x`` with row ``before`` at sample ``times[k]``."""
    for k in range(times.size):
        first = times[k] - before
        if first < 0 or first + templates.shape[1] > x.shape[0]:
            continue
        for i in range(templates.shape[1]):
            for c in range(x.shape[1]):
                x[first + i, c] += templates[units[k], i, c]
