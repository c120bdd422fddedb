"""``.session.json``: several recordings one after the other, by reference; no sample is copied.

The file is JSON: ``format`` ("ranvier-session"), ``version``, ``match``, ``channels`` (as sidecars store them),
``provenance``, and ``pieces``: path (absolute, and relative to the file), stream, file type, the counters in the source
and in the whole, the columns taken, and a mark of the source's files (:mod:`ranvier.recordings.fingerprint`). A source
that is gone or changed is refused by name: bookkeeping that no longer holds is worse than none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import OutputExistsError, RecordingError
from ranvier.models.file_types import RadiensFileType
from ranvier.recordings.channel_json import channels_from_json, channels_to_json
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.files import StagedFiles
from ranvier.recordings.fingerprint import changes, fingerprint
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.pieces import PieceTable
from ranvier.recordings.registry import Format, detect, detect_as, open_session
from ranvier.recordings.session import Session
from ranvier.recordings.sidecar import json_bytes
from ranvier.recordings.views import JoinedRecording

SUFFIX = ".session.json"
_MARK, _VERSION = "ranvier-session", 1


def write_joined(
    destination: Path,
    table: PieceTable,
    columns: Sequence[npt.NDArray[np.int64]],
    channels: ChannelTable,
    *,
    file_types: Sequence[RadiensFileType],
    provenance: Mapping[str, Any],
    force: bool = False,
) -> Path:
    """Write the file for ``dir/base``; return its path."""
    path = destination.with_name(destination.name + SUFFIX)
    if path.exists() and not force:
        raise OutputExistsError(f"{path} exists already; choose another name or pass force=True")
    pieces = []
    for piece, data, taken, kind in zip(table.pieces, table.to_json(), columns, file_types, strict=True):
        known, canonical = detect_as(Path(piece.path), kind)
        pieces.append(
            {
                **data,
                "relative": _relative(canonical, path.parent),
                "file_type": kind.name,
                "columns": taken.tolist(),
                "fingerprint": fingerprint(known.files(canonical)),
            }
        )
    document = {
        "format": _MARK,
        "version": _VERSION,
        "pieces": pieces,
        "channels": channels_to_json(channels),
        "provenance": dict(provenance),
    }
    staged = StagedFiles()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        staged.write_bytes(path, json_bytes(document))
        staged.commit([path])
    finally:
        staged.abort()
    return path


def join_session(
    sessions: Sequence[Session],
    streams: Sequence[str],
    table: PieceTable,
    columns: Sequence[npt.NDArray[np.int64]],
    channels: ChannelTable,
    *,
    path: Path,
    provenance: dict[str, Any] | None,
) -> Session:
    """Return open sessions one after the other as one; the spikes of each piece keep a name of their own."""
    recordings = [s.stream(name or None) for s, name in zip(sessions, streams, strict=True)]
    whole = JoinedRecording(recordings, table, columns, channels, path=path)

    def events() -> Events:
        parts = [s.events.get(s.stream_name(r), Events.empty()) for s, r in zip(sessions, recordings, strict=True)]
        return table.join_events(parts)

    makers = {
        f"{name} (piece {k})": partial(_trains, session, name, table, k)
        for k, session in enumerate(sessions)
        for name in session.spike_trains
    }
    return Session(
        path=path,
        file_type=RadiensFileType.SESSION,
        format="Ranvier session",
        streams={"": whole},
        events=LazyDict({"": events}),
        spike_trains=LazyDict(makers),
        provenance=provenance,
    )


def _trains(session: Session, name: str, table: PieceTable, k: int) -> SpikeTrains:
    piece = table.pieces[k]
    t = session.spike_trains[name].between(piece.start, piece.stop)
    return SpikeTrains(table.to_output(k, t.counter), t.unit, t.site, t.waveforms, t.unit_names)


def _detect(path: Path) -> Path | None:
    for candidate in (path, path.with_name(path.name + SUFFIX) if path.name else path):
        if candidate.name.endswith(SUFFIX) and candidate.is_file():
            try:
                with open(candidate, "rb") as handle:
                    head = handle.read(200)
            except OSError:
                return None
            return candidate if _MARK.encode() in head else None
    return None


def _open(path: Path) -> Session:
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise RecordingError(f"{path}: is no JSON ({error}); concatenate again") from error
    if document.get("version") != _VERSION:
        raise RecordingError(
            f"{path}: version {document.get('version')!r} of this format; this version reads {_VERSION}"
        )
    pieces = document["pieces"]
    table = PieceTable.from_json(pieces)
    channels = channels_from_json(document["channels"], path)
    sessions: list[Session] = []
    try:
        for k, piece in enumerate(pieces):
            sessions.append(_open_source(path, k, piece))
        columns = [
            _columns(path, k, p, len(channels), s) for k, (p, s) in enumerate(zip(pieces, sessions, strict=True))
        ]
        streams = [p.stream for p in table.pieces]
        return join_session(
            sessions, streams, table, columns, channels, path=path, provenance=document.get("provenance")
        )
    except BaseException:
        for session in sessions:
            session.close()
        raise


def _open_source(path: Path, k: int, piece: Mapping[str, Any]) -> Session:
    relative = piece.get("relative")
    candidates = ([path.parent / relative] if relative else []) + [Path(piece["path"])]
    target = next((c for c in candidates if c.exists()), None)
    if target is None:
        raise RecordingError(f"{path}: piece {k} is gone: {piece['path']} (and {relative} beside this file)")
    if target.resolve() == path.resolve():
        raise RecordingError(f"{path}: piece {k} is the file itself")
    known, canonical = detect(target)
    if known.file_type == RadiensFileType.SESSION:
        raise RecordingError(f"{path}: piece {k} is a session itself; concatenate the recordings")
    changed = changes(piece["fingerprint"], known.files(canonical))
    if changed:
        raise RecordingError(f"{path}: piece {k} ({canonical}) changed: {'; '.join(changed)}; concatenate again")
    session = open_session(canonical, known.file_type)
    recording = session.stream(piece.get("stream") or None)
    start, stop = piece["source"]
    if not recording.start <= start < stop <= recording.stop:
        session.close()
        raise RecordingError(
            f"{path}: piece {k} ({canonical}) holds samples [{recording.start}, {recording.stop}), "
            f"not [{start}, {stop})"
        )
    return session


def _columns(path: Path, k: int, piece: Mapping[str, Any], n: int, session: Session) -> npt.NDArray[np.int64]:
    columns = np.array(piece["columns"], dtype=np.int64)
    width = len(session.stream(piece.get("stream") or None).channels)
    if columns.shape != (n,) or (n and not 0 <= columns.min() <= columns.max() < width):
        raise RecordingError(f"{path}: piece {k}: its columns do not fit {n} channels of a source with {width}")
    return columns


def _relative(target: Path, folder: Path) -> str | None:
    try:
        return Path(os.path.relpath(target, folder)).as_posix()
    except ValueError:  # another drive
        return None


def _base_name(path: Path) -> str:
    return path.name.removesuffix(SUFFIX)


FORMAT = Format(
    name="Ranvier session",
    file_type=RadiensFileType.SESSION,
    suffixes=(SUFFIX,),
    detect=_detect,
    open=_open,
    files=lambda path: [path],
    base_name=_base_name,
)
