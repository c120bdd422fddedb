"""Spikes of real files, in a hub of another process, of a writer that was killed, and as pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from spike_tools import FS, columns

from ranvier import VidereClient
from ranvier.exceptions import CapabilityError, ConfigurationError, DatasetError, ProbeError
from ranvier.models import RadiensFileType, SimulationSpec
from ranvier.recordings import open_session
from ranvier.spikes import SiteRecord, SpikeStore, StoreInfo, UnitRecord, recover, write_store
from ranvier.transport import end_process

WRITER = """
import sys, os, signal
from fractions import Fraction
import numpy as np
from ranvier.spikes import SpikeWriter, StoreInfo
writer = SpikeWriter(sys.argv[1], StoreInfo(Fraction(30000)), live=True, flush_sec=0)
for k in range(10**6):
    writer.append(sample_index=np.arange(100) + 100 * k, unit=np.full(100, 1 + k % 3), site=np.full(100, k % 5))
    print(100 * (k + 1), flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_writer_leaves_what_it_flushed(tmp_path: Path) -> None:
    path = tmp_path / "k.spikes"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = 0
    for _ in range(40):
        told = int(process.stdout.readline())
    process.kill()
    told = max([told, *map(int, process.stdout.read().split())])
    process.stdout.close()
    process.wait()
    store = SpikeStore.open(path)
    assert len(store) >= told
    np.testing.assert_array_equal(store.select().samples, np.arange(len(store)))
    found = len(store)
    recover(path)
    again = SpikeStore.open(path)
    assert (again.finished, len(again)) == (True, found)
    np.testing.assert_array_equal(again.unit_samples(2), store.unit_samples(2))
    assert [p.name for p in tmp_path.iterdir()] == ["k.spikes"]


def test_a_hub_in_another_process(tmp_path: Path) -> None:
    home = tmp_path / "state"
    try:
        with VidereClient(address=f"process:{home}", progress=False) as videre:
            spec = SimulationSpec(duration_sec=2.0, num_units=3, seed=2)
            ds = videre.simulate_recording(spec, tmp_path / "rec")
            videre.convert_spikes(ds)
            assert len(videre.get_spikes_ids(ds)) == 2
            by_neuron = videre.get_spikes_by_neuron(ds, include_waveforms=True)
            assert all(n.waveforms is not None and len(n.waveforms) == len(n.timestamps) for n in by_neuron.values())
            assert set(videre.get_spikes_by_channel(ds, [1, 2])) == {1, 2}
            assert [u.label for u in videre.get_units(ds)] == [2, 3]
            assert videre.get_spikes_spec(ds).num_neurons == 2
            n = videre.get_units(ds)[0].spike_count
            assert videre.split_unit(ds, 2, np.arange(n) % 2) == [4, 5]
            assert videre.get_unit_quality(ds).to_dataframe().index.tolist() == [3, 4, 5]
            assert videre.get_correlograms(ds).counts.shape == (3, 3, 100)
            with pytest.raises(DatasetError, match="no unit 2; there are 3-5"):
                videre.get_unit_waveforms(ds, 2)
            assert [e.action for e in videre.get_curation_log(ds)] == ["split"]
    finally:
        end_process("hub", home)


def test_a_spikes_file_is_a_format(tmp_path: Path) -> None:
    info = StoreInfo(FS, start=1000, stop=301_000, sites=tuple(SiteRecord(i, 0.0, 20.0 * i) for i in (0, 1, 5)))
    path = write_store(tmp_path / "a", info, columns(500))
    with open_session(path) as session:
        assert (session.file_type, session.format) == (RadiensFileType.SPIKES, "Ranvier spikes")
        trains = session.spike_trains["spikes"]
        np.testing.assert_array_equal(trains.counter, columns(500)["sample_index"])
        assert session.channels is not None
        assert [c.ntv for c in session.channels] == [0, 1, 5]
    with open_session(tmp_path / "a", RadiensFileType.SPIKES) as session:
        assert session.path == path
    (tmp_path / "oe.spikes").write_bytes(b"header.format = 'Open Ephys Data Format'; " + bytes(2000))
    with pytest.raises(OSError, match=r"oe\.spikes"):
        open_session(tmp_path / "oe.spikes")


def test_pictures_show_what_was_asked(tmp_path: Path) -> None:
    info = StoreInfo(FS, start=1000, stop=301_000, sites=tuple(SiteRecord(i, 0.0, 20.0 * i) for i in range(8)))
    units = [UnitRecord(u, site=u) for u in range(1, 6)]
    path = write_store(tmp_path / "p", info, columns(500), units=units)
    with VidereClient(progress=False) as videre:
        ds = videre.link_data_file(path)
        raster = videre.get_spike_raster(ds)
        ax = raster.plot()
        assert [t.get_text() for t in ax.get_yticklabels()] == ["0", "1", "2", "3", "4", "5"]
        assert sum(len(c.get_offsets()) for c in ax.collections) == 500
        assert raster.plot(by="y_um").get_ylabel() == "µm from the tip"
        with pytest.raises(ConfigurationError, match="rows are unit, site, y_um"):
            raster.plot(by="colour")
        found = videre.get_correlograms(ds)
        assert len(found.plot().get_yticks()) == 5
        assert "around spikes of unit 2" in found.plot(units=(2, 4)).get_title()
        neurons = videre.get_neurons(ds).plot(ds)
        assert sorted(t.get_text() for t in neurons.texts) == ["1", "2", "3", "4", "5"]
        with pytest.raises(CapabilityError, match="stored without waveforms"):
            videre.get_unit_waveforms(ds, 1)
        bare = write_store(tmp_path / "bare", StoreInfo(FS), {"sample_index": [1], "unit": [1]})
        with pytest.raises(ProbeError):
            videre.get_neurons(videre.link_data_file(bare)).plot()


def test_the_spikes_of_a_phy_folder(samples: Path, tmp_path: Path) -> None:
    """15 real units of a Kilosort 2 sorting; the numbers are those of its arrays."""
    folder = next((p.parent for p in (samples / "kilosort_bombcell_toy").rglob("spike_times.npy")), None)
    if folder is None:
        pytest.skip("no sample Kilosort output")
    times, clusters = (np.load(folder / f"spike_{n}.npy").ravel() for n in ("times", "clusters"))
    with VidereClient(progress=False) as videre:
        ds = videre.link_data_file(folder)
        assert ds.associated_spikes_ids == [f"{ds.id}_phy"]
        shift = 1 if clusters.min() == 0 else 0
        counts = {u.label: u.spike_count for u in videre.get_units(ds)}
        assert counts == {int(c) + shift: int(n) for c, n in zip(*np.unique(clusters, return_counts=True), strict=True)}
        made = videre.convert_spikes(ds, tmp_path / "imported")
        assert {u.label: u.spike_count for u in videre.get_units(made)} == counts
        np.testing.assert_array_equal(SpikeStore.open(tmp_path / "imported.spikes").select().samples, np.sort(times))
        first = min(counts)
        new = videre.merge_units(made, [first, first + 1]) if first + 1 in counts else 0
        assert new == max(counts) + 1 or not new


def test_the_snippets_of_a_nev_file(samples: Path) -> None:
    found = next(iter(sorted(samples.rglob("*.nev"))), None)
    if found is None:
        pytest.skip("no sample NEV")
    with open_session(found) as session:
        trains = next(iter(session.spike_trains.values()))
        streams = list(session.streams)
    with VidereClient(progress=False) as videre:
        ds = videre.link_data_file(f"{found}#{streams[0]}" if len(streams) > 1 else found)
        last_sec = trains.counter[-1] / 30_000
        assert videre.get_spikes_spec(ds).spike_time_range[1] == pytest.approx(last_sec, abs=0.001)
        assert videre.get_units(ds)[1].spike_rate > 0.1
        assert trains.waveforms is not None
        (info,) = (n for f in videre.get_neurons(ds).neurons_by_channel.values() for n in f if n.spike_label == "2")
        snippets = trains.waveforms[trains.unit == 2][:100]
        assert info.mean_abs_peak_wfm == pytest.approx(np.abs(snippets).max(axis=(1, 2)).mean(), rel=1e-5)
        by_channel = videre.get_spikes_by_channel(ds, include_waveforms=True)
        assert sum(len(c.timestamps) for c in by_channel.values()) == len(trains)
        one = next(c for c in by_channel.values() if len(c.timestamps))
        assert trains.waveforms is not None
        assert one.waveforms is not None
        mask = trains.site == one.ntv_chan_idx
        stored = trains.waveforms[mask]
        np.testing.assert_array_equal(one.waveforms, stored[:, 0] if stored.shape[1] == 1 else stored)
