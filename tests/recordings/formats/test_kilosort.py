"""Kilosort binaries: what a sorter finds, and what comes back."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.sinks import BIT_UV, SinkCase, probe_channels
from ranvier.exceptions import OutputError, RecordingError
from ranvier.recordings import Block, open_session, plain_channels
from ranvier.recordings.formats.kilosort import FORMAT, KilosortSink


@pytest.fixture
def case(tmp_path: Path) -> SinkCase:
    return SinkCase(KilosortSink, tmp_path, kept=(0, 1, 2, 3, 4, 5))


def test_files_for_the_sorter(case: SinkCase) -> None:
    from scipy.io import loadmat

    samples = case.samples()
    path = case.write("clean", samples)
    folder = case.folder / "clean_kilosort"
    assert path == case.folder / "clean.bin"
    stored = np.fromfile(path, "<i2").reshape(-1, 6)
    assert np.array_equal(stored, np.rint(samples[:, :6] / BIT_UV))
    params = runpy.run_path(str(folder / "params.py"))
    assert (folder / params["dat_path"]).resolve() == path
    assert {k: params[k] for k in ("n_channels_dat", "dtype", "offset", "sample_rate", "hp_filtered")} == {
        "n_channels_dat": 6,
        "dtype": "int16",
        "offset": 0,
        "sample_rate": 30_000.0,
        "hp_filtered": False,
    }
    # The last channel has no site: it is in the file, but not to be sorted.
    assert np.load(folder / "channel_map.npy").tolist() == [0, 1, 2, 3, 4]
    assert np.load(folder / "channel_positions.npy").tolist() == [[0, 0], [200, 0], [0, 50], [200, 50], [0, 100]]
    assert np.load(folder / "channel_shanks.npy").tolist() == [0, 1, 0, 1, 0]
    probe = json.loads((folder / "probe.json").read_text())
    assert probe["chanMap"] == [0, 1, 2, 3, 4]
    assert (len(probe["xc"]), len(probe["yc"]), probe["n_chan"]) == (5, 5, 5)
    matlab = loadmat(folder / "chanMap.mat")
    assert matlab["chanMap"].ravel().tolist() == [1, 2, 3, 4, 5, 6]
    assert matlab["connected"].ravel().tolist() == [1, 1, 1, 1, 1, 0]
    assert matlab["kcoords"].ravel().tolist() == [1, 2, 1, 2, 1, 1]
    assert matlab["fs"].item() == 30_000.0


def test_without_sites_every_channel_is_connected(tmp_path: Path) -> None:
    case = SinkCase(KilosortSink, tmp_path, channels=plain_channels(amp=3))
    case.write("x", case.samples(10))
    positions = np.load(tmp_path / "x_kilosort" / "channel_positions.npy")
    assert positions.tolist() == [[0, 0], [0, 20], [0, 40]]


def test_rounding_saturation_and_unknown_values(tmp_path: Path) -> None:
    case = SinkCase(KilosortSink, tmp_path, channels=plain_channels(amp=1))
    values = np.array([0.5, 1.5, -0.5, 2.49, 32767.4, 32768, -32768.4, -32769, np.nan, 1e9]) * BIT_UV
    with case.open("x") as sink:
        assert isinstance(sink, KilosortSink)
        sink.write(Block(values.astype(np.float32)[:, None], 0))
        assert (sink.clipped_samples, sink.unknown_samples) == (3, 1)
        path = sink.commit()
    stored = np.fromfile(path, "<i2").tolist()
    assert stored[3:] == [2, 32767, 32767, -32768, -32768, 0, 32767]
    with open_session(path) as session:
        assert any("3 values were saturated" in note for note in session.notes)
        assert any("1 values that were not known" in note for note in session.notes)


def test_gaps_are_zeros_in_the_file(case: SinkCase) -> None:
    samples = case.samples(20)
    with case.open("x") as sink:
        sink.write(Block(samples[:10], 100))
        sink.write(Block(samples[10:], 1110))
        path = sink.commit()
    stored = np.fromfile(path, "<i2").reshape(-1, 6)
    assert len(stored) == 1020
    assert not stored[10:1010].any()
    assert np.array_equal(stored[1010:], np.rint(samples[10:, :6] / BIT_UV))


def test_two_outputs_in_one_folder(case: SinkCase) -> None:
    first, second = case.samples(10, seed=1), case.samples(10, seed=2)
    paths = [case.write("a", first), case.write("b.v2", second)]
    for path, samples in zip(paths, (first, second), strict=True):
        with open_session(path) as session:
            got = session.stream().read(case.start, case.start + 10).samples
            assert np.array_equal(got, samples[:, :6])
        assert open_session(path.with_suffix("")).path == path
        folder = path.with_name(path.stem + "_kilosort")
        assert open_session(folder).path.resolve() == path
        assert FORMAT.base_name(path) == path.stem
        assert len(FORMAT.files(path)) == 8


def test_a_sort_in_the_folder_of_an_output_is_not_replaced(case: SinkCase) -> None:
    case.write("x", case.samples(10))
    sort = case.folder / "x_kilosort" / "spike_times.npy"
    sort.write_bytes(b"somebody's sort")
    with pytest.raises(OutputError, match=r"spike_times\.npy, which would be lost"):
        KilosortSink(case.folder / "x", case.header(), force=True)
    assert sort.read_bytes() == b"somebody's sort"
    sort.unlink()
    KilosortSink(case.folder / "x", case.header(), force=True).abort()


def test_a_truncated_file_opens_with_what_is_there(case: SinkCase) -> None:
    with case.open("x") as sink:
        sink.write(Block(case.samples(100), 0))
        sink.write(Block(case.samples(100), 500))
        path = sink.commit()
    path.write_bytes(path.read_bytes()[: 12 * 530 + 5])
    with open_session(path) as session:
        recording = session.stream()
        assert recording.segments.runs() == [(0, 100), (500, 30)]
        assert recording.lost_samples == 70
    path.write_bytes(b"abc")
    with pytest.raises(RecordingError, match="holds no samples"):
        open_session(path)


def test_no_amplifier_channels(tmp_path: Path) -> None:
    case = SinkCase(KilosortSink, tmp_path, channels=plain_channels(din=2))
    with pytest.raises(OutputError, match="there are none to write"):
        case.open("x")
    assert list(tmp_path.iterdir()) == []


def test_selection_decides_what_is_connected(tmp_path: Path) -> None:
    channels = probe_channels(6)
    unselected = channels.with_channels(replace(c, selected=c.ntv != 2) for c in channels)
    case = SinkCase(KilosortSink, tmp_path, channels=unselected)
    case.write("x", case.samples(10))
    assert np.load(tmp_path / "x_kilosort" / "channel_map.npy").tolist() == [0, 1, 3, 4]


@pytest.fixture
def foreign(case: SinkCase) -> Path:
    """A folder as other programs leave it, without our own description: five of six channels have a site."""
    path = case.write("x", case.samples(100))
    path.with_name("x.bin.json").unlink()
    return case.folder / "x_kilosort"


def test_sites_of_a_foreign_folder(case: SinkCase, foreign: Path) -> None:
    order = [3, 0, 4, 1, 2]
    np.save(foreign / "channel_map.npy", np.array(order).reshape(-1, 1))  # Kilosort 2 writes a column
    session = open_session(foreign.parent / "x.bin")
    channels = session.streams[""].channels
    assert (channels.geometry_source, channels.wiring_verified) == ("file", True)
    places = np.load(foreign / "channel_positions.npy").tolist()
    shanks = np.load(foreign / "channel_shanks.npy").tolist()
    for k, column in enumerate(order):
        site = channels[column].site
        assert site is not None
        assert ([site.x_um, site.y_um], channels[column].shank) == (places[k], shanks[k])
    assert (channels[5].site, [c.selected for c in channels]) == (None, [True] * 5 + [False])
    assert {p.name for p in FORMAT.files(session.path)} >= {"x.bin", "params.py", "channel_positions.npy"}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("channel_map.npy", [0, 1, 2, 3, 3]),
        ("channel_map.npy", [0, 1, 2, 3, 6]),
        ("channel_map.npy", [0, 1, 2, 3]),
        ("channel_shanks.npy", [0, 1, 0, 1, 0.5]),
        ("channel_positions.npy", [[0.0, np.nan]] * 5),
        ("channel_positions.npy", [1.0, 2.0]),
    ],
)
def test_sites_that_cannot_be_meant_are_left_out_and_told(foreign: Path, name: str, values: list[float]) -> None:
    np.save(foreign / name, np.array(values))
    session = open_session(foreign.parent / "x.bin")
    assert all(c.site is None for c in session.streams[""].channels)
    assert any(f"{foreign / name}" in note for note in session.notes)


@pytest.mark.parametrize("examples", [30, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("described_by", ["x.bin.json", "params.py"])
def test_damaged_files(tmp_path: Path, described_by: str, examples: int) -> None:
    case = SinkCase(KilosortSink, tmp_path / "source", kept=(0, 1, 2, 3, 4, 5))
    path = case.write("x", case.samples(200))
    made = {"x.bin": path, "x.bin.json": path.with_name("x.bin.json")}
    if described_by == "params.py":  # the folder as Kilosort gets it, without our own description
        folder = tmp_path / "source" / "x_kilosort"
        made = {"x.bin": path, **{f"x_kilosort/{p.name}": p for p in folder.iterdir()}}
    files = {name: p.read_bytes() for name, p in made.items()}
    fuzz_reader(files, lambda where: open_session(where / "x.bin"), tmp_path / "fuzz", examples=examples)


def test_counts_of_its_own_step_pass_as_they_are(tmp_path: Path) -> None:
    channels = plain_channels(amp=4, ain=1)
    counts = np.random.default_rng(3).integers(-32768, 32768, (500, 5), dtype=np.int16)
    for name, gain in (("same", BIT_UV), ("other", 2 * BIT_UV)):
        with SinkCase(KilosortSink, tmp_path, channels=channels).open(name) as sink:
            sink.write(Block(counts, 0, np.full(5, gain), np.zeros(5)))
            sink.commit()
    same, other = (np.fromfile(tmp_path / f"{n}.bin", np.int16).reshape(-1, 4) for n in ("same", "other"))
    np.testing.assert_array_equal(same, counts[:, :4])
    np.testing.assert_array_equal(other, np.clip(2 * counts[:, :4].astype(np.int64), -32768, 32767))
