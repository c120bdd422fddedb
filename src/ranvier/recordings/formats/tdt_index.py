"""The index of a TDT block (``.tsq``), and headers of ``.sev`` files.

Record (40 bytes): size in 4-byte words (this header's 10 included), type, store name, channel, sort code, unix time,
offset into the ``.tev`` (or the value itself), data format, sampling rate. The first record holds the size of the index
in bytes; records named 1 and 2 mark start and end of the block.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.flat import FlatFile
from ranvier.recordings.formats.counters import exact_rate

RECORD = np.dtype(
    [
        ("size", "<i4"),
        ("type", "<i4"),
        ("name", "S4"),
        ("channel", "<u2"),
        ("sort", "<u2"),
        ("time", "<f8"),
        ("offset", "<i8"),
        ("format", "<i4"),
        ("rate", "<f4"),
    ]
)
#: Kinds of records, after masking the bits that say how they were stored.
EPOC_ON, EPOC_OFF, SCALAR, STREAM, SNIP, MARK = 0x101, 0x102, 0x201, 0x8101, 0x8201, 0x8801
_KIND_MASK = 0xFF0F
DTYPES = {0: "<f4", 1: "<i4", 2: "<i2", 3: "<i1", 4: "<f8"}
_CLOCK_HZ = 25_000_000
_MOST_STORES = 512
_MOST_CHANNELS = 4096
_WORDS_OF_HEADER = 10

Records = npt.NDArray[Any]


def tdt_rate(rate_hz: float, where: str) -> Fraction:
    """Return the exact rate: 25 MHz over a whole number, where a four-byte rate stands for one."""
    plausible = exact_rate(rate_hz, single=True, where=where)
    divisor = round(_CLOCK_HZ / rate_hz)
    if 0 < divisor < 1 << 22 and np.float32(_CLOCK_HZ / divisor) == np.float32(rate_hz):
        return Fraction(_CLOCK_HZ, divisor)
    return plausible


@dataclass(frozen=True)
class TsqIndex:
    """The records of one block, by kind and store name.

    Attributes
    ----------
    start
        Unix time of the block's start.
    """

    path: Path
    start: float
    streams: dict[str, Records]
    snips: dict[str, Records]
    events: Records
    notes: tuple[str, ...]


def read_index(path: Path) -> TsqIndex:
    """Read a ``.tsq``; RecordingError where it cannot be one."""
    file = FlatFile(path, RECORD, 1)
    rows = file.rows()
    if rows < 2:
        raise RecordingError(f"{path} holds {rows} records; an index has at least two")
    notes = []
    if file.leftover_bytes():
        notes.append(f"{path.name} ends inside a record: {file.leftover_bytes()} bytes left over")
    kept: dict[int, list[Records]] = {STREAM: [], SNIP: [], SCALAR: []}
    starts: list[float] = []
    claimed = 0
    for row, tile in file.tiles(0, rows):
        records = tile[:, 0]
        kinds = records["type"] & _KIND_MASK
        if row == 0:
            claimed = int(records["size"][0])
        marks = records[(records["name"] == b"\x01") & (kinds == MARK)]
        starts += [float(t) for t in marks["time"] if np.isfinite(t) and t > 0]
        kept[STREAM].append(records[kinds == STREAM].copy())
        kept[SNIP].append(records[kinds == SNIP].copy())
        kept[SCALAR].append(records[np.isin(kinds, (EPOC_ON, EPOC_OFF, SCALAR))].copy())
    streams, snips, events = (np.concatenate(kept[kind]) for kind in (STREAM, SNIP, SCALAR))
    if claimed > rows * RECORD.itemsize:
        notes.append(f"{path.name} is truncated: {claimed // RECORD.itemsize - rows} of its records are lost")
    if not starts:
        times = np.concatenate([r["time"] for r in (streams, snips, events)])
        times = times[np.isfinite(times) & (times > 0)]
        if not len(times):
            raise RecordingError(f"{path}: no record has a time; it is damaged, or no TDT index")
        starts = [float(times.min())]
        notes.append(f"{path.name}: the block's start is not marked; times count from the first record")
    return TsqIndex(path, starts[0], _by_name(streams, path), _by_name(snips, path), events, tuple(notes))


def _by_name(records: Records, path: Path) -> dict[str, Records]:
    names = np.unique(records["name"])
    if len(names) > _MOST_STORES:
        raise RecordingError(f"{path} names {len(names)} stores; it is damaged")
    return {store_name(name): records[records["name"] == name] for name in names}


def store_name(raw: bytes) -> str:
    """Return the name of a store as text."""
    text = raw.rstrip(b"\0").decode("latin-1")
    return "".join(c if c.isprintable() and c not in "#/\\" else "_" for c in text) or "_"


def chunk_values(records: Records, itemsize: int) -> npt.NDArray[np.int64]:
    """Return how many values each record's data have."""
    sizes: npt.NDArray[np.int64] = (records["size"].astype(np.int64) - _WORDS_OF_HEADER) * 4 // itemsize
    return sizes


def dtype_of(records: Records, where: str) -> np.dtype[Any]:
    """Return the type of the values of a store; RecordingError where its records differ or it is unknown."""
    formats = np.unique(records["format"])
    if len(formats) != 1 or int(formats[0]) not in DTYPES:
        raise RecordingError(f"{where}: data formats {formats[:5].tolist()} cannot be read; the index is damaged")
    return np.dtype(DTYPES[int(formats[0])])


def channels_of(records: Records, where: str) -> list[int]:
    """Return the channel numbers of a store."""
    channels = np.unique(records["channel"]).tolist()
    if len(channels) > _MOST_CHANNELS:
        raise RecordingError(f"{where}: {len(channels)} channels; the index is damaged")
    return [int(c) for c in channels]


@dataclass(frozen=True)
class SevFile:
    """One ``.sev``: the samples of one channel of one store behind a header of 40 bytes."""

    path: Path
    store: str
    channel: int
    dtype: np.dtype[Any]
    fs: Fraction | None
    rows: int
    claimed_rows: int

    HEADER_BYTES = 40

    @classmethod
    def open(cls, path: Path) -> SevFile:
        """Read the header; RecordingError where it is none."""
        with open(path, "rb") as handle:
            head = handle.read(cls.HEADER_BYTES)
        if len(head) < cls.HEADER_BYTES or head[8:11] != b"SEV":
            raise RecordingError(f"{path} is no SEV file")
        claimed, _, version, raw, channel, _, _, _, form, decimate, power = struct.unpack("<Q3sB4sHHHHBBH", head[:28])
        named = re.search(r"_([^_]{1,4})_[cC]h(\d+)(?:-\d+h)?\.sev$", path.name)
        store = named.group(1) if named else store_name(raw if version >= 2 else raw[::-1])
        kind = form & 7 if version else 0
        if version > 3 or kind not in DTYPES:
            raise RecordingError(f"{path}: SEV version {version} with data format {kind} is not read by this version")
        dtype = np.dtype(DTYPES[kind])
        fs = None
        if version and decimate and power <= 16:
            fs = Fraction(_CLOCK_HZ * 2**power, 2**12 * decimate)
        rows = max(0, path.stat().st_size - cls.HEADER_BYTES) // dtype.itemsize
        claimed_rows = max(0, claimed - cls.HEADER_BYTES) // dtype.itemsize
        number = int(named.group(2)) if named else channel
        return cls(path, store, min(number, 65_535), dtype, fs, rows, min(claimed_rows, 1 << 48))
