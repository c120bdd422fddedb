"""Values that are made when they are asked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ranvier.recordings.lazy import LazyDict


def test_each_value_is_made_once_and_only_when_asked_for() -> None:
    made: list[str] = []

    def maker(name: str):
        return lambda: made.append(name) or name.upper()

    lazy = LazyDict({name: maker(name) for name in "ab"})
    assert list(lazy) == ["a", "b"]
    assert len(lazy) == 2
    assert "a" in lazy
    assert "z" not in lazy
    assert made == []
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lazy.__getitem__, ["a"] * 8)) == ["A"] * 8
    assert made == ["a"]
    assert dict(lazy) == {"a": "A", "b": "B"}


def test_failures_are_not_remembered() -> None:
    outcomes = iter([ValueError("first"), "second"])

    def make() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    lazy = LazyDict({"x": make})
    with pytest.raises(ValueError, match="first"):
        lazy["x"]
    assert lazy["x"] == "second"


def test_it_can_be_changed_like_a_dictionary() -> None:
    lazy: LazyDict[int] = LazyDict()
    lazy["x"] = 3
    assert lazy["x"] == 3
    lazy["x"] = 4
    assert lazy == {"x": 4}
    del lazy["x"]
    with pytest.raises(KeyError):
        lazy["x"]
    assert repr(LazyDict({"a": int})) == "LazyDict('a')"
