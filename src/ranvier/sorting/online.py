"""The sorter of a stream: packets in, spikes out, in bounded memory; nothing here has a thread.

The stream is filtered with carried state, threshold events are told by :class:`EventFinder`, spikes of known units by
:class:`StreamMatcher`, and both are put together. What is learned from is kept on a tape; who learns, and when, is the
business of the driver: it hands trained units in with :meth:`OnlineSorter.use`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp.chain import Chain, ChainState
from ranvier.recordings.block import Block
from ranvier.recordings.channels import ChannelTable
from ranvier.sorting.event_finder import EventFinder, FinderSettings
from ranvier.sorting.event_kernels import absorb_events, explain_events
from ranvier.sorting.snippets import SignalTail
from ranvier.sorting.spike_table import SpikeFlag, SpikeRing, SpikeTable
from ranvier.sorting.stream_matcher import StreamMatcher
from ranvier.sorting.tape import TrainingTape
from ranvier.sorting.tracking import Follower
from ranvier.sorting.trained import TrainedUnits
from ranvier.sorting.unit_statistics import UnitStatistics

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Spikes are told some ten milliseconds after they came: so far back their waveforms can be had.
TAIL_SEC = 0.25
#: Spikes that are remembered.
CAPACITY = 1_000_000
#: A threshold event this near to a labelled spike, on the same or a neighbouring site, is that spike.
SAME_SEC = 0.4e-3
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

    ``tail`` keeps the newest filtered samples, for whoever wants waveforms of spikes that are told.

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
    sink
        Given every spike once, in order, as it is told.
    """

    def __init__(
        self,
        sites: StreamSites,
        chain: Chain | None,
        settings: FinderSettings,
        *,
        tape: TrainingTape | None = None,
        capacity: int = CAPACITY,
        sink: Callable[[SpikeTable], None] | None = None,
    ) -> None:
        self.sites = sites
        self.finder = EventFinder(settings, float(sites.fs), len(sites.columns))
        self.ring = SpikeRing(capacity, len(sites.columns))
        self.units = UnitStatistics(float(sites.fs))
        self.chain = chain
        self.tape = tape
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
        self._events: list[SpikeTable] = []
        self._labelled: list[SpikeTable] = []
        self._told_before = _NEVER

    @property
    def told_before(self) -> int:
        """Every spike before this counter was told."""
        return self._told_before

    @property
    def trained(self) -> TrainedUnits | None:
        """The units that spikes are given to."""
        return None if self._matcher is None else self._matcher.trained

    def describe_filters(self) -> list[dict[str, Any]]:
        """Return the filters in front as plain data."""
        return [] if self.chain is None else self.chain.describe_stages()

    @property
    def follower(self) -> Follower | None:
        """What is known of how the units change; None while they are not followed."""
        return None if self._matcher is None else self._matcher.follower

    def use(self, trained: TrainedUnits | None, *, follow: bool = False) -> None:
        """Give spikes to other units from the next block on; spikes that are told keep their labels.

        With ``follow`` it is collected how they change (see :mod:`ranvier.sorting.tracking`).
        """
        before = self._matcher
        if before is not None and trained is not None and _same_signal(before.trained, trained):
            self._matcher = before.moved_to(trained, follow=follow)
            return
        if before is not None:
            self._labelled.append(before.flush())
        if trained is not None and before is None:
            self.labelled_from = self.next
        self._matcher = None if trained is None else StreamMatcher(trained, float(self.sites.fs), follow=follow)

    def process(self, block: Block) -> SpikeTable:
        """Take the next block of the stream and return the spikes that can be told now.

        A jump of the counter restarts filters and searches; counters that begin anew (lower ones) forget the spikes.
        """
        told: list[SpikeTable] = []
        if self.next is not None and block.start != self.next:
            told.append(self.flush())
            self.gaps += block.start > self.next
            if block.start < self.next:
                self.clear()
        if self.first is None:
            self.first = block.start
        if self.labelled_from is None and self._matcher is not None:
            self.labelled_from = block.start
        self.next = block.stop
        for filtered in self._filtered(block):
            self._events.append(self.finder.process(filtered))
            if self.tape is not None:
                self.tape.add(filtered.samples)
            self.tail.add(filtered)
            if self._matcher is not None:
                self._labelled.append(self._matcher.process(filtered))
        sure = block.stop - self.finder.settings.hold
        if self._matcher is not None:
            sure = min(sure, self._matcher.sure_before)
        if (before := sure - 2 * self._same) > self._told_before:
            told.append(self._tell(before))
        return SpikeTable.concatenate(told)

    def flush(self) -> SpikeTable:
        """Tell what waits for samples that never come: the end of the stream, or a gap."""
        self._events.append(self.finder.flush())
        if self._matcher is not None:
            self._labelled.append(self._matcher.flush())
        if self.tape is not None:
            self.tape.cut()
        self._state = None
        told = self._tell(_FOREVER)
        self._events, self._labelled, self._told_before = [], [], _NEVER
        return told

    def clear(self) -> None:
        """Forget the spikes; units stay. In mid-stream the next ones lie behind what was told already."""
        self.ring.clear()
        self.units.clear()
        running = self.first is not None and self._told_before != _NEVER
        self.first = max(self.first or 0, self._told_before) if running else None
        self.labelled_from = None

    # --- inside -------------------------------------------------------------------------------------------------

    def _filtered(self, block: Block) -> list[Block]:
        """Return the sorted columns behind the filters, contiguous."""
        blocks = [block]
        if self.chain is not None:
            if self._state is None:
                self._state = self.chain.start()
            physical = block if not block.is_counts else Block(block.physical(), block.start)
            blocks = self.chain.process(physical, self._state)
        chosen = self._chosen
        return [Block(np.ascontiguousarray(b.physical()[:, chosen], np.float32), b.start) for b in blocks if len(b)]

    def _tell(self, before: int) -> SpikeTable:
        """Put events and labelled spikes together, and tell those before a counter: all around them is known."""
        events, spikes = (
            SpikeTable.concatenate(self._events).ordered(),
            SpikeTable.concatenate(self._labelled).ordered(),
        )
        near, same = self.finder.settings.near, self._same
        judged = len(events) if before == _FOREVER else int(np.searchsorted(events.counter, before + same))
        if not len(events) and not len(spikes):
            self._told_before, self._events, self._labelled = before, [], []
            return events
        absorbed = np.zeros(len(events), np.uint8)
        absorb_events(
            events.counter[:judged],
            events.site[:judged],
            spikes.counter,
            spikes.site,
            near,
            same,
            absorbed,
            spikes.flags,
        )
        absorbed[:judged] |= self._explained(events.take(slice(0, judged)), spikes)
        now = (spikes.counter >= self._told_before) & (spikes.counter < before)
        early = events.counter < before
        told = SpikeTable.concatenate([events.take(early & (absorbed == 0)), spikes.take(now)]).ordered()
        self._told_before = before
        self._events = [events.take(~early)]
        reach = same if self._matcher is None else max(same, self._matcher.trained.window.samples)
        self._labelled = [spikes.take(spikes.counter >= before - reach)]  # later events may be parts of these spikes
        if len(told):
            self.ring.add(told)
            self.units.add(told)
            if self._sink is not None:
                self._sink(told)
        return told

    def _explained(self, events: SpikeTable, spikes: SpikeTable) -> npt.NDArray[np.uint8]:
        """Return which events are what known spikes look like there: their afterwaves, mostly."""
        if self._matcher is None or not len(events) or not len(spikes):
            return np.zeros(len(events), np.uint8)
        trained = self._matcher.trained
        rows = np.full(int(max(trained.labels.max(initial=0), spikes.label.max())) + 1, -1, np.int32)
        rows[trained.labels] = np.arange(len(trained), dtype=np.int32)
        values = np.empty(len(events), np.float32)
        explain_events(
            events.counter,
            events.site,
            spikes.counter,
            rows[spikes.label],
            spikes.scale,
            trained.waveforms_uv,
            trained.window.before,
            values,
        )
        return (values / events.amplitude_uv >= EXPLAINED_SHARE).astype(np.uint8)


_FOREVER, _NEVER = np.iinfo(np.int64).max, np.iinfo(np.int64).min


def _same_signal(a: TrainedUnits, b: TrainedUnits) -> bool:
    """Return whether what is left of the signal for some units is what is left of it for others."""
    return a.whitening is b.whitening and a.window == b.window and np.array_equal(a.labels, b.labels)


def is_noise(table: SpikeTable) -> npt.NDArray[np.bool_]:
    """Return which spikes are taken for noise."""
    return (table.flags & np.uint8(SpikeFlag.NOISE)) > 0
