"""Every transform through the client, against scipy and NumPy on the same samples."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.ndimage import correlate1d
from scipy.signal import butter, cheby1, ellip, iirnotch, sosfilt, sosfiltfilt, tf2sos

from ranvier import CurateClient, VidereClient
from ranvier.curation.executor import make_header, run
from ranvier.dsp.decimation import steps_for
from ranvier.exceptions import (
    CapabilityError,
    ConfigurationError,
    DatasetError,
    FilterDesignError,
    JobCancelledError,
    SignalSelectionError,
    TimeRangeError,
)
from ranvier.models import RadiensFileType
from ranvier.models.dataset import TransformNode, TransformNodeType
from ranvier.models.simulation import SimulationSpec
from ranvier.recordings import plain_channels
from ranvier.recordings.formats.xdat import FORMAT
from ranvier.recordings.memory import ArrayRecording

XdatSink = FORMAT.sink

FS = 30000.0
FULL_SCALE_UV = 6389.0


@pytest.fixture
def curate():
    with CurateClient() as client:
        yield client


@pytest.fixture
def dataset(curate: CurateClient, tmp_path: Path):
    return curate.simulate_recording(SimulationSpec(duration_sec=0.6), tmp_path / "rec_SIMULATED")


def butterworth(n: int, band, kind: str):
    return butter(n, band, kind, fs=FS, output="sos")


NOTCH = tf2sos(*iirnotch(50.0, 50.0 / 4.0, fs=FS))


@pytest.mark.parametrize(
    ("call", "sos"),
    [
        (lambda c, d, o, **k: c.highpass(d, 300, o, **k), butterworth(4, 300, "highpass")),
        (lambda c, d, o, **k: c.lowpass(d, 250, o, order=2, **k), butterworth(2, 250, "lowpass")),
        (lambda c, d, o, **k: c.bandpass(d, 300, 6000, o, order=3, **k), butterworth(3, [300, 6000], "bandpass")),
        (lambda c, d, o, **k: c.bandstop(d, 45, 55, o, order=1, **k), butterworth(1, [45, 55], "bandstop")),
        (lambda c, d, o, **k: c.notch(d, 50, 4, o, **k), NOTCH),
    ],
)
@pytest.mark.parametrize("zero_phase", [False, True])
def test_filters(curate, dataset, tmp_path: Path, call, sos, zero_phase: bool) -> None:
    raw = curate.get_signals(dataset).amp
    made = call(curate, dataset, tmp_path / "out" / "filtered", zero_phase=zero_phase)
    expected = (sosfiltfilt if zero_phase else sosfilt)(sos, raw, axis=1)
    np.testing.assert_allclose(curate.get_signals(made).amp, expected, atol=1e-6 * FULL_SCALE_UV)
    others = {"ain": "all", "din": "all", "dout": "all"}
    before, after = curate.get_signals(dataset, signals=others), curate.get_signals(made, signals=others)
    np.testing.assert_array_equal(after.gpio_ain, before.gpio_ain)
    np.testing.assert_array_equal(after.gpio_din, before.gpio_din)
    np.testing.assert_array_equal(after.gpio_dout, before.gpio_dout)
    step = next(op.filter for op in curate.get_provenance(made).record.ops if op.filter is not None)
    assert step.zero_phase is zero_phase
    assert len(step.b) == 3 * len(sos)


def test_references(curate, dataset, tmp_path: Path) -> None:
    raw = curate.get_signals(dataset).amp
    car = curate.get_signals(curate.car(dataset, tmp_path / "car")).amp
    np.testing.assert_allclose(car, raw - raw.mean(axis=0), atol=1e-3)
    virtual = curate.get_signals(curate.virtual_ref(dataset, 7, tmp_path / "virtual")).amp
    np.testing.assert_allclose(virtual, raw - raw[7], atol=1e-3)
    paired = curate.get_signals(curate.paired_ref(dataset, 2, 5, tmp_path / "paired")).amp
    expected = raw.copy()
    expected[5] -= raw[2]
    expected[2] = 0
    np.testing.assert_allclose(paired, expected, atol=1e-3)
    with pytest.raises(DatasetError, match="999"):
        curate.virtual_ref(dataset, 999, tmp_path / "never")


def test_slice_time_keeps_counters_events_and_truth(curate, dataset, tmp_path: Path) -> None:
    cut = curate.slice_time(dataset, 10.1, 10.25, tmp_path / "cut")
    assert cut.time_range.timestamp == (303000, 307500)
    np.testing.assert_array_equal(curate.get_signals(cut).amp, curate.get_signals(dataset, [10.1, 10.25]).amp)
    all_events = curate.get_events(dataset)
    inside = (all_events.timestamp >= 303000) & (all_events.timestamp < 307500)
    np.testing.assert_array_equal(curate.get_events(cut).timestamp, all_events.timestamp[inside])
    kinds = [op.kind.name for op in curate.get_provenance(cut).record.ops]
    assert "SLICE_TIME" in kinds
    with pytest.raises(TimeRangeError):
        curate.slice_time(dataset, 99, 100, tmp_path / "never")


def test_downsample(curate, dataset, tmp_path: Path) -> None:
    raw = curate.get_signals(dataset)
    slow = curate.downsample(dataset, 10, tmp_path / "slow")
    assert (slow.time_range.fs, slow.time_range.timestamp) == (3000.0, (30000, 31800))
    assert slow.time_range.sec == pytest.approx(dataset.time_range.sec, abs=1e-3)

    expected = raw.amp
    for step in steps_for(10):
        expected = correlate1d(expected, np.array(step.taps), axis=1, mode="mirror")[:, :: step.factor]
    np.testing.assert_allclose(curate.get_signals(slow).amp, expected, atol=1e-6 * FULL_SCALE_UV)
    others = {"ain": "all", "din": "all"}
    before, after = curate.get_signals(dataset, signals=others), curate.get_signals(slow, signals=others)
    np.testing.assert_array_equal(after.gpio_din, before.gpio_din[:, ::10])
    assert after.gpio_ain.shape == (before.gpio_ain.shape[0], 1800)
    decimated = next(op.decimate for op in curate.get_provenance(slow).record.ops if op.decimate is not None)
    assert (decimated.factor, decimated.output_fs) == (10, 3000.0)

    plain = curate.downsample(dataset, 10, tmp_path / "plain", operator="plain")
    np.testing.assert_array_equal(curate.get_signals(plain).amp, raw.amp[:, ::10])
    with pytest.raises(ConfigurationError, match="factor"):
        curate.downsample(dataset, 0, tmp_path / "never")


LATE_SLICES = {
    "causal": [TransformNode.bandpass(300, 6000), TransformNode.slice_time(10.1, 10.3)],
    "zero phase, twice": [
        TransformNode.highpass(300, zero_phase=True),
        TransformNode.slice_time(10.1, 10.4),
        TransformNode.notch(50, 5),
        TransformNode.slice_time(10.2, 10.3),
    ],
    "slower": [TransformNode.downsample(7), TransformNode.slice_time(10.1, 10.3), TransformNode.car()],
    "channels": [TransformNode.slice_channels([5, 3]), TransformNode.slice_time(10.1, 10.3)],
}


@pytest.mark.parametrize("nodes", LATE_SLICES.values(), ids=LATE_SLICES)
def test_several_transforms_are_the_single_ones_in_their_order(curate, dataset, tmp_path: Path, nodes) -> None:
    """Also where a slice of time stands behind a filter, which then does not start at the slice."""
    one = curate.apply_transforms(dataset, nodes, tmp_path / "one")
    step = dataset
    for i, node in enumerate(nodes):
        step = curate.apply_transforms(step, [node], tmp_path / f"step{i}")
    assert one.time_range == step.time_range
    np.testing.assert_array_equal(curate.get_signals(one).amp, curate.get_signals(step).amp)
    np.testing.assert_array_equal(curate.get_events(one).timestamp, curate.get_events(step).timestamp)
    assert curate.replay(one).identical
    first = curate.apply_transforms(dataset, nodes[::-1], tmp_path / "turned")
    if nodes[0].type == TransformNodeType.BANDPASS_FILTER:
        assert not np.array_equal(curate.get_signals(first).amp, curate.get_signals(one).amp)


@pytest.mark.parametrize("late", [False, True])
def test_several_transforms_take_what_an_output_can_be_asked_for(curate, dataset, tmp_path: Path, late: bool) -> None:
    nodes = [TransformNode.highpass(300), TransformNode.slice_time(10.1, 10.2)]
    made = curate.apply_transforms(
        dataset, nodes if late else nodes[::-1], tmp_path / "made.nwb", metadata={"experimenter": ["A. Person"]},
        compression="gzip",
    )  # fmt: skip
    with h5py.File(Path(made.path) / f"{made.base_name}.nwb") as f:
        assert [name.decode() for name in f["general/experimenter"][:]] == ["A. Person"]
        series = next(iter(f["acquisition"].values()))
        assert series["data"].compression == "gzip"
    assert curate.replay(made).identical


def test_a_late_slice_outside_the_data_is_refused(curate, dataset, tmp_path: Path) -> None:
    nodes = [TransformNode.highpass(300), TransformNode.slice_time(10.1, 10.2), TransformNode.slice_time(10.3, 10.4)]
    with pytest.raises(TimeRangeError, match=r"10\.1 to 10\.2 s"):
        curate.apply_transforms(dataset, nodes, tmp_path / "never")
    assert not list(tmp_path.glob("*never*"))


@pytest.mark.parametrize("suffix", [".xdat", ".nwb", ".bin"])
def test_every_format_takes_a_slower_recording(curate, dataset, tmp_path: Path, suffix: str) -> None:
    slow = curate.downsample(dataset, 30, tmp_path / f"slow{suffix}")
    assert slow.time_range.fs == 1000.0
    assert slow.time_range.timestamp == (10000, 10600)
    events, carried = curate.get_events(dataset), curate.get_events(slow)
    if suffix == ".xdat":  # edges of digital lines come from the columns again
        assert set(carried.timestamp - -(-events.timestamp // 30)) <= {0}


@pytest.mark.parametrize(
    ("family", "sos"),
    [
        ("chebyshev1", cheby1(3, 1.0, [300, 6000], "bandpass", fs=FS, output="sos")),
        ("elliptic", ellip(3, 1.0, 40, [300, 6000], "bandpass", fs=FS, output="sos")),
    ],
)
def test_families(curate, dataset, tmp_path: Path, family: str, sos: np.ndarray) -> None:
    made = curate.bandpass(dataset, 300, 6000, tmp_path / "made", order=3, family=family, ripple_db=1.0)
    expected = sosfilt(sos, curate.get_signals(dataset).amp, axis=1)
    np.testing.assert_allclose(curate.get_signals(made).amp, expected, atol=1e-6 * FULL_SCALE_UV)
    told = next(op.filter for op in curate.get_provenance(made).record.ops if op.filter is not None)
    assert (told.family.name.lower()[:4], told.ripple_db, told.filter_order) == (family[:4], 1.0, 3)
    with pytest.raises(FilterDesignError, match="ripple_db means nothing"):
        curate.highpass(dataset, 300, tmp_path / "never", ripple_db=1.0)


def test_response_is_told_before_filtering(curate, dataset) -> None:
    told = curate.get_filter_response(
        dataset, TransformNode.bandpass(300, 6000, 3, family="chebyshev_i", ripple_db=1.0)
    )
    assert (told.family, told.order, told.sections, told.fs_hz) == ("chebyshev_i", 3, 3, FS)
    np.testing.assert_allclose(told.edge_gain_db, -1.0, atol=1e-6)
    assert told.minus_3db_hz[0] < 300 < 6000 < told.minus_3db_hz[1]
    assert told.max_group_delay_sec > 0
    twice = curate.get_filter_response(dataset, TransformNode.highpass(300), zero_phase=True)
    assert (twice.zero_phase, twice.max_group_delay_sec) == (True, 0.0)
    assert twice.edge_gain_db[0] == pytest.approx(-6.02, abs=0.01)
    with pytest.raises(CapabilityError, match="no corners"):
        curate.get_filter_response(dataset, TransformNode.car())


def test_median_and_groups(curate, dataset, tmp_path: Path) -> None:
    raw = curate.get_signals(dataset).amp
    median = curate.car(dataset, tmp_path / "median", operator="median")
    np.testing.assert_allclose(curate.get_signals(median).amp, raw - np.median(raw, axis=0), atol=1e-3)
    by_port = curate.car(dataset, tmp_path / "ports", groups="port")
    np.testing.assert_allclose(curate.get_signals(by_port).amp, raw - raw.mean(axis=0), atol=1e-3)  # one port only


def test_slice_channels_keeps_system_indices(curate, dataset, tmp_path: Path) -> None:
    everything = {"amp": "all", "ain": "all", "din": "all"}
    raw = curate.get_signals(dataset, signals=everything)
    amps, ains = raw.amp.shape[0], raw.gpio_ain.shape[0]
    kept = curate.slice_channels(dataset, [5, 2, amps, amps + ains], tmp_path / "kept")
    got = curate.get_signals(kept, signals=everything)
    np.testing.assert_array_equal(got.amp, raw.amp[[2, 5]])
    np.testing.assert_array_equal(got.gpio_ain, raw.gpio_ain[[0]])
    np.testing.assert_array_equal(got.gpio_din, raw.gpio_din[[0]])
    assert kept.channel_metadata.site_positions != dataset.channel_metadata.site_positions
    select = next(op.select_channels for op in curate.get_provenance(kept).record.ops if op.select_channels)
    assert select.retained_sys_chan_idxs == [2, 5, amps, amps + ains]
    again = curate.slice_channels(kept, [5], tmp_path / "again")  # SYS survives slicing
    np.testing.assert_array_equal(curate.get_signals(again).amp, raw.amp[[5]])
    with pytest.raises(SignalSelectionError, match=r"\[2\]"):
        curate.slice_channels(again, [2], tmp_path / "never")


def test_slicing_first_changes_no_bit_of_a_filter(curate, dataset, tmp_path: Path) -> None:
    steps = [TransformNode.bandpass(300, 6000), TransformNode.downsample(2)]
    one = curate.apply_transforms(dataset, [*steps, TransformNode.slice_channels([3, 4])], tmp_path / "one")
    two = curate.apply_transforms(dataset, steps, tmp_path / "two")
    np.testing.assert_array_equal(curate.get_signals(one).amp, curate.get_signals(two).amp[[3, 4]])


def test_dsp_group_of_a_dataset_filters_its_port_or_input_only(curate, dataset) -> None:
    """And knows Chebyshev filters."""
    raw = curate.get_signals(dataset, signals={"amp": "all", "ain": "all"})
    cheby = {
        "type": "lowpass",
        "freq": 200.0,
        "is_aux": True,
        "aux_chan_idx": 0,
        "family": "chebyshev1",
        "ripple_db": 1,
    }
    curate.set_dsp_group(dataset, stage="stage2", params=[cheby])
    got = curate.get_signals(dataset, signals={"amp": "all", "ain": "all"}, apply_dsp=True)
    np.testing.assert_array_equal(got.amp, raw.amp)
    sos = cheby1(4, 1, 200, fs=FS, output="sos")
    np.testing.assert_allclose(got.gpio_ain[0], sosfilt(sos, raw.gpio_ain[0]), atol=1e-5)
    with pytest.raises(ConfigurationError, match="port H"):
        curate.set_dsp_group(dataset, stage="stage2", params=[{"type": "highpass", "freq": 300.0, "port": "H"}])


def test_blanking_around_events(curate, dataset, tmp_path: Path) -> None:
    raw = curate.get_signals(dataset).amp
    events = curate.get_events(dataset)
    line = int(events.line[events.state == 1][0])
    rising = events.timestamp[(events.state == 1) & (events.line == line)] - dataset.time_range.timestamp[0]
    made = curate.blank_artifacts(dataset, tmp_path / "made", line=line, before_ms=0.2, after_ms=0.5, channels=[0, 3])
    got = curate.get_signals(made).amp
    inside = np.zeros(raw.shape[1], bool)
    for at in rising:
        inside[at - 6 : at + 15] = True
        for c in (0, 3):
            line_of = np.interp(np.arange(at - 6, at + 15), [at - 7, at + 15], raw[c, [at - 7, at + 15]])
            np.testing.assert_allclose(got[c, at - 6 : at + 15], line_of, atol=1e-3)
    np.testing.assert_array_equal(got[:, ~inside], raw[:, ~inside])
    np.testing.assert_array_equal(np.delete(got, [0, 3], axis=0), np.delete(raw, [0, 3], axis=0))

    counters = [int(dataset.time_range.timestamp[0]) + 100]
    zeroed = curate.get_signals(curate.blank_artifacts(dataset, tmp_path / "zero", counters=counters, mode="zero")).amp
    assert not zeroed[:, 100:130].any()
    np.testing.assert_array_equal(zeroed[:, 130:], raw[:, 130:])
    slow = [TransformNode.downsample(10, operator="plain"), TransformNode.blank_artifacts(line=line, mode="zero")]
    later = curate.get_signals(curate.apply_transforms(dataset, slow, tmp_path / "slow")).amp
    assert not later[:, -(-rising[0] // 10)].any()
    with pytest.raises(ConfigurationError, match=r"no event with source 'laser'.*DIN line"):
        curate.blank_artifacts(dataset, tmp_path / "never", source="laser")


def test_skew_is_corrected_as_the_recording_tells(curate, dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sampled late"):
        curate.correct_skew(dataset, tmp_path / "never")
    table = plain_channels(amp=2)
    table = table.with_channels(replace(c, skew_samples=0.5 * c.ntv) for c in table)
    n = np.arange(6000)
    x = 100 * np.sin(2 * np.pi * 5000 / FS * (n[:, None] + np.array([0, 0.5])))
    recording = ArrayRecording(x.astype(np.float32), FS, table)
    with XdatSink(tmp_path / "late", make_header(recording, None)) as sink:
        run(recording, None, sink)
    late = curate.link_data_file(tmp_path / "late.xdat")
    got = curate.get_signals(curate.correct_skew(late, tmp_path / "made")).amp
    np.testing.assert_allclose(got[1, 100:-100], got[0, 100:-100], atol=0.01)
    assert np.abs(x[100:-100, 1] - x[100:-100, 0]).max() > 40
    with pytest.raises(ConfigurationError, match="sampled late"):
        curate.correct_skew(curate.link_data_file(tmp_path / "made.xdat"), tmp_path / "again")


@pytest.mark.parametrize(
    ("suffix", "file_type", "tolerance_uv"),
    [
        (".xdat", RadiensFileType.XDAT, 0.0),
        (".nwb", RadiensFileType.NWB, 1e-3),
        (".bin", RadiensFileType.KILOSORT2, 0.195 / 2 + 1e-3),
    ],
)
def test_conversion(curate, dataset, tmp_path: Path, suffix: str, file_type, tolerance_uv: float) -> None:
    made = curate.convert(dataset, tmp_path / f"converted{suffix}")
    assert made.file_type == file_type
    assert made.simulated
    assert made.time_range.timestamp == dataset.time_range.timestamp
    raw = curate.get_signals(dataset).amp
    np.testing.assert_allclose(curate.get_signals(made).amp, raw, atol=tolerance_uv, rtol=0)
    assert made.channel_metadata.site_positions == dataset.channel_metadata.site_positions


def test_several_steps_in_one_pass_equal_one_after_the_other(curate, dataset, tmp_path: Path) -> None:
    nodes = [TransformNode.bandpass(300, 6000), TransformNode.car()]
    together = curate.apply_transforms(dataset, nodes, tmp_path / "together")
    first = curate.bandpass(dataset, 300, 6000, tmp_path / "first")
    then = curate.car(first, tmp_path / "then")
    np.testing.assert_allclose(curate.get_signals(together).amp, curate.get_signals(then).amp, atol=1e-3)
    assert [op.kind.name for op in curate.get_provenance(then).record.ops].count("FILTER") == 2


def test_progress_is_told_and_can_cancel(dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    with VidereClient(progress=seen.append) as videre:
        videre.bandpass(dataset, 300, 6000, tmp_path / "told")
    assert seen[-1].fraction == 1.0
    assert seen[-1].samples_total == 18000
    assert [p.fraction for p in seen] == sorted(p.fraction for p in seen)

    class Enough(Exception):
        pass

    def stop(_progress: object) -> None:
        raise Enough

    write = XdatSink.write
    monkeypatch.setattr(XdatSink, "write", lambda self, block: (time.sleep(0.5), write(self, block)))  # a slow disk
    with VidereClient(progress=stop) as videre, pytest.raises((Enough, JobCancelledError)):
        videre.bandpass(dataset, 300, 6000, tmp_path / "stopped")
    assert not list(tmp_path.glob("*stopped*"))


def test_outputs_are_the_same_whatever_the_number_of_workers(curate, dataset, tmp_path: Path, monkeypatch) -> None:
    files = []
    for workers in (1, 2, 3):
        monkeypatch.setattr("ranvier.curation.executor.worker_count", lambda n=workers: n)
        curate.bandpass(dataset, 300, 6000, tmp_path / f"with_{workers}", zero_phase=True)
        files.append((tmp_path / f"with_{workers}_data.xdat").read_bytes())
    assert files[0] == files[1] == files[2]


@pytest.mark.parametrize("path", ["", ".", "..", "folder/", "a\0b", None, 5])
def test_a_path_that_names_no_output_writes_nothing(
    curate, dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: object
) -> None:
    inside = tmp_path / "inside"
    (inside / "folder").mkdir(parents=True)
    monkeypatch.chdir(inside)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigurationError, match=r"names no output|is no path"):
        curate.highpass(dataset, 300.0, path)
    with pytest.raises(ConfigurationError, match=r"names no output|is no path"):
        curate.concatenate([dataset, dataset], path)
    assert sorted(tmp_path.rglob("*")) == before


def test_arguments_that_are_no_times_transforms_or_lists(curate, dataset, tmp_path: Path) -> None:
    with pytest.raises(TimeRangeError, match="nan s is no time"):
        curate.slice_time(dataset, float("nan"), 4.0, tmp_path / "x")
    with pytest.raises(TimeRangeError, match="inf s is no time"):
        curate.slice_time(dataset, 0.0, float("inf"), tmp_path / "x")
    with pytest.raises(ConfigurationError, match="'bandpass' is no transform"):
        curate.apply_transforms(dataset, ["bandpass"], tmp_path / "x")
    with pytest.raises(ConfigurationError, match="at least two recordings, not 1"):
        curate.concatenate(str(Path(dataset.path) / dataset.base_name), tmp_path / "x")
    assert not list(tmp_path.glob("x*"))


@pytest.mark.parametrize("what", ["spikes missing", "spikes damaged", "events damaged"])
def test_a_damaged_table_leaves_signals_to_work_on(curate, dataset, tmp_path: Path, what: str) -> None:
    base = Path(dataset.path) / dataset.base_name
    spikes, metadata = Path(f"{base}_ranvier_spikes.npz"), Path(f"{base}.xdat.json")
    if what == "spikes missing":
        spikes.unlink()
    elif what == "spikes damaged":
        spikes.write_bytes(spikes.read_bytes()[:100])
    else:
        document = json.loads(metadata.read_text())
        document["ranvier"]["events"] = {"counter": "none"}
        metadata.write_text(json.dumps(document))
    again = curate.link_data_file(metadata, force=True)
    made = curate.convert(again, tmp_path / "made.nwb")
    assert made.time_range.n == dataset.time_range.n
    notes = curate._hub.datasets.linked(made.id).session.provenance["notes"]
    assert any(note.startswith("left out: ") and "signals can still be read" in note for note in notes)
