"""Events and spike trains: columns of equal length, ordered by sample counter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError


@dataclass(frozen=True, slots=True)
class Events:
    """TTL edges, digital words, comments and epochs.

    Attributes
    ----------
    counter
        Sample counter, int64 ``(n,)``, non-decreasing.
    line
        0-based line (TTL) or -1 (comment), int32.
    state
        1 on, 0 off, -1 where that has no meaning, int8.
    source
        What made each event, e.g. ``"DIN"``, ``"TTL example_data"``, ``"message"``.
    text
        Free text, empty for TTL.
    """

    counter: npt.NDArray[np.int64]
    line: npt.NDArray[np.int32]
    state: npt.NDArray[np.int8]
    source: tuple[str, ...]
    text: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.counter)
        if not n == len(self.line) == len(self.state) == len(self.source) == len(self.text):
            raise RecordingError("event columns differ in length")
        if np.any(np.diff(self.counter) < 0):
            raise RecordingError("events are not in time order")

    @classmethod
    def empty(cls) -> Events:
        """No events."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int8), (), ())

    @classmethod
    def ttl(cls, counter: npt.ArrayLike, line: npt.ArrayLike, state: npt.ArrayLike, *, source: str = "TTL") -> Events:
        """Make TTL events from columns in any order."""
        counters = np.asarray(counter, dtype=np.int64)
        order = np.argsort(counters, kind="stable")
        return cls(
            counters[order],
            np.asarray(line, dtype=np.int32)[order],
            np.asarray(state, dtype=np.int8)[order],
            (source,) * len(counters),
            ("",) * len(counters),
        )

    def __len__(self) -> int:
        return len(self.counter)

    def between(self, start: int, stop: int) -> Events:
        """Return the events with ``start <= counter < stop``."""
        a, b = np.searchsorted(self.counter, [start, stop], side="left")
        return Events(self.counter[a:b], self.line[a:b], self.state[a:b], self.source[a:b], self.text[a:b])

    def at_rate(self, ratio: Fraction, stop: int | None = None) -> Events:
        """Return the events in counters of a stream with one sample for ``ratio`` of ours: the first one not earlier.

        So edges of a line stand where its column shows them. ``stop`` is that stream's end: an event behind its last
        sample moves there.
        """
        return replace(self, counter=_slower(self.counter, ratio, stop))

    @classmethod
    def merge(cls, *parts: Events) -> Events:
        """Merge tables into one in time order (stable)."""
        counter = np.concatenate([p.counter for p in parts] or [np.empty(0, np.int64)])
        order = np.argsort(counter, kind="stable")
        source = [s for p in parts for s in p.source]
        text = [t for p in parts for t in p.text]
        return cls(
            counter[order],
            np.concatenate([p.line for p in parts] or [np.empty(0, np.int32)])[order],
            np.concatenate([p.state for p in parts] or [np.empty(0, np.int8)])[order],
            tuple(source[i] for i in order),
            tuple(text[i] for i in order),
        )


@dataclass(frozen=True, slots=True)
class SpikeTrains:
    """Spikes of all units of one recording.

    Attributes
    ----------
    counter
        Sample counter of each spike, int64 ``(n,)``, non-decreasing.
    unit
        Unit id of each spike, int32; 0 = not clustered.
    site
        Native index of the amplifier channel with the largest peak, int32; -1 unknown.
    waveforms
        ``(n, channels, points)`` float32 uV, or None.
    unit_names
        Name per unit id.
    fs
        Counters per second, where they do not count at the rate of the session's stream (spikes detected at 30 kHz
        beside a field potential at 1 kHz); None: the stream's.
    """

    counter: npt.NDArray[np.int64]
    unit: npt.NDArray[np.int32]
    site: npt.NDArray[np.int32]
    waveforms: npt.NDArray[np.float32] | None = None
    unit_names: dict[int, str] | None = None
    fs: Fraction | None = None

    def __post_init__(self) -> None:
        if not len(self.counter) == len(self.unit) == len(self.site):
            raise RecordingError("spike columns differ in length")
        if np.any(np.diff(self.counter) < 0):
            raise RecordingError("spikes are not in time order")

    def __len__(self) -> int:
        return len(self.counter)

    @property
    def units(self) -> npt.NDArray[np.int32]:
        """Distinct unit ids, sorted."""
        return np.unique(self.unit)

    def between(self, start: int, stop: int) -> SpikeTrains:
        """Return the spikes with ``start <= counter < stop``."""
        a, b = np.searchsorted(self.counter, [start, stop], side="left")
        waveforms = None if self.waveforms is None else self.waveforms[a:b]
        return SpikeTrains(self.counter[a:b], self.unit[a:b], self.site[a:b], waveforms, self.unit_names, self.fs)

    def counted_at(self, fs: Fraction) -> SpikeTrains:
        """Return the spikes with counters at a rate in Hz, rounded to the nearest; themselves where they have it."""
        if self.fs is None or self.fs == fs:
            return self
        ratio = fs / self.fs
        doubled = 2 * self.counter * ratio.numerator + ratio.denominator
        return replace(self, counter=doubled // (2 * ratio.denominator), fs=fs)

    def at_rate(self, ratio: Fraction, stop: int | None = None) -> SpikeTrains:
        """Return the spikes in counters of a stream with one sample for ``ratio`` of ours, as events are.

        Waveforms are left out where the rate differs: their points lie closer than that stream's samples.
        """
        waveforms = self.waveforms if ratio == 1 else None
        return replace(self, counter=_slower(self.counter, ratio, stop), waveforms=waveforms, fs=None)


def _slower(counter: npt.NDArray[np.int64], ratio: Fraction, stop: int | None) -> npt.NDArray[np.int64]:
    if ratio == 1:
        return counter
    slower = -(-counter * ratio.denominator // ratio.numerator)
    return slower if stop is None else np.minimum(slower, stop - 1)
