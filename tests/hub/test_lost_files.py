"""Files that go away or change while a client has them linked: told in our words, never taken for what they were."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ranvier import VidereClient
from ranvier.exceptions import DatasetError, RecordingError
from ranvier.models import DatasetMetadata, SimulationSpec


@pytest.fixture
def videre(tmp_path: Path) -> Iterator[VidereClient]:
    with VidereClient(address=f"embedded:{tmp_path / 'state'}", progress=False) as client:
        yield client


@pytest.fixture
def ds(videre: VidereClient, tmp_path: Path) -> DatasetMetadata:
    made = videre.simulate_recording(SimulationSpec(duration_sec=2.0, num_units=2, seed=2), tmp_path / "rec")
    videre.convert_spikes(made)
    return videre.link_data_file(made.base_path)


def test_spikes_that_were_removed(videre: VidereClient, ds: DatasetMetadata, tmp_path: Path) -> None:
    sorted_, truth = videre.get_spikes_ids(ds)
    (tmp_path / "rec_SIMULATED.spikes").unlink()
    assert videre.get_spikes_ids(ds) == [truth]
    assert len(videre.get_units(ds)) > 0
    with pytest.raises(
        DatasetError, match=r"no spikes called .* it has: .*not there any more: it was moved or removed"
    ):
        videre.get_units(ds, spikes_id=sorted_)
    with pytest.raises(RecordingError, match="not there; was it moved or removed"):
        videre.get_units(sorted_)
    assert any("not there any more" in note for note in videre.link_data_file(ds.base_path).notes)
    videre.convert_spikes(ds)
    assert videre.get_spikes_ids(ds) == [sorted_, truth]


def test_samples_that_were_removed_are_an_error_every_time(
    videre: VidereClient, ds: DatasetMetadata, tmp_path: Path
) -> None:
    data = tmp_path / "rec_SIMULATED_data.xdat"
    data.rename(tmp_path / "elsewhere")
    for _ in range(3):
        with pytest.raises(RecordingError, match=r"rec_SIMULATED_data\.xdat is missing"):
            videre.get_signals(ds)
        with pytest.raises(RecordingError, match=r"rec_SIMULATED_data\.xdat is missing"):
            videre.get_unit_waveforms(ds, 1)
    (tmp_path / "elsewhere").rename(data)
    assert videre.get_signals(ds) is not None


def test_spikes_of_the_whole_are_not_those_of_what_is_left(
    videre: VidereClient, ds: DatasetMetadata, tmp_path: Path
) -> None:
    data = tmp_path / "rec_SIMULATED_data.xdat"
    shutil.copy(data, tmp_path / "copy")
    ours, truth = ds.associated_spikes_ids
    os.truncate(data, data.stat().st_size // 2)
    cut = videre.link_data_file(ds.base_path)
    assert cut.associated_spikes_ids == [truth]
    assert any("rec_SIMULATED.spikes is not used" in note and "it reached to" in note for note in cut.notes)
    shutil.copy(tmp_path / "copy", data)
    assert videre.link_data_file(ds.base_path).associated_spikes_ids == [ours, truth]
