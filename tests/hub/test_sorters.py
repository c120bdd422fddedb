"""Sorts of recordings through the client: what they write, how they end, and what they refuse. All data simulated."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier import VidereClient
from ranvier.exceptions import (
    CapabilityError,
    ConfigurationError,
    DataProcessingError,
    DatasetError,
    JobCancelledError,
    OutputError,
    OutputExistsError,
    SignalSelectionError,
    SortStalledError,
    TimeRangeError,
)
from ranvier.hub.job import JobContext
from ranvier.models import (
    DatasetMetadata,
    DSPParams,
    DSPType,
    Port,
    ProvenanceOpKind,
    SimulationSpec,
    SpikeDetectParams,
    SpikeSorterClustererParams,
    SpikeSorterFeatureParams,
    SpikeSorterLaunchParams,
    SpikeSorterPhase,
    SpikeSorterStateSystem,
    SpikeSorterSubCommand,
    SpikeSorterType,
)
from ranvier.models.jobs import JobProgress
from ranvier.recordings.formats.xdat import XdatRecording
from ranvier.spikes import SpikeStore

SPEC = SimulationSpec(
    duration_sec=6.0, start_sec=3.0, probe="a1x16_5mm50_177", num_units=3, amplitude_uv=(150.0, 300.0),
    rate_hz=(10.0, 15.0), burst_fraction=0.0, seed=4,
)  # fmt: skip
FS = 30_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a recording, sorted once."""
    folder = tmp_path_factory.mktemp("sorted")
    with VidereClient(address=f"embedded:{folder / 'home'}", progress=False) as videre:
        ds = videre.simulate_recording(SPEC, folder / "rec_SIMULATED.xdat")
        videre.spike_sort(SpikeSorterLaunchParams(dsource_id=ds.id, seed=1))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Return a folder of one's own with the recording, not sorted."""
    for file in made.glob("rec_SIMULATED*"):
        if file.suffix != ".spikes":
            shutil.copy(file, tmp_path)
    return tmp_path


@pytest.fixture
def videre() -> Iterator[VidereClient]:
    with VidereClient(progress=False) as client:
        yield client


@pytest.fixture
def ds(videre: VidereClient, folder: Path) -> DatasetMetadata:
    return videre.link_data_file(folder / "rec_SIMULATED.xdat")


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def ended(videre: VidereClient, sorter: str) -> SpikeSorterPhase:
    """Wait for a sorter's end and return its phase."""
    until = time.monotonic() + 60.0
    while videre.get_spike_sorter_state(sorter).is_on:
        assert time.monotonic() < until
        time.sleep(0.02)
    return videre.get_spike_sorter_state(sorter).phase


# --- what is written ------------------------------------------------------------------------------------------------


def test_the_file_says_what_it_is_of_and_how_it_was_made(made: Path) -> None:
    with VidereClient(address=f"embedded:{made / 'home'}", progress=False) as videre:
        ds = videre.link_data_file(made / "rec_SIMULATED.xdat")
        own = next(i for i in ds.associated_spikes_ids if not i.endswith("ground_truth"))
        assert videre.list_data_sources(own)[own].parent_dsource_id == ds.id
        with SpikeStore.open(made / "rec_SIMULATED.spikes") as store:
            info = store.info
            assert (info.fs, info.start, info.stop, info.seed) == (Fraction(FS), 3 * FS, 9 * FS, 1)
            assert (info.sorter, info.simulated, info.waveforms) == ("ranvier", True, "recording")
            assert info.recording is not None
            assert (info.recording.name, info.recording.dataset_id) == ("rec_SIMULATED", ds.id)
            assert info.parameters["ntv"] == list(range(16))
            assert [f["kind"] for f in info.filters] == ["bandpass", "car"]
            assert {s.ntv for s in info.sites} == set(range(16))
            assert all(5 < (s.noise_sd_uv or 0) < 40 for s in info.sites)
            found = store.select(columns=("unit", "site", "amplitude_uv", "x_um", "y_um"))
            assert np.all(found.columns["amplitude_uv"] < -30)
            assert np.all(np.diff(found.samples) >= 0)
            for unit, record in store.units.items():
                mine = found.columns["amplitude_uv"][found.units == unit]
                assert record.mean_abs_peak_uv == pytest.approx(np.abs(mine).mean(), rel=1e-4)
                assert record.snr is not None
                assert record.snr > 5
        ops = videre.get_provenance(own).record
        assert ops is not None
        kinds = [op.kind for op in ops.ops]
        assert kinds[-2:] == [ProvenanceOpKind.SORT, ProvenanceOpKind.WRITE]
        assert ProvenanceOpKind.FILTER in kinds
        assert ops.ops[-2].sort is not None
        assert ops.ops[-2].sort.seed == 1


