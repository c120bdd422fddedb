"""The documented command line ``radiens``, for files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ranvier.classic.cli.main import main


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    for file in made.parent.glob("rec_SIMULATED*"):
        if file.is_file() and file.suffix != ".kpi":
            shutil.copy(file, tmp_path)
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(words) == 0
    return capsys.readouterr().out


def test_filesys(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(answer(capsys, "--json", "filesys", "ls", str(folder), "-s", "name", "--full"))
    assert [row["name"] for row in listed] == ["rec_SIMULATED"]
    assert set(listed[0]) == {"path", "name", "type", "size MB", "timestamp", "channels", "dur (sec)"}
    assert listed[0]["dur (sec)"] == 2.0
    assert "copied 1 recordings" in answer(
        capsys, "filesys", "cp", str(folder / "rec_SIMULATED.xdat"), str(folder / "b")
    )
    assert main(["filesys", "cp", str(folder / "rec_SIMULATED.xdat"), str(folder / "b")]) == 1
    assert "exists already" in capsys.readouterr().err
    answer(capsys, "filesys", "mv", str(folder / "b"), str(folder / "c"))
    assert "deleted 1" in answer(capsys, "filesys", "rm", str(folder / "c"))
    assert "rec_SIMULATED" in answer(capsys, "filesys", "ls", str(folder))
    assert "duration (sec)" in answer(capsys, "filesys", "metadata", str(folder / "rec_SIMULATED.xdat"))


def test_an_empty_listing_keeps_its_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "filesys", "ls", str(tmp_path)).split()[:3] == ["path", "name", "type"]
    assert json.loads(answer(capsys, "--json", "filesys", "ls", str(tmp_path))) == []


def test_videre_and_system(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    linked = json.loads(answer(capsys, "--json", "videre", "link", str(made)))
    assert linked["name"] == "rec_SIMULATED"
    again = json.loads(answer(capsys, "--json", "videre", "metadata", "-p", str(made)))
    assert again["id"] == linked["id"]
    assert json.loads(answer(capsys, "--json", "system", "diag")) == [{"hub": "default", "ip_address": "localhost"}]


def test_help_teaches_and_wrong_calls_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert "radiens filesys ls" in answer(capsys, "usage")
    assert "--sort" in answer(capsys, "filesys", "ls", "--help")
    assert main(["filesys", "ls", "--colour"]) == 2
    assert main(["videre", "link", "x.xdat", "-h", "nope"]) == 1
    assert "known are 'default'" in capsys.readouterr().err
