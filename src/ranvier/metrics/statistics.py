"""Statistics per channel over packets of one second: one pass, bounded memory, the same for any chunking."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import DataProcessingError
from ranvier.metrics import kernels as k
from ranvier.metrics.packet_columns import MAD_OF_NORMAL
from ranvier.metrics.packets import PacketGrid
from ranvier.recordings.block import Block

Floats = npt.NDArray[np.float64]

#: Packets whose noise is kept; longer recordings keep every second, fourth, ... one (memory is bounded).
KEPT_PACKETS = 4096
#: An extreme value is a clipping level where it occurs this many times as often as the value next to it ...
PLATEAU_RATIO = 8.0
#: ... and the channel's range is at least this: no amplifier clips closer, but idle ones toggle between few counts.
PLATEAU_RANGE_UV = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class ChannelStatistics:
    """What :func:`ranvier.metrics.measure` finds; arrays have one entry per column, NaN where nothing was measured.

    Attributes
    ----------
    columns
        Columns of the recording, in the order asked, int64.
    fs, start, stop
        Rate in Hz, and the counters ``[start, stop)`` that were measured.
    n
        Finite samples, int64. Gaps and NaN are left out of everything here.
    mean_uv, rms_uv, sd_uv
        Mean; root of the mean of squares (about 0); standard deviation (about the mean, divided by n).
    noise_uv
        Median over packets of ``median(|x - median(x)|) / 0.6745``, each packet being one second counted from sample
        counter 0: the standard deviation of normal noise, hardly moved by spikes and short artifacts (Quiroga, Nadasdy,
        Ben-Shaul 2004, Neural Comput 16:1661). Packets that are less than half filled count only where no other is.
        Of recordings of more than 4096 packets, evenly spaced ones (at least 2048) are used. Of unfiltered counts it
        has steps of gain / 0.6745 (Intan: 0.29 uV), as any median of whole numbers.
    min_uv, max_uv
        Extremes.
    saturated_fraction
        Share of samples at the rails: at 98 % of the converter's range or beyond, where the file tells that range; else
        (or where larger) at the channel's own clipping levels, which show as an extreme value that recurs 8 times as
        often as its neighbour in a range of 100 uV or more. Filters smear clipping: measure it on raw data.
    flat_fraction
        Share of neighbouring samples that are equal.
    packets
        Packets that held any sample.
    """

    columns: npt.NDArray[np.int64]
    fs: Fraction
    start: int
    stop: int
    n: npt.NDArray[np.int64]
    mean_uv: Floats
    rms_uv: Floats
    sd_uv: Floats
    noise_uv: Floats
    min_uv: Floats
    max_uv: Floats
    saturated_fraction: Floats
    flat_fraction: Floats
    packets: int


class ChannelMeter:
    """Measures blocks as they come, e.g. those of a file or of a chain of filters.

    Packets of one second are counted from sample counter 0 and reduced when they are complete, in order: the result
    has the same bits for any size of the blocks.

    Parameters
    ----------
    fs
        Sampling rate, exact.
    columns
        Columns that the blocks hold.
    low_uv, high_uv
        Per column, the limits of the converter, where known.
    workers
        Threads; they share the channels, so the result does not depend on them.
    """

    def __init__(
        self,
        fs: Fraction,
        columns: npt.NDArray[np.int64],
        *,
        low_uv: Floats | None = None,
        high_uv: Floats | None = None,
        workers: int = 1,
    ) -> None:
        self.fs = fs
        self._grid = PacketGrid(fs, Fraction(1))
        self.columns = np.asarray(columns, dtype=np.int64)
        channels = len(self.columns)
        self._low, self._high = _near_rails(channels, low_uv, high_uv)
        self._packet = np.full((channels, int(fs) + 1), np.nan, dtype=np.float32)
        self._table = np.empty((channels, k.COLUMNS))
        self._totals = _empty(channels)
        self._index: int | None = None  # of the packet being filled
        self._start: int | None = None
        self._stop = 0
        self._kept: list[tuple[int, Floats, Floats]] = []  # index, finite samples and MAD per channel
        self._stride = 1
        self._packets = 0
        self._parts = np.array_split(np.arange(channels), max(1, min(workers, channels)))
        self._pool = ThreadPoolExecutor(len(self._parts)) if len(self._parts) > 1 else None

    def add(self, block: Block) -> None:
        """Take the next block; its counters must not run backwards (a jump is a gap)."""
        if self._start is None:
            self._start = self._stop = block.start
        if block.start < self._stop:
            raise DataProcessingError(f"blocks overlap: sample {block.start} came after sample {self._stop - 1}")
        samples = block.physical()
        at = block.start
        while at < block.stop:
            index = self._grid.index_of(at)
            if index != self._index:
                self._reduce()
                self._index = index
            first, last = self._grid.start_of(index), self._grid.start_of(index + 1)
            upto = min(block.stop, last)
            self._packet[:, at - first : upto - first] = samples[at - block.start : upto - block.start].T
            at = upto
        self._stop = block.stop

    def finish(self) -> ChannelStatistics:
        """Reduce what is left and return the statistics."""
        self._reduce()
        if self._pool is not None:
            self._pool.shutdown()
        t = self._totals
        n = t[:, k.COUNT]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(n > 0, t[:, k.MEAN], np.nan)
            variance = t[:, k.M2] / n
            flat = np.where(t[:, k.PAIRS] > 0, t[:, k.SAME] / t[:, k.PAIRS], 0.0)
        return ChannelStatistics(
            columns=self.columns,
            fs=self.fs,
            start=self._start or 0,
            stop=self._stop,
            n=n.astype(np.int64),
            mean_uv=mean,
            rms_uv=np.sqrt(mean * mean + variance),
            sd_uv=np.sqrt(variance),
            noise_uv=self._noise(),
            min_uv=np.where(n > 0, t[:, k.MIN], np.nan),
            max_uv=np.where(n > 0, t[:, k.MAX], np.nan),
            saturated_fraction=_saturated(t),
            flat_fraction=flat,
            packets=self._packets,
        )

    def _reduce(self) -> None:
        """Reduce the packet in memory into the totals."""
        if self._index is None:
            return
        if self._pool is None:
            k.packet_table(self._packet, self._low, self._high, self._table)
        else:
            list(self._pool.map(self._reduce_part, self._parts))
        self._totals = _merged(self._totals, self._table)
        self._packets += 1
        self._keep(self._index, self._table[:, k.COUNT].copy(), self._table[:, k.MAD].copy())
        self._packet.fill(np.nan)
        self._index = None

    def _reduce_part(self, rows: npt.NDArray[np.int64]) -> None:
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        k.packet_table(self._packet[part], self._low[part], self._high[part], self._table[part])

    def _keep(self, index: int, count: Floats, mad: Floats) -> None:
        if index % self._stride == 0:
            self._kept.append((index, count, mad))
        if len(self._kept) > KEPT_PACKETS:
            self._stride *= 2
            self._kept = [entry for entry in self._kept if entry[0] % self._stride == 0]

    def _noise(self) -> Floats:
        noise = np.full(len(self.columns), np.nan)
        if not self._kept:
            return noise
        count = np.array([entry[1] for entry in self._kept])
        mad = np.array([entry[2] for entry in self._kept])
        for c in range(len(noise)):
            whole = count[:, c] >= float(self.fs) / 2
            used = mad[whole if whole.any() else count[:, c] > 0, c]
            if len(used):
                noise[c] = np.median(used) / MAD_OF_NORMAL
        return noise


def _near_rails(
    channels: int, low_uv: Floats | None, high_uv: Floats | None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the levels beyond which a sample counts as at the rails: 98 % of the range, as IBL's ibldsp does."""
    if low_uv is None or high_uv is None:
        unknown = np.full(channels, np.inf, dtype=np.float32)
        return -unknown, unknown
    middle, half = (low_uv + high_uv) / 2, np.abs(high_uv - low_uv) / 2
    return (middle - 0.98 * half).astype(np.float32), (middle + 0.98 * half).astype(np.float32)


