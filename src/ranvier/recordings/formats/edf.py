"""EDF, EDF+, BDF and BDF+: 16- and 24-bit records, signals of several rates, annotations, gaps (EDF+D).

Signals of one rate are a stream; a file of several rates has one per rate (``file.edf#256 Hz``). Signals in volts are
amplifier channels in microvolts; others are analog inputs in their own unit. Annotations are events; one with a
duration has a beginning (state 1) and an end (state 0). The trigger bits of BioSemi's Status are TTL events.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.models.channels import SignalUnits
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import Channel, ChannelTable
from ranvier.recordings.events import Events
from ranvier.recordings.format import Format
from ranvier.recordings.formats.edf_annotations import annotation_events, record_onsets
from ranvier.recordings.formats.edf_header import EdfHeader, EdfSignal, is_edf, read_header
from ranvier.recordings.lazy import LazyDict
from ranvier.recordings.recording import Recording
from ranvier.recordings.segments import Segments
from ranvier.recordings.session import Session

NAME = "EDF"
_SUFFIXES = (".edf", ".bdf", ".rec")
_TILE_BYTES = 1 << 22
_MOST_RECORDS = 1 << 26
#: Bits of BioSemi's Status that are trigger lines; the rest tells about the instrument.
_TRIGGER_LINES = 16
_STATUS = "Status"


class EdfRecording(Recording):
    """The signals of one rate; rows lie in records, signal after signal."""

    def __init__(self, header: EdfHeader, signals: list[EdfSignal], channels: ChannelTable, fs: Fraction) -> None:
        self.path = header.path
        self.fs = fs
        self.channels = channels
        self.stores_counts = header.value_bytes == 2
        self._header = header
        self._signals = signals
        self._per_record = signals[0].samples

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        gains, offsets = self.channels.gains[columns], self.channels.offsets[columns]
        for a, b, values in self._tiles(start, stop, columns):
            out[a - start : b - start] = values * gains + offsets

    def _read_counts(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.int16]) -> None:
        for a, b, values in self._tiles(start, stop, columns):
            out[a - start : b - start] = values

    def _tiles(
        self, start: int, stop: int, columns: npt.NDArray[np.int64]
    ) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
        """Yield ``(a, b, stored values)`` of rows, ``(rows, columns)``."""
        n = self._per_record
        step = max(1, _TILE_BYTES // self._header.record_bytes)
        for record in range(start // n, (stop - 1) // n + 1, step):
            last = min(record + step, (stop - 1) // n + 1)
            values = read_records(self._header, record, last)
            tile = np.empty(((last - record) * n, len(columns)), values.dtype)
            for i, column in enumerate(columns.tolist()):
                signal = self._signals[column]
                tile[:, i] = values[:, signal.first : signal.first + n].reshape(-1)
            a, b = max(start, record * n), min(stop, last * n)
            yield a, b, tile[a - record * n : b - record * n]


def read_records(header: EdfHeader, first: int, last: int) -> npt.NDArray[Any]:
    """Return records as stored values, ``(records, values)`` int16 or int32."""
    size = (last - first) * header.record_bytes
    with open(header.path, "rb", buffering=0) as handle:
        handle.seek(header.header_bytes + first * header.record_bytes)
        content = handle.read(size)
    if len(content) < size:
        raise RecordingError(f"{header.path} became shorter after it was opened: open it again to see what is left")
    if header.value_bytes == 2:
        return np.frombuffer(content, "<i2").reshape(last - first, -1)
    wide = np.zeros((size // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
    return (wide.view("<i4")[:, 0] >> 8).reshape(last - first, -1)


def detect(path: Path) -> Path | None:
    """Return the path of an EDF or BDF file (the suffix may be left out); None where it is none."""
    for candidate in (path, *(path.with_name(path.name + suffix) for suffix in _SUFFIXES)):
        if candidate.is_file() and is_edf(candidate):
            return candidate
    return None


def open_edf(path: Path) -> Session:
    """Open a file: a stream per rate; truncated and unclosed files open with the whole records that are there."""
    header = read_header(path)
    size = path.stat().st_size - header.header_bytes
    records = min(size // header.record_bytes if size > 0 else 0, _MOST_RECORDS)
    if not records:
        raise RecordingError(f"{path} holds no whole record of samples")
    notes = [f"{path.name} ends in the middle of a record; {size % header.record_bytes} bytes are left out"]
    notes = notes if size % header.record_bytes else []
    notes += [] if header.records is not None else ["the recording was not closed: records are counted by file size"]
    lost = max(0, (header.records or 0) - records)
    if 0 < (header.records or 0) < records:
        notes.append(f"the header tells of {header.records} records, {records} are there and are used")
    onsets = record_onsets(header, records, notes)
    status = next((s for s in header.signals if header.value_bytes == 3 and s.label == _STATUS), None)
    groups: dict[int, list[EdfSignal]] = {}
    for signal in header.signals:
        if signal.samples and not signal.is_annotations and signal is not status:
            groups.setdefault(signal.samples, []).append(signal)
    if not groups:
        raise RecordingError(f"{path} holds annotations only, no signals")
    streams: dict[str, EdfRecording] = {}
    for samples in sorted(groups, reverse=True):
        fs = Fraction(samples) / header.record_sec
        name = "" if len(groups) == 1 else f"{float(fs):g} Hz"
        streams[name] = _stream(header, groups[samples], fs, onsets, notes, lost * samples)
        streams[name].name = name
    events = {n: partial(_events, header, records, s, status, n == next(iter(streams))) for n, s in streams.items()}
    return Session(
        path=path,
        file_type=RadiensFileType.EDF,
        format=NAME,
        streams=dict[str, Recording](streams),
        events=LazyDict[Events](events),
        notes=() if header.begun is None else ("its start has no time zone; UTC is taken",),
        extra={"edf": {"patient": header.patient, "recording": header.recording,
                       "prefilter": {s.label: s.prefilter for s in header.signals if s.prefilter},
                       "transducer": {s.label: s.transducer for s in header.signals if s.transducer}}},
    )  # fmt: skip


def _stream(
    header: EdfHeader,
    signals: list[EdfSignal],
    fs: Fraction,
    onsets: npt.NDArray[np.float64],
    notes: list[str],
    lost_samples: int,
) -> EdfRecording:
    channels = _channels(signals)
    order = sorted(range(len(signals)), key=lambda i: not signals[i].is_voltage)
    recording = EdfRecording(header, [signals[i] for i in order], channels, fs)
    n = signals[0].samples
    starts = np.rint(onsets * float(fs)).astype(np.int64)
    recording.segments = _segments(starts, n)
    own = list(notes)
    if recording.segments.missing:
        own.append(f"{len(recording.segments.gaps)} gaps between its records")
    if any(not s.is_voltage for s in signals):
        others = sorted({s.dimension or "no unit" for s in signals if not s.is_voltage})
        own.append(f"signals in {', '.join(others)} are analog inputs in that unit")
    if lost_samples:
        own.append(f"{lost_samples} samples at the end are lost: the file is shorter than its header says")
    recording.notes = tuple(own)
    recording.lost_samples = lost_samples
    if header.begun is not None:
        recording.walltime = header.begun + timedelta(seconds=float(onsets[0]))
    return recording


def _segments(starts: npt.NDArray[np.int64], n: int) -> Segments:
    """Return the gap table; onsets that miss the end of the record before by one sample are rounding, not gaps."""
    runs: list[list[int]] = []
    for start in starts.tolist():
        expected = runs[-1][0] + runs[-1][1] if runs else start
        if runs and start <= expected + 1:
            runs[-1][1] += n
        else:
            runs.append([start, n])
    return Segments.from_runs((c, k) for c, k in runs)


def _channels(signals: list[EdfSignal]) -> ChannelTable:
    made: list[Channel] = []
    for kind, voltage in ((SignalType.AMP, True), (SignalType.AIN, False)):
        chosen = [s for s in signals if s.is_voltage == voltage]
        for ntv, signal in enumerate(chosen):
            made.append(
                Channel(
                    type=kind,
                    ntv=ntv,
                    sys=len(made),
                    name=signal.label or f"signal_{len(made)}",
                    ntv_name=signal.label,
                    unit=SignalUnits.MICROVOLTS if voltage else SignalUnits.UNKNOWN,
                    gain=signal.gain,
                    offset=signal.offset,
                )
            )
    return ChannelTable(tuple(made))


def _events(header: EdfHeader, records: int, stream: EdfRecording, status: EdfSignal | None, is_first: bool) -> Events:
    """Return annotations and, in the first stream, the edges of the Status lines, in counters of the stream."""
    found = annotation_events(header, records, stream)
    if status is None or not is_first:
        return found
    return Events.merge(found, _triggers(header, records, status, stream))


def _triggers(header: EdfHeader, records: int, status: EdfSignal, stream: EdfRecording) -> Events:
    step = max(1, _TILE_BYTES // header.record_bytes)
    rows: list[npt.NDArray[np.int64]] = []
    lines: list[npt.NDArray[np.int64]] = []
    states: list[npt.NDArray[np.int64]] = []
    last: npt.NDArray[np.int64] | None = None
    for record in range(0, records, step):
        stop = min(records, record + step)
        words = read_records(header, record, stop)[:, status.first : status.first + status.samples].reshape(-1)
        bits = (words[:, None].astype(np.int64) >> np.arange(_TRIGGER_LINES)) & 1
        before = np.vstack((bits[:1] if last is None else last, bits[:-1]))
        at, line = np.nonzero(bits != before)
        rows.append(at + record * status.samples)
        lines.append(line)
        states.append(bits[at, line])
        last = bits[-1:]
    row = np.concatenate(rows) * stream.segments.rows // (records * status.samples)
    counters = [stream.segments.counter_of(int(r)) for r in row]
    return Events.ttl(counters, np.concatenate(lines), np.concatenate(states), source=_STATUS)


FORMAT = Format(
    name=NAME,
    file_type=RadiensFileType.EDF,
    suffixes=_SUFFIXES,
    detect=detect,
    open=open_edf,
    files=lambda path: [path],
    base_name=lambda path: path.stem if path.suffix.lower() in _SUFFIXES else path.name,
)
