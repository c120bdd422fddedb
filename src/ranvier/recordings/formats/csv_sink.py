"""Writer of our CSV layout; the layout is described in :mod:`ranvier.recordings.formats.csv_files`."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import OutputError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.recordings.block import Block
from ranvier.recordings.channel_json import channels_to_json
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.files import writing
from ranvier.recordings.formats.csv_head import EVENTS_MAGIC, MAGIC
from ranvier.recordings.sidecar import json_bytes, spike_trains_to_npz
from ranvier.recordings.sink import Sink

UNIT_TEXT = {SignalType.AMP: "uV", SignalType.AIN: "V", SignalType.DIN: "1", SignalType.DOUT: "1"}
#: Decimals that are tried in turn for a value; one that needs more is written with all its digits.
_DECIMALS = (3, 6, 9)


def sidecar_of(data: Path) -> Path:
    """Return the file that holds what a table of numbers cannot: channels with sites, provenance."""
    return data.with_name(data.name + ".json")


def events_of(data: Path) -> Path:
    """Return the table of events beside a ``base.csv``."""
    return data.with_name(data.name.removesuffix(".csv") + "_events.csv")


def spikes_of(data: Path) -> Path:
    """Return the spike trains beside a ``base.csv``."""
    return data.with_name(data.name.removesuffix(".csv") + "_spikes.npz")


class CsvSink(Sink):
    """Writes ``base.csv`` (every float32 comes back exactly), its sidecar, and events and spikes if there are any."""

    file_type: ClassVar[RadiensFileType] = RadiensFileType.CSV
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)

    def final_paths(self) -> list[Path]:
        """Return the table and what may stand beside it."""
        return [self._csv, sidecar_of(self._csv), events_of(self._csv), spikes_of(self._csv)]

    @property
    def _csv(self) -> Path:
        return self.destination.with_name(self.destination.name + ".csv")

    def _open(self) -> None:
        header = self.header
        if not len(header.channels):
            raise OutputError(f"{self._csv}: there are no channels to write")
        self._events: list[Events] = []
        self._trains: dict[str, SpikeTrains] = {}
        self._digital = header.channels.is_digital
        self._data = self.staged.open(self._csv)
        walltime = "" if header.walltime is None else header.walltime.isoformat()
        lines = [
            f"{MAGIC}, version 1",
            *(["# SIMULATED data, not a recording"] if header.simulated else []),
            f"# fs_hz = {header.fs}",
            f"# start = {header.start}",
            f"# walltime_of_start = {walltime}",
            f"# units = {','.join(['samples', *(UNIT_TEXT[c.type] for c in header.channels)])}",
            ",".join(["counter", *(_cell(c.name) for c in header.channels)]),
        ]
        with writing(self._csv):
            self._data.write(("\n".join(lines) + "\n").encode())

    def write(self, block: Block) -> None:
        """Append rows; OutputError where the disk refuses them."""
        self._admit(block)
        if len(block):
            with writing(self._csv):
                self._data.write(self._text(block).encode())

    def write_events(self, events: Events) -> None:
        """Keep events for the table beside."""
        self._events.append(events)

    def write_spike_trains(self, name: str, trains: SpikeTrains) -> None:
        """Keep spike trains for the file beside."""
        if name in self._trains:
            raise OutputError(f"{self._csv}: spike trains {name!r} were written already")
        self._trains[name] = trains

    def commit(self) -> Path:
        """Write what stands beside the table, flush, give the final names; return the ``.csv``."""
        events = Events.merge(*self._events)
        order = [self._csv]
        if len(events):
            self.staged.write_bytes(events_of(self._csv), events_text(events, float(self.header.fs)).encode())
            order.append(events_of(self._csv))
        if self._trains:
            self.staged.write_bytes(spikes_of(self._csv), spike_trains_to_npz(self._trains))
            order.append(spikes_of(self._csv))
        self.staged.write_bytes(sidecar_of(self._csv), json_bytes(self._document()))
        self.staged.commit([*order, sidecar_of(self._csv)], remove=self.final_paths())
        return self._csv

    def _text(self, block: Block) -> str:
        samples = block.physical()
        columns = [map(str, range(block.start, block.stop))]
        for i, digital in enumerate(self._digital):
            values = samples[:, i]
            if digital and np.all((values == 0) | (values == 1)):
                columns.append(map(str, values.astype(np.int8).tolist()))
            else:
                columns.append(map(repr, shortest(values).tolist()))
        return "\n".join(map(",".join, zip(*columns, strict=True))) + "\n"

    def _document(self) -> dict[str, Any]:
        header = self.header
        return {
            "made_for": "csv",
            "version": 1,
            "fs": [header.fs.numerator, header.fs.denominator],
            "runs": self.segments.runs(),
            "walltime": None if self.first_walltime is None else self.first_walltime.isoformat(),
            "name": header.name,
            "uid": header.uid,
            "simulated": header.simulated,
            "channels": channels_to_json(header.channels),
            "spike_trains": list(self._trains),
            "provenance": None if header.provenance is None else dict(header.provenance),
            "extra": dict(header.extra),
        }


def shortest(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return doubles that print with few digits and are still exactly these values when stored in single precision.

    They stay so where a reader's parser is off by two units in the last place of a double, as fast ones are.
    """
    exact = values.astype(np.float64)
    made = exact.copy()
    left = np.isfinite(exact)
    for decimals in _DECIMALS:
        rounded = np.round(exact, decimals)
        fits = left.copy()
        for nearby in (rounded * (1 - 2**-51), rounded, rounded * (1 + 2**-51)):
            fits &= nearby.astype(np.float32) == values
        made[fits] = rounded[fits]
        left &= ~fits
        if not left.any():
            break
    return made


def events_text(events: Events, fs_hz: float) -> str:
    """Return a table of events as CSV."""
    buffer = io.StringIO()
    buffer.write(f"{EVENTS_MAGIC}, version 1\n")
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(["counter", "seconds", "line", "state", "source", "text"])
    columns = (events.counter.tolist(), (events.counter / fs_hz).tolist(), events.line.tolist(), events.state.tolist())
    table.writerows(zip(*columns, events.source, events.text, strict=True))
    return buffer.getvalue()


def _cell(name: str) -> str:
    """Return a name without what would break the table; the sidecar has it as it is."""
    return "".join("_" if c in ',;"\t\r\n()[]#' else c for c in name)
