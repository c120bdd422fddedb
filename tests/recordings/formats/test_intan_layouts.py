"""Intan recordings in .dat files, RHS, stimulation; against neo."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier.checks.files_rhd import RhdContent, write_rhd
from ranvier.checks.files_rhs import RhsContent, write_rhs
from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.readers import READER_RULES, ReaderCase, ReferenceStream
from ranvier.exceptions import CapabilityError, DatasetError, RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.signals import SignalType
from ranvier.recordings import Session, detect, open_session
from ranvier.recordings.formats import rhd, rhs, rhs_stim

SPLIT = ("signal", "channel")
LAYOUTS = ("traditional", *SPLIT)


def expected_rhd(c: RhdContent) -> np.ndarray:
    held = np.repeat(c.aux, 4, axis=1)
    lines = [c.din >> line & 1 for line in c.din_lines] + [c.dout >> line & 1 for line in c.dout_lines]
    analog = [(c.amp.astype(float) - 32768) * 0.195, held * 37.4e-6, c.adc * 50.354e-6]
    return np.vstack([*analog, *(line[None] for line in lines)]).T


def expected_rhs(c: RhsContent) -> np.ndarray:
    lines = [c.din >> line & 1 for line in c.din_lines] + [c.dout >> line & 1 for line in c.dout_lines]
    board = [(values.astype(float) - 32768) * 312.5e-6 for values in (c.adc, c.dac)]
    dc = (c.dc.astype(float) - 512) * -19.23e-3
    return np.vstack([(c.amp.astype(float) - 32768) * 0.195, *board, dc, *(line[None] for line in lines)]).T


def made_rhs(tmp_path: Path, layout: str, **more) -> RhsContent:
    return write_rhs(tmp_path / ("a.rhs" if layout == "traditional" else "rec"), layout=layout, **more)


def whole(session: Session) -> np.ndarray:
    stream = session.stream()
    return stream.read(stream.start, stream.stop).samples


class TestSplitRhd:
    @pytest.mark.parametrize("layout", SPLIT)
    @pytest.mark.parametrize("repeat_aux", [False, True])
    def test_samples(self, tmp_path: Path, layout: str, repeat_aux: bool) -> None:
        made = write_rhd(
            tmp_path / "rec",
            layout=layout,
            repeat_aux=repeat_aux,
            din_lines=(0, 9),
            dout_lines=(15,),
            first_counter=-50,
        )
        stream = open_session(tmp_path / "rec").stream()
        assert (stream.start, stream.stop, stream.fs) == (-50, 590, Fraction(20000))
        np.testing.assert_allclose(stream.read(-50, 590).samples, expected_rhd(made), rtol=2e-7, atol=1e-9)
        counts = stream.read_counts(-50, 590, [5, 0, 9]).samples
        np.testing.assert_array_equal(counts[:, 1], made.amp[0].astype(int) - 32768)
        assert stream.notes == ()
        assert [c.ntv_name for c in stream.channels][:5] == ["A-000", "A-001", "A-002", "A-003", "A-AUX1"]
        rng = np.random.default_rng(0)
        for _ in range(40):
            a, b = np.sort(rng.integers(0, 641, 2))
            columns = rng.permutation(len(stream.channels))[:4]
            if a < b:
                got = stream.read(int(a) - 50, int(b) - 50, columns).samples
                np.testing.assert_allclose(got, expected_rhd(made)[a:b][:, columns], rtol=2e-7, atol=1e-9)

    @pytest.mark.parametrize("layout", SPLIT)
    def test_paths_mean_the_folder(self, tmp_path: Path, layout: str) -> None:
        folder = tmp_path / "rec_240102_030405"
        write_rhd(folder, layout=layout, din_lines=(1,))
        (folder / "settings.xml").write_text("<xml/>")
        data = folder / ("amplifier.dat" if layout == "signal" else "amp-A-001.dat")
        for path in (folder, folder / "info.rhd", folder / "time.dat", data):
            known, canonical = detect(path)
            assert (known.file_type, canonical) == (RadiensFileType.RHD, folder)
        assert rhd.base_name(folder) == folder.name
        assert set(rhd.files_of(folder)) == set(folder.iterdir())
        assert open_session(folder).extra["rhd"]["layout"].startswith("one file per " + layout)

    @pytest.mark.parametrize("layout", SPLIT)
    def test_gaps(self, tmp_path: Path, layout: str) -> None:
        made = write_rhd(tmp_path / "rec", layout=layout, gaps=((128, 1000), (300, 5)))
        stream = open_session(tmp_path / "rec").stream()
        assert [tuple(g) for g in stream.segments.gaps] == [(128, 1128), (1300, 1305)]
        block = stream.read(0, stream.stop).samples
        np.testing.assert_allclose(block[made.counters], expected_rhd(made), rtol=2e-7, atol=1e-9)

    def test_a_short_file_cuts_all(self, tmp_path: Path) -> None:
        made = write_rhd(tmp_path / "rec", layout="channel")
        short = tmp_path / "rec" / "amp-A-002.dat"
        short.write_bytes(short.read_bytes()[:1001])
        stream = open_session(tmp_path / "rec").stream()
        assert (stream.stop, stream.lost_samples) == (500, 140)
        assert any("140 samples at the end are lost" in note for note in stream.notes)
        np.testing.assert_allclose(stream.read(0, 500).samples, expected_rhd(made)[:500], rtol=2e-7, atol=1e-9)

    def test_missing_files_are_named(self, tmp_path: Path) -> None:
        made = write_rhd(tmp_path / "rec", layout="channel")
        (tmp_path / "rec" / "amp-A-001.dat").unlink()
        (tmp_path / "rec" / "time.dat").unlink()
        stream = open_session(tmp_path / "rec").stream()
        assert any("A-001" in note for note in stream.notes)
        assert any("time.dat is missing" in note for note in stream.notes)
        want = np.delete(expected_rhd(made), 1, axis=1)
        np.testing.assert_allclose(stream.read(0, stream.stop).samples, want, rtol=2e-7, atol=1e-9)

    def test_growing(self, tmp_path: Path) -> None:
        write_rhd(tmp_path / "rec", layout="signal")
        data = {p: p.read_bytes() for p in (tmp_path / "rec").glob("*.dat")}
        for path, content in data.items():
            path.write_bytes(content[: len(content) // 2])
        stream = open_session(tmp_path / "rec").stream()
        assert stream.stop == 320
        for path, content in data.items():
            path.write_bytes(content)
        assert stream.refresh() == 640

    def test_only_the_header(self, tmp_path: Path) -> None:
        write_rhd(tmp_path / "rec", layout="signal")
        for path in (tmp_path / "rec").glob("*.dat"):
            if path.name != "time.dat":
                path.unlink()
        with pytest.raises(RecordingError, match="none of their files is there"):
            open_session(tmp_path / "rec")


class TestManyFiles:
    def test_foreign_and_overlapping_files_are_named(self, tmp_path: Path) -> None:
        for i in range(3):
            write_rhd(tmp_path / f"n_{i}.rhd", blocks=2, first_counter=256 * i, seed=i)
        write_rhd(tmp_path / "alien.rhd", blocks=2, amp=5, first_counter=5000)
        with pytest.raises(DatasetError, match=r"alien\.rhd is foreign: its rate or channels differ") as caught:
            open_session(tmp_path).stream()
        assert "#n_0" in str(caught.value)
        (tmp_path / "alien.rhd").unlink()
        assert open_session(tmp_path).stream().stop == 768
        write_rhd(tmp_path / "again.rhd", blocks=1, first_counter=300)
        with pytest.raises(DatasetError, match=r"n_1\.rhd and again\.rhd overlap"):
            open_session(tmp_path).stream()

    def test_a_session_of_rhs(self, tmp_path: Path) -> None:
        made = [write_rhs(tmp_path / f"n_{i}.rhs", blocks=2, first_counter=300 * i, seed=i) for i in range(3)]
        last = made[-1].path
        last.write_bytes(last.read_bytes()[:-5])
        session = open_session(tmp_path)
        stream = session.stream()
        assert stream.segments.runs() == [(0, 256), (300, 256), (600, 128)]
        assert stream.lost_samples == 128
        block = stream.read(0, stream.stop).samples
        np.testing.assert_allclose(block[300:556], expected_rhs(made[1]), rtol=2e-7, atol=1e-6)


class TestRhs:
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("dc", [True, False])
    def test_samples(self, tmp_path: Path, layout: str, dc: bool) -> None:
        made = made_rhs(tmp_path, layout, dc=dc, dout_lines=(2,), first_counter=9)
        session = open_session(made.path)
        stream = session.stream()
        assert session.file_type == RadiensFileType.RHS
        assert (stream.start, stream.stop, stream.fs) == (9, 649, Fraction(30000))
        assert [stream.channels.count(k) for k in SignalType] == [4, 7 if dc else 3, 2, 1]
        assert stream.notes == ()
        np.testing.assert_allclose(whole(session), expected_rhs(made), rtol=2e-7, atol=1e-6)
        assert [c.name for c in stream.channels][4:8] == ["ANALOG-IN-1", "ANALOG-IN-2", "ANALOG-OUT-1"] + (
            ["A-000_DC"] if dc else ["DIGITAL-IN-01"]
        )
        assert session.extra["rhs"]["stim_step_a"] == pytest.approx(1e-5)

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("block_rows", [7, 1 << 14])
    def test_stimulation_is_told_completely(
        self, tmp_path: Path, layout: str, block_rows: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The words are rebuilt from the events, which are no more than the changes, however much is read at once."""
        monkeypatch.setattr(rhs_stim, "_BLOCK_ROWS", block_rows)
        made = made_rhs(tmp_path, layout, first_counter=77, gaps=((300, 40),))
        events = open_session(made.path).events[""]
        rebuilt = np.zeros((4, made.counters[-1] + 1 - 77), np.uint16)
        flags = {"STIM settle": 13, "STIM recovery": 14, "STIM limit": 15}
        seen = 0
        rows = zip(events.counter, events.line, events.state, events.source, events.text, strict=True)
        for counter, line, state, source, text in rows:
            later = rebuilt[line, counter - 77 :]
            if source == "STIM":
                amount = float(text.removesuffix(" uA")) if text else 0.0
                assert state == (amount != 0)
                steps = round(abs(amount) / 10)
                later[:] = (later & 0xE000) | (0x100 if amount < 0 else 0) | steps
                seen += 1
            elif source in flags:
                bit = np.uint16(1 << flags[source])
                later[:] = later | bit if state else later & ~bit
        assert seen > 10
        np.testing.assert_array_equal(rebuilt[:, made.counters - 77], made.stim)
        current = made.stim.astype(int) & 0x1FF
        assert seen == np.count_nonzero(np.diff(current, axis=1, prepend=0))

    def test_versions(self, tmp_path: Path) -> None:
        made = write_rhs(tmp_path / "a.rhs", version=(1, 0))
        np.testing.assert_allclose(whole(open_session(made.path)), expected_rhs(made), rtol=2e-7, atol=1e-6)
        data = bytearray(made.path.read_bytes())
        data[4] = 9
        made.path.write_bytes(data)
        with pytest.raises(CapabilityError, match=r"RHS version 9\.0"):
            open_session(made.path)

    @pytest.mark.parametrize("cut", [1, 200, 4000])
    def test_truncated(self, tmp_path: Path, cut: int) -> None:
        made = write_rhs(tmp_path / "a.rhs")
        data = made.path.read_bytes()
        made.path.write_bytes(data[:-cut])
        stream = open_session(made.path).stream()
        kept = (len(data) - cut - made.header_bytes) // made.block_bytes * 128
        assert (stream.stop, stream.lost_samples) == (kept, 128)
        np.testing.assert_allclose(stream.read(0, kept).samples, expected_rhs(made)[:kept], rtol=2e-7, atol=1e-6)

    def test_a_lying_step(self, tmp_path: Path) -> None:
        made = write_rhs(tmp_path / "a.rhs", stim_step_a=0.0)
        with pytest.raises(RecordingError, match="stimulation step"):
            open_session(made.path)


