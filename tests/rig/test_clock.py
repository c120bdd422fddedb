"""Clocks: the real one waits, the fake one does not."""

from __future__ import annotations

import threading
import time

import pytest

from ranvier.rig.clock import Clock, FakeClock, RealClock


def test_fake_clock_advances_without_waiting() -> None:
    clock: Clock = FakeClock(5.0)
    began = time.monotonic()
    clock.sleep(3600.0)
    assert clock.monotonic() == 3605.0
    assert time.monotonic() - began < 1.0


def test_fake_clock_never_runs_backwards() -> None:
    clock = FakeClock(5.0)
    clock.sleep(-1.0)
    clock.advance(-1.0)
    assert clock.monotonic() == 5.0


def test_fake_wait_advances_by_the_timeout_unless_set() -> None:
    clock, event = FakeClock(), threading.Event()
    assert not clock.wait(event, 2.0)
    assert clock.monotonic() == 2.0
    event.set()
    assert clock.wait(event, 2.0)
    assert clock.monotonic() == 2.0


def test_fake_wait_without_timeout_waits_for_the_event() -> None:
    clock, event = FakeClock(), threading.Event()
    threading.Timer(0.02, event.set).start()
    assert clock.wait(event)
    assert clock.monotonic() == 0.0


def test_fake_sleep_counts_from_every_thread() -> None:
    clock = FakeClock()
    threads = [threading.Thread(target=lambda: [clock.sleep(0.5) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic() == 400.0


def test_real_clock_waits() -> None:
    clock: Clock = RealClock()
    began = clock.monotonic()
    clock.sleep(0.02)
    clock.sleep(-1.0)
    assert 0.015 <= clock.monotonic() - began < 5.0
    event = threading.Event()
    assert not clock.wait(event, 0.01)
    event.set()
    assert clock.wait(event)


@pytest.mark.parametrize("clock", [RealClock(), FakeClock()])
def test_clocks_say_what_they_are(clock: Clock) -> None:
    assert type(clock).__name__ in repr(clock)
