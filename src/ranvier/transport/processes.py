"""Engine processes: find the one that runs, or start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ranvier._platform import absolute_environment, detached
from ranvier.exceptions import ServerCommunicationError, ServerDiscoveryError
from ranvier.services.caller import Caller
from ranvier.transport.lifetime import LINGER_SEC
from ranvier.transport.registry import Place, ProcessRecord

_LOG_BYTES = 1_000_000
_ANSWER_SEC = 5.0
#: A process that takes no more clients has taken its record away after so long.
_GONE_SEC = 5.0


def _never() -> bool:
    return False


def _nothing() -> None:
    return None


def _unwatched(clients: Callable[[], int]) -> None:
    return None


def _ignore(caller: Caller) -> None:
    return None


@dataclass(frozen=True)
class Hosted:
    """What the entry function of an engine process returns: the engine, and how the process treats it.

    Attributes
    ----------
    engine, protocol
        The object, and the Protocol that it keeps.
    busy
        Whether it streams or records: then the process stays without clients.
    caller_gone
        Called with each client that left or died.
    close
        Called once, before the process ends.
    serving
        Called once, when clients can come, with a function that returns how many there are.
    """

    engine: object
    protocol: type
    busy: Callable[[], bool] = field(default=_never)
    caller_gone: Callable[[Caller], None] = field(default=_ignore)
    close: Callable[[], None] = field(default=_nothing)
    serving: Callable[[Callable[[], int]], None] = field(default=_unwatched)


def find_process(kind: str, home: Path | None = None) -> ProcessRecord | None:
    """Return the engine process of a kind that answers; None where there is none.

    A record whose process is gone is removed.

    Raises
    ------
    ServerCommunicationError
        The process lives, but does not answer.
    """
    place = Place.of(kind, home)
    record = place.read()
    if record is not None and _answers(record):
        return record
    with place.starting(_ANSWER_SEC):
        return _look(place)


def start_process(
    kind: str,
    entry: str,
    home: Path | None = None,
    *,
    options: Mapping[str, str] | None = None,
    linger_sec: float = LINGER_SEC,
    environment: Mapping[str, str] | None = None,
    timeout_sec: float = 60.0,
) -> ProcessRecord:
    """Return the engine process of a kind, and start it where there is none. Clients that start at once get one.

    The process is a child of nobody: it survives this one, its Ctrl-C and its terminal.

    Parameters
    ----------
    kind
        ``"rig"`` or ``"hub"``; there is one process of a kind under one home.
    entry
        ``module:function``; called in the new process as ``function(home, options)``, returns :class:`Hosted`.
    options
        Handed to the entry function. They have no effect on a process that runs already.
    linger_sec
        How long it stays without clients and work.
    environment
        Variables on top of this process's own.
    timeout_sec
        How long its start may take.

    Raises
    ------
    ServerDiscoveryError
        It did not start; the message has the end of its log.
    ServerCommunicationError
        One runs already, but does not answer.
    """
    place = Place.of(kind, home)
    record = place.read()
    if record is not None and _answers(record):
        return record
    deadline = time.monotonic() + timeout_sec
    with place.starting(timeout_sec):
        found = _look(place)
        while found is None and place.is_held():  # the one before is closing what it holds
            if time.monotonic() > deadline:
                raise ServerCommunicationError(
                    f"the {kind} before takes more than {timeout_sec:g} s to end; its log is {place.file('log')}"
                )
            time.sleep(0.05)
            found = _look(place)
        if found is not None:
            return found
        arguments = ["--kind", kind, "--entry", entry, "--linger-sec", str(linger_sec)]
        arguments += ["--home", str(place.folder.parent), "--options", json.dumps(dict(options or {}))]
        return _wait_until_registered(place, _spawn(place, arguments, environment or {}), timeout_sec)


def join_process(
    kind: str,
    entry: str,
    protocol: type,
    home: Path | None = None,
    *,
    options: Mapping[str, str] | None = None,
    linger_sec: float = LINGER_SEC,
    environment: Mapping[str, str] | None = None,
    timeout_sec: float = 60.0,
) -> Any:
    """Return a client of the engine process of a kind: :func:`start_process`, then ``connect``.

    Where the process found decides to end at that very moment, another one is started.
    """
    from ranvier.transport.client import EndedEarlyError, connect

    place = Place.of(kind, home)
    for tries_left in reversed(range(5)):
        record = start_process(
            kind,
            entry,
            home,
            options=options,
            linger_sec=linger_sec,
            environment=environment,
            timeout_sec=timeout_sec,
        )
        try:
            return connect(record.address, protocol, record.token)
        except (ServerDiscoveryError, ServerCommunicationError) as error:
            if isinstance(error, EndedEarlyError):
                _wait_until_gone(place, record)
            if not tries_left or place.read() == record:  # it is there, and refuses
                raise
    raise ServerDiscoveryError(f"no {kind} process stays")


def _wait_until_gone(place: Place, record: ProcessRecord) -> None:
    """Wait for a process that takes no more clients to take its record away; not for ever."""
    until = time.monotonic() + _GONE_SEC
    while place.read() == record and time.monotonic() < until:
        time.sleep(0.02)


def end_process(kind: str, home: Path | None = None) -> bool:
    """End the engine process of a kind, whoever uses it; return whether there was one.

    CapabilityError while it streams or records.
    """
    from ranvier.transport.client import Connection

    record = find_process(kind, home)
    if record is None:
        return False
    connection = Connection(record.address, record.token)
    try:
        connection.end_process()
    finally:
        connection.close()
    return True


def _look(place: Place) -> ProcessRecord | None:
    record = place.read()
    if record is not None and _answers(record):
        return record
    if not place.is_held():
        place.forget()
        return None
    record = place.read()  # it may have registered, or ended, a moment ago
    if record is not None and not _answers(record):
        if place.read() != record:
            return None
        raise ServerCommunicationError(
            f"a {place.kind} runs already (process {record.pid}), but does not answer; its log is "
            f"{place.file('log')}. End that process where it does not recover"
        )
    return record


def _answers(record: ProcessRecord) -> bool:
    """Return whether an engine with this record's token is there."""
    from ranvier.transport.client import Connection

    connection = Connection(record.address, record.token)
    try:
        return connection.says_hello(_ANSWER_SEC)
    finally:
        connection.close()


