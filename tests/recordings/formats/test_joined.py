"""Sessions by reference, damaged: their text, and the recordings that it names."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier import CurateClient
from ranvier.checks.fuzz import fuzz_reader
from ranvier.exceptions import RecordingError
from ranvier.recordings import Block, Events, Header, Session, open_session, plain_channels
from ranvier.recordings.formats.xdat import FORMAT


def record(path: Path, rows: int, start: int) -> Path:
    channels = plain_channels(amp=2, din=1)
    assert FORMAT.sink is not None
    with FORMAT.sink(path, Header(fs=Fraction(20_000), channels=channels, start=start)) as sink:
        sink.write(Block(np.ones((rows, 3), np.float32), start))
        sink.write_events(Events.ttl([start + 5], [0], [1]))
        sink.commit()
    return path


@pytest.fixture
def made(tmp_path: Path) -> dict[str, bytes]:
    """Return the files of a session of two recordings, by name; the folder in which they were made is gone."""
    folder = tmp_path / "made"
    folder.mkdir()
    with CurateClient(progress=False) as curate:
        parts = [record(folder / name, 300, start) for name, start in (("a", 0), ("b", 5000))]
        curate.concatenate(parts, folder / "ab.session.json", gap_sec=0.01)
    content = {p.name: p.read_bytes() for p in folder.iterdir()}
    folder.rename(tmp_path / "elsewhere")
    return content


@pytest.mark.parametrize("examples", [40, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("damaging", [None, ["ab.session.json"]], ids=["any file", "its text"])
def test_damaged_files(made: dict[str, bytes], tmp_path: Path, damaging: list[str] | None, examples: int) -> None:
    def open_in(folder: Path) -> Session:
        return open_session(folder / "ab.session.json")

    fuzz_reader(made, open_in, tmp_path / "fuzz", examples=examples, damaging=damaging)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(version=99), "version 99"),
        (lambda d: d.update(pieces=[]), "at least one"),
        (lambda d: d["pieces"][1].update(output=[0, 300]), "overlap"),
        (lambda d: d["pieces"][1].update(source=[5000, 9000]), r"holds samples \[5000, 5300\), not \[5000, 9000\)"),
        (lambda d: d["pieces"][0].update(columns=[0, 1, 7]), "columns do not fit"),
        (lambda d: d["pieces"][0].update(relative="ab.session.json", path="gone"), "is the file itself"),
        (lambda d: d["pieces"][0].update(relative="none", path="gone"), "piece 0 is gone: gone"),
    ],
)
def test_a_text_that_lies_is_told(made: dict[str, bytes], tmp_path: Path, change, words: str) -> None:
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    document = json.loads(made["ab.session.json"])
    change(document)
    (tmp_path / "ab.session.json").write_text(json.dumps(document))
    with pytest.raises(RecordingError, match=words):
        open_session(tmp_path / "ab.session.json")
