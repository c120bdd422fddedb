"""Threshold events: what counts as one, and that chunking never shows."""

from __future__ import annotations

import itertools
import pickle
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.detect import Detections, ThresholdDetector
from ranvier.detect.kernels import TILE_ROWS, threshold_events, threshold_events_reference
from ranvier.exceptions import ConfigurationError
from ranvier.recordings import Block


def run(detector: ThresholdDetector, x: np.ndarray, cuts: list[int] | None = None, start: int = 0) -> Detections:
    state = detector.start()
    edges = [0, *sorted(cuts or []), len(x)]
    parts = [detector.process(Block(x[a:b], start + a), state) for a, b in itertools.pairwise(edges)]
    parts.append(detector.finish(state))
    return Detections.concatenate(parts)


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def same(a: Detections, b: Detections) -> None:
    for name in Detections.__slots__:
        left, right = getattr(a, name), getattr(b, name)
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


def test_a_crossing_is_the_first_sample_at_or_beyond_the_threshold() -> None:
    found = run(ThresholdDetector(-50.0, num_channels=1), column(0, -49, -50, -70, -50, -10, -51), start=1000)
    assert found.counters.tolist() == [1002, 1006]
    assert found.values.tolist() == [-50, -51]


def test_with_a_window_the_event_is_the_first_extremum() -> None:
    found = run(ThresholdDetector(-50.0, window=3, num_channels=1), column(0, -60, -80, -80, -90, -95, 0, 0))
    assert found.crossings.tolist() == [1]
    assert found.counters.tolist() == [4]  # the window ends at 4: -95 lies behind it
    assert found.values.tolist() == [-90]


def test_an_open_window_is_closed_by_the_end_and_by_a_gap() -> None:
    detector = ThresholdDetector(-50.0, window=5, num_channels=1)
    state = detector.start()
    assert len(detector.process(Block(column(0, -60, -70), 0), state)) == 0
    closed = detector.process(Block(column(0, 0), 100), state)
    assert (closed.counters.tolist(), closed.values.tolist()) == ([2], [-70])
    detector.process(Block(column(-80), 102), state)
    assert detector.finish(state).counters.tolist() == [102]
    assert len(detector.finish(state)) == 0


def test_shadow_is_dead_time_from_the_crossing() -> None:
    x = np.zeros((60, 1), np.float32)
    x[[5, 15, 26, 50]] = -60
    assert run(ThresholdDetector(-50.0, shadow=20, num_channels=1), x).counters.tolist() == [5, 26, 50]
    assert run(ThresholdDetector(-50.0, shadow=21, num_channels=1), x).counters.tolist() == [5, 50]
    assert run(ThresholdDetector(-50.0, shadow=0, num_channels=1), x).counters.tolist() == [5, 15, 26, 50]


def test_a_channel_that_stays_beyond_gives_one_event_however_short_the_shadow() -> None:
    x = np.full((100, 1), -60, np.float32)
    x[0] = 0
    assert run(ThresholdDetector(-50.0, shadow=3, num_channels=1), x).counters.tolist() == [1]


def test_nothing_crosses_before_it_was_seen_inside() -> None:
    detector = ThresholdDetector(-50.0, 50.0, num_channels=1)
    assert len(run(detector, column(-60, -60, 70, -60))) == 2  # 70 and the last -60: both come from the far side
    assert run(detector, column(-60, -60, 0, -60)).counters.tolist() == [3]
    assert run(detector, column(0, np.nan, -60, 0, -60)).counters.tolist() == [4]
    state = detector.start()
    detector.process(Block(column(0), 0), state)
    assert len(detector.process(Block(column(-60, -60), 10), state)) == 0


def test_both_sides_and_ties_between_channels_come_in_order() -> None:
    x = np.zeros((5, 3), np.float32)
    x[3, 2], x[3, 0], x[1, 1] = 90, -90, 60
    found = run(ThresholdDetector(np.full(3, -50.0), 50.0), x)
    assert found.channels.tolist() == [1, 0, 2]
    assert found.values.tolist() == [60, -90, 90]


def test_nan_thresholds_are_off_and_counters_that_go_back_are_another_stream() -> None:
    detector = ThresholdDetector([-50.0, np.nan], [np.nan, 50.0], shadow=1000)
    x = np.array([[0, 0], [-60, -60], [0, 0], [0, 60]], np.float32)
    assert run(detector, x).channels.tolist() == [0, 1]
    state = detector.start()
    detector.process(Block(x, 500), state)
    again = detector.process(Block(x, 0), state)
    assert again.counters.tolist() == [1, 3]


