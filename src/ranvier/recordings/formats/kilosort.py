"""Kilosort-convention binaries: int16 rows of the amplifier channels, 0.195 uV per count, no header.

A sorter wants one ``.bin`` and a folder that describes it; the API names the output ``dir/base.bin``. The layout::

    dir/base.bin              the samples
    dir/base.bin.json         what the samples alone cannot say: scale, first counter, gaps, channels, events,
                              provenance; with it the file opens here as what it was
    dir/base_kilosort/        params.py, channel_map.npy, channel_positions.npy, channel_shanks.npy, chanMap.mat,
                              probe.json: what Kilosort 2 to 4 and phy read; params.py points at ../base.bin

The fixed names (params.py, ...) lie in a folder of their own because two outputs in one folder would overwrite each
other's. Files of others open too, where a ``params.py`` beside them names them; sites as
:mod:`~ranvier.recordings.formats.kilosort_sites` tells.

Kilosort has no notion of time but the row number: samples missing in a gap are written as 0 (as a hole in the file,
where the file system has those), so that row = counter - first counter stays true; reading gives them as missing again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.channel_json import channels_from_json
from ranvier.recordings.events import Events
from ranvier.recordings.flat import FlatFile, FlatRecording
from ranvier.recordings.format import Format
from ranvier.recordings.formats import raw
from ranvier.recordings.formats.kilosort_sink import KilosortSink, description_folder, sidecar_of
from ranvier.recordings.formats.kilosort_sites import files_beside, with_sites
from ranvier.recordings.formats.raw_shape import Shape, load_sidecar, params_py, shape_from, shape_from_params
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.quantiser import loss_notes
from ranvier.recordings.segments import Segments
from ranvier.recordings.session import Session
from ranvier.recordings.sidecar import events_from_json

NAME = "Kilosort binary"


class KilosortRecording(FlatRecording):
    """A file in which missing samples are stored as zeros: a row lies ``counter - start`` rows into it."""

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        shift = self._missing_before(start)
        super()._read_rows(start + shift, stop + shift, columns, out)

    def _read_counts(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.int16]) -> None:
        shift = self._missing_before(start)
        super()._read_counts(start + shift, stop + shift, columns, out)

    def _missing_before(self, row: int) -> int:
        """Return how many zero rows precede a stored row."""
        return self.segments.counter_of(row) - self.segments.start - row


def detect(path: Path) -> Path | None:
    """Return the samples of a file of ours or of one that a ``params.py`` beside it names; else that ``params.py``."""
    if path.is_dir() or path.name == "params.py":
        params = path / "params.py" if path.is_dir() else path
        data = _named_by(params)
        if data is None:
            return params if _data_paths(params) else None
        return data if _is_ours(data) or _params_of(data) == params else params
    if not path.is_file():
        bare = path.with_name(path.name + ".bin")
        return bare if _is_ours(bare) else None
    if _is_ours(path):
        return path
    return path if _params_of(path) is not None else None


def open_kilosort(path: Path) -> Session:
    """Open a file written by :class:`KilosortSink`, or one that a ``params.py`` describes."""
    if _is_ours(path):
        return _open_ours(path)
    params = path if path.name == "params.py" else _params_of(path)
    if params is None:
        raise RecordingError(f"{path}: neither {sidecar_of(path).name} nor a params.py beside it describes it")
    data = path if path != params else _named_by(params)
    if data is None:
        named = _data_paths(params)
        if not named:
            raise RecordingError(f"{params} names no file of samples: give it a dat_path")
        raise RecordingError(f"{params} names {named[0]}, which does not exist: correct its dat_path")
    if _is_ours(data):
        return _open_ours(data)
    shape = shape_from_params(params_py(params), params)
    channels, notes = with_sites(raw.channels_of(shape), params.parent)
    session = raw.session_of(data, shape, channels, notes=notes)
    session.format = NAME
    return session


def files_of(path: Path) -> list[Path]:
    """Return the samples, the sidecar and everything in the folder that describes them."""
    if path.name == "params.py":
        return [p for p in (path, _named_by(path), *files_beside(path.parent)) if p is not None]
    if not _is_ours(path):
        params = _params_of(path)
        return [path] if params is None else [path, params, *files_beside(params.parent)]
    folder = description_folder(path.with_suffix(""))
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    return [p for p in (path, sidecar_of(path), *inside) if p.is_file()]


FORMAT = Format(
    name=NAME,
    file_type=RadiensFileType.KILOSORT2,
    suffixes=(".bin",),
    detect=detect,
    open=open_kilosort,
    files=files_of,
    base_name=lambda path: path.name.removesuffix(".bin"),
    sink=KilosortSink,
)


def _open_ours(path: Path) -> Session:
    sidecar = sidecar_of(path)
    document = load_sidecar(sidecar)
    shape = shape_from(document, sidecar)
    channels = channels_from_json(_mapping(document.get("channels")), sidecar)
    channels = channels.with_channels(replace(c, gain=shape.gain_uv, offset=shape.offset_uv) for c in channels)
    file = FlatFile(path, shape.dtype, shape.num_channels)
    segments, lost = _stored(document, shape, file)
    notes = [f"{lost} samples are lost: the file is shorter than {sidecar.name} says"] if lost else []
    notes += loss_notes(document.get("clipped_samples", 0), document.get("unknown_samples", 0))
    recording = KilosortRecording(
        file,
        fs=shape.fs,
        channels=channels,
        segments=segments,
        walltime=_time(document.get("walltime")),
        simulated=document.get("simulated") is True,
        notes=tuple(notes),
        lost_samples=lost,
    )
    provenance = document.get("provenance")
    return Session(
        path=path,
        file_type=RadiensFileType.KILOSORT2,
        format=NAME,
        streams={"": recording},
        events=LazyDict({"": _events_maker(document, sidecar)}),
        provenance=provenance if isinstance(provenance, dict) else None,
        notes=recording.notes,
        extra={"uid": str(document.get("uid", ""))},
    )


def _stored(document: Mapping[str, Any], shape: Shape, file: FlatFile) -> tuple[Segments, int]:
    """Return the gap table, cut where the file ends, and how many samples that loses."""
    rows = file.rows()
    if not rows:
        raise RecordingError(f"{file.path} holds no samples")
    runs = document.get("runs")
    if not isinstance(runs, list) or not runs:
        return Segments.single(shape.start, rows), 0
    end = shape.start + rows
    cut = [(int(c), min(int(c) + int(n), end) - int(c)) for c, n in runs]
    segments = Segments.from_runs(cut)
    if segments.start != shape.start:
        raise RecordingError(f"{sidecar_of(file.path)}: its runs do not begin at sample {shape.start}")
    return segments, sum(int(n) for _, n in runs) - segments.rows


def _events_maker(document: Mapping[str, Any], sidecar: Path) -> Callable[[], Events]:
    stored = document.get("events")
    return lambda: events_from_json(stored, sidecar) if isinstance(stored, dict) else Events.empty()


def _is_ours(path: Path) -> bool:
    sidecar = sidecar_of(path)
    if not (path.is_file() and sidecar.is_file()):
        return False
    with open(sidecar, "rb") as handle:
        return b'"made_for": "kilosort"' in handle.read(200)


def _params_of(path: Path) -> Path | None:
    """Return the ``params.py`` that names a file: beside it, or in its own folder of descriptions."""
    for params in (path.parent / "params.py", description_folder(path.with_suffix("")) / "params.py"):
        if params.is_file() and any(named.name == path.name for named in _data_paths(params)):
            return params
    return None


def _named_by(params: Path) -> Path | None:
    """Return the file that a ``params.py`` names, where it exists."""
    return next((p.resolve() for p in _data_paths(params) if p.is_file()), None)


def _data_paths(params: Path) -> list[Path]:
    stated = params_py(params).get("dat_path")
    names = stated if isinstance(stated, (list, tuple)) else [stated]
    return [params.parent / n for n in names if isinstance(n, str) and n and "\0" not in n]


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
