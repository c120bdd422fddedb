"""Forward-filtered samples on a fixed grid of tiles, waiting for their backward pass.

Tile i holds the counters ``[i TILE_ROWS, (i + 1) TILE_ROWS)``. The grid depends on nothing else, and neither do
results. Many tiles wait where the filter rings long; those beyond HELD_BYTES go to a temporary file.
"""

from __future__ import annotations

import tempfile
from collections import deque
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import OutputError
from ranvier.recordings.buffers import aligned_empty

TILE_ROWS = 8192

#: Complete tiles that wait may take this much memory together; the rest waits on disk.
HELD_BYTES = 64 * 2**20

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


@dataclass
class Tile:
    """One tile.

    Attributes
    ----------
    index
        Its place in the grid.
    first, stop
        Counters of the rows that are filled.
    samples
        ``(TILE_ROWS, columns)``; None while it waits on disk.
    ends
        Where runs of a channel end inside: ``(channel, counter of the last sample)`` to the state of the backward pass.
    broken
        Channels ``(amplifiers,)`` with a missing sample or an end of a run inside: nothing from the right reaches the
        left edge.
    carry
        State at the left edge of a backward pass that enters from the right with a zero state; None until it is known.
    """

    index: int
    first: int
    stop: int
    samples: F32 | None
    broken: npt.NDArray[np.bool_]
    ends: dict[tuple[int, int], F64] = field(default_factory=dict)
    carry: F64 | None = None
    slot: int = -1

    @property
    def start(self) -> int:
        """Counter of row 0."""
        return self.index * TILE_ROWS

    @property
    def complete(self) -> bool:
        """Whether the tile is filled up to its end."""
        return self.stop == self.start + TILE_ROWS


class TileQueue:
    """Tiles in time order; complete ones beyond HELD_BYTES are kept in a temporary file."""

    def __init__(self, columns: int, amplifiers: int) -> None:
        self.columns = columns
        self.amplifiers = amplifiers
        self.tiles: deque[Tile] = deque()
        self._file: IO[bytes] | None = None
        self._free_slots: list[int] = []
        self._slots = 0

    @property
    def tile_bytes(self) -> int:
        """Size of one tile's samples."""
        return TILE_ROWS * self.columns * 4

    def at(self, counter: int) -> Tile:
        """Return the tile that is being filled, whose next row is ``counter``; a new one where that begins it."""
        index = counter // TILE_ROWS
        if not self.tiles or self.tiles[-1].index != index:
            samples = aligned_empty((TILE_ROWS, self.columns))
            self.tiles.append(Tile(index, counter, counter, samples, np.zeros(self.amplifiers, dtype=np.bool_)))
        return self.tiles[-1]

    def park(self, tile: Tile) -> None:
        """Let a complete tile wait: on disk, where too many wait in memory."""
        held = sum(t.samples is not None for t in self.tiles)
        if held * self.tile_bytes <= HELD_BYTES or tile.samples is None:
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="ranvier-")  # noqa: SIM115 - lives as long as the queue
            if not self._free_slots:
                self._free_slots.append(self._slots)
                self._slots += 1
            tile.slot = self._free_slots.pop()
            self._file.seek(tile.slot * self.tile_bytes)
            self._file.write(tile.samples.data)
        except OSError as error:
            raise OutputError(
                f"cannot keep samples that wait for their backward pass in {tempfile.gettempdir()}: "
                f"{error.strerror or error}; free space there, set TMPDIR, or use the causal filter"
            ) from error
        tile.samples = None

    def fetch(self, tile: Tile) -> F32:
        """Return a tile's samples, from disk where they wait there."""
        if tile.samples is None:
            if self._file is None:
                raise OutputError("the temporary file of a filter is gone")
            samples = aligned_empty((TILE_ROWS, self.columns))
            self._file.seek(tile.slot * self.tile_bytes)
            self._file.readinto(samples.data.cast("B"))  # type: ignore[attr-defined]
            self._free_slots.append(tile.slot)
            tile.samples, tile.slot = samples, -1
        return tile.samples

    def clear(self) -> None:
        """Forget everything."""
        self.tiles.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
        self._free_slots, self._slots = [], 0

    def __getstate__(self) -> dict[str, Any]:
        """Travel with all samples in memory."""
        for tile in self.tiles:
            self.fetch(tile)
        return {**self.__dict__, "_file": None, "_free_slots": [], "_slots": 0}
