"""The live cache as a recording, so that whatever reads recordings reads it too."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.recordings import Block, Recording, Segments
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.recording import Columns
from ranvier.rig.cache import SignalCache, Span


class CacheRecording(Recording):
    """What the cache held at one moment; reads fail with TimeRangeError where it has forgotten since.

    Parameters
    ----------
    span
        That moment.
    """

    def __init__(
        self, cache: SignalCache, span: Span, fs: Fraction, channels: ChannelTable, *, simulated: bool = False
    ) -> None:
        self._cache = cache
        self._span = span
        self.fs = fs
        self.channels = channels
        self.path = Path("live cache")
        self.name = "live"
        self.simulated = simulated
        self.stores_counts = cache.stores_counts
        edges = [span.start, *(edge for gap in span.gaps for edge in gap), span.stop]
        self.segments = Segments.from_runs((a, b - a) for a, b in zip(edges[::2], edges[1::2], strict=True))

    def read(
        self, start: int, stop: int, columns: Columns = None, *, out: npt.NDArray[np.float32] | None = None
    ) -> Block:
        start, stop = self.clip(start, stop)
        return self._cache.read(start, stop, self._columns(columns), epoch=self._span.epoch, out=out)

    def read_counts(
        self, start: int, stop: int, columns: Columns = None, *, out: npt.NDArray[np.int16] | None = None
    ) -> Block:
        start, stop = self.clip(start, stop)
        return self._cache.read(start, stop, self._columns(columns), counts=True, epoch=self._span.epoch, out=out)

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        raise NotImplementedError("reads go through the ring, by counter")
