"""Neuralynx files: 16 kB of text, then records. ``.ncs`` samples, ``.nev`` events, ``.nse`` and ``.ntt`` spikes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.chunked import StampColumn
from ranvier.recordings.flat import FlatFile
from ranvier.recordings.formats.counters import exact_rate

HEADER_BYTES = 16_384
RECORD_ROWS = 512
MICROSECONDS_HZ = 1_000_000
_MAGIC = b"######## Neuralynx"
#: Kind of file by the size of its records.
_KINDS = {1044: "ncs", 184: "nev", 112: "nse", 176: "nst", 304: "ntt"}
RECORD_BYTES = {kind: size for size, kind in _KINDS.items()}
#: Channels of a spike record.
SPIKE_CHANNELS = {"nse": 1, "nst": 2, "ntt": 4}

EVENT = np.dtype(
    [
        ("reserved", "<i2", (3,)),
        ("stamp", "<u8"),
        ("id", "<i2"),
        ("ttl", "<u2"),
        ("crc", "<i2", (3,)),
        ("extra", "<i4", (8,)),
        ("text", "S128"),
    ]
)


def read_text(path: Path) -> str | None:
    """Return the text of a Neuralynx file; None where it is none."""
    try:
        if not path.is_file():
            return None
        with open(path, "rb") as handle:
            head = handle.read(len(_MAGIC))
            if head != _MAGIC:
                return None
            return (head + handle.read(HEADER_BYTES - len(head))).split(b"\0", 1)[0].decode("latin-1")
    except OSError:
        return None


@dataclass(frozen=True)
class NlxFile:
    """One file: its properties by name (``-Name value`` lines)."""

    path: Path
    kind: str
    properties: dict[str, str]

    @classmethod
    def open(cls, path: Path) -> NlxFile | None:
        """Return the file, or None where it is no Neuralynx file of a kind that is read here."""
        text = read_text(path)
        if text is None:
            return None
        found = re.findall(r"^\s*-(\S+)[ \t]*(.*?)[ \t\r]*$", text, re.MULTILINE)
        properties = {name: value.strip('"') for name, value in found}
        suffix = path.suffix[1:].lower()
        kind = _KINDS.get(_whole(properties.get("RecordSize", ""))) or (suffix if suffix in RECORD_BYTES else None)
        return None if kind is None else cls(path, kind, properties)

    @property
    def record_bytes(self) -> int:
        """Bytes of a record."""
        return RECORD_BYTES[self.kind]

    @cached_property
    def records(self) -> int:
        """Whole records in the file."""
        return max(0, self.path.stat().st_size - HEADER_BYTES) // self.record_bytes

    @property
    def leftover_bytes(self) -> int:
        """Bytes behind the last whole record."""
        return max(0, self.path.stat().st_size - HEADER_BYTES) % self.record_bytes

    @property
    def stamps(self) -> StampColumn:
        """Time stamp of each record, in microseconds."""
        offset = 6 if self.kind == "nev" else 0
        return StampColumn(self.path, HEADER_BYTES + offset, self.record_bytes, "<u8")

    @property
    def valid(self) -> StampColumn:
        """How many of the 512 samples of each ``.ncs`` record were taken."""
        return StampColumn(self.path, HEADER_BYTES + 16, self.record_bytes, "<u4")

    @property
    def first_tick(self) -> int | None:
        """Time stamp of the first record."""
        return signed(self.stamps.at(np.zeros(1, np.int64)))[0].item() if self.records else None

    @cached_property
    def fs(self) -> Fraction:
        """Sampling rate: that of the header, else of the first record; RecordingError where there is none."""
        stated = self.properties.get("SamplingFrequency", "")
        try:
            rate = float(stated)
        except ValueError:
            rate = 0.0
        if not (math.isfinite(rate) and rate > 0) and self.kind == "ncs" and self.records:
            column = StampColumn(self.path, HEADER_BYTES + 12, self.record_bytes, "<u4")
            rate = float(column.at(np.zeros(1, np.int64))[0])
        return exact_rate(rate, where=str(self.path))

    @property
    def name(self) -> str:
        """Name of the channel."""
        return self.properties.get("AcqEntName") or self.path.stem

    def gains_uv(self, channels: int) -> list[float] | None:
        """Return microvolts per count of each channel, negative where the input was inverted; None where unknown."""
        try:
            volts = [float(v) for v in self.properties.get("ADBitVolts", "").split()]
        except ValueError:
            return None
        if not volts or not all(math.isfinite(v) and v != 0 for v in volts):
            return None
        sign = -1.0 if self.properties.get("InputInverted", "").lower() == "true" else 1.0
        return [sign * 1e6 * (volts[i] if i < len(volts) else volts[-1]) for i in range(channels)]

    def load(self, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """Return all records of a file of events or spikes."""
        out = np.empty((self.records, 1), dtype)
        if len(out):
            FlatFile(self.path, dtype, 1, HEADER_BYTES).read_into(0, out)
        return out[:, 0]


def spike_dtype(kind: str) -> np.dtype[Any]:
    """Return the record of a file of spikes: samples are (points, channels)."""
    return np.dtype(
        [
            ("stamp", "<u8"),
            ("channel", "<u4"),
            ("unit", "<u4"),
            ("features", "<i4", (8,)),
            ("samples", "<i2", (32, SPIKE_CHANNELS[kind])),
        ]
    )


def signed(ticks: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return stamps as int64; damaged ones beyond it as the largest that sums can bear."""
    clipped: npt.NDArray[np.int64] = np.minimum(ticks.astype(np.uint64), np.uint64(2**61)).astype(np.int64)
    return clipped


def files_in(folder: Path) -> list[NlxFile]:
    """Return the Neuralynx files of a folder, by name with numbers in order."""
    try:
        paths = sorted((p for p in folder.iterdir() if p.is_file()), key=_natural)
    except OSError:
        return []
    opened = [NlxFile.open(p) for p in paths if p.suffix[1:].lower() in RECORD_BYTES]
    return [f for f in opened if f is not None]


def require(path: Path) -> NlxFile:
    """Return a file; RecordingError where it is none."""
    file = NlxFile.open(path)
    if file is None:
        raise RecordingError(f"{path} is no Neuralynx file")
    return file


def _natural(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.name.lower())
    return [(1, int(p), "") if p.isdigit() and len(p) < 18 else (0, 0, p) for p in parts]


def _whole(text: str) -> int:
    return int(text) if text.isdigit() and len(text) < 10 else 0