def test_templates_are_what_the_waveforms_of_the_recording_are(made: Path) -> None:
    with VidereClient(address=f"embedded:{made / 'home'}", progress=False) as videre:
        ds = videre.link_data_file(made / "rec_SIMULATED.xdat")
        with SpikeStore.open(made / "rec_SIMULATED.spikes") as store:
            for unit in videre.get_units(ds):
                read = videre.get_unit_waveforms(ds, unit.label, [unit.site_ntv_chan_idx], most=500)
                assert store.templates is not None
                template = store.template(unit.label)
                assert template is not None
                row = int(np.flatnonzero(store.templates.sites == unit.site_ntv_chan_idx)[0])
                n = min(read.mean_uv.shape[1], template.shape[1])
                np.testing.assert_allclose(read.mean_uv[0, :n], template[row, :n], atol=4.0)  # of about 150 uV
                assert template[row].argmin() == pytest.approx(store.templates.before, abs=3)


def test_other_filters_of_the_dataset_do_not_change_what_a_sort_has_seen(
    made: Path, videre: VidereClient, folder: Path
) -> None:
    shutil.copy(made / "rec_SIMULATED.spikes", folder)
    ds = videre.link_data_file(folder / "rec_SIMULATED.xdat")
    before = videre.get_unit_waveforms(ds, 1, most=20).mean_uv
    videre.set_dsp_group(ds, stage="stage2", params=[{"type": "lowpass", "freq": 500.0}])
    np.testing.assert_array_equal(videre.get_unit_waveforms(ds, 1, most=20).mean_uv, before)


