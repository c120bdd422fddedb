"""Matching pursuit of streams in NumPy, and its limits: what :mod:`ranvier.sorting.gated_kernels` computes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.sorting.early_reference import CLOSE, CONFIRMED, DECIDED, STEPS, foretell_reference

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

#: Amplitudes that raise no doubt.
ORDINARY = (0.75, 1.35)
#: Share of a unit's energy on its main site that a trough there must have, in its place, to be looked at at all.
MAIN = 0.2
#: So many samples sooner or later a rival may begin.
RIVAL_REACH = 1


def gated_steps_reference(
    white: F32, begin: int, fresh: int, filled: int, stop: int, last_stop: int, hop: int, ahead: int, doubt: int,
    patience: int, reach: int, origin: int, waveforms: F32, front: int, length: int, before: int, sites: I32,
    near: I32, share: U8, norms: F64, lows: F64, leasts: F64, apart: F64, prior: float, most_scale: float,
    gate: float, guard: int, seen: int, early_front: int, early_length: int, early_before: int, rivals: I32,
    early_norms: F64, early_products: F64, early_lows: F64, early_leasts: F64, last: I64, held: I64, places: I64,
    fits: F64, later: I64, tails: I64, tail_scales: F32, foretold: I64, sizes: F32, trust: I64, rows: I64, units: I32,
    scales: F32, fractions: F32, gains: F32, margins: F32, kinds: U8,
) -> int:  # fmt: skip
    """Define :func:`gated_steps`: look at all troughs again after every spike."""
    phases, whole = waveforms.shape[1], waveforms.shape[3]
    found = 0

    def part(u: int, r: int, k: slice) -> float:
        x = white[sites[u][sites[u] >= 0][k], r : r + length].astype(np.float64)
        return float((x * waveforms[u, 0, sites[u] >= 0, front : front + length][k]).sum())

    def subtract(at: int, u: int, phase: int, a: np.float32, first: int) -> None:
        low, high = max(begin, first, at), min(filled, at + whole)
        used = sites[u] >= 0
        if high > low:
            white[sites[u][used], low:high] -= a * waveforms[u, phase, used, low - at : high - at]

    def fit(u: int, t: int, highest: int) -> tuple[float, int, tuple[float, float, float]] | None:
        x, r, every = white[sites[u, 0]], t - before, slice(None)
        if not (x[t] < gate and x[t] <= x[t - 1] and x[t] < x[t + 1]) or r - 1 < begin:
            return None
        if not part(u, r, slice(0, 1)) > leasts[u] or not part(u, r, every) > CLOSE * lows[u]:
            return None
        for _ in range(STEPS + 1):
            left, here, right = (part(u, r + d, every) for d in (-1, 0, 1))
            if here > left and here >= right:
                if not here > lows[u] or (here + prior) / (norms[u] + prior) > most_scale:
                    return None
                return (here + prior) ** 2 / (norms[u] + prior) - prior, r, (left, here, right)
            r += 1 if right > left else -1
            if r > highest or r - 1 < begin:
                return None
        return None

    def forget(which: I64) -> None:
        left = np.delete(np.arange(held[3]), which)
        foretold[: len(left)], sizes[: len(left)], held[3] = foretold[left], sizes[left], len(left)

    for k in range(held[2]):
        subtract(tails[k, 0] - origin, int(tails[k, 1]), int(tails[k, 2]), tail_scales[k], fresh)
    kept = [k for k in range(held[2]) if tails[k, 0] - origin + whole > filled]
    tails[: len(kept)], tail_scales[: len(kept)], held[2] = tails[kept], tail_scales[kept], len(kept)
    while stop <= last_stop:
        highest, first_found = stop - length - 1, found
        lowest = max(begin + 1, highest - reach)
        while True:
            candidates = []
            for u in range(len(norms)):
                for t in range(max(begin + 1, lowest + before - STEPS), highest + before + 1):
                    one = fit(u, t, highest)
                    if one is None or one[1] < lowest or (np.abs(one[1] + origin - last[u]) <= guard).any():
                        continue
                    candidates.append(((one[0], -one[1], -u), one[2]))
            candidates.sort(key=lambda c: c[0], reverse=True)
            chosen = None
            for n, (key, three) in enumerate(candidates):
                r, u = -key[1], -key[2]
                larger = [c for c, _ in candidates[:n] if share[u, -c[2]] and c > key]
                ordinary = ORDINARY[0] <= (three[1] + prior) / (norms[u] + prior) <= ORDINARY[1]
                if r <= highest - (ahead if ordinary else doubt) and (not larger or r <= highest - patience):
                    chosen = key[0], r, u, three
                    break
            if chosen is None or found == len(rows):
                break
            gain, r, u, (left, here, right) = chosen
            bend = left - 2 * here + right
            shift = min(max(0.5 * (left - right) / bend, -0.5), 0.5) if bend < 0 else 0.0
            step = int(np.floor(shift * phases + 0.5))
            a = np.float32(min((here - 0.25 * (left - right) * shift + prior) / (norms[u] + prior), most_scale))
            rows[found], units[found], scales[found] = r + origin, u, a
            fractions[found], gains[found] = shift, gain
            own = np.flatnonzero((foretold[: held[3], 1] == u) & (np.abs(foretold[: held[3], 0] - r - origin) <= guard))
            kinds[found] = CONFIRMED if len(own) else DECIDED
            forget(own[:1])
            found += 1
            last[u] = max(last[u, 0], r + origin), min(last[u, 0], r + origin)
            at = r + step // phases - front
            subtract(at, u, step % phases, a, begin)
            if at + whole > filled:
                tails[held[2]], tail_scales[held[2]] = (at + origin, u, step % phases), a
                held[2] += 1
        for n in range(first_found, found):
            r, u = int(rows[n] - origin), int(units[n])
            own = np.zeros((white.shape[0], length), np.float64)
            used = sites[u] >= 0
            step = int(np.floor(float(fractions[n]) * phases + 0.5))
            shifted = waveforms[u, step % phases, used, front : front + length].astype(np.float64)
            own[sites[u][used]] = float(scales[n]) * shifted
            margins[n] = np.nan
            for v in np.flatnonzero(np.isfinite(apart[u])):
                among = sites[v] >= 0
                for d in range(-RIVAL_REACH, RIVAL_REACH + 1):
                    q = r + step // phases + d
                    if q < begin or q + length > stop:
                        continue
                    piece = white[sites[v][among], q : q + length].astype(np.float64)
                    moved = np.zeros((white.shape[0], length))
                    low, high = max(0, d), min(length, length + d)
                    moved[:, low - d : high - d] = own[:, low:high]
                    piece += moved[sites[v][among]]
                    product = float((piece * waveforms[v, 0, among, front : front + length]).sum())
                    gain = (product + prior) ** 2 / (norms[v] + prior) - prior
                    margin = np.float32((gains[n] - gain) / (2.0 * apart[u, v]))
                    if not margin >= margins[n]:  # the smallest; NaN at first
                        margins[n] = margin
        gone = np.flatnonzero(foretold[: held[3], 0] + guard < lowest + origin)
        np.add.at(trust[:, 1], foretold[gone, 1], 1)
        forget(gone)
        if seen:
            found = foretell_reference(
                white, waveforms, sites, share, rivals, early_front, early_length, early_before, before - early_before,
                early_norms, early_products, early_lows, early_leasts, prior, guard, last, foretold, sizes, held,
                trust, begin, stop, seen, origin, found, rows, units, scales, fractions, gains, margins, kinds,
            )  # fmt: skip
        stop += hop
    return found
