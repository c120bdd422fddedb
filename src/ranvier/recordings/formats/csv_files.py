"""CSV: our own layout, and plain tables with a row of channel names.

Our layout::

    # ranvier csv, version 1
    # fs_hz = 390625/16                samples per second, exact
    # start = 320017                   counter of the first sample
    # walltime_of_start = 2025-01-02T03:04:05+00:00
    # units = samples,uV,uV,V,1        of each column; 1 for digital lines
    counter,pri_0,pri_1,aux_0,din_0
    320017,-12.35,4.1,0.002,0
    320018,...

A jump of the counter is a gap. Values are decimal numbers that come back as exactly the float32 that was written;
``nan`` is an unknown value. Beside ``base.csv`` stand ``base.csv.json`` (channels with their sites, gap table,
provenance), ``base_events.csv`` (counter, seconds, line, state, source, text) and ``base_spikes.npz``, the last two
only where there is something to say. The table opens without them too.

Plain tables: comma, semicolon or tab; one row of names, maybe under comment lines (``#``). Names such as pri_0, ch 3,
aux_1, din_2 tell what a column is. The rate comes from a comment (``# fs = 30000``), a sidecar (``rec.csv.yaml`` with
``fs: 30000``) or a column of seconds; a column ``counter`` or ``sample`` tells gaps.
"""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import NotARecordingError, RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.channel_json import channels_from_json
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.digital import with_digital_edges
from ranvier.recordings.events import Events
from ranvier.recordings.format import Format
from ranvier.recordings.formats.counters import counters_of_seconds
from ranvier.recordings.formats.csv_head import EVENTS_MAGIC, Head, channels_of, looks_like_channels, rate_of, read_head
from ranvier.recordings.formats.csv_index import index_lines
from ranvier.recordings.formats.csv_recording import CsvRecording, CsvTable
from ranvier.recordings.formats.csv_sink import CsvSink, events_of, sidecar_of, spikes_of
from ranvier.recordings.formats.nwb_time import rate_of_times
from ranvier.recordings.formats.raw_shape import load_sidecar, sidecars
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.segments import Segments
from ranvier.recordings.session import Session
from ranvier.recordings.sidecar import spike_trains_from_npz

NAME = "CSV"
_SUFFIXES = (".csv",)
_MOST_RUNS = 1 << 16
_RATE_ROWS = 100_000


def detect(path: Path) -> Path | None:
    """Return the path of a table of samples (the suffix may be left out); None where it is none."""
    for candidate in (path, path.with_name(path.name + ".csv")):
        if not candidate.is_file() or candidate.suffix.lower() not in (".csv", ".tsv", ".txt"):
            continue
        head = read_head(candidate)
        if head is None:
            continue
        if head.is_ours or looks_like_channels(head) or (head.rate is not None and candidate.suffix != ".txt"):
            return candidate
    return None


def open_csv(path: Path) -> Session:
    """Open a table; NotARecordingError says how to state the rate where nothing tells it."""
    head = read_head(path)
    if head is None:
        raise RecordingError(f"{path} is no table of numbers under a row of names")
    index, open_bytes = index_lines(path, head.first_byte, keep_open_line=not head.is_ours)
    if not index.total:
        raise RecordingError(f"{path} holds no samples")
    table = CsvTable(path, head, index)
    document = _sidecar(path, head)
    channels, columns = channels_of(head, path)
    notes: list[str] = []
    if head.is_ours and open_bytes:
        notes.append(f"the file was cut in the middle of a row; {open_bytes} bytes at the end are left out")
    channels = _own_channels(document, channels, path, head, notes)
    fs, segments = _timing(table, document, notes)
    if any(c.unit_source == "assumed" for c in channels):
        notes.append("units of some columns are not stated: uV assumed for amplifier channels, V for analog inputs")
    recording = CsvRecording(table, channels, columns, fs, segments)
    recording.walltime = _walltime(document, head, segments.start, fs)
    recording.simulated = document.get("simulated") is True
    recording.lost_samples = _lost(document, segments)
    recording.notes = tuple(notes)
    names = document.get("spike_trains", [])
    trains = {str(n): partial(spike_trains_from_npz, spikes_of(path), str(n)) for n in names}
    provenance = document.get("provenance")
    extra = document.get("extra")
    return Session(
        path=path,
        file_type=RadiensFileType.CSV,
        format=NAME,
        streams={"": recording},
        events=LazyDict({"": partial(_events, path, recording)}),
        spike_trains=LazyDict(trains if spikes_of(path).is_file() else {}),
        provenance=provenance if isinstance(provenance, dict) else None,
        extra={**(extra if isinstance(extra, dict) else {}), "uid": str(document.get("uid", ""))},
    )


