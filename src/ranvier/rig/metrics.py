"""Metrics of the live stream."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.exceptions import CapabilityError, ConfigurationError, TimeRangeError
from ranvier.metrics.event_levels import changed_params
from ranvier.metrics.packet_store import MemoryPackets
from ranvier.metrics.packets import PacketGrid, PacketMaker
from ranvier.metrics.ranges import DEFAULT_BETA, DEFAULT_PERSISTENCE_SEC, RangeMetrics
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.kpi import (
    KpiMetricId,
    KpiMetricsResult,
    KpiMetricsSeriesResult,
    KpiMetricsWindow,
    KpiServiceMode,
    KpiStatus,
)
from ranvier.models.signals import SignalType
from ranvier.models.spikesorter import SpikeDetectParams
from ranvier.models.time_range import TimeRange
from ranvier.recordings.selection import amplifier_columns
from ranvier.recordings.timing import resolve_counters
from ranvier.rig.core import Core
from ranvier.rig.packets import LivePackets, LiveSettings, RingOrCache
from ranvier.rig.signals import LIVE_ID, LiveSignals

_KEY = "kpi:live"
#: How far back STREAM looks unless told otherwise.
LOOKBACK_SEC = 5.0
#: Update periods that may be asked for.
UPDATE_RANGE_SEC = (0.01, 60.0)


class LiveMetrics:
    """Service ``RigMetrics``. Nothing is measured before the first request; from then on every packet is."""

    def __init__(self, core: Core, signals: LiveSignals) -> None:
        self._core = core
        self._signals = signals
        self.packets = LivePackets(core, _load(core))

    def get(
        self,
        metrics: Sequence[KpiMetricId],
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        signal_type: SignalType = SignalType.AMP,
        *,
        service_mode: KpiServiceMode = KpiServiceMode.STREAM,
        lookback_sec: float | None = None,
    ) -> KpiMetricsResult:
        """Return metrics of the newest packets, or of a range; see the Protocol."""
        asked = self._asked(metrics, channels, signal_type, lookback_sec)
        if service_mode == KpiServiceMode.STREAM:
            if time_range is not None:
                raise ConfigurationError("service mode STREAM takes stream_lookback_sec; for a time_range use RANGE")
            start, stop = self._newest(asked, lookback_sec or LOOKBACK_SEC)
        else:
            start, stop = self._range(asked, time_range, lookback_sec)
        return KpiMetricsResult(
            channel_indices=asked.ntv,
            metrics=tuple(metrics),
            signal_type=signal_type,
            values=asked.ranges.values(list(metrics), start, stop),
            time_range=self._signals.time_range(start, stop),
            answered_mode=service_mode,
        )

    def series(
        self,
        metrics: Sequence[KpiMetricId],
        channels: Sequence[int] | None = None,
        time_range: TimeRangeSpec | None = None,
        signal_type: SignalType = SignalType.AMP,
        *,
        lookback_sec: float | None = None,
    ) -> KpiMetricsSeriesResult:
        """Return metrics packet by packet; see the Protocol."""
        asked = self._asked(metrics, channels, signal_type, lookback_sec)
        if time_range is None:
            start, stop = self._newest(asked, lookback_sec or LOOKBACK_SEC)
        else:
            start, stop = self._range(asked, time_range, lookback_sec)
        windows = (
            KpiMetricsWindow(time_range=self._signals.time_range(a, b), values=asked.ranges.values(list(metrics), a, b))
            for a, b in asked.ranges.windows(start, stop, None)
        )
        return KpiMetricsSeriesResult(
            channel_indices=asked.ntv,
            metrics=tuple(metrics),
            signal_type=signal_type,
            windows=tuple(windows),
            answered_mode=KpiServiceMode.STREAM if time_range is None else KpiServiceMode.RANGE,
        )

    def status(self) -> KpiStatus:
        """Return how live metrics stand; see the Protocol."""
        packets, settings = self.packets, self.packets.settings
        ring = packets.ring
        there = [] if ring is None else ring.indices
        consumer = packets.status()
        notes = [packets.failure] if packets.failure else []
        if consumer.shed_samples:
            notes.append(f"{consumer.shed_samples} samples were not measured: this machine is too slow for them")
        fs = self._core.source.fs
        covered: TimeRange | None = None
        if there:
            grid = PacketGrid.of(fs, settings.packet_sec)
            first = self._core.cache.first
            start = grid.start_of(there[0])
            covered = self._signals.time_range(max(start, first or start), grid.start_of(there[-1] + 1))
        return KpiStatus(
            stream_group_id=LIVE_ID,
            num_packets_memory=0 if ring is None else ring.most,
            packet_dur=settings.packet_sec,
            update_period=settings.update_sec,
            persistence=DEFAULT_PERSISTENCE_SEC,
            beta=DEFAULT_BETA,
            is_tracking_signal_cache=self._core.machine.streams and ring is not None,
            num_packets=len(there),
            memory_bytes=0.0 if ring is None else float(ring.num_bytes),
            num_sigs=self._core.source.channels.count(SignalType.AMP),
            time_range=covered,
            note="; ".join(notes),
            headroom=packets.headroom,
        )

    def set_packet_duration(self, packet_sec: float) -> None:
        """Set how long packets are; see the Protocol."""
        PacketGrid.of(self._core.source.fs, packet_sec)
        self.packets.settings.packet_sec = packet_sec
        self._changed()

    def set_update_period(self, update_sec: float) -> None:
        """Set how often packets are measured; see the Protocol."""
        low, high = UPDATE_RANGE_SEC
        if not (math.isfinite(update_sec) and low <= update_sec <= high):
            raise ConfigurationError(f"update periods are {low:g} to {high:g} s, not {update_sec!r}")
        self.packets.settings.update_sec = update_sec
        _save(self._core, self.packets.settings)

    def params(self) -> list[SpikeDetectParams]:
        """Return the event parameters; see the Protocol."""
        return self._changed_params([SpikeDetectParams()])

    def set_params(self, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        """Change event parameters; see the Protocol."""
        result = self._changed_params(changes)
        kept = {**self.packets.settings.params, **{p.ntv_chan_idx: p for p in result if p.ntv_chan_idx is not None}}
        self.packets.settings.params = kept
        self._changed()
        return result

    def close(self) -> None:
        """Measure no more."""
        self.packets.close()

    def _changed_params(self, changes: Sequence[SpikeDetectParams]) -> list[SpikeDetectParams]:
        source = self._core.source
        ntv = [source.channels[int(c)].ntv for c in source.channels.columns_of(SignalType.AMP)]
        changed = changed_params(self.packets.settings.params, changes, ntv, float(source.fs))
        return [changed[i] for i in ntv]

    def _changed(self) -> None:
        _save(self._core, self.packets.settings)
        self.packets.changed()

    def _caught_up(self) -> tuple[MemoryPackets, PacketMaker, int]:
        self._signals.held()  # TimeRangeError where nothing streams or streamed
        found = self.packets.caught_up(2.0 * self.packets.settings.packet_sec + 5.0)
        if found is None:
            raise TimeRangeError(self.packets.failure or "no packet of the live stream is whole yet; ask again")
        return found

    def _asked(
        self,
        metrics: Sequence[KpiMetricId],
        channels: Sequence[int] | None,
        signal_type: SignalType,
        lookback_sec: float | None,
    ) -> _Asked:
        """Check a request, and wait until every whole packet is measured."""
        if not metrics:
            raise ConfigurationError("name at least one metric, e.g. 'RMS'; KpiMetric lists them")
        if signal_type != SignalType.AMP:
            raise CapabilityError(f"live metrics are of amplifier channels, not {signal_type.name}")
        if lookback_sec is not None and not (math.isfinite(lookback_sec) and lookback_sec > 0):
            raise ConfigurationError(f"stream_lookback_sec must be above 0 s, got {lookback_sec!r}")
        table = self._core.selection.apply(self._core.source.channels)
        columns = amplifier_columns(table, channels if channels else None)
        ring, maker, after = self._caught_up()
        rows = np.searchsorted(maker.columns, columns)
        maker = PacketMaker(self.packets.recording(), maker.columns, maker.levels, maker.grid)
        begin = maker.grid.start_of(ring.indices[0])
        ranges = RangeMetrics(maker, RingOrCache(ring, maker), np.asarray(rows, np.int64), begin=begin)
        return _Asked(ranges, maker, ring.indices[0], after, tuple(table[int(c)].ntv for c in columns))

    def _newest(self, asked: _Asked, lookback_sec: float) -> tuple[int, int]:
        grid = asked.maker.grid
        count = max(1, math.ceil(lookback_sec / float(grid.dur) - 1e-9))
        start = grid.start_of(max(asked.after - count, asked.oldest))
        first = self._core.cache.first
        return max(start, first if first is not None else start), grid.start_of(asked.after)

    def _range(self, asked: _Asked, time_range: TimeRangeSpec | None, lookback_sec: float | None) -> tuple[int, int]:
        """Return counters: exact within the cache, to whole packets before it."""
        held, grid = asked.maker.recording, asked.maker.grid
        spec = time_range
        if spec is None:
            spec = TimeRangeSpec.full() if lookback_sec is None else TimeRangeSpec.lookback(lookback_sec)
        begin = grid.start_of(asked.oldest)
        start, stop = resolve_counters(spec, min(begin, held.start), held.stop, held.fs, "what is kept of the stream")
        if start < held.start:
            start = grid.start_of(grid.index_of(start))
        if stop <= held.start:
            stop = grid.start_of(grid.index_of(stop - 1) + 1)
        return start, stop


@dataclass(frozen=True)
class _Asked:
    """A request: the metrics of its channels; packets ``[oldest, after)`` of the grid are kept."""

    ranges: RangeMetrics
    maker: PacketMaker
    oldest: int
    after: int
    ntv: tuple[int, ...]


def _load(core: Core) -> LiveSettings:
    saved: dict[str, Any] = core.store.settings.get(_KEY) or {}
    params = [SpikeDetectParams.model_validate(p) for p in saved.get("params", [])]
    by_channel = {p.ntv_chan_idx: p for p in params if p.ntv_chan_idx is not None}
    fresh = LiveSettings()
    return LiveSettings(
        float(saved.get("packet_sec", fresh.packet_sec)), float(saved.get("update_sec", fresh.update_sec)), by_channel
    )


def _save(core: Core, settings: LiveSettings) -> None:
    core.store.settings.set(
        _KEY,
        {
            "packet_sec": settings.packet_sec,
            "update_sec": settings.update_sec,
            "params": [p.model_dump(mode="json") for p in settings.params.values()],
        },
    )
