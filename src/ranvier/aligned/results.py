"""From a recording and its events to the results that cross a service."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.aligned.average import average
from ranvier.aligned.spikes import Raster, counts_around, spikes_around
from ranvier.aligned.time_frequency import Columns, mean_power, relative
from ranvier.aligned.windows import Window, choose, chosen_events
from ranvier.dsp.parallel import ALONE, Team
from ranvier.exceptions import ConfigurationError
from ranvier.models.aligned import (
    EventCount,
    EventQuery,
    PeriEventHistogram,
    PeriEventResult,
    PeriEventSpectrogram,
    TimeFrequencyQuery,
)
from ranvier.models.spectra import CsdResult
from ranvier.models.spectral import SpectralWindowType
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.recording import Recording
from ranvier.recordings.segments import Segments
from ranvier.spectral.current_source import current_source_density, line_of_sites
from ranvier.spectral.downsampled import DownsampledRecording, factor_for
from ranvier.spectral.estimate import Watch
from ranvier.spectral.frames import Framing
from ranvier.spectral.query import bins_between
from ranvier.spectral.results import depths_um
from ranvier.spectral.tapers import tapers
from ranvier.spectral.windows import window as spectral_window

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

#: Values of trials that are kept, at most (400 MB).
MOST_TRIAL_VALUES = 100_000_000
#: Values of an average or a spectrogram, at most (240 MB with its error and its sums).
MOST_VALUES = 10_000_000
#: Spikes of a raster, at most.
MOST_SPIKES = 20_000_000


def average_result(
    recording: Recording,
    channels: ChannelTable,
    events: Events,
    query: EventQuery,
    columns: I64,
    *,
    baseline_sec: tuple[float, float] | None = None,
    samp_freq_hz: float | None = None,
    keep_trials: bool = False,
    reach_sec: float = 1.0,
    watch: Watch | None = None,
) -> PeriEventResult:
    """Average signals around events.

    Raises
    ------
    ConfigurationError
        No such events; a baseline outside the window; more values than memory should hold.
    """
    asked = chosen_events(query, events, float(recording.fs))
    recording, asked = _at_lower_rate(recording, asked, samp_freq_hz)
    fs = recording.fs
    window = Window(_samples(query.pre_sec, fs), max(1, _samples(query.post_sec, fs)))
    baseline = None if baseline_sec is None else _baseline_rows(baseline_sec, window, fs)
    at, count = choose(asked, recording.segments, window, _samples(query.min_interval_sec, fs))
    _fits(window.n * len(columns), MOST_VALUES, "the average")
    if keep_trials:
        _fits(len(at) * window.n * len(columns), MOST_TRIAL_VALUES, f"{len(at)} trials")
    found = average(
        recording, at, window, columns, baseline=baseline, keep=keep_trials, reach=int(reach_sec * fs), watch=watch
    )
    return PeriEventResult(
        channel_indices=tuple(channels[int(c)].ntv for c in columns),
        sec=np.arange(-window.before, window.after) / float(fs),
        mean_uv=found.mean,
        sem_uv=found.sem,
        n=found.n,
        events=count,
        event_sec=at / float(fs),
        trials_uv=found.trials,
        depth_um=depths_um(channels, columns),
        baseline_sec=baseline_sec,
        query=query,
        warnings=_warnings(count, found.n),
    )


def csd_result(
    recording: Recording,
    channels: ChannelTable,
    events: Events,
    query: EventQuery,
    columns: I64,
    *,
    conductivity_s_per_m: float = 0.3,
    baseline_sec: tuple[float, float] | None = None,
    samp_freq_hz: float | None = None,
    reach_sec: float = 1.0,
    watch: Watch | None = None,
) -> CsdResult:
    """Return the current-source density of the average; it is linear, so that it is the average of the densities."""
    columns, depth = line_of_sites(channels, columns)
    found = average_result(
        recording, channels, events, query, columns,
        baseline_sec=baseline_sec, samp_freq_hz=samp_freq_hz, reach_sec=reach_sec, watch=watch,
    )  # fmt: skip
    spacing = float(np.diff(depth).mean()) if len(depth) > 1 else 1.0
    return CsdResult(
        channel_indices=found.channel_indices,
        depth_um=depth,
        sec=found.sec,
        csd_na_mm3=current_source_density(found.mean_uv, spacing, conductivity_s_per_m),
        potential_uv=found.mean_uv,
        spacing_um=spacing,
        conductivity_s_per_m=conductivity_s_per_m,
        events=found.events.used,
        warnings=found.warnings,
    )


def time_frequency_result(
    recording: Recording,
    channels: ChannelTable,
    events: Events,
    query: EventQuery,
    how: TimeFrequencyQuery,
    columns: I64,
    *,
    reach_sec: float = 1.0,
    watch: Watch | None = None,
    team: Team = ALONE,
) -> PeriEventSpectrogram:
    """Average spectrograms around events; columns are centred on ``[-pre_sec, post_sec)``."""
    asked = chosen_events(query, events, float(recording.fs))
    recording, asked = _at_lower_rate(recording, asked, how.samp_freq_hz)
    where = _columns(query, how, recording.fs)
    framing = where.framing
    low, high = how.f_range_hz or (0.0, float(recording.fs) / 2)
    nyquist = min(float(recording.fs), how.samp_freq_hz or np.inf) / 2
    keep = bins_between(framing.frequencies_hz, low, min(high, nyquist))
    frequencies = framing.frequencies_hz[keep]
    if not len(frequencies):
        raise ConfigurationError(
            f"no frequency lies between {low:g} and {high:g} Hz: a window of {how.window_sec:g} s has 0 to {nyquist:g} "
            f"Hz in steps of {framing.df_hz:g} Hz"
        )
    baseline = _baseline_columns(how, where.sec)
    _fits(len(columns) * len(frequencies) * where.count, MOST_VALUES, "the spectrograms")
    at, count = choose(asked, recording.segments, where.window, _samples(query.min_interval_sec, recording.fs))
    power, n = mean_power(
        recording, at, where, columns, keep=keep, reach=int(reach_sec * recording.fs), watch=watch, team=team
    )
    return PeriEventSpectrogram(
        channel_indices=tuple(channels[int(c)].ntv for c in columns),
        frequencies_hz=frequencies,
        sec=where.sec,
        power_uv2_hz=power,
        normalized=relative(power, baseline, how.normalization),
        n=n,
        events=count,
        query=how,
        warnings=_warnings(count, n),
    )


def histogram_result(
    recording: Recording, events: Events, query: EventQuery, spikes: SpikeTrains, units: Sequence[int] | None,
    bin_sec: float,
) -> PeriEventHistogram:  # fmt: skip
    """Count spikes around events; the window is a whole number of bins, one of which begins at the event."""
    fs = recording.fs
    asked = chosen_events(query, events, float(fs))
    spikes = spikes.counted_at(fs)
    wanted = _units(spikes, units)
    step = _samples(bin_sec, fs)
    if step < 1:
        raise ConfigurationError(f"a bin of {bin_sec:g} s is shorter than a sample, 1/{float(fs):g} s")
    before, after = (-(-_samples(sec, fs) // step) for sec in (query.pre_sec, query.post_sec))
    bins = before + after
    held = recording.segments if recording.segments.rows else _from_start_to_stop(recording)
    at, count = choose(asked, held, Window(before * step, after * step), _samples(query.min_interval_sec, fs))
    mine = np.isin(spikes.unit, wanted)
    counter, unit = spikes.counter[mine], spikes.unit[mine]
    raster = _raster(counter, at, before * step, after * step)
    counts = np.zeros((len(wanted), bins), dtype=np.int64)
    variance = np.full((len(wanted), bins), np.nan)
    for i, one in enumerate(wanted):
        counts[i], variance[i] = counts_around(counter[unit == one], at, before * step, step, bins)
    seconds = step / float(fs)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = np.where(len(at) > 0, counts / (np.float64(len(at)) * seconds), np.nan)
        sem = np.sqrt(variance / np.float64(len(at))) / seconds
    names = spikes.unit_names or {}
    return PeriEventHistogram(
        units=tuple(wanted),
        unit_names={u: names[u] for u in wanted if u in names},
        edges_sec=np.arange(-before, after + 1) * step / float(fs),
        counts=counts,
        rate_hz=rate,
        sem_hz=sem,
        events=count,
        event_sec=at / float(fs),
        raster_event=raster.event,
        raster_unit=unit[raster.spike],
        raster_sec=raster.offset / float(fs),
        query=query,
        warnings=_warnings(count, np.full(1, count.used)),
    )


def _raster(counter: I64, at: I64, before: int, after: int) -> Raster:
    first, last = np.searchsorted(counter, np.stack([at - before, at + after]), side="left")
    spikes = int((last - first).sum())
    if spikes > MOST_SPIKES:
        raise ConfigurationError(
            f"the windows hold {spikes:,} spikes, more than {MOST_SPIKES:,}: choose fewer units, or a shorter window"
        )
    return spikes_around(counter, at, before, after)


def _units(spikes: SpikeTrains, units: Sequence[int] | None) -> list[int]:
    """Return the unit ids asked for; those that are units (not 0, not clustered) by default."""
    known = [int(u) for u in spikes.units]
    if units is None:
        return [u for u in known if u > 0] or known
    unknown = [u for u in units if u not in known]
    if unknown:
        raise ConfigurationError(f"no unit {unknown[:8]}; the spikes are of the units {known[:40]}")
    return [int(u) for u in units]


def _columns(query: EventQuery, how: TimeFrequencyQuery, fs: Fraction) -> Columns:
    """Return windows whose centres go from ``pre_sec`` before the event to ``post_sec`` after it."""
    n, hop = max(2, _samples(how.window_sec, fs)), max(1, _samples(how.step_sec, fs))
    if hop > n:
        raise ConfigurationError(f"step_sec {how.step_sec:g} leaves gaps between windows of {how.window_sec:g} s")
    many = how.time_bandwidth is not None
    windows = tapers(n, float(how.time_bandwidth or 0)) if many else spectral_window(SpectralWindowType.HANN, n)[None]
    before = _samples(query.pre_sec, fs) // hop * hop  # a column is centred on the event
    count = (before + _samples(query.post_sec, fs) - 1) // hop + 1
    return Columns(Framing(fs, windows, hop), before, max(1, count))


def _baseline_columns(how: TimeFrequencyQuery, sec: F64) -> npt.NDArray[np.bool_]:
    low, high = how.baseline_sec or (-np.inf, 0.0)
    if not low < high:
        raise ConfigurationError(f"baseline_sec goes from early to late, not from {low:g} to {high:g} s")
    return np.asarray((sec >= low) & (sec < high))


def _baseline_rows(baseline_sec: tuple[float, float], window: Window, fs: Fraction) -> tuple[int, int]:
    first, last = (window.before + round(Fraction(sec) * fs) for sec in baseline_sec)
    if not 0 <= first < last <= window.n:
        raise ConfigurationError(
            f"the baseline {baseline_sec[0]:g} to {baseline_sec[1]:g} s does not lie in the window "
            f"{-window.before / float(fs):g} to {window.after / float(fs):g} s"
        )
    return first, last


def _at_lower_rate(recording: Recording, at: I64, samp_freq_hz: float | None) -> tuple[Recording, I64]:
    """Return the recording at the rate that is asked for, and events at its nearest samples."""
    factor = 1 if samp_freq_hz is None else factor_for(recording.fs, samp_freq_hz)
    if factor == 1:
        return recording, at
    return DownsampledRecording(recording, factor), (at + factor // 2) // factor


def _from_start_to_stop(recording: Recording) -> Segments:
    return Segments.single(recording.start, recording.stop - recording.start)


def _samples(sec: float, fs: Fraction) -> int:
    return round(Fraction(sec) * fs)


def _fits(values: int, most: int, what: str) -> None:
    if values > most:
        raise ConfigurationError(
            f"{what} would hold {values:,} values, more than {most:,}: choose fewer channels, a shorter window, or a "
            f"lower samp_freq_hz"
        )


def _warnings(count: EventCount, n: I64) -> tuple[str, ...]:
    notes = []
    if count.used < count.found:
        notes.append(str(count))
    if not count.used:
        notes.append("no event is left: the result is NaN")
    short = int((n < count.used).sum())
    if short:
        notes.append(f"{short} channel(s) lack samples in some windows, which were left out: n goes down to {n.min()}")
    return tuple(notes)
