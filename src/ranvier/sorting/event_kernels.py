"""Events and spikes of a stream: which are the largest near them, and what belongs together."""

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

_NEVER = np.iinfo(np.int64).min


@numba.njit(forceinline=True)
def _is_near(near, site, other):  # type: ignore[no-untyped-def]
    """Return whether a site is among the neighbours of another."""
    for k in range(near.shape[1]):
        if near[site, k] < 0:
            return False
        if near[site, k] == other:
            return True
    return False


def judge_events_reference(
    counters: I64, sites: I32, values: F32, near: I32, port: I32, enough: I64, reach: int, behind: int, first: int,
    last: int, low: F32, high: F32, discover: bool, rows: I64, flags: U8, counts: I64,
) -> int:  # fmt: skip
    """Define :func:`judge_events`."""
    kept = 0
    for row in range(first, last):
        window = np.flatnonzero(np.abs(counters - counters[row]) <= reach)
        rivals = window[np.isin(sites[window], near[sites[row]])]
        size = np.abs(values)
        if ((size[rivals] > size[row]) | ((size[rivals] == size[row]) & (rivals < row))).any():
            counts[0] += 1
            continue
        if values[row] <= low[sites[row]] or values[row] >= high[sites[row]]:
            counts[1] += 1
            continue
        own = window[port[sites[window]] == port[sites[row]]]
        past = np.flatnonzero((counters < counters[row] - reach) & (counters >= counters[row] - behind))
        past = past[np.isin(sites[past], near[sites[row]])]
        after = discover and (size[past] >= 2 * size[row]).any()
        common = len(np.unique(sites[own])) >= enough[port[sites[row]]]
        rows[kept], flags[kept] = row, 3 if after or common else 1
        counts[2] += common
        counts[3] += after
        kept += 1
    return kept


@kernel(
    "int64(int64[::1], int32[::1], float32[::1], int32[:,::1], int32[::1], int64[::1], int64, int64, int64, int64,"
    " float32[::1], float32[::1], boolean, int64[::1], uint8[::1], int64[::1])",
    reference=judge_events_reference,
)
def judge_events(
    counters: I64, sites: I32, values: F32, near: I32, port: I32, enough: I64, reach: int, behind: int, first: int,
    last: int, low: F32, high: F32, discover: bool, rows: I64, flags: U8, counts: I64,
) -> int:  # fmt: skip
    """Judge the events ``[first, last)`` of a table that is sorted by counter; return how many are spikes or noise.

    Parameters
    ----------
    counters, sites, values
        ``(events,)``: all events within ``reach`` of those judged are among them.
    near
        ``(sites, K)``: each site itself and its neighbours, -1 behind the last.
    port
        ``(sites,)``: number of the port.
    enough
        ``(ports,)``: number of sites on which an event at once is no spike.
    reach, behind
        Samples within which events are compared, and after an event within which smaller ones may be its afterwave.
    low, high
        ``(sites,)``: at or beyond them an event is an artifact.
    discover
        Whether an event that follows one of a near site, at least twice as large, is noise.
    rows, flags
        Written: the events of which no near site has a larger one (of equals the first row counts) and that are no
        artifacts; 1 (crossed the threshold), or 3 (and is noise).
    counts
        ``(4,)``, added to: events of which a near site has a larger one, artifacts, events on much of a port at once,
        afterwaves.
    """
    low_row = past = first
    kept = 0
    seen = np.full(len(port), -1, np.int64)  # the row that last counted a site
    for row in range(first, last):
        while low_row > 0 and counters[low_row - 1] >= counters[row] - reach:
            low_row -= 1
        while counters[low_row] < counters[row] - reach:
            low_row += 1
        site, size = sites[row], abs(values[row])
        alone, together = True, 0
        at = low_row
        while at < len(counters) and counters[at] <= counters[row] + reach:
            other = sites[at]
            if port[other] == port[site] and seen[other] != row:
                seen[other] = row
                together += 1
            if alone and at != row:
                rival = abs(values[at])
                if rival > size or (rival == size and at < row):
                    alone = not _is_near(near, site, other)
            at += 1
        if not alone:
            counts[0] += 1
            continue
        if values[row] <= low[site] or values[row] >= high[site]:
            counts[1] += 1
            continue
        while past > 0 and counters[past - 1] >= counters[row] - behind:
            past -= 1
        while counters[past] < counters[row] - behind:
            past += 1
        common, after = together >= enough[port[site]], False
        if discover:
            for at in range(past, low_row):
                if abs(values[at]) >= 2 * size and _is_near(near, site, sites[at]):
                    after = True
                    break
        counts[2] += common
        counts[3] += after
        rows[kept], flags[kept] = row, 3 if common or after else 1
        kept += 1
    return kept


