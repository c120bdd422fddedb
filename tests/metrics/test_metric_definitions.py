"""Each metric against a transcription in NumPy; ranges; the store."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier.exceptions import ConfigurationError
from ranvier.metrics.definitions import DEFINITIONS
from ranvier.metrics.event_levels import EventLevels, changed_params
from ranvier.metrics.packet_store import FilePackets
from ranvier.metrics.packets import PacketGrid, PacketMaker, PacketTable
from ranvier.metrics.ranges import RangeMetrics
from ranvier.models.flex import coerce_kpi_metric_id as metric
from ranvier.models.kpi import KpiMetric, KpiMetricId, KpiMode
from ranvier.models.spikesorter import SpikeDetectParams
from ranvier.recordings import Segments

FS = Fraction(10_000)
START = 1234


class Made:
    """Packets that are made each time."""

    def __init__(self, maker: PacketMaker) -> None:
        self.maker = maker

    def get(self, first: int, stop: int) -> PacketTable:
        return PacketTable.concatenate([self.maker.make(i) for i in range(first, stop)], len(self.maker.columns))


def signal(rng: np.random.Generator, n: int = 25_500) -> np.ndarray:
    x = rng.normal(2, 10, (n, 4)).astype(np.float32)
    for at in range(200, n - 50, 701):
        x[at : at + 9, 0] -= 100 + at / 500
        x[at + 9 : at + 15, 0] += 70
    x[:, 2] = 5.0
    x[:, 3] = np.nan
    return x


def transcription(x: np.ndarray, start: int, a: int, b: int, crossings: list[int]) -> dict[str, float]:
    """Every metric of one channel over counters [a, b), straight from its formula."""
    y = x[a - start : b - start].astype(np.float64)
    outside = np.ones(len(x), bool)
    for t in crossings:
        outside[max(0, t - start - 5) : t - start + 11] = False
    z = y[outside[a - start : b - start]]
    windows = [(t, x[max(0, t - start - 5) : t - start + 11].astype(np.float64)) for t in crossings if a <= t < b]
    first = [max(start, t - 5) for t, _ in windows]
    high, low = np.array([w.max() for _, w in windows]), np.array([w.min() for _, w in windows])
    large, size = np.maximum(abs(high), abs(low)), high - low
    edges = [max(a, p) for p in range(0, b + 10_000, 10_000) if p + 10_000 > a and p < b]
    pieces = [x[e - start : min(b, (e // 10_000 + 1) * 10_000) - start].astype(np.float64) for e in edges]
    mads = [np.median(abs(p - np.median(p))) for p in pieces if len(p) >= 5000] or [
        np.median(abs(p - np.median(p))) for p in pieces
    ]
    noise = np.median(mads) / 0.6745
    found = {
        "NUM_PTS": len(y), "NUM_PTS_ISI": len(z), "DUR_SEC": len(y) / 1e4, "MEAN": y.mean(), "MIN": y.min(),
        "MIN_ISI": z.min(), "MAX": y.max(), "MAX_ISI": z.max(), "MAX_ABS": abs(y).max(), "MAX_ABS_ISI": abs(z).max(),
        "TIMESTAMP_MIN": a + y.argmin(), "TIMESTAMP_MAX": a + y.argmax(), "MAX_MIN_DIFF_ABS": np.ptp(y),
        "MAX_MIN_DIFF_ABS_ISI": np.ptp(z), "SD": y.std(), "SD_ISI": z.std(), "VAR": y.var(), "VAR_ISI": z.var(),
        "RMS": np.sqrt((y**2).mean()), "RMS_ISI": np.sqrt((z**2).mean()), "NOISE_UV": noise,
        "NUM_EVENTS": len(windows), "EVENT_RATE": len(windows) / (len(y) / 1e4),
        "MAX_MIN_DIFF_ABS_AMPLIFIED": np.ptp(y) ** 2,
    }  # fmt: skip
    if windows:
        w = [v for _, v in windows]
        found |= {
            "SNR": size.mean() / (2 * noise), "EVENT_MAX": high.max(), "EVENT_MIN": low.min(),
            "EVENT_MAX_ABS": large.max(), "EVENT_MAX_MIN_DIFF_ABS": size.max(),
            "EVENT_TIMESTAMP_MIN": first[low.argmin()] + w[low.argmin()].argmin(),
            "EVENT_TIMESTAMP_MAX": first[high.argmax()] + w[high.argmax()].argmax(),
            "EVENT_TIMESTAMP_MAX_ABS": first[large.argmax()] + abs(w[large.argmax()]).argmax(),
            "EVENT_TIMESTAMP_MAX_MIN_DIFF_ABS": first[size.argmax()] + abs(w[size.argmax()]).argmax(),
            "MEAN_MAX": high.mean(), "MEAN_MIN": low.mean(), "MEAN_MAX_ABS": large.mean(),
            "EVENT_MEAN_MAX_ABS": large.mean(), "EVENT_MEAN_MAX_MIN_DIFF_ABS": size.mean(),
        }  # fmt: skip
    return found


def crossings_of(x: np.ndarray, start: int, negative: float, positive: float, dead: int) -> list[int]:
    found: list[int] = []
    for i in range(1, len(x)):
        down, up = x[i] <= negative < x[i - 1], x[i] >= positive > x[i - 1]
        if (down or up) and (not found or start + i >= found[-1] + 1 + dead):
            found.append(start + i)
    return found


@pytest.fixture
def maker(recording_of) -> PacketMaker:
    x = signal(np.random.default_rng(0))
    recording = recording_of(x, FS, Segments.single(START, len(x)))
    change = SpikeDetectParams(thr=[-60.0, 55.0])
    params = changed_params({}, [change], range(4), 1e4)
    levels = EventLevels.of(params, range(4), 1e4)
    return PacketMaker(recording, np.arange(4), levels, PacketGrid.of(FS, 1.0))


@pytest.mark.parametrize("span", [(START, START + 25_500), (10_000, 20_000), (11_111, 23_456), (12_000, 12_400)])
def test_every_metric_equals_its_transcription(maker: PacketMaker, span: tuple[int, int]) -> None:
    asked = RangeMetrics(maker, Made(maker), np.arange(4))
    metrics = [KpiMetricId(name=name) for name in KpiMetric]
    assert set(DEFINITIONS) == set(KpiMetric)
    values = asked.values(metrics, *span)
    x = maker.recording.read(START, START + 25_500).samples
    for c in (0, 1):
        wanted = transcription(x[:, c], START, *span, crossings_of(x[:, c], START, -60.0, 55.0, 10))
        assert len(wanted) == len(KpiMetric) or c == 1 or span == (12_000, 12_400)
        for column, name in enumerate(KpiMetric):
            expected = wanted.get(name.name, np.nan)
            np.testing.assert_allclose(values[c, column], expected, rtol=1e-6, equal_nan=True, err_msg=name.name)
    by_name = dict(zip([m.name for m in KpiMetric], values.T, strict=True))
    assert by_name["SD"][2] == 0
    assert by_name["NUM_EVENTS"][2] == 0  # thresholds in uV exist without noise
    assert np.isnan(by_name["SNR"][2])
    assert by_name["NUM_PTS"][3] == 0
    never = {"NUM_PTS", "DUR_SEC"}
    assert all(np.isnan(v[3]) for name, v in by_name.items() if name not in never)


def transcribed(maker: PacketMaker, channel: int, span: tuple[int, int]) -> dict[str, float]:
    x = maker.recording.read(START, START + 25_500).samples[:, channel]
    found = transcription(x, START, *span, crossings_of(x, START, -60.0, 55.0, 10))
    return {name.name: found.get(name.name, np.nan) for name in KpiMetric}


@pytest.mark.parametrize("channel", [0, 1])
def test_every_metric_in_every_mode(maker: PacketMaker, channel: int) -> None:
    """AVG weighs whole packets by age, those without a value left out; STREAM is from the beginning on."""
    beta, stop = 0.25, 26_000
    asked = RangeMetrics(maker, Made(maker), np.array([channel]), beta=beta)
    spans = [(START, 10_000), (10_000, 20_000)]
    packets = [transcribed(maker, channel, span) for span in spans]
    whole = transcribed(maker, channel, (START, stop))
    for name in KpiMetric:
        average, stream = asked.values([KpiMetricId(name=name, mode=m) for m in (KpiMode.AVG, KpiMode.STREAM)],
                                       21_000, stop)[0]  # fmt: skip
        np.testing.assert_allclose(stream, whole[name.name], rtol=1e-6, equal_nan=True, err_msg=name.name)
        values = np.array([packet[name.name] for packet in packets])
        if name == KpiMetric.DUR_SEC:
            values[0] = 1.0  # of the packet, although the recording begins within it
        weights = np.where(np.isnan(values), 0.0, beta * (1 - beta) ** np.arange(2)[::-1])
        expected = np.nansum(values * weights) / weights.sum() if weights.any() else np.nan
        if "TIMESTAMP" in name.name:
            expected = np.nan  # counters have no average
        np.testing.assert_allclose(average, expected, rtol=1e-6, equal_nan=True, err_msg=name.name)


def test_averages_forget_what_is_older_than_their_persistence(maker: PacketMaker) -> None:
    name = [metric(("AVG", "RMS"))]
    long, short = (RangeMetrics(maker, Made(maker), np.array([1]), persistence_sec=sec) for sec in (60.0, 1.0))
    newest = RangeMetrics(maker, Made(maker), np.array([1])).values([metric("RMS")], 10_000, 20_000)
    assert short.values(name, 19_000, 20_000)[0, 0] == newest[0, 0] != long.values(name, 19_000, 20_000)[0, 0]
    none = RangeMetrics(maker, Made(maker), np.array([1]), persistence_sec=0.5)
    assert np.isnan(none.values(name, 19_000, 20_000)).all()  # no whole packet is that young


def test_parts_of_a_packet_add_up(maker: PacketMaker) -> None:
    asked = RangeMetrics(maker, Made(maker), np.arange(2))
    names = [metric(n) for n in ("NUM_EVENTS", "NUM_PTS_ISI", "NUM_PTS")]
    whole = asked.values(names, 10_000, 20_000)
    parts = sum(asked.values(names, a, a + 1250) for a in range(10_000, 20_000, 1250))
    np.testing.assert_array_equal(parts, whole)
    assert whole[0, 0] > 10


def test_gaps_and_windows(recording_of) -> None:
    x = np.random.default_rng(1).normal(0, 10, (15_000, 1)).astype(np.float32)
    table = Segments.from_runs([(0, 10_000), (25_000, 5_000)])
    recording = recording_of(x, FS, table)
    maker = PacketMaker(recording, np.arange(1), EventLevels.of({}, [0], 1e4), PacketGrid.of(FS, 1.0))
    asked = RangeMetrics(maker, Made(maker), np.arange(1))
    names = [metric(n) for n in ("NUM_PTS", "DUR_SEC", "SD", "NOISE_UV")]
    values = asked.values(names, 0, 30_000)[0]
    assert values[:2].tolist() == [15_000, 3.0]
    assert values[2] == pytest.approx(x.astype(np.float64).std())
    inside = asked.values(names, 12_000, 22_000)[0]
    assert inside[0] == 0
    assert np.isnan(inside[2:]).all()
    assert list(asked.windows(500, 25_500, None)) == [(500, 10_000), (10_000, 20_000), (20_000, 25_500)]
    assert list(asked.windows(500, 1_500, 10.0)) == [(500, 1_500)]
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigurationError):
            list(asked.windows(0, 100, bad))


def test_sd_thresholds_need_noise_and_artifacts_are_dropped(maker: PacketMaker) -> None:
    sd = changed_params({}, [SpikeDetectParams(thr_sd=[-5.0, 5.0])], range(4), 1e4)
    weak = SpikeDetectParams(weak_thr=[-130.0, 500.0], is_set_weak_thr=[True, True])
    dropping = changed_params(sd, [weak], range(4), 1e4)
    off = changed_params(sd, [SpikeDetectParams(ntv_chan_idx=0, is_set_thr=[False, False])], range(4), 1e4)
    name = [metric("NUM_EVENTS"), metric("EVENT_MIN")]
    found = []
    for params in (sd, dropping, off):
        made = PacketMaker(maker.recording, np.arange(4), EventLevels.of(params, range(4), 1e4), maker.grid)
        found.append(RangeMetrics(made, Made(made), np.arange(4)).values(name, START, START + 25_500))
    assert np.isnan(found[0][2, 0])  # flat: no noise to measure in
    assert 0 < found[1][0, 0] < found[0][0, 0]
    assert found[1][0, 1] > -130
    assert np.isnan(found[2][0, 0])
    assert found[2][1, 0] == found[0][1, 0]


def test_windows_and_dead_times_in_samples_are_taken() -> None:
    given = SpikeDetectParams(thr_wdw_pts=[4, 9], shadow_pts=20)
    found = changed_params({}, [given], range(2), 1e4)[1]
    assert found.thr_wdw == pytest.approx([0.4e-3, 0.9e-3])
    assert found.thr_wdw_pts == [4, 9]
    assert (found.shadow, found.shadow_pts) == (pytest.approx(2e-3), 20)
    both = changed_params({}, [given.model_copy(update={"shadow": 1e-3})], [0], 1e4)[0]
    assert both.shadow_pts == 10


def test_an_artifact_level_inside_the_threshold_is_refused() -> None:
    def change(**fields: object) -> None:
        changed_params({}, [SpikeDetectParams.model_validate(fields)], [0], 1e4)

    on = {"is_set_weak_thr": [True, True]}
    with pytest.raises(ConfigurationError, match="no event could be left"):
        change(thr=[-100.0, 100.0], weak_thr=[-80.0, 500.0], **on)
    with pytest.raises(ConfigurationError, match="no event could be left"):
        change(weak_thr_sd=[-20.0, 4.0], **on)
    change(thr=[-100.0, 100.0], weak_thr=[-80.0, 500.0], is_set_weak_thr=[False, True])
    change(thr=[-100.0, 100.0], weak_thr=[-80.0, 500.0], is_set_thr=[False, True], **on)
    change(thr=[-100.0, 100.0], weak_thr_sd=[-8.0, 8.0], **on)  # what an SD is nobody knows yet


@pytest.mark.parametrize(
    "change",
    [
        {"thr": [5.0, 9.0]},
        {"thr": [-5.0]},
        {"thr_wdw": [1.0, 2.0]},
        {"shadow": -1.0},
        {"spike_width_sec": [0.1, 0.2]},
        {"thr_wdw_pts": [-1, 5]},
        {"shadow_pts": 10**9},
    ],
)
def test_bad_parameters(change: dict) -> None:
    with pytest.raises(ConfigurationError):
        changed_params({}, [SpikeDetectParams(**change)], range(4), 1e4)


def test_store(maker: PacketMaker, tmp_path: Path) -> None:
    path, parameters = tmp_path / "a.kpi", maker.levels.digest()

    def open_store(source: bytes = b"s" * 32) -> FilePackets:
        return FilePackets(path, maker.grid, 4, parameters, source)

    store = open_store()
    for i in (1, 0, 2):
        store.add(i, maker.make(i))
    held = open_store().table(0, 2)
    assert held is not None
    np.testing.assert_array_equal(held.single[1], maker.make(1).single[0])
    np.testing.assert_array_equal(held.exact[0], maker.make(0).exact[0])
    content = path.read_bytes()
    path.write_bytes(content[:-3])  # power loss: the last record is torn
    torn = open_store()
    assert torn.indices == [0, 1]
    torn.add(2, maker.make(2))
    assert path.read_bytes() == content
    path.write_bytes(content[:-100] + b"x" + content[-99:])
    changed = open_store()
    assert changed.table(2, 3) is None
    assert changed.indices == [0, 1]
    assert open_store(b"t" * 32).indices == []


def test_a_store_begun_anew_by_another_program_leaves_the_first_one_whole(maker: PacketMaker, tmp_path: Path) -> None:
    """The file was cut once while somebody had it mapped: their next read was a SIGBUS."""
    path, parameters = tmp_path / "a.kpi", maker.levels.digest()
    first = FilePackets(path, maker.grid, 4, parameters, b"s" * 32)
    for i in range(3):
        first.add(i, maker.make(i))
    assert first.table(0, 3) is not None
    other = FilePackets(path, maker.grid, 4, b"p" * 32, b"s" * 32)
    held = first.table(0, 3)  # what it had mapped is still there
    assert held is not None
    np.testing.assert_array_equal(held.single[2], maker.make(2).single[0])
    with pytest.raises(OSError, match="another program"):
        first.add(3, maker.make(3))
    assert other.indices == []
    other.add(0, maker.make(0))
    assert FilePackets(path, maker.grid, 4, b"p" * 32, b"s" * 32).indices == [0]
    late = FilePackets(path, maker.grid, 4, parameters, b"s" * 32)
    assert late.indices == []
    assert other.table(0, 1) is None  # never mapped before: no records of another's are taken for its own
    assert [file.name for file in tmp_path.iterdir()] == ["a.kpi"]


def test_two_writers_of_one_store_keep_each_others_packets(maker: PacketMaker, tmp_path: Path) -> None:
    """Each wrote at its own idea of the end once, over a packet that the other had handed out."""
    path, parameters = tmp_path / "a.kpi", maker.levels.digest()
    one, two = (FilePackets(path, maker.grid, 4, parameters, b"s" * 32) for _ in range(2))
    one.add(0, maker.make(0))
    held = one.table(0, 1)
    assert held is not None
    two.add(2, maker.make(2))
    one.add(1, maker.make(1))
    two.add(1, maker.make(1))  # it is there already: taken over, not written twice
    np.testing.assert_array_equal(held.single[0], maker.make(0).single[0])
    for store in (one, two, FilePackets(path, maker.grid, 4, parameters, b"s" * 32)):
        assert store.indices == [0, 1, 2]
        for i in range(3):
            table = store.table(i, i + 1)
            assert table is not None
            np.testing.assert_array_equal(table.single[0], maker.make(i).single[0])


WRITER = """
import sys, time, numpy as np
from fractions import Fraction
from pathlib import Path
from ranvier.metrics.packet_columns import NUM_EXACT, NUM_SINGLE
from ranvier.metrics.packet_store import FilePackets
from ranvier.metrics.packets import PacketGrid, PacketTable
grid = PacketGrid(Fraction(1000), Fraction(1))
path = Path(sys.argv[1])
store = FilePackets(path, grid, 3, b"p" * 32, b"s" * 32)
path.with_name("ready" + sys.argv[2]).touch()
while not path.with_name("ready" + str(1 - int(sys.argv[2]))).exists():
    time.sleep(0.001)
