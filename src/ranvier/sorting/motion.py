"""Rigid motion of the tissue along a shank, from where spikes of which size were seen when.

Stage S10. Spikes are counted in bins of time x depth x log amplitude; tissue that moves shifts these pictures along the
depth axis. Every two time bins within a horizon are compared at every shift (a matrix product per shift), and one
displacement per time bin is found that agrees best with all pairwise shifts, weighted by how alike the pictures were,
and smooth in time. Pairwise comparison and least squares: Varol et al. 2021 (ICASSP, "Decentralized motion inference")
and Windolf et al. 2025 (DREDge, Nat. Methods); pictures of depth and log amplitude: Pachitariu et al. 2024
(Kilosort4, Nat. Methods 21:914). The lines are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import spsolve

from ranvier.exceptions import ConfigurationError

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_AMPLITUDE_BINS = 20
#: Pairs of time bins whose pictures are less alike say nothing of the motion.
_LEAST_LIKENESS = 0.1
_ROBUST_ROUNDS = 5
#: Time bins that are compared with others at once.
_STRETCH = 128


@dataclass(frozen=True)
class MotionParameters:
    """How motion is looked for.

    Attributes
    ----------
    bin_sec
        Width of a time bin.
    depth_bin_um
        Height of a depth bin.
    most_um
        Largest shift between two time bins.
    horizon_sec
        Time bins farther apart than this are not compared.
    least_spikes
        A time bin with fewer spikes says nothing; it follows its neighbours.
    smoothness
        Weight of a smooth course against the pairwise shifts.
    """

    bin_sec: float = 2.0
    depth_bin_um: float = 5.0
    most_um: float = 100.0
    horizon_sec: float = 200.0
    least_spikes: int = 50
    smoothness: float = 0.3

    def __post_init__(self) -> None:
        for name in ("bin_sec", "depth_bin_um", "most_um", "horizon_sec"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name} must be positive, not {getattr(self, name)}")


@dataclass(frozen=True)
class Motion:
    """Where the tissue was.

    Attributes
    ----------
    time_sec
        ``(bins,)``, centres of the time bins, from the first sample of the range.
    shift_um
        ``(bins,)``, displacement along the shank against its median over time; positive = towards larger depth
        coordinates: a unit at depth ``y`` is seen at ``y + shift``.
    likeness
        ``(bins,)``, mean correlation of each bin's picture with those it was compared with, after the shift.
    """

    time_sec: F64
    shift_um: F64
    likeness: F64

    def at(self, time_sec: F64) -> F64:
        """Return the shift in um at times, linear between bin centres, constant outside."""
        if not len(self.time_sec):
            return np.zeros_like(time_sec)
        return np.interp(time_sec, self.time_sec, self.shift_um)

    @property
    def range_um(self) -> float:
        """Largest minus smallest shift."""
        return float(np.ptp(self.shift_um)) if len(self.shift_um) else 0.0


class Pairs(NamedTuple):
    """Pairs of time bins: which, the shift between them in depth bins, how alike they are after it."""

    first: I64
    second: I64
    shift: F64
    likeness: F64


def estimate_motion(
    time_sec: F64,
    depth_um: F64,
    amplitude_uv: F64,
    duration_sec: float,
    parameters: MotionParameters | None = None,
) -> Motion:
    """Estimate the rigid motion of one shank.

    Parameters
    ----------
    time_sec, depth_um, amplitude_uv
        ``(spikes,)``: when, where along the shank, how large (positive).
    duration_sec
        Of the range that the times lie in.
    """
    p = parameters or MotionParameters()
    bins = max(1, round(duration_sec / p.bin_sec))
    centres = np.asarray((np.arange(bins) + 0.5) * (duration_sec / bins), np.float64)
    pictures, counts = _pictures(time_sec, depth_um, amplitude_uv, duration_sec, bins, p)
    still = Motion(centres, np.zeros(bins), np.zeros(bins))
    if bins < 2 or not len(time_sec) or pictures.shape[1] < 3:
        return still
    horizon = max(1, min(bins - 1, round(p.horizon_sec * bins / duration_sec)))
    most = min(round(p.most_um / p.depth_bin_um), pictures.shape[1] - 2)
    pairs = _pairwise(pictures, most, horizon, counts >= p.least_spikes)
    if not len(pairs.first):
        return still
    weights = (pairs.likeness - _LEAST_LIKENESS) ** 2
    course = _agree(bins, pairs.first, pairs.second, pairs.shift, weights, p.smoothness) * p.depth_bin_um
    ends = np.concatenate([pairs.first, pairs.second])
    number = np.bincount(ends, minlength=bins)
    told = np.flatnonzero(number)  # before the first and behind the last of these nothing is known: it stands still
    course[: told[0]], course[told[-1] + 1 :] = course[told[0]], course[told[-1]]
    alike = np.bincount(ends, np.concatenate([pairs.likeness, pairs.likeness]), bins)
    return Motion(centres, course - np.median(course), alike / np.maximum(number, 1))


def _pictures(
    time_sec: F64, depth_um: F64, amplitude: F64, duration_sec: float, bins: int, p: MotionParameters
) -> tuple[F32, I64]:
    """Return log counts ``(bins, depths, amplitudes)``, smoothed along depth, and the spikes of each time bin."""
    if not len(time_sec):
        return np.zeros((bins, 0, _AMPLITUDE_BINS), np.float32), np.zeros(bins, np.int64)
    row = np.clip((time_sec / duration_sec * bins).astype(np.int64), 0, bins - 1)
    lowest = depth_um.min()
    depth = ((depth_um - lowest) / p.depth_bin_um).astype(np.int64)
    depths = int(depth.max()) + 1
    size = np.log(np.maximum(amplitude, 1e-3))
    low, high = np.quantile(size, [0.001, 0.999])
    column = np.clip(((size - low) / max(high - low, 1e-9) * _AMPLITUDE_BINS).astype(np.int64), 0, _AMPLITUDE_BINS - 1)
    flat = (row * depths + depth) * _AMPLITUDE_BINS + column
    counts = np.bincount(flat, minlength=bins * depths * _AMPLITUDE_BINS).reshape(bins, depths, _AMPLITUDE_BINS)
    pictures = np.log2(1.0 + counts).astype(np.float32)
    pictures = gaussian_filter1d(gaussian_filter1d(pictures, 1.0, axis=1), 1.0, axis=2)
    return pictures, np.bincount(row, minlength=bins)


def _pairwise(pictures: F32, most: int, horizon: int, usable: npt.NDArray[np.bool_]) -> Pairs:
    """Return the best shift of each pair of usable time bins at most ``horizon`` apart, and how alike they are there.

    The shift of a pair is how much farther along the depth axis the second's picture lies than the first's. Worked
    through in stretches of the first bin, so that memory grows with the horizon, not with the recording.
    """
    bins, depths, sizes = pictures.shape
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    norm = np.sqrt((centred.astype(np.float64) ** 2).sum(axis=(1, 2))) + 1e-9
    found = []
    for low in range(0, bins, _STRETCH):
        high, end = min(low + _STRETCH, bins), min(low + _STRETCH + horizon, bins)
        flat = centred[low:high].reshape(high - low, -1)
        padded = np.zeros((end - low, depths + 2 * most, sizes), np.float32)
        padded[:, most : most + depths] = centred[low:end]
        products = np.empty((2 * most + 1, high - low, end - low), np.float32)
        for k in range(2 * most + 1):  # what lies k - most deeper
            products[k] = flat @ np.ascontiguousarray(padded[:, k : k + depths]).reshape(end - low, -1).T
        shifts, peak = _peaks(products, most)
        likeness = peak / (norm[low:high, None] * norm[None, low:end])
        apart = np.arange(end - low)[None] - np.arange(high - low)[:, None]
        fine = (apart > 0) & (apart <= horizon) & (likeness > _LEAST_LIKENESS)
        fine &= usable[low:high, None] & usable[None, low:end]
        first, second = np.nonzero(fine)
        found.append(Pairs(first + low, second + low, shifts[fine], likeness[fine]))
    return Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _peaks(products: F32, most: int) -> tuple[F64, F64]:
    """Return where products are largest over their first axis, between its entries, and how large."""
    best = products.argmax(axis=0)
    inner = np.clip(best, 1, 2 * most - 1)
    left, here, right = (
        np.take_along_axis(products, (inner + d)[None], axis=0)[0].astype(np.float64) for d in (-1, 0, 1)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        bend = left - 2.0 * here + right
        offset = np.where(bend < 0, 0.5 * (left - right) / bend, 0.0)
    offset = np.where((best == inner) & np.isfinite(offset), np.clip(offset, -0.5, 0.5), 0.0)
    return best - most + offset, products.max(axis=0).astype(np.float64)


def _agree(bins: int, first: I64, second: I64, shifts: F64, weights: F64, smoothness: float) -> F64:
    """Return one displacement per bin such that ``d[second] - d[first]`` is near the shifts (robust least squares)."""
    smooth = _second_differences(bins)
    prior = smoothness * weights.mean() * len(weights) / bins * (smooth.T @ smooth)
    ridge = 1e-6 * max(float(weights.mean()), 1e-12) * diags_array(np.ones(bins))
    robust = np.ones_like(weights)
    course = np.zeros(bins)
    for _ in range(_ROBUST_ROUNDS):
        w = weights * robust
        entries = np.concatenate([w, w, -w, -w])
        rows = np.concatenate([first, second, first, second])
        columns = np.concatenate([first, second, second, first])
        normal = coo_array((entries, (rows, columns)), shape=(bins, bins)).tocsr() + prior + ridge
        target = np.bincount(second, w * shifts, bins) - np.bincount(first, w * shifts, bins)
        course = spsolve(csr_array(normal).tocsc(), target)
        residual = np.abs(course[second] - course[first] - shifts)
        robust = 1.0 / (1.0 + (residual / 1.0) ** 2)  # Cauchy weights, scale of one depth bin
    return np.asarray(course, np.float64)


def _second_differences(bins: int) -> csr_array:
    if bins < 3:
        return csr_array((1, bins))
    return csr_array(diags_array([1.0, -2.0, 1.0], offsets=[0, 1, 2], shape=(bins - 2, bins)))
