"""What a query would give, without computing it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ranvier.exceptions import ConfigurationError
from ranvier.models.dsp import DSPParams
from ranvier.models.spectral import SpectralAlgorithm, SpectralInfoResult, SpectralMode, SpectralQuery
from ranvier.spectral.frames import Framing
from ranvier.spectral.query import Findings, attempt
from ranvier.spectral.windows import variance_reduction

#: Samples of frames per second that one core transforms, by the length of a frame (measured, AMD EPYC): averaged
#: densities, spectra over time, and either of them at lengths that only SciPy transforms. For estimates of time only.
AVERAGED_PER_SEC = {256: 240e6, 1024: 320e6, 16384: 260e6, 30000: 210e6, 60000: 110e6, 300_000: 88e6, 600_000: 56e6}
RESOLVED_PER_SEC = {256: 80e6, 1024: 105e6, 4096: 105e6, 16384: 72e6, 65536: 70e6, 600_000: 45e6}
AWKWARD_PER_SEC = {256: 50e6, 1024: 45e6, 2048: 32e6, 30000: 20e6, 300_000: 9e6}
LARGE_MB = 1024.0


def spectral_info(
    query: SpectralQuery,
    fs: float,
    duration_sec: float,
    num_channels: int,
    applied: Sequence[DSPParams] = (),
    workers: int = 1,
) -> SpectralInfoResult:
    """Return resolution, size and time of a query over ranges of ``duration_sec``.

    ``duration_sec`` stands for the ranges of the query; a query that is impossible gives ``errors``, and zeros.

    Raises
    ------
    ConfigurationError
        A rate or duration that is not positive, or no channel.
    """
    if not fs > 0 or not duration_sec > 0 or num_channels < 1:
        raise ConfigurationError(
            f"fs={fs:g} Hz, duration_sec={duration_sec:g}, num_channels={num_channels}: all must be positive"
        )
    rate = Fraction(fs).limit_denominator(10**6)
    found = Findings()
    samples = round(duration_sec * rate)
    count = max(1, len(query.ranges))
    made = attempt(query, rate, [samples] * count, found)
    if made is None or found.errors:
        return SpectralInfoResult(
            achieved_df_hz=0.0, num_bins=0, nfft_length=0, achieved_time_res_sec=None, num_time_steps=None,
            welch_num_segments=None, welch_overlap_percent=None, variance_reduction_factor=None, output_dimensions=(),
            estimated_memory_mb=0.0, warnings=tuple(found.warnings), errors=tuple(found.errors),
            applied_dsp_params=tuple(applied),
        )  # fmt: skip
    framing, keep = made
    bins = keep.stop - keep.start
    resolved = query.mode == SpectralMode.TIME_RESOLVED
    welch = not resolved and query.algorithm == SpectralAlgorithm.WELCH
    frames = framing.count(samples)
    shape = (count, num_channels, bins, frames) if resolved else (count, num_channels, bins)
    size = 8.0
    for n in shape:
        size *= n
    memory = size / 2**20
    if memory > LARGE_MB:
        found.warnings.append(f"the result takes {memory:.0f} MiB; ask for fewer channels, frequencies or times")
    if welch and frames < 4:
        found.warnings.append(f"only {frames} segment(s) are averaged; the estimate scatters: use shorter segments")
    work = framing.n * frames * num_channels * count / _samples_per_sec(framing, resolved=resolved)
    return SpectralInfoResult(
        achieved_df_hz=framing.df_hz,
        num_bins=bins,
        nfft_length=framing.n,
        achieved_time_res_sec=framing.n / float(rate) if resolved else None,
        num_time_steps=frames if resolved else None,
        welch_num_segments=frames if welch else None,
        welch_overlap_percent=100.0 * (framing.n - framing.hop) / framing.n if welch else None,
        variance_reduction_factor=variance_reduction(framing.windows[0], framing.hop, frames) if welch else None,
        output_dimensions=shape,
        estimated_memory_mb=memory,
        warnings=tuple(found.warnings),
        errors=(),
        applied_dsp_params=tuple(applied),
        estimated_time_sec=work / max(1, workers),
    )


def _samples_per_sec(framing: Framing, *, resolved: bool) -> float:
    """Return how many samples of frames one core transforms in a second, between what was measured."""
    rates = AWKWARD_PER_SEC if framing.radices is None else RESOLVED_PER_SEC if resolved else AVERAGED_PER_SEC
    return float(np.exp(np.interp(np.log(framing.n), np.log(list(rates)), np.log(list(rates.values())))))
