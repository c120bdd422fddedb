"""NeuroExplorer: real .nex files, the vendor's own writer, made files, neo and nex5file as other readers, the sink."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier import CurateClient, VidereClient
from ranvier.checks.files_nex import NexSignal, write_nex
from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.readers import READER_RULES, ReaderCase, ReferenceStream
from ranvier.checks.sinks import SINK_RULES, SinkCase, probe_channels
from ranvier.exceptions import RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.recordings import Block, Events, Header, SpikeTrains, open_session, plain_channels
from ranvier.recordings.formats import nex
from ranvier.recordings.formats.nex_sink import Nex5Sink

PEERS = Path(os.environ.get("RANVIER_PEERS", Path(__file__).parents[3] / ".venv-peers/bin/python"))
GAPPED = ((400, 300), (40_000, 500), (60_001, 1))  # at 1 kHz: counters 10, 1000, 1500


@pytest.mark.parametrize("rule", READER_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("suffix", [".nex", ".nex5"])
def test_suite(rule, suffix, tmp_path):
    signals = {"a": NexSignal(GAPPED), "b": NexSignal(GAPPED, gain_mv=0.001)}
    path = tmp_path / f"x{suffix}"
    content = write_nex(path, signals, events={"e": (500, 41_000)}, neurons={"n": (1, 2)}, waves={"w": (7, 9)})
    stored = np.stack([content.values["a"] * 0.195, content.values["b"] * 1.0], axis=1)
    whole = np.full((1491, 2), np.nan)
    whole[:300], whole[990:1490], whole[1490] = stored[:300], stored[300:800], stored[800]
    rule(ReaderCase(lambda: open_session(path), {"": ReferenceStream(whole, 10, 1000.0, rtol=3e-7)}, (path,)))


@pytest.mark.parametrize("rule", SINK_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("fs", [Fraction(30_000), Fraction(390625, 16)])
def test_sink_suite(rule, fs, tmp_path):
    # Millivolts as float32: a value of 4 mV comes back within 0.5 nV.
    rule(SinkCase(Nex5Sink, tmp_path, fs=fs, atol_uv=1e-3))


@pytest.mark.parametrize("long_ticks", [False, True])
def test_every_variable_of_nex5(tmp_path, long_ticks):
    path = tmp_path / "x.nex5"
    content = write_nex(
        path,
        {
            "lfp": NexSignal(is_float=True, units="uV"),
            "pos": NexSignal(units="cm", gain_mv=0.5),
            "u": NexSignal(units="V"),
        },
        neurons={"n1": (5, 9), "n2": (7,)},
        events={"e": (400, 800)},
        intervals={"iv": ((80, 160), (4000, 8000))},
        markers={"m": ((120, "one"), (40, "two"))},
        waves={"w": (9, 3)},
        long_ticks=long_ticks,
    )
    session = open_session(path)
    stream = session.stream()
    assert [(c.name, c.type) for c in stream.channels] == [
        ("lfp", SignalType.AMP), ("u", SignalType.AMP), ("pos", SignalType.AIN)
    ]  # fmt: skip
    got = stream.read(0, stream.stop).samples
    np.testing.assert_array_equal(got[:, 0], content.values["lfp"])
    np.testing.assert_allclose(got[:, 1], content.values["u"] * 195.0, rtol=2e-7)
    np.testing.assert_allclose(got[:, 2], content.values["pos"] * 0.5)
    events = session.events[""]
    rows = list(zip(events.counter.tolist(), events.line, events.state, events.source, events.text, strict=True))
    assert rows == [
        (1, -1, -1, "marker m", "two"), (2, 1, 1, "interval iv", ""), (3, -1, -1, "marker m", "one"),
        (4, 1, 0, "interval iv", ""), (10, 0, 1, "event e", ""), (20, 0, 1, "event e", ""),
        (100, 1, 1, "interval iv", ""), (200, 1, 0, "interval iv", ""),
    ]  # fmt: skip
    neurons = session.spike_trains["neurons"]
    assert (neurons.counter.tolist(), neurons.unit.tolist()) == ([5, 7, 9], [1, 2, 1])
    assert neurons.unit_names == {1: "n1", 2: "n2"}
    assert neurons.fs == 40_000
    waves = session.spike_trains["w"]
    assert waves.counter.tolist() == [3, 9]
    np.testing.assert_allclose(waves.waveforms[:, 0], content.waveforms["w"][[1, 0]] * 1.0, rtol=1e-6)


def test_rounding_of_fragments_is_no_gap_and_one_sample_is(tmp_path):
    path = tmp_path / "x.nex5"
    write_nex(path, {"a": NexSignal(((0, 100), (4_010, 100)))})
    assert open_session(path).stream().segments.runs() == [(0, 200)]
    write_nex(path, {"a": NexSignal(((0, 100), (4_040, 100)))})
    assert open_session(path).stream().segments.runs() == [(0, 100), (101, 100)]


def test_unlike_signals_are_streams_of_their_own(tmp_path):
    path = tmp_path / "x.nex"
    write_nex(path, {"a": NexSignal(), "b": NexSignal(fs=500.0), "c": NexSignal(GAPPED), "d": NexSignal()})
    session = open_session(path)
    assert {n: [c.name for c in s.channels] for n, s in session.streams.items()} == {
        "1000 Hz": ["a", "d"], "500 Hz": ["b"], "1000 Hz c": ["c"]
    }  # fmt: skip


def test_truncation_keeps_the_whole_signals(tmp_path):
    path = tmp_path / "x.nex"
    content = write_nex(path, {"a": NexSignal(), "b": NexSignal(), "c": NexSignal()})
    path.write_bytes(path.read_bytes()[: -2000 - 8 - 301])
    session = open_session(path)
    assert any("c: all 1000 samples are lost" in note for note in session.notes)
    assert session.streams["1000 Hz"].lost_samples == 0
    cut = session.streams["1000 Hz b"]
    assert cut.lost_samples == 151
    np.testing.assert_array_equal(cut.read_counts(0, cut.stop).samples[:, 0], content.values["b"][:849])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d[:200], "ends inside its header"),
        (lambda d: d[:264] + bytes(8) + d[272:], "ticks per second"),
        (lambda d: d[:280] + b"\xff\xff\xff\x7f" + d[284:], "2147483647 variables"),
        (lambda d: d[:356] + b"\x63\0\0\0" + d[360:], "type 99"),
        (lambda d: d[:500], "headers of its 1 variables"),
    ],
)
def test_damaged_headers(tmp_path, change, words):
    path = tmp_path / "x.nex5"
    write_nex(path, {"a": NexSignal()})
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(RecordingError, match=words) as caught:
        open_session(path)
    assert "x.nex5" in str(caught.value)


def test_damaged_metadata_leave_the_signals(tmp_path):
    case = SinkCase(Nex5Sink, tmp_path, atol_uv=1e-3)
    path = case.write("a", samples := case.samples(300))
    data = path.read_bytes()
    path.write_bytes(data[:-50])
    session = open_session(path)
    assert any("metadata cannot be read" in note for note in session.notes)
    got = session.stream().read(case.start, case.start + 300).samples
    np.testing.assert_allclose(got[:, :6], samples[:, :6], atol=1e-3)


def test_counts_stay_counts_and_what_does_not_fit_is_clipped_and_counted(tmp_path):
    rng = np.random.default_rng(1)
    counts = rng.integers(-32768, 32768, (70_000, 3)).astype(np.int16)
    gain, offset = np.array([0.195, 0.25, 0.1]), np.zeros(3)
    with Nex5Sink(tmp_path / "a", Header(Fraction(30_000), plain_channels(amp=3))) as sink:
        for a in range(0, 70_000, 9_000):
            sink.write(Block(counts[a : a + 9_000], a, gain, offset))
        sink.write(Block(np.array([[10_000.0, -50, np.nan]], np.float32), 70_000))
        assert (sink.clipped_samples, sink.unknown_samples) == (1, 1)
        path = sink.commit()
    assert [p.name for p in tmp_path.iterdir()] == ["a.nex5"]
    session = open_session(path)
    assert [note.partition(" (")[0] for note in session.notes] == [
        "1 values were saturated", "1 values that were not known"
    ]  # fmt: skip
    stream = session.stream()
    assert stream.stores_counts
    np.testing.assert_array_equal(stream.read_counts(0, 70_000).samples, counts)
    np.testing.assert_array_equal(stream.channels.gains, gain)
    assert stream.read_counts(70_000, 70_001).samples.tolist() == [[32767, -200, 0]]


def test_spikes_with_waveforms_and_far_counters(tmp_path):
    start = 2**33 + 7
    trains = SpikeTrains(
        np.array([start, start + 5]), np.array([1, 2], np.int32), np.array([-1, 3], np.int32),
        np.random.default_rng(0).normal(0, 50, (2, 4, 30)).astype(np.float32), {1: "a", 2: "b"},
    )  # fmt: skip
    with Nex5Sink(tmp_path / "a", Header(Fraction(10_000, 3), plain_channels(amp=1), start=start)) as sink:
        sink.write(Block(np.ones((10, 1), np.float32), start))
        sink.write_spike_trains("s", trains)
        path = sink.commit()
    session = open_session(path)
    assert session.stream().segments.runs() == [(start, 10)]
    assert session.stream().fs == Fraction(10_000, 3)
    got = session.spike_trains["s"]
    np.testing.assert_array_equal(got.counter, trains.counter)
    np.testing.assert_array_equal(got.site, trains.site)
    np.testing.assert_allclose(got.waveforms, trains.waveforms, rtol=2e-7)


def test_clients_convert_to_and_from(tmp_path):
    write_nex(tmp_path / "x.nex", {"a": NexSignal(GAPPED), "b": NexSignal(GAPPED)}, events={"e": (500, 41_000)})
    with VidereClient() as videre, CurateClient() as curate:
        ds = videre.link_data_file(tmp_path / "x.nex")
        whole = videre.get_signals(ds).amp
        for name in ("out.xdat", "out.nex5"):
            there = curate.car(ds, tmp_path / f"car_{name}")
            assert there.gaps == ds.gaps
        back = videre.link_data_file(tmp_path / "car_out.nex5")
        np.testing.assert_allclose(videre.get_signals(back).amp, whole - np.mean(whole, axis=0), atol=2e-2)
        videre.copy_data_source_file(tmp_path / "x.nex", tmp_path / "y")
        assert (tmp_path / "y.nex").exists()


@pytest.mark.samples
@pytest.mark.parametrize("name", ["test1.nex", "CS056P07R-MEME1.nex"])
def test_the_real_files_as_neo_reads_them(samples: Path, name):
    from neo.rawio import NeuroExplorerRawIO

    path = samples / "nex" / name
    other = NeuroExplorerRawIO(str(path))
    other.parse_header()
    session = open_session(path)
    signals = other.header["signal_channels"]
    assert sum(len(s.channels) for s in session.streams.values()) == len(signals)
    for i, signal in enumerate(signals):
        stream = session.stream()
        raw = other.get_analogsignal_chunk(stream_index=i)
        np.testing.assert_array_equal(stream.read_counts(stream.start, stream.stop, [i]).samples, raw)
        millivolts = other.rescale_signal_raw_to_float(raw, "float64", stream_index=i)
        got = stream.read(stream.start, stream.stop, [i]).samples
        np.testing.assert_allclose(got, millivolts * 1000, rtol=1e-6, atol=1e-5)
        assert float(stream.fs) == signal["sampling_rate"]
        assert stream.start / float(stream.fs) == other.get_signal_t_start(0, 0, i)
    neurons = session.spike_trains["neurons"]
    for i, unit in enumerate(other.header["spike_channels"]["name"]):
        theirs = other.get_spike_timestamps(spike_channel_index=i)
        if other._entity_headers[int(other.header["spike_channels"]["id"][i])]["type"] == 3:
            np.testing.assert_array_equal(session.spike_trains[unit].counter, theirs)
            waves = other.get_spike_raw_waveforms(spike_channel_index=i)
            scaled = other.rescale_waveforms_to_float(waves, "float64", i)
            np.testing.assert_allclose(session.spike_trains[unit].waveforms, scaled * 1e3, rtol=1e-6, atol=1e-4)
            continue
        ids = [u for u, n in (neurons.unit_names or {}).items() if n == unit]
        np.testing.assert_array_equal(neurons.counter[np.isin(neurons.unit, ids)], theirs)


@pytest.mark.samples
def test_the_file_of_the_vendors_writer(samples: Path):
    session = open_session(samples / "nex5_vendor_written.nex5")
    assert sum(len(s.channels) for s in session.streams.values()) == 2
    assert set(session.spike_trains) == {"neurons", "w1"}
    assert session.extra["nex"]["writer"]["writerSoftware"]["name"] == "nex5file"


READ_WITH_NEX5FILE = """
import json, sys
from nex5file.reader import Reader
data = Reader().ReadNexFile(sys.argv[1])
out = {"meta": sorted(data.metadata), "freq": data.timestamp_frequencyHz, "variables": {}}
for v in data.variables:
    entry = {"type": int(v.header.Type)}
    if entry["type"] == 5:
        entry |= {"values": [float(x) for x in v.ContinuousValues()], "fs": v.SamplingRate(),
                  "fragments": [float(x) for x in v.FragmentTimestamps()],
                  "counts": [int(x) for x in v.FragmentCounts()]}
    elif entry["type"] == 2:
        entry["times"] = [[float(a) for a in v.interval_starts], [float(a) for a in v.interval_ends]]
    else:
        entry["times"] = [float(x) for x in v.Timestamps()]
    out["variables"][v.header.Name] = entry
