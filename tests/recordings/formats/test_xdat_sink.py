"""Writing XDAT: other readers, unknown keys, times, events, and what happens when writing fails."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.checks.files_xdat import write_xdat, xdat_document
from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.sinks import SinkCase, probe_channels
from ranvier.exceptions import OutputError
from ranvier.models.signals import SignalType
from ranvier.recordings import Block, Events, Header, Segments, Sink, SpikeTrains, open_session, plain_channels
from ranvier.recordings.formats.xdat_sink import XdatSink, make_document, seconds_of


@pytest.fixture
def case(tmp_path: Path) -> SinkCase:
    return SinkCase(XdatSink, tmp_path)


class TestTimeRule:
    @pytest.mark.parametrize("fs", [20_000.0, 30_000.0, 24414.0625, 1017.2526245117188, 25_000.3])
    def test_every_early_counter(self, fs: float) -> None:
        assert all(int(seconds_of(n, fs) * fs) == n for n in range(-500, 12_000))

    @given(st.integers(-(2**50), 2**50), st.floats(100, 200_000))
    def test_any_counter(self, counter: int, fs: float) -> None:
        seconds = seconds_of(counter, fs)
        assert int(seconds * fs) == counter
        assert abs(seconds - counter / fs) <= 4 * np.spacing(abs(counter / fs))

    def test_plain_division_would_fail(self) -> None:
        assert int(59 / 30_000 * 30_000) == 58, "the trap that seconds_of is there for"

    def test_times_of_a_set(self, tmp_path: Path) -> None:
        header = Header(Fraction(30_000), plain_channels(amp=1))
        for start, rows in ((59, 59), (118, 1), (1_000_003, 77)):
            status = make_document(header, Segments.single(start, rows), Events.empty(), [])["status"]
            assert [int(t * 30_000.0) for t in status["t_range"]] == status["timestamp_range"] == [start, start + rows]


class TestOtherReaders:
    def test_neo(self, case: SinkCase) -> None:
        from neo.rawio import NeuroNexusRawIO

        samples = case.samples()
        samples[:, 7:] = np.random.default_rng(0).integers(0, 2, (len(samples), 3))
        path = case.write("set", samples)
        reader = NeuroNexusRawIO(str(path))
        reader.parse_header()
        header = reader.header
        assert header is not None
        streams = {str(s["id"]): i for i, s in enumerate(header["signal_streams"])}
        columns = {"ai-pri": range(6), "aux": range(6, 7), "din": range(7, 9), "dout": range(9, 10)}
        for name, picked in columns.items():
            theirs = reader.get_analogsignal_chunk(0, 0, 0, None, stream_index=streams[name])
            assert theirs.dtype == np.float32
            assert np.array_equal(theirs, samples[:, picked])
        channels = header["signal_channels"]
        assert [str(c["name"]) for c in channels] == [c.name for c in case.channels]
        assert [str(c["units"]) for c in channels] == ["uV"] * 6 + ["V"] + ["a.u."] * 3
        assert set(channels["gain"]) == {1.0}
        assert set(channels["sampling_rate"]) == {30_000.0}
        assert reader.get_signal_t_start(0, 0, 0) == pytest.approx(case.start / 30_000, abs=1e-12)
        assert reader.raw_annotations["blocks"][0]["rec_datetime"] == case.header().walltime

    @pytest.mark.interop
    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore")
    def test_spikeinterface(self, case: SinkCase) -> None:
        extractors = pytest.importorskip("spikeinterface.extractors")
        samples = case.samples()
        path = case.write("set", samples)
        theirs = extractors.read_neuronexus(str(path), stream_id="ai-pri")
        assert np.array_equal(theirs.get_traces(), samples[:, :6])
        assert theirs.get_sampling_frequency() == 30_000.0
        assert set(theirs.get_channel_gains()) == {1.0}
        assert theirs.get_times()[0] == pytest.approx(case.start / 30_000)

    def test_the_vendors_arithmetic(self, case: SinkCase) -> None:
        """Its readers slice rows by ``int(t * fs) - timestamp_range[0]``."""
        samples = case.samples(777)
        path = case.write("set", samples)
        status = json.loads(path.read_text())["status"]
        fs = status["samp_freq"]
        first, last = (int(t * fs) - status["timestamp_range"][0] for t in status["t_range"])
        data = np.fromfile(path.with_name("set_data.xdat"), "<f4").reshape(-1, status["signals"]["total"])
        assert np.array_equal(data[first:last], samples)
        counters = np.fromfile(path.with_name("set_timestamp.xdat"), "<i8")
        assert [counters[0], counters[-1] + 1] == status["timestamp_range"]

    def test_all_34_lists_are_there(self, case: SinkCase) -> None:
        lists = json.loads(case.write("set", case.samples(5)).read_text())["sapiens_base"]["biointerface_map"]
        wanted = """chan_name chan_type ntv_chan_idx ntv_chan_name sys_chan_idx absolute_idx site_num site_shape port
            is_selected is_audio is_audio_left is_audio_right color_grp_idx site_ctr_x site_ctr_y site_ctr_z
            site_ctr_tcs_x site_ctr_tcs_y site_ctr_tcs_z scs_to_tcs_x scs_to_tcs_y scs_to_tcs_z site_lim_x_min
            site_lim_x_max site_lim_y_min site_lim_y_max site_lim_z_min site_lim_z_max sensor_units probe_id
            headstage_id sensor_uid dsrc_uid"""
        assert sorted(lists) == sorted(wanted.split())
        assert {len(values) for values in lists.values()} == {10}


class TestRoundTrip:
    def foreign_document(self) -> dict[str, Any]:
        document = xdat_document(2000, 4, 2, 2, 2, 20_000.0, 320_000)
        document["license"] = {"key": [1, {"deep": None}]}
        document["status"]["mystery"] = "kept"
        document["sapiens_base"] |= {
            "sig_proc_spec": {"hardware": [{"port": "A", "type": "BANDPASS", "freqSpec": [0.1, 7603.8]}]},
            "sensors_by_port": {"A": {"probe_id": "probe__x", "num_channels": 4, "serial": "S-7"}},
            "unknown": [1, 2, 3],
        }
        document["sapiens_base"]["biointerface_map"] |= {
            "is_audio": [0, 1, 0, 0] + [0] * 6,
            "new_list": [f"column {i}" for i in range(10)],
            "new_scalar": 5,
        }
        return document

    def transform(self, source: Path, destination: Path, columns: list[int]) -> dict[str, Any]:
        with open_session(source) as session:
            recording = session.stream()
            header = Header(
                fs=recording.fs,
                channels=recording.channels.take(columns),
                start=recording.start,
                walltime=recording.walltime,
                extra=session.extra,
            )
            with XdatSink(destination, header) as sink:
                for block in recording.blocks(333, columns=np.array(columns)):
                    sink.write(block)
                written: dict[str, Any] = json.loads(sink.commit().read_text())
        return written

    def test_unknown_keys_survive(self, tmp_path: Path) -> None:
        document = self.foreign_document()
        path, samples = write_xdat(tmp_path, document=document)
        got = self.transform(path, tmp_path / "copy", list(range(10)))
        del got["ranvier"]
        assert got["license"] == document["license"]
        assert got["status"] == {
            **document["status"],
            "num_smpl": 2000,
            "start_time": "2025-01-02T03:04:05.1234560-05:00",
        }
        for key in ("sig_proc_spec", "unknown"):
            assert got["sapiens_base"][key] == document["sapiens_base"][key]
        assert got["sapiens_base"]["sensors_by_port"]["A"]["serial"] == "S-7"
        for key, values in document["sapiens_base"]["biointerface_map"].items():
            assert got["sapiens_base"]["biointerface_map"][key] == values
        copied = open_session(tmp_path / "copy").stream()
        assert np.array_equal(copied.read(copied.start, copied.stop).samples, samples)

    def test_unknown_lists_follow_the_channels(self, tmp_path: Path) -> None:
        path, _ = write_xdat(tmp_path, document=self.foreign_document())
        lists = self.transform(path, tmp_path / "copy", [3, 1, 8])["sapiens_base"]["biointerface_map"]
        assert lists["new_list"] == ["column 3", "column 1", "column 8"]
        assert lists["is_audio"] == [0, 1, 0]
        assert lists["new_scalar"] == 5
        assert lists["ntv_chan_idx"] == [3, 1, 0]
        assert lists["sys_chan_idx"] == [3, 1, 8]

    def test_twice_is_as_once(self, tmp_path: Path) -> None:
        path, _ = write_xdat(tmp_path, document=self.foreign_document())
        once = self.transform(path, tmp_path / "once", list(range(10)))
        assert self.transform(tmp_path / "once", tmp_path / "twice", list(range(10))) == once

    def test_identifiers(self, case: SinkCase) -> None:
        path = case.write("set", case.samples(5))
        assert open_session(path).extra["uid"] == "0102-03-04-05"
        assert set(json.loads(path.read_text())["sapiens_base"]["biointerface_map"]["dsrc_uid"]) == {"0102-03-04-05"}

    def test_exact_rates_survive(self, tmp_path: Path) -> None:
        fs = Fraction(100_000_000, 3277)
        with XdatSink(tmp_path / "set", Header(fs, plain_channels(amp=1))) as sink:
            sink.write(Block(np.zeros((5, 1), np.float32), 7))
            assert open_session(sink.commit()).stream().fs == fs

    def test_skew_survives(self, tmp_path: Path) -> None:
        table = plain_channels(amp=2)
        table = table.with_channels(replace(c, skew_samples=c.ntv / 13) for c in table)
        with XdatSink(tmp_path / "set", Header(Fraction(1000), table)) as sink:
            sink.write(Block(np.zeros((5, 2), np.float32), 7))
            assert open_session(sink.commit()).stream().channels.skew_samples.tolist() == [0.0, 1 / 13]

    def test_numbers_that_json_lacks(self, tmp_path: Path) -> None:
        channels = probe_channels(2)
        odd = {"coefficients": np.array([1.0, np.nan]), "limit": np.inf, "order": np.int64(4), "path": tmp_path}
        with XdatSink(tmp_path / "set", Header(Fraction(1000), channels, provenance=odd)) as sink:
            sink.write(Block(np.zeros((5, 2), np.float32), 0))
            session = open_session(sink.commit())
        assert session.provenance == {"coefficients": [1.0, None], "limit": None, "order": 4, "path": str(tmp_path)}

    def test_start_time_belongs_to_the_first_sample_written(self, tmp_path: Path) -> None:
        when = datetime(2025, 6, 1, tzinfo=UTC)
        with XdatSink(tmp_path / "set", Header(Fraction(1000), plain_channels(amp=1), 500, when)) as sink:
            sink.write(Block(np.zeros((5, 1), np.float32), 2500))
            assert open_session(sink.commit()).stream().walltime == when + timedelta(seconds=2)

    def test_unknown_start_time_stays_unknown(self, tmp_path: Path) -> None:
        with XdatSink(tmp_path / "set", Header(Fraction(1000), plain_channels(amp=1))) as sink:
            sink.write(Block(np.zeros((5, 1), np.float32), 0))
            path = sink.commit()
        assert open_session(path).stream().walltime is None
        assert json.loads(path.read_text())["status"]["start_time"] == "1970-01-01T00:00:00.0000000+00:00"


class TestEvents:
    def test_edges_of_stored_lines_are_not_kept_twice(self, tmp_path: Path) -> None:
        path, _ = write_xdat(tmp_path, din=1, dout=0)
        with open_session(path) as session:
            recording = session.stream()
            edges = session.events[""]
            assert len(edges) > 3
            message = Events(np.array([320_100]), np.array([-1]), np.array([-1]), ("message",), ("hello",))
            with XdatSink(tmp_path / "copy", Header(recording.fs, recording.channels)) as sink:
                sink.write(recording.read(recording.start, recording.stop))
                sink.write_events(Events.merge(edges, message))
                copy = open_session(sink.commit()).events[""]
            assert len(copy) == len(edges) + 1
            keep = recording.channels.columns_of(SignalType.AMP)
            with XdatSink(tmp_path / "amp", Header(recording.fs, recording.channels.take(keep))) as sink:
                sink.write(recording.read(recording.start, recording.stop, keep))
                sink.write_events(edges)
                kept = open_session(sink.commit()).events[""]
            assert np.array_equal(kept.counter, edges.counter), "without the column the edges are kept as events"

    def test_waveforms_come_back_and_stale_spikes_go(self, case: SinkCase) -> None:
        waveforms = np.random.default_rng(0).normal(size=(3, 2, 40)).astype(np.float32)
        at = np.array([case.start, case.start + 5, case.start + 9])
        trains = SpikeTrains(at, np.array([1, 2, 1], np.int32), np.array([0, 1, -1], np.int32), waveforms)
        with case.open("set") as sink:
            sink.write(Block(case.samples(50), case.start))
            sink.write_spike_trains("Kilosort 4", trains)
            path = sink.commit()
        got = open_session(path).spike_trains["Kilosort 4"]
        assert np.array_equal(got.waveforms, waveforms)
        assert got.unit_names is None
        with XdatSink(case.folder / "set", case.header(), force=True) as sink:
            sink.write(Block(case.samples(50), case.start))
            sink.commit()
        assert sorted(p.name for p in case.folder.iterdir()) == ["set.xdat.json", "set_data.xdat", "set_timestamp.xdat"]
        assert not open_session(path).spike_trains


class _Full:
    """A file on a disk that takes ``room`` bytes more."""

    def __init__(self, handle: Any, room: int) -> None:
        self.handle, self.room, self.name = handle, room, handle.name

    def write(self, content: Any, *, lent: bool = False) -> int:
        self.room -= len(memoryview(content).cast("B"))
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.handle.write(content, lent=lent)

    def close(self) -> None:
        self.handle.close()


def write_on(sink: Sink, case: SinkCase, blocks: int) -> None:
    with sink:
        for i in range(blocks):
            sink.write(Block(case.samples(1000), case.start + 1000 * i))
        sink.commit()


class TestFailures:
    def test_disk_full_while_writing(self, case: SinkCase) -> None:
        sink = XdatSink(case.folder / "set", case.header())
        sink._data = _Full(sink._data, 100_000)
        with pytest.raises(OutputError, match=r"set_data\.xdat: the disk is full"):
            write_on(sink, case, 100)
        assert list(case.folder.iterdir()) == []

    @pytest.mark.parametrize("fails_at", range(4))
    def test_a_failing_rename_restores_what_was_there(self, case: SinkCase, monkeypatch, fails_at: int) -> None:
        old = case.samples(20, seed=1)
        path = case.write("set", old)
        real = os.replace
        calls = []

        def replace(source: Path, target: Path) -> None:
            if ".replaced" not in str(source) + str(target):
                calls.append(target)
                if len(calls) == fails_at + 1:
                    raise OSError(errno.EACCES, "Permission denied")
            real(source, target)

        sink = XdatSink(case.folder / "set", case.header(), force=True)
        sink.write(Block(case.samples(30, seed=2), case.start))
        monkeypatch.setattr("ranvier.recordings.files.os.replace", replace)
        if fails_at < 3:
            with pytest.raises(OutputError, match="Permission denied"):
                sink.commit()
            sink.abort()
        else:
            sink.commit()
        monkeypatch.undo()
        with open_session(path) as session:
            assert session.stream().segments.rows == (20 if fails_at < 3 else 30)
        assert len(list(case.folder.iterdir())) == 3

    def test_ctrl_c_in_commit(self, case: SinkCase, monkeypatch) -> None:
        def interrupt(path: Path) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("ranvier._platform.flush_to_disk", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_on(case.open("set"), case, 1)
        assert list(case.folder.iterdir()) == []

    def test_a_forgotten_sink_leaves_nothing(self, case: SinkCase) -> None:
        sink = case.open("set")
        sink.write(Block(case.samples(30), case.start))
        assert list(case.folder.iterdir())
        del sink
        assert list(case.folder.iterdir()) == []

    def test_nothing_written_is_refused(self, case: SinkCase) -> None:
        with case.open("set") as sink, pytest.raises(OutputError, match="nothing was written"):
            sink.commit()
        assert list(case.folder.iterdir()) == []

    @pytest.mark.slow
    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
    def test_a_really_full_disk(self, tmp_path: Path) -> None:
        import subprocess

        disk = tmp_path / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True).returncode:
            pytest.skip("cannot mount a tmpfs here")
        try:
            case = SinkCase(XdatSink, disk)
            with pytest.raises(OutputError, match="the disk is full"):
                write_on(case.open("set"), case, 200)
            assert list(disk.iterdir()) == []
        finally:
            subprocess.run(["umount", str(disk)], check=True)


def own_set(folder: Path) -> dict[str, bytes]:
    """Return a set with everything that the Sink adds: events, spikes, geometry, provenance."""
    case = SinkCase(XdatSink, folder, rows=300)
    at = case.start + np.arange(5)
    with case.open("set") as sink:
        sink.write(Block(case.samples(), case.start))
        sink.write_events(Events.ttl(at, [0] * 5, [1, 0, 1, 0, 1]))
        units = np.ones(5, np.int32)
        sink.write_spike_trains("sorter", SpikeTrains(at, units, units, np.zeros((5, 2, 8), np.float32), {1: "a"}))
        sink.commit()
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize("examples", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_damaged_sets_of_ours(tmp_path: Path, examples: int) -> None:
    source = tmp_path / "source"
    source.mkdir()
    fuzz_reader(own_set(source), lambda folder: open_session(folder / "set"), tmp_path, examples=examples)
