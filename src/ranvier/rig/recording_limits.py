"""What a recorder keeps to, and how its figures are reckoned."""

from __future__ import annotations

from dataclasses import dataclass

from ranvier.rig.stream import StreamInfo


@dataclass(frozen=True)
class RecorderLimits:
    """What a recorder keeps to.

    Attributes
    ----------
    flush_sec
        Power loss takes at most about this much, and what was queued.
    queue_sec, queue_bytes
        How long a disk may stall before samples are lost; whichever is less.
    least_minutes
        No recording starts where the disk is full before.
    warn_minutes
        Status warns below.
    reserve_bytes
        A recording stops when only this much is free: a full disk harms more than the recording.
    """

    flush_sec: float = 1.0
    queue_sec: float = 12.0
    queue_bytes: int = 3 << 29
    least_minutes: float = 1.0
    warn_minutes: float = 10.0
    reserve_bytes: int = 200_000_000

    def queue_bytes_for(self, stream: StreamInfo) -> int:
        """Return the limit of the queue: ``queue_sec`` of float32 blocks, no more than ``queue_bytes``."""
        return min(self.queue_bytes, max(1 << 20, int(self.queue_sec * 4 * len(stream.channels) * stream.fs)))


def bytes_per_second(num_columns: int, fs_hz: float) -> float:
    """Return what a recording writes: float32 samples, and int64 counters."""
    return (4 * num_columns + 8) * fs_hz


def minutes_left(free_bytes: int, reserve_bytes: int, rate: float) -> float | None:
    """Return how long a disk lasts; None where nothing is written."""
    return None if rate <= 0 else max(0, free_bytes - reserve_bytes) / rate / 60
