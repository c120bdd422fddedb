"""TDT blocks: the real index, made blocks with .tev and .sev, neo as an independent reader, damage."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier import VidereClient
from ranvier.checks.files_tdt import TdtStore, write_tdt
from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.readers import READER_RULES, ReaderCase, ReferenceStream
from ranvier.exceptions import ConfigurationError, DatasetError, RecordingError
from ranvier.models.channels import SignalUnits
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings import open_session
from ranvier.recordings.formats import tdt
from ranvier.recordings.formats.tdt_index import RECORD

NAN = float("nan")
BLOCK = "tdt_index_only/Photometry-161823"


@pytest.mark.parametrize("rule", READER_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("kind", ["tev", "sev", "counts", "gap"])
def test_suite(rule, kind, tmp_path):
    store = {
        "tev": TdtStore(),
        "sev": TdtStore(sev=True, dtype="<f4"),
        "counts": TdtStore(dtype="<i2"),
        "gap": TdtStore(gap_chunk=7, gap_sec=0.5),
    }[kind]
    content = write_tdt(
        tmp_path / "block", {"Wav1": store}, epocs=(("Trl", 0.01, 0.02, 3.0),), snips=(("eNe1", 2, 1, 0.011),)
    )
    values = content.samples["Wav1"].astype(float)
    if kind == "gap":
        missing = np.full((round(0.5 * store.fs), 3), np.nan)
        values = np.concatenate((values[: 7 * 64], missing, values[7 * 64 :]))
    reference = ReferenceStream(values, fs=24414.0625)
    files = tuple(p for p in content.folder.iterdir() if p.is_file())
    rule(ReaderCase(lambda: open_session(content.folder), {"Wav1": reference}, files))


@pytest.mark.parametrize("dtype", ["<f4", "<i4", "<i2", "<i1", "<f8"])
@pytest.mark.parametrize("sev", [False, True])
def test_every_type_and_any_file_of_the_block(tmp_path, dtype, sev):
    content = write_tdt(tmp_path / "b", {"LFP1": TdtStore(dtype=dtype, sev=sev, power=0, decimate=6)})
    for path in [content.folder, *content.folder.iterdir()]:
        session = open_session(path)
        assert session.path == content.folder
        stream = session.stream()
        assert stream.fs == Fraction(25_000_000, 24576)
        assert stream.stores_counts == (dtype == "<i2")
        np.testing.assert_array_equal(stream.read(0, stream.stop).samples, content.samples["LFP1"].astype(np.float32))


def test_sev_files_without_an_index(tmp_path):
    content = write_tdt(tmp_path / "b", {"RSn1": TdtStore(sev=True, dtype="<i2")})
    for path in list(content.folder.iterdir()):
        if path.suffix != ".sev":
            path.unlink()
    stream = open_session(content.folder).stream()
    assert stream.fs == Fraction(390625, 16)
    np.testing.assert_array_equal(stream.read_counts(0, stream.stop).samples, content.samples["RSn1"])
    with open(content.folder / "x_b_RSn1_Ch2.sev", "wb") as handle:
        handle.write(b"not a sev file")
    assert open_session(content.folder).stream().stop == stream.stop


def test_units_are_assumed_until_the_user_says(tmp_path):
    content = write_tdt(tmp_path / "b", {"Wav1": TdtStore(), "LFP1": TdtStore(power=0)})
    session = open_session(content.folder)
    assert {c.unit_source for c in session.streams["Wav1"].channels} == {"assumed"}
    assert any("microvolts are assumed for LFP1, Wav1" in note for note in session.notes)
    (content.folder / tdt.UNITS_FILE).write_text('{"Wav1": "V"}')
    session = open_session(content.folder)
    stream = session.streams["Wav1"]
    assert {(c.unit_source, c.gain, c.unit) for c in stream.channels} == {("user", 1e6, SignalUnits.MICROVOLTS)}
    np.testing.assert_array_equal(
        stream.read(0, 10).samples, (content.samples["Wav1"][:10].astype(float) * 1e6).astype(np.float32)
    )
    (content.folder / tdt.UNITS_FILE).write_text('{"Wav1": "furlong"}')
    with pytest.raises(ConfigurationError, match="uV, mV, V"):
        open_session(content.folder)


def test_epocs_scalars_and_spikes(tmp_path):
    content = write_tdt(
        tmp_path / "b",
        {"Wav1": TdtStore()},
        epocs=(("Trl", 0.010, 0.020, 3.0), ("PC0", 0.015, NAN, 1.5), ("Trl", 99.0, NAN, 4.0)),
        scalars=(("Fi1i", 2, 0.012, 0.25),),
        snips=(("eNe1", 2, 0, 0.011), ("eNe1", 1, 5, 0.013), ("eNe1", 2, 5, 0.0145)),
    )
    session = open_session(content.folder)
    events = session.events["Wav1"]
    rows = list(zip(events.counter.tolist(), events.line, events.state, events.source, events.text, strict=True))
    at = [round(t * 24414.0625) for t in (0.010, 0.012, 0.015, 0.020)]
    assert rows == [
        (at[0], 0, 1, "epoc Trl_", "3"),
        (at[1], -1, -1, "scalar Fi1i 2", "0.25"),
        (at[2], 1, 1, "epoc PC0_", "1.5"),
        (at[3], 0, 0, "epoc Trl_", "3"),
    ]
    assert any("1 events lie outside of Wav1" in note for note in session.notes)
    spikes = session.spike_trains["eNe1"]
    assert spikes.counter.tolist() == [round(t * 24414.0625) for t in (0.011, 0.013, 0.0145)]
    assert spikes.unit.tolist() == [0, 1, 2]
    assert spikes.unit_names == {1: "ch1 unit 5", 2: "ch2 unit 5"}
    assert spikes.site.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(spikes.waveforms[:, 0], content.waveforms["eNe1"])


@pytest.mark.parametrize("sev", [False, True])
def test_truncation_is_told(tmp_path, sev):
    content = write_tdt(tmp_path / "b", {"Wav1": TdtStore(sev=sev)})
    path = next(content.folder.glob("*_Ch2.sev")) if sev else content.tev
    path.write_bytes(path.read_bytes()[: -64 * 4 * 2 * (1 if sev else 3)])
    stream = open_session(content.folder).stream()
    assert stream.lost_samples == 128
    assert any("128 samples" in note for note in stream.notes)
    np.testing.assert_array_equal(stream.read(0, stream.stop).samples, content.samples["Wav1"][:-128])


def test_a_missing_tev_is_told(tmp_path):
    content = write_tdt(tmp_path / "b", {"Wav1": TdtStore()}, epocs=(("Trl", 0.01, 0.02, 1.0),))
    content.tev.unlink()
    stream = open_session(content.folder).stream()
    assert stream.stop == stream.start == 0
    assert stream.lost_samples == 20 * 64
    assert any("missing: all 1280 samples are lost" in note for note in stream.notes)


def test_what_is_not_one(tmp_path):
    assert tdt.detect(tmp_path) is None
    (tmp_path / "a.tsq").write_bytes(b"x" * 30)
    assert tdt.detect(tmp_path) is None
    write_tdt(tmp_path / "t" / "b", {"Wav1": TdtStore()})
    shutil.copy(tmp_path / "t" / "b" / "t_b.tsq", tmp_path / "t" / "b" / "other.tsq")
    with pytest.raises(RecordingError, match="2 blocks"):
        open_session(tmp_path / "t" / "b")


def test_client_link_convert_and_streams(tmp_path):
    content = write_tdt(tmp_path / "b", {"Wav1": TdtStore(channels=2), "LFP1": TdtStore(power=0)})
    with VidereClient() as videre:
        with pytest.raises(DatasetError, match=r"(?s)b#LFP1.*b#Wav1"):
            videre.link_data_file(content.folder)
        ds = videre.link_data_file(f"{content.tsq}#Wav1")
        np.testing.assert_array_equal(videre.get_signals(ds).amp.T, content.samples["Wav1"])


@pytest.mark.samples
@pytest.mark.filterwarnings("ignore:Could not identify sev")
def test_the_real_index_without_its_tev(samples: Path):
    session = open_session(samples / BLOCK)
    assert set(session.streams) == {"405R", "490R", "DelF", "Fi1r"}
    assert session.streams["Fi1r"].fs == Fraction(25_000_000, 4096)
    assert session.streams["405R"].fs == Fraction(25_000_000, 24576)
    assert session.streams["405R"].lost_samples == 672128
    assert session.streams["Fi1r"].lost_samples == 7877 * 512
    assert len(session.streams["Fi1r"].channels) == 4
    assert len(session.events["Fi1r"]) == 10_632
    with VidereClient() as videre:
        ds = videre.link_data_file(f"{samples / BLOCK}#405R")
        assert ds.lost_samples == 672128


@pytest.mark.samples
@pytest.mark.filterwarnings("ignore:Could not identify sev")
def test_the_real_index_with_a_made_tev(samples: Path, tmp_path: Path):
    """The real index, whose .tev is filled with a ramp at the places it points to, against neo."""
    from neo.rawio import TdtRawIO

    tank, block = "99761-170207-161634", "Photometry-161823"
    folder = tmp_path / tank / block
    shutil.copytree(samples / BLOCK, folder)
    for path in folder.iterdir():
        path.chmod(0o644)
    index = np.fromfile(folder / f"{tank}_{block}.tsq", RECORD)
    with open(folder / f"{tank}_{block}.tev", "wb") as handle:
        handle.truncate(72_594_000)
        for i, record in enumerate(index):
            if record["type"] == 0x8101:
                handle.seek(int(record["offset"]))
                n = int(record["size"]) - 10
                handle.write((np.arange(n, dtype="<f4") + 1000 * (i % 997)).tobytes())
    other = TdtRawIO(str(folder / f"{tank}_{block}.tsq"))
    other.parse_header()
    session = open_session(folder)
    for i, name in enumerate(other.header["signal_streams"]["name"]):
        stream = session.streams[str(name)]
        theirs = other.get_analogsignal_chunk(stream_index=i)
        mine = np.concatenate([b.samples for b in stream.blocks(100_000)])
        np.testing.assert_array_equal(mine, theirs)
        start = other.get_signal_t_start(0, 0, i)
        assert abs(stream.start - start * float(stream.fs)) <= 1
        assert stream.lost_samples == 0
    events = session.events["Fi1r"]
    compared = 0
    for i, name in enumerate(other.header["event_channels"]["name"]):
        times, _, _ = other.get_event_timestamps(event_channel_index=i)
        mine = [k for k, s in enumerate(events.source) if s == f"epoc {str(name).replace('/', '_')}"]
        seconds = events.counter[mine] / float(session.streams["Fi1r"].fs)
        kept = times[(times * float(session.streams["Fi1r"].fs) < session.streams["Fi1r"].stop + 1)]
        assert len(mine) == len(kept)
        compared += len(mine)
        np.testing.assert_allclose(seconds, kept, atol=1e-3)
    assert compared > 10_000


@pytest.mark.filterwarnings("ignore:Could not identify sev")
@pytest.mark.parametrize("sev", [False, True])
def test_made_blocks_read_alike_in_neo(tmp_path, sev):
    from neo.rawio import TdtRawIO

    content = write_tdt(
        tmp_path / "tank" / "block",
        {"Wav1": TdtStore(sev=sev), "LFP1": TdtStore(power=0, dtype="<i2", channels=2, sev=sev)},
        snips=(("eNe1", 1, 5, 0.013), ("eNe1", 1, 5, 0.0145)),
    )
    other = TdtRawIO(str(tmp_path / "tank"))
    other.parse_header()
    session = open_session(content.folder)
    for i, name in enumerate(other.header["signal_streams"]["name"]):
        stream = session.streams[str(name)]
        theirs = other.get_analogsignal_chunk(stream_index=i)
        np.testing.assert_array_equal(stream.read(0, stream.stop).samples, theirs.astype(np.float32))
    spikes = session.spike_trains["eNe1"]
    waves = other.get_spike_raw_waveforms(spike_channel_index=0)
    np.testing.assert_array_equal(spikes.waveforms, waves.reshape(2, 1, -1))


def test_a_damaged_index_beside_sev_files_costs_the_gaps_and_not_the_samples(tmp_path):
    content = write_tdt(tmp_path / "b", {"Wav1": TdtStore(chunks=5, channels=2, sev=True)})
    (index,) = content.folder.glob("*.tsq")
    records = np.frombuffer(bytearray(index.read_bytes()), RECORD)
    of_first = np.flatnonzero((records["name"] == b"Wav1") & (records["channel"] == 1))
    records["size"][of_first[2]] = -1
    index.write_bytes(records.tobytes())
    with open_session(content.folder) as session:
        stream = session.streams["Wav1"]
        np.testing.assert_array_equal(stream.read(0, stream.stop).samples, content.samples["Wav1"])
        assert any("gaps between them are not known" in note for note in stream.notes)


def test_damage_raises_only_our_errors(tmp_path):
    fuzz(tmp_path, 30, False)
    fuzz(tmp_path / "sev", 30, True)


@pytest.mark.slow
@pytest.mark.parametrize("sev", [False, True])
def test_damage_raises_only_our_errors_long(tmp_path, sev):
    fuzz(tmp_path, 600, sev)


def fuzz(folder, examples, sev):
    content = write_tdt(
        folder / "b",
        {"Wav1": TdtStore(chunks=5, channels=2, sev=sev)},
        epocs=(("Trl", 0.001, 0.002, 1.0),),
        snips=(("eNe1", 1, 5, 0.001),),
    )
    files = {p.name: p.read_bytes() for p in content.folder.iterdir()}
    (folder / "fuzz").mkdir()
    fuzz_reader(files, lambda f: open_session(f, RadiensFileType.TDT), folder / "fuzz", examples=examples)
