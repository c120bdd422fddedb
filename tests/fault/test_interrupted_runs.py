"""Ctrl-C and ``kill -9`` in runs over several recordings: what is left is whole, told, and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ranvier import CurateClient
from ranvier.cli import main
from ranvier.hub.jobs import STORE_INTERVAL_SEC
from ranvier.models.jobs import JobState
from ranvier.models.simulation import SimulationSpec

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals")

TEXT = """\
protocol: 1
steps:
  line: {notch: {frequency: 50, bandwidth: 2}}
  car:
outputs:
  clean: {}
  lines: {from: line, type: NWB}
  sorter: {from: car, type: KILOSORT2}
"""

#: Says when the second recording is being written, and then takes its time.
SLOW = """
import sys, time
from ranvier.recordings.formats.xdat import FORMAT
write = FORMAT.sink.write
def slow(self, block):
    write(self, block)
    if self.destination.name.startswith("r1"):
        print("writing", flush=True)
        time.sleep(3.0)
FORMAT.sink.write = slow
folder = sys.argv[1]
"""

APPLY = """
from ranvier.cli import main
sys.exit(main(["apply", folder + "/lab.yaml", "--in", folder + "/in", "--out", folder + "/out"]))
"""

BULK = """
from ranvier import CurateClient
with CurateClient(progress=False) as curate:
    curate.bulk_notch([f"{folder}/in/r{i}_SIMULATED.xdat" for i in range(3)], 50, 2, folder + "/out", "clean")
"""

ENDS = {"apply": ("clean.xdat.json", "lines.nwb", "sorter.bin"), "bulk": ("clean.xdat.json",)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with CurateClient(progress=False) as curate:
        for i in range(3):
            curate.simulate_recording(SimulationSpec(duration_sec=1.0, seed=i), tmp_path / "in" / f"r{i}_SIMULATED")
    (tmp_path / "lab.yaml").write_text(TEXT, encoding="utf-8")
    return tmp_path


def interrupted(folder: Path, how: str, sign: int) -> tuple[int, str]:
    """Run in a process of its own and send the signal while the second recording is written; return how it ended."""
    script = SLOW + {"apply": APPLY, "bulk": BULK}[how]
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "writing\n"
    if sign == signal.SIGKILL:
        time.sleep(STORE_INTERVAL_SEC + 0.5)  # progress is stored once a second
    child.send_signal(sign)
    _, said = child.communicate(timeout=60)
    return child.returncode, said


def outputs(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted((folder / "out").rglob("*")) if p.is_file()}


def whole(folder: Path, how: str) -> set[str]:
    """Return the names of outputs that stand; each must be the whole thing."""
    with CurateClient(progress=False) as curate:
        found = {
            name for i in range(3) for end in ENDS[how] if (folder / "out" / (name := f"r{i}_SIMULATED_{end}")).exists()
        }
        for name in found:
            dataset = curate.link_data_file(folder / "out" / name)
            assert dataset.time_range.n == 30_000
            assert dataset.lost_samples == 0
    return found


def done_with(how: str, *recordings: int) -> set[str]:
    return {f"r{i}_SIMULATED_{end}" for i in recordings for end in ENDS[how]}


@pytest.mark.parametrize("how", ["apply", pytest.param("bulk", marks=pytest.mark.slow)])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_the_first_stands_and_a_retry_makes_the_others(folder: Path, how: str, sign: int, capsys) -> None:
    status, said = interrupted(folder, how, sign)
    if sign == signal.SIGKILL:
        assert status == -sign
    elif how == "apply":
        kept, last = said.splitlines()
        assert (status, last) == (130, "ranvier: interrupted; nothing half-written was left under a final name")
        assert kept.startswith("cancelled; whole, and kept: ")
        assert "'ranvier jobs retry job-" in kept
    else:
        assert "KeyboardInterrupt" in said

    assert main(["jobs", "--json"]) == 0  # looking at the jobs cleans up behind a process that died
    job = next(job for job in json.loads(capsys.readouterr().out) if job["kind"] == "protocol")
    assert whole(folder, how) == done_with(how, 0)
    assert not any("writing" in p.name for p in (folder / "out").rglob("*"))
    with CurateClient(progress=False) as curate:
        info = curate.job(job["id"])
    if sign == signal.SIGKILL:
        assert info.state is JobState.LOST
        assert "its process" in str(info.error)
    else:
        assert info.state is JobState.CANCELLED
        assert all(name.removesuffix(".json") in str(info.error) for name in done_with(how, 0))
    assert 0.3 < info.progress.fraction < 0.7

    before = outputs(folder)
    assert main(["jobs", "retry", job["id"]]) == 0
    assert whole(folder, how) == done_with(how, 0, 1, 2)
    after = outputs(folder)
    assert {name: after[name] for name in before} == before, "what was whole is not made again"
    with CurateClient(progress=False) as curate:
        assert curate.jobs()[0].retry_of == info.id
        for i in range(3):
            path = folder / "in" / f"r{i}_SIMULATED.xdat"
            notched = curate.notch(path, 50, 2, folder / "single" / f"n{i}")
            expected = notched if how == "bulk" else curate.car(notched, folder / "single" / f"c{i}")
            made = curate.get_signals(folder / "out" / f"r{i}_SIMULATED_clean.xdat.json").amp
            np.testing.assert_array_equal(made, curate.get_signals(expected).amp)
