"""The thread that takes samples asks to be preferred; where that is not allowed nothing changes."""

from __future__ import annotations

import os
import platform
import sys
import threading
import time

import pytest

from ranvier import _platform


def in_a_thread(call):
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_only_the_thread_that_asks_is_preferred() -> None:
    before = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)

    def ask() -> tuple[bool, int, int]:
        granted = _platform.prefer_thread()
        nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        return granted, os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK, nice

    granted, policy, nice = in_a_thread(ask)
    assert granted == (policy == os.SCHED_RR or nice == -20)
    assert (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)) == before


def test_short_turns_change_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask() -> tuple[bool, object, int]:
        granted = _platform.take_short_turns()
        return granted, os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)

    if sys.platform.startswith("linux"):
        before = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
        granted, *after = in_a_thread(ask)
        assert tuple(after) == before
        assert granted == (platform.machine() in ("x86_64", "aarch64"))
        assert in_a_thread(lambda: time.sleep(0.01) or True)
    monkeypatch.setattr(platform, "machine", lambda: "sparc")
    assert _platform.take_short_turns() is False


def test_a_refusal_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> None:
        raise PermissionError("not allowed")

    monkeypatch.setattr(os, "sched_setscheduler", refused, raising=False)
    monkeypatch.setattr(os, "setpriority", refused, raising=False)
    assert in_a_thread(_platform.prefer_thread) is False
    monkeypatch.setattr(sys, "platform", "win32")
    assert in_a_thread(_platform.prefer_thread) is False
