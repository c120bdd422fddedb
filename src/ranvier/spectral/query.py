"""What a SpectralQuery means at a sampling rate: frames, frequencies, times; all its faults at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.models.spectral import SpectralAlgorithm, SpectralMode, SpectralQuery, SpectralRange
from ranvier.models.time_range import sample_at
from ranvier.spectral.frames import Framing
from ranvier.spectral.windows import DEFAULT_OVERLAP, window

F64 = npt.NDArray[np.float64]

#: Segments and windows where the query leaves them open.
WELCH_SEGMENT_SEC = 1.0
STFT_WINDOW_SEC = 0.25
#: Longest periodogram: 512 MiB for the transform of one channel.
MOST_POINTS = 1 << 25


@dataclass(frozen=True)
class SpectralPlan:
    """How a query is computed.

    Attributes
    ----------
    framing
        Frames within each range.
    frames
        Frames per range; for a periodogram 1.
    keep
        Bins that are returned.
    ranges
        Counters ``[start, stop)`` of each range, all of one length.
    time_axis
        Centres of the frames, seconds from the reference; empty for static spectra.
    """

    framing: Framing
    frames: int
    keep: slice
    ranges: tuple[tuple[int, int], ...]
    time_axis: F64
    warnings: tuple[str, ...] = ()

    @property
    def frequencies_hz(self) -> F64:
        """Frequencies that are returned."""
        return np.asarray(self.framing.frequencies_hz[self.keep], dtype=np.float64)


@dataclass
class Findings:
    """What makes a query impossible, and what is doubtful about it."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def plan(query: SpectralQuery, fs: Fraction) -> SpectralPlan:
    """Return how a query is computed; ConfigurationError lists everything that makes it impossible."""
    found = Findings()
    if not query.ntv_chan_idxs:
        found.errors.append("it names no channel")
    lengths = [_samples(r, fs) for r in query.ranges]
    made = attempt(query, fs, lengths, found)
    if made is None or found.errors:
        raise ConfigurationError("this spectral query is impossible: " + "; ".join(found.errors))
    framing, keep = made
    n = lengths[0]
    frames = framing.count(n)
    resolved = query.mode == SpectralMode.TIME_RESOLVED
    centres = (np.arange(frames) * framing.hop + framing.n / 2) / float(fs) - query.ranges[0].pre_sec
    starts = [sample_at(r.ref_sec - r.pre_sec, fs) for r in query.ranges]
    return SpectralPlan(
        framing,
        frames,
        keep,
        tuple((start, start + n) for start in starts),
        np.asarray(centres if resolved else [], dtype=np.float64),
        tuple(found.warnings),
    )


def attempt(query: SpectralQuery, fs: Fraction, lengths: list[int], found: Findings) -> tuple[Framing, slice] | None:
    """Return frames and bins of a query over ranges of these lengths (samples), or None; say what was found."""
    _check_combination(query, found)
    if not lengths:
        found.errors.append("it has no range")
        return None
    if len(set(lengths)) > 1:
        found.errors.append(
            f"its ranges differ in length ({min(lengths)} to {max(lengths)} samples); they share one axis of frequency "
            f"and time, so ask for them one by one"
        )
    samples = lengths[0]
    if samples < 2:
        found.errors.append("a range holds less than two samples; pre_sec + post_sec must be longer")
        return None
    n, hop = _frame(query, fs, samples, found)
    if not 2 <= n <= samples:
        found.errors.append(
            f"a segment of {n} samples ({n / float(fs):g} s) does not fit a range of {samples} samples "
            f"({samples / float(fs):g} s)"
        )
        return None
    framing = Framing(fs, window(query.window_type, n)[None], hop)
    return framing, _bins(query, framing, found)