def test_counts_are_compared_in_physical_units() -> None:
    block = Block(np.array([[0], [-300]], np.int16), 7, np.array([0.195]), np.array([0.0]))
    detector = ThresholdDetector(-50.0, num_channels=1)
    found = detector.process(block, detector.start())
    assert found.counters.tolist() == [8]
    assert found.values[0] == np.float32(-58.5)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"negative": [1.0, -5.0], "positive": 0.0}, "channel 0"),
        ({"negative": -5.0}, "num_channels"),
        ({"negative": [-5.0, -5.0], "positive": [5.0]}, "one number of channels"),
        ({"negative": [-5.0], "shadow": -1}, "samples"),
        ({"negative": [-5.0], "window": -1}, "samples"),
    ],
)
def test_thresholds_that_cannot_be_meant_are_refused(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        ThresholdDetector(**arguments)  # type: ignore[arg-type]


def test_blocks_of_another_width_are_refused() -> None:
    detector = ThresholdDetector([-5.0, -5.0])
    with pytest.raises(ConfigurationError, match="2 channels"):
        detector.process(Block(np.zeros((4, 3), np.float32), 0), detector.start())


# Few levels, so that ties, plateaus and crossings are frequent; and NaN.
LEVELS = np.array([0, 0, 0, -10, -20, -30, 10, 20, 30, np.nan], np.float32)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_chunking_is_invisible(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 300))
    width = data.draw(st.sampled_from([1, 3, 70]))
    seed = data.draw(st.integers(0, 2**31))
    x = np.random.default_rng(seed).choice(LEVELS, (n, width)).astype(np.float32)
    detector = ThresholdDetector(
        np.full(width, -20.0),
        data.draw(st.sampled_from([20.0, np.inf])),
        shadow=data.draw(st.sampled_from([0, 1, 7, 100])),
        window=data.draw(st.sampled_from([0, 1, 5, 80])),
    )
    cuts = data.draw(st.lists(st.integers(0, n), max_size=6))
    start = data.draw(st.sampled_from([0, 17, 2**40]))
    whole = run(detector, x, start=start)
    same(run(detector, x, cuts, start), whole)
    assert (np.diff(whole.crossings) >= 0).all()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    window=st.integers(0, 9) | st.integers(30, 70),
    shadow=st.integers(0, 12),
    spare=st.integers(0, 300),
    levels=st.sampled_from([(-20, 20), (-20, np.inf), (-np.inf, 20), (5, 20), (-np.inf, -5), (-20, 5)]),
)
def test_the_kernel_is_its_reference(
    seed: int, window: int, shadow: int, spare: int, levels: tuple[float, float]
) -> None:
    x = np.random.default_rng(seed).choice(LEVELS, (200, 66)).astype(np.float32)
    width = x.shape[1]
    results = []
    for function in (threshold_events, threshold_events_reference):
        state = (
            np.full(width, np.nan, np.float32),
            np.full(width, np.iinfo(np.int64).min, np.int64),
            np.full(width, -1, np.int64),
            np.zeros(width, np.int64),
            np.zeros(width, np.float32),
        )
        capacity = width * (TILE_ROWS + 1) + spare  # sometimes too little for the whole block
        out = np.zeros((capacity, 2), np.int64), np.zeros(capacity, np.int32), np.zeros(capacity, np.float32)
        low, high = (np.full(width, level, np.float32) for level in levels)
        n, rows = function(x, 5, low, high, np.full(width, shadow), window, *state, *out)
        results.append((rows, *state, *(a[:n] for a in out)))
    for got, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_events_beyond_the_buffer_come_all_the_same() -> None:
    x = np.zeros((20_000, 2), np.float32)
    x[1::2] = -60
    assert len(run(ThresholdDetector(-50.0, num_channels=2), x)) == 20_000


def test_the_state_can_be_pickled_in_mid_stream() -> None:
    x = np.random.default_rng(1).choice(LEVELS, (200, 4)).astype(np.float32)
    detector = ThresholdDetector(np.full(4, -20.0), window=10, shadow=15)
    state = detector.start()
    first = detector.process(Block(x[:77], 0), state)
    thawed_detector, thawed = pickle.loads(pickle.dumps((detector, state)))
    rest = [thawed_detector.process(Block(x[77:], 77), thawed), thawed_detector.finish(thawed)]
    same(Detections.concatenate([first, *rest]), run(detector, x))


def test_the_block_is_not_changed() -> None:
    x = np.random.default_rng(2).choice(LEVELS, (100, 4)).astype(np.float32)
    kept = x.copy()
    x.flags.writeable = False
    run(ThresholdDetector(np.full(4, -20.0)), x)
    np.testing.assert_array_equal(x, kept)


def test_one_thread_does_100_million_samples_a_second() -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((3000, 1024)) * 10).astype(np.float32)
    x[rng.integers(0, 3000, 2000), rng.integers(0, 1024, 2000)] = -80
    detector = ThresholdDetector(-50.0, shadow=30, window=20, num_channels=1024)
    run(detector, x)
    best = min(_seconds(detector, x) for _ in range(5))
    assert x.size / best > 100e6


def _seconds(detector: ThresholdDetector, x: np.ndarray) -> float:
    begin = time.thread_time()  # of this thread alone: other tests run beside it
    detector.process(Block(x, 0), detector.start())
    return time.thread_time() - begin
