"""Spikes of known units in a stream (stage S9 online).

The whitened signal is worked through in windows of a fixed length that are counted from where the stream began, so that
packets do not matter. A window ends half a millisecond behind the spikes that it decides on, for those that overlap
them; decided spikes are subtracted, and what is left is what later windows see.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.recordings.block import Block
from ranvier.sorting.gated_kernels import gated_pursuit
from ranvier.sorting.matching import AMPLITUDES, Matched, Matcher
from ranvier.sorting.spike_table import SpikeTable
from ranvier.sorting.stream_kernels import rival_margins, subtract_spikes, whiten_near
from ranvier.sorting.templates import PHASES, shifted_waveforms
from ranvier.sorting.tracking import SURE_SD, Follower
from ranvier.sorting.trained import TrainedUnits

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Length of the windows, and how far behind them overlapping spikes are looked for.
WINDOW_SEC = 1.25e-3
AHEAD_SEC = 0.5e-3
#: A unit is looked for where its main site has a trough of so many SD of the whitened noise (docs/decisions/0022).
GATE_SD = -2.0
#: Units this alike (cosine) are rivals for a spike, which may begin so many samples sooner or later for them.
RIVAL_COSINE, RIVAL_REACH = 0.5, 1
#: Spikes of one window, at most.
_MOST = 2048
_NEVER = -(1 << 60)


class StreamMatcher:
    """Tells the spikes of trained units in consecutive blocks of the filtered signal.

    Attributes
    ----------
    sure_before
        Every spike that peaked before this counter has been told.
    sites, waveforms
        ``(units, K)``: sites of each unit, -1 behind the last; whitened waveforms there ``(units, phases, K, length)``.
    apart
        ``(units, units)``: distance of the templates of rivals, NaN for units that are none.
    follower
        Collects how units change; None while they are not followed.
    """

    def __init__(self, trained: TrainedUnits, fs_hz: float, *, follow: bool = False) -> None:
        self.trained = trained
        self.sure_before = _NEVER
        self._fs_hz = fs_hz
        templates = trained.templates
        self._thresholds = Matcher(templates, trained.parameters, trained.window).thresholds
        self._norms = templates.norms
        self._mains = np.ascontiguousarray(templates.waveforms.min(axis=1).argmin(axis=1), np.int32)
        seen = (templates.weights != 0).any(axis=2).astype(np.float32)
        self._share = np.ascontiguousarray((seen @ seen.T) > 0, np.uint8)
        self._hop = max(1, round(WINDOW_SEC * fs_hz))
        self._ahead = max(1, round(AHEAD_SEC * fs_hz))
        self._need = trained.window.samples + self._hop + self._ahead + 1
        self._near, self._weights = _sparse(trained.whitening.matrix)
        self.sites, self.waveforms = shifted_waveforms(trained.templates)
        sites = trained.whitening.matrix.shape[0]
        self._white = _Held(sites, 4 * self._need)  # what is left of the whitened signal
        self._signal = np.empty((0, sites), np.float32)
        self._start = 0
        self._next: int | None = None
        self._last = np.full(max(1, len(trained)), _NEVER, np.int64)
        self.apart = _distances(trained)
        self._prior = 1.0 / trained.parameters.amplitude_sd**2
        self.follower = Follower(self.sites, trained.window.samples) if follow else None
        self._decided: list[tuple[I64, I32, F32]] = []

    def moved_to(self, trained: TrainedUnits, *, follow: bool) -> StreamMatcher:
        """Return a matcher of the same units with other templates, that goes on where this one is."""
        other = StreamMatcher(trained, self._fs_hz, follow=follow)
        other.sure_before, other._start, other._next = self.sure_before, self._start, self._next
        other._white, other._signal, other._last = self._white, self._signal, self._last
        return other

    def process(self, block: Block) -> SpikeTable:
        """Return the spikes that can be told now, in order."""
        told = []
        if self._next != block.start:
            told.append(self.flush())
            self._start = block.start
            self._last[:] = _NEVER
        x = block.samples
        white = np.empty(x.shape[::-1], np.float32)
        whiten_near(x, self._near, self._weights, white)
        if not np.isfinite(white.sum()):
            np.nan_to_num(white, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        self._white.add(white)
        self._signal = np.concatenate([self._signal, x])
        self._next = block.stop
        at = 0
        while len(self._white) - at >= self._need:
            told.append(self._window(at, self._need, self._hop))
            at += self._hop
        if self.follower is not None and at:
            self._follow(self.follower, at)
        self._white.drop(at)
        self._signal = self._signal[at:]
        self._start += at
        self.sure_before = self._start + self.trained.window.before
        return SpikeTable.concatenate(told)

    def flush(self) -> SpikeTable:
        """Return the spikes whose waveforms end with what there is, and forget that."""
        told = SpikeTable.empty()
        if len(self._white) > self.trained.window.samples + 2:
            told = self._window(0, len(self._white), len(self._white))
        self._white.drop(len(self._white))
        self._signal, self._next = self._signal[:0], None
        self._decided = []
        if self.follower is not None:
            self.follower.restart()
        return told

    def _follow(self, follower: Follower, rows: int) -> None:
        """Hand over the rows that nothing is subtracted from any more, and the spikes that were decided."""
        nothing = (np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
        begins, units, amplitudes = (np.concatenate(parts) for parts in zip(*self._decided, nothing, strict=True))
        follower.take(self._white.samples[:, :rows].copy(), self._start, begins, units, amplitudes)
        self._decided = []

    def _window(self, at: int, rows: int, decide: int) -> SpikeTable:
        """Explain ``rows`` rows from ``at`` on; tell and subtract what begins in the rows ``[1, decide]`` of them."""
        if not len(self.trained):
            return SpikeTable.empty()
        matched = self._matched(at, rows, decide)
        chosen = matched.take(matched.row <= decide)
        if not len(chosen):
            return SpikeTable.empty()
        step = np.floor(chosen.fraction * PHASES + 0.5).astype(np.int64)
        begins = at + chosen.row + step // PHASES
        subtract_spikes(
            self._white.samples, begins, chosen.unit, step % PHASES, chosen.amplitude, self.sites, self.waveforms
        )  # fmt: skip
        np.maximum.at(self._last, chosen.unit, self._start + at + chosen.row)
        margin = self._margins(chosen, begins, step % PHASES)
        if self.follower is not None:
            sure = ~(margin < SURE_SD)
            self._decided.append((self._start + begins[sure], chosen.unit[sure], chosen.amplitude[sure]))
        return self._table(chosen, at, margin)

    def _margins(self, chosen: Matched, begins: I64, phases: I64) -> F32:
        """Return by how much each spike's unit explains it better than the next one, in SD; NaN without a rival."""
        margin = np.full(len(chosen), np.nan, np.float32)
        whole = np.flatnonzero((begins >= 0) & (begins + self.trained.window.samples <= len(self._white)))
        found = np.empty(len(whole), np.float32)
        rival_margins(
            self._white.samples,
            begins[whole],
            chosen.unit[whole],
            phases[whole],
            chosen.amplitude[whole],
            chosen.gain[whole],
            self.sites,
            self.waveforms,
            self._norms,
            self.apart,
            self._prior,
            RIVAL_REACH,
            found,
        )
        margin[whole] = found
        return margin

    def _matched(self, at: int, rows: int, decide: int) -> Matched:
        """Return what explains the window; what begins behind the decided rows is there to explain overlaps only."""
        row, unit = np.empty(_MOST, np.int64), np.empty(_MOST, np.int32)
        amplitude, fraction, gain = np.empty((3, _MOST), np.float32)
        found = gated_pursuit(
            self._white.samples[:, at : at + rows].copy(),
            self.waveforms,
            self.sites,
            self._mains,
            self._share,
            self._norms,
            self._thresholds,
            self._prior,
            np.array(AMPLITUDES),
            GATE_SD,
            self.trained.window.before,
            self.trained.window.half,
            1,
            min(decide + self._ahead, rows - self.trained.window.samples - 1),
            self._last - (self._start + at),
            row,
            unit,
            amplitude,
            fraction,
            gain,
        )
        order = np.lexsort((unit[:found], row[:found]))
        return Matched(row[order], unit[order], amplitude[order], fraction[order], gain[order])

    def _table(self, chosen: Matched, at: int, margin: F32) -> SpikeTable:
        trained = self.trained
        peak = at + chosen.row + trained.window.before + np.floor(chosen.fraction + 0.5).astype(np.int64)
        table = SpikeTable.empty(len(chosen))
        table.counter[:] = self._start + peak
        table.site[:] = trained.sites[chosen.unit]
        table.label[:] = trained.labels[chosen.unit]
        table.scale[:] = chosen.amplitude
        table.margin[:] = margin
        inside = np.clip(peak, 0, len(self._signal) - 1)
        table.amplitude_uv[:] = self._signal[inside, table.site]
        where = trained.positions_um[chosen.unit]
        table.x_um[:], table.y_um[:] = where.T
        return table.ordered()