def peak_widths_reference(x: F32, rows: I64, sites: I32, most: I64, widths: I64) -> None:
    """Define :func:`peak_widths`."""
    for k, (at, site) in enumerate(zip(rows, sites, strict=True)):
        column = x[:, site] * np.sign(x[at, site])
        half = abs(x[at, site]) * np.float32(0.5)
        left = next((d for d in range(1, int(most[k]) + 2) if at - d < 0 or column[at - d] < half), int(most[k]) + 1)
        right = next(
            (d for d in range(1, int(most[k]) + 2) if at + d >= len(x) or column[at + d] < half), int(most[k]) + 1
        )
        widths[k] = left + right - 1


@kernel("void(float32[:,::1], int64[::1], int32[::1], int64[::1], int64[::1])", reference=peak_widths_reference)
def peak_widths(x: F32, rows: I64, sites: I32, most: I64, widths: I64) -> None:
    """Write the width of peaks at half their height, in samples; each side is followed for ``most + 1`` samples.

    Parameters
    ----------
    x
        ``(samples, sites)``.
    rows, sites, most
        ``(peaks,)``.
    widths
        Out.
    """
    for k in range(len(rows)):
        at, site = rows[k], sites[k]
        sign = np.float32(1.0) if x[at, site] >= 0 else np.float32(-1.0)
        half = abs(x[at, site]) * np.float32(0.5)
        left, right = most[k] + 1, most[k] + 1
        for d in range(1, most[k] + 2):
            if at - d < 0 or x[at - d, site] * sign < half:
                left = d
                break
        for d in range(1, most[k] + 2):
            if at + d >= len(x) or x[at + d, site] * sign < half:
                right = d
                break
        widths[k] = left + right - 1


def settle_events_reference(
    counters: I64, sites: I32, values: F32, flags: U8, spike_counters: I64, spike_sites: I32, labels: I32, scales: F32,
    held: I64, near: I32, row_of: I32, place: I32, waveforms: F32, before: int, same: int, explained: float, sure: int,
    out: I64, out_sites: I32, out_values: F32, out_flags: U8,
) -> int:  # fmt: skip
    """Define :func:`settle_events`."""
    events, spikes, told, kept = int(held[0]), int(held[1]), 0, []
    for k in range(events):
        own = np.flatnonzero(np.abs(spike_counters[:spikes] - counters[k]) <= same)
        absorbed = np.isin(spike_sites[own], near[sites[k]][near[sites[k]] >= 0]).any()
        if not absorbed and counters[k] + same >= sure:
            kept.append(k)
            continue
        total = 0.0
        for n in range(spikes):
            row, at = row_of[labels[n]], counters[k] - spike_counters[n] + before
            if row >= 0 and place[row, sites[k]] >= 0 and at >= before - same and 0 <= at < waveforms.shape[2]:
                total += scales[n] * waveforms[row, place[row, sites[k]], at]
        if not absorbed and not total / values[k] >= explained:
            out[told], out_sites[told], out_values[told], out_flags[told] = counters[k], sites[k], values[k], flags[k]
            told += 1
    counters[: len(kept)], sites[: len(kept)], values[: len(kept)] = counters[kept], sites[kept], values[kept]
    flags[: len(kept)] = flags[kept]
    recent = np.flatnonzero(spike_counters[:spikes] >= sure - same - max(same, waveforms.shape[2]))
    n = len(recent)
    spike_counters[:n], spike_sites[:n] = spike_counters[recent], spike_sites[recent]
    labels[:n], scales[:n] = labels[recent], scales[recent]
    held[0], held[1] = len(kept), len(recent)
    return told


