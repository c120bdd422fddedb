"""Templates that follow their neurons: what spikes leave behind tells how a neuron changed since it was learned."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.sorting.stream_kernels import add_residuals
from ranvier.sorting.trained import TrainedUnits

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Spikes of a period that a unit needs to be changed, and that count as much as all that was known before.
FEWEST, HALF_AT = 10, 20
#: Only spikes that no other unit explains nearly as well (SD) tell what their unit looks like.
SURE_SD = 2.0
#: A template stays this alike (cosine) to what was learned: beyond that it is learned anew, not followed.
LEASH = 0.8
TOO_UNLIKE = "too unlike what was learned"
#: And it does not become this alike to another unit: it would capture that one's spikes.
CAPTURE = 0.95


class Follower:
    """Collects what the spikes of a stream leave behind; takes the residual in order, once it is final.

    Parameters
    ----------
    sites
        ``(units, K)``: sites of each unit, -1 behind the last.
    length
        Of a waveform, in samples.
    """

    def __init__(self, sites: I32, length: int) -> None:
        units, most = sites.shape
        self.sites = sites
        self._sums = np.zeros((max(1, units), most, length))
        self.energy = np.zeros(max(1, units))
        self.counts = np.zeros(max(1, units), np.int64)
        self._rows = np.zeros((1, 0), np.float32)  # (sites, samples)
        self._start = 0
        self._waiting: list[tuple[I64, I32, F32]] = []

    @property
    def change(self) -> F64:
        """By how much units differ from their templates, ``(units, K, length)``."""
        return np.asarray(self._sums / np.maximum(self.energy, 1e-9)[:, None, None], np.float64)

    def restart(self) -> None:
        """Forget the rows, behind a gap; the sums stay."""
        self._rows, self._waiting = self._rows[:, :0], []

    def take(self, residual: F32, start: int, begins: I64, units: I32, amplitudes: F32) -> None:
        """Take the next samples of the residual, ``(sites, n)``, and the spikes that begin in or behind them."""
        length = self._sums.shape[2]
        if start != self._start + self._rows.shape[1] or not self._rows.size:
            self._rows, self._start = residual, start
        else:
            self._rows = np.concatenate([self._rows, residual], axis=1)
        self._waiting.append((begins, units, amplitudes))
        stop = self._start + self._rows.shape[1]
        at, who, size = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        whole = (at + length <= stop) & (at >= self._start)
        add_residuals(
            self._rows,
            at[whole] - self._start,
            np.ascontiguousarray(who[whole]),
            np.ascontiguousarray(size[whole]),
            self.sites,
            self._sums,
            self.energy,
            self.counts,
        )
        later = at + length > stop
        self._waiting = [(at[later], who[later], size[later])]
        first = min(int(at[later].min(initial=stop)), stop - length)
        self._rows = self._rows[:, max(0, first - self._start) :]
        self._start = max(self._start, first)


def refusal(moved: F32, u: int, anchor: F32, others: F32, norms: F32, trained: TrainedUnits) -> str:
    """Return why a unit must not look like ``moved``; "" where it may."""
    if float((moved.astype(np.float64) ** 2).sum()) < trained.parameters.min_energy:
        return "too small to be told from noise"
    if _cosine(moved, anchor) < LEASH:
        return TOO_UNLIKE
    flat = others.reshape(len(others), -1)
    alike = (flat @ moved.ravel()) / (norms * float(np.linalg.norm(moved)) + 1e-12)
    alike[u] = 0.0
    for v in np.flatnonzero(alike > CAPTURE):
        if alike[v] > _cosine(others[u], others[v]):
            return f"it would look like unit {trained.labels[v]}"
    return ""


def _cosine(a: F32, b: F32) -> float:
    product = float(np.vdot(a, b))
    return product / (float(np.linalg.norm(a)) * float(np.linalg.norm(b)) + 1e-12)
