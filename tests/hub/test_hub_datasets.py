"""Linking, ids, selection, groups, probes, filters: what a hub remembers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ranvier import CurateClient, VidereClient, connect
from ranvier.exceptions import (
    CapabilityError,
    ClientClosedError,
    ConfigurationError,
    FilterDesignError,
    ProbeError,
    ServerDiscoveryError,
    SignalSelectionError,
)
from ranvier.models import SignalType
from ranvier.models.simulation import SimulationSpec


@pytest.fixture
def videre():
    with VidereClient() as client:
        yield client


@pytest.fixture
def dataset(videre: VidereClient, tmp_path: Path):
    return videre.simulate_recording(SimulationSpec(duration_sec=1.0), tmp_path / "rec_SIMULATED")


def restart() -> None:
    """Forget everything in memory, as a new process would."""
    connect.close_embedded_hubs()


def test_ids_are_stable_and_force_counts(videre, dataset) -> None:
    path = Path(dataset.path) / dataset.base_name
    assert videre.link_data_file(path).id == dataset.id
    assert dataset.id.startswith("rec_SIMULATED_-_")
    assert videre.link_data_file(path, force=True).id == f"{dataset.id}.2"
    restart()
    with VidereClient() as later:
        assert later.list_data_source_ids() == []
        assert later.link_data_file(path).id == dataset.id


def test_an_id_of_an_earlier_session_opens_on_demand(dataset) -> None:
    restart()
    with CurateClient() as later:
        again = later.get_signals(dataset.id, [10.0, 10.1])
        assert again.amp is not None
        assert again.amp.shape == (64, 3000)


def test_simulated_data_says_so_everywhere(videre, dataset, tmp_path: Path) -> None:
    assert dataset.simulated
    assert "SIMULATED" in repr(dataset)
    unmarked = videre.simulate_recording(SimulationSpec(duration_sec=0.2), tmp_path / "plain")
    assert unmarked.base_name == "plain_SIMULATED"
    assert videre.car(dataset, tmp_path / "derived").simulated


def test_selection_lasts_and_selected_reads_it(videre, dataset) -> None:
    videre.set_selected_channels(dataset, [3, 1, 2])
    videre.deselect_channels(dataset, [2])
    after = videre.select_channels(dataset, {"amp": [7]})
    assert after.channel_metadata.selected_sig_map[SignalType.AMP].ntv == [1, 3, 7]
    assert after.channel_metadata.selected_num_channels[SignalType.DIN] == 2
    restart()
    with VidereClient() as later:
        read = later.get_signals(dataset, [10.0, 10.01], {"amp": "selected"})
        assert read.amp is not None
        assert read.amp.shape == (3, 300)
        everything = later.get_signals(dataset, [10.0, 10.01]).amp
        np.testing.assert_array_equal(read.amp, everything[[1, 3, 7]])
    with pytest.raises((SignalSelectionError, ValueError), match="999"), VidereClient() as later:
        later.set_selected_channels(dataset, [999])


def test_groups_color_their_channels_only(videre, dataset) -> None:
    grouped = videre.set_channel_groups(dataset, [[0, 1], [5]])
    colors = grouped.channel_metadata.color_group_idxs[SignalType.AMP]
    assert colors[:2] == [0, 0]
    assert colors[5] == 1
    assert len(set(colors)) == 3
    with pytest.raises(SignalSelectionError, match="once"):
        videre.set_channel_groups(dataset, [[0], [0]])


def test_rows_come_in_request_order(videre, dataset) -> None:
    whole = videre.get_signals(dataset, [10.0, 10.05])
    some = videre.get_signals(dataset, [10.0, 10.05], {"amp": [9, 2], "din": "all", "ain": [1]})
    np.testing.assert_array_equal(some.amp, whole.amp[[9, 2]])
    assert some.gpio_din.shape == (2, 1500)
    assert set(np.unique(some.gpio_din)) <= {0.0, 1.0}
    assert some.gpio_ain.shape == (1, 1500)
    assert some.gpio_dout is None
    memory = {"amp": np.empty((2, 1500))}
    again = videre.get_signals(dataset, [10.0, 10.05], [9, 2], out=memory)
    assert again.amp is memory["amp"]


def test_lookback_and_edges(videre, dataset) -> None:
    last = videre.get_signals(dataset, [0.25, float("nan")])
    assert last.time_range.sec == pytest.approx((10.75, 11.0))
    assert last.amp.shape == (64, 7500)


def test_dsp_group_filters_reads_and_nothing_else(videre, dataset) -> None:
    from scipy.signal import butter, sosfilt

    raw = videre.get_signals(dataset).amp
    videre.set_dsp_group(dataset, stage="stage2", params=[{"type": "highpass", "freq": 300.0}])
    assert videre.get_dsp_group(dataset).software_stage2[0].freq == 300.0
    np.testing.assert_array_equal(videre.get_signals(dataset).amp, raw)
    expected = sosfilt(butter(4, 300, "highpass", fs=30000, output="sos"), raw, axis=1)
    part = videre.get_signals(dataset, [10.4, 10.6], apply_dsp=True).amp
    np.testing.assert_allclose(part, expected[:, 12000:18000], atol=1e-3)
    videre.set_dsp_group(dataset, stage="stage2", params=[])
    np.testing.assert_array_equal(videre.get_signals(dataset, apply_dsp=True).amp, raw)


def test_dsp_groups_that_cannot_be(videre, dataset) -> None:
    with pytest.raises(CapabilityError, match="stage2"):
        videre.set_dsp_group(dataset, stage="stage1", params=[{"type": "car"}])
    with pytest.raises(FilterDesignError, match="Nyquist"):
        videre.set_dsp_group(dataset, stage="stage2", params=[{"type": "lowpass", "freq": 20000.0}])
    with pytest.raises(ConfigurationError, match="freq"):
        videre.set_dsp_group(dataset, stage="stage2", params=[{"type": "lowpass"}])
    with pytest.raises(CapabilityError, match="zero_phase"):
        videre.set_dsp_group(dataset, stage="stage2", params=[{"type": "lowpass", "freq": 200.0, "zero_phase": True}])


def test_probe_by_name_lasts(videre, samples: Path) -> None:
    intan = samples / "intan" / "sampledata.rhd"
    ds = videre.link_data_file(intan)
    assert ds.channel_metadata.geometry_source == "assumed"
    placed = videre.set_probe(ds, "a4x8_5mm100_200_177")
    assert placed.channel_metadata.wiring_verified is False
    assert len({round(s.probe_x) for s in placed.channel_metadata.site_positions}) == 4
    restart()
    with VidereClient() as later:
        again = later.link_data_file(intan)
        assert again.channel_metadata.site_positions == placed.channel_metadata.site_positions
        with pytest.raises(ProbeError, match="16"):
            later.set_probe(again, "v1x16_edge_10mm200_177")


def test_a_probe_that_nobody_knows_is_told_where_the_files_own_wins_too(videre, dataset) -> None:
    assert dataset.channel_metadata.geometry_source == "file"
    with pytest.raises(ProbeError, match="no such thing"):
        videre.set_probe(dataset, "no such thing")
    with pytest.raises(ProbeError, match="no such stage"):
        videre.set_probe(dataset, "a4x8_5mm100_200_177", headstage="no such stage")
    kept = videre.set_probe(dataset, "a4x8_5mm100_200_177")
    assert kept.channel_metadata.site_positions == dataset.channel_metadata.site_positions


def test_clear_takes_what_this_client_linked(videre, dataset, tmp_path: Path) -> None:
    with VidereClient() as other:
        mine = other.simulate_recording(SimulationSpec(duration_sec=0.2), tmp_path / "mine_SIMULATED")
        assert other.clear_data_sources([]) == [mine.id]
        assert other.list_data_source_ids() == [dataset.id]
    assert Path(mine.path, "mine_SIMULATED.xdat.json").exists()


def test_a_replaced_file_is_read_afresh(videre, dataset, tmp_path: Path) -> None:
    derived = videre.car(dataset, tmp_path / "again")
    first = videre.get_signals(derived).amp
    videre.highpass(dataset, 1000, tmp_path / "again", force=True)
    assert not np.array_equal(videre.get_signals(derived.id).amp, first)


def test_addresses() -> None:
    with pytest.raises(ServerDiscoveryError, match="nowhere"):
        VidereClient(address="nowhere:1234")
    client = VidereClient(address="embedded")
    client.close()
    with pytest.raises(ClientClosedError, match="closed"):
        client.list_data_source_ids()


def test_address_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "RANVIER_ADDRESS", "nowhere:1")
    with pytest.raises(ServerDiscoveryError):
        VidereClient()
    assert VidereClient(embedded=True).list_data_source_ids() == []
