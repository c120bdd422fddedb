"""What a path opens as: streams, events, spike trains, clocks."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import DatasetError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.recording import Recording


@dataclass(frozen=True, slots=True)
class Clock:
    """A second clock of a stream: hardware seconds at given sample counters.

    Attributes
    ----------
    counter
        Sample counters, int64 ``(n,)``.
    seconds
        What the other clock said at them, float64 ``(n,)``.
    name
        Which clock it is.
    """

    counter: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float64]
    name: str


@dataclass
class Session:
    """One folder or file (or many that belong together), opened.

    Attributes
    ----------
    streams
        Recordings by stream name; a file with one stream has the name ``""`` or the format's own.
    events
        Events by stream name, in that stream's counters. Where finding them means reading the recording (digital
        columns), this is a :class:`~ranvier.recordings.lazy.LazyDict`: they are found on first access.
    spike_trains
        Spikes by name (electrode group, sorter); may be lazy too.
    provenance
        What the file says about its making: plain JSON data as :mod:`ranvier.recordings.provenance` defines it.
    extra
        Metadata that the reader does not interpret but that must survive a round trip.
    fs, channels
        What spike trains refer to where there is no stream: the rate of their counters, the channels of their sites.
    extent, content
        Of spike trains without a stream that are too large to be loaded before they are asked for: counters
        ``[start, stop)``, and what there is, in words.
    """

    path: Path
    file_type: RadiensFileType
    format: str
    streams: dict[str, Recording]
    events: MutableMapping[str, Events] = field(default_factory=dict)
    spike_trains: MutableMapping[str, SpikeTrains] = field(default_factory=dict)
    clocks: dict[str, Clock] = field(default_factory=dict)
    provenance: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    fs: Fraction | None = None
    channels: ChannelTable | None = None
    extent: tuple[int, int] | None = None
    content: str = ""

    def stream(self, name: str | None = None) -> Recording:
        """Return one stream; without a name the only one, and DatasetError listing the exact paths otherwise."""
        if name is None and len(self.streams) == 1:
            return next(iter(self.streams.values()))
        if name is not None and name in self.streams:
            return self.streams[name]
        listing = "\n".join(f"  {self.path}#{known}" for known in self.streams) or "  (no stream of signals)"
        if name is None and not self.streams:
            notes = "".join(f"\n{note}" for note in self.notes[:5])
            raise DatasetError(f"{self.path} holds no stream of signals that can be read{notes}")
        if name is None:
            notes = "".join(f"\n{note}" for note in self.notes[:5])
            raise DatasetError(f"{self.path} holds {len(self.streams)} streams; name one of:\n{listing}{notes}")
        raise DatasetError(f"{self.path} has no stream {name!r}; it has:\n{listing}")

    def stream_name(self, recording: Recording) -> str:
        """Return the name under which a recording is listed, empty where it is not one of the streams."""
        return next((name for name, known in self.streams.items() if known is recording), "")

    def close(self) -> None:
        """Close every stream."""
        for recording in self.streams.values():
            recording.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
