"""NWB files of others: made with pynwb and h5py in the forms that are met, cut, damaged; the real files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ranvier import VidereClient
from ranvier.checks.fuzz import check_damaged
from ranvier.checks.readers import READER_RULES, ReaderCase, ReferenceStream
from ranvier.exceptions import CapabilityError, DatasetError, RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.models.ports import Port
from ranvier.recordings import Block, Header, open_session, plain_channels
from ranvier.recordings.formats import nwb
from ranvier.recordings.formats.nwb_sink import NwbSink

STARTED = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def make_file(**series):
    """A pynwb file with four electrodes on two shanks; ``series`` are extra arguments of its ElectricalSeries."""
    from pynwb import NWBFile
    from pynwb.ecephys import ElectricalSeries

    file = NWBFile(session_description="made", identifier="x", session_start_time=STARTED)
    device = file.create_device(name="probe")
    groups = [
        file.create_electrode_group(name=f"shank{i}", description="d", location="CA1", device=device) for i in (0, 1)
    ]
    file.add_electrode_column("channel_name", "name")
    file.add_electrode_column("ntv_chan_idx", "index")
    file.add_electrode_column("port", "port")
    file.add_electrode_column("quality", "of others")
    for i in range(4):
        file.add_electrode(
            location="CA1",
            group=groups[i // 2],
            rel_x=10.0 * i,
            rel_y=100.0 - i,
            imp=1e6 + i,
            channel_name=f"ch{i}",
            ntv_chan_idx=10 + i,
            port="B",
            quality=float(i),
        )
    if series:
        given_rows = series.pop("rows", [0, 1, 2, 3])
        region = file.create_electrode_table_region(given_rows, "used")
        arguments = {"name": "raw", "electrodes": region, **series}
        file.add_acquisition(ElectricalSeries(**arguments))
    return file


def save(file, path):
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path


def add_annotations(path, seconds):
    """An AnnotationSeries, which many files hold though pynwb no longer likes to write it."""
    with h5py.File(path, "r+") as file:
        notes = file.create_group("acquisition/notes")
        notes.attrs["neurodata_type"] = "AnnotationSeries"
        notes["timestamps"] = seconds
        notes.create_dataset("data", data=["a", "b"], dtype=h5py.string_dtype())


def counts(rows=500, columns=4, dtype=np.int16, seed=0):
    return np.random.default_rng(seed).integers(-3000, 3000, (rows, columns)).astype(dtype)


@pytest.mark.parametrize("rule", READER_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("kind", ["int16", "chunked", "float32", "float64", "int32", "channel_conversion", "gaps"])
def test_suite(rule, kind, tmp_path):
    path, reference = suite_file(tmp_path, kind)
    rule(ReaderCase(lambda: open_session(path), {"raw": reference}, (path,)))


def suite_file(folder, kind):
    from hdmf.backends.hdf5 import H5DataIO

    values = counts(1500)
    timing = {"rate": 20_000.0, "starting_time": 0.25}
    more = {"conversion": 0.195e-6, "offset": 2e-6}
    physical = values * 0.195 + 2.0
    data = values
    if kind == "chunked":
        data = H5DataIO(values, chunks=(128, 3), compression="gzip")
    elif kind == "float32":
        data, more, physical = values.astype(np.float32) * 1e-6, {}, (values.astype(np.float32) * 1e-6) * 1e6
    elif kind in ("float64", "int32"):
        data = values.astype(kind)
    elif kind == "channel_conversion":
        factors = np.array([1.0, 2.0, 0.5, 3.25])
        more |= {"channel_conversion": factors}
        physical = values * (0.195 * factors) + 2.0
    elif kind == "gaps":
        counters = 5000 + np.concatenate((np.arange(700), np.arange(750, 1550)))
        timing = {"timestamps": counters / 20_000}
        physical = np.insert(physical, 700, np.full((50, 4), np.nan), axis=0)
    path = save(make_file(data=data, **more, **timing), folder / "a.nwb")
    return path, ReferenceStream(physical, start=5000, fs=20_000.0, rtol=3e-7, atol=1e-6)


def test_channels_come_from_the_electrodes_table(tmp_path):
    path = save(make_file(data=counts(columns=3), rows=[3, 1, 0], rate=1000.0, conversion=1e-6), tmp_path / "a.nwb")
    with open_session(path) as session:
        stream = session.stream()
        table = stream.channels
        assert [c.name for c in table] == ["ch3", "ch1", "ch0"]
        assert [c.ntv for c in table] == [13, 11, 10]
        assert [(c.site.x_um, c.site.y_um) for c in table] == [(30, 97), (10, 99), (0, 100)]
        assert [c.shank for c in table] == [0, 1, 1]  # in the order in which groups occur
        assert [c.impedance_ohm for c in table] == [1e6 + 3, 1e6 + 1, 1e6]
        assert table[0].port == Port.B
        assert (table.geometry_source, table.wiring_verified) == ("file", True)
        assert session.extra["nwb"]["electrodes"]["quality"] == [0.0, 1.0, 2.0, 3.0]
        assert session.extra["nwb"]["electrodes"]["location"] == ["CA1"] * 4
        assert stream.walltime == STARTED


def test_several_series_are_streams(tmp_path):
    from pynwb.ecephys import LFP, ElectricalSeries

    file = make_file(data=counts(), rate=30_000.0)
    region = file.create_electrode_table_region([0, 1], "x")
    lfp = LFP()
    file.create_processing_module("ecephys", "d").add(lfp)
    lfp.add_electrical_series(
        ElectricalSeries(name="lfp", data=counts(columns=2), electrodes=region, rate=1250.0, conversion=1e-6)
    )
    path = save(file, tmp_path / "a.nwb")
    with open_session(path) as session:
        assert set(session.streams) == {"raw", "lfp"}
        assert session.stream("lfp").fs == 1250
        np.testing.assert_allclose(session.stream("lfp").read(0, 500).samples, counts(columns=2))
        with pytest.raises(DatasetError, match=r"a\.nwb#lfp"):
            session.stream()


def test_exact_rates(tmp_path):
    for i, (rate, fs) in enumerate(
        [
            (24414.0625, Fraction(390625, 16)),
            (10_000 / 3, Fraction(10_000, 3)),
            (np.float32(10_000 / 3), Fraction(10_000, 3)),
        ]
    ):
        path = save(make_file(data=counts(), rate=1.0), tmp_path / f"{i}.nwb")
        with h5py.File(path, "r+") as file:
            file["acquisition/raw/starting_time"].attrs["rate"] = rate
        with open_session(path) as session:
            assert session.stream().fs == fs


def test_a_start_between_samples_is_said(tmp_path):
    path = save(make_file(data=counts(), rate=1000.0, starting_time=0.1234), tmp_path / "a.nwb")
    with open_session(path) as session:
        assert session.stream().start == 123
        assert any("0.40 of a sample" in note for note in session.stream().notes)


def test_jitter_and_drift_of_timestamps_are_no_gaps(tmp_path):
    rng = np.random.default_rng(0)
    rows = 40_000
    times = 3.0 + np.arange(rows) / 29_999.9 + rng.uniform(-0.2, 0.2, rows) / 30_000
    times[25_000:] += 1.0
    path = save(make_file(data=counts(rows), timestamps=times), tmp_path / "a.nwb")
    with open_session(path) as session:
        stream = session.stream()
        assert stream.fs == 30_000
        assert len(stream.segments.gaps) == 1
        assert stream.segments.missing == 30_000
        assert stream.segments.runs()[0][1] == 25_000
        clock = session.clocks["raw"]
        assert np.all(np.diff(clock.seconds) > 0)
        assert any("found from its timestamps" in note for note in stream.notes)


@pytest.mark.parametrize("bad", ["backwards", "nan"])
def test_bad_timestamps_are_said(tmp_path, bad):
    times = np.arange(500) / 1000
    times[300] = 0.1 if bad == "backwards" else np.nan
    path = save(make_file(data=counts(), timestamps=times), tmp_path / "a.nwb")
    with open_session(path) as session:
        stream = session.stream()
        assert stream.segments.runs() == [(0, 500)]
        assert any("run backwards" in note for note in stream.notes)


def test_fewer_timestamps_than_samples(tmp_path):
    path = save(make_file(data=counts(), timestamps=np.arange(500) / 1000), tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        del file["acquisition/raw/timestamps"]
        file["acquisition/raw"].create_dataset("timestamps", data=np.arange(450) / 1000)
    with open_session(path) as session:
        assert (session.stream().segments.rows, session.stream().lost_samples) == (450, 50)
        assert any("no timestamp" in note for note in session.stream().notes)


def test_one_dimensional_data_and_no_electrodes(tmp_path):
    path = save(make_file(data=counts(columns=1)[:, 0], rows=[2], rate=1000.0, conversion=1e-6), tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        del file["acquisition/raw/electrodes"]
    with open_session(path) as session:
        stream = session.stream()
        assert [c.name for c in stream.channels] == ["pri_0"]
        assert stream.channels.geometry_source == "assumed"
        np.testing.assert_allclose(stream.read(0, 500).samples, counts(columns=1))


def test_events_of_the_standard(tmp_path):
    from hdmf.common import DynamicTable, VectorData
    from pynwb import TimeSeries
    from pynwb.misc import IntervalSeries

    file = make_file(data=counts(3000), rate=1000.0, starting_time=2.0)
    file.add_acquisition(IntervalSeries(name="laser", data=[1, -1, 2, -2], timestamps=[2.1, 2.2, 2.3, 2.4]))
    pulses = np.zeros(3000)
    pulses[100:200] = 5.0
    pulses[1000:1500] = 4.8
    file.add_acquisition(TimeSeries(name="TTL_in", data=pulses, unit="volts", rate=1000.0, starting_time=2.0))
    table = DynamicTable(
        name="behaviour",
        description="d",
        columns=[
            VectorData(name="timestamp", description="s", data=[2.75, 2.25]),
            VectorData(name="label", description="what", data=["reward", "cue"]),
        ],
    )
    file.add_acquisition(table)
    path = save(file, tmp_path / "a.nwb")
    add_annotations(path, [2.5, 3.0])
    with open_session(path) as session:
        assert "raw" in session.events
        events = session.events["raw"]
        rows = list(zip(events.counter, events.line, events.state, events.source, events.text, strict=True))
    wanted = [
        (2500, -1, -1, "notes", "a"),
        (3000, -1, -1, "notes", "b"),
        (2100, 0, 1, "laser", ""),
        (2200, 0, 0, "laser", ""),
        (2300, 1, 1, "laser", ""),
        (2400, 1, 0, "laser", ""),
        (2100, 0, 1, "TTL_in", ""),
        (2200, 0, 0, "TTL_in", ""),
        (3000, 0, 1, "TTL_in", ""),
        (3500, 0, 0, "TTL_in", ""),
        (2250, -1, -1, "behaviour", "cue"),
        (2750, -1, -1, "behaviour", "reward"),
    ]
    assert sorted(rows) == sorted(wanted)


def test_events_of_the_extension(tmp_path):
    """LabeledEvents and AnnotatedEventsTable of ndx-events 0.2, written as that extension stores them."""
    path = save(make_file(data=counts(3000), rate=1000.0), tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        labeled = file.create_group("acquisition/ttl_events")
        labeled.attrs["neurodata_type"] = "TTLs"
        labeled["timestamps"] = [0.5, 1.0, 1.5]
        labeled["data"] = np.array([1, 0, 1], np.uint8)
        labeled["data"].attrs["labels"] = np.array(["off", "on"], dtype=h5py.string_dtype())
        table = file.create_group("acquisition/annotated")
        table.attrs["neurodata_type"] = "AnnotatedEventsTable"
        table["event_times"] = [0.1, 0.3, 0.2]
        table["event_times_index"] = np.array([2, 3], np.uint8)
        table.create_dataset("label", data=["lick", "reward"], dtype=h5py.string_dtype())
    with open_session(path) as session:
        events = session.events["raw"]
        assert list(zip(events.counter.tolist(), events.text, strict=True)) == [
            (100, "lick"),
            (200, "reward"),
            (300, "lick"),
            (500, "on"),
            (1000, "off"),
            (1500, "on"),
        ]


def test_units_in_counters_of_the_stream(tmp_path):
    file = make_file(data=counts(3000), rate=1000.0, starting_time=1.0)
    file.add_unit_column("unit_name", "name")
    file.add_unit(spike_times=[1.5, 2.5], unit_name="good", id=0)
    file.add_unit(spike_times=[1.25, 1.75, 2.0], unit_name="mua", id=7)
    path = save(file, tmp_path / "a.nwb")
    with open_session(path) as session:
        trains = session.spike_trains["units"]
        assert trains.counter.tolist() == [1250, 1500, 1750, 2000, 2500]
        assert trains.unit.tolist() == [8, 1, 8, 8, 1]  # 0 means not clustered, so ids move by one
        assert trains.unit_names == {1: "good", 8: "mua"}


def test_a_folderless_name_and_no_suffix(tmp_path):
    path = save(make_file(data=counts(), rate=1000.0), tmp_path / "a.nwb")
    assert nwb.detect(tmp_path / "a") == path
    path.rename(tmp_path / "data.h5")
    assert nwb.detect(tmp_path / "data.h5") == tmp_path / "data.h5"
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    assert nwb.detect(tmp_path / "other.h5") is None
    (tmp_path / "text.nwb").write_text("no")
    assert nwb.detect(tmp_path / "text.nwb") is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g: g["data"].attrs.__setitem__("unit", "degrees"), "unit 'degrees'"),
        (lambda g: g["data"].attrs.__setitem__("conversion", 0.0), "conversion is zero"),
        (lambda g: g["data"].attrs.__setitem__("conversion", "much"), "not a number"),
        (lambda g: g["data"].attrs.__setitem__("offset", np.nan), "not a number"),
        (lambda g: g["starting_time"].attrs.__setitem__("rate", 0.0), "not a sampling rate"),
        (lambda g: g["starting_time"].attrs.__setitem__("rate", -5.0), "not a sampling rate"),
        (lambda g: g.__delitem__("starting_time"), "neither a rate nor timestamps"),
        (lambda g: g.__delitem__("data"), "no samples"),
        (lambda g: claim(g, 2**50), "far more than the file holds"),
    ],
)
def test_damaged_series_are_named(tmp_path, change, words):
    path = save(make_file(data=counts(), rate=1000.0), tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        change(file["acquisition/raw"])
    with pytest.raises(RecordingError, match=words) as caught:
        open_session(path)
    assert "a.nwb" in str(caught.value)


def claim(series, rows):
    """Samples whose shape claims far more than was ever written."""
    attributes = dict(series["data"].attrs)
    del series["data"]
    series.create_dataset("data", shape=(rows, 4), dtype="i2", chunks=(64, 4)).attrs.update(attributes)


def test_a_file_that_is_open_elsewhere_in_the_process(tmp_path):
    path = save(make_file(data=counts(), rate=1000.0), tmp_path / "a.nwb")
    with h5py.File(path, "r"), open_session(path) as session, h5py.File(path, "r"):
        assert session.stream().segments.rows == 500


def test_a_stale_own_record_gives_way_to_the_file(tmp_path):
    """Somebody cut the channels of our file with other tools: the standard's tables count then."""
    with NwbSink(tmp_path / "a", Header(Fraction(1000), plain_channels(amp=4))) as sink:
        sink.write(Block(counts().astype(np.float32), 0))
        path = sink.commit()
    with h5py.File(path, "r+") as file:
        series = file["acquisition/ElectricalSeries"]
        attributes, kept = dict(series["data"].attrs), series["data"][:, :3]
        del series["data"], series["electrodes"]
        series.create_dataset("data", data=kept).attrs.update(attributes)
    with open_session(path) as session:
        stream = session.stream()
        assert len(stream.channels) == 3
        np.testing.assert_array_equal(stream.read(0, 500).samples, kept)


