"""A simulated recording with its true spikes as a curated ``.spikes`` file; programs that read exports."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from interop_tools import Curated

from ranvier import VidereClient
from ranvier.models import SimulationSpec

_PEERS = Path(os.environ.get("RANVIER_PEERS", Path(__file__).parents[2] / ".venv-peers/bin/python"))


@pytest.fixture
def curated(tmp_path: Path) -> Iterator[Curated]:
    with VidereClient(progress=False) as videre:
        spec = SimulationSpec(duration_sec=8.0, num_units=5, seed=3, start_sec=2.0, probe="a1x16_5mm50_177")
        ds = videre.simulate_recording(spec, tmp_path / "rec")
        videre.convert_spikes(ds)
        merged = videre.merge_units(ds, [1, 2])
        videre.label_units(ds, [3], "good")
        videre.label_units(ds, [4], "noise")
        yield Curated(videre, ds, merged, tmp_path)


@pytest.fixture(scope="session")
def peer() -> Callable[[str], str]:
    """Return what runs Python where phylib, SpikeInterface and nwbinspector are; skip where that is nowhere."""
    if not _PEERS.is_file():
        pytest.skip("no environment of peers (make peers)")

    def run(script: str) -> str:
        source = str(Path(__file__).parents[2] / "src")
        environment = {**os.environ, "PYTHONPATH": source}
        done = subprocess.run(
            [str(_PEERS), "-W", "ignore", "-c", script], capture_output=True, text=True, check=False, timeout=400,
            env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run
