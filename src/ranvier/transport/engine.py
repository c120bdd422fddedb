"""What runs in an engine process: ``python -m ranvier.transport.engine --kind rig --entry module:function ...``."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import secrets
import signal
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ranvier._platform import write_private
from ranvier._version import __version__
from ranvier.exceptions import ConfigurationError
from ranvier.transport.lifetime import LINGER_SEC, Lifetime
from ranvier.transport.processes import Hosted
from ranvier.transport.registry import Place, ProcessRecord
from ranvier.transport.server import RunningServer, serve
from ranvier.transport.wire import MAX_SOCKET_PATH

#: How long the end of a process may take once its engine is closed; then it is ended by force.
_EXIT_SEC = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an engine until it is of no more use; returns the exit code."""
    given = _parse(arguments)
    place = Place.of(given.kind, given.home)
    if not place.hold():
        raise SystemExit(f"a {given.kind} runs already under {place.folder.parent}")
    hosted = load_entry(given.entry)(place.folder.parent, json.loads(given.options))
    try:
        _host(hosted, place, given.linger_sec)
    finally:
        try:
            hosted.close()
        finally:
            _end_by_force(_EXIT_SEC)
    return 0


def load_entry(entry: str) -> Any:
    """Return the function that ``module:function`` names; ConfigurationError where there is none."""
    module, _, name = entry.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"no entry function {entry!r} (module:function): {error}") from error


def _host(hosted: Hosted, place: Place, linger_sec: float) -> None:
    token = secrets.token_urlsafe(32)
    with serve(hosted.engine, hosted.protocol, data_socket=_data_socket(place), token=token) as server:
        server.leases.on_leave(hosted.caller_gone)
        hosted.serving(lambda: len(server.leases))
        lifetime = Lifetime(server.leases, hosted.busy, linger_sec)
        server.on_end_request = lifetime.end_unless_busy
        for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda *_: lifetime.end())
        _register(server, place, token)
        try:
            lifetime.wait()
        finally:
            place.forget(os.getpid())


def _data_socket(place: Place) -> Path | None:
    """Return the file for large results, where the system has such sockets and the path is short enough."""
    path = place.file("data")
    return path if os.name == "posix" and len(os.fsencode(path)) <= MAX_SOCKET_PATH else None


def _register(server: RunningServer, place: Place, token: str) -> None:
    write_private(place.file("token"), token)
    place.write(
        ProcessRecord(
            kind=place.kind,
            address=server.address,
            pid=os.getpid(),
            token_file=str(place.file("token")),
            started_utc=datetime.now(UTC).isoformat(timespec="milliseconds"),
            version=__version__,
        )
    )


def _end_by_force(after_sec: float) -> None:
    """Make sure that a thread that never returns (an engine's iterator, a driver) does not keep the process."""
    timer = threading.Timer(after_sec, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ranvier.transport.engine", description=__doc__)
    parser.add_argument("--kind", required=True)
    parser.add_argument("--entry", required=True, help="module:function")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--linger-sec", type=float, default=LINGER_SEC)
    parser.add_argument("--options", default="{}", help="JSON, for the entry function")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
