"""The benchmark runner: what it chooses, and that a missed floor is seen."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

RUNNER = Path(__file__).resolve().parents[2] / "benchmarks" / "run.py"


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the runner with three small scripts in place of the real ones."""
    spec = importlib.util.spec_from_file_location("benchmark_runner", RUNNER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    (tmp_path / "bench_good.py").write_text('"""Good."""\nopen("good.ran", "w").close()\n')
    (tmp_path / "bench_slow.py").write_text('"""Misses its floor."""\nraise SystemExit(1)\n')
    peer = '"""Compares."""\nPEERS = ("no-such-distribution",)\nopen("peer.ran", "w").close()\n'
    (tmp_path / "bench_peer.py").write_text(peer)
    (tmp_path / "helper.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    found = module.scripts(tmp_path)
    monkeypatch.setattr(module, "scripts", lambda: found)
    return module


def test_finds_the_scripts_and_their_peers(runner: ModuleType) -> None:
    assert [(s.path.stem, s.title, s.peers) for s in runner.scripts()] == [
        ("bench_good", "Good.", ()),
        ("bench_peer", "Compares.", ("no-such-distribution",)),
        ("bench_slow", "Misses its floor.", ()),
    ]


def test_runs_those_without_peers_and_reports_a_missed_floor(
    runner: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert runner.main([]) == 1
    said = capfd.readouterr().out
    assert "bench_slow.py: FAILED (exit code 1)" in said
    assert "bench_good.py: ok" in said
    assert "numpy" in said
    assert (tmp_path / "good.ran").exists()
    assert not (tmp_path / "peer.ran").exists()


def test_a_peer_that_is_not_installed_is_named(runner: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["--peers", "peer"]) == 0
    assert "no-such-distribution not installed" in capfd.readouterr().out


def test_list_runs_nothing(runner: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["--list", "good"]) == 0
    assert "bench_good.py" in capfd.readouterr().out
    assert not (tmp_path / "good.ran").exists()
