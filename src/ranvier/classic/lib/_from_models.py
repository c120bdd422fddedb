"""Our models as classic values: enums by name, ranges as named tuples."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any, TypeVar

import numpy as np

from ranvier.classic.utils.constants import TimeRange
from ranvier.exceptions import TimeRangeError
from ranvier.models import time_range as models

E = TypeVar("E", bound=Enum)


def member(enum: type[E], ours: Enum) -> Any:
    """Return the classic member of that name; our own member where the classic enum has none (it has a name too)."""
    return enum.__members__.get(ours.name, ours)


def time_range(ours: models.TimeRange) -> TimeRange:
    """Return a range as the classic named tuple."""
    return TimeRange(
        sec=np.array(ours.sec, dtype=np.float64),
        timestamp=np.array(ours.timestamp, dtype=np.int64),
        fs=ours.fs,
        dur_sec=ours.dur_sec,
        walltime=_walltime(ours),
        N=ours.n,
    )


def empty_time_range(fs: float) -> TimeRange:
    """Return the range without samples."""
    return TimeRange(np.zeros(2), np.zeros(2, dtype=np.int64), fs, 0.0, datetime.min, 0)


def text(found: TimeRange) -> str:
    """Return a range as text, seconds."""
    return f"[{found.sec[0]:.3f}, {found.sec[1]:.3f}]"


def _walltime(ours: models.TimeRange) -> datetime:
    try:
        return ours.walltime if ours.walltime_str else datetime.min
    except TimeRangeError:  # not a date
        return datetime.min


def shown(value: Any, **fields: object) -> str:
    """Return the ``repr`` of a container."""
    return f"<{type(value).__name__} {', '.join(f'{name}={field!r}' for name, field in fields.items())}>"
