"""Codecs of plain values, containers and arrays: value <-> JSON and buffers.

A codec belongs to one type of a Protocol. ``encode`` checks what it is given, so that a wrong argument is refused where
it was written; ``decode`` checks again, because the other side is another program.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.exceptions import ConfigurationError
from ranvier.transport.frames import Array, Writer


class Codec:
    """How values of one type travel.

    Attributes
    ----------
    text
        The type in words; part of the fingerprint by which two programs know that they speak of the same Protocol.
    natives
        Types whose values are the same in JSON: they are taken as they are, also by the hundred.
    types
        Types that this codec takes without conversion: how a union picks its member.
    """

    text: str = ""
    natives: frozenset[type] = frozenset()
    types: tuple[type, ...] = ()

    def encode(self, value: Any, out: Writer) -> Any:
        """Return the value as JSON; arrays go into ``out``."""
        raise NotImplementedError

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the value."""
        raise NotImplementedError

    def parts(self) -> Sequence[Codec]:
        """Return the codecs that this one is made of."""
        return ()

    def encode_table(self, rows: Collection[Any]) -> dict[str, Any] | None:
        """Return many values as columns, where that can be done; a thousand channels are much faster that way."""
        return None

    def decode_table(self, table: dict[str, Any]) -> list[Any]:
        """Return the values of a table."""
        raise self.refuse(table)

    def refuse(self, value: object) -> ConfigurationError:
        """Return the error for a value of another type."""
        shown = repr(value)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        return ConfigurationError(f"expected {self.text}, got {shown} ({type(value).__name__})")


class Native(Codec):
    """Values that JSON has: str, bool, None, int and float (NaN and infinities are kept)."""

    def __init__(self, kind: type, natives: Collection[type], also: tuple[type, ...] = ()) -> None:
        self.text = "None" if kind is type(None) else kind.__name__
        self.natives, self.types, self._kind, self._also = frozenset(natives), (kind,), kind, also

    def encode(self, value: Any, out: Writer) -> Any:
        """Return the value itself; NumPy's scalars become Python's."""
        if type(value) in self.natives:
            return value
        if isinstance(value, self._also) or (isinstance(value, self._kind) and not isinstance(value, bool)):
            return self._kind(value)
        raise self.refuse(value)

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the value itself."""
        if type(raw) not in self.natives:
            raise self.refuse(raw)
        return raw


STR = Native(str, {str})
BOOL = Native(bool, {bool}, (np.bool_,))
NONE = Native(type(None), {type(None)})
INT = Native(int, {int}, (np.integer,))
FLOAT = Native(float, {float, int}, (np.floating, np.integer))


class Literals(Codec):
    """A choice of words or numbers."""

    def __init__(self, choices: tuple[Any, ...]) -> None:
        self._choices = choices
        self.text = f"one of {list(choices)}"
        self.types = tuple({type(choice) for choice in choices})

    def encode(self, value: Any, out: Writer) -> Any:
        """Return the value where it is one of the choices."""
        return self.decode(value, ())

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the value where it is one of the choices."""
        for choice in self._choices:
            if type(choice) is type(raw) and choice == raw:
                return raw
        raise self.refuse(raw)


class Enums(Codec):
    """Members by name; combinations of flags by number."""

    def __init__(self, kind: type[Enum]) -> None:
        self.text, self.types, self._kind = kind.__name__, (kind,), kind

    @property
    def structure(self) -> str:
        """Name and members."""
        return f"{self.text}({', '.join(f'{name}={one.value!r}' for name, one in self._kind.__members__.items())})"

    def encode(self, value: Any, out: Writer) -> Any:
        """Return the name."""
        if not isinstance(value, self._kind):
            raise self.refuse(value)
        return value.name if value.name in self._kind.__members__ else value.value

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the member."""
        try:
            return self._kind[raw] if isinstance(raw, str) else self._kind(raw)
        except (KeyError, ValueError):
            raise self.refuse(raw) from None


class Paths(Codec):
    """Paths; relative ones count from the folder of the process that sends them (``~`` is left to the engine)."""

    text, types = "Path", (Path,)

    def encode(self, value: Any, out: Writer) -> Any:
        """Return the path as text."""
        if not isinstance(value, (str, os.PathLike)):
            raise self.refuse(value)
        text = os.fsdecode(value)
        return text if out.anchor is None or text.startswith("~") else str(out.anchor / text)

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the path."""
        return Path(STR.decode(raw, arrays))


