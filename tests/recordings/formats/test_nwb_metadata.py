"""Subject and session in NWB files: from a model, a dict, a YAML file; what the inspector says."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ranvier import CurateClient
from ranvier.checks.sinks import SinkCase
from ranvier.cli import main
from ranvier.exceptions import ConfigurationError
from ranvier.models import OutputOptions, SessionMetadata, SubjectMetadata
from ranvier.recordings import Block, Events, SpikeTrains, open_session
from ranvier.recordings.formats.nwb_sink import NwbSink
from ranvier.recordings.formats.xdat_sink import XdatSink

METADATA = """
subject: {subject_id: M42, species: Mus musculus, sex: F, age: P90D, genotype: wild type, weight: 0.025 kg}
session_id: day1
session_description: resting in the home cage
experimenter: [Doe, Jane]
lab: A lab
institution: A university
experiment_description: activity of CA1 at rest
keywords: [hippocampus, rest]
timezone: Europe/Berlin
electrode_location: CA1
notes: all went well
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    case = SinkCase(XdatSink, tmp_path / "in")
    return case.write("a", case.samples(2000))


@pytest.fixture
def yaml_file(tmp_path: Path) -> Path:
    path = tmp_path / "subject.yaml"
    path.write_text(METADATA.replace("[Doe, Jane]", '["Doe, Jane"]'))
    return path


def check(path: Path) -> None:
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(path), "r", load_namespaces=True) as io:
        file = io.read()
        assert (file.subject.subject_id, file.subject.species, file.subject.sex) == ("M42", "Mus musculus", "F")
        assert (file.subject.age, file.subject.genotype, file.subject.weight) == ("P90D", "wild type", "0.025 kg")
        assert (file.session_id, file.lab, file.institution) == ("day1", "A lab", "A university")
        assert tuple(file.experimenter) == ("Doe, Jane",)
        assert list(file.keywords) == ["hippocampus", "rest"]
        assert file.session_description == "resting in the home cage"
        assert file.notes.startswith("all went well Written by Ranvier")
        assert set(file.electrodes["location"][:]) == {"CA1"}
        assert file.session_start_time.utcoffset() == timedelta(hours=1)
        assert file.session_start_time == datetime.fromisoformat("2025-01-02T03:04:05.123456+00:00")


def test_yaml_through_convert_export_and_command_line(source: Path, yaml_file: Path, tmp_path: Path) -> None:
    with CurateClient() as curate:
        curate.convert(source, tmp_path / "b.nwb", metadata=yaml_file, compression="gzip")
        curate.export_data_source(curate.link_data_file(source), tmp_path / "c.nwb", metadata=str(yaml_file))
        import yaml

        curate.convert(source, tmp_path / "d.nwb", metadata=yaml.safe_load(yaml_file.read_text()))
    command = ["convert", str(source), str(tmp_path / "e.nwb"), "--metadata", str(yaml_file), "--compression", "lzf"]
    assert main(command) == 0
    with open_session(source) as session:
        wanted = session.stream().read(session.stream().start, session.stream().stop).samples
    for name in "bcde":
        check(tmp_path / f"{name}.nwb")
        with open_session(tmp_path / f"{name}.nwb") as session:
            recording = session.stream()
            assert np.array_equal(recording.read(recording.start, recording.stop).samples, wanted)
    assert (tmp_path / "b.nwb").stat().st_size < (tmp_path / "c.nwb").stat().st_size


def test_a_stated_start_and_its_time_zone(tmp_path: Path) -> None:
    case = SinkCase(NwbSink, tmp_path)
    metadata = SessionMetadata(session_start_time=datetime(2024, 7, 1, 9, 30), timezone="America/New_York")
    with case.open("a", walltime=None, options=OutputOptions(metadata=metadata)) as sink:
        sink.write(Block(case.samples(100), case.start))
        path = sink.commit()
    with open_session(path) as session:
        got = session.stream().walltime
        assert got is not None
        assert abs(got - datetime.fromisoformat("2024-07-01T13:30:00+00:00")) < timedelta(microseconds=2)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"subject": {"species": "Mus musculus"}}, "subject.subject_id"),
        ({"subject": {"subject_id": "a", "age": "90 days"}}, "ISO 8601"),
        ({"experimenters": ["x"]}, "experimenters"),
        ({"timezone": "Mars/Base"}, "Mars/Base"),
        ("nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_faults_are_named(source: Path, tmp_path: Path, metadata: object, words: str) -> None:
    with CurateClient() as curate:
        with pytest.raises(ConfigurationError, match=words):
            curate.convert(source, tmp_path / "b.nwb", metadata=metadata)
        with pytest.raises(ConfigurationError, match="compression"):
            curate.convert(source, tmp_path / "b.nwb", compression="zip")
    assert not list(tmp_path.glob("*b.nwb*"))


def test_what_was_clipped_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = SinkCase(XdatSink, tmp_path)
    samples = case.samples(100)
    samples[3, 1] = 20_000.0
    path = case.write("a", samples)
    with CurateClient() as curate:
        written = curate.convert(path, tmp_path / "b.bin")
        assert any("1 values were saturated" in note for note in written.notes)
    assert main(["convert", str(path), str(tmp_path / "c.bin")]) == 0
    assert "note: 1 values were saturated" in capsys.readouterr().out


@pytest.mark.interop
@pytest.mark.slow
@pytest.mark.parametrize("gap", [0, 500])
def test_the_inspector_finds_nothing_for_dandi(tmp_path: Path, gap: int) -> None:
    """Needs nwbinspector (make peers)."""
    nwbinspector = pytest.importorskip("nwbinspector")
    case = SinkCase(NwbSink, tmp_path)
    metadata = SessionMetadata(
        subject=SubjectMetadata(subject_id="M42", species="Mus musculus", sex="F", age="P90D", description="a mouse"),
        session_id="day1",
        session_description="resting in the home cage",
        experimenter=["Doe, Jane"],
        institution="A university",
        experiment_description="activity of CA1 at rest",
        keywords=["hippocampus"],
        timezone="Europe/Berlin",
        electrode_location="CA1",
    )
    samples = case.samples(5000)
    with case.open("a", options=OutputOptions(metadata=metadata, compression="gzip")) as sink:
        sink.write(Block(samples[:3000], case.start))
        sink.write(Block(samples[3000:], case.start + 3000 + gap))
        at = case.start + np.array([5, 9, 50, 700])
        sink.write_events(Events.ttl(at, [0, 1, 2, 0], [1, 1, 1, 0]))
        units = np.array([1, 2, 1, 3], np.int32)
        sink.write_spike_trains("ks", SpikeTrains(at, units, np.array([0, 2, 4, 2], np.int32), None, {1: "a"}))
        path = sink.commit()
    found = list(nwbinspector.inspect_all(path=path, config=nwbinspector.load_config("dandi")))
    assert [(m.check_function_name, m.message) for m in found] == []
