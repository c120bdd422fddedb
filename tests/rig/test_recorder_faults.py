"""Disks that stall, fill up or fail under a recording: nothing is lost without a word, and streaming goes on."""

from __future__ import annotations

import errno
import json
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from recorder_tools import FS, Stream, recording

from ranvier.checks.disks import CountingDisk, FaultyDisk
from ranvier.exceptions import OutputError
from ranvier.models.ports import Port
from ranvier.recordings import Block, open_session
from ranvier.recordings.channels import plain_channels
from ranvier.rig.disk import RealDisk
from ranvier.rig.recorder import Recorder
from ranvier.rig.recording_limits import RecorderLimits

#: Small amounts, so that a test need not fill a disk.
SMALL = RecorderLimits(flush_sec=0.1, reserve_bytes=20_000, least_minutes=0.001, warn_minutes=0.1)


def wait_for(condition, sec: float = 10.0) -> None:
    until = time.monotonic() + sec
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)


def feed(recorder: Recorder, stream: Stream, start: int, stop: int, step: int = 50) -> None:
    for at in range(start, stop, step):
        recorder.offer(stream.block(at, min(stop, at + step)))


def settle(recorder: Recorder) -> None:
    wait_for(lambda: recorder.status().behind_samples == 0)


def metadata(path: Path) -> dict:
    return json.loads(path.read_text())["ranvier"]


def test_ten_seconds_of_stall_at_1024_channels_lose_nothing(tmp_path: Path) -> None:
    """No memory is used: all blocks share theirs, and the disk counts bytes only."""
    stream = Stream(plain_channels(1024), fs=Fraction(30_000))
    disk = FaultyDisk(CountingDisk())
    samples = np.ones((150, 1024), np.int16)
    gains, offsets = np.full(1024, 0.195), np.zeros(1024)
    with recording(stream, tmp_path, disk=disk) as recorder:
        recorder.start()
        (path,) = recorder.files()
        disk.running.clear()
        for i in range(2000):  # 10 s
            recorder.offer(Block(samples, i * 150, gains, offsets))
        assert recorder.disk_status().queued_bytes == 2000 * samples.nbytes
        assert recorder.disk_status().unwritten_samples == 0
        assert recorder.status().behind_samples == 300_000
        wait_for(lambda: recorder.disk_status().stalled_sec >= 1.0)
        assert any("has not answered" in w for w in recorder.warnings())
        disk.running.set()
        settle(recorder)
        assert recorder.disk_status().stalled_sec == 0.0
        recorder.stop()
        assert disk.disk.sizes[Path(path)] == 300_000 * 1024 * 4
        finished = json.loads(disk.disk.content[Path(path.replace("_data.xdat", ".xdat.json"))])["ranvier"]
        assert finished["recording"]["unwritten"] == []
        assert finished["recording"]["longest_stall_sec"] >= 1.0
        assert finished["notes"] == []


def test_what_finds_no_place_in_the_queue_is_a_gap_that_is_told(tmp_path: Path) -> None:
    stream = Stream()
    disk = FaultyDisk(RealDisk())
    limits = RecorderLimits(queue_bytes=1 << 20)
    with recording(stream, tmp_path, disk=disk, limits=limits) as recorder:
        recorder.start()
        recorder._queue.limit_bytes = stream.block(0, 50).samples.nbytes * 10
        feed(recorder, stream, 0, 100)
        settle(recorder)
        disk.running.clear()
        feed(recorder, stream, 100, 2000)
        assert recorder.disk_status().unwritten_samples > 0
        assert any("could not be written in time" in w for w in recorder.warnings())
        disk.running.set()
        settle(recorder)
        feed(recorder, stream, 2000, 2100)
        recorder.stop()
        unwritten = recorder.status().shed_samples
    with open_session(tmp_path / "test_0.xdat.json") as session:
        recorded = session.stream()
        assert recorded.start == 0
        assert recorded.stop == 2100
        assert recorded.segments.missing == unwritten > 0
        assert len(recorded.segments.gaps) == 1
        for start, n in recorded.segments.runs():
            assert np.array_equal(recorded.read(start, start + n).samples, stream.physical(start, start + n))
        assert any(f"{unwritten} samples" in note and "queue was full" in note for note in session.notes)
    own = metadata(tmp_path / "test_0.xdat.json")["recording"]
    (gap,) = recorded.segments.gaps
    assert [u[:2] for u in own["unwritten"]] == [list(gap)]
    assert own["lost_by_source"] == 0


