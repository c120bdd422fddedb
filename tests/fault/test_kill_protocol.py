"""``kill -9`` in the middle of a run with several outputs: each one is whole or absent, and the run can be repeated."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ranvier import CurateClient
from ranvier.models.dataset import RadiensFileType, TransformEdge, TransformNode
from ranvier.models.jobs import JobState
from ranvier.models.simulation import SimulationSpec

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")

SCRIPT = """
import sys
from ranvier import CurateClient
with CurateClient(progress=False) as curate:
    print("ready", flush=True)
    curate.apply_protocol("three", force=True)
    print("done", flush=True)
"""

OUTPUTS = {"clean": "clean.xdat.json", "slow": "slow.nwb", "bin": "bin.bin"}


def save_protocol(curate: CurateClient, folder: Path) -> None:
    dataset = curate.simulate_recording(SimulationSpec(duration_sec=4.0), folder / "rec_SIMULATED")
    source, notch = TransformNode.source(dataset), TransformNode.notch(50, 2)
    band, low = TransformNode.bandpass(300, 6000, zero_phase=True), TransformNode.lowpass(300)
    clean = TransformNode.sink("clean", str(folder / "out"), RadiensFileType.XDAT)
    slow = TransformNode.sink("slow", str(folder / "out"), RadiensFileType.NWB)
    binary = TransformNode.sink("bin", str(folder / "out"), RadiensFileType.KILOSORT2)
    ways = [(source, notch, band, clean), (notch, low, slow), (band, binary)]
    edges = [TransformEdge(source=a.id, target=b.id) for way in ways for a, b in pairwise(way)]
    curate.set_protocol([source, notch, band, low, clean, slow, binary], edges, protocol_id="three")


def amplifiers(curate: CurateClient, folder: Path) -> dict[str, np.ndarray]:
    """Return the samples of every output that stands under its final name."""
    found = {name: folder / file for name, file in OUTPUTS.items() if (folder / file).exists()}
    return {name: curate.get_signals(path).amp for name, path in found.items()}


def killed_after(seconds: float) -> bool:
    """Run the protocol in a process of its own and kill it so long after it began; return whether it was done."""
    child = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(seconds)
    child.kill()
    rest = child.stdout.read()
    child.wait()
    child.stdout.close()
    return "done" in rest


def kill_at_moments(folder: Path, trials: int, seed: int) -> None:
    with CurateClient(progress=False) as curate:
        save_protocol(curate, folder)
        began = time.monotonic()
        curate.apply_protocol("three")
        whole_sec = time.monotonic() - began
        expected = amplifiers(curate, folder / "out")
        assert set(expected) == set(OUTPUTS)
        rng, seen = random.Random(seed), set()
        for _ in range(trials):
            for file in (folder / "out").glob("[!.]*"):
                if file.is_file():
                    file.unlink()
            if killed_after(rng.uniform(0.0, 1.3 * whole_sec)):
                continue
            left = amplifiers(curate, folder / "out")
            seen.add(len(left))
            for name, samples in left.items():
                np.testing.assert_array_equal(samples, expected[name])
            lost = next(job for job in curate.jobs() if job.kind == "protocol")
            assert lost.state in (JobState.LOST, JobState.DONE)
        assert 0 in seen, "no run was killed before its outputs stood"
        curate.apply_protocol("three", force=True)
        assert set(amplifiers(curate, folder / "out")) == set(OUTPUTS)


def test_killed_at_three_moments(tmp_path: Path) -> None:
    kill_at_moments(tmp_path, trials=3, seed=1)


@pytest.mark.slow
def test_killed_at_40_moments(tmp_path: Path) -> None:
    kill_at_moments(tmp_path, trials=40, seed=2)
