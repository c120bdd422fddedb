"""The last seconds of the stream: one writer, any number of readers, and nobody waits for anybody.

A time-major ring; row = counter modulo capacity. The writer first announces what it will overwrite (``_tail`` moves
up), then writes, then announces what is new (``_head`` moves up). A reader copies and then looks whether ``_tail``
passed the beginning of what it copied: those rows are not trusted and not served. Behind the promised length the ring
has a reserve (``RESERVE_SEC``), so that this happens to readers only that are much slower than the stream. Readers in
other processes map the ring and do the same (``lend``, ``kept``): nothing is copied for them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ranvier._shared import SharedMemory
from ranvier.exceptions import ConfigurationError, TimeRangeError
from ranvier.models.signals import SignalType
from ranvier.recordings.block import Block
from ranvier.recordings.buffers import aligned_empty
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.kernels import scale_selected
from ranvier.recordings.segments import Gap
from ranvier.services.signals import Lent

#: How much longer than promised the ring is.
RESERVE_SEC = 2.0

#: So many gaps are remembered; before the oldest of them the cache forgets its samples too.
MAX_GAPS = 4096

_PAGE_BYTES = 4096
_TOUCH_BYTES = 32 << 20


class Span(NamedTuple):
    """What the cache holds: counters ``[start, stop)`` of the stream number ``epoch``, and its gaps."""

    epoch: int
    start: int
    stop: int
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    """The memory of one stream; replaced as a whole. Rows of the ring may be wider than the stream."""

    epoch: int
    ring: npt.NDArray[Any]
    promised_rows: int
    gain: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    digital: npt.NDArray[np.bool_]
    token: str


class SignalCache:
    """The ring. ``begin`` and ``write`` are the pump's; everything else may be called by any thread at any time.

    Parameters
    ----------
    max_bytes
        The most memory that it takes; a promise that does not fit is shortened (see ``shortened_sec``).

    Attributes
    ----------
    persistence_sec
        For how long the cache remembers.
    shortened_sec
        What was asked for, where memory did not allow it, else 0.
    """

    def __init__(self, max_bytes: int = 4 * 2**30) -> None:
        self._max_bytes = max_bytes
        self._memory = SharedMemory(0)
        self._touched = 0
        self._layout: _Layout | None = None
        self._epoch = 0
        self._tail = self._head = 0
        self._first: int | None = None  # counter of the first sample of the stream
        self._gaps: tuple[Gap, ...] = ()
        self._news = threading.Condition()
        self._ended = True
        self.persistence_sec = 0.0
        self.shortened_sec = 0.0

    # --- the writer ---------------------------------------------------------------------------------------------

    def prepare(
        self, channels: ChannelTable, fs: Fraction, persistence_sec: float, *, counts: bool, limit_sec: float = 3.0
    ) -> None:
        """Take the memory of a coming stream, and touch it: the first touch of a page costs more than writing to it.

        Not while a stream runs. What takes longer than ``limit_sec`` is left to the writer.
        """
        capacity, _ = self._rows(channels, fs, persistence_sec, counts)
        size = capacity * _row_width(len(channels)) * (2 if counts else 4)
        self._make_room(size, channels, fs, persistence_sec)
        until = time.monotonic() + limit_sec
        while self._touched < size and time.monotonic() < until:
            self._memory.bytes[self._touched : self._touched + _TOUCH_BYTES : _PAGE_BYTES] = 0
            self._touched += _TOUCH_BYTES

    def _rows(self, channels: ChannelTable, fs: Fraction, persistence_sec: float, counts: bool) -> tuple[int, int]:
        """Return the rows of the ring, and how many of them are promised."""
        fits = self._max_bytes // (_row_width(len(channels)) * (2 if counts else 4))
        reserve = int(RESERVE_SEC * fs)
        promised = max(1, min(max(1, int(persistence_sec * fs)), fits - reserve))
        return promised + reserve, promised

    def _make_room(self, size: int, channels: ChannelTable, fs: Fraction, persistence_sec: float) -> None:
        if len(self._memory.bytes) >= size:
            return
        # room for float32 from the start (untouched memory costs nothing): filters may come while it streams
        rows = int((persistence_sec + RESERVE_SEC) * fs) + 1
        room = min(self._max_bytes, rows * _row_width(len(channels)) * 4)
        self._memory = SharedMemory(max(room, size))
        self._touched = 0

    def clear(self) -> None:
        """Forget everything: a stream begins, or goes on as something else."""
        self._layout = None
        self._epoch += 1
        self._tail = self._head = 0
        self._first = None
        self._gaps = ()
        self._ended = False

    def begin(self, channels: ChannelTable, fs: Fraction, persistence_sec: float, *, counts: bool) -> None:
        """Take blocks of this kind from now on: int16 counts, or physical float32; what was held is forgotten."""
        capacity, promised = self._rows(channels, fs, persistence_sec, counts)
        dtype = np.dtype(np.int16 if counts else np.float32)
        width = _row_width(len(channels))
        row_bytes = width * dtype.itemsize
        self.persistence_sec = float(promised / fs)
        self.shortened_sec = persistence_sec if promised < int(persistence_sec * fs) else 0.0
        self._make_room(capacity * row_bytes, channels, fs, persistence_sec)
        ring = self._memory.bytes[: capacity * row_bytes].view(dtype).reshape(capacity, width)
        if self._first is not None:
            self.clear()
        self._layout = _Layout(
            self._epoch, ring, promised, channels.gains, channels.offsets, channels.is_digital, self._memory.token
        )

    def write(self, block: Block) -> None:
        """Append a block; its counter must not lie before the head. Never waits."""
        layout = self._layout
        if layout is None:
            raise ConfigurationError("the cache has no stream yet: begin() comes first")
        n, ring = len(block), layout.ring[:, : block.samples.shape[1]]
        if n == 0:
            return
        if self._first is None:
            self._tail = self._head = self._first = block.start
        elif block.start > self._head:
            self._note_gap(Gap(self._head, block.start))
        capacity = len(ring)
        samples, at = block.samples, block.start
        if n > capacity:
            samples, at = samples[n - capacity :], block.stop - capacity
        self._tail = min(max(self._tail, block.stop - capacity), block.stop)
        row = at % capacity
        fit = min(len(samples), capacity - row)
        ring[row : row + fit] = samples[:fit]
        if fit < len(samples):
            ring[: len(samples) - fit] = samples[fit:]
        self._head = block.stop
        self._wake()

    def end(self) -> None:
        """Say that no more comes; what is held stays readable until the next ``begin``."""
        self._ended = True
        with self._news:
            self._news.notify_all()

    def _note_gap(self, gap: Gap) -> None:
        capacity = 0 if self._layout is None else len(self._layout.ring)
        kept = [g for g in self._gaps if g.stop > gap.stop - capacity]
        if len(kept) >= MAX_GAPS:
            self._tail = max(self._tail, kept[0].stop)
            del kept[0]
        self._gaps = (*kept, gap)

    def _wake(self) -> None:
        # a reader that holds the lock just now looks again by itself within its polling time
        if self._news.acquire(blocking=False):
            try:
                self._news.notify_all()
            finally:
                self._news.release()

    # --- readers ------------------------------------------------------------------------------------------------

    @property
    def head(self) -> int:
        """Counter after the newest sample."""
        return self._head

    @property
    def epoch(self) -> int:
        """Number of the stream: another one after every ``begin``."""
        return self._epoch

    @property
    def first(self) -> int | None:
        """Counter of the first sample since ``begin``; None while there is none."""
        return self._first

    @property
    def stores_counts(self) -> bool:
        """Whether int16 counts are held."""
        layout = self._layout
        return layout is not None and layout.ring.dtype == np.int16

    def span(self) -> Span:
        """Return what is held (an empty range before the first sample)."""
        layout = self._layout
        if layout is None or self._first is None:
            return Span(self._epoch, 0, 0, ())
        stop = self._head
        start = max(self._tail, stop - layout.promised_rows)
        return Span(layout.epoch, start, stop, self.gaps_in(start, stop))

    def gaps_in(self, start: int, stop: int) -> tuple[Gap, ...]:
        """Return the gaps in a range, clipped to it."""
        return tuple(
            Gap(max(g.start, start), min(g.stop, stop)) for g in self._gaps if g.start < stop and g.stop > start
        )

    def oldest(self) -> int:
        """Return the oldest counter that can still be read by someone who follows the stream (the reserve included)."""
        return self._tail

    def wait_beyond(self, counter: int, epoch: int, timeout_sec: float) -> bool:
        """Wait until samples behind ``counter`` are there; False after the time-out, or where the stream ended."""
        with self._news:
            if self._head <= counter and not self._ended and self._epoch == epoch:
                self._news.wait(timeout_sec)
        return self._head > counter and self._epoch == epoch

    @property
    def ended(self) -> bool:
        """Whether no more comes."""
        return self._ended

    def lend(self, span: Span, columns: Mapping[SignalType, npt.NDArray[np.int64]]) -> Lent | None:
        """Return where the stream of a span lies in shared memory; None where it does not, or another one began."""
        layout = self._layout
        if layout is None or not layout.token or layout.epoch != span.epoch:
            return None
        rows, width = layout.ring.shape
        return Lent(layout.token, layout.epoch, rows, width, layout.ring.dtype.name, columns)

    def kept(self, epoch: int) -> int | None:
        """Return the oldest counter of a stream that was not overwritten yet; None where another one began."""
        tail, layout = self._tail, self._layout
        return tail if layout is not None and layout.epoch == epoch == self._epoch else None

    def scaling(self, columns: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return gain and offset of the counts of some columns."""
        layout = self._layout
        if layout is None:
            raise TimeRangeError("no stream is held")
        return layout.gain[columns], layout.offset[columns]

    def read(
        self,
        start: int,
        stop: int,
        columns: npt.NDArray[np.int64],
        *,
        counts: bool = False,
        epoch: int | None = None,
        out: npt.NDArray[Any] | None = None,
    ) -> Block:
        """Copy counters ``[start, stop)`` of some columns: physical float32, or int16 counts as they are held.

        Missing samples are NaN (0 where digital), or count 0. What was overwritten meanwhile is left out at the front:
        the block's ``start`` tells.

        Raises
        ------
        TimeRangeError
            If nothing of the range is held any more, or yet.
        ConfigurationError
            If counts are asked for and not held.
        """
        layout = self._layout
        if layout is None or (epoch is not None and epoch != layout.epoch):
            raise TimeRangeError("that stream has ended and another one began: its samples are gone")
        if counts and layout.ring.dtype != np.int16:
            raise ConfigurationError("the cache holds filtered float32 samples, not counts; read without counts=True")
        first, last = max(start, self._tail), min(stop, self._head)
        if last <= first:
            raise TimeRangeError(
                f"samples [{start}, {stop}) are not in the live cache, which holds [{self._tail}, {self._head})"
            )
        wanted = np.dtype(np.int16 if counts else np.float32)
        samples = aligned_empty((last - first, len(columns)), wanted) if out is None else out[: last - first]
        gain, offset = layout.gain[columns], layout.offset[columns]
        for row, at, n in _pieces(first, last, len(layout.ring)):
            _copy(layout.ring[row : row + n], columns, gain, offset, samples[at - first : at - first + n])
        gaps = self._gaps  # published before the head moved over them, so at least those of the range
        if self._layout is not layout:
            raise TimeRangeError("the stream was started anew while it was read: its samples are gone")
        lost = self._tail - first
        if lost > 0:
            if first + lost >= last:
                raise TimeRangeError(f"samples [{start}, {stop}) left the live cache while they were read")
            samples, first = samples[lost:], first + lost
        for gap in gaps:
            a, b = max(gap.start, first), min(gap.stop, last)
            if b > a:
                _blank(samples[a - first : b - first], layout.digital[columns])
        return Block(samples, first, gain, offset) if counts else Block(samples, first)


