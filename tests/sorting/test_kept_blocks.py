"""Whitened blocks that are kept between passes: the same bits with and without room for them."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest

from ranvier.recordings.memory import ArrayRecording
from ranvier.sorting import kept
from ranvier.sorting.count_kernels import STEP_SD, by_time, by_time_reference, to_counts, to_counts_reference
from ranvier.sorting.crew import crew
from ranvier.sorting.kept import KeptBlocks
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.source import SortSource


def test_counts_are_rounded_and_large_ones_stop_at_the_end() -> None:
    white = np.array([[0.0, 0.3 * STEP_SD, 0.7 * STEP_SD], [-5.0, 1000.0, -1000.0]], np.float32)
    counts = np.zeros((2, 5), np.int16)
    to_counts(white, counts, 1)
    np.testing.assert_array_equal(counts, [[0, 0, 0, 1, 0], [0, -640, 32767, -32767, 0]])
    there = 300.0 * np.random.default_rng(2).standard_normal((70, 19)).astype(np.float32)
    got, wanted = np.empty((2, 70, 19), np.int16)
    to_counts(there, got, 0), to_counts_reference(there, wanted, 0)
    np.testing.assert_array_equal(got, wanted)
    assert np.abs(got).max() == 32767
    back, expected = np.empty((2, 19, 70), np.float32)
    by_time(got, back), by_time_reference(got, expected)
    np.testing.assert_array_equal(back, expected)
    small = np.abs(there) < 250.0
    assert np.abs(back.T - there)[small].max() <= STEP_SD / 2


def test_blocks_come_back_and_a_full_disk_loses_none() -> None:
    blocks = [np.full((10, 3), k, np.int16) for k in range(3)]
    held = KeptBlocks()
    held.keep(0, blocks[0])
    held.keep(7, blocks[1])
    held._room = 0
    held.keep(2, blocks[2])
    out = np.empty((10, 3), np.int16)
    assert held.read(7, out)
    np.testing.assert_array_equal(out, blocks[1])
    assert held.read(0, out)
    np.testing.assert_array_equal(out, blocks[0])
    assert not held.read(2, out)
    held.close()
    assert not held.read(7, out)


def test_a_file_that_lost_its_end_is_not_believed() -> None:
    held = KeptBlocks()
    held.keep(0, np.ones((10, 3), np.int16))
    file, place = held._places[0]
    assert place == 0
    assert file._file is not None
    file._file.truncate(20)
    out = np.empty((10, 3), np.int16)
    assert not held.read(0, out)
    held.close()


def test_threads_keep_in_several_files_and_read_their_own_blocks() -> None:
    held = KeptBlocks()
    blocks = [np.full((40, 500), k, np.int16) for k in range(24)]

    def one(k: int) -> bool:
        held.keep(k, blocks[k])
        out = np.empty_like(blocks[k])
        return held.read(k, out) and bool((out == blocks[k]).all())

    with crew(3, lambda: None) as team:
        assert all(team.map(one, range(len(blocks))))
    assert len({id(file) for file, _ in held._places.values()}) > 1
    held.close()
    assert not held.read(3, np.empty_like(blocks[3]))


@pytest.mark.parametrize("folder", ["full", "missing"])
def test_the_signal_is_the_same_with_and_without_room(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = 8.0 * np.random.default_rng(1).standard_normal((70_000, 4)).astype(np.float32)
    source = SortSource(ArrayRecording(noise, 30_000), SorterParameters(), margin=100)
    with crew(2, lambda: None) as team:
        source.learn_noise(team)
        plain = [source.counts(k) for k in range(source.blocks)]
        with source.keeping():
            for block in (0, 2, 1, 0, 1, 2):
                np.testing.assert_array_equal(source.counts(block), plain[block])
            assert source._kept is not None
            assert len(source._kept._places) == 3
        if folder == "full":
            monkeypatch.setattr(kept, "ROOM_SHARE", 0.0)
        else:
            monkeypatch.setattr(tempfile, "gettempdir", lambda: "/nowhere/at/all")
        with source.keeping():
            for block in (1, 1):
                np.testing.assert_array_equal(source.counts(block), plain[block])
            assert source._kept is not None
            assert not source._kept._places