@pytest.mark.parametrize("share", [0.98, 0.7, 0.4])
@pytest.mark.parametrize("by", ["ours", "pynwb"])
def test_a_cut_file_opens_with_what_is_there(tmp_path, share, by):
    rows = 60_000
    values = np.random.default_rng(0).integers(-3000, 3000, (rows, 8)).astype(np.float32)
    if by == "ours":
        with NwbSink(tmp_path / "a", Header(Fraction(1000), plain_channels(amp=8))) as sink:
            for a in range(0, rows, 10_000):
                sink.write(Block(values[a : a + 10_000], a))
            path = sink.commit()
    else:
        file = make_file(data=values, rate=1000.0, conversion=1e-6, rows=[0, 1, 2, 3] * 2)
        path = save(file, tmp_path / "a.nwb")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    if (by, share) not in MUST_OPEN:
        with pytest.raises(RecordingError, match="bytes are there"):
            open_session(path)
        return
    with open_session(path) as session:
        stream = session.stream()
        kept = stream.segments.rows
        assert stream.lost_samples == rows - kept
        assert kept > MUST_OPEN[by, share] * rows
        assert any("was cut" in note for note in stream.notes)
        np.testing.assert_array_equal(stream.read(0, kept).samples, values[:kept])


#: Cuts that leave something to read, and what share of the samples at least. pynwb writes the structure last, so that
#: files of others need their end.
MUST_OPEN = {("ours", 0.98): 0.9, ("ours", 0.7): 0.5, ("ours", 0.4): 0.2, ("pynwb", 0.98): 0.99}


