"""Quality of the channels of the live stream, from what the cache holds."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.metrics.assessment import assess
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.quality import ChannelQualityTable
from ranvier.recordings.selection import amplifier_columns
from ranvier.recordings.timing import resolve_counters
from ranvier.rig.core import Core
from ranvier.rig.signals import LIVE_ID, LiveSignals
from ranvier.rig.view import CacheRecording


class LiveQuality:
    """Service ``RigQuality``. It works in the caller's thread and one core: acquisition keeps the other."""

    def __init__(self, core: Core, signals: LiveSignals) -> None:
        self._core = core
        self._signals = signals

    def get(
        self, time_range: TimeRangeSpec | None = None, channels: Sequence[int] | None = None
    ) -> ChannelQualityTable:
        """Judge channels on a range of the cache; see the Protocol."""
        core = self._core
        held = CacheRecording(core.cache, self._signals.held(), core.source.fs, core.source.channels)
        table = core.selection.apply(core.source.channels)
        columns = amplifier_columns(table, channels)
        spec = TimeRangeSpec.full() if time_range is None else time_range
        start, stop = resolve_counters(spec, held.start, held.stop, held.fs, "the live cache")
        return assess(LIVE_ID, held, table, columns, start, stop)
