"""Proxies: one class per Protocol, made from its description."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.exceptions import ConfigurationError, RadiensError
from ranvier.transport import wire
from ranvier.transport.client import Connection
from ranvier.transport.frames import Array, Message, Spec, Writer, pack
from ranvier.transport.service import OUT, PROGRESS, Kind, Method, Service
from ranvier.transport.values import Mappings


class Proxy:
    """What all proxies share. Its attributes are the sub-services, its methods those of the Protocol."""

    def __init__(self, connection: Connection, children: Mapping[str, object]) -> None:
        self._connection = connection
        self.__dict__.update(children)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._connection.address}>"


def make_proxy(service: Service, connection: Connection) -> Any:
    """Return an object that keeps a Protocol through a connection."""
    return _make(service, connection, is_root=True)


def _make(service: Service, connection: Connection, *, is_root: bool) -> Proxy:
    children = {name: _make(child, connection, is_root=False) for name, child in service.children.items()}
    return _proxy_class(service, is_root)(connection, children)


@cache
def _proxy_class(service: Service, is_root: bool) -> type[Proxy]:
    members: dict[str, Any] = {"__doc__": service.protocol.__doc__, "__module__": __name__}
    for name, method in service.methods.items():
        if is_root and name == "close":
            members[name] = _close
        elif method.signature is None:
            members[name] = _getter(method)
        else:
            members[name] = _stub(name, method)
    return type(f"Remote{service.protocol.__name__}", (Proxy,), members)


def _close(self: Proxy) -> None:
    """Close the connection; the engine goes on. Safe to call twice."""
    self._connection.close()


def _getter(method: Method) -> property:
    def read(self: Proxy) -> Any:
        return _call(self._connection, method, {}, None)

    return property(read, doc=method.doc)


def _stub(name: str, method: Method) -> Callable[..., Any]:
    signature = method.signature
    if signature is None:
        raise TypeError(f"{method.name} is a property")

    def stub(self: Proxy, *args: Any, **kwargs: Any) -> Any:
        given = dict(list(signature.bind(self, *args, **kwargs).arguments.items())[1:])
        progress, out = given.pop(PROGRESS, None) if method.progress else None, None
        if method.out is not None:
            out = given.pop(OUT, None)
        if method.kind is Kind.WORK:
            return _work(self._connection, method, given, progress)
        if method.kind is Kind.SUBSCRIPTION:
            return Subscription(self._connection, method, _request(method, given))
        return _call(self._connection, method, given, out)

    stub.__name__, stub.__qualname__, stub.__doc__ = name, method.name, method.doc
    stub.__signature__ = signature  # type: ignore[attr-defined]  # inspect reads it
    return stub


def _request(method: Method, given: Mapping[str, Any]) -> bytes:
    writer = Writer(anchor=Path.cwd())
    encoded = {}
    for name, value in given.items():
        try:
            encoded[name] = method.parameters[name].encode(value, writer)
        except ConfigurationError as error:
            raise ConfigurationError(f"parameter {name} of {method.name}: {error}") from error
    return pack("call", encoded, writer)


def _call(connection: Connection, method: Method, given: Mapping[str, Any], out: Any) -> Any:
    message = connection.call(wire.CALL + method.name, _request(method, given))
    if not message.is_ahead:
        arrays = message.arrays()
        if out is not None:
            arrays = _copied(arrays, _places(message.specs(), method, out))
        return method.result.decode(message.value, arrays)
    ticket = message.header["ticket"]
    try:
        places = _places(message.specs(), method, out)
    except ValueError:
        list(connection.stream(wire.FETCH, pack("fetch", {"ticket": ticket, "drop": True})))
        raise
    connection.fetch(ticket, places, method.name)
    return method.result.decode(message.value, places)


def _copied(arrays: list[Array], places: list[Array]) -> list[Array]:
    for array, place in zip(arrays, places, strict=True):
        place[...] = array
    return places


def _places(specs: list[Spec], method: Method, out: Any) -> list[Array]:
    """Return the memory for each array that comes: the caller's where ``out`` has it, new memory elsewhere."""
    places = []
    for spec in specs:
        given = None
        if isinstance(method.out, Mappings) and spec.key is not None and out is not None:
            given = out.get(method.out.key.decode(spec.key, ()))
        elif method.out is not None and spec.key is None:
            given = out
        places.append(np.empty(spec.shape, spec.dtype) if given is None else _part(given, spec, method.name))
    return places


