"""The thread that takes samples asks to be preferred; where that is not allowed nothing changes."""

from __future__ import annotations

import os
import sys
import threading

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


def test_a_refusal_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> None:
        raise PermissionError("not allowed")

    monkeypatch.setattr(os, "sched_setscheduler", refused, raising=False)
    monkeypatch.setattr(os, "setpriority", refused, raising=False)
    assert in_a_thread(_platform.prefer_thread) is False
    monkeypatch.setattr(sys, "platform", "win32")
    assert in_a_thread(_platform.prefer_thread) is False
