"""Workspaces: saved, listed, taken over all or nothing, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ranvier.exceptions import ConfigurationError, DataProcessingError, DatasetError
from ranvier.rig.state import Action, StateMachine
from ranvier.rig.workspaces import Workspaces
from ranvier.store import Store


class Part:
    def __init__(self, log: list[str], name: str) -> None:
        self.value = 0
        self.log, self.name = log, name
        self.refuses: set[int] = set()

    def snapshot(self) -> dict[str, Any]:
        return {"value": self.value}

    def validate(self, document: Mapping[str, Any]) -> None:
        if not isinstance(document.get("value"), int):
            raise ConfigurationError(f"{self.name} cannot be read")

    def restore(self, document: Mapping[str, Any]) -> None:
        self.log.append(self.name)
        self.value = -1  # half way
        if document["value"] in self.refuses:
            raise ConfigurationError(f"{self.name} refuses {document['value']}")
        self.value = document["value"]


class Bench:
    def __init__(self, home: Path) -> None:
        self.log: list[str] = []
        self.parts = {name: Part(self.log, name) for name in ("source", "sensors", "outputs")}
        self.machine = StateMachine()
        self.store = Store(home)
        self.workspaces = Workspaces(self.store, self.machine, self.parts)

    def set(self, value: int) -> None:
        for part in self.parts.values():
            part.value = value

    def values(self) -> list[int]:
        return [part.value for part in self.parts.values()]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_save_list_switch_delete_current(bench: Bench, tmp_path: Path) -> None:
    assert bench.workspaces.list() == []
    assert bench.workspaces.current() is None
    bench.set(1)
    one = bench.workspaces.save("one", tags="awake", notes="left bank")
    assert (one.id, one.is_current, one.tags, one.notes) == ("one", True, "awake", "left bank")
    bench.set(2)
    bench.workspaces.save("two")
    assert [(w.id, w.is_current) for w in bench.workspaces.list()] == [("one", False), ("two", True)]
    bench.set(3)
    assert bench.workspaces.switch("one").is_current
    assert bench.values() == [1, 1, 1]
    assert bench.log == ["source", "sensors", "outputs"]
    current = bench.workspaces.current()
    assert current is not None
    assert current.id == "one"
    bench.workspaces.delete("one")
    assert bench.workspaces.current() is None
    assert bench.values() == [1, 1, 1]
    other = Bench(tmp_path)  # another process
    assert other.workspaces.current() is None
    other.workspaces.switch("two")
    assert other.values() == [2, 2, 2]


def test_saving_again_replaces(bench: Bench) -> None:
    bench.set(1)
    bench.workspaces.save("one", tags="a")
    bench.set(2)
    bench.workspaces.save("one")
    (one,) = bench.workspaces.list()
    assert one.tags == ""
    bench.set(9)
    bench.workspaces.switch("one")
    assert bench.values() == [2, 2, 2]


@pytest.mark.parametrize("failing", ["source", "sensors", "outputs"])
def test_a_part_that_refuses_undoes_everything(bench: Bench, failing: str) -> None:
    bench.set(1)
    bench.workspaces.save("one")
    bench.set(2)
    bench.parts[failing].refuses = {1}
    with pytest.raises(ConfigurationError, match=f"{failing}: {failing} refuses 1; everything is as it was"):
        bench.workspaces.switch("one")
    assert bench.values() == [2, 2, 2]
    current = bench.workspaces.current()
    assert current is not None
    assert current.id == "one"


def test_an_unforeseen_error_undoes_everything_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.set(1)
    bench.workspaces.save("one")
    bench.set(2)
    restore = bench.parts["sensors"].restore

    def broken(document: Mapping[str, Any]) -> None:
        if document["value"] == 1:
            raise ZeroDivisionError("a mistake of ours")
        restore(document)

    monkeypatch.setattr(bench.parts["sensors"], "restore", broken)
    with pytest.raises(ConfigurationError, match="a mistake of ours"):
        bench.workspaces.switch("one")
    assert bench.values() == [2, 2, 2]


def test_what_cannot_be_brought_back_is_told(bench: Bench) -> None:
    bench.set(1)
    bench.workspaces.save("one")
    bench.set(2)
    bench.parts["outputs"].refuses = {1}
    bench.parts["sensors"].refuses = {2}
    with pytest.raises(DataProcessingError, match="could not be brought back either: sensors"):
        bench.workspaces.switch("one")
    assert bench.values() == [2, -1, 2]


def test_a_document_that_cannot_be_read_touches_nothing(bench: Bench) -> None:
    bench.set(2)
    for document, told in (
        ({"version": 1, "parts": {"source": {"value": 1}, "outputs": {"value": "x"}}}, "outputs cannot be read"),
        ({"version": 1, "parts": {"moon": {}}}, "moon"),
        ({"version": 99, "ranvier": "7.0", "parts": {}}, "newer Ranvier"),
        ({}, "cannot be read"),
    ):
        bench.store.workspaces.put("bad", "bad", document)
        with pytest.raises(ConfigurationError, match=told):
            bench.workspaces.switch("bad")
    assert bench.log == []
    assert bench.values() == [2, 2, 2]


def test_a_document_of_fewer_parts_leaves_the_others(bench: Bench) -> None:
    bench.set(2)
    bench.store.workspaces.put("old", "old", {"version": 1, "parts": {"sensors": {"value": 5}}})
    bench.workspaces.switch("old")
    assert bench.values() == [2, 5, 2]


def test_only_an_idle_rig_switches(bench: Bench) -> None:
    bench.workspaces.save("one")
    bench.machine.to(Action.START_STREAMING)
    with pytest.raises(ConfigurationError, match="stop streaming"):
        bench.workspaces.switch("one")
    bench.workspaces.save("two")  # saving changes nothing
    bench.machine.to(Action.START_RECORDING, who="somebody")
    with pytest.raises(ConfigurationError, match="somebody is recording"):
        bench.workspaces.switch("one")


def test_unknown_names(bench: Bench) -> None:
    for call in (bench.workspaces.switch, bench.workspaces.delete):
        with pytest.raises(DatasetError, match="'nothing'"):
            call("nothing")
    for name in ("", "  ", "a\nb", "x" * 101):
        with pytest.raises(ConfigurationError, match="name"):
            bench.workspaces.save(name)
