"""Matching pursuit where something happens: known units in a short window of a whitened stream (stage S9 online).

As :mod:`ranvier.sorting.match_kernels`, with the same gain and the same rules, but a unit is looked for only where the
signal of its main site has a trough of ``gate`` SD. So the cost follows the events, not samples x channels x units:
that is what lets one core follow 1024 channels.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

#: A projection below this share of what is asked for is not looked at more closely.
_CLOSE = 0.6
#: How far from a trough's place the best projection is looked for, in samples.
_STEPS = 3
#: Share of a unit's energy on its main site that a trough there must have, in its place, to be looked at at all.
_MAIN = 0.2
_LANES = 16


def gated_pursuit_reference(
    white: F32, waveforms: F32, sites: I32, mains: I32, share: U8, norms: F64, thresholds: F64, prior: float,
    amplitudes: F64, gate: float, before: int, guard: int, first: int, last: int, blocked: I64, rows: I64, units: I32,
    scale: F32, fraction: F32, gain: F32,
) -> int:  # fmt: skip
    """Define :func:`gated_pursuit`: look at all troughs again after every spike."""
    phases, length = waveforms.shape[1], waveforms.shape[3]
    samples = white.shape[1]
    taken: list[tuple[int, int]] = []

    def project(u: int, r: int) -> float:
        if r < 0 or r + length > samples:
            return -np.inf
        used = sites[u] >= 0
        piece = white[sites[u][used], r : r + length].astype(np.float64)
        return float((piece * waveforms[u, 0, used]).sum())

    while len(taken) < len(rows):
        best: tuple[float, int, int, tuple[float, float, float]] | None = None
        for u, main in enumerate(mains):
            by_gain = np.sqrt((thresholds[u] + prior) * (norms[u] + prior)) - prior
            low = max(by_gain, amplitudes[0] * (norms[u] + prior) - prior, 0.0)
            for t in range(max(1, first + before - _STEPS), min(last + before + _STEPS, samples - 2) + 1):
                x = white[main, t]
                if not (x < gate and x <= white[main, t - 1] and x < white[main, t + 1]):
                    continue
                r = t - before
                own = waveforms[u, 0, np.flatnonzero(sites[u] == main)[0]].astype(np.float64)
                if r < 0 or r + length > samples or not white[main, r : r + length] @ own > _MAIN * (own @ own):
                    continue
                if not project(u, r) > _CLOSE * low:
                    continue
                three = (project(u, r - 1), project(u, r), project(u, r + 1))
                for _ in range(_STEPS):
                    if three[1] > three[0] and three[1] >= three[2]:
                        break
                    r += 1 if three[2] > three[0] else -1
                    three = (project(u, r - 1), project(u, r), project(u, r + 1))
                left, here, right = three
                if not (here > left and here >= right and here > low) or not first <= r <= last:
                    continue
                if r - blocked[u] <= guard or any(v == u and abs(r - s) <= guard for v, s in taken):
                    continue
                if (here + prior) / (norms[u] + prior) > amplitudes[1]:
                    continue
                now = (here + prior) ** 2 / (norms[u] + prior) - prior
                if best is None or (now, -r, -u) > (best[0], -best[1], -best[2]):
                    best = now, r, u, (left, here, right)
        if best is None:
            break
        now, r, u, (left, here, right) = best
        bend = left - 2 * here + right
        shift = min(max(0.5 * (left - right) / bend, -0.5), 0.5) if bend < 0 else 0.0
        step = int(np.floor(shift * phases + 0.5))
        peak = here - 0.25 * (left - right) * shift
        a = min((peak + prior) / (norms[u] + prior), amplitudes[1])
        n = len(taken)
        rows[n], units[n], scale[n], fraction[n], gain[n] = r, u, a, shift, now
        taken.append((u, r))
        at = r + step // phases
        used = sites[u] >= 0
        low_row, high_row = max(0, at), min(samples, at + length)
        white[sites[u][used], low_row:high_row] -= (
            np.float32(a) * waveforms[u, step % phases, used, low_row - at : high_row - at]
        )
    return len(taken)


@numba.njit
def _project(white, waveforms, sites, u, r, lanes):  # type: ignore[no-untyped-def]
    """Return the inner product of a unit with the signal from a row on: sums in sixteen lanes, which vectorise."""
    length = waveforms.shape[3]
    if r < 0 or r + length > white.shape[1]:
        return -np.inf
    whole = length - length % _LANES
    lanes[:] = np.float32(0.0)
    for k in range(sites.shape[1]):
        if sites[u, k] < 0:
            break
        x, w = white[sites[u, k], r : r + length], waveforms[u, 0, k]
        for s in range(0, whole, _LANES):
            for lane in range(_LANES):
                lanes[lane] += x[s + lane] * w[s + lane]
        for s in range(whole, length):
            lanes[s - whole] += x[s] * w[s]
    total = 0.0
    for lane in range(_LANES):
        total += float(lanes[lane])
    return total


@numba.njit
def _least(norm, threshold, prior, smallest):  # type: ignore[no-untyped-def]
    """Return the projection that threshold and smallest amplitude ask for."""
    by_gain = np.sqrt((threshold + prior) * (norm + prior)) - prior
    return max(max(by_gain, smallest * (norm + prior) - prior), 0.0)


@numba.njit
def _look(  # type: ignore[no-untyped-def]
    white, waveforms, sites, mains, norms, thresholds, prior, amplitudes, gate, before, first, last, u, t_first, t_last,
    c_gain, c_row, c_unit, c_three, count, lanes,
):  # fmt: skip
    """Add the candidates of a unit whose trough lies in rows ``[t_first, t_last]``."""
    main, low = mains[u], _least(norms[u], thresholds[u], prior, amplitudes[0])
    length, k_main = waveforms.shape[3], 0
    while sites[u, k_main] != main:
        k_main += 1
    own = waveforms[u, 0, k_main]
    least = np.float32(0.0)
    for s in range(length):
        least += own[s] * own[s]
    least *= np.float32(_MAIN)
    for t in range(max(1, t_first), min(t_last, white.shape[1] - 2) + 1):
        x = white[main, t]
        if not (x < gate and x <= white[main, t - 1] and x < white[main, t + 1]):
            continue
        r = t - before
        if r < 0 or r + length > white.shape[1]:
            continue
        part = np.float32(0.0)
        for s in range(length):
            part += white[main, r + s] * own[s]
        if not part > least:
            continue
        here = _project(white, waveforms, sites, u, r, lanes)
        if not here > _CLOSE * low:
            continue
        left, right = (
            _project(white, waveforms, sites, u, r - 1, lanes),
            _project(white, waveforms, sites, u, r + 1, lanes),
        )
        for _ in range(_STEPS):
            if here > left and here >= right:
                break
            if right > left:
                r += 1
                left, here, right = here, right, _project(white, waveforms, sites, u, r + 1, lanes)
            else:
                r -= 1
                left, here, right = _project(white, waveforms, sites, u, r - 1, lanes), left, here
        if not (here > left and here >= right and here > low) or r < first or r > last:
            continue
        if (here + prior) / (norms[u] + prior) > amplitudes[1]:
            continue
        if count < c_gain.shape[0]:
            c_gain[count], c_row[count], c_unit[count] = (here + prior) ** 2 / (norms[u] + prior) - prior, r, u
            c_three[count, 0], c_three[count, 1], c_three[count, 2] = left, here, right
            count += 1
    return count


@kernel(
    "int64(float32[:,::1], float32[:,:,:,::1], int32[:,::1], int32[::1], uint8[:,::1], float64[::1], float64[::1],"
    " float64, float64[::1], float64, int64, int64, int64, int64, int64[::1], int64[::1], int32[::1], float32[::1],"
    " float32[::1], float32[::1])",
    reference=gated_pursuit_reference,
)
def gated_pursuit(
    white: F32, waveforms: F32, sites: I32, mains: I32, share: U8, norms: F64, thresholds: F64, prior: float,
    amplitudes: F64, gate: float, before: int, guard: int, first: int, last: int, blocked: I64, rows: I64, units: I32,
    scale: F32, fraction: F32, gain: F32,
) -> int:  # fmt: skip
    """Explain a short whitened signal as a sum of units, the largest gain first.

    Parameters
    ----------
    white
        ``(channels, samples)``; what is left of it is written back.
    waveforms, sites
        ``(units, phases, K, length)`` on the sites ``(units, K)``, -1 behind the last.
    mains
        ``(units,)``: site of each unit's deepest trough.
    share
        ``(units, units)``: whether two units have a site in common.
    norms, thresholds, prior, amplitudes
        As in :func:`ranvier.sorting.match_kernels.pursue`.
    gate
        A trough on the main site must be deeper, a negative number of SD.
    before
        Row of the trough within a waveform.
    guard
        A unit fires again after more than so many samples.
    first, last
        Rows at which waveforms may begin.
    blocked
        ``(units,)``: row of each unit's last spike before this window (negative, far away for none).
    rows, units, scale, fraction, gain
        Written, one entry per spike.

    Returns
    -------
    found
        Number of spikes, at most ``len(rows)``.
    """
    count_units, phases, length = waveforms.shape[0], waveforms.shape[1], waveforms.shape[3]
    lanes = np.empty(_LANES, np.float32)
    most = 4096
    c_gain, c_three = np.empty(most), np.empty((most, 3))
    c_row, c_unit = np.empty(most, np.int64), np.empty(most, np.int64)
    count = 0
    t_first, t_last = max(1, first + before - _STEPS), min(last + before + _STEPS, white.shape[1] - 2)
    for u in range(count_units):
        count = _look(
            white, waveforms, sites, mains, norms, thresholds, prior, amplitudes, gate, before, first, last, u,
            t_first, t_last, c_gain, c_row, c_unit, c_three, count, lanes,
        )  # fmt: skip
    found = 0
    while found < rows.shape[0]:
        best = -1
        for c in range(count):
            u, r = c_unit[c], c_row[c]
            free = r - blocked[u] > guard
            for k in range(found):
                if units[k] == u and abs(r - rows[k]) <= guard:
                    free = False
                    break
            if not free:
                continue
            if best < 0 or c_gain[c] > c_gain[best] or (
                c_gain[c] == c_gain[best] and (r < c_row[best] or (r == c_row[best] and u < c_unit[best]))
            ):  # fmt: skip
                best = c
        if best < 0:
            break
        u, r = c_unit[best], c_row[best]
        left, here, right = c_three[best, 0], c_three[best, 1], c_three[best, 2]
        bend = left - 2.0 * here + right
        shift = min(max(0.5 * (left - right) / bend, -0.5), 0.5) if bend < 0.0 else 0.0
        step = int(np.floor(shift * phases + 0.5))
        at, phase = r + step // phases, step % phases
        peak = here - 0.25 * (left - right) * shift
        a = np.float32(min((peak + prior) / (norms[u] + prior), amplitudes[1]))
        rows[found], units[found], scale[found], fraction[found], gain[found] = r, u, a, shift, c_gain[best]
        found += 1
        for k in range(sites.shape[1]):
            if sites[u, k] < 0:
                break
            for s in range(max(0, -at), min(length, white.shape[1] - at)):
                white[sites[u, k], at + s] -= a * waveforms[u, phase, k, s]
        kept = 0  # whatever that changed is looked at again
        for c in range(count):
            if share[u, c_unit[c]] and abs(c_row[c] - r) <= length + 2 * _STEPS + 2:
                continue
            c_gain[kept], c_row[kept], c_unit[kept] = c_gain[c], c_row[c], c_unit[c]
            c_three[kept, 0], c_three[kept, 1], c_three[kept, 2] = c_three[c, 0], c_three[c, 1], c_three[c, 2]
            kept += 1
        count = kept
        reach = length + 3 * _STEPS + 2
        for v in range(count_units):
            if share[u, v]:
                count = _again(
                    white, waveforms, sites, mains, norms, thresholds, prior, amplitudes, gate, before, first, last, v,
                    r, reach, length + 2 * _STEPS + 2, c_gain, c_row, c_unit, c_three, count, lanes,
                )  # fmt: skip
    return found


@numba.njit
def _again(  # type: ignore[no-untyped-def]
    white, waveforms, sites, mains, norms, thresholds, prior, amplitudes, gate, before, first, last, v, r, reach,
    dropped, c_gain, c_row, c_unit, c_three, count, lanes,
):  # fmt: skip
    """Look for a unit around a row again; candidates that were not dropped there are not added twice."""
    low, high = max(first, r - reach) + before - _STEPS, min(last, r + reach) + before + _STEPS
    after = _look(
        white, waveforms, sites, mains, norms, thresholds, prior, amplitudes, gate, before, first, last, v, low, high,
        c_gain, c_row, c_unit, c_three, count, lanes,
    )  # fmt: skip
    kept = count
    for c in range(count, after):
        if abs(c_row[c] - r) > dropped:
            continue
        c_gain[kept], c_row[kept], c_unit[kept] = c_gain[c], c_row[c], c_unit[c]
        c_three[kept, 0], c_three[kept, 1], c_three[kept, 2] = c_three[c, 0], c_three[c, 1], c_three[c, 2]
        kept += 1
    return kept
