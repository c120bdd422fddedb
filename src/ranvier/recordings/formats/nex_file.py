"""Headers and tables of NeuroExplorer files: ``.nex`` (32-bit offsets) and ``.nex5``."""

from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RecordingError
from ranvier.recordings.formats.binary_header import exactly

NEX_MAGIC, NEX5_MAGIC = 827868494, 894977358
NEURON, EVENT, INTERVAL, WAVEFORM, POPULATION, CONTINUOUS, MARKER = range(7)

NEX5_HEADER = struct.Struct("<ii256sdqiQq56x")
NEX5_VARIABLE = struct.Struct("<ii64sQQiid32sddQdiiii60x")
_NEX_HEADER = struct.Struct("<ii256sdiii260x")
_NEX_VARIABLE = struct.Struct("<ii64sIiiiiiddddiiidd52x")
_MOST_VARIABLES = 100_000
_MOST_JSON_BYTES = 1 << 28


@dataclass(frozen=True)
class NexVariable:
    """One variable; ``gain`` and ``unit_offset`` turn stored values into ``units``."""

    kind: int
    name: str
    offset: int
    count: int
    points: int
    fs: float
    units: str
    gain: float
    unit_offset: float
    tick_bytes: int
    index_bytes: int
    value_dtype: np.dtype[Any]
    marker_is_number: bool
    marker_fields: int
    marker_length: int
    wire: int
    unit: int


@dataclass(frozen=True)
class NexFile:
    """One file: header, variables, and access to their tables."""

    path: Path
    version: int
    is_nex5: bool
    comment: str
    tick_hz: float
    variables: tuple[NexVariable, ...]
    meta_offset: int
    size: int

    @classmethod
    def open(cls, path: Path) -> NexFile:
        """Read header and variable headers; RecordingError names the file."""
        size = path.stat().st_size
        with open(path, "rb") as handle:
            (magic,) = struct.unpack("<i", exactly(handle, 4, path))
            handle.seek(0)
            if magic == NEX5_MAGIC:
                return _open_nex5(handle, path, size)
            if magic == NEX_MAGIC:
                return _open_nex(handle, path, size)
        raise RecordingError(f"{path} is no NeuroExplorer file")

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The JSON document of a ``.nex5``; empty where there is none, ``{"damaged": reason}`` where it is damaged."""
        if not 0 < self.meta_offset < self.size or self.size - self.meta_offset > _MOST_JSON_BYTES:
            return {"damaged": "it is not where the header says"} if self.meta_offset else {}
        with open(self.path, "rb") as handle:
            handle.seek(self.meta_offset)
            raw = handle.read(self.size - self.meta_offset)
        try:
            document = json.loads(raw.decode("utf-8").strip("\0 \r\n\t"))
        except (ValueError, RecursionError) as error:
            return {"damaged": str(error)}
        return document if isinstance(document, dict) else {"damaged": "it is no object"}

    def array(self, offset: int, dtype: npt.DTypeLike, count: int) -> npt.NDArray[Any]:
        """Return up to ``count`` values at a place of the file: fewer where it ends before."""
        kind = np.dtype(dtype)
        there = max(0, min(count, (self.size - offset) // kind.itemsize)) if 0 <= offset <= self.size else 0
        with open(self.path, "rb") as handle:
            handle.seek(min(offset, self.size))
            data = handle.read(there * kind.itemsize)
        return np.frombuffer(data[: len(data) // kind.itemsize * kind.itemsize], kind)

    def ticks(self, variable: NexVariable, part: int = 0) -> npt.NDArray[np.int64]:
        """Return time stamps: those of a variable, or with ``part=1`` the ends of its intervals."""
        size = variable.tick_bytes
        ticks = self.array(variable.offset + part * variable.count * size, f"<i{size}", variable.count)
        clipped: npt.NDArray[np.int64] = np.clip(ticks.astype(np.int64), -(2**53), 2**53)
        return clipped

    def fragments(self, variable: NexVariable) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
        """Return stamp and first value of each fragment of a continuous variable, and where its values begin."""
        at = variable.offset + variable.count * variable.tick_bytes
        first = self.array(at, f"<u{variable.index_bytes}", variable.count)
        indices = np.minimum(first.astype(np.uint64), np.uint64(2**53)).astype(np.int64)
        return self.ticks(variable), indices, at + variable.count * variable.index_bytes

    def marker_texts(self, variable: NexVariable) -> list[tuple[str, npt.NDArray[Any]]]:
        """Return name and values (text or numbers) of each field of a marker variable."""
        at = variable.offset + variable.count * variable.tick_bytes
        dtype = np.dtype("<u4") if variable.marker_is_number else np.dtype(f"S{max(1, variable.marker_length)}")
        fields = []
        for _ in range(variable.marker_fields):
            if at >= self.size:
                break
            name = self.array(at, "S64", 1)
            fields.append((text(bytes(name[0])) if len(name) else "", self.array(at + 64, dtype, variable.count)))
            at += 64 + variable.count * dtype.itemsize
        return fields

    def waveforms(self, variable: NexVariable, most_bytes: int) -> npt.NDArray[np.float32] | None:
        """Return ``(n, points)`` in the variable's units; None where they are too large or cut off."""
        n, points = variable.count, variable.points
        if n * points * 4 > most_bytes:
            return None
        values = self.array(variable.offset + n * variable.tick_bytes, variable.value_dtype, n * points)
        if len(values) < n * points:
            return None
        with np.errstate(over="ignore", invalid="ignore"):  # damaged values become infinite
            return (values.reshape(n, points) * variable.gain + variable.unit_offset).astype(np.float32)


