"""Which spikes are told before all of them was seen, in NumPy: what :mod:`ranvier.sorting.early_kernels` computes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

#: By so many SD a unit must explain the beginning of a spike better than any other, and than none.
SURE = 4.0
#: Amplitudes of spikes that are told early.
SIZES = (0.8, 1.25)
#: A trough on the main site is at least so deep, in SD of the noise.
GATE_EARLY_SD = -3.5
#: Units whose beginnings are this alike (cosine) are rivals for a spike; what others add is not noise.
ALIKE = 0.3
#: Share of a unit's energy on its main site that a trough there must have, in its place.
MAIN_EARLY = 0.6
#: What is left of the signal on the unit's sites may exceed its expectation by so many SD, and by this share of the
#: energy of the template (amplitudes and shapes vary).
REST_SD, REST_SHARE = 4.0, 0.1
#: A unit is told early while so many of its spikes were not confirmed: a few, and one in so many.
PARDONED, ONE_IN = 3, 200
#: A projection below this share of what is asked for is not looked at more closely; so far from a trough's place, in
#: samples, the best one is looked for.
CLOSE, STEPS = 0.6, 6
#: The same of a beginning.
CLOSE_EARLY = 0.8
#: A unit that explains less than this share of what another with a site in common does, each at its trough, is not
#: told.
BEATEN = 0.8
#: Kinds of what is told: decided, told early, and decided after it was told early.
DECIDED, EARLY, CONFIRMED = 0, 1, 2


def foretell_reference(
    white: F32, waveforms: F32, sites: I32, share: U8, rivals: I32, front: int, length: int, before: int, back: int,
    norms: F64, products: F64, lows: F64, leasts: F64, prior: float, guard: int, last: I64,
    foretold: I64, sizes: F32, held: I64, trust: I64, begin: int, stop: int, seen: int, origin: int, found: int,
    rows: I64, units: I32, scales: F32, fractions: F32, gains: F32, margins: F32, kinds: U8,
) -> int:  # fmt: skip
    """Define :func:`ranvier.sorting.early_kernels.foretell`."""
    phases, highest = waveforms.shape[1], stop - length - 1

    def part(u: int, r: int, k: slice) -> float:
        x = white[sites[u][sites[u] >= 0][k], r : r + length].astype(np.float64)
        return float((x * waveforms[u, 0, sites[u] >= 0, front : front + length][k]).sum())

    def explained(u: int, product: float) -> float:
        return float((product + prior) ** 2 / (norms[u] + prior) - prior)

    def left(u: int, r: int) -> float:
        x = white[sites[u][sites[u] >= 0], r : r + length].astype(np.float64)
        return explained(u, part(u, r, slice(None))) - float((x**2).sum())

    def hope(u: int, t: int) -> float:
        r, x = t - before, white[sites[u, 0]]
        if not (x[t] < GATE_EARLY_SD and x[t] <= x[t - 1] and x[t] < x[t + 1]) or r - 1 < begin:
            return 0.0
        product = part(u, r, slice(None))
        if not part(u, r, slice(0, 1)) > leasts[u] or not product > CLOSE_EARLY * lows[u]:
            return 0.0
        return max(explained(u, product), 0.0)

    def climbed(u: int, t: int) -> tuple[float, int, int] | None:
        r, every = t - before, slice(None)
        for _ in range(STEPS + 1):
            before_it, here, behind = (left(u, r + d) for d in (-1, 0, 1))
            if here > before_it and here >= behind:
                product = part(u, r, every)
                if not product > lows[u] or (product + prior) / (norms[u] + prior) > SIZES[1]:
                    return None
                return explained(u, product), -r, -u
            r += 1 if behind > before_it else -1
            if r > highest or r - 1 < begin:
                return None
        return None

    def fires(u: int, counter: int) -> bool:
        own = foretold[: held[3]]
        return bool((np.abs(counter - last[u]) <= guard).any()) or bool(
            ((own[:, 1] == u) & (np.abs(counter - own[:, 0]) <= guard)).any()
        )

    hopes, candidates = [], []
    for u in range(len(norms)):
        if trust[u, 1] > PARDONED + trust[u, 0] // ONE_IN:
            continue
        hopes += [(hope(u, t), u, t) for t in range(max(begin + 1, highest - seen + before + 1), highest + before + 1)]
    for value, u, t in hopes:
        if not value > 0 or any(BEATEN * other > value and share[u, v] for other, v, _ in hopes):
            continue
        one = climbed(u, t)
        if one is not None and not fires(u, -one[1] - back + origin):
            candidates.append(one)
    for n, (gain, minus_r, minus_u) in enumerate(candidates):
        r, u = -minus_r, -minus_u
        if any(share[u, -c[2]] and c > (gain, minus_r, minus_u) for k, c in enumerate(candidates) if k != n):
            continue
        if fires(u, r - back + origin) or found == len(rows) or held[3] == len(foretold):
            continue
        sooner, here, later = (left(u, r + d) for d in (-1, 0, 1))
        bend = sooner - 2 * here + later
        shift = min(max(0.5 * (sooner - later) / bend, -0.5), 0.5) if bend < 0 else 0.0
        step = int(np.floor(shift * phases + 0.5))
        a = np.float32((part(u, r, slice(None)) + prior) / (norms[u] + prior))
        margin = np.nan
        for v in rivals[u][rivals[u] >= 0]:
            for d in (-1, 0, 1):
                product = part(v, r + d, slice(None))
                b = max((product + prior) / (norms[v] + prior), 0.0)
                apart = np.sqrt(max(norms[u] + b * b * norms[v] - 2.0 * b * products[u, v], 1e-9))
                margin = np.fmin(margin, (gain - explained(v, product)) / (2.0 * apart))
        used, q = sites[u] >= 0, r + step // phases
        own = waveforms[u, step % phases, used, front : front + length].astype(np.float64)
        rest = ((white[sites[u][used], q : q + length] - float(a) * own) ** 2).sum()
        free = int(used.sum()) * length
        fits = rest <= free + REST_SD * np.sqrt(2.0 * free) + REST_SHARE * norms[u]
        if margin < SURE or not fits or q < begin:
            continue
        rows[found], units[found], scales[found], fractions[found] = r - back + origin, u, a, shift
        gains[found], margins[found], kinds[found] = gain, margin, EARLY
        foretold[held[3]], sizes[held[3]] = (r - back + origin, u, step), a
        held[3] += 1
        trust[u, 0] += 1
        found += 1
    return found
