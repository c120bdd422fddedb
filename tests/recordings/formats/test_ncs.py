"""Neuralynx: made files, neo as an independent reader, gaps, short records, damage."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ranvier import VidereClient
from ranvier.checks.files_ncs import HEADER_BYTES, write_ncs, write_nlx_events, write_nlx_spikes
from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.readers import READER_RULES, ReaderCase, ReferenceStream
from ranvier.exceptions import RecordingError
from ranvier.models.channels import SignalUnits
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings import open_session
from ranvier.recordings.formats import ncs, ncs_session

BIT_UV = 3.05e-2
US = 31.25
EVENTS = (
    (8_000_000, 0, "Starting Recording"),
    (8_010_000, 1, "TTL Input on AcqSystem1_0 board 0 port 0 value (0x0001)."),
    (8_020_000, 0, "TTL Input on AcqSystem1_0 board 0 port 0 value (0x0000)."),
    (8_021_000, 2, "TTL Input on AcqSystem1_0 board 0 port 1 value (0x0002)."),
    (9_999_000, 0, "Stopping Recording"),
)


def write_folder(folder, channels=3, **options):
    folder.mkdir(exist_ok=True)
    made = [write_ncs(folder / f"CSC{c + 1}.ncs", channel=c, **options) for c in range(channels)]
    write_nlx_events(folder / "Events.nev", EVENTS)
    return made


@pytest.mark.parametrize("rule", READER_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("kind", ["plain", "gap", "short", "file"])
def test_suite(rule, kind, tmp_path):
    options = {"gap": {"gaps": ((4, 1000),)}, "short": {"short": ((3, 100), (11, 7)), "gaps": ((4, 412),)}}.get(
        kind, {}
    )
    made = write_folder(tmp_path / "s", 1 if kind == "file" else 3, **options)
    values = np.stack([m.counts for m in made], axis=1) * BIT_UV
    if kind in ("gap", "short"):
        before, missing = (4 * 512, 1000) if kind == "gap" else (3 * 512 + 100, 412)
        values = np.concatenate((values[:before], np.full((missing, 3), np.nan), values[before:]))
    path = made[0].path if kind == "file" else tmp_path / "s"
    files = tuple(p for p in (tmp_path / "s").iterdir())
    reference = ReferenceStream(values, fs=32_000.0, rtol=2e-7)
    rule(ReaderCase(lambda: open_session(path), {"": reference}, files))


def test_jitter_is_one_run_and_stamps_are_kept(tmp_path):
    made = write_folder(tmp_path / "s", jitter_us=200)
    session = open_session(tmp_path / "s")
    stream = session.stream()
    assert stream.segments.runs() == [(0, 12 * 512)]
    assert any("jitter" in note for note in stream.notes)
    np.testing.assert_allclose(session.clocks[""].seconds * 1e6, made[0].stamps, atol=0.01)


def test_a_single_channel_counts_as_the_folder_does(tmp_path):
    write_folder(tmp_path / "s")
    write_ncs(tmp_path / "s" / "LFP1.ncs", channel=7, fs=2000.0, records=3, first_us=7_999_000)
    folder = open_session(tmp_path / "s")
    assert set(folder.streams) == {"32000 Hz", "2000 Hz"}
    assert folder.streams["32000 Hz"].start == 32
    assert folder.streams["2000 Hz"].start == 0
    for name in ("CSC2.ncs", "CSC2"):
        one = open_session(tmp_path / "s" / name)
        assert one.file_type == RadiensFileType.NCS
        assert one.stream().start == 32
        assert [c.name for c in one.stream().channels] == ["CSC2"]
    assert folder.file_type == RadiensFileType.NCS_SESSION
    assert folder.path == open_session(tmp_path / "s" / "Events.nev").path
    assert ncs.files_of(tmp_path / "s" / "CSC1.ncs") == [tmp_path / "s" / "CSC1.ncs"]
    assert len(ncs_session.files_of(tmp_path / "s")) == 5


def test_channels_in_natural_order_inverted_and_without_gain(tmp_path):
    folder = tmp_path / "s"
    write_folder(folder, 12)
    content = write_ncs(folder / "CSC2.ncs", channel=1, inverted=True)
    path = folder / "CSC3.ncs"
    path.write_bytes(path.read_bytes().replace(b"-ADBitVolts ", b"-ADBitVoltz "))
    stream = open_session(folder).stream()
    assert [c.name for c in stream.channels] == [f"CSC{i + 1}" for i in range(12)]
    np.testing.assert_allclose(stream.read(0, 512, [1]).samples[:, 0], content.counts[:512] * -BIT_UV, rtol=2e-7)
    assert stream.channels[2].unit == SignalUnits.UNKNOWN
    assert any("CSC3.ncs" in note and "counts" in note for note in stream.notes)


def test_events_edges_and_spikes(tmp_path):
    folder = tmp_path / "s"
    write_folder(folder, gaps=((6, 3200),))
    stamps = ((8_000_500, 0), (8_003_000, 2), (8_000_700, 1))
    counts = write_nlx_spikes(folder / "TT1.ntt", stamps)
    session = open_session(folder)
    events = session.events[""]
    rows = list(zip(events.counter.tolist(), events.line.tolist(), events.state.tolist(), events.source, strict=True))
    assert [r for r in rows if r[3] == "DIN"] == [(320, 0, 1, "DIN"), (640, 0, 0, "DIN"), (672, 9, 1, "DIN")]
    assert [t for t, s in zip(events.text, events.source, strict=True) if s == "event"] == [
        t for _, _, t in EVENTS[:-1]
    ]
    assert any("1 events lie outside" in note for note in session.notes)
    spikes = session.spike_trains["TT1"]
    assert spikes.counter.tolist() == [16, 22, 96]
    assert spikes.unit.tolist() == [0, 1, 2]
    assert spikes.fs == Fraction(32_000)
    wanted = (counts[[0, 2, 1]].transpose(0, 2, 1) * BIT_UV).astype(np.float32)
    np.testing.assert_allclose(spikes.waveforms, wanted, rtol=2e-7)


def test_truncation_is_told(tmp_path):
    made = write_folder(tmp_path / "s")
    path = made[1].path
    path.write_bytes(path.read_bytes()[: -1044 * 2 - 100])
    stream = open_session(tmp_path / "s").stream()
    assert stream.stop == 9 * 512
    assert stream.lost_samples == 4 * 512
    assert any("CSC2.ncs is 3 records shorter" in note for note in stream.notes)
    wanted = np.stack([m.counts for m in made], axis=1)[: 9 * 512]
    np.testing.assert_array_equal(stream.read_counts(0, 9 * 512).samples, wanted)


def test_what_is_not_one(tmp_path):
    assert ncs.detect(tmp_path / "nothing") is None
    (tmp_path / "a.ncs").write_bytes(b"plain")
    assert ncs.detect(tmp_path / "a.ncs") is None
    assert ncs_session.detect(tmp_path) is None
    write_ncs(tmp_path / "b.ncs")
    (tmp_path / "b.dat").write_bytes((tmp_path / "b.ncs").read_bytes())
    assert ncs.detect(tmp_path / "b.dat") == tmp_path / "b.dat"
    path = tmp_path / "b.ncs"
    path.write_bytes(
        path.read_bytes().replace(b"-SamplingFrequency 32000.0", b"-SamplingFrequency -3.0000")[:HEADER_BYTES]
    )
    with pytest.raises(RecordingError, match=r"b\.ncs"):
        open_session(path)


def test_client_links_and_converts(tmp_path):
    made = write_folder(tmp_path / "s")
    with VidereClient() as videre:
        ds = videre.link_data_file(tmp_path / "s")
        assert ds.file_type == RadiensFileType.NCS_SESSION
        got = videre.get_signals(ds).amp
        np.testing.assert_allclose(got, np.stack([m.counts for m in made]) * BIT_UV, rtol=2e-7)
        assert videre.link_data_file(made[0].path).file_type == RadiensFileType.NCS


@pytest.mark.parametrize("gap", [0, 3200])
def test_made_files_read_alike_in_neo(tmp_path, gap):
    from neo.rawio import NeuralynxRawIO

    folder = tmp_path / "s"
    write_folder(folder, gaps=((6, gap),) if gap else ())
    write_nlx_spikes(folder / "SE1.nse", ((8_000_500, 0), (8_003_000, 0)), channels=1)
    other = NeuralynxRawIO(str(folder), gap_tolerance_ms=1.0) if gap else NeuralynxRawIO(str(folder))
    other.parse_header()
    session = open_session(folder)
    stream = session.stream()
    assert other.segment_count(0) == len(stream.segments.runs())
    for i, (start, n) in enumerate(stream.segments.runs()):
        raw = other.get_analogsignal_chunk(0, i, stream_index=0)
        np.testing.assert_array_equal(stream.read_counts(start, start + n).samples, raw)
        physical = other.rescale_signal_raw_to_float(raw, "float64", stream_index=0)
        np.testing.assert_allclose(stream.read(start, start + n).samples, physical, rtol=2e-7)
    times = other.get_spike_timestamps(0, 0, 0)
    spikes = session.spike_trains["SE1"]
    np.testing.assert_array_equal(spikes.counter, np.rint((times - 8_000_000) / US))
    waves = other.rescale_waveforms_to_float(other.get_spike_raw_waveforms(0, 0, 0), "float64", 0)
    np.testing.assert_allclose(spikes.waveforms, waves, rtol=1e-6)
    other.parse_header()


def test_damage_raises_only_our_errors(tmp_path):
    fuzz(tmp_path, 40)


@pytest.mark.slow
def test_damage_raises_only_our_errors_long(tmp_path):
    fuzz(tmp_path, 600)


def fuzz(folder, examples):
    write_folder(folder / "s", 2, records=5, gaps=((2, 500),))
    write_nlx_spikes(folder / "s" / "TT1.ntt", ((8_000_500, 0), (8_003_000, 2)))
    files = {p.name: p.read_bytes() for p in (folder / "s").iterdir()}
    (folder / "fuzz").mkdir()
    fuzz_reader(
        files,
        lambda f: open_session(f, RadiensFileType.NCS_SESSION),
        folder / "fuzz",
        examples=examples,
        header_fraction=0.05,
    )
