"""Spikes that are sure are told when their beginning was seen (docs/decisions/0022).

The beginning of a waveform, from 0.1 ms before its trough to 0.4 ms behind it, is compared with the signal as the whole
is later. A spike is told where its unit explains this by several SD better than any other unit, and than none, with a
usual amplitude, and where what is left is noise. Nothing is subtracted: that is done when all of it was seen, by the
decision that every spike comes to, so what is told later does not depend on what was told early. A unit whose early
spikes are not decided so again and again is told early no more.
"""

from __future__ import annotations

import numba
import numpy as np

from ranvier.kernels.lanes import STRIP
from ranvier.kernels.strips import nothing, plus_product, summed
from ranvier.sorting.early_reference import (
    BEATEN,
    CLOSE_EARLY,
    EARLY,
    GATE_EARLY_SD,
    ONE_IN,
    PARDONED,
    REST_SD,
    REST_SHARE,
    SIZES,
    STEPS,
    SURE,
)
from ranvier.sorting.gated_parts import ahead_of, project, troughs


@numba.njit
def _fires(u, counter, guard, last, foretold, number):  # type: ignore[no-untyped-def]
    """Return whether a unit fires so near to a counter that it cannot fire there."""
    near = abs(counter - last[u, 0]) <= guard or abs(counter - last[u, 1]) <= guard
    for n in range(number):
        near = near or (foretold[n, 1] == u and abs(counter - foretold[n, 0]) <= guard)
    return near


@numba.njit
def _left(white, flat, per_unit, front, length, sites, norms, prior, u, r):  # type: ignore[no-untyped-def]
    """Return the product with a unit's beginning at a row, and the energy that it leaves there, negative."""
    product = project(white, flat, front, length, sites, sites.shape[1], u * per_unit, u, r)
    whole = length - length % STRIP
    sums, rest = nothing(), np.float32(0.0)
    for k in range(sites.shape[1]):
        site = sites[u, k]
        if site < 0:
            break
        for s in range(0, whole, STRIP):
            sums = plus_product(sums, white, site, r + s, white, site, r + s)
        for s in range(whole, length):
            rest += white[site, r + s] * white[site, r + s]
    raised = product + prior
    return product, raised * raised / (norms[u] + prior) - float(summed(sums)) - float(rest)


@numba.njit
def _fit(white, flat, per_unit, front, length, sites, norms, low, prior, u, r, begin, highest, three):  # type: ignore[no-untyped-def]
    """Find the row where a unit's beginning leaves least, -1 for none; write the product there and what it leaves."""
    here, kept = _left(white, flat, per_unit, front, length, sites, norms, prior, u, r)
    if not here > CLOSE_EARLY * low or r - 1 < begin:
        return -1
    _, left = _left(white, flat, per_unit, front, length, sites, norms, prior, u, r - 1)
    after, right = _left(white, flat, per_unit, front, length, sites, norms, prior, u, r + 1)
    for k in range(STEPS + 1):
        if kept > left and kept >= right:
            break
        if k == STEPS:
            return -1
        if right > left:
            r += 1
            if r > highest:
                return -1
            left, kept, here = kept, right, after
            after, right = _left(white, flat, per_unit, front, length, sites, norms, prior, u, r + 1)
        else:
            r -= 1
            if r - 1 < begin:
                return -1
            after, right, kept = here, kept, left
            here, _ = _left(white, flat, per_unit, front, length, sites, norms, prior, u, r)
            _, left = _left(white, flat, per_unit, front, length, sites, norms, prior, u, r - 1)
    three[0], three[1], three[2], three[3] = here, left, kept, right
    return r if here > low else -1