def _spawn(place: Place, arguments: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    log = place.file("log")
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        os.replace(log, place.file("log.1"))
    variables = absolute_environment({**environment, "RANVIER_HOME": str(place.folder.parent)})
    with open(log, "ab") as output:
        process = subprocess.Popen(
            # -P: a random.py in the folder of the caller must not become part of the engine
            [sys.executable, "-P", "-m", "ranvier.transport.engine", *arguments],
            cwd=place.folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            **detached(),
        )
    # collects the exit status, so that no zombie stays while this process lives
    threading.Thread(target=process.wait, name=f"ranvier-{place.kind}-exit", daemon=True).start()
    return process


def _wait_until_registered(place: Place, process: subprocess.Popen[bytes], timeout_sec: float) -> ProcessRecord:
    deadline = time.monotonic() + timeout_sec
    while True:
        record = place.read()
        if record is not None and record.pid == process.pid and _answers(record):
            return record
        if process.returncode is not None:
            raise ServerDiscoveryError(
                f"the {place.kind} process ended while it started (exit code {process.returncode}):\n{_tail(place)}"
            )
        if time.monotonic() > deadline:
            process.kill()
            raise ServerDiscoveryError(
                f"the {place.kind} process did not start within {timeout_sec:g} s:\n{_tail(place)}"
            )
        time.sleep(0.02)


def _tail(place: Place, size: int = 2000) -> str:
    try:
        text = place.file("log").read_text(encoding="utf-8", errors="replace")[-size:]
    except OSError:
        text = ""
    return f"{text.strip() or 'it wrote nothing'}\n(log: {place.file('log')})"
