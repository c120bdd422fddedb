"""Raw float32 files as a Recording and a Sink: equal work for a comparison with SpikeInterface's binary format."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ranvier.models.dataset import RadiensFileType
from ranvier.recordings import Block, Events, Header, Recording, Segments, Sink, SpikeTrains, plain_channels
from ranvier.recordings.stream_file import StreamFile


class FlatRecording(Recording):
    def __init__(self, path: Path, channels: int, fs: Fraction) -> None:
        self.path, self.fs = path, fs
        self.channels = plain_channels(amp=channels)
        self.segments = Segments.single(0, path.stat().st_size // (4 * channels))
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115

    def _read_rows(self, start: int, stop: int, columns: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        assert len(columns) == out.shape[1] == len(self.channels)
        self._file.seek(start * 4 * len(self.channels))
        view = memoryview(out).cast("B")
        got = 0
        while got < len(view):
            n = self._file.readinto(view[got:])
            if not n:
                raise OSError("the file ends early")
            got += n

    def close(self) -> None:
        self._file.close()


class FlatSink(Sink):
    file_type: ClassVar[RadiensFileType] = RadiensFileType.KILOSORT2
    suffixes: ClassVar[tuple[str, ...]] = (".raw",)
    _file: StreamFile

    def __init__(self, destination: Path, header: Header, *, force: bool = False) -> None:
        super().__init__(destination, header, force=force)

    def final_paths(self) -> list[Path]:
        return [self.destination.with_suffix(".raw")]

    def _open(self) -> None:
        self._temporary = self.destination.with_suffix(".part")
        self._temporary.unlink(missing_ok=True)
        self._file = StreamFile(self._temporary)

    def write(self, block: Block) -> None:
        self._file.write(block.samples.data)

    def write_events(self, events: Events) -> None: ...

    def write_spike_trains(self, name: str, trains: SpikeTrains) -> None: ...

    def commit(self) -> Path:
        self._file.close()
        return self._temporary.replace(self.final_paths()[0])

    def abort(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
            self._temporary.unlink(missing_ok=True)