@numba.njit
def _least_margin(white, flat, per_unit, front, length, sites, rivals, norms, products, prior, u, r, gain):  # type: ignore[no-untyped-def]
    """Return by how many SD a unit explains the signal better than its rivals do; NaN where it has none."""
    most, smallest = sites.shape[1], np.nan
    for i in range(rivals.shape[1]):
        v = rivals[u, i]
        if v < 0 or smallest < SURE:
            break
        for d in range(-1, 2):
            raised = project(white, flat, front, length, sites, most, v * per_unit, v, r + d) + prior
            b = max(raised / (norms[v] + prior), 0.0)
            apart = np.sqrt(max(norms[u] + b * b * norms[v] - 2.0 * b * products[u, v], 1e-9))
            other = raised * raised / (norms[v] + prior) - prior
            margin = (gain - other) / (2.0 * apart)
            if not margin >= smallest:  # NaN at first
                smallest = margin
    return smallest


@numba.njit
def _is_noise(white, waveforms, sites, front, length, u, phase, q, a, norm):  # type: ignore[no-untyped-def]
    """Return whether what a spike leaves on its sites is as small as noise."""
    whole, free = length - length % STRIP, 0
    energy, product, own = nothing(), nothing(), nothing()
    rest = 0.0
    flat = waveforms[u, phase]
    for k in range(sites.shape[1]):
        site = sites[u, k]
        if site < 0:
            break
        for s in range(0, whole, STRIP):
            energy = plus_product(energy, white, site, q + s, white, site, q + s)
            product = plus_product(product, white, site, q + s, flat, k, front + s)
            own = plus_product(own, flat, k, front + s, flat, k, front + s)
        for s in range(whole, length):
            left = float(white[site, q + s]) - float(a) * float(flat[k, front + s])
            rest += left * left
        free += length
    rest += float(summed(energy)) - 2.0 * float(a) * float(summed(product)) + float(a) * float(a) * float(summed(own))
    return rest <= free + REST_SD * np.sqrt(2.0 * free) + REST_SHARE * norm


@numba.njit
def _hope(white, flat, per_unit, front, length, before, sites, norms, lows, prior, work, number, hopes):  # type: ignore[no-untyped-def]
    """Write what units explain at troughs, 0 where that is too little to be looked at more closely."""
    for n in range(number):
        u = work[n, 1]
        product = project(white, flat, front, length, sites, sites.shape[1], u * per_unit, u, work[n, 0] - before)
        hopes[n] = 0.0
        if product > CLOSE_EARLY * lows[u]:
            hopes[n] = max((product + prior) * (product + prior) / (norms[u] + prior) - prior, 0.0)


@numba.njit
def _hopeless(n, work, number, hopes, share):  # type: ignore[no-untyped-def]
    """Return whether a unit with a site in common explains far more than the one at a trough does."""
    beaten = not hopes[n] > 0.0
    for m in range(number):
        beaten = beaten or (BEATEN * hopes[m] > hopes[n] and share[work[n, 1], work[m, 1]])
    return beaten


