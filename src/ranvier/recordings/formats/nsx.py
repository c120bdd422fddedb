"""Reader of Blackrock recordings: ``.ns1`` to ``.ns6`` and the ``.nev`` of the same name.

The path of one NSx file opens its stream, with events and spikes of the ``.nev`` beside it; the ``.nev``, or the name
without a suffix, opens every stream. All streams of a session count on one clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.exceptions import DatasetError, RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.formats import nev as nev_file
from ranvier.recordings.formats.counters import events_inside
from ranvier.recordings.formats.nev import NevFile
from ranvier.recordings.formats.nsx_header import BASE_HZ, MAGICS
from ranvier.recordings.formats.nsx_signals import NsxRecording
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.recording import Recording
from ranvier.recordings.registry import Format
from ranvier.recordings.session import Session

_NAME = "Blackrock NSx"
_SUFFIX = re.compile(r"\.(ns[1-9]|nev)$", re.IGNORECASE)
Ints = Any


def detect(path: Path) -> Path | None:
    """Return the file itself; for a ``.nev`` or a bare name with one NSx file, that file; DatasetError for several."""
    if path.is_dir():
        return None
    if path.is_file():
        kind = _kind(path)
        if kind is None:
            return None
        signals = [p for p in _siblings(path) if _kind(p) == "nsx"]
        return signals[0] if kind == "nev" and len(signals) == 1 else path
    bare = path.with_name(path.name[:-4]) if path.name.lower().endswith(".nsx") else path
    found = _siblings(bare.with_name(bare.name + ".nev"))
    signals = [p for p in found if _kind(p) == "nsx"]
    events = [p for p in found if _kind(p) == "nev"]
    if len(signals) > 1 and not events:
        listing = "\n".join(f"  {p}" for p in signals)
        raise DatasetError(f"{path} holds {len(signals)} streams; name one of:\n{listing}")
    return next(iter(signals if len(signals) == 1 else events), None)


def open_nsx(path: Path) -> Session:
    """Open one NSx file, or all that belong to a ``.nev``.

    Raises
    ------
    RecordingError
        Where a header is damaged. A damaged ``.nev`` beside a file is noted instead.
    """
    notes: list[str] = []
    siblings = _siblings(path)
    nev = _open_nev(next((p for p in siblings if _kind(p) == "nev"), None), path, notes)
    files = [path] if _kind(path) == "nsx" else [p for p in siblings if _kind(p) == "nsx"]
    others = [p.name for p in siblings if _kind(p) == "nsx" and p not in files]
    if others:
        notes.append(f"further streams of this recording: {', '.join(others)}")
    gains = nev.gains_uv if nev is not None else {}
    streams: dict[str, NsxRecording] = {}
    for file in files:
        name = file.suffix[1:].lower()
        try:
            streams[name] = NsxRecording(file, name, gains)
        except RecordingError as error:
            if len(files) == 1:
                raise
            notes.append(f"left out: {error}")
    origin = _common_origin(streams, siblings, gains)
    session = Session(
        path=path,
        file_type=RadiensFileType.NSX,
        format=_NAME,
        streams=dict(streams),
        clocks={name: s.time.clock for name, s in streams.items() if s.time is not None},
        notes=tuple(notes),
        extra={"nsx": {name: _extra(s) for name, s in streams.items()}},
    )
    if nev is not None:
        _add_events(session, nev, streams, origin)
    return session


def _open_nev(path: Path | None, asked: Path, notes: list[str]) -> NevFile | None:
    if path is None:
        return None
    try:
        nev = NevFile.open(path)
    except RecordingError as error:
        if path == asked:
            raise
        notes.append(f"events and spikes cannot be read: {error}")
        return None
    notes.extend(nev.notes)
    return nev


def _common_origin(streams: dict[str, NsxRecording], siblings: list[Path], gains: dict[int, float]) -> int | None:
    """Let PTP files count from the earliest sample of all files of the session, whichever of them are open."""
    if not any(s.header.is_ptp for s in streams.values()):
        return None
    first = [s.first_tick for s in streams.values() if s.header.is_ptp and s.first_tick is not None]
    for path in siblings:
        if _kind(path) == "nsx" and path not in [s.path for s in streams.values()]:
            try:
                other = NsxRecording(path, "", gains)
            except (RecordingError, OSError):
                continue
            first += [other.first_tick] if other.header.is_ptp and other.first_tick is not None else []
    if not first:
        return None
    for stream in streams.values():
        if stream.header.is_ptp:
            stream.place(min(first))
    return min(first)


def _add_events(session: Session, nev: NevFile, streams: dict[str, NsxRecording], origin: int | None) -> None:
    names: list[str] = list(streams) or [""]
    session.events = LazyDict({n: partial(_events, session, nev, streams.get(n), origin) for n in names})
    session.spike_trains = LazyDict({"nev": partial(_spikes, session, nev, streams, origin)})


def _events(session: Session, nev: NevFile, stream: NsxRecording | None, origin: int | None) -> Events:
    rate = Fraction(BASE_HZ) if stream is None else stream.fs
    events = nev_file.read_events(nev, _counting(nev, stream, rate, origin))
    if stream is None:
        return events
    inside, outside = events_inside(events, stream.start, stream.stop)
    if outside:
        session.notes += (f"{nev.path.name}: {outside} events lie outside of {stream.name} and are left out",)
    return inside


def _spikes(session: Session, nev: NevFile, streams: dict[str, NsxRecording], origin: int | None) -> SpikeTrains:
    """Spikes count at 30 kHz, on the time line of the stream that has that rate where there is one."""
    same = next((s for s in streams.values() if s.fs == BASE_HZ), None)
    fastest: Recording | None = max(streams.values(), key=lambda s: s.fs, default=None)
    sites = {} if fastest is None else {c.ntv_name: c.ntv for c in fastest.channels if c.type == SignalType.AMP}

    def site_of(electrode: int) -> int:
        return sites.get(f"elec{electrode}", -1 if fastest is not None else electrode - 1)

    counting = _counting(nev, same, Fraction(BASE_HZ), origin)
    trains, notes = nev_file.read_spikes(nev, counting, site_of, Fraction(BASE_HZ))
    session.notes += tuple(notes)
    return trains


def _counting(nev: NevFile, stream: NsxRecording | None, fs: Fraction, origin: int | None) -> Callable[[Ints], Ints]:
    """Return what turns time stamps of the events into sample counters of a stream."""
    time = stream.time if stream is not None else None
    if time is not None and time.tick_hz == nev.tick_hz:
        return time.counters_of
    ratio = fs / nev.tick_hz
    first = origin if origin is not None else 0

    def plain(ticks: Ints) -> Ints:
        # Nanoseconds since 1970 without a stream of that clock: counted from the first event.
        zero = int(ticks.min()) if origin is None and len(ticks) and ticks.min() > 2**56 else first
        return np.rint((ticks - zero) * (ratio.numerator / ratio.denominator)).astype(np.int64)

    return plain


def _extra(stream: NsxRecording) -> dict[str, Any]:
    header = stream.header
    return {
        "version": header.version,
        "label": header.label,
        "comment": header.comment,
        "ptp": header.is_ptp,
        "electrodes": [c.electrode for c in header.channels],
        "first_tick": stream.first_tick,
        "ticks_per_second": header.tick_hz,
    }


def files_of(path: Path) -> list[Path]:
    """Return the files that belong to the recording, the named one first."""
    return [path, *(p for p in _siblings(path) if p != path)]


def base_name(path: Path) -> str:
    """Return the name without its suffix."""
    return _SUFFIX.sub("", path.name)


def _siblings(path: Path) -> list[Path]:
    """Return the NSx and NEV files of one recording; the path itself is among them whatever its suffix."""
    base = base_name(path)
    try:
        found = [p for p in sorted(path.parent.iterdir()) if _SUFFIX.search(p.name) and base_name(p) == base]
    except OSError:
        found = []
    found = [p for p in found if _kind(p) is not None]
    return found if path in found or not path.is_file() else [path, *found]


def _kind(path: Path) -> str | None:
    try:
        if not path.is_file():
            return None
        with open(path, "rb") as handle:
            magic = handle.read(8)
    except OSError:
        return None
    return "nsx" if magic in MAGICS else "nev" if magic in nev_file.MAGICS else None


FORMAT = Format(
    name=_NAME,
    file_type=RadiensFileType.NSX,
    suffixes=(".nsx", ".ns6", ".ns5", ".ns4", ".ns3", ".ns2", ".ns1", ".nev"),
    detect=detect,
    open=open_nsx,
    files=files_of,
    base_name=base_name,
)
