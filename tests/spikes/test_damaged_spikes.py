"""Damage is told to whoever uses the spikes, and never carried into another file in silence."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from spike_tools import FS, columns

from ranvier import VidereClient
from ranvier.exceptions import OutputError, RecordingError
from ranvier.models import SimulationSpec
from ranvier.spikes import SpikeStore, SpikeWriter, StoreInfo, UnitRecord, file, recover, write_store
from ranvier.spikes.file import SpikesFile
from ranvier.spikes.lock import WriterLock

Given = dict[str, npt.NDArray[Any]]


def flipped(path: Path, kind: str, at: int) -> None:
    """Flip one bit of the body of a chunk."""
    chunk = next(c for c in SpikesFile(path)._chunks if c.kind == kind)
    content = bytearray(path.read_bytes())
    content[chunk.body + at] ^= 1
    path.unlink()  # who has the old file open keeps it
    path.write_bytes(content)


def test_a_recording_tells_what_its_spikes_lost(tmp_path: Path) -> None:
    with VidereClient(progress=False) as videre:
        ds = videre.simulate_recording(SimulationSpec(duration_sec=3.0, num_units=3, seed=2), tmp_path / "rec")
        videre.convert_spikes(ds)
        whole = len(videre.get_spike_raster(ds).sec)
        assert videre.link_data_file(ds.base_path).notes == ds.notes
    path = tmp_path / "rec_SIMULATED.spikes"
    spikes = next(c for c in SpikesFile(path)._chunks if c.kind == "SPKS")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: spikes.stop - 1])  # a copy that was broken off
    with VidereClient(progress=False) as videre:
        ds = videre.link_data_file(tmp_path / "rec_SIMULATED.xdat.json")
        assert whole > 0
        assert len(videre.get_spike_raster(ds).sec) == 0
        assert any("rec_SIMULATED.spikes: the last" in note and "left out" in note for note in ds.notes)
        assert any("rec_SIMULATED.spikes: it was not finished" in note for note in ds.notes)


def test_damaged_columns_are_told_and_not_exported(tmp_path: Path, spikes: Given, info: StoreInfo) -> None:
    path = write_store(tmp_path / "a", info, spikes, units=[UnitRecord(1, site=1)])
    flipped(path, "SPKS", 8 * 1000)
    store = SpikeStore.open(path)
    assert len(store) == len(spikes["unit"])
    assert any("SPKS" in note and "some of its spikes are wrong" in note for note in store.notes)
    with VidereClient(progress=False) as videre:
        ds = videre.link_data_file(path)
        assert any("some of its spikes are wrong" in note for note in ds.notes)
        for kind in ("phy", "nwb", "unitmatch"):
            with pytest.raises(RecordingError, match=r"SPKS at .* damaged.*convert_spikes"):
                videre.export_spikes(ds, tmp_path / kind, kind)
        made = videre.convert_spikes(ds, tmp_path / "b")
        assert any("a.spikes" in note and "some of its spikes are wrong" in note for note in made.notes)
    assert SpikesFile(tmp_path / "b.spikes").damage() != []


def test_damage_of_a_large_file_is_found_when_it_is_read_whole(
    tmp_path: Path, spikes: Given, info: StoreInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "CHECKED_BYTES", 1000)
    path = write_store(tmp_path / "a", info, spikes)
    with VidereClient(progress=False) as videre:
        ds = videre.link_data_file(path)
        assert videre.convert_spikes(ds, tmp_path / "sound").notes == ds.notes
    flipped(path, "SPKS", 8 * 1000)
    with VidereClient(progress=False) as videre:
        ds = videre.link_data_file(path, force=True)
        made = videre.convert_spikes(ds, tmp_path / "b")
        assert any("some of its spikes are wrong" in note for note in made.notes)
        with pytest.raises(RecordingError, match="damaged"):
            videre.export_spikes(ds, tmp_path / "x", "phy")


def test_an_index_that_leads_elsewhere(tmp_path: Path) -> None:
    with VidereClient(progress=False) as videre:
        ds = videre.simulate_recording(SimulationSpec(duration_sec=3.0, num_units=3, seed=2), tmp_path / "rec")
        videre.convert_spikes(ds)
    path = tmp_path / "rec_SIMULATED.spikes"
    columns = next(c for c in SpikesFile(path)._chunks if c.kind == "SPKS")
    flipped(path, "SPKS", columns.arrays["unit"].offset + 1)  # a unit above 256, which the index does not have
    with VidereClient(progress=False) as videre:
        ds = videre.link_data_file(tmp_path / "rec_SIMULATED.xdat.json")
        with pytest.raises(RecordingError, match="is damaged: its index"):
            videre.get_spikes_by_neuron(ds, include_waveforms=True)


def test_a_damaged_index_is_made_anew(tmp_path: Path, spikes: Given, info: StoreInfo) -> None:
    path = write_store(tmp_path / "a", info, spikes)
    for at in (0, 128, 400):
        flipped(path, "INDX", at)
        store = SpikeStore.open(path)
        for unit in range(1, 6):
            np.testing.assert_array_equal(store.unit_samples(unit), spikes["sample_index"][spikes["unit"] == unit])
        assert any("INDX" in note and "left out" in note for note in store.notes)
        flipped_back = write_store(path, info, spikes, force=True)
        assert SpikeStore.open(flipped_back).notes == ()


def test_a_file_copied_over_another_is_another(tmp_path: Path, info: StoreInfo) -> None:
    """``cp`` writes into the file that is there: same name, same inode, and more bytes."""
    few, many = columns(100), columns(3000, seed=9)
    path = write_store(tmp_path / "a", StoreInfo(FS), few)
    store = SpikeStore.open(path)
    np.testing.assert_array_equal(store.select().samples, few["sample_index"])
    other = write_store(tmp_path / "b", StoreInfo(FS), many)
    shutil.copyfile(other, path)
    store = store.renewed()
    np.testing.assert_array_equal(store.select().samples, many["sample_index"])
    assert store.notes == ()


def test_what_was_lost_is_told_after_a_recovery(tmp_path: Path, info: StoreInfo) -> None:
    writer = SpikeWriter(tmp_path / "k", info, live=True, flush_sec=0)
    for k in range(3):
        writer.append(sample_index=np.arange(10) + 10 * k, unit=np.ones(10, int))
    writer.abort()
    flipped(writer.path, "SPKS", 5)  # the first of three
    recover(writer.path)
    store = SpikeStore.open(writer.path)
    assert (store.finished, len(store)) == (True, 20)
    assert any("SPKS" in note and "left out" in note for note in store.notes)
    assert any("its writer was ended" in note for note in store.notes)


def test_units_of_a_killed_writer_are_on_their_sites(tmp_path: Path, info: StoreInfo) -> None:
    """A live sorter describes its units when the recording ends; what was killed before then did not."""
    writer = SpikeWriter(tmp_path / "k", info, live=True, flush_sec=0)
    for k in range(3):
        writer.append(sample_index=np.arange(4) + 10 * k, unit=[1, 2, 1, 0], site=[4, 6, 4 if k else 5, 7])
    writer.abort()
    for _ in range(2):  # as it was left, and finished
        store = SpikeStore.open(writer.path)
        assert {u.unit: u.site for u in store.units.values()} == {1: 4, 2: 6}
        recover(writer.path)


def test_one_of_many_threads_writes(tmp_path: Path) -> None:
    path, held, refused = tmp_path / "a.spikes", [], []
    ready = threading.Barrier(8)

    def take() -> None:
        ready.wait()
        try:
            held.append(WriterLock(path))
        except OutputError:
            refused.append(1)

    for _ in range(20):
        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(held), len(refused)) == (1, 7)
        held.pop().release()
        refused.clear()


def test_a_lock_that_was_taken_away_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever held the lock removes its file between our opening it and our locking it: ours would exclude nobody."""
    from ranvier import _platform

    path, lock = tmp_path / "a.spikes", tmp_path / ".a.spikes.lock"
    real, taken = _platform.try_lock, []

    def late(handle: Any) -> bool:
        if not taken:
            lock.unlink()
        taken.append(handle)
        return real(handle)

    monkeypatch.setattr(_platform, "try_lock", late)
    mine = WriterLock(path)
    assert len(taken) == 2
    assert lock.exists()
    mine.release()
    assert not lock.exists()


def test_the_board_of_spikes_that_are_alone(tmp_path: Path) -> None:
    path = write_store(tmp_path / "one", StoreInfo(FS), {"sample_index": [5, 900], "unit": [3, 3], "site": [2, 2]})
    with VidereClient(progress=False) as videre:
        ds = videre.link_data_file(path)
        (neuron,) = videre.get_spike_sorter_dashboard(ds.id, ["neuron_stats"]).neurons
        assert (neuron.spike_label, neuron.num_spikes) == ("3", 2)


def test_the_board_counts_whole_bins_as_presence_does(tmp_path: Path) -> None:
    samples = [int(sec * FS) for sec in (0, 5, 25, 39)]  # three bins of 10 s, and one that has only begun
    path = write_store(tmp_path / "one", StoreInfo(FS), {"sample_index": samples, "unit": [3] * 4, "site": [2] * 4})
    with VidereClient(progress=False) as videre:
        (neuron,) = videre.get_spike_sorter_dashboard(videre.link_data_file(path).id, ["neuron_stats"]).neurons
    assert neuron.presence_ratio == pytest.approx(2 / 3)
