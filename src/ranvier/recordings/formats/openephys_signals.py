"""The continuous streams of an Open Ephys recording: samples, channels, counters, clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import NATIVE_UNIT, TYPE_ORDER, Channel, ChannelTable
from ranvier.recordings.flat import FlatFile, FlatRecording
from ranvier.recordings.formats.counters import counters_of_rows, find_runs, read_cells
from ranvier.recordings.formats.openephys_layout import OEBIN, RecordingFolder
from ranvier.recordings.formats.openephys_npy import NpyFile
from ranvier.recordings.formats.openephys_probe import with_probe
from ranvier.recordings.segments import Segments
from ranvier.recordings.session import Clock

#: Most points that a clock keeps.
_CLOCK_POINTS = 10_000
_TO_UV = {"uv": 1.0, "µv": 1.0, "μv": 1.0, "mv": 1e3, "v": 1e6}
_AUXILIARY_NAME = re.compile(r"(ADC|AUX)\d*", re.IGNORECASE)


class OpenEphysRecording(FlatRecording):
    """One ``continuous.dat``; columns are sorted by type where the file mixes types."""

    def __init__(self, file: FlatFile, file_columns: npt.NDArray[np.int64], **described: Any) -> None:
        super().__init__(file, **described)
        self._file_columns = file_columns
        by_file = np.argsort(file_columns)
        self._gains, self._offsets = self._gains[by_file], self._offsets[by_file]

    def refresh(self) -> int:
        """Look again how far a recording in progress reaches."""
        self.segments, self.lost_samples, _ = _gap_table(self.file, self.file.path.parent)
        return self.stop

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        super()._read_rows(start, stop, self._file_columns[columns], out)

    def _read_counts(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.int16]) -> None:
        super()._read_counts(start, stop, self._file_columns[columns], out)


@dataclass(frozen=True)
class StreamFolder:
    """One opened stream, and how events and spikes find it."""

    recording: OpenEphysRecording
    folder: str
    stream_name: str
    processor: str
    clock: Clock | None


def open_stream(folder: RecordingFolder, entry: dict[str, Any]) -> StreamFolder:
    """Open one entry of ``continuous``; RecordingError where it cannot be read."""
    where = folder.folder("continuous", entry)
    fs = folder.rate(entry)
    table, file_columns = _channels(folder, entry)
    file = FlatFile(where / "continuous.dat", np.dtype("<i2"), len(table))
    if not file.path.is_file():
        raise RecordingError(f"{file.path} is missing; {OEBIN} describes it")
    table, probe_notes = with_probe(folder, where.name, fs, table)
    segments, lost, notes = _gap_table(file, where)
    clock, clock_notes = _clock(where, segments, fs, where.name)
    recording = OpenEphysRecording(
        file,
        file_columns,
        fs=fs,
        channels=table,
        segments=segments,
        path=folder.path,
        walltime=folder.walltime(),
        notes=tuple(notes + clock_notes + probe_notes),
        lost_samples=lost,
    )
    return StreamFolder(
        recording,
        where.name,
        str(entry.get("stream_name", "")),
        str(entry.get("source_processor_name", entry.get("source_processor", ""))),
        clock,
    )


def _channels(folder: RecordingFolder, entry: dict[str, Any]) -> tuple[ChannelTable, npt.NDArray[np.int64]]:
    """Return the channels sorted by type, and the file's column of each."""
    described = entry.get("channels")
    where = folder.path / OEBIN
    if not isinstance(described, list) or not described or not all(isinstance(c, dict) for c in described):
        raise RecordingError(f"{where}: the channels of {entry.get('folder_name')!r} are not described")
    if entry.get("num_channels", len(described)) != len(described):
        raise RecordingError(
            f"{where}: {entry.get('num_channels')!r} channels are announced, but {len(described)} described"
        )
    kinds = [_kind(c) for c in described]
    order = sorted(range(len(described)), key=lambda i: (TYPE_ORDER.index(kinds[i][0]), i))
    seen = dict.fromkeys(SignalType, 0)
    channels: list[Channel] = []
    for i in order:
        kind, scale, source = kinds[i]
        gain = folder.number(described[i], "bit_volts", 1.0) * scale
        if gain == 0:
            raise RecordingError(f"{where}: bit_volts of channel {i} is 0; its values cannot be told")
        name = str(described[i].get("channel_name") or f"CH{i + 1}")
        channels.append(
            Channel(
                type=kind,
                ntv=seen[kind],
                sys=len(channels),
                name=name,
                ntv_name=name,
                unit=NATIVE_UNIT[kind],
                unit_source=source,
                gain=gain,
            )
        )
        seen[kind] += 1
    return ChannelTable(tuple(channels)), np.array(order, dtype=np.int64)


