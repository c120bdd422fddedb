"""The calling side: an object that keeps a Protocol and asks an engine in another process."""

from __future__ import annotations

import os
import secrets
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import grpc
import numpy as np
import numpy.typing as npt

from ranvier._version import __version__
from ranvier.exceptions import ClientClosedError, RadiensError, ServerCommunicationError, ServerDiscoveryError
from ranvier.services.caller import Caller
from ranvier.transport import wire
from ranvier.transport.bulk import BulkClient
from ranvier.transport.errors import restore_error
from ranvier.transport.frames import Array, Filler, Message, pack
from ranvier.transport.service import describe


def connect(
    address: str,
    protocol: type,
    token: str | None = None,
    *,
    timeout_sec: float = 5.0,
) -> Any:
    """Connect to an engine and return an object that keeps its Protocol.

    The client counts as living for the engine until :func:`disconnect`, until nothing refers to the result or its
    sub-services any more, or until this process ends.

    Parameters
    ----------
    address
        ``127.0.0.1:PORT`` or ``unix:PATH``.
    protocol
        What the engine keeps; the result is of this type (``hub: Hub = connect(...)``).
    token
        The engine's token; None takes ``RANVIER_TOKEN``, else that of the registered engine at this address.
    timeout_sec
        How long to wait for the engine's first answer. Calls have no limit.

    Raises
    ------
    ServerDiscoveryError
        Nobody answers at the address. Never falls back to another engine.
    ServerCommunicationError
        The token is refused, or the engine speaks another version of the Protocol.
    """
    from ranvier.transport.remote import make_proxy

    service = describe(protocol)
    connection = Connection(address, _token(address, token))
    try:
        connection.greet(protocol.__name__, service.fingerprint, timeout_sec)
    except BaseException:
        connection.close()
        raise
    return make_proxy(service, connection)


def connection_of(proxy: object) -> Connection:
    """Return the connection of what :func:`connect` returned."""
    found = vars(proxy).get("_connection")
    if not isinstance(found, Connection):
        raise TypeError(f"{proxy!r} is not connected to an engine process")
    return found


def shared_memory(proxy: object, token: str) -> npt.NDArray[np.uint8] | None:
    """Return memory that the engine behind a proxy shares, read-only; None where this client cannot have it."""
    return connection_of(proxy).shared_memory(token)


def disconnect(proxy: object) -> None:
    """Close the connection of what :func:`connect` returned; safe to call twice. The engine goes on."""
    connection_of(proxy).close()


def _token(address: str, token: str | None) -> str:
    if token is not None:
        return token
    named = os.environ.get("RANVIER_TOKEN")
    if named:
        return named
    from ranvier.transport.registry import token_for

    return token_for(address) or ""


_NOBODY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class EndedEarlyError(ServerCommunicationError):
    """The engine ended a call in an orderly way before its answer was complete: it is about to end itself."""


