"""Spikes through the client: found beside a simulated recording whose truth is known, or alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier import VidereClient
from ranvier.dsp import Chain, HighPass
from ranvier.exceptions import (
    CapabilityError,
    ConfigurationError,
    DatasetError,
    OutputExistsError,
    SignalSelectionError,
    TimeRangeError,
)
from ranvier.models import (
    DatasetMetadata,
    DSPParams,
    DSPType,
    FilterStage,
    RadiensFileType,
    SignalType,
    SimulationSpec,
)
from ranvier.recordings import SpikeTrains, detect, open_session
from ranvier.spikes import RecordingIdentity, SpikeStore, StoreInfo, UnitRecord, sites_of, write_store

SPEC = SimulationSpec(duration_sec=6.0, num_units=6, seed=4, noise_uv=5.0, lfp_uv=60.0, mains_uv=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a simulated recording, and its truth as a .spikes file beside it."""
    home = tmp_path_factory.mktemp("recording")
    with VidereClient(address=f"embedded:{home / 'state'}") as videre:
        ds = videre.simulate_recording(SPEC, home / "rec")
        write_truth(ds.base_path, ds.id)
    return home


def write_truth(base: Path, dataset_id: str = "") -> Path:
    known, canonical = detect(base)
    with open_session(canonical) as session:
        recording = session.stream()
        trains = session.spike_trains["ground_truth"]
        chain = Chain.bind([HighPass(300.0)], recording.fs, recording.channels)
        identity = RecordingIdentity.of(
            recording, known.files(canonical), name=known.base_name(canonical), dataset_id=dataset_id
        )
        info = StoreInfo(
            recording.fs,
            start=recording.start,
            stop=recording.stop,
            recording=identity,
            sites=sites_of(recording.channels),
            sorter="truth",
            filters=tuple(chain.describe_stages()),
        )
        units = [
            UnitRecord(int(u), site=int(np.bincount(trains.site[trains.unit == u]).argmax())) for u in trains.units
        ]
        columns = {"sample_index": trains.counter, "unit": trains.unit, "site": trains.site}
        return write_store(base, info, columns, units=units, force=True)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    for path in folder.iterdir():
        if path.is_file():
            shutil.copy2(path, tmp_path / path.name)
    return next(tmp_path.glob("*.spikes")).with_suffix("")


@pytest.fixture
def videre() -> Iterator[VidereClient]:
    with VidereClient(progress=False) as client:
        yield client


@pytest.fixture
def ds(videre: VidereClient, copy: Path) -> DatasetMetadata:
    return videre.link_data_file(copy)


@pytest.fixture
def truth(copy: Path) -> SpikeTrains:
    with open_session(copy) as session:
        return session.spike_trains["ground_truth"]


def test_spikes_are_linked_with_their_recording(videre: VidereClient, ds: DatasetMetadata) -> None:
    own, inside = ds.associated_spikes_ids
    assert inside == f"{ds.id}_ground_truth"
    assert own in videre.list_data_source_ids()
    spikes = videre.list_data_sources([own])[own]
    assert (spikes.file_type, spikes.parent_dsource_id) == (RadiensFileType.SPIKES, ds.id)
    assert spikes.base_name == ds.base_name
    assert videre.get_spikes_ids(ds) == [own, inside]
    assert videre.get_spikes_ids(spikes) == [own]
    assert videre.get_spikes_spec(spikes).dataset_uid == ds.id
    with pytest.raises(CapabilityError, match="not the signals"):
        videre.get_signals(spikes)
    videre.clear_data_sources([ds.id])
    assert videre.list_data_source_ids() == []


