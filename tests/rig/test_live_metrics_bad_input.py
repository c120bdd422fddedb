"""Live metrics of channels that are flat, saturated or not there, and across samples that were lost."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scripted_source import FS
from test_control_calls import Bench, wait_for

from ranvier.exceptions import CapabilityError, ConfigurationError, SignalSelectionError, TimeRangeError
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.kpi import KpiMetric, KpiMetricId, KpiMode, KpiServiceMode
from ranvier.models.signals import SignalType
from ranvier.recordings import Block

ALL = [KpiMetricId(name=name) for name in KpiMetric]
N = 4000
LOST = (1500, 1900)  # never came
FLAT_UV, RAIL_UV = 12.5, 6400.0


def samples() -> np.ndarray:
    """Return noise, a flat channel, one that is not connected (NaN) and one between the rails."""
    rng = np.random.default_rng(3)
    x = np.zeros((N, 7), np.float32)
    x[:, 0] = rng.normal(0, 10, N)
    x[:, 1] = FLAT_UV
    x[:, 2] = np.nan
    x[:, 3] = np.where(np.arange(N) % 200 < 100, RAIL_UV, -RAIL_UV)
    return x


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("rig"))
    x = samples()
    blocks = [Block(x[at : at + 100], at) for at in range(0, N, 100) if not LOST[0] <= at < LOST[1]]
    made.source.counts = False
    made.source.steps, made.source.then = list(blocks), "silence"
    made.rig.metrics.set_packet_duration(0.5)
    made.rig.control.set_core_config(pcache_persistence=60.0)
    made.rig.control.start_streaming()
    wait_for(lambda: made.rig.core.cache.head == N)
    yield made
    made.rig.close()


def measured(bench: Bench, start: int, stop: int, mode: KpiMode = KpiMode.BASE) -> dict[str, np.ndarray]:
    found = bench.rig.metrics.get(
        [m.model_copy(update={"mode": mode}) for m in ALL],
        time_range=TimeRangeSpec.subset(start / FS, stop / FS),
        service_mode=KpiServiceMode.RANGE,
    )
    assert found.time_range.timestamp == (start, stop)
    return dict(zip([m.name for m in KpiMetric], found.values.T, strict=True))


def test_what_cannot_be_computed_is_nan(bench: Bench) -> None:
    got = measured(bench, 0, N)
    here = N - (LOST[1] - LOST[0])
    assert got["NUM_PTS"].tolist() == [here, here, 0, here]
    assert (got["DUR_SEC"] == N / FS).all()
    for name, values in got.items():
        assert np.isnan(values[2]) == (name not in ("NUM_PTS", "DUR_SEC")), name
    assert got["MEAN"][1] == got["MAX"][1] == got["RMS"][1] == FLAT_UV
    assert got["SD"][1] == got["NOISE_UV"][1] == got["MAX_MIN_DIFF_ABS"][1] == 0
    assert np.isnan(got["NUM_EVENTS"][1])  # no noise to measure thresholds in
    assert np.isnan(got["SNR"][1])
    assert (got["MIN"][3], got["MAX"][3], got["MAX_ABS"][3]) == (-RAIL_UV, RAIL_UV, RAIL_UV)
    whole = np.delete(samples()[:, 0].astype(np.float64), slice(*LOST))
    assert got["SD"][0] == pytest.approx(whole.std())
    assert got["MEAN"][0] == pytest.approx(whole.mean())
    assert got["EVENT_RATE"][0] == pytest.approx(got["NUM_EVENTS"][0] * FS / here)


@pytest.mark.parametrize(
    ("span", "here"),
    [((1400, 1500), 100), ((1450, 1550), 50), ((1500, 1900), 0), ((1600, 1700), 0), ((1000, 2500), 1100)],
)
def test_ranges_before_in_and_across_what_was_lost(bench: Bench, span: tuple[int, int], here: int) -> None:
    got = measured(bench, *span)
    assert got["NUM_PTS"].tolist() == [here, here, 0, here]
    assert (got["DUR_SEC"] == (span[1] - span[0]) / FS).all()
    x = samples()[:, 0].astype(np.float64)
    there = [x[i] for i in range(*span) if not LOST[0] <= i < LOST[1]]
    for name in set(got) - {"NUM_PTS", "DUR_SEC"} if not here else ():
        assert np.isnan(got[name]).all(), name
    if here:
        assert got["RMS"][0] == pytest.approx(np.sqrt(np.mean(np.square(there))))
        assert got["MIN"][0] == np.float32(min(there))


def test_modes_of_a_live_range(bench: Bench) -> None:
    stream = measured(bench, 2100, 2300, KpiMode.STREAM)
    assert stream["NUM_PTS"][0] == 2300 - 400
    average = measured(bench, 2000, 2500, KpiMode.AVG)
    pieces = [measured(bench, at, at + 500)["RMS"][0] for at in range(0, 2500, 500)]
    weights = 0.9 ** np.arange(5)[::-1]
    assert average["RMS"][0] == pytest.approx(np.average(pieces, weights=weights))
    assert np.isnan(average["TIMESTAMP_MAX"]).all()


def test_impossible_requests(bench: Bench) -> None:
    metrics = bench.rig.metrics
    one = [KpiMetricId(name=KpiMetric.RMS)]
    for start, stop in ((100.0, 200.0), (-5.0, -1.0)):
        with pytest.raises(TimeRangeError):
            metrics.get(one, time_range=TimeRangeSpec.subset(start, stop), service_mode=KpiServiceMode.RANGE)
    for span in ((1.0, 1.0), (2.0, 1.0)):
        with pytest.raises((TimeRangeError, ConfigurationError)):
            metrics.get(one, time_range=TimeRangeSpec.subset(*span), service_mode=KpiServiceMode.RANGE)
    for lookback in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigurationError):
            metrics.get(one, lookback_sec=lookback)
    for packet in (0.0, -1.0, 1e9, float("nan")):
        with pytest.raises(ConfigurationError):
            metrics.set_packet_duration(packet)
    with pytest.raises(ConfigurationError, match="at least one metric"):
        metrics.get([])
    with pytest.raises(SignalSelectionError, match="77"):
        metrics.get(one, [77])
    with pytest.raises(CapabilityError):
        metrics.get(one, signal_type=SignalType.AIN)


def test_more_than_there_is_is_answered_with_what_there_is(bench: Bench) -> None:
    one = [KpiMetricId(name=KpiMetric.NUM_PTS)]
    wide = bench.rig.metrics.get(one, lookback_sec=1e6)
    assert wide.time_range.timestamp[1] <= N
    ahead = bench.rig.metrics.get(one, time_range=TimeRangeSpec.subset(3.5, 100.0), service_mode=KpiServiceMode.RANGE)
    assert ahead.time_range.timestamp == (3500, N)
    assert ahead.values[0, 0] == 500
