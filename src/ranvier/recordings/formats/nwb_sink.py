"""Writer of NWB files.

The structure (devices, electrodes, empty series) is written with pynwb, the samples are then appended with h5py, so
that memory stays flat; events, units and our own record come last. pynwb takes a tenth of a second, in a thread of its
own, beside the reading of the first block; the structure lies before the samples, so that a cut file still opens.
Samples are stored uncompressed (disks are cheap and reads stay fast) unless the header's options name a compression.

Amplifier samples are float32 microvolts with ``conversion`` 1e-6, or int16 counts with their gain where the source
gives counts. A recording without gaps has a rate and a start, one with gaps a timestamp per sample.
"""

from __future__ import annotations

from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import CapabilityError, OutputError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.recordings.ahead import begun
from ranvier.recordings.block import Block
from ranvier.recordings.channels import TYPE_ORDER
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.formats.hdf5_output import Hdf5Output, guarded
from ranvier.recordings.formats.hdf5_rows import GrowingRows
from ranvier.recordings.formats.nwb_own import SCRATCH_NAME, rate_to_json, table_to_json
from ranvier.recordings.formats.nwb_skeleton import SERIES, append_tables, start_time, to_json, write_skeleton
from ranvier.recordings.sink import Sink

_STAMP_ROWS = 1 << 18


@dataclass
class _Series:
    """A series being written: its columns of the recording, its dataset (GrowingRows)."""

    kind: SignalType
    first: int
    count: int
    rows: Any = None

    @property
    def path(self) -> str:
        return f"/acquisition/{SERIES[self.kind]}"


