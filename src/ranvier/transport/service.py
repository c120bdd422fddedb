"""What a Protocol says: its methods and their types, as descriptors that client and server share.

Kinds of methods, told from the types alone:

* **call**: arguments in, result out.
* **work**: has ``progress: Callable[[T], None] | None``. Progress comes back while it runs; what the caller's callback
  raises, and a caller that goes away, cancel it at its next report.
* **subscription**: returns ``Iterator[T]``. It ends when the engine's iterator ends or the subscriber closes it. How a
  slow subscriber is served (newest wins, every block) is a parameter of the method and the engine's affair: it is asked
  for the next value only when there is room for it. An iterator that has ``close()`` and is no generator is closed from
  another thread when its subscriber is gone; a generator is closed when it next yields, so it must not sleep for ever.

Arrays that an engine returns must not change afterwards: large ones are sent from where they are.

``out=`` stays with the caller: its memory is filled from the wire. Properties whose type is a Protocol are
sub-services. A method ``close()`` of the outermost Protocol closes the client's connection; a remote engine outlives
its clients.
"""

from __future__ import annotations

import collections.abc as abc
import hashlib
import inspect
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import takewhile
from typing import Any, Protocol, Union, get_args, get_origin, get_type_hints

from ranvier.exceptions import CapabilityError
from ranvier.transport.codec import codec_for
from ranvier.transport.values import Arrays, Codec, Mappings

#: Parameters that do not travel as values.
PROGRESS, OUT = "progress", "out"


class Kind(Enum):
    """How a method is carried."""

    CALL = "call"
    WORK = "work"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True, eq=False)
class Method:
    """One method of a service.

    Attributes
    ----------
    name
        Where it stands below the outermost Protocol, e.g. ``datasets.link``.
    parameters
        Codecs of the parameters that travel.
    result
        Codec of the result, or of one item of a subscription.
    progress
        Codec of what ``progress`` is called with.
    out
        Codec of ``out``: an array, or a mapping of arrays that the result contains under the same type.
    signature
        With ``self``; None for a property.
    """

    name: str
    kind: Kind
    parameters: Mapping[str, Codec]
    result: Codec
    progress: Codec | None
    out: Codec | None
    signature: inspect.Signature | None
    doc: str | None

    @property
    def text(self) -> str:
        """Name and types in words."""
        given = ", ".join(f"{name}: {codec.text}" for name, codec in self.parameters.items())
        return f"{self.kind.value} {self.name}({given}) -> {self.result.text}"

    def positional(self, given: Collection[str]) -> list[str]:
        """Return the parameters to give by position, as many of the first as are given: engines may name them anew."""
        parameters = list(self.signature.parameters.values())[1:] if self.signature else []
        names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        return list(takewhile(lambda name: name in given, names))


@dataclass(frozen=True, eq=False)
class Service:
    """A Protocol: its own methods by name, and its sub-services."""

    protocol: type
    methods: Mapping[str, Method]
    children: Mapping[str, Service]

    def walk(self) -> Iterator[Method]:
        """Return all methods, also those of sub-services."""
        yield from self.methods.values()
        for child in self.children.values():
            yield from child.walk()

    @property
    def fingerprint(self) -> str:
        """What two programs compare to know that they mean the same Protocol, down to the fields of its models."""
        lines = {method.text for method in self.walk()}
        for method in self.walk():
            for codec in (*method.parameters.values(), method.result, method.progress):
                _structures(codec, lines)
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def _structures(codec: Codec | None, lines: set[str]) -> None:
    if codec is None:
        return
    structure = getattr(codec, "structure", codec.text)
    if structure in lines and structure != codec.text:
        return
    lines.add(structure)
    for part in codec.parts():
        _structures(part, lines)


@cache
def describe(protocol: type) -> Service:
    """Look at a Protocol.

    Raises
    ------
    CapabilityError
        A member whose types cannot travel; the message names it.
    """
    return _describe(protocol, "")


