"""Scripts in the style of other people's, run unchanged by ``ranvier run``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).with_name("foreign")


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, "-m", "ranvier", "run", str(SCRIPTS / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_batch_filter_and_convert(made: Path, tmp_path: Path) -> None:
    for file in made.parent.glob("rec_SIMULATED*"):
        if file.is_file() and file.suffix != ".kpi":
            shutil.copy(file, tmp_path)
            shutil.copy(file, tmp_path / file.name.replace("rec_", "two_"))
    assert run("batch_filter_and_convert.py", tmp_path).split() == ["2", "{}"]
    assert sorted(f.name for f in (tmp_path / "out").glob("*.nwb")) == [
        "rec_SIMULATED_bp.nwb",
        "two_SIMULATED_bp.nwb",
    ]


def test_link_and_list(made: Path) -> None:
    assert run("link_and_list.py", made).splitlines() == [
        "True [3. 5.] 30000.0",
        "16 [0, 1, 2]",
        "2.0",
        "True rec_SIMULATED",
        "1 ['dataset ID', 'base name'] 0",
    ]
