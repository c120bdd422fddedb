"""``kill -9`` while a recording runs: everything up to the last flush reads back right, and the file says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kill_zygote import CHANNELS, FIRST, GAIN, counts_at

from ranvier.recordings import open_session

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs fork and SIGKILL")


def check(folder: Path, durable: int) -> int:
    """Read what is left of a recording; return its rows."""
    with open_session(folder / "killed_SIMULATED_0_data.xdat") as session:
        recording = session.stream()
        rows = recording.segments.rows
        assert rows >= durable
        assert recording.channels.channels[0].name == CHANNELS[0].name
        assert recording.simulated
        assert any("not finished" in note for note in session.notes)
        written = (folder / "killed_SIMULATED_0_data.xdat").stat().st_size // (4 * len(CHANNELS))
        if written > rows:
            assert any(f"{written - rows} samples at the end were not flushed" in note for note in session.notes)
        expected = FIRST
        for start, n in recording.segments.runs():
            assert start >= expected
            expected = start + n
            samples = recording.read(start, start + n).samples
            assert np.array_equal(samples, (counts_at(np.arange(start, start + n)) * GAIN).astype(np.float32))
        if rows:
            assert recording.start == FIRST
        return rows


def kill(folder: Path, seed: int, trials: int) -> None:
    script = Path(__file__).parent / "kill_zygote.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder), str(seed), str(trials)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == trials
    rows = [check(Path(r["folder"]), r["durable"]) for r in results]
    assert max(rows) > 0


def test_killed_at_a_few_moments(tmp_path: Path) -> None:
    kill(tmp_path, seed=1, trials=5)


@pytest.mark.slow
def test_killed_at_50_moments(tmp_path: Path) -> None:
    kill(tmp_path, seed=2, trials=50)
