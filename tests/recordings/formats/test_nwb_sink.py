"""The NWB Sink: every rule of the suite, what other programs read in the file, failures of the disk."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest

from ranvier.checks.sinks import BIT_UV, SINK_RULES, SinkCase, probe_channels
from ranvier.exceptions import CapabilityError, OutputError
from ranvier.recordings import Block, Events, Header, SpikeTrains, open_session, plain_channels
from ranvier.recordings.formats.nwb_sink import NwbSink

START = 90_017


def counts_block(rows=400, gains=(0.195,) * 4, offset=0.0, seed=0, start=START):
    counts = np.random.default_rng(seed).integers(-32768, 32768, (rows, len(gains))).astype(np.int16)
    return Block(counts, start, np.array(gains), np.full(len(gains), offset))


def write(path, *blocks, channels=None, **header):
    made = Header(Fraction(30_000), channels or plain_channels(amp=4), start=blocks[0].start if blocks else 0, **header)
    with NwbSink(path, made) as sink:
        for block in blocks:
            sink.write(block)
        return sink.commit()


@pytest.mark.parametrize("rule", SINK_RULES, ids=lambda rule: rule.__name__)
def test_sink(rule, tmp_path):
    rule(SinkCase(NwbSink, tmp_path))


def rich_file(folder: Path, *, gap: bool) -> tuple[Path, np.ndarray, SinkCase]:
    """A file with every kind of column, events, spikes, and a gap if asked."""
    case = SinkCase(NwbSink, folder, channels=probe_channels(6, ain=2, din=3, dout=1), rows=1000)
    samples = case.samples()
    samples[:, -4:] = np.random.default_rng(1).integers(0, 2, (1000, 4))
    at = np.sort(np.random.default_rng(2).integers(case.start, case.start + 900, 60))
    waveforms = np.random.default_rng(3).normal(size=(60, 3, 20)).astype(np.float32)
    spikes = SpikeTrains(at, (np.arange(60) % 3 + 4).astype(np.int32), np.full(60, 2, np.int32), waveforms, {4: "four"})
    with case.open("rich", simulated=True) as sink:
        sink.write(Block(samples[:600], case.start))
        sink.write(Block(samples[600:], case.start + 600 + (50 if gap else 0)))
        sink.write_events(Events.ttl([case.start + 5, case.start + 9], [2, 2], [1, 0], source="laser"))
        sink.write_spike_trains("first", spikes)
        sink.write_spike_trains("second/sorter", replace(spikes, waveforms=None))
        return sink.commit(), samples, case


@pytest.mark.parametrize("gap", [False, True])
def test_pynwb_reads_and_validates(tmp_path, gap):
    import pynwb

    path, samples, case = rich_file(tmp_path, gap=gap)
    assert pynwb.validate(path=str(path)) == []
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        file = io.read()
        series = file.acquisition["ElectricalSeries"]
        np.testing.assert_array_equal(series.data[:], samples[:, :6])
        assert series.conversion == 1e-6
        if gap:
            wanted = (case.start + np.concatenate((np.arange(600), np.arange(650, 1050)))) / 30_000
            np.testing.assert_array_equal(series.timestamps[:], wanted)
            np.testing.assert_array_equal(file.acquisition["DigitalInputs"].timestamps[:], wanted)
        else:
            assert (series.rate, series.starting_time) == (30_000.0, case.start / 30_000)
        np.testing.assert_array_equal(file.acquisition["AnalogInputs"].data[:], samples[:, 6:8])
        assert file.acquisition["AnalogInputs"].unit == "volts"
        np.testing.assert_array_equal(file.acquisition["DigitalInputs"].data[:], samples[:, 8:11])
        table = file.electrodes.to_dataframe()
        assert list(table["ntv_chan_idx"]) == list(range(6))
        assert list(table["rel_y"][:5]) == [c.site.y_um for c in list(case.channels)[:5]]
        assert np.isnan(table["rel_x"][5])
        assert set(table["location"]) == {"unknown"}
        assert len(file.electrode_groups) == 3  # two shanks, and the channel without a site
        events = file.acquisition["events"].to_dataframe()
        assert list(events["counter"]) == [case.start + 5, case.start + 9]
        assert list(events["timestamp"]) == [(case.start + 5) / 30_000, (case.start + 9) / 30_000]
        units = file.units.to_dataframe()
        assert list(units.index) == [4, 5, 6]
        assert sum(len(t) for t in units["spike_times"]) == 60
        assert units["spike_waveform"].iloc[0].shape == (20, 3, 20)
        assert "SIMULATED" in file.session_description
        assert "simulated" in list(file.keywords)
        record = json.loads(file.get_scratch("ranvier").item())
        assert record["provenance"]["notes"] == ["made by ranvier.checks"]


def test_everything_of_ours_comes_back(tmp_path):
    path, samples, case = rich_file(tmp_path, gap=True)
    with open_session(path) as session:
        stream = session.stream()
        got = np.concatenate([block.samples for block in stream.blocks(77)])
        np.testing.assert_array_equal(got, samples)
        assert stream.channels.channels == case.channels.channels
        assert list(session.spike_trains) == ["first", "second/sorter"]
        assert session.spike_trains["first"].unit_names == {4: "four", 5: "5", 6: "6"}
        events = session.events["ElectricalSeries"]
        assert [s for s in events.source if s == "laser"] == ["laser"] * 2
        edges = np.count_nonzero(np.diff(samples[:, -4:], axis=0))
        assert len(events) == edges + 2  # edges of the digital columns and the table


def test_waveforms_come_back(tmp_path):
    rng = np.random.default_rng(0)
    waveforms = rng.normal(size=(50, 2, 30)).astype(np.float32)
    at = np.sort(rng.integers(START, START + 400, 50))
    spikes = SpikeTrains(at, rng.integers(1, 5, 50).astype(np.int32), np.zeros(50, np.int32), waveforms)
    with NwbSink(tmp_path / "a", Header(Fraction(30_000), plain_channels(amp=4), START)) as sink:
        sink.write(counts_block())
        sink.write_spike_trains("s", spikes)
        path = sink.commit()
    with open_session(path) as session:
        np.testing.assert_array_equal(session.spike_trains["s"].waveforms, waveforms)
        np.testing.assert_array_equal(session.spike_trains["s"].unit, spikes.unit)


@pytest.mark.parametrize("gains", [(0.195,) * 4, (0.195, 0.05, 2.34, 0.195)])
def test_counts_stay_counts(tmp_path, gains):
    import h5py
    import pynwb

    block = counts_block(gains=gains, offset=-1.5)
    path = write(tmp_path / "a", block, replace(counts_block(gains=gains, offset=-1.5, seed=1), start=block.stop))
    assert pynwb.validate(path=str(path)) == []
    with h5py.File(path) as file:
        assert file["acquisition/ElectricalSeries/data"].dtype == np.int16
    with open_session(path) as session:
        stream = session.stream()
        assert stream.stores_counts
        assert tuple(stream.channels.gains) == gains
        assert set(stream.channels.offsets) == {-1.5}
        np.testing.assert_array_equal(stream.read_counts(START, START + 400).samples, block.samples)
        np.testing.assert_array_equal(stream.read(START, START + 400).samples, block.physical())


def test_skew_comes_back(tmp_path):
    table = plain_channels(amp=4)
    table = table.with_channels(replace(c, skew_samples=c.ntv / 13) for c in table)
    with NwbSink(tmp_path / "a", Header(Fraction(30_000), table, START)) as sink:
        sink.write(counts_block())
        path = sink.commit()
    with open_session(path) as session:
        assert session.stream().channels.skew_samples.tolist() == [0.0, 1 / 13, 2 / 13, 3 / 13]


def test_counts_beside_other_inputs(tmp_path):
    """Counts of the amplifier stay counts; volts and digital lines are stored as what they are."""
    rng = np.random.default_rng(0)
    counts = rng.integers(-3000, 3000, (200, 6)).astype(np.int16)
    counts[:, 5] = rng.integers(0, 2, 200)
    gain = np.array([BIT_UV, BIT_UV, 3.74e-5, 5e-5, 5e-5, 1.0])
    offset = np.array([0, 0, 1.22552, 0, 0, 0])
    block = Block(counts, START, gain, offset)
    path = write(tmp_path / "a", block, channels=plain_channels(amp=2, ain=3, din=1))
    with open_session(path) as session:
        np.testing.assert_array_equal(session.stream().read(START, START + 200).samples, block.physical())


def test_a_change_from_counts_to_volts_is_refused(tmp_path):
    with NwbSink(tmp_path / "a", Header(Fraction(30_000), plain_channels(amp=4), START)) as sink:
        sink.write(counts_block())
        with pytest.raises(OutputError, match="changed"):
            sink.write(Block(np.zeros((5, 4), np.float32), START + 400))
    assert list(tmp_path.iterdir()) == []


def test_rates_that_are_no_decimal_come_back_exactly(tmp_path):
    for fs in (Fraction(10_000, 3), Fraction(390_625, 16), Fraction(30_000_001, 1000)):
        with NwbSink(tmp_path / f"{fs.numerator}", Header(fs, plain_channels(amp=4), START)) as sink:
            sink.write(counts_block())
            path = sink.commit()
        with open_session(path) as session:
            assert session.stream().fs == fs
            assert session.stream().start == START


def test_without_a_time_of_day_the_start_is_a_placeholder(tmp_path):
    path = write(tmp_path / "a", counts_block())
    with open_session(path) as session:
        assert session.stream().walltime is None
        assert "placeholder" in session.extra["nwb"]["session_description"]


def test_nothing_written_is_a_file_without_samples(tmp_path):
    path = write(tmp_path / "a")
    with open_session(path) as session:
        assert session.stream().segments.rows == 0


def test_amplifier_channels_are_needed(tmp_path):
    with pytest.raises(CapabilityError, match="amplifier"):
        NwbSink(tmp_path / "a", Header(Fraction(30_000), plain_channels(ain=2)))
    assert list(tmp_path.iterdir()) == []


def test_extra_survives(tmp_path):
    path = write(tmp_path / "a", counts_block(), extra={"rhd": {"notes": ["µ"]}, "nwb": {"identifier": "old"}})
    with open_session(path) as session:
        assert session.extra["rhd"] == {"notes": ["µ"]}
        assert session.extra["nwb"]["identifier"] != "old"


def held_up(monkeypatch, go):
    """pynwb writes the structure when told to, not before; return the calls."""
    import pynwb

    write_structure, calls = pynwb.NWBHDF5IO.write, []

    def waits(self, *args, **kwargs):
        calls.append(threading.current_thread())
        assert go.wait(20)
        return write_structure(self, *args, **kwargs)

    monkeypatch.setattr(pynwb.NWBHDF5IO, "write", waits)
    return calls


def test_the_structure_is_made_beside_and_lies_before_the_samples(tmp_path, monkeypatch):
    go = threading.Event()
    calls = held_up(monkeypatch, go)
    with NwbSink(tmp_path / "a", Header(Fraction(30_000), plain_channels(amp=4), start=START)) as sink:
        go.set()
        for seed in range(8):
            sink.write(counts_block(300_000, seed=seed, start=START + 300_000 * seed))
        path = sink.commit()
    assert calls
    assert calls[0] is not threading.main_thread()
    with h5py.File(path) as file:
        data = file["acquisition/ElectricalSeries/data"].id
        assert data.get_offset() is None  # in chunks
        first = min(data.get_chunk_info(i).byte_offset for i in range(data.get_num_chunks()))
        for name in ("general", "acquisition/ElectricalSeries", "general/extracellular_ephys/electrodes"):
            assert h5py.h5o.get_info(file[name].id).addr < first


def test_a_structure_that_fails_leaves_nothing(tmp_path, monkeypatch):
    import pynwb

    def fails(self, *args, **kwargs):
        raise OSError("no more of it")

    monkeypatch.setattr(pynwb.NWBHDF5IO, "write", fails)
    with pytest.raises(OutputError, match="no more of it"):
        write(tmp_path / "a", counts_block())
    assert not list(tmp_path.iterdir())


def test_aborting_before_the_structure_is_there(tmp_path, monkeypatch):
    go = threading.Event()
    held_up(monkeypatch, go)
    sink = NwbSink(tmp_path / "a", Header(Fraction(30_000), plain_channels(amp=4), start=START))
    threading.Timer(0.2, go.set).start()
    sink.abort()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit of file size")
def test_a_disk_that_fills_up_while_writing(tmp_path):
    """The limit of file size acts as a full disk: our error, nothing left, and the process goes on."""
    program = f"""
