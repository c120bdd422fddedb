"""Recordings and outputs that live in memory: for tests, simulation and scripts."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.block import Block
from ranvier.recordings.channels import ChannelTable, plain_channels
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.flat import Scaler
from ranvier.recordings.recording import Recording
from ranvier.recordings.segments import Segments
from ranvier.recordings.sink import Header, Sink

#: Counts are scaled in pieces of as many rows: they stay in the cache.
_TILE_ROWS = 2048


class ArrayRecording(Recording):
    """An array as a recording.

    Parameters
    ----------
    samples
        ``(rows, columns)``: float32 (or float64) in physical units, or int16 counts, whose gain and offset the channels
        tell. Memory maps will do. Not copied, except to float32.
    fs
        Sampling rate in Hz.
    channels
        One per column; amplifier channels with default names where not given.
    start
        Sample counter of the first row; ignored where ``segments`` are given.
    segments
        The gap table, where there are gaps; its lengths must sum up to the rows.
    """

    def __init__(
        self,
        samples: npt.NDArray[Any],
        fs: Fraction | float,
        channels: ChannelTable | None = None,
        *,
        start: int = 0,
        segments: Segments | None = None,
        name: str = "memory",
        walltime: datetime | None = None,
        simulated: bool = False,
    ) -> None:
        if samples.ndim != 2:
            raise RecordingError(f"a recording needs an array (rows, columns), not one of shape {samples.shape}")
        self.stores_counts = samples.dtype == np.int16
        self.samples = samples if self.stores_counts else samples.astype(np.float32, copy=False)
        self.fs = Fraction(fs)
        self.channels = plain_channels(amp=samples.shape[1]) if channels is None else channels
        self.segments = Segments.single(start, len(samples)) if segments is None else segments
        if len(self.channels) != samples.shape[1] or self.segments.rows != len(samples):
            raise RecordingError(
                f"an array of shape {samples.shape} does not fit {len(self.channels)} channels and "
                f"{self.segments.rows} rows in the gap table"
            )
        self.path = Path(name)
        self.name = name
        self.walltime = walltime
        self.simulated = simulated

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        rows = self.samples[start:stop]
        if not self.stores_counts:
            out[:] = _take(rows, columns)
            return
        whole = _is_whole(rows, columns)
        scaler = Scaler(
            self.channels.gains[columns], self.channels.offsets[columns], None if whole else columns, is_physical=False
        )
        for at in range(0, len(rows), _TILE_ROWS):  # in C order and writeable, as kernels want it: maps are neither
            scaler.scale(rows[at : at + _TILE_ROWS].astype(np.int16, order="C"), out[at : at + _TILE_ROWS])

    def _read_counts(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.int16]) -> None:
        out[:] = _take(self.samples[start:stop], columns)


class ArraySink(Sink):
    """Keeps what is written: ``blocks``, ``events``, ``spike_trains``; ``samples()`` joins the blocks."""

    file_type: ClassVar[RadiensFileType] = RadiensFileType.XDAT  # what a path without a suffix means
    suffixes: ClassVar[tuple[str, ...]] = ("",)

    def __init__(self, header: Header, destination: Path = Path("memory")) -> None:
        self.destination = destination
        self.header = header
        self.force = False
        self.clipped_samples = self.unknown_samples = 0
        self.blocks: list[Block] = []
        self.events: list[Events] = []
        self.spike_trains: dict[str, SpikeTrains] = {}
        self.state = "open"

    @property
    def segments(self) -> Segments:
        """The gap table of what was written so far."""
        return Segments.from_runs((block.start, len(block)) for block in self.blocks)

    def final_paths(self) -> list[Path]:
        """Return no path: nothing is written to disk."""
        return []

    def _open(self) -> None:
        """Nothing to open."""

    def write(self, block: Block) -> None:
        """Keep a copy of a block."""
        self.blocks.append(Block(block.samples.copy(), block.start, block.gain, block.offset))

    def write_events(self, events: Events) -> None:
        """Keep events."""
        self.events.append(events)

    def write_spike_trains(self, name: str, trains: SpikeTrains) -> None:
        """Keep spike trains."""
        self.spike_trains[name] = trains

    def commit(self) -> Path:
        """Mark the output as finished; return the destination."""
        self.state = "committed"
        return self.destination

    def abort(self) -> None:
        """Forget the blocks, unless they were committed."""
        if self.state == "open":
            self.state = "aborted"
            self.blocks.clear()

    def samples(self) -> npt.NDArray[Any]:
        """Return all rows written, ``(rows, columns)``, gaps left out."""
        if not self.blocks:
            return np.empty((0, len(self.header.channels)), np.float32)
        return np.concatenate([block.samples for block in self.blocks])

    def counters(self) -> npt.NDArray[np.int64]:
        """Return the sample counter of each row of ``samples()``."""
        return np.concatenate([np.arange(b.start, b.stop) for b in self.blocks] or [np.empty(0, np.int64)])


def _take(rows: npt.NDArray[Any], columns: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Return some columns, without a copy where they are all of them in order."""
    return rows if _is_whole(rows, columns) else rows[:, columns]


def _is_whole(rows: npt.NDArray[Any], columns: npt.NDArray[np.int64]) -> bool:
    """Return whether the columns are all of them, in order."""
    return len(columns) == rows.shape[1] and np.array_equal(columns, np.arange(len(columns)))
