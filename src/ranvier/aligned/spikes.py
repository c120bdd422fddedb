"""Spikes around events: histogram and raster, in exact sample counters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """Every spike in the window of every event, ordered by event, then time: columns of equal length.

    Attributes
    ----------
    event
        Position of the event.
    spike
        Position of the spike.
    offset
        Counter of the spike minus that of the event.
    """

    event: I64
    spike: I64
    offset: I64


def spikes_around(spikes: I64, events: I64, before: int, after: int) -> Raster:
    """Return the spikes with ``event - before <= counter < event + after``; both columns are in time order."""
    first = np.searchsorted(spikes, events - before, side="left")
    last = np.searchsorted(spikes, events + after, side="left")
    each = last - first
    event = np.repeat(np.arange(len(events), dtype=np.int64), each)
    within = np.arange(int(each.sum()), dtype=np.int64) - np.repeat(np.cumsum(each) - each, each)
    spike = np.repeat(first, each) + within
    return Raster(event, spike, spikes[spike] - events[event])


def counts_around(spikes: I64, events: I64, before: int, bin_samples: int, bins: int) -> tuple[I64, F64]:
    """Return spikes per bin over all events, int64 ``(bins,)``, and their variance (n - 1) over events.

    Bin ``b`` holds counters from ``event - before + b bin_samples`` on. Any train of counters will do: spikes, licks.
    """
    found = spikes_around(spikes, events, before, bins * bin_samples - before)
    at = (found.offset + before) // bin_samples
    cell, per_cell = np.unique(found.event * bins + at, return_counts=True)
    counts = np.bincount(at, minlength=bins).astype(np.int64)
    squares = np.bincount(cell % bins, weights=per_cell.astype(np.float64) ** 2, minlength=bins)
    n = len(events)
    if n < 2:
        return counts, np.full(bins, np.nan)
    return counts, (squares - counts.astype(np.float64) ** 2 / n) / (n - 1)
