"""CSV: our own layout, plain tables, pandas as the independent reader, damage."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ranvier import CurateClient
from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.readers import ReferenceStream, check_reader
from ranvier.checks.sinks import SINK_RULES, SinkCase
from ranvier.exceptions import NotARecordingError, RecordingError
from ranvier.models import RadiensFileType, SignalType
from ranvier.recordings import Block, Events, SpikeTrains, detect, open_session, plain_channels
from ranvier.recordings.formats.csv_files import FORMAT, CsvSink
from ranvier.recordings.formats.csv_index import CHUNK_BYTES, index_lines
from ranvier.recordings.formats.csv_sink import shortest


@pytest.mark.parametrize("rule", SINK_RULES, ids=lambda rule: rule.__name__)
def test_sink(rule, tmp_path: Path) -> None:
    rule(SinkCase(CsvSink, tmp_path))


def test_the_layout_is_what_the_docs_say(tmp_path: Path) -> None:
    """Read with pandas alone."""
    case = SinkCase(CsvSink, tmp_path, fs=Fraction(390625, 16))
    samples = case.samples(300)
    with case.open("a") as sink:
        sink.write(Block(samples[:100], 1000))
        sink.write(Block(samples[100:], 1200))
        sink.write_events(Events.ttl([1010, 1210], [0, 3], [1, 0]))
        sink.write_spike_trains("ks", SpikeTrains(np.array([1005]), np.array([2], np.int32), np.array([1], np.int32)))
        path = sink.commit()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "a.csv.json", "a_events.csv", "a_spikes.npz"]
    lines = path.read_text().splitlines()
    assert lines[:2] == ["# ranvier csv, version 1", "# fs_hz = 390625/16"]
    table = pd.read_csv(path, comment="#")
    assert list(table.columns) == ["counter", *(c.name for c in case.channels)]
    assert table["counter"].tolist() == [*range(1000, 1100), *range(1200, 1400)]
    assert np.array_equal(table.iloc[:, 1:].to_numpy().astype(np.float32), samples)
    events = pd.read_csv(tmp_path / "a_events.csv", comment="#")
    assert events["counter"].tolist() == [1010, 1210]
    assert len(FORMAT.files(path)) == 4


def test_every_float32_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, (4000, 3), dtype=np.uint64).astype(np.uint32)
    values = bits.view(np.float32)
    values[~np.isfinite(values)] = np.nan
    values[:3] = [[0.0, -0.0, np.nan], [1e-45, 3.4028235e38, 0.1], [np.inf, -np.inf, 16777217.0]]
    case = SinkCase(CsvSink, tmp_path, channels=plain_channels(amp=3), rows=len(values))
    path = case.write("a", values)
    with open_session(path) as session:
        got = session.stream().read(case.start, case.start + len(values)).samples
    same = (got == values) | (np.isnan(got) & np.isnan(values))
    assert same.all()
    assert [repr(v) for v in shortest(np.array([1.95, 0.1, -12.345678], np.float32)).tolist()] == [
        "1.95",
        "0.1",
        "-12.345678",
    ]


def test_it_opens_without_its_sidecar(tmp_path: Path) -> None:
    case = SinkCase(CsvSink, tmp_path)
    samples = case.samples(500)
    with case.open("a") as sink:
        sink.write(Block(samples[:100], 1000))
        sink.write(Block(samples[100:], 5000))
        path = sink.commit()
    (tmp_path / "a.csv.json").unlink()
    with open_session(path) as session:
        recording = session.stream()
        assert recording.segments.runs() == [(1000, 100), (5000, 400)]
        assert recording.fs == 30_000
        assert [c.name for c in recording.channels] == [c.name for c in case.channels]
        assert all(c.unit_source == "file" for c in recording.channels)
        assert any("sites of the channels" in note for note in session.stream().notes)
        assert np.array_equal(recording.read(5000, 5400).samples, samples[100:])


def test_a_cut_file_opens_with_what_is_there(tmp_path: Path) -> None:
    case = SinkCase(CsvSink, tmp_path, rows=5000)
    samples = case.samples()
    path = case.write("a", samples)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with open_session(path) as session:
        recording = session.stream()
        n = recording.segments.rows
        assert 2000 < n < 3000
        assert recording.lost_samples == 5000 - n
        assert any("cut in the middle of a row" in note for note in recording.notes)
        assert np.array_equal(recording.read(case.start, case.start + n).samples, samples[:n])


def test_reads_parse_only_what_they_need(tmp_path: Path) -> None:
    rows = 100_000
    values = np.random.default_rng(1).integers(-999, 999, (rows, 8))
    frame = pd.DataFrame(values, columns=[f"pri_{i}" for i in range(8)])
    frame.insert(0, "counter", np.arange(rows) + 7)
    path = tmp_path / "big.csv"
    path.write_text("# fs = 25000\n" + frame.to_csv(index=False))
    assert path.stat().st_size > 8 * CHUNK_BYTES
    index, _ = index_lines(path, path.read_bytes().index(b"\n", 14) + 1, keep_open_line=True)
    assert index.total == rows
    assert np.all(np.diff(index.offsets) < 2 * CHUNK_BYTES)
    with open_session(path) as session:
        recording = session.stream()
        assert recording.segments.runs() == [(7, rows)]
        tracemalloc.start()
        got = recording.read(60_007, 60_107).samples
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert np.array_equal(got, values[60_000:60_100])
        assert peak < 12 * CHUNK_BYTES
    reference = ReferenceStream(values, start=7, fs=25_000.0, names=tuple(f"pri_{i}" for i in range(8)))
    check_reader(lambda: open_session(path), reference={"": reference}, files=[path])


class TestPlainTables:
    def open(self, folder: Path, text: str, name: str = "t.csv"):
        path = folder / name
        path.write_bytes(text.encode())
        return open_session(path)

    def test_types_and_order_of_columns(self, tmp_path: Path) -> None:
        text = "# fs: 20 kHz\ndin_1,pri_5,aux_0,pri_2\n1,10.5,0.25,-3\n0,11,0.5,nan\n"
        with self.open(tmp_path, text) as session:
            recording = session.stream()
            assert recording.fs == 20_000
            assert [(c.type, c.ntv) for c in recording.channels] == [
                (SignalType.AMP, 5),
                (SignalType.AMP, 2),
                (SignalType.AIN, 0),
                (SignalType.DIN, 1),
            ]
            got = recording.read(0, 2).samples
            assert got[0].tolist() == [10.5, -3.0, 0.25, 1.0]
            assert np.isnan(got[1, 1])
            assert [c.unit_source for c in recording.channels] == ["assumed", "assumed", "assumed", "file"]
            assert session.events[""].counter.tolist() == [1]

    def test_units_in_the_names(self, tmp_path: Path) -> None:
        text = "time (s);ch 1 (mV);ch 2 [uV]\n0,0000;0,5;7\n0,0010;1,5;8\n0,0020;2,5;9\n"
        with self.open(tmp_path, text) as session:
            recording = session.stream()
            assert recording.fs == 1000
            assert [c.name for c in recording.channels] == ["ch 1", "ch 2"]
            assert recording.read(0, 3).samples.tolist() == [[500, 7], [1500, 8], [2500, 9]]

    def test_seconds_tell_rate_gaps_and_start(self, tmp_path: Path) -> None:
        at = np.concatenate([np.arange(2000), np.arange(5000, 9000)]) + 30_000
        frame = pd.DataFrame({"time": np.round(at / 30_000, 6), "amp_0": at % 97})
        with self.open(tmp_path, frame.to_csv(index=False)) as session:
            recording = session.stream()
            assert recording.fs == 30_000
            assert recording.segments.runs() == [(30_000, 2000), (35_000, 4000)]
            assert any("rate 30000 Hz found" in note for note in recording.notes)

    def test_coarse_seconds_are_no_gaps(self, tmp_path: Path) -> None:
        at = np.concatenate([np.arange(3000), np.arange(6000, 9000)]) + 30_000
        frame = pd.DataFrame({"time": np.round(at / 30_000, 3), "amp_0": 1.0})
        with self.open(tmp_path, "# fs = 30000\n" + frame.to_csv(index=False)) as session:
            first, second = session.stream().segments.runs()
            assert first[0] == 30_000
            assert abs(second[0] - 36_000) <= 60  # the digits tell times to 30 samples
            assert (first[1] + second[1], abs(first[1] - 3000) <= 60) == (6000, True)
            assert not any("gaps cannot be told" in note for note in session.stream().notes)

    def test_counters_that_run_backwards(self, tmp_path: Path) -> None:
        text = "# fs = 100\ncounter,ch1\n5,1\n6,1\n2,1\n3,1\n"
        with self.open(tmp_path, text) as session:
            assert session.stream().segments.runs() == [(0, 4)]
            assert any("gaps cannot be told" in note for note in session.stream().notes)

    def test_a_rate_beside(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv.yaml").write_text("fs: 24414.0625\n")
        with self.open(tmp_path, "pri_0,pri_1\r\n1,2\r\n3,4\r\n\r\n") as session:
            assert session.stream().fs == Fraction(390625, 16)
            assert session.stream().read(0, 2).samples.tolist() == [[1, 2], [3, 4]]
        assert len(FORMAT.files(tmp_path / "t.csv")) == 2

    def test_refusals(self, tmp_path: Path) -> None:
        with pytest.raises(NotARecordingError, match=r"nothing tells their rate.*fs: 30000"):
            self.open(tmp_path, "pri_0,pri_1\n1,2\n")
        with pytest.raises(NotARecordingError, match="counts its samples"):
            self.open(tmp_path, "counter,pri_0\n1,2\n")
        with pytest.raises(NotARecordingError, match="is not a recording"):
            self.open(tmp_path, "subject,weight\n1,2\n")
        with pytest.raises(NotARecordingError, match="is not a recording"):
            self.open(tmp_path, "pri_0,pri_1\nhello,you\n")
        session = self.open(tmp_path, "# fs = 100\npri_0,pri_1\n" + "1,2\n" * 10 + "3\n" + "1,2\n")
        with session, pytest.raises(RecordingError, match=r"t\.csv: row 10 has 1 cells, the head names 2"):
            session.stream().read(0, 12)
        session = self.open(tmp_path, "# fs = 100\npri_0,pri_1\n" + "1,2\n" * 10 + "3,x\n" + "1,2\n")
        with session, pytest.raises(RecordingError, match=r"t\.csv: rows 0 to 12.*x"):
            session.stream().read(0, 12)


def test_link_convert_copy_move_remove(tmp_path: Path) -> None:
    case = SinkCase(CsvSink, tmp_path)
    samples = case.samples(200)
    with case.open("a") as sink:
        sink.write(Block(samples, case.start))
        sink.write_events(Events.ttl([case.start + 7], [0], [1]))
        path = sink.commit()
    assert detect(tmp_path / "a")[1] == path
    with pytest.raises(NotARecordingError):
        detect(tmp_path / "a_events.csv")
    with CurateClient() as curate:
        assert [f.base_name for f in curate.list_directory(tmp_path)] == ["a"]
        linked = curate.link_data_file(path)
        assert linked.file_type == RadiensFileType.CSV
        back = curate.convert(curate.convert(linked, tmp_path / "b.h5"), tmp_path / "c.csv")
        assert back.base_name == "c"
        curate.move_data_source_file(tmp_path / "c.csv", tmp_path / "sub" / "d.csv")
        assert not list(tmp_path.glob("c*"))
        with open_session(tmp_path / "sub" / "d.csv") as session:
            recording = session.stream()
            assert np.array_equal(recording.read(recording.start, recording.stop).samples, samples)
            assert session.events[""].counter.tolist() == [case.start + 7]
        curate.remove_data_source_file(tmp_path / "sub" / "d")
        assert not list((tmp_path / "sub").iterdir())


def test_damaged_files(tmp_path: Path) -> None:
    _fuzz(tmp_path, 40)


@pytest.mark.slow
def test_many_damaged_files(tmp_path: Path) -> None:
    _fuzz(tmp_path, 200)


def _fuzz(folder: Path, examples: int) -> None:
    case = SinkCase(CsvSink, folder / "source")
    with case.open("x") as sink:
        sink.write(Block(case.samples(200), case.start))
        sink.write_events(Events.ttl([case.start + 5], [0], [1]))
        sink.commit()
    content = {p.name: p.read_bytes() for p in (folder / "source").iterdir()}
    fuzz_reader(content, lambda where: open_session(where / "x.csv"), folder, examples=examples)
