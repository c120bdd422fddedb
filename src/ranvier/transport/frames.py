"""Messages: a JSON header and the raw buffers of arrays.

::

    uint32 LE   length of the header
    header      UTF-8 JSON: {"k": kind, "v": value, "b": [[dtype, shape, key], ...], ...}
    buffers     C order, each on a multiple of 16 bytes from the start of the message

Where the buffers are large they are not in the message (``"ahead": true``): chunks follow, which are nothing but bytes,
buffer after buffer without padding. Who reads them knows their sizes and puts them where they belong, once.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError, ServerCommunicationError

Array = npt.NDArray[Any]

#: Buffers up to this size in all travel in the message itself; copying them twice costs less than a second message.
INLINE_BYTES = 256 * 1024
#: Size of the chunks of larger ones.
CHUNK_BYTES = 1024 * 1024

_ALIGN = 16
_LENGTH = struct.Struct("<I")


@dataclass
class Writer:
    """Collects the arrays of one message while its value is encoded.

    ``anchor`` is the folder that relative paths count from; None leaves them as they are.
    """

    anchor: Path | None = None
    arrays: list[Array] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)

    def add(self, array: Array, key: Any = None) -> int:
        """Take an array along and return its number; ``key`` is its encoded key in a mapping of arrays."""
        if array.dtype.hasobject:
            raise ConfigurationError(f"an array of Python objects (dtype {array.dtype}) cannot be sent")
        self.arrays.append(array)
        self.keys.append(key)
        return len(self.arrays) - 1

    def drop_after(self, count: int) -> None:
        """Forget all but the first arrays: what encoded them did not fit after all."""
        del self.arrays[count:], self.keys[count:]

    @property
    def nbytes(self) -> int:
        """Size of all arrays."""
        return sum(array.nbytes for array in self.arrays)


def pack(kind: str, value: Any, writer: Writer | None = None, *, ahead: bool = False, **more: Any) -> bytes:
    """Return one message; with ``ahead`` the buffers are left to :func:`chunks`."""
    header: dict[str, Any] = {"k": kind, "v": value, **more}
    arrays = writer.arrays if writer else []
    if writer and arrays:
        header["b"] = [
            [np.lib.format.dtype_to_descr(array.dtype), array.shape, key]
            for array, key in zip(arrays, writer.keys, strict=True)
        ]
        if ahead:
            header["ahead"] = True
    try:
        text = json.dumps(header, separators=(",", ":"), default=_number).encode()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"a value that JSON does not have: {error}") from error
    parts: list[Any] = [_LENGTH.pack(len(text)), text]
    if not ahead:
        at = _LENGTH.size + len(text)
        for array in arrays:
            pad = -at % _ALIGN
            parts += (bytes(pad), raw(array))
            at += pad + array.nbytes
    return b"".join(parts)


def _number(value: object) -> object:
    """Return NumPy's scalars as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is {type(value).__name__}")


def raw(array: Array) -> memoryview:
    """Return the bytes of an array in C order; a copy only where it lies in memory in another way."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.itemsize == 0 or flat.size == 0:
        return memoryview(bytearray())
    return memoryview(flat.view(np.uint8).data)


def chunks(arrays: Iterable[Array], size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Return the bytes of arrays in pieces; a piece holds bytes of one array only."""
    for array in arrays:
        whole = raw(array)
        for at in range(0, len(whole), size):
            yield bytes(whole[at : at + size])


@dataclass
class Message:
    """One message that came: its header, and its arrays where they came with it."""

    header: dict[str, Any]
    body: memoryview

    @classmethod
    def parse(cls, data: bytes) -> Message:
        """Read the header; ServerCommunicationError where it is none."""
        try:
            (length,) = _LENGTH.unpack_from(data)
            end = _LENGTH.size + length
            header = json.loads(data[_LENGTH.size : end])
            if length > len(data) or not isinstance(header, dict) or "k" not in header:
                raise ValueError("no header")
        except (struct.error, ValueError) as error:
            raise ServerCommunicationError(f"a message of {len(data)} bytes that is not Ranvier's: {error}") from error
        return cls(header, memoryview(data))

    @property
    def kind(self) -> str:
        """What the message is."""
        return str(self.header["k"])

    @property
    def value(self) -> Any:
        """The encoded value."""
        return self.header.get("v")

    @property
    def is_ahead(self) -> bool:
        """Whether its buffers come after it, in chunks."""
        return bool(self.header.get("ahead"))

    def specs(self) -> list[Spec]:
        """Return what arrays belong to it."""
        return [
            Spec(np.lib.format.descr_to_dtype(_descr(dtype)), tuple(shape), key)
            for dtype, shape, key in self.header.get("b", ())
        ]

    def arrays(self) -> list[Array]:
        """Return copies of the arrays that came with the message: whoever gets them may write into them."""
        found, at = [], _LENGTH.size + _LENGTH.unpack_from(self.body)[0]
        for spec in self.specs():
            at += -at % _ALIGN
            array = np.empty(spec.shape, spec.dtype)
            raw(array)[:] = self.body[at : at + spec.nbytes]
            found.append(array)
            at += spec.nbytes
        return found


@dataclass(frozen=True)
class Spec:
    """One array that comes: dtype, shape, and its encoded key where it is the value of a mapping."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    key: Any = None

    @property
    def nbytes(self) -> int:
        """Its size."""
        return self.dtype.itemsize * math.prod(self.shape)


def _descr(value: Any) -> Any:
    """Return a dtype's description as NumPy wants it: structured ones are lists of tuples, which JSON has not."""
    if isinstance(value, str):
        return value
    return [
        (name if isinstance(name, str) else tuple(name), _descr(kind), *(tuple(shape) for shape in rest))
        for name, kind, *rest in value
    ]


class Filler:
    """Puts chunks into arrays, one after the other."""

    def __init__(self, arrays: Sequence[Array]) -> None:
        self._views = [view for view in map(raw, arrays) if len(view)]
        self._at = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing is missing."""
        return not self._views

    @property
    def missing(self) -> list[memoryview]:
        """The memory that is still to be filled, in order."""
        return [self._views[0][self._at :], *self._views[1:]] if self._views else []

    def put(self, chunk: bytes) -> None:
        """Take the next chunk; ServerCommunicationError where it does not fit."""
        if not self._views or self._at + len(chunk) > len(self._views[0]):
            raise ServerCommunicationError("more bytes came than the message announced")
        self._views[0][self._at : self._at + len(chunk)] = chunk
        self._at += len(chunk)
        if self._at == len(self._views[0]):
            del self._views[0]
            self._at = 0
