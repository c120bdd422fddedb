"""Recordings one after the other and apart again: every sample, event and spike, with exact bookkeeping."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier import CurateClient
from ranvier.exceptions import (
    ConfigurationError,
    DatasetError,
    OutputError,
    OutputExistsError,
    RecordingError,
    SignalSelectionError,
)
from ranvier.models import RadiensFileType
from ranvier.models.simulation import SimulationSpec
from ranvier.recordings import Block, Events, Header, format_for_type, open_session, plain_channels

FS = 20_000


@pytest.fixture
def curate():
    with CurateClient(progress=False) as client:
        yield client


def record(path: Path, n: int, seed: int, *, start=0, channels=None, fs=FS, walltime=None, kind="XDAT", gap=0):
    """Write a recording of noise with an event every 500 samples; its second half comes after a gap, where asked."""
    channels = channels or plain_channels(amp=4, ain=1, din=1)
    rng = np.random.default_rng(seed)
    samples = rng.integers(-3000, 3000, (n, len(channels))).astype(np.float32)
    samples[:, -1] = 0
    header = Header(fs=Fraction(fs), channels=channels, start=start, walltime=walltime)
    with format_for_type(RadiensFileType[kind]).sink(path, header) as sink:
        sink.write(Block(samples[: n // 2], start))
        sink.write(Block(samples[n // 2 :], start + n // 2 + gap))
        at = np.arange(start, start + n // 2, 500)
        sink.write_events(Events.ttl(at, np.zeros(len(at)), np.ones(len(at)), source=f"seed {seed}"))
        sink.commit()
    return path


def everything(curate, dataset):
    recording = curate._hub.datasets.linked(curate._id(dataset)).recording
    return recording.read(recording.start, recording.stop).samples.T


@pytest.fixture
def three(tmp_path: Path):
    return [record(tmp_path / f"day{k}", 3000 + 500 * k, k, start=k * 10_000) for k in range(3)]


@pytest.mark.parametrize("suffix", [".session.json", ".xdat", ".nwb"])
def test_concatenate_and_split_back(curate, three, tmp_path: Path, suffix: str) -> None:
    sources = [curate.link_data_file(p) for p in three]
    whole = curate.concatenate(sources, tmp_path / f"all{suffix}")
    assert whole.time_range.timestamp == (0, 3000 + 3500 + 4000)
    np.testing.assert_array_equal(
        everything(curate, whole), np.concatenate([everything(curate, s) for s in sources], axis=1)
    )
    pieces = curate.get_pieces(whole)
    assert [(p.source_start, p.source_stop, p.output_start, p.output_stop) for p in pieces] == [
        (0, 3000, 0, 3000), (10_000, 13_500, 3000, 6500), (20_000, 24_000, 6500, 10_500),
    ]  # fmt: skip
    assert [Path(p.path).name for p in pieces] == ["day0.xdat.json", "day1.xdat.json", "day2.xdat.json"]

    for k, back in enumerate(curate.split_events(whole)):
        assert back == curate.get_events(sources[k])
    split = curate.split_timestamps(whole, [0, 2999, 3000, 6500, 10_499])
    assert split.piece.tolist() == [0, 0, 1, 2, 2]
    assert split.timestamp.tolist() == [0, 2999, 10_000, 20_000, 23_999]
    for seconds in ([1.5, 2.0], [float("nan")], "abc"):
        with pytest.raises(ConfigurationError, match="whole numbers"):
            curate.split_timestamps(whole, seconds)

    parts = curate.split_recording(whole, tmp_path / "parts")
    assert [p.base_name for p in parts] == ["day0", "day1", "day2"]
    for part, source in zip(parts, sources, strict=True):
        assert part.time_range.timestamp == source.time_range.timestamp
        np.testing.assert_array_equal(everything(curate, part), everything(curate, source))
        assert curate.get_events(part) == curate.get_events(source)
        with pytest.raises(DatasetError, match="not concatenated"):
            curate.get_pieces(part)
    ops = curate.get_provenance(parts[1]).record.ops
    named = [op.acquire.source_name for op in ops if op.acquire is not None]
    assert [Path(n).name for n in named] == ["day0.xdat.json", "day1.xdat.json", "day2.xdat.json"]


def test_the_reference_copies_nothing_and_has_a_stable_id(curate, three, tmp_path: Path) -> None:
    whole = curate.concatenate(three, tmp_path / "all.session.json")
    assert (tmp_path / "all.session.json").stat().st_size < 20_000
    assert whole.file_type is RadiensFileType.SESSION
    assert curate.link_data_file(tmp_path / "all.session.json").id == whole.id
    with pytest.raises(OutputExistsError):
        curate.concatenate(three, tmp_path / "all.session.json")
    again = curate.concatenate(three[:2], tmp_path / "all.session.json", force=True)
    assert (again.id, again.time_range.n) == (whole.id, 6500)


def test_a_folder_that_moves_takes_its_reference_along(curate, three, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    paths = [record(tmp_path / "a" / f"r{k}", 1000, k) for k in range(2)]
    whole = curate.concatenate(paths, tmp_path / "a" / "all.session.json")
    signal = everything(curate, whole)
    curate.clear_data_sources("all")
    (tmp_path / "a").rename(tmp_path / "b")
    np.testing.assert_array_equal(everything(curate, str(tmp_path / "b" / "all.session.json")), signal)


def test_transforms_keep_the_table(curate, three, tmp_path: Path) -> None:
    whole = curate.concatenate(three, tmp_path / "all.session.json", gap_sec=0.05)
    assert [round(b - a, 6) for a, b in whole.gaps] == [0.05, 0.05]
    clean = curate.bandpass(whole, 300, 3000, tmp_path / "clean")
    assert curate.get_pieces(clean) == curate.get_pieces(whole)
    # filters restart at the gap, so each piece is what filtering it alone gives
    alone = curate.bandpass(three[1], 300, 3000, tmp_path / "alone")
    parts = curate.split_recording(clean, tmp_path / "parts")
    np.testing.assert_array_equal(everything(curate, parts[1]), everything(curate, alone))
    cut = curate.slice_time(clean, 0.2, 0.25, tmp_path / "cut")
    (part,) = curate.split_recording(cut, tmp_path / "one")
    assert part.time_range.timestamp == (10_000, 11_000)


def test_a_source_is_never_overwritten(curate, three, tmp_path: Path) -> None:
    before = {p.name: p.read_bytes() for p in tmp_path.glob("day*")}
    whole = curate.concatenate(three, tmp_path / "all.session.json")
    clean = curate.highpass(whole, 300, tmp_path / "clean")
    for attempt in (
        lambda: curate.split_recording(whole, tmp_path, force=True),
        lambda: curate.split_recording(clean, tmp_path, force=True),
        lambda: curate.concatenate(three, tmp_path / "day1.xdat", force=True),
        lambda: curate.highpass(whole, 300, tmp_path / "day2", force=True),
    ):
        with pytest.raises(OutputError, match="is the source itself"):
            attempt()
    assert {p.name: p.read_bytes() for p in tmp_path.glob("day*")} == before


def test_gaps_inside_a_source_stay_gaps(curate, tmp_path: Path) -> None:
    paths = [record(tmp_path / f"g{k}", 2000, k, start=100, gap=300) for k in range(2)]
    whole = curate.concatenate(paths, tmp_path / "all.session.json")
    with open_session(tmp_path / "all.session.json") as session:
        assert session.stream().segments.runs() == [(100, 1000), (1400, 2000), (3700, 1000)]
    parts = curate.split_recording(whole, tmp_path / "parts")
    assert parts[1].gaps == curate.link_data_file(paths[1]).gaps
    np.testing.assert_array_equal(everything(curate, parts[1]), everything(curate, paths[1]))


def test_gaps_by_wall_time(curate, tmp_path: Path) -> None:
    begin = datetime(2026, 5, 4, 12, tzinfo=UTC)
    late = begin + timedelta(seconds=1)
    a = record(tmp_path / "a", 2000, 0, start=7, walltime=begin)
    b = record(tmp_path / "b", 2000, 1, start=0, walltime=late)
    whole = curate.concatenate([a, b], tmp_path / "ab.session.json", by_walltime=True)
    assert [p.output_start for p in curate.get_pieces(whole)] == [7, 7 + FS]
    split = curate.split_timestamps(whole, [2007, 7 + FS])
    assert (split.piece.tolist(), split.timestamp.tolist()) == ([-1, 1], [2007, 0])
    with pytest.raises(ConfigurationError, match=r"1\.1 s before the end of the one before it"):
        curate.concatenate([b, a], tmp_path / "ba.session.json", by_walltime=True)
    with pytest.raises(ConfigurationError, match="two rules"):
        curate.concatenate([a, b], tmp_path / "x.session.json", by_walltime=True, gap_sec=1)


def test_all_mismatches_are_named_at_once(curate, tmp_path: Path) -> None:
    paths = [
        record(tmp_path / "first", 1000, 0),
        record(tmp_path / "slow", 1000, 1, fs=10_000),
        record(tmp_path / "wide", 1000, 2, channels=plain_channels(amp=5, ain=1, din=1)),
        record(tmp_path / "both", 1000, 3, channels=plain_channels(amp=6, din=1), fs=1000),
    ]
    with pytest.raises(ConfigurationError) as caught:
        curate.concatenate(paths, tmp_path / "all.session.json")
    lines = str(caught.value).splitlines()
    assert [("slow" in s, "wide" in s, "both" in s) for s in lines[1:]].count((True, False, False)) == 1
    assert sum("wide" in s for s in lines) == 2  # the count, and the first column that differs
    assert sum("both" in s for s in lines) == 3
    assert "10000 Hz, the first one has 20000 Hz" in str(caught.value)
    assert not (tmp_path / "all.session.json").exists()
    for bad, message in [({"match": "best"}, "same, name"), ({"gap_sec": -1.0}, "0 s or longer")]:
        with pytest.raises(ConfigurationError, match=message):
            curate.concatenate(paths[:1] * 2, tmp_path / "all.session.json", **bad)
    with pytest.raises(ConfigurationError, match="at least two"):
        curate.concatenate(paths[:1], tmp_path / "all.session.json")


def test_channels_by_name(curate, tmp_path: Path) -> None:
    first = record(tmp_path / "first", 1000, 0)
    other = plain_channels(amp=6, ain=1, din=1)
    order = [3, 1, 0, 2, 5, 4, 6, 7]
    mixed = record(tmp_path / "mixed", 1000, 1, channels=other.take(order))
    with pytest.raises(ConfigurationError):
        curate.concatenate([first, mixed], tmp_path / "no.session.json")
    whole = curate.concatenate([first, mixed], tmp_path / "all.session.json", match="name")
    linked = curate._hub.datasets.linked(whole.id)
    assert [c.name for c in linked.channels] == [c.name for c in plain_channels(amp=4, ain=1, din=1)]
    by_name = dict(zip([c.name for c in other.take(order)], everything(curate, mixed), strict=False))
    expected = np.stack([by_name[c.name] for c in plain_channels(amp=4, ain=1, din=1)])
    np.testing.assert_array_equal(everything(curate, whole)[:, 1000:], expected)
    assert "left out pri_4, pri_5" in str(linked.session.provenance["notes"])
    with pytest.raises(ConfigurationError, match="has no channel pri_5, pri_4"):
        curate.concatenate([mixed, first], tmp_path / "no.session.json", match="name")


def test_counts_pass_through(curate, tmp_path: Path) -> None:
    bins = [record(tmp_path / f"k{k}", 1500, k, kind="KILOSORT2", channels=plain_channels(amp=4)) for k in range(2)]
    paths = [p.with_name(p.name + ".bin") for p in bins]
    curate.concatenate(paths, tmp_path / "all.session.json")
    with open_session(tmp_path / "all.session.json") as session, open_session(paths[1]) as source:
        whole = session.stream()
        gains = [open_session(p).stream().channels.gains for p in paths]
        assert whole.stores_counts == np.array_equal(*gains)
        if whole.stores_counts:
            np.testing.assert_array_equal(
                whole.read_counts(1500, 3000).samples, source.stream().read_counts(0, 1500).samples
            )
        np.testing.assert_array_equal(whole.read(1500, 3000).samples, source.stream().read(0, 1500).samples)


def test_reads_over_seams_in_any_cut(curate, three, tmp_path: Path) -> None:
    curate.concatenate(three, tmp_path / "all.session.json", gap_sec=0.01)
    with open_session(tmp_path / "all.session.json") as session:
        whole = session.stream()
        full = whole.read(whole.start, whole.stop).samples
        rng = np.random.default_rng(0)
        for _ in range(200):
            a, b = np.sort(rng.choice(len(full) + 1, 2, replace=False))
            columns = rng.permutation(6)[: rng.integers(1, 7)]
            np.testing.assert_array_equal(whole.read(a, b, columns).samples, full[a:b, columns])
        with pytest.raises(SignalSelectionError):
            whole.read(0, 10, [6])


@pytest.mark.parametrize("what", ["gone", "changed", "cut"])
def test_a_source_that_changed_is_noticed(curate, three, tmp_path: Path, what: str) -> None:
    curate.concatenate(three, tmp_path / "all.session.json")
    curate.clear_data_sources("all")
    data = tmp_path / "day1_data.xdat"
    if what == "gone":
        for p in tmp_path.glob("day1*"):
            p.unlink()
    else:
        content = bytearray(data.read_bytes())
        content[4] ^= 1
        data.write_bytes(content if what == "changed" else content[:-24])
    message = {"gone": "piece 1 is gone", "changed": "content of day1_data.xdat changed", "cut": "bytes and has"}[what]
    with pytest.raises(RecordingError, match=message):
        curate.link_data_file(tmp_path / "all.session.json")


def test_damaged_references(curate, three, tmp_path: Path) -> None:
    path = tmp_path / "all.session.json"
    curate.concatenate(three, path)
    good = path.read_text()
    for change in (
        lambda d: d.update(version=2),
        lambda d: d["pieces"][0].update(columns=[0, 1, 99, 2, 3, 4]),
        lambda d: d["pieces"][0].update(source=[0, 5000]),
        lambda d: d["pieces"][1].update(output=[100, 3600]),
        lambda d: d["pieces"][2].pop("source"),
        lambda d: d.pop("channels"),
        lambda d: d.update(pieces=[]),
        lambda d: d.update(pieces=3),
    ):
        document = json.loads(good)
        change(document)
        path.write_text(json.dumps(document))
        with pytest.raises(RecordingError):
            open_session(path)
    path.write_text(good[:-50])
    with pytest.raises(RecordingError, match="no JSON"):
        open_session(path)


def test_spike_trains_keep_names_of_their_own(curate, tmp_path: Path) -> None:
    spec = SimulationSpec(duration_sec=1.0, seed=3)
    one = curate.simulate_recording(spec, tmp_path / "one_SIMULATED")
    two = curate.simulate_recording(spec.model_copy(update={"seed": 4}), tmp_path / "two_SIMULATED")
    whole = curate.concatenate([one, two], tmp_path / "both_SIMULATED.session.json")
    assert whole.simulated
    trains = curate._hub.datasets.linked(whole.id).session.spike_trains
    truth = curate._hub.datasets.linked(two.id).session.spike_trains["ground_truth"]
    assert sorted(trains) == ["ground_truth (piece 0)", "ground_truth (piece 1)"]
    moved = curate.split_timestamps(whole, trains["ground_truth (piece 1)"].counter)
    assert set(moved.piece.tolist()) == {1}
    np.testing.assert_array_equal(moved.timestamp, truth.counter)


def test_clocks_of_two_recordings(curate, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    channels = plain_channels(amp=1)
    true = np.cumsum(rng.uniform(0.05, 0.15, 300))
    made = []
    for name, fs, offset, ppm in [("rig", 20_000, 0.0, 0.0), ("video", 1000, 4.0, 50.0)]:
        at = np.rint((offset + true * (1 + ppm * 1e-6)) * fs).astype(np.int64)
        at = at[rng.random(len(at)) > 0.05]
        n = int(at[-1] + fs)
        header = Header(fs=Fraction(fs), channels=channels)
        with format_for_type(RadiensFileType.XDAT).sink(tmp_path / name, header) as sink:
            sink.write(Block(np.zeros((n, 1), np.float32), 0))
            sink.write_events(Events.ttl(at, np.full(len(at), 2), np.ones(len(at))))
            sink.commit()
        made.append(curate.link_data_file(tmp_path / name))
    found = curate.align_clocks(made[0], made[1], source_line=2, target_line=2)
    assert found.offset_sec == pytest.approx(4.0, abs=1e-3)
    moved = curate.map_events(made[0], found)
    assert abs(moved.sec[0] - (4.0 + curate.get_events(made[0]).sec[0] * (1 + 50e-6))) <= 1e-3
    assert curate.map_timestamps([0, 20_000], found).tolist() == [4000, 5000]
    same = curate.align_clocks(curate.get_events(made[0]), curate.get_events(made[1]), source_line=2, target_line=2)
    assert same == found
    with pytest.raises(ConfigurationError, match="the source has 0 pulses"):
        curate.align_clocks(made[0], made[1])
