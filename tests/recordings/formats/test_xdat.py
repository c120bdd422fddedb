"""XDAT: what the reader makes of whole, damaged, growing and foreign sets."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier.checks.files_xdat import write_xdat, xdat_document
from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.readers import READER_RULES, ReaderCase, ReferenceStream
from ranvier.exceptions import DatasetError, RecordingError
from ranvier.models.channels import COLOR_GROUP_UNSET, SITE_NUM_UNSET, SignalUnits
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.recordings import Session, open_session
from ranvier.recordings.formats.xdat import FORMAT, open_xdat


def edit(path: Path, **status: object) -> None:
    document = json.loads(path.read_text())
    document["status"].update(status)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("rule", READER_RULES, ids=lambda rule: rule.__name__)
def test_reader_suite(rule, tmp_path: Path) -> None:
    counters = np.concatenate([np.arange(500, 900), np.arange(1000, 1001), np.arange(5000, 6599)])
    path, samples = write_xdat(tmp_path, counters=counters)
    whole = np.full((6599 - 500, 10), np.nan, np.float32)
    whole[:, 6:] = 0
    whole[counters - 500] = samples
    names = ("pri_0", "pri_1", "pri_2", "pri_3", "aux_0", "aux_1", "din_0", "din_1", "dout_0", "dout_1")
    reference = ReferenceStream(whole, start=500, fs=20_000.0, names=names)
    rule(ReaderCase(lambda: open_session(path), {"": reference}, tuple(FORMAT.files(path))))


def test_agrees_with_neo(tmp_path: Path) -> None:
    from neo.rawio import NeuroNexusRawIO

    path, _ = write_xdat(tmp_path)
    reader = NeuroNexusRawIO(str(path))
    reader.parse_header()
    with open_session(path) as session:
        ours = session.stream()
        streams = {str(s["id"]): i for i, s in enumerate(reader.header["signal_streams"])}
        for name, kind in (("ai-pri", 0), ("aux", 1), ("din", 2), ("dout", 3)):
            theirs = reader.get_analogsignal_chunk(0, 0, 0, None, stream_index=streams[name])
            columns = ours.channels.columns_of(SignalType(kind))
            assert np.array_equal(ours.read(ours.start, ours.stop, columns).samples, theirs)
        assert reader.get_signal_t_start(0, 0, 0) == ours.start / float(ours.fs)
        theirs_time = datetime.fromisoformat(str(reader.raw_annotations["blocks"][0]["rec_datetime"]))
        assert theirs_time.astimezone(UTC) == ours.walltime


@pytest.mark.parametrize(
    "named", ["a.v1.2.xdat.json", "a.v1.2_data.xdat", "a.v1.2_timestamp.xdat", "a.v1.2.xdat", "a.v1.2"]
)
def test_every_name_of_a_set_opens_it(tmp_path: Path, named: str) -> None:
    path, samples = write_xdat(tmp_path, "a.v1.2")
    write_xdat(tmp_path, "a.v1", rows=10)
    with open_session(tmp_path / named) as session:
        assert session.path == path
        assert session.stream().segments.rows == len(samples)
    assert FORMAT.base_name(tmp_path / named) == "a.v1.2"


def test_a_folder_opens_where_it_holds_one_set(tmp_path: Path) -> None:
    path, _ = write_xdat(tmp_path)
    assert open_session(tmp_path).path == path
    write_xdat(tmp_path, "other")
    with pytest.raises(DatasetError, match=r"other\.xdat\.json"):
        open_session(tmp_path)


def test_base_name_that_ends_like_a_suffix(tmp_path: Path) -> None:
    path, _ = write_xdat(tmp_path, "my_data")
    assert open_session(tmp_path / "my_data.xdat").path == path
    assert open_session(tmp_path / "my_data_data.xdat").path == path


def test_defaults_of_the_minimal_document(tmp_path: Path) -> None:
    path, _ = write_xdat(tmp_path)
    with open_session(path) as session:
        recording = session.stream()
        assert recording.fs == Fraction(20_000)
        assert (recording.start, recording.stop) == (320_000, 322_000)
        assert recording.walltime == datetime(2025, 1, 2, 8, 4, 5, 123456, tzinfo=UTC)
        channel = recording.channels[3]
        assert (channel.type, channel.ntv, channel.sys, channel.ntv_name) == (SignalType.AMP, 3, 3, "port_A_3")
        assert (channel.unit, channel.unit_source) == (SignalUnits.MICROVOLTS, "assumed")
        assert (channel.site, channel.site_num, channel.color_group) == (None, SITE_NUM_UNSET, COLOR_GROUP_UNSET)
        assert recording.channels[8].ntv == 0
        assert recording.channels.geometry_source == "assumed"
        assert not recording.channels.wiring_verified
        assert session.notes == ()


def test_geometry_ports_and_units_of_a_full_document(tmp_path: Path) -> None:
    document = xdat_document(2000, 4, 2, 2, 2, 20_000.0, 320_000)
    document["sapiens_base"]["biointerface_map"] |= {
        "site_shape": ["circle", "circle", "circle", ""] + [""] * 6,
        "site_ctr_x": [0.0, 0.0, 200.0] + [0.0] * 7,
        "site_ctr_y": [100.0, 0.0, 50.0] + [0.0] * 7,
        "scs_to_tcs_y": [-1000.0] * 10,
        "site_lim_x_min": [7.5] + [0.0] * 9,  # mirrored: min > max
        "site_lim_x_max": [-7.5] + [0.0] * 9,
        "site_num": [2, 1, 3, 0] + [0] * 6,
        "port": ["A", "A", "B", "B"] + ["A"] * 6,
        "is_selected": [1, True, 0, 0] + [1] * 6,
        "probe_id": ["probe__x", "probe__x", "probe__y", "no-probe"] + [""] * 6,
        "headstage_id": ["hstg__h"] * 4 + [""] * 6,
        "sensor_units": ["uV"] * 4 + ["V"] * 2 + ["binary"] * 4,
        "sys_chan_idx": list(range(10)),
        "ntv_chan_idx": [0, 1, 2, 3, 0, 1, 0, 1, 0, 1],
    }
    path, _ = write_xdat(tmp_path, document=document)
    with open_session(path) as session:
        table = session.stream().channels
        assert table.geometry_source == "file"
        assert table.wiring_verified
        assert [c.port for c in table][:4] == [Port.A, Port.A, Port.B, Port.B]
        assert [c.selected for c in table][:4] == [True, True, False, False]
        assert [c.site_num for c in table][:4] == [2, 1, 3, SITE_NUM_UNSET]
        assert [c.probe_id for c in table][:4] == ["probe__x", "probe__x", "probe__y", ""]
        site = table[0].site
        assert site is not None
        assert (site.x_um, site.y_um, site.width_um) == (0.0, 100.0, 15.0)
        assert site.tissue_um == (0.0, -900.0, 0.0)
        assert table[3].site is None
        assert {c.unit_source for c in table} == {"file"}
        assert session.notes == ()


def test_digital_columns_are_events(tmp_path: Path) -> None:
    path, samples = write_xdat(tmp_path, rows=70_000)
    expected = []
    for column, (source, line) in enumerate([("DIN", 0), ("DIN", 1), ("DOUT", 0), ("DOUT", 1)], start=6):
        steps = np.diff(samples[:, column])
        expected += [(320_001 + int(i), line, int(steps[i] > 0), source) for i in np.flatnonzero(steps)]
    with open_session(path) as session:
        events = session.events[""]
        got = list(
            zip(events.counter.tolist(), events.line.tolist(), events.state.tolist(), events.source, strict=True)
        )
        assert sorted(got) == sorted(expected)
        assert session.events[""] is events, "events are found once"


def test_opening_does_not_look_for_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = write_xdat(tmp_path)
    monkeypatch.setattr("ranvier.recordings.formats.xdat.digital_edges", lambda _: pytest.fail("read the recording"))
    with open_session(path) as session:
        assert list(session.events) == [""]


class TestTruncated:
    def test_in_the_middle_of_a_sample(self, tmp_path: Path) -> None:
        path, samples = write_xdat(tmp_path)
        data = tmp_path / "set_data.xdat"
        data.write_bytes(data.read_bytes()[: 1234 * 40 + 17])
        with open_session(path) as session:
            recording = session.stream()
            assert recording.segments.rows == 1234
            assert recording.lost_samples == 2000 - 1234
            assert np.array_equal(recording.read(recording.start, recording.stop).samples, samples[:1234])
            assert any("766 of 2000 samples are lost" in note for note in session.notes)
            assert any("middle of a sample: 17 bytes" in note for note in session.notes)

    def test_counters_shorter_than_data(self, tmp_path: Path) -> None:
        path, samples = write_xdat(tmp_path)
        counters = tmp_path / "set_timestamp.xdat"
        counters.write_bytes(counters.read_bytes()[: 8 * 500 + 3])
        with open_session(path) as session:
            recording = session.stream()
            assert recording.segments.rows == 500
            assert recording.lost_samples == 1500
            assert any("1500 samples have no sample counter" in note for note in session.notes)
            assert np.array_equal(recording.read(recording.start, recording.stop).samples, samples[:500])

    def test_everything(self, tmp_path: Path) -> None:
        path, _ = write_xdat(tmp_path)
        (tmp_path / "set_data.xdat").write_bytes(b"\0" * 39)
        with pytest.raises(RecordingError, match=r"set_data\.xdat holds no samples \(39 bytes\)"):
            open_session(path)

    def test_longer_than_promised(self, tmp_path: Path) -> None:
        path, samples = write_xdat(tmp_path)
        edit(path, shape=[1500, 10])
        with open_session(path) as session:
            assert session.stream().segments.rows == len(samples)
            assert session.stream().lost_samples == 0
            assert any("500 more than the metadata say" in note for note in session.notes)

    def test_while_it_is_read(self, tmp_path: Path) -> None:
        path, _ = write_xdat(tmp_path)
        with open_session(path) as session:
            (tmp_path / "set_data.xdat").write_bytes(b"")
            with pytest.raises(RecordingError, match="became shorter after it was opened"):
                session.stream().read(320_000, 320_100)
            (tmp_path / "set_data.xdat").unlink()
            with pytest.raises(RecordingError, match="cannot be read any more"):
                session.stream().read(320_000, 320_100)


class TestMissingFiles:
    def test_metadata(self, tmp_path: Path) -> None:
        path, samples = write_xdat(tmp_path)
        path.unlink()
        with pytest.raises(RecordingError, match=r"sampling rate is not known.*open_xdat\(path, fs=\.\.\.\)"):
            open_session(tmp_path / "set")
        with open_xdat(tmp_path / "set", fs=20_000) as session:
            recording = session.stream()
            assert np.array_equal(recording.read(recording.start, recording.stop).samples, samples)
            assert {c.type for c in recording.channels} == {SignalType.AMP}
            assert {c.unit_source for c in recording.channels} == {"assumed"}
            assert any("10 columns, derived from the sizes" in note for note in session.notes)

    def test_metadata_rescued_by_one_line(self, tmp_path: Path) -> None:
        path, samples = write_xdat(tmp_path)
        path.unlink()
        (tmp_path / "set.xdat.json.part").write_text('{"status": {"samp_freq": 20000}}')
        with open_session(tmp_path / "set") as session:
            assert session.stream().fs == 20_000
            assert session.stream().segments.rows == len(samples)

    def test_metadata_and_half_a_sample(self, tmp_path: Path) -> None:
        path, _ = write_xdat(tmp_path)
        path.unlink()
        data = tmp_path / "set_data.xdat"
        data.write_bytes(data.read_bytes()[:-401])
        with open_xdat(data, fs=20_000) as session:
            assert session.stream().segments.rows == 1989
            assert len(session.stream().channels) == 10

    def test_data(self, tmp_path: Path) -> None:
        path, _ = write_xdat(tmp_path)
        (tmp_path / "set_data.xdat").unlink()
        with pytest.raises(RecordingError, match=r"set_data\.xdat is missing"):
            open_session(path)

    def test_counters(self, tmp_path: Path) -> None:
        path, samples = write_xdat(tmp_path)
        (tmp_path / "set_timestamp.xdat").unlink()
        with open_session(path) as session:
            recording = session.stream()
            assert (recording.start, recording.segments.rows) == (320_000, len(samples))
            assert any("gaps cannot be seen" in note for note in session.notes)

    def test_rate(self, tmp_path: Path) -> None:
        path, _ = write_xdat(tmp_path)
        edit(path, samp_freq="fast")
        with pytest.raises(RecordingError, match=r"set\.xdat\.json does not state the sampling rate"):
            open_session(path)

    def test_stated_rate_must_not_contradict(self, tmp_path: Path) -> None:
        path, _ = write_xdat(tmp_path)
        with pytest.raises(RecordingError, match="states 20000 Hz, not 30000 Hz"):
            open_xdat(path, fs=30_000)


class TestCounters:
    def test_zero_tail_of_a_power_failure_is_cut(self, tmp_path: Path) -> None:
        counters = np.arange(320_000, 322_000)
        counters[1700:] = 0
        path, samples = write_xdat(tmp_path, counters=counters)
        with open_session(path) as session:
            recording = session.stream()
            assert recording.segments.runs() == [(320_000, 1700)]
            assert recording.lost_samples == 300
            assert any("last 300 rows are zero" in note for note in session.notes)
            assert np.array_equal(recording.read(recording.start, recording.stop).samples, samples[:1700])

    @pytest.mark.parametrize("damage", ["backwards", "repeated", "huge", "zeros", "random", "every second", "far gap"])
    def test_wrong_counters_are_replaced_and_flagged(self, tmp_path: Path, damage: str) -> None:
        counters = np.arange(320_000, 322_000)
        if damage == "backwards":
            counters[1000:] -= 600
        elif damage == "repeated":
            counters[1000:1010] = counters[999]
        elif damage == "huge":
            counters[1500] = 2**62
        elif damage == "zeros":
            counters[:] = 0
        elif damage == "random":
            counters = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 2000)
        elif damage == "every second":
            counters = 320_000 + 2 * np.arange(2000)
        else:
            counters[1000:] += 20_000 * 86400 * 40
        path, samples = write_xdat(tmp_path, counters=counters)
        with open_session(path) as session:
            recording = session.stream()
            assert recording.segments.runs() == [(320_000, 2000)]
            assert any("cannot be right" in note for note in session.notes)
            assert np.array_equal(recording.read(recording.start, recording.stop).samples, samples)

    def test_counters_win_over_the_promised_range(self, tmp_path: Path) -> None:
        path, _ = write_xdat(tmp_path, start=320_000)
        edit(path, timestamp_range=[0, 2000])
        assert open_session(path).stream().start == 320_000

    def test_large_files_are_probed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ranvier.recordings.formats.xdat_timestamps.INTERVAL_ROWS", 100)
        monkeypatch.setattr("ranvier.recordings.formats.xdat_timestamps.WHOLE_ROWS", 500)
        counters = np.arange(10_000, 12_000)
        counters[99:] += 5
        counters[100:] += 1
        counters[1234:] += 7
        path, _ = write_xdat(tmp_path, counters=counters)
        from ranvier.recordings import Segments

        found = open_session(path).stream().segments
        assert found.runs() == Segments.from_counters(counters).runs()


class TestGrowing:
    def test_is_readable_at_every_moment(self, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.mkdir()
        counters = np.concatenate([np.arange(100, 900), np.arange(1000, 2200)])
        path, samples = write_xdat(source, counters=counters)
        document = json.loads(path.read_text())
        del document["status"]["shape"], document["status"]["t_range"]
        document["status"]["timestamp_range"] = [100, 100]
        (tmp_path / "set.xdat.json.part").write_text(json.dumps(document))
        data, stamps = (source / f"set_{x}.xdat" for x in ("data", "timestamp"))
        live_data, live_stamps = tmp_path / "set_data.xdat", tmp_path / "set_timestamp.xdat"
        live_data.touch()
        live_stamps.touch()
        session = open_session(tmp_path / "set")
        recording = session.stream()
        assert recording.segments.rows == 0
        assert recording.stop == recording.start
        assert recording.lost_samples == 0
        for rows, ahead in ((1, 3), (799, 0), (810, -7), (1500, 100), (2000, 0)):
            live_data.write_bytes(data.read_bytes()[: rows * 40 + 13])
            live_stamps.write_bytes(stamps.read_bytes()[: (rows + ahead) * 8 + 5])
            have = min(rows, rows + ahead)
            recording.refresh()
            fresh = open_session(tmp_path / "set").stream()
            for seen in (recording, fresh):
                assert seen.segments.rows == have
                got = np.concatenate([block.samples for block in seen.blocks(300)])
                assert np.array_equal(got, samples[:have])
        assert [tuple(g) for g in recording.segments.gaps] == [(900, 1000)]
        assert any("not finished" in note for note in session.notes)

    def test_newest_readable_provisional_metadata_win(self, tmp_path: Path) -> None:
        path, _ = write_xdat(tmp_path)
        shutil.move(path, tmp_path / "set.xdat.json.part")
        (tmp_path / "set.xdat.part.json").write_text('{"status": {"samp_fr')
        assert open_session(tmp_path / "set_data.xdat").stream().fs == 20_000

    def test_only_broken_provisional_metadata(self, tmp_path: Path) -> None:
        path, _ = write_xdat(tmp_path)
        path.unlink()
        (tmp_path / "set.xdat.json.part").write_text("{")
        with pytest.raises(RecordingError, match=r"set\.xdat\.json\.part is not JSON"):
            open_session(tmp_path / "set")


class TestMetadata:
    def test_types_from_the_counts_where_the_map_is_missing(self, tmp_path: Path) -> None:
        path, _ = write_xdat(tmp_path)
        document = json.loads(path.read_text())
        del document["sapiens_base"]
        path.write_text(json.dumps(document))
        table = open_session(path).stream().channels
        assert [c.name for c in table][3:7] == ["pri_3", "aux_0", "aux_1", "din_0"]

    def test_lists_of_the_wrong_length_are_ignored_and_noted(self, tmp_path: Path) -> None:
        document = xdat_document(2000, 4, 2, 2, 2, 20_000.0, 320_000)
        document["sapiens_base"]["biointerface_map"] |= {"port": ["B"] * 9, "site_num": [None] * 10}
        path, _ = write_xdat(tmp_path, document=document)
        session = open_session(path)
        assert {c.port for c in session.stream().channels} == {None}
        assert any("port has 9 entries for 10 columns" in note for note in session.notes)
        assert any("site_num has entries that cannot be read" in note for note in session.notes)

    def test_repeated_indices_are_renumbered_and_noted(self, tmp_path: Path) -> None:
        document = xdat_document(2000, 4, 2, 2, 2, 20_000.0, 320_000)
        document["sapiens_base"]["biointerface_map"] |= {"ntv_chan_idx": [0, 0, 1, 1, 0, 1, 0, 1, 0, 1]}
        path, _ = write_xdat(tmp_path, document=document)
        session = open_session(path)
        assert [c.ntv for c in session.stream().channels][:4] == [0, 1, 2, 3]
        assert any("ntv_chan_idx repeats itself" in note for note in session.notes)

    def test_the_number_of_columns_that_fits_the_sizes_wins(self, tmp_path: Path) -> None:
        path, samples = write_xdat(tmp_path)
        edit(path, signals={"pri": 3, "aux": 2, "din": 2, "dout": 2, "total": 9})
        session = open_session(path)
        assert len(session.stream().channels) == 10
        assert np.array_equal(session.stream().read(320_000, 320_100).samples, samples[:100])
        assert any("different numbers of columns" in note for note in session.notes)

    def test_other_units_are_noted_not_applied(self, tmp_path: Path) -> None:
        document = xdat_document(2000, 4, 2, 2, 2, 20_000.0, 320_000)
        document["sapiens_base"]["biointerface_map"]["sensor_units"] = ["mV"] * 4 + ["V"] * 2 + ["binary"] * 4
        path, _ = write_xdat(tmp_path, document=document)
        session = open_session(path)
        assert session.stream().channels[0].unit_source == "assumed"
        assert any("'mV' for AMP" in note for note in session.notes)

    @pytest.mark.parametrize("content", ["[1, 2]", "", "{", '"text"', "[" * 100_000, "{}", '{"status": 3}'])
    def test_documents_that_are_none(self, tmp_path: Path, content: str) -> None:
        path, _ = write_xdat(tmp_path)
        path.write_text(content)
        with pytest.raises(RecordingError, match=r"set\.xdat\.json"):
            open_session(path)


def xdat_files(folder: Path) -> dict[str, bytes]:
    write_xdat(folder, rows=300)
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def open_set(folder: Path) -> Session:
    return open_session(folder / "set")


def test_damaged_sets(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    fuzz_reader(xdat_files(source), open_set, tmp_path, examples=80)


@pytest.mark.slow
def test_damaged_sets_at_length(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    fuzz_reader(xdat_files(source), open_set, tmp_path, examples=3000)
