"""Intan recordings that keep the header in ``info.rhd`` (``info.rhs``) and the samples in ``.dat`` files beside it.

One file per signal type: ``amplifier.dat`` int16, ``auxiliary.dat``, ``analogin.dat``, ``analogout.dat``,
``dcamplifier.dat``, ``stim.dat`` uint16, all interleaved; ``digitalin.dat`` and ``digitalout.dat`` one word of sixteen
lines. One file per channel: ``amp-A-000.dat``, ``aux-A-AUX1.dat``, ``board-<name>.dat``, ``dc-A-000.dat``,
``stim-A-000.dat``; digital lines hold 0 and 1. Either way ``time.dat`` holds an int32 counter per sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.exceptions import RecordingError
from ranvier.recordings.flat import FlatFile
from ranvier.recordings.formats.counters import exact_rate
from ranvier.recordings.formats.rhd_channels import (
    AUX_HOLD,
    DC,
    STIM,
    Column,
    channel_table,
    columns_of,
    entries_of,
    stimulation_columns,
)
from ranvier.recordings.formats.rhd_header import ADC, AMP, AUX, DAC, DIN, DOUT, RhdHeader
from ranvier.recordings.formats.rhd_recording import header_of, stored_counters
from ranvier.recordings.formats.word_files import Field, Part, WordRecording, WordSource, line_field, unsigned_field
from ranvier.recordings.segments import Segments

_TIME = "time.dat"
#: The file of each kind, and the prefix of the files of its channels.
_FILES: dict[int, str] = {
    AMP: "amplifier.dat",
    AUX: "auxiliary.dat",
    ADC: "analogin.dat",
    DAC: "analogout.dat",
    DC: "dcamplifier.dat",
    STIM: "stim.dat",
    DIN: "digitalin.dat",
    DOUT: "digitalout.dat",
}
_PREFIXES: dict[int, str] = {AMP: "amp", AUX: "aux", DC: "dc", STIM: "stim"}
HEADERS: tuple[str, ...] = ("info.rhd", "info.rhs")


def split_folder(path: Path) -> Path | None:
    """Return the folder of a recording in one of these layouts that a path means: it, its header, one of its files."""
    folder = path if path.is_dir() else path.parent if path.name in HEADERS or path.suffix == ".dat" else None
    if folder is None or header_in(folder) is None:
        return None
    names = (_TIME, *_FILES.values())
    if any((folder / name).is_file() for name in names):
        return folder
    return folder if any(next(folder.glob(f"{p}-*.dat"), None) for p in (*_PREFIXES.values(), "board")) else None


def header_in(folder: Path) -> Path | None:
    """Return the header of such a recording."""
    return next((folder / name for name in HEADERS if (folder / name).is_file()), None)


def files_in(folder: Path) -> list[Path]:
    """Return every file of the recording: header, samples, and the settings that the program keeps beside them."""
    known = [folder / name for name in (*HEADERS, "settings.xml")]
    return [p for p in known if p.is_file()] + sorted(p for p in folder.glob("*.dat") if p.is_file())


@dataclass
class _Parts:
    """Files found, and where the columns are in them."""

    parts: list[WordSource] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    fields: list[Field] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class SplitRecording(WordRecording):
    """A recording in one of the layouts; ``refresh`` follows it while it is recorded."""

    def __init__(self, folder: Path, columns: list[Column] | None = None) -> None:
        header_path = header_in(folder)
        if header_path is None:
            raise RecordingError(f"{folder}: {' or '.join(HEADERS)} is missing; without it the .dat files tell nothing")
        self.header = header_of(header_path)
        self.folder = folder
        wanted = columns_of(self.header) if columns is None else columns
        times = FlatFile(folder / _TIME, np.dtype("<i4"), 1)
        rows = times.rows() if times.path.is_file() else None
        found = _find(folder, self.header, wanted, rows)
        if not found.columns and columns is None:
            raise RecordingError(f"{folder}: {header_path.name} describes channels, but none of their files is there")
        self._missing = found.missing
        segments, notes, lost = _gap_table(self.header, times, found)
        super().__init__(
            found.parts,
            found.fields,
            fs=exact_rate(self.header.fs_hz, single=True, where=str(header_path)),
            channels=channel_table(self.header, found.columns),
            segments=segments,
            path=folder,
            notes=tuple(notes),
            lost_samples=lost,
        )

    def refresh(self) -> int:
        """Look again how far the files reach."""
        times = FlatFile(self.folder / _TIME, np.dtype("<i4"), 1)
        self.segments, _, self.lost_samples = _gap_table(self.header, times, _Parts(list(self.parts)))
        return self.stop


def stimulation(folder: Path, header: RhdHeader) -> SplitRecording | None:
    """Return the stimulation words of an RHS recording; None where it keeps none."""
    columns = [c for c in stimulation_columns(header) if _channel_file(folder, c).is_file()]
    if (folder / _FILES[STIM]).is_file():
        columns = stimulation_columns(header)
    return SplitRecording(folder, columns) if columns else None


def _find(folder: Path, header: RhdHeader, wanted: list[Column], rows: int | None) -> _Parts:
    found = _Parts()
    for kind in dict.fromkeys(column.kind for column in wanted):
        columns = [c for c in wanted if c.kind == kind]
        whole = folder / _FILES[kind]
        if rows is None and found.parts:
            rows = found.parts[0].rows()
        if whole.is_file():
            _add_whole(found, whole, kind, columns, len(entries_of(header, kind)), rows)
            continue
        there = [c for c in columns if _channel_file(folder, c).is_file()]
        found.missing += [c.entry.native_name for c in columns if c not in there]
        if there:
            _add_files(found, [_channel_file(folder, c) for c in there], there, rows)
    return found


def _add_whole(found: _Parts, path: Path, kind: int, columns: list[Column], channels: int, rows: int | None) -> None:
    lines = kind in (DIN, DOUT)
    number, width = len(found.parts), 1 if lines else channels
    found.parts.append(Part.interleaved(path, width, _hold(path, width, kind, rows)))
    for column in columns:
        found.columns.append(column)
        if lines:
            found.fields.append(line_field(number, 0, column.entry.native_order))
        else:
            found.fields.append(_analog(number, column.index, kind))


def _add_files(found: _Parts, paths: list[Path], columns: list[Column], rows: int | None) -> None:
    number, kind = len(found.parts), columns[0].kind
    found.parts.append(Part.planar(paths, _hold(paths[0], 1, kind, rows)))
    for i, column in enumerate(columns):
        found.columns.append(column)
        found.fields.append(line_field(number, i, 0) if kind in (DIN, DOUT) else _analog(number, i, kind))


def _analog(part: int, column: int, kind: int) -> Field:
    return Field(part, column) if kind == AMP else unsigned_field(part, column)


def _hold(path: Path, width: int, kind: int, rows: int | None) -> int:
    """Return how auxiliary inputs are stored: programs differ in whether they repeat each value four times."""
    if kind != AUX or rows is None:
        return 0
    stored = FlatFile(path, np.dtype("<u2"), width).rows()
    return AUX_HOLD if abs((stored << AUX_HOLD) - rows) < abs(stored - rows) else 0


def _channel_file(folder: Path, column: Column) -> Path:
    return folder / f"{_PREFIXES.get(column.kind, 'board')}-{column.entry.native_name}.dat"


def _gap_table(header: RhdHeader, times: FlatFile, found: _Parts) -> tuple[Segments, list[str], int]:
    """Return the gap table, notes and lost samples: everything is cut to the shortest file."""
    lengths = {part.files[0].path.name: part.rows() for part in found.parts}
    notes: list[str] = []
    if found.missing:
        more = ", ..." if len(found.missing) > 8 else ""
        notes.append(f"no file holds the samples of {', '.join(found.missing[:8])}{more}; left out")
    if times.path.is_file():
        lengths[_TIME] = times.rows()
    else:
        notes.append(f"{_TIME} is missing; samples are counted from 0")
    rows, longest = min(lengths.values(), default=0), max(lengths.values(), default=0)
    # A held value serves up to four samples: that last round is no loss.
    lost = longest - rows if longest - rows > 3 or not any(part.hold for part in found.parts) else 0
    if lost:
        short = min(lengths, key=lambda name: lengths[name])
        notes.append(f"{lost} samples at the end are lost: {short} holds {rows} of {longest}")
    if _TIME not in lengths:
        return Segments.single(0, rows), notes, lost
    segments, more_notes = stored_counters(header, times.path, lambda at: 4 * at, rows)
    return segments, notes + more_notes, lost


def extra_of(recording: SplitRecording) -> dict[str, Any]:
    """Return what a session tells of the layout."""
    planar = any(len(part.files) > 1 for part in recording.parts)
    return {"layout": "one file per channel" if planar else "one file per signal type"}