def test_it_stops_before_the_disk_is_full(tmp_path: Path) -> None:
    stream, told = Stream(), []
    disk = FaultyDisk(RealDisk(), free=100_000)
    with recording(stream, tmp_path, disk=disk, limits=SMALL, on_ended=told.append) as recorder:
        recorder.start()
        at = 0
        while recorder.is_recording and at < 10_000:
            recorder.offer(stream.block(at, at + 50))
            at += 50
            settle(recorder)
        assert told
        assert "less than 0 MB left" in told[0]
        assert recorder.error in recorder.warnings()
        recorder.offer(stream.block(at, at + 50))  # streaming goes on
        with pytest.raises(OutputError, match="min of this recording"):
            recorder.start()
    with open_session(tmp_path / "test_0.xdat.json") as session:
        rows = session.stream().segments.rows
        assert 1000 < rows <= at
        assert np.array_equal(session.stream().read(0, rows).samples, stream.physical(0, rows))
        assert any("the recording was stopped" in note for note in session.notes)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("free", [*range(20_000, 60_000, 3_700), 47_901, 47_903])
def test_a_full_disk_ends_a_recording_that_is_whole(tmp_path: Path, free: int) -> None:
    """Whatever fits last: samples, counters or metadata."""
    stream, told = Stream(), []
    disk = FaultyDisk(RealDisk(), free=1 << 30)
    with recording(stream, tmp_path, disk=disk, limits=SMALL, on_ended=told.append) as recorder:
        recorder.start()
        feed(recorder, stream, 0, 3000)
        settle(recorder)
        disk.free = free
        recorder._writer._limits = RecorderLimits(flush_sec=0.1, reserve_bytes=0)
        feed(recorder, stream, 3000, 6000)
        wait_for(lambda: told)
        assert "the disk is full" in told[0]
        assert recorder.disk_status().unwritten_samples > 0
    with open_session(tmp_path / "test_0.xdat.json") as session:
        rows = session.stream().segments.rows
        assert rows > 2000
        assert np.array_equal(session.stream().read(0, rows).samples, stream.physical(0, rows))
        assert any("the disk is full" in note for note in session.notes)
    assert not list(tmp_path.glob("*.part"))
    assert (tmp_path / "test_0_data.xdat").stat().st_size == rows * 4 * len(stream.channels)
    assert (tmp_path / "test_0_timestamp.xdat").stat().st_size == rows * 8


def test_a_disk_that_fails_leaves_what_was_flushed(tmp_path: Path) -> None:
    stream, told = Stream(), []
    disk = FaultyDisk(RealDisk())
    with recording(stream, tmp_path, disk=disk, limits=SMALL, on_ended=told.append) as recorder:
        recorder.start()
        feed(recorder, stream, 0, 1000)
        settle(recorder)
        disk.broken = errno.EIO
        feed(recorder, stream, 1000, 2000)
        wait_for(lambda: told)
        assert "the disk refused" in told[0]
        assert "provisional" in told[0]
        recorder.stop()  # nothing is recorded any more
        disk.broken = 0
        recorder.start()
        feed(recorder, stream, 5000, 5100)
        recorder.stop()
    with open_session(tmp_path / "test_0_data.xdat") as session:
        rows = session.stream().segments.rows
        assert rows == 1000
        assert np.array_equal(session.stream().read(0, rows).samples, stream.physical(0, rows))
        assert any("not finished" in note for note in session.notes)
    with open_session(tmp_path / "test_1.xdat.json") as session:
        assert session.stream().segments.runs() == [(5000, 100)]


def test_one_port_that_fails_does_not_end_the_others(tmp_path: Path) -> None:
    stream, told = Stream(), []
    with recording(stream, tmp_path, config={"split_files_by_port": True}, on_ended=told.append) as recorder:
        recorder.start()
        feed(recorder, stream, 0, 100)
        settle(recorder)

        def refuse(block: Block) -> None:
            raise OSError(errno.EIO, "gone")

        recorder._active[Port.A].file.write = refuse
        feed(recorder, stream, 100, 200)
        settle(recorder)
        assert recorder.is_recording
        assert not told
        assert "port_A" in recorder.error
        assert len(recorder.files()) == 1
    with open_session(tmp_path / "test_port_C_0.xdat.json") as session:
        assert session.stream().segments.rows == 200
    with open_session(tmp_path / "test_port_A_0.xdat.json") as session:
        assert session.stream().segments.rows == 100
        assert any("50 samples" in note and "could not be written" in note for note in session.notes)
        assert any("the disk refused (gone)" in note for note in session.notes)


