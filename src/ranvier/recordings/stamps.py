"""One gap model for every format whose packets carry hardware time stamps.

A packet says: "my first sample was taken at this tick of the clock". Samples inside a packet follow each other. Between
two packets the clock may have advanced by

* as much as the packet is long: nothing is missing;
* more, by over the tolerance, and later packets agree: a **gap** of as many samples as the step;
* more or less, within the tolerance, or only for one packet: **jitter**. The packets stay one run, the size is told in
  a note, and the stamps themselves are kept as a :class:`~ranvier.recordings.session.Clock`;
* less, by over the tolerance: the clock was set back. No sample is dropped and none is put on top of others: they are
  counted on, and a note says so.

A steady difference in rate between the clock and the nominal rate (crystals differ by up to 100 ppm, and headers round)
is neither gap nor jitter; it is told as drift. Other events with stamps of the same clock are brought to counters
through the packets (:meth:`StampedTime.counters_of`), so that neither jitter nor drift moves them against the samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.recordings.segments import Segments
from ranvier.recordings.session import Clock

#: Steps of the clock up to this long are jitter, where the format does not demand another tolerance.
TOLERANCE_SEC = 1e-3
#: A step beyond this is damage, not a gap.
LONGEST_GAP_SEC = 30 * 24 * 3600.0
#: Differences in rate up to this are drift.
MOST_DRIFT = 1e-3
#: Most points that a clock keeps, and most packets whose stamps are read one by one.
CLOCK_POINTS = 10_000
MOST_PACKETS = 1 << 22

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StampedTime:
    """Where the samples of one stream lie in time.

    Attributes
    ----------
    segments
        The gap table.
    clock
        The hardware stamps, thinned.
    notes
        Gaps, jitter, drift and set-backs, with their sizes.
    """

    segments: Segments
    clock: Clock
    notes: tuple[str, ...]
    fs: Fraction
    tick_hz: Fraction
    _ticks: Ints
    _counters: Ints

    def counters_of(self, ticks: npt.ArrayLike) -> Ints:
        """Return the nearest sample counters of stamps of the same clock, also outside of the recording."""
        wanted = np.asarray(ticks).astype(np.int64)
        if not len(self._ticks):
            return _to_samples(wanted, self.fs, self.tick_hz)
        first, last = self._ticks[0], self._ticks[-1]
        away = np.where(wanted < first, wanted - first, np.maximum(wanted - last, 0))
        inside = np.interp((np.clip(wanted, first, last) - first).astype(np.float64), self._offsets, self._steps)
        counters: Ints = self._counters[0] + _whole(inside + _scaled(away, self.fs, self.tick_hz))
        return counters

    @property
    def _offsets(self) -> Floats:
        offsets: Floats = (self._ticks - self._ticks[0]).astype(np.float64)
        return offsets

    @property
    def _steps(self) -> Floats:
        steps: Floats = (self._counters - self._counters[0]).astype(np.float64)
        return steps


def place_packets(
    rows: npt.ArrayLike,
    ticks: npt.ArrayLike,
    total_rows: int,
    fs: Fraction,
    tick_hz: Fraction | int,
    *,
    origin: int = 0,
    tolerance_sec: float = TOLERANCE_SEC,
    drifts: bool = True,
    what: str = "",
) -> StampedTime:
    """Find the gaps of a stream from the stamps of its packets.

    Parameters
    ----------
    rows, ticks
        First row and stamp of packets, in file order; packets left out between two of them are taken to hold no gap
        of their own (see ``packets_to_read``). The first packet has row 0.
    total_rows
        Rows stored.
    tick_hz
        Ticks of the clock per second.
    origin
        Tick at which the sample counter is 0.
    drifts
        Whether the clock may run at another rate than the samples; False where it counts samples.
    """
    speed = Fraction(tick_hz)
    at = np.asarray(rows, dtype=np.int64)
    stamps = np.asarray(ticks).astype(np.int64)
    if total_rows <= 0 or not len(at):
        nothing = np.empty(0, np.int64)
        clock = Clock(nothing, np.empty(0, np.float64), what)
        return StampedTime(Segments.single(0, 0), clock, (), fs, speed, nothing, nothing)
    tolerance = max(0.5, tolerance_sec * float(fs))
    excess = _scaled(stamps - stamps[0], fs, speed) - (at - at[0])  # samples by which the clock is ahead
    steps, drift = _steps(excess, at, float(fs), drifts)
    longest = LONGEST_GAP_SEC * float(fs)
    is_gap = (steps > tolerance) & (steps <= longest)
    is_back = (steps < -tolerance) | (steps > longest)
    lengths = np.where(is_gap, np.rint(np.clip(steps, 0, longest)), 0).astype(np.int64)
    start = int(_to_samples(stamps[:1] - origin, fs, speed)[0])
    counters = start + at + np.concatenate(([0], np.cumsum(lengths)))
    breaks = np.concatenate(([0], np.flatnonzero(is_gap) + 1))
    run_rows = np.diff(np.append(at[breaks], total_rows))
    segments = Segments.from_runs(zip(counters[breaks].tolist(), run_rows.tolist(), strict=True))
    notes = _notes(excess, steps, is_gap, is_back, drift, float(fs), tolerance, at, segments, what)
    thin = np.unique(np.linspace(0, len(at) - 1, min(len(at), CLOCK_POINTS)).astype(np.int64))
    clock = Clock(counters[thin], stamps[thin] / float(speed), what)
    forward = _forward(stamps)
    return StampedTime(segments, clock, notes, fs, speed, stamps[forward], counters[forward])


def packets_to_read(
    ticks_at: Callable[[Ints], npt.NDArray[np.generic]],
    packets: int,
    packet_rows: int,
    fs: Fraction,
    tick_hz: Fraction | int,
    *,
    tolerance_sec: float = TOLERANCE_SEC,
) -> Ints:
    """Return the packets whose stamps must be looked at: four a second, and all where the clock steps.

    Reading every stamp of a long file means reading the file. A stretch whose stamps advance as those of the other
    stretches do holds no gap beyond the tolerance.
    """
    step = max(1, int(fs / packet_rows / 4))
    if packets <= max(4096, 4 * step):
        return np.arange(packets, dtype=np.int64)
    grid = np.unique(np.append(np.arange(0, packets, step), packets - 1)).astype(np.int64)
    width = np.diff(grid)
    stamps: Ints = np.asarray(ticks_at(grid)).astype(np.int64)
    grown = _scaled(stamps[1:] - stamps[:-1], fs, Fraction(tick_hz)) - width * packet_rows
    usual = float(np.median(grown / width))
    odd = np.flatnonzero(np.abs(grown - usual * width) > max(0.25, 0.5 * tolerance_sec * float(fs)))
    odd = odd[: max(1, MOST_PACKETS // step)]
    inner = [np.arange(grid[i], grid[i + 1], dtype=np.int64) for i in odd]
    return np.unique(np.concatenate([grid, *inner]))


def _scaled(ticks: npt.NDArray[np.int64], fs: Fraction, tick_hz: Fraction) -> Floats:
    """Return differences of ticks in samples: exact integers times a ratio rounded once."""
    ratio = fs / tick_hz
    scaled: Floats = ticks.astype(np.float64) * ratio.numerator / ratio.denominator
    return scaled


def _to_samples(ticks: npt.NDArray[np.int64], fs: Fraction, tick_hz: Fraction) -> Ints:
    ratio = fs / tick_hz
    if ratio.denominator == 1 and np.all(np.abs(ticks) < 2**62 // max(1, ratio.numerator)):
        return ticks * ratio.numerator
    return _whole(_scaled(ticks, fs, tick_hz))


def _whole(samples: Floats) -> Ints:
    """Return the nearest counters, within what 64 bits hold (damaged stamps lie anywhere)."""
    counters: Ints = np.rint(np.clip(samples, -(2.0**61), 2.0**61)).astype(np.int64)
    return counters


def _steps(excess: Floats, rows: Ints, fs: float, drifts: bool) -> tuple[Floats, float]:
    """Return the lasting steps of the clock between packets, in samples, and its drift as a fraction of the rate."""
    lasting = excess.copy()
    if len(excess) > 2:  # one packet that is early or late is no step: median of three
        lasting[1:-1] = np.median(np.stack((excess[:-2], excess[1:-1], excess[2:])), axis=0)
    width = np.maximum(np.diff(rows), 1)
    steps = np.diff(lasting)
    if not drifts or len(excess) < 8:
        return steps, 0.0
    far = max(1, len(excess) // 200)
    coarse = np.arange(0, len(excess), far)
    slopes = np.diff(lasting[coarse]) / np.maximum(np.diff(rows[coarse]), 1)
    drift = float(np.clip(np.median(slopes), -MOST_DRIFT, MOST_DRIFT))
    return steps - drift * np.minimum(width, 2 * fs), drift


def _forward(stamps: Ints) -> npt.NDArray[np.bool_]:
    """Return which stamps are later than all before them, so that times can be looked up."""
    before = np.maximum.accumulate(stamps)
    keep = np.ones(len(stamps), np.bool_)
    keep[1:] = stamps[1:] > before[:-1]
    return keep


def _notes(
    excess: Floats,
    steps: Floats,
    is_gap: npt.NDArray[np.bool_],
    is_back: npt.NDArray[np.bool_],
    drift: float,
    fs: float,
    tolerance: float,
    rows: Ints,
    segments: Segments,
    what: str,
) -> tuple[str, ...]:
    notes = []
    mark = f"{what}: " if what else ""
    if segments.missing:
        notes.append(f"{mark}{len(segments.gaps)} gaps, {segments.missing} samples were never stored")
    raw = np.diff(excess) - drift * np.minimum(np.diff(rows), 2 * fs)
    small = np.abs(np.where(is_gap | is_back, 0.0, raw))
    count = int(np.count_nonzero(small > 0.5))
    if count:
        size, limit = small.max() / fs * 1e3, tolerance / fs * 1e3
        notes.append(
            f"{mark}time stamps of {count} packets (of {len(rows)} looked at) differ from the count of samples by up "
            f"to {size:.3f} ms; steps up to {limit:.3g} ms, and those of one packet alone, are taken as jitter, not as "
            f"gaps (the stamps are kept as a clock)"
        )
    if is_back.any():
        first = int(np.flatnonzero(is_back)[0])
        more = f" and {int(is_back.sum()) - 1} more times" if is_back.sum() > 1 else ""
        notes.append(
            f"{mark}the clock jumps by {steps[first] / fs:.6g} s at row {int(rows[first + 1])}{more}, which no gap "
            f"explains; samples are counted on from there, and times behind it are those of the count"
        )
    if abs(drift) * float(rows[-1] - rows[0]) > 1.0:
        notes.append(f"{mark}the clock drifts by {drift * 1e6:.1f} ppm against the nominal rate")
    return tuple(notes)
