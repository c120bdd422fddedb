"""Spikes of a stream by threshold: crossings, the largest among neighbours, neither artifact nor of a wrong width.

Stage S2a. Works on consecutive blocks of the filtered signal; any chunking of the same samples gives the same events,
bit for bit, because every decision waits until all that it depends on was seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ranvier.detect.threshold import Detections, DetectorState, ThresholdDetector
from ranvier.metrics.event_levels import EventLevels
from ranvier.models.spikesorter import SpikeDetectParams
from ranvier.recordings.block import Block
from ranvier.sorting.event_kernels import judge_events, order_events, peak_widths
from ranvier.sorting.noise_tracker import NoiseTracker
from ranvier.sorting.spike_table import SpikeFlag, SpikeTable

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: What holds where nothing was set: negative peaks only (Quiroga et al. 2004: four to five SD).
DEFAULT_THR_SD = (-4.5, 4.5)
DEFAULT_WINDOW_SEC = (0.5e-3, 1.0e-3)
DEFAULT_SHADOW_SEC = 1.0e-3
#: Behind a crossing the peak is looked for this long, and of near sites the largest within this is kept.
PEAK_SEC = 0.3e-3
#: What a causal filter leaves behind a spike (a second, smaller trough) comes within this time.
AFTERWAVE_SEC = 2.0e-3
#: Noise is measured over pieces of this length; thresholds follow it over the first of them, then stay.
NOISE_SEC = 1.0
SETTLED = 10
#: And move by this share at most when they are told to follow it again.
LARGEST_STEP = 0.2
#: What comes on more than this share of at least ``_PORT_SITES`` sites of a port at once is no spike.
COMMON_SHARE = 0.3
_PORT_SITES = 8
_NEVER = np.iinfo(np.int64).min
_ROOM = 4096


def default_detect_params(ntv: int) -> SpikeDetectParams:
    """Return the parameters of a site for which nothing was set."""
    unset = [np.nan, np.nan]
    return SpikeDetectParams(
        is_enabled=True,
        ntv_chan_idx=ntv,
        thr=unset,
        thr_sd=list(DEFAULT_THR_SD),
        thr_wdw=list(DEFAULT_WINDOW_SEC),
        shadow=DEFAULT_SHADOW_SEC,
        is_set_thr=[True, False],
        weak_thr=unset,
        weak_thr_sd=unset,
        is_set_weak_thr=[False, False],
    )


@dataclass(frozen=True, eq=False)
class FinderSettings:
    """How events are found.

    Attributes
    ----------
    levels
        Thresholds and artifact levels per site.
    width_samples
        ``(sites, 2)``: accepted width, least and most; 0 and 0 where any is.
    near
        ``(sites, K)``: each site and the neighbours that it is compared with, -1 where there are fewer.
    port
        ``(sites,)``: number of the port of each site.
    peak
        Samples within which peaks are looked for and compared.
    behind
        Samples behind a spike within which one at most half as large is taken for its afterwave.
    discover_noise
        Whether events that come everywhere at once, and afterwaves, are marked as noise.
    """

    levels: EventLevels
    width_samples: I64
    near: I32
    port: I32
    peak: int
    behind: int
    discover_noise: bool = True

    @classmethod
    def of(
        cls,
        params: Mapping[int, SpikeDetectParams],
        ntv: Sequence[int],
        fs: float,
        near: I32,
        port: I32,
        *,
        discover_noise: bool = True,
    ) -> FinderSettings:
        """Return the arrays of sites, in the order of ``ntv``; ``params`` has all of them."""
        widths = np.zeros((len(ntv), 2), np.int64)
        for row, i in enumerate(ntv):
            given = params[i].spike_width_sec
            if given is not None:
                widths[row] = round(given[0] * fs), round(given[1] * fs)
        peak = max(1, round(PEAK_SEC * fs))
        behind = max(peak, round(AFTERWAVE_SEC * fs))
        return cls(EventLevels.of(params, ntv, fs), widths, near, port, peak, behind, discover_noise)

    @cached_property
    def enough(self) -> I64:
        """``(ports,)``: on how many sites of a port an event at once is no spike."""
        sizes = np.bincount(self.port)
        least = np.maximum(_PORT_SITES, np.ceil(COMMON_SHARE * sizes)).astype(np.int64)
        return least if self.discover_noise else np.full_like(least, np.iinfo(np.int64).max)

    @cached_property
    def hold(self) -> int:
        """Samples behind a peak that its decision waits for."""
        return 2 * self.peak + int(self.width_samples[:, 1].max(initial=0)) + 1


@dataclass
class FinderCounts:
    """What was not taken for a spike, since the beginning."""

    by_neighbour: int = 0
    artifacts: int = 0
    wrong_width: int = 0
    common: int = 0
    afterwaves: int = 0


@dataclass
class EventFinder:
    """Finds threshold events in consecutive blocks.

    Parameters
    ----------
    settings
        May be replaced at any time; holds from the next block on.
    fs_hz, sites
        Of the stream.

    Attributes
    ----------
    sd_uv
        ``(sites,)``: the noise that thresholds in SD are multiples of; NaN before it is known.
    low_uv, high_uv
        ``(sites,)``: thresholds in force; infinite where off or not known yet.
    settles
        Whether thresholds stay after the first seconds; otherwise they follow the noise all the time.
    """

    settings: FinderSettings
    fs_hz: float
    sites: int
    noise: NoiseTracker = field(init=False)
    sd_uv: F64 = field(init=False)
    settles: bool = True
    counts: FinderCounts = field(default_factory=FinderCounts)

    def __post_init__(self) -> None:
        self.noise = NoiseTracker(self.sites, max(1, round(NOISE_SEC * self.fs_hz)))
        self.sd_uv = self.noise.sd_uv
        self._hold, self._widths = self.settings.hold, bool(self.settings.width_samples.any())
        self._state: DetectorState | None = None
        self._detector: ThresholdDetector | None = None
        self._bound: tuple[object, object] = (None, None)
        self._limits: tuple[F32, F32] = self._levels(1)
        self.low_uv, self.high_uv = self._levels(0)
        self._waiting = _Waiting()
        self._told = _NEVER
        self._tail = np.zeros((0, self.sites), np.float32)
        self._tail_start = 0

    def change(self, settings: FinderSettings) -> None:
        """Take other settings from the next block on."""
        self.settings = settings

    def process(self, block: Block) -> SpikeTable:
        """Return the events that can be told now, in order of their counters."""
        jumped = self._state is not None and self._state.next_counter != block.start
        parts = [self.flush()] if jumped else []
        x, at = block.samples, 0
        while at < len(x):
            n = min(self.noise.left, len(x) - at)
            piece = Block(np.ascontiguousarray(x[at : at + n]), block.start + at)
            parts.append(self._piece(piece))
            if self.noise.add(piece.samples) and (not self.settles or self.noise.pieces <= SETTLED):
                self.sd_uv = self.noise.sd_uv
            at += n
        return SpikeTable.concatenate(parts)

    def know(self, x: F32) -> None:
        """Measure the noise on samples that come before the first block, one second of them."""
        if self.noise.add(x):
            self.sd_uv = self.noise.sd_uv
        else:
            self.noise.restart()

    def follow_noise(self) -> float:
        """Let thresholds follow the noise, by at most ``LARGEST_STEP``; return the largest change (share)."""
        old, now = self.sd_uv, self.noise.sd_uv
        bounded = np.clip(now, old * (1 - LARGEST_STEP), old * (1 + LARGEST_STEP))
        self.sd_uv = np.where(np.isnan(bounded), np.where(np.isnan(old), now, old), bounded)
        with np.errstate(invalid="ignore"):
            change = np.abs(self.sd_uv / old - 1)
        return float(np.nanmax(change, initial=0.0))

    def settle_again(self) -> None:
        """Let thresholds follow the noise over the next seconds, as at the beginning."""
        self.noise.pieces = 0

    def thresholds(self) -> tuple[F32, F32]:
        """Return the negative and positive thresholds in uV, ``(sites,)`` each; infinite where off or not known yet."""
        return self._levels(0)

    def flush(self) -> SpikeTable:
        """Return what waited for samples that never come: the end of the stream, or a gap."""
        if self._state is None or self._detector is None:
            return SpikeTable.empty()
        self._waiting.add(self._detector.finish(self._state))
        told = self._decide(np.iinfo(np.int64).max)
        self._waiting.count = 0
        self._told = _NEVER
        self._state = None
        self._tail = self._tail[:0]
        self.noise.restart()
        return told

    # --- inside -------------------------------------------------------------------------------------------------

    def _piece(self, block: Block) -> SpikeTable:
        detector = self.bind()
        if self._state is None:
            self._state = detector.start()
            self._tail, self._tail_start = block.samples[:0], block.start
        found = detector.process(block, self._state)
        if self._widths:
            self._tail = np.concatenate([self._tail, block.samples])
        self._waiting.add(found)
        told = self._decide(block.stop - self._hold)
        if self._widths:
            self._forget(block.stop)
        return told

    def bind(self) -> ThresholdDetector:
        """Return the detector of the settings and noise in force."""
        detector, (settings, sd_uv) = self._detector, self._bound
        if detector is None or settings is not self.settings or sd_uv is not self.sd_uv:
            self.low_uv, self.high_uv = self._levels(0)
            self._limits = self._levels(1)
            self._hold, self._widths = self.settings.hold, bool(self.settings.width_samples.any())
            shadow = self.settings.levels.wings[:, 2]
            detector = self._detector = ThresholdDetector(self.low_uv, self.high_uv, shadow, self.settings.peak)
            self._bound = (self.settings, self.sd_uv)
        return detector

    def _levels(self, pair: int) -> tuple[F32, F32]:
        """Return thresholds (0) or artifact levels (1) in uV; infinite where off or where the noise is not known."""
        levels = self.settings.levels
        unit = np.where(levels.in_sd[:, pair] > 0, self.sd_uv, 1.0)
        with np.errstate(invalid="ignore"):
            low, high = levels.levels[:, 2 * pair] * unit, levels.levels[:, 2 * pair + 1] * unit
        low[np.isnan(low)], high[np.isnan(high)] = -np.inf, np.inf
        return low.astype(np.float32), high.astype(np.float32)

    def _decide(self, before: int) -> SpikeTable:
        """Tell the events that peaked before a counter, not told yet: all that they depend on was seen."""
        w = self._waiting
        if not w.count:
            return SpikeTable.empty()
        first, last = (int(k) for k in np.searchsorted(w.counters[: w.count], (self._told, before)))
        self._told = before
        told = self._judge(w, first, last) if last > first else SpikeTable.empty()
        w.drop(before - self.settings.behind)  # later ones may depend on the others
        return told

    def _judge(self, w: _Waiting, first: int, last: int) -> SpikeTable:
        """Return the spikes among events ``[first, last)``, and count what the others are."""
        settings, counts = self.settings, self.counts
        rows, flags = np.empty(last - first, np.int64), np.empty(last - first, np.uint8)
        numbers = np.zeros(4, np.int64)
        kept = judge_events(
            w.counters[: w.count],
            w.sites[: w.count],
            w.values[: w.count],
            settings.near,
            settings.port,
            settings.enough,
            settings.peak,
            settings.behind,
            first,
            last,
            *self._limits,
            settings.discover_noise,
            rows,
            flags,
            numbers,
        )
        counts.by_neighbour += int(numbers[0])
        counts.artifacts += int(numbers[1])
        counts.common += int(numbers[2])
        counts.afterwaves += int(numbers[3])
        rows = rows[:kept]
        table = SpikeTable.empty(kept)
        table.counter[:], table.site[:], table.amplitude_uv[:] = w.counters[rows], w.sites[rows], w.values[rows]
        table.flags[:] = flags[:kept]
        if self._widths:
            wrong = self._wrong_width(table)
            counts.wrong_width += int(np.count_nonzero(wrong))
            table.flags[wrong] |= np.uint8(SpikeFlag.NOISE)
        return table

    def _wrong_width(self, table: SpikeTable) -> npt.NDArray[np.bool_]:
        """Return which events are narrower or wider, at half their peak, than their site accepts."""
        limits = self.settings.width_samples[table.site]
        asked = limits[:, 1] > 0
        if not asked.any():
            return asked
        widths = np.empty(len(table), np.int64)
        peak_widths(
            self._tail, table.counter - self._tail_start, table.site, np.ascontiguousarray(limits[:, 1]), widths
        )
        return asked & ((widths < limits[:, 0]) | (widths > limits[:, 1]))

    def _forget(self, stop: int) -> None:
        """Keep of the signal what widths may still be measured on."""
        kept = self._hold + int(self.settings.width_samples[:, 1].max(initial=0)) + 2
        self._tail = self._tail[max(0, len(self._tail) - kept) :]
        self._tail_start = stop - len(self._tail)


class _Waiting:
    """Threshold crossings that were not judged yet, or that others depend on, by counter and site."""

    def __init__(self) -> None:
        self.counters, self.sites = np.empty(_ROOM, np.int64), np.empty(_ROOM, np.int32)
        self.values = np.empty(_ROOM, np.float32)
        self.count = 0

    def add(self, found: Detections) -> None:
        """Insert crossings."""
        if not len(found):
            return
        while self.count + len(found) > len(self.counters):
            self.counters, self.sites, self.values = (
                np.concatenate([a, np.empty_like(a)]) for a in (self.counters, self.sites, self.values)
            )
        order_events(
            self.counters, self.sites, self.values, self.count, found.counters, found.channels, found.values
        )  # fmt: skip
        self.count += len(found)

    def drop(self, before: int) -> None:
        """Forget crossings before a counter."""
        first = int(np.searchsorted(self.counters[: self.count], before))
        if not first:
            return
        left = self.count - first
        for array in (self.counters, self.sites, self.values):
            array[:left] = array[first : self.count].copy()
        self.count = left