@pytest.mark.parametrize("which", [0, 1])
def test_spikes_by_channel_and_neuron_are_the_truth(
    videre: VidereClient, ds: DatasetMetadata, truth: SpikeTrains, which: int
) -> None:
    spikes_id = ds.associated_spikes_ids[which]
    fs = ds.sampling_rate
    spec = videre.get_spikes_spec(ds, spikes_id=spikes_id)
    assert (spec.biointerface_id, spec.dataset_uid, spec.num_neurons) == (spikes_id, ds.id, 6)
    assert spec.num_sites == 64
    assert spec.time_range == tuple(ds.time_range.sec)
    assert spec.spike_time_range == (truth.counter[0] / fs, (truth.counter[-1] + 1) / fs)
    window = [11.0, 13.5]
    inside = (truth.counter >= 11 * fs) & (truth.counter < 13.5 * fs)
    by_channel = videre.get_spikes_by_channel(ds, None, window, spikes_id=spikes_id)
    assert sorted(by_channel) == list(range(64))
    for ntv, found in by_channel.items():
        mask = inside & (truth.site == ntv)
        np.testing.assert_array_equal(found.timestamps, truth.counter[mask] / fs)
        np.testing.assert_array_equal(found.labels, truth.unit[mask])
    by_neuron = videre.get_spikes_by_neuron(ds, time_range=window, spikes_id=spikes_id)
    assert sorted(by_neuron) == [1, 2, 3, 4, 5, 6]
    for unit, neuron in by_neuron.items():
        mask = inside & (truth.unit == unit)
        np.testing.assert_array_equal(neuron.timestamps, truth.counter[mask] / fs)
        np.testing.assert_array_equal(neuron.detect_ntv_chan_idx, truth.site[mask])
    site = by_neuron[3].ntv_chan_idx
    only = videre.get_spikes_by_neuron(ds, [site], window, spikes_id=spikes_id)
    assert 3 in only
    assert {n.ntv_chan_idx for n in only.values()} == {site}
    assert list(videre.get_spikes_by_channel(ds, {"amp": [site, 2]}, spikes_id=spikes_id)) == [site, 2]


def test_neurons_have_place_rate_and_size(videre: VidereClient, ds: DatasetMetadata, truth: SpikeTrains) -> None:
    result = videre.get_neurons(ds)
    neurons = {int(n.spike_label): n for found in result.neurons_by_channel.values() for n in found}
    sites = dict(zip(ds.channel_metadata.index(SignalType.AMP).ntv, ds.channel_metadata.site_positions, strict=False))
    for unit, neuron in neurons.items():
        n = int(np.count_nonzero(truth.unit == unit))
        assert neuron.spike_count == n
        assert neuron.spike_rate == pytest.approx(n / 6.0)
        place = sites[neuron.site_ntv_chan_idx]
        assert neuron.pos_probe[:2] == [place.probe_x, place.probe_y]
        assert neuron.snr > 3
        waveforms = videre.get_unit_waveforms(ds, unit, [neuron.site_ntv_chan_idx], most=10_000)
        peak = float(np.mean(np.abs(waveforms.waveforms_uv).max(axis=2)))
        if n <= 100:
            assert neuron.mean_abs_peak_wfm == pytest.approx(peak, rel=1e-3)
    units = videre.get_units(ds)
    assert [u.label for u in units] == [1, 2, 3, 4, 5, 6]
    assert units[2].spike_count == neurons[3].spike_count
    assert units[2].probe_y == neurons[3].pos_probe[1]
    assert set(result.neurons_by_channel) == {n.site_ntv_chan_idx for n in neurons.values()}
    half = videre.get_neurons(ds, time_range=[10, 13])
    counts = {int(n.spike_label): n.spike_count for f in half.neurons_by_channel.values() for n in f}
    assert counts[1] == np.count_nonzero((truth.unit == 1) & (truth.counter < 13 * ds.sampling_rate))


def test_waveforms_are_the_filtered_signal(videre: VidereClient, ds: DatasetMetadata, truth: SpikeTrains) -> None:
    site = int(truth.site[truth.unit == 2][0])
    videre.set_dsp_group(
        ds, stage="stage2", params=[DSPParams(type=DSPType.HIGHPASS, stage=FilterStage.STAGE2, freq=300.0)]
    )
    t0, t1 = ds.time_range.sec
    whole = videre.get_signals(ds, [t0, t1], {"amp": [site]}, apply_dsp=True).amp
    assert whole is not None
    found = videre.get_spikes_by_channel(ds, [site], [11, 13], True)[site]
    assert found.waveforms is not None
    assert found.waveforms.shape == (len(found.timestamps), 90)
    at = np.rint(found.timestamps * ds.sampling_rate).astype(int) - round(t0 * ds.sampling_rate)
    expected = np.stack([whole[0, s - 30 : s + 60] for s in at])
    np.testing.assert_allclose(found.waveforms, expected, atol=0.02)
    neuron = videre.get_spikes_by_neuron(ds, time_range=[11, 13], include_waveforms=True)[2]
    assert neuron.waveforms is not None
    mean = videre.get_unit_waveforms(ds, 2, time_range=[11, 13], most=10_000)
    assert mean.source == "recording"
    assert mean.site_ntv_chan_idx[0] == neuron.ntv_chan_idx
    np.testing.assert_allclose(mean.mean_uv[0], neuron.waveforms.mean(axis=0), atol=1e-3)
    assert mean.ms[30] == 0
    assert len(mean.site_ntv_chan_idx) == 6
    drawn = mean.plot_on_probe(ds)
    assert [text.get_text() for text in drawn.texts] == [str(ntv) for ntv in mean.site_ntv_chan_idx]
    y = ds.channel_metadata.site_positions[mean.site_ntv_chan_idx[0]].probe_y
    assert float(np.min(drawn.lines[0].get_ydata())) < y  # the trough


