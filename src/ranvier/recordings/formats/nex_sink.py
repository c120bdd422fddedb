"""Writing NEX5: one continuous variable per channel, a fragment per gap-free run.

Int16 counts stay counts, with their gain; other samples are float32 in millivolts, the format's habit (digital lines as
0 and 1). The clock of the file ticks once a sample, so that counters are exact. For NeuroExplorer, events become event
variables and units become neurons; what the format has no place for (exact rate, channels with their positions, texts,
provenance) stands in the JSON at the end under the key ``ranvier``, and files with it come back as what they were.

Samples come interleaved and must lie apart, and how many there will be is known at the end only: they are kept in a
scratch file in tiles, which ``commit`` puts in place. Memory stays at one tile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt

from ranvier._version import __version__
from ranvier.exceptions import OutputError
from ranvier.models.channels import SignalUnits
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.recordings.block import Block
from ranvier.recordings.channel_json import channels_to_json
from ranvier.recordings.channels import Channel
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.files import writing
from ranvier.recordings.formats.nex_file import (
    CONTINUOUS,
    EVENT,
    MARKER,
    NEURON,
    NEX5_HEADER,
    NEX5_MAGIC,
    NEX5_VARIABLE,
    WAVEFORM,
)
from ranvier.recordings.quantiser import Quantiser
from ranvier.recordings.segments import Segments
from ranvier.recordings.sidecar import events_to_json, json_bytes
from ranvier.recordings.sink import Header, Sink

#: Key of the JSON under which our own marks stand.
OWN_KEY = "ranvier"
_TILE_BYTES = 1 << 25
#: Millivolts of one unit of a channel's values.
_TO_MV = {SignalUnits.MICROVOLTS: 1e-3, SignalUnits.VOLTS: 1e3}


@dataclass(frozen=True)
class _Table:
    """A variable that is no signal: time stamps, and fields or waveforms behind them."""

    kind: int
    name: str
    ticks: npt.NDArray[np.int64]
    fields: tuple[tuple[str, npt.NDArray[np.uint32]], ...] = ()
    waveforms: npt.NDArray[np.float32] | None = None
    wire: int = 0
    unit: int = 0

    def size(self, tick_bytes: int) -> int:
        """Bytes in the file."""
        waves = 0 if self.waveforms is None else 4 * self.waveforms.size
        return tick_bytes * len(self.ticks) + len(self.fields) * (64 + 4 * len(self.ticks)) + waves


class Nex5Sink(Sink):
    """Writes one ``.nex5`` file; values are lost only where the first block was counts and others were not."""

    file_type: ClassVar[RadiensFileType] = RadiensFileType.NEX5
    suffixes: ClassVar[tuple[str, ...]] = (".nex5",)

    def __init__(self, destination: Path, header: Header, *, force: bool = False) -> None:
        self._file = destination.with_name(destination.name + ".nex5")
        self._scratch = destination.with_name(destination.name + ".nex5.samples")
        self._counted: Quantiser | None = None
        self._dtype: np.dtype[Any] | None = None
        self._tiles: list[int] = []
        self._waiting: list[npt.NDArray[Any]] = []
        self._events: list[Events] = []
        self._trains: dict[str, SpikeTrains] = {}
        self._to_mv = np.array([_mv_of(c) for c in header.channels], dtype=np.float64)
        super().__init__(destination, header, force=force)

    def final_paths(self) -> list[Path]:
        """Return the one file."""
        return [self._file]

    def _open(self) -> None:
        self._data = self.staged.open(self._scratch)

    def write(self, block: Block) -> None:
        """Append a block; the first one decides whether counts or millivolts are stored."""
        self._admit(block)
        if not len(block):
            return
        if self._dtype is None:
            if block.gain is not None and block.offset is not None and block.samples.dtype == np.int16:
                self._counted = Quantiser(None, block.gain, block.offset)
            self._dtype = np.dtype("<f4" if self._counted is None else "<i2")
        self._waiting.append(self._stored(block))
        if sum(len(w) for w in self._waiting) * self._row_bytes >= _TILE_BYTES:
            self._flush()

    def write_events(self, events: Events) -> None:
        """Keep events: in the JSON, and as event variables by source, line and state."""
        self._events.append(events)

    def write_spike_trains(self, name: str, trains: SpikeTrains) -> None:
        """Keep spike trains: a neuron per unit, and a table with unit, site and waveforms of each spike."""
        self._trains[name] = trains.counted_at(self.header.fs)

    def commit(self) -> Path:
        """Put everything in place, flush, give the final name; return the file."""
        segments = self.segments
        if not segments.rows or self._dtype is None:
            raise OutputError(f"{self._file}: nothing was written, so there is nothing to finish")
        self._flush()
        self.staged.close()
        tables = [*self._event_tables(), *self._spike_tables()]
        out = self.staged.open(self._file)
        scratch = self.staged.path(self._scratch)
        with writing(self._file):
            self._write_file(out, scratch, segments, tables)
        self.staged.close()
        with writing(self._scratch):
            scratch.unlink()
        self.staged.commit([self._file])
        return self._file

    @property
    def _row_bytes(self) -> int:
        return len(self.header.channels) * (self._dtype.itemsize if self._dtype is not None else 4)

    def _stored(self, block: Block) -> npt.NDArray[Any]:
        """Return a copy of a block as it is stored: counts, or millivolts."""
        if self._counted is None:
            return (block.physical() * self._to_mv).astype(np.float32)
        counts = self._counted.counts(block)
        self.clipped_samples += counts.clipped
        self.unknown_samples += counts.unknown
        return counts.samples.copy() if np.may_share_memory(counts.samples, block.samples) else counts.samples

    def _flush(self) -> None:
        """Write what waits as one tile, column after column."""
        if not self._waiting:
            return
        rows = np.concatenate(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
        self._waiting = []
        self._tiles.append(len(rows))
        with writing(self._file):
            self._data.write(np.ascontiguousarray(rows.T, dtype=self._dtype).data)

    def _event_tables(self) -> Iterator[_Table]:
        events = Events.merge(*self._events)
        keys = list(zip(events.source, events.line.tolist(), events.state.tolist(), strict=True))
        kinds = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        codes = np.array([kinds[key] for key in keys], dtype=np.int64)
        for (source, line, state), code in kinds.items():
            where = f" {line}" if line >= 0 else ""
            after = {1: " on", 0: " off"}.get(state, "")
            yield _Table(EVENT, f"{source}{where}{after}", events.counter[codes == code])

    def _spike_tables(self) -> Iterator[_Table]:
        for name, trains in self._trains.items():
            names = trains.unit_names or {}
            for unit in trains.units.tolist():
                mine = trains.unit == unit
                label = f"{name} {names.get(unit, f'unit {unit}')}"
                yield _Table(NEURON, label, trains.counter[mine], wire=int(trains.site[mine][0]), unit=unit)
            fields = tuple((key, getattr(trains, key).astype(np.int32).view(np.uint32)) for key in ("unit", "site"))
            yield _Table(MARKER, _table_name(name), trains.counter, fields)
            if trains.waveforms is not None and len(trains):
                flat = trains.waveforms.reshape(len(trains), -1) * np.float32(1e-3)
                yield _Table(WAVEFORM, _waves_name(name), trains.counter, waveforms=flat)

    def _write_file(self, out: BinaryIO, scratch: Path, segments: Segments, tables: list[_Table]) -> None:
        channels = self.header.channels
        last = max([segments.stop, *(int(t.ticks.max()) for t in tables if len(t.ticks))])
        tick_bytes = 8 if last >= 2**31 or segments.start < -(2**31) else 4
        index_bytes = 8 if segments.rows >= 2**32 else 4
        runs = len(segments.counters)
        item = self._dtype.itemsize if self._dtype is not None else 4
        before = runs * (tick_bytes + index_bytes)
        at = NEX5_HEADER.size + (len(channels) + len(tables)) * NEX5_VARIABLE.size
        offsets = [at + i * (before + segments.rows * item) for i in range(len(channels))]
        at += len(channels) * (before + segments.rows * item)
        headers = [
            self._signal_header(channel, i, offset, segments, tick_bytes, index_bytes)
            for i, (channel, offset) in enumerate(zip(channels, offsets, strict=True))
        ]
        for table in tables:
            headers.append(_table_header(table, at, tick_bytes, float(self.header.fs)))
            at += table.size(tick_bytes)
        version = 502 if tick_bytes == 8 else 501
        comment = b"written by Ranvier"
        n = len(channels) + len(tables)
        fs, start, stop = float(self.header.fs), segments.start, segments.stop
        out.write(NEX5_HEADER.pack(NEX5_MAGIC, version, comment, fs, start, n, at, stop))
        out.write(b"".join(headers))
        firsts = np.cumsum(segments.lengths) - segments.lengths
        table_of_runs = segments.counters.astype(f"<i{tick_bytes}").tobytes()
        table_of_runs += firsts.astype(f"<u{index_bytes}").tobytes()
        for offset in offsets:
            out.seek(offset)
            out.write(table_of_runs)
        self._place_samples(out, scratch, [o + before for o in offsets])
        out.seek(0, os.SEEK_END)
        for table in tables:
            out.write(table.ticks.astype(f"<i{tick_bytes}").tobytes())
            for field, values in table.fields:
                out.write(field.encode().ljust(64, b"\0") + values.astype("<u4").tobytes())
            if table.waveforms is not None:
                out.write(table.waveforms.astype("<f4").tobytes())
        out.write(json_bytes(self._document(segments, tables)))

    def _place_samples(self, out: BinaryIO, scratch: Path, places: list[int]) -> None:
        item = self._dtype.itemsize if self._dtype is not None else 4
        row = 0
        with open(scratch, "rb") as tiles:
            for rows in self._tiles:
                tile = tiles.read(rows * self._row_bytes)
                for i, place in enumerate(places):
                    out.seek(place + row * item)
                    out.write(tile[i * rows * item : (i + 1) * rows * item])
                row += rows

    def _signal_header(
        self, channel: Channel, column: int, offset: int, segments: Segments, tick_bytes: int, index_bytes: int
    ) -> bytes:
        if self._counted is not None:
            to_mv = float(self._to_mv[column])
            gain, shift, is_float = self._counted.gain[column] * to_mv, self._counted.offset[column] * to_mv, 0
        else:
            gain, shift, is_float = 1.0, 0.0, 1
        units = b"mV" if channel.unit in _TO_MV else b""
        return NEX5_VARIABLE.pack(
            CONTINUOUS, 500, _name_bytes(channel.name), offset, len(segments.counters), int(tick_bytes == 8), is_float,
            float(self.header.fs), units, gain, shift, segments.rows, 0.0, 0, 0, 0, int(index_bytes == 8),
        )  # fmt: skip

    def _document(self, segments: Segments, tables: list[_Table]) -> dict[str, Any]:
        header = self.header
        walltime = header.walltime
        if walltime is not None:
            walltime += timedelta(seconds=float(Fraction(segments.start - header.start) / header.fs))
        own: dict[str, Any] = {
            "version": 1,
            "fs": [header.fs.numerator, header.fs.denominator],
            "channels": channels_to_json(header.channels.with_channels(self._stored_channels())),
            "spike_trains": [_train_json(name, trains) for name, trains in self._trains.items()],
            "clipped_samples": self.clipped_samples,
            "unknown_samples": self.unknown_samples,
            "walltime": None if walltime is None else walltime.isoformat(),
            "name": header.name,
            "uid": header.uid,
            "simulated": header.simulated,
            "provenance": None if header.provenance is None else dict(header.provenance),
        }
        events = Events.merge(*self._events)
        if len(events):
            own["events"] = events_to_json(events)
        variables = [_variable_json(c) for c in header.channels]
        variables += [{"name": t.name, "unitNumber": t.unit, "probe": {"wireNumber": t.wire}} for t in tables]
        writer = {"name": "Ranvier", "version": __version__}
        return {"file": {"writerSoftware": writer}, "variables": variables, OWN_KEY: own}

    def _stored_channels(self) -> list[Channel]:
        """Return the channels with the gain of what is stored."""
        if self._counted is not None:
            scales = zip(self._counted.gain.tolist(), self._counted.offset.tolist(), strict=True)
        else:
            scales = zip([1.0 / _mv_of(c) for c in self.header.channels], [0.0] * len(self._to_mv), strict=True)
        return [replace(c, gain=g, offset=o) for c, (g, o) in zip(self.header.channels, scales, strict=True)]


def _mv_of(channel: Channel) -> float:
    """Return millivolts of one unit of a channel: 1 where it is no voltage."""
    return _TO_MV.get(channel.unit, 1.0) if channel.type in (SignalType.AMP, SignalType.AIN) else 1.0


def _table_header(table: _Table, offset: int, tick_bytes: int, fs: float) -> bytes:
    points = 0 if table.waveforms is None else table.waveforms.shape[1]
    is_wave = table.kind == WAVEFORM
    return NEX5_VARIABLE.pack(
        table.kind, 500, _name_bytes(table.name), offset, len(table.ticks), int(tick_bytes == 8), int(is_wave),
        fs if is_wave else 0.0, b"mV" if is_wave else b"", 1.0, 0.0, points, 0.0, int(bool(table.fields)),
        len(table.fields), 4 if table.fields else 0, 0,
    )  # fmt: skip


def _name_bytes(name: str) -> bytes:
    """Return a name cut to 63 bytes, at a whole character."""
    return name.encode()[:63].decode(errors="ignore").encode()


def _table_name(train: str) -> str:
    return _name_bytes(f"spikes of {train}").decode()


def _waves_name(train: str) -> str:
    return _name_bytes(f"waves of {train}").decode()


def _train_json(name: str, trains: SpikeTrains) -> dict[str, Any]:
    waves = trains.waveforms if len(trains) else None
    return {
        "name": name,
        "table": _table_name(name),
        "waveforms": None if waves is None else _waves_name(name),
        "channels": 0 if waves is None else waves.shape[1],
        "unit_names": trains.unit_names,
    }


def _variable_json(channel: Channel) -> dict[str, Any]:
    described: dict[str, Any] = {"name": channel.name}
    if channel.site is not None:
        position = {"x": channel.site.x_um, "y": channel.site.y_um, "z": channel.site.z_um}
        described["probe"] = {"wireNumber": channel.ntv, "position": position}
    return described
