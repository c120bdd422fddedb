"""Our own HDF5 layout, version 1: everything a recording has, readable with any HDF5 library.

::

    /                    attributes: format = "ranvier recording", version = 1, written_by, fs_hz (float64),
                         fs_fraction (numerator, denominator: the exact rate), start (first counter),
                         walltime (ISO 8601 of the first sample, or empty), name, uid, simulated
    /samples             (rows, columns) int16 counts or float32, time-major, chunked, plain or gzip/lzf compressed
    /runs                (runs, 2) int64: counter of the first sample, number of samples; what lies between two runs
                         is missing
    /channels/<column>   one value per column of samples: type (AMP, AIN, DIN, DOUT), name, ntv, sys, unit, gain,
                         offset, port, headstage_id, probe_id, probe_idx, shank, contact_id, site_num, selected,
                         color_group, impedance_ohm, x_um, y_um, z_um, shape, area_um2, width_um, height_um, ...
    /events/<column>     counter, line, state, source, text
    /spike_trains/<i>/   attribute name; counter, unit, site, unit_id, unit_name, waveforms_uv (n, channels, points)
    /provenance, /extra  JSON

Texts are UTF-8 of fixed length.

Physical value = ``samples * channels/gain + channels/offset`` in ``channels/unit``. Columns are ordered AMP, AIN, DIN,
DOUT. Sample ``i`` of run ``k`` has the counter ``runs[k, 0] + i`` and the time counter / rate.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.exceptions import RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.digital import with_digital_edges
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.format import Format
from ranvier.recordings.formats.hdf5_columns import Hdf5Recording, StoredColumns
from ranvier.recordings.formats.hdf5_sink import FORMAT_MARK, LAYOUT_VERSION, Hdf5Sink
from ranvier.recordings.formats.hdf5_tables import read_channels, read_events, read_spike_trains
from ranvier.recordings.formats.nwb_file import (
    UNREADABLE,
    child,
    is_hdf5,
    is_plausible,
    missing_from,
    opened,
    rows_present,
    scalar_text,
    text_of,
)
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.segments import Segments
from ranvier.recordings.session import Session

NAME = "HDF5"
_SUFFIXES = (".h5", ".hdf5")


def detect(path: Path) -> Path | None:
    """Return the path of a file of our layout (the suffix may be left out); None where it is none."""
    for candidate in (path, *(path.with_name(path.name + suffix) for suffix in _SUFFIXES)):
        if not candidate.is_file() or not is_hdf5(candidate):
            continue
        try:
            with opened(candidate) as file:
                if text_of(file.attrs.get("format", "")) == FORMAT_MARK:
                    return candidate
        except UNREADABLE:
            if candidate.suffix.lower() in _SUFFIXES:
                return candidate
    return None


def open_hdf5(path: Path) -> Session:
    """Open a file; one that was cut opens with the samples that are there.

    Raises
    ------
    RecordingError
        Where HDF5 cannot open it, or its head is damaged.
    """
    with opened(path) as file:
        try:
            return _open(path, file)
        except RecordingError:
            raise
        except (KeyError, ValueError, TypeError, OSError, RuntimeError, ArithmeticError) as error:
            cut = f": the file was cut at byte {missing_from(path)}" if missing_from(path) is not None else ""
            raise RecordingError(f"{path}: what describes its samples is damaged{cut} ({error})") from error


def _open(path: Path, file: Any) -> Session:
    version = int(file.attrs.get("version", 0))
    if version > LAYOUT_VERSION:
        raise RecordingError(
            f"{path}: layout version {version} is newer than this program, which reads {LAYOUT_VERSION}; update it"
        )
    fs = _exact_rate(file, path)
    channels = read_channels(file["channels"], path)
    stored, rows, claimed = _samples(path, file, channels)
    segments, notes = _segments(path, file, rows, claimed)
    if rows < claimed:
        notes.append(f"the file was cut; {claimed - rows} of {claimed} samples at the end are lost")
    spike_makers = _spike_makers(path, file, notes)
    if missing_from(path) is not None and child(file, "events") is None:
        notes.append("the file was cut; its events are lost")
    recording = Hdf5Recording(path, text_of(file.attrs.get("name", "")), channels, [stored], fs, segments)
    recording.walltime = _walltime(text_of(file.attrs.get("walltime", "")))
    recording.simulated = bool(file.attrs.get("simulated", False))
    recording.lost_samples = claimed - rows
    recording.notes = tuple(notes)
    return Session(
        path=path,
        file_type=RadiensFileType.HDF5,
        format=NAME,
        streams={"": recording},
        events=LazyDict({"": partial(_events, path, recording)}),
        spike_trains=LazyDict(spike_makers),
        provenance=_json(file, "provenance"),
        extra={**(_json(file, "extra") or {}), "uid": text_of(file.attrs.get("uid", ""))},
    )


def _exact_rate(file: Any, path: Path) -> Fraction:
    numerator, denominator = (int(v) for v in file.attrs["fs_fraction"])
    if denominator <= 0 or not Fraction(1, 10**5) <= Fraction(numerator, denominator) <= 10**9:
        raise RecordingError(f"{path}: {numerator}/{denominator} Hz is not a sampling rate")
    return Fraction(numerator, denominator)


def _samples(path: Path, file: Any, channels: ChannelTable) -> tuple[StoredColumns, int, int]:
    """Return where the samples are, how many rows are there, and how many the file claims."""
    data = child(file, "samples")
    if data is None or getattr(data, "ndim", 0) != 2 or data.dtype not in (np.dtype("<i2"), np.dtype("<f4")):
        raise RecordingError(f"{path}: it holds no dataset 'samples' of int16 or float32 (rows, columns)")
    if data.shape[1] != len(channels) or not is_plausible(data):
        raise RecordingError(
            f"{path}: samples of shape {data.shape} do not fit {len(channels)} channels and {path.stat().st_size} bytes"
        )
    if not (np.all(np.isfinite(channels.gains) & (channels.gains != 0)) and np.all(np.isfinite(channels.offsets))):
        raise RecordingError(f"{path}: a gain of its channels is zero, or no number")
    claimed = int(data.shape[0])
    end = missing_from(path)
    rows = claimed if end is None else min(claimed, rows_present(data, end))
    is_counts = data.dtype == np.dtype("<i2")
    stored = StoredColumns("samples", 0, len(channels), channels.gains, channels.offsets, is_counts)
    return stored, rows, claimed


def _segments(path: Path, file: Any, rows: int, claimed: int) -> tuple[Segments, list[str]]:
    """Return the gap table, cut where the samples end."""
    runs = child(file, "runs")
    try:
        if runs is None or runs.ndim != 2 or runs.shape[1] != 2 or not is_plausible(runs):
            raise ValueError("it is missing")
        table = [(int(c), int(n)) for c, n in runs[:]]
        whole = Segments.from_runs(table)
        if whole.rows != claimed or any(n < 0 for _, n in table):
            raise ValueError(f"it tells of {whole.rows} samples, {claimed} are stored")
    except UNREADABLE as error:
        note = f"its gap table cannot be used ({error}): samples are counted from the first, gaps cannot be told"
        return Segments.single(int(file.attrs.get("start", 0)), rows), [note]
    kept, left = [], rows
    for counter, n in whole.runs():
        kept.append((counter, min(n, left)))
        left -= min(n, left)
    return Segments.from_runs(kept), []


def _spike_makers(path: Path, file: Any, notes: list[str]) -> dict[str, Callable[[], SpikeTrains]]:
    try:
        group = child(file, "spike_trains")
        names = {} if group is None else {text_of(group[key].attrs["name"]): key for key in group}
    except UNREADABLE as error:
        notes.append(f"its spike trains are lost ({error})")
        return {}
    return {name: partial(_spikes, path, key) for name, key in names.items()}


def _events(path: Path, recording: Hdf5Recording) -> Events:
    with opened(path) as file:
        group = child(file, "events")
        stored = Events.empty() if group is None else read_events(group, path)
    return with_digital_edges(stored, recording)


def _spikes(path: Path, key: str) -> SpikeTrains:
    with opened(path) as file:
        return read_spike_trains(file[f"spike_trains/{key}"], path)


def _json(file: Any, name: str) -> dict[str, Any] | None:
    try:
        document = json.loads(scalar_text(file, name) or "null")
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _walltime(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else None
    except (ValueError, OverflowError):
        return None


def files_of(path: Path) -> list[Path]:
    """Return the one file."""
    return [path]


def base_name(path: Path) -> str:
    """Return the name without ``.h5`` or ``.hdf5``."""
    return path.stem if path.suffix.lower() in _SUFFIXES else path.name


FORMAT = Format(
    name=NAME,
    file_type=RadiensFileType.HDF5,
    suffixes=_SUFFIXES,
    detect=detect,
    open=open_hdf5,
    files=files_of,
    base_name=base_name,
    sink=Hdf5Sink,
)
