"""Matching pursuit where something happens: known units in a whitened stream (stage S9 online).

As :mod:`ranvier.sorting.match_kernels`, with the same gain, but a unit is looked for only where the signal of its main
site has a trough of ``gate`` SD, so the cost follows the events (docs/decisions/0022). And it goes on step by step:
what was found stays a candidate until it can be decided, and only units with a site in common with a decided spike are
looked at again. Steps are counted in samples, so packets do not matter.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.sorting.early_kernels import confirmed, expire, foretell
from ranvier.sorting.early_reference import CONFIRMED, DECIDED, STEPS
from ranvier.sorting.gated_parts import FOUND, LATER, ahead_of, fit, subtract, troughs
from ranvier.sorting.gated_reference import ORDINARY, RIVAL_REACH, gated_steps_reference

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


@numba.njit(forceinline=True)
def _look(  # type: ignore[no-untyped-def]
    white, flat, rows_per_unit, front, length, before, sites, norms, lows, prior, most_scale, guard, last, origin,
    begin, lowest, highest, u, t, held, places, fits, later, three,
):  # fmt: skip
    """Look for a unit at a trough; keep what is found, or that it must be looked for again."""
    what, r = fit(
        white, flat, rows_per_unit, front, length, before, sites, u, t, begin, highest, lows[u], three
    )  # fmt: skip
    if what == LATER and held[1] < len(later):
        later[held[1], 0], later[held[1], 1] = t + origin, u
        held[1] += 1
    if what != FOUND or r < lowest or (three[1] + prior) / (norms[u] + prior) > most_scale:
        return
    if abs(r + origin - last[u, 0]) <= guard or abs(r + origin - last[u, 1]) <= guard or held[0] == len(places):
        return
    n = held[0]
    places[n, 0], places[n, 1] = r + origin, u
    fits[n, 0] = (three[1] + prior) * (three[1] + prior) / (norms[u] + prior) - prior
    fits[n, 1], fits[n, 2], fits[n, 3] = three[0], three[1], three[2]
    fits[n, 4] = (three[1] + prior) / (norms[u] + prior)
    held[0] += 1


@numba.njit(forceinline=True)
def _choose(places, fits, count, share, decided, doubted, forced):  # type: ignore[no-untyped-def]
    """Return the candidate to decide on, -1 for none: nothing that comes later and overlaps it may be larger."""
    best = -1
    for c in range(count):
        ordinary = ORDINARY[0] <= fits[c, 4] <= ORDINARY[1]
        limit = decided if ordinary else doubted
        if places[c, 0] > limit or (best >= 0 and not ahead_of(places, fits, c, best)):
            continue
        waits = False
        if places[c, 0] > forced:
            for d in range(count):
                if d != c and share[places[c, 1], places[d, 1]] and ahead_of(places, fits, d, c):
                    waits = True
                    break
        if not waits:
            best = c
    return best


@numba.njit(forceinline=True)
def _margin(  # type: ignore[no-untyped-def]
    white, waveforms, front, length, sites, near, norms, apart, prior, begin, stop, row, u, phase, a, gain, own
):  # fmt: skip
    """Return by how much a unit explains a spike better than the one that explains it second best, in SD."""
    smallest = np.float32(np.nan)
    for i in range(near.shape[1]):
        v = near[u, i]
        if v < 0:
            break
        if np.isnan(apart[u, v]):
            continue
        for k in range(sites.shape[1]):  # where the unit has the rival's sites
            own[k] = -1
            for m in range(sites.shape[1]):
                if sites[v, k] >= 0 and sites[u, m] == sites[v, k]:
                    own[k] = m
        for d in range(-RIVAL_REACH, RIVAL_REACH + 1):
            r = row + d
            if r < begin or r + length > stop:
                continue
            here = 0.0
            for k in range(sites.shape[1]):
                site, m = sites[v, k], own[k]
                if site < 0:
                    break
                for s in range(length):
                    value = white[site, r + s]
                    if m >= 0 and 0 <= s + d < length:
                        value += a * waveforms[u, phase, m, front + s + d]
                    here += float(value * waveforms[v, 0, k, front + s])
            other = (here + prior) * (here + prior) / (norms[v] + prior) - prior
            margin = np.float32((gain - other) / (2.0 * apart[u, v]))
            if not margin >= smallest:  # NaN at first
                smallest = margin
    return smallest


@numba.njit(forceinline=True)
def _drop(places, fits, later, held, share, u, oldest):  # type: ignore[no-untyped-def]
    """Forget the candidates of units that share sites with one (``u`` -1: of none), and those before a counter."""
    kept = 0
    for c in range(held[0]):
        if places[c, 0] >= oldest and (u < 0 or not share[u, places[c, 1]]):
            places[kept, 0], places[kept, 1] = places[c, 0], places[c, 1]
            for k in range(5):
                fits[kept, k] = fits[c, k]
            kept += 1
    held[0] = kept
    if u >= 0:
        kept = 0
        for c in range(held[1]):
            if not share[u, later[c, 1]]:
                later[kept, 0], later[kept, 1] = later[c, 0], later[c, 1]
                kept += 1
        held[1] = kept


@kernel(
    "int64(float32[:,::1], int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, int64,"
    " float32[:,:,:,::1], int64, int64, int64, int32[:,::1], int32[:,::1], uint8[:,::1], float64[::1], float64[::1],"
    " float64[::1], float64[:,::1], float64, float64, float64, int64, int64, int64, int64, int64, int32[:,::1],"
    " float64[::1], float64[:,::1], float64[::1], float64[::1], int64[:,::1], int64[::1], int64[:,::1], float64[:,::1],"
    " int64[:,::1], int64[:,::1], float32[::1], int64[:,::1], float32[::1], int64[:,::1], int64[::1], int32[::1],"
    " float32[::1], float32[::1], float32[::1], float32[::1], uint8[::1])",
    reference=gated_steps_reference,
)
def gated_steps(
    white: F32, begin: int, fresh: int, filled: int, stop: int, last_stop: int, hop: int, ahead: int, doubt: int,
    patience: int, reach: int, origin: int, waveforms: F32, front: int, length: int, before: int, sites: I32,
    near: I32, share: U8, norms: F64, lows: F64, leasts: F64, apart: F64, prior: float, most_scale: float,
    gate: float, guard: int, seen: int, early_front: int, early_length: int, early_before: int, rivals: I32,
    early_norms: F64, early_products: F64, early_lows: F64, early_leasts: F64, last: I64, held: I64, places: I64,
    fits: F64, later: I64, tails: I64, tail_scales: F32, foretold: I64, sizes: F32, trust: I64, rows: I64, units: I32,
    scales: F32, fractions: F32, gains: F32, margins: F32, kinds: U8,
) -> int:  # fmt: skip
    """Explain a stream as a sum of units, step by step, the largest gain first where spikes overlap.

    A step sees the rows before ``stop``. It decides on candidates that begin at least ``ahead`` rows before the last
    row whose projection is known (``doubt`` rows where their amplitude is unusual: they may be a part of something
    larger), unless a larger one shares a site with their unit (then they wait, at most ``patience`` rows); what was
    decided is subtracted, and the last ``reach`` rows are looked at again.

    Parameters
    ----------
    white
        ``(sites, rows)``; spikes are subtracted in place. The stream has the rows ``[begin, filled)``; those from
        ``fresh`` on came since the last call.
    stop, last_stop, hop
        Of the first step, the last one at most, and between two.
    origin
        Counter of row 0: what stays from call to call is told in counters.
    waveforms
        ``(units, phases, K, samples)``, of which ``length`` samples from ``front`` on are compared with the signal (the
        trough is sample ``before`` of these).
    sites
        ``(units, K)``: the main one first, -1 behind the last.
    near, share
        ``(units, M)``: units with a site in common, itself among them, -1 behind the last; the same as
        ``(units, units)``.
    norms, lows, leasts
        ``(units,)``: energy of what is compared, the least projection that is taken for a spike, and the least one on
        the main site alone.
    apart
        ``(units, units)``: distance of the templates of rivals, NaN for units that are none.
    prior, most_scale
        Of amplitudes: weight of 1, and the largest.
    gate
        A trough on the main site must be deeper, a negative number of SD.
    guard, last
        A unit fires again after more than so many samples; ``(units, 2)`` counters of the last spikes, changed.
    seen, early_front, early_length, early_before, rivals, early_norms, early_products, early_lows, early_leasts
        Of :func:`~ranvier.sorting.early_kernels.foretell`; ``seen`` 0: no spike is told early.
    held, places, fits, later, tails, tail_scales, foretold, sizes, trust
        What stays between calls: numbers of candidates, of troughs to look at again, of spikes whose waveform is not
        over, and of those told early; ``(n, 2)`` counter and unit, ``(n, 5)`` gain, three projections and amplitude;
        ``(n, 2)`` trough and unit; ``(n, 3)`` begin, unit and phase, and ``(n,)`` shares; and what ``foretell`` keeps.
    rows, units, scales, fractions, gains, margins, kinds
        Written, one entry per spike, in order of decision: counter at which the compared part begins, unit, share of
        the template, fraction of a sample, explained energy, by how much (SD) it exceeds that of the next unit, and
        whether it is told early (not decided: nothing is subtracted), is decided, or is decided and was told early.

    Returns
    -------
    found
        Number of entries, at most ``len(rows)``.
    """
    phases, whole, found = waveforms.shape[1], waveforms.shape[3], 0
    flat, per_unit = waveforms.reshape(-1, whole), phases * waveforms.shape[2]
    three, own, work = np.empty(3), np.empty(sites.shape[1], np.int64), np.empty((len(places), 2), np.int64)
    deeper = np.float32(gate)
    kept = 0
    for k in range(held[2]):
        at, u = tails[k, 0] - origin, tails[k, 1]
        subtract(white, waveforms, sites, at, u, tails[k, 2], tail_scales[k], max(begin, fresh), filled)
        if at + whole > filled:
            tails[kept, 0], tails[kept, 1], tails[kept, 2] = tails[k, 0], u, tails[k, 2]
            tail_scales[kept] = tail_scales[k]
            kept += 1
    held[2] = kept
    while stop <= last_stop:
        highest, first_found = stop - length - 1, found
        lowest = max(begin + 1, highest - reach)
        _drop(places, fits, later, held, share, -1, lowest + origin)
        number = held[1]
        for k in range(number):
            work[k, 0], work[k, 1] = later[k, 0] - origin, later[k, 1]
        held[1] = 0
        changed = -1  # by which unit; at first all have new rows
        while True:
            first_row = highest - hop + before + 1 if changed < 0 else lowest + before - STEPS
            for i in range(len(norms) if changed < 0 else near.shape[1]):
                u = i if changed < 0 else near[changed, i]
                if u < 0:
                    break
                number = troughs(
                    white, flat, u * per_unit, sites[u, 0], front, length, before, u, max(begin + 1, first_row),
                    highest + before + 1, begin, deeper, np.float32(leasts[u]), work, number,
                )  # fmt: skip
            for k in range(number):
                _look(
                    white, flat, per_unit, front, length, before, sites, norms, lows, prior, most_scale, guard, last,
                    origin, begin, lowest, highest, work[k, 1], work[k, 0], held, places, fits, later, three,
                )  # fmt: skip
            number = 0
            best = _choose(
                places, fits, held[0], share, highest - ahead + origin, highest - doubt + origin,
                highest - patience + origin,
            )  # fmt: skip
            if best < 0 or found == len(rows):
                break
            r, u = places[best, 0] - origin, places[best, 1]
            left, here, right = fits[best, 1], fits[best, 2], fits[best, 3]
            bend = left - 2.0 * here + right
            shift = min(max(0.5 * (left - right) / bend, -0.5), 0.5) if bend < 0.0 else 0.0
            step = int(np.floor(shift * phases + 0.5))
            a = np.float32(min((here - 0.25 * (left - right) * shift + prior) / (norms[u] + prior), most_scale))
            rows[found], units[found], scales[found] = r + origin, u, a
            fractions[found], gains[found] = shift, fits[best, 0]
            early = confirmed(u, r + origin, guard, foretold, sizes, held)
            kinds[found] = CONFIRMED if early else DECIDED
            found += 1
            last[u, 0], last[u, 1] = max(last[u, 0], r + origin), min(last[u, 0], r + origin)
            at = r + step // phases - front
            subtract(white, waveforms, sites, at, u, step % phases, a, begin, filled)
            if at + whole > filled and held[2] < len(tails):
                tails[held[2], 0], tails[held[2], 1], tails[held[2], 2] = at + origin, u, step % phases
                tail_scales[held[2]] = a
                held[2] += 1
            _drop(places, fits, later, held, share, u, lowest + origin)
            changed = u  # whatever that changed is looked at again
        for n in range(first_found, found):
            step = int(np.floor(float(fractions[n]) * phases + 0.5))
            margins[n] = _margin(
                white, waveforms, front, length, sites, near, norms, apart, prior, begin, stop,
                rows[n] - origin + step // phases, units[n], step % phases, scales[n], float(gains[n]), own,
            )  # fmt: skip
        expire(lowest + origin, guard, foretold, sizes, held, trust)
        if seen:
            found = foretell(
                white, waveforms, sites, share, rivals, early_front, early_length, early_before,
                before - early_before, early_norms, early_products, early_lows, early_leasts, prior, guard, last,
                foretold, sizes, held, trust, begin, stop, seen, origin, found, work, rows, units, scales, fractions,
                gains, margins, kinds,
            )  # fmt: skip
        stop += hop
    return found
