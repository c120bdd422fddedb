"""A hub in a process of its own: several programs share what is linked there."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ranvier import AllegoClient, VidereClient, connect
from ranvier.exceptions import DatasetError, ServerDiscoveryError
from ranvier.models.jobs import JobProgress
from ranvier.models.simulation import SimulationSpec
from ranvier.transport import connection_of, end_process


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("hub")
    yield home
    end_process("hub", home)


def test_programs_share_it(folder: Path, tmp_path: Path) -> None:
    seen: list[JobProgress] = []
    with VidereClient(address=f"process:{folder}", progress=seen.append) as videre:
        ds = videre.simulate_recording(SimulationSpec(duration_sec=2.0, probe="a1x16_5mm50_177"), tmp_path / "rec")
        assert seen[-1].fraction == pytest.approx(1.0)
        amp = videre.get_signals(ds, [10.5, 10.7], [3, 1]).amp
        assert amp is not None
        assert amp.shape == (2, 6000)
        with VidereClient() as inside:
            assert np.array_equal(inside.get_signals(str(ds.base_path) + ".xdat", [10.5, 10.7], [3, 1]).amp, amp)
        with pytest.raises(DatasetError):
            videre.get_signals("nothing of the kind", [0, 1])
        other = (
            "from ranvier import VidereClient\n"
            f"with VidereClient(address='process:{folder}') as videre: print(*videre.list_data_source_ids())"
        )
        told = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=True).stdout
        assert ds.id in told


def test_a_new_one_takes_the_place_of_one_that_ended(folder: Path) -> None:
    address = f"process:{folder}"
    before = connect.open_hub(address)
    assert connect.open_hub(address) is before
    assert end_process("hub", folder)
    until = time.monotonic() + 20
    while connection_of(before).is_alive and time.monotonic() < until:
        time.sleep(0.02)
    assert connect.open_hub(address) is not before
    with VidereClient(address=address) as videre:
        videre.healthcheck()


def test_nobody_there() -> None:
    assert connect.find_hub() is None
    for address in ("unix:/no/such/socket", "127.0.0.1:1"):
        with pytest.raises(ServerDiscoveryError):
            connect.open_hub(address)


def test_one_word_for_rig_and_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_HOME", str(folder))
    monkeypatch.setenv("RANVIER_ADDRESS", "process")
    try:
        assert connect.find_rig() is None
        with AllegoClient() as rig, VidereClient() as videre:
            videre.healthcheck()
            assert not rig.get_status().recording.record_mode
            assert connect.find_rig() is not None
            assert connect.find_hub() is not None
    finally:
        end_process("rig", folder)
