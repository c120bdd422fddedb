"""Reader of Open Ephys binary recordings: signals, TTL edges, messages, spikes.

A path may be the session's folder, a record node, an experiment, a recording, its ``structure.oebin``, or one
``continuous.dat``. What it holds opens as one session; each recording and each of its streams is a stream of it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ranvier.exceptions import RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.format import Format
from ranvier.recordings.formats.openephys_events import electrodes_in, read_events, read_spikes, stream_of
from ranvier.recordings.formats.openephys_layout import OEBIN, RecordingFolder, find_recordings, read_folder
from ranvier.recordings.formats.openephys_signals import StreamFolder, open_stream
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.recording import Recording
from ranvier.recordings.session import Clock, Session

_NAME = "Open Ephys binary"
#: Record node, experiment, recording, stream.
_Label = tuple[str, str, str, str]


def detect(path: Path) -> Path | None:
    """Return the path where it is, holds, or is part of a recording with a ``structure.oebin``."""
    try:
        found = find_recordings(path)
    except (OSError, IndexError):
        return None
    if not found:
        return None
    return path.parent if path.name == OEBIN else path


def open_openephys(path: Path) -> Session:
    """Open everything below a folder, or the one stream of a ``continuous.dat``.

    Raises
    ------
    RecordingError
        Where nothing of it can be read. A stream that is damaged among others is left out and noted.
    """
    folders = [read_folder(p) for p in find_recordings(path)]
    if not folders:
        raise RecordingError(f"{path}: there is no {OEBIN} in it, above or below")
    opened: dict[_Label, tuple[RecordingFolder, StreamFolder]] = {}
    notes: list[str] = []
    for folder in folders:
        _open_streams(folder, path, opened, notes)
    names = _short_names(list(opened))
    session = _Builder(path, notes)
    for folder in folders:
        mine = {names[label]: stream for label, (owner, stream) in opened.items() if owner is folder}
        session.add(folder, mine, several=len(folders) > 1)
    return session.build(folders)


def _open_streams(
    folder: RecordingFolder, path: Path, opened: dict[_Label, tuple[RecordingFolder, StreamFolder]], notes: list[str]
) -> None:
    entries = folder.entries("continuous")
    only = path.parent if path.name == "continuous.dat" else path if path.parent.name == "continuous" else None
    if only is not None:
        entries = [e for e in entries if folder.folder("continuous", e).resolve() == only.resolve()]
    failure: RecordingError | None = None
    for entry in entries:
        try:
            stream = open_stream(folder, entry)
        except RecordingError as error:
            failure = failure or error
            notes.append(f"left out: {error}")
            continue
        opened[(*folder.label(), stream.folder)] = folder, stream
    if failure is not None and not opened:
        raise failure


def _short_names(labels: list[_Label]) -> dict[_Label, str]:
    """Return names that leave out what is the same for all streams (but never the stream's own)."""
    varying = [i for i in range(3) if len({label[i] for label in labels}) > 1] + [3]
    return {label: "/".join(label[i] for i in varying) for label in labels}


class _Builder:
    """Collects the parts of a session."""

    def __init__(self, path: Path, notes: list[str]) -> None:
        self.path = path
        self.notes = notes
        self.streams: dict[str, Recording] = {}
        self.clocks: dict[str, Clock] = {}
        self.events: dict[str, Any] = {}
        self.spikes: dict[str, Any] = {}

    def add(self, folder: RecordingFolder, streams: dict[str, StreamFolder], *, several: bool) -> None:
        """Add the streams, events and spikes of one recording."""
        for name, stream in streams.items():
            stream.recording.name = name
            self.streams[name] = stream.recording
            if stream.clock is not None:
                self.clocks[name] = stream.clock
        known = {id(stream): name for name, stream in streams.items()}
        of_stream: dict[str, list[dict[str, Any]]] = {name: [] for name in streams}
        for entry in folder.entries("events"):
            stream_of_entry = stream_of(entry, folder.folder("events", entry), list(streams.values()))
            if stream_of_entry is not None:
                of_stream[known[id(stream_of_entry)]].append(entry)
        for name, entries in of_stream.items():
            self.events[name] = partial(_events, folder, entries)
        for entry in folder.entries("spikes"):
            self._add_spikes(folder, entry, list(streams.values()), known, prefix=several or len(streams) > 1)

    def _add_spikes(
        self,
        folder: RecordingFolder,
        entry: dict[str, Any],
        streams: list[StreamFolder],
        known: dict[int, str],
        *,
        prefix: bool,
    ) -> None:
        where = folder.folder("spikes", entry)
        stream = stream_of(entry, where, streams)
        name = str(entry.get("name", entry.get("channel_name", where.name)))
        if prefix:
            name = f"{known[id(stream)] if stream else '/'.join(folder.label())}/{name}"
        if name in self.spikes:
            name = f"{name} ({where.parent.name})"
        electrodes = electrodes_in(where)
        if len(electrodes) < 2:
            self.spikes[name] = partial(_spikes, folder, entry, stream)
        for electrode in electrodes if len(electrodes) > 1 else ():
            self.spikes[f"{name}/electrode {electrode}"] = partial(_spikes, folder, entry, stream, electrode)

    def build(self, folders: list[RecordingFolder]) -> Session:
        """Return the session."""
        return Session(
            path=self.path,
            file_type=RadiensFileType.OE_DAT,
            format=_NAME,
            streams=self.streams,
            events=LazyDict[Events](self.events),
            spike_trains=LazyDict[SpikeTrains](self.spikes),
            clocks=self.clocks,
            notes=tuple(self.notes),
            extra={
                "openephys": {
                    "gui_version": folders[0].gui_version,
                    "structure": {"/".join(f.label()): f.oebin for f in folders},
                }
            },
        )


def _events(folder: RecordingFolder, entries: list[dict[str, Any]]) -> Events:
    return read_events(folder, entries)


def _spikes(
    folder: RecordingFolder, entry: dict[str, Any], stream: StreamFolder | None, electrode: int | None = None
) -> SpikeTrains:
    return read_spikes(folder, entry, None if stream is None else stream.recording.channels, electrode)


def files_of(path: Path) -> list[Path]:
    """Return every file of the recordings that the path means; one stream cannot be told from its recording's files."""
    recordings = find_recordings(path)
    inside = path.is_dir() and all(path == r or path in r.parents for r in recordings)
    roots = [path] if inside else recordings
    return sorted(p for root in roots for p in root.rglob("*") if p.is_file())


def base_name(path: Path) -> str:
    """Return the name of the folder."""
    return path.parent.name if path.is_file() else path.name


FORMAT = Format(
    name=_NAME,
    file_type=RadiensFileType.OE_DAT,
    suffixes=(".oebin", ".dat"),
    detect=detect,
    open=open_openephys,
    files=files_of,
    base_name=base_name,
)
