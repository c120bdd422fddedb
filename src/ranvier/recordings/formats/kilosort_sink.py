"""Writing Kilosort-convention binaries; the layout is described in :mod:`ranvier.recordings.formats.kilosort`."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import CapabilityError, OutputError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.recordings.ahead import begun
from ranvier.recordings.block import Block
from ranvier.recordings.channel_json import channels_to_json
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.files import check_replaceable, writing
from ranvier.recordings.formats.raw_shape import DEFAULT_GAIN_UV
from ranvier.recordings.quantiser import Counts, Quantiser
from ranvier.recordings.sidecar import events_to_json, json_bytes, npy_bytes
from ranvier.recordings.sink import Header, Sink

#: What the folder for the sorter holds; a sort that somebody ran in it is not replaced.
DESCRIPTIONS = (
    "params.py", "channel_map.npy", "channel_positions.npy", "channel_shanks.npy", "chanMap.mat", "probe.json"
)  # fmt: skip
#: Vertical distance that stands for "unknown" where no channel has a site, in um.
ASSUMED_PITCH_UM = 20.0


def sidecar_of(data: Path) -> Path:
    """Return the file that says what a ``.bin`` holds."""
    return data.with_name(data.name + ".json")


def description_folder(destination: Path) -> Path:
    """Return the folder for the sorter, beside ``dir/base``."""
    return destination.with_name(destination.name + "_kilosort")


class KilosortSink(Sink):
    """Writes the amplifier channels as int16 counts of 0.195 uV, rounded half to even, saturated at +-6.39 mV."""

    file_type: ClassVar[RadiensFileType] = RadiensFileType.KILOSORT2
    suffixes: ClassVar[tuple[str, ...]] = (".bin",)

    def __init__(self, destination: Path, header: Header, *, force: bool = False) -> None:
        self._bin = destination.with_name(destination.name + ".bin")
        self._folder = description_folder(destination)
        self._columns = header.channels.columns_of(SignalType.AMP)
        if not len(self._columns):
            raise OutputError(f"{self._bin}: a Kilosort file holds amplifier channels, and there are none to write")
        n = len(self._columns)
        self._quantiser = Quantiser(
            None if n == len(header.channels) else self._columns, np.full(n, DEFAULT_GAIN_UV), np.zeros(n)
        )
        self._events: list[Events] = []
        super().__init__(destination, header, force=force)

    def final_paths(self) -> list[Path]:
        """Return the samples, the sidecar and the folder for the sorter."""
        return [self._bin, sidecar_of(self._bin), self._folder]

    def _open(self) -> None:
        check_replaceable(self._folder, DESCRIPTIONS)
        self._data = self.staged.open_stream(self._bin)
        self._described = begun(lambda: _Description.of(self.header, self._columns, self._bin.name))

    @property
    def quantiser(self) -> Quantiser:
        """What makes counts of the blocks that are written."""
        return self._quantiser

    def write(self, block: Block) -> None:
        """Append the amplifier columns; a gap before the block is filled with zeros."""
        missing = self._admit(block)
        counts = self._quantiser.counts(block)
        own = not np.may_share_memory(counts.samples, block.samples)
        self._append(counts, missing, lent=self.lent or own)

    def write_counts(self, counts: Counts) -> None:
        """Append what the quantiser made of a block, whose memory does not change any more."""
        self._append(counts, self._admit_rows(counts.start, len(counts.samples), counts.samples.nbytes), lent=True)

    def _append(self, counts: Counts, missing: int, *, lent: bool) -> None:
        with writing(self._bin):
            if missing:
                self._data.skip(missing * len(self._columns) * 2)
            self._data.write(counts.samples.data, lent=lent)
        self.clipped_samples += counts.clipped
        self.unknown_samples += counts.unknown

    def write_events(self, events: Events) -> None:
        """Keep events in the sidecar."""
        self._events.append(events)

    def write_spike_trains(self, name: str, trains: SpikeTrains) -> None:
        """Refuse: a sorter's input has no spikes."""
        raise CapabilityError(
            f"{self._bin}: spike trains ({name}) cannot be stored in a Kilosort binary; use NWB or XDAT"
        )

    def commit(self) -> Path:
        """Write the folder and the sidecar, flush everything, give the final names; return the ``.bin``."""
        if not self._runs:
            raise OutputError(f"{self._bin}: nothing was written, so there is nothing to finish")
        described = self._described.result()
        folder = self.staged.path(self._folder)
        with writing(self._folder):
            folder.mkdir()
            for name, content in described.files.items():
                (folder / name).write_bytes(content)
        self.staged.write_bytes(sidecar_of(self._bin), json_bytes(self._document(described.channels)))
        self.staged.commit([self._bin, self._folder, sidecar_of(self._bin)])
        return self._bin

    def _document(self, channels: dict[str, Any]) -> dict[str, Any]:
        header, segments = self.header, self.segments
        walltime = self.first_walltime
        document: dict[str, Any] = {
            "made_for": "kilosort",
            "version": 1,
            "fs": [header.fs.numerator, header.fs.denominator],
            "num_channels": len(self._columns),
            "dtype": "int16",
            "gain_uv": DEFAULT_GAIN_UV,
            "offset_uv": 0.0,
            "start": segments.start,
            "runs": segments.runs(),
            "missing_samples": segments.missing,
            "clipped_samples": self.clipped_samples,
            "unknown_samples": self.unknown_samples,
            "walltime": None if walltime is None else walltime.isoformat(),
            "name": header.name,
            "uid": header.uid,
            "simulated": header.simulated,
            "provenance": None if header.provenance is None else dict(header.provenance),
            "channels": channels,
        }
        events = Events.merge(*self._events)
        if len(events):
            document["events"] = events_to_json(events)
        return document


