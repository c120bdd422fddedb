"""What stimulation does to a simulated recording: the artifact, and the amplifiers that are settled meanwhile.

The potential around a site that passes a current I, at distance r in a medium of conductivity sigma, is
V = I / (4 pi sigma r) (a point source in a homogeneous medium; Plonsey & Barr, Bioelectricity, 3rd ed. 2007, ch. 5).
The electrode and the amplifier let go slowly: a share of the charge stays and decays exponentially (our figures).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.models.signals import SignalType
from ranvier.recordings import Channel, ChannelTable

#: Conductivity of grey matter (S/m), and how near to a site its potential is taken (um).
CONDUCTIVITY_S_M = 0.3
NEAREST_UM = 10.0
#: What stays of the current per ms, and how fast that decays.
TAIL_PER_MS = 1.5
TAIL_SEC = 0.002
#: Beyond so many time constants the tail is over.
_TAIL_LENGTHS = 8

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Delivered:
    """One current waveform that a simulator played: its first counter, channel (SYS) and current in uA per sample."""

    counter: int
    sys_chan_idx: int
    waveform_ua: tuple[float, ...]
    settle: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Artifact:
    """``shape`` (per uV of gain) from counter ``start`` on; ``blank`` holds the counters of settled amplifiers."""

    start: int
    shape: F32
    columns: npt.NDArray[np.int64]
    gain_uv: F32
    column: int
    blank: tuple[int, int]

    @property
    def span(self) -> tuple[int, int]:
        """First counter and the one after the last."""
        return min(self.start, self.blank[0]), max(self.start + len(self.shape), self.blank[1])


class Artifacts:
    """The waveforms that were played since the start, and what they add to the signal; not thread-safe."""

    def __init__(self) -> None:
        self.played: list[Delivered] = []
        self._pending: list[_Artifact] = []

    def play(self, what: Delivered, channels: ChannelTable, fs: float) -> None:
        """Let a current flow."""
        column = next(i for i, c in enumerate(channels) if c.sys == what.sys_chan_idx)
        columns, gain_uv = _spread(channels, column)
        first = what.counter
        last = first + len(what.waveform_ua)
        blank = (first - what.settle[0], last + what.settle[1]) if any(what.settle) else (first, first)
        self.played.append(what)
        self._pending.append(_Artifact(first, _shape(what.waveform_ua, fs), columns, gain_uv, column, blank))

    def drop(self, counter: int) -> None:
        """Forget the waveforms that begin at a counter or later."""
        self.played = [what for what in self.played if what.counter < counter]
        self._pending = [a for a in self._pending if a.start < counter]

    def touches(self, start: int, stop: int) -> bool:
        """Return whether the counters ``[start, stop)`` are affected; what lies before them is forgotten."""
        self._pending = [a for a in self._pending if a.span[1] > start]
        return any(a.span[0] < stop for a in self._pending)

    def apply(self, start: int, out: F32) -> None:
        """Add the artifacts to samples in uV, ``(n, amplifier channels)``; settled amplifiers read 0."""
        stop = start + len(out)
        for artifact in self._pending:
            a, b = max(start, artifact.start), min(stop, artifact.start + len(artifact.shape))
            if b > a:
                piece = artifact.shape[a - artifact.start : b - artifact.start]
                out[a - start : b - start, artifact.columns] += piece[:, None] * artifact.gain_uv
        for artifact in self._pending:
            a, b = max(start, artifact.blank[0]), min(stop, artifact.blank[1])
            if b > a:
                out[a - start : b - start, artifact.column] = 0.0


def _spread(channels: ChannelTable, column: int) -> tuple[npt.NDArray[np.int64], F32]:
    """Return the columns on the stimulated site's port that have a site, and uV per uA there."""
    source = channels[column]
    near = [
        (int(c), _distance_um(source, channels[int(c)]))
        for c in channels.columns_of(SignalType.AMP)
        if c == column or (channels[int(c)].port == source.port and channels[int(c)].site and source.site)
    ]
    distance_um = np.maximum(np.array([d for _, d in near]), NEAREST_UM)
    gain_uv = 1e6 / (4 * np.pi * CONDUCTIVITY_S_M * distance_um)
    return np.array([c for c, _ in near], dtype=np.int64), gain_uv.astype(np.float32)


def _distance_um(one: Channel, other: Channel) -> float:
    if one.site is None or other.site is None:
        return 0.0
    a, b = one.site, other.site
    return float(np.hypot(np.hypot(a.x_um - b.x_um, a.y_um - b.y_um), a.z_um - b.z_um))


def _shape(waveform_ua: Sequence[float], fs: float) -> F32:
    """Return the current and its tail: tail[n] = decay tail[n - 1] + share current[n]."""
    decay, share = np.exp(-1 / (TAIL_SEC * fs)), TAIL_PER_MS * 1000 / fs
    current = np.concatenate((np.asarray(waveform_ua, dtype=np.float64), np.zeros(int(_TAIL_LENGTHS * TAIL_SEC * fs))))
    tail = np.empty(len(current))
    kept = 0.0
    for n, now in enumerate(current):
        kept = decay * kept + share * now
        tail[n] = kept
    return (current + tail).astype(np.float32)
