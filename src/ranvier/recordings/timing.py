"""Requested times as sample counters."""

from __future__ import annotations

import math
from fractions import Fraction

from ranvier.exceptions import TimeRangeError
from ranvier.models.time_range import TimeRangeSpec, TrsMode, sample_at


def resolve_counters(
    spec: TimeRangeSpec | None, start: int, stop: int, fs: Fraction, what: str = "the recording"
) -> tuple[int, int]:
    """Return the counters that a request means where ``[start, stop)`` exists, clipped to that.

    Parameters
    ----------
    what
        What holds the samples, for messages.

    Raises
    ------
    TimeRangeError
        If nothing of the request exists.
    """
    if stop <= start:
        raise TimeRangeError(f"{what} holds no samples")
    if spec is None or spec.is_full():
        return start, stop
    if spec.mode == TrsMode.FROM_HEAD:
        return max(start, stop - max(1, sample_at(spec.start, fs))), stop
    first = start if math.isinf(spec.start) else sample_at(spec.start, fs)
    if spec.mode == TrsMode.TO_HEAD or spec.end is None or math.isinf(spec.end) or math.isnan(spec.end):
        last = stop
        if first >= stop:
            raise TimeRangeError(f"{spec.start:g} s lies outside {what}, which ends at {float(stop / fs):g} s")
    else:
        last = sample_at(spec.end, fs)
    if last <= first:
        raise TimeRangeError(f"empty time range: {spec.start:g} to {spec.end} s holds no sample")
    if last <= start or first >= stop:
        raise TimeRangeError(
            f"samples [{first}, {last}) lie outside {what}, which holds [{start}, {stop}) "
            f"= {float(start / fs):.6g} to {float(stop / fs):.6g} s"
        )
    return max(first, start), min(last, stop)
