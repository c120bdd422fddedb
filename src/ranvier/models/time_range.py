"""Time: ranges of samples that exist, and ranges that are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from fractions import Fraction
from typing import Self

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError, TimeRangeError
from ranvier.models._base import Model

__all__ = ["TimeRange", "TimeRangeSpec", "TrsMode", "resolve_time_range", "sample_at"]

#: Wall-clock texts that are read besides ISO 8601; the first is what acquisition systems print.
_WALLTIME_FORMATS = (
    "%a %b %d %H:%M:%S %Z %Y",
    "%a %b %d %H:%M:%S %Y",
    "%Y-%m-%d %H:%M:%S %z %Z",
    "%Y-%m-%d %H:%M:%S %Z",
    "%Y/%m/%d %H:%M:%S",
)


def sample_at(sec: float, fs: float | Fraction) -> int:
    """Return the sample counter of a time in stream seconds: the integer part of ``sec * fs``.

    A product within a thousandth of a sample of an integer is that integer: ``counter / fs`` gives ``counter`` back,
    where plain truncation would lose a sample to the rounding of floats.
    """
    exact = sec * float(fs)
    if not math.isfinite(exact):
        raise TimeRangeError(f"{sec} s is no time in a recording")
    nearest = round(exact)
    return nearest if abs(exact - nearest) < 1e-3 else math.floor(exact)


class TimeRange(Model):
    """A range of samples that exists: half-open ``[start, end)``, in stream time, which seldom starts at 0.

    Attributes
    ----------
    sec
        Start and end in stream seconds: ``timestamp / fs``.
    timestamp
        Start and end as sample counters.
    fs
        Sampling rate in Hz.
    dur_sec
        Length in seconds, gaps included.
    walltime_str
        UTC wall-clock time of the start; ISO 8601 where Ranvier wrote it; empty or year 1 = unknown.
    n
        Length in samples.
    """

    sec: tuple[float, float]
    timestamp: tuple[int, int]
    fs: float
    dur_sec: float
    walltime_str: str
    n: int

    @classmethod
    def from_samples(cls, start: int, stop: int, fs: float | Fraction, walltime: datetime | str | None = None) -> Self:
        """Return the range of counters ``[start, stop)``; exact where ``fs`` is a Fraction."""
        text = walltime.isoformat() if isinstance(walltime, datetime) else walltime or ""
        return cls(
            sec=(float(start / fs), float(stop / fs)),
            timestamp=(start, stop),
            fs=float(fs),
            dur_sec=float((stop - start) / fs),
            walltime_str=text,
            n=stop - start,
        )

    @property
    def walltime(self) -> datetime:
        """Wall-clock time of the start, with a time zone (UTC where the text names none).

        Raises
        ------
        TimeRangeError
            If ``walltime_str`` is not a date (a ValueError).
        """
        found = _parse_walltime(self.walltime_str)
        if found is None:
            raise TimeRangeError(f"walltime_str is not a date: {self.walltime_str!r}")
        return found


def _parse_walltime(text: str) -> datetime | None:
    parsed = None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        for form in _WALLTIME_FORMATS:
            try:
                parsed = datetime.strptime(text, form)
            except ValueError:
                continue
            break
    if parsed is not None and parsed.tzinfo is None:
        return parsed.replace(tzinfo=UTC)
    return parsed


class TrsMode(IntEnum):
    """How a time range is asked for."""

    SUBSET = 0
    """From start to end."""
    TO_HEAD = 1
    """From start to the newest sample."""
    FROM_HEAD = 2
    """The last so many seconds."""


class TimeRangeSpec(Model):
    """A time range that is asked for, in stream seconds; make one with the class methods.

    The constructor itself checks nothing.

    Attributes
    ----------
    mode
        Which of the three kinds it is.
    start
        Start in seconds; for FROM_HEAD the duration in seconds.
    end
        End in seconds (exclusive; infinite = to the end) for SUBSET, else None.
    """

    mode: TrsMode
    start: float
    end: float | None = None

    @classmethod
    def subset(cls, start: float, end: float) -> TimeRangeSpec:
        """Return ``[start, end)``; TimeRangeError unless ``end > start``."""
        if not end > start:
            raise TimeRangeError(f"the end of a time range must lie after its start: [{start}, {end}] s")
        return cls(mode=TrsMode.SUBSET, start=start, end=end)

    @classmethod
    def lookback(cls, duration: float) -> TimeRangeSpec:
        """Return the last ``duration`` seconds; TimeRangeError unless it is greater than 0."""
        if not 0 < duration < math.inf:
            raise TimeRangeError(f"a lookback needs a duration greater than 0 s, not {duration}")
        return cls(mode=TrsMode.FROM_HEAD, start=duration)

    @classmethod
    def to_head(cls, start: float) -> TimeRangeSpec:
        """Return everything from ``start`` to the newest sample."""
        if math.isnan(start):
            raise TimeRangeError("the start of a time range is not a number")
        return cls(mode=TrsMode.TO_HEAD, start=start)

    @classmethod
    def full(cls) -> TimeRangeSpec:
        """Return the whole recording, wherever it starts."""
        return cls(mode=TrsMode.SUBSET, start=0.0, end=math.inf)

    @classmethod
    def from_list(cls, time_range: Sequence[float], mode: TrsMode | None = None) -> TimeRangeSpec:
        """Read ``[start, end]``; ``[duration, nan]`` is a lookback.

        ``[0, inf]`` and ``[-inf, inf]`` are the whole recording. With ``mode`` TO_HEAD or FROM_HEAD only the first
        element counts. A reversed or empty range is refused: it would read as nothing, silently.

        Raises
        ------
        TimeRangeError
            If there are not exactly two elements, or the range is reversed or empty.
        """
        if len(time_range) != 2:
            raise TimeRangeError(f"a time range has exactly 2 elements, [start, end] in seconds, not {len(time_range)}")
        start, end = float(time_range[0]), float(time_range[1])
        if mode is None:
            mode = TrsMode.FROM_HEAD if math.isnan(end) else TrsMode.SUBSET
        if mode == TrsMode.FROM_HEAD:
            return cls.lookback(start)
        if mode == TrsMode.TO_HEAD:
            return cls.to_head(start)
        return cls.full() if start in (0.0, -math.inf) and end == math.inf else cls.subset(start, end)

    @property
    def duration(self) -> float | None:
        """Length in seconds, where it can be told without knowing the recording."""
        if self.mode == TrsMode.FROM_HEAD:
            return self.start
        if self.mode == TrsMode.SUBSET and self.end is not None and math.isfinite(self.end - self.start):
            return self.end - self.start
        return None

    def is_full(self) -> bool:
        """Whether it means the whole recording: a SUBSET without an end that starts at 0 or before."""
        return self.mode == TrsMode.SUBSET and self.end == math.inf and self.start <= 0

    def to_array(self) -> npt.NDArray[np.float64]:
        """Return ``[start, end]`` in seconds, float64; the second element is NaN for TO_HEAD and FROM_HEAD.

        TimeRangeError for the whole recording, which has no numbers.
        """
        if self.is_full():
            raise TimeRangeError("the whole recording has no start and end; resolve() it against a dataset first")
        return np.array([self.start, math.nan if self.end is None else self.end], dtype=np.float64)

    def resolve(self, dataset_metadata: object | None = None, fs: float | None = None) -> TimeRange | None:
        """Return the samples that this means in a dataset, clipped to it; None for FROM_HEAD: the head moves.

        Parameters
        ----------
        dataset_metadata
            A DatasetMetadata.
        fs
            Sampling rate in Hz; None = that of the dataset.

        Raises
        ------
        ConfigurationError
            Without a dataset.
        TimeRangeError
            If the range is reversed or lies wholly outside the dataset.
        """
        available = getattr(dataset_metadata, "time_range", None)
        if not isinstance(available, TimeRange):
            raise ConfigurationError("a time range is resolved against a DatasetMetadata; pass one")
        return None if self.mode == TrsMode.FROM_HEAD else resolve_time_range(self, available, fs)


def resolve_time_range(spec: TimeRangeSpec, available: TimeRange, fs: float | None = None) -> TimeRange:
    """Return the samples that a request means where ``available`` exists; lookbacks count from its end.

    The result is clipped to ``available``; its wall-clock time is moved along.

    Raises
    ------
    TimeRangeError
        If the request is reversed, shorter than one sample, or wholly outside.
    """
    rate = available.fs if fs is None else fs
    if rate == available.fs:
        first, last = available.timestamp
    else:
        first, last = (sample_at(sec, rate) for sec in available.sec)
    if spec.is_full():
        start, stop = first, last
    elif spec.mode == TrsMode.FROM_HEAD:
        start, stop = last - sample_at(spec.start, rate), last
    else:
        start = _edge(spec.start, rate, first)
        stop = last if spec.end is None else _edge(spec.end, rate, last)
    if stop <= start and start < last:
        raise TimeRangeError(f"time range [{spec.start}, {spec.end}] s is reversed or shorter than one sample")
    if stop <= first or start >= last:
        raise TimeRangeError(
            f"time range [{spec.start}, {spec.end}] s lies outside the data: {first / rate:.6f} to {last / rate:.6f} s"
        )
    start, stop = max(start, first), min(stop, last)
    return TimeRange.from_samples(start, stop, rate, _moved_walltime(available.walltime_str, (start - first) / rate))


def _edge(sec: float, fs: float, if_open: int) -> int:
    if math.isnan(sec):
        raise TimeRangeError("a time range with NaN is only meant as [duration, nan], a lookback")
    return if_open if math.isinf(sec) else sample_at(sec, fs)


def _moved_walltime(text: str, sec: float) -> str:
    """Move a wall-clock text; one that is unknown (year 1) or not a date stays as it is."""
    start = _parse_walltime(text)
    if sec == 0 or start is None or start.year == 1:
        return text
    return (start + timedelta(seconds=sec)).isoformat()
