"""A recording played live: what was recorded comes again at its own pace, with honest counters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ranvier.exceptions import CapabilityError, ConfigurationError, RecordingError, SourceError
from ranvier.models.status import BackboneMode
from ranvier.recordings import Block, ChannelTable, Events, Piece, Recording, SpikeTrains, open_session
from ranvier.recordings.stream_paths import split_stream
from ranvier.rig.clock import Clock, RealClock
from ranvier.rig.source import PortScan, Source, SourceInfo
from ranvier.rig.sources.pacing import Pacer
from ranvier.rig.wiring import require_fit, require_rate, scans_of

#: A gap lasts as long as it did, but at most this (s).
LONGEST_GAP_SEC = 1.0
#: The name under which recordings of simulations keep their spikes.
_TRUTH_NAMES = ("ground_truth", "ground truth")


class ReplaySource(Source):
    """A recording as a source. Counters begin where the recording's do and go on increasing when it loops.

    Gaps come through as jumps of the counter. Samples are counts where the recording stores them. ``marks`` tells
    where it began again. Played once, it raises SourceError when it is over.

    Parameters
    ----------
    recording
        What is played; as far as it reaches at ``start``.
    truth
        Spikes of a simulated recording, in its counters.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        loop: bool = True,
        truth: SpikeTrains | None = None,
        clock: Clock | None = None,
        block_sec: float = 0.010,
    ) -> None:
        if not recording.segments.rows:
            raise RecordingError(f"{recording.path} holds no samples to replay")
        self.recording = recording
        self.loop = loop
        self.block_sec = block_sec
        self.fs = recording.fs
        self.channels = recording.channels
        mark = "SIMULATED " if recording.simulated and "SIMULATED" not in recording.path.name else ""
        self.info = SourceInfo(
            mode=BackboneMode.SMARTBOX_SIM_DATASOURCE,
            name=f"REPLAY of {mark}{recording.path.name}",
            simulated=True,
            sampling_rates_hz=(float(recording.fs),),
            capabilities=frozenset({"ground_truth"} if truth is not None else ()),
            max_channels=len(recording.channels),
        )
        self._truth = truth
        self._close_files = recording.close
        self._pacer = Pacer(clock or RealClock())
        self._running = False
        self._pieces: list[Piece] = []
        self._loops: list[int] = []

    @classmethod
    def open(cls, path: Path, *, loop: bool = True, clock: Clock | None = None) -> ReplaySource:
        """Open a path (``folder#stream`` names one of several streams); RecordingError where it is no recording."""
        target, stream = split_stream(path)
        session = open_session(target)
        try:
            recording = session.stream(stream)
            names = [n for n in _TRUTH_NAMES if n in session.spike_trains and recording.simulated]
            truth = session.spike_trains[names[0]] if names else None
            source = cls(recording, loop=loop, truth=truth, clock=clock)
        except Exception:
            session.close()
            raise
        source._close_files = session.close
        return source

    def scan(self) -> Sequence[PortScan]:
        return tuple(scans_of(self.channels))

    def default_channels(self) -> ChannelTable:
        return self.recording.channels

    def configure(self, fs_hz: float, channels: ChannelTable) -> None:
        if self._running:
            raise ConfigurationError(f"{self.info.name} runs; stop it to change rate or channels")
        require_rate(self.info.name, fs_hz, self.info.sampling_rates_hz)
        require_fit(self.info.name, channels, self.recording.channels)
        self.channels = channels

    def start(self) -> None:
        if self._running:
            return
        self.recording.refresh()
        rows = max(1, round(self.block_sec * self.fs))
        segments = self.recording.segments
        self._span = (segments.start, segments.stop)
        self._pieces = [
            Piece(piece.row + at, piece.counter + at, min(rows, piece.n - at))
            for piece in segments.pieces(*self._span)
            for at in range(0, piece.n, rows)
        ]
        self._loops = [segments.start]
        self._at = 0
        self._played = 0
        self._stop: int | None = None
        self._prepared: Block | None = None
        self._pacer.start(self.fs)
        self._running = True

    def read(self, timeout_sec: float) -> Block | None:
        if not self._running:
            raise SourceError(f"{self.info.name} was read while it does not run; start it")
        if self._at == len(self._pieces):
            self._begin_again()
        if self._prepared is None:
            self._prepared = self._load(self._pieces[self._at])
            self._due = self._played + self._gap_before() + len(self._prepared)
        if not self._pacer.wait(self._due, timeout_sec):
            return None
        block, self._prepared = self._prepared, None
        self._played = self._due
        self._stop = block.stop
        self._at += 1
        return block

    def stop(self) -> None:
        self._running = False

    def close(self) -> None:
        self.stop()
        self._close_files()

    def buffer_level(self) -> float:
        behind = self._pacer.taken() - self._played if self._running else 0
        return min(1.0, max(0.0, behind / float(self.fs)))

    def sample_time(self, counter: int) -> float | None:
        # gaps and passes move counters against time: what was read last tells where they are now
        if not self._running or self._stop is None:
            return None
        return self._pacer.time_of(self._played - (self._stop - counter))

    def marks(self, start: int, stop: int) -> Events:
        begun = [(at, f"replay begins again (pass {i + 1})") for i, at in enumerate(self._loops) if i]
        told = [(at, text) for at, text in begun if start <= at < stop]
        return Events(
            np.array([at for at, _ in told], np.int64),
            np.full(len(told), -1, np.int32),
            np.full(len(told), -1, np.int8),
            ("replay",) * len(told),
            tuple(text for _, text in told),
        )

    def ground_truth(self, start: int, stop: int) -> SpikeTrains:
        if self._truth is None:
            raise CapabilityError(f"{self.info.name}: the recording does not say what its true spikes are")
        first, length = self.recording.start, self.recording.stop - self.recording.start
        passes = range(max(0, (start - first) // length), max(0, (stop - 1 - first) // length) + 1)
        parts = [(p * length, self._truth.between(start - p * length, stop - p * length)) for p in passes]
        return SpikeTrains(
            np.concatenate([part.counter + shift for shift, part in parts]),
            np.concatenate([part.unit for _, part in parts]),
            np.concatenate([part.site for _, part in parts]),
            unit_names=self._truth.unit_names,
        )

    @property
    def _shift(self) -> int:
        """How far the counters of this pass are ahead of the recording's."""
        return (len(self._loops) - 1) * (self._span[1] - self._span[0])

    def _begin_again(self) -> None:
        if not self.loop:
            raise SourceError(f"{self.info.name} is over (it is played once); start again to play it again")
        self._at = 0
        self._loops.append(self._span[0] + self._shift + self._span[1] - self._span[0])

    def _gap_before(self) -> int:
        """Return how many samples the gap before the next piece lasts."""
        piece = self._pieces[self._at]
        before = self._pieces[self._at - 1] if self._at else None
        gap = piece.counter - (before.counter + before.n) if before is not None else 0
        return min(gap, int(LONGEST_GAP_SEC * self.fs))

    def _load(self, piece: Piece) -> Block:
        recording = self.recording
        read = recording.read_counts if recording.stores_counts else recording.read
        block = read(piece.counter, piece.counter + piece.n)
        block.samples.flags.writeable = False
        return Block(block.samples, piece.counter + self._shift, block.gain, block.offset)