import resource
from pathlib import Path
from fractions import Fraction
import numpy as np
from ranvier.exceptions import OutputError
from ranvier.recordings import Block, Header, plain_channels
from ranvier.recordings.formats.nwb_sink import NwbSink
folder = Path({str(tmp_path)!r})
for limit in (100_000, 20_000_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        with NwbSink(folder / "a", Header(Fraction(30000), plain_channels(amp=32))) as sink:
            for i in range(40):
                sink.write(Block(np.zeros((30000, 32), np.float32), 30000 * i))
            sink.commit()
    except OutputError as error:
        assert "a.nwb" in str(error), error
        print("refused")
    assert list(folder.iterdir()) == [], list(folder.iterdir())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.split() == ["refused", "refused"], done.stderr
    assert done.returncode == 0, done.stderr


def test_memory_stays_flat(tmp_path):
    """Writing more does not take more memory: peak of 60 MB written in blocks of 1.2 MB."""
    import tracemalloc

    with NwbSink(tmp_path / "a", Header(Fraction(30_000), plain_channels(amp=32))) as sink:
        block = np.zeros((10_000, 32), np.float32)
        sink.write(Block(block, 0))
        tracemalloc.start()
        for i in range(1, 50):
            sink.write(Block(block, 10_000 * i))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        sink.commit()
    assert peak < 5e6


def test_long_runs_have_right_timestamps(tmp_path, monkeypatch):
    """Timestamps are written in pieces; a piece is longer than any run of the other tests."""
    import h5py

    monkeypatch.setattr("ranvier.recordings.formats.nwb_sink._STAMP_ROWS", 64)
    path = write(tmp_path / "a", counts_block(), counts_block(start=START + 500))
    counters = START + np.concatenate((np.arange(400), np.arange(500, 900)))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["acquisition/ElectricalSeries/timestamps"][:], counters / 30_000)


@pytest.mark.parametrize("gain", [0.195, 0.1, 0.3, 2.34, 0.05000000074505806, 4.6875, 1 / 3])
def test_gains_come_back_to_the_last_bit(tmp_path, gain):
    path = write(tmp_path / "a", counts_block(rows=5, gains=(gain,) * 4, offset=0.7))
    with open_session(path) as session:
        assert set(session.stream().channels.gains) == {gain}
        assert set(session.stream().channels.offsets) == {0.7}


@pytest.mark.interop
def test_spikeinterface_reads_the_signals(tmp_path):
    extractors = pytest.importorskip("spikeinterface.extractors")
    gains = (0.1, 0.2, 0.3, 0.4)
    block = counts_block(gains=gains, offset=-2.0)
    path = write(tmp_path / "a", block)
    other = extractors.read_nwb_recording(str(path))
    np.testing.assert_allclose(other.get_traces(return_in_uV=True), block.physical(), rtol=1e-5, atol=1e-3)
    assert other.get_sampling_frequency() == 30_000
    np.testing.assert_allclose(other.get_times(), (START + np.arange(400)) / 30_000)