def hdf5_values():
    numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(width=64), st.booleans())
    return st.one_of(
        numbers.map(np.asarray),
        st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=6),
        st.lists(st.floats(width=64), max_size=3).map(np.array),
        st.binary(min_size=1, max_size=5).map(lambda b: np.frombuffer(b, np.uint8)),
    )


PLACES = [
    "acquisition/raw/data",
    "acquisition/raw/starting_time",
    "acquisition/raw/electrodes",
    "acquisition/raw",
    "acquisition/notes/timestamps",
    "acquisition/notes/data",
    "acquisition/TTL",
    "acquisition/TTL/starting_time",
    "general/extracellular_ephys/electrodes/rel_x",
    "general/extracellular_ephys/electrodes/ntv_chan_idx",
    "general/extracellular_ephys/electrodes/group",
    "general/extracellular_ephys/electrodes/id",
    "units/spike_times",
    "units/spike_times_index",
    "units/id",
    "session_start_time",
    "scratch/ranvier",
]
ATTRIBUTES = ["rate", "unit", "conversion", "offset", "neurodata_type", "comments", "resolution"]


@pytest.mark.parametrize("stated", [True, False])
def test_units_that_nothing_states_are_assumed(tmp_path, stated):
    path = save(make_file(data=counts(60), rate=1000.0), tmp_path / "a.nwb")
    if not stated:
        with h5py.File(path, "r+") as file:
            data = next(series["data"] for series in file["acquisition"].values())
            for name in ("unit", "conversion"):
                data.attrs.pop(name, None)
    with open_session(path) as session:
        stream = session.stream()
        assert {c.unit_source for c in stream.channels} == {"file" if stated else "assumed"}
        assert any("neither unit nor conversion" in note for note in session.notes + stream.notes) is not stated