class NwbSink(Sink):
    """Writes one NWB file; see the module."""

    file_type: ClassVar[RadiensFileType] = RadiensFileType.NWB
    suffixes: ClassVar[tuple[str, ...]] = (".nwb",)

    _structure: Future[None] | None = None
    _output: Hdf5Output | None = None

    def final_paths(self) -> list[Path]:
        """Return the one file."""
        return [self.destination.with_name(self.destination.name + ".nwb")]

    def _open(self) -> None:
        channels = self.header.channels
        if not channels.count(SignalType.AMP):
            raise CapabilityError(f"{self.destination}: NWB output needs at least one amplifier channel")
        self._events: list[Events] = []
        self._trains: dict[str, SpikeTrains] = {}
        self._rows = 0
        self._count_gains: npt.NDArray[np.float64] | None = None
        self._series = [
            _Series(kind, int(channels.columns_of(kind)[0]), channels.count(kind))
            for kind in TYPE_ORDER
            if channels.count(kind)
        ]
        self._temporary = self.staged.path(self._final)
        self._structure = begun(lambda: write_skeleton(self._temporary, self.header))

    @property
    def _final(self) -> Path:
        return self.final_paths()[0]

    def _open_structure(self) -> Hdf5Output:
        """Return the file; the first time wait for its structure, and open it. OutputError where it is finished."""
        if self._output is None:
            structure, self._structure = self._structure, None
            if structure is None:
                raise OutputError(f"{self._final} is finished; open a new output")
            structure.result()
            self._output = Hdf5Output(self._temporary, "r+")
        return self._output

    def write(self, block: Block) -> None:
        """Append a block; OutputError where the disk refuses it."""
        self._admit(block)
        if not len(block):
            return
        with guarded(self._final):
            output = self._open_structure()
            if self._series[0].rows is None:
                self._create_datasets(output, block)
            stop = self._rows + len(block)
            for series in self._series:
                series.rows.append(self._values(series, block))
            self._rows = stop
            output.check()

    def write_events(self, events: Events) -> None:
        """Add events, in counters of this output."""
        self._events.append(events)

    def write_spike_trains(self, name: str, trains: SpikeTrains) -> None:
        """Add spike trains as a Units table."""
        if name in self._trains:
            raise OutputError(f"{self._final}: spike trains {name!r} were written already")
        self._trains[name] = trains

    def commit(self) -> Path:
        """Write timing, tables and our own record; flush; give the file its name."""
        with guarded(self._final):
            for series in self._series:
                if series.rows is not None:
                    series.rows.finish()
            self._write_timing(self._open_structure().file)
            self._close()
            places: dict[str, str] = {}
            if self._trains or any(len(e) for e in self._events):
                events = Events.merge(*self._events)
                places = append_tables(self._temporary, self.header, events, self._trains)
            self._write_record(places)
        self.staged.commit([self._final])
        return self._final

    def abort(self) -> None:
        """Remove everything that was written."""
        for series in getattr(self, "_series", ()):
            if series.rows is not None:
                series.rows.discard()
        with suppress(OSError, RuntimeError, ValueError):
            self._close()
        super().abort()

    def _create_datasets(self, output: Hdf5Output, block: Block) -> None:
        """Replace the empty datasets of the skeleton by ones of the type that the first block has."""
        counts = self._counts_of(block)
        for series in self._series:
            group = output.file[series.path]
            attributes = dict(group["data"].attrs)
            del group["data"]
            dtype: Any = np.float32 if series.kind in (SignalType.AMP, SignalType.AIN) else np.int8
            if series.kind == SignalType.AMP and counts is not None:
                dtype = np.int16
            compression = self.header.options.compression
            series.rows = GrowingRows(
                output, group, "data", series.count, dtype, compression=compression, attributes=attributes
            )
        if counts is not None:
            self._describe_counts(output.file, *counts)

    def _counts_of(self, block: Block) -> tuple[npt.NDArray[np.float64], float] | None:
        """Return gains and the offset of amplifier counts in uV; None where they must be stored as float32."""
        if block.gain is None or block.offset is None:
            return None
        amplifier = slice(self._series[0].first, self._series[0].first + self._series[0].count)
        gains, offsets = block.gain[amplifier], block.offset[amplifier]
        return (gains, float(offsets[0])) if np.all(offsets == offsets[0]) else None

    def _describe_counts(self, file: Any, gains: npt.NDArray[np.float64], offset: float) -> None:
        self._count_gains = gains
        data = self._series[0].rows.dataset
        data.attrs["offset"] = float(Decimal(repr(offset)).scaleb(-6))
        if np.all(gains == gains[0]):
            data.attrs["conversion"] = float(Decimal(repr(float(gains[0]))).scaleb(-6))
            return
        factors = file[self._series[0].path].create_dataset("channel_conversion", data=gains)
        factors.attrs["axis"] = np.int32(1)

    def _values(self, series: _Series, block: Block) -> npt.NDArray[Any]:
        columns = slice(series.first, series.first + series.count)
        if series.kind == SignalType.AMP and self._count_gains is not None:
            if block.gain is None or not np.array_equal(block.gain[columns], self._count_gains):
                raise OutputError(f"{self._final}: blocks changed from counts to other values in mid-stream")
            return block.samples[:, columns]
        part = block.samples[:, columns]
        if block.gain is not None and block.offset is not None:
            part = (part * block.gain[columns] + block.offset[columns]).astype(np.float32)
        if series.rows.dataset.dtype == np.int8:
            return (part > 0.5).astype(np.int8)
        return part

    def _write_timing(self, file: Any) -> None:
        """Give every series a start and a rate, or timestamps where there are gaps."""
        segments = self.segments
        fs = float(self.header.fs)
        start = segments.start if segments.rows else self.header.start
        for series in self._series:
            group = file[series.path]
            if not segments.missing:
                group["starting_time"][()] = start / fs
                group["starting_time"].attrs["rate"] = fs
                continue
            del group["starting_time"]
            if series is not self._series[0]:
                import h5py

                group["timestamps"] = h5py.SoftLink(f"{self._series[0].path}/timestamps")
                continue
            stamps = group.create_dataset("timestamps", (self._rows,), np.float64)
            stamps.attrs.update({"interval": np.int32(1), "unit": "seconds"})
            row = 0
            for counter, n in segments.runs():
                for a in range(0, n, _STAMP_ROWS):
                    k = min(_STAMP_ROWS, n - a)
                    stamps[row : row + k] = (counter + a + np.arange(k)) / fs
                    row += k

    def _write_record(self, places: dict[str, str]) -> None:
        header = self.header
        segments = self.segments
        record = {
            "version": 1,
            "simulated": header.simulated,
            "walltime_known": start_time(header) is not None,
            "provenance": header.provenance,
            "extra": dict(header.extra),
            "spike_trains": places,
            "streams": {
                self._series[0].path: {
                    "fs": rate_to_json(header.fs),
                    "runs": segments.runs(),
                    "parts": [{"path": f"{s.path}/data", "first": s.first, "count": s.count} for s in self._series],
                    **table_to_json(header.channels),
                }
            },
        }
        with Hdf5Output(self._temporary, "r+") as output:
            output.file[f"scratch/{SCRATCH_NAME}"][()] = to_json(record)

    def _close(self) -> None:
        structure, self._structure = self._structure, None
        if structure is not None:
            wait([structure])
        output, self._output = self._output, None
        for series in getattr(self, "_series", ()):
            series.rows = None
        if output is not None:
            output.close()
