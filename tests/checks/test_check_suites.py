"""The suites notice readers and sinks that break a rule."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ranvier.checks import readers, sinks
from ranvier.checks.files_xdat import write_xdat
from ranvier.checks.fuzz import Damage, check_damaged
from ranvier.checks.readers import ReaderCase, ReferenceStream, check_reader
from ranvier.checks.sinks import SinkCase, check_sink
from ranvier.exceptions import RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings import Block, Events, Recording, Segments, Session, plain_channels
from ranvier.recordings.formats.xdat_sink import XdatSink

ROWS = 3000


class Memory(Recording):
    """A correct recording in memory; what breaks it is patched in."""

    def __init__(self) -> None:
        self.fs = Fraction(1000)
        self.channels = plain_channels(amp=3, din=1)
        self.segments = Segments.from_runs([(10, 1000), (1500, ROWS - 1000)])
        self.path = Path(__file__)
        rng = np.random.default_rng(0)
        self.samples = np.hstack([rng.normal(size=(ROWS, 3)), rng.integers(0, 2, (ROWS, 1))]).astype(np.float32)

    def _read_rows(self, start: int, stop: int, columns: Any, out: Any) -> None:
        out[:] = self.samples[start:stop, columns]


class OffByOne(Memory):
    def _read_rows(self, start: int, stop: int, columns: Any, out: Any) -> None:
        out[:] = self.samples[start:stop, columns]
        if start:
            out[0] += 1


class IgnoresColumns(Memory):
    def _read_rows(self, start: int, stop: int, columns: Any, out: Any) -> None:
        out[:] = self.samples[start:stop, : len(columns)] if len(columns) < 4 else self.samples[start:stop, columns[:4]]


class Doubles(Memory):
    def read(self, *args: Any, **kwargs: Any) -> Block:
        block = super().read(*args, **kwargs)
        return Block(block.samples.astype(np.float64), block.start)


class GapsAsZero(Memory):
    @staticmethod
    def _fill_missing(rows: Any, digital: Any) -> None:
        rows[:] = 0


class NoClipping(Memory):
    def clip(self, start: int, stop: int) -> tuple[int, int]:
        return max(start, self.start), max(min(stop, self.stop), max(start, self.start))


class IgnoresOut(Memory):
    def read(self, start: int, stop: int, columns: Any = None, *, out: Any = None) -> Block:
        return super().read(start, stop, columns)


class SharedScratch(Memory):
    def __init__(self) -> None:
        super().__init__()
        self.scratch = np.empty((ROWS, 4), np.float32)

    def _read_rows(self, start: int, stop: int, columns: Any, out: Any) -> None:
        self.scratch[: stop - start] = self.samples[start:stop]
        time.sleep(0.001)
        out[:] = self.scratch[: stop - start, columns]


def session_of(kind: type[Memory], events: Events | None = None) -> Session:
    table = {"": events} if events is not None else {}
    return Session(Path(__file__), RadiensFileType.XDAT, "XDAT", {"": kind()}, events=table)


def test_a_correct_reader_passes() -> None:
    check_reader(lambda: session_of(Memory), files=[Path(__file__)])


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (OffByOne, readers.chunking_is_invisible),
        (IgnoresColumns, readers.columns_are_slices),
        (Doubles, readers.blocks_have_the_promised_layout),
        (GapsAsZero, readers.gaps_read_as_missing),
        (NoClipping, readers.ranges_are_clipped),
        (IgnoresOut, readers.out_is_used),
        (SharedScratch, readers.parallel_reads_agree),
    ],
)
def test_broken_readers_fail(broken: type[Memory], rule: Any) -> None:
    rule(ReaderCase(lambda: session_of(Memory)))
    with pytest.raises(AssertionError):
        rule(ReaderCase(lambda: session_of(broken)))


def test_events_outside_fail() -> None:
    events = Events.ttl([5], [0], [1])
    with pytest.raises(AssertionError, match="events_are_ordered_and_inside"):
        check_reader(lambda: session_of(Memory, events))


def test_other_samples_fail() -> None:
    whole = Memory().read(10, 5000).samples.copy()
    readers.reference_agrees(ReaderCase(lambda: session_of(Memory), {"": ReferenceStream(whole, 10)}))
    whole[123, 2] += 1e-3
    with pytest.raises(AssertionError, match=r"1 values differ, first at \(123, 2\)"):
        readers.reference_agrees(ReaderCase(lambda: session_of(Memory), {"": ReferenceStream(whole, 10)}))
    readers.reference_agrees(ReaderCase(lambda: session_of(Memory), {"": ReferenceStream(whole, 10, atol=1e-2)}))


def test_changed_sources_fail(tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_text("1")

    def touching() -> Session:
        path.write_text(path.read_text() + "1")
        return session_of(Memory)

    with pytest.raises(AssertionError, match="a source file was changed"):
        readers.sources_do_not_change(ReaderCase(touching, files=(path,)))


class TestBrokenSinks:
    def test_a_correct_sink_passes(self, tmp_path: Path) -> None:
        check_sink(SinkCase(XdatSink, tmp_path))

    def test_losing_the_last_row(self, tmp_path: Path) -> None:
        class Loses(XdatSink):
            def write(self, block: Block) -> None:
                super().write(Block(block.samples[:-1], block.start))

        with pytest.raises(AssertionError):
            sinks.any_chunking_comes_back(SinkCase(Loses, tmp_path))

    def test_closing_gaps(self, tmp_path: Path) -> None:
        class Closes(XdatSink):
            def write(self, block: Block) -> None:
                super().write(Block(block.samples, self.segments.stop or block.start))

        with pytest.raises(AssertionError):
            sinks.gaps_come_back(SinkCase(Closes, tmp_path))

    def test_leaving_files(self, tmp_path: Path) -> None:
        class Leaves(XdatSink):
            def abort(self) -> None:
                self.staged.close()

        with pytest.raises(AssertionError, match="files were left"):
            sinks.leaving_without_commit_aborts(SinkCase(Leaves, tmp_path))

    def test_forgetting_the_mark(self, tmp_path: Path) -> None:
        class Forgets(XdatSink):
            def __init__(self, destination: Path, header: Any, *, force: bool = False) -> None:
                from dataclasses import replace

                super().__init__(destination, replace(header, simulated=False), force=force)

        with pytest.raises(AssertionError):
            sinks.marks_come_back(SinkCase(Forgets, tmp_path))


class TestDamage:
    def test_kinds(self) -> None:
        content = bytes(range(10))
        assert Damage("truncate", 0.35).apply(content) == content[:3]
        assert Damage("zero", 0.5, length=3).apply(content) == bytes([0, 1, 2, 3, 4, 0, 0, 0, 8, 9])
        assert Damage("flip", 0.1, b"\xff", 2).apply(content) == bytes([0, 254, 253, 3, 4, 5, 6, 7, 8, 9])
        assert Damage("overwrite", 0.9, b"abc").apply(content) == content[:9] + b"abc"
        assert Damage("repeat", 0.0, length=2).apply(content) == b"\0\1" + content
        assert Damage("drop", 0.0, length=4).apply(content) == content[4:]
        assert Damage("truncate", 0.5).apply(b"") == b""
        assert Damage("lie", 0.3, b"-1").apply(b"n: 7, rate: 30000.5 Hz") == b"n: 7, rate: -1 Hz"
        assert Damage("lie", 0.9, b"-1").apply(b"n: 7") == b"n: -1"
        assert Damage("lie", 0.5, b"-1").apply(b"none") == b"none"

    def test_our_errors_are_fine_others_are_not(self) -> None:
        def ours() -> Session:
            raise RecordingError("x.rhd: damaged; restore it")

        def others() -> Session:
            raise KeyError("oops")

        def silent() -> Session:
            raise RecordingError("")

        check_damaged(ours)
        with pytest.raises(KeyError):
            check_damaged(others)
        with pytest.raises(AssertionError, match="without a message"):
            check_damaged(silent)

    def test_time_and_memory_are_bounded(self) -> None:
        def slow() -> Session:
            time.sleep(0.2)
            raise RecordingError("late")

        def large() -> Session:
            np.empty(50_000_000, np.uint8)
            raise RecordingError("large")

        with pytest.raises(AssertionError, match=r"took 0\.\d s"):
            check_damaged(slow, most_seconds=0.1)
        with pytest.raises(AssertionError, match=r"took 50 MB"):
            check_damaged(large, most_bytes=10_000_000)

    def test_a_valid_file_passes(self, tmp_path: Path) -> None:
        from ranvier.recordings import open_session

        path, _ = write_xdat(tmp_path)
        check_damaged(lambda: open_session(path))
