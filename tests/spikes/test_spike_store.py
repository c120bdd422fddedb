"""What is written is read: whole, while it grows, after a crash at any byte, and damaged."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from spike_tools import FS, columns

from ranvier.exceptions import (
    CapabilityError,
    ConfigurationError,
    DatasetError,
    OutputError,
    OutputExistsError,
    RadiensError,
    RecordingError,
)
from ranvier.spikes import SpikeStore, SpikeWriter, StoreInfo, Templates, UnitRecord, recover, write_store
from ranvier.spikes.container import ALIGN
from ranvier.spikes.file import SpikesFile

Given = dict[str, npt.NDArray[Any]]


def parts(spikes: Given, n: int) -> Iterator[Given]:
    edges = np.linspace(0, len(spikes["sample_index"]), n + 1).astype(int)
    for a, b in pairwise(edges):
        yield {name: column[a:b] for name, column in spikes.items()}


def same(store: SpikeStore, spikes: Given, n: int | None = None) -> None:
    found = store.select(columns=tuple(spikes))
    for name, column in spikes.items():
        np.testing.assert_array_equal(found.columns[name], column[:n], err_msg=name)


def test_what_is_written_is_read(tmp_path: Path, spikes: Given, info: StoreInfo, units: list[UnitRecord]) -> None:
    means = np.random.default_rng(0).normal(size=(5, 8, 90)).astype(np.float32)
    ids, sites = np.arange(1, 6, dtype=np.int32), np.arange(8, dtype=np.int32)
    path = write_store(tmp_path / "a", info, spikes, units=units, templates=Templates(ids, sites, means, 30))
    assert path.name == "a.spikes"
    assert [p.name for p in tmp_path.iterdir()] == ["a.spikes"]
    with SpikeStore.open(path) as store:
        assert store.finished
        assert store.notes == ()
        assert store.info == info
        assert list(store.units.values()) == units
        same(store, spikes)
        template = store.template(3)
        assert template is not None
        np.testing.assert_array_equal(template, means[2])
    assert SpikesFile(path).damage() == []


def test_segments_while_live_read_as_the_finished_file(tmp_path: Path, spikes: Given, info: StoreInfo) -> None:
    writer = SpikeWriter(tmp_path / "live", info, live=True, flush_sec=0)
    store = SpikeStore.open(writer.path)
    assert len(store) == 0
    n = 0
    for part in parts(spikes, 7):
        writer.append(**part)
        n += len(part["unit"])
        before, store = store, store.renewed()
        assert store is not before
        assert store.renewed() is store
        same(store, spikes, n)
        assert store.counts() == SpikeStore.open(writer.path).counts()
    assert any("not finished" in note for note in store.notes)
    assert len(store.select(units=[2]).samples) == np.count_nonzero(spikes["unit"] == 2)
    writer.set_units([UnitRecord(4, site=4)])
    writer.set_units([UnitRecord(5, site=5)])
    writer.log(event="trained", sites=[1, 2])
    writer.close()
    before, store = store, store.renewed()
    assert store.finished
    same(before, spikes)
    assert store.sorter_log == [{"event": "trained", "sites": [1, 2]}]
    assert store.units[5].site == 5
    same(store, spikes)


@pytest.mark.parametrize("live", [False, True])
def test_spikes_in_any_order_are_finished_in_time_order(tmp_path: Path, info: StoreInfo, live: bool) -> None:
    late, early = columns(500, seed=3), columns(400, seed=4)
    with SpikeWriter(tmp_path / "x", info, live=live, flush_sec=0) as writer:
        writer.append(**{name: column[::-1] for name, column in late.items()})
        writer.append(**early)
        if live:
            before = SpikeStore.open(writer.path).select(columns=("y_um",))
            assert np.all(np.diff(before.samples) >= 0)
    store = SpikeStore.open(writer.path)
    every = np.concatenate([late["sample_index"], early["sample_index"]])
    np.testing.assert_array_equal(store.select().samples, np.sort(every))
    mine = np.sort(np.concatenate([late["y_um"], early["y_um"]]))
    np.testing.assert_array_equal(np.sort(store.select(columns=("y_um",)).columns["y_um"]), mine)


@pytest.mark.parametrize("kind", ["finished", "live", "memory"])
def test_queries_equal_masks(tmp_path: Path, spikes: Given, info: StoreInfo, kind: str) -> None:
    from ranvier.recordings import SpikeTrains

    if kind == "memory":
        trains = SpikeTrains(spikes["sample_index"], spikes["unit"], spikes["site"])
        store = SpikeStore.from_trains(trains, FS, tmp_path / "x.nex5")
    else:
        writer = SpikeWriter(tmp_path / "q", info, live=True, flush_sec=0)
        for part in parts(spikes, 5):
            writer.append(**part)
        if kind == "finished":
            writer.close()
        store = SpikeStore.open(writer.path)
    sample, unit, site = spikes["sample_index"], spikes["unit"], spikes["site"]
    everything: list[Any] = [None]
    edges = int(sample[1000]), int(sample[1500])  # spikes on both edges: [start, stop)
    for start, stop in ((None, None), edges, (50_000, 90_000), (0, 10), (301_001, None), (None, 20_000)):
        inside = (sample >= (-1 if start is None else start)) & (sample < (10**9 if stop is None else stop))
        for units in [*everything, [1], [3, 2], [0], [0, 4]]:
            for sites in [*everything, [2], [5, 1], [77]]:
                mask = inside.copy()
                if units is not None:
                    mask &= np.isin(unit, units)
                if sites is not None:
                    mask &= np.isin(site, sites)
                found = store.select(start, stop, units=units, sites=sites)
                np.testing.assert_array_equal(found.samples, sample[mask])
                np.testing.assert_array_equal(found.units, unit[mask])
                np.testing.assert_array_equal(found.sites, site[mask])
        counts = store.counts(start, stop)
        assert counts == {u: int(np.count_nonzero(unit[inside] == u)) for u in range(6)}
    with pytest.raises(DatasetError, match=r"no unit 9, 12; there are 1-5"):
        store.select(units=[9, 2, 12])


def test_an_empty_store_is_whole(tmp_path: Path, info: StoreInfo) -> None:
    path = write_store(tmp_path / "none", info, {"sample_index": np.empty(0, np.int64)})
    store = SpikeStore.open(path)
    assert (len(store), store.finished, store.units, store.counts()) == (0, True, {}, {0: 0})
    assert len(store.select(0, 100)) == 0
    assert len(store.trains()) == 0
    with pytest.raises(DatasetError, match="there are none"):
        store.unit_samples(1)


def _truncations(path: Path, live: bool, step: int) -> None:
    content = path.read_bytes()
    whole = SpikeStore.open(path)
    samples = whole.select().samples.copy()
    ends = sorted({c.stop for c in whole._file._chunks})  # type: ignore[union-attr]
    cut = path.with_name("cut.spikes")
    seen, refused = set(), set()
    near = {end + k for end in ends for k in (-1, 0, 1)}
    for n in sorted({*range(0, len(content), step), *near} - {len(content), len(content) + 1}):
        cut.write_bytes(content[:n])
        try:
            store = SpikeStore.open(cut)
        except RecordingError:
            refused.add(n)
            continue
        found = store.select().samples
        np.testing.assert_array_equal(found, samples[: len(found)])
        whole_chunks = sum(end <= n for end in ends)
        assert len(store._file._chunks) == whole_chunks  # type: ignore[union-attr]
        assert any("no whole chunk" in note for note in store.notes) == (n not in {*ends, ALIGN})
        assert any("not finished" in note for note in store.notes)
        seen.add(len(found))
    assert max(refused) == ends[0] - 1
    assert seen == ({0, 4, 8, 12} if live else {0, 12})


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("step", [29, pytest.param(1, marks=pytest.mark.slow)])
def test_cut_off_at_any_byte(tmp_path: Path, live: bool, step: int) -> None:
    writer = SpikeWriter(tmp_path / "c", StoreInfo(FS), live=True, flush_sec=0)
    for part in parts(columns(12), 3):
        writer.append(**part)
    writer.set_units([UnitRecord(1)])
    if live:
        writer.flush()
        _truncations(writer.path, live, step)
        writer.abort()
    else:
        writer.close()
        _truncations(writer.path, live, step)


def test_damage_in_the_middle_is_read_around(tmp_path: Path) -> None:
    writer = SpikeWriter(tmp_path / "d", StoreInfo(FS), live=True, flush_sec=0)
    spikes = columns(300)
    for part in parts(spikes, 3):
        writer.append(**part)
    writer.abort()
    content = bytearray(writer.path.read_bytes())
    second = [c for c in SpikesFile(writer.path)._chunks if c.kind == "SPKS"][1]
    rest = np.r_[0:100, 200:300]
    for at in (second.start + 5, second.start + 50, second.body + 17):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        writer.path.write_bytes(damaged)
        store = SpikeStore.open(writer.path)
        np.testing.assert_array_equal(store.select().samples, spikes["sample_index"][rest])
        assert any("damaged" in note for note in store.notes)
        assert any("damaged" in text for text in SpikesFile(writer.path).damage())


def test_damage_of_a_finished_file_is_found(tmp_path: Path, spikes: Given, info: StoreInfo) -> None:
    path = write_store(tmp_path / "f", info, spikes)
    content = bytearray(path.read_bytes())
    body = next(c for c in SpikesFile(path)._chunks if c.kind == "SPKS").body
    content[body + 100] ^= 1
    path.write_bytes(content)
    assert any("SPKS" in text for text in SpikesFile(path).damage())


def test_what_a_killed_writer_left_is_finished_later(tmp_path: Path, spikes: Given, info: StoreInfo) -> None:
    writer = SpikeWriter(tmp_path / "k", info, live=True, flush_sec=0)
    for part in parts(spikes, 4):
        writer.append(**part)
    with pytest.raises(OutputError, match="being written"):
        recover(writer.path)
    with pytest.raises(OutputError, match="being written"):
        SpikeWriter(writer.path, info, live=True, force=True)
    writer.abort()
    with open(writer.path, "ab") as handle:
        handle.write(b"RVCK torn")
    recover(writer.path)
    store = SpikeStore.open(writer.path)
    assert store.finished
    same(store, spikes)
    before = writer.path.read_bytes()
    recover(writer.path)
    assert writer.path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["k.spikes"]


def test_nothing_is_replaced_without_force(tmp_path: Path, spikes: Given, info: StoreInfo) -> None:
    path = write_store(tmp_path / "a", info, spikes)
    before = path.read_bytes()
    for live in (True, False):
        with pytest.raises(OutputExistsError, match="force=True"):
            SpikeWriter(path, info, live=live)

    def fail() -> None:
        with SpikeWriter(path, info, force=True) as writer:
            writer.append(**spikes)
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.spikes"]
    write_store(path, info, {"sample_index": [5]}, force=True)
    assert len(SpikeStore.open(path)) == 1


def test_an_exception_leaves_what_a_live_writer_had(tmp_path: Path, spikes: Given, info: StoreInfo) -> None:
    def fail() -> None:
        with writer:
            writer.append(**spikes)
            raise RuntimeError("mine")

    writer = SpikeWriter(tmp_path / "l", info, live=True, flush_sec=100)
    with pytest.raises(RuntimeError, match="mine"):
        fail()
    same(SpikeStore.open(writer.path), spikes)
    with pytest.raises(OutputError, match="finished"):
        writer.append(**spikes)


def test_columns_that_do_not_fit_are_refused(tmp_path: Path, info: StoreInfo) -> None:
    with SpikeWriter(tmp_path / "b", info) as writer:
        for wrong, why in (
            ({"unit": [1]}, "sample_index"),
            ({"sample_index": [1], "colour": [2]}, "colour"),
            ({"sample_index": [1, 2], "unit": [1]}, "differ in length"),
            ({"sample_index": [[1]]}, "one value per spike"),
            ({"sample_index": [1.5]}, "whole numbers"),
            ({"sample_index": [1], "unit": [2**40]}, "whole numbers"),
            ({"sample_index": [1], "unit": [-1]}, "from 1 on"),
            ({"sample_index": [1], "snippets_uv": [[1.0]]}, "spikes, sites, points"),
        ):
            with pytest.raises(ConfigurationError, match=why):
                writer.append(**wrong)
        with pytest.raises(ConfigurationError, match="distinct"):
            writer.set_units([UnitRecord(1), UnitRecord(1)])
        with pytest.raises(ConfigurationError, match="templates are"):
            writer.set_templates([1], [1, 2], np.zeros((1, 3, 4)), before=1)
        assert writer.n_spikes == 0


def test_snippets_are_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    snippets = rng.normal(size=(50, 2, 12)).astype(np.float32)
    samples = rng.permutation(50)
    info = StoreInfo(FS, waveforms="stored", before=4, after=8)
    path = write_store(tmp_path / "s", info, {"sample_index": samples, "snippets_uv": snippets})
    found = SpikeStore.open(path).select(columns=("snippets_uv",)).columns["snippets_uv"]
    np.testing.assert_array_equal(found, snippets[np.argsort(samples)])


def test_what_belongs_elsewhere_is_told(tmp_path: Path, info: StoreInfo) -> None:
    from ranvier.recordings.memory import ArrayRecording
    from ranvier.spikes import RecordingIdentity

    recording = ArrayRecording(np.zeros((3000, 4), np.float32), FS)
    file = tmp_path / "samples.bin"
    file.write_bytes(b"abc")
    identity = RecordingIdentity.of(recording, [file], name="mine")
    own = replace(info, recording=identity)
    assert StoreInfo.from_json(json.loads(json.dumps(own.to_json()))) == own
    assert identity.differences(recording, [file]) == []
    for other, why in (
        (ArrayRecording(np.zeros((2000, 4), np.float32), FS), "reached to sample 3,000, this one to 2,000"),
        (ArrayRecording(np.zeros((3000, 5), np.float32), FS), "4 amplifier channels, this one has 5"),
        (ArrayRecording(np.zeros((3000, 4), np.float32), Fraction(20000)), "30000 Hz, this one at 20000 Hz"),
    ):
        assert any(why in difference for difference in identity.differences(other, [file]))
    file.write_bytes(b"abd")
    assert identity.differences(recording, [file]) == ["the content of samples.bin changed"]
    behind = replace(info, filters=({"kind": "highpass", "parameters": {"freq": 300.0}},))
    assert (
        behind.filter_hash == replace(info, filters=({"parameters": {"freq": 300.0}, "kind": "highpass"},)).filter_hash
    )
    assert behind.filter_hash != info.filter_hash


def test_a_newer_version_and_other_files_are_refused(tmp_path: Path, spikes: Given, info: StoreInfo) -> None:
    path = write_store(tmp_path / "v", info, spikes)
    content = bytearray(path.read_bytes())
    content[16:20] = struct.pack("<I", 2)
    content[60:64] = struct.pack("<I", zlib.crc32(content[:60]))
    path.write_bytes(content)
    with pytest.raises(CapabilityError, match=r"version 2 .* update Ranvier"):
        SpikeStore.open(path)
    content[17] ^= 1
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="damaged"):
        SpikeStore.open(path)
    path.write_bytes(b"header.format = 'Open Ephys Data Format'")
    with pytest.raises(RecordingError, match=r"no \.spikes file of Ranvier"):
        SpikeStore.open(path)
    path.write_bytes(b"")
    with pytest.raises(RecordingError, match="empty"):
        SpikeStore.open(path)


@pytest.mark.slow
def test_random_damage_raises_only_our_errors(tmp_path: Path, info: StoreInfo) -> None:
    from ranvier.spikes.curation import merge

    path = write_store(tmp_path / "z", info, columns(200), units=[UnitRecord(u) for u in range(1, 6)])
    merge(path, [1, 2])
    content = path.read_bytes()
    rng = np.random.default_rng(5)
    read = 0
    for _ in range(3000):
        damaged = bytearray(content)
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(0, len(damaged)))
            damaged[at : at + int(rng.integers(1, 9))] = rng.bytes(int(rng.integers(0, 9)))
        path.write_bytes(damaged)
        try:
            store = SpikeStore.open(path)
            store.select(columns=tuple(columns(1)))
            store.counts()
            for unit in store.units:
                store.unit_samples(unit, 5000, 100_000)
            read += 1
        except RadiensError:
            pass
    assert read > 500