def test_the_same_seed_gives_the_same_spikes_with_less_workers_and_a_small_budget(
    made: Path, videre: VidereClient, ds: DatasetMetadata
) -> None:
    def spikes(path: Path) -> tuple[np.ndarray, np.ndarray]:
        with SpikeStore.open(path) as store:
            found = store.select()
            return found.samples.copy(), found.units.copy()

    expected = spikes(made / "rec_SIMULATED.spikes")
    folder = Path(ds.path)
    videre.set_job_settings(workers=1)
    videre.spike_sort(SpikeSorterLaunchParams(dsource_id=ds.id, seed=1, sink_dsrc_id="one"))
    for a, b in zip(spikes(folder / "rec_SIMULATED.one.spikes"), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    videre.set_job_settings(memory_bytes=1 << 20)  # far too little: shorter blocks, no crash
    sorter = videre.spike_sorter_launch(SpikeSorterLaunchParams(dsource_id=ds.id, seed=1, sink_dsrc_id="small"))
    assert ended(videre, sorter.spike_sorter_id) == SpikeSorterPhase.COMPLETE
    assert "memory" in videre.get_spike_sorter_state(sorter.spike_sorter_id).warn_msg
    with SpikeStore.open(folder / "rec_SIMULATED.small.spikes") as store:
        assert store.info.parameters["block_sec"] < 0.25
        again = store.select().samples
    apart = np.abs(expected[0][:, None] - again).min(axis=1)
    assert np.mean(apart <= 15) > 0.95  # the same spikes, within 0.5 ms


def test_a_part_of_time_and_channels(videre: VidereClient, ds: DatasetMetadata, folder: Path) -> None:
    spikes = videre.spike_sort(ds, time_range=[4.0, 8.0], channels=range(10), output_path=folder / "part")
    spec = videre.get_spikes_spec(ds, spikes_id=spikes)
    assert spec.time_range == (4.0, 8.0)
    assert spec.enabled_channel_indices == list(range(10))
    assert 4.0 <= spec.spike_time_range[0] < spec.spike_time_range[1] < 8.0
    with SpikeStore.open(folder / "part.spikes") as store:
        assert [f["kind"] for f in store.info.filters] == ["slice_channels", "bandpass"]  # no reference of 10
        unit = next(iter(store.units))
    assert videre.get_unit_waveforms(ds, unit, most=5, spikes_id=spikes).source == "recording"


@pytest.mark.slow
def test_filters_of_stage_2_come_first_and_are_not_done_twice(videre: VidereClient, ds: DatasetMetadata) -> None:
    videre.set_dsp_group(ds, stage="stage2", params=[{"type": "highpass", "freq": 300.0, "port": "A"}])
    spikes = videre.spike_sort(ds, time_range=[3.0, 7.0])
    with SpikeStore.open(Path(ds.path) / "rec_SIMULATED.spikes") as store:
        assert [f["kind"] for f in store.info.filters] == ["highpass", "car"]
        assert store.info.parameters["band_hz"] is None
    assert len(videre.get_units(ds, spikes_id=spikes)) >= 3


def test_a_recording_that_is_being_written_is_sorted_up_to_where_it_is(
    videre: VidereClient, ds: DatasetMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(XdatRecording, "is_being_written", lambda self: True)
    sorter = videre.spike_sorter_launch(SpikeSorterLaunchParams(dsource_id=ds.id, is_auto_on=False))
    assert sorter.msg == "rec_SIMULATED is still being written: sorted up to 9 s"
    assert videre.get_spike_sorter_state(sorter.spike_sorter_id).warn_msg == sorter.msg


def test_sorted_jointly_units_have_one_number_in_all_recordings(
    videre: VidereClient, ds: DatasetMetadata, folder: Path
) -> None:
    one, two = (
        videre.slice_time(ds, a, b, folder / name) for a, b, name in ((3.0, 6.0, "one.xdat"), (6.0, 9.0, "two.xdat"))
    )
    first = videre.spike_sort(one, jointly=[two])
    assert first in videre.get_spikes_ids(one)
    units = [{u.label: u for u in videre.get_units(each)} for each in (one, two)]
    assert set(units[0]) == set(units[1])
    assert len(units[0]) >= 3
    for label, unit in units[0].items():
        assert unit.site_ntv_chan_idx == units[1][label].site_ntv_chan_idx
    for each, (start, stop) in ((one, (3.0, 6.0)), (two, (6.0, 9.0))):
        spec = videre.get_spikes_spec(each)
        assert spec.time_range == (start, stop)
        assert start <= spec.spike_time_range[0] < spec.spike_time_range[1] <= stop
        assert len(videre.get_provenance(videre.get_spikes_ids(each)[0]).details["sources"]) == 2
    with pytest.raises(ConfigurationError, match="time range is of one recording"):
        videre.spike_sort(one, jointly=[two], time_range=[3.0, 5.0])
    with pytest.raises(ConfigurationError, match="a file each"):
        videre.spike_sort(one, jointly=[two], output_path=folder / "x.spikes")


def test_a_recording_that_is_mostly_gap_is_sorted_where_there_is_signal(
    videre: VidereClient, ds: DatasetMetadata, folder: Path
) -> None:
    whole = videre.concatenate([ds, ds], folder / "whole.session.json", gap_sec=100.0)
    assert whole.gaps == ((9.0, 109.0),)
    spikes = videre.spike_sort(SpikeSorterLaunchParams(dsource_id=whole.id, seed=1))
    alone = videre.spike_sort(SpikeSorterLaunchParams(dsource_id=ds.id, seed=1))
    found = {u.site_ntv_chan_idx: u.spike_count for u in videre.get_units(whole, spikes_id=spikes)}
    once = {u.site_ntv_chan_idx: u.spike_count for u in videre.get_units(ds, spikes_id=alone)}
    assert found.keys() == once.keys()
    assert all(abs(found[site] - 2 * count) <= 2 for site, count in once.items())
    sec = videre.get_spike_raster(whole, spikes_id=spikes).sec
    assert not ((sec >= 9.0) & (sec < 109.0)).any()
    rates = {u.site_ntv_chan_idx: u.spike_rate for u in videre.get_units(ds, spikes_id=alone)}
    for unit in videre.get_units(whole, spikes_id=spikes):  # the gap is no time in which they were silent
        assert unit.spike_rate == pytest.approx(rates[unit.site_ntv_chan_idx], abs=2 / 6.0)
    for quality in videre.get_unit_quality(whole, spikes_id=spikes).units:
        assert quality.presence_ratio == 1
        assert quality.spike_rate_hz == pytest.approx(rates[quality.site_ntv_chan_idx], abs=2 / 6.0)
    for neuron in videre.get_spike_sorter_dashboard(spikes, ["neuron_stats"]).neurons:
        assert neuron.presence_ratio == 1
        assert neuron.spike_rate == pytest.approx(rates[neuron.ntv_chan_idx], abs=2 / 6.0)
    with pytest.raises(DataProcessingError, match="samples of the range are missing"):
        videre.spike_sort(whole, time_range=[20.0, 60.0], force=True)


def test_detect_only_tells_threshold_events_by_the_parameters_of_the_dataset(
    videre: VidereClient, ds: DatasetMetadata, folder: Path
) -> None:
    launch = SpikeSorterLaunchParams(dsource_id=ds.id, sub_cmd=SpikeSorterSubCommand.DETECT_ONLY)
    videre.spike_sort(launch, force=True)
    every = videre.get_spikes_by_channel(ds)
    counts = {ntv: len(found.timestamps) for ntv, found in every.items()}
    assert all(np.all(found.labels == 0) for found in every.values())
    assert sum(counts.values()) > 100
    busy = max(counts, key=lambda ntv: counts[ntv])
    videre.update_detect_params(ds.id, SpikeDetectParams(is_enabled=False), [busy])
    videre.set_detect_params(ds, SpikeDetectParams(thr=[-150.0, np.nan]), [i for i in range(16) if i != busy])
    params = videre.get_detect_params(ds.id, [busy, 1])
    assert params[busy].is_enabled is False
    assert params[1].thr is not None
    assert params[1].thr[0] == -150.0
    again = videre.spike_sort(launch, force=True)
    after = videre.get_spikes_by_channel(ds)
    assert busy not in after
    assert sum(len(found.timestamps) for found in after.values()) < sum(counts.values())
    board = videre.get_spike_sorter_dashboard(again).general
    assert board is not None
    assert (board.num_enabled_sites, board.num_total_sites, board.num_neurons) == (15, 16, 0)
    spec = videre.get_spikes_spec(ds, spikes_id=again)
    assert all(site.neg_threshold_uv == pytest.approx(-150.0) for site in spec.sites)


# --- sorters ---------------------------------------------------------------------------------------------------------


def test_a_sorter_that_waits_is_begun_changed_and_begun_again(
    videre: VidereClient, ds: DatasetMetadata, folder: Path
) -> None:
    before = names(folder)
    launched = videre.spike_sorter_launch(
        SpikeSorterLaunchParams(dsource_id=ds.id, is_auto_on=False, seed=1), time_range=[3.0, 7.0], force=True
    )
    sorter = launched.spike_sorter_id
    assert launched.sorter_type == SpikeSorterType.VEX_FILE
    state = videre.get_spike_sorter_state(sorter)
    assert (state.is_on, state.sys, state.msg) == (False, SpikeSorterStateSystem.OFF, "waits for ON")
    assert videre.get_spike_sorter_ids(ds) == [sorter]
    board = videre.get_spike_sorter_dashboard(sorter, ["general", "ENABLED_PORTS"])
    assert board.general is not None
    assert (board.general.num_total_sites, board.general.num_neurons) == (16, 0)
    assert board.general.time_range == (3.0, 7.0)
    assert board.enabled_ports == [Port.A]
    waiting = videre.get_spike_sorter_dashboard(sorter, ["port_stats", "site_stats", "neuron_stats"])
    assert (waiting.ports[0].num_enabled_sites, waiting.ports[0].num_spikes, waiting.neurons) == (16, 0, [])
    assert [s.ntv_chan_idx for s in waiting.sites] == list(range(16))
    assert names(folder) == before

    videre.spike_sorter_command(sorter, "on")
    assert videre.get_spike_sorter_state(sorter).is_on
    videre.spike_sorter_command(sorter, "ON")  # it is
    assert ended(videre, sorter) == SpikeSorterPhase.COMPLETE
    found = len(videre.get_units(ds, spikes_id=sorter))
    assert found == 3
    state = videre.get_spike_sorter_state(sorter)
    assert (state.frac_complete, state.sys, state.error_msg) == (1.0, SpikeSorterStateSystem.OFF, "")

    videre.spike_sorter_command(sorter, "rebase", clusterer_params=SpikeSorterClustererParams(disabled=True))
    assert ended(videre, sorter) == SpikeSorterPhase.COMPLETE
    with SpikeStore.open(folder / "rec_SIMULATED.spikes") as store:
        assert store.info.parameters["clusterer"] == "disabled"
    videre.update_detect_params(sorter, SpikeDetectParams(is_enabled=False), [0])
    videre.spike_sorter_command(sorter, "clear_sort")
    assert ended(videre, sorter) == SpikeSorterPhase.COMPLETE
    with SpikeStore.open(folder / "rec_SIMULATED.spikes") as store:
        assert store.info.parameters["ntv"] == list(range(1, 16))
        assert store.info.parameters["clusterer"] == "disabled"
    videre.spike_sorter_command(sorter, "init")
    assert not videre.get_spike_sorter_state(sorter).is_on
    assert videre.get_detect_params(sorter)[0].is_enabled is True
    videre.spike_sorter_command(sorter, "on", feature_params=SpikeSorterFeatureParams(num_features=4))
    assert ended(videre, sorter) == SpikeSorterPhase.COMPLETE
    with SpikeStore.open(folder / "rec_SIMULATED.spikes") as store:
        assert (store.info.parameters["clusterer"], store.info.parameters["latent_dim"]) == ("isosplit", 4)

    videre.spike_sorter_delete(sorter)
    assert (folder / "rec_SIMULATED.spikes").is_file()  # results stay
    assert videre.get_spike_sorter_state(sorter).phase == SpikeSorterPhase.COMPLETE  # the file tells
    videre.spike_sorter_delete("unknown")
    with pytest.raises(ConfigurationError, match="id of a sorter"):
        videre.spike_sorter_delete("")


def test_another_engine_knows_a_sort_by_its_file(made: Path, videre: VidereClient, folder: Path) -> None:
    shutil.copy(made / "rec_SIMULATED.spikes", folder)
    ds = videre.link_data_file(folder / "rec_SIMULATED.xdat")
    (sorter,) = videre.get_spike_sorter_ids(ds)
    assert videre.get_spike_sorter_state(sorter).phase == SpikeSorterPhase.COMPLETE
    board = videre.get_spike_sorter_dashboard(sorter).general
    assert board is not None
    assert (board.num_neurons, board.datasource_id, board.sort_efficiency) == (3, ds.id, 1.0)
    assert board.num_spikes_labeled == board.num_spikes_processed > 100
    whole = videre.get_spike_sorter_dashboard(sorter, ["port_stats", "site_panel", "neuron_panel", "ai"])
    (port,) = whole.ports
    assert (port.port, port.num_enabled_sites, port.num_neurons) == (Port.A, 16, 3)
    assert port.num_spikes == sum(s.num_spikes for s in whole.sites) == board.num_spikes_processed
    labels = {n.spike_label: n for n in whole.neurons}
    snrs = [n.snr for n in whole.neurons]
    assert (port.snr[0], port.snr[3], port.snr[4]) == pytest.approx((np.mean(snrs), min(snrs), max(snrs)))
    assert (port.snr[11], port.neuron_yield[11], port.neuron_yield[0]) == (3, 16, 3 / 16)
    assert sorted(label for s in whole.sites for label in s.neuron_labels) == sorted(labels)
    for unit in videre.get_units(ds, spikes_id=sorter):
        neuron = labels[str(unit.label)]
        assert (neuron.num_spikes, neuron.ntv_chan_idx) == (unit.spike_count, unit.site_ntv_chan_idx)
        assert neuron.snr == pytest.approx(unit.snr)
        assert max(map(abs, neuron.template_uv)) > 20
        assert 0 < neuron.presence_ratio <= 1
        assert neuron.quality in {"good", "mua", "pending", "noise"}
    plain = videre.get_spike_sorter_dashboard(sorter, ["site_stats", "neuron_stats"])
    assert not any(s.neuron_labels for s in plain.sites)
    assert not any(n.template_uv for n in plain.neurons)
    assert (plain.general, plain.ports, whole.dynamics) == (None, [], None)
    with pytest.raises(DatasetError, match="a cancelled one is forgotten"):
        videre.spike_sorter_command(sorter, "on")


@pytest.mark.parametrize(
    "phase", ["detecting", pytest.param("training", marks=pytest.mark.slow), "sorting", "finalizing"]
)
def test_a_sort_that_is_cancelled_in_any_phase_leaves_nothing(folder: Path, phase: str) -> None:
    before = names(folder)
    seen: list[str] = []

    def stop(progress: JobProgress) -> None:
        if phase not in seen:
            seen.append(progress.phase)
            if progress.phase == phase:
                raise KeyboardInterrupt

    with VidereClient(progress=stop) as videre:
        if phase == "finalizing":  # too short to be met by chance
            _cancel_while_writing(videre, folder)
            return
        with _phases_that_last(), pytest.raises(KeyboardInterrupt):
            videre.spike_sort(folder / "rec_SIMULATED.xdat")
        assert phase in seen
        assert names(folder) == before
        assert videre.jobs()[0].state == "cancelled"
        videre.spike_sort(folder / "rec_SIMULATED.xdat", time_range=[3.0, 5.5])  # and the next one can be


@contextmanager
def _phases_that_last() -> Iterator[None]:
    """A phase of this short recording may end before a client looks: stay a moment where one begins."""
    from ranvier.hub.sort_run import SortRun

    tell = SortRun._at
    begun: set[object] = set()

    def told(run: SortRun, job: JobContext, phase: SpikeSorterPhase, fraction: float, whole: float) -> None:
        tell(run, job, phase, fraction, whole)
        if phase not in begun:
            begun.add(phase)
            time.sleep(0.5)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SortRun, "_at", told)
        yield


def _cancel_while_writing(videre: VidereClient, folder: Path) -> None:
    from ranvier.hub import sort_run

    before = names(folder)
    write = sort_run.write_units

    def cancelled(*args: object, **named: object) -> None:
        write(*args, **named)  # type: ignore[arg-type]
        videre.cancel_job(videre.jobs()[0].id)

    with pytest.MonkeyPatch.context() as patch, VidereClient(progress=False) as quiet:
        patch.setattr(sort_run, "write_units", cancelled)
        with pytest.raises(JobCancelledError):
            quiet.spike_sort(folder / "rec_SIMULATED.xdat")
    assert names(folder) == before


def test_a_cancelled_sorter_is_forgotten(videre: VidereClient, ds: DatasetMetadata, folder: Path) -> None:
    before = names(folder)
    sorter = videre.spike_sorter_launch(ds).spike_sorter_id
    with pytest.raises(ConfigurationError, match="at work already"):
        videre.spike_sorter_launch(ds)
    videre.spike_sorter_cancel(sorter)
    assert names(folder) == before
    with pytest.raises(DatasetError, match="no sorter"):
        videre.get_spike_sorter_state(sorter)
    with pytest.raises(DatasetError, match="no sorter"):
        videre.spike_sorter_cancel(sorter)


def test_a_sort_without_progress_ends(
    videre: VidereClient, ds: DatasetMetadata, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ranvier.hub import sort_run

    def hangs(*args: object, cancelled: object, **named: object) -> None:
        while not cancelled():  # type: ignore[operator]
            time.sleep(0.01)
        raise JobCancelledError("cancelled")

    before = names(folder)
    monkeypatch.setattr(sort_run, "sort_recording", hangs)
    with pytest.raises(SortStalledError, match=r"no progress for 0\.5 s") as error:
        videre.spike_sort(ds, stall_sec=0.5)
    assert isinstance(error.value, TimeoutError)
    assert names(folder) == before
    with pytest.raises(ConfigurationError, match="stall_sec"):
        videre.spike_sort(ds, stall_sec=0.0)


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_command_that_is_refused_leaves_the_sorter_as_it_was(
    videre: VidereClient, ds: DatasetMetadata, folder: Path
) -> None:
    sorter = videre.spike_sort(
        SpikeSorterLaunchParams(dsource_id=ds.id, seed=1, sub_cmd=SpikeSorterSubCommand.DETECT_ONLY), channels=[0, 1]
    )
    before = videre.get_spike_sorter_state(sorter)
    assert (before.phase, before.msg) == (SpikeSorterPhase.COMPLETE, str(folder / "rec_SIMULATED.spikes"))
    for command in ("rebase", "clear_sort", "on"):
        with pytest.raises(OutputExistsError, match="force=True"):
            videre.spike_sorter_command(sorter, command)
        assert videre.get_spike_sorter_state(sorter) == before
    with VidereClient(address=f"embedded:{folder / 'another'}", progress=False) as other:
        (known,) = other.get_spike_sorter_ids(folder / "rec_SIMULATED.xdat")
        assert other.get_spike_sorter_state(known).msg == before.msg
    with pytest.raises(SignalSelectionError, match="no amplifier channel 99, 16; there are 16 from 0 to 15"):
        videre.get_detect_params(sorter, [0, 99, 16])


def test_nothing_is_overwritten_without_force(made: Path, videre: VidereClient, folder: Path) -> None:
    shutil.copy(made / "rec_SIMULATED.spikes", folder)
    before = (folder / "rec_SIMULATED.spikes").read_bytes()
    ds = videre.link_data_file(folder / "rec_SIMULATED.xdat")
    with pytest.raises(OutputExistsError, match="force=True replaces it"):
        videre.spike_sort(ds)
    with pytest.raises(OutputExistsError):
        videre.spike_sorter_launch(ds)
    assert (folder / "rec_SIMULATED.spikes").read_bytes() == before
    videre.label_units(ds, [1], "good")
    with pytest.raises(OutputExistsError, match="is there already, with 1 changes of its units by people; force=True"):
        videre.spike_sort(ds)
    with pytest.raises(OutputError, match="no folder"):
        videre.spike_sort(ds, output_path=folder / "nowhere" / "x")
    with pytest.raises(ConfigurationError, match="sink_dsrc_id"):
        videre.spike_sort(SpikeSorterLaunchParams(dsource_id=ds.id, sink_dsrc_id="../x"))


def test_arguments_that_cannot_be_meant(videre: VidereClient, ds: DatasetMetadata) -> None:
    def sort(**named: object) -> None:
        videre.spike_sort(SpikeSorterLaunchParams.model_validate({"dsource_id": ds.id, **named}))

    with pytest.raises(ConfigurationError, match="dsource_id is missing"):
        videre.spike_sort(SpikeSorterLaunchParams())
    with pytest.raises(DatasetError):
        videre.spike_sort("no such dataset")
    with pytest.raises(ConfigurationError, match="neighbor_radius_um is 0 to"):
        sort(neighbor_radius_um=-1.0)
    with pytest.raises(ConfigurationError, match="max_num_site_neighbors is 0 to"):
        sort(max_num_site_neighbors=100)
    with pytest.raises(ConfigurationError, match="eps must be positive"):
        sort(clusterer_params=SpikeSorterClustererParams(eps=-1.0))
    with pytest.raises(ConfigurationError, match="eps must be positive and finite, not inf"):
        sort(clusterer_params=SpikeSorterClustererParams(eps=float("inf")))
    for name in ("a\0b", "x" * 300, "  ", "late "):
        with pytest.raises(ConfigurationError, match="sink_dsrc_id="):
            sort(sink_dsrc_id=name)
    for path in ("", ".", "..", "a\0b"):
        with pytest.raises(ConfigurationError, match="names no output"):
            videre.spike_sort(ds, output_path=path)
    with pytest.raises(DatasetError, match="nothing_here"):  # one further recording needs no list
        videre.spike_sort(ds, jointly="nothing_here")
    with pytest.raises(ConfigurationError, match="num_features is 1 to 64"):
        sort(feature_params=SpikeSorterFeatureParams(num_features=0))
    with pytest.raises(ConfigurationError, match="waveforms, not spectra"):
        sort(feature_params=SpikeSorterFeatureParams(num_features=3, feature_type="SPD"))
    with pytest.raises(ConfigurationError, match="seed=-1"):
        sort(seed=-1)
    with pytest.raises(TimeRangeError):
        videre.spike_sort(ds, time_range=[100.0, 200.0])
    with pytest.raises(SignalSelectionError):
        videre.spike_sort(ds, channels=[99])
    with pytest.raises(ConfigurationError, match="below and above 0"):
        videre.update_detect_params(ds.id, SpikeDetectParams(thr_sd=[5.0, -5.0]), [0])
    with pytest.raises(ConfigurationError, match="ms instead of s"):
        videre.update_detect_params(ds.id, SpikeDetectParams(shadow=1.5), [0])
    for channels in ([99], [1.5], ["a"], 3):
        with pytest.raises(SignalSelectionError):
            videre.update_detect_params(ds.id, SpikeDetectParams(shadow=0.001), channels)  # type: ignore[arg-type]
    videre.update_detect_params(ds.id, SpikeDetectParams(is_enabled=False), range(16))
    with pytest.raises(ConfigurationError, match="every channel to sort is disabled"):
        videre.spike_sort(ds)


@pytest.mark.slow
def test_neighbours_in_either_spelling_reach_the_sorter(videre: VidereClient, ds: DatasetMetadata) -> None:
    def parameters(**named: object) -> dict[str, object]:
        launch = SpikeSorterLaunchParams.model_validate({"dsource_id": ds.id, **named})
        videre.spike_sort(launch, time_range=[3.0, 5.5], force=True)
        with SpikeStore.open(Path(ds.path) / "rec_SIMULATED.spikes") as store:
            return dict(store.info.parameters)

    assert parameters(neighbor_radius_um=110.0)["neighbor_radius_um"] == 110.0
    few = parameters(neighbor_radius_um=500.0, max_num_site_neighbors=2)  # sites are 50 um apart, in a row
    assert 50.0 < float(str(few["neighbor_radius_um"])) < 100.0
    old = videre.spike_sorter_launch(SpikeSorterLaunchParams(dsource_id=ds.id, nbr_pattern=2), force=True)
    assert "nbr_pattern has no meaning" in old.msg
    videre.spike_sorter_cancel(old.spike_sorter_id)


def test_spikes_without_waveforms_want_their_recording(made: Path, videre: VidereClient) -> None:
    spikes = videre.link_data_file(made / "rec_SIMULATED.spikes")
    with pytest.raises(CapabilityError, match=r"has no waveforms.*its recording is not linked; link it"):
        videre.spike_sort(spikes)


@pytest.mark.slow
def test_recordings_of_another_kind_do_not_go_together(videre: VidereClient, ds: DatasetMetadata, folder: Path) -> None:
    slow = videre.downsample(ds, 2, folder / "slow.xdat")
    with pytest.raises(ConfigurationError, match="cannot be concatenated"):
        videre.spike_sort(ds, jointly=[slow])
    videre.set_dsp_group(ds, stage="stage2", params=[DSPParams(type=DSPType.HIGHPASS, stage=1, freq=300.0)])
    part = videre.slice_time(ds, 3.0, 6.0, folder / "part.xdat")
    with pytest.raises(ConfigurationError, match="same stage-2 filters"):
        videre.spike_sort(ds, jointly=[part])
    very_slow = videre.downsample(slow, 4, folder / "very_slow.xdat")
    with pytest.raises(ConfigurationError, match="cannot be seen below"):
        videre.spike_sort(very_slow)


def test_spikes_of_another_recording_or_a_newer_version_are_not_taken_for_its_own(
    made: Path, videre: VidereClient, folder: Path
) -> None:
    from ranvier.spikes import container

    other = videre.simulate_recording(SPEC.model_copy(update={"seed": 9}), folder / "other_SIMULATED.xdat")
    shutil.copy(made / "rec_SIMULATED.spikes", folder / "other_SIMULATED.spikes")
    linked = videre.link_data_file(folder / "other_SIMULATED.xdat")
    assert [i for i in linked.associated_spikes_ids if not i.endswith("ground_truth")] == []
    assert any("another recording" in note for note in linked.notes)
    assert videre.get_spike_sorter_ids(other) == []
    broken = folder / "rec_SIMULATED.broken.spikes"
    for content in (b"", (made / "rec_SIMULATED.spikes").read_bytes()[:70], b"x" * 5000):
        broken.write_bytes(content)
        whole = videre.link_data_file(folder / "rec_SIMULATED.xdat", force=True)  # the recording is
        assert any(note.startswith("rec_SIMULATED.broken.spikes is not used: ") for note in whole.notes)
    broken.unlink()
    assert videre.link_data_file(folder / "rec_SIMULATED.xdat", force=True).notes == ()
    newer = folder / "newer.spikes"
    head = bytearray((made / "rec_SIMULATED.spikes").read_bytes())
    whole = container.file_head(container.VERSION + 1)
    newer.write_bytes(whole + bytes(head[len(whole) :]))
    with pytest.raises(CapabilityError, match="update Ranvier"):
        videre.link_data_file(newer)
