"""A register of checks that call the documented methods, each with what it must return and what it must have done.

``@typed("AllegoClient", "get_status", ...)`` names the methods that a check calls; the test that runs it makes sure
that it really did. The documentation's compatibility table is made from this register.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ranvier
from ranvier import classic

CLIENTS = json.loads((Path(__file__).parents[2] / "docs" / "contract" / "clients.json").read_text(encoding="utf-8"))

#: Documented methods that are there and raise CapabilityError until their capability comes.
REFUSING = {"classic": ("dashboard",), "typed": ()}


@dataclass(frozen=True)
class Check:
    """A function of an Engine, and the methods that it calls."""

    api: str
    client: str
    methods: tuple[str, ...]
    run: Callable[[Any], None]

    @property
    def id(self) -> str:
        return f"{self.api}-{self.client}-{self.run.__name__}"


CHECKS: list[Check] = []


def checks(client: str, *methods: str, api: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Register a check of methods of a client."""

    def register(run: Callable[[Any], None]) -> Callable[[Any], None]:
        CHECKS.append(Check(api, client, methods, run))
        return run

    return register


typed = functools.partial(checks, api="typed")
classics = functools.partial(checks, api="classic")


def called(api: str, client: str) -> set[str]:
    """Return the methods of a client that the register calls."""
    return {name for one in CHECKS if (one.api, one.client) == (api, client) for name in one.methods}


def due(api: str, client: str) -> set[str]:
    """Return the documented methods of a client that this version must have."""
    return set(CLIENTS[api][client])


class Recorder:
    """A client that notes which of its methods came to an end as they should, and which properties were read."""

    def __init__(self, client: Any, seen: set[str]) -> None:
        self._client, self._seen = client, seen
        seen.add("__init__")

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)
        if name.startswith("_") or not callable(value):
            self._seen.add(name)
            return value

        @functools.wraps(value)
        def call(*arguments: Any, **named: Any) -> Any:
            result = value(*arguments, **named)
            self._seen.add(name)
            return result

        return call

    def refuses(self, error: type[Exception], name: str, *arguments: Any, **named: Any) -> None:
        """Call a method that must raise; that is its documented end here."""
        try:
            getattr(self._client, name)(*arguments, **named)
        except error:
            self._seen.add(name)
            return
        raise AssertionError(f"{name} did not raise {error.__name__}")


@dataclass
class Engine:
    """A rig and a hub, the clients of them, a recording of 2 s (16 channels, 30 kHz, from 3 s on) and a folder."""

    folder: Path
    recording: Path
    address: str | None
    hub_name: str
    seen: set[str] = field(default_factory=set)
    opened: list[Any] = field(default_factory=list)

    def allego(self) -> Any:
        return self._open(ranvier.AllegoClient())

    def videre(self) -> Any:
        return self._open(ranvier.VidereClient(address=self.address, progress=False))

    def curate(self) -> Any:
        return self._open(ranvier.CurateClient(address=self.address, progress=False))

    def classic_allego(self) -> Any:
        return self._open(classic.AllegoClient())

    def classic_hub(self, client: str) -> Any:
        return self._open(getattr(classic, client)(self.hub_name))

    def sub(self, client: Any) -> Any:
        """Return a client that another one made, with its calls noted."""
        return Recorder(client, self.seen)

    def _open(self, client: Any) -> Any:
        self.opened.append(client)
        return Recorder(client, self.seen)

    def close(self) -> None:
        for client in self.opened:
            client.close()


def wait_until(what: Callable[[], Any], sec: float = 20.0) -> None:
    """Wait for something that comes by itself."""
    until = time.monotonic() + sec
    while not what():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.02)