json.dump(out, sys.stdout)
"""


def read_with_nex5file(path):
    """What the vendor's package reads; it lives in the peers' environment."""
    has = (
        PEERS.exists()
        and subprocess.run([PEERS, "-c", "import nex5file"], capture_output=True, check=False).returncode == 0
    )
    if not has:
        pytest.skip("nex5file is not installed in the peers' environment (make peers)")
    done = subprocess.run([PEERS, "-c", READ_WITH_NEX5FILE, path], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.interop
@pytest.mark.slow
@pytest.mark.parametrize("counts", [False, True])
def test_nex5file_reads_what_we_write(tmp_path, counts):
    table = probe_channels(2, ain=1, din=1)
    table = table.with_channels(replace(c, name=f"ch {i}") for i, c in enumerate(table))
    rng = np.random.default_rng(2)
    rows, gain = rng.integers(-20_000, 20_000, (900, 4)).astype(np.int16), np.array([0.195, 0.195, 1e-4, 1.0])
    rows[:, 3] = rng.integers(0, 2, 900)
    samples = Block(rows, 50, gain, np.zeros(4))
    with Nex5Sink(tmp_path / "a", Header(Fraction(20_000), table, start=50)) as sink:
        for a, b, at in ((0, 400, 50), (400, 900, 777)):
            part = Block(rows[a:b], at, gain, np.zeros(4)) if counts else Block(samples.physical()[a:b], at)
            sink.write(part)
        sink.write_events(Events.ttl([60, 800], [3, 3], [1, 0], source="DIN"))
        sink.write_spike_trains(
            "s",
            SpikeTrains(np.array([55, 900]), np.array([1, 1], np.int32), np.array([0, 1], np.int32), None, {1: "u"}),
        )
        path = sink.commit()
    read = read_with_nex5file(path)
    assert read["meta"] == ["file", "ranvier", "variables"]
    assert read["freq"] == 20_000
    physical = samples.physical().astype(float)
    for i, scale in enumerate((1e-3, 1e-3, 1e3, 1.0)):
        signal = read["variables"][f"ch {i}"]
        np.testing.assert_allclose(signal["values"], physical[:, i] * scale, rtol=1e-5, atol=1e-6)
        assert signal["fs"] == 20_000
        np.testing.assert_allclose(signal["fragments"], [50 / 20_000, 777 / 20_000])
        assert signal["counts"] == [400, 500]
    np.testing.assert_allclose(read["variables"]["DIN 3 on"]["times"], [60 / 20_000])
    np.testing.assert_allclose(read["variables"]["s u"]["times"], [55 / 20_000, 900 / 20_000])


@pytest.mark.interop
@pytest.mark.slow
@pytest.mark.samples
@pytest.mark.parametrize("name", ["nex/test1.nex", "nex5_vendor_written.nex5"])
def test_nex5file_reads_what_we_read(samples: Path, name):
    read = read_with_nex5file(samples / name)
    session = open_session(samples / name)
    for stream in session.streams.values():
        for i, channel in enumerate(stream.channels):
            values = np.concatenate([b.samples for b in stream.blocks(1000, columns=[i])])[:, 0]
            theirs = np.array(read["variables"][channel.name]["values"]) * 1e3
            np.testing.assert_allclose(values, theirs, rtol=1e-5, atol=1e-4)
    neurons = session.spike_trains["neurons"]
    for unit, label in (neurons.unit_names or {}).items():
        np.testing.assert_allclose(
            neurons.counter[neurons.unit == unit] / read["freq"], read["variables"][label]["times"]
        )


@pytest.mark.parametrize("suffix", [".nex", ".nex5"])
def test_damage_raises_only_our_errors(tmp_path, suffix):
    fuzz(tmp_path, suffix, 40)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".nex", ".nex5", "own"])
def test_damage_raises_only_our_errors_long(tmp_path, suffix):
    fuzz(tmp_path, suffix, 600)


def fuzz(tmp_path, suffix, examples):
    path = tmp_path / f"x{suffix}"
    if suffix == "own":
        case = SinkCase(Nex5Sink, tmp_path)
        with case.open("x") as sink:
            sink.write(Block(case.samples(60), case.start))
            sink.write_spike_trains(
                "s", SpikeTrains(np.array([case.start]), np.ones(1, np.int32), np.ones(1, np.int32))
            )
            path = sink.commit()
    else:
        write_nex(
            path, {"a": NexSignal(((0, 60), (4000, 40))), "b": NexSignal(fs=500.0)}, neurons={"n": (5, 9)},
            events={"e": (4, 8)}, intervals={"i": ((1, 2),)}, markers={"m": ((1, "x"),)}, waves={"w": (9, 3)}, points=8,
        )  # fmt: skip
    (tmp_path / "fuzz").mkdir()
    fuzz_reader(
        {path.name: path.read_bytes()},
        lambda folder: open_session(folder / path.name, RadiensFileType.NEX5),
        tmp_path / "fuzz",
        examples=examples,
        header_fraction=0.5,
    )
    assert nex.base_name(path) == "x"


def test_a_train_without_spikes_comes_back(tmp_path):
    nothing = np.empty(0, np.int32)
    with Nex5Sink(tmp_path / "a", Header(Fraction(1000), plain_channels(amp=1))) as sink:
        sink.write(Block(np.ones((10, 1), np.float32), 0))
        sink.write_spike_trains(
            "s", SpikeTrains(np.empty(0, np.int64), nothing, nothing, np.empty((0, 4, 30), np.float32))
        )
        path = sink.commit()
    assert len(open_session(path).spike_trains["s"]) == 0
