"""Scores of the sorting benchmark: known answers, and SpikeInterface's comparison where it is installed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from benchmarks.sorting import score

FS = 30_000.0
I64 = npt.NDArray[np.int64]


def trains(rng: np.random.Generator, units: int, spikes: int = 400) -> tuple[I64, I64]:
    """Return spikes of some units in a minute, in order of time."""
    sample = np.sort(rng.choice(60 * 30_000 // 40, units * spikes, replace=False)) * 40
    return sample.astype(np.int64), rng.integers(0, units, units * spikes)


def test_a_perfect_sorting_with_other_labels_has_accuracy_one() -> None:
    sample, unit = trains(np.random.default_rng(1), 5)
    c = score.compare(sample, unit, 5, sample + 3, 40 - unit, FS)
    assert c.accuracy.tolist() == [1.0] * 5
    assert (c.well, c.false, c.redundant, c.overmerged) == (5, 0, 0, 0)


def test_the_tolerance_is_twelve_samples() -> None:
    sample, unit = trains(np.random.default_rng(1), 1)
    assert score.compare(sample, unit, 1, sample + 12, unit, FS).accuracy[0] == 1.0
    assert score.compare(sample, unit, 1, sample + 13, unit, FS).accuracy[0] == 0.0


def test_missed_and_wrong_spikes_lower_recall_and_precision() -> None:
    sample = np.arange(100, dtype=np.int64) * 1000
    found = np.concatenate([sample[:80], sample[:20] + 500])
    c = score.compare(sample, np.zeros(100, np.int64), 1, np.sort(found), np.full(100, 7), FS)
    assert c.recall[0] == pytest.approx(0.8)
    assert c.precision[0] == pytest.approx(0.8)
    assert c.accuracy[0] == pytest.approx(80 / 120)


def test_false_redundant_and_overmerged_units() -> None:
    rng = np.random.default_rng(2)
    sample, unit = trains(rng, 4)
    found = unit.copy()
    found[unit == 1] = 0  # 0 and 1 in one
    split = np.flatnonzero(unit == 2)
    found[split[: len(split) * 2 // 5]] = 9  # 2 in two
    noise = rng.integers(0, 1_800_000, 50)
    c = score.compare(sample, unit, 4, np.concatenate([sample, noise]), np.concatenate([found, np.full(50, 20)]), FS)
    assert (c.false, c.redundant, c.overmerged) == (1, 1, 1)
    assert c.accuracy[3] == 1.0
    assert c.accuracy[2] == pytest.approx(0.6, abs=0.01)
    assert sorted(c.accuracy[:2])[0] == 0.0


def test_negative_labels_are_no_units_and_nothing_found_is_no_error() -> None:
    sample, unit = trains(np.random.default_rng(1), 2)
    c = score.compare(sample, unit, 2, sample, np.full(len(sample), -1), FS)
    assert (len(c.labels), c.false, c.redundant, c.overmerged, c.well) == (0, 0, 0, 0, 0)
    assert c.accuracy.tolist() == [0.0, 0.0]


def test_collisions_are_counted_by_similarity() -> None:
    a = np.arange(1, 101, dtype=np.int64) * 3000
    sample = np.concatenate([a, a[:40] + 2, np.arange(1, 61) * 3000 + 1500])
    unit = np.concatenate([np.zeros(100, np.int64), np.ones(100, np.int64)])
    cosine = np.array([[1.0, 0.5], [0.5, 1.0]])
    keep = np.ones(200, bool)
    keep[100:110] = False  # ten spikes of unit 1 that collide are missed
    found, label = sample[keep], unit[keep]
    c = score.compare(sample, unit, 2, found, label, FS)
    for value, name in ((0.5, "cosine<0.8"), (0.9, "cosine>=0.8")):
        cosine[0, 1] = cosine[1, 0] = value
        told = score.collision_recall(c, sample, unit, found, label, cosine, np.array([9.0, 9.0]), FS)
        assert told[name] == (70, 80)
        assert sum(v[1] for v in told.values()) == 80
    weak = score.collision_recall(c, sample, unit, found, label, cosine, np.array([9.0, 3.0]), FS)
    assert sum(v[1] for v in weak.values()) == 0


def test_bands_hold_every_unit_once() -> None:
    sample, unit = trains(np.random.default_rng(3), 4)
    told = score.scores(sample, unit, np.array([1.0, 3.0, 4.9, 5.0]), np.eye(4), sample, unit, FS)
    assert [told["bands"][b[0]]["units"] for b in score.BANDS] == [1, 2, 1]
    assert told["accuracy"] == 1.0


def test_the_interval_holds_the_median() -> None:
    low, high = score.interval([0.8, 0.9, 0.85, 0.95, 0.7])
    assert 0.7 <= low <= 0.85 <= high <= 0.95
    assert low < high


@pytest.mark.interop
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_scores_are_those_of_spikeinterface(seed: int) -> None:
    core = pytest.importorskip("spikeinterface.core")
    comparison = pytest.importorskip("spikeinterface.comparison")
    rng = np.random.default_rng(seed)
    units = 12
    sample, unit = trains(rng, units, 300)
    jitter = rng.integers(-8, 9, len(sample))
    found, label = sample + jitter, unit.copy()
    kept = rng.random(len(found)) > np.linspace(0, 0.7, units)[unit]
    label[(unit == 1) & (rng.random(len(unit)) < 0.5)] = 30  # split
    label[unit == 3] = 2  # merged
    noise = np.sort(rng.integers(0, 1_800_000, 500))
    found = np.concatenate([found[kept], noise])
    label = np.concatenate([label[kept], np.full(500, 40)])
    order = np.argsort(found, kind="stable")
    found, label = found[order], label[order]

    def sorting(s: I64, u: I64) -> object:
        make = core.NumpySorting.from_samples_and_labels
        return make([s], [u], FS)

    theirs = comparison.compare_sorter_to_ground_truth(
        sorting(sample, unit), sorting(found, label), exhaustive_gt=True, delta_time=0.4, match_score=0.5
    )
    ours = score.compare(sample, unit, units, found, label, FS)
    expected = theirs.get_performance(method="by_unit")["accuracy"].to_numpy(float)
    np.testing.assert_allclose(ours.accuracy, expected, atol=0.005)
    assert ours.well == theirs.count_well_detected_units(well_detected_score=0.8)
    assert ours.false == theirs.count_false_positive_units()
    assert ours.redundant == theirs.count_redundant_units()
    assert ours.overmerged == theirs.count_overmerged_units()
    assert ours.false + ours.redundant > 0
