"""From a recording (of a file, or of the live cache) to the table of its channels' quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ranvier.metrics.likeness import likeness
from ranvier.metrics.measuring import measure
from ranvier.metrics.quality import TREND_OUTSIDE, quality_table, unusable
from ranvier.models.quality import ChannelQualityTable
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.recording import Recording


def assess(
    dataset_id: str,
    recording: Recording,
    channels: ChannelTable,
    columns: npt.NDArray[np.int64],
    start: int,
    stop: int,
    *,
    filtered: Recording | None = None,
    progress: Callable[[int, int], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
    workers: int = 1,
) -> ChannelQualityTable:
    """Measure some columns in counters ``[start, stop)`` and judge them.

    Parameters
    ----------
    filtered
        The same recording seen through filters, from which noise is taken. Filters hide clipping, and a reference makes
        a dead channel look alive: those, and what channels share, are judged on ``recording`` itself.
    """
    seen: Sequence[Recording] = [recording] if filtered is None else [recording, filtered]
    statistics = [
        measure(one, start=start, stop=stop, columns=columns, progress=progress, cancelled=cancelled, workers=workers)
        for one in seen
    ]
    raw = statistics[0]
    alike = likeness(recording, channels, columns, start, stop, ~unusable(raw), outside_limit=TREND_OUTSIDE)
    return quality_table(dataset_id, statistics[-1], channels, raw=None if filtered is None else raw, alike=alike)
