"""Every method of the classic VidereClient (those of files) and FileSystemClient, called, with its effect."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ranvier import VidereClient as TypedClient
from ranvier import connect
from ranvier.classic import FileSystemClient, VidereClient
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.lib.fsys import COLUMNS, FileSysResponse
from ranvier.classic.lib.summa import SummaStatus
from ranvier.classic.spikes_client import SpikesClient
from ranvier.classic.utils.enums import ClientType, MetricID, MetricMode, MetricName, RadiensFileType, StatsVector
from ranvier.exceptions import (
    CapabilityError,
    ClientClosedError,
    DatasetError,
    NotARecordingError,
    OutputExistsError,
    ServerDiscoveryError,
)


@pytest.fixture
def videre() -> Iterator[VidereClient]:
    with VidereClient() as client:
        yield client


@pytest.fixture
def files() -> Iterator[FileSystemClient]:
    with FileSystemClient() as client:
        yield client


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Return a folder with one recording in it."""
    for file in made.parent.glob("rec_SIMULATED*"):
        if file.is_file() and file.suffix != ".kpi":
            shutil.copy(file, tmp_path)
    return tmp_path


def names(found: FileSysResponse) -> list[str]:
    return [one.descriptor.base_name for one in found.datasources]


def test_link_and_metadata(videre: VidereClient, made: Path) -> None:
    ds = videre.link_data_file(made)
    assert isinstance(ds, DatasetMetadata)
    assert ds.file_type is RadiensFileType.XDAT
    assert ds.TR.sec.tolist() == [3.0, 5.0]
    assert ds.base_name == "rec_SIMULATED"
    again = videre.link_data_file(str(made), False, False, "default", True)
    assert again.id == ds.id
    assert videre.link_data_file(made, force=True).id != ds.id
    assert videre.link_data_file(made, "xdat").id == ds.id, "the newest release has ftype in second place"
    assert videre.link_data_file(made, ftype=RadiensFileType.XDAT).id == ds.id
    with pytest.raises(ValueError, match="XDAT"):
        videre.link_data_file(made, ftype="docx")
    with pytest.raises((NotARecordingError, LookupError)):
        videre.link_data_file(made.parent / "nothing.xdat")


def test_get_metadata_by_row_id_and_path(videre: VidereClient, made: Path) -> None:
    ds = videre.get_data_file_metadata(path=made)
    assert videre.get_data_file_metadata(dataset_idx=0).id == ds.id
    assert videre.get_data_file_metadata(dataset_id=ds.id).TR.dur_sec == 2.0
    for wrong in ({"dataset_idx": 4}, {"dataset_id": "x"}, {}):
        with pytest.raises(ValueError, match="No dataset found"):
            videre.get_data_file_metadata(**wrong)  # type: ignore[arg-type]


def test_table_of_datasets_keeps_its_columns(videre: VidereClient, made: Path) -> None:
    empty = videre.get_dataset_ids()
    assert list(empty.columns) == ["dataset ID", "base name"]
    assert len(empty) == 0
    ds = videre.link_data_file(made)
    table = videre.get_dataset_ids()
    assert table.index.name == "index"
    assert table.iloc[0].tolist() == [ds.id, "rec_SIMULATED"]


def test_clear(videre: VidereClient, made: Path) -> None:
    for how in ("row", "id", "path", "all"):
        ds = videre.link_data_file(made)
        by = {
            "row": {"dataset_idx": 0},
            "id": {"dataset_id": ds.id},
            "path": {"path": made},
            "all": {"dataset_id": "all"},
        }
        count, table = videre.clear_dataset(**by[how])  # type: ignore[arg-type]
        assert (how, count, len(table)) == (how, 1, 0)
    assert videre.clear_dataset(dataset_id="x")[0] == 0
    with pytest.raises(ValueError, match="No dataset found"):
        videre.clear_dataset(dataset_id="x", fail_hard=True)
    assert made.with_name("rec_SIMULATED_data.xdat").exists()


def test_all_clears_only_what_this_client_linked(videre: VidereClient, made: Path) -> None:
    with VidereClient() as other:
        videre.link_data_file(made)
        kept = other.link_data_file(made, force=True)
        count, table = videre.clear_dataset(dataset_id="all")
        assert (count, table["dataset ID"].tolist()) == (1, [kept.id])


