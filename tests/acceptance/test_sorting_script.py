"""A user sorts a recording at rest: the script of the guide, on a simulated recording whose truth is known."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ranvier import VidereClient
from ranvier.exceptions import OutputExistsError
from ranvier.models import (
    SimulationSpec,
    SpikeSorterClustererParams,
    SpikeSorterLaunchParams,
    SpikeSorterPhase,
    SpikeSorterState,
)
from ranvier.recordings import open_session

SPEC = SimulationSpec(
    duration_sec=12.0,
    start_sec=3.0,
    probe="a1x16_5mm50_177",
    num_units=4,
    amplitude_uv=(150.0, 300.0),
    rate_hz=(6.0, 12.0),
    burst_fraction=0.0,
    seed=4,
)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sorted")
    with VidereClient(address=f"embedded:{folder / 'home'}", progress=False) as videre:
        videre.simulate_recording(SPEC, folder / "rec_SIMULATED.xdat")
    return folder / "rec_SIMULATED.xdat"


def agreement(there: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float:
    hits = int((np.abs(there[:, None] - found).min(axis=1) < 0.0005).sum())
    return hits / (len(there) + len(found) - hits)


def test_sort_look_and_sort_again(recording: Path) -> None:
    seen: list[float] = []
    with VidereClient(progress=lambda p: seen.append(p.fraction)) as videre:
        ds = videre.link_data_file(recording)
        spikes_id = videre.spike_sort(SpikeSorterLaunchParams(dsource_id=ds.id, seed=1))

        assert (recording.parent / "rec_SIMULATED.spikes").is_file()
        assert spikes_id in videre.link_data_file(recording).associated_spikes_ids
        assert spikes_id in videre.list_data_source_ids()
        units = videre.get_units(ds, spikes_id=spikes_id)
        assert len(units) == 4
        assert seen == sorted(seen)
        assert seen[-1] == 1.0

        # every unit that was put there is found
        with open_session(recording) as session:
            truth = session.spike_trains["ground_truth"]
        found = videre.get_spikes_by_neuron(ds, spikes_id=spikes_id)
        for true in np.unique(truth.unit):
            there = truth.counter[truth.unit == true] / 30_000
            assert max(agreement(there, unit.timestamps) for unit in found.values()) > 0.9

        # a second sort takes nothing away
        with pytest.raises(OutputExistsError, match="force"):
            videre.spike_sort(ds)
        other = SpikeSorterLaunchParams(
            dsource_id=str(recording),
            sink_dsrc_id="dbscan",
            clusterer_params=SpikeSorterClustererParams(eps=10.0),
            seed=1,
        )
        sorter = videre.spike_sorter_launch(other).spike_sorter_id
        while (state := videre.get_spike_sorter_state(sorter)).is_on:
            assert isinstance(state, SpikeSorterState)
            time.sleep(0.05)
        assert state.phase == SpikeSorterPhase.COMPLETE
        assert state.error_msg == ""
        assert (recording.parent / "rec_SIMULATED.dbscan.spikes").is_file()
        assert set(videre.get_spike_sorter_ids(ds)) == {spikes_id, sorter}
        general = videre.get_spike_sorter_dashboard(sorter).general
        assert general is not None
        assert general.num_neurons > 0
        assert general.num_total_sites == 16
