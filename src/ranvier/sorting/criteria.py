"""How strict the live sorter is: five levels, LEAST to MOST, for detection, for learning, and for a unit to be good.

The gates of units are those of UnitRefine's curated set (Jain et al. 2025, bioRxiv 2025.03.30.645770; 5121 units of 11
Neuropixels recordings): from LEAST to MOST the share of human "good" among what passes was .21, .41, .57, .72, .87, and
.99, .90, .74, .43, .18 of the good ones passed. The gate of shapes takes the values of Fabre et al. 2023 (bombcell).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ranvier.models.spikesorter import SpikeSorterCriterionLevel as Level
from ranvier.sorting.parameters import SorterParameters

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

#: Two spikes of one neuron are not nearer than this.
ISI_SEC = 1.5e-3
HALF_WIDTH_MS = (0.07, 0.35)
TROUGH_TO_PEAK_MS = (0.10, 1.15)
#: A bump of a waveform counts from this share of its largest value on, in height and above what is around it.
_BUMP = 0.2
#: A trough behind the spike's that is so many times as wide is the slow way back to rest.
_SLOW = 2.0
#: Presence is counted in bins of so many seconds.
PRESENCE_SEC = 10.0


@dataclass(frozen=True)
class Criterion:
    """One level.

    Attributes
    ----------
    threshold_sd
        Detection by threshold, where the user set none.
    score_sd
        Added to what the matched filter that finds spikes to learn from asks for, in SD.
    cluster_spikes
        A cluster of fewer spikes (of one learned from a minute or more) is no unit.
    shape, spikes, snr, amplitude_uv, isi_ratio, contamination, presence
        What a unit must pass to be good; None: not asked. ``contamination`` is the upper bound with 90 % confidence.
    """

    threshold_sd: float
    score_sd: float
    cluster_spikes: int
    shape: bool
    spikes: int
    snr: float
    amplitude_uv: float
    isi_ratio: float | None
    contamination: float | None
    presence: float


CRITERIA: dict[Level, Criterion] = {
    Level.LEAST: Criterion(3.5, -0.4, 20, False, 20, 1.5, 0.0, None, None, 0.0),
    Level.LESS: Criterion(4.0, -0.2, 30, True, 50, 2.5, 20.0, 1.0, None, 0.0),
    Level.BALANCED: Criterion(4.5, 0.0, 50, True, 300, 3.0, 30.0, 0.5, None, 0.5),
    Level.MORE: Criterion(5.0, 0.4, 100, True, 300, 3.5, 40.0, None, 0.5, 0.5),
    Level.MOST: Criterion(6.0, 0.8, 200, True, 500, 4.0, 50.0, None, 0.1, 0.7),
}


@dataclass(frozen=True)
class UnitEvidence:
    """What is known of a unit.

    Attributes
    ----------
    waveform_uv
        ``(samples,)`` on its site; empty where none is known.
    spikes, violations
        Number of spikes, and of those that follow another within ``ISI_SEC``.
    seconds
        How long it was looked for.
    presence
        Share of the time bins with a spike.
    """

    waveform_uv: F32
    fs_hz: float
    spikes: int
    violations: int
    seconds: float
    snr: float
    amplitude_uv: float
    presence: float


def verdict(unit: UnitEvidence, level: Level) -> tuple[str, str]:
    """Return ``good``, ``mua``, ``noise`` or ``pending``, and the measure that decided; "" for good.

    A unit whose waveform is no spike's is noise; one with too few spikes yet is pending, not bad; one that fails a
    measure is multi-unit activity.
    """
    asked = CRITERIA[level]
    if asked.shape and len(unit.waveform_uv):
        odd = odd_shape(unit.waveform_uv, unit.fs_hz)
        if odd:
            return "noise", odd
    if unit.snr <= asked.snr:
        return "mua", f"SNR {unit.snr:.1f} is not above {asked.snr:g}"
    if unit.amplitude_uv <= asked.amplitude_uv:
        return "mua", f"amplitude {unit.amplitude_uv:.0f} uV is not above {asked.amplitude_uv:g}"
    if unit.spikes < asked.spikes:
        return "pending", f"{unit.spikes} spikes are fewer than {asked.spikes}"
    if asked.isi_ratio is not None:
        ratio = isi_ratio(unit)
        if not ratio < asked.isi_ratio:
            return "mua", f"ISI violations ratio {ratio:.2f} is not below {asked.isi_ratio:g}"
    if asked.contamination is not None:
        most = contamination_bound(unit)
        if not most < asked.contamination:
            return "mua", f"contamination may be {most:.2f}, not below {asked.contamination:g}"
    if unit.presence < asked.presence:
        return "mua", f"presence ratio {unit.presence:.2f} is below {asked.presence:g}"
    return "good", ""


def isi_ratio(unit: UnitEvidence) -> float:
    """Return violations relative to the unit's own rate (Hill et al. 2011, J. Neurosci. 31:8699); as in spikes."""
    if not unit.spikes or unit.seconds <= 0:
        return math.nan
    return unit.violations * unit.seconds / (2 * unit.spikes**2 * ISI_SEC)


