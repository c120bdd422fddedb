"""Spike trains of phy and Kilosort folders, with and without what belongs to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ranvier import CurateClient
from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.readers import check_reader
from ranvier.checks.sinks import SinkCase
from ranvier.exceptions import CapabilityError, NotARecordingError, RecordingError
from ranvier.models import RadiensFileType
from ranvier.recordings import Block, detect, open_session, plain_channels
from ranvier.recordings.formats.kilosort import KilosortSink
from ranvier.recordings.formats.phy import FORMAT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a small sorting: MATLAB shapes, four clusters of which two are curated, raw data beside."""
    folder = tmp_path / "sorting"
    folder.mkdir()
    rng = np.random.default_rng(0)
    times = rng.permutation(900)[:60].astype(np.uint64)
    templates = rng.integers(0, 3, 60).astype(np.uint32)
    clusters = np.where(templates == 2, 7, templates)
    np.save(folder / "spike_times.npy", np.asfortranarray(times[:, None]))
    np.save(folder / "spike_templates.npy", templates[None, :])
    np.save(folder / "spike_clusters.npy", clusters.astype(np.int32))
    shapes = np.zeros((3, 21, 4), np.float32)
    for i, peak in enumerate((2, 0, 3)):
        shapes[i, 10, peak] = -5
    np.save(folder / "templates.npy", np.asfortranarray(shapes))
    np.save(folder / "channel_map.npy", np.array([[5, 1, 2, 0]], np.int32))
    np.save(folder / "channel_positions.npy", np.asfortranarray([[0.0, 10], [20, 10], [0, 30], [20, 30]]))
    (folder / "cluster_KSLabel.tsv").write_text("cluster_id\tKSLabel\n0\tgood\n1\tmua\n7\tgood\n")
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tnoise\n7\tgood\n")
    (folder / "params.py").write_text(
        "dat_path = '../raw.dat'\nn_channels_dat = 6\ndtype = 'int16'\noffset = 0\nsample_rate = 25000.\n"
    )
    np.arange(6000, dtype="<i2").tofile(tmp_path / "raw.dat")
    return folder


def test_spikes_labels_sites_and_signals(folder: Path) -> None:
    times = np.load(folder / "spike_times.npy").ravel().astype(np.int64)
    templates = np.load(folder / "spike_templates.npy").ravel()
    order = np.argsort(times, kind="stable")
    with open_session(folder) as session:
        assert (session.format, session.file_type) == ("phy folder", RadiensFileType.SPKS_PHY2)
        trains = session.spike_trains["phy"]
        assert np.array_equal(trains.counter, times[order])
        # Cluster 0 is noise, so no unit; the others are one higher, because a cluster 0 exists.
        assert np.array_equal(trains.unit, np.array([0, 2, 8])[templates[order]])
        assert trains.unit_names == {2: "1 mua", 8: "7 good"}
        assert np.array_equal(trains.site, np.array([2, 5, 0])[templates[order]])
        recording = session.stream()
        assert recording.fs == 25_000
        assert recording.read(0, 1).samples.tolist() == [[pytest.approx(0.195 * i) for i in range(6)]]
        sites = {c.ntv: None if c.site is None else (c.site.x_um, c.site.y_um) for c in recording.channels}
        assert sites == {0: (20, 30), 1: (20, 10), 2: (0, 30), 3: None, 4: None, 5: (0, 10)}
        assert session.extra["phy"]["clusters"][0] == {
            "cluster": 0,
            "unit": 0,
            "label": "noise",
            "spikes": int((templates == 0).sum()),
        }
    check_reader(lambda: open_session(folder), files=list(folder.iterdir()))


@pytest.mark.parametrize("entry", ["", "params.py", "spike_times.npy", "cluster_group.tsv"])
def test_any_file_of_the_folder_names_it(folder: Path, entry: str) -> None:
    assert detect(folder / entry)[1] == folder


def test_cluster_info_and_old_names(folder: Path) -> None:
    (folder / "cluster_group.tsv").unlink()
    (folder / "cluster_info.tsv").write_text(
        "id\tKSLabel\tgroup\tn_spikes\n0\tgood\t\t3\n1\tmua\tbad\t5\n7\tgood\tgood\t9\n"
    )
    with open_session(folder) as session:
        assert session.spike_trains["phy"].unit_names == {1: "0 good", 8: "7 good"}
    (folder / "cluster_groups.csv").write_text("cluster_id\tgroup\n0\tdelete\n1\tgood\n")
    with open_session(folder) as session:
        assert session.spike_trains["phy"].unit_names == {2: "1 good", 8: "7 good"}


def test_templates_stand_in_for_clusters(folder: Path) -> None:
    (folder / "spike_clusters.npy").unlink()
    with open_session(folder) as session:
        assert set(session.spike_trains["phy"].units.tolist()) == {0, 2, 3}


