"""Running numbers of a stream: the level of its noise, and what is told of its units."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.kernels.lanes import STRIP

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

_NEVER = np.iinfo(np.int64).min


@numba.njit
def _middle(values, guess, near):  # type: ignore[no-untyped-def]
    """Return the median of values, NaN where one is; ``near`` has room for one more than there are."""
    low_rank, high_rank = (len(values) - 1) // 2, len(values) // 2
    low, high = np.float32(0.9) * guess, np.float32(1.1) * guess
    for attempt in range(2):
        if attempt > 0 or not low < high:
            low, high = np.float32(0.0), np.float32(np.inf)
        count, smaller, broken = 0, 0, 0
        for value in values:
            near[count] = value  # the next one takes its place, unless it counts
            broken += value != value
            smaller += value < low
            count += (value >= low) & (value <= high)
        if broken > 0:
            return np.float32(np.nan)
        if smaller <= low_rank and high_rank < smaller + count:
            break
    ordered = np.sort(near[:count])
    return (ordered[low_rank - smaller] + ordered[high_rank - smaller]) * np.float32(0.5)


def middle_values_reference(sample: F32, rows: int, guess: F32, out: F32) -> None:
    """Define :func:`middle_values`."""
    out[:] = np.median(np.abs(sample[:rows]), axis=0)


@kernel("void(float32[:,::1], int64, float32[::1], float32[::1])", reference=middle_values_reference)
def middle_values(sample: F32, rows: int, guess: F32, out: F32) -> None:
    """Write the median of the absolute values of each column, NaN where a value is.

    Parameters
    ----------
    sample
        ``(n, columns)``, of which the first ``rows`` count.
    guess
        ``(columns,)``: about what is expected: values far from it are counted, not sorted. NaN for none.
    out
        ``(columns,)``.
    """
    near, columns = np.empty(rows + 1, np.float32), np.empty((STRIP, rows), np.float32)
    for first in range(0, sample.shape[1], STRIP):
        stop = min(first + STRIP, sample.shape[1])
        for t in range(rows):
            for c in range(first, stop):
                columns[c - first, t] = abs(sample[t, c])
        for c in range(first, stop):
            out[c] = _middle(columns[c - first], guess[c], near)


def count_spikes_reference(
    counters: I64, labels: I32, sites: I32, peaks: F32, x: F32, y: F32, isi: int, period: int, origin: int,
    counts: I64, last_sites: I32, sums: F64, last: I64, violations: I64, bins: I64, last_bin: I64,
) -> None:  # fmt: skip
    """Define :func:`count_spikes`."""
    for label in np.unique(labels[labels > 0]):
        own = np.flatnonzero(labels == label)
        known = np.concatenate([last[label : label + 1], counters[own]])
        first = known[0] == _NEVER
        counts[label] += len(own)
        last_sites[label] = sites[own[-1]]
        sums[label] += (
            np.abs(peaks[own]).sum(dtype=np.float64),
            x[own].sum(dtype=np.float64),
            y[own].sum(dtype=np.float64),
        )
        violations[label] += int((np.diff(known)[int(first) :] < isi).sum())
        seen = np.unique(np.concatenate([last_bin[label : label + 1], (counters[own] - origin) // period]))
        bins[label] += int((seen > max(last_bin[label], -1)).sum())
        last_bin[label] = seen[-1]
        last[label] = known[-1]


@kernel(
    "void(int64[::1], int32[::1], int32[::1], float32[::1], float32[::1], float32[::1], int64, int64, int64,"
    " int64[::1], int32[::1], float64[:,::1], int64[::1], int64[::1], int64[::1], int64[::1])",
    reference=count_spikes_reference,
)
def count_spikes(
    counters: I64, labels: I32, sites: I32, peaks: F32, x: F32, y: F32, isi: int, period: int, origin: int,
    counts: I64, last_sites: I32, sums: F64, last: I64, violations: I64, bins: I64, last_bin: I64,
) -> None:  # fmt: skip
    """Count labelled spikes into the numbers of their units.

    Parameters
    ----------
    counters, labels, sites, peaks, x, y
        ``(spikes,)``; those of one unit in order.
    isi, period, origin
        Shorter intervals are violations; bins are so many samples long, from ``origin`` on.
    counts, last_sites, sums, last, violations, bins, last_bin
        By label, added to: spikes; site of the last one; sums of absolute peaks, x and y, ``(labels, 3)``; counter of
        the last one (the least int64: none yet); violations; bins with a spike, and the last of them (-1: none yet).
    """
    for k in range(len(counters)):
        u = labels[k]
        if u <= 0:
            continue
        counts[u] += 1
        last_sites[u] = sites[k]
        sums[u, 0] += float(abs(peaks[k]))
        sums[u, 1] += float(x[k])
        sums[u, 2] += float(y[k])
        before = last[u]
        if before != _NEVER:
            violations[u] += counters[k] - before < isi
        last[u] = counters[k]
        in_bin = (counters[k] - origin) // period
        if in_bin > last_bin[u]:
            bins[u] += 1
            last_bin[u] = in_bin
