"""What the sorter does to every sample and spike of a stream: whiten by near sites, subtract spikes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
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


def add_residuals_reference(
    x: F32, rows: I64, units: I32, amplitudes: F32, sites: I32, sums: F64, energy: F64, counts: I64
) -> None:
    """Define :func:`add_residuals`."""
    length = sums.shape[2]
    for row, u, a in zip(rows, units, amplitudes, strict=True):
        used = sites[u] >= 0
        sums[u][used] += np.float64(a) * x[sites[u][used], row : row + length]
        energy[u] += np.float64(a) ** 2
        counts[u] += 1


@kernel(
    "void(float32[:,:], int64[::1], int32[::1], float32[::1], int32[:,::1], float64[:,:,::1], float64[::1],"
    " int64[::1])",
    reference=add_residuals_reference,
)
def add_residuals(
    x: F32, rows: I64, units: I32, amplitudes: F32, sites: I32, sums: F64, energy: F64, counts: I64
) -> None:
    """Add what spikes left behind to the sums of their units, weighted by their amplitudes.

    Parameters
    ----------
    x
        ``(sites, samples)``: the whitened signal without the spikes.
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
            for s in range(length):
                sums[u, k, s] += a * float(x[sites[u, k], row + s])
        energy[u] += a * a
        counts[u] += 1


def rival_margins_reference(
    x: F32, rows: I64, units: I32, phases: I64, amplitudes: F32, gains: F32, sites: I32, waveforms: F32, norms: F64,
    apart: F64, prior: float, reach: int, out: F32,
) -> None:  # fmt: skip
    """Define :func:`rival_margins`."""
    length = waveforms.shape[3]
    for n, (row, u, phase, a) in enumerate(zip(rows, units, phases, amplitudes, strict=True)):
        out[n] = np.nan
        own = np.zeros_like(x, np.float64)
        used = sites[u] >= 0
        own[sites[u][used], row : row + length] = np.float64(a) * waveforms[u, phase][used]
        for v in np.flatnonzero(np.isfinite(apart[u])):
            if v == u:
                continue
            among = sites[v] >= 0
            for r in range(max(0, row - reach), min(x.shape[1] - length, row + reach) + 1):
                piece = (x[:, r : r + length] + own[:, r : r + length])[sites[v][among]]
                here = float((piece * waveforms[v, 0][among]).sum())
                gain = (here + prior) ** 2 / (norms[v] + prior) - prior
                margin = np.float32((gains[n] - gain) / (2.0 * apart[u, v]))
                if not margin >= out[n]:  # the smallest; NaN at first
                    out[n] = margin


@kernel(
    "void(float32[:,:], int64[::1], int32[::1], int64[::1], float32[::1], float32[::1], int32[:,::1],"
    " float32[:,:,:,::1], float64[::1], float64[:,::1], float64, int64, float32[::1])",
    reference=rival_margins_reference,
)
def rival_margins(
    x: F32, rows: I64, units: I32, phases: I64, amplitudes: F32, gains: F32, sites: I32, waveforms: F32, norms: F64,
    apart: F64, prior: float, reach: int, out: F32,
) -> None:  # fmt: skip
    """Write by how much each spike's unit explains it better than the unit that explains it second best, in SD.

    The difference of the explained energies, over its SD under noise of SD 1: twice the distance of the two templates.

    Parameters
    ----------
    x
        ``(sites, samples)``: the whitened signal without the spikes.
    rows, units, phases, amplitudes, gains
        ``(spikes,)``: row at which the waveform begins (all of it lies in ``x``), unit, fraction of a sample in steps,
        share of the template, energy.
    sites, waveforms, norms
        As for :func:`ranvier.sorting.gated_kernels.gated_pursuit`.
    apart
        ``(units, units)``: distance of the templates of possible rivals, NaN for units that are none.
    prior, reach
        Of amplitudes; so many samples sooner or later a rival may begin.
    out
        ``(spikes,)``: NaN where a unit has no rival.
    """
    length, most = waveforms.shape[3], sites.shape[1]
    own = np.empty(most, np.int64)
    for n in range(len(rows)):
        row, u, phase, a = rows[n], units[n], phases[n], amplitudes[n]
        out[n] = np.nan
        for v in range(len(norms)):
            if v == u or np.isnan(apart[u, v]):
                continue
            for k in range(most):  # where the unit has the rival's sites
                own[k] = -1
                for m in range(most):
                    if sites[v, k] >= 0 and sites[u, m] == sites[v, k]:
                        own[k] = m
            for r in range(max(0, row - reach), min(x.shape[1] - length, row + reach) + 1):
                here = 0.0
                for k in range(most):
                    site, m = sites[v, k], own[k]
                    if site < 0:
                        break
                    for s in range(length):
                        value, at = x[site, r + s], r + s - row
                        if m >= 0 and 0 <= at < length:
                            value += a * waveforms[u, phase, m, at]
                        here += float(value * waveforms[v, 0, k, s])
                gain = (here + prior) * (here + prior) / (norms[v] + prior) - prior
                margin = np.float32((float(gains[n]) - gain) / (2.0 * apart[u, v]))
                if not margin >= out[n]:  # the smallest; NaN at first
                    out[n] = margin
