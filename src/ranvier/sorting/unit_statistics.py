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
        DATA index of the site that its last spikes peaked on.
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
            self._sums: dict[int, tuple[int, int, float, float, float]] = {}

    def add(self, spikes: SpikeTable) -> None:
        """Count labelled spikes."""
        labels = np.unique(spikes.label[spikes.label > 0])
        if not len(labels):
            return
        with self._lock:
            for label in labels:
                own = np.flatnonzero(spikes.label == label)
                _, n, peak, x, y = self._sums.get(int(label), (0, 0, 0.0, 0.0, 0.0))
                self._sums[int(label)] = (
                    int(spikes.site[own[-1]]),
                    n + len(own),
                    peak + float(np.abs(spikes.amplitude_uv[own]).sum()),
                    x + float(spikes.x_um[own].sum()),
                    y + float(spikes.y_um[own].sum()),
                )

    def numbers(self) -> list[UnitNumbers]:
        """Return the units with spikes, by label."""
        with self._lock:
            sums = sorted(self._sums.items())
        return [UnitNumbers(label, site, n, peak / n, x / n, y / n) for label, (site, n, peak, x, y) in sums]
