"""Packets of the live stream: computed from the cache, in a thread of their own, and kept in a bounded ring."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np

from ranvier.dsp.view import FilteredRecording
from ranvier.metrics.event_levels import EventLevels
from ranvier.metrics.packet_store import MemoryPackets
from ranvier.metrics.packets import DEFAULT_PACKET_SEC, PacketGrid, PacketMaker, PacketTable
from ranvier.models.rig import ConsumerStatus
from ranvier.models.signals import SignalType
from ranvier.models.spikesorter import SpikeDetectParams
from ranvier.recordings import Block, Recording
from ranvier.rig.consumer import BackPressure, Consumer
from ranvier.rig.core import Core
from ranvier.rig.view import CacheRecording

#: How far back the first request looks.
FIRST_SEC = 5.0
_POLL_SEC = 0.5


@dataclass
class LiveSettings:
    """What a user set for live metrics."""

    packet_sec: float = DEFAULT_PACKET_SEC
    update_sec: float = DEFAULT_PACKET_SEC
    params: dict[int, SpikeDetectParams] = field(default_factory=dict)


class LivePackets(Consumer):
    """Follows the stream packet by packet, from the first request on.

    The pump only tells how far the stream is. What this thread has no time for leaves the cache unmeasured, and is
    counted as shed; acquisition and recording never wait for it.
    """

    name = "metrics"
    policy = BackPressure.SHED_OLDEST

    def __init__(self, core: Core, settings: LiveSettings) -> None:
        self._core = core
        self.settings = settings
        self._news = threading.Condition()
        self._ring: MemoryPackets | None = None
        self._maker: PacketMaker | None = None
        self._key: tuple[object, ...] = ()
        self._next = 0
        self._wanted_at = 0
        self._closing = False
        self._thread: threading.Thread | None = None
        self._made = self._shed = 0
        self._busy_sec = self._cpu_sec = 0.0
        self._began = time.monotonic()
        self.failure = ""

    # --- the pump's thread --------------------------------------------------------------------------------------

    def offer(self, block: Block) -> None:
        if block.stop >= self._wanted_at and self._news.acquire(blocking=False):
            try:
                self._news.notify_all()
            finally:
                self._news.release()

    def status(self) -> ConsumerStatus:
        maker, behind = self._maker, 0
        if maker is not None:  # less than a packet and its margin, where it keeps up
            behind = max(0, self._core.cache.span().stop - maker.grid.start_of(self._next))
        return ConsumerStatus(
            name=self.name,
            policy=self.policy.value,
            blocks=self._made,
            shed_samples=self._shed,
            behind_samples=behind,
            busy_fraction=min(1.0, self._cpu_sec / max(time.monotonic() - self._began, 1e-9)),
        )

    def close(self) -> None:
        """End the thread."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join(10.0)

    # --- those who ask ------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Follow the stream from now on; harmless where it does."""
        with self._news:
            if self._thread is None and not self._closing:
                self._began = time.monotonic()
                self._thread = threading.Thread(target=self._run, name="ranvier-metrics", daemon=True)
                self._thread.start()
                self._core.pump.add_consumer(self)

    def caught_up(self, timeout_sec: float) -> tuple[MemoryPackets, PacketMaker, int] | None:
        """Wait until all whole packets of the stream are measured; return ring, maker and the packet after the last."""
        self.begin()
        until = time.monotonic() + timeout_sec
        with self._news:
            while not self.failure:
                ring, maker = self._ring, self._maker
                span = self._core.cache.span()
                fresh = ring is not None and maker is not None and self._key == self._identity(span.epoch)
                if fresh and ring is not None and maker is not None and ring.indices:
                    due = maker.grid.start_of(self._next + 1) + maker.levels.tail
                    if span.stop < due:
                        return ring, maker, self._next
                if time.monotonic() > until:
                    return None
                self._wanted_at = 0
                self._news.notify_all()
                self._news.wait(0.01)
        return None

    def recording(self) -> Recording:
        """Return what the cache holds now, seen through stage 2."""
        core = self._core
        held: Recording = CacheRecording(core.cache, core.cache.span(), core.source.fs, core.source.channels)
        view = core.dsp.view
        return held if view is None else FilteredRecording(held, view)

    @property
    def ring(self) -> MemoryPackets | None:
        """What is kept, None before the first packet."""
        return self._ring

    @property
    def headroom(self) -> float | None:
        """How many times faster than they last packets are measured, by the clock on the wall."""
        return self._made * self.settings.packet_sec / self._busy_sec if self._made and self._busy_sec > 0 else None

    def changed(self) -> None:
        """Begin anew with other settings, at the head."""
        with self._news:
            self._key = ()
            self._news.notify_all()

    # --- the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._news:
                if self._closing:
                    return
                if self._core.cache.span().stop < self._wanted_at:
                    self._news.wait(_POLL_SEC)
                if self._closing:
                    return
            try:
                if not self._work():
                    time.sleep(0.005)
            except Exception as error:  # noqa: BLE001  # its own failure: the stream goes on, status and calls say it
                self.failure = f"live metrics failed: {type(error).__name__}: {error}"
                return

    def _identity(self, epoch: int) -> tuple[object, ...]:
        core, settings = self._core, self.settings
        return (epoch, core.source.channels, core.dsp.view, settings.packet_sec, id(settings.params))

    def _work(self) -> bool:
        """Measure one packet that is whole; return whether there was one."""
        span = self._core.cache.span()
        if span.stop <= span.start:
            return False
        key = self._identity(span.epoch)
        if key != self._key:
            self._begin_stream(key, span.start, span.stop)
        maker, ring = self._maker, self._ring
        if maker is None or ring is None:
            return False
        grid, tail = maker.grid, maker.levels.tail
        if span.stop < grid.start_of(self._next + 1) + tail:
            ahead = max(1, round(self.settings.update_sec / self.settings.packet_sec))
            self._wanted_at = grid.start_of(self._next + ahead) + tail
            return False
        oldest = grid.index_of(span.start)
        if grid.start_of(self._next) < span.start and self._made and oldest >= self._next:
            self._shed += grid.start_of(oldest + 1) - grid.start_of(self._next)
            self._next = oldest + 1
            return True
        began, cpu = time.monotonic(), time.thread_time()
        maker.recording = self.recording()
        table = maker.make(self._next)
        self._busy_sec += time.monotonic() - began
        self._cpu_sec += time.thread_time() - cpu
        with self._news:
            if self._key == key:
                ring.add(self._next, table)
                self._next += 1
                self._made += 1
            self._news.notify_all()
        return True

    def _begin_stream(self, key: tuple[object, ...], start: int, stop: int) -> None:
        source, settings = self._core.source, self.settings
        grid = PacketGrid.of(source.fs, settings.packet_sec)
        columns = np.asarray(source.channels.columns_of(SignalType.AMP), np.int64)
        ntv = [source.channels[int(c)].ntv for c in columns]
        levels = EventLevels.of(settings.params, ntv, float(source.fs))
        with self._news:
            self._maker = PacketMaker(self.recording(), columns, levels, grid)
            self._ring = MemoryPackets(max(1, len(columns)))
            self._next = max(grid.index_of(start), grid.index_of(max(start, stop - int(FIRST_SEC * source.fs))))
            self._made, self._busy_sec = 0, 0.0
            self._key = key


class RingOrCache:
    """Whole packets for :class:`ranvier.metrics.ranges.RangeMetrics`: kept ones, else from the cache, else empty."""

    def __init__(self, ring: MemoryPackets, maker: PacketMaker) -> None:
        self._ring = ring
        self._maker = maker

    def get(self, first: int, stop: int) -> PacketTable:
        """Return the packets ``[first, stop)``."""
        held = self._ring.rows(first, stop)
        tables = [held[i] if i in held else self._maker.make(i) for i in range(first, stop)]
        return PacketTable.concatenate(tables, len(self._maker.columns))
