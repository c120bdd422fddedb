"""When a sample is due: counters against a clock."""

from __future__ import annotations

from fractions import Fraction

from ranvier.rig.clock import Clock

#: Nearer than this to its time, a sample is there (s).
_NOW_SEC = 1e-7


class Pacer:
    """Sample ``counter`` has been taken at ``begin + (counter + 1) / fs``; a block is due when its last one has."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._fs = Fraction(1)
        self._begin = 0.0

    def start(self, fs: Fraction) -> None:
        """Let counter 0 be now."""
        self._fs = fs
        self._begin = self._clock.monotonic()

    def taken(self) -> int:
        """Return how many samples have been taken by now."""
        return int((self._clock.monotonic() - self._begin + _NOW_SEC) * float(self._fs))

    def time_of(self, counter: int) -> float:
        """Return when a sample has been taken."""
        return self._begin + float((counter + 1) / self._fs)

    def wait(self, stop: int, timeout_sec: float) -> bool:
        """Wait until the samples before ``stop`` have been taken; False where that takes longer than the time-out."""
        due = self._begin + float(stop / self._fs)
        end = self._clock.monotonic() + timeout_sec
        while (now := self._clock.monotonic()) < due - _NOW_SEC:
            if now >= end - _NOW_SEC:
                return False
            self._clock.sleep(min(due, end) - now)
        return True
