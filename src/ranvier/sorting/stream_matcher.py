"""Spikes of known units in a stream (stage S9 online).

The whitened signal is worked through in steps of a fixed length that are counted from where the stream began, so that
packets do not matter. A spike is decided when 0.8 ms behind its trough were seen: what comes later holds a twentieth of
a whitened waveform's energy, and is subtracted when it comes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.recordings.block import Block
from ranvier.sorting.gated_kernels import gated_steps
from ranvier.sorting.gated_reference import MAIN
from ranvier.sorting.matching import AMPLITUDES
from ranvier.sorting.spike_table import SpikeTable
from ranvier.sorting.stream_kernels import SLACK, whiten_near
from ranvier.sorting.templates import PHASES, shifted_waveforms
from ranvier.sorting.tracking import SURE_SD, Follower
from ranvier.sorting.trained import TrainedUnits

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: What is compared with the signal around a trough, at least; more where a unit has more energy beyond than these
#: shares.
BEFORE_SEC, AFTER_SEC = 0.27e-3, 0.77e-3
BEYOND = (0.01, 0.08)
#: Length of a step: short where few sites are sorted, as it adds to the time until a spike is told.
STEP_SEC, LONG_STEP_SEC, MANY_SITES = 0.13e-3, 0.27e-3, 512
#: So far behind a spike larger ones that overlap it are looked for (the second one where its amplitude is unusual), and
#: it waits for them at most so long.
AHEAD_SEC, DOUBT_SEC, PATIENCE_SEC = 0.1e-3, 0.3e-3, 0.6e-3
#: So far back spikes are looked for that a larger one hid.
REACH_SEC = 0.8e-3
#: A unit is looked for where its main site has a trough of so many SD of the whitened noise (docs/decisions/0022).
GATE_SD = -2.0
#: Units this alike (cosine) are rivals for a spike.
RIVAL_COSINE = 0.5
#: Weights of the whitening are left out while their energy is below this share of a site's (1.7 % of the noise's SD).
LEFT_OUT = 3e-4
#: Spikes of one call, and what is kept between calls, at most.
_MOST, _KEPT = 4096, 8192
#: Packets are worked on in pieces of this many samples.
_PIECE = 300
_NEVER = -(1 << 60)


class StreamMatcher:
    """Tells the spikes of trained units in consecutive blocks of the filtered signal.

    Attributes
    ----------
    sure_before
        Every spike that peaked before this counter has been told; of those behind it some.
    sites, waveforms
        ``(units, K)``: sites of each unit, the main one first, -1 behind the last; whitened waveforms there
        ``(units, phases, K, length)``.
    apart
        ``(units, units)``: distance of what is compared of rivals, NaN for units that are none.
    follower
        Collects how units change; None while they are not followed.
    """

    def __init__(self, trained: TrainedUnits, fs_hz: float, *, follow: bool = False) -> None:
        self.trained = trained
        self.sure_before = _NEVER
        self._fs_hz = fs_hz
        window, parameters = trained.window, trained.parameters
        self.sites, self.waveforms = _main_first(*shifted_waveforms(trained.templates))
        before, after = _compared(self.waveforms, window.before)
        self._before = min(window.before, max(before, round(BEFORE_SEC * fs_hz)))
        self._length = self._before + 1 + min(window.after, max(after, round(AFTER_SEC * fs_hz)))
        self._front = window.before - self._before
        sites = trained.whitening.matrix.shape[0]
        self._hop = max(1, round((STEP_SEC if sites <= MANY_SITES else LONG_STEP_SEC) * fs_hz))
        self._ahead, self._doubt, self._patience, self._reach = (
            max(1, round(sec * fs_hz)) for sec in (AHEAD_SEC, DOUBT_SEC, PATIENCE_SEC, REACH_SEC)
        )
        self._near, self._weights = _sparse(trained.whitening.matrix)
        compared = self.waveforms[:, 0, :, self._front : self._front + self._length].astype(np.float64)
        self._norms = np.asarray((compared**2).sum(axis=(1, 2)), np.float64)
        self._prior = 1.0 / parameters.amplitude_sd**2
        self._lows = _least(self._norms, parameters.match_threshold, self._prior)
        self._leasts = MAIN * (compared[:, 0] ** 2).sum(axis=1)
        self._share, self._sharing = _sharing(self.sites, sites)
        self._labels, self._main_sites = np.asarray(trained.labels, np.int32), np.asarray(trained.sites, np.int32)
        self._x_um, self._y_um = (np.ascontiguousarray(v, np.float32) for v in trained.positions_um.T)
        components = trained.templates.basis.components[:, self._front : self._front + self._length].astype(np.float64)
        self.apart = _distances(trained.templates.weights, components, self._norms)
        self._signal = _Held(sites, self._kept)
        self._next: int | None = None
        self._step_stop = 0  # counter before which the next step sees
        self._last = np.full((max(1, len(trained)), 2), _NEVER, np.int64)
        self._state = _State()
        self.follower = Follower(self.sites, window.samples) if follow else None
        self._followed = 0  # counter of the first row that the follower did not get
        self._decided: list[tuple[I64, I32, F32]] = []

    def moved_to(self, trained: TrainedUnits, *, follow: bool) -> StreamMatcher:
        """Return a matcher of the same units with other templates, that goes on where this one is."""
        other = StreamMatcher(trained, self._fs_hz, follow=follow)
        other.sure_before, other._next, other._step_stop = self.sure_before, self._next, self._step_stop
        other._signal, other._last, other._state = self._signal, self._last, self._state
        other._followed = self._signal.start
        self._state.forget_candidates()
        return other

    def process(self, block: Block) -> SpikeTable:
        """Return the spikes that can be told now; those of one call are in order."""
        told: list[SpikeTable] = []
        if self._next != block.start:
            told.append(self.flush())
            self._signal.begin(block.start)
            self._step_stop = block.start + self._hop
            self._followed = block.start
            self._last[:] = _NEVER
        x = block.samples
        pieces = [x] if len(x) <= _PIECE else [x[at : at + _PIECE] for at in range(0, len(x), _PIECE)]
        told += [self._piece(piece) for piece in pieces]
        self._next = block.stop
        return (SpikeTable.concatenate(told) if len(told) > 1 else told[0]).ordered()

    def flush(self) -> SpikeTable:
        """Return the spikes whose waveforms end with what there is, and forget that."""
        told = SpikeTable.empty()
        if self._next is not None and len(self.trained):
            stop, reach = self._signal.stop, self._reach
            self._reach += self._hop
            told = self._steps(stop, stop, stop, ahead=0).ordered()
            self._reach = reach
        self._signal.begin(0)
        self._next = None
        self._state = _State()
        self._decided = []
        if self.follower is not None:
            self.follower.restart()
        return told

    # --- inside -------------------------------------------------------------------------------------------------

    @property
    def _kept(self) -> int:
        """Rows that may still be looked at, or be subtracted from."""
        return self._hop + self._length + self._reach + self.trained.window.samples + 16

    def _piece(self, x: F32) -> SpikeTable:
        """Take a few samples."""
        signal = self._signal
        fresh = signal.stop
        at = signal.room_for(len(x))
        whiten_near(np.ascontiguousarray(x), self._near, self._weights, signal.raw, signal.white, at)
        signal.stop += len(x)
        if not len(self.trained):
            self.sure_before = signal.stop
            return SpikeTable.empty()
        told = self._steps(fresh, self._step_stop, signal.stop, ahead=self._ahead)
        steps = max(0, (signal.stop - self._step_stop) // self._hop + 1)
        self._step_stop += steps * self._hop
        final = self._step_stop - self._hop - self._length - 1 - self._reach
        self.sure_before = final + 1 + self._before
        if self.follower is not None:
            self._follow(self.follower, final - self._front - 2)
        return told

    def _steps(self, fresh: int, first: int, last: int, *, ahead: int) -> SpikeTable:
        """Work on the steps that see the samples before the counters ``first`` to ``last``."""
        signal, state = self._signal, self._state
        row = np.empty(_MOST, np.int64)
        unit = np.empty(_MOST, np.int32)
        scale, fraction, gain, margin = np.empty((4, _MOST), np.float32)
        origin = signal.origin
        found = gated_steps(
            signal.white,
            signal.start - origin,
            fresh - origin,
            signal.stop - origin,
            first - origin,
            last - origin,
            self._hop,
            ahead,
            max(ahead, self._doubt) if ahead else 0,
            self._patience,
            self._reach,
            origin,
            self.waveforms,
            self._front,
            self._length,
            self._before,
            self.sites,
            self._sharing,
            self._share,
            self._norms,
            self._lows,
            self._leasts,
            self.apart,
            self._prior,
            AMPLITUDES[1],
            GATE_SD,
            self.trained.window.half,
            self._last,
            state.held,
            state.places,
            state.fits,
            state.later,
            state.tails,
            state.tail_scales,
            row,
            unit,
            scale,
            fraction,
            gain,
            margin,
        )
        if not found:
            return SpikeTable.empty()
        return self._table(row[:found], unit[:found], scale[:found], fraction[:found], margin[:found])

    def _table(self, row: I64, unit: I32, scale: F32, fraction: F32, margin: F32) -> SpikeTable:
        peak = row + self._before
        peak[fraction >= 0.5] += 1
        if self.follower is not None:
            sure = ~(margin < SURE_SD)
            begins = row + np.floor(fraction * PHASES + 0.5).astype(np.int64) // PHASES - self._front
            self._decided.append((begins[sure], unit[sure], scale[sure]))
        site = self._main_sites[unit]
        return SpikeTable(
            counter=peak,
            site=site,
            label=self._labels[unit],
            amplitude_uv=self._signal.raw[site, peak - self._signal.origin],
            scale=scale,
            margin=margin,
            x_um=self._x_um[unit],
            y_um=self._y_um[unit],
            flags=np.zeros(len(row), np.uint8),
        )

    def _follow(self, follower: Follower, stop: int) -> None:
        """Hand over the rows before a counter, that nothing is subtracted from any more, and the spikes so far."""
        signal = self._signal
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
        self.held = np.zeros(3, np.int64)
        self.places, self.fits = np.empty((_KEPT, 2), np.int64), np.empty((_KEPT, 5))
        self.later = np.empty((_KEPT, 2), np.int64)
        self.tails, self.tail_scales = np.empty((_KEPT, 3), np.int64), np.empty(_KEPT, np.float32)

    def forget_candidates(self) -> None:
        """Templates changed: what was found with the old ones is looked for no more."""
        self.held[:2] = 0


class _Held:
    """The newest samples of a stream, filtered and what is left of them whitened; ``(sites, n)`` each.

    Attributes
    ----------
    start, stop
        Counters of the first sample and behind the last.
    """

    def __init__(self, sites: int, kept: int) -> None:
        self._kept = kept
        self._room = 16 * ((kept + 2 * _PIECE + SLACK) // 16 | 1)  # rows of memory that do not share lines of a cache
        self.raw, self.white = np.zeros((2, sites, self._room), np.float32)
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


def _main_first(sites: I32, waveforms: F32) -> tuple[I32, F32]:
    """Put the site with the deepest trough first, then the others by energy."""
    sites, waveforms = sites.copy(), waveforms.copy()
    for u in range(len(sites)):
        used = int((sites[u] >= 0).sum())
        if not used:
            continue
        own = waveforms[u, 0, :used]
        order = np.argsort(-(own.astype(np.float64) ** 2).sum(axis=1), kind="stable")
        main = int(own.min(axis=1).argmin())
        order = np.concatenate([[main], order[order != main]])
        sites[u, :used] = sites[u, order]
        waveforms[u, :, :used] = waveforms[u][:, order]
    return sites, waveforms


def _compared(waveforms: F32, trough: int) -> tuple[int, int]:
    """Return how many samples before and behind the trough hold what units are told by."""
    if not len(waveforms):
        return 0, 0
    energy = (waveforms[:, 0].astype(np.float64) ** 2).sum(axis=1)
    share = energy.cumsum(axis=1) / np.maximum(energy.sum(axis=1, keepdims=True), 1e-12)
    first = int((share <= BEYOND[0]).sum(axis=1).min())
    last = int((share < 1.0 - BEYOND[1]).sum(axis=1).max())
    return max(0, trough - first), max(0, last - trough)


def _least(norms: F64, limits: tuple[float, float], prior: float) -> F64:
    """Return the projection that a spike of each unit must have: by its gain, and by the smallest amplitude."""
    gain = np.clip(0.5 * norms, *limits)
    by_gain = np.sqrt((gain + prior) * (norms + prior)) - prior
    return np.maximum(np.maximum(by_gain, AMPLITUDES[0] * (norms + prior) - prior), 0.0)


def _sharing(sites: I32, count: int) -> tuple[npt.NDArray[np.uint8], I32]:
    """Return which units have a site in common, ``(units, units)``, and the same as lists padded with -1."""
    seen = np.zeros((len(sites), count + 1), np.float32)
    np.put_along_axis(seen, sites.astype(np.int64) % (count + 1), 1.0, axis=1)
    seen = seen[:, :count]
    share = np.ascontiguousarray((seen @ seen.T) > 0, np.uint8)
    lists = np.full((len(sites), max(1, int(share.sum(axis=1).max(initial=0)))), -1, np.int32)
    for u in range(len(sites)):
        others = np.flatnonzero(share[u])
        lists[u, : len(others)] = others
    return share, lists


def _distances(weights: F32, components: F64, norms: F64) -> F64:
    """Return how far apart what is compared of rivals is, ``(units, units)``; NaN for units that are none.

    ``components`` are ``(P, samples)`` of what is compared, ``weights`` those of the units on them.
    """
    own = weights.reshape(len(weights), -1)
    turned = (weights @ (components @ components.T).astype(np.float32)).reshape(len(weights), -1)
    products = np.asarray(turned @ own.T, np.float64)
    size = np.sqrt(np.outer(norms, norms))
    squared = np.maximum(norms[:, None] + norms[None] - 2 * products, 1e-9)
    rivals = (products > RIVAL_COSINE * size) & (size > 0)
    np.fill_diagonal(rivals, False)
    return np.where(rivals, np.sqrt(squared), np.nan)


def _sparse(matrix: F32) -> tuple[I32, F32]:
    """Return the entries of each column of a whitening matrix that matter, ``(sites, K)`` each."""
    energy = matrix.astype(np.float64) ** 2
    order = np.argsort(-energy, axis=0, kind="stable")
    ordered = np.take_along_axis(energy, order, axis=0)
    rest = ordered[::-1].cumsum(axis=0)[::-1]  # of an entry and all smaller ones
    used = (rest > LEFT_OUT * rest[0]) & (ordered > 0)
    most = max(1, int(used.sum(axis=0).max(initial=0)))
    near = np.full((matrix.shape[1], most), -1, np.int32)
    weights = np.zeros((matrix.shape[1], most), np.float32)
    for j in range(matrix.shape[1]):
        rows = np.sort(order[used[:, j], j])
        near[j, : len(rows)] = rows
        weights[j, : len(rows)] = matrix[rows, j]
    return near, weights
