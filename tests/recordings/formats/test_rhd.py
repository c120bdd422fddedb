"""Intan RHD: real file, made files of every kind, damage."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier.checks.files_rhd import write_rhd
from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.readers import READER_RULES, ReaderCase, ReferenceStream
from ranvier.exceptions import CapabilityError, RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.recordings import open_session
from ranvier.recordings.formats import rhd, rhd_kernels

AMP_UV, AUX_V = 0.195, 37.4e-6


def expected_columns(content, board_step=50.354e-6, bipolar=False):
    """Physical values of every column by the vendor's formulas, straight from the stored words."""
    amp = AMP_UV * (content.amp.astype(np.float64) - 32768)
    aux = AUX_V * np.repeat(content.aux.astype(np.float64), 4, axis=1)
    adc = board_step * (content.adc.astype(np.float64) - (32768 if bipolar else 0))
    din = [(content.din >> line) & 1 for line in content.din_lines]
    dout = [(content.dout >> line) & 1 for line in content.dout_lines]
    rows = [*amp, *aux, *adc, *din, *dout]
    return np.array(rows, dtype=np.float64).T


def read_all(path):
    with rhd.open_rhd(path) as session:
        stream = session.stream()
        return stream.read(stream.start, stream.stop)


@pytest.mark.parametrize("version", [(1, 0), (1, 1), (1, 2), (1, 3), (1, 5), (2, 0), (3, 0), (3, 3)])
def test_every_version(tmp_path, version):
    content = write_rhd(
        tmp_path / "a.rhd",
        version=version,
        din_lines=(0, 3, 15),
        dout_lines=(2,),
        temperature_sensors=2,
        blocks=7,
        seed=version[1],
    )
    block = read_all(content.path)
    np.testing.assert_allclose(block.samples, expected_columns(content), rtol=2e-7, atol=1e-9)
    assert block.start == 0
    assert block.samples.dtype == np.float32


@pytest.mark.parametrize(
    ("mode", "step", "bipolar"), [(0, 50.354e-6, False), (1, 152.59e-6, True), (13, 312.5e-6, True)]
)
def test_analog_inputs_by_board_mode(tmp_path, mode, step, bipolar):
    content = write_rhd(tmp_path / "a.rhd", board_mode=mode, amp=1, aux=0, adc=3)
    np.testing.assert_allclose(
        read_all(content.path).samples, expected_columns(content, step, bipolar), rtol=2e-7, atol=1e-9
    )


def test_an_unknown_board_mode_is_said(tmp_path):
    write_rhd(tmp_path / "a.rhd", board_mode=7)
    session = rhd.open_rhd(tmp_path / "a.rhd")
    assert session.extra["rhd"]["adc_scale"] == "assumed"
    assert any("analog inputs" in note for note in session.notes)


def test_any_range_and_columns(tmp_path):
    content = write_rhd(tmp_path / "a.rhd", blocks=9, din_lines=(1,), first_counter=-300)
    want = expected_columns(content).astype(np.float32)
    stream = rhd.open_rhd(content.path).stream()
    rng = np.random.default_rng(1)
    for _ in range(60):
        a, b = np.sort(rng.integers(0, len(want) + 1, 2))
        if a == b:
            continue
        columns = rng.permutation(len(stream.channels))[: rng.integers(1, len(stream.channels) + 1)]
        block = stream.read(int(a) - 300, int(b) - 300, columns)
        assert block.start == a - 300
        np.testing.assert_allclose(block.samples, want[a:b][:, columns], rtol=2e-7, atol=1e-9)


def test_counts_give_the_physical_values(tmp_path):
    content = write_rhd(tmp_path / "a.rhd", din_lines=(0, 9), dout_lines=(15,), board_mode=1)
    stream = rhd.open_rhd(content.path).stream()
    counts = stream.read_counts(17, 500, [6, 0, 2, 5, 9])
    assert counts.samples.dtype == np.int16
    np.testing.assert_array_equal(counts.physical(), stream.read(17, 500, [6, 0, 2, 5, 9]).samples)
    np.testing.assert_array_equal(stream.read_counts(0, 99).samples[:, 0], content.amp[0, :99].astype(int) - 32768)