@kernel(
    "int64(int64[::1], int32[::1], float32[::1], uint8[::1], int64[::1], int32[::1], int32[::1], float32[::1],"
    " int64[::1], int32[:,::1], int32[::1], int32[:,::1], float32[:,:,::1], int64, int64, float64, int64, int64[::1],"
    " int32[::1], float32[::1], uint8[::1])",
    reference=settle_events_reference,
)
def settle_events(
    counters: I64, sites: I32, values: F32, flags: U8, spike_counters: I64, spike_sites: I32, labels: I32, scales: F32,
    held: I64, near: I32, row_of: I32, place: I32, waveforms: F32, before: int, same: int, explained: float, sure: int,
    out: I64, out_sites: I32, out_values: F32, out_flags: U8,
) -> int:  # fmt: skip
    """Tell the threshold events that are no spikes of known units, nor a part of them; return how many.

    An event is such a spike where one peaked within ``same`` samples on a near site, and a part of what known spikes
    look like where these put the share ``explained`` of its value there. It waits until both are known.

    Parameters
    ----------
    counters, sites, values, flags
        ``(n,)``: events that wait, the first ``held[0]``; those that wait on are moved to the beginning.
    spike_counters, spike_sites, labels, scales
        ``(m,)``: spikes that were told, the first ``held[1]``; those that no event can need any more are left out.
    held
        Changed.
    near
        ``(sites, K)``: each site itself and its neighbours, -1 behind the last.
    row_of, place, waveforms, before
        Row of a unit by label, -1 for none; ``(units, sites)``: which of its waveforms is that of a site, -1 where it
        has none; ``(units, K, samples)`` in uV, the peak at sample ``before``.
    sure
        All spikes that peaked before this counter were told.
    out, out_sites, out_values, out_flags
        Written: the events.
    """
    told, kept, length = 0, 0, waveforms.shape[2]
    for k in range(held[0]):
        counter, site = counters[k], sites[k]
        absorbed = False
        for n in range(held[1]):
            if abs(counter - spike_counters[n]) <= same and _is_near(near, site, spike_sites[n]):
                absorbed = True
                break
        if absorbed:
            continue
        if counter + same >= sure:
            counters[kept], sites[kept], values[kept], flags[kept] = counter, site, values[k], flags[k]
            kept += 1
            continue
        total = np.float32(0.0)
        for n in range(held[1]):
            apart = counter - spike_counters[n]
            if apart >= -same and 0 <= apart + before < length:
                row = row_of[labels[n]]
                if row >= 0 and place[row, site] >= 0:
                    total += scales[n] * waveforms[row, place[row, site], apart + before]
        if not total / values[k] >= explained:
            out[told], out_sites[told], out_values[told], out_flags[told] = counter, site, values[k], flags[k]
            told += 1
    recent = 0
    for n in range(held[1]):
        if spike_counters[n] >= sure - same - max(same, length):
            spike_counters[recent], spike_sites[recent] = spike_counters[n], spike_sites[n]
            labels[recent], scales[recent] = labels[n], scales[n]
            recent += 1
    held[0], held[1] = kept, recent
    return told


def order_events_reference(
    counters: I64, sites: I32, values: F32, count: int, new_counters: I64, new_sites: I32, new_values: F32
) -> None:
    """Define :func:`order_events`."""
    n = count + len(new_counters)
    c, s = np.concatenate([counters[:count], new_counters]), np.concatenate([sites[:count], new_sites])
    order = np.lexsort((s, c))
    counters[:n], sites[:n] = c[order], s[order]
    values[:n] = np.concatenate([values[:count], new_values])[order]


@kernel(
    "void(int64[::1], int32[::1], float32[::1], int64, int64[::1], int32[::1], float32[::1])",
    reference=order_events_reference,
)
def order_events(
    counters: I64, sites: I32, values: F32, count: int, new_counters: I64, new_sites: I32, new_values: F32
) -> None:
    """Insert events into a table of ``count`` that is sorted by counter, then site; they come nearly sorted."""
    for k in range(len(new_counters)):
        at = count + k
        while at > 0 and (
            counters[at - 1] > new_counters[k] or (counters[at - 1] == new_counters[k] and sites[at - 1] > new_sites[k])
        ):
            counters[at], sites[at], values[at] = counters[at - 1], sites[at - 1], values[at - 1]
            at -= 1
        counters[at], sites[at], values[at] = new_counters[k], new_sites[k], new_values[k]
