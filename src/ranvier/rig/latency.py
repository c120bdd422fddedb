"""A histogram of latencies that takes a value in about a microsecond, for ever, in a few kilobytes."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ranvier.exceptions import ConfigurationError
from ranvier.models.rig import LatencyReport

#: Buckets are spaced by this factor: a percentile is off by less than half of it, 2.5 %.
STEP = 1.05
LOWEST_MS = 1e-3
HIGHEST_MS = 1e5
_LOG_STEP = math.log(STEP)
_BUCKETS = math.ceil(math.log(HIGHEST_MS / LOWEST_MS) / _LOG_STEP) + 2


class LatencyHistogram:
    """Counts of latencies in buckets whose widths grow with their values; count and maximum are exact.

    One thread adds; others may read at any time and see each value or not. Below :data:`LOWEST_MS` and above
    :data:`HIGHEST_MS` all values share one bucket.

    Parameters
    ----------
    deadline_ms
        Values above it are counted as missed; None for no deadline.
    """

    def __init__(self, deadline_ms: float | None = None) -> None:
        self.deadline_ms = deadline_ms
        self.missed = 0
        self.max_ms = 0.0
        self._counts = [0] * _BUCKETS

    def add(self, ms: float) -> None:
        """Count a latency; a negative one (clocks disagree) counts as 0."""
        self._counts[_bucket(ms)] += 1
        if ms > self.max_ms:
            self.max_ms = ms
        if self.deadline_ms is not None and ms > self.deadline_ms:
            self.missed += 1

    def extend(self, values_ms: Iterable[float]) -> None:
        """Count several."""
        for ms in values_ms:
            self.add(ms)

    def merge(self, other: LatencyHistogram) -> None:
        """Count everything that another histogram counted; their deadlines must be the same."""
        if other.deadline_ms != self.deadline_ms:
            raise ConfigurationError(
                f"histograms of deadlines {self.deadline_ms} ms and {other.deadline_ms} ms cannot be merged"
            )
        self._counts = [a + b for a, b in zip(self._counts, other._counts, strict=True)]
        self.missed += other.missed
        self.max_ms = max(self.max_ms, other.max_ms)

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self._counts)

    def percentile(self, percent: float) -> float:
        """Return the latency in ms that ``percent`` of all do not exceed (nearest rank), to 2.5 %; 0 where none is."""
        if not 0 <= percent <= 100:
            raise ConfigurationError(f"a percentile lies between 0 and 100, got {percent!r}")
        cumulative = np.cumsum(self._counts)
        total = int(cumulative[-1])
        if not total:
            return 0.0
        rank = max(math.ceil(percent / 100 * total), 1)
        return min(_value(int(np.searchsorted(cumulative, rank))), self.max_ms)

    def report(self, *, software_only: bool = True) -> LatencyReport:
        """Return the figures of status."""
        return LatencyReport(
            count=self.count,
            p50_ms=self.percentile(50),
            p99_ms=self.percentile(99),
            p999_ms=self.percentile(99.9),
            max_ms=self.max_ms,
            missed=self.missed,
            software_only=software_only,
        )

    def __repr__(self) -> str:
        return f"<LatencyHistogram of {self.count}: p50 {self.percentile(50):.3g} ms, max {self.max_ms:.3g} ms>"


def _bucket(ms: float) -> int:
    if not ms > LOWEST_MS:  # NaN too
        return 0
    return min(int(math.log(ms / LOWEST_MS) / _LOG_STEP) + 1, _BUCKETS - 1)


def _value(bucket: int) -> float:
    """Return the middle (geometric) of a bucket."""
    return LOWEST_MS * STEP ** (bucket - 0.5) if bucket else LOWEST_MS
