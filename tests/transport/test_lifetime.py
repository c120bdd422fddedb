"""When an engine process is of no more use."""

from __future__ import annotations

import threading
import time

import pytest

from ranvier.exceptions import CapabilityError
from ranvier.services.caller import CALLER, Caller, current_caller
from ranvier.transport import Lifetime, lifetime
from ranvier.transport.leases import Leases

ONE, TWO = Caller("1", "one", 1), Caller("2", "two", 2)


@pytest.fixture(autouse=True)
def _no_wait_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetime, "FIRST_SEC", 0.0)


def ended_after(life: Lifetime) -> float:
    start = time.monotonic()
    life.wait()
    return time.monotonic() - start


def test_it_ends_after_lingering() -> None:
    leases = Leases()
    assert 0.2 <= ended_after(Lifetime(leases, lambda: False, 0.2)) < 1.0
    assert leases.enter(ONE).is_set(), "nobody is taken in any more"
    assert len(leases) == 0


def test_it_waits_for_the_first_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetime, "FIRST_SEC", 0.5)
    assert ended_after(Lifetime(Leases(), lambda: False, 0.1)) >= 0.5


def test_it_stays_while_someone_is_there_or_it_is_busy() -> None:
    leases, busy = Leases(), threading.Event()
    leases.enter(ONE)
    threading.Timer(0.3, lambda: (busy.set(), leases.leave(ONE))).start()
    threading.Timer(0.6, busy.clear).start()
    assert ended_after(Lifetime(leases, busy.is_set, 0.1)) >= 0.6


def test_an_engine_that_cannot_tell_counts_as_busy() -> None:
    life = Lifetime(Leases(), lambda: 1 // 0 > 0, 0.0)
    threading.Timer(0.3, life.end).start()
    assert ended_after(life) >= 0.2  # at once, if it did not; the timer began before the clock here


def test_ending_on_request() -> None:
    with pytest.raises(CapabilityError, match="busy"):
        Lifetime(Leases(), lambda: True).end_unless_busy()
    life = Lifetime(Leases(), lambda: False)
    life.end_unless_busy()
    assert ended_after(life) < 0.5


def test_leases_tell_who_left_once() -> None:
    leases, left = Leases(), []
    leases.on_leave(left.append)
    events = [leases.enter(caller) for caller in (ONE, TWO)]
    assert leases.callers == [ONE, TWO]
    assert leases.get("2") == TWO
    assert leases.get("3") is None
    assert not leases.close_if_unused()
    leases.leave(ONE)
    leases.leave(ONE)
    assert left == [ONE]
    leases.close()
    assert all(event.is_set() for event in events[1:])


def test_without_a_remote_caller_it_is_this_process() -> None:
    assert current_caller().id == "embedded"
    token = CALLER.set(ONE)
    assert current_caller() is ONE
    CALLER.reset(token)
