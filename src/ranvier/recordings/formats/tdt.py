"""Reader of TDT blocks: the folder, or any file in it.

``.tsq`` is the index, ``.tev`` holds the data; in newer blocks each channel of a store has a ``.sev`` of its own.
The files do not say what their values are: microvolts are assumed (and said so), unless ``ranvier_units.json`` in the
folder of the block names the unit of a store: ``{"Wav1": "V"}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from ranvier.exceptions import ConfigurationError, RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.formats.counters import events_inside
from ranvier.recordings.formats.tdt_index import EPOC_OFF, EPOC_ON, MARK, SevFile, TsqIndex, read_index, store_name
from ranvier.recordings.formats.tdt_signals import (
    NANOSECONDS_HZ,
    UNITS_UV,
    TdtRecording,
    read_snips,
    stream_from_index,
    stream_from_sevs,
    ticks_of,
)
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.registry import Format
from ranvier.recordings.session import Session

_NAME = "TDT"
UNITS_FILE = "ranvier_units.json"
_SUFFIXES = (".tsq", ".tev", ".tbk", ".tdx", ".tin", ".tnt", ".sev")


def detect(path: Path) -> Path | None:
    """Return the folder of the block that a path is, or that a file of it lies in."""
    folder = path if path.is_dir() else path.parent if path.suffix.lower() in _SUFFIXES and path.exists() else None
    if folder is None:
        return None
    return folder if _indices(folder) or _sev_paths(folder) else None


def open_tdt(path: Path) -> Session:
    """Open a block.

    Raises
    ------
    RecordingError
        Where nothing of it can be read. Stores that are damaged among others are left out and noted.
    ConfigurationError
        Where ``ranvier_units.json`` names units that there are not.
    """
    indices = _indices(path)
    if len(indices) > 1:
        raise RecordingError(
            f"{path} holds {len(indices)} blocks ({', '.join(p.name for p in indices)}); keep one a folder"
        )
    given = _units(path)
    notes: list[str] = []
    sevs = _sevs(path, notes)
    index = read_index(indices[0]) if indices else None
    tev = _sibling(indices[0], ".tev") if indices else None
    streams: dict[str, TdtRecording] = {}
    failure: RecordingError | None = None
    stores = {*sevs, *(index.streams if index is not None else ())}
    for store in sorted(stores):
        try:
            if index is not None and store in index.streams:
                streams[store] = stream_from_index(index, store, tev, sevs.get(store, []), path, given)
            else:
                streams[store] = stream_from_sevs(sevs[store], path, given)
        except RecordingError as error:
            failure = failure or error
            notes.append(f"left out: {error}")
    if failure is not None and not streams:
        raise failure
    notes += _assumed(streams)
    return _session(path, index, tev, streams, given, notes)


def _session(
    path: Path,
    index: TsqIndex | None,
    tev: Path | None,
    streams: dict[str, TdtRecording],
    given: Mapping[str, str],
    notes: list[str],
) -> Session:
    session = Session(
        path=path,
        file_type=RadiensFileType.TDT,
        format=_NAME,
        streams=dict(streams),
        clocks={name: s.clock for name, s in streams.items() if s.clock is not None},
        notes=(*notes, *(index.notes if index is not None else ())),
        extra={"tdt": {"block": path.name, "start_unix_sec": None if index is None else index.start}},
    )
    if index is not None:
        session.events = LazyDict({n: partial(_events, session, index, s) for n, s in streams.items()})
        if not streams and len(index.events):
            session.events = LazyDict({"": partial(_events, session, index, None)})
        session.spike_trains = LazyDict({n: partial(_snips, session, index, n, tev, given) for n in index.snips})
    return session


def _events(session: Session, index: TsqIndex, stream: TdtRecording | None) -> Events:
    """Return epocs (onset: state 1, offset: 0, one line per store) and scalars, with their values as text."""
    records = index.events
    ticks = ticks_of(records["time"], index.start)
    order = np.argsort(ticks, kind="stable")
    records, ticks = records[order], ticks[order]
    kinds = records["type"] & 0xFF0F
    names = [store_name(n) for n in records["name"].tolist()]
    is_epoc = np.isin(kinds, (EPOC_ON, EPOC_OFF))
    # Onset and offset of one store differ in the last character of their names, a slash, which reads as "_".
    lines = {name: i for i, name in enumerate(dict.fromkeys(n for n, e in zip(names, is_epoc, strict=True) if e))}
    numbers = records["channel"].tolist()
    values = records["offset"].copy().view("<f8")
    if stream is not None and stream.time is not None:
        counters = stream.time.counters_of(ticks)
    else:
        rate = float(stream.fs) if stream is not None else float(NANOSECONDS_HZ)
        counters = np.rint(ticks * (rate / NANOSECONDS_HZ)).astype(np.int64)
    events = Events(
        np.maximum.accumulate(counters) if len(counters) else counters,
        np.array([lines[n] if e else -1 for n, e in zip(names, is_epoc, strict=True)], dtype=np.int32),
        np.where(kinds == EPOC_ON, 1, np.where(kinds == EPOC_OFF, 0, -1)).astype(np.int8),
        tuple(f"epoc {n}" if e else f"scalar {n} {c}" for n, e, c in zip(names, is_epoc, numbers, strict=True)),
        tuple(f"{v:.9g}" for v in values.tolist()),
    )
    if stream is None:
        return events
    inside, outside = events_inside(events, stream.start, stream.stop)
    if outside:
        session.notes += (f"{outside} events lie outside of {stream.name} and are left out",)
    return inside


def _snips(session: Session, index: TsqIndex, store: str, tev: Path | None, given: Mapping[str, str]) -> SpikeTrains:
    trains, notes = read_snips(index, store, tev, given)
    session.notes += tuple(notes)
    return trains  # type: ignore[no-any-return]


def _assumed(streams: Mapping[str, TdtRecording]) -> list[str]:
    assumed = [n for n, s in streams.items() if any(c.unit_source == "assumed" for c in s.channels)]
    if not assumed:
        return []
    return [
        f"TDT files do not say what their values are: microvolts are assumed for {', '.join(assumed)}; to set another "
        f'unit write {{"{assumed[0]}": "V"}} into {UNITS_FILE} in the folder of the block'
    ]


def _units(folder: Path) -> dict[str, str]:
    path = folder / UNITS_FILE
    if not path.is_file():
        return {}
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        good = isinstance(given, dict) and all(v in UNITS_UV for v in given.values())
    except (ValueError, TypeError, OSError, RecursionError):
        good = False
    if not good:
        raise ConfigurationError(f'{path} must map store names to one of {", ".join(UNITS_UV)}: {{"Wav1": "V"}}')
    return {str(k): str(v) for k, v in given.items()}


def _indices(folder: Path) -> list[Path]:
    return [p for p in _listing(folder) if p.suffix.lower() == ".tsq" and _is_index(p)]


def _is_index(path: Path) -> bool:
    """Return whether a file starts as an index does: a mark of the block's start among its first records."""
    try:
        with open(path, "rb") as handle:
            head = handle.read(80)
    except OSError:
        return False
    kinds = [int.from_bytes(head[at + 4 : at + 8], "little") for at in (0, 40)]
    return len(head) == 80 and (MARK in kinds or head[48:49] == b"\x01" or kinds[0] in (0, 0x8801))


