"""Threshold events of a recording at rest: what a live sorter tells before it knows units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ranvier.recordings.recording import Recording
from ranvier.sorting.event_finder import EventFinder, FinderSettings
from ranvier.sorting.online import OnlineSorter, StreamSites
from ranvier.sorting.spike_table import SpikeTable

#: Blocks that the recording is read in: about so many values.
_VALUES = 1 << 20
#: Spikes that the sorter itself remembers; all go to the sink.
_KEPT = 1000


def detect_recording(
    recording: Recording,
    columns: npt.NDArray[np.int64],
    settings: FinderSettings,
    sink: Callable[[SpikeTable], None],
    *,
    start: int | None = None,
    stop: int | None = None,
    progress: Callable[[float], None] | None = None,
    check: Callable[[], None] | None = None,
) -> EventFinder:
    """Find threshold events, in order, the same for any size of the blocks.

    Thresholds in SD hold from the first sample on: the noise of the first second is measured beforehand, and is
    followed from there as in a stream.

    Parameters
    ----------
    recording
        Behind the filters that events are looked for behind.
    columns
        Amplifier columns.
    sink
        Is given events as they are told.
    start, stop
        Sample counters; the whole recording where None.
    progress
        Called with the fraction that was looked at.
    check
        Called between blocks; raises where the work is to stop.

    Returns
    -------
    finder
        Tells noise and thresholds as they were at the end.
    """
    first, last = recording.clip(recording.start if start is None else start, recording.stop if stop is None else stop)
    sites = StreamSites(recording.fs, recording.channels.take(columns), np.arange(len(columns), dtype=np.int64))
    sorter = OnlineSorter(sites, None, settings, capacity=_KEPT, sink=sink)
    sorter.finder.settles = False
    sorter.finder.know(recording.read(first, min(first + sorter.finder.noise.left, last), columns).samples)
    for block in recording.blocks(max(1, _VALUES // len(columns)), first, last, columns):
        if check is not None:
            check()
        sorter.process(block)
        if progress is not None:
            progress((block.stop - first) / (last - first))
    sorter.flush()
    return sorter.finder
