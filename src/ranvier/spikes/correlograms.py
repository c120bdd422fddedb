"""Auto- and cross-correlograms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.spikes.kernels import count_pairs

I64 = npt.NDArray[np.int64]
#: Values of all correlograms together (800 MB).
MOST_VALUES = 100_000_000


class Binning(NamedTuple):
    """Bins of lags: ``half`` of ``width`` samples on either side of 0."""

    width: int
    half: int

    @classmethod
    def of(cls, fs: float, bin_ms: float, window_ms: float) -> Binning:
        """Return bins nearest to what is wanted: ``window_ms`` is the largest lag."""
        possible = 0 < bin_ms <= window_ms < np.inf
        width = round(bin_ms * 1e-3 * fs) if possible else 0
        half = round(window_ms * 1e-3 * fs / width) if width else 0
        if half < 1:
            raise ConfigurationError(
                f"bins of {bin_ms:g} ms up to {window_ms:g} ms at {fs:g} Hz: a bin holds at least one sample "
                f"({1e3 / fs:g} ms), and the window at least one bin"
            )
        return cls(width, half)

    def edges_ms(self, fs: float) -> npt.NDArray[np.float64]:
        """Return the edges of the bins in ms."""
        return np.arange(-self.half, self.half + 1, dtype=np.float64) * (self.width / fs * 1e3)


def correlograms(samples: I64, units: npt.NDArray[np.int32], wanted: list[int], bins: Binning) -> I64:
    """Return pairs by lag, int64 ``(units, units, 2 * half)``, of spikes in time order; see :func:`count_pairs`."""
    n = len(wanted)
    if n * n * 2 * bins.half > MOST_VALUES:
        raise ConfigurationError(
            f"{n} x {n} correlograms of {2 * bins.half} bins are too many; name fewer units, or use wider bins"
        )
    counts = np.zeros((n, n, 2 * bins.half), np.int64)
    order = np.argsort(wanted, kind="stable")
    sorted_units = np.asarray(wanted, np.int64)[order]
    at = np.minimum(np.searchsorted(sorted_units, units), max(n - 1, 0))
    kept = sorted_units[at] == units if n else np.zeros(len(units), np.bool_)
    row = order[at[kept]].astype(np.int32) if n else np.empty(0, np.int32)
    count_pairs(np.ascontiguousarray(samples[kept]), np.ascontiguousarray(row), bins.width, bins.half, counts)
    return counts