@pytest.fixture(scope="module")
def valid_file(tmp_path_factory):
    from pynwb import TimeSeries

    file = make_file(data=counts(60), rate=1000.0)
    file.add_acquisition(TimeSeries(name="TTL", data=np.arange(60) % 7, unit="volts", rate=1000.0))
    file.add_unit(spike_times=[0.01, 0.02])
    file.add_scratch("{}", name="ranvier", description="d")
    path = save(file, tmp_path_factory.mktemp("nwb") / "valid.nwb")
    add_annotations(path, [0.01, 0.02])
    check_damaged(lambda: open_session(path), most_seconds=60)  # kernels compile here, not within a time limit
    return path.read_bytes()


def check_damage(valid, path, data):
    path.write_bytes(valid)
    with h5py.File(path, "r+") as file:
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.sampled_from(PLACES))
            if place not in file:
                continue
            what = data.draw(st.sampled_from(["attribute", "replace", "delete"]))
            if what == "attribute":
                file[place].attrs[data.draw(st.sampled_from(ATTRIBUTES))] = data.draw(hdf5_values())
            else:
                del file[place]
                if what == "replace":
                    file[place] = data.draw(hdf5_values())
    check_damaged(lambda: open_session(path, RadiensFileType.NWB))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_contents_raise_only_our_errors(valid_file, tmp_path, data):
    check_damage(valid_file, tmp_path / "a.nwb", data)


