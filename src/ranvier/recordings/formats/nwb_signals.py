"""The ElectricalSeries of an NWB file as recordings."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.formats.hdf5_columns import Hdf5Recording, StoredColumns
from ranvier.recordings.formats.nwb_electrodes import Electrodes
from ranvier.recordings.formats.nwb_file import (
    child,
    is_plausible,
    missing_from,
    number_of,
    rows_present,
    text_of,
)
from ranvier.recordings.formats.nwb_own import table_from_json
from ranvier.recordings.formats.nwb_time import Timing, timing_of

#: Powers of ten from a series' unit to microvolts. The standard demands volts; some writers did not care.
_TO_MICROVOLTS = {"volts": 6, "volt": 6, "v": 6, "millivolts": 3, "mv": 3, "microvolts": 0, "uv": 0, "µv": 0, "μv": 0}


class NwbRecording(Hdf5Recording):
    """One ElectricalSeries, with the series of other inputs that were written beside it."""

    def __init__(self, path: Path, name: str, table: ChannelTable, stored: list[StoredColumns], timing: Timing) -> None:
        super().__init__(path, name, table, stored, timing.fs, timing.segments)
        self.timing = timing


def open_series(
    path: Path,
    file: Any,
    series: Any,
    name: str,
    electrodes: Electrodes,
    own: dict[str, Any] | None,
) -> NwbRecording:
    """Open one ElectricalSeries (h5py group); RecordingError says what is wrong with it."""
    notes: list[str] = []
    data = _data_of(series)
    rows = int(data.shape[0])
    amplifier = _amplifier_columns(series, data)
    table, table_notes = electrodes.channels(_electrode_rows(series), amplifier.gain, amplifier.offset)
    if "unit" not in data.attrs and "conversion" not in data.attrs:
        table = table.with_channels(replace(c, unit_source="assumed") for c in table)
        table_notes.append("it states neither unit nor conversion; volts are assumed, as the standard demands")
    notes += [f"{name}: {note}" for note in table_notes]
    stored = [amplifier]
    if own is not None:
        table, stored = _with_own(file, own, table, stored)
    present = _rows_present(path, file, stored, rows)
    if present < rows:
        notes.append(f"{name}: the file was cut; {rows - present} of {rows} samples at the end are lost")
    elif missing_from(path) is not None:
        notes.append(f"{name}: the file was cut, but all {rows} samples are there")
    timing = timing_of(series, present, own)
    short = present - timing.segments.rows
    if short:
        notes.append(f"{name}: {short} samples have no timestamp and are left out")
    recording = NwbRecording(path, name, table, stored, timing)
    recording.lost_samples = rows - timing.segments.rows
    recording.notes = (*notes, *timing.notes)
    return recording


def _data_of(series: Any) -> Any:
    import h5py

    data = child(series, "data")
    if not isinstance(data, h5py.Dataset) or data.ndim not in (1, 2) or data.dtype.kind not in "iuf":
        raise RecordingError(f"{series.name} holds no samples that can be read")
    if not is_plausible(data):
        raise RecordingError(f"{series.name} claims {data.shape[0]} samples, far more than the file holds")
    if data.ndim == 2 and not 0 < data.shape[1] <= 1 << 16:
        raise RecordingError(f"{series.name}: {data.shape[1]} columns")
    return data


def _amplifier_columns(series: Any, data: Any) -> StoredColumns:
    """Return gain and offset in uV: data * conversion * channel_conversion + offset, in the unit of the series."""
    columns = 1 if data.ndim == 1 else int(data.shape[1])
    unit = text_of(data.attrs.get("unit", "volts")).strip().lower()
    if unit not in _TO_MICROVOLTS:
        raise RecordingError(f"{series.name}: its unit {unit!r} is not one of voltage")
    exponent = _TO_MICROVOLTS[unit]
    gain = np.full(columns, _shifted(number_of(data.attrs, "conversion", 1.0), exponent))
    factors = child(series, "channel_conversion")
    if factors is not None:
        if factors.shape != (columns,) or factors.dtype.kind not in "iuf":
            raise RecordingError(f"{series.name}: channel_conversion does not fit its {columns} columns")
        conversion = Decimal(repr(number_of(data.attrs, "conversion", 1.0))).scaleb(exponent)
        gain = np.array([float(conversion * Decimal(repr(float(f)))) if np.isfinite(f) else np.nan for f in factors[:]])
    offset = np.full(columns, _shifted(number_of(data.attrs, "offset", 0.0), exponent))
    if not np.all(np.isfinite(gain) & (gain != 0)):
        raise RecordingError(f"{series.name}: its conversion is zero or not a number")
    is_counts = data.dtype.kind == "i" and data.dtype.itemsize == 2
    return StoredColumns(f"{series.name}/data", 0, columns, gain, offset, is_counts)


def _shifted(value: float, exponent: int) -> float:
    """Multiply by a power of ten in decimal, so that 1.95e-7 V is 0.195 uV and not 0.19500000000000003."""
    return float(Decimal(repr(value)).scaleb(exponent))


def _electrode_rows(series: Any) -> npt.NDArray[np.int64] | None:
    rows = child(series, "electrodes")
    if rows is None or getattr(rows, "ndim", 0) != 1 or rows.dtype.kind not in "iu":
        return None
    return np.asarray(rows[:], dtype=np.int64)


def _with_own(
    file: Any, own: dict[str, Any], table: ChannelTable, stored: list[StoredColumns]
) -> tuple[ChannelTable, list[StoredColumns]]:
    """Return channels and datasets as Ranvier recorded them, where that record fits the file."""
    amplifier = stored[0]
    try:
        mine = table_from_json(own)
        parts = [(str(p["path"]), int(p["first"]), int(p["count"])) for p in own["parts"]]
        found: list[StoredColumns] = []
        for path, first, count in parts:
            data = file[path]
            if amplifier.path == path and amplifier.count == count:
                found.append(StoredColumns(path, first, count, amplifier.gain, amplifier.offset, amplifier.is_counts))
                continue
            if data.shape[1:] != (count,) or data.dtype.kind not in "iuf":
                return table, stored
            gain = np.full(count, number_of(data.attrs, "conversion", 1.0))
            offset = np.full(count, number_of(data.attrs, "offset", 0.0))
            found.append(StoredColumns(path, first, count, gain, offset, False))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, LookupError, RecordingError):
        return table, stored
    covered = sorted((s.first, s.first + s.count) for s in found)
    if [c for span in covered for c in span] != _chain(covered, len(mine)) or amplifier.path not in [
        s.path for s in found
    ]:
        return table, stored
    return _with_gains(mine, found), found


def _chain(spans: list[tuple[int, int]], total: int) -> list[int]:
    """Return what the borders of spans must be for them to cover ``0..total`` without gaps."""
    if not spans or spans[0][0] != 0 or spans[-1][1] != total:
        return []
    return [c for i, (_, end) in enumerate(spans) for c in (spans[i - 1][1] if i else 0, end)]


def _with_gains(table: ChannelTable, stored: list[StoredColumns]) -> ChannelTable:
    channels = list(table)
    for part in stored:
        for i in range(part.count):
            at = part.first + i
            channels[at] = replace(channels[at], gain=float(part.gain[i]), offset=float(part.offset[i]))
    return table.with_channels(channels)


def _rows_present(path: Path, file: Any, stored: list[StoredColumns], rows: int) -> int:
    end = missing_from(path)
    lengths = [rows, *(int(file[s.path].shape[0]) for s in stored)]
    if end is not None:
        lengths += [rows_present(file[s.path], end) for s in stored]
    return min(lengths)
