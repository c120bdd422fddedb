"""Runs: from a recording through a chain into a sink; gaps, counts, events, cancel, errors, threads."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest

from ranvier.checks.stages import joined, run_stage
from ranvier.curation.executor import make_header, run
from ranvier.dsp import BandPass, Chain, CommonAverageReference, Downsample
from ranvier.exceptions import ConfigurationError, JobCancelledError, OutputError, TimeRangeError
from ranvier.models.jobs import JobProgress
from ranvier.recordings import Block, Events, Segments, plain_channels
from ranvier.recordings.memory import ArrayRecording, ArraySink

FS = Fraction(30000)


def _samples(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((rows, columns)) * 40).astype(np.float32)


def _chain(recording: ArrayRecording, *, zero_phase: bool = False, columns: list[int] | None = None) -> Chain:
    channels = recording.channels if columns is None else recording.channels.take(columns)
    operations = [BandPass(300, 6000, zero_phase=zero_phase), CommonAverageReference()]
    return Chain.bind(operations, recording.fs, channels)


@pytest.mark.parametrize("kind", ["causal", "zero phase", "median"])
def test_result_does_not_depend_on_blocks_or_workers(kind: str) -> None:
    recording = ArrayRecording(_samples(40_000, 35), FS, start=777)
    chain = _chain(recording, zero_phase=kind == "zero phase")
    if kind == "median":
        chain = Chain.bind([CommonAverageReference("median")], recording.fs, recording.channels)
    expected = joined(run_stage(chain, recording.samples, start=777))
    for workers, rows in ((1, None), (1, 999), (2, 4096), (3, 10_000), (2, 100_000)):
        sink = ArraySink(make_header(recording, chain))
        report = run(recording, chain, sink, workers=workers, block_rows=rows)
        np.testing.assert_array_equal(sink.samples(), expected)
        np.testing.assert_array_equal(sink.counters(), np.arange(777, 40_777))
        assert sink.state == "committed"
        assert (report.samples, report.start, report.stop, report.gaps) == (40_000, 777, 40_777, 0)


def test_blocks_never_span_gaps() -> None:
    segments = Segments(np.array([100, 20_000, 50_000]), np.array([9_000, 12_000, 4_000]))
    recording = ArrayRecording(_samples(25_000, 4), FS, segments=segments)
    for zero_phase in (False, True):
        chain = _chain(recording, zero_phase=zero_phase)
        sink = ArraySink(make_header(recording, chain))
        report = run(recording, chain, sink, block_rows=5000)
        expected = [
            joined(run_stage(chain, recording.samples[a:b], start=start))
            for a, b, start in ((0, 9000, 100), (9000, 21_000, 20_000), (21_000, 25_000, 50_000))
        ]
        np.testing.assert_array_equal(sink.samples(), np.concatenate(expected))
        np.testing.assert_array_equal(sink.counters(), np.r_[100:9100, 20_000:32_000, 50_000:54_000])
        assert report.gaps == 2


def test_conversion_passes_counts_through() -> None:
    counts = np.random.default_rng(1).integers(-32768, 32767, (20_000, 3)).astype(np.int16)
    recording = ArrayRecording(counts, FS)
    sink = ArraySink(make_header(recording, None))
    run(recording, None, sink, columns=[2, 0])
    assert sink.blocks[0].is_counts
    np.testing.assert_array_equal(sink.samples(), counts[:, [2, 0]])


def test_conversion_of_physical_samples() -> None:
    recording = ArrayRecording(_samples(5000, 3), FS)
    sink = ArraySink(make_header(recording, None))
    report = run(recording, None, sink, start=1000, stop=1_000_000)
    np.testing.assert_array_equal(sink.samples(), recording.samples[1000:])
    assert (report.start, report.stop) == (1000, 5000)


def test_columns_are_taken_before_the_chain() -> None:
    recording = ArrayRecording(_samples(9000, 6), FS)
    chain = _chain(recording, columns=[1, 4, 5])
    sink = ArraySink(make_header(recording, chain, columns=[1, 4, 5]))
    run(recording, chain, sink, columns=[1, 4, 5])
    expected = joined(run_stage(chain, recording.samples[:, [1, 4, 5]].copy(), start=0))
    np.testing.assert_array_equal(sink.samples(), expected)
    assert [c.ntv for c in sink.header.channels] == [1, 4, 5]


def test_events_in_the_range_are_carried_over() -> None:
    recording = ArrayRecording(_samples(5000, 2), FS, start=1000)
    events = Events.ttl([999, 1000, 2500, 3000, 4000], [0, 1, 0, 1, 0], [1, 1, 0, 0, 1])
    sink = ArraySink(make_header(recording, None))
    report = run(recording, None, sink, start=0, stop=4000, events=events)
    assert sink.events[0].counter.tolist() == [1000, 2500, 3000]
    assert report.events == 3


def test_header_tells_where_the_data_came_from() -> None:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    recording = ArrayRecording(_samples(60_000, 2), FS, start=30_000, walltime=when, simulated=True)
    chain = _chain(recording)
    header = make_header(
        recording, chain, start=60_000, sources=[{"path": "a.xdat", "bytes": 3}], seed=5, extra={"xdat": {"k": 1}}
    )
    assert header.start == 60_000
    assert header.walltime == when + timedelta(seconds=1)
    assert header.simulated
    assert header.extra == {"xdat": {"k": 1}}
    record = header.provenance
    assert record is not None
    assert [s["kind"] for s in record["stages"]] == ["bandpass", "car"]
    assert record["stages"][0]["parameters"]["order"] == 4
    assert record["stages"][0]["coefficients"]["sos"]
    assert record["sources"] == [{"path": "a.xdat", "bytes": 3}]
    assert record["seed"] == 5
    assert record["simulated"] is True


def test_progress_is_told_in_order_up_to_the_end() -> None:
    recording = ArrayRecording(_samples(100_000, 4), FS)
    told: list[JobProgress] = []
    run(recording, _chain(recording), ArraySink(make_header(recording, None)), progress=told.append)
    fractions = [p.fraction for p in told]
    assert fractions == sorted(fractions)
    assert told[0].fraction == 0
    assert (told[-1].fraction, told[-1].phase, told[-1].samples_done) == (1.0, "done", 100_000)
    assert told[-1].samples_per_sec > 0


@pytest.mark.parametrize("workers", [1, 2])
def test_cancel_leaves_nothing(workers: int) -> None:
    recording = ArrayRecording(_samples(100_000, 4), FS)
    sink = ArraySink(make_header(recording, None))
    asked = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(JobCancelledError):
        run(recording, None, sink, cancelled=cancelled, workers=workers, block_rows=1000)
    assert sink.state == "aborted"
    assert len(asked) == 4


class FullDisk(ArraySink):
    def write(self, block: Block) -> None:
        if len(self.blocks) == 2:
            raise OutputError("disk full: free some space")
        super().write(block)


class Unreadable(ArrayRecording):
    def _read_rows(self, start, stop, columns, out) -> None:  # type: ignore[no-untyped-def]
        if start > 5000:
            raise OSError("bad sector")
        super()._read_rows(start, stop, columns, out)


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_abort_the_sink(workers: int) -> None:
    recording = ArrayRecording(_samples(50_000, 4), FS)
    sink = FullDisk(make_header(recording, None))
    with pytest.raises(OutputError, match="disk full"):
        run(recording, None, sink, workers=workers, block_rows=1000)
    assert sink.state == "aborted"
    sink = ArraySink(make_header(recording, None))
    with pytest.raises(OSError, match="bad sector"):
        run(Unreadable(_samples(50_000, 4), FS), None, sink, workers=workers, block_rows=1000)
    assert sink.state == "aborted"


def test_ctrl_c_aborts_and_passes() -> None:
    recording = ArrayRecording(_samples(50_000, 4), FS)
    sink = ArraySink(make_header(recording, None))

    def interrupt(_: JobProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(recording, None, sink, progress=interrupt)
    assert sink.state == "aborted"


def test_no_threads_are_left_behind() -> None:
    recording = ArrayRecording(_samples(50_000, 40), FS)
    before = threading.active_count()
    for _ in range(3):
        run(recording, _chain(recording), ArraySink(make_header(recording, None)), workers=2)
    assert threading.active_count() <= before + 1


def test_misfits_and_empty_ranges() -> None:
    segments = Segments(np.array([0, 5000]), np.array([1000, 1000]))
    recording = ArrayRecording(_samples(2000, 4), FS, segments=segments)
    sink = ArraySink(make_header(recording, None))
    with pytest.raises(TimeRangeError, match="in a gap"):
        run(recording, None, sink, start=2000, stop=3000)
    with pytest.raises(TimeRangeError, match="lie outside"):
        run(recording, None, ArraySink(make_header(recording, None)), start=90_000, stop=100_000)
    other = Chain.bind([BandPass(300, 6000)], 20_000, plain_channels(amp=4))
    with pytest.raises(ConfigurationError, match="bind it to this recording"):
        run(recording, other, ArraySink(make_header(recording, None)))
    assert sink.state == "aborted"


def test_slower_outputs_keep_stream_time_gaps_and_events() -> None:
    """Output k stands at counter 10 k; events move to the next one, gaps keep their place."""
    segments = Segments(np.array([1005, 20_003, 50_000]), np.array([9_000, 12_000, 4_000]))
    began = datetime(2026, 1, 1, tzinfo=UTC)
    recording = ArrayRecording(_samples(25_000, 4), FS, segments=segments, walltime=began)
    chain = Chain.bind([Downsample(10)], FS, recording.channels)
    events = Events.ttl([900, 1006, 2019, 20_003, 53_999], [0] * 5, [1, 0, 1, 0, 1])
    header = make_header(recording, chain)
    assert (header.fs, header.start) == (FS / 10, 101)
    assert header.walltime == began + timedelta(seconds=5 / 30000)
    outputs = []
    for workers, rows in ((1, None), (2, 777)):
        sink = ArraySink(header)
        report = run(recording, chain, sink, events=events, workers=workers, block_rows=rows)
        assert report.gaps == 2
        np.testing.assert_array_equal(sink.counters(), np.r_[101:1001, 2001:3201, 5000:5400])
        assert sink.events[0].counter.tolist() == [101, 202, 2001, 5399]
        outputs.append(sink.samples())
    np.testing.assert_array_equal(*outputs)


def test_a_range_without_a_kept_sample_is_refused() -> None:
    recording = ArrayRecording(_samples(100, 2), FS)
    chain = Chain.bind([Downsample(10)], FS, recording.channels)
    with pytest.raises(TimeRangeError, match="no sample of an output at 3000 Hz"):
        run(recording, chain, ArraySink(make_header(recording, chain, start=1)), start=1, stop=9)
