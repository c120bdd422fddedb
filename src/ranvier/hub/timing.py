"""Seconds and sample counters: the one place that turns one into the other."""

from __future__ import annotations

from datetime import UTC, timedelta

from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.time_range import TimeRange
from ranvier.recordings import Recording
from ranvier.recordings.timing import resolve_counters


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
    return resolve_counters(spec, recording.start, recording.stop, recording.fs, recording.path.name)


def _walltime(recording: Recording, counter: int) -> str:
    """Return the UTC time of a counter as ISO-8601, or year 1 where the file does not tell (as the API has it)."""
    if recording.walltime is None:
        return "0001-01-01T00:00:00+00:00"
    offset = timedelta(seconds=float((counter - recording.start) / recording.fs))
    return (recording.walltime.astimezone(UTC) + offset).isoformat()