def test_units_of_a_recording_that_was_cut_have_what_can_be_measured(videre: VidereClient, copy: Path) -> None:
    data = copy.with_name(copy.name + "_data.xdat")
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 4])
    cut = videre.link_data_file(copy)
    assert cut.lost_samples > 0
    units = videre.get_units(cut, spikes_id=f"{cut.id}_ground_truth")  # warnings are errors here
    assert len(units) == 6
    assert any(unit.snr > 1 for unit in units)


def test_rasters_correlograms_quality(videre: VidereClient, ds: DatasetMetadata, truth: SpikeTrains) -> None:
    fs = ds.sampling_rate
    raster = videre.get_spike_raster(ds, units=[1, 5], time_range=[11, 14])
    mask = np.isin(truth.unit, [1, 5]) & (truth.counter >= 11 * fs) & (truth.counter < 14 * fs)
    np.testing.assert_array_equal(raster.sec, truth.counter[mask] / fs)
    np.testing.assert_array_equal(raster.unit, truth.unit[mask])
    assert list(raster.to_dataframe().columns) == ["sec", "unit", "site", "amplitude_uv", "x_um", "y_um"]
    found = videre.get_correlograms(ds, [4, 2], bin_ms=0.5, window_ms=20)
    a, b = (truth.counter[truth.unit == u] for u in (4, 2))
    lags = (b[None, :] - a[:, None]).ravel()
    expected = np.histogram(lags, np.arange(-600, 601, 15) - 0.5)[0]
    np.testing.assert_array_equal(found.counts[0, 1], expected)
    np.testing.assert_array_equal(found.spike_counts, [len(a), len(b)])
    assert found.counts[0, 0][35:45].sum() == 0, "the refractory period is 2 ms"
    table = videre.get_unit_quality(ds, isolation=True)
    assert [u.unit for u in table.units] == [1, 2, 3, 4, 5, 6]
    for unit in table.units:
        assert unit.isi_violations_ratio == unit.contamination == 0
        assert unit.snr > 3
        assert unit.spike_count == np.count_nonzero(truth.unit == unit.unit)
    frame = table.to_dataframe()
    assert frame.index.tolist() == [1, 2, 3, 4, 5, 6]
    mixed = videre.merge_units(ds, [1, 2, 3, 4, 5])
    dirty = videre.get_unit_quality(ds, [mixed]).units[0]
    assert dirty.contamination > 0.1
    assert dirty.isi_violations_ratio > 0.1


def test_curation_is_seen_at_once(videre: VidereClient, ds: DatasetMetadata, truth: SpikeTrains) -> None:
    new = videre.merge_units(ds, [1, 2], by="ana")
    assert new == 7
    assert [u.label for u in videre.get_units(ds)] == [3, 4, 5, 6, 7]
    n = int(np.isin(truth.unit, [1, 2]).sum())
    assert videre.get_units(ds)[-1].spike_count == n
    assert videre.split_unit(ds, 7, np.arange(n) < 10) == [8, 9]
    videre.label_units(ds, [9], "noise")
    assert [u.label for u in videre.get_units(ds)] == [3, 4, 5, 6, 8]
    assert sorted(videre.get_spikes_by_neuron(ds)) == [3, 4, 5, 6, 8]
    assert len(videre.get_spike_raster(ds, [9])) == 10
    assert videre.undo_curation(ds) == 3
    log = videre.get_curation_log(ds)
    assert [(e.number, e.action, e.in_force) for e in log] == [
        (1, "merge", True), (2, "split", True), (3, "label", False), (4, "undo", True),
    ]  # fmt: skip
    assert (log[0].by, log[0].new_units, log[3].undoes) == ("ana", (7,), 3)
    again = VidereClient()
    assert [u.label for u in again.get_units(ds)] == [3, 4, 5, 6, 8, 9]
    inside = ds.associated_spikes_ids[1]
    with pytest.raises(CapabilityError, match="convert_spikes"):
        videre.merge_units(ds, [1, 2], spikes_id=inside)
    made = videre.convert_spikes(ds, ds.base_path.with_name(ds.base_name + ".mine"), spikes_id=inside)
    assert made.id in videre.get_spikes_ids(ds)
    assert videre.merge_units(ds, [1, 2], spikes_id=made.id) == 7
    assert videre.merge_units(made, [3, 4]) == 8
    videre.label_units(made, [8], "mua")
    called = {n.spike_label: n.quality for some in videre.get_neurons(made).neurons_by_channel.values() for n in some}
    assert called == {"5": "", "6": "", "7": "", "8": "mua"}


