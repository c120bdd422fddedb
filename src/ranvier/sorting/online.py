"""The sorter of a stream: packets in, spikes out, in bounded memory; nothing here has a thread.

The stream is filtered with carried state, threshold events are told by :class:`EventFinder`, spikes of known units by
:class:`StreamMatcher`, and both are put together. What is learned from is kept on a tape; who learns, and when, is the
business of the driver: it hands trained units in with :meth:`OnlineSorter.use`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp.chain import Chain, ChainState
from ranvier.recordings.block import Block
from ranvier.recordings.buffers import aligned_empty
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.kernels import scale
from ranvier.sorting.event_finder import EventFinder, FinderSettings
from ranvier.sorting.event_kernels import settle_events
from ranvier.sorting.event_stream import EventLabeller
from ranvier.sorting.exchange import exchanged
from ranvier.sorting.snippets import SignalTail
from ranvier.sorting.spike_table import SpikeFlag, SpikeRing, SpikeTable
from ranvier.sorting.stream_matcher import StreamMatcher
from ranvier.sorting.tape import TrainingTape
from ranvier.sorting.tracking import Follower
from ranvier.sorting.trained import TrainedUnits
from ranvier.sorting.unit_statistics import UnitStatistics
from ranvier.sorting.unit_tables import MANY_SITES, UnitTables

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: So far behind a packet waveforms can be had: spikes come late, and a recording that begins asks for past ones.
TAIL_SEC = 0.25
#: With many sites it pays to wait until so much has come: a third of what a packet of 1 ms costs does not depend on
#: its length.
GATHER_SEC = 3e-3
#: Spikes that are remembered.
CAPACITY = 1_000_000
#: A threshold event this near to a labelled spike, on the same or a neighbouring site, is that spike.
SAME_SEC = 0.4e-3
#: Units of earlier rounds whose waveforms are remembered.
REPLACED = 4096
#: An event of which labelled spikes explain this share is a part of them.
EXPLAINED_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class StreamSites:
    """What is sorted of a stream.

    Attributes
    ----------
    fs, channels
        Of the blocks that come.
    columns
        Amplifier columns that are sorted.
    """

    fs: Fraction
    channels: ChannelTable
    columns: I64

    @property
    def ntv(self) -> list[int]:
        """Native index of each site."""
        return [self.channels[int(c)].ntv for c in self.columns]

    @property
    def sites(self) -> ChannelTable:
        """The channels of the columns."""
        return self.channels.take(self.columns)


class OnlineSorter:
    """Sorts one stream.

    ``tail`` keeps the newest filtered samples, for whoever wants waveforms of spikes that are told. ``least_rows`` are
    rows that a call of :meth:`take` had better bring; fewer give the same spikes for more work.

    Parameters
    ----------
    sites
        What is sorted.
    chain
        Filters in front, bound to ``sites.channels``; None where the stream comes filtered.
    settings
        How threshold events are found.
    tape
        Takes the filtered signal for training; None: nothing is learned (detection only).
    labeller
        Gives threshold events labels by their waveforms, where no units are looked for in the signal.
    sink
        Given every spike once, as it is told. Spikes of known units are told as soon as they are decided; events that
        are nobody's wait until that is sure, and come a millisecond behind.
    """

    def __init__(
        self,
        sites: StreamSites,
        chain: Chain | None,
        settings: FinderSettings,
        *,
        tape: TrainingTape | None = None,
        capacity: int = CAPACITY,
        labeller: EventLabeller | None = None,
        sink: Callable[[SpikeTable], None] | None = None,
    ) -> None:
        self.sites = sites
        self.least_rows = round(GATHER_SEC * float(sites.fs)) if len(sites.columns) > MANY_SITES else 0
        self.finder = EventFinder(settings, float(sites.fs), len(sites.columns))
        self._ring = SpikeRing(capacity, len(sites.columns))
        self._units = UnitStatistics(float(sites.fs))
        self._replaced: dict[int, F32] = {}  # by label, the latest last
        self._new: list[SpikeTable] = []  # told, but not in either yet
        self._new_count = 0
        self._storing = threading.Lock()
        self.chain = chain
        self.tape = tape
        self.labeller = labeller
        self.tail = SignalTail(round(TAIL_SEC * float(sites.fs)))
        self.first: int | None = None
        self.next: int | None = None
        self.labelled_from: int | None = None
        self.gaps = 0
        self._sink = sink
        first, count = int(sites.columns[0]), len(sites.columns)
        in_a_row = np.array_equal(sites.columns, np.arange(first, first + count))
        self._chosen: slice | I64 = slice(first, first + count) if in_a_row else sites.columns
        self._state: ChainState | None = None
        self._matcher: StreamMatcher | None = None
        self._same = max(1, round(SAME_SEC * float(sites.fs)))
        self._settling = _Settling()
        self._ready: list[SpikeTable] = []
        self._told_before = _NEVER

    @property
    def told_before(self) -> int:
        """Every spike before this counter was told."""
        return self._told_before

    @property
    def ring(self) -> SpikeRing:
        """The newest spikes; any thread may ask."""
        self._store()
        return self._ring

    @property
    def units(self) -> UnitStatistics:
        """Running numbers of the units; any thread may ask."""
        self._store()
        return self._units

    @property
    def trained(self) -> TrainedUnits | None:
        """The units that spikes are given to."""
        return None if self._matcher is None else self._matcher.trained

    @property
    def unit_count(self) -> int:
        """How many units spikes are given to."""
        if self.labeller is not None:
            return 0 if self.labeller.units is None else len(self.labeller.units)
        return 0 if self._matcher is None else len(self._matcher.trained)

    @property
    def knows_units(self) -> bool:
        """Whether spikes are given to units."""
        return self._matcher is not None or (self.labeller is not None and self.labeller.units is not None)

    @property
    def labelled_sec(self) -> float:
        """How much signal came, without gaps, since spikes are given to units."""
        if self.labelled_from is None or self.next is None:
            return 0.0
        return float(self._units.recorded(self.next) / self.sites.fs)

    def describe_filters(self) -> list[dict[str, Any]]:
        """Return the filters in front as plain data."""
        return [] if self.chain is None else self.chain.describe_stages()

    @property
    def follower(self) -> Follower | None:
        """What is known of how the units change; None while they are not followed."""
        return None if self._matcher is None else self._matcher.follower

    @property
    def tables(self) -> UnitTables | None:
        """What spikes are given to units with."""
        return None if self._matcher is None else self._matcher.units

    def take_follower(self) -> Follower | None:
        """Return what is known of how the units change, and collect anew; between two blocks."""
        return None if self._matcher is None else self._matcher.take_follower()

    def prepare(self, trained: TrainedUnits) -> UnitTables:
        """Return what spikes are given to units with; takes long where they are many. Any thread may ask."""
        return UnitTables(trained, float(self.sites.fs))

    def use(self, units: UnitTables | TrainedUnits | None, *, follow: bool = False) -> None:
        """Give spikes to other units from the next block on; spikes that are told keep their labels.

        What was seen already goes over to them (see :mod:`ranvier.sorting.exchange`): no spike is lost or told twice.
        Units that are not prepared take as long as :meth:`prepare`. With ``follow`` it is collected how they change
        (see :mod:`ranvier.sorting.tracking`).
        """
        tables = self.prepare(units) if isinstance(units, TrainedUnits) else units
        before = self._matcher
        if before is not None:  # before they are replaced: who asks finds a unit here or there
            self._remember(before.trained, tables)
        if tables is None:
            self._matcher = None
            if before is not None:
                self._ready.append(self._labelled(before.flush()))
                self._settling.labelled(self._ready[-1])
        elif before is not None:
            self._matcher = exchanged(before, tables, follow=follow)
        else:
            self._label_from(self.next)
            self._matcher = StreamMatcher(tables, follow=follow)
        self._settling.use(tables)

    def replaced_waveform_uv(self, label: int) -> F32 | None:
        """Return the waveform, on its main site, of a unit that others replaced; any thread may ask.

        None where there was none, or it was too long ago: so many are remembered (``REPLACED``), until a clear.
        """
        return self._replaced.get(label)

    def process(self, block: Block) -> SpikeTable:
        """Take the next block of the stream and return the spikes that can be told now, in order.

        Between calls they are not: events that are nobody's come behind labelled ones (see ``sink``).
        """
        return SpikeTable.concatenate(self.take(block)).ordered()

    def take(self, block: Block) -> list[SpikeTable]:
        """Do the same, and return the spikes as they were told.

        A jump of the counter restarts filters and searches; counters that begin anew (lower ones) forget the spikes.
        """
        ended: list[SpikeTable] = []
        if self.next is not None and block.start != self.next:
            ended.append(self.flush())
            self.gaps += block.start > self.next
            if block.start < self.next:
                self.clear()
            else:
                self.units.skip(block.start - self.next)
        if self.first is None:
            self.first = block.start
        if self.labelled_from is None and self.knows_units:
            self._label_from(block.start)
        self.next = block.stop
        told, self._ready = self._ready, []
        for filtered in self._filtered(block):
            if self.tape is not None:
                self.tape.add(filtered.samples)
            self.tail.add(filtered)
            found = self._pieces(filtered)
            if self.labeller is not None:
                self.labeller.tape.taken_sec += len(filtered) / float(self.sites.fs)
                found = [self.labeller.take(found, self.tail)]
            told += found
        return [*ended, *self._tell(told)]

    def flush(self) -> SpikeTable:
        """Tell what waits for samples that never come: the end of the stream, or a gap."""
        told, self._ready = self._ready, []
        if self._matcher is not None:
            told.append(self._labelled(self._matcher.flush()))
            self._settling.labelled(told[-1])
        self._settling.found(self.finder.flush())
        told.append(self._settle(_FOREVER))
        if self.labeller is not None:
            told = [self.labeller.take(told, self.tail), self.labeller.flush(self.tail)]
        if self.tape is not None:
            self.tape.cut()
        self._state = None
        self._settling.forget()
        self._told_before = _NEVER
        return SpikeTable.concatenate(self._tell(told)).ordered()

    def clear(self) -> None:
        """Forget the spikes; units stay. In mid-stream the next ones lie behind what was told already."""
        self.ring.clear()
        self.units.clear()
        self._replaced = {}
        running = self.first is not None and self._told_before != _NEVER
        self.first = max(self.first or 0, self._told_before) if running else None
        self.labelled_from = None

    # --- inside -------------------------------------------------------------------------------------------------

    def _label_from(self, counter: int | None) -> None:
        self.labelled_from = counter
        if counter is not None:
            self.units.begin(counter)

    def _remember(self, old: TrainedUnits, units: UnitTables | None) -> None:
        """Keep the waveforms of units that go: their spikes stay, and are still judged by them."""
        stay = set() if units is None else set(units.labels.tolist())
        for row, label in enumerate(old.labels.tolist()):
            if label not in stay:
                self._replaced.pop(label, None)
                self._replaced[label] = old.waveforms_uv[row, :, old.sites[row]].copy()
        while len(self._replaced) > REPLACED:
            del self._replaced[next(iter(self._replaced))]

    def _filtered(self, block: Block) -> list[Block]:
        """Return the sorted columns behind the filters, contiguous."""
        blocks = [block]
        if self.chain is not None:
            if self._state is None:
                self._state = self.chain.start()
            blocks = self.chain.process(self._physical(block), self._state)
        chosen = self._chosen
        return [Block(np.ascontiguousarray(b.physical()[:, chosen], np.float32), b.start) for b in blocks if len(b)]

    @staticmethod
    def _physical(block: Block) -> Block:
        """Return a block in uV."""
        if block.gain is None or block.offset is None:
            return block
        samples = aligned_empty(block.samples.shape)
        scale(np.ascontiguousarray(block.samples), block.gain, block.offset, samples)
        return Block(samples, block.start)

    def _pieces(self, filtered: Block) -> list[SpikeTable]:
        """Look for spikes; thresholds and noise stay what they are within a piece, whatever the packets."""
        told: list[SpikeTable] = []
        x, at = filtered.samples, 0
        while at < len(x):
            n = min(self.finder.noise.left, len(x) - at)
            piece = filtered if n == len(x) else Block(x[at : at + n], filtered.start + at)
            sure = _FOREVER
            self.finder.bind()  # a new estimate of the noise holds for all of the piece
            if self._matcher is not None:
                spikes = self._labelled(self._matcher.process(piece))
                self._settling.labelled(spikes)
                told.append(spikes)
                sure = self._matcher.sure_before
            self._settling.found(self.finder.process(piece))
            told.append(self._settle(sure))
            at += n
        held_back = filtered.stop - self.finder.settings.hold
        if self._matcher is not None:
            held_back = min(held_back, self._matcher.sure_before - self._same)
        if self.labeller is not None:
            held_back = min(held_back, filtered.stop - self.labeller.after)
        self._told_before = max(self._told_before, held_back)
        return told

    def _labelled(self, spikes: SpikeTable) -> SpikeTable:
        """Mark the spikes that crossed the threshold of their site."""
        if len(spikes):
            low, high = self.finder.low_uv[spikes.site], self.finder.high_uv[spikes.site]
            spikes.flags[:] = (spikes.amplitude_uv <= low) | (spikes.amplitude_uv >= high)  # SpikeFlag.THRESHOLD
        return spikes

    def _settle(self, sure: int) -> SpikeTable:
        return self._settling.settle(self.finder.settings.near, self._same, sure)

    def _tell(self, parts: list[SpikeTable]) -> list[SpikeTable]:
        """Hand spikes on as they were decided."""
        told = [part for part in parts if len(part.counter)]
        if told:
            with self._storing:
                self._new += told
                self._new_count += sum(len(part.counter) for part in told)
            if self._sink is not None:
                for part in told:
                    self._sink(part)
            if self._new_count > _NEW:
                self._store()
        return told

    def _store(self) -> None:
        """Put what was told where it is looked for: many spikes at once, or when somebody looks."""
        with self._storing:
            new, self._new, self._new_count = self._new, [], 0
            table = SpikeTable.concatenate(new)
            self._ring.add(table)
            self._units.add(table)


class _Settling:
    """Threshold events that may still turn out to be spikes of known units, and the spikes that they may be."""

    def __init__(self) -> None:
        self._counters, self._sites = np.empty(_ROOM, np.int64), np.empty(_ROOM, np.int32)
        self._values, self._flags = np.empty(_ROOM, np.float32), np.empty(_ROOM, np.uint8)
        self._spike_counters, self._spike_sites = np.empty(_ROOM, np.int64), np.empty(_ROOM, np.int32)
        self._labels, self._scales = np.empty(_ROOM, np.int32), np.empty(_ROOM, np.float32)
        self._held = np.zeros(2, np.int64)
        self.use(None)

    def use(self, units: UnitTables | None) -> None:
        """Take the waveforms of other units."""
        self._waveforms, self._before = np.zeros((1, 1, 1), np.float32), 0
        self._row_of, self._place = np.full(1, -1, np.int32), np.zeros((1, 1), np.int32)
        if units is not None:
            self._place, self._waveforms, self._row_of = units.place, units.seen_uv, units.row_of
            self._before = units.trained.window.before
        labels = self._labels[: self._held[1]]
        labels[labels >= len(self._row_of)] = 0  # of units that are no more

    def found(self, events: SpikeTable) -> None:
        """Take events."""
        n, more = int(self._held[0]), len(events)
        if not more:
            return
        while n + more > len(self._counters):
            self._counters, self._sites, self._values, self._flags = (
                _longer(a) for a in (self._counters, self._sites, self._values, self._flags)
            )
        rows = slice(n, n + more)
        self._counters[rows], self._sites[rows] = events.counter, events.site
        self._values[rows], self._flags[rows] = events.amplitude_uv, events.flags
        self._held[0] += more

    def labelled(self, spikes: SpikeTable) -> None:
        """Take spikes of known units."""
        n, more = int(self._held[1]), len(spikes)
        if not more:
            return
        while n + more > len(self._spike_counters):
            self._spike_counters, self._spike_sites, self._labels, self._scales = (
                _longer(a) for a in (self._spike_counters, self._spike_sites, self._labels, self._scales)
            )
        rows = slice(n, n + more)
        self._spike_counters[rows], self._spike_sites[rows] = spikes.counter, spikes.site
        self._labels[rows], self._scales[rows] = spikes.label, spikes.scale
        self._held[1] += more

    def settle(self, near: I32, same: int, sure: int) -> SpikeTable:
        """Return the events that nothing can change any more, where spikes before ``sure`` are known."""
        waiting = int(self._held[0])
        if not waiting and self._held[1] < _MANY:
            return SpikeTable.empty()
        counter, site = np.empty(waiting, np.int64), np.empty(waiting, np.int32)
        value, flags = np.empty(waiting, np.float32), np.empty(waiting, np.uint8)
        told = settle_events(
            self._counters, self._sites, self._values, self._flags, self._spike_counters, self._spike_sites,
            self._labels, self._scales, self._held, near, self._row_of, self._place, self._waveforms, self._before,
            same, EXPLAINED_SHARE, sure, counter, site, value, flags,
        )  # fmt: skip
        if not told:
            return SpikeTable.empty()
        table = SpikeTable.empty(told)
        table.counter[:], table.site[:] = counter[:told], site[:told]
        table.amplitude_uv[:], table.flags[:] = value[:told], flags[:told]
        return table

    def forget(self) -> None:
        """Forget all."""
        self._held[:] = 0


def _longer(array: Any) -> Any:
    return np.concatenate([array, np.empty_like(array)])


_FOREVER, _NEVER = 1 << 62, -(1 << 62)
_ROOM = 1024
#: So many spikes are looked through even where no event waits: most are too old to matter.
_MANY = 256
#: Spikes that are told before they are stored.
_NEW = 500


def is_noise(table: SpikeTable) -> npt.NDArray[np.bool_]:
    """Return which spikes are taken for noise."""
    return (table.flags & np.uint8(SpikeFlag.NOISE)) > 0