def _describe(protocol: type, prefix: str) -> Service:
    methods: dict[str, Method] = {}
    children: dict[str, Service] = {}
    for name, member in _members(protocol).items():
        at = f"{prefix}{name}"
        try:
            if isinstance(member, property):
                kind = get_type_hints(member.fget, include_extras=True).get("return", Any)
                if _is_protocol(kind):
                    children[name] = _describe(kind, f"{at}.")
                else:
                    result = codec_for(kind)
                    methods[name] = Method(at, Kind.CALL, {}, result, None, None, None, member.__doc__)
            else:
                methods[name] = _method(at, member)
        except CapabilityError as error:
            if str(error).startswith(f"{protocol.__name__}."):
                raise
            raise CapabilityError(f"{protocol.__name__}.{name} cannot be made remote: {error}") from error
    return Service(protocol, methods, children)


def _is_protocol(kind: Any) -> bool:
    return isinstance(kind, type) and bool(getattr(kind, "_is_protocol", False))


def _members(protocol: type) -> dict[str, Any]:
    if not _is_protocol(protocol):
        raise CapabilityError(f"{protocol!r} is not a Protocol")
    found: dict[str, Any] = {}
    for base in reversed(protocol.__mro__):
        if base in (object, Protocol) or not _is_protocol(base):
            continue
        for name in getattr(base, "__annotations__", {}):
            if not name.startswith("_") and name not in vars(base):
                raise CapabilityError(f"{base.__name__}.{name} is a plain attribute; make it a property")
        public = ((name, member) for name, member in vars(base).items() if not name.startswith("_"))
        found.update((name, member) for name, member in public if callable(member) or isinstance(member, property))
    return found


def _method(at: str, function: Callable[..., Any]) -> Method:
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise CapabilityError(f"its types are not to be found: {error}") from error
    signature = inspect.signature(function)
    codecs: dict[str, Codec] = {}
    progress = out = None
    for parameter in list(signature.parameters.values())[1:]:
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise CapabilityError(f"parameter *{name} has no fixed meaning")
        if name not in hints:
            raise CapabilityError(f"parameter {name} has no type")
        reported = _callback(hints[name]) if name == PROGRESS else None
        try:
            if reported is not None:
                progress = codec_for(reported)
            elif name == OUT:
                out = codec_for(_required(hints[name]))
            else:
                codecs[name] = codec_for(hints[name])
        except CapabilityError as error:
            raise CapabilityError(f"parameter {name}: {error}") from error
    if "return" not in hints:
        raise CapabilityError("it does not say what it returns")
    item = _item(hints["return"])
    result = codec_for(hints["return"] if item is None else item)
    if out is not None:
        _check_out(out, result)
    if item is not None and (progress is not None or out is not None):
        raise CapabilityError("a subscription takes neither progress nor out")
    kind = Kind.SUBSCRIPTION if item is not None else Kind.CALL if progress is None else Kind.WORK
    return Method(at, kind, codecs, result, progress, out, signature, function.__doc__)


def _required(kind: Any) -> Any:
    """Return ``T`` of ``T | None``."""
    rest = [arg for arg in get_args(kind) if arg is not type(None)]
    return rest[0] if get_origin(kind) in (Union, types.UnionType) and len(rest) == 1 else kind


def _callback(kind: Any) -> Any:
    """Return what a ``Callable[[T], None] | None`` is called with; None for another type."""
    inner = _required(kind)
    if get_origin(inner) is abc.Callable:
        taken = get_args(inner)[0]
        if isinstance(taken, list) and len(taken) == 1:
            return taken[0]
    return None


def _item(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is abc.Iterator else None


def _check_out(out: Codec, result: Codec) -> None:
    """Refuse an ``out`` of which nobody knows where in the result it belongs."""
    if not isinstance(out, Arrays) and not (isinstance(out, Mappings) and isinstance(out.value, Arrays)):
        raise CapabilityError("out is neither an array nor a mapping of arrays")
    lines: set[str] = set()
    _structures(result, lines)
    if out.text not in lines:
        raise CapabilityError(f"out is {out.text}, which the result does not contain")