def _sidecar(path: Path, head: Head) -> dict[str, Any]:
    """Return what stands beside a table: our own description, or a statement of its shape."""
    found = next((p for p in sidecars(path) if p.is_file()), None)
    if found is None:
        return {}
    document = load_sidecar(found)
    if head.is_ours != (document.get("made_for") == "csv"):
        return {key: document[key] for key in ("fs",) if key in document and not head.is_ours}
    return document


def _own_channels(
    document: dict[str, Any], plain: ChannelTable, path: Path, head: Head, notes: list[str]
) -> ChannelTable:
    if not head.is_ours:
        return plain
    stored = document.get("channels")
    if not isinstance(stored, dict):
        notes.append(f"{sidecar_of(path).name} is missing: sites of the channels and provenance are not known")
        return plain
    channels = channels_from_json(stored, sidecar_of(path))
    if len(channels) != len(plain):
        raise RecordingError(f"{path} has {len(plain)} columns, {sidecar_of(path).name} describes {len(channels)}")
    return channels.with_channels(replace(c, gain=1.0, offset=0.0) for c in channels)


def _timing(table: CsvTable, document: dict[str, Any], notes: list[str]) -> tuple[Fraction, Segments]:
    head, path = table.head, table.path
    fs = head.rate or _stated_rate(document.get("fs"))
    if head.time_column is None:
        if fs is None:
            raise NotARecordingError(
                f"{path} has columns of samples, but nothing tells their rate: add a line '# fs = 30000' on top, a "
                f"column 'time' in seconds, or write 'fs: 30000' into {path.name}.yaml beside it"
            )
        start = int(head.values.get("start", "0")) if head.values.get("start", "0").strip("-").isdigit() else 0
        return fs, Segments.single(start, table.index.total)
    if fs is None and head.counts:
        raise NotARecordingError(
            f"{path} counts its samples, but nothing tells their rate: add a line '# fs = 30000' on top, or write "
            f"'fs: 30000' into {path.name}.yaml beside it"
        )
    if fs is None:
        times = table.chunk(0)[:_RATE_ROWS, table.time_column] / head.per_second
        fs = rate_of_times(path.name, times)
        notes.append(f"rate {float(fs):.9g} Hz found from its column {head.names[head.time_column]!r}")
    return fs, _segments(table, fs, document, notes)


def _segments(table: CsvTable, fs: Fraction, document: dict[str, Any], notes: list[str]) -> Segments:
    """Return the gap table: as our sidecar has it where that fits, else from the column of the time."""
    own = _own_runs(table, document)
    if own is not None:
        return own
    tolerance = 0 if table.head.counts else max(1, math.ceil(table.time_step_sec() * fs))
    try:
        return _runs(table, fs, tolerance)
    except _NoClockError as error:
        notes.append(f"its column of the time {error}: samples are counted, gaps cannot be told")
        return Segments.single(0, table.index.total)


class _NoClockError(Exception):
    """A column of the time that tells none."""


def _runs(table: CsvTable, fs: Fraction, tolerance: int) -> Segments:
    """Find the gaps: only chunks whose ends do not fit their number of rows are parsed."""
    rows = table.index.rows
    starts = [_counters(table, table.first_time(i), fs)[0] for i in range(len(rows) - 1)]
    runs: list[list[int]] = []
    for i, start in enumerate(starts):
        n = int(rows[i + 1] - rows[i])
        pieces = [(int(start), n)]
        if i + 1 == len(starts) or abs(int(starts[i + 1]) - int(start) - n) > tolerance:
            pieces = _pieces(_counters(table, table.chunk(i)[:, table.time_column], fs), tolerance)
        for counter, length in pieces:
            expected = runs[-1][0] + runs[-1][1] if runs else counter
            if runs and abs(counter - expected) <= tolerance:
                runs[-1][1] += length
            elif counter < expected or len(runs) > _MOST_RUNS:
                raise _NoClockError("runs backwards")
            else:
                runs.append([counter, length])
    return Segments.from_runs((c, n) for c, n in runs)


