"""How alike channels are: what shows sites outside the brain, noise of a channel's own, and bridges between sites.

Features come from some short pieces of the recording, spread over the range. Channels of each shank are taken in order
of depth.

*Likeness* of a channel is ``<x, m> / <m, m>`` with m the median over the channels, at each sample, of the signals about
their means: about 1 in tissue, where channels share what is far away. The detector is that of the International Brain
Laboratory (IBL et al. 2022, "Spike sorting pipeline for the International Brain Laboratory",
doi:10.6084/m9.figshare.19705522): by what a channel's likeness differs from the running median over 11 neighbours tells
about the channel (much lower: dead, much higher: noise of its own, that the median cannot have), and that running
median of the likeness above 300 Hz, less 1, tells about the place: sites outside the brain share little.

*Electrical distance* of two channels is ``var(x_i - x_j) / (var x_i + var x_j)`` at high frequencies, where amplifiers'
noise dominates: 1 for independent signals, near 0 where two sites are joined by a bridge of metal or fluid, because
then even that noise is shared (Tenke, Kayser 2001, Clin Neurophysiol 112:545; Alschuler et al. 2014, Clin Neurophysiol
125:484).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.metrics.packet_columns import MAD_OF_NORMAL
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.recording import Recording

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

PIECES = 12
PIECE_SEC = 0.4
#: Neighbours of the running median.
NEIGHBOURS = 11
#: Fewer channels than this on a shank have no median worth the name.
MIN_CHANNELS = 8
#: Energy of the median over channels, as a share of a channel's: with less there is nothing that a probe shares, as
#: after a common reference, and likeness means nothing.
SHARED = 0.2
SPIKE_BAND_HZ = 300.0
BRIDGE_BAND_HZ = 3000.0


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """Features per channel, in the order of the columns asked; NaN where they could not be found.

    Attributes
    ----------
    deviation
        Likeness less its running median along the shank.
    trend
        Running median of the likeness above 300 Hz, less 1.
    outside
        Channels that are the topmost ones of their shank and far below the others' trend.
    distance
        Electrical distance of every two channels, ``(channels, channels)``; 1 on the diagonal.
    neighbour_distance
        Median, over channels that are not outside, of the distance to the nearest other one: what is usual here.
    noise_uv
        Median over pieces of the median absolute deviation / 0.6745 above 300 Hz.
    pieces
        Pieces that were used: those without a missing sample.
    """

    deviation: F64
    trend: F64
    outside: npt.NDArray[np.bool_]
    distance: F64
    neighbour_distance: float
    noise_uv: F64
    pieces: int


def likeness(
    recording: Recording,
    channels: ChannelTable,
    columns: I64,
    start: int,
    stop: int,
    usable: npt.NDArray[np.bool_],
    *,
    outside_limit: float,
) -> Likeness:
    """Find the features of some columns in counters ``[start, stop)``.

    Parameters
    ----------
    usable
        Per column; dead and saturated ones would spoil the medians.
    outside_limit
        Trend below which the topmost sites of a shank lie outside the brain. Only where the geometry is known.
    """
    n = len(columns)
    fs = float(recording.fs)
    deviation, trend, noise = np.full((3, n), np.nan)
    outside = np.zeros(n, dtype=np.bool_)
    good = np.flatnonzero(usable)
    pieces = _pieces(recording, columns[good], start, stop) if len(good) else []
    shanks = _shanks(channels, columns, good)
    spikes = [_highpass(x, SPIKE_BAND_HZ, fs) for x in pieces] if fs > 4 * SPIKE_BAND_HZ else []
    if spikes:
        noise[good] = np.median([np.median(np.abs(x - np.median(x, axis=0)), axis=0) for x in spikes], axis=0)
        for order in shanks:
            at = np.searchsorted(good, order)
            if len(order) < MIN_CHANNELS or np.median([_shared(x[:, at]) for x in pieces]) < SHARED:
                continue
            raw = np.median([_likeness(x[:, at]) for x in pieces], axis=0)
            high = np.median([_likeness(x[:, at]) for x in spikes], axis=0)
            deviation[order] = raw - _running_median(raw)
            trend[order] = _running_median(high) - 1.0
            if channels.geometry_source != "assumed":
                outside[order] = _topmost(trend[order] < outside_limit)
    distance = _distances(pieces, good, n, fs)
    inside = np.flatnonzero(usable & ~outside)
    usual = float(np.median(distance[inside].min(axis=1))) if len(inside) > 1 else 1.0
    return Likeness(deviation, trend, outside, distance, usual, noise / MAD_OF_NORMAL, len(pieces))


def _pieces(recording: Recording, columns: I64, start: int, stop: int) -> list[F64]:
    """Return pieces without a missing sample, float64 ``(samples, channels)``, about their means."""
    length = min(round(PIECE_SEC * recording.fs), stop - start)
    if length < 32:
        return []
    found = []
    for at in np.linspace(start, stop - length, PIECES).astype(np.int64):
        x = recording.read(int(at), int(at) + length, columns).samples.astype(np.float64)
        if np.isfinite(x).all():
            found.append(x - x.mean(axis=0))
    return found


def _shanks(channels: ChannelTable, columns: I64, good: I64) -> list[I64]:
    """Return, per shank, positions in ``columns`` from the tip up (in file order where sites are not known)."""
    shank = np.array([channels[int(columns[i])].shank for i in good], dtype=np.int64)
    height = np.array([0.0 if (s := channels[int(columns[i])].site) is None else s.y_um for i in good])
    return [good[np.flatnonzero(shank == k)[np.argsort(height[shank == k], kind="stable")]] for k in np.unique(shank)]


def _likeness(x: F64) -> F64:
    median = np.median(x, axis=1)
    median -= median.mean()
    energy = float(median @ median)
    return np.asarray(x.T @ median / energy if energy > 0 else np.full(x.shape[1], np.nan), dtype=np.float64)


def _shared(x: F64) -> float:
    """Return the energy of the median over channels, as a share of the median channel's energy."""
    energy = float(np.median(np.sum(x * x, axis=0)))
    return float(np.sum(np.median(x, axis=1) ** 2)) / energy if energy > 0 else 0.0


