"""Recordings as files: list, copy, move, remove, export."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ranvier import VidereClient
from ranvier.exceptions import CapabilityError, DatasetError, NotARecordingError, OutputError, OutputExistsError
from ranvier.models import RadiensFileType
from ranvier.models.simulation import SimulationSpec


@pytest.fixture
def videre():
    with VidereClient() as client:
        yield client


@pytest.fixture
def source(videre: VidereClient, tmp_path: Path):
    return videre.simulate_recording(SimulationSpec(duration_sec=0.5), tmp_path / "rec_SIMULATED")


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def test_list_directory_takes_the_files_of_a_recording_as_one(videre, source, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no recording")
    videre.convert(source, tmp_path / "other.nwb")
    found = {info.base_name: info for info in videre.list_directory(tmp_path)}
    assert set(found) == {"rec_SIMULATED", "other"}
    assert found["rec_SIMULATED"].file_type == RadiensFileType.XDAT
    assert found["rec_SIMULATED"].num_channels == 70
    assert found["rec_SIMULATED"].duration_sec == pytest.approx(0.5)
    assert found["rec_SIMULATED"].num_bytes > 70 * 4 * 15000


def test_copy_keeps_every_sample(videre, source, tmp_path: Path) -> None:
    videre.copy_data_source_file(tmp_path / "rec_SIMULATED.xdat.json", tmp_path / "far" / "copy")
    copied = videre.link_data_file(tmp_path / "far" / "copy.xdat.json")
    np.testing.assert_array_equal(videre.get_signals(copied).amp, videre.get_signals(source).amp)
    with pytest.raises(OutputExistsError):
        videre.copy_data_source_file(tmp_path / "rec_SIMULATED", tmp_path / "far" / "copy")
    with pytest.raises(CapabilityError, match="NWB"):
        videre.copy_data_source_file(tmp_path / "rec_SIMULATED", tmp_path / "copy.nwb")


def test_move_renames_and_unlinks(videre, source, tmp_path: Path) -> None:
    whole = videre.get_signals(source).amp
    videre.move_data_source_file(tmp_path / "rec_SIMULATED", tmp_path / "moved_SIMULATED")
    assert not any(name.startswith("rec_") for name in names(tmp_path))
    assert source.id not in videre.list_data_source_ids()
    moved = videre.link_data_file(tmp_path / "moved_SIMULATED")
    np.testing.assert_array_equal(videre.get_signals(moved).amp, whole)


@pytest.mark.parametrize("fail_at", range(4))
def test_a_move_that_fails_half_way_loses_nothing(
    videre, source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail_at: int
) -> None:
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    calls = iter(range(100))
    real = os.replace

    def replace(a, b):
        if next(calls) == fail_at:
            raise OSError(28, "No space left on device")
        return real(a, b)

    monkeypatch.setattr("ranvier._platform.os.replace", replace)
    if fail_at < len(before):
        with pytest.raises(OutputError):
            videre.move_data_source_file(tmp_path / "rec_SIMULATED", tmp_path / "to" / "x_SIMULATED")
    for name, content in before.items():
        assert (tmp_path / name).read_bytes() == content
    assert not any(name.endswith(".part") for name in names(tmp_path / "to"))


def test_remove_deletes_all_files_and_unlinks(videre, source, tmp_path: Path) -> None:
    videre.remove_data_source_file(tmp_path / "rec_SIMULATED_data.xdat")
    assert names(tmp_path) == set()
    assert videre.list_data_source_ids() == []
    with pytest.raises(NotARecordingError):
        videre.remove_data_source_file(tmp_path / "rec_SIMULATED.xdat.json")


def test_packets_of_metrics_go_with_the_recording(videre, source, tmp_path: Path) -> None:
    videre.kpi_calculate(source)
    assert (tmp_path / "rec_SIMULATED.kpi").exists()
    videre.move_data_source_file(tmp_path / "rec_SIMULATED.xdat.json", tmp_path / "far" / "moved_SIMULATED")
    assert not (tmp_path / "rec_SIMULATED.kpi").exists()
    moved = videre.link_data_file(tmp_path / "far" / "moved_SIMULATED.xdat.json")
    videre.kpi_calculate(moved)
    assert "moved_SIMULATED.kpi" in names(tmp_path / "far")
    (tmp_path / "far" / "other.kpi").write_bytes(b"of somebody else")
    videre.remove_data_source_file(tmp_path / "far" / "moved_SIMULATED.xdat.json")
    assert names(tmp_path / "far") == {"other.kpi"}


def test_remove_refuses_a_growing_recording(videre, source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, stamps = tmp_path / "rec_SIMULATED_data.xdat", tmp_path / "rec_SIMULATED_timestamp.xdat"
    last = int(np.fromfile(stamps, np.int64)[-1])

    def write_more(_seconds: float) -> None:
        with open(data, "ab") as d, open(stamps, "ab") as t:
            d.write(np.zeros((100, 70), np.float32).tobytes())
            t.write(np.arange(last + 1, last + 101, dtype=np.int64).tobytes())

    monkeypatch.setattr("ranvier.hub.files.time.sleep", write_more)
    with pytest.raises(DatasetError, match="still being recorded"):
        videre.remove_data_source_file(tmp_path / "rec_SIMULATED")
    assert data.exists()
    videre.remove_data_source_file(tmp_path / "rec_SIMULATED", force=True)
    assert not data.exists()


def test_export_picks_the_format_by_suffix(videre, source, tmp_path: Path) -> None:
    videre.export_data_source(source, tmp_path / "a.bin")
    videre.export_data_source(source, tmp_path / "same_format")
    assert (tmp_path / "a.bin").exists()
    assert (tmp_path / "same_format.xdat.json").exists()
    with pytest.raises(OutputExistsError):
        videre.export_data_source(source, tmp_path / "a.bin")
    videre.export_data_source(source, tmp_path / "a.bin", force=True)
    videre.remove_data_source_file(tmp_path / "a.bin")
    assert not any(name.startswith("a") for name in names(tmp_path))