def test_channels(tmp_path):
    write_rhd(tmp_path / "a.rhd", amp=3, aux=3, adc=2, din_lines=(4, 5), dout_lines=(0,))
    channels = rhd.open_rhd(tmp_path / "a.rhd").stream().channels
    assert [channels.count(kind) for kind in SignalType] == [3, 5, 2, 1]
    assert [c.ntv_name for c in channels][:4] == ["A-000", "A-001", "A-002", "A-AUX1"]  # A-OFF was not enabled
    assert channels[0].port == Port.A
    assert channels[0].gain == AMP_UV
    assert channels[0].offset == 0.0
    assert channels[1].impedance_ohm == pytest.approx(100001)
    assert [c.ntv for c in channels] == [0, 1, 2, 0, 1, 2, 3, 4, 4, 5, 0]
    assert [c.sys for c in channels] == list(range(11))


def test_gaps_read_as_missing(tmp_path):
    content = write_rhd(tmp_path / "a.rhd", blocks=6, gaps=((128, 1000), (300, 5)), first_counter=77, din_lines=(0,))
    stream = rhd.open_rhd(content.path).stream()
    assert [tuple(g) for g in stream.segments.gaps] == [(205, 1205), (1377, 1382)]
    assert stream.stop == content.counters[-1] + 1
    block = stream.read(stream.start, stream.stop)
    want = np.full((stream.stop - 77, len(stream.channels)), np.nan)
    want[:, -1] = 0
    want[content.counters - 77] = expected_columns(content)
    np.testing.assert_allclose(block.samples, want, rtol=2e-7, atol=1e-9)
    assert any("2 gaps" in note and "1005" in note for note in stream.notes)


def test_counters_beyond_31_bits_before_version_1_2(tmp_path):
    write_rhd(tmp_path / "old.rhd", version=(1, 1), first_counter=2**31 + 5)
    write_rhd(tmp_path / "new.rhd", version=(1, 2), first_counter=-40)
    assert rhd.open_rhd(tmp_path / "old.rhd").stream().start == 2**31 + 5
    assert rhd.open_rhd(tmp_path / "new.rhd").stream().start == -40


def test_backward_counters_are_replaced_and_said(tmp_path):
    content = write_rhd(tmp_path / "a.rhd", gaps=((200, -150),))
    stream = rhd.open_rhd(content.path).stream()
    assert stream.segments.runs() == [(0, 640)]
    assert any("backwards" in note for note in stream.notes)


def test_edges_of_digital_lines(tmp_path):
    content = write_rhd(
        tmp_path / "a.rhd", blocks=4, din_lines=(0, 7), dout_lines=(3,), gaps=((130, 50),), first_counter=9
    )
    events = rhd.open_rhd(content.path).events[""]
    want = []
    for source, words, lines in (("DIN", content.din, (0, 7)), ("DOUT", content.dout, (3,))):
        for line in lines:
            bits = (words >> line).astype(int) & 1
            want += [
                (content.counters[i], line, bits[i], source) for i in range(1, len(bits)) if bits[i] != bits[i - 1]
            ]
    got = list(zip(events.counter, events.line, events.state, events.source, strict=True))
    assert len(got) > 300
    assert sorted(got) == sorted(want)


@pytest.mark.parametrize("cut", [1, 2, 7, 129, 2000])
def test_a_truncated_file_opens_and_says_what_was_lost(tmp_path, cut):
    content = write_rhd(tmp_path / "a.rhd", blocks=5)
    whole = expected_columns(content)
    data = content.path.read_bytes()
    content.path.write_bytes(data[:-cut])
    stream = rhd.open_rhd(content.path).stream()
    kept = (len(data) - cut - content.header_bytes) // content.block_bytes * 128
    assert stream.lost_samples == 128
    assert any("not complete" in note for note in stream.notes)
    np.testing.assert_allclose(stream.read(0, stream.stop).samples, whole[:kept], rtol=2e-7, atol=1e-9)


