"""One pass over a recording into several outputs: the bits of each path run alone, and what happens when one fails."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from protocol_tools import (
    FS,
    CountingRecording,
    MemorySinks,
    edges,
    node,
    planned,
    sink,
    source,
    step_by_step,
)

from ranvier.curation.branches import run_tree
from ranvier.exceptions import GraphError, JobCancelledError, OutputError
from ranvier.models.dataset import TransformNode
from ranvier.models.jobs import JobProgress
from ranvier.recordings import Events, Segments, plain_channels
from ranvier.recordings.memory import ArrayRecording, ArraySink

N = TransformNode


def signal(rows: int, columns: int = 6, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((rows, columns)) * 40).astype(np.float32)


def make_recording(rows: int = 20_000, start: int = 1000, gaps: bool = False) -> ArrayRecording:
    channels = plain_channels(amp=5, ain=1)
    if not gaps:
        return ArrayRecording(signal(rows), FS, channels, start=start)
    parts = np.array([rows // 3, rows // 4, rows - rows // 3 - rows // 4])
    counters = start + np.array([0, rows // 3 + 777, rows + 5000])
    return ArrayRecording(signal(rows), FS, channels, segments=Segments(counters, parts))


def ran(nodes, ways, recording, **options):
    task, faults = planned(nodes, ways, recording)
    faults.raise_any()
    sinks = MemorySinks()
    report = run_tree(recording, task.root, sinks, **options)
    return sinks.made, report, task


STEPS = st.one_of(
    st.builds(N.notch, st.sampled_from([50, 60]), st.sampled_from([2.0, 4.0]), zero_phase=st.booleans()),
    st.builds(N.bandpass, st.just(300), st.sampled_from([3000, 6000]), zero_phase=st.booleans()),
    st.builds(N.lowpass, st.sampled_from([300, 1000]), st.sampled_from([None, 2])),
    st.builds(N.highpass, st.just(250), zero_phase=st.booleans()),
    st.builds(N.car, operator=st.sampled_from(["mean", "median"])),
    st.builds(N.downsample, st.sampled_from([2, 3]), operator=st.sampled_from(["antialiased", "plain"])),
    st.builds(N.virtual_ref, st.integers(0, 4)),
    st.builds(N.paired_ref, st.integers(0, 2), st.integers(3, 4)),
    st.builds(lambda a, d: N.slice_time(a, a + d), st.floats(0.05, 0.3), st.floats(0.3, 0.6)),
)


@st.composite
def trees(draw):
    """Return nodes and edges of a valid tree of up to 7 steps, with 1 to 4 outputs anywhere in it, and their paths."""
    nodes, ways, paths = [source()], [], {"source": ()}
    for i in range(draw(st.integers(1, 7))):
        parent = draw(st.sampled_from(list(paths)))
        nodes.append(node(f"n{i}", draw(STEPS)))
        ways.append(f"{parent} n{i}")
        paths[f"n{i}"] = (*paths[parent], nodes[-1])
    leaves = [name for name in paths if not any(way.startswith(f"{name} ") for way in ways)]
    more = draw(st.lists(st.sampled_from(list(paths)), max_size=2))
    wanted = {}
    for i, name in enumerate([*leaves, *more]):
        nodes.append(sink(f"s{i}"))
        ways.append(f"{name} s{i}")
        wanted[f"s{i}"] = paths[name]
    return nodes, edges(*ways), wanted


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees(), st.booleans(), st.sampled_from([1, 2, 3]), st.sampled_from([None, 999, 4096]))
def test_a_tree_is_its_paths_run_step_by_step(tree, gaps: bool, workers: int, rows: int | None) -> None:
    nodes, ways, paths = tree
    recording = make_recording(gaps=gaps)
    at = np.sort(np.random.default_rng(7).integers(recording.start, recording.stop, 400))
    events = Events.ttl(at, np.arange(400) % 7, np.arange(400) % 2)
    try:
        made, report, _ = ran(nodes, ways, recording, workers=workers, block_rows=rows, events=events)
    except GraphError as error:
        allowed = ("outside the data", "below the Nyquist frequency")  # a band-pass behind a downsampling
        if not all(any(a in m for a in allowed) for messages in error.faults.values() for m in messages):
            raise
        return
    in_gap = {o.ref.node for o in report.outputs if o.error is not None}
    for name, path in paths.items():
        if name in in_gap:
            assert gaps
            continue
        samples, counters, moved = step_by_step(path, recording, events)
        np.testing.assert_array_equal(made[name].samples(), samples)
        np.testing.assert_array_equal(made[name].counters(), counters)
        if not gaps:  # a call of its own ends where its input does, and forgets the events of a gap behind that
            written = Events.merge(*made[name].events)
            np.testing.assert_array_equal(written.counter, moved.counter)
            np.testing.assert_array_equal(written.line, moved.line)
        assert made[name].state == "committed"


@settings(max_examples=60, deadline=None)
@given(trees(), st.data())
def test_a_damaged_tree_is_reported_or_runs(tree, data) -> None:
    """Whatever edges are added, turned or taken away: a GraphError, or a tree that runs."""
    nodes, ways, _ = tree
    names = [n.id for n in nodes]
    for _i in range(data.draw(st.integers(1, 3))):
        if ways and data.draw(st.booleans()):
            ways.pop(data.draw(st.integers(0, len(ways) - 1)))
        else:
            ways += edges(f"{data.draw(st.sampled_from([*names, 'x']))} {data.draw(st.sampled_from(names))}")
    recording = make_recording(2000)
    try:
        made, report, _ = ran(nodes, ways, recording, workers=1)
    except GraphError as error:
        if not error.faults:
            raise
    else:
        assert {o.ref.node for o in report.outputs} == {n for n in names if n.startswith("s") and n != "source"}
        assert not report.failures
        assert all(s.state == "committed" for s in made.values())


FORK = [
    source(),
    node("line", N.notch(50, 2)),
    node("spikes", N.bandpass(300, 6000, zero_phase=True)),
    node("car", N.car()),
    node("lfp", N.lowpass(300)),
    *[sink(name) for name in ("raw", "clean", "slow")],
]
WAYS = edges("source line spikes car clean", "line lfp slow", "source raw")


def test_the_source_is_read_once() -> None:
    CountingRecording.rows_read = 0
    recording = CountingRecording(signal(20_000), FS, plain_channels(amp=5, ain=1))
    ran(FORK, WAYS, recording, block_rows=1000)
    assert CountingRecording.rows_read == 20_000


def test_shared_steps_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from ranvier.dsp.causal import CausalFilter

    rows: dict[str, int] = {}
    plain = CausalFilter.process_referenced

    def count(self, block, reference, state):
        rows[self.design.kind] = rows.get(self.design.kind, 0) + len(block)
        return plain(self, block, reference, state)

    monkeypatch.setattr(CausalFilter, "process_referenced", count)
    twins = [*FORK, node("line2", N.notch(50, 2)), sink("too")]
    ran(twins, [*WAYS, *edges("source line2 too")], make_recording(), workers=2)
    assert rows == {"notch": 20_000, "lowpass": 20_000}


def test_counts_go_to_a_copy_untouched_while_branches_get_physical_samples() -> None:
    counts = np.random.default_rng(3).integers(-3000, 3000, (9000, 6)).astype(np.int16)
    recording = ArrayRecording(counts, FS, plain_channels(amp=5, ain=1))
    made, _, _ = ran(
        [*FORK, node("part", N.slice_time(0.1, 0.2)), sink("cut")], [*WAYS, *edges("source part cut")], recording
    )
    assert made["raw"].blocks[0].is_counts
    np.testing.assert_array_equal(made["raw"].samples(), counts)
    np.testing.assert_array_equal(made["cut"].samples(), counts[3000:6000])
    expected, _, _ = step_by_step([FORK[1], FORK[4]], recording)
    np.testing.assert_array_equal(made["slow"].samples(), expected)


def test_provenance_of_an_output_names_its_own_path() -> None:
    made, _, _ = ran(FORK, WAYS, make_recording())
    kinds = {name: [s["kind"] for s in made[name].header.provenance["stages"]] for name in made}
    assert kinds == {"raw": [], "clean": ["notch", "bandpass", "car"], "slow": ["notch", "lowpass"]}


def test_events_of_the_range_go_to_each_output() -> None:
    recording = make_recording(start=0)
    events = Events.ttl([10, 5000, 15_000], [0, 0, 0], [1, 0, 1])
    nodes = [*FORK, node("part", N.slice_time(0.1, 0.3)), sink("cut")]
    made, _, _ = ran(nodes, [*WAYS, *edges("line part cut")], recording, events=events)
    assert made["clean"].events[0].counter.tolist() == [10, 5000, 15_000]
    assert made["cut"].events[0].counter.tolist() == [5000]


def test_events_of_slower_outputs_stand_in_their_counters() -> None:
    events = Events.ttl([10, 5003, 5999, 15_009], [0] * 4, [1, 0, 1, 0])
    nodes = [
        source(),
        node("slow", N.downsample(10)),
        sink("all"),
        node("part", N.slice_time(0.16667, 0.2)),
        sink("cut"),
    ]
    made, _, _ = ran(nodes, edges("source slow all", "slow part cut"), make_recording(start=0), events=events)
    assert made["all"].events[0].counter.tolist() == [1, 501, 600, 1501]
    assert (made["cut"].header.start, made["cut"].header.fs) == (500, FS / 10)
    assert made["cut"].events[0].counter.tolist() == [501]  # the third shows at sample 600, as it does in "all"


def test_a_step_sees_the_events_of_its_source_in_its_own_counters() -> None:
    recording = make_recording(start=0)
    nodes = [
        source(), node("slow", N.downsample(10, operator="plain")),
        node("blank", N.blank_artifacts(line=2, mode="zero")), sink("all"),
    ]  # fmt: skip
    events = Events.ttl([5004, 9000], [2, 1], [1, 1])
    task, faults = planned(nodes, edges("source slow blank all"), recording, events)
    faults.raise_any()
    sinks = MemorySinks()
    run_tree(recording, task.root, sinks)
    out = sinks.made["all"].samples()
    assert np.flatnonzero(~out[:, :5].any(axis=1)).tolist() == [501, 502, 503]


class FullDisk(ArraySink):
    """A sink whose disk is full after some blocks."""

    def write(self, block) -> None:
        if len(self.blocks) == 2:
            raise OutputError("cannot write: the disk is full")
        super().write(block)


class FailsAtTheEnd(ArraySink):
    def commit(self):
        raise OutputError("cannot write: the last bytes do not fit")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", [FullDisk, FailsAtTheEnd])
def test_an_output_that_fails_leaves_the_others_whole(workers: int, kind: type[ArraySink]) -> None:
    recording = make_recording()
    task, _ = planned(FORK, WAYS, recording)
    made: dict[str, ArraySink] = {}
    told: list[JobProgress] = []

    def open_sink(output) -> ArraySink:
        made[output.node] = (kind if output.node == "slow" else ArraySink)(output.header)
        return made[output.node]

    report = run_tree(recording, task.root, open_sink, workers=workers, block_rows=1000, progress=told.append)
    assert {o.ref.node: o.path is not None for o in report.outputs} == {"raw": True, "clean": True, "slow": False}
    assert list(report.failures) == [o.ref.name for o in report.outputs if o.ref.node == "slow"]
    assert "cannot write" in next(iter(report.failures.values()))
    assert made["slow"].state == "aborted"
    assert made["slow"].samples().size == 0
    np.testing.assert_array_equal(made["clean"].samples(), step_by_step(FORK[1:4], recording)[0])
    assert {part.name: part.state for part in told[-1].parts} == {
        o.ref.name: "failed" if o.ref.node == "slow" else "done" for o in report.outputs
    }


def test_all_outputs_failing_stops_the_reading() -> None:
    CountingRecording.rows_read = 0
    recording = CountingRecording(signal(200_000), FS, plain_channels(amp=5, ain=1))
    task, _ = planned(FORK, WAYS, recording)
    report = run_tree(recording, task.root, lambda output: FullDisk(output.header), block_rows=1000)
    assert len(report.failures) == 3
    assert CountingRecording.rows_read < 100_000


def test_a_branch_that_fails_takes_only_its_own_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    from ranvier.dsp.zero_phase import ZeroPhaseFilter

    def fail(*_args):
        raise MemoryError("no memory")

    monkeypatch.setattr(ZeroPhaseFilter, "begin", fail)
    made, report, _ = ran(FORK, WAYS, make_recording())
    assert {o.ref.node for o in report.outputs if o.error} == {"clean"}
    assert made["slow"].state == made["raw"].state == "committed"
    assert made["clean"].state == "aborted"


def test_a_source_that_fails_fails_all() -> None:
    class Broken(ArrayRecording):
        def _read_rows(self, start, stop, columns, out) -> None:
            if start > 5000:
                raise OSError("the drive is gone")
            super()._read_rows(start, stop, columns, out)

    recording = Broken(signal(20_000), FS, plain_channels(amp=5, ain=1))
    made, report, _ = ran(FORK, WAYS, recording, block_rows=1000)
    assert len(report.failures) == 3
    assert all("the drive is gone" in message for message in report.failures.values())
    assert all(s.state == "aborted" for s in made.values())


@pytest.mark.parametrize("workers", [1, 2])
def test_cancelled_leaves_nothing(workers: int) -> None:
    asked = iter(range(1000))
    task, _ = planned(FORK, WAYS, recording := make_recording())
    sinks = MemorySinks()
    with pytest.raises(JobCancelledError):
        run_tree(recording, task.root, sinks, workers=workers, block_rows=1000, cancelled=lambda: next(asked) > 8)
    assert len(sinks.made) == 3
    assert all(s.state == "aborted" for s in sinks.made.values())
    assert not [t for t in threading.enumerate() if t.name.startswith("ranvier-branch")]


def test_interrupted_leaves_nothing() -> None:
    def interrupt(_progress: JobProgress) -> None:
        raise KeyboardInterrupt

    task, _ = planned(FORK, WAYS, recording := make_recording())
    sinks = MemorySinks()
    with pytest.raises(KeyboardInterrupt):
        run_tree(recording, task.root, sinks, progress=interrupt)
    assert all(s.state == "aborted" for s in sinks.made.values())


def test_progress_tells_each_output_and_the_whole() -> None:
    told: list[JobProgress] = []
    ran(FORK, WAYS, make_recording(400_000), progress=told.append, block_rows=2000)
    assert all(len(now.parts) == 3 for now in told)
    assert [now.fraction for now in told] == sorted(now.fraction for now in told)
    for i in range(3):
        fractions = [now.parts[i].fraction for now in told]
        assert fractions == sorted(fractions)
    assert {part.state for part in told[-1].parts} == {"done"}
    assert told[-1].fraction == 1.0


def test_a_slice_before_everything_reads_only_that() -> None:
    CountingRecording.rows_read = 0
    recording = CountingRecording(signal(300_000), FS, plain_channels(amp=5, ain=1))
    nodes = [source(), node("part", N.slice_time(1, 2)), node("car", N.car()), sink("a"), sink("b")]
    made, _, _ = ran(nodes, edges("source part car a", "part b"), recording)
    assert CountingRecording.rows_read == 30_000
    assert made["b"].counters()[[0, -1]].tolist() == [30_000, 59_999]