class Connection:
    """One channel to one engine, shared by the proxies of its services; thread-safe."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address
        self.caller = Caller.here(secrets.token_hex(8))
        self._token = token
        self._bulk: BulkClient | None = None
        self._to_shut: list[Callable[[], object]] = []
        self._metadata = ((wire.TOKEN_KEY, token), (wire.CALLER_KEY, self.caller.id))
        self._channel = grpc.insecure_channel(address, options=wire.CHANNEL_OPTIONS)
        self._unary: dict[str, Any] = {}
        self._lease: Any = None
        # also when nobody holds a proxy any more, and at the end of the process
        self._finalizer = weakref.finalize(self, _shut, self._channel, self._to_shut)
        self._is_closed = threading.Event()

    @property
    def is_alive(self) -> bool:
        """Whether the engine still holds this client's lease."""
        return not self._is_closed.is_set() and self._lease is not None and bool(self._lease.is_active())

    def greet(self, protocol: str, fingerprint: str, timeout_sec: float) -> None:
        """Ask who is there, refuse what is not the same Protocol, and take a lease."""
        try:
            answer = self._hello(timeout_sec)
        except grpc.RpcError as error:
            if error.code() in _NOBODY:
                raise ServerDiscoveryError(
                    f"no engine answers at {self.address} ({error.details()}); is it running, and is the address right?"
                ) from error
            self._fail(error, "the first call")
        if answer["fingerprint"] != fingerprint:
            raise ServerCommunicationError(
                f"the engine at {self.address} is a {answer['protocol']} of Ranvier {answer['version']}, not the "
                f"{protocol} of Ranvier {__version__} that this client speaks; end it, or use its version"
            )
        self._bulk = BulkClient(str(answer["bulk"]), self._token)
        self._to_shut.append(self._bulk.close)
        caller = self.caller
        request = pack("lease", {"id": caller.id, "name": caller.name, "pid": caller.pid})
        self._lease = self.converse(wire.LEASE, iter((request,)))
        self._to_shut.append(self._lease.cancel)
        self.read(self._lease, "the lease")

    def says_hello(self, timeout_sec: float) -> bool:
        """Return whether an engine is there that takes the token; no lease is taken."""
        try:
            self._hello(timeout_sec)
        except grpc.RpcError:
            return False
        return True

    def _hello(self, timeout_sec: float) -> Any:
        data = self._call(wire.HELLO)(pack("hello", None), metadata=self._metadata, timeout=timeout_sec)
        return Message.parse(data).value

    def call(self, path: str, request: bytes) -> Message:
        """Return the one answer to a call; raises what the engine raised."""
        self._check_open()
        try:
            data = self._call(path)(request, metadata=self._metadata)
        except grpc.RpcError as error:
            self._fail(error, path)
        return _checked(Message.parse(data))

    def stream(self, path: str, request: bytes) -> Any:
        """Return the running call of which the server sends many messages."""
        self._check_open()
        return self._channel.unary_stream(path)(request, metadata=self._metadata)

    def converse(self, path: str, requests: Iterator[bytes]) -> Any:
        """Return the running call in which both sides send."""
        self._check_open()
        return self._channel.stream_stream(path)(requests, metadata=self._metadata)

    def read(self, running: Any, what: str) -> Message:
        """Return the next message of a running call; raises what the engine raised."""
        return _checked(Message.parse(self.read_raw(running, what)))

    def read_raw(self, running: Any, what: str) -> bytes:
        """Return the next bytes of a running call."""
        try:
            return bytes(next(running))
        except StopIteration:
            raise EndedEarlyError(f"the engine at {self.address} ended {what} before it was complete") from None
        except grpc.RpcError as error:
            self._fail(error, what)

    def fetch(self, ticket: str, arrays: list[Array], what: str) -> None:
        """Fill arrays with a large result that the engine keeps: by the plain socket, else through gRPC."""
        if self._bulk is not None:
            try:
                if self._bulk.fetch(ticket, arrays):
                    return
                self._bulk = None
            except ServerCommunicationError as error:
                raise ServerCommunicationError(f"{what} at {self.address}: {error}") from error.__cause__
        running = self.stream(wire.FETCH, pack("fetch", {"ticket": ticket}))
        try:
            self.fill(running, arrays, what)
        finally:
            running.cancel()

    def shared_memory(self, token: str) -> npt.NDArray[np.uint8] | None:
        """Return memory that the engine shares; None where it cannot come here, or is gone."""
        self._check_open()
        return None if self._bulk is None else self._bulk.shared(token)

    def fill(self, running: Any, arrays: list[Array], what: str) -> None:
        """Fill arrays with the chunks of a running call."""
        filler = Filler(arrays)
        while not filler.is_full:
            filler.put(self.read_raw(running, what))

    def close(self) -> None:
        """Give the lease back and close the channel; safe to call twice."""
        self._is_closed.set()
        self._finalizer()

    def end_process(self) -> None:
        """Ask the engine's process to end; raises what it answers."""
        self.call(wire.END, pack("end", None))

    def _call(self, path: str) -> Any:
        found = self._unary.get(path)
        if found is None:
            found = self._unary[path] = self._channel.unary_unary(path)
        return found

    def _check_open(self) -> None:
        if self._is_closed.is_set():
            raise ClientClosedError(f"the connection to {self.address} was closed; connect again")

    def _fail(self, error: Any, what: str) -> NoReturn:
        if self._is_closed.is_set():
            raise ClientClosedError(f"the connection to {self.address} was closed during {what}") from error
        if error.code() is grpc.StatusCode.UNAUTHENTICATED:
            raise ServerCommunicationError(
                f"the engine at {self.address} refuses this client: {error.details()}. Give its token "
                f"(RANVIER_TOKEN, or the RANVIER_HOME that it was started with)"
            ) from error
        raise ServerCommunicationError(
            f"the engine at {self.address} did not answer {what.removeprefix(wire.CALL)}: "
            f"{error.code().name.lower()}, {error.details()}"
        ) from error


def _shut(channel: Any, others: list[Callable[[], object]]) -> None:
    for shut in others:
        shut()
    channel.close()


def _checked(message: Message) -> Message:
    if message.kind == "error":
        raise _restored(message)
    return message


def _restored(message: Message) -> RadiensError:
    return restore_error(message.value)
