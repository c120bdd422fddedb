"""Seconds and sample counters: the one place that turns one into the other."""

from __future__ import annotations

import math
from datetime import UTC, timedelta

from ranvier.exceptions import TimeRangeError
from ranvier.models.dataset import TimeRangeSpec, TrsMode
from ranvier.models.time_range import TimeRange, sample_at
from ranvier.recordings import Recording


def time_range(recording: Recording, start: int | None = None, stop: int | None = None) -> TimeRange:
    """Return counters ``[start, stop)`` of a recording (by default all of it) as the API's TimeRange."""
    first = recording.start if start is None else start
    last = recording.stop if stop is None else stop
    return TimeRange.from_samples(first, last, recording.fs, _walltime(recording, first))


def resolve(spec: TimeRangeSpec | None, recording: Recording) -> tuple[int, int]:
    """Return the counters that a request means, clipped to the recording.

    Raises
    ------
    TimeRangeError
        If nothing of the request lies in the recording.
    """
    start, stop = recording.start, recording.stop
    if stop <= start:
        raise TimeRangeError(f"{recording.path.name} holds no samples")
    if spec is None or spec.is_full():
        return start, stop
    if spec.mode == TrsMode.FROM_HEAD:
        wanted = max(1, sample_at(spec.start, recording.fs))
        return max(start, stop - wanted), stop
    first = start if math.isinf(spec.start) else sample_at(spec.start, recording.fs)
    if spec.mode == TrsMode.TO_HEAD or spec.end is None or math.isinf(spec.end) or math.isnan(spec.end):
        last = stop
        if first >= stop:
            raise TimeRangeError(
                f"{spec.start:g} s lies outside {recording.path.name}, which ends at {_end(recording)}"
            )
    else:
        last = sample_at(spec.end, recording.fs)
    if last <= first:
        raise TimeRangeError(f"empty time range: {spec.start:g} to {spec.end} s holds no sample")
    return recording.clip(first, last)


def _end(recording: Recording) -> str:
    return f"{float(recording.stop / recording.fs):g} s"


def _walltime(recording: Recording, counter: int) -> str:
    """Return the UTC time of a counter as ISO-8601, or year 1 where the file does not tell (as the API has it)."""
    if recording.walltime is None:
        return "0001-01-01T00:00:00+00:00"
    offset = timedelta(seconds=float((counter - recording.start) / recording.fs))
    return (recording.walltime.astimezone(UTC) + offset).isoformat()
