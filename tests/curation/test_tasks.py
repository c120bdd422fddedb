"""Tasks are plain data: pickled, sent to another process, run there with the same bits."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from protocol_tools import edges, node, planned, sink, source

from ranvier.checks.stages import joined, run_stage
from ranvier.curation.executors import ThreadExecutor, run_task
from ranvier.curation.graph import Faults, Graph
from ranvier.curation.protocol_plan import Input, make_task
from ranvier.curation.task import Task, to_path, to_uri
from ranvier.dsp import BandPass, Chain, CommonAverageReference, Notch
from ranvier.exceptions import CapabilityError, JobCancelledError
from ranvier.models.dataset import TransformNode
from ranvier.models.simulation import SimulationSpec
from ranvier.recordings import Block, detect, open_session, plain_channels

N = TransformNode
NODES = [
    source(),
    node("line", N.notch(50, 2)),
    node("spikes", N.bandpass(300, 6000, zero_phase=True)),
    node("car", N.car()),
    node("part", N.slice_time(10.2, 10.6)),
]
WAYS = ("source line spikes car clean", "line part cut")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    from ranvier import CurateClient

    with CurateClient(progress=False) as curate:
        curate.simulate_recording(SimulationSpec(duration_sec=1.0), tmp_path / "rec_SIMULATED")
    return tmp_path / "rec_SIMULATED.xdat.json"


def task_into(folder: Path, path: Path) -> Task:
    known, canonical = detect(path)
    nodes = [*NODES, sink("clean", folder=str(folder)), sink("cut", folder=str(folder))]
    with open_session(canonical) as session:
        one = session.stream()
        given = Input("source", "rec", one, one.channels, known, canonical, "", {"path": str(path)})
        faults = Faults(nodes)
        task = make_task(Graph(nodes, edges(*WAYS)), given, faults)
    faults.raise_any()
    return task


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.suffix != ".json"}


def test_a_task_runs_in_another_process_with_the_same_bits(recording: Path, tmp_path: Path) -> None:
    here, there = task_into(tmp_path / "here", recording), task_into(tmp_path / "there", recording)
    assert pickle.loads(pickle.dumps(there)) == there
    assert there.source.uri.startswith("file://")
    mine = run_task(here)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        theirs = pool.submit(run_task, there).result(timeout=120)
    assert mine.failures == theirs.failures == {}
    assert len(mine.outputs) == len(theirs.outputs) == 2
    assert files_of(tmp_path / "here") == files_of(tmp_path / "there")
    assert any(name.endswith("_data.xdat") for name in files_of(tmp_path / "there"))
    stages = [s["kind"] for s in theirs.records[str(tmp_path / "there" / "cut.xdat")]["stages"]]
    assert stages == ["notch", "slice_time"]


def test_threads_run_tasks_as_futures(recording: Path, tmp_path: Path) -> None:
    executor = ThreadExecutor(2)
    tasks = [task_into(tmp_path / name, recording) for name in "ab"]
    told = []
    futures = [executor.submit(task, progress=told.append) for task in tasks]
    assert all(not future.result().failures for future in futures)
    stopped = executor.submit(task_into(tmp_path / "c", recording), cancelled=lambda: True)
    with pytest.raises(JobCancelledError):
        stopped.result()
    executor.close()
    assert list((tmp_path / "c").iterdir()) == []
    assert told[-1].fraction == 1.0
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_a_source_that_is_gone_is_a_result(recording: Path, tmp_path: Path) -> None:
    task = task_into(tmp_path / "out", recording)
    for file in tmp_path.glob("rec_SIMULATED*"):
        file.unlink()
    result = run_task(task)
    assert result.outputs == {}
    assert len(result.failures) == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("zero_phase", [False, True])
def test_a_chain_and_its_state_can_be_pickled_in_mid_stream(zero_phase: bool) -> None:
    channels = plain_channels(amp=7, ain=1)
    signal = (np.random.default_rng(0).standard_normal((30_000, 8)) * 40).astype(np.float32)
    operations = [Notch(50, 2), BandPass(300, 6000, zero_phase=zero_phase), CommonAverageReference()]
    chain = Chain.bind(operations, 30_000, channels)
    expected = joined(run_stage(chain, signal, start=0))
    state, got = chain.start(), []
    for at in range(0, len(signal), 7000):
        got += chain.process(Block(signal[at : at + 7000], at), state)
        chain, state = pickle.loads(pickle.dumps((chain, state)))
    got += chain.finish(state)
    np.testing.assert_array_equal(np.concatenate([block.samples for block in got]), expected)


def test_uris() -> None:
    path = Path("/data/rig 1/ä#b.xdat")
    assert to_path(to_uri(path)) == path
    assert to_path("file://localhost/data/x") == Path("/data/x")
    assert to_path("/data/x") == Path("/data/x")
    with pytest.raises(CapabilityError, match="s3://bucket/x"):
        to_path("s3://bucket/x")


def test_planned_tasks_name_files() -> None:
    from test_branches import make_recording

    task, _ = planned([*NODES, sink("clean")], edges("source line clean"), make_recording())
    assert task.outputs[0].uri == "file:///out/clean"
