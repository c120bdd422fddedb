"""Streams of a TDT block: chunks in the ``.tev`` that the index points to, or one ``.sev`` per channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.models.channels import SignalUnits
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import Channel, ChannelTable
from ranvier.recordings.chunked import ChunkColumn, ChunkedRecording, Chunks
from ranvier.recordings.formats.tdt_index import (
    Records,
    SevFile,
    TsqIndex,
    channels_of,
    chunk_values,
    dtype_of,
    tdt_rate,
)
from ranvier.recordings.segments import Segments
from ranvier.recordings.session import Clock
from ranvier.recordings.stamps import StampedTime, place_packets

#: Microvolts of what a unit names.
UNITS_UV = {"uV": 1.0, "mV": 1e3, "V": 1e6}
NANOSECONDS_HZ = 1_000_000_000


@dataclass(frozen=True)
class Units:
    """What the values of a store are: TDT files do not say."""

    gain_uv: float
    source: str


def units_of(store: str, given: Mapping[str, str]) -> Units:
    """Return what the user said of a store, or the assumption: microvolts."""
    if store in given:
        return Units(UNITS_UV[given[store]], "user")
    return Units(1.0, "assumed")


class TdtRecording(ChunkedRecording):
    """One store of continuous samples."""

    def __init__(
        self,
        path: Path,
        name: str,
        fs: Fraction,
        columns: list[ChunkColumn],
        chunks: Chunks,
        channels: list[int],
        units: Units,
        time: StampedTime | None,
        *,
        start_time: float | None,
        lost_samples: int,
        notes: list[str],
    ) -> None:
        self.path = path
        self.name = name
        self.fs = fs
        self.channels = _table(name, channels, units)
        self.time = time
        self.segments = Segments.single(0, chunks.rows) if time is None else time.segments
        self.lost_samples = lost_samples
        self.notes = (*notes, *(time.notes if time is not None else ()))
        self.walltime = walltime_of(start_time, float(self.start / fs))
        self._adopt(columns, chunks)

    @property
    def clock(self) -> Clock | None:
        """The times of the index, in seconds from the block's start."""
        return None if self.time is None else self.time.clock


def walltime_of(start_time: float | None, seconds: float) -> datetime | None:
    """Return the time of day so many seconds after a unix time."""
    if start_time is None or not 0 < start_time < 2**35:
        return None
    return datetime.fromtimestamp(start_time, UTC) + timedelta(seconds=seconds)


def stream_from_index(
    index: TsqIndex, store: str, tev: Path | None, sevs: list[SevFile], folder: Path, given: Mapping[str, str]
) -> TdtRecording:
    """Return the stream of a store that the index describes; RecordingError names what is damaged."""
    records = index.streams[store]
    where = f"{index.path.name}: store {store}"
    dtype = dtype_of(records, where)
    fs = tdt_rate(float(records["rate"][0]), where)
    channels = channels_of(records, where)
    per_channel = [records[records["channel"] == c] for c in channels]
    notes: list[str] = []
    indexed = min(len(r) for r in per_channel)
    values = chunk_values(per_channel[0], dtype.itemsize)[:indexed]
    others = [chunk_values(r[:indexed], dtype.itemsize) for r in per_channel[1:]]
    sound = bool(np.all(values > 0)) and all(np.array_equal(other, values) for other in others)
    if sevs:
        return _from_sevs(index, store, sevs, folder, given, records=per_channel[0][:indexed], sound=sound)
    if not sound:
        raise RecordingError(f"{where}: its channels have chunks of different sizes; the index is damaged")
    promised = max(int(chunk_values(r, dtype.itemsize).sum()) for r in per_channel)
    end = tev.stat().st_size if tev is not None else 0
    whole = min(_whole_chunks(r[:indexed], values * dtype.itemsize, end) for r in per_channel)
    rows = int(values[:whole].sum())
    if tev is None:
        notes.append(f"the .tev that holds the samples of {store} is missing: all {promised} samples are lost")
    elif rows < promised:
        notes.append(f"{tev.name} is truncated or damaged: {promised - rows} samples of {store} are lost")
    data = tev if tev is not None else index.path
    columns = [ChunkColumn(data, dtype, r["offset"][:whole].astype(np.int64)) for r in per_channel]
    is_even = bool(np.all(values[:-1] == values[0])) and values[-1] <= values[0]
    chunks = Chunks(rows, int(values[0]), None if is_even else values[:whole])
    time = _place(index, per_channel[0][:whole], values[:whole], rows, fs, store)
    return TdtRecording(
        folder, store, fs, columns, chunks, channels, units_of(store, given), time,
        start_time=index.start, lost_samples=promised - rows, notes=notes,
    )  # fmt: skip


def _whole_chunks(records: Records, sizes: npt.NDArray[np.int64], end: int) -> int:
    """Return how many chunks from the first on lie within the file."""
    offsets = records["offset"]
    inside = (offsets >= 0) & (offsets <= end) & (np.clip(offsets, 0, end) + sizes <= end)
    return len(inside) if inside.all() else int(np.argmin(inside))


def _place(
    index: TsqIndex, records: Records, values: npt.NDArray[np.int64], rows: int, fs: Fraction, store: str
) -> StampedTime:
    ticks = ticks_of(records["time"], index.start)
    firsts = np.cumsum(values) - values
    return place_packets(firsts, ticks, rows, fs, NANOSECONDS_HZ, what=f"times of {store}")


