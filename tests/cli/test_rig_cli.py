"""``ranvier rig``: as typed, on a rig in this process and on one in its own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ranvier import AllegoClient, VidereClient
from ranvier.cli import main, rig_check
from ranvier.cli.rig_measure import DiskRate, StreamFigures, measure_disk
from ranvier.exceptions import OutputError
from ranvier.models.rig import LatencyReport, LoopStatus
from ranvier.transport import end_process, find_process


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_ADDRESS", "embedded")


def test_status_of_no_rig_starts_none(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("status", "watch"):
        assert main(["rig", command]) == 1
        error = capsys.readouterr().err
        assert error.startswith("ranvier: no rig runs")
        assert error.count("\n") == 1
    assert find_process("rig") is None


def test_record(embedded: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made" / "for it"
    assert main(["rig", "record", "--seconds", "0.4", "--dir", str(folder), "--name", "rat7"]) == 0
    text = capsys.readouterr().out
    assert "SIMULATED spikes" in text
    assert "lost 0, not written 0 samples" in text
    finished = Path(next(line.split(None, 1)[1] for line in text.splitlines() if line.startswith("finished")))
    assert finished.parent == folder
    assert finished.name.startswith("rat7_SIMULATED_0")
    with VidereClient(embedded=True) as videre:
        ds = videre.link_data_file(finished)
        assert ds.duration >= 0.4
        assert ds.simulated
    with AllegoClient() as allego:
        assert allego.get_recording_config().base_file_name == "ranvier"
        assert allego.details().state.value == "idle"


def test_record_leaves_a_stream_running(embedded: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with AllegoClient() as allego:
        allego.start_streaming()
        assert main(["rig", "record", "--seconds", "0.2", "--dir", str(tmp_path)]) == 0
        assert allego.details().state.value == "streaming"
        allego.start_recording()
        capsys.readouterr()
        for command in ("record", "check"):
            assert main(["rig", command]) == 1
            assert "is recording" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seconds", "0"], "--seconds 0"),
        (["--mode", "NO_SUCH"], "backbone mode"),
        (["--mode", "SMARTBOX_PRO"], "SMARTBOX_PRO"),
        (["--name", "a/b"], "a/b"),
        (["--address", "127.0.0.1:1"], "127.0.0.1:1"),
    ],
)
def test_errors_are_one_line(embedded: None, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rig", "record", *words]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert "unexpected" not in error


def test_status_and_watch(embedded: None, capsys: pytest.CaptureFixture[str]) -> None:
    with AllegoClient() as allego:
        allego.start_recording()
        time.sleep(0.2)
        assert main(["rig", "status"]) == 0
        text = capsys.readouterr().out
        for words in ("SIMULATED spikes", "recording by", "0 lost", "min left", "of one core", "clients"):
            assert words in text
        assert main(["rig", "status", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["details"]["source"]["simulated"] is True
        assert facts["status"]["simulated"] is True
        assert main(["rig", "watch", "--seconds", "1.2"]) == 0
        first, *lines = capsys.readouterr().out.splitlines()
        assert "SIMULATED" in first
        assert len(lines) == 3
        assert all(line.startswith("recording by") and "lost 0" in line for line in lines)


def test_the_live_view(embedded: None) -> None:
    from rich.console import Console

    from ranvier.cli.rig_watch import _table

    with AllegoClient() as allego:
        allego.start_streaming()
        time.sleep(0.4)
        console = Console(width=120, record=True, file=io.StringIO())
        console.print(_table(allego))
        text = console.export_text()
    for words in ("SIMULATED spikes", "streaming", "amp 7", "uV", "Ctrl-C leaves"):
        assert words in text


def test_check(embedded: None, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["rig", "check", "--seconds", "2"])
    text = capsys.readouterr().out
    report = json.loads(Path(text.rsplit("report", 1)[1].strip()).read_text())
    verdicts = {finding["name"]: finding["verdict"] for finding in report["findings"]}
    assert list(verdicts) == ["disk", "load", "losses", "clock", "loopback"]
    assert status == (1 if "fail" in verdicts.values() else 0)
    assert verdicts["losses"] == "pass"
    assert report["source"]["simulated"] is True
    assert all(finding["figure"] is not None for finding in report["findings"])
    with AllegoClient() as allego:
        assert allego.details().state.value == "idle"
        loop = allego.details().loop
        assert loop is None or not loop.armed
    assert not list(Path(os.environ["RANVIER_HOME"]).rglob("*.tmp"))


@pytest.mark.parametrize("seconds", ["-3", "0", "nan", "inf"])
def test_watch_for_no_time(embedded: None, seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rig", "watch", "--seconds", seconds]) == 1
    assert "no time to watch" in capsys.readouterr().err


def test_check_is_too_short(embedded: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rig", "check", "--seconds", "0.1"]) == 1
    assert "2 or more" in capsys.readouterr().err


# --- judging ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("times", "verdict"), [(3.0, "pass"), (2.9, "warn"), (1.4, "fail")])
def test_disk_is_judged_by_the_stream(times: float, verdict: str) -> None:
    found = rig_check.judge_disk(DiskRate(times * 1e6, 0.01, 1), 1e6)
    assert (found.verdict, found.figure) == (verdict, pytest.approx(times))


@pytest.mark.parametrize(("load", "verdict"), [(0.5, "pass"), (0.6, "warn"), (0.9, "fail")])
def test_load_is_judged_by_its_median(load: float, verdict: str) -> None:
    assert rig_check.judge_load(StreamFigures(load=[load, load, 5.0])).verdict == verdict


@pytest.mark.parametrize(("ppm", "verdict"), [(20.0, "pass"), (-500.0, "warn"), (5000.0, "fail")])
def test_drift_is_found_under_blocks(ppm: float, verdict: str) -> None:
    t = np.linspace(0.0, 20.0, 400)
    head = np.floor(t * (1 + ppm * 1e-6) / 0.005) * 0.005  # the head advances in blocks of 5 ms
    figures = StreamFigures(elapsed_sec=list(t), head_sec=list(head))
    drift, error = figures.drift_ppm()
    assert abs(drift - ppm) < 4 * error < 100.0
    assert rig_check.judge_drift(figures).verdict == verdict
    assert rig_check.judge_drift(StreamFigures([0.0], [0.0])).verdict == "warn"


def test_a_drift_that_cannot_be_told_from_none_is_a_warning() -> None:
    rng = np.random.default_rng(3)
    t = np.linspace(0.0, 2.0, 40)
    figures = StreamFigures(elapsed_sec=list(t), head_sec=list(t + rng.normal(0.0, 0.01, 40)))
    drift, error = figures.drift_ppm()
    assert abs(drift) - 2 * error < 100.0 < 2 * error  # it may be 0, and it may be more than is wanted
    found = rig_check.judge_drift(figures)
    assert (found.verdict, found.figure) == ("warn", drift)
    assert "cannot tell" in found.words


def test_losses_fail() -> None:
    assert rig_check.judge_losses(0, 0).verdict == "pass"
    assert rig_check.judge_losses(1, 0).verdict == "fail"
    assert rig_check.judge_losses(0, 1).verdict == "fail"


@pytest.mark.parametrize(("p99", "verdict"), [(4.9, "pass"), (6.0, "warn"), (11.0, "fail")])
def test_the_loop_is_judged_by_p99(p99: float, verdict: str) -> None:
    loop = LoopStatus(armed=True, latency=LatencyReport(count=100, p99_ms=p99))
    found = rig_check.judge_loop(loop, "")
    assert (found.verdict, found.figure) == (verdict, p99)
    assert "simulated source" in found.words
    assert rig_check.judge_loop(None, "no output").verdict == "warn"
    assert rig_check.judge_loop(LoopStatus(armed=True), "").figure is None


def test_measuring_a_disk_leaves_nothing(tmp_path: Path) -> None:
    rate = measure_disk(tmp_path, 0.05, 10 << 30)
    assert rate.written_bytes >= 32 << 20
    assert rate.bytes_per_sec > 0
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="too little"):
        measure_disk(tmp_path, 0.05, 1 << 20)
    with pytest.raises(OutputError, match="cannot write"):
        measure_disk(tmp_path / "none", 0.05, 10 << 30)


# --- a rig of its own ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal")
def test_ctrl_c_finishes_the_recording(tmp_path: Path) -> None:
    """The command starts a rig process, records, and on Ctrl-C leaves whole files and an idle rig."""
    command = [sys.executable, "-m", "ranvier", "rig", "record", "--dir", str(tmp_path), "--name", "cut"]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert running.stdout is not None
        said = [running.stdout.readline() for _ in range(4)]
        assert "Ctrl-C" in said[3]
        time.sleep(0.7)
        running.send_signal(signal.SIGINT)
        out, error = running.communicate(timeout=30)
        assert running.returncode == 0, error
        finished = Path(next(line.split(None, 1)[1] for line in out.splitlines() if line.startswith("finished")))
        with VidereClient(embedded=True) as videre:
            assert videre.link_data_file(finished).duration > 0.5
        with AllegoClient() as allego:
            assert allego.details().state.value == "idle"
            assert allego.details().source.lost_samples == 0
    finally:
        running.kill()
        running.communicate()
        end_process("rig")