def _kind(described: dict[str, Any]) -> tuple[SignalType, float, str]:
    """Return the type of a channel, the factor from its unit to ours, and where the unit comes from.

    Open Ephys gives headstage channels in uV, ADC in V and AUX in mV or V; releases differ in whether they say so.
    Where the unit is missing, the name decides and the unit counts as assumed.
    """
    unit = str(described.get("units", "")).strip().lower()
    auxiliary = bool(_AUXILIARY_NAME.fullmatch(str(described.get("channel_name", ""))))
    if unit in ("v", "volts") or (unit == "mv" and auxiliary):
        return SignalType.AIN, 1.0 if unit != "mv" else 1e-3, "file"
    if unit in _TO_UV:
        return (SignalType.AIN, _TO_UV[unit] * 1e-6, "file") if auxiliary else (SignalType.AMP, _TO_UV[unit], "file")
    return (SignalType.AIN if auxiliary else SignalType.AMP), 1.0, "assumed"


def _gap_table(file: FlatFile, where: Path) -> tuple[Segments, int, list[str]]:
    """Return the gap table, the samples lost and notes: everything cut to the shortest of data and numbers."""
    rows, left_over = file.rows(), file.leftover_bytes()
    notes: list[str] = []
    numbers = _sample_numbers(where, notes)
    if numbers is None or not numbers.rows:
        if rows:
            notes.append(f"{where.name}: no sample numbers; samples are counted from 0")
        kept, promised = rows, rows + bool(left_over)
        segments = Segments.single(0, rows)
    else:
        kept = min(rows, numbers.rows)
        promised = max(numbers.rows, rows + bool(left_over))
        segments = _numbered(numbers, kept, notes)
        if numbers.header_rows != numbers.rows and kept:
            notes.append(
                f"{numbers.path.name}: its header says {numbers.header_rows} rows, its size {numbers.rows}; the "
                f"recording was not closed properly, the size counts"
            )
    if promised > kept:
        notes.append(
            f"{where.name}: {promised - kept} samples at the end are lost (data for {rows} rows"
            + (f" and {left_over} bytes" if left_over else "")
            + (f", numbers for {numbers.rows})" if numbers is not None else ")")
        )
    if segments.missing:
        notes.append(f"{where.name}: {len(segments.gaps)} gaps, {segments.missing} samples were never stored")
    return segments, promised - kept, notes


def _sample_numbers(where: Path, notes: list[str]) -> NpyFile | None:
    """Return the stored counters: sample_numbers.npy (from release 0.6), or timestamps.npy where these are integers."""
    for name in ("sample_numbers.npy", "timestamps.npy"):
        path = where / name
        if not path.is_file():
            continue
        try:
            numbers = NpyFile.open(path)
        except RecordingError as error:
            notes.append(str(error))
            continue
        if numbers.dtype.kind in "iu" and numbers.dtype.itemsize == 8 and numbers.row_shape == ():
            return numbers
    return None


def _numbered(numbers: NpyFile, rows: int, notes: list[str]) -> Segments:
    def counters_at(at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        values = read_cells(numbers.path, numbers.header_bytes + 8 * at, numbers.dtype)
        # Far beyond any recording: damage, which must not overflow sums of counters.
        counters: npt.NDArray[np.int64] = np.clip(values, -(2**60), 2**60).astype(np.int64)
        return counters

    segments = find_runs(counters_at, rows)
    if segments is not None:
        return segments
    first = max(0, int(counters_at(np.zeros(1, np.int64))[0]))
    notes.append(
        f"{numbers.path.name}: sample numbers run backwards or are invalid; samples are counted from {first} instead, "
        f"and gaps cannot be told"
    )
    return Segments.single(first, rows)


def _clock(where: Path, segments: Segments, fs: Fraction, name: str) -> tuple[Clock | None, list[str]]:
    """Return the hardware clock of timestamps.npy (seconds, from release 0.6), about one point per second."""
    path = where / "timestamps.npy"
    if not path.is_file() or not segments.rows:
        return None, []
    try:
        stamps = NpyFile.open(path)
    except RecordingError as error:
        return None, [str(error)]
    rows = min(stamps.rows, segments.rows)
    if stamps.dtype != np.dtype("<f8") or stamps.row_shape != () or not rows:
        return None, []
    step = max(1, int(fs), -(-rows // _CLOCK_POINTS))
    at = np.unique(np.append(np.arange(0, rows, step), rows - 1)).astype(np.int64)
    seconds = read_cells(path, stamps.header_bytes + 8 * at, np.float64).astype(np.float64)
    if not np.all(np.isfinite(seconds)) or np.any(np.diff(seconds) < 0) or np.any(seconds < 0):
        return None, [f"{where.name}: timestamps are invalid or run backwards; sample numbers are used, without them"]
    return Clock(counters_of_rows(segments, at), seconds, f"Open Ephys timestamps of {name}"), []
