"""Every method of the classic SpikesClient on datasets and on the stream, with its values and its errors."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ranvier import VidereClient as TypedClient
from ranvier.classic import AllegoClient, VidereClient
from ranvier.classic.lib.spikes import SpikesSet
from ranvier.classic.spikes_client import SpikesClient
from ranvier.exceptions import CapabilityError, ConfigurationError, OutputExistsError
from ranvier.models import SimulationSpec
from ranvier.recordings import open_session

FS = 30_000


@pytest.fixture
def recording(made: Path, tmp_path: Path) -> Path:
    for file in made.parent.glob("rec_SIMULATED*"):
        if file.is_file() and file.suffix != ".kpi":
            shutil.copy(file, tmp_path)
    return tmp_path / made.name


@pytest.fixture
def videre() -> Iterator[VidereClient]:
    with VidereClient() as client:
        yield client


@pytest.fixture
def spikes(videre: VidereClient) -> SpikesClient:
    return videre.spikes()


def test_the_only_dataset_with_spikes_need_not_be_named(
    videre: VidereClient, spikes: SpikesClient, recording: Path
) -> None:
    with pytest.raises(ValueError, match="with spikes are none"):
        spikes.get_neurons()
    dataset = videre.link_data_file(recording, calc_metrics=False)
    assert spikes.get_neurons().equals(spikes.get_neurons(dataset.id))
    with TypedClient(progress=False) as typed:
        typed.convert_spikes(dataset.id)
        assert len(spikes.get_neurons()) > 0  # a file of spikes belongs to its recording
        typed.simulate_recording(SimulationSpec(duration_sec=1.0, num_units=2), recording.with_name("other"))
    with pytest.raises(ValueError, match=r"name a dataset: .*other"):
        spikes.get_neurons()


def test_dset_idxs_and_waveforms_are_those_of_the_channel(
    videre: VidereClient, spikes: SpikesClient, recording: Path
) -> None:
    dataset = videre.link_data_file(recording, calc_metrics=False)
    found = spikes.get_spike_timestamps(dataset.id)
    truth = open_session(recording).spike_trains["ground_truth"]
    assert found["dset_idxs"].tolist() == truth.site.tolist()  # all channels, in order
    waveforms = spikes.get_spike_waveforms(dataset.id)
    by_channel = np.argsort(truth.site, kind="stable")
    with TypedClient(progress=False) as typed:
        each = typed.get_spikes_by_channel(dataset.id, include_waveforms=True)
    first = int(truth.site[by_channel[0]])
    ours = each[first].waveforms
    assert ours is not None
    assert np.array_equal(waveforms[: len(ours)], ours)
    assert len(waveforms) == len(truth)


def test_metadata_adds_up(videre: VidereClient, spikes: SpikesClient, recording: Path) -> None:
    dataset = videre.link_data_file(recording, calc_metrics=False)
    about = spikes.get_spikes_metadata(dataset.id)
    truth = open_session(recording).spike_trains["ground_truth"]
    assert about.time_range.sec.tolist() == [3.0, 5.0]
    assert about.spike_range.timestamp.tolist() == [int(truth.counter[0]), int(truth.counter[-1]) + 1]
    assert [count[0] for count in about.sites["spike_count"]] == [int((truth.site == k).sum()) for k in range(16)]
    assert about.sites["spike_rate"][int(truth.site[0])][0] == pytest.approx((truth.site == truth.site[0]).sum() / 2.0)
    assert sorted(about.neurons["neuron"]) == sorted(str(u) for u in set(truth.unit.tolist()))
    stats = about.site_summary_stats
    assert stats.loc["mean", "spike_count"] == pytest.approx(len(truth) / 16)
    assert stats.loc["max", "spike_count_unlabeled"] == 0
    assert stats.loc["mean", "neurons"] == pytest.approx(len(set(truth.unit.tolist())) / 16)


def test_kilosort_output_becomes_spikes_of_its_recording(
    videre: VidereClient, spikes: SpikesClient, recording: Path
) -> None:
    truth = open_session(recording).spike_trains["ground_truth"]
    folder = recording.parent / "sorted"
    folder.mkdir()
    np.save(folder / "spike_times.npy", truth.counter - 3 * FS)  # from the recording's first sample
    np.save(folder / "spike_clusters.npy", truth.unit)
    spikes.convert_kilosort_output(source_bio_path=folder, source_vex_path=recording)
    assert recording.with_name("rec_SIMULATED.spikes").exists()
    dataset = videre.link_data_file(recording, calc_metrics=False)
    assert spikes.get_spike_timestamps(dataset.id)["timestamps"].tolist() == truth.counter.tolist()
    with pytest.raises(OutputExistsError):
        spikes.convert_kilosort_output(source_bio_path=folder, source_vex_path=recording)
    with pytest.raises(ValueError, match="source_bio_path"):
        spikes.convert_kilosort_output()


def test_what_only_one_side_has(spikes: SpikesClient) -> None:
    with pytest.raises(CapabilityError, match="live stream"):
        spikes.get_recent_spikes()
    with pytest.raises(ValueError, match="is not linked"):
        spikes.get_spike_waveforms("nothing")
    with AllegoClient(embedded=True) as allego:
        live = allego.spikes()
        with pytest.raises(ValueError, match="nothing was sorted yet"):
            live.get_recent_spikes()
        with pytest.raises(ConfigurationError, match="max_spikes_per_chan=0"):
            live.get_recent_spikes(max_spikes_per_chan=0)
        with pytest.raises(RuntimeError, match="VidereClient"):
            live.get_spike_waveforms("Live Signals")


def test_components_of_a_set() -> None:
    waveforms = np.ones((40, 3), np.float32)
    one = {"num_spikes": 3, "waveforms": waveforms, "labels": ["1", "1", "0"]}
    found = SpikesSet((1.0, 2.0), {4: one, 5: {"num_spikes": 0, "labels": []}}, 40)
    assert (found.num_spikes_total, found.num_channels, found.num_pts_waveform) == (3, 2, 40)
    assert found.envelope_time_range.tolist() == [1.0, 2.0]
    assert (found.component_len("timestamps"), found.component_len("waveforms")) == (1, 40)
    assert not SpikesSet((0.0, 1.0), {}, 0).has_component("waveforms")
    with pytest.raises(ValueError, match="ftrs"):
        found.has_component("ftrs")