@pytest.mark.slow
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_contents_raise_only_our_errors_long(valid_file, tmp_path, data):
    check_damage(valid_file, tmp_path / "a.nwb", data)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1), zeroed=st.booleans())
def test_cut_files_raise_only_our_errors(valid_file, tmp_path, share, zeroed):
    path = tmp_path / "a.nwb"
    keep = int(share * len(valid_file))
    path.write_bytes(valid_file[:keep] + (bytes(len(valid_file) - keep) if zeroed else b""))
    check_damaged(lambda: open_session(path))


@pytest.mark.samples
def test_the_real_units(samples: Path):
    manifest = json.loads((samples / "MANIFEST.json").read_text())
    expected = next(e["expected"] for e in manifest if e["file"] == "nwb/A8604-211122.nwb")
    path = samples / "nwb" / "A8604-211122.nwb"
    with open_session(path) as session:
        assert session.streams == {}
        with pytest.raises(DatasetError, match="no stream of signals"):
            session.stream()
        trains = session.spike_trains["units"]
        assert len(trains.units) == expected["n_units"]
        hz = session.extra["nwb"]["units_counter_hz"]["units"]
        first = trains.counter[trains.unit == 6]
        assert len(first) == expected["unit0_n_spikes"]
        assert (first[:3] / hz).tolist() == pytest.approx(expected["unit0_first"], abs=1e-6)
        assert len(session.extra["nwb"]["electrodes"]["location"]) == expected["n_electrodes"]
        with h5py.File(path) as file:
            np.testing.assert_allclose(np.sort(trains.counter / hz), np.sort(file["units/spike_times"][:]), atol=5e-7)