def test_missing_raw_data_is_said(folder: Path) -> None:
    (folder.parent / "raw.dat").unlink()
    with CurateClient() as curate:
        linked = curate.link_data_file(folder)
        assert (linked.sampling_rate, linked.file_type) == (25_000, RadiensFileType.SPKS_PHY2)
        assert any("raw.dat, which does not exist" in note for note in linked.notes)
        assert any("no signals; 2 units with 60 spikes" in note for note in linked.notes)
        for refused in (
            lambda: curate.get_signals(linked),
            lambda: curate.convert(linked, folder.parent / "out.nwb"),
        ):
            with pytest.raises(CapabilityError, match="not the signals they belong to"):
                refused()
        assert not list(folder.parent.glob("*out*"))
        assert len(curate.get_events(linked)) == 0
        assert curate.link_data_file(folder).id == linked.id


def test_files_of_a_folder(folder: Path) -> None:
    with CurateClient() as curate:
        curate.copy_data_source_file(folder, folder.parent / "copy")
        curate.move_data_source_file(folder.parent / "copy", folder.parent / "moved")
        assert not (folder.parent / "copy").exists()
        with open_session(folder) as session, open_session(folder.parent / "moved") as moved:
            assert np.array_equal(session.spike_trains["phy"].unit, moved.spike_trains["phy"].unit)
            assert len(moved.streams) == 1
        curate.remove_data_source_file(folder)
    assert not folder.exists() or not list(folder.iterdir())
    assert (folder.parent / "raw.dat").is_file()


def test_a_sorting_of_our_own_binary_keeps_its_counters(tmp_path: Path) -> None:
    case = SinkCase(KilosortSink, tmp_path, channels=plain_channels(amp=2))
    with case.open("rec") as sink:
        sink.write(Block(case.samples(100), 5000))
        sink.write(Block(case.samples(100), 5400))
        sink.commit()
    folder = tmp_path / "rec_kilosort"
    np.save(folder / "spike_times.npy", np.array([10, 450]))
    np.save(folder / "spike_clusters.npy", np.array([3, 4]))
    with open_session(folder) as session:
        assert session.spike_trains["phy"].counter.tolist() == [5010, 5450]
        assert session.stream().segments.runs() == [(5000, 100), (5400, 100)]
    assert len(FORMAT.files(folder)) == 6
    assert all(p.suffix in (".npy", ".py") for p in FORMAT.files(folder))


def test_damage(folder: Path) -> None:
    content = (folder / "spike_times.npy").read_bytes()
    (folder / "spike_times.npy").write_bytes(content[:-80])
    with open_session(folder) as session:
        assert len(session.spike_trains["phy"]) == 50
        assert any("differ in length" in note for note in session.notes)
    np.save(folder / "spike_times.npy", np.array([-5, 3]))
    with pytest.raises(RecordingError, match=r"spike_times\.npy holds numbers outside"):
        open_session(folder)
    (folder / "spike_times.npy").unlink()
    with pytest.raises(NotARecordingError):
        detect(folder / "cluster_group.tsv")


def test_real_kilosort2_output(samples: Path) -> None:
    """Against plain NumPy: 94,565 spikes of 15 clusters, MATLAB shapes, no params.py."""
    folder = samples / "kilosort_bombcell_toy"
    with open_session(folder) as session:
        trains = session.spike_trains["phy"]
        assert (len(trains), len(trains.units)) == (94_565, 15)
        assert np.array_equal(trains.counter, np.load(folder / "spike_times.npy").ravel().astype(np.int64))
        assert np.array_equal(trains.unit, np.load(folder / "spike_clusters.npy").ravel().astype(np.int64) + 1)
        templates = np.load(folder / "templates.npy")
        mapped = np.load(folder / "channel_map.npy").ravel()
        peaks = mapped[np.argmax(np.ptp(templates, axis=1), axis=1)]
        assert np.array_equal(trains.site, peaks[np.load(folder / "spike_templates.npy").ravel()])
        assert len(session.channels) == 356
        positions = np.load(folder / "channel_positions.npy")
        assert [(c.site.x_um, c.site.y_um) for c in session.channels][:3] == [
            tuple(positions[list(mapped).index(c.ntv)]) for c in list(session.channels)[:3]
        ]
    with CurateClient() as curate:
        linked = curate.link_data_file(folder)
        assert linked.channel_metadata.num_channels
        notes = " | ".join(linked.notes)
        assert "params.py is missing" in notes
        assert "30000 Hz is assumed" in notes
        assert "15 units with 94,565 spikes" in notes
        assert [info.base_name for info in curate.list_directory(folder.parent)].count("kilosort_bombcell_toy") == 1


def test_nwb_units_link_without_signals(samples: Path) -> None:
    with CurateClient() as curate:
        linked = curate.link_data_file(samples / "nwb" / "A8604-211122.nwb")
        assert any("no signals; 3 units" in note for note in linked.notes)
        assert linked.duration > 0


def test_damaged_files(folder: Path, tmp_path: Path) -> None:
    _fuzz(folder, tmp_path / "fuzz", 40)


@pytest.mark.slow
def test_many_damaged_files(folder: Path, tmp_path: Path) -> None:
    _fuzz(folder, tmp_path / "fuzz", 200)


def _fuzz(source: Path, work: Path, examples: int) -> None:
    content = {f"s/{p.name}": p.read_bytes() for p in source.iterdir()}
    content["raw.dat"] = (source.parent / "raw.dat").read_bytes()
    fuzz_reader(content, lambda where: open_session(where / "s"), work, examples=examples)
