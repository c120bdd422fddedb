"""The files of the Open Ephys format before the binary one: ``.continuous``, ``.events``, ``.spikes``, messages.

Each begins with 1024 bytes of text, ``header.key = value;``. A ``.continuous`` file holds one channel in records of
1024 samples: int64 counter, uint16 samples, uint16 recording, int16 big endian samples, ten bytes 0-8, 255.
Source: https://open-ephys.github.io/gui-docs/User-Manual/Recording-data/Open-Ephys-format.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.flat import FlatFile

HEADER_BYTES = 1024
RECORD_SAMPLES = 1024
RECORD_BYTES = 12 + 2 * RECORD_SAMPLES + 10
_MARKER = bytes([*range(9), 255])
_MAGIC = b"header.format = 'Open Ephys Data Format'"
_FIELD = re.compile(r"header\.(\w+)\s*=\s*('?)(.*?)\2\s*;")
_MESSAGE = re.compile(r"^(-?\d{1,18})[,\s]\s*(.*)$")
#: Lines of messages.events that tell when the recording started, not what somebody wrote.
_START = re.compile(r"(Software time|Start Time for|Processor:.*start time)", re.IGNORECASE)
_TTL = 3
_SPIKES = (2, 4)
_EVENT = np.dtype(
    [
        ("counter", "<i8"),
        ("position", "<i2"),
        ("type", "u1"),
        ("processor", "u1"),
        ("state", "u1"),
        ("line", "u1"),
        ("recording", "<u2"),
    ]
)
#: A spike of this many channels or points is damage.
_MOST_CHANNELS, _MOST_POINTS = 64, 4096
#: Larger files of messages or edges are damage.
_MOST_BYTES = 1 << 28
#: Spikes that are read at once.
_CHUNK_RECORDS = 1 << 13


def is_legacy(path: Path) -> bool:
    """Return whether a file begins as such files do."""
    try:
        with open(path, "rb") as handle:
            return handle.read(len(_MAGIC)) == _MAGIC
    except (OSError, ValueError):
        return False


def read_header(path: Path) -> dict[str, str]:
    """Return the fields of the header; RecordingError where there is none."""
    try:
        with open(path, "rb") as handle:
            text = handle.read(HEADER_BYTES)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(text) < HEADER_BYTES or not text.startswith(_MAGIC):
        raise RecordingError(f"{path}: its header is cut or damaged")
    return {key: value for key, _, value in _FIELD.findall(text.decode("utf-8", errors="replace"))}


@dataclass(frozen=True)
class ChannelFile:
    """One ``.continuous`` file."""

    path: Path
    header: dict[str, str]
    records: int

    @classmethod
    def open(cls, path: Path) -> ChannelFile:
        """Read the header and check the first record; RecordingError where it is none."""
        header = read_header(path)
        if header.get("blockLength", str(RECORD_SAMPLES)) != str(RECORD_SAMPLES):
            raise RecordingError(f"{path}: records of {header['blockLength'][:20]} samples are not what the format has")
        records = max(0, path.stat().st_size - HEADER_BYTES) // RECORD_BYTES
        if records:
            with open(path, "rb") as handle:
                handle.seek(HEADER_BYTES)
                record = handle.read(RECORD_BYTES)
            if record[8:10] != RECORD_SAMPLES.to_bytes(2, "little") or not record.endswith(_MARKER):
                raise RecordingError(f"{path}: its first record is damaged")
        return cls(path, header, records)

    @property
    def name(self) -> str:
        """Name of the channel, e.g. ``CH1``."""
        return self.header.get("channel", "")

    def number(self, key: str) -> float:
        """Return a positive number of the header."""
        try:
            value = float(self.header.get(key, ""))
        except ValueError:
            value = 0.0
        if not 0 < value < 1e15:
            raise RecordingError(f"{self.path}: {key} = {self.header.get(key, '')[:40]!r} is not a positive number")
        return value

    @property
    def left_over_bytes(self) -> int:
        """Bytes of a last record that is not complete."""
        return max(0, self.path.stat().st_size - HEADER_BYTES) % RECORD_BYTES


@dataclass(frozen=True)
class RecordPart:
    """Channels in one ``.continuous`` file each, as words: a :class:`WordSource` of 1024 rows per record."""

    files: tuple[FlatFile, ...]
    hold: int = 0

    @classmethod
    def of(cls, paths: list[Path]) -> RecordPart:
        """Take some files."""
        return cls(tuple(FlatFile(path, np.dtype("u1"), RECORD_BYTES, HEADER_BYTES) for path in paths))

    def rows(self) -> int:
        """Return how many samples every file holds."""
        return min(file.rows() for file in self.files) * RECORD_SAMPLES

    def tiles(
        self, start: int, stop: int, columns: npt.NDArray[np.int64]
    ) -> Iterator[tuple[int, npt.NDArray[np.int16], npt.NDArray[np.int64]]]:
        """Yield ``(row, words, where)`` of the rows ``[start, stop)``, whole records at a time."""
        used, where = np.unique(columns, return_inverse=True)
        n = 16  # records: opening files costs more than reading them
        raw = np.empty((n, RECORD_BYTES), np.uint8)
        words = np.empty((n * RECORD_SAMPLES, len(used)), np.int16)
        for record in range(start // RECORD_SAMPLES, -(-stop // RECORD_SAMPLES), n):
            m = min(n, -(-stop // RECORD_SAMPLES) - record)
            for i, column in enumerate(used.tolist()):
                self.files[column].read_into(record, raw[:m])
                samples = np.ascontiguousarray(raw[:m, 12 : 12 + 2 * RECORD_SAMPLES]).view(">i2")
                words[: m * RECORD_SAMPLES, i] = samples.reshape(-1)
            first, last = max(start, record * RECORD_SAMPLES), min(stop, (record + m) * RECORD_SAMPLES)
            tile = words[first - record * RECORD_SAMPLES : last - record * RECORD_SAMPLES]
            yield first, tile, where.astype(np.int64)


def read_ttl(path: Path) -> Events:
    """Return the TTL edges of an ``.events`` file; lines are 0-based, as stored."""
    read_header(path)
    events = _records(path, _EVENT)
    ttl = events[events["type"] == _TTL]
    return Events.ttl(_counters(ttl["counter"]), ttl["line"], (ttl["state"] != 0).astype(np.int8), source="TTL")


def read_messages(path: Path) -> tuple[Events, list[str]]:
    """Return the messages of a ``messages.events`` file, and its lines that tell when recordings started."""
    if path.stat().st_size > _MOST_BYTES:
        raise RecordingError(f"{path}: too large to be messages")
    found: list[tuple[int, str]] = []
    starts: list[str] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = _MESSAGE.match(line.strip())
        if match is None:
            continue
        if _START.match(match[2]):
            starts.append(line.strip())
        else:
            found.append((int(match[1]), match[2]))
    found.sort(key=lambda message: message[0])
    n = len(found)
    counters = np.array([c for c, _ in found], dtype=np.int64)
    none = np.full(n, -1, np.int32)
    return Events(counters, none, none.astype(np.int8), ("message",) * n, tuple(t for _, t in found)), starts


def read_spikes(path: Path) -> SpikeTrains:
    """Return the spikes of a ``.spikes`` file: counters, sorted ids (0: not sorted), waveforms in uV."""
    header = read_header(path)
    channels, points = _spike_shape(path, header)
    kind = np.dtype(
        [
            ("type", "u1"),
            ("counter", "<i8"),
            ("software", "<i8"),
            ("source", "<u2"),
            ("channels", "<u2"),
            ("points", "<u2"),
            ("sorted", "<u2"),
            ("electrode", "<u2"),
            ("channel", "<u2"),
            ("color", "u1", 3),
            ("components", "<f4", 2),
            ("rate", "<u2"),
            ("samples", "<u2", (channels, points)),
            ("gain", "<f4", channels),
            ("threshold", "<u2", channels),
            ("recording", "<u2"),
        ]
    )
    columns: list[list[npt.NDArray[Any]]] = []
    for chunk in _chunks(path, kind):
        whole = np.isin(chunk["type"], _SPIKES) & (chunk["channels"] == channels) & (chunk["points"] == points)
        kept = len(chunk) if whole.all() else int(np.argmin(whole))  # behind a damaged record nothing can be told
        columns.append([_counters(chunk["counter"][:kept]), chunk["sorted"][:kept], _microvolts(chunk[:kept])])
        if kept < len(chunk):
            break
    if not columns:
        columns = [[np.empty(0, np.int64), np.empty(0, np.uint16), np.empty((0, channels, points), np.float32)]]
    counters, units, waveforms = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    if np.any(np.diff(counters) < 0):
        order = np.argsort(counters, kind="stable")
        counters, units, waveforms = counters[order], units[order], waveforms[order]
    return SpikeTrains(counters, units.astype(np.int32), np.full(len(counters), -1, np.int32), waveforms)


def _microvolts(spikes: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return ``(samples - 32768) * 1000 / gain``: gains are stored in thousandths of counts per uV."""
    gain = np.where(spikes["gain"] > 0, spikes["gain"], np.nan).astype(np.float64)
    with np.errstate(over="ignore"):  # gains of damaged files
        scaled: npt.NDArray[np.float32] = (
            (spikes["samples"].astype(np.float64) - 32768) * (1000.0 / gain)[:, :, None]
        ).astype(np.float32)
    return scaled


