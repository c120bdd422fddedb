"""The one place that builds a hub."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ranvier._platform import home
from ranvier.exceptions import ServerDiscoveryError
from ranvier.services import Hub

if TYPE_CHECKING:
    from ranvier.hub.hub import Hub as EmbeddedHub

_EMBEDDED: dict[Path, EmbeddedHub] = {}
_LOCK = threading.Lock()


def open_hub(address: str | None = None) -> Hub:
    """Return the hub to use: ``address`` > ``RANVIER_ADDRESS`` > embedded in this process.

    Clients of one process and one RANVIER_HOME share the embedded hub, so that what one links another can use.

    Raises
    ------
    ServerDiscoveryError
        For an address other than ``embedded``: this version has no hub server to connect to. Never falls back.
    """
    wanted = address if address is not None else os.environ.get("RANVIER_ADDRESS") or "embedded"
    if wanted != "embedded":
        raise ServerDiscoveryError(
            f"no hub answers at {wanted!r}: this version runs the engine inside the calling process only; "
            f"leave address (and RANVIER_ADDRESS) out, or say 'embedded'"
        )
    where = home().expanduser().absolute()
    with _LOCK:
        hub = _EMBEDDED.get(where)
        if hub is None:
            from ranvier.hub.hub import Hub as EmbeddedHub

            hub = _EMBEDDED[where] = EmbeddedHub(where)
        return hub


def warm_kernels(compiling: Callable[[str, int, int], None]) -> tuple[int, int]:
    """Compile every kernel into the cache; return how many were compiled now, and how many there are."""
    from ranvier.kernels import all_kernels, on_compile, warm

    on_compile(compiling)
    return warm(), sum(1 for _ in all_kernels())


def announce_compiling(listener: Callable[[str, int, int], None]) -> None:
    """Ask to be told before a kernel is compiled: ``listener(name, n, of)``."""
    from ranvier.kernels import on_compile

    on_compile(listener)


@atexit.register
def close_embedded_hubs() -> None:
    """Close the hubs of this process (its jobs are cancelled, nothing is unlinked)."""
    with _LOCK:
        for hub in _EMBEDDED.values():
            hub.close()
        _EMBEDDED.clear()
