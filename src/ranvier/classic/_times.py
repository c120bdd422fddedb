"""Time ranges as classic scripts write them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.classic.utils.constants import TimeRange
from ranvier.classic.utils.enums import TrsMode
from ranvier.exceptions import ConfigurationError
from ranvier.models import time_range as times


def spec_of(time_range: Any, sel_mode: TrsMode | str | int | None = None) -> times.TimeRangeSpec:
    """Return what a TimeRange, ``[start, end]``, ``[seconds, nan]``, one number or None (everything) means.

    Raises
    ------
    ConfigurationError
        (a ValueError) for anything else.
    TimeRangeError
        (a ValueError) for a range that is reversed, empty, or begins with NaN.
    """
    if time_range is None:
        return times.TimeRangeSpec.full()
    mode = None if sel_mode is None else times.TrsMode(TrsMode.parse(sel_mode).value)
    try:
        edges = np.asarray(time_range.sec if isinstance(time_range, TimeRange) else time_range, float).ravel().tolist()
    except (TypeError, ValueError):
        edges = []
    if len(edges) not in (1, 2):
        raise ConfigurationError(f"{time_range!r} is no time range: give [start, end] in seconds")
    if len(edges) == 1:
        edges.append(np.nan)
    is_lookback = np.isnan(edges[1]) and mode == times.TrsMode.SUBSET
    return times.TimeRangeSpec.from_list(edges, None if is_lookback else mode)
