"""Metrics over time ranges: whole packets from where they are kept, edges from the signal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.metrics.definitions import DEFINITIONS
from ranvier.metrics.fold import Totals
from ranvier.metrics.packets import PacketGrid, PacketMaker, PacketTable
from ranvier.models.kpi import BundleStatId, ChannelReduction, KpiMetric, KpiMetricId, KpiMode

Floats = npt.NDArray[np.float64]
Range = tuple[int, int]

#: Most windows of a series.
MOST_WINDOWS = 1_000_000

#: Weight of the newest packet in AVG metrics, and for how long packets count in them.
DEFAULT_BETA = 0.1
DEFAULT_PERSISTENCE_SEC = 60.0


class Packets(Protocol):
    """Where whole packets are kept."""

    def get(self, first: int, stop: int) -> PacketTable:
        """Return the packets ``[first, stop)`` (grid indices), computing what is not there."""
        ...


class RangeMetrics:
    """Metrics of some channels over ranges of one stream.

    Parameters
    ----------
    maker
        Computes edges, and tells the grid and the stream.
    packets
        Whole packets of the maker's columns.
    rows
        Which of the maker's columns are asked for, in order.
    begin
        First counter of what there is packets of; None takes the recording's first.
    """

    def __init__(
        self,
        maker: PacketMaker,
        packets: Packets,
        rows: npt.NDArray[np.int64],
        *,
        beta: float = DEFAULT_BETA,
        persistence_sec: float = DEFAULT_PERSISTENCE_SEC,
        begin: int | None = None,
    ) -> None:
        self._maker = maker
        self._begin = maker.recording.start if begin is None else begin
        self._packets = packets
        self._rows = rows
        self._beta = beta
        self._persistence_sec = persistence_sec
        self.grid: PacketGrid = maker.grid
        self._samples = float(self.grid.dur * self.grid.fs)

    def values(self, metrics: Sequence[KpiMetricId], start: int, stop: int) -> Floats:
        """Return ``(channels, metrics)`` over counters ``[start, stop)``, which lie in the stream."""
        sources: dict[KpiMode, Callable[[KpiMetric], Floats]] = {}
        out = np.empty((len(self._rows), len(metrics)))
        for column, metric in enumerate(metrics):
            if metric.mode not in sources:
                sources[metric.mode] = self._source(metric.mode, start, stop)
            out[:, column] = sources[metric.mode](metric.name)
        return out

    def table(self, start: int, stop: int) -> PacketTable:
        """Return the packets of a range, the first and the last of them cut to it."""
        grid, recording = self.grid, self._maker.recording
        first, last = grid.index_of(start), grid.index_of(stop - 1) + 1
        head: list[PacketTable] = []
        tail: list[PacketTable] = []
        if start > max(grid.start_of(first), recording.start):
            head = [self._maker.make(first, start, stop)]
            first += 1
        if last > first and stop < min(grid.start_of(last), recording.stop):
            tail = [self._maker.make(last - 1, start, stop)]
            last -= 1
        whole = [self._packets.get(first, last)] if last > first else []
        parts = [part.take(self._rows) for part in (*head, *whole, *tail)]
        return PacketTable.concatenate(parts, len(self._rows))

    def windows(self, start: int, stop: int, window_sec: float | None) -> Iterator[Range]:
        """Yield the windows of a series: packets (None), or stretches of a duration from the start on.

        The last one ends with the range; ConfigurationError for a duration that is not positive.
        """
        grid = self.grid
        if window_sec is None:
            first, last = grid.index_of(start), grid.index_of(stop - 1)
            for i in range(first, last + 1):
                yield max(start, grid.start_of(i)), min(stop, grid.start_of(i + 1))
            return
        length = window_sec * float(grid.fs)
        if not (math.isfinite(window_sec) and length >= 1):
            raise ConfigurationError(f"windows last at least one sample, not {window_sec!r} s")
        count = math.ceil((stop - start) / length)
        if count > MOST_WINDOWS:
            raise ConfigurationError(
                f"{count} windows of {window_sec:g} s are more than {MOST_WINDOWS}; take longer ones"
            )
        for i in range(count):
            a, b = start + round(i * length), min(stop, start + round((i + 1) * length))
            if b > a:
                yield a, b

    def _source(self, mode: KpiMode, start: int, stop: int) -> Callable[[KpiMetric], Floats]:
        if mode == KpiMode.AVG:
            return self._average(stop)
        if mode == KpiMode.STREAM:
            start = self._begin
        totals = self._totals(self.table(start, stop), stop - start)
        return lambda name: DEFINITIONS[name].compute(totals)

    def _totals(self, table: PacketTable, span: int) -> Totals:
        return Totals(table, float(self.grid.fs), self._samples, span)

    def _average(self, stop: int) -> Callable[[KpiMetric], Floats]:
        """Return the weighted mean over the whole packets that end at or before ``stop``; newer ones weigh more.

        Age ``k`` weighs ``beta (1 - beta)^k``, over the sum of the weights of the packets that have a value.
        """
        grid = self.grid
        last = grid.index_of(stop)
        oldest = max(self._begin, stop - round(self._persistence_sec * float(grid.fs)))
        first = grid.index_of(oldest)
        first += oldest > self._begin and grid.start_of(first) < oldest
        table = self._packets.get(first, last).take(self._rows) if last > first else PacketTable.empty(0, 0)
        each = [self._totals(PacketTable(table.origin[i : i + 1], table.exact[i : i + 1], table.single[i : i + 1]),
                             grid.start_of(first + i + 1) - grid.start_of(first + i))
                for i in range(len(table))]  # fmt: skip
        weights = (1.0 - self._beta) ** np.arange(len(each))[::-1]

        def compute(name: KpiMetric) -> Floats:
            definition = DEFINITIONS[name]
            if not each or definition.is_time:
                return np.full(len(self._rows), np.nan)
            values = np.array([definition.compute(one) for one in each])
            weight = np.where(np.isfinite(values), weights[:, None], 0.0)
            norm = weight.sum(axis=0)
            summed = (np.nan_to_num(values) * weight).sum(axis=0)
            return np.where(norm > 0, summed / np.where(norm > 0, norm, 1.0), np.nan)

        return compute


def reduced(values: Floats, stats: Sequence[BundleStatId], metrics: Sequence[KpiMetric]) -> tuple[float, ...]:
    """Return metrics reduced over channels; channels without a value do not count (NaN where none has one)."""
    return tuple(_reduce(values[:, metrics.index(stat.metric)], stat.reduce) for stat in stats)


def _reduce(column: Floats, how: ChannelReduction) -> float:
    finite = column[np.isfinite(column)]
    if how == ChannelReduction.COUNT:
        return float(len(finite))
    if not len(finite):
        return math.nan
    functions: dict[ChannelReduction, Callable[[Floats], np.floating]] = {
        ChannelReduction.MEAN: np.mean, ChannelReduction.MAX: np.max, ChannelReduction.MIN: np.min,
        ChannelReduction.SUM: np.sum,
    }  # fmt: skip
    return float(functions[how](finite))