@numba.njit
def foretell(  # type: ignore[no-untyped-def]
    white, waveforms, sites, share, rivals, front, length, before, back, norms, products, lows, leasts, prior, guard,
    last, foretold, sizes, held, trust, begin, stop, seen, origin, found, work, rows, units, scales, fractions,
    gains, margins, kinds,
):  # fmt: skip
    """Tell the sure spikes of the newest rows; return how many spikes there are now.

    Parameters
    ----------
    front, length, before
        Samples of a waveform that are its beginning: the first, how many, the trough among them.
    back
        By how much they begin behind what is compared later: spikes are told by the row at which that begins.
    rivals
        ``(units, M)``: units that look alike, -1 behind the last.
    norms, lows, leasts
        ``(units,)``: energy of a beginning, the least projection, and on the main site alone.
    products
        ``(units, units)``: inner products of beginnings.
    seen
        Rows that are new: those whose beginnings end before ``stop`` and did not one step ago.
    foretold, sizes
        ``(n, 3)``: counter, unit and shift (phases) of spikes that are not decided yet, ``held[3]`` of them; ``(n,)``.
    trust
        ``(units, 2)``: spikes that were told early, and those that were not decided so.
    """
    flat, phases = waveforms.reshape(-1, waveforms.shape[3]), waveforms.shape[1]
    per_unit, highest, number, count = phases * waveforms.shape[2], stop - length - 1, 0, 0
    places, fits, three = np.empty((256, 2), np.int64), np.empty((256, 5)), np.empty(4)
    for u in range(len(norms)):
        if trust[u, 1] > PARDONED + trust[u, 0] // ONE_IN:
            continue
        number = troughs(
            white, flat, u * per_unit, sites[u, 0], front, length, before, u,
            max(begin + 1, highest - seen + before + 1), highest + before + 1, begin, np.float32(GATE_EARLY_SD),
            np.float32(leasts[u]), work, number,
        )  # fmt: skip
    hopes = np.empty(number)
    _hope(white, flat, per_unit, front, length, before, sites, norms, lows, prior, work, number, hopes)
    for n in range(number):
        if _hopeless(n, work, number, hopes, share):
            continue
        u = work[n, 1]
        r = _fit(
            white, flat, per_unit, front, length, sites, norms, lows[u], prior, u, work[n, 0] - before, begin, highest,
            three,
        )  # fmt: skip
        usual = (three[0] + prior) / (norms[u] + prior) <= SIZES[1]
        if r < 0 or not usual or _fires(u, r - back + origin, guard, last, foretold, held[3]):
            continue
        if count < len(places):
            places[count, 0], places[count, 1] = r, u
            fits[count, 0] = (three[0] + prior) * (three[0] + prior) / (norms[u] + prior) - prior
            fits[count, 1], fits[count, 2], fits[count, 3], fits[count, 4] = three[0], three[1], three[2], three[3]
            count += 1
    for c in range(count):
        r, u, gain = places[c, 0], places[c, 1], fits[c, 0]
        largest = True
        for d in range(count):
            if d != c and share[u, places[d, 1]] and ahead_of(places, fits, d, c):
                largest = False
        full = found == len(rows) or held[3] == len(foretold)
        if not largest or full or _fires(u, r - back + origin, guard, last, foretold, held[3]):
            continue
        here, left, kept, right = fits[c, 1], fits[c, 2], fits[c, 3], fits[c, 4]
        bend = left - 2.0 * kept + right
        shift = min(max(0.5 * (left - right) / bend, -0.5), 0.5) if bend < 0.0 else 0.0
        step = int(np.floor(shift * phases + 0.5))
        a, q = np.float32((here + prior) / (norms[u] + prior)), r + step // phases
        if q < begin or not _is_noise(white, waveforms, sites, front, length, u, step % phases, q, a, norms[u]):
            continue
        margin = _least_margin(
            white, flat, per_unit, front, length, sites, rivals, norms, products, prior, u, r, gain
        )  # fmt: skip
        if margin < SURE:
            continue
        rows[found], units[found], scales[found], fractions[found] = r - back + origin, u, a, shift
        gains[found], margins[found], kinds[found] = gain, margin, EARLY
        n = held[3]
        foretold[n, 0], foretold[n, 1], foretold[n, 2], sizes[n] = r - back + origin, u, step, a
        held[3] += 1
        trust[u, 0] += 1
        found += 1
    return found


@numba.njit
def confirmed(u, counter, guard, foretold, sizes, held):  # type: ignore[no-untyped-def]
    """Return whether a decided spike was told early, and forget that it was."""
    for n in range(held[3]):
        if foretold[n, 1] == u and abs(counter - foretold[n, 0]) <= guard:
            _forget(n, foretold, sizes, held)
            return True
    return False


@numba.njit
def expire(oldest, guard, foretold, sizes, held, trust):  # type: ignore[no-untyped-def]
    """Forget spikes that were told early and cannot be decided any more."""
    n = 0
    while n < held[3]:
        if foretold[n, 0] + guard < oldest:
            trust[foretold[n, 1], 1] += 1
            _forget(n, foretold, sizes, held)
        else:
            n += 1


@numba.njit
def _forget(n, foretold, sizes, held):  # type: ignore[no-untyped-def]
    for m in range(n + 1, held[3]):
        for k in range(3):
            foretold[m - 1, k] = foretold[m, k]
        sizes[m - 1] = sizes[m]
    held[3] -= 1