def _running_median(x: F64) -> F64:
    """Return the median over NEIGHBOURS values, the first and the last one repeated at the ends."""
    half = NEIGHBOURS // 2
    padded = np.concatenate([np.full(half, x[0]), x, np.full(half, x[-1])])
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, NEIGHBOURS), axis=1), dtype=np.float64)


def _topmost(below: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Keep only the run that reaches the end: brain below, nothing above."""
    kept = np.zeros_like(below)
    for i in range(len(below) - 1, -1, -1):
        if not below[i]:
            break
        kept[i] = True
    return kept


def _highpass(x: F64, corner_hz: float, fs: float) -> F64:
    from scipy import signal

    sos = signal.butter(3, corner_hz, "highpass", fs=fs, output="sos")
    return np.asarray(signal.sosfiltfilt(sos, x, axis=0), dtype=np.float64)


def _distances(pieces: list[F64], good: I64, n: int, fs: float) -> F64:
    """Return the electrical distance of every two channels; 1 where it is not known."""
    distance = np.ones((n, n))
    if not pieces or len(good) < 2:
        return distance
    corner = min(BRIDGE_BAND_HZ, fs / 8)
    covariance = np.zeros((len(good), len(good)))
    for x in pieces:
        high = _highpass(x, corner, fs)
        covariance += high.T @ high
    power = np.diag(covariance)
    both = power[:, None] + power[None, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(both > 0, (both - 2 * covariance) / both, 1.0)
    np.fill_diagonal(found, 1.0)
    distance[np.ix_(good, good)] = found
    return distance