def test_hubs(videre: VidereClient, made: Path, tmp_path: Path) -> None:
    connect.name_hub("lab", f"embedded:{tmp_path}")
    assert set(videre.hubs) == {"default", "lab"}
    assert set(videre.hubs["lab"]) == {"ip_address", "ports"}
    videre.link_data_file(made, hub_name="lab")
    assert len(videre.get_dataset_ids(hub_name="lab")) == 1
    assert len(videre.get_dataset_ids()) == 0
    with VidereClient("lab") as lab:
        assert lab.hub == "lab"
        assert len(lab.get_dataset_ids()) == 1, "left at its default, hub_name is the client's own hub"
    with pytest.raises(ServerDiscoveryError, match="known are 'default', 'lab'"):
        videre.get_dataset_ids(hub_name="nope")


def test_the_client_itself(videre: VidereClient) -> None:
    assert (videre.hub, videre.id, videre.type) == ("default", "", ClientType.VIDERE)
    assert isinstance(videre.spikes(), SpikesClient)
    with pytest.raises(CapabilityError, match="does not have yet"):
        videre.dashboard()
    videre.close()
    with pytest.raises(ClientClosedError):
        videre.get_dataset_ids()


def test_ls_and_list_dir(files: FileSystemClient, folder: Path) -> None:
    found = files.ls(folder)
    assert names(found) == ["rec_SIMULATED"]
    stat = found.datasources[0].stat
    parts = [part for part in folder.iterdir() if part.is_file()]
    assert stat.num_files == len(parts) == 4  # samples, stamps, description, true spikes
    assert stat.num_bytes["total"] == sum(part.stat().st_size for part in parts)
    assert stat.num_bytes["meta_data"] == (folder / "rec_SIMULATED.xdat.json").stat().st_size
    assert (stat.dur_sec, stat.num_chan > 15, stat.fs) == (2.0, True, 30_000.0)
    assert abs(stat.timestamp.timestamp() - max(part.stat().st_mtime for part in parts)) < 1.0
    table = files.list_dir([folder])
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == list(COLUMNS)
    assert files.list_dir(folder, include="nwb").shape == (0, len(COLUMNS))
    with pytest.raises(ValueError, match="date, name, size, type"):
        files.ls(folder, sort_by="colour")
    with pytest.raises(TypeError):
        files.ls(5)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="not a folder"):
        files.ls(folder / "none")


def test_copy_move_delete(files: FileSystemClient, folder: Path) -> None:
    source = folder / "rec_SIMULATED.xdat"
    assert names(files.cp(source, folder / "b")) == ["b"]
    with pytest.raises(OutputExistsError):
        files.copy_files(source, folder / "b")
    files.cp(source, folder / "b", force=True)
    (folder / "sub").mkdir()
    moved = files.mv([source, folder / "b.xdat"], folder / "sub")
    assert moved.num_data_sources == 2
    assert names(files.ls(folder / "sub", sort_by="name")) == ["b", "rec_SIMULATED"]
    assert names(files.ls(folder)) == []
    with pytest.raises(OutputExistsError):
        files.rename_file(folder / "sub" / "b", folder / "sub" / "rec_SIMULATED")
    assert names(files.rename_file(folder / "sub" / "b", folder / "sub" / "c")) == ["c"]
    with pytest.raises(NotARecordingError):
        files.rm([folder / "sub" / "c", folder / "sub" / "none"])
    assert len(files.ls(folder / "sub").datasources) == 2, "nothing goes where one is refused"
    gone = files.rm([folder / "sub" / "c", folder / "sub" / "rec_SIMULATED.xdat"])
    assert gone.total_num_files == 8
    assert list((folder / "sub").iterdir()) == []
    with pytest.raises(ValueError, match="no folder"):
        files.cp(["a", "b"], folder / "nowhere")


def test_delete_files_is_rm(files: FileSystemClient, folder: Path) -> None:
    assert names(files.delete_files(folder / "rec_SIMULATED")) == ["rec_SIMULATED"]
    assert names(files.ls(folder)) == []


