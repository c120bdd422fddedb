"""Packets of linked datasets: where they are kept, and computing those that are not there."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ranvier._platform import worker_count
from ranvier.curation.groups import chain_of
from ranvier.dsp.parallel import Team
from ranvier.dsp.view import FilteredRecording
from ranvier.exceptions import JobCancelledError
from ranvier.hub.datasets import Datasets
from ranvier.hub.dsp import DspGroups
from ranvier.hub.linked import Linked
from ranvier.metrics.event_levels import EventLevels
from ranvier.metrics.packet_store import FilePackets, MemoryPackets, packet_file
from ranvier.metrics.packets import DEFAULT_PACKET_SEC, PacketGrid, PacketMaker, PacketTable
from ranvier.models.signals import SignalType
from ranvier.models.spikesorter import SpikeDetectParams
from ranvier.recordings import Recording
from ranvier.store import Store

_KEY = "kpi:"
Watch = Callable[[int, int], None]
T = TypeVar("T")


class _Watching(threading.local):
    """Who watches the work of this thread."""

    watch: Watch | None = None
    cancelled: Callable[[], bool] | None = None


@dataclass
class Settings:
    """What a user set for the metrics of a dataset."""

    packet_sec: float = DEFAULT_PACKET_SEC
    params: dict[int, SpikeDetectParams] = field(default_factory=dict)


class KeptPackets:
    """Packets of one dataset and kind of channel, computed where they are missing (protocol ``Packets``)."""

    def __init__(self, maker: PacketMaker, store: FilePackets | MemoryPackets, note: str = "") -> None:
        self.maker = maker
        self.store = store
        self.note = note
        self._watching = _Watching()

    def watched(self, work: Callable[[], T], watch: Watch, cancelled: Callable[[], bool]) -> T:
        """Do work in this thread; computing packets in it tells ``watch`` and asks ``cancelled``."""
        self._watching.watch, self._watching.cancelled = watch, cancelled
        try:
            return work()
        finally:
            self._watching.watch = self._watching.cancelled = None

    def get(self, first: int, stop: int) -> PacketTable:
        """Return the packets ``[first, stop)``."""
        held = self.store.table(first, stop)
        if held is not None:
            return held
        made = self._complete(first, stop)
        held = self.store.table(first, stop)
        if held is not None:
            return held
        found = {**self.store.rows(first, stop), **made}
        return PacketTable.concatenate(
            [found[i] if i in found else self.maker.make(i) for i in range(first, stop)], len(self.maker.columns)
        )

    def complete(self, first: int, stop: int) -> None:
        """Compute and keep what is missing of the packets ``[first, stop)``."""
        self._complete(first, stop)

    def _complete(self, first: int, stop: int) -> dict[int, PacketTable]:
        """Return the packets that had to be made and could not be kept."""
        there = set(self.store.indices)
        missing = [i for i in range(first, stop) if i not in there]
        loose: dict[int, PacketTable] = {}
        watch, cancelled = self._watching.watch, self._watching.cancelled
        for done, i in enumerate(missing):
            if cancelled is not None and cancelled():
                raise JobCancelledError(f"measuring {self.maker.recording.path.name} was cancelled")
            table = self.maker.make(i)
            if not self.maker.is_final(i):  # samples may still come: it is made anew each time
                loose[i] = table
            else:
                self._keep(i, table)
            if watch is not None:
                watch(done + 1, len(missing))
        return loose

    def _keep(self, index: int, table: PacketTable) -> None:
        try:
            self.store.add(index, table)
        except OSError as error:
            self.note = f"metrics are kept in memory: {error}"
            self.store = MemoryPackets(len(self.maker.columns))
            self.store.add(index, table)


class DatasetPackets:
    """The packets of the hub's datasets. A store of another file, parameters, filters or version is not used."""

    def __init__(self, datasets: Datasets, dsp: DspGroups, store: Store) -> None:
        self._datasets = datasets
        self._dsp = dsp
        self._store = store
        self._lock = threading.RLock()
        self._kept: dict[tuple[str, SignalType], tuple[bytes, KeptPackets]] = {}
        self._team = Team(worker_count())

    def settings(self, dataset_id: str) -> Settings:
        """Return what was set for a dataset."""
        saved: dict[str, Any] = self._store.settings.get(_KEY + dataset_id) or {}
        params = [SpikeDetectParams.model_validate(p) for p in saved.get("params", [])]
        by_channel = {p.ntv_chan_idx: p for p in params if p.ntv_chan_idx is not None}
        return Settings(float(saved.get("packet_sec", DEFAULT_PACKET_SEC)), by_channel)

    def save(self, dataset_id: str, settings: Settings) -> None:
        """Remember settings; packets of other ones are not used from now on."""
        params = [p.model_dump(mode="json") for p in settings.params.values()]
        self._store.settings.set(_KEY + dataset_id, {"packet_sec": settings.packet_sec, "params": params})

    def of(self, linked: Linked, kind: SignalType = SignalType.AMP) -> KeptPackets:
        """Return the packets of all channels of a kind, as they are to be computed now."""
        with self._lock:
            settings = self.settings(linked.id)
            columns = np.asarray(linked.channels.columns_of(kind), dtype=np.int64)
            ntv = [linked.channels[int(c)].ntv for c in columns]
            levels = EventLevels.of(settings.params, ntv, float(linked.recording.fs))
            grid = PacketGrid.of(linked.recording.fs, settings.packet_sec)
            source = self._identity(linked, columns)
            key = hashlib.sha256(source + levels.digest() + str(grid).encode()).digest()
            recording = self._source(linked)
            known = self._kept.get((linked.id, kind))
            if known is not None and known[0] == key:
                known[1].maker.recording = recording
                return known[1]
            maker = PacketMaker(recording, columns, levels, grid, self._team)
            kept = self._make(linked, kind, maker, source)
            self._kept[linked.id, kind] = (key, kept)
            return kept

    def clear(self, linked: Linked) -> None:
        """Forget the packets of a dataset, and delete its file of them."""
        with self._lock:
            self.of(linked).store.clear()
            for key in [k for k in self._kept if k[0] == linked.id]:
                del self._kept[key]

    def _make(self, linked: Linked, kind: SignalType, maker: PacketMaker, source: bytes) -> KeptPackets:
        channels = len(maker.columns)
        if kind != SignalType.AMP or not channels:
            return KeptPackets(maker, MemoryPackets(max(1, channels)))
        path = packet_file(linked.canonical, linked.base_name, linked.stream)
        try:
            return KeptPackets(maker, FilePackets(path, maker.grid, channels, maker.levels.digest(), source))
        except OSError as error:
            reason = error.strerror or str(error)
            return KeptPackets(maker, MemoryPackets(channels), f"metrics are kept in memory: {path}: {reason}")

    def _source(self, linked: Linked) -> Recording:
        filters = self._dsp.get(linked.id).software_stage2
        if not filters:
            return linked.recording
        return FilteredRecording(linked.recording, chain_of(filters, linked.recording.fs, linked.channels))

    def _identity(self, linked: Linked, columns: npt.NDArray[np.int64]) -> bytes:
        """Return what says whether a store belongs to this recording: file, stream, channels, filters."""
        filters = [p.model_dump_json() for p in self._dsp.get(linked.id).software_stage2]
        # signatures are of the time of linking: a file that grows since then keeps its packets in this session
        files = (linked.signature, linked.parts)
        parts = (linked.id, files, linked.recording.start, columns.tolist(), filters, len(linked.channels))
        return hashlib.sha256(repr(parts).encode()).digest()
