"""Blackrock NSx and NEV: real files, made files of every version, neo as an independent reader, damage."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier.checks.files_nsx import write_nev, write_nsx
from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.readers import READER_RULES, ReaderCase, ReferenceStream
from ranvier.exceptions import CapabilityError, DatasetError, RecordingError
from ranvier.models.channels import SignalUnits
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.recordings import open_session
from ranvier.recordings.formats import nsx

VERSIONS = ("2.1", "2.2", "2.3", "3.0", "3.0-ptp")
PTP = 1_700_000_000_123_456_789
GAIN = 8191 / 32764
SECOND = 1_000_000_000


def packets_of(version, gap=0):
    """Two packets with a gap of some samples at 30 kHz."""
    if version == "2.1":
        return ((0, 1500),)
    if version.endswith("ptp"):
        return ((PTP, 600), (PTP + (600 + gap) * SECOND // 30_000, 900))
    return ((90, 600), (90 + 600 + gap, 900))


@pytest.mark.parametrize("rule", READER_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("version", VERSIONS)
def test_suite(rule, version, tmp_path):
    content = write_nsx(tmp_path / "a.ns5", version=version, packets=packets_of(version, 500), amp=5, ain=2)
    ticks = [100, 400, 1150] if not version.endswith("ptp") else [PTP + t * SECOND // 30_000 for t in (10, 300, 1050)]
    nev = write_nev(tmp_path / "a.nev", version=version, words=[(t, 5 + i) for i, t in enumerate(ticks)])
    start = 0 if version in ("2.1", "3.0-ptp") else 90
    gain = np.array([0.25 if version == "2.1" else GAIN] * 5 + ([1.0] * 2 if version == "2.1" else [5e3 / 32764e3] * 2))
    values = content.counts * gain
    if version == "2.1":
        gain[0] = 0.25
        values = content.counts * np.array([0.25, 1, 1, 1, 1, 1, 1])  # only electrode 1 has a gain in the .nev
    gap = 0 if version == "2.1" else 500
    whole = np.full((1500 + gap, 7), np.nan)
    whole[:600], whole[600 + gap :] = values[:600], values[600:]
    reference = ReferenceStream(whole, start=start, fs=30_000.0, rtol=2e-7, atol=1e-9)
    rule(ReaderCase(lambda: open_session(tmp_path / "a.ns5"), {"ns5": reference}, (content.path, nev.path)))


@pytest.mark.parametrize("version", VERSIONS)
def test_counts_gaps_and_clock(tmp_path, version):
    content = write_nsx(tmp_path / "a.ns6", version=version, packets=packets_of(version, 500))
    session = open_session(content.path)
    stream = session.stream()
    counts = np.concatenate([stream.read_counts(a, a + n).samples for a, n in stream.segments.runs()])
    np.testing.assert_array_equal(counts, content.counts)
    if version == "2.1":
        assert stream.segments.runs() == [(0, 1500)]
        assert not session.clocks
        return
    start = 0 if version.endswith("ptp") else 90
    assert stream.segments.runs() == [(start, 600), (start + 1100, 900)]
    assert any("1 gaps, 500 samples" in note for note in stream.notes)
    clock = session.clocks["ns6"]
    assert clock.seconds[0] == pytest.approx(PTP / 1e9 if version.endswith("ptp") else 90 / 30_000)
    assert clock.counter[-1] <= stream.stop
    assert stream.walltime is not None
    assert session.extra["nsx"]["ns6"]["version"] == version[:3]


def test_jitter_below_the_tolerance_is_one_run_and_told(tmp_path):
    content = write_nsx(tmp_path / "a.ns6", version="3.0-ptp", packets=((PTP, 4_000),), jitter_ns=300_000)
    stream = open_session(content.path).stream()
    assert stream.segments.runs() == [(0, 4_000)]
    assert any("jitter" in note and "up to 0.5" in note for note in stream.notes)
    packets = tuple((100 + 512 * i + i % 3, 512) for i in range(60))
    stream = open_session(write_nsx(tmp_path / "b.ns6", packets=packets).path).stream()
    assert stream.segments.runs() == [(100, 60 * 512)]
    assert any("jitter" in note for note in stream.notes)


def test_a_long_ptp_file_is_searched_for_gaps_without_reading_all_stamps(tmp_path, monkeypatch):
    gap = 77
    first = 123_457
    packets = ((PTP, first), (PTP + (first + gap) * SECOND // 30_000, 90_000))
    content = write_nsx(tmp_path / "a.ns6", version="3.0-ptp", packets=packets, amp=1, jitter_ns=2_000)
    from ranvier.recordings.chunked import StampColumn

    asked = []
    plain = StampColumn.at
    monkeypatch.setattr(StampColumn, "at", lambda self, records: asked.append(len(records)) or plain(self, records))
    stream = open_session(content.path).stream()
    assert stream.segments.runs() == [(0, first), (first + gap, 90_000)]
    assert max(asked) < 70_000 < len(content.counts)


def test_a_clock_that_is_set_back_loses_nothing(tmp_path):
    content = write_nsx(tmp_path / "a.ns6", packets=((60_000, 400), (0, 300), (300, 200)))
    stream = open_session(content.path).stream()
    assert stream.segments.runs() == [(60_000, 900)]
    assert any("jumps by -2.01333 s at row 400" in note for note in stream.notes)


@pytest.mark.parametrize("version", ["2.2", "2.3", "3.0"])
def test_an_unclosed_last_packet_reaches_the_end_of_the_file(tmp_path, version):
    content = write_nsx(tmp_path / "a.ns5", version=version, packets=((0, 300), (300, 700)), unclosed=True)
    stream = open_session(content.path).stream()
    assert stream.stop == 1000
    assert any("not closed" in note for note in stream.notes)
    np.testing.assert_array_equal(stream.read_counts(0, 1000).samples, content.counts)


@pytest.mark.parametrize("version", VERSIONS)
def test_truncation_is_told(tmp_path, version):
    content = write_nsx(tmp_path / "a.ns5", version=version, packets=packets_of(version))
    content.path.write_bytes(content.path.read_bytes()[: -8 * 100 - 3])
    stream = open_session(content.path).stream()
    assert stream.lost_samples > 0
    assert 1300 < stream.segments.rows < 1500
    assert stream.notes
    got = stream.read_counts(stream.start, stream.stop).samples
    np.testing.assert_array_equal(got, content.counts[: len(got)])


def test_streams_of_one_session(tmp_path):
    write_nsx(tmp_path / "a.ns2", period=30, packets=((0, 50),), amp=2)
    write_nsx(tmp_path / "a.ns5", packets=((0, 1500),), amp=3, seed=1)
    (tmp_path / "b.ns5").write_bytes((tmp_path / "a.ns5").read_bytes())
    with pytest.raises(DatasetError, match=r"(?s)a\.ns2.*a\.ns5"):
        open_session(tmp_path / "a")
    one = open_session(tmp_path / "a.ns2")
    assert set(one.streams) == {"ns2"}
    assert one.stream().fs == 1000
    assert any("a.ns5" in note for note in one.notes)
    write_nev(tmp_path / "a.nev", words=((30, 1), (1400, 0)), spikes=((61, 3, 1), (62, 3, 0), (900, 2, 255)))
    session = open_session(tmp_path / "a")
    assert session.path == tmp_path / "a.nev"
    assert set(session.streams) == {"ns2", "ns5"}
    assert session.events["ns2"].counter.tolist() == [1, 1, 47, 47]
    assert session.events["ns5"].counter.tolist() == [30, 30, 1400, 1400]
    assert nsx.files_of(tmp_path / "a.nev") == [tmp_path / f"a.{s}" for s in ("nev", "ns2", "ns5")]
    spikes = session.spike_trains["nev"]
    assert spikes.counter.tolist() == [61, 62, 900]
    assert spikes.site.tolist() == [2, 2, 1]
    assert spikes.unit.tolist() == [2, 0, 1]
    assert spikes.unit_names == {1: "chan2 noise", 2: "chan3 unit 1"}
    assert spikes.counted_at(Fraction(1000)).counter.tolist() == [2, 2, 30]
    alone = open_session(tmp_path / "a.ns2")
    assert alone.spike_trains["nev"].fs == 30_000
    assert open_session(tmp_path / "b.nsx", RadiensFileType.NSX).path == tmp_path / "b.ns5"


def test_words_become_edges_and_comments_texts(tmp_path):
    write_nsx(tmp_path / "a.ns5", packets=((0, 3000),))
    nev = write_nev(tmp_path / "a.nev", words=((10, 0b101), (20, 0b100), (90_000, 7)), comments=((15, "träge"),))
    session = open_session(tmp_path / "a.nev")
    assert session.path.name == "a.ns5"
    events = session.events["ns5"]
    rows = list(zip(events.counter, events.line, events.state, events.source, events.text, strict=True))
    assert [r for r in rows if r[3] == "DIN"] == [(10, 0, 1, "DIN", ""), (10, 2, 1, "DIN", ""), (20, 0, 0, "DIN", "")]
    assert [(r[0], r[4]) for r in rows if r[3] == "digital word"] == [(10, "5"), (20, "4")]
    assert [(r[0], r[4]) for r in rows if r[3] == "comment"] == [(15, "träge")]
    assert any("3 events lie outside" in note for note in session.notes)
    assert nev.path in nsx.files_of(session.path)


def test_events_follow_a_drifting_clock(tmp_path):
    """The PTP clock runs 200 ppm fast: an event at sample n is found at sample n, not at n times 1.0002."""
    n, period_ns = 90_000, 33_340.0
    content = write_nsx(tmp_path / "a.ns6", version="3.0-ptp", packets=((PTP, n),), amp=1)
    data = bytearray(content.path.read_bytes())
    cells = np.ndarray(n, "<u8", data, content.header_bytes + 1, (15,))
    cells[:] = PTP + np.rint(np.arange(n) * period_ns).astype(np.uint64)
    content.path.write_bytes(data)
    write_nev(
        tmp_path / "a.nev",
        version="3.0-ptp",
        words=tuple((PTP + int(k * period_ns), k % 7) for k in (1, 44_444, 89_999)),
    )
    session = open_session(content.path)
    assert session.stream().segments.runs() == [(0, n)]
    assert any("drifts by 200.0 ppm" in note for note in session.stream().notes)
    events = session.events["ns6"]
    assert sorted(set(events.counter.tolist())) == [1, 44_444, 89_999]


def test_channel_types_units_and_order(tmp_path):
    content = write_nsx(tmp_path / "a.ns5", amp=3, ain=2, ain_first=True)
    channels = open_session(content.path).stream().channels
    assert [c.type for c in channels] == [SignalType.AMP] * 3 + [SignalType.AIN] * 2
    assert [c.name for c in channels] == ["chan1", "chan2", "chan3", "ainp1", "ainp2"]
    assert channels[0].gain == pytest.approx(GAIN)
    assert channels[3].gain == pytest.approx(5 / 32764)
    got = open_session(content.path).stream().read_counts(0, 10, [4, 0]).samples
    np.testing.assert_array_equal(got, content.counts[:10][:, [1, 2]])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda d: d[:100], RecordingError, "ends inside its header"),
        (lambda d: d[:8] + b"\x04" + d[9:], CapabilityError, "version 4.3"),
        (lambda d: d[:310] + b"\xff\xff\xff\x7f" + d[314:], RecordingError, "claims 2147483647 channels"),
        (lambda d: d[:314] + b"XX" + d[316:], RecordingError, "b'XX'"),
        (lambda d: d[:286] + bytes(4) + d[290:], RecordingError, "period of 0"),
    ],
)
def test_damaged_headers(tmp_path, change, error, words):
    path = write_nsx(tmp_path / "a.ns5").path
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(error, match=words) as caught:
        open_session(path)
    assert "a.ns5" in str(caught.value)


def test_a_damaged_nev_does_not_hide_the_signals(tmp_path):
    write_nsx(tmp_path / "a.ns5")
    (tmp_path / "a.nev").write_bytes(b"NEURALEV" + bytes(50))
    session = open_session(tmp_path / "a.ns5")
    assert session.stream().stop == 1000
    assert any("a.nev" in note for note in session.notes)


def close(reader):
    """Close the files that neo leaves open."""
    for handle in reader._nsx_fids.values():
        handle.close()


@pytest.mark.samples
@pytest.mark.filterwarnings("ignore:Cannot rescale")
def test_the_real_21_file_keeps_its_last_sample(samples: Path):
    from neo.rawio import BlackrockRawIO

    path = samples / "blackrock_ndr" / "example_2.ns2"
    session = open_session(path)
    stream = session.stream()
    assert stream.fs == 1000
    assert stream.stop == 3641
    assert stream.read_counts(0, 3, [0]).samples[:, 0].tolist() == [137, 125, 110]
    assert {c.unit for c in stream.channels} == {SignalUnits.UNKNOWN}
    other = BlackrockRawIO(str(path.with_suffix("")), nsx_to_load=2)
    other.parse_header()
    raw = other.get_analogsignal_chunk(stream_index=0)
    assert len(raw) == 3640  # neo loses the last sample of these files
    np.testing.assert_array_equal(stream.read_counts(0, 3640).samples, raw)
    close(other)


@pytest.mark.samples
def test_the_real_nev_as_neo_reads_it(samples: Path):
    from neo.rawio import BlackrockRawIO

    path = samples / "blackrock_ndr" / "example_1.nev"
    session = open_session(path)
    assert not session.streams
    spikes, events = session.spike_trains["nev"], session.events[""]
    assert len(spikes) == 14_210
    other = BlackrockRawIO(str(path.with_suffix("")))
    other.parse_header()
    total = 0
    for i, name in enumerate(other.header["spike_channels"]["name"]):
        electrode, kind = (int(x) for x in name.removeprefix("ch").split("#"))
        theirs = other.get_spike_timestamps(spike_channel_index=i)
        unit = f"{'noise' if kind == 255 else f'unit {kind}'}"
        ids = [0] if kind == 0 else [u for u, n in (spikes.unit_names or {}).items() if n.endswith(unit)]
        mine = (spikes.site == electrode - 1) & np.isin(spikes.unit, ids)
        np.testing.assert_array_equal(spikes.counter[mine], theirs)
        waves = other.get_spike_raw_waveforms(spike_channel_index=i)
        scaled = other.rescale_waveforms_to_float(waves, "float64", i)
        np.testing.assert_allclose(spikes.waveforms[mine], scaled, rtol=1e-6)
        total += len(theirs)
    assert total == 14_210
    words = [t for t, s in zip(events.text, events.source, strict=True) if s.endswith("word")]
    assert len(words) == 8


@pytest.mark.parametrize("version", ["2.2", "2.3", "3.0", "3.0-ptp"])
def test_made_files_read_alike_in_neo(tmp_path, version):
    from neo.rawio import BlackrockRawIO

    content = write_nsx(tmp_path / "a.ns5", version=version, packets=(packets_of(version)[0],), amp=3, ain=1)
    at = [PTP + 5_000_000, PTP + 9_000_000] if version.endswith("ptp") else [200, 500]
    write_nev(tmp_path / "a.nev", version=version, spikes=tuple((t, 2, 1) for t in at))
    other = BlackrockRawIO(str(tmp_path / "a"), nsx_to_load=5)
    other.parse_header()
    np.testing.assert_array_equal(other.get_analogsignal_chunk(stream_index=0), content.counts)
    session = open_session(content.path)
    stream = session.stream()
    physical = other.rescale_signal_raw_to_float(content.counts, "float64", stream_index=0)
    theirs = physical * np.array([1, 1, 1, 1e-3])
    np.testing.assert_allclose(stream.read(stream.start, stream.stop).samples, theirs, rtol=2e-7, atol=1e-9)
    spikes = session.spike_trains["nev"]
    raw = other.get_spike_timestamps(spike_channel_index=0)
    assert len(raw) == len(spikes) == 2
    waves = other.get_spike_raw_waveforms(spike_channel_index=0)
    np.testing.assert_allclose(spikes.waveforms, other.rescale_waveforms_to_float(waves, "float64", 0), rtol=1e-6)
    close(other)


@pytest.mark.parametrize("version", VERSIONS)
def test_damage_raises_only_our_errors(tmp_path, version):
    fuzz(tmp_path, version, 30)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_damage_raises_only_our_errors_long(tmp_path, version):
    fuzz(tmp_path, version, 400)


def fuzz(tmp_path, version, examples):
    content = write_nsx(tmp_path / "a.ns5", version=version, packets=packets_of(version, 100), amp=2, ain=1)
    nev = write_nev(tmp_path / "a.nev", version=version, words=((5, 1), (9, 2)), spikes=((7, 1, 1), (8, 1, 0)))
    files = {p.name: p.read_bytes() for p in (content.path, nev.path)}
    (tmp_path / "fuzz").mkdir()
    fuzz_reader(
        files,
        lambda folder: open_session(folder / "a.ns5", RadiensFileType.NSX),
        tmp_path / "fuzz",
        examples=examples,
        header_fraction=0.1,
    )
