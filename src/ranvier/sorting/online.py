"""The sorter of a stream: packets in, spikes out, in bounded memory; nothing here has a thread.

The stream is filtered with carried state, and threshold events are told by :class:`EventFinder`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from ranvier.dsp.chain import Chain, ChainState
from ranvier.dsp.operations import BandPass, CommonAverageReference, Operation
from ranvier.recordings.block import Block
from ranvier.recordings.channels import ChannelTable
from ranvier.sorting.event_finder import EventFinder, FinderSettings
from ranvier.sorting.spike_table import SpikeFlag, SpikeRing, SpikeTable

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Spikes that are remembered.
CAPACITY = 1_000_000
#: Filters in front where none were set: a causal band pass, and a common reference from so many channels on.
BAND_HZ, BAND_ORDER = (300.0, 6000.0), 3
REFERENCE_CHANNELS = 16
#: Sites of two shanks are no neighbours, wherever their probes say that they are.
_SHANK_STEP_UM = 1e6


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

    Parameters
    ----------
    sites
        What is sorted.
    chain
        Filters in front, bound to ``sites.channels``; None where the stream comes filtered.
    settings
        How threshold events are found.
    sink
        Given every spike once, in order, as it is told.
    """

    def __init__(
        self,
        sites: StreamSites,
        chain: Chain | None,
        settings: FinderSettings,
        *,
        capacity: int = CAPACITY,
        sink: Callable[[SpikeTable], None] | None = None,
    ) -> None:
        self.sites = sites
        self.finder = EventFinder(settings, float(sites.fs), len(sites.columns))
        self.ring = SpikeRing(capacity, len(sites.columns))
        self.chain = chain
        self.first: int | None = None
        self.next: int | None = None
        self.gaps = 0
        self._sink = sink
        first, count = int(sites.columns[0]), len(sites.columns)
        in_a_row = np.array_equal(sites.columns, np.arange(first, first + count))
        self._chosen: slice | I64 = slice(first, first + count) if in_a_row else sites.columns
        self._state: ChainState | None = None
        self._told_before = _NEVER

    @property
    def told_before(self) -> int:
        """Every spike before this counter was told."""
        return self._told_before

    def describe_filters(self) -> list[dict[str, Any]]:
        """Return the filters in front as plain data."""
        return [] if self.chain is None else self.chain.describe_stages()

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
        self.next = block.stop
        told += [self._tell(self.finder.process(filtered)) for filtered in self._filtered(block)]
        self._told_before = block.stop - self.finder.settings.hold
        return SpikeTable.concatenate(told)

    def flush(self) -> SpikeTable:
        """Tell what waits for samples that never come: the end of the stream, or a gap."""
        self._state, self._told_before = None, _NEVER
        return self._tell(self.finder.flush())

    def clear(self) -> None:
        """Forget the spikes."""
        self.ring.clear()
        self.first = None

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

    def _tell(self, spikes: SpikeTable) -> SpikeTable:
        if len(spikes):
            self.ring.add(spikes)
            if self._sink is not None:
                self._sink(spikes)
        return spikes


_NEVER = np.iinfo(np.int64).min


def default_filters(fs_hz: float, channels: int) -> list[Operation]:
    """Return what stands in front of the sorter where nobody said."""
    low, high = BAND_HZ
    operations: list[Operation] = [BandPass(low, min(high, 0.45 * fs_hz), order=BAND_ORDER)]
    if channels >= REFERENCE_CHANNELS:
        operations.append(CommonAverageReference())
    return operations


def near_sites(sites: ChannelTable, radius_um: float, most: int) -> I32:
    """Return each site and its neighbours on the same shank, nearest first: ``(sites, 1 + most)`` at most, -1 behind.

    A site without a position has none.
    """
    shanks: dict[tuple[object, ...], int] = {}
    places = np.zeros((len(sites), 2))
    for k, channel in enumerate(sites):
        key: tuple[object, ...] = (channel.port, channel.probe_id, channel.probe_idx, channel.shank)
        if channel.site is None:
            key = (*key, k)
        else:
            places[k] = channel.site.x_um, channel.site.y_um
        places[k, 0] += _SHANK_STEP_UM * shanks.setdefault(key, len(shanks))
    apart = cdist(places, places)
    np.fill_diagonal(apart, -1.0)  # itself first, also where two sites lie in one place
    order = np.argsort(apart, axis=1, kind="stable")[:, : 1 + most]
    near = np.where(np.take_along_axis(apart, order, axis=1) <= radius_um, order, -1).astype(np.int32)
    return np.ascontiguousarray(near)


def is_noise(table: SpikeTable) -> npt.NDArray[np.bool_]:
    """Return which spikes are taken for noise."""
    return (table.flags & np.uint8(SpikeFlag.NOISE)) > 0
