"""Power loss at every moment of a recording: what was flushed is there and right, and nothing wrong is read."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier.checks.disks import CrashDisk
from ranvier.exceptions import RecordingError
from ranvier.recordings import Block, open_session
from ranvier.recordings.channels import plain_channels
from ranvier.recordings.formats.xdat_clock import ClockTriple
from ranvier.recordings.formats.xdat_names import XdatSet
from ranvier.recordings.sink import Header
from ranvier.rig.recording_file import RecordingFacts, RecordingFile

CHANNELS = plain_channels(3, 1, 1)
WIDTH = len(CHANNELS)


def samples_at(counters: np.ndarray) -> np.ndarray:
    """The value of every sample is a function of its counter and column; never zero."""
    values = (counters[:, None] * 31 + np.arange(WIDTH) * 7) % 4001 + 1
    return values.astype(np.float32)


class Run:
    """One recording on a disk that remembers; ``flushed`` tells (operation, rows that are safe from there on)."""

    def __init__(self, folder: Path, seed: int, *, force_zero: bool, counts: bool) -> None:
        rng = random.Random(seed)
        self.disk = CrashDisk()
        self.folder = folder
        self.flushed: list[tuple[int, int]] = [(0, 0)]
        header = Header(Fraction(1000), CHANNELS, name="set", uid="u", simulated=True)
        self.file = RecordingFile(
            self.disk,
            XdatSet(folder, "set"),
            header,
            RecordingFacts(),
            force_zero=force_zero,
            utc_ns=lambda: 1_700_000_000_000_000_000,
        )
        self.created = self.disk.operations
        self.first = counter = 500 if not seed % 3 else 0
        written: list[np.ndarray] = []
        for i in range(rng.randint(12, 30)):
            if rng.random() < 0.15:
                counter += rng.randint(1, 40)
            counters = np.arange(counter, counter + rng.randint(1, 60))
            written.append(counters)
            block = Block(samples_at(counters), counter)
            if counts:
                block = Block(block.samples.astype(np.int16), counter, np.ones(WIDTH), np.zeros(WIDTH))
            self.file.write(block)
            counter += len(counters)
            if rng.random() < 0.4:
                self.file.note_clock(ClockTriple(counter, i, i, 0))
            if rng.random() < 0.35:
                self.file.flush()
                self.flushed.append((self.disk.operations, self.file.durable_rows))
        self.file.finish()
        self.finished = self.disk.operations
        self.counters = np.concatenate(written)
        self.offset = self.counters[0] if force_zero else 0
        self.flushed.append((self.finished, len(self.counters)))

    def safe_rows(self, after: int) -> int:
        return max(rows for operation, rows in self.flushed if operation <= after)

    def check(self, left: Path, after: int) -> None:
        """Read what is left; every sample in it must be right, and at least the flushed ones must be there."""
        safe = self.safe_rows(after)
        try:
            session = open_session(left / "set_data.xdat")
        except RecordingError:
            assert not safe
            return
        with session:
            recording = session.stream()
            rows = recording.segments.rows
            assert rows >= safe
            finished = (left / "set.xdat.json").is_file()
            assert finished or any("not finished" in note for note in session.notes)
            if finished:
                assert rows == len(self.counters)
            assert session.stream().simulated
            expected = self.counters[:rows]
            found = [np.arange(c, c + n) for c, n in recording.segments.runs()]
            assert np.array_equal(np.concatenate([*found, []]), expected - self.offset)
            for a, n in recording.segments.runs():
                got = recording.read(a, a + n).samples
                assert np.array_equal(got, samples_at(np.arange(a, a + n) + self.offset))


@pytest.mark.parametrize("seed", range(6))
def test_every_flushed_sample_survives_power_loss(tmp_path: Path, seed: int) -> None:
    run = Run(tmp_path / "disk", seed, force_zero=bool(seed % 2), counts=seed == 5)
    crash_everywhere(run, tmp_path, seed, states=60)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
def test_every_flushed_sample_survives_power_loss_in_many_states(tmp_path: Path, seed: int) -> None:
    run = Run(tmp_path / "disk", seed, force_zero=bool(seed % 2), counts=bool(seed % 5))
    crash_everywhere(run, tmp_path, seed, states=1000)


def crash_everywhere(run: Run, tmp_path: Path, seed: int, states: int) -> None:
    rng = random.Random(seed)
    # Around the end, where names change, every operation is tried.
    moments = [*range(run.finished - 15, run.finished + 1), *(rng.randint(1, run.finished) for _ in range(states))]
    for i, after in enumerate(moments):
        left = tmp_path / f"left{i}"
        left.mkdir()
        run.disk.crash(after, run.folder, left, rng, page=rng.choice([64, 200, 512]))
        run.check(left, after)


def test_what_is_finished_is_whole_whatever_happens(tmp_path: Path) -> None:
    run = Run(tmp_path / "disk", 1, force_zero=False, counts=False)
    for i in range(20):
        left = tmp_path / f"left{i}"
        left.mkdir()
        run.disk.crash(run.finished, run.folder, left, random.Random(i))
        assert {p.name for p in left.iterdir()} == {
            "set.xdat.json",
            "set_data.xdat",
            "set_timestamp.xdat",
            "set_ranvier_clock.bin",
        }
        run.check(left, run.finished)


def test_a_recorder_that_flushes_in_the_wrong_order_is_found_out(tmp_path: Path, monkeypatch) -> None:
    """The check has teeth: counters that are written before the samples are safe let wrong samples be read."""

    def careless(self: RecordingFile) -> None:
        self._stamp()
        self._counters.sync()
        self._data.sync()
        self.durable_rows = self._stamped_rows

    monkeypatch.setattr(RecordingFile, "flush", careless)
    with pytest.raises(AssertionError):
        crash_several(tmp_path)


def crash_several(tmp_path: Path) -> None:
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        run = Run(tmp_path / "disk", seed, force_zero=False, counts=False)
        crash_everywhere(run, folder, seed, states=150)