def _row_width(channels: int) -> int:
    """Return how many columns a row of the ring has: many channels begin every row with a cache line of its own, few
    with a multiple of 8 bytes.
    """
    unit = 32 if channels >= 256 else 4
    return -(-max(1, channels) // unit) * unit


def _pieces(start: int, stop: int, capacity: int) -> list[tuple[int, int, int]]:
    """Return ``(row, counter, n)`` of the one or two pieces of the ring that hold a range."""
    row = start % capacity
    fit = min(stop - start, capacity - row)
    pieces = [(row, start, fit)]
    if fit < stop - start:
        pieces.append((0, start + fit, stop - start - fit))
    return pieces


def _copy(
    rows: npt.NDArray[Any],
    columns: npt.NDArray[np.int64],
    gain: npt.NDArray[np.float64],
    offset: npt.NDArray[np.float64],
    out: npt.NDArray[Any],
) -> None:
    """Copy or scale some columns without holding the interpreter."""
    follow = len(columns) > 0 and bool(np.all(np.diff(columns) == 1))
    if rows.dtype == out.dtype:
        if follow:
            out[:] = rows[:, columns[0] : columns[0] + len(columns)]
        else:
            np.take(rows, columns, axis=1, out=out, mode="clip")
    else:
        scale_selected(rows, columns, gain, offset, out)


def _blank(rows: npt.NDArray[Any], digital: npt.NDArray[np.bool_]) -> None:
    if rows.dtype == np.int16:
        rows[:] = 0
    else:
        rows[:] = np.nan
        rows[:, digital] = 0.0