def test_a_header_without_data_opens_empty(tmp_path):
    content = write_rhd(tmp_path / "a.rhd")
    content.path.write_bytes(content.path.read_bytes()[: content.header_bytes])
    stream = rhd.open_rhd(content.path).stream()
    assert stream.start == stream.stop
    assert any("no complete data block" in note for note in stream.notes)


def test_a_growing_file(tmp_path):
    content = write_rhd(tmp_path / "a.rhd", blocks=4)
    data = content.path.read_bytes()
    content.path.write_bytes(data[: content.header_bytes + 2 * content.block_bytes + 10])
    stream = rhd.open_rhd(content.path).stream()
    assert (stream.stop, stream.lost_samples) == (256, 128)
    content.path.write_bytes(data)
    assert stream.refresh() == 512
    assert stream.lost_samples == 0
    np.testing.assert_allclose(stream.read(200, 512).samples, expected_columns(content)[200:], rtol=2e-7, atol=1e-9)


def test_a_folder_of_split_files_is_one_recording(tmp_path):
    contents = [
        write_rhd(tmp_path / f"{name}.rhd", blocks=3, first_counter=start, seed=i, din_lines=(0,))
        for i, (name, start) in enumerate((("b_120100", 384), ("a_120000", 0), ("c_120200", 800)))
    ]
    assert rhd.detect(tmp_path) == tmp_path
    session = rhd.open_rhd(tmp_path)
    stream = session.stream()
    assert stream.segments.runs() == [(0, 768), (800, 384)]
    want = np.concatenate([expected_columns(contents[i]) for i in (1, 0, 2)])
    block = stream.read(stream.start, stream.stop)
    np.testing.assert_allclose(np.delete(block.samples, np.s_[768:800], axis=0), want, rtol=2e-7, atol=1e-9)
    assert np.isnan(block.samples[768:800, 0]).all()
    assert len(rhd.files_of(tmp_path)) == 3
    words = np.concatenate([contents[i].din for i in (1, 0, 2)]) & 1
    assert len(session.events[""]) == np.count_nonzero(np.diff(words.astype(int)))


def test_a_folder_of_unrelated_files_is_several_streams(tmp_path):
    write_rhd(tmp_path / "one.rhd", blocks=2, seed=1)
    two = write_rhd(tmp_path / "two.rhd", blocks=3, seed=2)
    session = rhd.open_rhd(tmp_path)
    assert set(session.streams) == {"one", "two"}
    np.testing.assert_allclose(session.stream("two").read(0, 99).samples, expected_columns(two)[:99], rtol=2e-7)


def test_a_damaged_file_among_several_is_named(tmp_path):
    write_rhd(tmp_path / "a.rhd", blocks=2)
    (tmp_path / "b.rhd").write_bytes((tmp_path / "a.rhd").read_bytes()[:90])
    session = rhd.open_rhd(tmp_path)
    assert session.stream().stop == 256
    assert any("b.rhd" in note for note in session.notes)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", None, ""),
        (b"\x02\x27\x91", None, ""),
        (b"plain text", None, ""),
        (b"\x02\x27\x91\xc6", RecordingError, "ends inside its header"),
        (b"\xac\x27\x91\xd6" + bytes(400), None, ""),
        (b"\x02\x27\x91\xc6\x09\x00\x00\x00" + bytes(400), CapabilityError, "version 9.0"),
    ],
)
def test_what_is_not_one(tmp_path, content, error, words):
    path = tmp_path / "x.rhd"
    path.write_bytes(content)
    if error is None:
        assert rhd.detect(path) is None
        return
    assert rhd.detect(path) == path
    with pytest.raises(error, match=words) as caught:
        rhd.open_rhd(path)
    assert "x.rhd" in str(caught.value)


