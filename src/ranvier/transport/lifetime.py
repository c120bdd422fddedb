"""How long an engine process lives: while someone uses it or it is busy, and a while longer."""

from __future__ import annotations

import time
from collections.abc import Callable

from ranvier.exceptions import CapabilityError
from ranvier.transport.leases import Leases

#: How long an engine process stays without clients and work, and at least how long it waits for its first, in seconds.
LINGER_SEC, FIRST_SEC = 60.0, 10.0


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
        self._is_ended = False

    def end(self) -> None:
        """End it now; safe in a signal handler, where no lock may be taken."""
        self._is_ended = True

    def end_unless_busy(self) -> None:
        """End it, as a user asked; CapabilityError while it streams or records."""
        if self.is_busy():
            raise CapabilityError("the engine is busy (it streams or records); stop that first")
        self.end()

    def wait(self) -> None:
        """Return when nobody has used the engine for ``linger_sec``, or after :meth:`end`."""
        # whoever started it is still on the way
        last_use = time.monotonic() + max(0.0, FIRST_SEC - self._linger_sec)
        while not self._is_ended:
            time.sleep(min(0.2, self._linger_sec / 4 + 0.01))
            if len(self._leases) or self.is_busy():
                last_use = time.monotonic()
            elif time.monotonic() - last_use >= self._linger_sec and self._leases.close_if_unused():
                return

    def is_busy(self) -> bool:
        """Return whether the engine says that it is busy."""
        try:
            return bool(self._busy())
        except Exception:  # noqa: BLE001  # an engine that cannot tell may be recording: ending it could lose samples
            return True
