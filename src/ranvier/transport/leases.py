"""Who uses an engine: a client holds a lease, a call that lasts as long as the client does, however that ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ranvier.services.caller import Caller


class Leases:
    """The clients of one server; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Caller, threading.Event]] = {}
        self._listeners: list[Callable[[Caller], None]] = []
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._held)

    @property
    def callers(self) -> list[Caller]:
        """Who holds a lease, in order of coming."""
        with self._lock:
            return [caller for caller, _ in self._held.values()]

    def get(self, caller_id: str) -> Caller | None:
        """Return a client by its id."""
        held = self._held.get(caller_id)
        return None if held is None else held[0]

    def on_leave(self, listener: Callable[[Caller], None]) -> None:
        """Call ``listener`` with each client that is gone, from a thread of the server."""
        self._listeners.append(listener)

    def enter(self, caller: Caller) -> threading.Event:
        """Take a client in; the event ends its lease."""
        gone = threading.Event()
        with self._lock:
            if self._is_closed:
                gone.set()
            else:
                self._held[caller.id] = (caller, gone)
        return gone

    def leave(self, caller: Caller) -> None:
        """Let a client go, and tell who asked for it."""
        with self._lock:
            if self._held.pop(caller.id, None) is None:
                return
        for listener in self._listeners:
            listener(caller)

    def close_if_unused(self) -> bool:
        """Take no more clients in, provided that there is none; return whether that is so."""
        with self._lock:
            if not self._held:
                self._is_closed = True
            return not self._held

    def close(self) -> None:
        """End all leases."""
        with self._lock:
            self._is_closed = True
            events = [gone for _, gone in self._held.values()]
        for gone in events:
            gone.set()
