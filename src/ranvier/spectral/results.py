"""From a recording (of a file, or of the live cache) to the results that cross a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.dsp.parallel import ALONE, Team
from ranvier.exceptions import ConfigurationError, TimeRangeError
from ranvier.models.dsp import DSPParams
from ranvier.models.signals import SignalType
from ranvier.models.spectra import BandPowerTable, CoherenceResult, PsdQuery, PsdResult
from ranvier.models.spectral import (
    SpectralAlgorithm,
    SpectralChannelResult,
    SpectralMode,
    SpectralQuery,
    SpectralRangeResult,
    SpectralResult,
    SpectralUnit,
)
from ranvier.models.time_range import TimeRange
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.recording import Recording
from ranvier.spectral.bands import band_power, check_bands
from ranvier.spectral.downsampled import DownsampledRecording, factor_for
from ranvier.spectral.estimate import Density, Watch, cross_density, density, spectrogram
from ranvier.spectral.frames import Framing
from ranvier.spectral.query import SpectralPlan, bins_between, plan
from ranvier.spectral.tapers import tapers
from ranvier.spectral.windows import DEFAULT_OVERLAP, window

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

#: Pairs of channels whose coherence is computed in one call, at most.
MOST_PAIRS = 20_000


def spectral_result(
    recording: Recording,
    channels: ChannelTable,
    query: SpectralQuery,
    applied: Sequence[DSPParams] = (),
    *,
    watch: Watch | None = None,
    team: Team = ALONE,
) -> SpectralResult:
    """Compute a query.

    A range that lies partly outside the recording gives what is inside (NaN columns of a spectrogram, fewer segments
    of a Welch estimate), with a warning.

    Raises
    ------
    ConfigurationError, SignalSelectionError, TimeRangeError
        An impossible query, an unknown channel, a range wholly outside (of a periodogram: partly outside).
    """
    planned = plan(query, recording.fs)
    columns = channels.columns_for_ntv(SignalType.AMP, query.ntv_chan_idxs)
    total = len(planned.ranges) * (planned.ranges[0][1] - planned.ranges[0][0])
    warnings = list(planned.warnings)
    results = []
    for i, (start, stop) in enumerate(planned.ranges):
        part = _part(watch, i * (stop - start), total)
        power = _of_range(recording, columns, planned, query, start, stop, part, team, warnings)
        if query.units == SpectralUnit.POWER_DB_HZ:
            with np.errstate(divide="ignore"):
                power = 10 * np.log10(power)
        each = [SpectralChannelResult(ntv_chan_idx=ntv, power=power[k]) for k, ntv in enumerate(query.ntv_chan_idxs)]
        results.append(SpectralRangeResult(range_idx=i, channels=tuple(each)))
    return SpectralResult(
        freq_axis=planned.frequencies_hz,
        time_axis=planned.time_axis,
        ranges=tuple(results),
        warnings=tuple(warnings),
        applied_dsp_params=tuple(applied),
    )


def _of_range(
    recording: Recording,
    columns: I64,
    planned: SpectralPlan,
    query: SpectralQuery,
    start: int,
    stop: int,
    watch: Watch,
    team: Team,
    warnings: list[str],
) -> F64:
    """Return the power of one range, ``(channels, bins)`` or ``(channels, bins, frames)``."""
    framing, keep = planned.framing, planned.keep
    inside = recording.clip(start, stop)
    first = -(-(inside[0] - start) // framing.hop)  # whole frames before the recording begins
    held = framing.count(inside[1] - (start + first * framing.hop))
    where = f"range {start / float(recording.fs):g} to {stop / float(recording.fs):g} s"
    if inside != (start, stop):
        if query.mode == SpectralMode.STATIC and query.algorithm == SpectralAlgorithm.PERIODOGRAM:
            raise TimeRangeError(
                f"{where} lies partly outside {recording.path.name}; a periodogram needs all of it (WELCH does not)"
            )
        warnings.append(f"{where}: {planned.frames - max(0, held)} of {planned.frames} segments lie outside")
    at = start + first * framing.hop
    last = at + (held - 1) * framing.hop + framing.n if held > 0 else at
    if query.mode == SpectralMode.TIME_RESOLVED:
        bins = keep.stop - keep.start
        power = np.full((len(columns), bins, planned.frames), np.nan)
        if held > 0:
            power[:, :, first : first + held] = spectrogram(
                recording, at, last, columns, framing, keep=keep, watch=watch, team=team
            )
        missing = int(np.isnan(power[:, 0]).sum())
        if missing:
            warnings.append(f"{where}: {missing} of {power[:, 0].size} columns lack samples and are NaN")
        return power
    found = density(recording, at, last, columns, framing, watch=watch, team=team)
    _warn_of_missing(found, where, warnings)
    return np.asarray(found.density[:, keep], dtype=np.float64)


def psd_result(
    recording: Recording,
    channels: ChannelTable,
    columns: I64,
    start: int,
    stop: int,
    query: PsdQuery,
    served: TimeRange,
    *,
    watch: Watch | None = None,
    team: Team = ALONE,
) -> PsdResult:
    """Estimate a spectrum per channel over counters ``[start, stop)`` (Welch or multitaper)."""
    recording, start, stop = _at_lower_rate(recording, start, stop, query)
    framing, warnings = _framing(query, recording.fs, stop - start)
    found = density(recording, start, stop, columns, framing, watch=watch, team=team)
    _warn_of_missing(found, "the time range", warnings)
    keep = _kept(query, framing)
    return PsdResult(
        channel_indices=_ntv(channels, columns),
        time_range=served,
        frequencies_hz=found.frequencies_hz[keep],
        density_uv2_hz=found.density[:, keep],
        segments=found.segments,
        resolution_hz=framing.df_hz,
        depth_um=depths_um(channels, columns),
        query=query,
        warnings=tuple(warnings),
    )


def band_table(found: PsdResult, bands: Mapping[str, tuple[float, float]], nyquist_hz: float) -> BandPowerTable:
    """Integrate a spectrum over bands."""
    check_bands(bands, nyquist_hz)
    power = band_power(found.frequencies_hz, found.density_uv2_hz, bands)
    span = {"all": (min(low for low, _ in bands.values()), max(high for _, high in bands.values()))}
    whole = band_power(found.frequencies_hz, found.density_uv2_hz, span)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = power / whole
    empty = [name for name, values in zip(bands, power.T, strict=True) if np.isnan(values).all()]
    notes = [f"no frequency of the estimate falls into {', '.join(empty)}: use a finer resolution_hz"] if empty else []
    return BandPowerTable(
        channel_indices=found.channel_indices,
        time_range=found.time_range,
        bands_hz=dict(bands),
        power_uv2=power,
        relative=relative,
        resolution_hz=found.resolution_hz,
        warnings=(*found.warnings, *notes),
    )


def coherence_result(
    recording: Recording,
    channels: ChannelTable,
    pairs: Sequence[tuple[int, int]],
    start: int,
    stop: int,
    query: PsdQuery,
    served: TimeRange,
    *,
    watch: Watch | None = None,
    team: Team = ALONE,
) -> CoherenceResult:
    """Estimate the coherence of pairs of channels (NTV) over counters ``[start, stop)``."""
    if not 0 < len(pairs) <= MOST_PAIRS:
        raise ConfigurationError(f"{len(pairs)} pairs: at least one, and at most {MOST_PAIRS} in one call")
    if query.time_bandwidth is not None:
        raise ConfigurationError("coherence is estimated by Welch's method only; leave time_bandwidth out")
    ntv = sorted({int(i) for pair in pairs for i in pair})
    columns = channels.columns_for_ntv(SignalType.AMP, ntv)
    recording, start, stop = _at_lower_rate(recording, start, stop, query)
    at = {i: k for k, i in enumerate(ntv)}
    positions = [(at[int(a)], at[int(b)]) for a, b in pairs]
    framing, warnings = _framing(query, recording.fs, stop - start)
    found = cross_density(recording, start, stop, columns, positions, framing, watch=watch, team=team)
    if found.segments < 8:
        warnings.append(
            f"{found.segments} whole segment(s): independent signals would show a coherence of "
            f"{1 / max(1, found.segments):.2f}; take a longer range or a coarser resolution_hz"
        )
    keep = _kept(query, framing)
    return CoherenceResult(
        pairs=tuple((int(a), int(b)) for a, b in pairs),
        time_range=served,
        frequencies_hz=found.frequencies_hz[keep],
        coherence=found.coherence(positions)[:, keep],
        phase_rad=np.angle(found.cross[:, keep]),
        segments=found.segments,
        query=query,
        warnings=tuple(warnings),
    )


def _at_lower_rate(recording: Recording, start: int, stop: int, query: PsdQuery) -> tuple[Recording, int, int]:
    """Return the recording and the counters at the rate that a query is content with."""
    factor = 1 if query.samp_freq_hz is None else factor_for(recording.fs, query.samp_freq_hz)
    if factor == 1:
        return recording, start, stop
    return DownsampledRecording(recording, factor), -(-start // factor), -(-stop // factor)


def _framing(query: PsdQuery, fs: Fraction, samples: int) -> tuple[Framing, list[str]]:
    """Return the segments of a query; shorter ones, with a warning, where the range holds no whole one."""
    warnings = []
    n = max(2, round(fs / Fraction(query.resolution_hz).limit_denominator(10**6)))
    if n > samples:
        warnings.append(
            f"the range of {samples} samples is shorter than a segment of {n}; the resolution is "
            f"{float(fs) / max(2, samples):g} Hz instead of {query.resolution_hz:g} Hz"
        )
        n = samples
    if n < 2:
        raise TimeRangeError("a spectrum needs at least two samples")
    overlap = DEFAULT_OVERLAP[query.window] if query.overlap is None else query.overlap
    many = query.time_bandwidth is not None
    windows = tapers(n, float(query.time_bandwidth or 0)) if many else window(query.window, n)[None]
    return Framing(fs, windows, max(1, n - int(n * overlap))), warnings


def _kept(query: PsdQuery, framing: Framing) -> slice:
    nyquist = min(float(framing.fs), query.samp_freq_hz or np.inf) / 2
    low, high = (0.0, nyquist) if query.f_range_hz is None else query.f_range_hz
    keep = bins_between(framing.frequencies_hz, low, min(high, nyquist))
    if not low <= high or keep.start >= keep.stop:
        raise ConfigurationError(
            f"no frequency of this estimate lies between {low:g} and {high:g} Hz: it has 0 to {nyquist:g} Hz in steps "
            f"of {framing.df_hz:g} Hz"
        )
    return keep


def _warn_of_missing(found: Density, where: str, warnings: list[str]) -> None:
    short = found.segments < found.planned
    if short.any():
        warnings.append(
            f"{where}: segments with missing samples were left out in {int(short.sum())} channel(s) "
            f"({int(found.segments.min())} to {int(found.segments.max())} of {found.planned} were averaged)"
        )


def _part(watch: Watch | None, done: int, total: int) -> Watch:
    """Return a watch for one of several ranges."""
    if watch is None:
        return Watch()
    outer = watch.progress
    step: Callable[[int, int], object] | None = None
    if outer is not None:

        def step(now: int, _: int) -> object:
            return outer(done + now, total)

    return Watch(step, watch.cancelled)


def _ntv(channels: ChannelTable, columns: I64) -> tuple[int, ...]:
    return tuple(channels[int(c)].ntv for c in columns)


def depths_um(channels: ChannelTable, columns: I64) -> F64:
    """Return the height of each site above the tip; NaN where it is not known."""
    sites = [channels[int(c)].site for c in columns]
    return np.array([np.nan if site is None else site.y_um for site in sites], dtype=np.float64)
