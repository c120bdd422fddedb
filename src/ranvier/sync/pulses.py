"""Which pulse of one clock is which of the other one, by the pattern of their intervals.

Intervals that agree vote for an offset (also intervals over two or three pulses, so that a missing or spurious pulse
breaks nothing). The best offsets of a window of pulses are followed from pulse to pulse in both directions, with the
rate as it shows itself; what pairs most pulses wins, if nothing else pairs nearly as many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.sync.fit import line

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

WINDOW_PULSES, WINDOWS = 40, 16
LAGS = (1, 2, 3)
CANDIDATES = 8
#: Votes looked at per window; the rarest intervals come first.
MOST_VOTES = 2_000_000
#: How far a match is followed with one line, and from how many pulses that line is made.
STEP_SEC, EDGE_PULSES = 600.0, 200


@dataclass(frozen=True, slots=True)
class Match:
    """Pairs of pulses: indices into the source and the target, increasing, int64 ``(n,)`` each."""

    source: I64
    target: I64

    def __len__(self) -> int:
        return len(self.source)

    def shares(self, other: Match) -> int:
        """Return how many pairs two matches have in common."""
        mine = set(zip(self.source.tolist(), self.target.tolist(), strict=True))
        return len(mine & set(zip(other.source.tolist(), other.target.tolist(), strict=True)))


def candidates(
    a: F64, b: F64, first: int, tolerance: float, max_rate: float, near: tuple[float, float] | None
) -> list[Match]:
    """Return the likeliest matches of the window of pulses that begins at ``first``.

    Parameters
    ----------
    tolerance
        Jitter of a pulse, seconds.
    max_rate
        Largest difference of the rates (1e-4 is 100 ppm).
    near
        (offset, within): look at offsets near this one only.
    """
    stop = min(first + WINDOW_PULSES, len(a))
    i, j = _votes(a[first:stop], b, tolerance, max_rate)
    i = i + first
    d = b[j] - a[i]
    if near is not None:
        keep = np.abs(d - near[0]) <= near[1]
        i, j, d = i[keep], j[keep], d[keep]
    span = float(a[stop - 1] - a[first])
    width = 2 * tolerance + max_rate * span
    found = []
    order = np.argsort(d, kind="stable")
    i, j, d = i[order], j[order], d[order]
    for _ in range(CANDIDATES):
        if not len(d):
            break
        last = np.searchsorted(d, d + width, side="right")
        best = int(np.argmax(last - np.arange(len(d))))
        inside = slice(best, int(last[best]))
        found.append(_sharpen(a, b, i[inside], j[inside], tolerance, max_rate))
        keep = (d < d[best] - width / 2) | (d > d[inside][-1])
        i, j, d = i[keep], j[keep], d[keep]
    return [match for match in found if len(match) >= 2]


def follow(a: F64, b: F64, seed: Match, tolerance: float, max_rate: float) -> Match:
    """Return the match that a seed grows into, over all pulses."""
    source, target = seed.source, seed.target
    for forward in (True, False):
        while len(new := _grow(a, b, Match(source, target), forward, tolerance, max_rate)):
            source = np.concatenate((source, new.source) if forward else (new.source, source))
            target = np.concatenate((target, new.target) if forward else (new.target, target))
    return Match(source, target)


def _grow(a: F64, b: F64, match: Match, forward: bool, tolerance: float, max_rate: float) -> Match:
    """Return the pairs that follow a match on one side, as far as one line reaches; none at the end."""
    edge = slice(-EDGE_PULSES, None) if forward else slice(EDGE_PULSES)
    offset, slope = line(a[match.source[edge]], b[match.target[edge]])
    if abs(slope - 1) > max_rate:
        slope = min(max(slope, 1 - max_rate), 1 + max_rate)
        offset = float(np.median(b[match.target[edge]] - slope * a[match.source[edge]]))
    done = match.source[-1] if forward else match.source[0]
    rest = np.arange(done + 1, len(a)) if forward else np.arange(done)
    reach = min(max(float(a[match.source[-1]] - a[match.source[0]]), 1.0), STEP_SEC)
    near = np.abs(a[rest] - a[done]) <= reach
    new = _beyond(_nearest(a, b, rest[near], offset, slope, tolerance), match, forward)
    if len(new):
        return new
    # nobody answered: step over this stretch to the next pulse that does, on the line as it is
    new = _beyond(_nearest(a, b, rest[~near], offset, slope, tolerance), match, forward)
    one = slice(0, 1) if forward else slice(-1, None)
    return Match(new.source[one], new.target[one])


def _votes(window: F64, b: F64, tolerance: float, max_rate: float) -> tuple[I64, I64]:
    """Return pairs (pulse of the window, pulse of the target) that begin intervals which agree."""
    value, start = [], []
    for lag in LAGS:
        value.append(b[lag:] - b[:-lag])
        start.append(np.arange(max(len(b) - lag, 0)))
    values, starts = np.concatenate(value), np.concatenate(start)
    order = np.argsort(values, kind="stable")
    values, starts = values[order], starts[order]
    wanted = np.concatenate([window[lag:] - window[:-lag] for lag in LAGS])
    begins = np.concatenate([np.arange(max(len(window) - lag, 0)) for lag in LAGS])
    slack = 2 * tolerance + max_rate * wanted
    low, high = np.searchsorted(values, wanted - slack), np.searchsorted(values, wanted + slack, side="right")
    count = high - low
    rare = np.argsort(count, kind="stable")
    rare = rare[: max(1, int(np.searchsorted(np.cumsum(count[rare]), MOST_VOTES)))] if len(rare) else rare
    i = np.repeat(begins[rare], count[rare])
    j = np.concatenate([starts[low[k] : high[k]] for k in rare] or [np.empty(0, np.int64)])
    return i.astype(np.int64), j.astype(np.int64)


def _sharpen(a: F64, b: F64, i: I64, j: I64, tolerance: float, max_rate: float) -> Match:
    """Return the largest one-to-one match among votes that lies on one line of offset and rate."""
    at = a[i] - a[i].mean()
    span = max(float(np.ptp(at)), 1e-9)
    rates = np.linspace(-max_rate, max_rate, 2 * int(np.ceil(max_rate * span / max(tolerance, 1e-9))) + 1)[:401]
    best = np.zeros(0, dtype=np.int64)
    for rate in rates:
        d = b[j] - a[i] - rate * at
        order = np.argsort(d, kind="stable")
        last = np.searchsorted(d[order], d[order] + 2 * tolerance, side="right")
        k = int(np.argmax(last - np.arange(len(d))))
        chosen = order[k : int(last[k])]
        if len(chosen) > len(best):
            best = chosen
    pairs = np.unique(np.stack([i[best], j[best]], axis=1), axis=0)
    _, once = np.unique(pairs[:, 0], return_index=True)
    pairs = pairs[once]
    _, once = np.unique(pairs[:, 1], return_index=True)
    pairs = pairs[np.sort(once)]
    rising = np.concatenate(([True], np.diff(pairs[:, 1]) > 0))
    return Match(pairs[rising, 0], pairs[rising, 1])


def _nearest(a: F64, b: F64, which: I64, offset: float, slope: float, tolerance: float) -> Match:
    """Return the pulses of ``which`` that have a target within the tolerance of a line; one to one."""
    predicted = offset + slope * a[which]
    right = np.clip(np.searchsorted(b, predicted), 0, len(b) - 1)
    left = np.maximum(right - 1, 0)
    j = np.where(np.abs(b[left] - predicted) < np.abs(b[right] - predicted), left, right)
    off = np.abs(b[j] - predicted)
    near = off <= tolerance
    i, j, off = which[near], j[near], off[near]
    order = np.lexsort((off, j))
    _, once = np.unique(j[order], return_index=True)
    chosen = np.sort(order[once])
    return Match(i[chosen], j[chosen])


def _beyond(new: Match, match: Match, forward: bool) -> Match:
    """Return the pairs beyond an edge of a match."""
    if forward:
        keep = (new.source > match.source[-1]) & (new.target > match.target[-1])
    else:
        keep = (new.source < match.source[0]) & (new.target < match.target[0])
    return Match(new.source[keep], new.target[keep])