class Bytes(Codec):
    """Bytes, as a buffer."""

    text, types = "bytes", (bytes,)

    def encode(self, value: Any, out: Writer) -> Any:
        """Return the number of the buffer."""
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise self.refuse(value)
        return out.add(np.frombuffer(value, np.uint8))

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the bytes."""
        return _buffer(self, raw, arrays).tobytes()


class Moments(Codec):
    """Date and time with its zone, to the microsecond."""

    text, types = "datetime", (datetime,)

    def encode(self, value: Any, out: Writer) -> Any:
        """Return ISO 8601."""
        if not isinstance(value, datetime):
            raise self.refuse(value)
        return value.isoformat()

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the moment."""
        try:
            return datetime.fromisoformat(raw)
        except (TypeError, ValueError):
            raise self.refuse(raw) from None


class Durations(Codec):
    """Differences of times, exactly."""

    text, types = "timedelta", (timedelta,)

    def encode(self, value: Any, out: Writer) -> Any:
        """Return days, seconds, microseconds."""
        if not isinstance(value, timedelta):
            raise self.refuse(value)
        return [value.days, value.seconds, value.microseconds]

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the difference."""
        try:
            return timedelta(*raw)
        except (TypeError, OverflowError):
            raise self.refuse(raw) from None


class Fractions(Codec):
    """Rational numbers, exactly."""

    text, types = "Fraction", (Fraction,)

    def encode(self, value: Any, out: Writer) -> Any:
        """Return numerator and denominator."""
        if isinstance(value, bool) or not isinstance(value, (int, Fraction)):
            raise self.refuse(value)
        return [value.numerator, value.denominator]

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the number."""
        try:
            return Fraction(*raw)
        except (TypeError, ValueError, ZeroDivisionError):
            raise self.refuse(raw) from None


class Json(Codec):
    """What a model holds under ``Any``: a tree of JSON's own values."""

    text = "a tree of dict (keys str), list, str, int, float, bool, None"
    types = (dict, list, str, int, float, bool, type(None))

    def encode(self, value: Any, out: Writer) -> Any:
        """Return the tree; ConfigurationError for anything else in it."""
        if value is None or isinstance(value, (str, bool, int, float)):
            return value
        if isinstance(value, np.generic):
            return self.encode(value.item(), out)
        if isinstance(value, (list, tuple)):
            return [self.encode(item, out) for item in value]
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {str(key): self.encode(item, out) for key, item in value.items()}
        raise self.refuse(value)

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the tree."""
        return raw


class Arrays(Codec):
    """NumPy arrays of some kinds of numbers: dtype and shape in the header, C order in a buffer."""

    types = (np.ndarray,)

    def __init__(self, scalars: tuple[type, ...]) -> None:
        self.text = f"array of {' or '.join(kind.__name__ for kind in scalars)}"
        self._scalars = scalars

    def encode(self, value: Any, out: Writer, key: Any = None) -> Any:
        """Return the number of the buffer."""
        return out.add(self._checked(value), key)

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the array."""
        return self._checked(_buffer(self, raw, arrays))

    def _checked(self, value: Any) -> Array:
        if not isinstance(value, np.ndarray):
            raise self.refuse(value)
        if not issubclass(value.dtype.type, self._scalars):
            raise ConfigurationError(f"expected {self.text}, got one of {value.dtype}")
        return value


def _buffer(codec: Codec, raw: Any, arrays: Sequence[Array]) -> Array:
    if type(raw) is not int or not 0 <= raw < len(arrays):
        raise codec.refuse(raw)
    return arrays[raw]


