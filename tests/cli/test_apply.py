"""``ranvier apply`` and ``ranvier jobs`` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ranvier import CurateClient
from ranvier.checks.files_nsx import write_nev, write_nsx
from ranvier.checks.files_openephys import write_openephys
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


def test_every_stream_of_a_recording(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is a recording of several streams, a base name of several files, and one file of events alone."""
    write_openephys(folder / "in" / "oe", rows=900, streams=("Probe-A", "Probe-B.LFP"))
    for end, period in (("ns6", 1), ("ns2", 30)):
        write_nsx(folder / "in" / f"bl.{end}", period=period, packets=((0, 3000 // period),), amp=2)
    write_nev(folder / "in" / "alone.nev", words=((10, 1),))
    (folder / "lab.yaml").write_text("protocol: 1\nsteps:\n  highpass: {frequency: 600}\noutputs:\n  hp:\n")
    assert apply(folder, "--dry-run") == 1  # 600 Hz do not exist at 1 kHz
    assert apply(folder) == 1
    said = capsys.readouterr()
    assert "skipped     alone: no signals" in said.err
    assert "bl_ns2" in said.err
    assert "Nyquist" in said.err
    names = {Path(line).name for line in said.out.splitlines() if not line.startswith("would")}
    assert {n for n in names if n.startswith("oe")} == {
        f"oe_Source-{end}_hp.xdat.json" for end in ("100.Probe-A", "101.Probe-B.LFP")
    }
    assert {n for n in names if n.startswith("bl")} == {"bl_ns6_hp.xdat.json"}
    assert sum(n.endswith("_SIMULATED_hp.xdat.json") for n in names) == 2
    for name in names:
        assert (folder / "out" / name).exists()


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