def test_spikes_go_where_their_recording_goes(videre: VidereClient, ds: DatasetMetadata, copy: Path) -> None:
    videre.convert_spikes(ds, copy.with_name(copy.name + ".two"), spikes_id=ds.associated_spikes_ids[1])
    neighbour = write_store(copy.with_name(copy.name + ".other"), StoreInfo(Fraction(30000)), {"sample_index": [1]})
    videre.copy_data_source_file(copy, copy.parent / "sub" / "twin")
    names = {p.name for p in (copy.parent / "sub").glob("*.spikes")}
    assert names == {"twin.spikes", "twin.two.spikes"}
    twin = videre.link_data_file(copy.parent / "sub" / "twin")
    assert len(twin.associated_spikes_ids) == 3
    assert [u.label for u in videre.get_units(twin)] == [1, 2, 3, 4, 5, 6]
    videre.move_data_source_file(copy, copy.parent / "moved")
    assert {p.name for p in copy.parent.glob("*.spikes")} == {"moved.spikes", "moved.two.spikes", neighbour.name}
    moved = videre.link_data_file(copy.parent / "moved")
    assert len(moved.associated_spikes_ids) == 3
    with pytest.raises(OutputExistsError):
        videre.copy_data_source_file(twin.base_path, copy.parent / "moved")
    videre.remove_data_source_file(moved.base_path)
    assert (copy.parent / "moved.spikes").is_file(), "what was sorted by hand is not removed with it"


def test_spikes_around_events_are_those_beside_the_recording(videre: VidereClient, ds: DatasetMetadata) -> None:
    new = videre.merge_units(ds, [1, 2])
    found = videre.get_psth(ds, events=[11.5, 13.0])
    assert found.units == (3, 4, 5, 6, new)
    inside = videre.get_psth(ds, events=[11.5, 13.0], spike_train="ground_truth")
    assert inside.units == (1, 2, 3, 4, 5, 6)
    assert inside.counts[:2].sum() == found.counts[-1].sum()
    by_id = videre.get_psth(ds, events=[11.5, 13.0], spike_train=ds.associated_spikes_ids[1])
    assert by_id.units == inside.units
    with pytest.raises(DatasetError, match="none is called 'nothing'"):
        videre.get_psth(ds, events=[11.5], spike_train="nothing")


def test_a_phy_folder_becomes_the_spikes_of_a_recording(
    videre: VidereClient, ds: DatasetMetadata, truth: SpikeTrains, tmp_path: Path
) -> None:
    phy = tmp_path / "phy"
    phy.mkdir()
    first = round(ds.time_range.sec[0] * ds.sampling_rate)  # phy counts from the first sample of the file
    np.save(phy / "spike_times.npy", truth.counter - first)
    np.save(phy / "spike_clusters.npy", truth.unit)
    np.save(phy / "channel_map.npy", np.arange(64))
    (phy / "params.py").write_text("sample_rate = 30000.0\n")
    made = videre.convert_spikes(phy, recording=ds, force=True)
    assert made.base_name == ds.base_name
    assert made.parent_dsource_id == ds.id
    store = SpikeStore.open(ds.base_path.with_name(ds.base_name + ".spikes"))
    np.testing.assert_array_equal(store.select().samples, truth.counter)
    assert (store.info.start, store.info.stop) == (first, first + 180_000)
    np.save(phy / "spike_times.npy", truth.counter)
    (phy / "params.py").write_text("sample_rate = 30000.0\n\n")
    other = VidereClient(address=f"embedded:{tmp_path / 'other'}", progress=False)
    with pytest.raises(DatasetError, match="these are not its spikes"):
        other.convert_spikes(phy, recording=ds.base_path, force=True)
    (phy / "params.py").write_text("sample_rate = 20000.0\n")
    another = VidereClient(address=f"embedded:{tmp_path / 'another'}", progress=False)
    with pytest.raises(DatasetError, match="20000 Hz"):
        another.convert_spikes(phy, recording=ds.base_path, force=True)


