"""Time as the rig sees it: injectable, so that tests run without waiting."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """What paces sources and measures latency. Monotonic seconds; the origin means nothing."""

    def monotonic(self) -> float:
        """Return the time in seconds; it never runs backwards."""
        ...

    def sleep(self, sec: float) -> None:
        """Wait; returns at once where ``sec`` is not positive."""
        ...

    def wait(self, event: threading.Event, timeout: float | None = None) -> bool:
        """Wait until an event is set; return whether it is."""
        ...


class RealClock:
    """The machine's monotonic clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, sec: float) -> None:
        if sec > 0:
            time.sleep(sec)

    def wait(self, event: threading.Event, timeout: float | None = None) -> bool:
        return event.wait(timeout)

    def __repr__(self) -> str:
        return "RealClock()"


class FakeClock:
    """A clock that only moves when somebody waits on it or advances it: sleeping takes no time.

    Waiting for an event that is not set looks whether another thread sets it within ``grace_sec`` of real time, so
    that threads of a test take turns; then the clock has advanced by the timeout.

    Parameters
    ----------
    start
        First value of ``monotonic``.
    grace_sec
        Real seconds that ``sleep`` (1/10 of it) and ``wait`` leave to other threads; 0 only yields.
    """

    def __init__(self, start: float = 0.0, *, grace_sec: float = 0.0) -> None:
        self._now = start
        self._grace = grace_sec
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        with self._lock:
            return self._now

    def advance(self, sec: float) -> None:
        """Let time pass."""
        if sec > 0:
            with self._lock:
                self._now += sec

    def sleep(self, sec: float) -> None:
        self.advance(sec)
        time.sleep(self._grace / 10)

    def wait(self, event: threading.Event, timeout: float | None = None) -> bool:
        if timeout is None:
            return event.wait()
        if event.wait(self._grace):
            return True
        self.advance(timeout)
        return event.is_set()

    def __repr__(self) -> str:
        return f"FakeClock({self.monotonic():.6f})"
