"""What the sorter does to every sample and spike of a stream: whiten by near sites, subtract spikes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel
from ranvier.kernels.lanes import STRIP, WIDTH, turn
from ranvier.kernels.strips import nothing, plus_scaled, store_finite

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Columns behind the last new one that :func:`whiten_near` may write to.
SLACK = 2 * STRIP


def whiten_near_reference(x: F32, near: I32, weights: F32, raw: F32, white: F32, at: int) -> None:
    """Define :func:`whiten_near`."""
    raw[:, at : at + len(x)] = x.T
    for j in range(x.shape[1]):
        used = near[j] >= 0
        made = x[:, near[j][used]].astype(np.float64) @ weights[j][used]
        white[j, at : at + len(x)] = np.where(np.isfinite(made), made, 0.0)


@kernel(
    "void(float32[:,::1], int32[:,::1], float32[:,::1], float32[:,::1], float32[:,::1], int64)",
    reference=whiten_near_reference,
)
def whiten_near(x: F32, near: I32, weights: F32, raw: F32, white: F32, at: int) -> None:
    """Turn samples so that each site lies along time, and write weighted sums of near sites; 0 for what is not finite.

    Parameters
    ----------
    x
        ``(samples, sites)``.
    near
        ``(sites, K)``: the sites that output j is made of, -1 behind the last.
    weights
        ``(sites, K)``.
    raw, white
        ``(sites, n)``, written from column ``at`` on; there are :data:`SLACK` more behind the last new one, to be
        overwritten.
    """
    samples, sites = x.shape
    rows, columns = samples - samples % WIDTH, sites - sites % WIDTH
    for j in range(0, columns, WIDTH):
        for t in range(0, rows, WIDTH):
            turn(x, t, j, raw, j, at + t)
        for t in range(rows, samples):
            for k in range(j, j + WIDTH):
                raw[k, at + t] = x[t, k]
    for j in range(columns, sites):
        for t in range(samples):
            raw[j, at + t] = x[t, j]
    for j in range(sites):
        for t in range(at, at + samples, 2 * STRIP):
            one, two = nothing(), nothing()
            for k in range(near.shape[1]):
                if near[j, k] < 0:
                    break
                one = plus_scaled(one, raw, near[j, k], t, weights[j, k])
                two = plus_scaled(two, raw, near[j, k], t + STRIP, weights[j, k])
            store_finite(white, j, t, one)
            store_finite(white, j, t + STRIP, two)


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


def add_residuals_reference(
    x: F32 | I16, rows: I64, units: I32, amplitudes: F32, sites: I32, sums: F64, energy: F64, counts: I64
) -> None:
    """Define :func:`add_residuals`."""
    length = sums.shape[2]
    for row, u, a in zip(rows, units, amplitudes, strict=True):
        used = sites[u] >= 0
        sums[u][used] += np.float64(a) * x[sites[u][used], row : row + length]
        energy[u] += np.float64(a) ** 2
        counts[u] += 1


@kernel(
    [
        f"void({kind}, int64[::1], int32[::1], float32[::1], int32[:,::1], float64[:,:,::1], float64[::1], int64[::1])"
        for kind in ("float32[:,:]", "int16[:,::1]")
    ],
    reference=add_residuals_reference,
)
def add_residuals(
    x: F32 | I16, rows: I64, units: I32, amplitudes: F32, sites: I32, sums: F64, energy: F64, counts: I64
) -> None:
    """Add what spikes left behind to the sums of their units, weighted by their amplitudes.

    Parameters
    ----------
    x
        ``(sites, samples)``: the whitened signal without the spikes; also in counts.
    rows, units, amplitudes
        ``(spikes,)``: row at which the waveform begins (all of it lies in ``x``), unit, share of the template.
    sites
        ``(units, K)``: sites of each unit, -1 behind the last.
    sums, energy, counts
        ``(units, K, length)``, ``(units,)``, ``(units,)``: added to; ``sums / energy`` is by how much, in the sense of
        least squares, the units differ from their templates.
    """
    length = sums.shape[2]
    for n in range(len(rows)):
        row, u = rows[n], units[n]
        a = float(amplitudes[n])
        for k in range(sites.shape[1]):
            if sites[u, k] < 0:
                break
            line, seen = sums[u, k], x[sites[u, k], row : row + length]
            for s in range(length):
                line[s] += a * float(seen[s])
        energy[u] += a * a
        counts[u] += 1
