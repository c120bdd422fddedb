"""Spikes of known units in a stream (stage S9 online).

The whitened signal is worked through in steps of a fixed length that are counted from where the stream began, so that
packets do not matter. A spike is decided when 0.8 ms behind its trough were seen: what comes later holds a twentieth of
a whitened waveform's energy, and is subtracted when it comes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.recordings.block import Block
from ranvier.sorting.early_reference import CONFIRMED, DECIDED, EARLY, STEPS
from ranvier.sorting.gated_kernels import gated_steps
from ranvier.sorting.matching import AMPLITUDES
from ranvier.sorting.spike_table import SpikeTable
from ranvier.sorting.stream_kernels import SLACK, subtract_spikes, whiten_near
from ranvier.sorting.templates import PHASES
from ranvier.sorting.tracking import SURE_SD, Follower
from ranvier.sorting.trained import TrainedUnits
from ranvier.sorting.unit_tables import UnitTables

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

#: So far behind a spike larger ones that overlap it are looked for (the second one where its amplitude is unusual), and
#: it waits for them at most so long.
AHEAD_SEC, DOUBT_SEC, PATIENCE_SEC = 0.1e-3, 0.3e-3, 0.6e-3
#: So far back spikes are looked for that a larger one hid.
REACH_SEC = 0.8e-3
#: A unit is looked for where its main site has a trough of so many SD of the whitened noise (docs/decisions/0022).
GATE_SD = -2.0
#: Spikes of one call, and what is kept between calls, at most.
_MOST, _KEPT = 4096, 8192
#: Packets are worked on in pieces of this many samples.
_PIECE = 300
_NEVER = -(1 << 60)


class StreamMatcher:
    """Tells the spikes of trained units in consecutive blocks of the filtered signal.

    Attributes
    ----------
    units
        What is looked up of the units.
    sure_before
        Every spike that peaked before this counter has been told; of those behind it some.
    follower
        Collects how units change; None while they are not followed.
    """

    def __init__(self, units: UnitTables, *, follow: bool = False) -> None:
        self.units = units
        self.sure_before = _NEVER
        self._ahead, self._doubt, self._patience, self.reach = (
            max(1, round(sec * units.fs_hz)) for sec in (AHEAD_SEC, DOUBT_SEC, PATIENCE_SEC, REACH_SEC)
        )
        self.kept = units.hop + units.length + self.reach + units.trained.window.samples + 16
        self.signal = Held(units.site_count, self.kept)
        self.next: int | None = None
        self.step_stop = 0  # counter before which the next step sees
        self.last = np.full((max(1, len(units)), 2), _NEVER, np.int64)
        self.trust = np.zeros((max(1, len(units)), 2), np.int64)
        self._state = _State()
        self.follower = Follower(units.sites, units.trained.window.samples) if follow else None
        self._followed = 0  # counter of the first row that the follower did not get
        self._decided: list[tuple[I64, I32, F32]] = []
        self._recent: list[_Told] = []
        self.carried: list[Carried] = []
        self.others: list[tuple[Placed, UnitTables]] = []  # told by matchers before this one, where still held
        self.ready: list[SpikeTable] = []  # to be told with the next block

    @property
    def trained(self) -> TrainedUnits:
        """The units."""
        return self.units.trained

    def process(self, block: Block) -> SpikeTable:
        """Return the spikes that can be told now; those of one call are in order."""
        told, self.ready = self.ready, []
        if self.next != block.start:
            told.append(self.flush())
            self.signal.begin(block.start)
            self.step_stop = block.start + self.units.hop
            self._followed = block.start
            self.last[:] = _NEVER
        x = block.samples
        pieces = [x] if len(x) <= _PIECE else [x[at : at + _PIECE] for at in range(0, len(x), _PIECE)]
        told += [self._piece(piece) for piece in pieces]
        self.next = block.stop
        return (SpikeTable.concatenate(told) if len(told) > 1 else told[0]).ordered()

    def flush(self) -> SpikeTable:
        """Return the spikes whose waveforms end with what there is, and forget that."""
        told, self.ready = self.ready, []
        if self.next is not None and len(self.units):
            stop = self.signal.stop
            told.append(self._steps(stop, stop, stop, ahead=0, reach=self.reach + self.units.hop))
        self.signal.begin(0)
        self.next = None
        self._state = _State()
        self._decided, self._recent, self.carried, self.others = [], [], [], []
        if self.follower is not None:
            self.follower.restart()
        return SpikeTable.concatenate(told).ordered()

    def take_follower(self) -> Follower | None:
        """Return the follower, and go on with a new one."""
        taken = self.follower
        if taken is not None:
            self.follower = Follower(self.units.sites, self.units.trained.window.samples)
            self._decided = []
        return taken

    def recent(self) -> Placed:
        """Return the spikes whose waveforms may reach into what is held of the signal, as they were decided."""
        nothing = Placed(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float32))
        parts = [nothing, *(told.placed(self.units.front) for told in self._recent)]
        return Placed(*(np.concatenate([getattr(p, name) for p in parts]) for name in Placed.__slots__))

    def resume(self) -> None:
        """Look for candidates in what another matcher held: as the last step did, which cannot be decided yet."""
        units, signal = self.units, self.signal
        self._followed = signal.start
        last = self.step_stop - units.hop
        if len(units) and last - units.length - 1 > signal.start:
            hop = self.reach + STEPS + 1  # all rows that may still be decided are new to it
            told = self._steps(signal.stop, last, last, ahead=self._ahead, hop=hop)
            self.ready.append(told.take(told.counter >= self.sure_before))

    def early(self) -> tuple[I64, I32, I64, F32]:
        """Return the spikes that were told early and are not decided yet: counter, unit, shift, share of the template.

        The counter is that at which what is compared begins.
        """
        state = self._state
        n = int(state.held[3])
        told = state.foretold[:n]
        return told[:, 0].copy(), told[:, 1].astype(np.int32), told[:, 2].copy(), state.sizes[:n].copy()

    def expect(self, row: I64, unit: I32, step: I64, size: F32) -> None:
        """Take over spikes that another matcher told early, as :meth:`early` returns them."""
        state, n = self._state, len(row)
        state.foretold[:n, 0], state.foretold[:n, 1], state.foretold[:n, 2], state.sizes[:n] = row, unit, step, size
        state.held[3] = n

    def decide_early(self, row: I64, unit: I32, step: I64, size: F32) -> None:
        """Subtract spikes that were told early as they were told, as :meth:`early` returns them."""
        if not len(row):
            return
        units, signal = self.units, self.signal
        begins = row + step // PHASES - units.front
        held = signal.white[:, signal.start - signal.origin : signal.stop - signal.origin]
        subtract_spikes(held, begins - signal.start, unit, step % PHASES, size, units.sites, units.waveforms)
        fraction, margin = (step / PHASES).astype(np.float32), np.full(len(row), np.nan, np.float32)
        self._recent.append(_Told(row, unit, size, fraction, margin, np.full(len(row), DECIDED, np.uint8)))

    # --- inside -------------------------------------------------------------------------------------------------

    def _piece(self, x: F32) -> SpikeTable:
        """Take a few samples."""
        signal, units = self.signal, self.units
        fresh = signal.stop
        at = signal.room_for(len(x))
        whiten_near(np.ascontiguousarray(x), units.near, units.weights, signal.raw, signal.white, at)
        signal.stop += len(x)
        if self.carried:
            self.carried = [c for c in self.carried if c.subtract(signal, fresh)]
        first = self.step_stop
        self.step_stop += max(0, (signal.stop - first) // units.hop + 1) * units.hop
        if not len(units):
            self.sure_before = signal.stop
            return SpikeTable.empty()
        told = self._steps(fresh, first, signal.stop, ahead=self._ahead, seen=units.hop)
        final = self.step_stop - units.hop - units.length - 1 - self.reach
        self.sure_before = max(self.sure_before, final + 1 + units.before)
        if self.follower is not None:
            self._follow(self.follower, final - units.front - 2)
        return told

    def _steps(
        self,
        fresh: int,
        first: int,
        last: int,
        *,
        ahead: int,
        hop: int | None = None,
        reach: int | None = None,
        seen: int = 0,
    ) -> SpikeTable:
        """Work on the steps that see the samples before the counters ``first`` to ``last``."""
        signal, state, units = self.signal, self._state, self.units
        row, unit, scale, fraction, gain, margin, kind = state.room
        origin = signal.origin
        found = gated_steps(
            signal.white,
            signal.start - origin,
            fresh - origin,
            signal.stop - origin,
            first - origin,
            last - origin,
            units.hop if hop is None else hop,
            ahead,
            max(ahead, self._doubt) if ahead else 0,
            self._patience,
            self.reach if reach is None else reach,
            origin,
            units.waveforms,
            units.front,
            units.length,
            units.before,
            units.sites,
            units.sharing,
            units.share,
            units.norms,
            units.lows,
            units.leasts,
            units.apart,
            units.prior,
            AMPLITUDES[1],
            GATE_SD,
            units.trained.window.half,
            seen,
            *units.early,
            self.last,
            state.held,
            state.places,
            state.fits,
            state.later,
            state.tails,
            state.tail_scales,
            state.foretold,
            state.sizes,
            self.trust,
            row,
            unit,
            scale,
            fraction,
            gain,
            margin,
            kind,
        )
        if not found:
            return SpikeTable.empty()
        while self._recent and self._recent[0].rows[-1] + 2 * self.kept < signal.start:
            self._recent.pop(0)
        whole = _Told(*(column[:found].copy() for column in (row, unit, scale, fraction, margin, kind)))
        self._recent.append(whole)
        if self.follower is not None:
            placed = whole.placed(units.front, ~(whole.margins < SURE_SD))
            self._decided.append((placed.begins, placed.units, placed.scales))
        return self._table(whole)

    def _table(self, whole: _Told) -> SpikeTable:
        """Return the spikes that were not told before."""
        units, signal = self.units, self.signal
        new = np.flatnonzero(whole.kinds != CONFIRMED)
        unit, scale, margin = whole.units[new], whole.scales[new], whole.margins[new]
        peak = whole.rows[new] + units.before
        peak += whole.fractions[new] >= 0.5
        site = units.main_sites[unit]
        return SpikeTable(
            counter=peak,
            site=site,
            label=units.labels[unit],
            amplitude_uv=signal.raw[site, peak - signal.origin],
            scale=scale,
            margin=margin,
            x_um=units.x_um[unit],
            y_um=units.y_um[unit],
            flags=np.zeros(len(new), np.uint8),
        )

    def _follow(self, follower: Follower, stop: int) -> None:
        """Hand over the rows before a counter, that nothing is subtracted from any more, and the spikes so far."""
        signal = self.signal
        if stop <= self._followed:
            return
        nothing = (np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
        begins, units, amplitudes = (np.concatenate(parts) for parts in zip(*self._decided, nothing, strict=True))
        rows = signal.white[:, self._followed - signal.origin : stop - signal.origin]
        follower.take(rows.copy(), self._followed, begins, units, amplitudes)
        self._decided = []
        self._followed = stop


class _State:
    """What :func:`gated_steps` keeps between calls."""

    def __init__(self) -> None:
        self.held = np.zeros(4, np.int64)
        self.places, self.fits = np.empty((_KEPT, 2), np.int64), np.empty((_KEPT, 5))
        self.later = np.empty((_KEPT, 2), np.int64)
        self.tails, self.tail_scales = np.empty((_KEPT, 3), np.int64), np.empty(_KEPT, np.float32)
        self.foretold, self.sizes = np.empty((_KEPT, 3), np.int64), np.empty(_KEPT, np.float32)
        # what a call writes its spikes to: row, unit, scale, fraction, gain, margin, kind.
        self.room = (
            np.empty(_MOST, np.int64),
            np.empty(_MOST, np.int32),
            *np.empty((4, _MOST), np.float32),
            np.empty(_MOST, np.uint8),
        )


@dataclass(frozen=True, slots=True)
class Placed:
    """Spikes in order of decision: where their waveforms begin, unit, phase, share of the template."""

    begins: I64
    units: I32
    phases: I64
    scales: F32


@dataclass(frozen=True, slots=True)
class _Told:
    """What one call of :func:`gated_steps` told."""

    rows: I64
    units: I32
    scales: F32
    fractions: F32
    margins: F32
    kinds: U8

    def placed(self, front: int, of: npt.NDArray[np.bool_] | None = None) -> Placed:
        """Return what was subtracted, of all spikes or of some."""
        decided = self.kinds != EARLY
        if of is not None:
            decided &= of
        step = np.floor(self.fractions[decided] * PHASES + 0.5).astype(np.int64)
        begins = self.rows[decided] + step // PHASES - front
        return Placed(begins, self.units[decided], step % PHASES, self.scales[decided])


@dataclass(frozen=True, slots=True)
class Carried:
    """What a spike that was told before still explains of samples to come: ``(K, n)`` on some sites, whitened."""

    begin: int
    sites: I32
    values: F32

    def subtract(self, signal: Held, fresh: int) -> bool:
        """Subtract it from the rows behind a counter; return whether there will be more."""
        low, high = max(self.begin, fresh), min(signal.stop, self.begin + self.values.shape[1])
        if high > low:
            rows = slice(low - signal.origin, high - signal.origin)
            signal.white[self.sites, rows] -= self.values[:, low - self.begin : high - self.begin]
        return bool(self.begin + self.values.shape[1] > signal.stop)


class Held:
    """The newest samples of a stream, filtered and what is left of them whitened; ``(sites, n)`` each.

    Attributes
    ----------
    start, stop
        Counters of the first sample and behind the last.
    """

    def __init__(self, sites: int, kept: int) -> None:
        self._kept = kept
        self._room = 16 * ((kept + 2 * _PIECE + SLACK) // 16 | 1)  # rows of memory that do not share lines of a cache
        memory = np.empty((2, sites, self._room), np.float32)  # not zeros(): for them NumPy asks for no large pages
        memory.fill(0.0)
        self.raw, self.white = memory
        self.begin(0)

    def begin(self, counter: int) -> None:
        """Forget all; the next sample is that of a counter."""
        self.start = self.stop = self.origin = counter

    def room_for(self, count: int) -> int:
        """Return the column that new samples go to; the oldest ones are forgotten where there is no room."""
        at = self.stop - self.origin
        if at + count + SLACK > self._room:
            first = max(self.start, self.stop - self._kept)
            old = slice(first - self.origin, at)
            for memory in (self.raw, self.white):
                memory[:, : self.stop - first] = memory[:, old]
            self.start = self.origin = first
            at = self.stop - first
        return at
