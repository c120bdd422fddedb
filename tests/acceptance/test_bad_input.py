"""Wrong arguments and damaged files: our exception, naming the file, what was wrong and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ranvier import VidereClient
from ranvier.exceptions import (
    ConfigurationError,
    DatasetError,
    FilterDesignError,
    NotARecordingError,
    OutputError,
    OutputExistsError,
    RadiensError,
    SignalSelectionError,
    TimeRangeError,
)
from ranvier.models.simulation import SimulationSpec


@pytest.fixture
def videre():
    with VidereClient() as client:
        yield client


@pytest.fixture
def dataset(videre: VidereClient, tmp_path: Path):
    return videre.simulate_recording(SimulationSpec(duration_sec=1.0), tmp_path / "rec_SIMULATED.xdat")


def leftovers(folder: Path) -> set[str]:
    return {p.name for p in folder.rglob("*")} if folder.exists() else set()


def test_not_a_recording(videre: VidereClient, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(NotARecordingError, match=r"notes\.txt"):
        videre.link_data_file(text)
    with pytest.raises(NotARecordingError, match=r"nowhere\.rhd"):
        videre.link_data_file(tmp_path / "nowhere.rhd")
    (tmp_path / "empty.rhd").touch()
    with pytest.raises(NotARecordingError, match="empty"):
        videre.link_data_file(tmp_path / "empty.rhd")


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda v, d, o: v.lowpass(d, 15000, o), "Nyquist"),
        (lambda v, d, o: v.highpass(d, 0, o), "0"),
        (lambda v, d, o: v.bandpass(d, 6000, 300, o), "6000"),
        (lambda v, d, o: v.bandpass(d, 300, 6000, o, order=0), "order"),
        (lambda v, d, o: v.notch(d, 50, 0, o), "bandwidth"),
    ],
)
def test_impossible_filters(videre, dataset, tmp_path: Path, call, word: str) -> None:
    before = leftovers(tmp_path)
    with pytest.raises((FilterDesignError, ConfigurationError), match=word):
        call(videre, dataset, tmp_path / "never.xdat")
    assert leftovers(tmp_path) == before


def test_time_ranges(videre, dataset) -> None:
    start, end = dataset.time_range.sec
    with pytest.raises(TimeRangeError, match="outside"):
        videre.get_signals(dataset, [end + 1, end + 2])
    with pytest.raises(TimeRangeError):
        videre.get_signals(dataset, [start + 0.5, start + 0.1])
    clipped = videre.get_signals(dataset, [end - 0.1, end + 5])
    assert clipped.time_range.sec[1] == pytest.approx(end)


def test_unknown_things(videre, dataset) -> None:
    with pytest.raises(DatasetError, match="no-such"):
        videre.get_signals("no-such-id")
    with pytest.raises((SignalSelectionError, DatasetError), match="9999"):
        videre.get_signals(dataset, signals=[9999])


def test_existing_output_is_refused_then_forced(videre, dataset, tmp_path: Path) -> None:
    first = videre.car(dataset, tmp_path / "ref.xdat")
    with pytest.raises(OutputExistsError, match="force=True"):
        videre.car(dataset, tmp_path / "ref.xdat")
    again = videre.car(dataset, tmp_path / "ref.xdat", force=True)
    assert again.base_name == first.base_name


def test_output_over_its_own_source_is_refused(videre, dataset, tmp_path: Path) -> None:
    content = (tmp_path / "rec_SIMULATED_data.xdat").read_bytes()
    with pytest.raises(OutputError):
        videre.car(dataset, tmp_path / "rec_SIMULATED.xdat", force=True)
    assert (tmp_path / "rec_SIMULATED_data.xdat").read_bytes() == content


def test_folder_that_cannot_be_written(videre, dataset, tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    with pytest.raises(OutputError, match="file"):
        videre.car(dataset, blocker / "out.xdat")


def test_truncated_xdat_opens_and_says_what_was_lost(videre, dataset, tmp_path: Path) -> None:
    data = tmp_path / "rec_SIMULATED_data.xdat"
    whole = videre.get_signals(dataset).amp
    with open(data, "r+b") as handle:
        handle.truncate(data.stat().st_size * 3 // 4 + 5)
    with VidereClient() as fresh:
        cut = fresh.link_data_file(data)
        assert cut.lost_samples > 0
        assert any("lost" in note or "missing" in note or "truncated" in note for note in cut.notes)
        part = fresh.get_signals(cut).amp
        np.testing.assert_array_equal(part, whole[:, : part.shape[1]])
    shown = subprocess.run(
        [sys.executable, "-m", "ranvier", "info", str(data)], capture_output=True, text=True, check=True, env=os.environ
    )
    assert str(cut.lost_samples) in shown.stdout.replace(",", "")


def test_several_streams_are_listed(videre, tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "two.nwb"
    with h5py.File(path, "w") as f:
        f.attrs["nwb_version"] = "2.7.0"
        for name in ("left", "right"):
            group = f.create_group(f"acquisition/{name}")
            group.attrs["neurodata_type"] = "ElectricalSeries"
            data = group.create_dataset("data", data=np.zeros((100, 2), "i2"))
            data.attrs["conversion"] = 1e-6
            start = group.create_dataset("starting_time", data=0.0)
            start.attrs["rate"] = 1000.0
    with pytest.raises(DatasetError, match=r"(?s)two\.nwb#.*left.*two\.nwb#.*right"):
        videre.link_data_file(path)
    assert videre.link_data_file(f"{path}#left").channel_metadata.num_channels


def test_errors_are_one_line_on_the_command_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ranvier", "info", str(tmp_path / "nowhere.rhd")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert "nowhere.rhd" in done.stderr
    assert "Traceback" not in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "ranvier", "--traceback", "info", str(tmp_path / "nowhere.rhd")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" in done.stderr


def test_every_error_is_ours() -> None:
    assert issubclass(NotARecordingError, RadiensError)
