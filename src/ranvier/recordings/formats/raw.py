"""Headerless binary files: rows of interleaved channels whose shape somebody states.

``open_raw(path, fs, num_channels)``, or ``open_session(path)`` where a sidecar states it
(:mod:`ranvier.recordings.formats.raw_shape`). Without either nothing can be known, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from ranvier.exceptions import ConfigurationError, NotARecordingError, RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings.channels import ChannelTable, plain_channels
from ranvier.recordings.flat import FlatFile, FlatRecording
from ranvier.recordings.format import Format
from ranvier.recordings.formats.raw_shape import DTYPES, Shape, assumed_gain_uv, load_sidecar, shape_from, sidecars
from ranvier.recordings.segments import Segments
from ranvier.recordings.session import Session

NAME = "headerless binary"
#: Suffixes under which such files are common; with another one, a sidecar must stand beside it.
SUFFIXES: tuple[str, ...] = (".bin", ".dat", ".raw", ".i16")


class RawRecording(FlatRecording):
    """A headerless file as one gap-free stream; ``refresh`` follows it while it grows."""

    def refresh(self) -> int:
        """Look how many whole rows the file holds now; return the new ``stop``."""
        self.segments = Segments.single(self._first, max(self.segments.rows, self.file.rows()))
        return self.stop

    @property
    def _first(self) -> int:
        return self.segments.start


def open_raw(
    path: str | Path,
    fs: float | Fraction,
    num_channels: int,
    *,
    gain_uv: float | None = None,
    offset_uv: float = 0.0,
    dtype: str = "int16",
    header_bytes: int = 0,
    start: int = 0,
    channels: ChannelTable | None = None,
) -> Session:
    """Open a headerless file of amplifier channels whose shape the caller knows.

    Parameters
    ----------
    fs
        Samples per second.
    gain_uv, offset_uv
        uV = gain_uv * count + offset_uv. Without a gain 0.195 is assumed (float32: 1), and a note says so.
    dtype
        int16, uint16, int32 or float32, little endian.
    header_bytes
        Bytes to skip at the start.
    start
        Sample counter of the first row.
    channels
        One entry per column, instead of ``num_channels`` amplifier channels without geometry. Gains and offsets are
        then those of the table.

    Raises
    ------
    ConfigurationError
        If the stated shape cannot be meant.
    RecordingError
        If the file is missing or holds not one whole sample.
    """
    target = Path(path).expanduser()
    if dtype not in DTYPES:
        raise ConfigurationError(f"dtype {dtype!r} is not one of {', '.join(DTYPES)}")
    if num_channels < 1 or fs <= 0 or gain_uv == 0 or header_bytes < 0:
        raise ConfigurationError(
            f"{target}: a shape of {num_channels} channels at {float(fs):g} Hz with {gain_uv} uV per count behind "
            f"{header_bytes} bytes cannot be meant"
        )
    gain = assumed_gain_uv(dtype) if gain_uv is None else gain_uv
    assumed = gain_uv is None and channels is None
    shape = Shape(Fraction(fs), num_channels, DTYPES[dtype], gain, offset_uv, header_bytes, start, assumed)
    return session_of(target, shape, channels)


def session_of(path: Path, shape: Shape, channels: ChannelTable | None = None, *, notes: Sequence[str] = ()) -> Session:
    """Open a file of a stated shape; ``notes`` are said with those about its size."""
    if not path.is_file():
        raise RecordingError(f"{path} does not exist")
    file = FlatFile(path, shape.dtype, shape.num_channels, shape.header_bytes)
    rows = file.rows()
    if rows == 0:
        raise RecordingError(
            f"{path} holds {path.stat().st_size} bytes: not one sample of {shape.num_channels} channels "
            f"behind {shape.header_bytes} bytes"
        )
    said = list(notes)
    if file.leftover_bytes():
        said.append(
            f"{path.name} ends in the middle of a sample ({file.leftover_bytes()} bytes are left out): "
            f"truncated, or not {shape.num_channels} channels"
        )
    if shape.gain_is_assumed:
        said.append(f"the gain is not stated: {shape.gain_uv:g} uV per count assumed")
    table = channels_of(shape) if channels is None else channels
    recording = RawRecording(
        file, fs=shape.fs, channels=table, segments=Segments.single(shape.start, rows), notes=tuple(said)
    )
    return Session(
        path=path,
        file_type=RadiensFileType.KILOSORT2,
        format=NAME,
        streams={"": recording},
        notes=recording.notes,
    )


def detect(path: Path) -> Path | None:
    """Return headerless files that have a sidecar, and others of their suffixes: to say how to state the shape."""
    if not path.is_file() or path.suffix in (".json", ".yaml", ".yml"):
        return None
    if any(s.is_file() for s in sidecars(path)):
        return path
    return path if path.suffix.lower() in SUFFIXES and path.stat().st_size else None


def open_stated(path: Path) -> Session:
    """Open a file whose shape a sidecar states; NotARecordingError says how to state it where none does."""
    for sidecar in sidecars(path):
        if sidecar.is_file():
            shape = shape_from(load_sidecar(sidecar), sidecar)
            return session_of(path, shape, _named_channels(shape, sidecar))
    raise NotARecordingError(
        f"{path} is a binary file that does not say what it holds; state its shape: "
        f"ranvier.recordings.formats.raw.open_raw(path, fs, num_channels), or write {sidecars(path)[1].name} beside "
        f"it with the lines 'fs: 30000', 'num_channels: 64', 'gain_uv: 0.195'"
    )


def files_of(path: Path) -> list[Path]:
    """Return the file and its sidecars."""
    return [p for p in (path, *sidecars(path)) if p.is_file()]


FORMAT = Format(
    name=NAME,
    file_type=RadiensFileType.KILOSORT2,
    suffixes=SUFFIXES,
    detect=detect,
    open=open_stated,
    files=files_of,
    base_name=lambda path: path.stem,
)


def channels_of(shape: Shape) -> ChannelTable:
    """Return the amplifier channels of a stated shape, without sites."""
    source = "assumed" if shape.gain_is_assumed else "user"
    table = plain_channels(amp=shape.num_channels, unit_source=source)
    return table.with_channels(replace(c, gain=shape.gain_uv, offset=shape.offset_uv) for c in table)


def _named_channels(shape: Shape, sidecar: Path) -> ChannelTable:
    table = channels_of(shape)
    names = shape.document.get("channel_names")
    if names is None:
        return table
    if not isinstance(names, list) or len(names) != len(table):
        raise RecordingError(f"{sidecar}: channel_names must list {len(table)} names")
    return table.with_channels(replace(c, name=str(n), ntv_name=str(n)) for c, n in zip(table, names, strict=True))
