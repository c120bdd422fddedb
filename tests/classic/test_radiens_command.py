"""The documented command line ``radiens``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ranvier import VidereClient as TypedClient
from ranvier.checks.files_tdt import TdtStore, write_tdt
from ranvier.classic import AllegoClient
from ranvier.classic.cli import _shell
from ranvier.classic.cli.main import main
from ranvier.transport import end_process

PROGRAM = "from ranvier.classic.cli.main import main; main()"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    for file in made.parent.glob("rec_SIMULATED*"):
        if file.is_file() and file.suffix != ".kpi":
            shutil.copy(file, tmp_path)
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    status = main(words)
    told = capsys.readouterr()
    assert status == 0, told.err
    return told.out


def answer_json(capsys: pytest.CaptureFixture[str], *words: str) -> object:
    return json.loads(answer(capsys, *words, "--json"))


def failure(capsys: pytest.CaptureFixture[str], *words: str, status: int = 1) -> str:
    capsys.readouterr()
    assert main(words) == status
    return capsys.readouterr().err


def test_filesys(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(answer(capsys, "--json", "filesys", "ls", str(folder), "-s", "name", "--full"))
    assert [row["name"] for row in listed] == ["rec_SIMULATED"]
    assert set(listed[0]) == {"path", "name", "type", "size MB", "timestamp", "channels", "dur (sec)"}
    assert listed[0]["dur (sec)"] == 2.0
    assert "copied 1 recordings" in answer(
        capsys, "filesys", "cp", str(folder / "rec_SIMULATED.xdat"), str(folder / "b")
    )
    assert "exists already" in failure(capsys, "filesys", "cp", str(folder / "rec_SIMULATED.xdat"), str(folder / "b"))
    answer(capsys, "filesys", "mv", str(folder / "b"), str(folder / "c"))
    assert "deleted 1" in answer(capsys, "filesys", "rm", str(folder / "c"))
    assert "rec_SIMULATED" in answer(capsys, "filesys", "ls", str(folder))
    assert "duration (sec)" in answer(capsys, "filesys", "metadata", str(folder / "rec_SIMULATED.xdat"))


def test_an_empty_listing_keeps_its_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "filesys", "ls", str(tmp_path)).split()[:3] == ["path", "name", "type"]
    assert json.loads(answer(capsys, "--json", "filesys", "ls", str(tmp_path))) == []


def test_videre_and_system(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = str(folder / "rec_SIMULATED.xdat")
    assert answer(capsys, "videre", "list").split() == ["index", "dataset", "ID", "base", "name"]
    linked = answer_json(capsys, "videre", "link", made)
    assert isinstance(linked, dict)
    assert linked["name"] == "rec_SIMULATED"
    assert answer_json(capsys, "videre", "metadata", "-p", made) == linked
    assert answer_json(capsys, "videre", "metadata", "-idx", "0") == linked
    rows = answer_json(capsys, "videre", "list")
    assert rows == [{"index": 0, "dataset ID": linked["id"], "base name": "rec_SIMULATED"}]
    assert answer_json(capsys, "videre", "unlink", "-id", linked["id"]) == []
    assert "No dataset found" in failure(capsys, "videre", "unlink", "-id", linked["id"])
    assert answer_json(capsys, "system", "diag") == [{"engine": "hub default", "ip_address": "localhost"}]


def test_signals(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = str(folder / "rec_SIMULATED.xdat")
    arguments = ("videre", "signals", "snapshot", "-p", made, "-ts", "3.5", "-dur", "0.5", "-f", str(tmp_path / "s"))
    rows = answer_json(capsys, *arguments)
    assert isinstance(rows, list)
    with np.load(tmp_path / "s.npz") as kept:
        amp = kept["amp"]
        assert kept["time_range_sec"].tolist() == [3.5, 4.0]
    assert amp.shape == (16, 15_000)
    amps = [row for row in rows if row["type"] == "amp"]
    assert [row["rms"] for row in amps] == pytest.approx(np.sqrt((amp**2).mean(axis=1)), abs=1e-3)
    assert [row["min"] for row in amps] == pytest.approx(amp.min(axis=1), abs=1e-3)
    spectra = answer_json(capsys, "videre", "signals", "psd", "-p", made, "-dur", "2", "-f", str(tmp_path / "p"))
    assert isinstance(spectra, list)
    with np.load(tmp_path / "p.npz") as kept:
        assert [row["peak (Hz)"] for row in spectra] == kept["freq"][kept["psd"].argmax(axis=1)].tolist()


def test_metrics_of_a_dataset(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = ("videre", "metrics", "-p", str(folder / "rec_SIMULATED.xdat"))
    assert answer(capsys, *metrics, "calculate") == "1 packets\n"
    status = answer_json(capsys, *metrics, "status")
    assert isinstance(status, dict)
    assert (status["num_signals"], status["num_packetes"]) == (16, 1)
    told = answer(capsys, *metrics, "set", "threshold", "-nl", "40", "-pl", "60", "-i", "2", "-i", "3", "-na", "off")
    assert told.count("[2 channels]") == 2
    assert "[16 channels]" in answer(capsys, *metrics, "set", "window", "-pre", "0.5", "-pl", "1.5")
    assert "shadow 2.0 ms" in answer(capsys, *metrics, "set", "shadow", "-s", "2")
    rows = answer_json(capsys, *metrics, "params")
    assert isinstance(rows, list)
    assert rows[2]["thr"] == [-40.0, 60.0]
    assert rows[3]["thr_activated"][0] is False
    assert rows[0]["shadow"] == pytest.approx(2.0)
    assert "ntv_idx" in answer(capsys, "videre", "metrics", "params", *metrics[2:])  # behind the command, too
    told = answer(capsys, "videre", "metrics", "set", "shadow", f"--path={metrics[3]}", "-s", "2")
    assert "shadow 2.0 ms" in told
    assert "2 packets of 16" in answer(capsys, *metrics, "plot", str(tmp_path / "m.png"), "-m", "noise_uv")
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
    answer(capsys, *metrics, "clear")
    assert "give a level" in failure(capsys, *metrics, "set", "threshold")
    assert "No dataset found" in failure(capsys, "videre", "metrics", "status")


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the commands use the rig of this process."""
    monkeypatch.setenv("RANVIER_ADDRESS", "embedded")
    yield
    with AllegoClient() as allego:
        allego.set_recording("off")
        allego.set_streaming("off")


