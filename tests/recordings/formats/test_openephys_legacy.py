"""Open Ephys legacy: real recording, made ones, against neo, damage."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier.checks.files_openephys_legacy import LegacyContent, write_openephys_legacy
from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.readers import READER_RULES, ReaderCase, ReferenceStream
from ranvier.exceptions import DatasetError, RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.recordings import detect, open_session
from ranvier.recordings.formats import openephys_legacy


def expected(content: LegacyContent) -> np.ndarray:
    return content.counts * np.array(content.bit_volts)


class TestSignals:
    def test_samples_and_channels(self, tmp_path: Path) -> None:
        content = write_openephys_legacy(tmp_path, channels=12)
        session = open_session(tmp_path)
        stream = session.stream()
        assert (session.file_type, session.format) == (RadiensFileType.OE_DAT, "Open Ephys legacy")
        assert (stream.start, stream.stop, stream.fs) == (3000, 3000 + 5120, Fraction(30000))
        assert [c.name for c in stream.channels] == list(content.names)
        assert [stream.channels.count(k) for k in SignalType] == [12, 2, 0, 0]
        assert {c.unit_source for c in stream.channels} == {"assumed"}
        np.testing.assert_allclose(stream.read(0, 99999).samples, expected(content), rtol=2e-7)
        np.testing.assert_array_equal(stream.read_counts(0, 99999).samples, content.counts)
        rng = np.random.default_rng(0)
        for _ in range(40):
            a, b = np.sort(rng.integers(0, 5121, 2))
            columns = rng.permutation(14)[:3]
            if a < b:
                got = stream.read_counts(int(a) + 3000, int(b) + 3000, columns).samples
                np.testing.assert_array_equal(got, content.counts[a:b][:, columns])

    def test_gaps(self, tmp_path: Path) -> None:
        content = write_openephys_legacy(tmp_path, gaps=((1, 100), (3, 7000)))
        stream = open_session(tmp_path).stream()
        assert stream.segments.runs() == [(3000, 1024), (4124, 2048), (13172, 2048)]
        got = stream.read(stream.start, stream.stop).samples
        np.testing.assert_allclose(got[content.counters - 3000], expected(content), rtol=2e-7)
        assert np.isnan(got[1024:1124]).all()

    def test_experiments_and_streams(self, tmp_path: Path) -> None:
        write_openephys_legacy(tmp_path, records=2)
        two = write_openephys_legacy(tmp_path, experiment=2, records=3, seed=1, first_counter=0)
        other = write_openephys_legacy(tmp_path, stream="101_Rhythm-A", records=4, seed=2)
        session = open_session(tmp_path)
        assert set(session.streams) == {"experiment1/100", "experiment2/100", "experiment1/101_Rhythm-A"}
        with pytest.raises(DatasetError, match="#experiment2/100"):
            session.stream()
        for name, content in (("experiment2/100", two), ("experiment1/101_Rhythm-A", other)):
            stream = session.stream(name)
            np.testing.assert_array_equal(stream.read_counts(stream.start, stream.stop).samples, content.counts)
        assert len(session.events["experiment2/100"]) == 30
        assert len(session.events["experiment1/101_Rhythm-A"]) == 0

    def test_paths(self, tmp_path: Path) -> None:
        write_openephys_legacy(tmp_path / "Record Node 101", messages=[(3100, "go")])
        write_openephys_legacy(tmp_path / "Record Node 103")
        node = tmp_path / "Record Node 101"
        for path in (node, node / "100_CH1.continuous", node / "all_channels.events"):
            assert detect(path)[1] == node
        assert set(open_session(tmp_path).streams) == {"Record Node 101/100", "Record Node 103/100"}
        assert set(openephys_legacy.files_of(node)) == set(node.iterdir())
        (tmp_path / "x.spikes").write_bytes(b"something else")
        assert openephys_legacy.detect(tmp_path / "x.spikes") is None


class TestEventsAndSpikes:
    def test_ttl_and_messages(self, tmp_path: Path) -> None:
        content = write_openephys_legacy(tmp_path, messages=[(3100, "go"), (5000, "stop, please"), (4000, "well")])
        session = open_session(tmp_path)
        events = session.events["100"]
        ttl = [i for i, source in enumerate(events.source) if source == "TTL"]
        np.testing.assert_array_equal(events.counter[ttl], content.ttl["counter"])
        np.testing.assert_array_equal(events.line[ttl], content.ttl["line"])
        np.testing.assert_array_equal(events.state[ttl], content.ttl["state"])
        said = [(int(events.counter[i]), events.text[i]) for i in range(len(events)) if i not in ttl]
        assert said == [(3100, "go"), (4000, "well"), (5000, "stop, please")]
        assert len(session.extra["openephys"]["started"]) == 2

    def test_spikes(self, tmp_path: Path) -> None:
        content = write_openephys_legacy(tmp_path, spikes=50)
        trains = open_session(tmp_path).spike_trains["ST1"]
        made = content.spikes["ST1"]
        np.testing.assert_array_equal(trains.counter, made["counter"])
        np.testing.assert_array_equal(trains.unit, made["sorted"])
        want = (made["samples"].astype(float) - 32768) * 1000 / 5128
        np.testing.assert_allclose(trains.waveforms, want, rtol=1e-6)

    def test_many_spikes_and_a_damaged_one(self, tmp_path: Path) -> None:
        content = write_openephys_legacy(tmp_path, records=40, spikes=20_000)
        made = content.spikes["ST1"]
        trains = open_session(tmp_path).spike_trains["ST1"]
        np.testing.assert_array_equal(trains.counter, made["counter"])
        path = tmp_path / "ST1.spikes"
        data = bytearray(path.read_bytes())
        data[1024 + 9000 * made.dtype.itemsize] = 77  # no type of event
        path.write_bytes(data)
        trains = open_session(tmp_path).spike_trains["ST1"]
        np.testing.assert_array_equal(trains.counter, made["counter"][:9000])
        want = (made["samples"][:9000].astype(float) - 32768) * 1000 / 5128
        np.testing.assert_allclose(trains.waveforms, want, rtol=1e-6)

    def test_no_spikes(self, tmp_path: Path) -> None:
        write_openephys_legacy(tmp_path, spikes=3)
        path = tmp_path / "ST1.spikes"
        path.write_bytes(
            path.read_bytes()[:1024].replace(b"num_channels = 2;", b"num_channels = 2;header.samplesPerSpike = 40;")[
                :1024
            ]
        )
        assert len(open_session(tmp_path).spike_trains["ST1"]) == 0


class TestDamage:
    @pytest.mark.parametrize("cut", [1, 2070, 3000])
    def test_truncated(self, tmp_path: Path, cut: int) -> None:
        content = write_openephys_legacy(tmp_path)
        path = tmp_path / "100_CH3.continuous"
        path.write_bytes(path.read_bytes()[:-cut])
        stream = open_session(tmp_path).stream()
        kept = 1024 * (5 - -(-cut // 2070))
        assert (len(stream.read(0, 99999)), stream.lost_samples) == (kept, 5120 - kept)
        assert any("CH3" in note and "lost" in note for note in stream.notes)
        np.testing.assert_array_equal(stream.read_counts(0, 99999).samples, content.counts[:kept])

    def test_all_cut_alike(self, tmp_path: Path) -> None:
        write_openephys_legacy(tmp_path)
        for path in tmp_path.glob("*.continuous"):
            path.write_bytes(path.read_bytes()[:-7])
        stream = open_session(tmp_path).stream()
        assert (stream.stop - stream.start, stream.lost_samples) == (4096, 1024)

    def test_a_damaged_channel_is_left_out(self, tmp_path: Path) -> None:
        content = write_openephys_legacy(tmp_path)
        path = tmp_path / "100_CH2.continuous"
        path.write_bytes(b"header.format = 'Open Ephys Data Format'" + bytes(3000))
        other = tmp_path / "100_CH3.continuous"
        data = bytearray(other.read_bytes())
        data[1024] ^= 0x55  # the counter of the first record
        other.write_bytes(data)
        session = open_session(tmp_path)
        assert [c.name for c in session.stream().channels] == ["CH1", "CH4", "ADC1", "AUX1"]
        assert {"CH2" in note or "CH3" in note for note in session.notes} == {True}
        np.testing.assert_array_equal(
            session.stream().read_counts(0, 99999).samples, np.delete(content.counts, [1, 2], axis=1)
        )

    def test_backward_counters(self, tmp_path: Path) -> None:
        write_openephys_legacy(tmp_path, gaps=((2, -5000),))
        stream = open_session(tmp_path).stream()
        assert stream.segments.runs() == [(3000, 5120)]
        assert any("backwards" in note for note in stream.notes)

    def test_nothing_left(self, tmp_path: Path) -> None:
        (tmp_path / "100_CH1.continuous").write_bytes(b"header.format = 'Open Ephys Data Format'; short")
        with pytest.raises(RecordingError, match="CH1"):
            open_session(tmp_path)

    def test_growing(self, tmp_path: Path) -> None:
        write_openephys_legacy(tmp_path)
        data = {p: p.read_bytes() for p in tmp_path.glob("*.continuous")}
        for path, content in data.items():
            path.write_bytes(content[: 1024 + 2 * 2070])
        stream = open_session(tmp_path).stream()
        assert stream.stop == 3000 + 2048
        for path, content in data.items():
            path.write_bytes(content)
        assert stream.refresh() == 3000 + 5120

    def test_damage_raises_only_our_errors(self, tmp_path: Path) -> None:
        fuzz(tmp_path, 30)

    @pytest.mark.slow
    def test_damage_raises_only_our_errors_long(self, tmp_path: Path) -> None:
        fuzz(tmp_path, 400)


def fuzz(tmp_path: Path, examples: int) -> None:
    write_openephys_legacy(tmp_path / "made", channels=1, aux=0, records=2, spikes=4, events=5, messages=[(3100, "go")])
    files = {p.name: p.read_bytes() for p in (tmp_path / "made").iterdir()}
    (tmp_path / "fuzz").mkdir()
    fuzz_reader(files, lambda f: open_session(f, RadiensFileType.OE_DAT), tmp_path / "fuzz", examples=examples)


@pytest.mark.parametrize("rule", READER_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("gaps", [(), ((1, 9), (4, 30_000))])
def test_suite(rule, gaps, tmp_path):
    content = write_openephys_legacy(tmp_path, records=12, gaps=gaps, spikes=20, messages=[(3100, "go")])
    samples = np.full((content.counters[-1] + 1 - 3000, content.counts.shape[1]), np.nan)
    samples[content.counters - 3000] = expected(content)
    reference = {"100": ReferenceStream(samples, 3000, 30000.0, rtol=2e-7)}
    rule(ReaderCase(lambda: open_session(tmp_path), reference, tuple(openephys_legacy.files_of(tmp_path))))


def compare_with_neo(folder: Path) -> tuple[int, int]:
    """Compare every signal and spike waveform; return how many of each."""
    from neo.rawio import OpenEphysRawIO

    other = OpenEphysRawIO(str(folder))
    other.parse_header()
    session = open_session(folder)
    stream = session.stream()
    ours = {c.name: i for i, c in enumerate(stream.channels)}
    channels = other.header["signal_channels"]
    for i, found in enumerate(other.header["signal_streams"]):
        raw = other.get_analogsignal_chunk(stream_index=i)
        mine = channels[channels["stream_id"] == found["id"]]
        columns = [ours[str(name)] for name in mine["name"]]
        assert other.get_signal_t_start(0, 0, i) == pytest.approx(float(stream.start / stream.fs))
        got = stream.read_counts(stream.start, stream.stop, columns)
        np.testing.assert_array_equal(got.samples, raw)
        np.testing.assert_allclose(stream.channels.gains[columns], mine["gain"])
    spikes = 0
    for name, memmap in other._spikes_memmap.get(0, {}).items() if hasattr(other, "_spikes_memmap") else ():
        # neo's public calls give no spike here: they multiply a sample number by the rate again
        trains = session.spike_trains[name]
        np.testing.assert_array_equal(np.sort(memmap["timestamp"]), trains.counter)
        spikes += len(trains)
    return len(ours), spikes


def test_made_files_read_alike_in_neo(tmp_path):
    write_openephys_legacy(tmp_path, spikes=20)
    assert compare_with_neo(tmp_path) == (6, 20)


@pytest.mark.samples
def test_the_real_recording(samples: Path):
    folder = samples / "openephys_legacy_v0.6.7" / "Record Node 105"
    if not folder.is_dir():
        pytest.skip("the sample set holds no legacy recording")
    session = open_session(folder)
    stream = session.stream()
    assert (stream.start, stream.stop, stream.fs) == (251635, 251635 + 130 * 1024, Fraction(40000))
    assert [c.name for c in stream.channels] == [f"CH{i + 1}" for i in range(16)]
    assert stream.notes == ()
    events = session.events["100_example-data"]
    assert sum(source == "TTL" for source in events.source) == 128
    assert len(session.spike_trains) == 8
    trains = session.spike_trains["Stereotrode1_example-data"]
    assert (len(trains), trains.counter[:3].tolist()) == (174, [212313, 212374, 213069])
    assert trains.waveforms[0, 0, :3] == pytest.approx([-18.35, -19.65, -23.55], rel=1e-5)
    assert compare_with_neo(folder) == (16, sum(len(session.spike_trains[n]) for n in session.spike_trains))