@dataclass(frozen=True)
class _Description:
    """What does not depend on the samples: the files for the sorter, by name, and the channels of the sidecar."""

    files: dict[str, bytes]
    channels: dict[str, Any]

    @classmethod
    def of(cls, header: Header, columns: npt.NDArray[np.int64], data_name: str) -> _Description:
        """Describe those columns of an output; the first time in a process it takes SciPy a while."""
        channels = header.channels.take(columns)
        stored = channels.with_channels(replace(c, gain=DEFAULT_GAIN_UV, offset=0.0) for c in channels)
        return cls(dict(_descriptions(channels, data_name, header.fs)), channels_to_json(stored))


@dataclass(frozen=True)
class _Layout:
    """Where the channels lie, as a sorter sees it: only ``connected`` ones are sorted."""

    x_um: npt.NDArray[np.float64]
    y_um: npt.NDArray[np.float64]
    shank: npt.NDArray[np.int32]
    connected: npt.NDArray[np.bool_]


def _layout(channels: ChannelTable) -> _Layout:
    """Return positions; without any site one column is assumed, and channels without one are not connected."""
    sites = [c.site for c in channels]
    n = len(sites)
    has_site = np.array([s is not None for s in sites])
    selected = np.array([c.selected for c in channels])
    if not has_site.any():
        has_site[:] = True
        x, y = np.zeros(n), np.arange(n, dtype=np.float64) * ASSUMED_PITCH_UM
    else:
        x = np.array([0.0 if s is None else s.x_um for s in sites], dtype=np.float64)
        y = np.array([0.0 if s is None else s.y_um for s in sites], dtype=np.float64)
    connected = has_site & selected
    shank = np.array([c.shank for c in channels], dtype=np.int32)
    return _Layout(x, y, shank, connected if connected.any() else has_site)


def _descriptions(channels: ChannelTable, data_name: str, fs: Fraction) -> Iterable[tuple[str, bytes]]:
    """Yield name and content of each file for the sorter."""
    layout = _layout(channels)
    used = np.flatnonzero(layout.connected)
    positions = np.stack((layout.x_um[used], layout.y_um[used]), axis=1)
    yield "params.py", _params(data_name, len(channels), fs)
    yield "channel_map.npy", npy_bytes(used.astype(np.int32))
    yield "channel_positions.npy", npy_bytes(positions)
    yield "channel_shanks.npy", npy_bytes(layout.shank[used])
    yield "chanMap.mat", _channel_map_mat(layout, fs)
    probe = {
        "chanMap": used.tolist(),
        "xc": layout.x_um[used].tolist(),
        "yc": layout.y_um[used].tolist(),
        "kcoords": layout.shank[used].tolist(),
        "n_chan": len(used),
    }
    yield "probe.json", json_bytes(probe)


def _params(data_name: str, num_channels: int, fs: Fraction) -> bytes:
    return (
        f"dat_path = {'../' + data_name!r}\n"
        f"n_channels_dat = {num_channels}\n"
        "dtype = 'int16'\n"
        "offset = 0\n"
        f"sample_rate = {float(fs)!r}\n"
        "hp_filtered = False\n"
    ).encode()


def _channel_map_mat(layout: _Layout, fs: Fraction) -> bytes:
    """Return the MATLAB file of Kilosort 2 and 3: all channels, 1-based, with a mask of those that are connected."""
    from scipy.io import savemat

    n = len(layout.x_um)
    column = {
        "chanMap": np.arange(1, n + 1, dtype=np.float64),
        "chanMap0ind": np.arange(n, dtype=np.float64),
        "connected": layout.connected,
        "xcoords": layout.x_um,
        "ycoords": layout.y_um,
        "kcoords": layout.shank + 1.0,
    }
    buffer = io.BytesIO()
    savemat(buffer, {**{key: value[:, None] for key, value in column.items()}, "fs": float(fs)})
    return buffer.getvalue()
