"""Headerless files: stated by the caller, by a sidecar, by params.py, or not at all."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.readers import READER_RULES, ReaderCase, ReferenceStream
from ranvier.exceptions import ConfigurationError, NotARecordingError, RecordingError
from ranvier.models.signals import SignalType
from ranvier.recordings import open_session, plain_channels
from ranvier.recordings.formats.raw import FORMAT, open_raw


@pytest.fixture
def counts(tmp_path: Path) -> np.ndarray:
    made = np.random.default_rng(0).integers(-32768, 32767, (3000, 5)).astype("<i2")
    made.tofile(tmp_path / "rec.dat")
    return made


@pytest.mark.parametrize("rule", READER_RULES, ids=lambda rule: rule.__name__)
def test_reader_suite_against_neo(rule, tmp_path: Path, counts: np.ndarray) -> None:
    from neo.rawio import RawBinarySignalRawIO

    path = tmp_path / "rec.dat"
    reader = RawBinarySignalRawIO(str(path), sampling_rate=25_000.0, nb_channel=5, signal_gain=0.195, signal_offset=0.0)
    reader.parse_header()
    chunk = reader.get_analogsignal_chunk(0, 0, 0, 3000, stream_index=0)
    theirs = reader.rescale_signal_raw_to_float(chunk, dtype="float64", stream_index=0)
    reference = ReferenceStream(theirs, fs=25_000.0)
    rule(ReaderCase(lambda: open_raw(path, 25_000, 5), {"": reference}, (path,)))


@pytest.mark.samples
def test_a_real_tetrode_is_what_its_bytes_say(samples: Path) -> None:
    manifest = json.loads((samples / "MANIFEST.json").read_text())
    expected = next(e["expected"] for e in manifest if e["file"] == "tetrode_locust/locust_trial_01.raw")
    path = samples / "tetrode_locust" / "locust_trial_01.raw"
    stored = np.fromfile(path, "<i2").reshape(-1, expected["n_channels"])
    with open_raw(path, expected["fs"], expected["n_channels"]) as session:
        recording = session.stream()
        assert (recording.start, recording.stop) == (0, expected["n_samples"])
        assert recording.read_counts(0, 3).samples.tolist() == expected["first_raw"]
        np.testing.assert_array_equal(recording.read_counts(0, recording.stop).samples, stored)
        np.testing.assert_array_equal(
            recording.read(1000, 2000, [3]).samples[:, 0], (stored[1000:2000, 3] * 0.195).astype("f4")
        )
        assert {c.unit_source for c in recording.channels} == {"assumed"}


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "float32"])
def test_types_gain_offset_and_header(tmp_path: Path, dtype: str) -> None:
    stored = np.arange(60, dtype=dtype).reshape(20, 3)
    path = tmp_path / "rec.raw"
    path.write_bytes(b"header!" + stored.tobytes())
    with open_raw(path, 1000, 3, dtype=dtype, gain_uv=2.0, offset_uv=-5.0, header_bytes=7, start=100) as session:
        recording = session.stream()
        assert (recording.start, recording.stop) == (100, 120)
        assert recording.stores_counts is (dtype == "int16")
        expected = (2.0 * stored - 5.0).astype(np.float32)
        assert np.array_equal(recording.read(100, 120).samples, expected)
        assert np.array_equal(recording.read(103, 110, [2, 0]).samples, expected[3:10, [2, 0]])


@pytest.mark.parametrize(("dtype", "gain"), [("int16", 0.195), ("float32", 1.0)])
def test_a_gain_that_nobody_states_is_assumed(tmp_path: Path, dtype: str, gain: float) -> None:
    path = tmp_path / "rec.raw"
    np.arange(12, dtype=dtype).tofile(path)
    (tmp_path / "rec.raw.yaml").write_text(f"fs: 1000\nnum_channels: 3\ndtype: {dtype}\n")
    for session in (open_raw(path, 1000, 3, dtype=dtype), open_session(path)):
        channels = session.stream().channels
        assert {(c.gain, c.unit_source) for c in channels} == {(gain, "assumed")}
        assert session.notes == (f"the gain is not stated: {gain:g} uV per count assumed",)
        session.close()
    with open_raw(path, 1000, 3, dtype=dtype, gain_uv=2.0) as session:
        assert {c.unit_source for c in session.stream().channels} == {"user"}
        assert session.notes == ()


def test_channels_of_the_caller(tmp_path: Path, counts: np.ndarray) -> None:
    with open_raw(tmp_path / "rec.dat", 1000, 5, channels=plain_channels(amp=3, ain=2)) as session:
        recording = session.stream()
        assert recording.channels.count(SignalType.AIN) == 2
        assert np.array_equal(recording.read(0, 3000).samples, counts.astype(np.float32))
    with pytest.raises(RecordingError, match="5 columns, but 4 channels"):
        open_raw(tmp_path / "rec.dat", 1000, 5, channels=plain_channels(amp=4))


def test_a_growing_file(tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "rec.dat"
    recording = open_raw(path, 1000, 5, start=7).stream()
    with open(path, "ab") as handle:
        handle.write(counts[:10].tobytes() + b"\1\2\3")
    assert recording.refresh() == 3017
    assert np.array_equal(recording.read_counts(3007, 3017).samples, counts[:10])


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".yaml", "fs: 25000\nnum_channels: 5\ngain_uv: 0.5\nstart: 9\nchannel_names: [a, b, c, d, e]\n"),
        (".yml", "{fs: 25000.0, num_channels: 5, gain_uv: 0.5, start: 9, channel_names: [a, b, c, d, e]}"),
        (
            ".json",
            '{"fs": [25000, 1], "num_channels": 5, "gain_uv": 0.5, "start": 9, "channel_names": ["a","b","c","d","e"]}',
        ),
    ],
)
def test_sidecars(tmp_path: Path, counts: np.ndarray, suffix: str, text: str) -> None:
    (tmp_path / f"rec.dat{suffix}").write_text(text)
    with open_session(tmp_path / "rec.dat") as session:
        recording = session.stream()
        assert recording.fs == Fraction(25_000)
        assert recording.start == 9
        assert [c.name for c in recording.channels] == ["a", "b", "c", "d", "e"]
        assert {c.unit_source for c in recording.channels} == {"user"}
        assert np.array_equal(recording.read(9, 3009).samples, 0.5 * counts.astype(np.float32))
        assert session.notes == ()
    assert FORMAT.files(tmp_path / "rec.dat") == [tmp_path / "rec.dat", tmp_path / f"rec.dat{suffix}"]


def test_an_assumed_gain_is_noted(tmp_path: Path, counts: np.ndarray) -> None:
    (tmp_path / "rec.dat.yaml").write_text("fs: 25000\nnum_channels: 5\n")
    with open_session(tmp_path / "rec.dat") as session:
        assert any("0.195 uV per count assumed" in note for note in session.notes)
        assert {c.unit_source for c in session.stream().channels} == {"assumed"}


@pytest.mark.parametrize("where", [".", "sorted"])
def test_params_py(tmp_path: Path, counts: np.ndarray, where: str) -> None:
    folder = tmp_path / where
    folder.mkdir(exist_ok=True)
    up = "../" if where == "sorted" else ""
    (folder / "params.py").write_text(
        f"import os\ndat_path = [r'{up}rec.dat']\nn_channels_dat = 5\ndtype = 'int16'\noffset = 0\n"
        "sample_rate = 25000.\nhp_filtered = False\n"
    )
    for named in (folder, folder / "params.py", *([tmp_path / "rec.dat"] if where == "." else [])):
        with open_session(named) as session:
            assert session.format == "Kilosort binary"
            recording = session.stream()
            assert recording.fs == 25_000
            assert np.array_equal(recording.read_counts(0, 3000).samples, counts)


def test_params_py_of_missing_data(tmp_path: Path) -> None:
    (tmp_path / "params.py").write_text("dat_path = '../gone.dat'\nn_channels_dat = 5\nsample_rate = 25000.\n")
    with pytest.raises(RecordingError, match=r"params\.py names .*gone\.dat, which does not exist"):
        open_session(tmp_path)


class TestRefused:
    def test_without_a_shape(self, tmp_path: Path, counts: np.ndarray) -> None:
        with pytest.raises(NotARecordingError, match=r"state its shape: .*open_raw.*rec\.dat\.yaml"):
            open_session(tmp_path / "rec.dat")

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "rec.dat").touch()
        with pytest.raises(NotARecordingError, match=r"rec\.dat is empty"):
            open_session(tmp_path / "rec.dat")
        with pytest.raises(RecordingError, match=r"not one sample of 5 channels"):
            open_raw(tmp_path / "rec.dat", 1000, 5)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(NotARecordingError, match="does not exist"):
            open_session(tmp_path / "nothing.dat")
        with pytest.raises(RecordingError, match="does not exist"):
            open_raw(tmp_path / "nothing.dat", 1000, 5)

    def test_half_a_sample_is_noted(self, tmp_path: Path, counts: np.ndarray) -> None:
        path = tmp_path / "rec.dat"
        path.write_bytes(path.read_bytes()[:-3])
        with open_raw(path, 1000, 5) as session:
            assert session.stream().segments.rows == 2999
            assert any("middle of a sample (7 bytes" in note for note in session.notes)

    @pytest.mark.parametrize(
        "stated",
        [
            {"num_channels": 5},
            {"fs": "fast", "num_channels": 5},
            {"fs": 0, "num_channels": 5},
            {"fs": 1000, "num_channels": 0},
            {"fs": 1000, "num_channels": 2.5},
            {"fs": 1000, "num_channels": 5, "dtype": "complex64"},
            {"fs": 1000, "num_channels": 5, "gain_uv": 0},
            {"fs": 1000, "num_channels": 5, "header_bytes": -1},
            {"fs": 1000, "num_channels": 5, "channel_names": ["a"]},
            [1, 2],
        ],
    )
    def test_sidecars_that_cannot_be_meant(self, tmp_path: Path, counts: np.ndarray, stated: object) -> None:
        (tmp_path / "rec.dat.json").write_text(json.dumps(stated))
        with pytest.raises(RecordingError, match=r"rec\.dat\.json"):
            open_session(tmp_path / "rec.dat")

    @pytest.mark.parametrize("wrong", [{"num_channels": 0}, {"fs": -1.0}, {"dtype": "text"}, {"gain_uv": 0.0}])
    def test_arguments_that_cannot_be_meant(self, tmp_path: Path, counts: np.ndarray, wrong: dict) -> None:
        with pytest.raises(ConfigurationError):
            open_raw(tmp_path / "rec.dat", **{"fs": 1000.0, "num_channels": 5, **wrong})


def damaged_sidecars(folder: Path, examples: int) -> None:
    files = {
        "rec.dat": np.zeros((50, 5), "<i2").tobytes(),
        "rec.dat.yaml": b"fs: 25000\nnum_channels: 5\ngain_uv: 0.5\nchannel_names: [a, b, c, d, e]\n",
    }
    fuzz_reader(files, lambda where: open_session(where / "rec.dat"), folder, examples=examples)


def damaged_params(folder: Path, examples: int) -> None:
    params = b"dat_path = 'rec.dat'\nn_channels_dat = 5\ndtype = 'int16'\noffset = 0\nsample_rate = 25000.\n"
    files = {"rec.dat": np.zeros((50, 5), "<i2").tobytes(), "params.py": params}
    fuzz_reader(files, lambda where: open_session(where / "rec.dat"), folder, examples=examples)


@pytest.mark.parametrize("damaged", [damaged_sidecars, damaged_params])
def test_damaged(tmp_path: Path, damaged) -> None:
    damaged(tmp_path, 40)


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [damaged_sidecars, damaged_params])
def test_damaged_at_length(tmp_path: Path, damaged) -> None:
    damaged(tmp_path, 300)
