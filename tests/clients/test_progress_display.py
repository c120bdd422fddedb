"""A bar in a terminal, a plain line in a notebook, nothing otherwise."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from ranvier.clients._progress import describe, in_notebook, say_compiling, shown
from ranvier.models.jobs import JobProgress

HALF = JobProgress(fraction=0.5, samples_done=50, samples_total=100, samples_per_sec=1e6, remaining_sec=3.0)


def test_nothing_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(None, "work") as progress:
        assert progress is None
    assert capsys.readouterr() == ("", "")


def test_a_function_receives_the_events() -> None:
    seen: list[JobProgress] = []
    with shown(seen.append, "work") as progress:
        assert progress is not None
        progress(HALF)
    assert seen == [HALF]


def test_a_bar_in_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(True, "work") as progress:
        assert progress is not None
        progress(HALF)
    captured = capsys.readouterr()
    assert "work" in captured.err
    assert captured.out == ""


def test_a_plain_line_in_a_notebook(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class ZMQInteractiveShell:
        pass

    module = ModuleType("IPython")
    module.get_ipython = ZMQInteractiveShell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    assert in_notebook()
    with shown(None, "work") as progress:
        assert progress is not None
        progress(HALF)
    assert "work:  50 %" in capsys.readouterr().out


def test_words() -> None:
    assert describe(HALF) == "1,000,000 samples/s, 3 s left"
    assert describe(JobProgress()) == ""


def test_compiling_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    say_compiling("ranvier.dsp.kernels.cascade", 2, 17)
    assert capsys.readouterr().err == "ranvier: compiling 2 of 17 (cascade)\n"
