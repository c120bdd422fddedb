"""Measure the channels of a recording."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ranvier.exceptions import JobCancelledError, SignalSelectionError
from ranvier.metrics.statistics import ChannelMeter, ChannelStatistics
from ranvier.models.signals import SignalType
from ranvier.recordings.recording import Columns, Recording

#: Values read at a time: what fits in the cache of one core.
_VALUES_PER_READ = 1 << 18
_INT16 = np.iinfo(np.int16)


def measure(
    recording: Recording,
    *,
    start: int | None = None,
    stop: int | None = None,
    columns: Columns = None,
    progress: Callable[[int, int], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
    workers: int = 1,
) -> ChannelStatistics:
    """Measure RMS, noise, extremes, saturation and flatness of each channel, in one pass.

    Parameters
    ----------
    recording
        What to read; each second of it is in memory once, as float32.
    start, stop
        Sample counters; None takes the recording's own.
    columns
        Columns of the recording; None takes all amplifier channels.
    progress
        Called with samples done and samples in all (per channel), many times a second.
    cancelled
        Asked as often; where it returns True, JobCancelledError is raised.
    workers
        Threads. The result is the same for any number.

    Raises
    ------
    TimeRangeError
        The range lies wholly outside the recording.
    SignalSelectionError
        There is no channel to measure.
    """
    first, last = recording.clip(recording.start if start is None else start, recording.stop if stop is None else stop)
    wanted = recording.channels.columns_of(SignalType.AMP) if columns is None else np.asarray(columns, dtype=np.int64)
    if not len(wanted):
        raise SignalSelectionError(f"{recording.path.name} has no amplifier channel to measure; name other columns")
    low = high = None
    if recording.stores_counts:
        gains, offsets = recording.channels.gains[wanted], recording.channels.offsets[wanted]
        ends = np.stack([gains * _INT16.min + offsets, gains * _INT16.max + offsets])
        low, high = ends.min(axis=0), ends.max(axis=0)
    meter = ChannelMeter(recording.fs, wanted, low_uv=low, high_uv=high, workers=workers)
    rows = max(1, _VALUES_PER_READ // len(wanted))
    memory = np.empty((rows, len(wanted)), dtype=np.float32)
    for piece in recording.segments.pieces(first, last):
        end = piece.counter + piece.n
        for at in range(piece.counter, end, rows):
            if cancelled is not None and cancelled():
                raise JobCancelledError(f"measuring {recording.path.name} was cancelled")
            upto = min(at + rows, end)
            meter.add(recording.read(at, upto, wanted, out=memory))
            if progress is not None:
                progress(upto - first, last - first)
    return meter.finish()
