"""Spectra of a range of a recording: one pass, memory bounded by a tile; the same bits for any tile and workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.dsp.parallel import ALONE, Team
from ranvier.exceptions import JobCancelledError
from ranvier.recordings.recording import Recording
from ranvier.spectral.frames import Framing
from ranvier.spectral.transform import add_powers, transform

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

#: Values read at a time.
TILE_VALUES = 4 << 20


@dataclass(frozen=True, slots=True)
class Watch:
    """Who wants to know how far the work is, and who may stop it."""

    progress: Callable[[int, int], object] | None = None
    cancelled: Callable[[], bool] | None = None

    def at(self, done: int, total: int) -> None:
        """Report samples done; raise JobCancelledError where someone cancelled."""
        if self.cancelled is not None and self.cancelled():
            raise JobCancelledError("the spectrum was cancelled")
        if self.progress is not None:
            self.progress(done, total)


@dataclass(frozen=True, slots=True, eq=False)
class Density:
    """Power spectral density per channel.

    Attributes
    ----------
    frequencies_hz
        ``(bins,)``.
    density
        One-sided, unit^2 / Hz, ``(channels, bins)``; NaN where a channel had no whole segment.
    segments
        Segments that were averaged, per channel; those with a missing sample are left out.
    planned
        Segments in the range.
    """

    frequencies_hz: F64
    density: F64
    segments: I64
    planned: int


def density(
    recording: Recording,
    start: int,
    stop: int,
    columns: I64,
    framing: Framing,
    *,
    watch: Watch | None = None,
    team: Team = ALONE,
    tile_values: int = TILE_VALUES,
) -> Density:
    """Average the density over segments (Welch 1967) and tapers, in counters ``[start, stop)``.

    ``P(f) = 2 / (fs sum w^2) mean |FFT(w (x - mean x))|^2``: what ``scipy.signal.welch`` calls 'density'.
    """
    watch = watch or Watch()
    power = np.zeros((len(framing.windows), framing.bins, len(columns)))
    used = np.zeros((len(framing.windows), len(columns)), dtype=np.int64)
    for first, last, rows in framing.tiles(start, stop, tile_values // max(1, len(columns))):
        watch.at(first - start, stop - start)
        x = recording.read(first, last, columns).samples
        for taper in range(len(framing.windows)):
            add_powers(x, rows, framing, taper, power[taper], used[taper], team=team)
    watch.at(stop - start, stop - start)
    with np.errstate(invalid="ignore"):
        mean = power * framing.scale[:, :, None] / used[:, None, :]
    return Density(framing.frequencies_hz, np.mean(mean, axis=0).T.copy(), used[0], framing.count(stop - start))


def spectrogram(
    recording: Recording,
    start: int,
    stop: int,
    columns: I64,
    framing: Framing,
    *,
    keep: slice = slice(None),
    watch: Watch | None = None,
    team: Team = ALONE,
    tile_values: int = TILE_VALUES,
) -> F64:
    """Return the density of every frame, ``(channels, kept bins, frames)``; NaN where a sample is missing."""
    watch = watch or Watch()
    bins = len(framing.frequencies_hz[keep])
    out = np.empty((len(columns), bins, framing.count(stop - start)))
    at = 0
    for first, last, rows in framing.tiles(start, stop, tile_values // max(1, len(columns))):
        watch.at(first - start, stop - start)
        x = recording.read(first, last, columns).samples
        for row in rows:
            total = np.zeros((bins, len(columns)))
            for taper, scale in enumerate(framing.scale):
                re, im = transform(x, int(row), framing, taper, team=team)
                total += ((re * re + im * im) * scale[:, None])[keep]
            out[:, :, at] = (total / len(framing.windows)).T
            at += 1
    watch.at(stop - start, stop - start)
    return out


@dataclass(frozen=True, slots=True, eq=False)
class CrossDensity:
    """Densities of channels, and cross densities of pairs of them.

    Attributes
    ----------
    density
        ``(channels, bins)``.
    cross
        Complex, ``conj(X) Y`` averaged, ``(pairs, bins)``.
    segments
        Segments averaged: those in which no sample of any channel is missing.
    """

    frequencies_hz: F64
    density: F64
    cross: npt.NDArray[np.complex128]
    segments: int

    def coherence(self, pairs: Sequence[tuple[int, int]]) -> F64:
        """Return ``|Sxy|^2 / (Sxx Syy)``, ``(pairs, bins)``: 0 to 1, and always 1 for a single segment."""
        one, two = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.abs(self.cross) ** 2 / (self.density[one] * self.density[two]), dtype=np.float64)


def cross_density(
    recording: Recording,
    start: int,
    stop: int,
    columns: I64,
    pairs: Sequence[tuple[int, int]],
    framing: Framing,
    *,
    watch: Watch | None = None,
    team: Team = ALONE,
    tile_values: int = TILE_VALUES,
) -> CrossDensity:
    """Average densities and cross densities over segments, as ``scipy.signal.csd`` does.

    ``pairs`` are positions in ``columns``.
    """
    watch = watch or Watch()
    one, two = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
    power = np.zeros((framing.bins, len(columns)))
    cross = np.zeros((len(one), framing.bins), dtype=np.complex128)
    used = 0
    for first, last, rows in framing.tiles(start, stop, tile_values // max(1, len(columns))):
        watch.at(first - start, stop - start)
        x = recording.read(first, last, columns).samples
        for row in rows:
            re, im = transform(x, int(row), framing, team=team)
            if not np.isfinite(re[0]).all():
                continue
            spectrum = (re + 1j * im).T
            power += re * re + im * im
            cross += np.conj(spectrum[one]) * spectrum[two]
            used += 1
    watch.at(stop - start, stop - start)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = framing.scale[0] / np.float64(used)
        return CrossDensity(framing.frequencies_hz, (power * scale[:, None]).T.copy(), cross * scale, used)
