"""What the noise is like: its SD per site and its covariance between near sites, and the matrix that undoes both.

Stage S1. Signals are divided by the SD of their noise and whitened locally: each site's output is a weighted sum of
itself and its nearest sites (ZCA of their covariance; Pachitariu et al. 2024, Nat. Methods 21:914), so that noise has
unit SD everywhere and is not shared. Why the stream is whitened rather than every template: docs/decisions/0023.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.sorting.geometry import Geometry
from ranvier.sorting.local_product import LocalProduct
from ranvier.sorting.running_kernels import middle_values

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

#: Sites that a site is whitened with, itself among them.
NEIGHBOURS = 32
RADIUS_UM = 200.0
#: Signals count up to this many SD, so that spikes do not pass for noise.
_CLIP_SD = 4.0
_SHRINKAGE = 0.02
_AT_ONCE = 16
_GUESSED = 1000
_ROWS = 4096
_TO_SD = 1.0 / 0.6744897501960817
#: Of the samples of a block that noise is measured on.
EVERY = 8


@dataclass(frozen=True)
class Whitening:
    """The noise of a recording after its filters.

    Attributes
    ----------
    noise_uv
        ``(channels,)``: SD of the noise; NaN where a channel is silent (constant) or has no finite sample.
    matrix
        ``(channels, channels)``, float32: ``white = microvolts @ matrix``.
    inverse
        ``(channels, channels)``, float32: ``microvolts = white @ inverse``, for templates.
    """

    noise_uv: F64
    matrix: F32
    inverse: F32

    def take(self, chosen: npt.NDArray[np.int64]) -> Whitening:
        """Return the same with the channels in another order."""
        among = np.ix_(chosen, chosen)
        return Whitening(self.noise_uv[chosen], self.matrix[among].copy(), self.inverse[among].copy())

    def in_microvolts(self, white: F32) -> F32:
        """Return whitened waveforms ``(..., channels)`` in uV."""
        return np.ascontiguousarray(white.reshape(-1, white.shape[-1]) @ self.inverse).reshape(white.shape)


#: ``spread(function, items)``: the results of a function, in order.
Spread = Callable[[Callable[[slice], Any], Iterable[slice]], Iterable[Any]]


def measure_noise(blocks: Iterable[F32], geometry: Geometry, spread: Spread = map) -> Whitening:
    """Measure SD and covariance on filtered pieces of the signal.

    Parameters
    ----------
    blocks
        ``(samples, channels)`` each, uV; one sample of :data:`EVERY` is enough.
    geometry
        Of the channels.
    spread
        Gives work on a few channels each to several threads.
    """
    pieces = list(blocks)
    sample = np.concatenate(pieces) if pieces else np.zeros((0, len(geometry.group)), np.float32)
    del pieces
    noise = noise_sd(sample, spread)
    matrix = whitening_matrix(sample, noise, geometry, spread)
    product = LocalProduct(matrix)

    def whiten(rows: slice) -> None:
        out = np.empty(sample[rows].shape[::-1], np.float32)
        product.into(sample[rows], out)
        sample[rows] = out.T

    for _ in spread(whiten, _stretches(sample)):
        pass
    level = noise_sd(sample, spread)
    scale = np.where(np.isfinite(level) & (level > 0), 1.0 / np.where(level > 0, level, 1.0), 0.0)
    matrix = np.ascontiguousarray(matrix * scale.astype(np.float32))
    return Whitening(noise, matrix, np.ascontiguousarray(np.linalg.pinv(matrix.astype(np.float64)), np.float32))


def noise_sd(sample: F32, spread: Spread = map) -> F64:
    """Return the SD of the noise from the median of absolute values, per column; NaN for silent ones."""
    if not len(sample):
        return np.full(sample.shape[1], np.nan)

    def levels(columns: slice) -> F64:
        part = np.ascontiguousarray(sample[:, columns])
        finite = np.isfinite(part)
        guess = np.median(np.abs(part[:: 1 + len(part) // _GUESSED]), axis=0)
        out = np.empty_like(guess)
        middle_values(part, len(part), guess, out)
        for c in np.flatnonzero(~finite.all(axis=0)):
            own = np.abs(part[finite[:, c], c])
            out[c] = np.median(own) if len(own) else np.nan
        return np.asarray(out, np.float64)

    some = [slice(first, first + _AT_ONCE) for first in range(0, sample.shape[1], _AT_ONCE)]
    level = np.concatenate(list(spread(levels, some)))
    return np.where(level > 0, level * _TO_SD, np.nan)


def _stretches(sample: F32) -> list[slice]:
    """Return the rows of a sample, some thousands at a time: the same for any number of threads."""
    return [slice(first, first + _ROWS) for first in range(0, max(len(sample), 1), _ROWS)]


def whitening_matrix(sample: F32, noise: F64, geometry: Geometry, spread: Spread = map) -> F32:
    """Return the local whitening of samples in uV: column j of the matrix makes output j."""
    count = len(noise)
    live = np.isfinite(noise)
    scale = np.where(live, 1.0 / np.where(live, noise, 1.0), 0.0)

    def products(rows: slice) -> F64:
        unit = np.clip(np.nan_to_num(sample[rows]) * scale.astype(np.float32), -_CLIP_SD, _CLIP_SD)
        return np.asarray(unit.T @ unit, np.float64)

    covariance = np.zeros((count, count))
    for part in spread(products, _stretches(sample)):
        covariance += part
    covariance /= max(len(sample), 1)
    near = geometry.nearest(RADIUS_UM, NEIGHBOURS)
    matrix = np.zeros((count, count))
    for j in range(count):
        if not live[j]:
            continue
        among = near[j][near[j] >= 0]
        among = among[live[among]]
        local = covariance[np.ix_(among, among)]
        local = (1 - _SHRINKAGE) * local + _SHRINKAGE * np.diag(np.diag(local))
        values, vectors = np.linalg.eigh(local)
        root = vectors @ (vectors.T / np.sqrt(np.maximum(values, 1e-4))[:, None])
        matrix[among, j] = root[:, int(np.flatnonzero(among == j)[0])] * scale[among]
    return np.ascontiguousarray(matrix, np.float32)
