"""The command line as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ranvier import VidereClient, __version__
from ranvier.cli import main
from ranvier.cli.json_text import json_text
from ranvier.models.simulation import SimulationSpec


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    with VidereClient() as videre:
        videre.simulate_recording(SimulationSpec(duration_sec=1.0), tmp_path / "rec_SIMULATED.xdat")
    return tmp_path / "rec_SIMULATED.xdat.json"


def ranvier(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ranvier", *map(str, words)], capture_output=True, text=True, check=False, cwd=cwd
    )


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["spikes"], ["rig"]])
def test_a_command_of_commands_alone_shows_them(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Usage: ranvier")
    assert "Commands:" in lines


def test_json_has_no_numbers_that_are_none() -> None:
    data = {"a": [1, float("nan"), {"b": float("inf")}], "c": (2.5, None, "x")}
    assert json.loads(json_text(data), parse_constant=pytest.fail) == {
        "a": [1, None, {"b": None}],
        "c": [2.5, None, "x"],
    }


def test_info(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(recording)]) == 0
    text = capsys.readouterr().out
    assert "SIMULATED" in text
    assert "64 AMP" in text
    assert "30000 Hz" in text
    assert main(["info", str(recording), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts[0]["format"] == "XDAT"


def test_convert_and_provenance(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "copy.nwb"
    assert main(["convert", str(recording), str(target)]) == 0
    assert target.exists()
    capsys.readouterr()
    assert main(["provenance", str(target)]) == 0
    text = capsys.readouterr().out
    assert "SIMULATED" in text
    assert "seed 1" in text
    assert main(["convert", str(recording), str(target)]) == 1
    assert "exists already; choose another name or pass --force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["info", "nowhere.rhd"], 1, "nowhere.rhd"),
        (["info"], 2, "Missing argument"),
        (["infoo", "x"], 2, "infoo"),
        (["convert", "{rec}", "out.rhd"], 1, "RHD"),
        (["convert", "{rec}", "out.docx"], 1, ".docx"),
    ],
)
def test_errors_are_one_line(
    recording: Path, words: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([w.replace("{rec}", str(recording)) for w in words]) == status
    captured = capsys.readouterr()
    assert says in captured.err
    assert len(captured.err.strip().splitlines()) == 1


def test_info_needs_no_heavy_imports(recording: Path) -> None:
    code = (
        "import sys; from ranvier.cli import main; main(['info', sys.argv[1]]);"
        "print([m for m in ('scipy.signal', 'pynwb', 'sklearn', 'matplotlib', 'pandas', 'neo') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(recording)], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_ctrl_c_leaves_nothing_half_written(tmp_path: Path) -> None:
    with VidereClient() as videre:
        videre.simulate_recording(SimulationSpec(duration_sec=10.0), tmp_path / "long_SIMULATED.xdat")
    process = subprocess.Popen(
        [sys.executable, "-m", "ranvier", "demo", "long_SIMULATED.xdat.json", "--out", "o"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=os.environ,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (tmp_path / "o").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in errors
    final = [p.name for p in (tmp_path / "o").rglob("*")] if (tmp_path / "o").exists() else []
    assert not any(name.endswith((".xdat.json", ".nwb")) for name in final), final
    assert not any(".part" in name or "tmp" in name for name in final), final
