"""The part of a stream that a sorter learns from: filtered pieces in bounded memory, as a recording."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.recordings import Recording, Segments
from ranvier.recordings.channels import ChannelTable

F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]

#: Step of what is kept: its rounding is far below the noise of any amplifier.
STEP_UV = 0.1
PIECE_SEC = 1.0


class TrainingTape:
    """Keeps whole pieces of one second; where there is no room, a new one takes the place of one chosen by chance.

    So what is kept is spread over the past, recent pieces being the more likely ones. With ``recent_sec`` only the
    newest seconds are kept: a sorter that adapts learns units as they are, not all that they were. One thread adds, any
    may take a snapshot.

    Parameters
    ----------
    budget_bytes
        Of memory; at least four pieces are kept.
    """

    def __init__(self, fs: Fraction, channels: ChannelTable, budget_bytes: int, seed: int) -> None:
        self._fs = fs
        self._channels = channels.with_channels(replace(c, gain=STEP_UV, offset=0.0) for c in channels)
        self._rows = max(1, round(PIECE_SEC * float(fs)))
        self.most = max(4, budget_bytes // (2 * self._rows * max(1, len(channels))))
        self._random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(9,))))
        self._pieces: list[I16] = []
        self._open = np.empty((self._rows, len(channels)), np.int16)
        self._filled = 0
        self.taken_sec = 0.0
        self.recent_sec: float | None = None

    @property
    def held_sec(self) -> float:
        """How much is kept."""
        return float(len(self._pieces) * self._rows / self._fs)

    def add(self, x: F32) -> None:
        """Take filtered samples ``(n, channels)`` in uV."""
        at = 0
        while at < len(x):
            n = min(len(x) - at, self._rows - self._filled)
            scaled = np.clip(np.nan_to_num(x[at : at + n]) * np.float32(1.0 / STEP_UV), -32767, 32767)
            np.rint(scaled, out=scaled)
            self._open[self._filled : self._filled + n] = scaled
            self._filled += n
            at += n
            if self._filled == self._rows:
                self._keep()
        self.taken_sec += len(x) / float(self._fs)

    def cut(self) -> None:
        """Forget the piece that is being filled, before a gap."""
        self._filled = 0

    def snapshot(self) -> TapeRecording:
        """Return what is kept now, piece behind piece; it does not change any more."""
        return TapeRecording(list(self._pieces), self._rows, self._fs, self._channels)

    def _keep(self) -> None:
        if self.recent_sec is not None:
            most = min(self.most, max(4, round(self.recent_sec / PIECE_SEC)))
            self._pieces = [*self._pieces[max(0, len(self._pieces) + 1 - most) :], self._open]
        elif len(self._pieces) < self.most:
            self._pieces.append(self._open)
        else:
            pieces = list(self._pieces)
            pieces[int(self._random.integers(self.most))] = self._open
            self._pieces = pieces
        self._open = np.empty_like(self._open)
        self._filled = 0


class TapeRecording(Recording):
    """Pieces of a stream, one behind the other as if nothing lay between them."""

    def __init__(self, pieces: list[I16], rows: int, fs: Fraction, channels: ChannelTable) -> None:
        self._pieces = pieces
        self._piece_rows = rows
        self.fs = fs
        self.channels = channels
        self.path = Path("training tape")
        self.name = "training tape"
        self.segments = Segments.single(0, rows * len(pieces))

    def save(self, path: Path) -> None:
        """Write the pieces to a file of NumPy's, ``(pieces, rows, channels)``."""
        held = np.lib.format.open_memmap(
            path, mode="w+", dtype=np.int16, shape=(len(self._pieces), self._piece_rows, len(self.channels))
        )
        for k, piece in enumerate(self._pieces):
            held[k] = piece
        held.flush()

    @classmethod
    def load(cls, path: Path, fs: Fraction, channels: ChannelTable) -> TapeRecording:
        """Return what :meth:`save` wrote, read where it lies."""
        held = np.load(path, mmap_mode="r")
        return cls(list(held), held.shape[1], fs, channels)

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        at = start
        while at < stop:
            piece, row = divmod(at, self._piece_rows)
            n = min(stop - at, self._piece_rows - row)
            out[at - start : at - start + n] = self._pieces[piece][row : row + n, columns]
            at += n
        out *= np.float32(STEP_UV)