def test_detection_ignores_the_suffix_and_finds_the_base_name(tmp_path):
    write_rhd(tmp_path / "a.rhd")
    (tmp_path / "b.dat").write_bytes((tmp_path / "a.rhd").read_bytes())
    assert rhd.detect(tmp_path / "b.dat") == tmp_path / "b.dat"
    assert rhd.detect(tmp_path / "a") == tmp_path / "a.rhd"
    assert rhd.base_name(tmp_path / "a.rhd") == "a"
    assert rhd.detect(tmp_path / "nothing") is None


def test_a_claimed_text_longer_than_the_file(tmp_path):
    content = write_rhd(tmp_path / "a.rhd")
    data = bytearray(content.path.read_bytes())
    data[46:50] = (0xFFFFFFF0).to_bytes(4, "little")  # length of the first note
    data[48:52] = (0xFFFFFFF0).to_bytes(4, "little")
    content.path.write_bytes(data)
    with pytest.raises(RecordingError, match="damaged"):
        rhd.open_rhd(content.path)


@pytest.mark.parametrize("rule", READER_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("kind", ["plain", "gaps", "split"])
def test_suite(rule, kind, tmp_path):
    path = tmp_path / "a.rhd"
    if kind == "split":
        parts = [write_rhd(tmp_path / f"{i}.rhd", blocks=3, first_counter=384 * i, seed=i) for i in range(3)]
        path, files = tmp_path, tuple(p.path for p in parts)
        samples = np.concatenate([expected_columns(p) for p in parts])
    else:
        content = write_rhd(path, din_lines=(1, 5), blocks=30, gaps=((200, 9), (1280, 4000)) if kind == "gaps" else ())
        files = (path,)
        samples = np.full((content.counters[-1] + 1, content.amp.shape[0] + 7), np.nan)
        samples[:, -2:] = 0
        samples[content.counters] = expected_columns(content)
    reference = ReferenceStream(samples, fs=20000.0, rtol=2e-7, atol=1e-9)
    rule(ReaderCase(lambda: open_session(path), {"": reference}, files))


@pytest.mark.parametrize("version", [(1, 0), (3, 0)])
def test_damage_raises_only_our_errors(tmp_path, version):
    fuzz(tmp_path, version, 40)


@pytest.mark.slow
@pytest.mark.parametrize("version", [(1, 0), (1, 3), (3, 0)])
def test_damage_raises_only_our_errors_long(tmp_path, version):
    fuzz(tmp_path, version, 2000)


def fuzz(tmp_path, version, examples):
    content = write_rhd(tmp_path / "a.rhd", blocks=4, amp=2, aux=1, adc=1, din_lines=(0,), version=version)
    data = content.path.read_bytes()
    header = content.header_bytes / len(data)
    (tmp_path / "fuzz").mkdir()
    fuzz_reader(
        {"a.rhd": data},
        lambda folder: open_session(folder / "a.rhd", RadiensFileType.RHD),
        tmp_path / "fuzz",
        examples=examples,
        header_fraction=header,
    )


@pytest.mark.parametrize("examples", [25, pytest.param(400, marks=pytest.mark.slow)])
def test_a_damaged_session_of_many_files(tmp_path, examples):
    source = tmp_path / "made"
    source.mkdir()
    for k in range(3):
        write_rhd(source / f"n_24010{k + 1}_000000.rhd", blocks=2, amp=2, din_lines=(0,), first_counter=k * 300)
    files = {p.name: p.read_bytes() for p in source.iterdir()}
    (tmp_path / "fuzz").mkdir()
    fuzz_reader(files, lambda f: open_session(f, RadiensFileType.RHD), tmp_path / "fuzz", examples=examples)


def test_kernels_equal_their_references():
    rng = np.random.default_rng(3)
    words = rng.integers(0, 65536, (6, 700), dtype=np.uint16)
    columns = 9
    at = rng.integers(0, 700 - 60, columns).astype(np.int32)
    hold = rng.choice([0, 2], columns).astype(np.int32)
    digital = rng.random(columns) < 0.4
    bit = np.where(digital, rng.integers(0, 16, columns), 0).astype(np.int32)
    mask = np.where(digital, 1, 0xFFFF).astype(np.int32)
    zero = np.where(digital, 0, 32768).astype(np.int32)
    gain, offset = rng.normal(size=columns), rng.normal(size=columns)
    places = (words, 61, 60, at, hold, bit, mask, zero)
    for kernel, extra, dtype in (
        (rhd_kernels.counts_of_blocks, (), np.int16),
        (rhd_kernels.physical_of_blocks, (gain, offset), np.float32),
    ):
        got, want = np.empty((200, columns), dtype), np.empty((200, columns), dtype)
        kernel(*places, *extra, got)
        kernel.reference(*places, *extra, want)
        np.testing.assert_array_equal(got, want)


@pytest.mark.samples
def test_the_real_file(samples: Path):
    expected = next(
        e["expected"]
        for e in json.loads((samples / "MANIFEST.json").read_text())
        if e["file"] == "intan/sampledata.rhd"
    )
    path = samples / "intan" / "sampledata.rhd"
    session = rhd.open_rhd(path)
    stream = session.stream()
    assert stream.fs == Fraction(20000)
    assert (stream.start, stream.stop) == (0, expected["n_samples"])
    assert stream.duration_sec == expected["duration_s"]
    assert stream.channels.count(SignalType.AMP) == expected["n_amp"]
    assert stream.channels.count(SignalType.AIN) == expected["n_aux"]
    assert session.extra["rhd"]["version"] == "1.5"
    assert session.extra["rhd"]["supply_channels_not_read"] == ["A-VDD1"]
    assert stream.read(0, 3, [0]).samples[:, 0] == pytest.approx(expected["first_uV_ch0"], rel=1e-6)
    assert list(stream.read_counts(0, 3).samples[:, 0].astype(int) + 32768) == expected["first_raw_ch0"]
    assert stream.notes == ()
    assert stream.lost_samples == 0


@pytest.mark.samples
def test_the_real_file_as_neo_reads_it(samples: Path):
    from neo.rawio import IntanRawIO

    path = samples / "intan" / "sampledata.rhd"
    other = IntanRawIO(str(path))
    other.parse_header()
    stream = rhd.open_rhd(path).stream()
    counts = stream.read_counts(0, stream.stop).samples
    amp = other.get_analogsignal_chunk(stream_index=0)
    np.testing.assert_array_equal(counts[:, :32].astype(int) + 32768, amp)
    aux = other.get_analogsignal_chunk(stream_index=1)
    np.testing.assert_array_equal(counts[:, 32:].astype(int) + 32768, np.repeat(aux, 4, axis=0))
    names = [c.ntv_name for c in stream.channels]
    assert names[:32] == list(other.header["signal_channels"]["name"][:32])
    physical = other.rescale_signal_raw_to_float(amp, dtype="float64", stream_index=0)
    np.testing.assert_allclose(stream.read(0, stream.stop).samples[:, :32], physical, rtol=2e-7, atol=1e-4)


def test_made_files_read_alike_in_neo(tmp_path):
    """Our generator writes what an independent reader understands; the digital words and ADC are compared too."""
    from neo.rawio import IntanRawIO

    for version in ((1, 3), (2, 0), (3, 0)):
        content = write_rhd(tmp_path / f"v{version[0]}.rhd", version=version, din_lines=(0, 1), board_mode=1, blocks=4)
        other = IntanRawIO(str(content.path))
        other.parse_header()
        raw = {
            name: other.get_analogsignal_chunk(stream_index=i)
            for i, name in enumerate(other.header["signal_streams"]["name"])
        }
        np.testing.assert_array_equal(raw["RHD2000 amplifier channel"].T, content.amp)
        np.testing.assert_array_equal(raw["USB board ADC input channel"].T, content.adc)
        np.testing.assert_allclose(
            read_all(content.path).samples, expected_columns(content, 152.59e-6, True), rtol=2e-7, atol=1e-9
        )
