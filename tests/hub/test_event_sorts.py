"""Spikes that were detected before get units: of a detection whose recording is there, and of waveforms alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ranvier import VidereClient
from ranvier.exceptions import CapabilityError, ConfigurationError, OutputExistsError
from ranvier.models import (
    DashElement,
    SimulationSpec,
    SpikeSorterClustererParams,
    SpikeSorterLaunchParams,
    SpikeSorterPhase,
    SpikeSorterSubCommand,
    SpikeSorterType,
)
from ranvier.simulation import SimulatedRecording
from ranvier.spikes import SpikeStore
from ranvier.spikes.columns import SNIPPETS
from ranvier.spikes.waveforms import WaveformReader
from ranvier.spikes.writer import SpikeWriter

SPEC = SimulationSpec(
    duration_sec=10.0, start_sec=1.0, probe="a1x16_5mm50_177", num_units=4, amplitude_uv=(120.0, 300.0),
    rate_hz=(12.0, 20.0), burst_fraction=0.0, seed=6,
)  # fmt: skip


@pytest.fixture(scope="module")
def detected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a recording and its threshold events."""
    folder = tmp_path_factory.mktemp("detected")
    with VidereClient(address=f"embedded:{folder / 'home'}", progress=False) as videre:
        ds = videre.simulate_recording(SPEC, folder / "rec_SIMULATED.xdat")
        asked = SpikeSorterLaunchParams(dsource_id=ds.id, seed=1, sub_cmd=SpikeSorterSubCommand.DETECT_ONLY)
        videre.spike_sort(asked)
    return folder


@pytest.fixture
def alone(detected: Path, tmp_path: Path) -> Path:
    """Return the same events as a file of their own, waveforms stored, nothing said of a recording."""
    with (
        VidereClient(address=f"embedded:{detected / 'home'}", progress=False) as videre,
        SpikeStore.open(detected / "rec_SIMULATED.spikes") as store,
    ):
        videre.link_data_file(detected / "rec_SIMULATED.xdat")
        found = store.select(columns=("site", "amplitude_uv", "flags"))
        reader = WaveformReader(SimulatedRecording(SPEC), store.info)
        cut = reader.read_own(found.samples, found.sites.astype(np.int64))
        cut[3, :5] = np.nan  # a waveform that is not whole
        info = replace(store.info, waveforms="stored", recording=None, filters=())
    with SpikeWriter(tmp_path / "alone.spikes", info) as writer:
        writer.append(**{**found.columns, SNIPPETS: cut[:, None]})
    return tmp_path / "alone.spikes"


def accuracy(path: Path) -> list[float]:
    """Return the accuracy of the best unit for each neuron of the simulation."""
    truth = SimulatedRecording(SPEC).ground_truth(30_000 + 3000, 330_000 - 3000)
    with SpikeStore.open(path) as store:
        found = store.select()
    best = []
    for unit in np.unique(truth.unit):
        true = truth.counter[truth.unit == unit]
        scores = []
        for label in np.unique(found.units[found.units > 0]):
            own = found.samples[found.units == label]
            own = own[(own >= 33_000) & (own < 327_000)]
            hits = int((np.abs(own[:, None] - true[None]).min(axis=1) <= 12).sum()) if len(own) else 0
            scores.append(hits / (len(true) + len(own) - min(hits, len(true))))
        best.append(max(scores, default=0.0))
    return best


