"""A recording in memory."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ranvier.recordings import ChannelTable, Recording, Segments, plain_channels


class MemoryRecording(Recording):
    """Rows of an array; int16 counts where gains are given."""

    def __init__(
        self,
        values: npt.NDArray[np.generic],
        fs: Fraction,
        segments: Segments | None = None,
        channels: ChannelTable | None = None,
    ) -> None:
        self.values = values
        self.fs = fs
        self.channels = channels or plain_channels(amp=values.shape[1])
        self.segments = segments or Segments.single(0, len(values))
        self.path = Path("memory.xdat")
        self.stores_counts = values.dtype == np.int16

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        part = self.values[start:stop][:, columns]
        out[:] = part * self.channels.gains[columns] + self.channels.offsets[columns] if self.stores_counts else part


@pytest.fixture
def recording_of() -> Callable[..., MemoryRecording]:
    def make(
        values: npt.NDArray[np.generic],
        fs: Fraction | int = 1000,
        segments: Segments | None = None,
        channels: ChannelTable | None = None,
    ) -> MemoryRecording:
        return MemoryRecording(values, Fraction(fs), segments, channels)

    return make