def _pieces(counters: npt.NDArray[np.int64], tolerance: int) -> list[tuple[int, int]]:
    """Return the runs of a chunk's counters: where they leave the expected by more than the tolerance, one begins."""
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(counters):
        drift = counters[at:] - counters[at] - np.arange(len(counters) - at)
        off = np.flatnonzero(np.abs(drift) > tolerance)
        n = int(off[0]) if len(off) else len(drift)
        found.append((int(counters[at]), n))
        at += n
        if len(found) > _MOST_RUNS:
            raise _NoClockError("breaks all the time")
    return found


def _counters(table: CsvTable, times: npt.NDArray[np.float64], fs: Fraction) -> npt.NDArray[np.int64]:
    """Return the counters of times as the file has them."""
    try:
        if table.head.counts:
            return counters_of_seconds(times, Fraction(1))
        return counters_of_seconds(times / table.head.per_second, fs)
    except RecordingError as error:
        raise _NoClockError("is damaged") from error


def _own_runs(table: CsvTable, document: dict[str, Any]) -> Segments | None:
    """Return the gap table of our sidecar, cut where the file ends; None where the file disagrees."""
    try:
        whole = Segments.from_runs((int(c), int(n)) for c, n in document["runs"])
    except (KeyError, TypeError, ValueError, OverflowError, RecordingError):
        return None
    rows = table.index.total
    if whole.rows < rows or not rows:
        return None
    last = len(table.index.rows) - 2
    for i in (0, last // 2, last):  # the ends and the middle tell whether it is still this file
        first = int(table.index.rows[i])
        column = table.first_time(i)
        if column[0] != whole.counter_of(first):
            return None
    kept, left = [], rows
    for counter, n in whole.runs():
        kept.append((counter, min(n, left)))
        left -= min(n, left)
    return Segments.from_runs(kept)


def _lost(document: dict[str, Any], segments: Segments) -> int:
    try:
        return max(0, sum(int(n) for _, n in document["runs"]) - segments.rows)
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0


def _stated_rate(value: Any) -> Fraction | None:
    if isinstance(value, list) and len(value) == 2:
        return rate_of(f"{value[0]}/{value[1]}")
    return rate_of(str(value))


def _walltime(document: dict[str, Any], head: Head, start: int, fs: Fraction) -> datetime | None:
    text = document.get("walltime") or head.values.get("walltime_of_start", "")
    try:
        walltime = datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) and text else None
        if walltime is not None and not document.get("walltime"):
            walltime += timedelta(seconds=float((start - int(head.values.get("start", start))) / fs))
    except (ValueError, OverflowError):
        return None
    return walltime


def _events(path: Path, recording: CsvRecording) -> Events:
    stored = _read_events(events_of(path)) if events_of(path).is_file() else Events.empty()
    return with_digital_edges(stored.between(recording.start, recording.stop + 1), recording)


def _read_events(path: Path) -> Events:
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            if not handle.readline().startswith(EVENTS_MAGIC):
                raise ValueError("it is not one of ours")
            rows = list(csv.DictReader(handle))
        counter = np.array([int(r["counter"]) for r in rows], np.int64)
        return Events(
            counter,
            np.array([int(r["line"]) for r in rows], np.int32),
            np.array([int(r["state"]) for r in rows], np.int8),
            tuple(str(r["source"]) for r in rows),
            tuple(str(r["text"]) for r in rows),
        )
    except (ValueError, KeyError, TypeError, OverflowError, csv.Error) as error:
        raise RecordingError(f"{path}: the table of events is damaged ({error}); signals can still be read") from error


def files_of(path: Path) -> list[Path]:
    """Return the table and what stands beside it."""
    head = read_head(path)
    beside = (
        [sidecar_of(path), events_of(path), spikes_of(path)] if head is not None and head.is_ours else sidecars(path)
    )
    return [p for p in (path, *beside) if p.is_file()]


FORMAT = Format(
    name=NAME,
    file_type=RadiensFileType.CSV,
    suffixes=_SUFFIXES,
    detect=detect,
    open=open_csv,
    files=files_of,
    base_name=lambda path: path.stem,
    sink=CsvSink,
)
