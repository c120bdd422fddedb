"""The serving side: any object that keeps a Protocol, behind gRPC with raw-bytes messages."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from ranvier._platform import is_private, make_private_folder
from ranvier._version import __version__
from ranvier.exceptions import CapabilityError, ConfigurationError, RadiensError, ServerCommunicationError
from ranvier.services.caller import Caller
from ranvier.transport import wire
from ranvier.transport.bulk import BulkServer
from ranvier.transport.calls import Calls
from ranvier.transport.errors import describe_error
from ranvier.transport.frames import Message, pack
from ranvier.transport.leases import Leases
from ranvier.transport.service import describe

#: Calls, subscriptions and leases that run at once; each has a thread while it lasts.
MAX_CALLS = 256


def serve(
    engine: object,
    protocol: type,
    *,
    address: str = "127.0.0.1:0",
    socket: Path | None = None,
    data_socket: Path | None = None,
    token: str | None = None,
) -> RunningServer:
    """Serve an engine to other processes of this machine.

    Parameters
    ----------
    engine
        Keeps ``protocol``; its methods are called from many threads.
    address
        ``127.0.0.1:PORT``; port 0 lets the system choose.
    socket
        A socket file instead, in a folder that only this user can look into; it is made where it does not exist.
    data_socket
        A socket file for large results; with ``socket`` there is one in any case. It is faster than loopback.
    token
        What a client must know; None makes one.

    Raises
    ------
    CapabilityError
        The Protocol has types that cannot travel.
    ConfigurationError
        An address of another machine, or a socket in a folder that others can look into.
    ServerCommunicationError
        The address is taken.
    """
    if socket is not None:
        address = wire.socket_address(socket)
        data_socket = data_socket or socket.with_name(f"{socket.name}.data")
    for path in (socket, data_socket):
        if path is not None:
            wire.socket_address(path)
            _require_private(path.parent)
    token = token or secrets.token_urlsafe(32)
    return RunningServer(engine, protocol, wire.check_address(address), token, data_socket)


class RunningServer:
    """An engine that is being served; ``stop`` it, or use it in a ``with``.

    Attributes
    ----------
    address
        Where clients find it.
    token
        What they must know.
    leases
        Who they are.
    on_end_request
        Called when a user asks to end the process; may refuse with one of our errors.
    """

    def __init__(self, engine: object, protocol: type, address: str, token: str, data_socket: Path | None) -> None:
        self.token = token
        self.leases = Leases()
        self._service = describe(protocol)
        self._calls = Calls(engine, self._service, self.leases)
        self._pool = ThreadPoolExecutor(MAX_CALLS, thread_name_prefix="ranvier-call")
        self._server = grpc.server(self._pool, options=wire.OPTIONS, maximum_concurrent_rpcs=MAX_CALLS)
        self._server.add_generic_rpc_handlers((_Router(self),))
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            self._pool.shutdown()
            raise ServerCommunicationError(f"cannot listen at {address}: {error}") from error
        self.address = address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
        self._bulk = BulkServer(self._calls.take, token, data_socket)
        self.on_end_request: Callable[[], None] | None = None
        self._server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self, grace_sec: float = 1.0) -> None:
        """Refuse new calls, cancel running work, end subscriptions, wait for calls up to ``grace_sec``.

        Safe to call twice. The engine itself is not closed.
        """
        stopped = self._server.stop(grace_sec)
        self.leases.close()
        self._calls.cancel_all()
        stopped.wait(grace_sec + 1.0)
        self._bulk.stop()
        self._calls.join(grace_sec)
        self._pool.shutdown(wait=False)

    def route(self, path: str) -> Any:
        """Return the handler of one path, or None."""
        if path == wire.HELLO:
            return grpc.unary_unary_rpc_method_handler(self._hello)
        if path == wire.END:
            return grpc.unary_unary_rpc_method_handler(self._end)
        if path == wire.LEASE:
            return grpc.stream_stream_rpc_method_handler(self._lease)
        if path == wire.FETCH:
            return grpc.unary_stream_rpc_method_handler(self._calls.fetch)
        return self._calls.route(path)

    def _end(self, request: bytes, context: Any) -> bytes:
        """End the process, as a user asked; the engine's owner may refuse."""
        try:
            if self.on_end_request is None:
                raise CapabilityError("this engine is not a process of its own; close it where it was made")
            self.on_end_request()
        except RadiensError as error:
            return pack("error", describe_error(error))
        return pack("value", None)

    def _hello(self, request: bytes, context: Any) -> bytes:
        """Say what this is, so that a client of another version is told so instead of misread."""
        return pack(
            "hello",
            {
                "version": __version__,
                "protocol": self._service.protocol.__name__,
                "fingerprint": self._service.fingerprint,
                "bulk": self._bulk.address,
            },
        )

    def _lease(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        """Count a client for as long as this call lasts."""
        fields = Message.parse(next(requests)).value
        caller = Caller(str(fields["id"]), str(fields["name"]), int(fields["pid"]))
        gone = self.leases.enter(caller)
        try:
            if gone.is_set() or not context.add_callback(gone.set):
                return
            yield pack("leased", None)
            gone.wait()
        finally:
            self.leases.leave(caller)


class _Router(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Looks at the token, then at the path."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server

    def service(self, details: Any) -> Any:
        """Return the handler of a call."""
        metadata = dict(details.invocation_metadata)
        given = metadata.get(wire.TOKEN_KEY, "")
        if not secrets.compare_digest(str(given).encode(), self._server.token.encode()):
            return _refusing(grpc.StatusCode.UNAUTHENTICATED, "the token is not that of this engine")
        return self._server.route(details.method)


def _require_private(folder: Path) -> None:
    if not folder.exists():
        make_private_folder(folder)
    if not is_private(folder):
        raise ConfigurationError(
            f"others can look into {folder}: a socket file needs a folder of its own (chmod 700, or name one that does "
            f"not exist)"
        )


def _refusing(code: Any, text: str) -> Any:
    def refuse(requests: Any, context: Any) -> None:
        context.abort(code, text)

    handler: Callable[..., Any] = grpc.stream_stream_rpc_method_handler
    return handler(refuse)
