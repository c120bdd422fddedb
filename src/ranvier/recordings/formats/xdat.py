"""XDAT: float32 rows, int64 sample counters, JSON metadata (the format of the Radiens and Allego programs).

The size of the binary files decides how many samples there are; the JSON is a claim. A set that is being recorded
(``.xdat.json.part`` instead of ``.xdat.json``) opens at every moment with what is there. Without any JSON the number
of columns follows from the sizes, but the sampling rate cannot be known: ``open_xdat(path, fs=...)`` states it, or a
provisional file of one line, ``{"status": {"samp_freq": 30000}}``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.exceptions import DatasetError, RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.digital import digital_edges
from ranvier.recordings.events import Events
from ranvier.recordings.flat import FlatFile, FlatRecording
from ranvier.recordings.format import Format
from ranvier.recordings.formats.xdat_clock import clocks_of, read_records
from ranvier.recordings.formats.xdat_metadata import MOST_COLUMNS, XdatMetadata, load_document
from ranvier.recordings.formats.xdat_names import XdatSet, find_set, sets_in
from ranvier.recordings.formats.xdat_sink import XdatSink
from ranvier.recordings.formats.xdat_timestamps import Timeline
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.session import Session
from ranvier.recordings.sidecar import events_from_json, spike_trains_from_npz

NAME = "XDAT"
_STREAM = ""
#: A recorder that writes nothing for so long may have died.
_SILENT_SEC = 5.0


class XdatRecording(FlatRecording):
    """The stream of an XDAT set; ``refresh`` follows it while it grows."""

    timeline: Timeline
    #: The provisional metadata of our own recorder, which go when it ends.
    provisional: Path | None

    def is_being_written(self) -> bool:
        """Return whether our recorder wrote samples within the last seconds and has not ended."""
        try:
            age_sec = time.time() - self.file.path.stat().st_mtime
            return self.provisional is not None and self.provisional.is_file() and age_sec < _SILENT_SEC
        except OSError:
            return False

    def refresh(self) -> int:
        """Look how many whole rows both binary files hold now; return the new ``stop``."""
        with self._growth:
            self.segments = self.timeline.extend(_rows(self.file, self.timeline.file))
        return self.stop

    def __init__(
        self, timeline: Timeline, file: FlatFile, *, provisional: Path | None = None, **attributes: Any
    ) -> None:
        super().__init__(file, segments=timeline.segments, **attributes)
        self.provisional = provisional
        self.timeline = timeline
        self._growth = threading.Lock()


def open_xdat(path: str | Path, *, fs: float | Fraction | None = None) -> Session:
    """Open an XDAT set by any of its files, its base name, or a folder that holds exactly one set.

    Parameters
    ----------
    fs
        Sampling rate in Hz, for sets whose metadata are lost; it must not contradict metadata that are there.

    Raises
    ------
    RecordingError
        If the samples or the sampling rate are missing, or the metadata cannot be read.
    DatasetError
        If a folder holds several sets; the message lists them.
    """
    files = _set_of(Path(path).expanduser())
    metadata = _load_metadata(files, fs)
    rate = metadata.fs()
    if rate is None:
        raise RecordingError(
            f"{metadata.path} does not state the sampling rate (status.samp_freq); "
            f"{_how_to_state_fs(files, 'correct it, or move it away and')}"
        )
    recording = _recording(files, metadata, rate)
    own = metadata.own
    return Session(
        path=files.canonical,
        file_type=RadiensFileType.XDAT,
        format=NAME,
        streams={_STREAM: recording},
        events=LazyDict({_STREAM: _events_maker(recording, metadata)}),
        spike_trains=LazyDict({name: _spikes_maker(files, name) for name in _spike_names(metadata)}),
        clocks=clocks_of(read_records(files.clock)),
        provenance=own["provenance"] if isinstance(own.get("provenance"), dict) else None,
        notes=recording.notes,
        extra={"uid": metadata.uid(), "xdat": metadata.extra(recording.channels)},
    )


def detect(path: Path) -> Path | None:
    """Return the metadata (or, without, the samples) of the set that a path names."""
    try:
        found = find_set(path)
        if found is not None:
            return found.canonical
        return path if path.is_dir() and len(sets_in(path)) > 1 else None
    except OSError:
        return None


def files_of(path: Path) -> list[Path]:
    """Return every file of a set."""
    return _set_of(path).files()


def base_name(path: Path) -> str:
    """Return the name of a set without suffixes."""
    found = find_set(path)
    return path.name if found is None else found.base


FORMAT = Format(
    name=NAME,
    file_type=RadiensFileType.XDAT,
    suffixes=(".xdat.json", "_data.xdat", "_timestamp.xdat", ".xdat"),
    detect=detect,
    open=open_xdat,
    files=files_of,
    base_name=base_name,
    sink=XdatSink,
)


def _set_of(path: Path) -> XdatSet:
    found = find_set(path)
    if found is not None:
        return found
    several = sets_in(path) if path.is_dir() else []
    if several:
        listing = "\n".join(f"  {known.canonical}" for known in several)
        raise DatasetError(f"{path} holds {len(several)} XDAT sets; name one of:\n{listing}")
    raise RecordingError(
        f"{path}: there is no XDAT set of this name (looked for {XdatSet(path.parent, path.name).data})"
    )


def _load_metadata(files: XdatSet, fs: float | Fraction | None) -> XdatMetadata:
    """Return the finished metadata, else the newest provisional ones, else what ``fs`` states."""
    if files.metadata.is_file():
        try:
            made = XdatMetadata(load_document(files.metadata), files.metadata)
        except RecordingError as error:
            raise RecordingError(f"{error}; {_how_to_state_fs(files, 'move it away and')}") from error
    else:
        made = _provisional(files, fs)
    stated = made.fs()
    if fs is not None and stated is None:
        made.document = {**made.document, "status": {**made.status, "samp_freq": float(fs)}}
    elif fs is not None and stated is not None and float(fs) != float(stated):
        raise RecordingError(f"{made.path} states {float(stated):g} Hz, not {float(fs):g} Hz; open it without fs")
    return made


def _provisional(files: XdatSet, fs: float | Fraction | None) -> XdatMetadata:
    broken: list[str] = []
    present = [p for p in files.provisional if p.is_file()]
    for path in sorted(present, key=lambda p: p.stat().st_mtime, reverse=True):
        try:
            note = f"not finished: metadata are from {path.name}"
            return XdatMetadata(load_document(path), path, provisional=True, notes=[note])
        except RecordingError as error:
            broken.append(str(error))
    if fs is None:
        reason = "; ".join(broken) or f"{files.metadata.name} is missing"
        raise RecordingError(f"{files.data}: the sampling rate is not known ({reason}); {_how_to_state_fs(files)}")
    note = f"{files.metadata.name} is missing: sampling rate stated by the user, columns derived from the file sizes"
    return XdatMetadata({}, files.data, provisional=True, notes=[note])


def _how_to_state_fs(files: XdatSet, first: str = "") -> str:
    name = files.provisional[0].name
    return (
        f"{first} open it with ranvier.recordings.formats.xdat.open_xdat(path, fs=...), or write "
        f'{{"status": {{"samp_freq": 30000}}}} with the true rate into {name} beside it'
    ).strip()


def _recording(files: XdatSet, metadata: XdatMetadata, fs: Fraction) -> XdatRecording:
    if not files.data.is_file():
        raise RecordingError(f"{files.data} is missing: {metadata.path.name} describes samples that are not there")
    counters = FlatFile(files.timestamps, np.dtype("<i8"), 1) if files.timestamps.is_file() else None
    total = _column_count(files, metadata, None if counters is None else counters.rows())
    data = FlatFile(files.data, np.dtype("<f4"), total)
    rows = _rows(data, counters)
    records = read_records(files.clock)
    # While a set is recorded, its clock file tells how much of it was safe; a finished set is safe as a whole.
    durable = int(records["durable_rows"].max(initial=0)) if metadata.is_being_recorded() else None
    timeline = Timeline(counters, rows, fs, metadata.promised_start(), durable)
    if timeline.rows == 0 and not metadata.provisional:
        raise RecordingError(f"{files.data} holds no samples ({files.data.stat().st_size} bytes)")
    channels = metadata.channels(total)
    walltime = metadata.walltime()
    promised = metadata.promised_rows()
    notes = [
        *metadata.notes,
        *metadata.stated_notes(),
        *timeline.notes,
        *_size_notes(data, counters, timeline.rows, promised, metadata),
    ]
    return XdatRecording(
        timeline,
        data,
        provisional=metadata.path if metadata.is_being_recorded() else None,
        fs=fs,
        channels=channels,
        path=files.canonical,
        name=_STREAM,
        walltime=walltime,
        simulated=metadata.own.get("simulated") is True,
        notes=tuple(notes),
        lost_samples=max(0, promised - timeline.rows) if promised is not None else 0,
    )


def _rows(data: FlatFile, counters: FlatFile | None) -> int:
    """Return how many rows are whole in both files: while a set grows, one is a little ahead of the other."""
    return data.rows() if counters is None else min(data.rows(), counters.rows())


def _column_count(files: XdatSet, metadata: XdatMetadata, counter_rows: int | None) -> int:
    """Return the number of columns: what the metadata state and the sizes confirm."""
    values = files.data.stat().st_size // 4
    stated = metadata.column_counts()
    if len(stated) > 1:
        metadata.notes.append(f"the metadata state different numbers of columns: {stated}")
    if stated and counter_rows is None:
        return stated[0]
    if stated and counter_rows is not None:
        best = min(stated, key=lambda n: abs(values // n - counter_rows))
        if counter_rows and values % counter_rows == 0 and values // counter_rows not in (0, best):
            metadata.notes.append(f"the sizes of the files suggest {values // counter_rows} columns instead of {best}")
        return best
    if not counter_rows or not values:
        raise RecordingError(
            f"{files.data}: the number of columns is not known: neither metadata nor the file of sample counters "
            f"({files.timestamps.name}) tell"
        )
    ratio = values / counter_rows
    total = round(ratio)
    if not 1 <= total <= MOST_COLUMNS or abs(ratio - total) > 0.25:
        raise RecordingError(
            f"{files.data}: {values} values do not fit {counter_rows} sample counters ({ratio:.2f} columns); "
            f"state status.signals in {files.provisional[0].name}"
        )
    metadata.notes.append(f"{total} columns, derived from the sizes of the files; their types and units are assumed")
    return total


def _size_notes(
    data: FlatFile, counters: FlatFile | None, rows: int, promised: int | None, metadata: XdatMetadata
) -> list[str]:
    """Say where sizes, counters and metadata disagree."""
    notes = []
    if promised is not None and rows < promised:
        notes.append(f"{promised - rows} of {promised} samples are lost: the files end after {rows}")
    if promised is not None and rows > promised:
        notes.append(f"the files hold {rows} samples, {rows - promised} more than the metadata say: all are read")
    if metadata.provisional and counters is not None and data.rows() > rows:
        notes.append(f"{data.rows() - rows} samples at the end were not flushed yet: left out")
    if metadata.provisional:
        return notes  # one file ahead of the other, or half a row, is how a set grows
    if data.leftover_bytes():
        notes.append(f"{data.path.name} ends in the middle of a sample: {data.leftover_bytes()} bytes are left out")
    if counters is not None and data.rows() > counters.rows():
        notes.append(f"{data.rows() - counters.rows()} samples have no sample counter and are left out")
    return notes


def _events_maker(recording: XdatRecording, metadata: XdatMetadata) -> Callable[[], Events]:
    def make() -> Events:
        stored = metadata.own.get("events")
        edges = digital_edges(recording)
        if not isinstance(stored, dict):
            return edges
        return Events.merge(edges, events_from_json(stored, metadata.path))

    return make


def _spike_names(metadata: XdatMetadata) -> list[str]:
    names = metadata.own.get("spike_trains")
    return [n for n in names if isinstance(n, str)] if isinstance(names, list) else []


def _spikes_maker(files: XdatSet, name: str) -> Callable[[], Any]:
    return lambda: spike_trains_from_npz(files.spikes, name)
