"""Numba kernels of the simulation. Each sample is computed by itself, in a fixed order: chunking cannot show."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.kernels import kernel

#: Samples that are computed together; tables are longer than their period by as many, so that none wraps inside.
TILE = 256

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


def background_reference(
    out: F32,
    start: int,
    channels: I64,
    columns: I64,
    noise: F32,
    offsets: I64,
    neighbors: I64,
    weights: F32,
    slow: F32,
    slow_gains: F32,
    hum: F32,
    hum_gains: F32,
) -> None:
    """Write noise, slow waves and hum of some channels into columns of ``out``; see :func:`background`."""
    counter = start + np.arange(out.shape[0])
    for channel, column in zip(channels, columns, strict=True):
        total = np.zeros(out.shape[0], np.float32)
        for k in range(neighbors.shape[1]):
            at = (counter + offsets[neighbors[channel, k]]) % (noise.shape[0] - TILE)
            total += weights[channel, k] * noise[at]
        for table, gains in ((slow, slow_gains), (hum, hum_gains)):
            at = counter % (table.shape[1] - TILE)
            for r in range(table.shape[0]):
                total += gains[channel, r] * table[r, at]
        out[:, column] = total


@kernel(
    "void(float32[:,::1], int64, int64[::1], int64[::1], float32[::1], int64[::1], int64[:,::1], float32[:,::1],"
    " float32[:,::1], float32[:,::1], float32[:,::1], float32[:,::1])",
    reference=background_reference,
)
def background(
    out: F32,
    start: int,
    channels: I64,
    columns: I64,
    noise: F32,
    offsets: I64,
    neighbors: I64,
    weights: F32,
    slow: F32,
    slow_gains: F32,
    hum: F32,
    hum_gains: F32,
) -> None:
    """Write noise, slow waves and hum of some channels into columns of ``out``.

    out[t, columns[i]] = sum_k weights[c, k] noise[(start + t + offsets[neighbors[c, k]]) mod period]
                       + sum_r slow_gains[c, r] slow[r, (start + t) mod period]
                       + sum_r hum_gains[c, r] hum[r, (start + t) mod period],      c = channels[i]

    Tables are ``TILE`` samples longer than their period. Every channel reads the one noise table at an offset of its
    own, so the noise of different sources is alike only at lags of period / channels.
    """
    tile = 256
    noise_period = noise.shape[0] - tile
    slow_period = slow.shape[1] - tile
    hum_period = hum.shape[1] - tile
    total = np.empty(tile, np.float32)
    for first in range(0, out.shape[0], tile):
        n = min(tile, out.shape[0] - first)
        noise_at = (start + first) % noise_period
        slow_at = (start + first) % slow_period
        hum_at = (start + first) % hum_period
        for i in range(channels.shape[0]):
            channel = channels[i]
            total[:] = np.float32(0.0)
            for k in range(neighbors.shape[1]):
                weight = weights[channel, k]
                if weight != 0.0:
                    at = noise_at + offsets[neighbors[channel, k]]
                    if at >= noise_period:  # offsets are below the period; a division would cost more than the sum
                        at -= noise_period
                    source = noise[at : at + n]
                    for t in range(n):
                        total[t] += weight * source[t]
            for r in range(slow.shape[0]):
                gain = slow_gains[channel, r]
                if gain != 0.0:
                    source = slow[r, slow_at : slow_at + n]
                    for t in range(n):
                        total[t] += gain * source[t]
            for r in range(hum.shape[0]):
                gain = hum_gains[channel, r]
                if gain != 0.0:
                    source = hum[r, hum_at : hum_at + n]
                    for t in range(n):
                        total[t] += gain * source[t]
            column = columns[i]
            for t in range(n):
                out[first + t, column] = total[t]


def add_spikes_reference(
    out: F32,
    start: int,
    before: int,
    counters: I64,
    rows: I64,
    amplitudes: F32,
    templates: F32,
    support: I64,
    column_of: I64,
) -> None:
    """Add spikes to a block; see :func:`add_spikes`."""
    for counter, row, amplitude in zip(counters, rows, amplitudes, strict=True):
        columns = column_of[support[row]]
        wanted = np.flatnonzero(columns >= 0)
        first = counter - before - start
        a, b = max(0, first), min(out.shape[0], first + templates.shape[1])
        if b > a:
            piece = templates[row, a - first : b - first]
            out[a:b, columns[wanted]] += amplitude * piece[:, wanted]


@kernel(
    "void(float32[:,::1], int64, int64, int64[::1], int64[::1], float32[::1], float32[:,:,::1], int64[:,::1],"
    " int64[::1])",
    reference=add_spikes_reference,
)
def add_spikes(
    out: F32,
    start: int,
    before: int,
    counters: I64,
    rows: I64,
    amplitudes: F32,
    templates: F32,
    support: I64,
    column_of: I64,
) -> None:
    """Add spikes to a block.

    out[counters[s] - before + j - start, column_of[support[r, k]]] += amplitudes[s] templates[r, j, k],  r = rows[s]

    for all j and k, within the block, spike after spike; channels whose ``column_of`` is -1 are not wanted.
    """
    for s in range(counters.shape[0]):
        row = rows[s]
        amplitude = amplitudes[s]
        first = counters[s] - before - start
        for j in range(max(0, -first), min(templates.shape[1], out.shape[0] - first)):
            for k in range(templates.shape[2]):
                column = column_of[support[row, k]]
                if column >= 0:
                    out[first + j, column] += amplitude * templates[row, j, k]