def _chunks(path: Path, kind: np.dtype[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield the whole records behind the header, some at a time, so that only what is kept of them takes memory."""
    n = max(0, path.stat().st_size - HEADER_BYTES) // kind.itemsize
    for at in range(0, n, _CHUNK_RECORDS):
        yield np.fromfile(path, kind, min(_CHUNK_RECORDS, n - at), offset=HEADER_BYTES + at * kind.itemsize)


def _spike_shape(path: Path, header: dict[str, str]) -> tuple[int, int]:
    """Return channels and points of every spike: what the first record says, the header where there is none."""
    with open(path, "rb") as handle:
        handle.seek(HEADER_BYTES + 19)
        stored = handle.read(4)
    if len(stored) == 4:
        channels, points = int.from_bytes(stored[:2], "little"), int.from_bytes(stored[2:], "little")
    else:
        texts = [header.get(key, "1") for key in ("num_channels", "samplesPerSpike")]
        channels, points = (int(t) if t.isdigit() and len(t) < 9 else 0 for t in texts)
    if not (0 < channels <= _MOST_CHANNELS and 0 < points <= _MOST_POINTS):
        raise RecordingError(f"{path}: spikes of {channels} channels and {points} points; the file is damaged")
    return channels, points


def _records(path: Path, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return every whole record behind the header."""
    n = max(0, path.stat().st_size - HEADER_BYTES) // kind.itemsize
    if n * kind.itemsize > _MOST_BYTES:
        raise RecordingError(f"{path}: {n} records are more than can be read at once")
    return np.fromfile(path, kind, n, offset=HEADER_BYTES) if n else np.empty(0, kind)


def _counters(stored: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return counters that cannot overflow sums, whatever a damaged file holds."""
    return np.clip(stored, -(2**60), 2**60).astype(np.int64)
