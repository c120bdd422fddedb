"""Which samples of a concatenated recording came from where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.events import Events, SpikeTrains

Counters = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SourcePiece:
    """Counters ``[start, stop)`` of one source are ``[output_start, output_start + stop - start)`` of the whole."""

    path: str
    stream: str
    start: int
    stop: int
    output_start: int

    @property
    def output_stop(self) -> int:
        """Counter of the whole after the last sample of this piece."""
        return self.output_start + self.stop - self.start


@dataclass(frozen=True, slots=True)
class PieceTable:
    """The pieces of a concatenated recording, in order; they do not overlap."""

    pieces: tuple[SourcePiece, ...]

    def __post_init__(self) -> None:
        if not self.pieces or any(p.stop <= p.start for p in self.pieces):
            raise RecordingError("a table of pieces needs at least one, each with samples")
        if any(b.output_start < a.output_stop for a, b in zip(self.pieces[:-1], self.pieces[1:], strict=True)):
            raise RecordingError("the pieces of a concatenated recording overlap")

    def __len__(self) -> int:
        return len(self.pieces)

    def to_sources(self, counters: npt.ArrayLike) -> tuple[npt.NDArray[np.int32], Counters]:
        """Return piece and own counter of each counter of the whole; piece -1 (and that counter) between pieces."""
        asked = np.asarray(counters, dtype=np.int64)
        starts = np.array([p.output_start for p in self.pieces], dtype=np.int64)
        stops = np.array([p.output_stop for p in self.pieces], dtype=np.int64)
        own = np.array([p.start for p in self.pieces], dtype=np.int64)
        piece = np.searchsorted(starts, asked, side="right") - 1
        piece = np.where((piece >= 0) & (asked < stops[piece]), piece, -1)
        return piece.astype(np.int32), np.where(piece >= 0, asked - starts[piece] + own[piece], asked)

    def to_output(self, piece: int, counters: npt.ArrayLike) -> Counters:
        """Return counters of the whole for own counters of one piece."""
        found = self.pieces[piece]
        return np.asarray(counters, dtype=np.int64) - found.start + found.output_start

    def split_events(self, events: Events) -> list[Events]:
        """Return one table per piece, in its own counters; events between pieces belong to none."""
        return [self._events(events.between(p.output_start, p.output_stop), k) for k, p in enumerate(self.pieces)]

    def split_trains(self, trains: SpikeTrains) -> list[SpikeTrains]:
        """Return the spikes of each piece, in its own counters; units keep their ids."""
        made = []
        for p in self.pieces:
            t = trains.between(p.output_start, p.output_stop)
            counter = t.counter - p.output_start + p.start
            made.append(SpikeTrains(counter, t.unit, t.site, t.waveforms, t.unit_names))
        return made

    def join_events(self, parts: Sequence[Events]) -> Events:
        """Return the events of all pieces, each given in its own counters, in those of the whole."""
        moved = []
        for k, (p, events) in enumerate(zip(self.pieces, parts, strict=True)):
            e = events.between(p.start, p.stop)
            moved.append(Events(self.to_output(k, e.counter), e.line, e.state, e.source, e.text))
        return Events.merge(*moved)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the table as JSON data."""
        return [
            {
                "path": p.path,
                "stream": p.stream,
                "source": [p.start, p.stop],
                "output": [p.output_start, p.output_stop],
            }
            for p in self.pieces
        ]

    @classmethod
    def from_json(cls, data: Iterable[Mapping[str, Any]]) -> PieceTable:
        """Return the table of ``to_json``."""
        try:
            return cls(
                tuple(
                    SourcePiece(
                        str(d["path"]),
                        str(d.get("stream", "")),
                        int(d["source"][0]),
                        int(d["source"][1]),
                        int(d["output"][0]),
                    )
                    for d in data
                )
            )
        except (LookupError, TypeError, ValueError) as error:
            raise RecordingError(f"a table of pieces is damaged ({type(error).__name__}: {error})") from error

    def _events(self, events: Events, k: int) -> Events:
        p = self.pieces[k]
        return Events(events.counter - p.output_start + p.start, events.line, events.state, events.source, events.text)


def pieces_in(record: Mapping[str, Any] | None) -> tuple[PieceTable, str] | None:
    """Return the table of pieces in whose counters a recording counts, and the exact rate (as text) that it had.

    None where the recording was not concatenated, or was split again. Looks back through filters and slices of one
    source, which keep counters.
    """
    while record:
        for stage in reversed(record.get("stages", [])):
            if stage.get("kind") == "split":
                return None
            if stage.get("kind") == "concatenate":
                parameters = stage.get("parameters", {})
                return PieceTable.from_json(parameters.get("pieces", [])), str(parameters.get("fs", ""))
        sources = record.get("sources", [])
        record = sources[0].get("provenance") if len(sources) == 1 else None
    return None
