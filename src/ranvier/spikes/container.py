r"""The container of a ``.spikes`` file: chunks one after the other, each whole or not there.

::

    file    64 bytes: "RANVIER SPIKES\n\0", uint32 version, 40 bytes reserved (0), uint32 CRC-32 of the 60 before
    chunk   40 bytes head: "RVCK", 4 letters kind, uint32 bytes of the text, uint64 bytes of the body,
                           uint32 CRC-32 of the text, uint32 CRC-32 of the body, 8 bytes reserved (0),
                           uint32 CRC-32 of the 36 before
            text: UTF-8 JSON {"arrays": [[name, dtype, shape, offset in the body], ...], ...}
            zeros up to a multiple of 64, the body (each array at a multiple of 64), zeros up to a multiple of 64

All numbers are little endian. A file that ends anywhere (a crash, a full disk) is read up to its last whole chunk; one
whose middle is damaged is read around it. Arrays are mapped, not read.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import CapabilityError, RecordingError

MAGIC = b"RANVIER SPIKES\n\0"
VERSION = 1
ALIGN = 64
_MARK = b"RVCK"
_FILE_HEAD = struct.Struct("<16sI40xI")
_HEAD = struct.Struct("<4s4sIQII8xI")
HEAD_BYTES = _HEAD.size
#: A text longer than this is no text (unit tables of 10,000 units have 2 MB).
_MOST_TEXT = 256 * 1024 * 1024
#: Bytes of a body that are handled at a time.
PIECE = 1 << 24

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """Where one array of a chunk lies: ``offset`` counts from the start of the body."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.dtype.itemsize * math.prod(self.shape)


@dataclass(frozen=True)
class Chunk:
    """One whole chunk of a file.

    Attributes
    ----------
    start, stop
        Its bytes in the file.
    body
        Where its arrays begin.
    """

    kind: str
    text: dict[str, Any]
    arrays: dict[str, ArraySpec]
    start: int
    body: int
    body_bytes: int
    stop: int
    body_crc: int


@dataclass
class Contents:
    """What a file holds.

    Attributes
    ----------
    end
        Where the next chunk would be appended: behind the last whole one.
    notes
        What was left out, in words.
    """

    chunks: list[Chunk]
    end: int
    notes: list[str] = field(default_factory=list)


def file_head(version: int = VERSION) -> bytes:
    """Return the first 64 bytes of a file, of this version by default."""
    head = _FILE_HEAD.pack(MAGIC, version, 0)[:-4]
    return head + struct.pack("<I", zlib.crc32(head))


def is_spikes(path: Path) -> bool:
    """Return whether a file begins as a ``.spikes`` file does; never raises."""
    try:
        with open(path, "rb") as handle:
            return handle.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def layout(shapes: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]) -> tuple[list[ArraySpec], int]:
    """Return where arrays of a body go, and how long it is."""
    specs, at = [], 0
    for name, (dtype, shape) in shapes.items():
        specs.append(ArraySpec(name, np.dtype(dtype), shape, at))
        at = _aligned(at + specs[-1].nbytes)
    return specs, at