def _sev_paths(folder: Path) -> list[Path]:
    return [p for p in _listing(folder) if p.suffix.lower() == ".sev" and _is_sev(p)]


def _is_sev(path: Path) -> bool:
    try:
        with open(path, "rb") as handle:
            return handle.read(11)[8:] == b"SEV"
    except OSError:
        return False


def _sevs(folder: Path, notes: list[str]) -> dict[str, list[SevFile]]:
    found: dict[str, list[SevFile]] = {}
    for path in _sev_paths(folder):
        try:
            sev = SevFile.open(path)
        except RecordingError as error:
            notes.append(f"left out: {error}")
            continue
        found.setdefault(sev.store, []).append(sev)
    return found


def _sibling(index: Path, suffix: str) -> Path | None:
    return next((p for p in _listing(index.parent) if p.stem == index.stem and p.suffix.lower() == suffix), None)


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.is_file())
    except OSError:
        return []


def files_of(path: Path) -> list[Path]:
    """Return the files of the block."""
    return [p for p in _listing(path) if p.suffix.lower() in _SUFFIXES or p.name == UNITS_FILE]


def base_name(path: Path) -> str:
    """Return the name of the folder."""
    return path.name


FORMAT = Format(
    name=_NAME,
    file_type=RadiensFileType.TDT,
    suffixes=(".tsq", ".sev", ".tdt"),
    detect=detect,
    open=open_tdt,
    files=files_of,
    base_name=base_name,
)