def test_threshold_events_of_a_recording_get_units(detected: Path) -> None:
    with VidereClient(address=f"embedded:{detected / 'home'}", progress=False) as videre:
        ds = videre.link_data_file(detected / "rec_SIMULATED.xdat")
        events = videre.link_data_file(detected / "rec_SIMULATED.spikes")
        launched = videre.spike_sorter_launch(SpikeSorterLaunchParams(dsource_id=events.id, seed=3, is_auto_on=False))
        assert launched.sorter_type == SpikeSorterType.SPIKES_FILE
        board = videre.get_spike_sorter_dashboard(launched.spike_sorter_id, [DashElement.GENERAL])
        assert board.general is not None
        assert board.general.sorter_type == SpikeSorterType.SPIKES_FILE
        (spikes,) = [videre.spike_sort(SpikeSorterLaunchParams(dsource_id=events.id, seed=3))]
        assert videre.get_spike_sorter_state(spikes).phase == SpikeSorterPhase.COMPLETE
        done = videre.get_spike_sorter_dashboard(spikes, [DashElement.GENERAL]).general
        assert done is not None
        assert (done.sorter_type, done.num_neurons >= 4) == (SpikeSorterType.SPIKES_FILE, True)
        assert spikes in videre.link_data_file(detected / "rec_SIMULATED.xdat").associated_spikes_ids
        assert len(videre.get_units(ds, spikes_id=spikes)) >= 4
        with pytest.raises(OutputExistsError):
            videre.spike_sort(SpikeSorterLaunchParams(dsource_id=events.id, seed=3))
    path = detected / "rec_SIMULATED.sorted.spikes"
    assert np.mean(np.array(accuracy(path)) > 0.85) >= 0.75
    with SpikeStore.open(path) as store, SpikeStore.open(detected / "rec_SIMULATED.spikes") as source:
        np.testing.assert_array_equal(store.select().samples, source.select().samples)
        assert store.info.sorter == "ranvier detected spikes"
        assert store.info.uid != source.info.uid
        for unit, record in store.units.items():
            found = store.select(columns=("unit", "site", "amplitude_uv"))
            own = found.units == unit
            assert set(found.sites[own]) == {record.site}
            mean = np.abs(found.columns["amplitude_uv"][own]).mean()
            assert record.mean_abs_peak_uv == pytest.approx(mean, rel=1e-4)


def test_stored_waveforms_are_enough_and_a_seed_repeats(alone: Path) -> None:
    with VidereClient(address=f"embedded:{alone.parent / 'home'}", progress=False) as videre:
        events = videre.link_data_file(alone)
        for name in ("a", "b"):
            videre.spike_sort(SpikeSorterLaunchParams(dsource_id=events.id, seed=3, sink_dsrc_id=name))
        whole = SpikeSorterClustererParams(disabled=True)
        videre.spike_sort(
            SpikeSorterLaunchParams(dsource_id=events.id, seed=3, sink_dsrc_id="sites", clusterer_params=whole)
        )
    results = []
    for name in ("a", "b"):
        with SpikeStore.open(alone.with_name(f"alone.{name}.spikes")) as store:
            results.append(store.select(columns=("unit", SNIPPETS)))
    np.testing.assert_array_equal(results[0].units, results[1].units)
    assert results[0].units[3] == 0  # its waveform was not whole
    assert len(results[0].columns[SNIPPETS]) == len(results[0].units)
    assert np.mean(np.array(accuracy(alone.with_name("alone.a.spikes"))) > 0.85) >= 0.75
    with SpikeStore.open(alone.with_name("alone.sites.spikes")) as store:
        assert len(store.units) == len({record.site for record in store.units.values()})


def test_what_cannot_be_sorted_is_refused(alone: Path, detected: Path, tmp_path: Path) -> None:
    with SpikeStore.open(alone) as store:
        info = store.info
    with SpikeWriter(tmp_path / "none.spikes", replace(info, waveforms="none")) as writer:
        writer.append(sample_index=np.arange(100) * 300 + info.start)
    with VidereClient(address=f"embedded:{tmp_path / 'home'}", progress=False) as videre:
        none, events = videre.link_data_file(tmp_path / "none.spikes"), videre.link_data_file(alone)
        with pytest.raises(CapabilityError, match="no waveforms"):
            videre.spike_sort(SpikeSorterLaunchParams(dsource_id=none.id))
        asked = SpikeSorterLaunchParams(dsource_id=events.id, sub_cmd=SpikeSorterSubCommand.DETECT_ONLY)
        with pytest.raises(ConfigurationError, match="detected already"):
            videre.spike_sort(asked)
        with pytest.raises(CapabilityError, match="as a whole"):
            videre.spike_sort(events, channels=[0])
