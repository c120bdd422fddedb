"""SpikeGLX: made files against an independent reader, streams, runs of many files, damage."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier.checks.files_spikeglx import SpikeGlxContent, site_of, write_imec, write_meta, write_nidq
from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.readers import READER_RULES, ReaderCase, ReferenceStream
from ranvier.exceptions import CapabilityError, DatasetError, NotARecordingError, RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.recordings import detect, open_session
from ranvier.recordings.formats import spikeglx, word_kernels

#: ``range / counts / gain``: 0.6 V / 512 / 500 and / 250, in uV; 0.5 V / 8192 / 80.
AP_UV, AP_UV_250, NP2_UV = 0.6 / 512 / 500 * 1e6, 0.6 / 512 / 250 * 1e6, 0.5 / 8192 / 80 * 1e6


def lines_of(word: np.ndarray, bits: range | list[int]) -> np.ndarray:
    return (word.astype(np.int64)[:, None] >> np.array(list(bits))) & 1


def expected_imec(content: SpikeGlxContent, uv: np.ndarray | float) -> np.ndarray:
    return np.hstack([content.words[:, :-1] * uv, lines_of(content.words[:, -1], range(16))])


def ap_gains(channels: range | list[int] = range(384)) -> np.ndarray:
    return np.array([AP_UV if c % 3 else AP_UV_250 for c in channels])


class TestOneFile:
    def test_first_generation(self, tmp_path: Path) -> None:
        content = write_imec(tmp_path)
        session = open_session(content.path)
        stream = session.stream()
        assert session.file_type == RadiensFileType.SPIKEGLX
        assert (stream.start, stream.stop, stream.fs) == (1000, 4000, Fraction(30000))
        assert [stream.channels.count(k) for k in SignalType] == [384, 0, 16, 0]
        block = stream.read(0, 9000)
        np.testing.assert_allclose(block.samples, expected_imec(content, ap_gains()), rtol=2e-7)
        np.testing.assert_array_equal(stream.read_counts(0, 9000, range(384)).samples, content.words[:, :-1])
        assert stream.notes == ()
        assert stream.lost_samples == 0

    def test_geometry_and_names(self, tmp_path: Path) -> None:
        for geometry in ("snsGeomMap", "snsShankMap"):
            for generation in (1, 2, 4):
                content = write_imec(tmp_path / geometry, generation=generation, geometry=geometry, rows=10)
                table = open_session(content.path).stream().channels
                assert table.geometry_source == "file"
                assert table.wiring_verified
                for c in (0, 1, 2, 3, 95, 96, 383):
                    shank, x, y = site_of(c, generation)
                    site = table[c].site
                    assert site is not None
                    assert (table[c].shank, site.x_um, site.y_um) == (shank, x + 250.0 * shank, y)
                assert (table[5].name, table[5].ntv) == ("AP5", 5)
                assert table[191].selected == (geometry == "snsShankMap")
                assert table[0].probe_id == {1: "NP1000", 2: "NP2000", 4: "NP2010"}[generation]

    def test_without_geometry(self, tmp_path: Path) -> None:
        table = open_session(write_imec(tmp_path, geometry="", rows=10).path).stream().channels
        assert table.geometry_source == "assumed"
        assert table[0].site is None

    @pytest.mark.parametrize("mux", [True, False])
    def test_skew(self, tmp_path: Path, mux: bool) -> None:
        """Group of a channel by its ADC, in slots of the multiplexer: 13 for AP of 1.0, 12 for its LF, 16 for 2.0."""
        first = open_session(write_imec(tmp_path / "1", mux=mux, rows=10).path).stream().channels.skew_samples
        assert first[[0, 1, 2, 22, 23, 24]].tolist() == [0, 0, 1 / 13, 11 / 13, 11 / 13, 0]
        low = open_session(write_imec(tmp_path / "l", mux=mux, band="lf", rows=10).path).stream().channels.skew_samples
        assert low[[0, 2, 23]].tolist() == [0, 1 / 12, 11 / 12]
        second = open_session(write_imec(tmp_path / "2", generation=2, mux=mux, rows=10).path).stream().channels
        assert second.skew_samples[[0, 3, 31, 32, 399]].tolist() == [0, 1 / 16, 15 / 16, 0, 0]

    def test_an_unknown_probe_has_no_skew_and_says_so(self, tmp_path: Path) -> None:
        content = write_imec(tmp_path, mux=False, rows=10)
        write_meta(content.path.with_suffix(".meta"), {**content.meta, "imDatPrb_type": "1300"})
        stream = open_session(content.path).stream()
        assert not stream.channels.skew_samples.any()
        assert any("muxTbl" in note for note in stream.notes)

    def test_phase_3a(self, tmp_path: Path) -> None:
        """No type of stream or probe, no imMaxInt; the table of gains begins with (serial, option, channels)."""
        content = write_imec(tmp_path, rows=10)
        gone = ("typeThis", "imDatPrb_type", "imDatPrb_pn", "imMaxInt", "imChan0apGain", "~muxTbl", "~snsGeomMap")
        meta = {k: v for k, v in content.meta.items() if k not in gone} | {"imProbeOpt": "3"}
        meta["~imroTbl"] = "(841506352,3,384)" + "".join(f"({c} 0 0 500 250)" for c in range(384))
        write_meta(content.path.with_suffix(".meta"), meta)
        table = open_session(content.path).stream().channels
        assert table[0].gain == AP_UV
        assert table[2].skew_samples == 1 / 13
        assert table.geometry_source == "assumed"

    def test_some_channels_saved(self, tmp_path: Path) -> None:
        saved = [3, 7, 300]
        content = write_imec(tmp_path, band="lf", saved=saved, gains=(500, 125))
        stream = open_session(content.path).stream()
        assert [c.ntv for c in stream.channels][:3] == saved
        assert [c.name for c in stream.channels][:4] == ["LF3", "LF7", "LF300", "SY0.0"]
        assert stream.channels.skew_samples[:3].tolist() == [1 / 12, 3 / 12, 6 / 12]
        want = expected_imec(content, 0.6 / 512 / 125 * 1e6)
        np.testing.assert_allclose(stream.read(1000, 4000).samples, want, rtol=2e-7)

    def test_sync_edges_are_events(self, tmp_path: Path) -> None:
        content = write_imec(tmp_path, saved=[0, 1])
        events = open_session(content.path).events["imec0.ap"]
        line = lines_of(content.words[:, -1], [6])[:, 0]
        at = np.flatnonzero(np.diff(line)) + 1
        assert len(at) > 10
        np.testing.assert_array_equal(events.counter, content.first_sample + at)
        assert set(events.line.tolist()) == {6}
        np.testing.assert_array_equal(events.state, line[at])

    def test_nidq(self, tmp_path: Path) -> None:
        content = write_nidq(tmp_path)
        stream = open_session(content.path).stream()
        assert float(stream.fs) == 25000.127
        assert [stream.channels.count(k) for k in SignalType] == [2, 4, 5, 0]
        assert [c.ntv for c in stream.channels if c.type == SignalType.DIN] == [0, 1, 2, 3, 7]
        scale = np.array([5 / 32768 / 200 * 1e6] * 2 + [5 / 32768 / 2] + [5 / 32768] * 3)
        want = np.hstack([content.words[:, :6] * scale, lines_of(content.words[:, 6], [0, 1, 2, 3, 7])])
        np.testing.assert_allclose(stream.read(400, 2900).samples, want, rtol=2e-7)

    def test_lines_of_a_second_card(self, tmp_path: Path) -> None:
        content = write_nidq(tmp_path, counts=(0, 0, 1, 1), lines="0")
        meta = {**content.meta, "niXDChans2": "2:3"}
        write_meta(content.path.with_suffix(".meta"), meta)
        table = open_session(content.path).stream().channels
        assert [c.name for c in table] == ["XA0", "XD0", "XD10", "XD11"]

    def test_onebox(self, tmp_path: Path) -> None:
        content = write_nidq(tmp_path, counts=(0, 0, 2, 2), lines="")
        meta = {k: v for k, v in content.meta.items() if not k.startswith("ni") and "MnMaXaDw" not in k}
        meta |= {"typeThis": "obx", "obSampRate": "30303", "obAiRangeMax": "5", "obMaxInt": "32768"}
        meta |= {
            "snsXaDwSy": "2,1,1",
            "acqXaDwSy": "2,1,1",
            "~snsChanMap": "(2,1,1)(XA0;0:0)(XA1;1:1)(XD0;2:2)(SY0;3:3)",
        }
        write_meta(content.path.with_suffix(".meta"), meta)
        stream = open_session(content.path).stream()
        assert stream.fs == 30303
        assert [c.name for c in stream.channels][::16][:3] == ["XA0", "XD14", "SY0.14"]
        want = np.hstack(
            [content.words[:, :2] * (5 / 32768), *(lines_of(content.words[:, i], range(16)) for i in (2, 3))]
        )
        np.testing.assert_allclose(stream.read(400, 2900).samples, want, rtol=2e-7)


class TestFolders:
    def run_folder(self, root: Path) -> dict[str, SpikeGlxContent]:
        gate = root / "run_g0"
        made = {"nidq": write_nidq(gate, rows=1000)}
        for probe in (0, 1):
            folder = gate / f"run_g0_imec{probe}"
            made[f"imec{probe}.ap"] = write_imec(folder, probe=probe, seed=probe)
            made[f"imec{probe}.lf"] = write_imec(folder, probe=probe, band="lf", rows=250, first_sample=83, seed=probe)
        return made

    def test_streams_of_a_run(self, tmp_path: Path) -> None:
        made = self.run_folder(tmp_path)
        for path in (tmp_path / "run_g0", tmp_path):
            known, canonical = detect(path)
            assert (known.name, canonical) == ("SpikeGLX", path)
            session = open_session(path)
            assert set(session.streams) == set(made)
            assert session.stream("imec1.lf").stop == 83 + 250
            with pytest.raises(DatasetError, match=r"#imec0\.ap"):
                session.stream()
        assert set(open_session(tmp_path / "run_g0" / "run_g0_imec1").streams) == {"imec1.ap", "imec1.lf"}
        assert len(spikeglx.files_of(tmp_path)) == 10

    def test_paths(self, tmp_path: Path) -> None:
        content = write_imec(tmp_path, rows=10)
        base = tmp_path / "run_g0_t0.imec0.ap"
        for path in (content.path, content.path.with_suffix(".meta"), base):
            assert detect(path)[1] == content.path
        (tmp_path / "run_g0_t0.imec0.ap.txt").write_text("notes of mine")
        assert spikeglx.detect(tmp_path / "run_g0_t0.imec0.ap.txt") is None
        assert spikeglx.base_name(content.path) == base.name
        assert spikeglx.files_of(content.path) == [content.path, content.path.with_suffix(".meta")]

    def test_folder_of_several_runs_is_no_recording(self, tmp_path: Path) -> None:
        write_imec(tmp_path / "a_g0", run="a", rows=10)
        write_imec(tmp_path / "b_g0", run="b", rows=10)
        with pytest.raises(NotARecordingError):
            detect(tmp_path)

    def test_a_meta_of_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "a.bin").write_bytes(bytes(100))
        (tmp_path / "a.meta").write_text("sampling=30000\n")
        assert spikeglx.detect(tmp_path / "a.bin") is None
        with pytest.raises(NotARecordingError, match="state its shape"):
            open_session(tmp_path / "a.bin")

    def test_triggers_of_a_run_are_one_recording(self, tmp_path: Path) -> None:
        made = [
            write_imec(tmp_path, trigger=i, saved=[0, 1, 2], first_sample=first, created=created, rows=500, seed=i)
            for i, (first, created) in enumerate(
                ((1000, "2024-05-01T12:00:00"), (61_500, "2024-05-01T12:00:02"), (62_000, "2024-05-01T12:00:02"))
            )
        ]
        stream = open_session(tmp_path).stream()
        assert stream.segments.runs() == [(1000, 500), (61_500, 1000)]
        block = stream.read(stream.start, stream.stop)
        gains = ap_gains([0, 1, 2])
        for content in made:
            rows = block.samples[content.first_sample - 1000 :][:500]
            np.testing.assert_allclose(rows, expected_imec(content, gains), rtol=2e-7)
        assert np.isnan(block.samples[500:60_500, :3]).all()
        assert any("1 gap between files, 60000 samples" in note for note in stream.notes)
        edges = open_session(tmp_path).events["imec0.ap"]
        assert len(edges) > 10
        assert np.all((edges.counter < 1500) | (edges.counter >= 61_500))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"first_sample": 1200}, "holds samples up to 1500"),
            ({"saved": [0, 1, 3], "first_sample": 9000}, "channels or rate"),
            ({"first_sample": 9000, "created": "2024-05-03T12:00:00"}, "another run"),
        ],
    )
    def test_files_that_do_not_follow_each_other(self, tmp_path: Path, change: dict, words: str) -> None:
        write_imec(tmp_path, saved=[0, 1, 2], rows=500)
        write_imec(tmp_path, **{"trigger": 1, "saved": [0, 1, 2], "rows": 500, **change})
        session = open_session(tmp_path)
        assert set(session.streams) == {"g0_t0/imec0.ap", "g0_t1/imec0.ap"}
        assert any(words in note for note in session.notes)
        with pytest.raises(DatasetError, match=words):
            session.stream()


class TestDamage:
    @pytest.mark.parametrize("cut", [1, 770, 7700])
    def test_truncated(self, tmp_path: Path, cut: int) -> None:
        content = write_imec(tmp_path)
        content.path.write_bytes(content.path.read_bytes()[:-cut])
        stream = open_session(content.path).stream()
        kept = (content.words.nbytes - cut) // 770
        assert (stream.stop - 1000, stream.lost_samples) == (kept, 3000 - kept)
        assert any("promises" in note for note in stream.notes)
        want = expected_imec(content, ap_gains())[:kept]
        np.testing.assert_allclose(stream.read(0, 9000).samples, want, rtol=2e-7)

    def test_not_closed(self, tmp_path: Path) -> None:
        content = write_imec(tmp_path, saved=[1])
        meta = {k: v for k, v in content.meta.items() if k not in ("fileSizeBytes", "firstSample")}
        write_meta(content.path.with_suffix(".meta"), meta)
        stream = open_session(content.path).stream()
        assert (stream.start, stream.stop) == (0, 3000)
        assert any("not closed properly" in note for note in stream.notes)
        assert any("firstSample" in note for note in stream.notes)

    def test_growing(self, tmp_path: Path) -> None:
        content = write_imec(tmp_path, saved=[1])
        data = content.path.read_bytes()
        content.path.write_bytes(data[:4000])
        stream = open_session(content.path).stream()
        assert stream.stop == 2000
        content.path.write_bytes(data)
        assert stream.refresh() == 4000
        assert (stream.read(3999, 4000).samples[0, 0]) == np.float32(content.words[-1, 0] * AP_UV)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"nSavedChans": "0"}, "0 saved channels"),
            ({"nSavedChans": "99999999"}, "saved channels"),
            ({"nSavedChans": "7"}, "counts 2"),
            ({"imSampRate": "-1"}, "not a sampling rate"),
            ({"imSampRate": "fast"}, "not a number"),
            ({"imAiRangeMax": "0"}, "range or gain of 0"),
            ({"firstSample": "-4"}, "not a count"),
            ({"snsApLfSy": "1,x,1"}, "does not count"),
            ({"~imroTbl": ""}, "does not tell the gain"),
        ],
    )
    def test_lying_descriptions(self, tmp_path: Path, change: dict, words: str) -> None:
        content = write_imec(tmp_path, saved=[1], rows=10)
        meta = {**content.meta, "imChan0apGain": "0", **change}
        write_meta(content.path.with_suffix(".meta"), meta)
        with pytest.raises(RecordingError, match=words) as caught:
            open_session(content.path)
        assert "imec0.ap.meta" in str(caught.value)

    def test_a_description_cut_short(self, tmp_path: Path) -> None:
        path = tmp_path / "run_g0_t0.imec0.ap.bin"
        path.write_bytes(b"1234")
        path.with_suffix(".meta").write_text("nSavedChans=385")
        with pytest.raises(RecordingError, match="typeThis"):
            open_session(path)

    def test_missing_and_compressed_data(self, tmp_path: Path) -> None:
        content = write_imec(tmp_path, rows=10)
        content.path.unlink()
        with pytest.raises(RecordingError, match="is missing"):
            open_session(content.path.with_suffix(".meta"))
        content.path.with_suffix(".cbin").write_bytes(b"x")
        with pytest.raises(CapabilityError, match="mtscomp"):
            open_session(tmp_path)

    def test_one_damaged_file_among_several_is_left_out(self, tmp_path: Path) -> None:
        write_imec(tmp_path, rows=10)
        bad = write_imec(tmp_path, probe=1, rows=10)
        write_meta(bad.path.with_suffix(".meta"), {**bad.meta, "nSavedChans": "5"})
        session = open_session(tmp_path)
        assert list(session.streams) == ["imec0.ap"]
        assert any("imec1" in note for note in session.notes)

    def test_fixed_gain_is_assumed_and_said(self, tmp_path: Path) -> None:
        content = write_imec(tmp_path, generation=2, rows=10)
        write_meta(content.path.with_suffix(".meta"), {**content.meta, "imChan0apGain": ""})
        stream = open_session(content.path).stream()
        assert (stream.channels[0].gain, stream.channels[0].unit_source) == (NP2_UV, "assumed")
        assert any("assumed" in note for note in stream.notes)

    def test_damage_raises_only_our_errors(self, tmp_path: Path) -> None:
        fuzz(tmp_path, 30)

    @pytest.mark.slow
    def test_damage_raises_only_our_errors_long(self, tmp_path: Path) -> None:
        fuzz(tmp_path, 400)


def fuzz(tmp_path: Path, examples: int) -> None:
    source = tmp_path / "made"
    write_imec(source, saved=[0, 5], rows=200)
    write_imec(source, saved=[0, 5], trigger=1, first_sample=1300, rows=100)
    write_nidq(source, rows=100)
    files = {p.name: p.read_bytes() for p in source.iterdir()}
    (tmp_path / "fuzz").mkdir()
    fuzz_reader(files, lambda f: open_session(f, RadiensFileType.SPIKEGLX), tmp_path / "fuzz", examples=examples)


@pytest.mark.parametrize("rule", READER_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("kind", ["one", "nidq", "triggers"])
def test_suite(rule, kind, tmp_path):
    reference = {}
    if kind == "nidq":
        content = write_nidq(tmp_path)
        path, files = content.path, spikeglx.files_of(content.path)
    elif kind == "one":
        content = write_imec(tmp_path, saved=range(20))
        path, files = content.path, spikeglx.files_of(content.path)
        want = expected_imec(content, ap_gains(range(20)))
        reference = {"imec0.ap": ReferenceStream(want, 1000, 30000.0, rtol=2e-7)}
    else:
        for i in range(3):
            write_imec(tmp_path, saved=[0, 4], trigger=i, first_sample=1000 + 700 * i, rows=600, seed=i)
        path, files = tmp_path, spikeglx.files_of(tmp_path)
    rule(ReaderCase(lambda: open_session(path), reference, tuple(files)))


@pytest.mark.parametrize("generation", [1, 2, 4])
def test_as_neo_reads_it(tmp_path, generation):
    """Samples, names, gains and start of every stream, and the edges of the digital lines of nidq."""
    from neo.rawio import SpikeGLXRawIO

    write_imec(tmp_path, generation=generation, saved=range(30))
    if generation == 1:
        write_imec(tmp_path, band="lf", saved=range(30), rows=250, first_sample=83)
    nidq = write_nidq(tmp_path, counts=(2, 1, 3, 1))
    other = SpikeGLXRawIO(str(tmp_path))
    other.parse_header()
    session = open_session(tmp_path)
    header = other.header
    compared = 0
    for i, found in enumerate(header["signal_streams"]):
        name = str(found["name"])
        stream = session.stream(name.removesuffix("-SYNC"))
        raw = other.get_analogsignal_chunk(stream_index=i)
        channels = header["signal_channels"][header["signal_channels"]["stream_id"] == found["id"]]
        if name.endswith("-SYNC"):
            lines = stream.read_counts(stream.start, stream.stop, stream.channels.columns_of(SignalType.DIN)).samples
            np.testing.assert_array_equal((lines.astype(int) << np.arange(16)).sum(axis=1).astype(np.int16), raw[:, 0])
            continue
        analog = [c for c in range(len(stream.channels)) if not stream.channels.is_digital[c]]
        np.testing.assert_array_equal(
            stream.read_counts(stream.start, stream.stop, analog).samples, raw[:, : len(analog)]
        )
        assert [stream.channels[c].name for c in analog] == [str(n) for n in channels["name"][: len(analog)]]
        in_volts = np.array([1e-6 if stream.channels[c].type == SignalType.AMP else 1.0 for c in analog])
        theirs = channels["gain"][: len(analog)] * (1e-6 if "imec" in name else 1.0)
        np.testing.assert_allclose(stream.channels.gains[analog] * in_volts, theirs, rtol=1e-12)
        assert stream.start / stream.fs == pytest.approx(other.get_signal_t_start(0, 0, i))
        assert float(stream.fs) == float(channels["sampling_rate"][0])
        compared += 1
    assert compared == (3 if generation == 1 else 2)
    events = session.events["nidq"]
    for i, found in enumerate(header["event_channels"]):
        line = int(str(found["name"])[2:])
        at, _, labels = other.get_event_timestamps(event_channel_index=i)
        ours = events.line == line
        theirs = sorted(zip((at + nidq.first_sample).tolist(), [int("ON" in str(t)) for t in labels], strict=True))
        assert list(zip(events.counter[ours].tolist(), events.state[ours].tolist(), strict=True)) == theirs


def test_kernels_equal_their_references():
    rng = np.random.default_rng(3)
    words = rng.integers(-32768, 32768, (40, 11)).astype(np.int16)
    column = rng.integers(0, 11, 9)
    kind = rng.integers(0, 3, 9)
    bit = np.where(kind == 2, rng.integers(0, 16, 9), 0).astype(np.int32)
    mask = np.choose(kind, [-1, 0xFFFF, 1]).astype(np.int32)
    zero = np.choose(kind, [0, 32768, 0]).astype(np.int32)
    gain, offset = rng.normal(size=9), rng.normal(size=9)
    place = rng.permutation(12)[:9]
    for skip, hold, rows in ((0, 0, 40), (3, 2, 150)):
        codes = (words, skip, hold, column, bit, mask, zero)
        for kernel, extra, dtype in (
            (word_kernels.counts_of_words, (), np.int16),
            (word_kernels.physical_of_words, (gain, offset), np.float32),
        ):
            got, want = np.zeros((rows, 12), dtype), np.zeros((rows, 12), dtype)
            kernel(*codes, *extra, place, got)
            kernel.reference(*codes, *extra, place, want)
            np.testing.assert_array_equal(got, want)
            assert got.any()
