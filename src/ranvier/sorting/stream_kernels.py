"""What the sorter does to every sample and spike of a stream: whiten by near sites, subtract spikes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

_LANES = 16


def whiten_near_reference(x: F32, near: I32, weights: F32, out: F32) -> None:
    """Define :func:`whiten_near`."""
    for j in range(x.shape[1]):
        used = near[j] >= 0
        out[j] = x[:, near[j][used]].astype(np.float64) @ weights[j][used]


@kernel(
    "void(float32[:,::1], int32[:,::1], float32[:,::1], float32[:,::1])",
    reference=whiten_near_reference,
)
def whiten_near(x: F32, near: I32, weights: F32, out: F32) -> None:
    """Write weighted sums of near sites.

    Parameters
    ----------
    x
        ``(samples, sites)``.
    near
        ``(sites, K)``: the sites that output j is made of, -1 behind the last.
    weights
        ``(sites, K)``.
    out
        ``(sites, samples)``.
    """
    samples, sites = x.shape
    padded = -(-samples // _LANES) * _LANES  # sums over sites run along time, in whole vectors
    columns = np.zeros((sites, padded), np.float32)
    for t in range(samples):
        for j in range(sites):
            columns[j, t] = x[t, j]
    total = np.empty(padded, np.float32)
    most = near.shape[1]
    for j in range(sites):
        total[:] = np.float32(0.0)
        k = 0
        while k + 3 < most and near[j, k + 3] >= 0:  # four at a time: sums are read and written a fourth as often
            a, b = columns[near[j, k]], columns[near[j, k + 1]]
            c, d = columns[near[j, k + 2]], columns[near[j, k + 3]]
            for t in range(padded):
                x4 = ((total[t] + weights[j, k] * a[t]) + weights[j, k + 1] * b[t]) + weights[j, k + 2] * c[t]
                total[t] = x4 + weights[j, k + 3] * d[t]
            k += 4
        while k < most and near[j, k] >= 0:
            a = columns[near[j, k]]
            for t in range(padded):
                total[t] += weights[j, k] * a[t]
            k += 1
        for t in range(samples):
            out[j, t] = total[t]


def subtract_spikes_reference(
    x: F32, rows: I64, units: I32, phases: I64, amplitudes: F32, sites: I32, waveforms: F32
) -> None:
    """Define :func:`subtract_spikes`."""
    length = waveforms.shape[3]
    for row, u, phase, a in zip(rows, units, phases, amplitudes, strict=True):
        for k, site in enumerate(sites[u]):
            if site >= 0:
                first, last = max(0, row), min(x.shape[1], row + length)
                x[site, first:last] -= a * waveforms[u, phase, k, first - row : last - row]


@kernel(
    "void(float32[:,:], int64[::1], int32[::1], int64[::1], float32[::1], int32[:,::1], float32[:,:,:,::1])",
    reference=subtract_spikes_reference,
)
def subtract_spikes(x: F32, rows: I64, units: I32, phases: I64, amplitudes: F32, sites: I32, waveforms: F32) -> None:
    """Subtract spikes from a signal, in place.

    Parameters
    ----------
    x
        ``(sites, samples)``, whitened.
    rows, units, phases, amplitudes
        ``(spikes,)``: row at which the waveform begins, unit, fraction of a sample in steps, share of the template.
    sites
        ``(units, K)``: sites of each unit, -1 behind the last.
    waveforms
        ``(units, phases, K, length)``.
    """
    length = waveforms.shape[3]
    for n in range(len(rows)):
        row, u, phase, a = rows[n], units[n], phases[n], amplitudes[n]
        for k in range(sites.shape[1]):
            if sites[u, k] < 0:
                break
            for s in range(max(0, -row), min(length, x.shape[1] - row)):
                x[sites[u, k], row + s] -= a * waveforms[u, phase, k, s]