def contamination_bound(unit: UnitEvidence) -> float:
    """Return the share of foreign spikes that is not exceeded with 90 % confidence.

    The Poisson upper bound of the violations (half the chi-square quantile of ``2 (v + 1)`` degrees of freedom) in
    ``C = 1 - sqrt(1 - v T / (N^2 t_r))`` of Llobet et al. 2022; 1 where the root is of a negative number.
    """
    from scipy.stats import chi2

    if not unit.spikes or unit.seconds <= 0:
        return 1.0
    most = 0.5 * float(chi2.ppf(0.9, 2 * (unit.violations + 1)))
    under = 1 - most * unit.seconds / (unit.spikes**2 * ISI_SEC)
    return 1.0 if under < 0 else 1 - math.sqrt(under)


def odd_shape(waveform_uv: F32, fs_hz: float) -> str:
    """Return why a waveform is no spike's; "" where it is: one trough, at most two peaks, widths of a spike.

    A bump counts where it is told from its neighbourhood, not for its ripples. Behind a peak a causal filter, and some
    neurons, leave a slow undershoot, more than half of the trough behind 300 Hz: a trough of twice the spike's width is
    that, and no second spike.
    """
    from scipy.signal import find_peaks

    x = np.asarray(waveform_uv, np.float64)
    trough = int(np.argmin(x))
    depth = -x[trough]
    if not depth > 0:
        return "the waveform has no trough"
    least = _BUMP * np.abs(x).max()
    half = _width_at(x, trough, -0.5 * depth)
    peaks = len(find_peaks(x, least, prominence=least)[0])
    others = [int(k) for k in find_peaks(-x, least, prominence=least)[0] if k != trough]
    smooth = np.convolve(x, np.full(wide := max(1, round(half / 2)), 1 / wide), "same")  # ripples do not part a trough
    narrow = _SLOW * _width_at(smooth, trough, 0.5 * smooth[trough])
    troughs = 1 + sum(k < trough or _width_at(smooth, k, 0.5 * smooth[k]) < narrow for k in others)
    if peaks > 2 or troughs > 1:
        return f"the waveform has {peaks} peaks and {troughs} troughs"
    ms = 1e3 / fs_hz
    if not HALF_WIDTH_MS[0] <= half * ms <= HALF_WIDTH_MS[1]:
        return f"its width at half the trough is {half * ms:.2f} ms"
    behind = (int(np.argmax(x[trough:]))) * ms
    if not TROUGH_TO_PEAK_MS[0] <= behind <= TROUGH_TO_PEAK_MS[1]:
        return f"its peak comes {behind:.2f} ms behind the trough"
    return ""


def _width_at(x: F64, trough: int, level: float) -> float:
    """Return how long ``x`` stays below a level around its trough, in samples, between samples by straight lines."""
    first = last = trough
    while first > 0 and x[first - 1] < level:
        first -= 1
    while last < len(x) - 1 and x[last + 1] < level:
        last += 1
    before = 0.0 if first == 0 else (level - x[first]) / (x[first - 1] - x[first])
    after = 0.0 if last == len(x) - 1 else (level - x[last]) / (x[last + 1] - x[last])
    return float(last - first + before + after)


def stricter(parameters: SorterParameters, level: Level, held_sec: float) -> SorterParameters:
    """Return parameters of learning at a level; BALANCED leaves them as they are.

    ``held_sec`` is how much signal there is: of less than a minute, fewer spikes make a cluster.
    """
    asked, usual = CRITERIA[level], CRITERIA[Level.BALANCED]
    share = asked.cluster_spikes / usual.cluster_spikes * min(1.0, max(held_sec, 10.0) / 60.0 + 0.5)
    least = parameters.min_cluster if level == Level.BALANCED else max(10, round(share * parameters.min_cluster))
    return replace(parameters, detection_threshold=parameters.detection_threshold + asked.score_sd, min_cluster=least)
