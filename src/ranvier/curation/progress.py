"""How far a run is, told a few times per second."""

from __future__ import annotations

import time
from collections.abc import Callable

from ranvier.models.jobs import JobProgress

#: Seconds between two reports; the first and the last always come.
INTERVAL_SEC = 0.1

#: The time left is not estimated before this much was done.
SETTLED_SEC = 0.5


class Meter:
    """Counts samples per channel and reports them, throttled."""

    def __init__(self, report: Callable[[JobProgress], None] | None, *, label: str = "") -> None:
        self._report = report
        self._label = label
        self._phase = "processing"
        self.total = self.done = 0
        self._began = self._told = time.monotonic()

    def begin(self, total: int) -> None:
        """Start the clock."""
        self.total, self.done = total, 0
        self._began = time.monotonic()
        self._tell()

    def advance(self, samples: int) -> None:
        """Count samples; report where it is time."""
        self.done += samples
        if time.monotonic() - self._told >= INTERVAL_SEC:
            self._tell()

    def phase(self, name: str) -> None:
        """Name what happens now."""
        self._phase = name
        self._tell()

    def end(self) -> None:
        """Report the end."""
        self.phase("done")

    @property
    def elapsed_sec(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    @property
    def rate(self) -> float:
        """Samples per channel and second, so far."""
        return self.done / max(self.elapsed_sec, 1e-9)

    def _tell(self) -> None:
        self._told = time.monotonic()
        if self._report is None:
            return
        elapsed = self.elapsed_sec
        fraction = self.done / self.total if self.total else 1.0
        known = elapsed >= SETTLED_SEC and self.done > 0
        self._report(
            JobProgress(
                label=self._label,
                phase=self._phase,
                fraction=fraction,
                samples_done=self.done,
                samples_total=self.total,
                samples_per_sec=self.rate,
                elapsed_sec=elapsed,
                remaining_sec=(self.total - self.done) / self.rate if known else None,
            )
        )
