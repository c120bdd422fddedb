"""How long an engine process lives: while someone uses it or it is busy, and a while longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ranvier.transport.leases import Leases

#: How long an engine process stays without clients and work, in seconds.
LINGER_SEC = 60.0


class Lifetime:
    """Waits for the moment at which a process is of no more use.

    Parameters
    ----------
    leases
        Its clients.
    busy
        Whether the engine streams, records or works for nobody who is there; an error in it counts as busy.
    linger_sec
        How long to wait for the next client. It counts from the last one, or from the last work.
    """

    def __init__(self, leases: Leases, busy: Callable[[], bool], linger_sec: float = LINGER_SEC) -> None:
        self._leases, self._busy, self._linger_sec = leases, busy, linger_sec
        self._ended = threading.Event()

    def end(self) -> None:
        """End it now; safe in a signal handler."""
        self._ended.set()

    def wait(self) -> None:
        """Return when nobody has used the engine for ``linger_sec``, or after :meth:`end`."""
        last_use = time.monotonic()
        while not self._ended.wait(min(0.2, self._linger_sec / 4 + 0.01)):
            if len(self._leases) or self._is_busy():
                last_use = time.monotonic()
            elif time.monotonic() - last_use >= self._linger_sec:
                return

    def _is_busy(self) -> bool:
        try:
            return bool(self._busy())
        except Exception:  # noqa: BLE001  # an engine that cannot tell may be recording: ending it could lose samples
            return True