def _part(given: Any, spec: Spec, name: str) -> Array:
    """Return the first rows of a caller's array; ValueError where it does not fit."""
    if (
        not isinstance(given, np.ndarray)
        or given.dtype != spec.dtype
        or given.ndim != len(spec.shape)
        or given.shape[1:] != spec.shape[1:]
        or given.shape[:1] < spec.shape[:1]
        or not given.flags.c_contiguous
        or not given.flags.writeable
    ):
        has = f"{given.dtype} {given.shape}" if isinstance(given, np.ndarray) else type(given).__name__
        raise ValueError(
            f"out of {name} does not fit: it needs writeable C-contiguous {spec.dtype} {spec.shape} "
            f"(rows may be more), got {has}"
        )
    part: Array = given[: spec.shape[0]] if spec.shape else given
    return part


def _work(
    connection: Connection, method: Method, given: Mapping[str, Any], progress: Callable[..., None] | None
) -> Any:
    say: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    say.put(_request(method, given))
    running = _Pump(connection.converse(wire.STREAM + method.name, iter(say.get, None)), method.name)
    try:
        try:
            return _follow(connection, running, method, progress)
        except _Engine as failed:
            raise failed.error from failed.error.__cause__
        except BaseException:  # Ctrl-C, or the caller's callback: cancel, wait until the engine has cleaned up, go on
            say.put(pack("cancel", None))
            with suppress(_Engine):
                _follow(connection, running, method, None)
            raise
    finally:
        say.put(None)
        running.cancel()


class _Pump(Iterator[bytes]):
    """Reads a running call in a thread: a call whose reading was interrupted (Ctrl-C) could not be read any further."""

    def __init__(self, running: Any, name: str) -> None:
        self._running = running
        self._come: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()
        threading.Thread(target=self._read, name=f"ranvier-{name}", daemon=True).start()

    def __next__(self) -> bytes:
        while True:
            try:
                come = self._come.get(timeout=0.2)  # in slices: Windows cannot interrupt an endless wait
            except queue.Empty:
                continue
            if isinstance(come, BaseException):
                raise come
            return come

    def cancel(self) -> None:
        """End the call."""
        self._running.cancel()

    def _read(self) -> None:
        try:
            for data in self._running:
                self._come.put(data)
            self._come.put(StopIteration())
        except Exception as error:  # noqa: BLE001  # goes to the thread that waits
            self._come.put(error)


class _Engine(Exception):  # noqa: N818  # never leaves this module
    """Carries what the engine raised past what the caller's own callback raised."""

    def __init__(self, error: RadiensError) -> None:
        self.error = error


def _follow(connection: Connection, running: Any, method: Method, progress: Callable[..., None] | None) -> Any:
    while True:
        try:
            message = connection.read(running, method.name)
            if message.kind != "progress":
                return _received(connection, running, message, method)
        except RadiensError as error:
            raise _Engine(error) from error
        if progress is not None and method.progress is not None:
            progress(method.progress.decode(message.value, message.arrays()))


def _received(connection: Connection, running: Any, message: Message, method: Method) -> Any:
    """Return a value of which large buffers come in the same stream."""
    if message.is_ahead:
        arrays = [np.empty(spec.shape, spec.dtype) for spec in message.specs()]
        connection.fill(running, arrays, method.name)
    else:
        arrays = message.arrays()
    return method.result.decode(message.value, arrays)


class Subscription(Iterator[Any]):
    """What a subscribing method returns: iterate over it, ``close`` it (from any thread) or leave it to its end."""

    def __init__(self, connection: Connection, method: Method, request: bytes) -> None:
        self._connection, self._method = connection, method
        self._say: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._say.put(request)
        self._is_closed = False
        self._used = 0
        self._running = connection.converse(wire.STREAM + method.name, iter(self._say.get, None))

    def __next__(self) -> Any:
        if self._is_closed:
            raise StopIteration
        if self._used >= wire.ASK_FOR:
            self._say.put(_MORE)
            self._used = 0
        try:
            message = self._connection.read(self._running, self._method.name)
            if message.kind == "end":
                self.close()
                raise StopIteration
            item = _received(self._connection, self._running, message, self._method)
        except BaseException as error:
            if isinstance(error, RadiensError) and self._is_closed:  # closed from another thread while waiting
                raise StopIteration from None
            self.close()
            raise
        self._used += 1
        return item

    def close(self) -> None:
        """End the subscription; safe to call twice."""
        if not self._is_closed:
            self._is_closed = True
            self._say.put(None)
            self._running.cancel()

    def __del__(self) -> None:
        if "_running" in self.__dict__:
            self.close()


_MORE = pack("more", wire.ASK_FOR)