CASES = [("rhd", layout) for layout in SPLIT] + [("rhs", layout) for layout in LAYOUTS]


@pytest.mark.parametrize("rule", READER_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize(("kind", "layout"), CASES)
def test_suite(rule, kind, layout, tmp_path):
    if kind == "rhd":
        made = write_rhd(tmp_path / "rec", layout=layout, blocks=20, din_lines=(1, 5), gaps=((200, 9), (1280, 4000)))
        values, files = expected_rhd(made), rhd.files_of(made.path)
    else:
        made = made_rhs(tmp_path, layout, blocks=20, gaps=((200, 9), (1280, 4000)))
        values, files = expected_rhs(made), rhs.files_of(made.path)
    samples = np.full((made.counters[-1] + 1, values.shape[1]), np.nan)
    samples[:, -2:] = 0
    samples[made.counters] = values
    reference = ReferenceStream(samples, rtol=2e-7, atol=1e-6)
    rule(ReaderCase(lambda: open_session(made.path), {"": reference}, tuple(files)))


@pytest.mark.parametrize(("kind", "layout"), CASES)
def test_as_neo_reads_it(tmp_path, kind, layout):
    """Every stream of neo equals our columns: counts, gains, names. neo gives DC without the chip's inversion."""
    from neo.rawio import IntanRawIO

    if kind == "rhd":
        path = write_rhd(tmp_path / "rec", layout=layout, din_lines=(0, 3), supply=0, version=(3, 0)).path
    else:
        path = made_rhs(tmp_path, layout).path
    other = IntanRawIO(str(path if path.is_file() else path / f"info.{kind}"))
    other.parse_header()
    stream = open_session(path).stream()
    ours = {c.ntv_name: i for i, c in enumerate(stream.channels)}
    compared = set()
    channels = other.header["signal_channels"]
    for i, found in enumerate(other.header["signal_streams"]):
        raw = other.get_analogsignal_chunk(stream_index=i)
        mine = channels[channels["stream_id"] == found["id"]]
        if found["name"] == "Stim channel":
            continue  # events here; rebuilt in another test
        if (layout, str(found["name"])) == ("channel", "DC Amplifier channel"):
            compared |= {str(n) for n in mine["id"]}  # neo takes these files in the order of the directory
            continue
        physical = other.rescale_signal_raw_to_float(raw, dtype="float64", stream_index=i)
        for k, name in enumerate(str(n) for n in mine["id"]):
            got = stream.read(0, stream.stop, [ours[name]]).samples[:, 0]
            want = physical[:, k]
            if str(found["name"]) == "DC Amplifier channel":
                want = -want * 1e-3
            if len(want) * 4 == len(got):
                want = np.repeat(want, 4)
            np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-4 if name.startswith("A-0") else 1e-6)
            compared.add(name)
    assert compared == set(ours)


@pytest.mark.parametrize(("kind", "layout"), CASES)
def test_damage_raises_only_our_errors(tmp_path, kind, layout):
    fuzz(tmp_path, kind, layout, 25)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "layout"), CASES)
def test_damage_raises_only_our_errors_long(tmp_path, kind, layout):
    fuzz(tmp_path, kind, layout, 400)


def fuzz(tmp_path, kind, layout, examples):
    if kind == "rhd":
        path = write_rhd(tmp_path / "rec", layout=layout, blocks=2, amp=2, aux=1, adc=1, din_lines=(0,)).path
    else:
        path = made_rhs(tmp_path, layout, blocks=2, amp=2, adc=1).path
    files = {p.name: p.read_bytes() for p in ([path] if path.is_file() else path.iterdir())}
    (tmp_path / "fuzz").mkdir()
    name = path.name if path.is_file() else ""
    wanted = RadiensFileType[kind.upper()]
    fuzz_reader(files, lambda f: open_session(f / name, wanted), tmp_path / "fuzz", examples=examples)
