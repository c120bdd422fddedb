"""What the sorter does to every sample and spike of a stream: whiten by near sites, subtract spikes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


def whiten_near_reference(x: F32, near: I32, weights: F32, out: F32) -> None:
    """Define :func:`whiten_near`."""
    for j in range(x.shape[1]):
        used = near[j] >= 0
        out[:, j] = x[:, near[j][used]].astype(np.float64) @ weights[j][used]


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
        ``(samples, sites)``.
    """
    samples, sites = x.shape
    columns = np.empty((sites, samples), np.float32)  # sums over sites run along time: that is what vectorises
    for t in range(samples):
        for j in range(sites):
            columns[j, t] = x[t, j]
    total = np.empty(samples, np.float32)
    for j in range(sites):
        total[:] = np.float32(0.0)
        for k in range(near.shape[1]):
            if near[j, k] < 0:
                break
            weight, column = weights[j, k], columns[near[j, k]]
            for t in range(samples):
                total[t] += weight * column[t]
        for t in range(samples):
            out[t, j] = total[t]


def subtract_spikes_reference(
    x: F32, rows: I64, units: I32, phases: I64, amplitudes: F32, sites: I32, waveforms: F32
) -> None:
    """Define :func:`subtract_spikes`."""
    samples = waveforms.shape[2]
    for row, u, phase, a in zip(rows, units, phases, amplitudes, strict=True):
        for k, site in enumerate(sites[u]):
            if site >= 0:
                first, last = max(0, row), min(len(x), row + samples)
                x[first:last, site] -= a * waveforms[u, phase, first - row : last - row, k]


@kernel(
    "void(float32[:,::1], int64[::1], int32[::1], int64[::1], float32[::1], int32[:,::1], float32[:,:,:,::1])",
    reference=subtract_spikes_reference,
)
def subtract_spikes(x: F32, rows: I64, units: I32, phases: I64, amplitudes: F32, sites: I32, waveforms: F32) -> None:
    """Subtract spikes from a signal, in place.

    Parameters
    ----------
    x
        ``(samples, sites)``, whitened.
    rows, units, phases, amplitudes
        ``(spikes,)``: row at which the waveform begins, unit, fraction of a sample in steps, share of the template.
    sites
        ``(units, K)``: sites of each unit, -1 behind the last.
    waveforms
        ``(units, phases, length, K)``.
    """
    length = waveforms.shape[2]
    for n in range(len(rows)):
        row, u, phase, a = rows[n], units[n], phases[n], amplitudes[n]
        for s in range(max(0, -row), min(length, x.shape[0] - row)):
            for k in range(sites.shape[1]):
                if sites[u, k] < 0:
                    break
                x[row + s, sites[u, k]] -= a * waveforms[u, phase, s, k]
