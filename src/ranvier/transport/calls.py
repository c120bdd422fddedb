"""How calls run in the serving process: one answer, work with progress, subscriptions."""

from __future__ import annotations

import contextvars
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial, reduce
from types import GeneratorType
from typing import Any

import grpc

from ranvier.exceptions import ConfigurationError, DataProcessingError, JobCancelledError, ServerCommunicationError
from ranvier.services.caller import CALLER
from ranvier.transport import wire
from ranvier.transport.bulk import TICKET_BYTES
from ranvier.transport.errors import describe_error
from ranvier.transport.frames import INLINE_BYTES, Array, Message, Writer, chunks, pack
from ranvier.transport.leases import Leases
from ranvier.transport.service import Kind, Method, Service
from ranvier.transport.values import Codec

#: A large result that nobody fetched is dropped after this long.
PARKED_SEC = 60.0
#: Progress that waits for a slow client; older reports are dropped.
MAX_REPORTS = 64


class Calls:
    """Runs the methods of one engine for its clients."""

    def __init__(self, engine: object, service: Service, leases: Leases) -> None:
        self._engine, self._leases = engine, leases
        self._methods = {method.name: method for method in service.walk()}
        self._parked = _Parked()
        self._lock = threading.Lock()
        self._running: set[Callable[[], None]] = set()
        self._threads: set[threading.Thread] = set()

    def route(self, path: str) -> Any:
        """Return the handler of a method's path, or None."""
        for prefix, make, run, kinds in (
            (wire.CALL, grpc.unary_unary_rpc_method_handler, self._answer, (Kind.CALL,)),
            (wire.STREAM, grpc.stream_stream_rpc_method_handler, self._work, (Kind.WORK,)),
            (wire.STREAM, grpc.stream_stream_rpc_method_handler, self._subscription, (Kind.SUBSCRIPTION,)),
        ):
            method = self._methods.get(path.removeprefix(prefix)) if path.startswith(prefix) else None
            if method is not None and method.kind in kinds:
                return make(partial(run, method))
        return None

    def fetch(self, request: bytes, context: Any) -> Iterator[bytes]:
        """Send the buffers of a large result; or drop them, where the client has no use for them."""
        wanted = Message.parse(request).value
        arrays = self._parked.take(str(wanted["ticket"]))
        if wanted.get("drop"):
            return
        if arrays is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "the result was dropped before it was fetched")
        yield from chunks(arrays or ())

    def take(self, ticket: str) -> list[Array] | None:
        """Return a parked result and forget it."""
        return self._parked.take(ticket)

    def cancel_all(self) -> None:
        """Cancel work and end subscriptions."""
        with self._lock:
            running = list(self._running)
        for cancel in running:
            cancel()

    def join(self, timeout_sec: float) -> None:
        """Wait for work that was cancelled to clean up."""
        deadline = time.monotonic() + timeout_sec
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _answer(self, method: Method, request: bytes, context: Any) -> bytes:
        try:
            result = self._bind(method, request, context)()
            writer, value = _encoded(method.result, result, method.name)
        except BaseException as error:  # noqa: BLE001  # goes to the caller, whatever it is
            return pack("error", describe_error(error))
        if writer.nbytes <= INLINE_BYTES:
            return pack("value", value, writer)
        return pack("value", value, writer, ahead=True, ticket=self._parked.add(writer.arrays))

    def _bind(self, method: Method, request: bytes, context: Any, **more: Any) -> Callable[[], Any]:
        """Return the engine's method with its arguments; CALLER is set for this thread."""
        caller = self._leases.get(dict(context.invocation_metadata()).get(wire.CALLER_KEY, ""))
        CALLER.set(caller)
        target, _, last = method.name.rpartition(".")
        owner = reduce(getattr, target.split("."), self._engine) if target else self._engine
        if method.signature is None:
            return partial(getattr, owner, last)
        arguments = {**_arguments(method, request), **more}
        positional = [arguments.pop(name) for name in method.positional(list(arguments))]
        return partial(getattr(owner, last), *positional, **arguments)

    def _work(self, method: Method, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        """Run a method in a thread of its own, and pass on what it reports."""
        reports = _Reports()
        cancelled = threading.Event()

        def report(value: object) -> None:
            if cancelled.is_set():
                raise JobCancelledError(f"{method.name} was cancelled")
            reports.put(pack("progress", *reversed(_encoded(method.progress, value, method.name))))

        def run() -> None:
            try:
                reports.finish(list(_messages("value", method.result, bound(), method.name)))
            except BaseException as error:  # noqa: BLE001  # goes to the caller, whatever it is
                reports.finish([pack("error", describe_error(error))])

        try:
            bound = self._bind(method, next(requests), context, progress=report)
        except BaseException as error:  # noqa: BLE001  # goes to the caller, whatever it is
            yield pack("error", describe_error(error))
            return
        worker = threading.Thread(target=contextvars.copy_context().run, args=(run,), name=f"ranvier-{method.name}")
        with self._registered(cancelled.set, context, worker):
            threading.Thread(target=_listen, args=(requests, cancelled.set), daemon=True).start()
            yield from reports

    def _subscription(self, method: Method, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        """Pass on what an engine's iterator yields, as fast as the subscriber takes it."""
        room = threading.Semaphore(wire.WINDOW)
        ended = threading.Event()
        items: Any = None

        def end() -> None:
            ended.set()
            room.release()
            if not isinstance(items, GeneratorType) and hasattr(items, "close"):
                items.close()

        try:
            items = self._bind(method, next(requests), context)()
            with self._registered(end, context):
                threading.Thread(target=_listen, args=(requests, end, room.release), daemon=True).start()
                while True:
                    room.acquire()
                    item = _END if ended.is_set() else next(items, _END)
                    if item is _END or ended.is_set():
                        break
                    yield from _messages("item", method.result, item, method.name)
            yield pack("end", None)
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001  # goes to the subscriber, whatever it is
            yield pack("error", describe_error(error))
        finally:
            if hasattr(items, "close"):
                items.close()

    def _registered(self, cancel: Callable[[], None], context: Any, worker: threading.Thread | None = None) -> Any:
        return _Registration(self, cancel, context, worker)


_END = object()


class _Registration:
    """While it is entered, a stop of the server or the end of the call cancels."""

    def __init__(self, calls: Calls, cancel: Callable[[], None], context: Any, worker: threading.Thread | None) -> None:
        self._calls, self._cancel, self._context, self._worker = calls, cancel, context, worker

    def __enter__(self) -> None:
        with self._calls._lock:
            self._calls._running.add(self._cancel)
            self._calls._threads = {thread for thread in self._calls._threads if thread.is_alive()}
            if self._worker is not None:
                self._calls._threads.add(self._worker)
        if self._worker is not None:
            self._worker.start()
        if not self._context.add_callback(self._cancel):  # the caller is gone already
            self._cancel()

    def __exit__(self, *_: object) -> None:
        with self._calls._lock:
            self._calls._running.discard(self._cancel)


class _Reports:
    """Messages of running work, in order; the last ones are its result."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque(maxlen=MAX_REPORTS)
        self._last: list[bytes] | None = None

    def put(self, message: bytes) -> None:
        """Take a report; the oldest makes room where nobody takes them."""
        with self._changed:
            self._waiting.append(message)
            self._changed.notify()

    def finish(self, messages: list[bytes]) -> None:
        """Take the result."""
        with self._changed:
            self._last = messages
            self._changed.notify()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._last is not None)
                if not self._waiting:
                    break
                message = self._waiting.popleft()
            yield message
        yield from self._last or ()


class _Parked:
    """Buffers of results that are too large for one message, until they are fetched."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[float, list[Array]]] = {}

    def add(self, arrays: list[Array]) -> str:
        """Keep arrays and return their ticket; old ones that nobody fetched are dropped."""
        now = time.monotonic()
        ticket = secrets.token_hex(TICKET_BYTES // 2)
        with self._lock:
            self._held = {key: held for key, held in self._held.items() if now - held[0] < PARKED_SEC}
            self._held[ticket] = (now, arrays)
        return ticket

    def take(self, ticket: str) -> list[Array] | None:
        """Return arrays and forget them."""
        with self._lock:
            return self._held.pop(ticket, (0.0, None))[1]


def _arguments(method: Method, request: bytes) -> dict[str, Any]:
    message = Message.parse(request)
    arrays = message.arrays()
    found = {}
    for name, value in message.value.items():
        try:
            found[name] = method.parameters[name].decode(value, arrays)
        except KeyError:
            raise ConfigurationError(f"{method.name} has no parameter {name}") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"parameter {name} of {method.name}: {error}") from error
    return found


def _encoded(codec: Codec | None, value: object, name: str) -> tuple[Writer, Any]:
    writer = Writer()
    try:
        return writer, None if codec is None else codec.encode(value, writer)
    except ConfigurationError as error:
        raise DataProcessingError(f"{name} gave what its Protocol does not promise: {error}") from error


def _messages(kind: str, codec: Codec, value: object, name: str) -> Iterator[bytes]:
    writer, encoded = _encoded(codec, value, name)
    ahead = writer.nbytes > INLINE_BYTES
    yield pack(kind, encoded, writer, ahead=ahead)
    if ahead:
        yield from chunks(writer.arrays)


def _listen(requests: Iterator[bytes], end: Callable[[], None], more: Callable[[int], None] | None = None) -> None:
    """Hear what a client says while its call runs: that it wants more, that it wants no more, or that it is gone."""
    with suppress(grpc.RpcError, ServerCommunicationError):
        for request in requests:
            message = Message.parse(request)
            if message.kind == "more" and more is not None:
                more(int(message.value))
            else:
                end()
