"""Running numbers of the units of a stream."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.sorting.criteria import ISI_SEC, PRESENCE_SEC
from ranvier.sorting.running_kernels import count_spikes
from ranvier.sorting.spike_table import SpikeTable

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
_NEVER = np.iinfo(np.int64).min


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
    violations
        Spikes within ``ISI_SEC`` of the one before.
    presence
        Share of whole bins of ``PRESENCE_SEC`` with a spike, as :func:`ranvier.spikes.quality.presence_ratio`.
    """

    label: int
    site: int
    count: int
    mean_abs_peak_uv: float
    x_um: float
    y_um: float
    violations: int
    presence: float


class UnitStatistics:
    """One thread adds spikes in the order of their counters, any reads."""

    def __init__(self, fs_hz: float) -> None:
        self._isi, self._bin = round(ISI_SEC * fs_hz), max(1, round(PRESENCE_SEC * fs_hz))
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._counts = np.zeros(64, np.int64)  # by label
            self._sites = np.zeros(64, np.int32)
            self._sums = np.zeros((64, 3))  # of absolute peaks, x, y
            self._last = np.full(64, _NEVER, np.int64)  # counter of the last spike
            self._violations = np.zeros(64, np.int64)
            self._bins = np.zeros(64, np.int64)
            self._last_bin = np.full(64, -1, np.int64)
            self._origin = 0

    def begin(self, counter: int) -> None:
        """Count bins of time from here on."""
        with self._lock:
            self._origin = counter

    def skip(self, samples: int) -> None:
        """Let time stand still in a gap, once all spikes before it were added."""
        with self._lock:
            self._origin += samples

    def recorded(self, stop: int) -> int:
        """Return how many samples came from the beginning to ``stop``, without gaps."""
        return max(0, stop - self._origin)

    def add(self, spikes: SpikeTable) -> None:
        """Count labelled spikes."""
        if not len(spikes):
            return
        with self._lock:
            self._grow(int(spikes.label.max()) + 1)
            count_spikes(
                spikes.counter,
                spikes.label,
                spikes.site,
                spikes.amplitude_uv,
                spikes.x_um,
                spikes.y_um,
                self._isi,
                self._bin,
                self._origin,
                self._counts,
                self._sites,
                self._sums,
                self._last,
                self._violations,
                self._bins,
                self._last_bin,
            )

    def numbers(self, stop: int | None = None) -> list[UnitNumbers]:
        """Return the units with spikes, by label; ``stop``: where the stream is, None: in the first bin."""
        with self._lock:
            counts, sites, sums = self._counts.copy(), self._sites.copy(), self._sums.copy()
            violations = self._violations.copy()
            whole = 0 if stop is None else self.recorded(stop) // self._bin
            bins = self._bins - (self._last_bin >= whole)  # not the one that has only begun
        means = sums / np.maximum(counts, 1)[:, None]
        return [
            UnitNumbers(
                label=int(u),
                site=int(sites[u]),
                count=int(counts[u]),
                mean_abs_peak_uv=float(means[u, 0]),
                x_um=float(means[u, 1]),
                y_um=float(means[u, 2]),
                violations=int(violations[u]),
                presence=min(1.0, int(bins[u]) / whole) if whole else 1.0,
            )
            for u in np.flatnonzero(counts)
        ]

    def _grow(self, size: int) -> None:
        while size > len(self._counts):
            self._last = np.concatenate([self._last, np.full_like(self._last, _NEVER)])
            self._violations = np.concatenate([self._violations, np.zeros_like(self._violations)])
            self._bins = np.concatenate([self._bins, np.zeros_like(self._bins)])
            self._last_bin = np.concatenate([self._last_bin, np.full_like(self._last_bin, -1)])
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
            self._sites = np.concatenate([self._sites, np.zeros_like(self._sites)])
            self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)])
