"""The way of large results: a plain socket beside the gRPC channel, from array to array without a copy in between.

gRPC copies every byte several times in both processes, and holds up the engine's other threads meanwhile; a socket does
neither (benchmarks/bench_transport.py). Both sides prove that they know the token, and neither says it::

    client -> server    nonce c (32)
    server -> client    nonce s (32), HMAC-SHA256(token, "server" c s)
    client -> server    HMAC-SHA256(token, "client" c s)

    client -> server    ticket (16)                  again for each result
    server -> client    uint64 LE size, then the buffers one after the other; size 2^64-1: no such ticket

Over a socket file the ticket may also be the token of memory that the engine shares: then size 2^64-2 comes with a
handle of that memory, and behind it its size, uint64 LE.

A client that cannot reach the socket (a forwarded port) fetches through gRPC.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from ranvier import _platform, _shared
from ranvier.exceptions import ServerCommunicationError
from ranvier.transport.frames import Array, raw

TICKET_BYTES = 16
_NONCE_BYTES, _PROOF_BYTES = 32, 32
_SIZE = struct.Struct("<Q")
_UNKNOWN, _SHARED = 2**64 - 1, 2**64 - 2
#: How long a new connection may take to prove itself, in seconds.
_GREETING_SEC = 5.0


class BulkServer:
    """Sends parked results to who proves to know the token; one thread per connection."""

    def __init__(self, take: Callable[[str], Sequence[Array] | None], token: str, path: Path | None) -> None:
        self._take, self._token, self._path = take, token, path
        self._listener = _listen(path)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_stopped = False
        self.address = f"unix:{path}" if path is not None else f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, name="ranvier-bulk", daemon=True).start()

    def stop(self) -> None:
        """Close all connections; safe to call twice."""
        with self._lock:
            self._is_stopped = True
            connections, self._open = [self._listener, *self._open], set()
        for connection in connections:
            _close(connection)
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # stopped
            with self._lock:
                if self._is_stopped:
                    connection.close()
                    return
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name="ranvier-bulk", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._is_known(connection):
                while True:
                    self._send(connection, _receive(connection, TICKET_BYTES).decode("ascii", "replace"))
        except OSError:
            pass  # gone, or a stranger
        finally:
            with self._lock:
                self._open.discard(connection)
            _close(connection)

    def _is_known(self, connection: socket.socket) -> bool:
        connection.settimeout(_GREETING_SEC)
        theirs, ours = _receive(connection, _NONCE_BYTES), secrets.token_bytes(_NONCE_BYTES)
        connection.sendall(ours + _proof(self._token, b"server", theirs, ours))
        given = _receive(connection, _PROOF_BYTES)
        connection.settimeout(None)
        return hmac.compare_digest(given, _proof(self._token, b"client", theirs, ours))

    def _send(self, connection: socket.socket, ticket: str) -> None:
        shared = _shared.owned(ticket) if self._path is not None else None
        if shared is not None:
            _platform.send_handle(connection, _SIZE.pack(_SHARED) + _SIZE.pack(len(shared.bytes)), shared.handle)
            return
        arrays = self._take(ticket)
        if arrays is None:
            connection.sendall(_SIZE.pack(_UNKNOWN))
            return
        views = [raw(array) for array in arrays]
        connection.sendall(_SIZE.pack(sum(map(len, views))))
        for view in views:
            connection.sendall(view)


class BulkClient:
    """Fetches results into the memory where they belong; threads that fetch at once have a connection each."""

    def __init__(self, address: str, token: str) -> None:
        self._address, self._token = address, token
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []

    def fetch(self, ticket: str, arrays: Sequence[Array]) -> bool:
        """Fill arrays with a result; False where the socket cannot be reached or is not that of the engine.

        ServerCommunicationError where the engine went away half way, or does not have the result any more.
        """
        return self._ask(lambda connection: self._fill(connection, ticket, arrays))

    def shared(self, token: str) -> _shared.Bytes | None:
        """Return memory that the engine shares, read-only; None where this client cannot have it."""
        found: list[_shared.Bytes] = []
        if self._address.startswith("unix:"):
            self._ask(lambda connection: found.extend(_map(connection, token)))
        return found[0] if found else None

    def _ask(self, talk: Callable[[socket.socket], None]) -> bool:
        """Have a talk over a connection of its own; False where there is none."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._connect()
            if connection is None:
                return False
        try:
            talk(connection)
        except OSError as error:
            _close(connection)
            if isinstance(error, ServerCommunicationError):
                raise
            raise ServerCommunicationError(f"the engine went away while it sent a result: {error}") from error
        except BaseException:  # Ctrl-C: what is still under way must not become the next result
            _close(connection)
            raise
        with self._lock:
            self._idle.append(connection)
        return True

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            connections, self._idle = self._idle, []
        for connection in connections:
            _close(connection)

    def _fill(self, connection: socket.socket, ticket: str, arrays: Sequence[Array]) -> None:
        views = [view for view in map(raw, arrays) if len(view)]
        connection.sendall(ticket.encode("ascii"))
        (size,) = _SIZE.unpack(_receive(connection, _SIZE.size))
        if size == _UNKNOWN:
            raise ServerCommunicationError("the result was dropped before it was fetched")
        if size != sum(map(len, views)):
            raise ServerCommunicationError(f"a result of {size} bytes came where {sum(map(len, views))} were announced")
        for view in views:
            _receive_into(connection, view)

    def _connect(self) -> socket.socket | None:
        try:
            connection = _dial(self._address)
        except OSError:
            return None
        try:
            ours = secrets.token_bytes(_NONCE_BYTES)
            connection.sendall(ours)
            theirs = _receive(connection, _NONCE_BYTES)
            given = _receive(connection, _PROOF_BYTES)
            if not hmac.compare_digest(given, _proof(self._token, b"server", ours, theirs)):
                raise ConnectionError("another program")
            connection.sendall(_proof(self._token, b"client", ours, theirs))
            connection.settimeout(None)
        except OSError:
            _close(connection)
            return None
        return connection


def _map(connection: socket.socket, token: str) -> list[_shared.Bytes]:
    connection.sendall(token.encode("ascii"))
    data, handle = _platform.receive_handle(connection, _SIZE.size)
    data += _receive(connection, _SIZE.size - len(data))
    if _SIZE.unpack(data)[0] != _SHARED:
        return []
    (size,) = _SIZE.unpack(_receive(connection, _SIZE.size))
    found = None if handle is None else _shared.mapped(handle, size)
    return [] if found is None else [found]


def _listen(path: Path | None) -> socket.socket:
    if path is None:
        return socket.create_server(("127.0.0.1", 0))
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


def _dial(address: str) -> socket.socket:
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_GREETING_SEC)
        try:
            connection.connect(address.removeprefix("unix:"))
        except OSError:
            connection.close()
            raise
        return connection
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=_GREETING_SEC)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _proof(token: str, role: bytes, first: bytes, second: bytes) -> bytes:
    return hmac.digest(token.encode(), role + first + second, hashlib.sha256().name)


def _receive(connection: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    _receive_into(connection, memoryview(data))
    return bytes(data)


def _receive_into(connection: socket.socket, view: memoryview) -> None:
    while len(view):
        got = connection.recv_into(view)
        if not got:
            raise ConnectionResetError("the connection was closed")
        view = view[got:]


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits in it
    connection.close()