def _distances(trained: TrainedUnits) -> F64:
    """Return how far apart the templates of rivals are, ``(units, units)``; NaN for units that are none."""
    flat = trained.templates.weights.reshape(len(trained), -1).astype(np.float64)
    products, norms = flat @ flat.T, trained.templates.norms
    size = np.sqrt(np.outer(norms, norms))
    squared = np.maximum(norms[:, None] + norms[None] - 2 * products, 1e-9)
    rivals = (products > RIVAL_COSINE * size) & (size > 0)
    np.fill_diagonal(rivals, False)
    return np.where(rivals, np.sqrt(squared), np.nan)


class _Held:
    """Samples ``(sites, n)`` that are added at the end and dropped at the beginning, without moving them each time."""

    def __init__(self, sites: int, room: int) -> None:
        self._memory = np.empty((sites, room), np.float32)
        self._first = self._stop = 0

    def __len__(self) -> int:
        return self._stop - self._first

    @property
    def samples(self) -> F32:
        """``(sites, n)``, to be changed in place."""
        return self._memory[:, self._first : self._stop]

    def add(self, samples: F32) -> None:
        """Add samples at the end."""
        more = samples.shape[1]
        if self._stop + more > self._memory.shape[1]:
            held = self.samples
            memory = self._memory
            if 2 * (held.shape[1] + more) > memory.shape[1]:
                memory = np.empty((len(memory), 2 * (held.shape[1] + more)), np.float32)
            memory[:, : held.shape[1]] = held.copy()
            self._memory, self._first, self._stop = memory, 0, held.shape[1]
        self._memory[:, self._stop : self._stop + more] = samples
        self._stop += more

    def drop(self, count: int) -> None:
        """Forget the oldest samples."""
        self._first += count


def _sparse(matrix: F32) -> tuple[I32, F32]:
    """Return the nonzero entries of each column of a whitening matrix, ``(sites, K)`` each."""
    used = matrix != 0
    most = max(1, int(used.sum(axis=0).max(initial=0)))
    near = np.full((matrix.shape[1], most), -1, np.int32)
    weights = np.zeros((matrix.shape[1], most), np.float32)
    for j in range(matrix.shape[1]):
        rows = np.flatnonzero(used[:, j])
        near[j, : len(rows)] = rows
        weights[j, : len(rows)] = matrix[rows, j]
    return near, weights
