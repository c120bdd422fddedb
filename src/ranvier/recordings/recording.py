"""One stream of samples: what every reader gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError, SignalSelectionError, TimeRangeError
from ranvier.recordings.block import Block
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.segments import Segments

Columns = Sequence[int] | npt.NDArray[np.int64] | None


class Recording(ABC):
    """One stream: exact rate, channels, gaps; ``read`` by sample counter.

    A reader subclasses this, fills the attributes and writes ``_read_rows`` (and ``_read_counts`` where the file
    stores int16 counts). All reads are thread-safe. Indices are columns of ``channels`` (file order).

    Attributes
    ----------
    fs
        Sampling rate in Hz, exact.
    channels
        One entry per column.
    segments
        The gap table; it maps counters to rows.
    walltime
        UTC time of the first sample, or None where the file does not tell.
    stores_counts
        Whether ``read_counts`` works: every column is stored as int16 counts with a gain.
    notes
        What a user should know: what was lost, assumed, repaired.
    lost_samples
        Samples that the header promised and the file does not hold.
    """

    fs: Fraction
    channels: ChannelTable
    segments: Segments
    path: Path
    name: str = ""
    walltime: datetime | None = None
    stores_counts: bool = False
    simulated: bool = False
    notes: tuple[str, ...] = ()
    lost_samples: int = 0

    @property
    def start(self) -> int:
        """First sample counter."""
        return self.segments.start

    @property
    def stop(self) -> int:
        """Counter after the last sample (may grow; see ``refresh``)."""
        return self.segments.stop

    def is_being_written(self) -> bool:
        """Return whether somebody is known to be writing it now; False also where nobody can tell."""
        return False

    @property
    def duration_sec(self) -> float:
        """Stop minus start, in seconds, gaps included."""
        return float((self.stop - self.start) / self.fs)

    def read(
        self, start: int, stop: int, columns: Columns = None, *, out: npt.NDArray[np.float32] | None = None
    ) -> Block:
        """Read counters ``[start, stop)`` as float32 in physical units, ``(n, columns)``.

        A range partly outside is clipped (the block's ``start`` and length tell); missing samples are NaN, 0 for
        digital columns. ``out``, where given, is filled and used as the block's memory: C order, float32, at least
        ``n`` rows.

        Raises
        ------
        TimeRangeError
            If the range lies wholly outside the recording, or is reversed.
        SignalSelectionError
            If a column does not exist.
        ConfigurationError
            If ``out`` does not fit.
        """
        start, stop = self.clip(start, stop)
        wanted = self._columns(columns)
        samples = _memory(out, stop - start, len(wanted), np.float32)
        at = start
        digital = self.channels.is_digital[wanted] if self.segments.missing else None
        for piece in self.segments.pieces(start, stop):
            if piece.counter > at:
                self._fill_missing(samples[at - start : piece.counter - start], digital)
            target = samples[piece.counter - start : piece.counter - start + piece.n]
            self._read_rows(piece.row, piece.row + piece.n, wanted, target)
            at = piece.counter + piece.n
        if at < stop:
            self._fill_missing(samples[at - start :], digital)
        return Block(samples, start)

    def read_counts(
        self, start: int, stop: int, columns: Columns = None, *, out: npt.NDArray[np.int16] | None = None
    ) -> Block:
        """Read counters ``[start, stop)`` as stored int16 counts with gain and offset, ``(n, columns)``.

        Like ``read``; missing samples are count 0 (consult ``segments``). Only where ``stores_counts``.
        """
        start, stop = self.clip(start, stop)
        wanted = self._columns(columns)
        samples = _memory(out, stop - start, len(wanted), np.int16)
        if self.segments.missing:
            samples[:] = 0
        for piece in self.segments.pieces(start, stop):
            target = samples[piece.counter - start : piece.counter - start + piece.n]
            self._read_counts(piece.row, piece.row + piece.n, wanted, target)
        return Block(samples, start, self.channels.gains[wanted], self.channels.offsets[wanted])

    def blocks(
        self, rows: int, start: int | None = None, stop: int | None = None, columns: Columns = None
    ) -> Iterator[Block]:
        """Yield physical blocks of at most ``rows`` rows that never span a gap; a jump in ``start`` marks one."""
        first = self.start if start is None else start
        last = self.stop if stop is None else stop
        for piece in self.segments.pieces(first, last):
            for at in range(piece.counter, piece.counter + piece.n, rows):
                yield self.read(at, min(at + rows, piece.counter + piece.n), columns)

    def clip(self, start: int, stop: int) -> tuple[int, int]:
        """Clip a counter range to the recording; TimeRangeError where nothing is left."""
        if stop <= start:
            raise TimeRangeError(f"empty time range: samples [{start}, {stop})")
        if stop <= self.start or start >= self.stop:
            raise TimeRangeError(
                f"samples [{start}, {stop}) lie outside {self.path.name}, which holds [{self.start}, {self.stop}) "
                f"= {float(self.start / self.fs):.6g} to {float(self.stop / self.fs):.6g} s"
            )
        return max(start, self.start), min(stop, self.stop)

    def refresh(self) -> int:
        """Look again how far a growing file reaches; return the new ``stop``. Files at rest do not change."""
        return self.stop

    def close(self) -> None:  # noqa: B027 - most readers hold nothing but memory maps
        """Release files."""

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        mark = "SIMULATED " if self.simulated else ""
        return (
            f"<{mark}{type(self).__name__} {self.path.name} {self.name}: {len(self.channels)} channels, "
            f"{float(self.fs):g} Hz, {self.duration_sec:.3f} s, {len(self.segments.gaps)} gaps>"
        )

    @abstractmethod
    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        """Fill ``out`` with file rows ``[start, stop)`` of some columns, in physical units."""

    def _read_counts(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.int16]) -> None:
        """Fill ``out`` with the stored counts of file rows ``[start, stop)``."""
        raise NotImplementedError(f"{type(self).__name__} does not store int16 counts")

    def _columns(self, columns: Columns) -> npt.NDArray[np.int64]:
        if columns is None:
            return np.arange(len(self.channels), dtype=np.int64)
        wanted = np.asarray(columns, dtype=np.int64)
        if wanted.ndim != 1 or (len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(self.channels)):
            raise SignalSelectionError(
                f"{self.path.name} has the columns 0-{len(self.channels) - 1}; a selection of {wanted.tolist()[:8]} "
                f"does not fit"
            )
        return wanted

    @staticmethod
    def _fill_missing(rows: npt.NDArray[np.float32], digital: npt.NDArray[np.bool_] | None) -> None:
        rows[:] = np.nan
        if digital is not None and digital.any():
            rows[:, digital] = 0.0


def _memory(out: npt.NDArray[Any] | None, rows: int, columns: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return ``(rows, columns)`` of the caller's memory, or new memory."""
    if out is None:
        return np.empty((rows, columns), dtype=dtype)
    if (
        out.dtype != dtype
        or out.ndim != 2
        or out.shape[0] < rows
        or out.shape[1] != columns
        or not out.flags.c_contiguous
    ):
        raise ConfigurationError(
            f"out must be a C-contiguous {np.dtype(dtype).name} array of at least ({rows}, {columns}), "
            f"not {out.dtype} {out.shape}"
        )
    return out[:rows]
