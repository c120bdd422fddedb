"""Running numbers of the units of a stream."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from ranvier.sorting.spike_table import SpikeTable


@dataclass(frozen=True)
class UnitNumbers:
    """Of one unit, since its spikes were last cleared.

    Attributes
    ----------
    site
        DATA index of the site of its last spike.
    count, mean_abs_peak_uv
        Number of spikes, and the mean of their absolute peaks.
    x_um, y_um
        Mean position.
    """

    label: int
    site: int
    count: int
    mean_abs_peak_uv: float
    x_um: float
    y_um: float


class UnitStatistics:
    """One thread adds, any reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._counts = np.zeros(64, np.int64)  # by label
            self._sites = np.zeros(64, np.int32)
            self._sums = np.zeros((64, 3))  # of absolute peaks, x, y

    def add(self, spikes: SpikeTable) -> None:
        """Count labelled spikes."""
        rows = np.flatnonzero(spikes.label > 0)
        if not len(rows):
            return
        labels = spikes.label[rows]
        values = np.stack([np.abs(spikes.amplitude_uv[rows]), spikes.x_um[rows], spikes.y_um[rows]], axis=1)
        with self._lock:
            self._grow(int(labels.max()) + 1)
            np.add.at(self._counts, labels, 1)
            np.add.at(self._sums, labels, values)
            self._sites[labels] = spikes.site[rows]

    def numbers(self) -> list[UnitNumbers]:
        """Return the units with spikes, by label."""
        with self._lock:
            counts, sites, sums = self._counts.copy(), self._sites.copy(), self._sums.copy()
        return [
            UnitNumbers(int(u), int(sites[u]), int(counts[u]), *(float(v) for v in sums[u] / counts[u]))
            for u in np.flatnonzero(counts)
        ]

    def _grow(self, size: int) -> None:
        while size > len(self._counts):
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
            self._sites = np.concatenate([self._sites, np.zeros_like(self._sites)])
            self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)])