def test_allego(rig: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "SMARTBOX_SIM_GEN_SINE" in answer(capsys, "allego", "restart", "-sys", "sim-sine")
    assert "20000 Hz" in answer(capsys, "allego", "set", "system", "-fs", "20000")
    wanted = {"path": str(tmp_path), "name": "rat", "index": 4, "time stamp": False}
    assert answer_json(
        capsys, "allego", "set", "record", "-p", str(tmp_path), "-n", "rat", "-i", "4", "-t", "0"
    ) == wanted  # fmt: skip
    assert answer_json(capsys, "allego", "set", "record") == wanted, "what is left out stays"
    state = answer_json(capsys, "allego", "record", "on")
    assert isinstance(state, dict)
    assert (state["recording"], state["stream"], state["sample_freq"]) == ("R_ON", "S_ON", 20_000)
    assert "recording file" in answer(capsys, "allego", "record", "-v", "all")
    assert "R_OFF" in answer(capsys, "allego", "record", "off")
    assert "S_ON" in answer(capsys, "allego", "status")
    assert "S_OFF" in answer(capsys, "allego", "stream", "off")
    assert list(tmp_path.glob("rat*.xdat"))
    assert "SMARTBOX_SIM_GEN_SPIKES" in failure(capsys, "allego", "restart", "-sys", "nothing")
    assert "brief, all" in failure(capsys, "allego", "status", "-v", "much")
    assert "ON" in failure(capsys, "allego", "stream", "maybe")


def test_metrics_of_the_stream(rig: None, capsys: pytest.CaptureFixture[str]) -> None:
    status = answer_json(capsys, "allego", "metrics", "status")
    assert isinstance(status, dict)
    assert status["source"] == "cache"
    told = answer(capsys, "allego", "metrics", "set", "threshold", "-nl", "5", "-pl", "5", "-s", "sd")
    assert "event threshold" in told
    assert "live stream" in failure(capsys, "allego", "metrics", "clear")


def test_commands_share_a_server(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = Path(os.environ["RANVIER_HOME"])
    try:
        assert "hub 'server' at" in answer(capsys, "system", "server", "start")
        answer(capsys, "videre", "link", str(folder / "rec_SIMULATED.xdat"), "--no-metrics")
        command = [sys.executable, "-c", PROGRAM, "videre", "list", "--json"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert [row["base name"] for row in json.loads(told)] == ["rec_SIMULATED"]
        assert "hub process" in answer(capsys, "system", "diag")
        assert answer(capsys, "system", "server", "stop") == "stopped\n"
        assert answer(capsys, "system", "server", "stop") == "none runs\n"
    finally:
        end_process("hub", home)


def test_import_tdt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = write_tdt(tmp_path / "b", {"Wav1": TdtStore(channels=2), "LFP1": TdtStore(power=0)})
    assert "b#Wav1" in failure(capsys, "filesys", "import-tdt", str(content.folder))
    source, target = f"{content.tsq}#Wav1", tmp_path / "out"
    assert "imported" in answer(capsys, "filesys", "import-tdt", source, str(target))
    with TypedClient(progress=False) as typed:
        amp = typed.get_signals(f"{target}.xdat").amp
    assert amp is not None
    np.testing.assert_allclose(amp.T, content.samples["Wav1"], rtol=1e-6)


def test_the_prompt_is_one_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = iter([f"os cd {folder}", "videre link rec_SIMULATED.xdat --no-metrics", "videre list", "'", "exit"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    monkeypatch.chdir(Path.cwd())
    assert _shell.prompt(main) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-1].endswith("rec_SIMULATED")
    assert "No closing quotation" in told.err


def test_os_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["os", "echo", "one", "--json"]) == 0
    assert capfd.readouterr().out == "one --json\n"
    assert main(["os", "exit", "3"]) == 3


def test_help_teaches_and_wrong_calls_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert "radiens filesys ls" in answer(capsys, "usage")
    assert "--sort" in answer(capsys, "filesys", "ls", "--help")
    for group in ("allego", "videre", "filesys", "system"):
        assert group in answer(capsys, "--help")
    assert "--colour" in failure(capsys, "filesys", "ls", "--colour", status=2)
    for wrong in (("videre", "bogus"), ("videre", "signals", "psd", "-dur", "x"), ("filesys", "rm")):
        told = failure(capsys, *wrong, status=2)
        assert told.startswith("radiens: ")
        assert told.count("\n") == 1
        assert f"see 'radiens {wrong[0]}" in told
    assert "known are 'default'" in failure(capsys, "videre", "link", "x.xdat", "-h", "nope")


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C reaches a group of processes there")
def test_ctrl_c_leaves_in_one_line() -> None:
    program = (
        "import os, signal\n"
        "from ranvier.classic.cli import main as command\n"
        "def ctrl_c():\n    os.kill(os.getpid(), signal.SIGINT)\n    signal.pause()\n"
        "command.app.command('wait')(ctrl_c)\n"
        "raise SystemExit(command.main(['wait']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 130
    assert done.stderr == "radiens: interrupted; nothing half-written was left under a final name\n"


@pytest.mark.parametrize(
    ("typed", "found"), [("radiens vid", "videre"), ("radiens allego restart -sys sim-sp", "sim-spikes")]
)
def test_completion(typed: str, found: str) -> None:
    command = [sys.executable, "-c", PROGRAM]
    words = {"_RADIENS_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    told = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **words}).stdout
    assert told.split() == [found]