def _open_nex5(handle: BinaryIO, path: Path, size: int) -> NexFile:
    fields = NEX5_HEADER.unpack(exactly(handle, NEX5_HEADER.size, path))
    _, version, comment, tick_hz, _, n, meta, _ = fields
    _check(tick_hz, n, NEX5_HEADER.size, NEX5_VARIABLE.size, size, path)
    made = []
    for _ in range(n):
        v = NEX5_VARIABLE.unpack(exactly(handle, NEX5_VARIABLE.size, path))
        is_float = v[6] == 1
        made.append(
            NexVariable(
                kind=v[0], name=text(v[2]), offset=v[3], count=v[4], tick_bytes=8 if v[5] == 1 else 4,
                value_dtype=np.dtype("<f4" if is_float else "<i2"), fs=v[7], units=text(v[8]),
                gain=1.0 if is_float else v[9], unit_offset=0.0 if is_float else v[10], points=v[11],
                marker_is_number=v[13] == 1, marker_fields=v[14], marker_length=v[15],
                index_bytes=8 if v[16] == 1 else 4, wire=0, unit=0,
            )
        )  # fmt: skip
    return NexFile(path, version, True, text(comment), tick_hz, _checked(made, size, path), meta, size)


def _open_nex(handle: BinaryIO, path: Path, size: int) -> NexFile:
    _, version, comment, tick_hz, _, _, n = _NEX_HEADER.unpack(exactly(handle, _NEX_HEADER.size, path))
    _check(tick_hz, n, _NEX_HEADER.size, _NEX_VARIABLE.size, size, path)
    made = []
    for _ in range(n):
        v = _NEX_VARIABLE.unpack(exactly(handle, _NEX_VARIABLE.size, path))
        made.append(
            NexVariable(
                kind=v[0], name=text(v[2]), offset=v[3], count=v[4], wire=v[5], unit=v[6], fs=v[11], gain=v[12],
                points=v[13], marker_fields=v[14], marker_length=v[15], unit_offset=v[16], units="mV", tick_bytes=4,
                index_bytes=4, value_dtype=np.dtype("<i2"), marker_is_number=False,
            )
        )  # fmt: skip
    return NexFile(path, version, False, text(comment), tick_hz, _checked(made, size, path), 0, size)


def _checked(variables: list[NexVariable], size: int, path: Path) -> tuple[NexVariable, ...]:
    """Refuse counts that cannot be meant: more than the file could hold a thousand times over is damage."""
    for v in variables:
        if v.kind not in range(7):
            raise RecordingError(f"{path}: variable {v.name!r} is of type {v.kind}, which there is not; it is damaged")
        if not (math.isfinite(v.gain) and math.isfinite(v.unit_offset) and math.isfinite(v.fs)):
            raise RecordingError(f"{path}: variable {v.name!r} has a gain or rate that is no number; it is damaged")
        most = 1024 * (size + 1024)
        if not (0 <= v.count < most and 0 <= v.points < most and 0 <= v.marker_fields <= 1024):
            raise RecordingError(f"{path}: variable {v.name!r} claims {v.count} entries; its header is damaged")
        if not 0 <= v.marker_length <= 65_536:
            raise RecordingError(
                f"{path}: variable {v.name!r} claims markers of {v.marker_length} bytes; it is damaged"
            )
    return tuple(variables)


def _check(tick_hz: float, n: int, header: int, each: int, size: int, path: Path) -> None:
    if not 1e-3 <= tick_hz <= 1e10:  # also refuses NaN
        raise RecordingError(f"{path}: {tick_hz!r} ticks per second; its header is damaged")
    if not 0 <= n <= _MOST_VARIABLES:
        raise RecordingError(f"{path}: its header claims {n} variables; it is damaged")
    if header + n * each > size:
        raise RecordingError(f"{path} ends inside the headers of its {n} variables")


def text(raw: bytes) -> str:
    """Return a zero-terminated text."""
    return raw.split(b"\0", 1)[0].decode("utf-8", errors="replace").strip()


def is_nex(path: Path) -> bool:
    """Return whether a file starts as one of these."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as handle:
            return int.from_bytes(handle.read(4), "little") in (NEX_MAGIC, NEX5_MAGIC)
    except OSError:
        return False
