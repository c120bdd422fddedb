"""``ranvier apply`` and ``ranvier jobs`` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ranvier import CurateClient
from ranvier.cli import main
from ranvier.models.simulation import SimulationSpec

TEXT = """\
protocol: 1  # ours
steps:
  line: {notch: {frequency: 50, bandwidth: 2}}
  car:
outputs:
  clean: {}
  lines: {from: line, type: NWB}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with CurateClient(progress=False) as curate:
        for i in range(2):
            curate.simulate_recording(SimulationSpec(duration_sec=0.2, seed=i), tmp_path / "in" / f"r{i}_SIMULATED")
    (tmp_path / "lab.yaml").write_text(TEXT, encoding="utf-8")
    return tmp_path


def apply(folder: Path, *words: str, source: str = "in") -> int:
    return main(["apply", str(folder / "lab.yaml"), "--in", str(folder / source), "--out", str(folder / "out"), *words])


def test_apply_over_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply(folder, "--dry-run") == 0
    assert capsys.readouterr().out.count("would write") == 4
    assert not (folder / "out").exists()
    assert apply(folder) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [p.name for p in written] == [
        f"r{i}_SIMULATED_{end}" for i in range(2) for end in ("lines.nwb", "clean.xdat.json")
    ]
    with CurateClient(progress=False) as curate:
        one = curate.notch(folder / "in" / "r1_SIMULATED.xdat.json", 50, 2, folder / "single" / "n")
        expected = curate.get_signals(curate.car(one, folder / "single" / "c")).amp
        np.testing.assert_array_equal(curate.get_signals(written[3]).amp, expected)
    assert apply(folder) == 1
    assert "there already" in capsys.readouterr().err
    assert apply(folder, "--force", "--type", "xdat") == 0
    assert apply(folder, "--type", "nonsense") == 1
    assert "nonsense" in capsys.readouterr().err


def test_apply_to_one_recording(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply(folder, source="in/r0_SIMULATED.xdat.json") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert apply(folder, source="nothing") == 1


def test_a_damaged_recording_does_not_stop_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "in" / "bad.xdat.json").write_text("{")
    assert apply(folder) == 1
    out = capsys.readouterr()
    assert len(out.out.splitlines()) == 4
    assert "bad" in out.err


def test_mistakes_have_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "lab.yaml").write_text(TEXT.replace("bandwidth", "band width"))
    assert apply(folder) == 1
    assert "lab.yaml, line 3: 'line'" in capsys.readouterr().err
    (folder / "lab.yaml").write_text(TEXT.replace("50", "50000"))
    assert apply(folder) == 1
    assert "line: notch_filter: " in capsys.readouterr().err


def test_jobs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply(folder) == 0
    capsys.readouterr()
    assert main(["jobs", "-n", "1"]) == 0
    assert "done" in capsys.readouterr().out
    assert main(["jobs", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0]["kind"] == "protocol"
    assert len(found[0]["progress"]["parts"]) == 4