def test_metadata_leaves_nothing_linked(files: FileSystemClient, videre: VidereClient, folder: Path) -> None:
    ds = files.get_data_file_metadata(folder / "rec_SIMULATED.xdat")
    assert (ds.base_name, ds.TR.dur_sec) == ("rec_SIMULATED", 2.0)
    assert len(videre.get_dataset_ids()) == 0
    linked = files.link_data_file(folder / "rec_SIMULATED.xdat")
    assert videre.get_dataset_ids()["dataset ID"].tolist() == [linked.id]
    files.get_data_file_metadata(folder / "rec_SIMULATED.xdat")
    assert len(videre.get_dataset_ids()) == 1
    assert (files.id, list(files.hubs)) == ("", ["default"])


def test_list_dir_of_videre(videre: VidereClient, folder: Path) -> None:
    table = videre.list_dir(folder, "name", "xdat")
    assert list(table.columns) == list(COLUMNS)
    assert table["base_name"].tolist() == ["rec_SIMULATED"]
    assert list(videre.list_dir(folder, include="nwb").columns) == list(COLUMNS)
    with pytest.raises(ValueError, match="date"):
        videre.list_dir(folder, sort_by="colour")


def finished(videre: VidereClient, summa_id: str | None = None) -> SummaStatus:
    until = time.monotonic() + 30
    while not (status := videre.summa_session_status(summa_id)).is_complete and time.monotonic() < until:
        time.sleep(0.02)
    return status


def test_summa(videre: VidereClient, folder: Path) -> None:
    ds = videre.link_data_file(folder / "rec_SIMULATED.xdat", calc_metrics=False)
    other = videre.link_data_file(folder / "rec_SIMULATED.xdat", calc_metrics=False, force=True)
    began = videre.summa_launch_session_analysis(dataset_ids=[ds.id, other.id], bin_dur_sec=0.5)
    assert (type(began), began.id, began.packet_dur_sec) == (SummaStatus, "default", 0.5)
    status = finished(videre)
    assert (status.is_complete, status.frac_complete) == (True, 1.0)
    assert "complete" in status.string()
    assert videre.summa_list_sessions() == {"default": {"dsource_ids": [ds.id, other.id]}}
    both = videre.summa_get_session_aggregate_statistics()
    one = videre.summa_get_session_datasource_statistics(dataset_ids=[other.id])
    assert set(both.all_dsource_info) == {ds.id, other.id}
    assert both.all_dsource_info[ds.id]["TR"].sec.tolist() == [3.0, 5.0]
    assert both.all_dsource_info[ds.id]["SG"].num_sigs("amp") == 16
    rms = MetricID(MetricMode.BASE, MetricName.RMS)
    found = both.aggregate_stats.histogram[rms]
    assert both.aggregate_stats.metric_ids[0] == rms
    assert (found.scale, found.num_bins, len(found.dividers)) == ("counts", 50, 51)
    assert found.counts.sum() == found.stats[StatsVector.STAT_N.value] == 2 * 16 * 4
    assert list(one.datasource_stats) == [other.id]
    part = one.datasource_stats[other.id]
    with TypedClient(progress=False) as typed:
        signal = typed.get_signals(other.id, [3.0, 5.0], "all").amp
    assert signal is not None
    values = np.sqrt((signal.reshape(16, 4, -1) ** 2).mean(axis=2))
    mean = part.histogram[part.metric_ids.index(rms)].stats[StatsVector.STAT_MEAN.value]
    assert mean == pytest.approx(values.mean(), rel=1e-4)
    assert len(videre.summa_get_session_datasource_statistics(dataset_ids=[]).datasource_stats) == 2
    for wrong in ("id", None):
        with pytest.raises(ValueError, match="list"):
            videre.summa_launch_session_analysis(dataset_ids=wrong)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="is not of"):
        videre.summa_get_session_datasource_statistics(dataset_ids=["x"])
    videre.summa_clear_sessions()
    assert videre.summa_list_sessions() == {}
    with pytest.raises(DatasetError, match="no analysis"):
        videre.summa_session_status("default")
