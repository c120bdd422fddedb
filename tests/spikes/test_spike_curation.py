"""Merge, split, label, undo: what a log makes of units, against the same done to arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ranvier.exceptions import ConfigurationError, DatasetError, OutputError, RecordingError
from ranvier.spikes import SpikeStore, SpikeWriter, StoreInfo, UnitRecord, write_store
from ranvier.spikes.curation import label, merge, split, undo
from ranvier.spikes.file import SpikesFile

Given = dict[str, npt.NDArray[Any]]


@pytest.fixture
def path(tmp_path: Path, spikes: Given, info: StoreInfo, units: list[UnitRecord]) -> Path:
    return write_store(tmp_path / "a", info, spikes, units=units)


def check(path: Path, spikes: Given, expected: npt.NDArray[np.int32]) -> None:
    """Every way of asking gives these units."""
    store = SpikeStore.open(path)
    np.testing.assert_array_equal(store.select().units, expected)
    ids = sorted(set(expected.tolist()) - {0})
    assert list(store.units) == ids
    counts = {u: int(np.count_nonzero(expected == u)) for u in [0, *ids]}
    assert store.counts() == counts
    inside = (spikes["sample_index"] >= 60_000) & (spikes["sample_index"] < 200_000)
    for unit in ids:
        np.testing.assert_array_equal(store.unit_samples(unit), spikes["sample_index"][expected == unit])
        got = store.select(60_000, 200_000, units=[unit, ids[0]])
        mask = inside & np.isin(expected, [unit, ids[0]])
        np.testing.assert_array_equal(got.samples, spikes["sample_index"][mask])
        np.testing.assert_array_equal(got.units, expected[mask])
    windowed = store.select(60_000, 200_000, sites=[1, 2])
    np.testing.assert_array_equal(windowed.units, expected[inside & np.isin(spikes["site"], [1, 2])])


def test_merge_split_label_undo(path: Path, spikes: Given) -> None:
    expected = spikes["unit"].copy()
    assert merge(path, [1, 3], by="ana") == 6
    expected[np.isin(expected, [1, 3])] = 6
    check(path, spikes, expected)
    n = int(np.count_nonzero(expected == 6))
    groups = np.arange(n) % 3 + 10
    assert split(path, 6, groups) == [7, 8, 9]
    after = expected.copy()
    after[after == 6] = groups - 3
    check(path, spikes, after)
    assert merge(path, [8, 2]) == 10
    again = after.copy()
    again[np.isin(again, [8, 2])] = 10
    check(path, spikes, again)
    assert split(path, 10, np.arange(np.count_nonzero(again == 10)) < 50) == [11, 12]
    assert undo(path) == 4
    check(path, spikes, again)
    assert undo(path) == 3
    check(path, spikes, after)
    assert merge(path, [4, 5]) == 13, "numbers of undone units come back"
    assert undo(path) == 7
    assert undo(path) == 2
    check(path, spikes, expected)
    assert undo(path) == 1
    check(path, spikes, spikes["unit"])
    with pytest.raises(ConfigurationError, match="no change to undo"):
        undo(path)
    log = SpikeStore.open(path).edits
    assert [text["action"] for _, text, _ in log].count("undo") == 5
    assert log[0][1]["by"] == "ana"
    assert not log[0][2]


def test_what_a_made_unit_inherits(path: Path, spikes: Given) -> None:
    n3, n4 = (int(np.count_nonzero(spikes["unit"] == u)) for u in (3, 4))
    merged = merge(path, [3, 4])
    unit = SpikeStore.open(path).units[merged]
    assert unit.site == (3 if n3 >= n4 else 4)
    assert (unit.unit, unit.label) == (merged, "")
    assert unit.snr is None  # the size of those it was made from is not its own
    assert unit.mean_abs_peak_uv is None
    assert not SpikeStore.open(path).is_divided(merged)
    halves = split(path, merged, np.arange(n3 + n4) % 2)
    assert all(SpikeStore.open(path).is_divided(half) for half in halves)
    label(path, [halves[0]], " good ")
    assert SpikeStore.open(path).units[halves[0]].label == "good"
    assert SpikeStore.open(path).units[halves[1]].site == unit.site
    label(path, [halves[0]], "")
    assert SpikeStore.open(path).units[halves[0]].label == ""


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "x" * 101, None, 3])
def test_labels_that_would_break_a_table_are_refused(path: Path, text: object) -> None:
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="a label is a line"):
        label(path, [1], text)  # type: ignore[arg-type]
    assert path.read_bytes() == before


def test_bad_changes_are_refused_and_leave_the_file(path: Path, spikes: Given) -> None:
    before = path.read_bytes()
    n = int(np.count_nonzero(spikes["unit"] == 1))
    with pytest.raises(ConfigurationError, match="two or more different"):
        merge(path, [1, 1])
    with pytest.raises(DatasetError, match="no unit 9; there are 1-5"):
        merge(path, [1, 9])
    with pytest.raises(ConfigurationError, match=f"unit 1 has {n:,} spikes"):
        split(path, 1, [0, 1])
    with pytest.raises(ConfigurationError, match="at least two"):
        split(path, 1, np.zeros(n, int))
    with pytest.raises(DatasetError, match="no unit 0"):
        label(path, [0], "x")
    for by in ("a\nb", "x" * 101, None):
        with pytest.raises(ConfigurationError, match="by names who changes units in a line of at most 100 letters"):
            merge(path, [1, 2], by=by)  # type: ignore[arg-type]
    assert path.read_bytes() == before


def test_a_change_cut_off_at_every_byte_is_whole_or_not_there(path: Path, spikes: Given) -> None:
    first = len(path.read_bytes())
    merge(path, [1, 2])
    content = path.read_bytes()
    for n in range(first, len(content)):
        path.write_bytes(content[:n])
        assert list(SpikeStore.open(path).units) == [1, 2, 3, 4, 5]
    path.write_bytes(content[: first + 70] + b"\xff" * 500)
    open_before = SpikeStore.open(path)
    assert merge(path, [4, 5]) == 6, "a torn change was taken for one"
    assert list(SpikeStore.open(path).units) == list(open_before.renewed().units) == [1, 2, 3, 6]
    assert SpikesFile(path).damage() == []


def test_a_damaged_change_stops_the_log_there(path: Path) -> None:
    merge(path, [1, 2])
    merge(path, [3, 4])
    edit = next(c for c in SpikesFile(path)._chunks if c.kind == "CURA")
    content = bytearray(path.read_bytes())
    content[edit.start + 60] ^= 0xFF
    path.write_bytes(content)
    store = SpikeStore.open(path)
    assert list(store.units) == [1, 2, 3, 4, 5]
    assert any("not applied" in note for note in store.notes)
    with pytest.raises(RecordingError, match="save the spikes to a new file"):
        merge(path, [1, 5])


def test_only_finished_files_are_curated_and_by_one_at_a_time(tmp_path: Path, info: StoreInfo) -> None:
    writer = SpikeWriter(tmp_path / "l", info, live=True, flush_sec=0)
    writer.append(sample_index=[1, 2, 3], unit=[1, 2, 2])
    with pytest.raises(OutputError, match="being written"):
        merge(writer.path, [1, 2])
    writer.abort()
    with pytest.raises(RecordingError, match="not finished"):
        merge(writer.path, [1, 2])
