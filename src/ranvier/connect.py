"""The one place that builds a hub, and starts or joins a rig."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from ranvier._platform import home
from ranvier.exceptions import ConfigurationError, ServerCommunicationError, ServerDiscoveryError
from ranvier.services import Hub
from ranvier.services.rig import Rig

if TYPE_CHECKING:
    from ranvier.hub.hub import Hub as EmbeddedHub
    from ranvier.rig.rig import Rig as EmbeddedRig

_EMBEDDED: dict[Path, EmbeddedHub] = {}
_REMOTE: dict[str, Hub] = {}
_RIGS: dict[Path, EmbeddedRig] = {}
_LOCK = threading.Lock()

#: What the process of a hub runs.
HUB_ENTRY = "ranvier.hub.process:entry"


def open_hub(address: str | None = None) -> Hub:
    """Return the hub to use: ``address`` > ``RANVIER_ADDRESS`` > embedded in this process.

    An address is

    * ``embedded``, or ``embedded:FOLDER`` (its state in that folder instead of RANVIER_HOME): inside this process.
      Clients of one process share the embedded hub of each folder, so that what one links another can use;
    * ``process``, or ``process:FOLDER``: a process of its own, started where none runs. Programs share what is linked
      there; it ends 60 s after the last of them left and its last job ended;
    * ``127.0.0.1:PORT`` or ``unix:PATH`` of such a process; or the name of a hub (see :func:`named_hubs`).

    Raises
    ------
    ServerDiscoveryError
        Nobody answers there. Never falls back.
    """
    wanted = address if address is not None else os.environ.get("RANVIER_ADDRESS") or "embedded"
    if wanted not in ("embedded", "process") and ":" not in wanted:
        wanted = named_hubs().get(wanted, wanted)
    kind, _, folder = wanted.partition(":")
    where = (Path(folder) if folder else home()).expanduser().absolute()
    if kind == "embedded":
        return _embedded_hub(where)
    from ranvier import transport

    if kind == "process":
        return _remote_hub(wanted, lambda: transport.join_process("hub", HUB_ENTRY, Hub, where))
    if kind in ("unix", "127.0.0.1", "localhost"):
        return _remote_hub(wanted, lambda: transport.connect(wanted, Hub))
    raise ServerDiscoveryError(
        f"no hub answers at {wanted!r}: hubs are inside the calling process or processes of this machine; leave "
        f"address (and RANVIER_ADDRESS) out, or say 'embedded', 'embedded:FOLDER', 'process' or 'process:FOLDER'"
    )


def start_hub(*, linger_sec: float) -> str:
    """Start the hub process of this RANVIER_HOME where none runs, and return its address.

    It stays for ``linger_sec`` without clients and jobs.
    """
    from ranvier import transport

    return transport.start_process("hub", HUB_ENTRY, home(), linger_sec=linger_sec).address


def end_hub() -> bool:
    """End the hub process of this RANVIER_HOME, and wait for its end; return whether there was one.

    Its jobs are cancelled. ServerCommunicationError where it takes longer than 30 s.
    """
    from ranvier import transport

    ended = transport.end_process("hub", home())
    until = time.monotonic() + 30.0
    while ended and transport.find_process("hub", home()) is not None:
        if time.monotonic() > until:
            raise ServerCommunicationError("the hub process is still ending; its jobs are not cancelled yet")
        time.sleep(0.05)
    return ended


def find_hub() -> str | None:
    """Return the address of the hub process of this RANVIER_HOME, None where there is none."""
    from ranvier import transport

    found = transport.find_process("hub", home())
    return None if found is None else found.address


def named_hubs() -> dict[str, str]:
    """Return the address of every named hub of this RANVIER_HOME; the default hub needs no name."""
    from ranvier.store import Store

    with Store() as store:
        return store.hubs.all()


def name_hub(name: str, address: str) -> None:
    """Give a hub a name; one that has it already is replaced."""
    from ranvier.store import Store

    with Store() as store:
        store.hubs.put(name, address)


def forget_hub(name: str) -> None:
    """Take a hub's name back; its folder stays. ServerDiscoveryError for an unknown one."""
    from ranvier.store import Store

    with Store() as store:
        store.hubs.remove(name)


