"""Our own HDF5 layout and MEArec's: suites, plain h5py as the independent reader, damage."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest

from ranvier import CurateClient
from ranvier.checks.files_mearec import write_mearec
from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.readers import ReferenceStream, check_reader
from ranvier.checks.sinks import SINK_RULES, SinkCase
from ranvier.exceptions import ConfigurationError, OutputError, RecordingError
from ranvier.models import OutputOptions, RadiensFileType
from ranvier.recordings import Block, Events, SpikeTrains, detect, open_session, plain_channels
from ranvier.recordings.formats.hdf5 import FORMAT, Hdf5Sink
from ranvier.recordings.formats.hdf5_output import Hdf5Output
from ranvier.recordings.formats.hdf5_rows import GrowingRows


@pytest.mark.parametrize("rule", SINK_RULES, ids=lambda rule: rule.__name__)
def test_sink(rule, tmp_path: Path) -> None:
    rule(SinkCase(Hdf5Sink, tmp_path))


def test_the_layout_is_what_the_docs_say(tmp_path: Path) -> None:
    """Read with h5py alone."""
    case = SinkCase(Hdf5Sink, tmp_path, fs=Fraction(390625, 16))
    samples = case.samples(500)
    with case.open("a") as sink:
        sink.write(Block(samples[:200], 1000))
        sink.write(Block(samples[200:], 1300))
        sink.write_events(Events.ttl([1010, 1310], [0, 3], [1, 0]))
        sink.write_spike_trains("ks", SpikeTrains(np.array([1005]), np.array([2], np.int32), np.array([1], np.int32)))
        path = sink.commit()
    with h5py.File(path) as file:
        assert (file.attrs["format"], file.attrs["version"]) == (b"ranvier recording", 1)
        assert file.attrs["fs_hz"] == 24414.0625
        assert file.attrs["fs_fraction"].tolist() == [390625, 16]
        assert file.attrs["start"] == 1000
        assert np.array_equal(file["samples"][:], samples)
        assert file["runs"][:].tolist() == [[1000, 200], [1300, 300]]
        assert file["channels/name"].asstr()[:].tolist() == [c.name for c in case.channels]
        assert file["channels/y_um"][:5].tolist() == [0, 0, 50, 50, 100]
        assert np.isnan(file["channels/y_um"][5])
        assert file["events/counter"][:].tolist() == [1010, 1310]
        assert file["spike_trains/0/unit"][:].tolist() == [2]
        assert json.loads(file["provenance"][()])["notes"] == ["made by ranvier.checks"]


def test_counts_stay_counts(tmp_path: Path) -> None:
    gains, offsets = np.array([0.195, 0.25, 1.0]), np.array([0.0, -3.0, 0.0])
    counts = np.random.default_rng(0).integers(-32768, 32768, (700, 3)).astype(np.int16)
    case = SinkCase(Hdf5Sink, tmp_path, channels=plain_channels(amp=2, din=1))
    with case.open("a") as sink:
        sink.write(Block(counts, 5, gains, offsets))
        with pytest.raises(OutputError, match="mid-stream"):
            sink.write(Block(np.zeros((3, 3), np.float32), 705))
    with case.open("b") as sink:
        sink.write(Block(counts, 5, gains, offsets))
        path = sink.commit()
    with open_session(path) as session:
        recording = session.stream()
        assert recording.stores_counts
        assert np.array_equal(recording.read_counts(5, 705).samples, counts)
        assert [c.gain for c in recording.channels] == gains.tolist()
    with h5py.File(path) as file:
        physical = file["samples"][:] * file["channels/gain"][:] + file["channels/offset"][:]
    with open_session(path) as session:
        assert np.array_equal(session.stream().read(5, 705).samples, physical.astype(np.float32))


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
@pytest.mark.parametrize("columns", [3, 130])
def test_compression_loses_nothing_and_is_standard(tmp_path: Path, compression: str, columns: int) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(-300, 300, (20_000, columns)).astype(np.int16)
    channels = plain_channels(amp=columns)
    case = SinkCase(Hdf5Sink, tmp_path, channels=channels)
    made = {}
    for how in ("", compression):
        with case.open(f"c{how}", options=OutputOptions(compression=how)) as sink:
            for at in range(0, 20_000, 777):
                part = values[at : at + 777]
                sink.write(Block(part, at, np.full(columns, 0.195), np.zeros(columns)))
            made[how] = sink.commit()
    with h5py.File(made[compression]) as file:
        assert file["samples"].compression == compression
        assert file["samples"].shuffle
        assert file["samples"].shape == values.shape
        assert np.array_equal(file["samples"][:], values)
    assert made[compression].stat().st_size < 0.8 * made[""].stat().st_size
    check_reader(lambda: open_session(made[compression]))


def test_gzip_chunks_equal_those_of_hdf5_itself(tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(-50, 50, (3000, 5)).astype(np.int16)
    with Hdf5Output(tmp_path / "a.h5", "w") as output:
        file = output.file
        rows = GrowingRows(output, file, "ours", 5, np.int16, compression="gzip")
        for at in range(0, 3000, 7):
            rows.append(values[at : at + 7])
        rows.finish()
        theirs = file.create_dataset(
            "theirs",
            data=values,
            maxshape=(None, 5),
            chunks=file["ours"].chunks,
            compression="gzip",
            compression_opts=4,
            shuffle=True,
        )
        file.flush()
        for i in range(theirs.id.get_num_chunks()):
            where = theirs.id.get_chunk_info(i).chunk_offset
            assert file["ours"].id.read_direct_chunk(where) == theirs.id.read_direct_chunk(where)
        assert np.array_equal(file["ours"][:], values)
        with pytest.raises(ConfigurationError, match="zstd"):
            GrowingRows(output, file, "other", 5, np.int16, compression="zstd")


@pytest.mark.parametrize("columns", [1, 5, 130])
def test_plain_chunks_lie_where_hdf5_finds_them(tmp_path: Path, columns: int) -> None:
    """Two datasets that grow in turn, with tables of HDF5's own between them."""
    rng = np.random.default_rng(3)
    values = [rng.integers(-50, 50, (100_000, columns)).astype(dtype) for dtype in (np.int16, np.float32)]
    with Hdf5Output(tmp_path / "a.h5", "w") as output:
        both = [GrowingRows(output, output.file, v.dtype.name, columns, v.dtype) for v in values]
        for at in range(0, 100_000, 7000):
            for rows, v in zip(both, values, strict=True):
                rows.append(v[at : at + 7000])
            output.file[f"table {at}"] = np.arange(at // 10)
        for rows in both:
            rows.finish()
    with h5py.File(tmp_path / "a.h5") as file:
        for v in values:
            assert file[v.dtype.name].compression is None
            np.testing.assert_array_equal(file[v.dtype.name][:], v)
        np.testing.assert_array_equal(file["table 98000"][:], np.arange(9800))


def test_a_cut_file_opens_with_what_is_there(tmp_path: Path) -> None:
    case = SinkCase(Hdf5Sink, tmp_path, channels=plain_channels(amp=16), rows=300_000)
    samples = case.samples()
    path = case.write("a", samples)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with open_session(path) as session:
        recording = session.stream()
        n = recording.segments.rows
        assert 50_000 < n < 200_000
        assert recording.lost_samples == 300_000 - n
        assert any("are lost" in note for note in recording.notes)
        got = recording.read(recording.start, recording.stop).samples
        assert np.array_equal(got, samples[:n])


def test_damage_is_told(tmp_path: Path) -> None:
    case = SinkCase(Hdf5Sink, tmp_path)
    path = case.write("a", case.samples(100))
    with h5py.File(path, "r+") as file:
        del file["runs"]
    with open_session(path) as session:
        assert any("gaps cannot be told" in note for note in session.stream().notes)
        assert session.stream().start == case.start
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 99
    with pytest.raises(RecordingError, match="newer than this program"):
        open_session(path)
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 1
        del file["channels/type"]
    with pytest.raises(RecordingError, match=r"a\.h5: its channel table is damaged"):
        open_session(path)


def test_link_convert_copy_move_remove(tmp_path: Path) -> None:
    case = SinkCase(Hdf5Sink, tmp_path)
    samples = case.samples()
    path = case.write("a", samples)
    assert FORMAT.base_name(path) == "a"
    with CurateClient() as curate:
        linked = curate.link_data_file(tmp_path / "a")
        assert linked.file_type == RadiensFileType.HDF5
        written = curate.convert(linked, tmp_path / "b.xdat")
        back = curate.convert(written, tmp_path / "c.hdf5")
        assert (back.base_name, back.file_type) == ("c", RadiensFileType.HDF5)
        curate.copy_data_source_file(path, tmp_path / "sub" / "d")
        curate.move_data_source_file(tmp_path / "sub" / "d.h5", tmp_path / "e.h5")
        for name in ("c", "e"):
            with open_session(tmp_path / f"{name}.h5") as session:
                recording = session.stream()
                assert np.array_equal(recording.read(recording.start, recording.stop).samples, samples)
        curate.remove_data_source_file(tmp_path / "e.h5")
        assert not (tmp_path / "e.h5").exists()


def test_damaged_files(tmp_path: Path) -> None:
    _fuzz(tmp_path, 40)


@pytest.mark.slow
def test_many_damaged_files(tmp_path: Path) -> None:
    _fuzz(tmp_path, 200)


def _fuzz(folder: Path, examples: int) -> None:
    case = SinkCase(Hdf5Sink, folder / "source")
    with case.open("x", options=OutputOptions(compression="gzip")) as sink:
        sink.write(Block(case.samples(3000), case.start))
        sink.write_events(Events.ttl([case.start + 5], [0], [1]))
        path = sink.commit()
    content = {"x.h5": path.read_bytes()}
    fuzz_reader(content, lambda where: open_session(where / "x.h5"), folder, examples=examples)


class TestMearec:
    """Only files that we wrote ourselves after MEArec's own code; see the slow test for MEArec and neo."""

    @pytest.mark.parametrize("version", ["1.9.0", "1.4.0"])
    @pytest.mark.parametrize("gain", [None, 0.195])
    def test_reads_samples_sites_and_spikes(self, tmp_path: Path, version: str, gain: float | None) -> None:
        made = write_mearec(tmp_path / "m.mearec.h5", version=version, gain_to_uv=gain)
        reference = ReferenceStream(made.samples_uv, fs=made.fs_hz)
        check_reader(lambda: open_session(made.path), reference={"": reference}, files=[made.path])
        with open_session(made.path) as session:
            assert (session.format, session.file_type) == ("MEArec", RadiensFileType.MEAREC_HDF5)
            recording = session.stream()
            assert recording.simulated
            sites = [(c.site.x_um, c.site.y_um) for c in recording.channels if c.site is not None]
            assert sites == [(p[1], p[2]) for p in made.positions_um.tolist()]
            trains = session.spike_trains["ground truth"]
            for i, times in enumerate(made.spike_times_sec):
                assert np.array_equal(trains.counter[trains.unit == i + 1], np.rint(times * made.fs_hz))
            assert trains.unit_names == {1: "0 I", 2: "1 E", 3: "2 I"}

    @pytest.mark.interop
    @pytest.mark.slow
    @pytest.mark.parametrize("gain", [None, 0.195])
    def test_files_of_mearec_itself_as_neo_reads_them(self, tmp_path: Path, gain: float | None) -> None:
        """Needs MEArec (make peers); its own function writes the file."""
        mearec, neo = pytest.importorskip("MEArec"), pytest.importorskip("neo")
        quantities = pytest.importorskip("quantities")
        rng = np.random.default_rng(0)
        samples = rng.integers(-300, 300, (5000, 8)).astype(np.float32 if gain is None else np.int16)
        positions = np.stack([np.zeros(8), np.arange(8) % 2 * 20.0, np.arange(8) // 2 * 25.0], axis=1)
        end = 5000 / 32_000 * quantities.s
        trains = [neo.SpikeTrain(np.sort(rng.uniform(0, 0.15, 10)) * quantities.s, t_stop=end) for _ in range(3)]
        for train in trains:
            train.annotate(cell_type="E")
        content = {
            "recordings": samples,
            "channel_positions": positions,
            "spiketrains": trains,
            "voltage_peaks": np.zeros((3, 8)),
            "templates": np.zeros((3, 8, 64)),
            "timestamps": np.arange(5000) / 32_000,
            "spike_traces": np.zeros((5000, 3), np.float32),
        }
        about = {"fs": 32_000.0, "duration": 5000 / 32_000, "dtype": str(samples.dtype)}
        info = {"recordings": about, "electrodes": {"electrode_name": "Neuronexus-32", "plane": "yz"}}
        made = mearec.RecordingGenerator(rec_dict=content, info=info)
        made.gain_to_uV = gain
        path = tmp_path / "m.h5"
        mearec.save_recording_generator(made, path)
        theirs = neo.rawio.MEArecRawIO(str(path))
        theirs.parse_header()
        stored = np.asarray(theirs.get_analogsignal_chunk(0, 0, 0, None, stream_index=0))
        reference = ReferenceStream(stored * (gain or 1.0), fs=32_000.0)
        check_reader(lambda: open_session(path), reference={"": reference})
        with open_session(path) as session:
            spikes = session.spike_trains["ground truth"]
            for i in range(3):
                times = theirs.get_spike_timestamps(0, 0, i, None, None)
                assert np.array_equal(spikes.counter[spikes.unit == i + 1], np.rint(times * 32_000))

    def test_detection_and_names(self, tmp_path: Path) -> None:
        made = write_mearec(tmp_path / "m.mearec.hdf5")
        assert detect(tmp_path / "m")[1] == made.path
        assert detect(made.path)[0].base_name(made.path) == "m"
        with CurateClient() as curate:
            assert curate.link_data_file(made.path).simulated
            assert curate.convert(made.path, tmp_path / "out.h5").simulated
            curate.copy_data_source_file(made.path, tmp_path / "copy.mearec.hdf5")
            curate.move_data_source_file(tmp_path / "copy.mearec.hdf5", tmp_path / "moved")
            with open_session(tmp_path / "moved.mearec.hdf5") as session:
                assert session.format == "MEArec"
            curate.remove_data_source_file(tmp_path / "moved")
            assert not list(tmp_path.glob("moved*"))

    def test_what_is_missing_is_told(self, tmp_path: Path) -> None:
        made = write_mearec(tmp_path / "m.h5")
        with h5py.File(made.path, "r+") as file:
            del file["channel_positions"]
        with open_session(made.path) as session:
            assert any("channel_positions" in note for note in session.stream().notes)
        with h5py.File(made.path, "r+") as file:
            del file["info/recordings/fs"]
        with pytest.raises(RecordingError, match=r"m\.h5"):
            open_session(made.path)

    def test_damaged_files(self, tmp_path: Path) -> None:
        self._fuzz(tmp_path, 30)

    @pytest.mark.slow
    def test_many_damaged_files(self, tmp_path: Path) -> None:
        self._fuzz(tmp_path, 200)

    def _fuzz(self, folder: Path, examples: int) -> None:
        (folder / "source").mkdir()
        made = write_mearec(folder / "source" / "m.h5", samples=500)
        content = {"m.h5": made.path.read_bytes()}
        fuzz_reader(content, lambda where: open_session(where / "m.h5"), folder, examples=examples)
