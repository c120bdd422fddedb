"""Protocols and bulk calls through the client: kept, run, failing honestly."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

from ranvier import CurateClient, VidereClient, connect
from ranvier.exceptions import (
    ConfigurationError,
    DatasetError,
    GraphError,
    JobCancelledError,
    OutputError,
    OutputExistsError,
    PartialFailureError,
    RadiensError,
)
from ranvier.models.dataset import (
    ProtocolSpec,
    RadiensFileType,
    SinkParams,
    TransformEdge,
    TransformNode,
    TransformNodeType,
)
from ranvier.models.jobs import JobProgress, JobState
from ranvier.models.simulation import SimulationSpec
from ranvier.recordings.formats.xdat import FORMAT
from ranvier.store import Store
from ranvier.store.database import Database
from ranvier.store.schema import MIGRATIONS
from ranvier.store.settings import Settings

XdatSink = FORMAT.sink
XDAT = RadiensFileType.XDAT


@pytest.fixture
def curate():
    with CurateClient(progress=False) as client:
        yield client


@pytest.fixture
def dataset(curate: CurateClient, tmp_path: Path):
    return curate.simulate_recording(SimulationSpec(duration_sec=0.6), tmp_path / "rec_SIMULATED")


def simulated(curate: CurateClient, folder: Path, n: int, duration_sec: float = 0.3):
    return [
        curate.simulate_recording(SimulationSpec(duration_sec=duration_sec, seed=i), folder / f"r{i}_SIMULATED")
        for i in range(n)
    ]


def way(*nodes: TransformNode) -> list[TransformEdge]:
    return [TransformEdge(source=a.id, target=b.id) for a, b in pairwise(nodes)]


def fork(dataset, folder: Path):
    """Return nodes and edges of a protocol with three outputs."""
    source = TransformNode.source(dataset)
    notch, band, car = TransformNode.notch(50, 4), TransformNode.bandpass(300, 6000), TransformNode.car()
    low = TransformNode.lowpass(300, zero_phase=True)
    clean, slow, raw = (TransformNode.sink(n, str(folder), XDAT) for n in ("clean", "slow", "raw"))
    nodes = [source, notch, band, car, low, clean, slow, raw]
    return nodes, way(source, notch, band, car, clean) + way(notch, low, slow) + way(source, raw)


def amp(curate: CurateClient, path: Path):
    return curate.get_signals(path).amp


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()} if folder.exists() else set()


def test_a_protocol_writes_what_single_calls_write(curate, dataset, tmp_path: Path) -> None:
    nodes, edges = fork(dataset, tmp_path / "out")
    assert curate.set_protocol(nodes, edges, protocol_id="three") == ProtocolSpec(id="three", node_count=8)
    assert curate.apply_protocol("three") is None
    single = tmp_path / "single"
    notched = curate.notch(dataset, 50, 4, single / "notched")
    clean = curate.car(curate.bandpass(notched, 300, 6000, single / "band"), single / "clean")
    slow = curate.lowpass(notched, 300, single / "slow", zero_phase=True)
    np.testing.assert_array_equal(amp(curate, tmp_path / "out" / "clean.xdat"), curate.get_signals(clean).amp)
    np.testing.assert_array_equal(amp(curate, tmp_path / "out" / "slow.xdat"), curate.get_signals(slow).amp)
    np.testing.assert_array_equal(amp(curate, tmp_path / "out" / "raw.xdat"), curate.get_signals(dataset).amp)
    linked = curate.link_data_file(tmp_path / "out" / "slow.xdat")
    assert linked.simulated
    ops = curate.get_provenance(linked).record.ops
    assert [op.filter.type.name for op in ops if op.filter is not None] == ["NOTCH", "LOWPASS"]
    assert len(curate.get_events(linked)) == len(curate.get_events(dataset))


def test_protocols_survive_sessions_and_are_managed(curate, dataset, tmp_path: Path) -> None:
    nodes, edges = fork(dataset, tmp_path / "out")
    made = curate.set_protocol(nodes, edges)
    curate.set_protocol(nodes, edges, protocol_id="second")
    curate.close()
    connect.close_embedded_hubs()
    with VidereClient(progress=False) as later:
        assert [spec.id for spec in later.get_all_protocols()] == [made.id, "second"]
        assert later.get_protocol(made.id) == made
        assert later.rename_protocol(made.id, "lab") == ProtocolSpec(id="lab", node_count=8)
        with pytest.raises(ConfigurationError, match="already"):
            later.rename_protocol("second", "lab")
        with pytest.raises(ConfigurationError):
            later.rename_protocol("second", " ")
        assert later.get_protocol_graph("lab").nodes == nodes
        later.apply_protocol("lab")
        assert "clean.xdat.json" in names(tmp_path / "out")
        later.remove_protocol("second")
        for call in (later.get_protocol, later.apply_protocol, later.remove_protocol):
            with pytest.raises(DatasetError, match="'lab'"):
                call("second")


def test_an_older_store_is_migrated(tmp_path: Path, dataset, curate) -> None:
    before = next(i for i, migration in enumerate(MIGRATIONS) if migration.__name__ == "_protocols")
    old = Database(tmp_path / "old" / "ranvier.sqlite", migrations=MIGRATIONS[:before])
    Settings(old).set("a", 1)
    old.close()
    with Store(tmp_path / "old") as store:
        assert store.protocols.all() == []
        assert store.settings.get("a") == 1
        assert store.database.backups()


def test_every_fault_reaches_the_caller(curate, dataset, tmp_path: Path) -> None:
    nodes, edges = fork(dataset, tmp_path)
    steep, lost = TransformNode.highpass(20_000), TransformNode.virtual_ref(1000)
    own = TransformNode.sink(dataset.base_name, dataset.path, XDAT)
    twin = TransformNode.sink("clean", str(tmp_path), XDAT)
    with pytest.raises(GraphError) as caught:
        curate.set_protocol(
            [*nodes, steep, lost, own, twin], edges + way(nodes[0], steep, lost, own) + way(nodes[0], twin)
        )
    assert {steep.id, lost.id, own.id, twin.id} <= set(caught.value.faults)
    assert "20000" in str(caught.value)
    assert "1000" in str(caught.value)
    assert curate.get_all_protocols() == []


def test_a_source_that_is_gone_is_a_fault(curate, dataset, tmp_path: Path) -> None:
    nodes, edges = fork(dataset, tmp_path / "out")
    curate.set_protocol(nodes, edges, protocol_id="p")
    curate.remove_data_source_file(tmp_path / "rec_SIMULATED")
    with pytest.raises(GraphError) as caught:
        curate.apply_protocol("p")
    assert set(caught.value.faults) == {nodes[0].id}
    assert not (tmp_path / "out").exists()


def test_existing_outputs_are_refused_before_work(curate, dataset, tmp_path: Path) -> None:
    nodes, edges = fork(dataset, tmp_path / "out")
    curate.set_protocol(nodes, edges, protocol_id="p")
    curate.car(dataset, tmp_path / "out" / "slow")
    before = names(tmp_path / "out")
    with pytest.raises(OutputExistsError, match="slow"):
        curate.apply_protocol("p")
    assert names(tmp_path / "out") == before
    curate.apply_protocol("p", force=True)
    assert len(curate.get_provenance(tmp_path / "out" / "slow.xdat").record.ops) == 5


def test_a_full_disk_under_one_output_leaves_the_others(curate, dataset, tmp_path: Path, monkeypatch) -> None:
    write = XdatSink.write

    def full(self, block) -> None:
        if self.destination.name == "slow":
            raise OSError(28, "No space left on device")
        write(self, block)

    monkeypatch.setattr(XdatSink, "write", full)
    nodes, edges = fork(dataset, tmp_path / "out")
    curate.set_protocol(nodes, edges, protocol_id="p")
    with pytest.raises(PartialFailureError) as caught:
        curate.apply_protocol("p")
    assert list(caught.value.failures) == [str(tmp_path / "out" / "slow.xdat")]
    assert len(caught.value.outputs) == 2
    assert not any("slow" in name for name in names(tmp_path / "out"))
    assert {"clean.xdat.json", "raw.xdat.json"} <= names(tmp_path / "out")
    assert amp(curate, tmp_path / "out" / "clean.xdat").shape == curate.get_signals(dataset).amp.shape


@pytest.mark.parametrize(("error", "attempts"), [(OutputError("disk full"), 2), (DatasetError("no such channel"), 1)])
def test_what_may_pass_is_tried_again_by_itself(
    curate, dataset, tmp_path: Path, monkeypatch, error: RadiensError, attempts: int
) -> None:
    write, failed = XdatSink.write, []

    def once(self, block) -> None:
        if self.destination.name == "slow" and not failed:
            failed.append(self.destination.name)
            raise error
        write(self, block)

    monkeypatch.setattr(XdatSink, "write", once)
    curate.set_job_settings(retries=1, retry_pause_sec=0.01)
    nodes, edges = fork(dataset, tmp_path / "out")
    curate.set_protocol(nodes, edges, protocol_id="p")
    if attempts == 1:
        with pytest.raises(PartialFailureError, match="no such channel"):
            curate.apply_protocol("p")
    else:
        curate.apply_protocol("p")
        assert {"clean.xdat.json", "raw.xdat.json", "slow.xdat.json"} <= names(tmp_path / "out")
    job = next(job for job in curate.jobs() if job.kind == "protocol")
    assert job.attempts == attempts


def test_cancelled_leaves_nothing(curate, tmp_path: Path, monkeypatch) -> None:
    dataset = simulated(curate, tmp_path, 1, duration_sec=3)[0]
    write = XdatSink.write

    def cancel(self, block) -> None:
        running = next(job for job in curate.jobs() if job.state == JobState.RUNNING)
        curate.cancel_job(running.id)
        write(self, block)

    monkeypatch.setattr(XdatSink, "write", cancel)
    nodes, edges = fork(dataset, tmp_path / "out")
    curate.set_protocol(nodes, edges, protocol_id="p")
    with pytest.raises(JobCancelledError):
        curate.apply_protocol("p")
    assert names(tmp_path / "out") == set()


def test_progress_has_every_output(dataset, tmp_path: Path) -> None:
    told: list[JobProgress] = []
    with CurateClient(progress=told.append) as curate:
        nodes, edges = fork(dataset, tmp_path / "out")
        curate.set_protocol(nodes, edges, protocol_id="p")
        curate.apply_protocol("p")
    assert {Path(part.name).name for part in told[-1].parts} == {"clean.xdat", "slow.xdat", "raw.xdat"}
    assert {part.state for part in told[-1].parts} == {"done"}
    assert told[-1].fraction == 1.0


BULK = [
    ("bulk_highpass", (300,), {}, lambda c, d, o: c.highpass(d, 300, o)),
    ("bulk_highpass", (300,), {"zero_phase": True}, lambda c, d, o: c.highpass(d, 300, o, zero_phase=True)),
    ("bulk_lowpass", (300,), {"order": 2}, lambda c, d, o: c.lowpass(d, 300, o, order=2)),
    ("bulk_lowpass", (300,), {}, lambda c, d, o: c.lowpass(d, 300, o)),
    ("bulk_bandpass", (300, 6000), {}, lambda c, d, o: c.bandpass(d, 300, 6000, o)),
    ("bulk_bandstop", (45, 55), {}, lambda c, d, o: c.bandstop(d, 45, 55, o)),
    ("bulk_notch", (50, 2), {}, lambda c, d, o: c.notch(d, 50, 2, o)),
    ("bulk_downsample", (10,), {}, lambda c, d, o: c.downsample(d, 10, o)),
    ("bulk_slice_time", (10.1, 10.2), {}, lambda c, d, o: c.slice_time(d, 10.1, 10.2, o)),
]  # fmt: skip


@pytest.mark.parametrize(("call", "arguments", "options", "single"), BULK)
def test_bulk_is_the_single_call_over_several(curate, tmp_path: Path, call, arguments, options, single) -> None:
    datasets = simulated(curate, tmp_path, 2)
    mixed = [datasets[0], datasets[1].id, str(tmp_path / "r0_SIMULATED.xdat.json")][:2]
    before = curate.list_data_source_ids()
    assert getattr(curate, call)(mixed, *arguments, tmp_path / "out", "x", **options) is None
    assert curate.list_data_source_ids() == before
    for i, dataset in enumerate(datasets):
        expected = curate.get_signals(single(curate, dataset, tmp_path / "single" / str(i))).amp
        np.testing.assert_array_equal(amp(curate, tmp_path / "out" / f"r{i}_SIMULATED_x.xdat"), expected)


def test_slower_outputs_and_fewer_channels(curate, dataset, tmp_path: Path) -> None:
    """Every kind of step in one graph, written as YAML and back, against the single calls."""
    source, notch = TransformNode.source(dataset), TransformNode.notch(50, 4)
    slow, low = TransformNode.downsample(10), TransformNode.lowpass(300, family="chebyshev_i", ripple_db=1.0)
    some, late = TransformNode.slice_channels([5, 3, 64]), TransformNode.slice_time(10.2, 10.4)
    outputs = [TransformNode.sink(name, str(tmp_path / "out"), XDAT) for name in ("lfp", "some")]
    nodes = [source, notch, slow, low, some, late, *outputs]
    edges = way(source, notch, slow, low, late, outputs[0]) + way(notch, some, outputs[1])
    curate.set_protocol(nodes, edges, protocol_id="p")
    curate.apply_protocol_file(curate.save_protocol_file("p", tmp_path / "p.yaml"))
    single = tmp_path / "single"
    notched = curate.notch(dataset, 50, 4, single / "notched")
    lfp = curate.downsample(notched, 10, single / "slow")
    lfp = curate.lowpass(lfp, 300, single / "low", family="chebyshev_i", ripple_db=1.0)
    lfp = curate.slice_time(lfp, 10.2, 10.4, single / "lfp")
    few = curate.slice_channels(notched, [5, 3, 64], single / "some")
    for name, expected in (("lfp", lfp), ("some", few)):
        made = curate.link_data_file(tmp_path / "out" / f"{name}.xdat")
        assert made.time_range == expected.time_range
        everything = dict.fromkeys(("amp", "ain", "din", "dout"), "all")
        one, two = (curate.get_signals(ds, signals=everything) for ds in (made, expected))
        for field in ("amp", "gpio_ain", "gpio_din", "gpio_dout"):
            np.testing.assert_array_equal(getattr(one, field), getattr(two, field))
        events, wanted = curate.get_events(made), curate.get_events(expected)
        assert events.timestamp.tolist() == wanted.timestamp.tolist()
    assert curate.link_data_file(tmp_path / "out" / "lfp.xdat").sampling_rate == 3000


def test_bulk_spellings_of_all_releases(curate, tmp_path: Path) -> None:
    datasets = simulated(curate, tmp_path, 1)
    out = str(tmp_path / "out")
    curate.bulk_notch(sources=datasets, notch_freq=50, bandwidth=2, output_dir=out, output_suffix="a")
    curate.bulk_notch(sources=datasets, frequency=50, bandwidth=2, output_dir=out, output_suffix="b")
    a, b = (amp(curate, tmp_path / "out" / f"r0_SIMULATED_{s}.xdat") for s in "ab")
    np.testing.assert_array_equal(a, b)
    for wrong in ({"notch_freq": 50, "frequency": 60, "bandwidth": 2}, {"bandwidth": 2}, {"frequency": 50}):
        with pytest.raises(ConfigurationError):
            curate.bulk_notch(datasets, output_dir=out, output_suffix="c", **wrong)
    with pytest.raises(ConfigurationError):
        curate.bulk_notch(datasets, 50, 2)


def test_bulk_output_type_is_that_of_the_first_source(curate, tmp_path: Path) -> None:
    datasets = simulated(curate, tmp_path, 2)
    nwb = curate.convert(datasets[0], tmp_path / "first_SIMULATED.nwb")
    curate.bulk_highpass([nwb, datasets[1]], 300, tmp_path / "out", "hp")
    assert names(tmp_path / "out") == {"first_SIMULATED_hp.nwb", "r1_SIMULATED_hp.nwb"}


def test_bulk_refuses_before_work(curate, tmp_path: Path) -> None:
    datasets = simulated(curate, tmp_path, 2)
    for wrong in ([], "rec", datasets[0]):
        with pytest.raises(ConfigurationError):
            curate.bulk_highpass(wrong, 300, tmp_path / "out", "x")
    with pytest.raises(DatasetError, match="2 of 3"):
        curate.bulk_highpass([datasets[0], "no", "nor this"], 300, tmp_path / "out", "x")
    with pytest.raises(GraphError, match="20000"):
        curate.bulk_highpass(datasets, 20_000, tmp_path / "out", "x")
    twin = simulated(curate, tmp_path / "other", 1)
    with pytest.raises(GraphError, match="for two sources"):
        curate.bulk_highpass([*datasets, *twin], 300, tmp_path / "out", "x")
    made = curate.convert(datasets[1], tmp_path / "r0_SIMULATED_x")
    with pytest.raises(GraphError, match="is a source"):
        curate.bulk_highpass([datasets[0], made], 300, tmp_path, "x", force=True)
    assert names(tmp_path / "out") == set()
    curate.convert(datasets[1], tmp_path / "out" / "r1_SIMULATED_x")
    before = names(tmp_path / "out")
    with pytest.raises(OutputExistsError, match="r1_SIMULATED_x"):
        curate.bulk_highpass(datasets, 300, tmp_path / "out", "x")
    assert names(tmp_path / "out") == before


def test_one_failing_source_does_not_lose_the_others(curate, tmp_path: Path, monkeypatch) -> None:
    datasets = simulated(curate, tmp_path, 3)
    short = curate.slice_time(datasets[0], 10.0, 10.05, tmp_path / "short_SIMULATED")
    write = XdatSink.write

    def fail(self, block) -> None:
        if self.destination.name.startswith("r1"):
            raise OSError(5, "Input/output error")
        write(self, block)

    monkeypatch.setattr(XdatSink, "write", fail)
    with pytest.raises(PartialFailureError) as caught:
        curate.bulk_slice_time([short, *datasets], 10.1, 10.2, tmp_path / "out", "x")
    assert {Path(name).name for name in caught.value.failures} == {"short_SIMULATED", "r1_SIMULATED_x.xdat"}
    assert "outside the data" in str(caught.value)
    assert len(caught.value.outputs) == 2
    written = {name for name in names(tmp_path / "out") if name.endswith(".xdat.json")}
    assert written == {"r0_SIMULATED_x.xdat.json", "r2_SIMULATED_x.xdat.json"}
    job = next(job for job in curate.jobs() if job.kind == "protocol")
    assert job.state == JobState.FAILED
    assert "r1_SIMULATED_x.xdat: " in str(job.error)
    assert "2 other outputs are whole" in str(job.error)

    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}
    monkeypatch.setattr(XdatSink, "write", write)
    again = curate.retry_job(job.id)
    assert (again.state, again.retry_of, again.repeatable) == (JobState.DONE, job.id, True)
    for i in range(3):
        expected = curate.slice_time(datasets[i], 10.1, 10.2, tmp_path / "single" / str(i))
        made = amp(curate, tmp_path / "out" / f"r{i}_SIMULATED_x.xdat")
        np.testing.assert_array_equal(made, curate.get_signals(expected).amp)
    for name, when in before.items():
        assert (tmp_path / "out" / name).stat().st_mtime_ns == when, f"{name} was whole and is not made again"


def test_a_cancelled_bulk_run_keeps_what_is_whole_and_goes_on(curate, tmp_path: Path, monkeypatch) -> None:
    """Cancelled in the second of three recordings; a retry makes the second and the third."""
    datasets = simulated(curate, tmp_path, 3)
    write = XdatSink.write

    def cancel(self, block) -> None:
        if self.destination.name.startswith("r1"):
            curate.cancel_job(next(job for job in curate.jobs() if job.state == JobState.RUNNING).id)
        write(self, block)

    monkeypatch.setattr(XdatSink, "write", cancel)
    with pytest.raises(JobCancelledError, match=r"whole, and kept: .*r0_SIMULATED_x\.xdat; nothing"):
        curate.bulk_notch(datasets, 50, 2, tmp_path / "out", "x")
    assert {name for name in names(tmp_path / "out") if name.endswith(".json")} == {"r0_SIMULATED_x.xdat.json"}
    assert not any("writing" in name for name in names(tmp_path / "out"))
    monkeypatch.setattr(XdatSink, "write", write)
    job = next(job for job in curate.jobs() if job.kind == "protocol")
    assert job.state == JobState.CANCELLED
    assert curate.retry_job(job.id).state == JobState.DONE
    assert {name for name in names(tmp_path / "out") if name.endswith(".json")} == {
        f"r{i}_SIMULATED_x.xdat.json" for i in range(3)
    }


def test_bulk_branches(curate, tmp_path: Path) -> None:
    datasets = simulated(curate, tmp_path, 2)
    source = TransformNode.bulk_source(datasets)
    notch, car = TransformNode.notch(50, 2), TransformNode.car()
    one = TransformNode.bulk_sink("notched", str(tmp_path / "out"), XDAT)
    two = TransformNode.bulk_sink("car", str(tmp_path / "out"), RadiensFileType.NWB)
    curate.set_protocol([source, notch, car, one, two], way(source, notch, one) + way(notch, car, two), protocol_id="b")
    curate.apply_protocol("b")
    for i, dataset in enumerate(datasets):
        notched = curate.notch(dataset, 50, 2, tmp_path / "single" / f"n{i}")
        got = amp(curate, tmp_path / "out" / f"r{i}_SIMULATED_notched.xdat")
        np.testing.assert_array_equal(got, curate.get_signals(notched).amp)
        assert (tmp_path / "out" / f"r{i}_SIMULATED_car.nwb").exists()


def test_relative_folders_are_the_callers(curate, dataset, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    source, sink = TransformNode.source(dataset), TransformNode.sink("copy.xdat.json", "here", XDAT)
    curate.set_protocol([source, sink], way(source, sink), protocol_id="p")
    saved = next(n for n in curate.get_protocol_graph("p").nodes if n.type == TransformNodeType.SINK)
    assert isinstance(saved.params, SinkParams)
    assert os.path.isabs(saved.params.path)
    curate.apply_protocol("p")
    assert "copy.xdat.json" in names(tmp_path / "here")


def test_protocol_files(curate, dataset, tmp_path: Path) -> None:
    nodes, edges = fork(dataset, tmp_path / "out")
    curate.set_protocol(nodes, edges, protocol_id="p")
    file = curate.save_protocol_file("p", tmp_path / "p.yaml")
    with pytest.raises(OutputExistsError):
        curate.save_protocol_file("p", file)
    again = curate.load_protocol_file(file, protocol_id="q")
    assert again.node_count == 8
    expected = [tmp_path / "out" / f"{n}.xdat" for n in ("raw", "clean", "slow")]
    assert sorted(curate.check_protocol_file(file)) == sorted(expected)
    assert names(tmp_path / "out") == set()
    written = curate.apply_protocol_file(file)
    assert {p.name for p in written} == {"raw.xdat.json", "clean.xdat.json", "slow.xdat.json"}
    file.write_text("protocol: 1\nname: bulk\nsteps: {car: }\noutputs: {x: }\n", encoding="utf-8")
    made = curate.apply_protocol_file(file, sources=[dataset], output_dir=tmp_path / "yaml")
    assert [p.name for p in made] == ["rec_SIMULATED_x.xdat.json"]
    assert curate.load_protocol_file(file, sources=[dataset.id], output_dir=tmp_path).id == "bulk"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        curate.load_protocol_file(tmp_path / "none.yaml")


def test_metadata_and_compression_everywhere(curate, dataset, tmp_path: Path) -> None:
    """Single calls, bulk calls, sinks of a graph and YAML take what convert takes, and the record repeats it."""
    options = {"metadata": {"subject": {"subject_id": "m12", "species": "Mus musculus"}}, "compression": "gzip"}
    one = curate.highpass(dataset, 300, tmp_path / "one.nwb", **options)
    curate.bulk_notch([one], 50, 2, tmp_path / "bulk", "n", **options)
    nodes = [TransformNode.source(dataset), TransformNode.car()]
    nodes.append(TransformNode.sink("graph", str(tmp_path), RadiensFileType.NWB, **options))
    curate.set_protocol(nodes, way(*nodes), protocol_id="with options")
    curate.apply_protocol("with options")
    saved = curate.save_protocol_file("with options", tmp_path / "saved.yaml")
    assert "compression: gzip" in saved.read_text()
    curate.load_protocol_file(saved, protocol_id="again")
    assert curate.get_protocol_graph("again").nodes[-1].params == nodes[-1].params
    text = "protocol: 1\ncompression: gzip\nmetadata: {subject: {subject_id: m12}}\noutputs:\n  yaml: {type: NWB}\n"
    (tmp_path / "p.yaml").write_text(text)
    (by_text,) = curate.apply_protocol_file(tmp_path / "p.yaml", sources=[dataset], output_dir=tmp_path)
    (by_call,) = curate.apply_protocol_file(
        tmp_path / "p.yaml", sources=[dataset], output_dir=tmp_path / "call", metadata={"subject": {"subject_id": "m7"}}
    )
    paths = [Path(one.path) / "one.nwb", tmp_path / "bulk" / "one_n.nwb", tmp_path / "graph.nwb", by_text, by_call]
    for path in paths:
        with h5py.File(path) as file:
            assert file["general/subject/subject_id"][()].decode() == ("m7" if path == by_call else "m12")
            data = next(group["data"] for group in file["acquisition"].values() if "data" in group)
            assert data.compression == (None if path == by_call else "gzip")
        assert curate.replay(path).identical, path
    with pytest.raises(ConfigurationError, match="compression"):
        curate.bulk_notch([one], 50, 2, tmp_path / "bulk2", "n", compression="zip")
    (tmp_path / "p.yaml").write_text(text.replace("subject_id", "subjekt"))
    with pytest.raises(ConfigurationError, match=r"line 5: 'yaml': metadata.subject.subject_id: field required"):
        curate.check_protocol_file(tmp_path / "p.yaml", sources=[dataset], output_dir=tmp_path)
