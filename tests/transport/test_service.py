"""What a Protocol says, and which Protocols are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pytest
from fake_engine import Fake

from ranvier.exceptions import CapabilityError
from ranvier.services import Hub, HubSignals, Progress
from ranvier.transport import describe
from ranvier.transport.service import Kind


def test_the_hub_can_be_made_remote() -> None:
    methods = {method.name: method for method in describe(Hub).walk()}
    assert methods["datasets.link"].kind is Kind.CALL
    assert methods["curation.apply"].kind is Kind.WORK
    assert "progress" not in methods["curation.apply"].parameters
    assert methods["signals.read"].out is not None
    assert set(methods["signals.read"].parameters) == {"dataset_id", "time_range", "select", "apply_dsp"}
    assert methods["jobs.get"].positional(["job_id"]) == ["job_id"]
    link = methods["datasets.link"]
    assert link.positional(["path", "file_type", "force"]) == ["path", "file_type"]
    assert link.positional(["file_type"]) == []


def test_kinds_are_told_from_types() -> None:
    methods = {method.name: method for method in describe(Fake).walk()}
    assert methods["ticks"].kind is Kind.SUBSCRIPTION
    assert methods["work"].kind is Kind.WORK
    assert methods["state"].signature is None
    assert list(describe(Fake).children) == ["echo"]


def test_the_fingerprint_tells_protocols_apart() -> None:
    assert len({describe(kind).fingerprint for kind in (Hub, HubSignals, Fake)}) == 3
    describe.cache_clear()
    assert describe(Hub).fingerprint == describe(Hub).fingerprint


class Foreign(Protocol):
    def method(self, thing: object) -> None: ...


class Nested(Protocol):
    @property
    def below(self) -> Foreign: ...


class Variadic(Protocol):
    def method(self, *things: int) -> None: ...


class Untyped(Protocol):
    def method(self, thing) -> None: ...  # type: ignore[no-untyped-def]


class NoResult(Protocol):
    def method(self): ...  # type: ignore[no-untyped-def]


class Anything(Protocol):
    def method(self) -> dict[str, Any]: ...


class CallsBack(Protocol):
    def method(self, when_done: Callable[[int], None]) -> None: ...


class StrangeOut(Protocol):
    def method(self, *, out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.int16]: ...


class OutOfList(Protocol):
    def method(self, *, out: list[int] | None = None) -> list[int]: ...


class WorkingStream(Protocol):
    def method(self, *, progress: Progress | None = None) -> Iterator[int]: ...


class Attribute(Protocol):
    thing: int


class GivesObject(Protocol):
    def method(self) -> Foreign: ...


class MapOut(Protocol):
    def method(
        self, *, out: Mapping[int, npt.NDArray[np.float32]] | None = None
    ) -> Mapping[str, npt.NDArray[np.float32]]: ...


@pytest.mark.parametrize(
    ("protocol", "text"),
    [
        (Foreign, r"Foreign.method cannot be made remote: parameter thing: builtins.object"),
        (Nested, r"Foreign.method"),
        (Variadic, r"Variadic.method .*\*things"),
        (Untyped, r"thing has no type"),
        (NoResult, r"does not say what it returns"),
        (Anything, r"typing.Any cannot be sent"),
        (CallsBack, r"parameter when_done"),
        (StrangeOut, r"out is array of float32, which the result does not contain"),
        (OutOfList, r"neither an array"),
        (MapOut, r"which the result does not contain"),
        (WorkingStream, r"neither progress nor out"),
        (Attribute, r"make it a property"),
        (GivesObject, r"GivesObject.method"),
        (int, r"not a Protocol"),
    ],
)
def test_protocols_that_are_refused_when_looked_at(protocol: type, text: str) -> None:
    with pytest.raises(CapabilityError, match=text):
        describe(protocol)