class Lists(Codec):
    """Sequences and sets of one type.

    A ``Sequence`` comes back as a tuple where it was one, else as a list; an abstract ``Set`` as a frozenset.
    """

    def __init__(self, item: Codec, make: type, name: str) -> None:
        self.text, self._item, self._make = f"{name} of {item.text}", item, make
        self._keeps_tuples = name == "Sequence"
        self._takes: Any = AbstractSet if make in (set, frozenset) else Sequence
        self.types = {"Sequence": (list, tuple, range), "Set": (set, frozenset)}.get(name, (make,))

    def parts(self) -> Sequence[Codec]:
        """Return the codecs of what is inside."""
        return (self._item,)

    def encode(self, value: Any, out: Writer) -> Any:
        """Return a list, a table of columns, or ``{"tuple": ...}`` of either."""
        if self._keeps_tuples and isinstance(value, tuple):
            return {"tuple": self.encode(list(value), out)}
        if isinstance(value, np.ndarray) and value.ndim == 1 and self._takes is Sequence:
            value = value.tolist()
        if not isinstance(value, self._takes) or isinstance(value, (str, bytes, bytearray)):
            raise self.refuse(value)
        if set(map(type, value)) <= self._item.natives:
            return list(value)
        table = self._item.encode_table(value) if len(value) > 1 else None
        if table is not None:
            return table
        encode = self._item.encode
        return [encode(item, out) for item in value]

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the container."""
        if type(raw) is dict:
            if self._keeps_tuples and raw.keys() == {"tuple"}:
                return tuple(self.decode(raw["tuple"], arrays))
            return self._make(self._item.decode_table(raw))
        if type(raw) is not list:
            raise self.refuse(raw)
        if set(map(type, raw)) <= self._item.natives:
            return raw if self._make is list else self._make(raw)
        decode = self._item.decode
        return self._make([decode(item, arrays) for item in raw])


class Tuples(Codec):
    """Tuples of so many values, each with its type; named tuples too."""

    def __init__(self, items: Sequence[Codec], kind: type = tuple) -> None:
        self._items, self._kind, self.types = tuple(items), kind, (kind,)
        self.text = f"{kind.__name__} ({', '.join(item.text for item in items)})"

    def parts(self) -> Sequence[Codec]:
        """Return the codecs of what is inside."""
        return self._items

    def encode(self, value: Any, out: Writer) -> Any:
        """Return a list."""
        if not isinstance(value, (tuple, list)) or len(value) != len(self._items):
            raise self.refuse(value)
        return [codec.encode(item, out) for codec, item in zip(self._items, value, strict=True)]

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the tuple."""
        if type(raw) is not list or len(raw) != len(self._items):
            raise self.refuse(raw)
        values = [codec.decode(item, arrays) for codec, item in zip(self._items, raw, strict=True)]
        return tuple(values) if self._kind is tuple else self._kind(*values)


class Mappings(Codec):
    """Mappings, in their order, as a list of pairs; they come back as dicts.

    Of a mapping of arrays the buffers carry their keys, so that a caller's ``out=`` can be filled as they come.
    """

    types = (dict,)

    def __init__(self, key: Codec, value: Codec) -> None:
        self.text = f"mapping of {key.text} to {value.text}"
        self.key, self.value = key, value

    def parts(self) -> Sequence[Codec]:
        """Return the codecs of what is inside."""
        return (self.key, self.value)

    def encode(self, value: Any, out: Writer) -> Any:
        """Return a list of pairs."""
        if not isinstance(value, Mapping):
            raise self.refuse(value)
        pairs = []
        for key, item in value.items():
            name = self.key.encode(key, out)
            if isinstance(self.value, Arrays):
                pairs.append([name, self.value.encode(item, out, name)])
            else:
                pairs.append([name, self.value.encode(item, out)])
        return pairs

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return a dict."""
        if type(raw) is not list:
            raise self.refuse(raw)
        try:
            return {self.key.decode(key, arrays): self.value.decode(value, arrays) for key, value in raw}
        except (TypeError, ValueError) as error:
            raise self.refuse(raw) from error


class Unions(Codec):
    """One of several types: its number and the value. None, where it is one of them, is JSON's null."""

    def __init__(self, members: Sequence[Codec], *, optional: bool) -> None:
        self._members, self._optional = tuple(members), optional
        self.text = " or ".join([member.text for member in members] + ["None"] * optional)
        self.types = tuple(kind for member in members for kind in member.types) + ((type(None),) if optional else ())
        if len(members) == 1:
            self.natives = members[0].natives | {type(None)} if members[0].natives else frozenset()

    def parts(self) -> Sequence[Codec]:
        """Return the codecs of what is inside."""
        return self._members

    def encode(self, value: Any, out: Writer) -> Any:
        """Return null, the value of an optional type, or ``[number, value]``."""
        if value is None and self._optional:
            return None
        if len(self._members) == 1:
            return self._members[0].encode(value, out)
        count = len(out.arrays)
        # the exact type first: an IntEnum is an int as well
        order = sorted(range(len(self._members)), key=lambda i: type(value) not in self._members[i].types)
        for number in order:
            try:
                return [number, self._members[number].encode(value, out)]
            except ConfigurationError:
                out.drop_after(count)
        raise self.refuse(value)

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the value."""
        if raw is None and self._optional:
            return None
        if len(self._members) == 1:
            return self._members[0].decode(raw, arrays)
        try:
            number, value = raw
            member = self._members[number]
        except (TypeError, ValueError, IndexError):
            raise self.refuse(raw) from None
        return member.decode(value, arrays)
