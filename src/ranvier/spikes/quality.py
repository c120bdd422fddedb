"""Quality of single units from their spikes: each number by its published formula.

``docs/guides/spikes.md`` gives the formulas in prose, and what they are good for.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ranvier.spikes.correlograms import Binning, correlograms

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

#: A spike this soon after another of the same neuron cannot be.
ISI_SEC = 0.0015
REFRACTORY_SEC = 0.001
PRESENCE_BIN_SEC = 60.0
DRIFT_BIN_SEC = 60.0
DRIFT_SPIKES = 100


def isi_violations_ratio(samples: I64, fs: float, duration_sec: float, *, isi_sec: float = ISI_SEC) -> float:
    """Return the rate of intervals below ``isi_sec``, relative to the unit's own rate.

    ``(n_v / (2 N isi)) / (N / T)`` with ``n_v`` intervals between neighbours that are shorter. 0 is clean, 1 as
    many as if the contaminating spikes came at the unit's own rate. NaN without spikes. Source: Hill, Mehta, Kleinfeld
    2011, J. Neurosci. 31:8699, in the form of the Allen Institute's ecephys metrics.
    """
    n = len(samples)
    if not n or duration_sec <= 0:
        return math.nan
    violations = int(np.count_nonzero(np.diff(samples) / fs < isi_sec))
    return violations * duration_sec / (2 * n * n * isi_sec)


def contamination(
    samples: I64, fs: float, duration_sec: float, *, refractory_sec: float = REFRACTORY_SEC, censored_sec: float = 0.0
) -> float:
    """Return the estimated fraction of foreign spikes in a unit, 0 to 1.

    ``C = 1 - sqrt(1 - n_v (T - 2 N t_c) / (N^2 (t_r - t_c)))`` with ``n_v`` pairs at most ``t_r`` apart (in samples);
    1 where the root is of a negative number. NaN for fewer than two spikes. Source: Llobet, Wyngaard, Barbour 2022,
    bioRxiv 2022.02.08.479192, for contamination by other neurons that fire independently.
    """
    n = len(samples)
    if n < 2 or duration_sec <= 0:
        return math.nan
    refractory, censored = round(refractory_sec * fs), round(censored_sec * fs)
    if refractory <= censored:  # shorter than a sample
        return math.nan
    pairs = pairs_within(samples, refractory)
    under = 1 - pairs * (duration_sec * fs - 2 * n * censored) / (n * n * (refractory - censored))
    return 1.0 if under < 0 else 1 - math.sqrt(under)


def pairs_within(samples: I64, reach: int) -> int:
    """Return the number of pairs of spikes at most ``reach`` samples apart."""
    later = np.searchsorted(samples, samples + reach, side="right")
    return int((later - np.arange(1, len(samples) + 1)).sum())


def sliding_contamination(samples: I64, fs: float, duration_sec: float) -> float:
    """Return the smallest contamination (0.5 % to 35 %) that is excluded to be exceeded, with 90 % confidence.

    For refractory periods from 0.5 to 10 ms: the pairs observed within one are compared with a Poisson count of mean
    ``2 t / T * N_c (N_b + (N_c - 1) / 2)``, ``N_c = c N``, ``N_b = (1 - c) N``. NaN where no tested contamination can
    be excluded: too few spikes, or too dirty. Source: sliding refractory period metric, International Brain Laboratory,
    "Spike sorting pipeline" (figshare 19705522), with the expectation of Llobet et al. 2022.
    """
    from scipy.stats import poisson

    n = len(samples)
    if not n or duration_sec <= 0:
        return math.nan
    width = max(1, round(0.25e-3 * fs))
    bins = Binning(width, round(10e-3 * fs) // width)
    if bins.half < 2:  # sampled too slowly
        return math.nan
    found = correlograms(samples, np.ones(n, np.int32), [1], bins)[0, 0, bins.half :]
    ends = np.arange(1, bins.half + 1) * (width / fs)
    tested = np.arange(0.5, 35.5, 0.5)[:, None] / 100
    foreign, own = tested * n, (1 - tested) * n
    expected = 2 * ends / duration_sec * foreign * (own + (foreign - 1) / 2)
    confidence = 1 - poisson.cdf(np.cumsum(found), expected)
    excluded = (confidence[:, ends - width / fs / 2 > 0.5e-3] > 0.9).any(axis=1)
    return float(tested[np.argmax(excluded), 0]) if excluded.any() else math.nan


def amplitude_cutoff(amplitudes_uv: npt.ArrayLike, *, n_bins: int = 100, smoothing: float = 3.0) -> float:
    """Return the estimated fraction of spikes lost below the detection threshold, 0 to 0.5.

    The histogram of amplitudes (taken absolute, smoothed with a Gaussian of ``smoothing`` bins) is assumed symmetric:
    what lies above the last bin that is as full as the lowest one is missing below it. NaN for fewer than 5 spikes per
    bin. Source: Hill, Mehta, Kleinfeld 2011, J. Neurosci. 31:8699, as SpikeInterface has it.
    """
    from scipy.ndimage import gaussian_filter1d

    values = np.abs(np.asarray(amplitudes_uv, np.float64))
    values = values[np.isfinite(values)]
    if len(values) < 5 * n_bins or values.min() == values.max():
        return math.nan
    density = gaussian_filter1d(np.histogram(values, n_bins)[0], smoothing, mode="nearest")
    last = int(np.flatnonzero(density >= density[0])[-1])
    missing = float(density[last + 1 :].sum())
    return min(missing / (len(values) + missing), 0.5)


def presence_ratio(samples: I64, start: int, stop: int, fs: float, *, bin_sec: float = PRESENCE_BIN_SEC) -> float:
    """Return the fraction of whole bins in ``[start, stop)`` with a spike; of one bin where there is none whole.

    ``|{b in B: n_b > 0}| / |B|``, with ``n_b`` spikes in bin ``b`` of the whole ones, ``B``. Source: presence ratio of
    the Allen Institute's ecephys metrics (Siegle et al. 2021, Nature 592:86), with bins of a minute as SpikeInterface
    has it. Counters are those of recorded time (:meth:`ranvier.recordings.segments.Segments.without_gaps`): in a gap
    nobody listened, which is no silence of the unit's.
    """
    width = int(bin_sec * fs)
    whole = (stop - start) // width
    if whole < 1:
        return float(len(samples) > 0)
    bins = (samples - start) // width
    return len(np.unique(bins[(bins >= 0) & (bins < whole)])) / whole


def drift_ptp_um(
    samples: I64, y_um: npt.ArrayLike, start: int, fs: float, *, bin_sec: float = DRIFT_BIN_SEC,
    least_spikes: int = DRIFT_SPIKES,
) -> float:  # fmt: skip
    """Return how far a unit moved along the probe, um: largest minus smallest median of ``y_um`` over bins of time.

    Bins with fewer than ``least_spikes`` do not count; NaN where fewer than two do. Source: drift metrics of Siegle et
    al. 2021, Nature 592:86, with the spikes' positions.
    """
    y = np.asarray(y_um, np.float64)
    known = np.isfinite(y)
    bins = (samples[known] - start) // int(bin_sec * fs)
    y = y[known]
    edges = np.flatnonzero(np.diff(bins)) + 1
    medians = [float(np.median(part)) for part in np.split(y, edges) if len(part) >= least_spikes]
    return max(medians) - min(medians) if len(medians) > 1 else math.nan


def snr(mean_uv: npt.ArrayLike, noise_sd_uv: npt.ArrayLike) -> float:
    """Return the largest absolute value of a mean waveform ``(sites, points)``, over the noise SD of its site."""
    peaks = np.abs(np.asarray(mean_uv, np.float64)).max(axis=-1)
    noise = np.broadcast_to(np.asarray(noise_sd_uv, np.float64), peaks.shape)
    usable = np.isfinite(peaks) & (noise > 0)
    if not usable.any():
        return math.nan
    best = int(np.argmax(np.where(usable, peaks, -1.0)))
    return float(peaks[best] / noise[best])


def isolation(own: F64, others: F64) -> tuple[float, float]:
    """Return isolation distance and L-ratio of a cluster, features ``(spikes, features)`` of it and of all others near.

    With ``D^2`` the squared Mahalanobis distance to the cluster: the isolation distance is the ``D^2`` of the n-th
    nearest foreign spike, ``n`` the spikes of the cluster (NaN where fewer are foreign); the L-ratio is the sum of
    ``1 - chi2_cdf(D^2)`` over foreign spikes, divided by ``n``. NaN where the covariance cannot be inverted. Source:
    Schmitzer-Torbert, Jackson, Henze, Harris, Redish 2005, Neuroscience 131:1.
    """
    from scipy.stats import chi2

    n, dims = own.shape
    if n <= dims + 1:
        return math.nan, math.nan
    try:
        inverse = np.linalg.inv(np.cov(own, rowvar=False).reshape(dims, dims))
    except np.linalg.LinAlgError:
        return math.nan, math.nan
    apart = others - own.mean(axis=0)
    squared = np.sort(np.einsum("ij,jk,ik->i", apart, inverse, apart))
    distance = float(squared[n - 1]) if len(squared) >= n else math.nan
    return distance, float(chi2.sf(squared, dims).sum() / n)
