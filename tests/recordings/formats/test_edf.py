"""EDF and BDF: hand-written bytes, pyedflib and edfio as independent programs (in the peers' environment), damage."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier import CurateClient
from ranvier.checks.files_edf import EdfContent, write_edf
from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.readers import ReferenceStream, check_reader
from ranvier.exceptions import DatasetError, RecordingError
from ranvier.models import RadiensFileType, SignalType
from ranvier.recordings import detect, open_session


def physical(made: EdfContent, i: int, factor: float = 1.0) -> np.ndarray:
    return (made.values[i] * (made.gains[i] * factor) + made.offsets[i] * factor).astype(np.float32)


@pytest.mark.parametrize("bdf", [False, True])
def test_samples_units_and_types(tmp_path: Path, bdf: bool) -> None:
    made = write_edf(tmp_path / ("a.bdf" if bdf else "a.edf"), bdf=bdf)
    wanted = np.stack([physical(made, 0), physical(made, 1, 1e3), physical(made, 2)], axis=1)
    reference = ReferenceStream(wanted, fs=250.0, names=("EEG 0", "EEG 1", "EEG 2"), rtol=1e-6, atol=1e-3)
    check_reader(lambda: open_session(made.path), reference={"": reference}, files=[made.path])
    with open_session(made.path) as session:
        recording = session.stream()
        assert (session.format, session.file_type) == ("EDF", RadiensFileType.EDF)
        assert [c.type for c in recording.channels] == [SignalType.AMP, SignalType.AMP, SignalType.AIN]
        assert recording.walltime == datetime(2025, 3, 2, 14, 15, 16, tzinfo=UTC)
        assert recording.stores_counts is not bdf
        if not bdf:
            assert np.array_equal(recording.read_counts(10, 500).samples[:, 0], made.values[0][10:500])
        assert session.extra["edf"]["prefilter"]["EEG 0"] == "HP:0.1Hz"


def test_several_rates_are_streams(tmp_path: Path) -> None:
    made = write_edf(tmp_path / "a.edf", samples_per_record=(512, 64, 512), record_sec="0.5")
    with open_session(made.path) as session:
        assert list(session.streams) == ["1024 Hz", "128 Hz"]
        slow = session.stream("128 Hz")
        assert slow.fs == 128
        np.testing.assert_allclose(slow.read(0, slow.stop).samples[:, 0], physical(made, 1, 1e3), rtol=1e-6)
        with pytest.raises(DatasetError, match=r"a\.edf#128 Hz"):
            session.stream()
    check_reader(lambda: open_session(made.path))
    with CurateClient() as curate:
        assert curate.link_data_file(f"{made.path}#1024 Hz").sampling_rate == 1024


def test_rates_that_are_no_whole_numbers(tmp_path: Path) -> None:
    made = write_edf(tmp_path / "a.edf", samples_per_record=(100, 100, 100), record_sec="0.3")
    with open_session(made.path) as session:
        assert session.stream().fs == Fraction(1000, 3)


@pytest.mark.parametrize("bdf", [False, True])
def test_annotations_are_events(tmp_path: Path, bdf: bool) -> None:
    texts = [(0, "+0.5\x14lights off\x14"), (3, "+3.25\x151.5\x14seizure\x14träge\x14"), (3, "+3.75\x14tail\x14")]
    made = write_edf(tmp_path / "a.edf", bdf=bdf, annotations=texts, plus="C")
    with open_session(made.path) as session:
        events = session.events[""]
        rows = list(zip(events.counter.tolist(), events.state.tolist(), events.text, strict=True))
        assert rows == [
            (125, -1, "lights off"),
            (812, 1, "seizure"),
            (812, 1, "träge"),
            (938, -1, "tail"),
            (1188, 0, "seizure"),
            (1188, 0, "träge"),
        ]
        assert set(events.source) == {"annotation"}
        assert len(session.stream().channels) == 3
    check_reader(lambda: open_session(made.path), files=[made.path])


def test_continuous_files_count_from_the_first_onset(tmp_path: Path) -> None:
    made = write_edf(tmp_path / "a.edf", onsets=[0.5 + i for i in range(8)], plus="C")
    with open_session(made.path) as session:
        recording = session.stream()
        assert recording.segments.runs() == [(125, 2000)]
        assert recording.walltime == datetime(2025, 3, 2, 14, 15, 16, 500_000, tzinfo=UTC)


def test_discontinuous_records_are_gaps(tmp_path: Path) -> None:
    onsets = [0.5, 1.5, 2.5, 10.5, 11.5, 100.0, 101.0, 102.0]
    made = write_edf(tmp_path / "a.edf", onsets=onsets, plus="D")
    with open_session(made.path) as session:
        recording = session.stream()
        assert recording.segments.runs() == [(125, 750), (2625, 500), (25000, 750)]
        assert recording.walltime == datetime(2025, 3, 2, 14, 15, 16, 500_000, tzinfo=UTC)
        got = recording.read(2625, 3125).samples[:, 0]
        np.testing.assert_allclose(got, physical(made, 0)[750:1250], rtol=1e-6)
        assert np.isnan(recording.read(2000, 2100).samples).all()
    check_reader(lambda: open_session(made.path))
    made = write_edf(tmp_path / "b.edf", onsets=[0, 5, 2, 3, 4, 5, 6, 7], plus="D")
    with open_session(made.path) as session:
        assert session.stream().segments.runs() == [(0, 2000)]
        assert any("gaps cannot be told" in note for note in session.stream().notes)


def test_biosemi_status_lines(tmp_path: Path) -> None:
    status = np.zeros(2000, np.int32)
    status[100:150] |= 0b1
    status[120:1500] |= 0b1000
    status[:] |= 1 << 20
    made = write_edf(tmp_path / "a.bdf", bdf=True, status=status)
    with open_session(made.path) as session:
        events = session.events[""]
        rows = list(zip(events.counter.tolist(), events.line.tolist(), events.state.tolist(), strict=True))
        assert rows == [(100, 0, 1), (120, 3, 1), (150, 0, 0), (1500, 3, 0)]
        assert len(session.stream().channels) == 3


def test_truncated_and_unclosed_files(tmp_path: Path) -> None:
    made = write_edf(tmp_path / "a.edf")
    content = made.path.read_bytes()
    made.path.write_bytes(content[: len(content) - 2 * 1500 - 7])
    with open_session(made.path) as session:
        recording = session.stream()
        assert (recording.segments.rows, recording.lost_samples) == (5 * 250, 3 * 250)
        assert any("middle of a record" in note for note in recording.notes)
        np.testing.assert_allclose(recording.read(0, 1250).samples[:, 0], physical(made, 0)[:1250], rtol=1e-6)
    made = write_edf(tmp_path / "b.edf", claimed_records=-1)
    with open_session(made.path) as session:
        assert session.stream().stop == 2000
        assert any("not closed" in note for note in session.stream().notes)
    made.path.write_bytes(content[:1000])
    with pytest.raises(RecordingError, match=r"b\.edf"):
        open_session(made.path)


def test_link_convert_copy(tmp_path: Path) -> None:
    made = write_edf(tmp_path / "a.edf", annotations=[(1, "+1.5\x14x\x14")], plus="C")
    assert detect(tmp_path / "a")[1] == made.path
    with CurateClient() as curate:
        written = curate.convert(made.path, tmp_path / "b.h5")
        assert len(curate.get_events(written)) == 1
        curate.copy_data_source_file(made.path, tmp_path / "c")
        assert (tmp_path / "c.edf").read_bytes() == made.path.read_bytes()
        bdf = write_edf(tmp_path / "d.bdf", bdf=True).path
        curate.move_data_source_file(bdf, tmp_path / "e.bdf")
        assert (tmp_path / "e.bdf").is_file()
        curate.remove_data_source_file(tmp_path / "e.bdf")
        assert not (tmp_path / "e.bdf").exists()
        with open_session(tmp_path / "b.h5") as session, open_session(made.path) as source:
            a, b = session.stream(), source.stream()
            assert np.array_equal(a.read(0, 2000).samples, b.read(0, 2000).samples)


@pytest.mark.interop
@pytest.mark.slow
@pytest.mark.parametrize("bdf", [False, True])
def test_pyedflib_agrees(tmp_path: Path, bdf: bool) -> None:
    """Needs pyedflib and neo (make peers): it reads what we read, and we read what it writes."""
    pyedflib = pytest.importorskip("pyedflib")
    texts = [(1, "+1.25\x14stimulus\x14")]
    made = write_edf(tmp_path / ("a.bdf" if bdf else "a.edf"), bdf=bdf, annotations=texts, plus="C")
    with pyedflib.EdfReader(str(made.path)) as reader, open_session(made.path) as session:
        recording = session.stream()
        for i, factor in enumerate((1.0, 1e3, 1.0)):
            theirs = reader.readSignal(i) * factor
            np.testing.assert_allclose(recording.read(0, 2000).samples[:, i], theirs, rtol=1e-6, atol=1e-3)
        onset, _, text = reader.readAnnotations()
        assert (float(onset[0]), text[0]) == (1.25, "stimulus")
        assert session.events[""].counter.tolist() == [round(1.25 * 250)]
    path = tmp_path / ("w.bdf" if bdf else "w.edf")
    kind = pyedflib.FILETYPE_BDFPLUS if bdf else pyedflib.FILETYPE_EDFPLUS
    rng = np.random.default_rng(0)
    signals = [rng.normal(0, 300, 500 * 7), rng.normal(0, 0.2, 100 * 7)]
    with pyedflib.EdfWriter(str(path), 2, file_type=kind) as writer:
        limit = (1 << 23) - 1 if bdf else 32767
        for i, (fs, unit, top) in enumerate(((500, "uV", 3000), (100, "mV", 5))):
            writer.setSignalHeader(
                i,
                {"label": f"s{i}", "dimension": unit, "sample_frequency": fs, "physical_max": top,
                 "physical_min": -top, "digital_max": limit, "digital_min": -limit - 1, "prefilter": "",
                 "transducer": ""},
            )  # fmt: skip
        writer.writeSamples(signals)
        writer.writeAnnotation(3.5, 0.5, "epoch")
    with open_session(path) as session, pyedflib.EdfReader(str(path)) as reader:
        fast, slow = session.stream("500 Hz"), session.stream("100 Hz")
        assert (fast.stop, slow.stop) == (3500, 700)
        np.testing.assert_allclose(fast.read(0, 3500).samples[:, 0], reader.readSignal(0), rtol=1e-6, atol=1e-3)
        np.testing.assert_allclose(slow.read(0, 700).samples[:, 0], reader.readSignal(1) * 1e3, rtol=1e-6, atol=1e-3)
        events = session.events["500 Hz"]
        assert [(c, t) for c, t in zip(events.counter.tolist(), events.text, strict=True)] == [
            (1750, "epoch"),
            (2000, "epoch"),
        ]


@pytest.mark.interop
@pytest.mark.slow
def test_discontinuous_files_as_edfio_reads_them(tmp_path: Path) -> None:
    """Needs edfio (make peers)."""
    edfio = pytest.importorskip("edfio")
    made = write_edf(tmp_path / "a.edf", annotations=[(2, "+2.5\x14x\x14")], plus="C")
    theirs = edfio.read_edf(made.path)
    with open_session(made.path) as session:
        recording = session.stream()
        for i, factor in enumerate((1.0, 1e3, 1.0)):
            data = theirs.signals[i].data * factor
            np.testing.assert_allclose(recording.read(0, 2000).samples[:, i], data, rtol=1e-6, atol=1e-3)
        assert [a.onset for a in theirs.annotations] == [2.5]


def test_damaged_files(tmp_path: Path) -> None:
    _fuzz(tmp_path, 60)


@pytest.mark.slow
def test_many_damaged_files(tmp_path: Path) -> None:
    _fuzz(tmp_path, 200)


def _fuzz(folder: Path, examples: int) -> None:
    (folder / "source").mkdir()
    made = write_edf(folder / "source" / "x.edf", annotations=[(1, "+1.5\x14x\x14")], onsets=range(8), plus="D")
    content = {"x.edf": made.path.read_bytes()}
    fuzz_reader(content, lambda where: open_session(where / "x.edf"), folder, examples=examples, header_fraction=0.1)