def _check_combination(query: SpectralQuery, found: Findings) -> None:
    if query.welch_config is not None and query.stft_config is not None:
        found.errors.append("welch_config and stft_config exclude each other")
    if query.mode == SpectralMode.STATIC and query.algorithm == SpectralAlgorithm.STFT:
        found.errors.append("STFT gives spectra over time: it needs mode TIME_RESOLVED")
    if query.mode == SpectralMode.TIME_RESOLVED and query.algorithm == SpectralAlgorithm.WELCH:
        found.errors.append("WELCH averages over time: it needs mode STATIC (over time use STFT)")
    if query.welch_config is not None and query.algorithm != SpectralAlgorithm.WELCH:
        found.warnings.append(f"welch_config is not used by {query.algorithm.name}")
    if query.stft_config is not None and query.mode != SpectralMode.TIME_RESOLVED:
        found.warnings.append("stft_config is not used by static spectra")


def _frame(query: SpectralQuery, fs: Fraction, samples: int, found: Findings) -> tuple[int, int]:
    """Return samples per frame and from frame to frame."""
    if query.mode == SpectralMode.TIME_RESOLVED:
        config = query.stft_config
        asked = None if config is None else config.window_duration_sec
        n = _points(asked, STFT_WINDOW_SEC, fs, samples)
        step = None if config is None else config.window_step_sec
        hop = n // 2 if step is None else round(step * fs)
        if not 1 <= hop <= n:
            found.errors.append(
                f"a step of {hop} samples: at least 1, and at most a window ({n}), or samples are missed"
            )
        return n, min(max(1, hop), max(1, n))
    if query.algorithm == SpectralAlgorithm.WELCH:
        welch = query.welch_config
        n = _points(None if welch is None else welch.segment_duration_sec, WELCH_SEGMENT_SEC, fs, samples)
        overlap = None if welch is None else welch.overlap_frac
        share = DEFAULT_OVERLAP[query.window_type] if overlap is None else overlap
        return n, max(1, n - int(n * share))
    if samples > MOST_POINTS:
        found.errors.append(
            f"a periodogram of {samples} points would not fit in memory (at most {MOST_POINTS}); use WELCH"
        )
        return 2, 2
    return samples, samples


def _points(asked_sec: float | None, default_sec: float, fs: Fraction, samples: int) -> int:
    """Return a duration in samples: as asked, else the default as far as it fits, an even number."""
    if asked_sec is not None:
        return round(asked_sec * fs)
    return max(2, min(round(default_sec * fs), samples) // 2 * 2)


def _bins(query: SpectralQuery, framing: Framing, found: Findings) -> slice:
    nyquist = float(framing.fs) / 2
    low = 0.0 if query.f_min is None else query.f_min
    high = nyquist if query.f_max is None else query.f_max
    if not low < high:
        found.errors.append(f"f_min {low:g} Hz is not below f_max {high:g} Hz")
    if low > nyquist:
        found.errors.append(f"f_min {low:g} Hz is above the Nyquist frequency, {nyquist:g} Hz")
    elif high > nyquist:
        found.warnings.append(f"f_max {high:g} Hz is above the Nyquist frequency; frequencies end at {nyquist:g} Hz")
    keep = bins_between(framing.frequencies_hz, low, high)
    if keep.start >= keep.stop and not found.errors:
        found.errors.append(
            f"no frequency lies between {low:g} and {high:g} Hz: they are {framing.df_hz:g} Hz apart; "
            f"use longer segments"
        )
    return keep


def bins_between(frequencies_hz: F64, low: float, high: float) -> slice:
    """Return the bins with ``low <= f <= high``, as a slice (rounding errors of the last bit do not exclude one)."""
    slack = 1e-9 * (frequencies_hz[1] if len(frequencies_hz) > 1 else 1.0)
    first, stop = np.searchsorted(frequencies_hz, [low - slack, high + slack])
    return slice(int(first), int(stop))


def _samples(r: SpectralRange, fs: Fraction) -> int:
    return round((r.pre_sec + r.post_sec) * fs)
