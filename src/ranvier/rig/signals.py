"""Reads of the live cache."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp.view import FilteredRecording
from ranvier.exceptions import ConfigurationError, SignalSelectionError, TimeRangeError
from ranvier.models.channels import ChannelMetadata
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.events import EventTable
from ranvier.models.signals import SignalType, SigSelect
from ranvier.models.time_range import TimeRange
from ranvier.probes.metadata import channel_metadata
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.digital import digital_edges
from ranvier.recordings.events import Events
from ranvier.recordings.selection import selected_columns
from ranvier.recordings.timing import resolve_counters
from ranvier.rig.cache import Span
from ranvier.rig.core import Core
from ranvier.rig.view import CacheRecording
from ranvier.services.signals import Lent, SignalBlock

#: Id of the live stream, where datasets have theirs.
LIVE_ID = "Live Signals"

#: So many readers are remembered; those that did not ask for longest are forgotten first.
MAX_READERS = 1024

#: From so many samples on reads are lent: below, asking afterwards whether they were kept costs more than a copy.
LEND_SAMPLES = 1 << 19

#: How long a subscriber waits before it looks again.
_POLL_SEC = 0.25

#: How long a read waits for the first samples of a stream that has just been started.
_FIRST_SAMPLES_SEC = 1.0

Columns = Mapping[SignalType, npt.NDArray[np.int64]]


class LiveSignals:
    """Service ``RigSignals``: time-major float32 in physical units, or counts, columns in request order."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._readers: OrderedDict[str, tuple[int, int]] = OrderedDict()  # epoch and next counter by reader
        self._lock = threading.Lock()
        self._revision = 0
        self._described: tuple[object, ...] = ()

    # --- channels -----------------------------------------------------------------------------------------------

    def channel_metadata(self) -> ChannelMetadata:
        """Return the channels of the stream in the three index spaces; what is selected and grouped shows."""
        source = self._core.source
        return channel_metadata(
            self._core.selection.apply(source.channels),
            fs=source.fs,
            dataset_uid=LIVE_ID,
            source_label=_marked(source.info.name, source.info.simulated),
        )

    def channels_revision(self) -> int:
        """Return a number that changes whenever ``channel_metadata`` does."""
        source, selection = self._core.source, self._core.selection
        # each of these is replaced, never changed; they are held, so that no later one can have the same identity
        now = (source.channels, selection.selected, selection.groups, source.info.name, source.fs)
        with self._lock:
            before = self._described
            same = len(before) == len(now) and all(a is b for a, b in zip(before[:3], now[:3], strict=True))
            if not (same and before[3:] == now[3:]):
                self._described = now
                self._revision += 1
            return self._revision

    def set_selected(self, channels: Mapping[SignalType, Sequence[int]]) -> ChannelMetadata:
        """Select channels (NTV) of the types named; SignalSelectionError names unknown ones."""
        with self._core.machine.control:
            self._core.selection.select(channels, self._core.source.channels)
            return self.channel_metadata()

    def set_groups(self, groups: Sequence[Mapping[SignalType, Sequence[int]]]) -> ChannelMetadata:
        """Replace the color groups; only selected channels have one, and one only."""
        with self._core.machine.control:
            self._core.selection.group(groups, self._core.source.channels)
            return self.channel_metadata()

    # --- reads --------------------------------------------------------------------------------------------------

    def cached(self) -> tuple[int, int]:
        """Return the counters ``[start, stop)`` that the cache holds; (0, 0) before the first sample."""
        span = self._core.cache.span()
        return span.start, span.stop

    def read(
        self,
        time_range: TimeRangeSpec,
        select: SigSelect,
        *,
        apply_dsp: bool = False,
        counts: bool = False,
        lend: bool = False,
    ) -> SignalBlock:
        """Read a range; it is clipped to what the cache holds, and the range served is returned.

        With ``counts`` the samples are int16 counts where the cache holds such: not where hardware or stage 1 filters
        act, and not with ``apply_dsp`` and stage 2 filters; those stay float32. ``SignalBlock.gain`` tells.

        With ``lend`` many samples are not copied: ``SignalBlock.lent`` says where they lie, where the platform can
        share memory and no stage 2 filter has to act.

        Raises
        ------
        TimeRangeError
            Nothing of it is in the cache (any more, or yet).
        SignalSelectionError
            An unknown channel, or none at all.
        """
        _, columns = self._columns(select)
        span = self.held()
        start, stop = resolve_counters(time_range, span.start, span.stop, self._core.source.fs, "the live cache")
        many = (stop - start) * sum(map(len, columns.values())) >= LEND_SAMPLES
        if lend and many and not (apply_dsp and self._core.dsp.view is not None):
            lent = self._core.cache.lend(span, columns)
            if lent is not None:
                return self._lent(lent, start, stop)
        return self._block(span, start, stop, columns, apply_dsp=apply_dsp, counts=counts)

    def kept(self, epoch: int) -> int | None:
        """Return the oldest counter of a stream that was not overwritten yet; None where that stream is gone."""
        return self._core.cache.kept(epoch)

    def read_new(self, reader: str, select: SigSelect) -> SignalBlock:
        """Return what came since this reader's last call, in order and complete; what was lost stands in ``gaps``.

        The first call starts at the head and returns no samples. After a new ``start_streaming`` the reader gets the
        new stream from its beginning.
        """
        _, columns = self._columns(select)
        cache = self._core.cache
        span = cache.span()
        if span.stop <= span.start and not self._core.machine.streams:
            raise TimeRangeError("the live cache holds no samples; start_streaming() fills it")
        with self._lock:
            epoch, at = self._readers.get(reader, (span.epoch, span.stop))
            if epoch != span.epoch or (at == 0 and cache.first is not None):
                at = span.start if cache.first is None else cache.first
            self._readers[reader] = (span.epoch, span.stop)
            self._readers.move_to_end(reader)
            while len(self._readers) > MAX_READERS:
                self._readers.popitem(last=False)
        return self._following(span, at, span.stop, columns)

    def to_head(self, reader: str) -> None:
        """Let a reader's next ``read_new`` start at the head as it is now."""
        span = self._core.cache.span()
        with self._lock:
            self._readers[reader] = (span.epoch, span.stop)

    def subscribe(
        self, select: SigSelect, *, every_block: bool = False, start_counter: int | None = None, block_sec: float = 0.05
    ) -> Iterator[SignalBlock]:
        """Yield blocks of ``block_sec`` as they come, until the stream ends.

        With ``every_block`` nothing is left out as long as the subscriber is not further behind than the cache is
        long; without, it gets the newest block and skips what it had no time for. Either way ``gaps`` of the next
        block tells what is missing before it. ``start_counter`` resumes there (after a broken connection, say): what
        is still held comes first.

        Raises
        ------
        ConfigurationError
            Nothing streams, or ``block_sec`` is not positive.
        """
        channels, columns = self._columns(select)
        if not self._core.machine.streams:
            raise ConfigurationError("nothing streams; start_streaming() first, then subscribe")
        rows = int(block_sec * self._core.source.fs)
        if rows < 1:
            raise ConfigurationError(f"block_sec={block_sec:g} holds no sample; take at least one sample period")
        cache = self._core.cache
        epoch = cache.epoch
        at = start_counter if start_counter is not None or cache.first is None else cache.head
        return self._subscription(channels, columns, every_block, rows, epoch, at)

    def events(self, time_range: TimeRangeSpec) -> EventTable:
        """Return the digital edges in a range of the cache, and what the source marks there, in time order."""
        core, cache = self._core, self._core.cache
        span = self.held()
        fs = core.source.fs
        start, stop = resolve_counters(time_range, span.start, span.stop, fs, "the live cache")
        before = max(span.start, start - 1)  # an edge at the first sample shows against the one before it
        narrowed = Span(span.epoch, before, stop, cache.gaps_in(before, stop))
        edges = digital_edges(CacheRecording(cache, narrowed, fs, core.source.channels)).between(start, stop)
        marks = core.source.marks(start, stop)
        if len(marks):
            edges = Events.merge(edges, marks)
        return EventTable(
            sec=edges.counter / float(fs),
            timestamp=edges.counter,
            line=edges.line,
            state=edges.state,
            source=edges.source,
            text=edges.text,
        )

    # --- inside -------------------------------------------------------------------------------------------------

    def _columns(self, select: SigSelect) -> tuple[ChannelTable, Columns]:
        channels = self._core.source.channels
        columns = selected_columns(channels, select)
        if not columns:
            raise SignalSelectionError("the selection names no channel at all; ask for at least one, or for 'all'")
        return channels, columns

    def held(self) -> Span:
        cache = self._core.cache
        span = cache.span()
        if span.stop <= span.start and self._core.machine.streams:  # it has just been started
            cache.wait_beyond(0, span.epoch, _FIRST_SAMPLES_SEC)
            span = cache.span()
        if span.stop <= span.start:
            raise TimeRangeError("the live cache holds no samples; start_streaming() fills it")
        return span

    def _subscription(
        self, channels: ChannelTable, columns: Columns, every_block: bool, rows: int, epoch: int, at: int | None
    ) -> Iterator[SignalBlock]:
        core, cache = self._core, self._core.cache
        while core.source.channels is channels:
            if cache.epoch != epoch:  # other filters: counters go on; another stream: they may begin again
                epoch = cache.epoch
                if at is not None and cache.first is not None and at > cache.head:
                    at = None
            if at is None:
                at = cache.first
            came = cache.wait_beyond(0 if at is None else at + rows - 1, epoch, _POLL_SEC)
            span = cache.span()
            if at is None or span.epoch != epoch or not (came or cache.ended):
                if at is None and cache.ended:
                    return
                continue
            if span.stop <= at:
                if cache.ended:
                    return
                continue
            first, stop = _next_block(span, at, rows, every_block, cache.oldest())
            try:
                block = self._following(span, at, stop, columns, first=first)
            except TimeRangeError:
                continue  # overtaken by the writer while it was read: go on with what is there now
            at = stop
            yield block

    def _following(
        self,
        span: Span,
        at: int,
        stop: int,
        columns: Columns,
        *,
        first: int | None = None,
    ) -> SignalBlock:
        """Return ``[at, stop)`` to someone who follows the stream: what is gone or skipped stands in ``gaps``."""
        start = max(at if first is None else first, self._core.cache.oldest())
        if start >= stop:
            if at < stop:
                raise TimeRangeError(f"samples [{at}, {stop}) left the live cache")
            return self._empty(stop, columns)
        block = self._block(span, start, stop, columns)
        served = block.time_range.timestamp[0]
        if served > at:
            return SignalBlock(block.samples, block.time_range, ((at, served), *block.gaps))
        return block

    def _block(
        self,
        span: Span,
        start: int,
        stop: int,
        columns: Columns,
        *,
        apply_dsp: bool = False,
        counts: bool = False,
    ) -> SignalBlock:
        core = self._core
        cache, fs, view = core.cache, core.source.fs, core.dsp.view
        if apply_dsp and view is not None:
            recording = FilteredRecording(CacheRecording(cache, span, fs, core.source.channels), view)
            found = {kind: recording.read(start, stop, wanted) for kind, wanted in columns.items()}
        else:
            counts = counts and cache.stores_counts
            found = {
                kind: cache.read(start, stop, wanted, counts=counts, epoch=span.epoch)
                for kind, wanted in columns.items()
            }
        first = max(block.start for block in found.values())
        samples: dict[SignalType, npt.NDArray[Any]] = {k: b.samples[first - b.start :] for k, b in found.items()}
        return SignalBlock(
            samples=samples,
            time_range=self.time_range(first, stop),
            gaps=tuple((g.start, g.stop) for g in cache.gaps_in(first, stop)),
            gain={k: b.gain for k, b in found.items() if b.gain is not None},
            offset={k: b.offset for k, b in found.items() if b.offset is not None},
        )

    def _lent(self, lent: Lent, start: int, stop: int) -> SignalBlock:
        cache = self._core.cache
        counts = np.dtype(lent.dtype) == np.int16
        scaling = {kind: cache.scaling(columns) for kind, columns in lent.columns.items()} if counts else {}
        return SignalBlock(
            samples={},
            time_range=self.time_range(start, stop),
            gaps=tuple((g.start, g.stop) for g in cache.gaps_in(start, stop)),
            gain={kind: gain for kind, (gain, _) in scaling.items()},
            offset={kind: offset for kind, (_, offset) in scaling.items()},
            lent=lent,
        )

    def _empty(self, at: int, columns: Columns) -> SignalBlock:
        samples = {kind: np.empty((0, len(wanted)), np.float32) for kind, wanted in columns.items()}
        return SignalBlock(samples=samples, time_range=self.time_range(at, at))

    def time_range(self, start: int, stop: int) -> TimeRange:
        fs = self._core.source.fs
        near = self._core.pump.clock_log.last
        wall = ""
        if near is not None:
            moment = datetime.fromtimestamp(near.utc_ns / 1e9, UTC) + timedelta(
                seconds=float((start - near.counter) / fs)
            )
            wall = moment.isoformat()
        return TimeRange.from_samples(start, stop, fs, wall)


def _marked(name: str, simulated: bool) -> str:
    return f"SIMULATED {name}" if simulated and "SIMULATED" not in name else name


def _next_block(span: Span, at: int, rows: int, every_block: bool, oldest: int) -> tuple[int, int]:
    """Return ``[first, stop)`` of what a subscriber at ``at`` gets next; at least one sample is there."""
    if not every_block:
        return max(at, span.stop - rows), span.stop
    first = at if at >= oldest else max(at, span.start)  # with some room before the writer, not at its heels
    return first, min(first + rows, span.stop)