for i in range(int(sys.argv[2]), 400, 2):
    store.add(i, PacketTable(np.array([0]), np.full((1, NUM_EXACT, 3), i, float), np.full((1, NUM_SINGLE, 3), i, "f4")))
"""


def test_two_processes_that_write_one_store_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.kpi"
    grid = PacketGrid(Fraction(1000), Fraction(1))
    FilePackets(path, grid, 3, b"p" * 32, b"s" * 32)
    running = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(k)]) for k in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    store = FilePackets(path, grid, 3, b"p" * 32, b"s" * 32)
    assert store.indices == list(range(400))
    for i in range(400):
        table = store.table(i, i + 1)
        assert table is not None
        assert (table.single == i).all()
        assert (table.exact == i).all()


def test_events_at_the_edge_of_a_packet_are_seen_from_both_sides(recording_of) -> None:
    x = np.random.default_rng(2).normal(0, 1, (30_000, 1)).astype(np.float32)
    x[9_998] = x[10_004] = -80.0  # the second crossing lies in the dead time of the first, in the next packet
    recording = recording_of(x, FS)
    params = changed_params({}, [SpikeDetectParams(thr=[-60.0, 60.0])], [0], 1e4)
    maker = PacketMaker(recording, np.arange(1), EventLevels.of(params, [0], 1e4), PacketGrid.of(FS, 1.0))
    asked = RangeMetrics(maker, Made(maker), np.arange(1))
    names = [metric("NUM_EVENTS"), metric("NUM_PTS_ISI")]
    assert asked.values(names, 0, 10_000)[0].tolist() == [1, 10_000 - 7]  # 5 before the crossing, itself, 1 behind
    assert asked.values(names, 10_000, 20_000)[0].tolist() == [0, 10_000 - 9]
    assert asked.values(names, 10_003, 10_007)[0].tolist() == [0, 0]
