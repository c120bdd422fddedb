"""A format plug-in for Ranvier: ``base.toy`` holds float32 rows, ``base.toy.json`` says what they are.

Gaps, events, channels with their sites and provenance stand in the JSON; rows of a gap are not stored. Spike trains
have no place in it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ranvier.exceptions import CapabilityError, RecordingError
from ranvier.models import RadiensFileType
from ranvier.recordings import Block, Events, Format, Segments, Session, Sink, SpikeTrains
from ranvier.recordings.channel_json import channels_from_json, channels_to_json
from ranvier.recordings.files import writing
from ranvier.recordings.flat import FlatFile, FlatRecording
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.sidecar import events_from_json, events_to_json, json_bytes

NAME = "toy"
MARK = "toy recording"


def description_of(data: Path) -> Path:
    """Return the JSON file beside the samples."""
    return data.with_name(data.name + ".json")


def detect(path: Path) -> Path | None:
    """Say whether a path is ours: by content and siblings, cheaply, without ever raising."""
    for candidate in (path, path.with_name(path.name + ".toy")):
        if candidate.suffix == ".toy" and candidate.is_file() and description_of(candidate).is_file():
            with open(description_of(candidate), "rb") as handle:
                if MARK.encode() in handle.read(100):
                    return candidate
    return None


def open_toy(path: Path) -> Session:
    """Open a recording. Size is truth, the description is a claim: a truncated file opens with what is there."""
    description = description_of(path)
    try:
        document = json.loads(description.read_text(encoding="utf-8"))
        fs = Fraction(*document["fs"])
        runs = [(int(counter), int(n)) for counter, n in document["runs"]]
        channels = channels_from_json(document["channels"], description)
    except (ValueError, TypeError, KeyError, ZeroDivisionError, RecursionError, OverflowError) as error:
        raise RecordingError(f"{description} is damaged ({type(error).__name__}: {error})") from error
    if not 0 < fs < 10**9 or not len(channels):
        raise RecordingError(f"{description}: {len(channels)} channels at {fs} Hz cannot be meant")
    file = FlatFile(path, np.dtype("<f4"), len(channels))
    left = file.rows()
    if not left:
        raise RecordingError(f"{path} holds no samples")
    kept = []
    for counter, n in runs:
        kept.append((counter, min(n, left)))
        left -= min(n, left)
    segments = Segments.from_runs(kept)
    lost = sum(n for _, n in runs) - segments.rows
    walltime = document.get("walltime")
    recording = FlatRecording(
        file,
        fs=fs,
        channels=channels,
        segments=segments,
        walltime=datetime.fromisoformat(walltime).astimezone(UTC) if isinstance(walltime, str) else None,
        simulated=document.get("simulated") is True,
        notes=(f"{lost} samples at the end are lost",) if lost else (),
        lost_samples=lost,
    )
    provenance = document.get("provenance")
    return Session(
        path=path,
        file_type=RadiensFileType.UNKNOWN_FILE_TYPE,
        format=NAME,
        streams={"": recording},
        events=LazyDict({"": lambda: events_from_json(document["events"], description)}),
        provenance=provenance if isinstance(provenance, dict) else None,
    )


class ToySink(Sink):
    """Writes a recording; nothing stands under its final name before ``commit``."""

    file_type: ClassVar[RadiensFileType] = RadiensFileType.UNKNOWN_FILE_TYPE
    suffixes: ClassVar[tuple[str, ...]] = (".toy",)

    def final_paths(self) -> list[Path]:
        """Return the files of the output, the one to link first."""
        data = self.destination.with_name(self.destination.name + ".toy")
        return [data, description_of(data)]

    def _open(self) -> None:
        self._data = self.staged.open(self.final_paths()[0])
        self._events = Events.empty()

    def write(self, block: Block) -> None:
        """Append a block."""
        self._admit(block)
        with writing(self.final_paths()[0]):
            self._data.write(np.ascontiguousarray(block.physical(), "<f4").data)

    def write_events(self, events: Events) -> None:
        """Keep events for the description."""
        self._events = Events.merge(self._events, events)

    def write_spike_trains(self, name: str, trains: SpikeTrains) -> None:
        """Refuse: there is no place for them."""
        raise CapabilityError(f"{self.destination}: spike trains ({name}) have no place in a toy recording")

    def commit(self) -> Path:
        """Write the description, flush, give the final names (the description last)."""
        data, description = self.final_paths()
        header = self.header
        plain = header.channels.with_channels(_physical(c) for c in header.channels)
        document: dict[str, Any] = {
            "format": MARK,
            "fs": [header.fs.numerator, header.fs.denominator],
            "runs": self.segments.runs(),
            "walltime": None if self.first_walltime is None else self.first_walltime.isoformat(),
            "simulated": header.simulated,
            "channels": channels_to_json(plain),
            "events": events_to_json(self._events),
            "provenance": header.provenance,
        }
        self.staged.write_bytes(description, json_bytes(document))
        self.staged.commit([data, description])
        return data


def _physical(channel: Any) -> Any:
    from dataclasses import replace

    return replace(channel, gain=1.0, offset=0.0)


FORMAT = Format(
    name=NAME,
    file_type=RadiensFileType.UNKNOWN_FILE_TYPE,
    suffixes=(".toy",),
    detect=detect,
    open=open_toy,
    files=lambda path: [p for p in (path, description_of(path)) if p.is_file()],
    base_name=lambda path: path.stem,
    sink=ToySink,
)
