"""Nothing compiles after ``ranvier warm``; without it a first call says so. In cold processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
from ranvier import VidereClient
from ranvier.models.simulation import SimulationSpec
folder = Path(sys.argv[1])
with VidereClient() as videre:
    ds = videre.simulate_recording(SimulationSpec(duration_sec=0.5), folder / "a_SIMULATED.xdat")
    videre.bandpass(ds, 300, 6000, folder / "b.xdat")
    videre.bandpass(ds, 300, 6000, folder / "c.xdat", zero_phase=True)
    videre.car(ds, folder / "d.xdat")
    videre.get_channel_quality(ds)
"""


def cold(cache: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"RANVIER_KERNEL_CACHE": str(cache)}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, env=environment)


@pytest.mark.slow
def test_cold_cache_says_compiling_and_warm_compiles_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    first = cold(tmp_path / "cache", "-c", SCRIPT, str(tmp_path / "one"))
    assert "compiling 1 of " in first.stderr
    warmed = cold(tmp_path / "cache2", "-m", "ranvier", "warm")
    assert "kernels ready" in warmed.stdout
    (tmp_path / "two").mkdir()
    second = cold(tmp_path / "cache2", "-c", SCRIPT, str(tmp_path / "two"))
    assert "compiling" not in second.stderr
    again = cold(tmp_path / "cache2", "-m", "ranvier", "warm")
    assert ", 0 of them compiled now" in again.stdout
    assert "compiling" not in again.stderr
