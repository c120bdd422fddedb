"""A detector of threshold events, bound to the thresholds of its channels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ranvier.detect.kernels import TILE_ROWS, threshold_events
from ranvier.exceptions import ConfigurationError
from ranvier.recordings.block import Block

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

# Events that fit at least into a detector's buffer, beyond what one tile can give.
_SPARE_EVENTS = 16384


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Threshold events in order of crossing, channels in order where two cross together.

    Attributes
    ----------
    counters
        Of the events: the extremum in the window after the crossing (the crossing itself where the window is 0).
    crossings
        Counter of the first sample at or beyond the threshold.
    channels
        Columns of the blocks.
    values
        Sample at ``counters``, physical units; its sign tells the side.
    """

    counters: I64
    crossings: I64
    channels: I32
    values: F32

    def __len__(self) -> int:
        return len(self.counters)

    @classmethod
    def empty(cls) -> Detections:
        """Return none."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))

    @classmethod
    def concatenate(cls, parts: list[Detections]) -> Detections:
        """Return the events of consecutive blocks as one table."""
        if not parts:
            return cls.empty()
        return cls(
            np.concatenate([p.counters for p in parts]),
            np.concatenate([p.crossings for p in parts]),
            np.concatenate([p.channels for p in parts]),
            np.concatenate([p.values for p in parts]),
        )


@dataclass(slots=True, eq=False)
class DetectorState:
    """All that a detector remembers; picklable. One value per channel; see :mod:`ranvier.detect.kernels`."""

    next_counter: int | None
    previous: F32
    dead_until: I64
    crossing: I64
    peak_at: I64
    peak: F32


@dataclass(frozen=True, eq=False)
class ThresholdDetector:
    """Threshold events with a dead time, in consecutive blocks of samples.

    A crossing is the first sample at or beyond a threshold after one that was not; the event is the extremum within
    ``window`` samples of it. From the crossing on, ``max(shadow, window)`` samples are dead. What is not known to be
    inside (the first sample, behind a gap, behind NaN) does not cross: a channel must be seen inside first. A gap
    closes open windows with what they saw. Any chunking of the same samples gives the same events, bit for bit.

    Parameters
    ----------
    negative, positive
        Thresholds per channel in the unit of the samples (uV for amplifier channels), ``negative < positive``;
        -inf, +inf (or NaN) for none.
    shadow
        Dead time in samples, per channel or for all.
    window
        Samples after the crossing in which the extremum is looked for; 0 takes the crossing sample, without delay.
        An event is given with the block that holds the last sample of its window.
    """

    negative: npt.ArrayLike
    positive: npt.ArrayLike = np.inf
    shadow: npt.ArrayLike = 0
    window: int = 0
    num_channels: int | None = None
    _negative: F32 = field(init=False, repr=False)
    _positive: F32 = field(init=False, repr=False)
    _shadow: I64 = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given = [np.asarray(a) for a in (self.negative, self.positive, self.shadow)]
        sizes = {a.size for a in given if a.ndim} | ({self.num_channels} if self.num_channels is not None else set())
        if len(sizes) != 1 or any(a.ndim > 1 for a in given):
            raise ConfigurationError(
                f"thresholds and shadows of {[a.shape for a in given]} do not tell one number of channels; give one "
                "value each, or num_channels"
            )
        (width,) = sizes
        negative, positive = (np.broadcast_to(a, (width,)).astype(np.float32) for a in given[:2])
        negative[np.isnan(negative)] = -np.inf
        positive[np.isnan(positive)] = np.inf
        shadow = np.broadcast_to(given[2], (width,)).astype(np.int64)
        if not (negative < positive).all():
            at = int(np.flatnonzero(~(negative < positive))[0])
            raise ConfigurationError(
                f"channel {at}: the negative threshold {negative[at]} must lie below the positive one {positive[at]}"
            )
        if (shadow < 0).any() or self.window < 0:
            raise ConfigurationError(
                f"shadow and window are numbers of samples from 0, got {self.shadow}, {self.window}"
            )
        for name, value in (("_negative", negative), ("_positive", positive), ("_shadow", shadow)):
            object.__setattr__(self, name, value)

    @property
    def width(self) -> int:
        """How many channels it watches."""
        return len(self._negative)

    def start(self) -> DetectorState:
        """Return the state before the first block."""
        n = self.width
        return DetectorState(
            None,
            np.full(n, np.nan, np.float32),
            np.full(n, np.iinfo(np.int64).min, np.int64),
            np.full(n, -1, np.int64),
            np.zeros(n, np.int64),
            np.zeros(n, np.float32),
        )

    def process(self, block: Block, state: DetectorState) -> Detections:
        """Return the events whose windows end in a block (or, at a gap before it, ended early)."""
        x = np.ascontiguousarray(block.physical(), dtype=np.float32)
        if x.ndim != 2 or x.shape[1] != self.width:
            raise ConfigurationError(f"a block of shape {x.shape} does not fit a detector of {self.width} channels")
        if not len(x):
            return Detections.empty()
        closed = Detections.empty()
        if state.next_counter != block.start:
            closed = self._restart(block.start, state)
        found = self._run(x, block.start, state)
        state.next_counter = block.stop
        return Detections.concatenate([closed, found]) if len(closed) else found

    def finish(self, state: DetectorState) -> Detections:
        """Return the events whose windows are open at the end of the stream; the state is then as at the start."""
        closed = self._close(state)
        fresh = self.start()
        for name in DetectorState.__slots__:
            setattr(state, name, getattr(fresh, name))
        return closed

    def _restart(self, counter: int, state: DetectorState) -> Detections:
        closed = self._close(state)
        state.previous[:] = np.nan
        if state.next_counter is not None and counter < state.next_counter:  # another stream: its time is not ours
            state.dead_until[:] = np.iinfo(np.int64).min
        return closed

    def _close(self, state: DetectorState) -> Detections:
        open_ = np.flatnonzero(state.crossing >= 0)
        columns = open_[np.argsort(state.crossing[open_], kind="stable")]
        found = Detections(
            state.peak_at[columns], state.crossing[columns], columns.astype(np.int32), state.peak[columns]
        )
        state.crossing[:] = -1
        return found

    def _run(self, x: F32, start: int, state: DetectorState) -> Detections:
        capacity = self.width * (TILE_ROWS + 1) + _SPARE_EVENTS
        events = np.empty((capacity, 2), np.int64)
        channels, values = np.empty(capacity, np.int32), np.empty(capacity, np.float32)
        parts: list[Detections] = []
        done = 0
        while done < len(x):
            n, rows = threshold_events(
                x[done:],
                start + done,
                self._negative,
                self._positive,
                self._shadow,
                self.window,
                state.previous,
                state.dead_until,
                state.crossing,
                state.peak_at,
                state.peak,
                events,
                channels,
                values,
            )
            done += rows
            if n:
                parts.append(
                    Detections(events[:n, 0].copy(), events[:n, 1].copy(), channels[:n].copy(), values[:n].copy())
                )
        return parts[0] if len(parts) == 1 else Detections.concatenate(parts)