def test_spikes_alone(videre: VidereClient, copy: Path, tmp_path: Path, truth: SpikeTrains) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    path = shutil.copy2(copy.with_name(copy.name + ".spikes"), alone / "x.spikes")
    ds = videre.link_data_file(path)
    assert (ds.file_type, ds.parent_dsource_id, ds.associated_spikes_ids) == (RadiensFileType.SPIKES, "", [ds.id])
    assert any("6 units" in note for note in ds.notes)
    assert ds.time_range.sec == pytest.approx((10, 16))
    assert videre.get_units(ds)[0].spike_count == np.count_nonzero(truth.unit == 1)
    with pytest.raises(CapabilityError, match=f"link the recording they belong to .{copy.name}"):
        videre.get_spikes_by_channel(ds, include_waveforms=True)
    assert videre.get_psth(ds, events=[12.0, 13.0]).counts.sum() > 0


def test_spikes_of_another_recording(videre: VidereClient, copy: Path, tmp_path: Path) -> None:
    other = videre.simulate_recording(SPEC.model_copy(update={"seed": 9}), tmp_path / "other")
    shutil.copy2(copy.with_name(copy.name + ".spikes"), other.base_path.with_name(other.base_name + ".spikes"))
    found = videre.link_data_file(other.base_path)
    assert found.associated_spikes_ids == [f"{found.id}_ground_truth"]
    assert any("spikes of another recording" in note for note in found.notes)
    with pytest.raises(DatasetError, match=r"it has: .*another recording"):
        videre.get_spikes_spec(found, spikes_id="x")


def test_bad_requests(videre: VidereClient, ds: DatasetMetadata, copy: Path) -> None:
    with pytest.raises(DatasetError, match=r"no unit 99; there are 1-6"):
        videre.get_unit_waveforms(ds, 99)
    with pytest.raises(DatasetError, match=r"no unit 99; there are 1-6"):
        videre.get_unit_quality(ds, [99])
    with pytest.raises(TimeRangeError):
        videre.get_spikes_by_channel(ds, time_range=[100, 101])
    with pytest.raises(SignalSelectionError, match="77"):
        videre.get_spikes_by_channel(ds, [77])
    with pytest.raises(DatasetError, match="no spikes called 'nothing'"):
        videre.get_neurons(ds, spikes_id="nothing")
    with pytest.raises(ConfigurationError, match="at least one sample"):
        videre.get_correlograms(ds, bin_ms=0.001)
    for window_ms in (float("nan"), float("inf")):
        with pytest.raises(ConfigurationError, match="at least one bin"):
            videre.get_correlograms(ds, window_ms=window_ms)
    with pytest.raises(ConfigurationError, match="too many"):  # and nothing of that size is made
        videre.get_correlograms(ds, window_ms=1e9)
    for units in ("all", ["a"], [1.5, 2.0], 3):
        with pytest.raises(ConfigurationError, match="units are whole numbers"):
            videre.merge_units(ds, units)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="units are whole numbers"):
            videre.get_spike_raster(ds, units)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="names no output"):
        videre.export_spikes(ds, "")
    with pytest.raises(ConfigurationError, match="at least one waveform"):
        videre.get_unit_waveforms(ds, 1, most=0)
    with pytest.raises(OutputExistsError):
        videre.convert_spikes(ds, spikes_id=ds.associated_spikes_ids[1])
    with pytest.raises(ConfigurationError, match="whole number"):
        videre.split_unit(ds, 1, [0.5, 1.5])
    spikes = copy.with_name(copy.name + ".spikes")
    spikes.write_bytes(spikes.read_bytes()[:50])
    with VidereClient(address=f"embedded:{copy.parent / 'fresh'}") as fresh:
        found = fresh.link_data_file(copy)
        assert found.associated_spikes_ids == [f"{found.id}_ground_truth"]


def test_an_unfinished_file_is_finished_by_the_first_change(videre: VidereClient, copy: Path) -> None:
    from ranvier.spikes import SpikeWriter

    spikes = copy.with_name(copy.name + ".spikes")
    store = SpikeStore.open(spikes)
    found = store.select()
    with open_session(copy) as session:
        info = replace(store.info, sites=sites_of(session.stream().channels))
    writer = SpikeWriter(spikes, info, live=True, force=True)
    writer.append(sample_index=found.samples, unit=found.units, site=found.sites)
    writer.flush()
    ds = videre.link_data_file(copy)
    assert [u.label for u in videre.get_units(ds)] == [1, 2, 3, 4, 5, 6]
    writer.append(sample_index=[int(found.samples[-1])], unit=[1], site=[3])
    writer.flush()
    before = np.count_nonzero(found.units == 1)
    assert videre.get_units(ds)[0].spike_count == before + 1
    writer.abort()
    assert videre.merge_units(ds, [1, 2]) == 7
    assert SpikeStore.open(spikes).finished
