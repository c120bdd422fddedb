"""What merging and the search for shadows ask of every pair of units: lags of their spikes, difference of templates."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

_LANES = 16


def most_locked_reference(train: I64, other: I64, reach: int, width: int, apart: float) -> int:
    """Define what :func:`most_locked_of` writes of one pair of trains."""
    lags = (train[:, None] - other[None]).ravel()
    lags = lags[(np.abs(lags) <= reach) & (np.abs(lags) >= apart)]
    histogram = np.bincount(lags + reach, minlength=2 * reach + 1)
    return int(np.convolve(histogram, np.ones(width, np.int64)).max())


@numba.njit
def _most_locked(train, other, reach, width, apart):  # type: ignore[no-untyped-def]
    """Return the largest number of pairs of two sorted trains whose lags lie in one window of ``width`` samples."""
    histogram = np.zeros(2 * reach + 1, np.int64)
    start = 0
    for i in range(train.shape[0]):
        while start < other.shape[0] and other[start] < train[i] - reach:
            start += 1
        j = start
        while j < other.shape[0] and other[j] <= train[i] + reach:
            lag = train[i] - other[j]
            if abs(lag) >= apart:
                histogram[lag + reach] += 1
            j += 1
    held = np.int64(0)
    most = np.int64(0)
    for k in range(histogram.shape[0]):
        held += histogram[k]
        if k >= width:
            held -= histogram[k - width]
        most = max(most, held)
    return most


def most_locked_of_reference(
    train: I64, others: I64, first: I64, last: I64, reach: int, width: int, apart: F64, out: I64
) -> None:
    """Define :func:`most_locked_of`."""
    for k in range(len(first)):
        out[k] = most_locked_reference(train, others[first[k] : last[k]], reach, width, apart[k])


@kernel(
    "void(int64[::1], int64[::1], int64[::1], int64[::1], int64, int64, float64[::1], int64[::1])",
    reference=most_locked_of_reference,
)
def most_locked_of(
    train: I64, others: I64, first: I64, last: I64, reach: int, width: int, apart: F64, out: I64
) -> None:
    """Write the largest number of pairs of a train and each of many whose lags lie in one window of ``width`` samples.

    Lags from ``-reach`` to ``reach`` count, those shorter than ``apart`` do not.

    Parameters
    ----------
    train, others
        Sorted; all others, one behind the other.
    first, last
        ``(n,)``: where each one begins and ends there.
    apart
        ``(n,)``.
    out
        ``(n,)``, written.
    """
    for k in range(first.shape[0]):
        out[k] = _most_locked(train, others[first[k] : last[k]], reach, width, apart[k])


def difference_at_lags_reference(a: F32, b: F32, most_lag: int, limit: float, out: F64) -> None:
    """Define :func:`difference_at_lags`."""
    samples = len(a)
    for k, lag in enumerate(range(-most_lag, most_lag + 1)):
        x = a[max(lag, 0) : samples + min(lag, 0)].astype(np.float64)
        y = b[max(-lag, 0) : samples + min(-lag, 0)].astype(np.float64)
        whole = np.abs(x).sum() + np.abs(y).sum()
        least = abs(np.abs(x).sum() - np.abs(y).sum())
        out[k] = 0.0 if whole <= 0 else np.inf if least > limit * whole else np.abs(x - y).sum() / whole


@kernel("void(float32[:,::1], float32[:,::1], int64, float64, float64[::1])", reference=difference_at_lags_reference)
def difference_at_lags(a: F32, b: F32, most_lag: int, limit: float, out: F64) -> None:
    """Write ``sum |a - b| / (sum |a| + sum |b|)`` of two templates at every lag.

    Parameters
    ----------
    a, b
        ``(samples, channels)``.
    most_lag
        ``b[t]`` is compared with ``a[t + lag]``, lags from ``-most_lag`` to ``most_lag``, where both are known.
    limit
        Where the sizes of both alone say that the difference is larger, it is not computed.
    out
        ``(2 most_lag + 1,)``, written; infinite where it is larger than ``limit`` for sure.
    """
    samples, channels = a.shape
    size_a, size_b = np.zeros(samples + 1), np.zeros(samples + 1)  # of all rows before one
    for t in range(samples):
        x, y = 0.0, 0.0
        for c in range(channels):
            x += abs(float(a[t, c]))
            y += abs(float(b[t, c]))
        size_a[t + 1], size_b[t + 1] = size_a[t] + x, size_b[t] + y
    lanes = np.empty(_LANES, np.float32)
    whole_lanes = channels - channels % _LANES
    for k in range(2 * most_lag + 1):
        lag = k - most_lag
        first, last = max(0, -lag), samples - max(0, lag)  # rows of b
        x, y = size_a[last + lag] - size_a[first + lag], size_b[last] - size_b[first]
        if x + y <= 0.0:
            out[k] = 0.0
            continue
        if abs(x - y) > limit * (x + y):
            out[k] = np.inf
            continue
        total = 0.0
        for t in range(first, last):
            p, q = a[t + lag], b[t]
            lanes[:] = np.float32(0.0)
            for c in range(0, whole_lanes, _LANES):
                for lane in range(_LANES):
                    lanes[lane] += abs(p[c + lane] - q[c + lane])
            for c in range(whole_lanes, channels):
                lanes[c - whole_lanes] += abs(p[c] - q[c])
            for lane in range(_LANES):
                total += float(lanes[lane])
        out[k] = total / (x + y)


def add_waveforms_reference(counts: I16, rows: I64, units: I32, sums: I32) -> None:
    """Define :func:`add_waveforms`."""
    length = sums.shape[2]
    for row, u in zip(rows, units, strict=True):
        sums[:, u] += counts[:, row : row + length]


@kernel(
    "void(Array(int16, 2, 'C', readonly=True), int64[::1], int32[::1], int32[:,:,::1])",
    reference=add_waveforms_reference,
)
def add_waveforms(counts: I16, rows: I64, units: I32, sums: I32) -> None:
    """Add waveforms to the sums of their units, in whole counts: the order of sums then does not matter.

    Parameters
    ----------
    counts
        ``(channels, samples)``: the signal.
    rows, units
        ``(spikes,)``: where each waveform begins (all of it lies in the signal), and whose it is.
    sums
        ``(channels, units, length)``, added to: they hold the waveforms of 65538 spikes.
    """
    length = sums.shape[2]
    for c in range(counts.shape[0]):  # one channel, its sums and all spikes stay in the cache
        for n in range(rows.shape[0]):
            seen, total = counts[c, rows[n] : rows[n] + length], sums[c, units[n]]
            for s in range(length):
                total[s] += np.int32(seen[s])
