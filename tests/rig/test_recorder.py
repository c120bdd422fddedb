"""The recorder: what comes in is in the files, under the right names, and what is not there is told."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from recorder_tools import FS, Stream, recording

from ranvier.exceptions import CapabilityError, ConfigurationError, OutputError
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.models.status import DataRecordingType, RecordingConfig, RecordMode
from ranvier.recordings import open_session
from ranvier.recordings.channels import plain_channels
from ranvier.recordings.formats.xdat_clock import read_records
from ranvier.rig.recorder import Recorder
from ranvier.rig.recording_limits import RecorderLimits


def wait_for(condition, sec: float = 10.0) -> None:
    until = time.monotonic() + sec
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)


def feed(recorder: Recorder, stream: Stream, start: int, stop: int, step: int = 50, **how: bool) -> None:
    for at in range(start, stop, step):
        recorder.offer(stream.block(at, min(stop, at + step), **how))


@pytest.mark.parametrize("counts", [True, False])
def test_records_what_it_is_offered(tmp_path: Path, counts: bool) -> None:
    stream = Stream()
    with recording(stream, tmp_path) as recorder:
        recorder.start(client="me")
        assert stream.started == 1
        assert recorder.is_recording
        assert recorder.recorded_by == "me"
        feed(recorder, stream, 5000, 8030, counts=counts)
        recorder.stop()
        assert not recorder.is_recording
        assert recorder.files() == []
        assert recorder.error == ""
    with open_session(tmp_path / "test_0.xdat.json") as session:
        recorded = session.stream()
        assert recorded.segments.runs() == [(5000, 3030)]
        assert recorded.fs == Fraction(FS)
        assert np.array_equal(recorded.read(5000, 8030).samples, stream.physical(5000, 8030))
        assert [c.name for c in recorded.channels] == [c.name for c in stream.channels]
        assert [c.port for c in recorded.channels] == [c.port for c in stream.channels]
        assert not recorded.simulated
        assert session.notes == ()
        assert recorded.walltime is not None
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "test_0.xdat.json",
        "test_0_data.xdat",
        "test_0_ranvier_clock.bin",
        "test_0_timestamp.xdat",
    ]
    own = json.loads((tmp_path / "test_0.xdat.json").read_text())["ranvier"]
    assert own["recording"]["recorded_by"] == "me"
    assert own["recording"]["dsp"] == [{"kind": "highpass"}]


def test_neo_reads_a_recording(tmp_path: Path) -> None:
    from neo.rawio import NeuroNexusRawIO

    stream = Stream()
    with recording(stream, tmp_path) as recorder:
        recorder.start()
        feed(recorder, stream, 500, 1500)
        recorder.stop()
    reader = NeuroNexusRawIO(str(tmp_path / "test_0.xdat.json"))
    reader.parse_header()
    names = [str(s["id"]) for s in reader.header["signal_streams"]]
    theirs = reader.get_analogsignal_chunk(0, 0, 0, None, stream_index=names.index("ai-pri"))
    assert np.array_equal(theirs, stream.physical(500, 1500)[:, :7])


def test_jumps_of_the_counter_are_gaps_of_the_file(tmp_path: Path) -> None:
    stream = Stream()
    with recording(stream, tmp_path) as recorder:
        recorder.start()
        feed(recorder, stream, 100, 200)
        feed(recorder, stream, 230, 300)
        feed(recorder, stream, 1300, 1400)
        recorder.stop()
    with open_session(tmp_path / "test_0.xdat.json") as session:
        assert session.stream().segments.runs() == [(100, 100), (230, 70), (1300, 100)]
        assert np.isnan(session.stream().read(200, 230).samples[:, 0]).all()
        assert any("1030 samples" in note and "never arrived" in note for note in session.notes)


def test_is_readable_while_it_grows(tmp_path: Path) -> None:
    stream = Stream()
    limits = RecorderLimits(flush_sec=0.1)
    with recording(stream, tmp_path, limits=limits) as recorder:
        recorder.start()
        (path,) = recorder.files()
        with open_session(path) as session:
            recorded = session.stream()
            assert recorded.segments.rows == 0
            feed(recorder, stream, 0, 500)
            wait_for(lambda: recorded.refresh() >= 500)
            assert np.array_equal(recorded.read(0, 500).samples, stream.physical(0, 500))
            feed(recorder, stream, 500, 900)
            wait_for(lambda: recorded.refresh() >= 900)
            assert np.array_equal(recorded.read(500, 900).samples, stream.physical(500, 900))
            recorder.stop()
            assert recorded.refresh() == 900
        with open_session(path) as session:
            assert session.stream().segments.rows == 900


def test_a_linked_recording_is_live_until_it_ends(tmp_path: Path) -> None:
    from ranvier.hub.hub import Hub
    from ranvier.models.tailing import LivenessState

    stream = Stream()
    with recording(stream, tmp_path, limits=RecorderLimits(flush_sec=0.1)) as recorder:
        recorder.start()
        feed(recorder, stream, 0, 500)
        wait_for(lambda: recorder.status().behind_samples == 0)
        hub = Hub()
        linked = hub.datasets.link(recorder.files()[0], force=False)
        for _ in range(3):  # also where nothing was flushed between two looks
            assert hub.datasets.tailing_state(linked.id).liveness == LivenessState.LIVE
        recorder.stop()
        hub.datasets.tailing_state(linked.id)
        assert hub.datasets.tailing_state(linked.id).liveness == LivenessState.IDLE


def test_what_waits_too_long_for_more_is_flushed(tmp_path: Path) -> None:
    stream = Stream()
    with recording(stream, tmp_path, limits=RecorderLimits(flush_sec=100.0)) as recorder:
        recorder.start()
        feed(recorder, stream, 0, 50)
        with open_session(recorder.files()[0]) as session:
            wait_for(lambda: session.stream().refresh() == 50)


def test_counters_may_begin_at_zero(tmp_path: Path) -> None:
    stream = Stream()
    with recording(stream, tmp_path, config={"force_start_at_tstamp_0": True}) as recorder:
        recorder.start()
        feed(recorder, stream, 7000, 7100)
        feed(recorder, stream, 7150, 7200)
        recorder.stop()
    with open_session(tmp_path / "test_0.xdat.json") as session:
        assert session.stream().segments.runs() == [(0, 100), (150, 50)]
        assert np.array_equal(session.stream().read(0, 100).samples, stream.physical(7000, 7100))
        assert session.clocks["utc"].counter[0] == 50
    own = json.loads((tmp_path / "test_0.xdat.json").read_text())["ranvier"]
    assert own["recording"]["counter_offset"] == 7000


def test_every_port_has_files_of_its_own(tmp_path: Path) -> None:
    stream = Stream()
    with recording(stream, tmp_path, config={"split_files_by_port": True}) as recorder:
        recorder.start(port=Port.C)
        status = recorder.recording_status()
        assert status.record_mode_port_c == RecordMode.ON
        assert status.record_mode_port_a == RecordMode.OFF
        feed(recorder, stream, 0, 100)
        recorder.start()
        assert recorder.recording_status().record_mode_port_a == RecordMode.ON
        assert len(recorder.files()) == 2
        feed(recorder, stream, 100, 200)
        recorder.stop(port=Port.C)
        assert recorder.is_recording
        feed(recorder, stream, 200, 300)
        recorder.stop()
    with open_session(tmp_path / "test_port_C_0.xdat.json") as session:
        recorded = session.stream()
        assert recorded.segments.runs() == [(0, 200)]
        columns = [4, 5, 6, 7, 8, 9, 10]
        assert np.array_equal(recorded.read(0, 200).samples, stream.physical(0, 200)[:, columns])
        assert [c.ntv for c in recorded.channels] == [stream.channels[c].ntv for c in columns]
    with open_session(tmp_path / "test_port_A_1.xdat.json") as session:
        assert session.stream().segments.runs() == [(100, 200)]
        assert session.stream().channels.count(SignalType.AMP) == 4
        assert np.array_equal(
            session.stream().read(100, 300).samples, stream.physical(100, 300)[:, [0, 1, 2, 3, 7, 8, 9, 10]]
        )


def test_ports_that_cannot_be_recorded(tmp_path: Path) -> None:
    stream = Stream()
    with recording(stream, tmp_path) as recorder:
        with pytest.raises(ConfigurationError, match="split_files_by_port"):
            recorder.start(port=Port.A)
        recorder.set_config(recorder.config().model_copy(update={"split_files_by_port": True}))
        with pytest.raises(ConfigurationError, match="ports with channels: A, C"):
            recorder.start(port=Port.B)
        assert recorder.recording_status().record_mode_port_a == RecordMode.OFF
        stream.channels = plain_channels()
        with pytest.raises(ConfigurationError, match="nothing to record"):
            recorder.start()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    stream = Stream()
    (tmp_path / "TEST_1__uid0101-00-00-00.xdat.json").touch()
    (tmp_path / "test_2_data.xdat").touch()
    (tmp_path / "test_30_data.xdat").touch()
    (tmp_path / "test_port_A_4_data.xdat").touch()
    for wanted in (0, 3, 4):
        with recording(stream, tmp_path, config={"datasource_idx": 0}) as recorder:
            recorder.start()
            assert recorder.config().datasource_idx == wanted + 1
            assert recorder.recording_status().active_filename == str(tmp_path / f"test_{wanted}")
            feed(recorder, stream, 0, 10)
    assert (tmp_path / "test_2_data.xdat").stat().st_size == 0
    assert (tmp_path / "test_4.xdat.json").exists()


def test_the_next_recording_has_the_next_index(tmp_path: Path) -> None:
    stream = Stream()
    with recording(stream, tmp_path, config={"datasource_idx": 7}) as recorder:
        for _ in range(3):
            recorder.start()
            feed(recorder, stream, 0, 10)
            recorder.stop()
        assert recorder.config().datasource_idx == 10
        again = Recorder(recorder._store, stream, recorder._clock)
        assert again.config() == recorder.config()
        again.close()
    assert {p.name for p in tmp_path.glob("*.json")} == {f"test_{i}.xdat.json" for i in (7, 8, 9)}


def test_names_tell_date_and_simulation(tmp_path: Path) -> None:
    stream = Stream(simulated=True)
    with recording(stream, tmp_path, config={"time_stamp": True, "split_files_by_port": True}) as recorder:
        recorder.start()
        names = [Path(f).name for f in recorder.files()]
        feed(recorder, stream, 0, 10)
    pattern = r"test_SIMULATED_port_[AC]_0__uid\d\d\d\d-\d\d-\d\d-\d\d_data\.xdat"
    assert len(names) == 2
    assert all(re.fullmatch(pattern, name) for name in names)
    with open_session(tmp_path / names[0]) as session:
        assert session.stream().simulated


def test_clocks_lie_beside_the_samples(tmp_path: Path) -> None:
    times = iter(range(1_700_000_000, 1_800_000_000))
    stream = Stream()
    with recording(stream, tmp_path, utc_ns=lambda: next(times) * 10**9) as recorder:
        recorder.start()
        for at in range(0, 300, 100):
            recorder._next_clock_sec = -1.0  # a second later
            recorder.offer(stream.block(at, at + 100))
        recorder.stop()
    with open_session(tmp_path / "test_0.xdat.json") as session:
        assert list(session.clocks["utc"].counter) == [100, 200, 300]
        assert np.all(np.diff(session.clocks["utc"].seconds) >= 1)
        assert np.all(np.diff(session.clocks["monotonic"].seconds) > 0)
    records = read_records(tmp_path / "test_0_ranvier_clock.bin")
    assert list(records["uncertainty_us"]) == [100_000] * 3
    path = tmp_path / "test_0_ranvier_clock.bin"
    path.write_bytes(path.read_bytes()[:75] + b"damaged")
    assert len(read_records(path)) == 1
    own = json.loads((tmp_path / "test_0.xdat.json").read_text())["ranvier"]
    assert own["recording"]["clock"]["file"] == path.name
    assert own["recording"]["clock"]["records"] == 3


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"base_file_name": ""}, ConfigurationError, "base_file_name is empty"),
        ({"base_file_name": "  "}, ConfigurationError, "base_file_name is empty"),
        ({"base_file_name": "a/b"}, ConfigurationError, "contains '/'"),
        ({"base_file_name": "a\\b"}, ConfigurationError, "contains"),
        ({"base_file_name": "a\nb"}, ConfigurationError, "contains"),
        ({"base_file_name": ".."}, ConfigurationError, "no name that every system takes"),
        ({"base_file_name": "con"}, ConfigurationError, "no name that every system takes"),
        ({"base_file_name": "n" * 181}, ConfigurationError, "180 bytes"),
        ({"datasource_idx": -1}, ConfigurationError, "datasource_idx is -1"),
        ({"base_file_path": ""}, ConfigurationError, "base_file_path is empty"),
        ({"base_file_path": "somewhere"}, ConfigurationError, "relative"),
        ({"base_file_path": "{tmp}/missing"}, OutputError, "missing does not exist"),
        ({"base_file_path": "{tmp}/file"}, OutputError, "is not a folder"),
        ({"recording_type": DataRecordingType.SPIKES, "split_files_by_port": True}, CapabilityError, "whole sets"),
        (
            {"recording_type": "CONTINUOUS_AND_SPIKES", "split_files_by_port": True},
            CapabilityError,
            "split_files_by_port",
        ),
    ],
)
def test_a_configuration_that_cannot_be_changes_nothing(tmp_path: Path, change, error, text) -> None:
    (tmp_path / "file").touch()
    change = {k: v.format(tmp=tmp_path) if isinstance(v, str) else v for k, v in change.items()}
    with recording(Stream(), tmp_path) as recorder:
        before = recorder.config()
        with pytest.raises(error, match=re.escape(text)):
            recorder.set_config(
                RecordingConfig(
                    **{"base_file_name": "new", "base_file_path": str(tmp_path), "time_stamp": True, **change}
                )
            )
        assert recorder.config() == before


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="everybody may write everywhere here")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with recording(Stream(), tmp_path) as recorder, pytest.raises(OutputError, match="cannot be written"):
        recorder.set_config(RecordingConfig(base_file_name="a", base_file_path=str(folder)))


def test_the_configuration_stays_while_it_records(tmp_path: Path) -> None:
    stream = Stream()
    with recording(stream, tmp_path) as recorder:
        recorder.start(client="the other one")
        with pytest.raises(ConfigurationError, match="the other one is recording"):
            recorder.set_config(recorder.config())
        feed(recorder, stream, 0, 10)
        recorder.stop()
        recorder.set_config(recorder.config())


def test_a_folder_that_went_away_is_told_at_start(tmp_path: Path) -> None:
    folder = tmp_path / "usb"
    folder.mkdir()
    with recording(Stream(), folder) as recorder:
        folder.rmdir()
        with pytest.raises(OutputError, match="usb does not exist"):
            recorder.start()
        assert not recorder.is_recording


def test_without_a_configuration_it_records_in_the_engines_home(tmp_path: Path) -> None:
    stream = Stream()
    with recording(stream, tmp_path / "not there") as recorder:
        recorder.start()
        (path,) = recorder.files()
        assert Path(path).parent == recorder._store.home / "recordings"
        assert Path(path).name.startswith("ranvier_0__uid")
        feed(recorder, stream, 0, 10)
        recorder.stop()
        assert Path(path).exists()


def test_starting_and_stopping_twice_is_harmless(tmp_path: Path) -> None:
    stream = Stream()
    with recording(stream, tmp_path) as recorder:
        recorder.stop()
        recorder.start()
        recorder.start()
        assert len(recorder.files()) == 1
        feed(recorder, stream, 0, 10)
        recorder.stop()
        recorder.stop()
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_a_recording_without_samples_leaves_nothing(tmp_path: Path) -> None:
    with recording(Stream(), tmp_path) as recorder:
        recorder.start()
        recorder.stop()
        assert "no samples came" in recorder.error
        assert list(tmp_path.iterdir()) == []


def test_status_counts(tmp_path: Path) -> None:
    stream = Stream()
    with recording(stream, tmp_path, limits=RecorderLimits(flush_sec=0.1)) as recorder:
        idle = recorder.disk_status()
        assert idle.free_bytes > 0
        rate = (4 * len(stream.channels) + 8) * FS * 60
        assert idle.minutes_left == pytest.approx((idle.free_bytes - 200_000_000) / rate)
        recorder.start()
        feed(recorder, stream, 0, 500)
        wait_for(lambda: recorder.status().behind_samples == 0)
        assert recorder.status().blocks == 10
        assert recorder.disk_status().queued_bytes == 0
        assert recorder.recording_status().duration == pytest.approx(0.5)
        assert recorder.warnings() == []
        recorder.stop()
        status = recorder.recording_status()
        assert (status.record_mode, status.active_filename, status.duration) == (RecordMode.OFF, "", 0.0)


def test_an_interrupted_stream_is_finished_with_a_note(tmp_path: Path) -> None:
    stream = Stream()
    with recording(stream, tmp_path) as recorder:
        recorder.start()
        feed(recorder, stream, 0, 100)
        recorder.interrupt("the instrument was unplugged")
        assert not recorder.is_recording
        wait_for((tmp_path / "test_0.xdat.json").exists)
        assert recorder.error == "the instrument was unplugged"
        recorder.start()
        assert recorder.error == ""
        feed(recorder, stream, 0, 10)
    with open_session(tmp_path / "test_0.xdat.json") as session:
        assert session.stream().segments.rows == 100
        assert "the instrument was unplugged" in session.notes


def test_a_counter_that_runs_backwards_ends_the_file(tmp_path: Path) -> None:
    stream, told = Stream(), []
    with recording(stream, tmp_path, on_ended=told.append) as recorder:
        recorder.start()
        feed(recorder, stream, 100, 200)
        feed(recorder, stream, 150, 250)
        wait_for(lambda: told)
        assert not recorder.is_recording
        assert "ran backwards from 200 to 150" in told[0]
        assert recorder.error == told[0]
        assert told[0] in recorder.warnings()
    with open_session(tmp_path / "test_0.xdat.json") as session:
        assert session.stream().segments.runs() == [(100, 100)]
        assert any("ran backwards" in note for note in session.notes)