def ticks_of(times: npt.NDArray[np.float64], start: float) -> npt.NDArray[np.int64]:
    """Return unix times as nanoseconds from the block's start; damaged ones as the start."""
    with np.errstate(invalid="ignore", over="ignore"):
        since = times - start
    since = np.where(np.isfinite(since), since, 0.0)
    ticks: npt.NDArray[np.int64] = np.rint(np.clip(since, -1e8, 1e8) * 1e9).astype(np.int64)
    return ticks


def stream_from_sevs(sevs: list[SevFile], folder: Path, given: Mapping[str, str]) -> TdtRecording:
    """Return the stream of ``.sev`` files that no index describes."""
    return _from_sevs(None, sevs[0].store, sevs, folder, given, records=None)


def _from_sevs(
    index: TsqIndex | None,
    store: str,
    sevs: list[SevFile],
    folder: Path,
    given: Mapping[str, str],
    *,
    records: Records | None,
    sound: bool = True,
) -> TdtRecording:
    ordered = sorted(sevs, key=lambda s: s.channel)
    dtype = ordered[0].dtype
    numbers = [s.channel for s in ordered]
    if len(set(numbers)) < len(numbers) or any(s.dtype != dtype for s in ordered):
        raise RecordingError(f"{folder}: the .sev files of {store} repeat channels or differ in type; each must be one")
    rows = min(s.rows for s in ordered)
    promised = max(max(s.rows, s.claimed_rows) for s in ordered)
    notes = []
    time = None
    fs = ordered[0].fs
    if records is not None and index is not None:
        fs = tdt_rate(float(records["rate"][0]), f"{index.path.name}: store {store}")
        values = chunk_values(records, dtype.itemsize)
        if sound:
            inside = np.cumsum(values) - values < rows
            time = _place(index, records[inside], values[inside], rows, fs, store)
            promised = max(promised, int(values.sum()))
        else:
            notes.append(f"the chunks of {store} in {index.path.name} are damaged: gaps between them are not known")
    if fs is None:
        raise RecordingError(f"{ordered[0].path}: neither its header nor an index states a sampling rate")
    if rows < promised:
        notes.append(f"the .sev files of {store} are truncated: {promised - rows} samples are lost")
    columns = [ChunkColumn(s.path, dtype, range(SevFile.HEADER_BYTES, SevFile.HEADER_BYTES + 1)) for s in ordered]
    return TdtRecording(
        folder, store, fs, columns, Chunks(rows, max(1, rows)), numbers, units_of(store, given), time,
        start_time=None if index is None else index.start, lost_samples=promised - rows, notes=notes,
    )  # fmt: skip


def _table(store: str, numbers: list[int], units: Units) -> ChannelTable:
    return ChannelTable(
        tuple(
            Channel(
                type=SignalType.AMP,
                ntv=i,
                sys=i,
                name=f"{store} {number}",
                ntv_name=f"{store} {number}",
                unit=SignalUnits.MICROVOLTS,
                unit_source=units.source,
                gain=units.gain_uv,
            )
            for i, number in enumerate(numbers)
        )
    )


def read_snips(
    index: TsqIndex, store: str, tev: Path | None, given: Mapping[str, str], most_bytes: int = 1 << 28
) -> tuple[Any, list[str]]:
    """Return the spikes of a store and notes; ``unit_names`` tell channel and sort code."""
    from ranvier.recordings.events import SpikeTrains

    records = index.snips[store]
    where = f"{index.path.name}: store {store}"
    fs = tdt_rate(float(records["rate"][0]), where)
    ratio = fs / NANOSECONDS_HZ
    ticks = ticks_of(records["time"], index.start)
    order = np.argsort(ticks, kind="stable")
    records, ticks = records[order], ticks[order]
    counters = np.rint(ticks * (ratio.numerator / ratio.denominator)).astype(np.int64)
    unit = np.zeros(len(records), np.int32)
    names: dict[int, str] = {}
    keys = records["channel"].astype(np.int64) * 65_536 + records["sort"]
    for key in np.unique(keys[records["sort"] > 0]).tolist():
        names[len(names) + 1] = f"ch{key >> 16} unit {key & 65_535}"
        unit[keys == key] = len(names)
    waveforms, notes = _waveforms(records, tev, where, units_of(store, given), most_bytes)
    site = records["channel"].astype(np.int32) - 1
    return SpikeTrains(counters, unit, site, waveforms, names or None, fs), notes


def _waveforms(
    records: Records, tev: Path | None, where: str, units: Units, most_bytes: int
) -> tuple[npt.NDArray[np.float32] | None, list[str]]:
    """Return ``(n, 1, points)`` in uV, or None and why."""
    if tev is None:
        return None, [f"{where}: waveforms are lost with the .tev"]
    dtype = dtype_of(records, where)
    points = np.unique(chunk_values(records, dtype.itemsize))
    if len(points) != 1 or points[0] <= 0:
        return None, [f"{where}: waveforms of different lengths are left out"]
    size = int(points[0]) * dtype.itemsize
    offsets = records["offset"]
    end = tev.stat().st_size
    if np.any((offsets < 0) | (offsets > end - size)):
        return None, [f"{where}: waveforms lie outside of {tev.name}, which is truncated; they are left out"]
    if len(records) * int(points[0]) * 4 > most_bytes:
        return None, [f"{where}: the waveforms of {len(records)} spikes are too large to be kept in memory"]
    out = np.empty((len(records), 1, int(points[0])), np.float32)
    with open(tev, "rb") as handle:
        for i in np.argsort(offsets, kind="stable").tolist():
            handle.seek(int(offsets[i]))
            with np.errstate(over="ignore", invalid="ignore"):  # damaged values become infinite
                out[i, 0] = np.frombuffer(handle.read(size), dtype) * units.gain_uv
    return out, []
