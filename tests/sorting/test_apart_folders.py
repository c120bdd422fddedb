"""A rig that is killed while it learns leaves its tape in the temporary folder; the next one removes it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ranvier import AllegoClient
from ranvier.sorting.apart import remove_stale_folders, training_folder

LEARNS = """
import sys, tempfile
from ranvier.sorting.apart import training_folder

tempfile.tempdir = sys.argv[1]
with training_folder() as folder:
    (folder / "tape.npy").write_bytes(b"0" * 1000)
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that stands for the system's temporary one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_folders_of_killed_processes_are_removed_and_no_others(temporary: Path) -> None:
    (temporary / "ranvier-train-of-somebody-else").mkdir()
    with training_folder() as mine:
        child = subprocess.Popen(
            [sys.executable, "-c", LEARNS, str(temporary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with child:
            assert child.stdout is not None
            theirs = Path(child.stdout.readline().strip())
            assert theirs.parent == temporary
            remove_stale_folders()
            assert (theirs / "tape.npy").stat().st_size == 1000  # its owner lives
            child.kill()
            child.wait()
            assert theirs.is_dir()
        with AllegoClient(embedded=True):  # a rig starts
            pass
        assert {p.name for p in temporary.iterdir()} == {mine.name, "ranvier-train-of-somebody-else"}
    assert [p.name for p in temporary.iterdir()] == ["ranvier-train-of-somebody-else"]
