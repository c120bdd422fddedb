"""Waveforms over time as few numbers: principal components and prototypes.

Stages S2b and S5. Components and prototypes are learned from clear spikes of the recording itself (as Pachitariu et al.
2024, Nat. Methods 21:914, "universal templates").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy.cluster.vq import ClusterError, kmeans2

from ranvier.sorting.count_kernels import STEP_SD, sd_of
from ranvier.sorting.geometry import Geometry
from ranvier.sorting.peak_kernels import troughs_of

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: Clear spikes: this many SD, and the largest within this neighbourhood.
_CLEAR_SD = 7.0
_CLEAR_UM = 60.0
#: Fewer clear spikes than this: the default shape is used.
_FEWEST = 100
PROTOTYPES = 4
#: Noise over time is measured where no sample is beyond this, on so many channels at most.
_QUIET_SD = 4.0
_QUIET_CHANNELS = 16


@dataclass(frozen=True)
class Basis:
    """Shapes of spikes over time.

    Attributes
    ----------
    components
        ``(P, samples)``, orthonormal.
    prototypes
        ``(Q, samples)``, of unit norm, mean shapes of clear spikes with their trough at ``before``.
    before
        Samples before the trough.
    noise
        ``(P, P)``: covariance of the components' products with noise, in squares of the SD of a sample; None where
        it was not measured: as if samples were independent.
    """

    components: F32
    prototypes: F32
    before: int
    noise: F64 | None = None

    @property
    def samples(self) -> int:
        """Length of a waveform."""
        return int(self.components.shape[1])


def clear_spikes(counts: I16, geometry: Geometry, before: int, after: int, half: int) -> F32:
    """Return single-channel waveforms of clear negative spikes in SD, ``(spikes, before + after + 1)``.

    ``counts`` are ``(channels, samples)``.
    """
    near = geometry.nearest(_CLEAR_UM, 32)
    limit = -int(_CLEAR_SD / STEP_SD) - 1
    rows, columns = troughs_of(counts, near, limit, half, before, counts.shape[1] - after)
    taken = rows[:, None] + np.arange(-before, after + 1)[None]
    return np.asarray(counts[columns[:, None], taken] * np.float32(STEP_SD), np.float32)


def some_sites(counts: I16) -> F32:
    """Return the signal of the few sites that :func:`quiet_products` looks at, ``(samples, sites)``, in SD."""
    return sd_of(np.ascontiguousarray(counts[:: 1 + (len(counts) - 1) // _QUIET_CHANNELS]))


def quiet_products(white: F32, samples: int) -> tuple[F64, int]:
    """Return the sum of the outer products ``(samples, samples)`` of stretches of noise, and how many there are.

    Noise is correlated over time, by its own spectrum and the filter in front: a matched filter gives more of it than
    of independent samples. Stretches with a sample beyond ``_QUIET_SD`` are left out, so that spikes do not count.
    """
    some = white[:, :: 1 + (white.shape[1] - 1) // _QUIET_CHANNELS]
    whole = len(some) // samples
    stretches = some[: whole * samples].reshape(whole, samples, some.shape[1]).transpose(0, 2, 1).reshape(-1, samples)
    lively = stretches.any(axis=1) & (np.abs(stretches).max(axis=1, initial=0.0) < _QUIET_SD)
    quiet = stretches[lively].astype(np.float64)
    return quiet.T @ quiet, len(quiet)


def learn_basis(
    waveforms: F32, before: int, after: int, components: int, fs_hz: float, seed: int, noise: F64 | None = None
) -> Basis:
    """Return components and prototypes of clear spikes.

    Parameters
    ----------
    waveforms
        ``(spikes, before + after + 1)``; too few of them, and textbook shapes take their place.
    noise
        Covariance of the noise over the samples of a waveform, where it was measured.
    """
    length = before + after + 1
    if len(waveforms) < _FEWEST:
        waveforms = textbook_shapes(before, after, fs_hz)
    norms = np.sqrt((waveforms.astype(np.float64) ** 2).sum(axis=1))
    unit = waveforms / norms[:, None]
    _, vectors = np.linalg.eigh(unit.T @ unit)
    kept = np.ascontiguousarray(vectors[:, ::-1][:, : min(components, length)].T)
    kept *= np.sign(kept.sum(axis=1, keepdims=True) + 1e-12)
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(1,))))
    shapes = _centres(unit @ kept.T, random) @ kept
    shapes /= np.sqrt((shapes**2).sum(axis=1, keepdims=True))
    of_components = None if noise is None else np.asarray(kept @ noise @ kept.T, np.float64)
    return Basis(
        np.ascontiguousarray(kept, np.float32), np.ascontiguousarray(shapes, np.float32), before, of_components
    )


def _centres(points: npt.NDArray[np.floating], random: np.random.Generator) -> npt.NDArray[np.floating]:
    """Return centres of clusters: where one loses all its points, from another beginning, at last of fewer clusters."""
    for count in (*[PROTOTYPES] * 3, PROTOTYPES // 2, 1):
        try:
            centres, _ = kmeans2(points, count, iter=15, minit="++", missing="raise", rng=random)
        except ClusterError:
            continue
        break
    return cast("npt.NDArray[np.floating]", centres)


def textbook_shapes(before: int, after: int, fs_hz: float) -> F32:
    """Return spikes as textbooks draw them: troughs of 0.1 to 0.3 ms with a slower hump behind."""
    time_ms = np.arange(-before, after + 1) / fs_hz * 1e3
    shapes = []
    for width in np.linspace(0.07, 0.25, 12):
        for hump in (0.1, 0.3, 0.5):
            trough = -np.exp(-0.5 * (time_ms / width) ** 2)
            behind = hump * np.exp(-0.5 * ((time_ms - 3.0 * width) / (2.0 * width)) ** 2)
            shapes.append(trough + behind)
    return np.asarray(shapes * 4, np.float32)
