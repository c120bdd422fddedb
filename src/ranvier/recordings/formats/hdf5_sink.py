"""Writer of our HDF5 layout; the layout is described in :mod:`ranvier.recordings.formats.hdf5`."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ranvier._version import __version__
from ranvier.exceptions import OutputError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.block import Block
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.formats.hdf5_output import Hdf5Output, guarded
from ranvier.recordings.formats.hdf5_rows import GrowingRows, check_compression
from ranvier.recordings.formats.hdf5_tables import fixed_text, write_channels, write_events, write_spike_trains
from ranvier.recordings.sink import Sink

FORMAT_MARK = "ranvier recording"
LAYOUT_VERSION = 1


class Hdf5Sink(Sink):
    """Writes one HDF5 file: int16 counts where blocks hold counts, else float32 in physical units."""

    file_type: ClassVar[RadiensFileType] = RadiensFileType.HDF5
    suffixes: ClassVar[tuple[str, ...]] = (".h5", ".hdf5")

    _output: Hdf5Output | None = None
    _samples: GrowingRows | None = None

    def final_paths(self) -> list[Path]:
        """Return the one file."""
        return [self.destination.with_name(self.destination.name + ".h5")]

    @property
    def _final(self) -> Path:
        return self.final_paths()[0]

    @property
    def _opened(self) -> Hdf5Output:
        if self._output is None:
            raise OutputError(f"{self._final} is finished; open a new output")
        return self._output

    @property
    def _file(self) -> Any:
        return self._opened.file

    def _open(self) -> None:
        check_compression(self.header.options.compression)
        self._events: list[Events] = []
        self._trains: dict[str, SpikeTrains] = {}
        self._gain: npt.NDArray[np.float64] | None = None
        self._offset: npt.NDArray[np.float64] | None = None
        with guarded(self._final):
            self._output = Hdf5Output(self.staged.path(self._final), "w")
            self._write_head()

    def write(self, block: Block) -> None:
        """Append a block; OutputError where the disk refuses it."""
        self._admit(block)
        if not len(block):
            return
        with guarded(self._final):
            if self._samples is None:
                self._samples = self._create_samples(block)
            elif not _same(block.gain, self._gain) or not _same(block.offset, self._offset):
                raise OutputError(f"{self._final}: blocks changed from counts to other values in mid-stream")
            self._samples.append(block.samples)
            if self._output is not None:
                self._output.check()

    def write_events(self, events: Events) -> None:
        """Add events, in counters of this output."""
        self._events.append(events)

    def write_spike_trains(self, name: str, trains: SpikeTrains) -> None:
        """Add spike trains under a name."""
        if name in self._trains:
            raise OutputError(f"{self._final}: spike trains {name!r} were written already")
        self._trains[name] = trains

    def commit(self) -> Path:
        """Write gap table, events and spikes; flush; give the file its name."""
        with guarded(self._final):
            if self._samples is None:
                self._samples = self._create_samples(Block(np.empty((0, len(self.header.channels)), np.float32), 0))
            self._samples.finish()
            segments = self.segments
            self._file["runs"] = np.array(segments.runs(), np.int64).reshape(-1, 2)
            self._file.attrs["start"] = np.int64(segments.start if segments.rows else self.header.start)
            walltime = self.first_walltime
            self._file.attrs["walltime"] = fixed_text("" if walltime is None else walltime.isoformat())
            write_events(self._file.create_group("events"), Events.merge(*self._events))
            spikes = self._file.create_group("spike_trains")
            for i, (name, trains) in enumerate(self._trains.items()):
                write_spike_trains(spikes.create_group(str(i)), name, trains)
            self._close()
        self.staged.commit([self._final])
        return self._final

    def abort(self) -> None:
        """Remove everything that was written."""
        if self._samples is not None:
            self._samples.discard()
        with suppress(OSError, RuntimeError, ValueError):
            self._close()
        super().abort()

    def _write_head(self) -> None:
        """Write what is known before the first sample, so that it stands at the front of the file."""
        header = self.header
        self._file.attrs.update(
            {
                "format": fixed_text(FORMAT_MARK),
                "version": LAYOUT_VERSION,
                "written_by": fixed_text(f"Ranvier {__version__}"),
                "fs_hz": float(header.fs),
                "fs_fraction": np.array([header.fs.numerator, header.fs.denominator], np.int64),
                "name": fixed_text(header.name),
                "uid": fixed_text(header.uid),
                "simulated": bool(header.simulated),
            }
        )
        write_channels(self._file.create_group("channels"), header.channels)
        for name, document in (("provenance", header.provenance), ("extra", dict(header.extra))):
            self._file[name] = fixed_text(json.dumps(document, ensure_ascii=False, default=str))

    def _create_samples(self, block: Block) -> GrowingRows:
        """Create the dataset of the samples; where they are counts, the channels get their gains and offsets."""
        self._gain, self._offset = block.gain, block.offset
        n = len(self.header.channels)
        group = self._file["channels"]
        group["gain"][:] = np.ones(n) if block.gain is None else block.gain
        group["offset"][:] = np.zeros(n) if block.offset is None else block.offset
        return GrowingRows(
            self._opened,
            self._file,
            "samples",
            n,
            np.float32 if block.gain is None else np.int16,
            compression=self.header.options.compression,
            attributes={"meaning": "physical = samples * channels/gain + channels/offset, in channels/unit"},
        )

    def _close(self) -> None:
        output, self._output, self._samples = self._output, None, None
        if output is not None:
            output.close()


def _same(a: npt.NDArray[np.float64] | None, b: npt.NDArray[np.float64] | None) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))