def _empty(channels: int) -> Floats:
    """Return the totals of no samples."""
    totals = np.zeros((channels, k.COLUMNS))
    totals[:, [k.MIN, k.MIN_2]] = np.inf
    totals[:, [k.MAX, k.MAX_2]] = -np.inf
    return totals


def _merged(a: Floats, b: Floats) -> Floats:
    """Return the totals of two packet tables (or totals): means and squares as Chan, Golub, LeVeque 1983."""
    merged = a + b  # counts add; the other columns follow
    n = np.maximum(merged[:, k.COUNT], 1.0)
    difference = b[:, k.MEAN] - a[:, k.MEAN]
    merged[:, k.MEAN] = a[:, k.MEAN] + difference * (b[:, k.COUNT] / n)
    merged[:, k.M2] = a[:, k.M2] + b[:, k.M2] + difference**2 * (a[:, k.COUNT] * b[:, k.COUNT] / n)
    _merge_extremes(a, b, merged, k.MIN, 1.0)
    _merge_extremes(a, b, merged, k.MAX, -1.0)
    merged[:, k.MAD] = np.nan  # medians do not add
    return merged


def _merge_extremes(a: Floats, b: Floats, merged: Floats, first: int, sign: float) -> None:
    """Merge the two outermost distinct values (columns ``first``, ``first + 2``) and their counts (the next column)."""
    values = sign * np.stack([a[:, first], a[:, first + 2], b[:, first], b[:, first + 2]])
    counts = np.stack([a[:, first + 1], a[:, first + 3], b[:, first + 1], b[:, first + 3]])
    outermost = values.min(axis=0)
    is_outermost = values == outermost
    rest = np.where(is_outermost, np.inf, values)
    second = rest.min(axis=0)
    merged[:, first] = sign * outermost
    merged[:, first + 1] = np.where(is_outermost, counts, 0.0).sum(axis=0)
    merged[:, first + 2] = sign * second
    merged[:, first + 3] = np.where((rest == second) & ~is_outermost, counts, 0.0).sum(axis=0)


def _saturated(t: Floats) -> Floats:
    """Return the share of samples at the rails (see ChannelStatistics)."""
    n = np.maximum(t[:, k.COUNT], 1.0)
    wide = (t[:, k.COUNT] > 0) & (t[:, k.MAX] - t[:, k.MIN] >= PLATEAU_RANGE_UV)
    clipped = np.zeros(len(t))
    for at, second in ((k.N_MIN, k.N_MIN_2), (k.N_MAX, k.N_MAX_2)):
        is_level = wide & (t[:, at] >= PLATEAU_RATIO * np.maximum(t[:, second], 1.0))
        clipped += np.where(is_level, t[:, at], 0.0)
    return np.asarray(np.maximum(clipped, t[:, k.RAIL]) / n)
