"""``ranvier sort`` and ``radiens videre sorter`` as a user types them; Ctrl-C and ``kill -9`` leave nothing half."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ranvier import VidereClient
from ranvier.classic.cli.main import main as radiens
from ranvier.cli import main
from ranvier.models import SimulationSpec

SPEC = SimulationSpec(
    duration_sec=5.0, start_sec=3.0, probe="a1x16_5mm50_177", num_units=3, amplitude_uv=(150.0, 300.0),
    rate_hz=(10.0, 15.0), burst_fraction=0.0, seed=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    with VidereClient(address=f"embedded:{folder / 'home'}", progress=False) as videre:
        videre.simulate_recording(SPEC, folder / "rec_SIMULATED.xdat")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    for file in made.glob("rec_SIMULATED*"):
        shutil.copy(file, tmp_path)
    return tmp_path


def test_sort_says_what_was_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(folder / "rec_SIMULATED.xdat")
    assert main(["sort", path, "--seed", "1", "--channels", "0-14,15", "--start", "3.5", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["file"] == str(folder / "rec_SIMULATED.spikes")
    assert (found["channels"], found["time_range_sec"]) == (16, [3.5, 8.0])
    assert len(found["units"]) == 3
    assert all(unit["spikes"] > 30 and unit["snr"] > 5 for unit in found["units"])
    assert main(["sort", path]) == 1
    assert "--force replaces it" in capsys.readouterr().err
    assert main(["sort", path, "--force", "--detect-only"]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "rec_SIMULATED.spikes")
    assert main(["sort", path, "--channels", "many"]) == 1
    assert "0-15,20" in capsys.readouterr().err


def test_the_documented_sorter_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        assert radiens(["videre", "sorter", *words, "-p", str(folder / "rec_SIMULATED.xdat")]) == 0, words
        return capsys.readouterr().out

    assert "NOT_CONFIGURED" in said("status")
    assert "detect: neg thr=-5.00 sd" in said("set", "threshold", "-nl", "5", "-s", "sd")
    assert "total=2.000 ms [60 points]" in said("set", "window", "-pre", "0.5", "-pl", "1.5")
    assert "shadow window: 1.500 ms" in said("set", "shadow", "-s", "1.5")
    params = json.loads(said("params", "--json"))
    assert (len(params), params[3]["thr_sd"][0], params[3]["shadow"]) == (16, -5.0, 1.5)
    told = said("sort", "on", "-v")
    assert "COMPLETE" in told
    assert (folder / "rec_SIMULATED.spikes").is_file()
    assert json.loads(said("dashboard", "--json"))["num_units"] == 3
    assert radiens(["videre", "sorter", "sort", "on", "-p", str(folder / "rec_SIMULATED.xdat")]) == 1
    assert "is there already" in capsys.readouterr().err
    assert "COMPLETE" in said("sort", "on", "--replace", "yes")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_an_interrupted_sort_leaves_nothing_half(
    folder: Path, sign: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p.name for p in folder.iterdir()}
    process = subprocess.Popen(
        [sys.executable, "-m", "ranvier", "sort", "rec_SIMULATED.xdat"], cwd=folder, env=os.environ,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 60
    while not any(p.name.endswith(".writing") for p in folder.iterdir()):
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(sign)
    _, errors = process.communicate(timeout=60)
    if sign == signal.SIGINT:
        assert process.returncode == 130
        assert "interrupted; nothing half-written" in errors
    assert not (folder / "rec_SIMULATED.spikes").exists()
    assert main(["jobs", "--json"]) == 0  # cleans up behind a process that died
    states = [job["state"] for job in json.loads(capsys.readouterr().out)]
    assert states == ["cancelled" if sign == signal.SIGINT else "lost"]
    left = {p.name for p in folder.iterdir()} - before
    assert left <= {".rec_SIMULATED.spikes.lock"}
    assert main(["sort", str(folder / "rec_SIMULATED.xdat"), "--seed", "1"]) == 0
    assert {p.name for p in folder.iterdir()} - before == {"rec_SIMULATED.spikes"}
