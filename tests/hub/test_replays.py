"""A file is made again from its own record, and compared."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

from ranvier import CurateClient
from ranvier.cli import main
from ranvier.exceptions import CapabilityError, DatasetError, OutputExistsError, RecordingError
from ranvier.models.dataset import (
    RadiensFileType,
    SinkParams,
    SourceParams,
    TransformEdge,
    TransformNode,
    TransformNodeType,
)
from ranvier.models.simulation import SimulationSpec
from ranvier.recordings import all_formats

NODES = {
    "highpass": TransformNode.highpass(300),
    "lowpass": TransformNode.lowpass(3000, 2),
    "bandpass": TransformNode.bandpass(300, 6000),
    "bandstop": TransformNode.bandstop(45, 55),
    "notch": TransformNode.notch(50, 5),
    "car": TransformNode.car(),
    "virtual_ref": TransformNode.virtual_ref(3),
    "paired_ref": TransformNode.paired_ref(3, 5),
    "downsample": TransformNode.downsample(10),
    "downsample_plain": TransformNode.downsample(7, operator="plain"),
    "slice_channels": TransformNode.slice_channels([3, 1, 7]),
    "slice_time": TransformNode.slice_time(10.1, 10.4),
}

FILTERS = ("bandpass", "bandstop", "highpass", "lowpass", "notch")
WRITABLE = sorted(f.sink.suffixes[0] for f in all_formats() if f.sink is not None)


@pytest.fixture
def curate():
    with CurateClient(progress=False) as client:
        yield client


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the simulations that tests copy."""
    folder = tmp_path_factory.mktemp("simulated")
    for name in ("source", "short"):
        (folder / name).mkdir()
    with CurateClient(address=f"embedded:{folder / 'home'}", progress=False) as curate:
        curate.simulate_recording(SimulationSpec(duration_sec=0.6, num_units=2), folder / "source" / "raw_SIMULATED")
        curate.simulate_recording(SimulationSpec(duration_sec=0.2, num_units=1), folder / "short" / "raw_SIMULATED")
    return folder


@pytest.fixture
def source(curate: CurateClient, tmp_path: Path, simulated: Path):
    shutil.copytree(simulated / "source", tmp_path, dirs_exist_ok=True)
    return curate.link_data_file(tmp_path / "raw_SIMULATED.xdat")


@pytest.fixture
def short(curate: CurateClient, tmp_path: Path, simulated: Path):
    shutil.copytree(simulated / "short", tmp_path, dirs_exist_ok=True)
    return curate.link_data_file(tmp_path / "raw_SIMULATED.xdat")


def check(report, samples: int | None = None) -> None:
    assert report.same, report.verdict
    assert report.identical
    assert report.environment == {}
    assert report.verdict == "identical to the last bit"
    assert report.samples > 0
    assert samples is None or report.samples == samples


@pytest.mark.parametrize(
    ("name", "zero_phase"),
    [*((name, False) for name in sorted(NODES)), *((name, True) for name in FILTERS), ("downsample", True)],
)
def test_every_transform_repeats(curate, source, tmp_path: Path, name: str, zero_phase: bool) -> None:
    out = curate.apply_transforms(source, [NODES[name]], tmp_path / "out_SIMULATED", zero_phase=zero_phase)
    check(curate.replay(out), out.time_range.n)


@pytest.mark.parametrize("suffix", WRITABLE)
def test_every_format_says_and_repeats(curate, source, tmp_path: Path, suffix: str) -> None:
    nodes = [NODES["slice_time"], NODES["car"], NODES["bandpass"]]
    out = curate.apply_transforms(source, nodes, tmp_path / f"out_SIMULATED{suffix}")
    provenance = curate.get_provenance(out)
    assert [op.kind.value for op in provenance.record.ops[-4:]] == ["slice_time", "filter", "filter", "write"]
    assert provenance.details["sources"][0]["fingerprint"]["files"]
    assert {"ranvier", "numpy", "scipy", "numba", "cpu"} <= set(provenance.details["made_by"])
    check(curate.replay(out))


@pytest.mark.parametrize("suffix", WRITABLE)
def test_a_simulation_is_made_again_from_its_seed(curate, tmp_path: Path, suffix: str) -> None:
    spec = SimulationSpec(duration_sec=0.1, num_units=2, seed=5)
    made = curate.simulate_recording(spec, tmp_path / f"raw_SIMULATED{suffix}")
    check(curate.replay(made), made.time_range.n)


