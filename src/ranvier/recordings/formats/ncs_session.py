"""Reader of Neuralynx session folders: all ``.ncs`` channels, events (``.nev``), spikes (``.nse``, ``.nst``, ``.ntt``).

Samples and events count from the earliest sample of the folder.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.formats.counters import events_inside
from ranvier.recordings.formats.ncs_events import read_events, read_spikes
from ranvier.recordings.formats.ncs_files import MICROSECONDS_HZ, SPIKE_CHANNELS, NlxFile, files_in
from ranvier.recordings.formats.ncs_signals import NcsRecording, group_files
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.registry import Format
from ranvier.recordings.session import Session

_NAME = "Neuralynx session"
#: Properties that are the same for all channels, or of interest to a user.
_TOLD = ("ApplicationName", "AcquisitionSystem", "TimeCreated", "TimeClosed", "SessionUUID", "CheetahRev")

Ints = npt.NDArray[np.int64]


def detect(path: Path) -> Path | None:
    """Return a folder of Neuralynx files, also for a file of events or spikes in it."""
    if path.is_dir():
        return path if files_in(path) else None
    file = NlxFile.open(path)
    return path.parent if file is not None and file.kind != "ncs" else None


def open_session_folder(path: Path) -> Session:
    """Open a folder; RecordingError where nothing in it can be read."""
    files = files_in(path)
    if not files:
        raise RecordingError(f"{path} holds no Neuralynx files")
    return open_files(path, [f for f in files if f.kind == "ncs"], RadiensFileType.NCS_SESSION, _NAME)


def open_files(path: Path, samples: list[NlxFile], file_type: RadiensFileType, name: str) -> Session:
    """Open some ``.ncs`` files with the events and spikes beside them."""
    folder = path if path.is_dir() else path.parent
    around = files_in(folder)
    firsts = [t for f in around if f.kind == "ncs" and (t := f.first_tick) is not None]
    if not firsts:
        firsts = [t for f in around if (t := f.first_tick) is not None] or [0]
    notes: list[str] = []
    streams = _streams(path, samples, min(firsts), notes)
    told = {k: v for f in samples[:1] for k, v in f.properties.items() if k in _TOLD}
    session = Session(
        path=path,
        file_type=file_type,
        format=name,
        streams=dict(streams),
        clocks={n: s.time.clock for n, s in streams.items()},
        notes=tuple(notes),
        extra={"neuralynx": {"first_microsecond": min(firsts), **told}},
    )
    events = [f for f in around if f.kind == "nev"]
    if events:
        names: list[str] = list(streams) or [""]
        session.events = LazyDict({n: partial(_events, session, events, streams.get(n), min(firsts)) for n in names})
    spikes = [f for f in around if f.kind in SPIKE_CHANNELS]
    session.spike_trains = LazyDict({f.path.stem: partial(_spikes, session, f, streams, min(firsts)) for f in spikes})
    return session


def _streams(path: Path, samples: list[NlxFile], origin: int, notes: list[str]) -> dict[str, NcsRecording]:
    usable: list[NlxFile] = []
    failure: RecordingError | None = None
    for file in samples:
        try:
            if file.fs and (file.records or len(samples) == 1):
                usable.append(file)
            else:
                notes.append(f"{file.path.name} holds no samples")
        except RecordingError as error:
            failure = failure or error
            notes.append(f"left out: {error}")
    if failure is not None and not usable:
        raise failure
    groups = group_files(usable)
    streams: dict[str, NcsRecording] = {}
    for group in groups:
        name = "" if len(groups) == 1 else f"{float(group[0].fs):g} Hz"
        if name in streams:
            name = group[0].name if group[0].name not in streams else group[0].path.stem
        streams[name] = NcsRecording(group, path, name, origin)
    return streams


def _counting(stream: NcsRecording | None, origin: int, fs: Fraction) -> Callable[[Ints], Ints]:
    if stream is not None and len(stream.time.clock.counter):
        return stream.time.counters_of
    ratio = float(fs / MICROSECONDS_HZ)

    def plain(ticks: Ints) -> Ints:
        counters: Ints = np.rint((ticks - origin) * ratio).astype(np.int64)
        return counters

    return plain


def _events(session: Session, files: list[NlxFile], stream: NcsRecording | None, origin: int) -> Events:
    rate = Fraction(MICROSECONDS_HZ) if stream is None else stream.fs
    events = read_events(files, _counting(stream, origin, rate))
    if stream is None:
        return events
    inside, outside = events_inside(events, stream.start, stream.stop)
    if outside:
        session.notes += (f"{outside} events lie outside of the samples of {stream.path.name} and are left out",)
    return inside


def _spikes(session: Session, file: NlxFile, streams: dict[str, NcsRecording], origin: int) -> SpikeTrains:
    fastest = max(streams.values(), key=lambda s: s.fs, default=None)
    fs = file.fs if fastest is None else fastest.fs
    trains, notes = read_spikes(file, _counting(fastest, origin, fs), fs)
    session.notes += tuple(notes)
    return trains


def files_of(path: Path) -> list[Path]:
    """Return the Neuralynx files of the folder."""
    return [f.path for f in files_in(path)]


def base_name(path: Path) -> str:
    """Return the name of the folder."""
    return path.name


FORMAT = Format(
    name=_NAME,
    file_type=RadiensFileType.NCS_SESSION,
    suffixes=(".nev", ".nse", ".nst", ".ntt"),
    detect=detect,
    open=open_session_folder,
    files=files_of,
    base_name=base_name,
)
