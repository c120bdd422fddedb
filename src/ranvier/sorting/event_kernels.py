"""Which threshold events are the largest near them, which came on a whole port at once, and how wide they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


def judge_events_reference(
    counters: I64, sites: I32, values: F32, near: I32, port: I32, enough: I64, reach: int, first: int, last: int,
    largest: U8, common: U8,
) -> None:  # fmt: skip
    """Define :func:`judge_events`."""
    for row in range(first, last):
        window = np.flatnonzero(np.abs(counters - counters[row]) <= reach)
        rivals = window[np.isin(sites[window], near[sites[row]])]
        size = np.abs(values)
        ahead = (size[rivals] > size[row]) | ((size[rivals] == size[row]) & (rivals < row))
        own = window[port[sites[window]] == port[sites[row]]]
        largest[row - first] = not ahead.any()
        common[row - first] = len(np.unique(sites[own])) >= enough[port[sites[row]]]


@kernel(
    "void(int64[::1], int32[::1], float32[::1], int32[:,::1], int32[::1], int64[::1], int64, int64, int64, uint8[::1],"
    " uint8[::1])",
    reference=judge_events_reference,
)
def judge_events(
    counters: I64, sites: I32, values: F32, near: I32, port: I32, enough: I64, reach: int, first: int, last: int,
    largest: U8, common: U8,
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
    reach
        Samples within which events are compared.
    largest
        Out: whether no event of a near site is larger; of equals the first row counts.
    common
        Out: whether so many sites of the port have an event.
    """
    low = first
    seen = np.full(len(port), -1, np.int64)  # the row that last counted a site
    for row in range(first, last):
        while low > 0 and counters[low - 1] >= counters[row] - reach:
            low -= 1
        while counters[low] < counters[row] - reach:
            low += 1
        site, size = sites[row], abs(values[row])
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
                    for k in range(near.shape[1]):
                        if near[site, k] < 0:
                            break
                        if near[site, k] == other:
                            alone = False
                            break
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