def test_a_disk_that_refuses_the_end_is_told_by_stop(tmp_path: Path) -> None:
    stream = Stream()
    disk = FaultyDisk(RealDisk())
    with recording(stream, tmp_path, disk=disk, limits=SMALL) as recorder:
        recorder.start()
        feed(recorder, stream, 0, 1000)
        settle(recorder)
        disk.broken = errno.EIO
        with pytest.raises(OutputError, match="1000 samples"):
            recorder.stop()
        assert not recorder.is_recording
    with open_session(tmp_path / "test_0_data.xdat") as session:
        assert session.stream().segments.rows == 1000


def test_a_disk_that_does_not_answer_is_told_by_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ranvier.rig.recorder._FINISH_SEC", 0.2)
    stream = Stream()
    disk = FaultyDisk(RealDisk())
    with recording(stream, tmp_path, disk=disk) as recorder:
        recorder.start()
        feed(recorder, stream, 0, 100)
        settle(recorder)
        disk.running.clear()
        feed(recorder, stream, 100, 200)
        with pytest.raises(OutputError, match="has not answered"):
            recorder.stop()
        disk.running.set()
        wait_for((tmp_path / "test_0.xdat.json").exists)
    with open_session(tmp_path / "test_0.xdat.json") as session:
        assert session.stream().segments.rows == 200


def test_a_block_that_does_not_fit_ends_the_file_and_is_told(tmp_path: Path) -> None:
    stream, told = Stream(), []
    with recording(stream, tmp_path, on_ended=told.append) as recorder:
        recorder.start()
        feed(recorder, stream, 0, 100)
        block = stream.block(100, 150)
        recorder.offer(Block(block.samples[:, :-1].copy(), 100, block.gain, block.offset))
        wait_for(lambda: told)
        assert recorder.disk_status().unwritten_samples == 50
        recorder.start()
        feed(recorder, stream, 200, 300)
        recorder.stop()
    with open_session(tmp_path / "test_0.xdat.json") as session:
        assert session.stream().segments.runs() == [(0, 100)]
        assert any("50 samples" in note for note in session.notes)
    with open_session(tmp_path / "test_1.xdat.json") as session:
        assert session.stream().segments.runs() == [(200, 100)]


def test_a_disk_that_is_read_only_is_told_at_start(tmp_path: Path) -> None:
    disk = FaultyDisk(RealDisk())
    with recording(Stream(), tmp_path, disk=disk) as recorder:
        disk.broken = errno.EROFS
        with pytest.raises(OutputError, match="cannot record to"):
            recorder.start()
        assert not recorder.is_recording
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_nearly_full_is_told_at_start(tmp_path: Path) -> None:
    stream = Stream()
    rate = 4 * len(stream.channels) + 8
    disk = FaultyDisk(RealDisk(), free=200_000_000 + 59 * rate * FS)
    with recording(stream, tmp_path, disk=disk) as recorder:
        with pytest.raises(OutputError, match=r"0\.98 min of this recording"):
            recorder.start()
        assert recorder.disk_status().minutes_left == pytest.approx(59 / 60)
        disk.free = 200_000_000 + 61 * rate * FS
        recorder.start()
        assert any("1.0 min left" in w for w in recorder.warnings())


def test_names_that_somebody_takes_meanwhile_are_left_to_them(tmp_path: Path) -> None:
    class Racing(RealDisk):
        def names(self, folder: Path) -> list[str]:
            found = super().names(folder)
            (folder / "test_port_C_0_timestamp.xdat").touch()  # another program, right behind our look
            return found

    stream = Stream()
    with recording(stream, tmp_path, disk=Racing(), config={"split_files_by_port": True}) as recorder:
        recorder.start()
        assert sorted(Path(f).name for f in recorder.files()) == ["test_port_A_1_data.xdat", "test_port_C_1_data.xdat"]
        feed(recorder, stream, 0, 10)
    assert (tmp_path / "test_port_C_0_timestamp.xdat").stat().st_size == 0
    assert not list(tmp_path.glob("*_A_0*"))


def test_space_is_claimed_ahead_and_given_back(tmp_path: Path) -> None:
    file = RealDisk().create(tmp_path / "claimed", claim=True)
    file.write(b"x" * 1000)
    claimed = file.claimed_bytes
    assert (tmp_path / "claimed").stat().st_size == 1000  # size is truth
    if claimed:
        assert (tmp_path / "claimed").stat().st_blocks * 512 > 1 << 20
    file.truncate(1000)
    assert file.claimed_bytes == 0
    file.write(b"y" * 500)
    file.truncate(1500)
    file.sync()
    file.close()
    assert (tmp_path / "claimed").read_bytes() == b"x" * 1000 + b"y" * 500
    if hasattr((tmp_path / "claimed").stat(), "st_blocks"):
        assert (tmp_path / "claimed").stat().st_blocks * 512 < 1 << 16
