"""Which threshold events are the largest near them, which came on a whole port at once, and how wide they are."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


@numba.njit
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
    last: int, largest: U8, common: U8, after: U8,
) -> None:  # fmt: skip
    """Define :func:`judge_events`."""
    for row in range(first, last):
        window = np.flatnonzero(np.abs(counters - counters[row]) <= reach)
        rivals = window[np.isin(sites[window], near[sites[row]])]
        size = np.abs(values)
        ahead = (size[rivals] > size[row]) | ((size[rivals] == size[row]) & (rivals < row))
        own = window[port[sites[window]] == port[sites[row]]]
        past = np.flatnonzero((counters < counters[row] - reach) & (counters >= counters[row] - behind))
        past = past[np.isin(sites[past], near[sites[row]])]
        after[row - first] = (size[past] >= 2 * size[row]).any()
        largest[row - first] = not ahead.any()
        common[row - first] = len(np.unique(sites[own])) >= enough[port[sites[row]]]


@kernel(
    "void(int64[::1], int32[::1], float32[::1], int32[:,::1], int32[::1], int64[::1], int64, int64, int64, int64,"
    " uint8[::1], uint8[::1], uint8[::1])",
    reference=judge_events_reference,
)
def judge_events(
    counters: I64, sites: I32, values: F32, near: I32, port: I32, enough: I64, reach: int, behind: int, first: int,
    last: int, largest: U8, common: U8, after: U8,
) -> None:  # fmt: skip
    """Judge the events ``[first, last)`` of a table that is sorted by counter.

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
    largest
        Out: whether no event of a near site is larger; of equals the first row counts.
    common
        Out: whether so many sites of the port have an event.
    after
        Out: whether it follows one of a near site that is at least twice as large.
    """
    low = past = first
    seen = np.full(len(port), -1, np.int64)  # the row that last counted a site
    for row in range(first, last):
        while low > 0 and counters[low - 1] >= counters[row] - reach:
            low -= 1
        while counters[low] < counters[row] - reach:
            low += 1
        while past > 0 and counters[past - 1] >= counters[row] - behind:
            past -= 1
        while counters[past] < counters[row] - behind:
            past += 1
        site, size = sites[row], abs(values[row])
        after[row - first] = 0
        for at in range(past, low):
            if abs(values[at]) >= 2 * size and _is_near(near, site, sites[at]):
                after[row - first] = 1
                break
        alone, together = True, 0
        at = low
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
        largest[row - first] = 1 if alone else 0
        common[row - first] = 1 if together >= enough[port[site]] else 0


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


def absorb_events_reference(
    counters: I64, sites: I32, spike_counters: I64, spike_sites: I32, near: I32, reach: int, absorbed: U8, flags: U8
) -> None:
    """Define :func:`absorb_events`."""
    for k in range(len(counters)):
        at_once = np.abs(spike_counters - counters[k]) <= reach
        own = at_once & np.isin(spike_sites, near[sites[k]][near[sites[k]] >= 0])
        absorbed[k] = own.any()
        if own.any():
            chosen = np.flatnonzero(own)
            flags[chosen[np.argmin(np.abs(spike_counters[chosen] - counters[k]))]] |= np.uint8(1)


@kernel(
    "void(int64[::1], int32[::1], int64[::1], int32[::1], int32[:,::1], int64, uint8[::1], uint8[::1])",
    reference=absorb_events_reference,
)
def absorb_events(
    counters: I64, sites: I32, spike_counters: I64, spike_sites: I32, near: I32, reach: int, absorbed: U8, flags: U8
) -> None:
    """Mark the threshold events that are spikes of known units; both tables are sorted by counter.

    Parameters
    ----------
    counters, sites
        ``(events,)``.
    spike_counters, spike_sites
        ``(spikes,)``.
    near
        ``(sites, K)``: each site itself and its neighbours, -1 behind the last.
    reach
        Samples between them, at most.
    absorbed
        Out ``(events,)``: whether the event is such a spike.
    flags
        ``(spikes,)``: the nearest one (of equals the first) gets bit 1: it crossed the threshold.
    """
    low = 0
    for k in range(len(counters)):
        while low < len(spike_counters) and spike_counters[low] < counters[k] - reach:
            low += 1
        best, chosen, at = reach + 1, -1, low
        while at < len(spike_counters) and spike_counters[at] <= counters[k] + reach:
            apart = abs(spike_counters[at] - counters[k])
            if apart < best:
                for n in range(near.shape[1]):
                    if near[sites[k], n] < 0:
                        break
                    if near[sites[k], n] == spike_sites[at]:
                        best, chosen = apart, at
                        break
            at += 1
        absorbed[k] = 1 if chosen >= 0 else 0
        if chosen >= 0:
            flags[chosen] |= np.uint8(1)


def explain_events_reference(
    counters: I64, sites: I32, spike_counters: I64, units: I32, scales: F32, waveforms: F32, before: int, values: F32
) -> None:
    """Define :func:`explain_events`."""
    for k in range(len(counters)):
        values[k] = sum(
            scales[s] * waveforms[units[s], counters[k] - spike_counters[s] + before, sites[k]]
            for s in range(len(spike_counters))
            if units[s] >= 0 and 0 <= counters[k] - spike_counters[s] + before < waveforms.shape[1]
        )


@kernel(
    "void(int64[::1], int32[::1], int64[::1], int32[::1], float32[::1], float32[:,:,::1], int64, float32[::1])",
    reference=explain_events_reference,
)
def explain_events(
    counters: I64, sites: I32, spike_counters: I64, units: I32, scales: F32, waveforms: F32, before: int, values: F32
) -> None:
    """Write what known spikes put where events are; both tables are sorted by counter.

    Parameters
    ----------
    counters, sites
        ``(events,)``.
    spike_counters, units, scales
        ``(spikes,)``: peak, row in ``waveforms`` (-1: not known), share of the waveform.
    waveforms
        ``(units, samples, sites)``, the peak at sample ``before``.
    values
        Out ``(events,)``: the sum of all spikes' waveforms there.
    """
    length = waveforms.shape[1]
    low = 0
    for k in range(len(counters)):
        while low < len(spike_counters) and counters[k] - spike_counters[low] + before >= length:
            low += 1
        total, at = np.float32(0.0), low
        while at < len(spike_counters) and counters[k] - spike_counters[at] + before >= 0:
            if units[at] >= 0:
                total += scales[at] * waveforms[units[at], counters[k] - spike_counters[at] + before, sites[k]]
            at += 1
        values[k] = total