@pytest.mark.samples
def test_the_real_ttl_file(samples: Path):
    path = samples / "nwb" / "mock_ttl_examples.nwb"
    with open_session(path) as session:
        assert session.streams == {}
        assert any("no ElectricalSeries" in note and "DefaultTTLSignal" in note for note in session.notes)
        table = session.events[""]
        assert session.fs == 1_000_000  # the series have rates of their own
        mine = np.array([source == "DefaultTTLSignal" for source in table.source])
        with h5py.File(path) as file:
            up = file["acquisition/DefaultTTLSignal/data"][:] > 0.5 * file["acquisition/DefaultTTLSignal/data"][:].max()
            rate = file["acquisition/DefaultTTLSignal/starting_time"].attrs["rate"]
        edges = np.flatnonzero(np.diff(up.astype(int))) + 1
        np.testing.assert_array_equal(table.counter[mine], edges * 1_000_000 / rate)
        np.testing.assert_array_equal(table.state[mine], up[edges])
    with VidereClient() as videre:
        linked = videre.link_data_file(path)
        assert any("no signals; 18 events" in note for note in linked.notes)
        found = videre.get_events(linked)
        np.testing.assert_array_equal(found.timestamp, table.counter)
        assert len(found.filter(source="DefaultTTLSignal")) == len(edges)
        with pytest.raises(CapabilityError, match="holds events but not the signals"):
            videre.get_signals(linked)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files through /proc")
def test_files_are_closed(valid_file, tmp_path):
    """Also where opening fails after some part of the file was opened."""
    path = tmp_path / "a.nwb"
    path.write_bytes(valid_file)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with open_session(path) as session:
        session.stream().read(0, 5)
        len(session.events["raw"])
    with h5py.File(path, "r+") as file:
        file["acquisition/raw/data"].attrs["conversion"] = np.nan
    with pytest.raises(RecordingError, match="conversion"):
        open_session(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