def test_a_kept_repetition_is_a_recording(curate, source, tmp_path: Path) -> None:
    out = curate.car(source, tmp_path / "out_SIMULATED")
    report = curate.replay(out, output_path=tmp_path / "again_SIMULATED")
    check(report)
    again = curate.link_data_file(report.output)
    np.testing.assert_array_equal(curate.get_signals(again).amp, curate.get_signals(out).amp)
    check(curate.replay(again))
    with pytest.raises(OutputExistsError):
        curate.replay(out, output_path=tmp_path / "again_SIMULATED")
    with pytest.raises(CapabilityError, match="written as XDAT"):
        curate.replay(out, output_path=tmp_path / "again_SIMULATED.nwb")


def on_the_command_line(path: str, capsys) -> dict:
    """Return what ``ranvier provenance`` says of a file that ``ranvier replay`` repeats to the last bit."""
    assert main(["replay", path]) == 0, capsys.readouterr()
    assert "identical to the last bit" in capsys.readouterr().out
    assert main(["provenance", path, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


OPTIONS = {"metadata": {"subject": {"subject_id": "m12"}, "lab": "ours"}, "compression": "gzip"}


def packed(path: Path) -> bool:
    """Return whether the samples of an HDF5 file are compressed, and NWB names the animal."""
    with h5py.File(path) as file:
        if path.suffix == ".nwb":
            assert file["general/subject/subject_id"][()] == b"m12"
        found: list[str | None] = []
        file.visititems(
            lambda _, o: found.append(o.compression) if isinstance(o, h5py.Dataset) and o.ndim == 2 else None
        )
        return "gzip" in found


@pytest.mark.parametrize("suffix", WRITABLE)
def test_concatenated_and_split_in_every_format(curate, short, tmp_path: Path, suffix: str, capsys) -> None:
    two = curate.simulate_recording(SimulationSpec(duration_sec=0.1, num_units=2, seed=9), tmp_path / "two_SIMULATED")
    whole = curate.concatenate([short, two], tmp_path / f"all_SIMULATED{suffix}", gap_sec=0.1, **OPTIONS)
    check(curate.replay(whole), short.time_range.n + two.time_range.n)
    parts = curate.split_recording(whole, tmp_path / "parts", suffix=suffix, **OPTIONS)
    assert [p.time_range.n for p in parts] == [short.time_range.n, two.time_range.n]
    for path in (Path(made.path) / f"{made.base_name}{suffix}" for made in (whole, *parts)):
        said = on_the_command_line(str(path), capsys)
        kinds = [stage["kind"] for stage in said["details"]["stages"]]
        assert kinds == (["concatenate"] if path.parent == tmp_path else ["split"])
        assert said["details"]["options"]["compression"] == "gzip"
        if suffix in (".nwb", ".h5"):
            assert packed(path)


def test_concatenated_and_split_repeat(curate, source, tmp_path: Path) -> None:
    two = curate.simulate_recording(SimulationSpec(duration_sec=0.3, num_units=2, seed=9), tmp_path / "two_SIMULATED")
    written = curate.concatenate([source, two], tmp_path / "all_SIMULATED.nwb", gap_sec=0.1)
    check(curate.replay(written))
    reference = curate.concatenate([source, two], tmp_path / "all_SIMULATED.session.json")
    clean = curate.highpass(reference, 300, tmp_path / "clean_SIMULATED")
    check(curate.replay(clean))
    for part in curate.split_recording(clean, tmp_path / "parts"):
        check(curate.replay(part))
    with pytest.raises(CapabilityError, match="not made by steps"):
        curate.replay(reference)


def test_a_moved_source_is_found_where_it_is_said_to_be(curate, source, tmp_path: Path) -> None:
    out = curate.car(source, tmp_path / "out_SIMULATED")
    (tmp_path / "far").mkdir()
    curate.move_data_source_file(tmp_path / "raw_SIMULATED", tmp_path / "far" / "renamed_SIMULATED")
    old, new = tmp_path / "raw_SIMULATED.xdat.json", tmp_path / "far" / "renamed_SIMULATED.xdat.json"
    check(curate.replay(out, sources={str(old): str(new)}))
    curate.move_data_source_file(new, tmp_path / "far" / "raw_SIMULATED")
    check(curate.replay(out, sources={str(tmp_path): str(tmp_path / "far")}))


def test_a_simulated_source_that_is_gone_is_made_again(curate, source, tmp_path: Path) -> None:
    middle = curate.car(source, tmp_path / "middle_SIMULATED")
    out = curate.highpass(middle, 300, tmp_path / "out_SIMULATED")
    curate.remove_data_source_file(tmp_path / "raw_SIMULATED")
    curate.remove_data_source_file(tmp_path / "middle_SIMULATED")
    report = curate.replay(out)
    check(report)
    assert len([note for note in report.notes if "made again from its own record" in note]) == 2


def raw_source(curate, source, tmp_path: Path) -> Path:
    """Return a recording that says nothing about its making, like one of an instrument."""
    path = curate.convert(source, tmp_path / "plain_SIMULATED").base_path
    text = path.with_name(path.name + ".xdat.json")
    document = json.loads(text.read_text())
    document.pop("ranvier")
    text.write_text(json.dumps(document))
    return text


def test_what_cannot_be_repeated_says_why(curate, source, tmp_path: Path) -> None:
    plain = raw_source(curate, source, tmp_path)
    with pytest.raises(CapabilityError, match="says nothing about how it was made"):
        curate.replay(plain)
    out = curate.car(plain, tmp_path / "out_SIMULATED")
    check(curate.replay(out))

    data = tmp_path / "plain_SIMULATED_data.xdat"
    good = data.read_bytes()
    data.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    with pytest.raises(RecordingError, match=r"content of .* changed"):
        curate.replay(out)
    data.write_bytes(good[:-32])
    with pytest.raises(RecordingError, match="bytes and has"):
        curate.replay(out)
    data.write_bytes(good)
    curate.remove_data_source_file(plain)
    with pytest.raises(DatasetError, match=r"source gone: .*plain_SIMULATED.xdat.json.*--source OLD=NEW"):
        curate.replay(out)


def edited(tmp_path: Path, change) -> Path:
    """Return the output with another record."""
    text = tmp_path / "out_SIMULATED.xdat.json"
    document = json.loads(text.read_text())
    change(document["ranvier"])
    text.write_text(json.dumps(document))
    return text


def record_of(document: dict) -> dict:
    return document.get("provenance", document)


def test_an_unknown_stage_and_other_versions(curate, source, tmp_path: Path) -> None:
    curate.highpass(source, 300, tmp_path / "out_SIMULATED")
    path = edited(tmp_path, lambda d: record_of(d)["made_by"].update(numpy="1.0", cpu="another"))
    report = curate.replay(path)
    assert report.same
    assert report.identical
    assert set(report.environment) == {"cpu", "numpy"}
    assert "although made with cpu another -> " in report.verdict
    path = edited(tmp_path, lambda d: record_of(d)["stages"][0].update(kind="wavelet"))
    with pytest.raises(CapabilityError, match="stage 'wavelet' cannot be repeated"):
        curate.replay(path)


@pytest.mark.parametrize(
    ("change", "elsewhere", "same"), [(0.0, False, True), (1e-7, False, False), (1e-7, True, True), (1e-3, True, False)]
)
def test_a_difference_is_found_and_judged(curate, source, tmp_path: Path, change, elsewhere, same) -> None:
    out = curate.highpass(source, 300, tmp_path / "out_SIMULATED")
    data = np.memmap(tmp_path / "out_SIMULATED_data.xdat", np.float32, "r+")
    full = float(np.abs(curate.get_signals(out).amp).max())
    rows = data.reshape(out.time_range.n, -1)
    rows[5000, 3] += np.float32(change * full)
    data.flush()
    if elsewhere:
        edited(tmp_path, lambda d: record_of(d)["made_by"].update(cpu="another"))
    report = curate.replay(tmp_path / "out_SIMULATED.xdat.json")
    assert report.same is same
    assert report.identical is (change == 0.0)
    if change:
        assert report.largest_difference == pytest.approx(change, rel=0.3)
    assert ("NOT the same" in report.verdict) is not same


def test_command_line(curate, source, tmp_path: Path, capsys) -> None:
    curate.car(source, tmp_path / "out_SIMULATED")
    out = str(tmp_path / "out_SIMULATED.xdat.json")
    assert main(["replay", out]) == 0
    assert "identical to the last bit" in capsys.readouterr().out
    shutil.move(tmp_path, tmp_path.with_name("moved"))
    folder = tmp_path.with_name("moved")
    moved = str(folder / "out_SIMULATED.xdat.json")
    assert main(["replay", moved, "--source", f"{tmp_path}={folder}", "--out", str(folder / "again_SIMULATED")]) == 0
    assert "the repetition is" in capsys.readouterr().out
    assert main(["replay", moved, "--source", "nonsense"]) == 1
    assert "OLD=NEW" in capsys.readouterr().err
    data = np.memmap(folder / "out_SIMULATED_data.xdat", np.float32, "r+")
    data[100] += 50
    data.flush()
    assert main(["replay", moved, "--source", f"{tmp_path}={folder}", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["same"] is False


def test_a_protocol_into_every_format_repeats(curate, short, tmp_path: Path, capsys) -> None:
    """One pass, a shared filter, a branch at a lower rate; every format behind both, and behind none."""
    raw, high = TransformNode.source(short), TransformNode.highpass(300)
    car, down = TransformNode.car(), TransformNode.downsample(10)
    nodes, pairs = [raw, high, car, down], [(raw, high), (high, car), (raw, down)]
    expected = {"copy": [], "clean": ["filter", "filter"], "slow": ["decimate"]}
    kinds = {f.file_type: f.sink.suffixes[0] for f in all_formats() if f.sink is not None}
    for name, behind in (("copy", raw), ("clean", car), ("slow", down)):
        for kind in kinds:
            sink = TransformNode.sink(f"{name}_SIMULATED", str(tmp_path / "out"), kind, compression="lzf")
            nodes.append(sink)
            pairs.append((behind, sink))
    spec = curate.set_protocol(nodes, [TransformEdge(source=a.id, target=b.id) for a, b in pairs])
    curate.apply_protocol(spec.id)
    for name, wanted in expected.items():
        for suffix in kinds.values():
            path = tmp_path / "out" / f"{name}_SIMULATED{suffix}"
            check(curate.replay(path))
            ops = [op.kind.value for op in curate.get_provenance(path).record.ops]
            assert ops[-len(wanted) - 1 :] == [*wanted, "write"], (path, ops)
    for suffix in kinds.values():
        said = on_the_command_line(str(tmp_path / "out" / f"clean_SIMULATED{suffix}"), capsys)
        assert [stage["kind"] for stage in said["details"]["stages"]] == ["highpass", "car"]


def test_outputs_of_a_protocol_repeat(curate, source, tmp_path: Path) -> None:
    """Branches, and cuts before, between and behind filters."""
    raw = TransformNode(
        id="raw",
        type=TransformNodeType.SOURCE,
        params=SourceParams(
            dataset_id=source.id, base_name=source.base_name, path=source.path, file_type=source.file_type
        ),
    )
    high, cut, notch = TransformNode.highpass(300), TransformNode.slice_time(10.15, 10.4), TransformNode.notch(50, 5)
    later, car = TransformNode.slice_time(10.2, 10.3), TransformNode.car()
    zero = TransformNode.lowpass(2000, zero_phase=True)
    sinks = [
        TransformNode(
            id=f"sink{k}",
            type=TransformNodeType.SINK,
            params=SinkParams(base_name=f"out{k}_SIMULATED", path=str(tmp_path), file_type=RadiensFileType.XDAT),
        )
        for k in range(4)
    ]
    own, down, end = (
        TransformNode.slice_time(10.2, 10.3),
        TransformNode.downsample(5),
        TransformNode.slice_time(10.1, 10.5),
    )
    ways = [
        (raw, high, cut, notch, later, sinks[0]),
        (cut, car, sinks[1]),
        (raw, zero, own, sinks[2]),
        (high, down, end, sinks[3]),
    ]
    nodes = [raw, high, cut, notch, later, car, zero, own, down, end, *sinks]
    pairs = sorted({(a.id, b.id) for way in ways for a, b in pairwise(way)})
    spec = curate.set_protocol(nodes, [TransformEdge(source=a, target=b) for a, b in pairs])
    curate.apply_protocol(spec.id)
    for k in range(4):
        check(curate.replay(tmp_path / f"out{k}_SIMULATED.xdat.json"))

    job = next(job for job in curate.jobs() if job.kind == "protocol")
    assert job.repeatable
    request = curate._hub.store.jobs.get(job.id).request
    expected = curate.get_signals(tmp_path / "out0_SIMULATED.xdat.json").amp
    curate.remove_data_source_file(tmp_path / "out0_SIMULATED")
    made = curate._hub.replays.repeat(request)
    assert [path.name for path in made] == ["out0_SIMULATED.xdat.json"]
    np.testing.assert_array_equal(curate.get_signals(made[0]).amp, expected)
