"""Packets: the stream of each channel cut on a fixed grid, each piece reduced to statistics that can be merged."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp.parallel import ALONE, Team
from ranvier.exceptions import ConfigurationError
from ranvier.metrics.event_levels import EventLevels
from ranvier.metrics.packet_columns import EMPTY_SINGLE, NUM_EXACT, NUM_SINGLE
from ranvier.metrics.packet_kernels import packet_rows
from ranvier.metrics.row_kernels import GROUP
from ranvier.recordings import Block, Recording

I64 = npt.NDArray[np.int64]

DEFAULT_PACKET_SEC = 1.0
#: Shortest and longest packet.
PACKET_RANGE_SEC = (0.01, 60.0)

_LINE_BYTES = 64


@dataclass(frozen=True, slots=True)
class PacketGrid:
    """Packet ``i`` holds the counters from ``ceil(i * dur * fs)`` on: counted from sample counter 0, for any stream."""

    fs: Fraction
    dur: Fraction
    _samples: Fraction = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_samples", self.fs * self.dur)

    @classmethod
    def of(cls, fs: Fraction, packet_dur_sec: float) -> PacketGrid:
        """Return the grid of a duration; ConfigurationError where that cannot be meant."""
        low, high = PACKET_RANGE_SEC
        if not (math.isfinite(packet_dur_sec) and low <= packet_dur_sec <= high):
            raise ConfigurationError(f"packets last {low:g} to {high:g} s, not {packet_dur_sec!r}")
        grid = cls(Fraction(fs), Fraction(str(packet_dur_sec)))
        if grid.fs * grid.dur < 2 or grid.fs * grid.dur >= 2**24:
            raise ConfigurationError(
                f"packets of {packet_dur_sec:g} s at {float(fs):g} Hz hold too few or many samples"
            )
        return grid

    def start_of(self, index: int) -> int:
        """Return the first counter of a packet."""
        return -(-int(index) * self._samples.numerator // self._samples.denominator)

    def starts_of(self, first: int, stop: int) -> I64:
        """Return the first counters of the packets ``[first, stop)``."""
        samples = self._samples
        if max(abs(first), abs(stop)) * samples.numerator < 2**62:
            return -(-np.arange(first, stop, dtype=np.int64) * samples.numerator // samples.denominator)
        return np.array([self.start_of(i) for i in range(first, stop)], np.int64)

    def index_of(self, counter: int) -> int:
        """Return the packet that holds a counter."""
        index = int(counter) * self._samples.denominator // self._samples.numerator
        return index + 1 if self.start_of(index + 1) <= counter else index


@dataclass(frozen=True, slots=True, eq=False)
class PacketTable:
    """Statistics of packets, or of parts of them, in time order.

    Attributes
    ----------
    origin
        ``(packets,)``: counter of the start of each one's grid cell; positions count from it.
    exact, single
        ``(packets, NUM_EXACT, channels)`` float64, ``(packets, NUM_SINGLE, channels)`` float32: see
        :mod:`ranvier.metrics.packet_columns`. They may be mapped from a file.
    """

    origin: I64
    exact: npt.NDArray[np.float64]
    single: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.origin)

    @classmethod
    def empty(cls, packets: int, channels: int) -> PacketTable:
        """Return packets that hold nothing."""
        single = np.empty((packets, NUM_SINGLE, channels), np.float32)
        single[:] = np.array(EMPTY_SINGLE, np.float32)[:, None]
        return cls(np.zeros(packets, np.int64), np.zeros((packets, NUM_EXACT, channels)), single)

    @classmethod
    def concatenate(cls, parts: Iterable[PacketTable], channels: int) -> PacketTable:
        """Return the packets of several tables as one."""
        held = [p for p in parts if len(p)] or [cls.empty(0, channels)]
        if len(held) == 1:
            return held[0]
        return cls(
            np.concatenate([p.origin for p in held]),
            np.concatenate([p.exact for p in held]),
            np.concatenate([p.single for p in held]),
        )

    def take(self, rows: I64) -> PacketTable:
        """Return the statistics of some channels."""
        if len(rows) == self.exact.shape[2] and np.array_equal(rows, np.arange(len(rows))):
            return self
        return PacketTable(self.origin, self.exact[:, :, rows], self.single[:, :, rows])


class PacketMaker:
    """Computes packets of a recording, or parts of them; each depends on its own samples and a margin only.

    Parameters
    ----------
    recording
        What to measure, after filters; its channels are chosen by ``columns``.
    levels
        Event parameters of these columns.
    """

    def __init__(
        self, recording: Recording, columns: I64, levels: EventLevels, grid: PacketGrid, team: Team = ALONE
    ) -> None:
        self.recording = recording
        self.columns = columns
        self.levels = levels
        self.grid = grid
        self.team = team
        self._ones, self._zeros = np.ones(len(columns)), np.zeros(len(columns))
        self._memory = threading.local()

    def make(self, index: int, start: int | None = None, stop: int | None = None) -> PacketTable:
        """Return packet ``index``, or the part of it in ``[start, stop)``, as a table of one."""
        table = PacketTable.empty(1, len(self.columns))
        self.fill(index, table, 0, start, stop)
        return table

    def fill(self, index: int, table: PacketTable, row: int, start: int | None = None, stop: int | None = None) -> None:
        """Write packet ``index`` into a row of a table that is empty there."""
        origin, end = self.grid.start_of(index), self.grid.start_of(index + 1)
        table.origin[row] = origin
        recording = self.recording
        first, last = max(origin, recording.start), min(end, recording.stop)
        a, b = max(first, first if start is None else start), min(last, last if stop is None else stop)
        if b <= a or not len(self.columns):
            return
        begin, beyond = max(recording.start, first - self.levels.lead), min(recording.stop, last + self.levels.tail)
        block = self._read(begin, beyond)
        samples, at = np.ascontiguousarray(block.samples), block.start  # a live cache may have moved on
        gain, offset = (
            (self._ones, self._zeros) if block.gain is None or block.offset is None else (block.gain, block.offset)
        )
        levels, exact, single = self.levels, table.exact[row], table.single[row]

        def work(left: int, right: int) -> None:
            packet_rows(
                samples, gain, offset, left, right, max(0, first - at), last - at, max(0, a - at), b - at, origin - at,
                levels.levels, levels.in_sd, levels.wings, exact, single,
            )  # fmt: skip

        self.team.each(work, self.team.shares(len(self.columns), multiple=GROUP))

    def _read(self, start: int, stop: int) -> Block:
        """Return samples, as counts where that says all: half the memory to move."""
        recording = self.recording
        if recording.stores_counts and not any(g.start < stop and g.stop > start for g in recording.segments.gaps):
            return recording.read_counts(start, stop, self.columns, out=self._room(stop - start, np.int16))
        return recording.read(start, stop, self.columns, out=self._room(stop - start, np.float32))

    def _room(self, rows: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
        """Return this thread's memory: fresh pages for every packet would cost as much as measuring it."""
        held: npt.NDArray[Any] | None = getattr(self._memory, "held", None)
        if held is None or len(held) < rows or held.dtype != dtype:
            held = self._memory.held = _on_lines((rows + 2, len(self.columns)), np.dtype(dtype))
        return held

    def is_final(self, index: int) -> bool:
        """Whether nothing that still comes can change a packet."""
        return self.grid.start_of(index + 1) + self.levels.tail <= self.recording.stop


def _on_lines(shape: tuple[int, int], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return memory that begins with a line of the cache: columns that are turned together lie in as few as can be."""
    room = np.empty(shape[0] * shape[1] * dtype.itemsize + _LINE_BYTES, np.uint8)
    skip = -room.ctypes.data % _LINE_BYTES
    return room[skip : skip + shape[0] * shape[1] * dtype.itemsize].view(dtype).reshape(shape)