def hub_address(name: str | None) -> str | None:
    """Return the address behind a hub's name; None for ``default``, which is what ``open_hub()`` gives.

    Raises
    ------
    ServerDiscoveryError
        An unknown name; the message lists the known ones.
    """
    from ranvier.store import Store
    from ranvier.store.hubs import DEFAULT

    if name in (None, DEFAULT):
        return None
    with Store() as store:
        return store.hubs.address(str(name))


def open_rig(address: str | None = None, *, embedded: bool = False) -> Rig:
    """Return the rig to use: ``address`` > ``RANVIER_ADDRESS`` > the rig process of this RANVIER_HOME > a new one.

    A rig process lives while it has a client, streams or records, and 60 s longer. Hand a rig back with :func:`leave`.

    Parameters
    ----------
    address
        ``127.0.0.1:PORT`` or ``unix:PATH`` of a rig process; ``process`` for that of this RANVIER_HOME; ``embedded``
        for a rig inside this process, which the clients of one process and one RANVIER_HOME share.
    embedded
        The same as the address ``embedded``.

    Raises
    ------
    ServerDiscoveryError
        Nobody answers at the address that was given (there is no falling back), or no process could be started.
    ConfigurationError
        An address and ``embedded`` that contradict each other.
    """
    if embedded and address not in (None, "embedded"):
        raise ConfigurationError(f"address={address!r} and embedded=True contradict each other; give one of them")
    wanted = "embedded" if embedded else address if address is not None else os.environ.get("RANVIER_ADDRESS")
    if wanted == "embedded":
        return _embedded_rig(home().expanduser().absolute())
    from ranvier import transport

    if wanted and wanted != "process":
        return cast("Rig", transport.connect(wanted, Rig))
    return cast("Rig", transport.join_process("rig", "ranvier.rig.process:entry", Rig, home()))


def find_rig() -> str | None:
    """Return the address of the rig that :func:`open_rig` would join; None where it would start a process."""
    named = os.environ.get("RANVIER_ADDRESS")
    if named and named != "process":
        return named
    from ranvier import transport

    found = transport.find_process("rig", home())
    return None if found is None else found.address


def leave(engine: Rig) -> None:
    """Let go of what :func:`open_rig` gave: it streams and records on; safe to call twice."""
    from ranvier.rig.rig import Rig as EmbeddedRig

    if isinstance(engine, EmbeddedRig):
        return
    from ranvier import transport

    transport.disconnect(engine)


def shared_memory(engine: Rig, token: str) -> npt.NDArray[np.uint8] | None:
    """Return memory that a rig shares (``SignalBlock.lent``), read-only or not to be written; None where it cannot."""
    from ranvier.rig.rig import Rig as EmbeddedRig

    if isinstance(engine, EmbeddedRig):
        from ranvier._shared import owned

        found = owned(token)
        return None if found is None else found.bytes
    from ranvier import transport

    return transport.shared_memory(engine, token)


def _embedded_hub(where: Path) -> Hub:
    with _LOCK:
        hub = _EMBEDDED.get(where)
        if hub is None:
            from ranvier.hub.hub import Hub as EmbeddedHub

            hub = _EMBEDDED[where] = EmbeddedHub(where)
        return hub


def _remote_hub(address: str, join: Callable[[], Any]) -> Hub:
    """Return the connection to a hub's process, a new one where the process before has ended."""
    from ranvier import transport

    with _LOCK:
        hub = _REMOTE.get(address)
        if hub is None or not transport.connection_of(hub).is_alive:
            hub = _REMOTE[address] = cast("Hub", join())
        return hub


def _embedded_rig(where: Path) -> Rig:
    with _LOCK:
        rig = _RIGS.get(where)
        if rig is None:
            from ranvier.rig.rig import Rig as EmbeddedRig

            rig = _RIGS[where] = EmbeddedRig(where)
        return rig


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
    """Close the hubs of this process (its jobs are cancelled, nothing is unlinked); leave those of others."""
    with _LOCK:
        for hub in _EMBEDDED.values():
            hub.close()
        _EMBEDDED.clear()
        for remote in _REMOTE.values():
            from ranvier import transport

            transport.disconnect(remote)
        _REMOTE.clear()


@atexit.register
def close_embedded_rigs() -> None:
    """Close the rigs of this process: recordings are finished, outputs turned off."""
    with _LOCK:
        for rig in _RIGS.values():
            rig.close()
        _RIGS.clear()