def encode_head(kind: str, text: Mapping[str, Any], specs: list[ArraySpec], body_bytes: int, body_crc: int) -> bytes:
    """Return head and text of a chunk, up to where its body begins (the chunk starts at a multiple of 64)."""
    table = [[s.name, s.dtype.str, list(s.shape), s.offset] for s in specs]
    written = json.dumps({**text, "arrays": table}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    head = _HEAD.pack(_MARK, kind.encode("ascii"), len(written), body_bytes, zlib.crc32(written), body_crc, 0)[:-4]
    whole = head + struct.pack("<I", zlib.crc32(head)) + written
    return whole + bytes(_aligned(len(whole)) - len(whole))


def encode(kind: str, text: Mapping[str, Any], arrays: Arrays | None = None) -> bytes:
    """Return a whole chunk."""
    given = {name: np.ascontiguousarray(a).astype(a.dtype.newbyteorder("<")) for name, a in (arrays or {}).items()}
    specs, size = layout({name: (a.dtype, a.shape) for name, a in given.items()})
    body = bytearray(size)
    for spec, array in zip(specs, given.values(), strict=True):
        body[spec.offset : spec.offset + spec.nbytes] = array.tobytes()
    return encode_head(kind, text, specs, size, zlib.crc32(body)) + bytes(body)


def scan(data: mmap.mmap | bytes, path: Path, start: int = ALIGN) -> Contents:
    """Find the whole chunks of a file from one of them on; bodies are not read.

    Raises
    ------
    RecordingError
        It is no ``.spikes`` file.
    CapabilityError
        It was written by a newer version.
    """
    _check_file_head(data, path)
    chunks: list[Chunk] = []
    notes: list[str] = []
    at = end = start
    while at < len(data):
        found = _chunk_at(data, at)
        if found is not None:
            if at > end:
                notes.append(f"{at - end:,} damaged bytes at {end:,} are left out")
            chunks.append(found)
            at = end = found.stop
            continue
        at = _next_mark(data, at)
    if end < len(data):
        notes.append(f"the last {len(data) - end:,} bytes are no whole chunk and are left out")
    return Contents(chunks, end, notes)


def head_at(data: mmap.mmap | bytes, at: int) -> bytes:
    """Return the head of the chunk that begins at a place; its checksums stand for its content."""
    return bytes(data[at : at + HEAD_BYTES])


def body_is_whole(data: mmap.mmap | bytes, chunk: Chunk) -> bool:
    """Return whether the body of a chunk is what was written (reads all of it)."""
    crc, view = 0, memoryview(data)
    try:
        for at in range(chunk.body, chunk.body + chunk.body_bytes, PIECE):
            crc = zlib.crc32(view[at : min(at + PIECE, chunk.body + chunk.body_bytes)], crc)
    finally:
        view.release()
    return crc == chunk.body_crc


def array_of(data: mmap.mmap | bytes, chunk: Chunk, name: str) -> npt.NDArray[Any]:
    """Return one array of a chunk, as it lies in the file (read-only)."""
    spec = chunk.arrays[name]
    flat = np.frombuffer(data, spec.dtype, math.prod(spec.shape), chunk.body + spec.offset)
    return flat.reshape(spec.shape)


def map_file(handle: IO[bytes], path: Path) -> mmap.mmap:
    """Return the content of an open file, mapped; RecordingError for an empty one."""
    try:
        return mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError as error:
        raise RecordingError(f"{path} is empty: no .spikes file") from error


def _check_file_head(data: mmap.mmap | bytes, path: Path) -> None:
    head = bytes(data[: _FILE_HEAD.size])
    if head[: len(MAGIC)] != MAGIC[: len(head)] or not head:
        raise RecordingError(f"{path} is no .spikes file of Ranvier (other programs use the suffix too)")
    if len(head) < _FILE_HEAD.size:
        raise RecordingError(f"{path} ends within its first {_FILE_HEAD.size} bytes: it holds no spikes")
    _, version, crc = _FILE_HEAD.unpack(head)
    if zlib.crc32(head[:-4]) != crc:
        raise RecordingError(f"{path}: its first {_FILE_HEAD.size} bytes are damaged")
    if version > VERSION:
        raise CapabilityError(
            f"{path} has version {version} of the .spikes format, this Ranvier knows versions up to {VERSION}; "
            f"update Ranvier to read it"
        )


def _chunk_at(data: mmap.mmap | bytes, at: int) -> Chunk | None:
    """Return the chunk that begins at a place; None where there is no whole one."""
    head = bytes(data[at : at + HEAD_BYTES])
    if len(head) < HEAD_BYTES or head[:4] != _MARK:
        return None
    _, kind, text_bytes, body_bytes, text_crc, body_crc, head_crc = _HEAD.unpack(head)
    body = _aligned(at + HEAD_BYTES + text_bytes)
    if zlib.crc32(head[:-4]) != head_crc or text_bytes > _MOST_TEXT or body + body_bytes > len(data):
        return None
    written = bytes(data[at + HEAD_BYTES : at + HEAD_BYTES + text_bytes])
    if zlib.crc32(written) != text_crc:
        return None
    try:
        text = json.loads(written.decode("utf-8", "surrogatepass"))
        specs = [ArraySpec(str(n), np.dtype(d), tuple(map(int, s)), int(o)) for n, d, s, o in text.pop("arrays")]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if any(s.offset < 0 or min(s.shape, default=0) < 0 or s.offset + s.nbytes > body_bytes for s in specs):
        return None
    arrays = {s.name: s for s in specs if s.dtype.kind in "iuf"}
    return Chunk(kind.decode("ascii", "replace"), text, arrays, at, body, body_bytes, body + body_bytes, body_crc)


def _next_mark(data: mmap.mmap | bytes, at: int) -> int:
    """Return the next place behind ``at`` where a chunk may begin."""
    found = at
    while (found := data.find(_MARK, found + 1)) != -1:
        if found % ALIGN == 0:
            return found
    return len(data)


def _aligned(size: int) -> int:
    return -(-size // ALIGN) * ALIGN
