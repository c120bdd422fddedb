"""ISO-CUT and ISO-SPLIT against their definitions, on samples whose clusters are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.exceptions import ConfigurationError
from ranvier.sorting import cut_reference
from ranvier.sorting.cut_reference import unimodal_fit
from ranvier.sorting.isocut import isocut
from ranvier.sorting.isocut_kernels import rising_fit, rising_fit_reference
from ranvier.sorting.isosplit import isosplit
from ranvier.sorting.split_kernels import split_points
from ranvier.sorting.split_reference import first_parcels
from ranvier.sorting.split_reference import split_points as split_reference

F64 = npt.NDArray[np.float64]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 25), st.integers(0, 2**31), st.booleans())
def test_the_rising_fit_equals_its_reference(count: int, seed: int, with_ties: bool) -> None:
    random = np.random.default_rng(seed)
    values = random.standard_normal(count)
    if with_ties:
        values = np.round(values)
    weights = random.uniform(0.5, 3.0, count)
    got, wanted = np.empty((2, count)), np.empty((2, count))
    rising_fit(values, weights, got[0], got[1])
    rising_fit_reference(values, weights, wanted[0], wanted[1])
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


def test_the_unimodal_fit_is_the_best_over_all_peaks() -> None:
    random = np.random.default_rng(4)
    values, weights = random.standard_normal(20), random.uniform(1.0, 2.0, 20)
    fit, peak = unimodal_fit(values, weights)
    assert np.all(np.diff(fit[: peak + 1]) >= -1e-12)
    assert np.all(np.diff(fit[peak:]) <= 1e-12)
    spare = np.empty(20)

    def error(at: int) -> float:
        best = np.empty((2, 20))
        rising_fit_reference(values[: at + 1].copy(), weights[: at + 1].copy(), best[0, : at + 1], spare[: at + 1])
        if at < 19:
            rising_fit_reference(values[:at:-1].copy(), weights[:at:-1].copy(), best[1, : 19 - at], spare[: 19 - at])
            best[0, at + 1 :] = best[1, : 19 - at][::-1]
        return float(np.sum(weights * (values - best[0]) ** 2))

    assert np.sum(weights * (values - fit) ** 2) == pytest.approx(min(error(at) for at in range(20)))


@pytest.mark.parametrize("shape", ["normal", "uniform", "exponential", "student"])
@pytest.mark.parametrize("count", [30, 300, 3000])
def test_one_mode_scores_low_whatever_its_shape_and_size(shape: str, count: int) -> None:
    random = np.random.default_rng(7)
    draw = {
        "normal": random.standard_normal,
        "uniform": random.random,
        "exponential": random.standard_exponential,
        "student": lambda n: random.standard_t(3, n),
    }[shape]
    scores = [isocut(draw(count)).score for _ in range(40)]
    assert np.quantile(scores, 0.95) < 1.4  # a uniform sample is the border case of one mode
    assert max(scores) < 2.0  # the threshold


@pytest.mark.parametrize("small", [60, 300, 3000])
def test_two_modes_are_cut_between_them_even_if_one_is_small(small: int) -> None:
    random = np.random.default_rng(8)
    cut = isocut(np.concatenate([random.standard_normal(3000), 8.0 + random.standard_normal(small)]))
    assert cut.score > (2.0 if small > 100 else 1.4)
    assert 2.5 < cut.position < 6.0


@pytest.mark.parametrize("count", [4, 5, 37, 600])
def test_cuts_are_those_of_the_definition(count: int) -> None:
    random = np.random.default_rng(count)
    for _ in range(20):
        sample = np.sort(np.concatenate([random.standard_normal(count), 5.0 + random.standard_normal(count // 3)]))
        sample[1] = sample[0]  # and some are equal
        wanted = np.empty(2)
        cut_reference.cut_ordered(sample, wanted)
        assert isocut(sample[::-1]) == pytest.approx(tuple(wanted), rel=1e-9)


def test_samples_that_cannot_be_cut_score_nothing() -> None:
    assert isocut(np.empty(0)) == (0.0, 0.0)
    assert isocut(np.full(100, 3.0)) == (0.0, 0.0)
    assert isocut(np.array([1.0, 2.0, 2.0])) == (0.0, 0.0)
    assert isocut(np.repeat([1.0, 2.0], 50)).score >= 0.0


def blobs(count: int, seed: int, apart: float = 6.0) -> tuple[F64, npt.NDArray[np.int64]]:
    """Return points of clusters of unequal size and shape around centres that are far apart, and their labels."""
    random = np.random.default_rng(seed)
    sizes = 150 * (1 + np.arange(count))
    axes = np.linalg.qr(random.standard_normal((5, 5)))[0] * apart
    shapes = random.uniform(0.4, 1.2, (count, 5))
    points = [axes[k] + shapes[k] * random.standard_normal((sizes[k], 5)) for k in range(count)]
    return np.concatenate(points), np.repeat(np.arange(count), sizes)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_separate_clusters_are_found_as_they_are(count: int, seed: int) -> None:
    points, truth = blobs(count, seed)
    labels = isosplit(points, seed=seed)
    assert labels.max() + 1 == count
    for k in range(count):
        shares = np.bincount(labels[truth == k]) / np.sum(truth == k)
        assert shares.max() > 0.98
    assert np.all(np.diff(np.bincount(labels)) <= 0)  # largest first


def test_a_curved_or_skewed_cluster_stays_whole() -> None:
    random = np.random.default_rng(5)
    skewed = np.stack([random.exponential(3.0, 2000), random.standard_normal(2000)], axis=1)
    assert isosplit(skewed, seed=0).max() == 0


def test_the_result_depends_on_points_and_seed_alone() -> None:
    points, _ = blobs(4, 3, apart=3.0)
    first = isosplit(points, seed=11)
    np.random.default_rng().standard_normal(7)
    np.testing.assert_array_equal(first, isosplit(points.copy(), seed=11))
    np.testing.assert_array_equal(first, isosplit(points, seed=np.random.SeedSequence(11)))


def test_few_points_are_one_cluster_and_none_are_no_cluster() -> None:
    assert isosplit(np.random.default_rng(0).standard_normal((7, 3)), seed=0).tolist() == [0] * 7
    assert isosplit(np.empty((0, 3)), seed=0).shape == (0,)
    assert isosplit(np.zeros((50, 3)), seed=0).tolist() == [0] * 50


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ConfigurationError, match="finite"):
        isosplit(np.array([[0.0, np.nan]]), seed=0)
    with pytest.raises(ConfigurationError, match="table"):
        isosplit(np.zeros(4), seed=0)
    with pytest.raises(ConfigurationError, match="isocut_threshold"):
        isosplit(np.zeros((4, 1)), isocut_threshold=0.0, seed=0)


@pytest.mark.parametrize("seed", range(4))
def test_overlapping_clusters_come_to_an_end_in_bounded_time(seed: int) -> None:
    """Borders between overlapping clusters moved to and fro for ever once."""
    random = np.random.default_rng(seed)
    points = np.concatenate([random.standard_normal(6) + random.standard_normal((300, 6)) for _ in range(8)])
    labels = isosplit(points, isocut_threshold=1.0, max_initial=30, seed=seed)
    assert 1 <= labels.max() + 1 <= 30


@pytest.mark.parametrize("seed", range(6))
def test_clusters_are_those_of_the_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    points = np.concatenate(
        [random.standard_normal(4) * (1 + seed) + random.standard_normal((150, 4)) for _ in range(5)]
    )
    points[:40] = points[0]  # a parcel of equal points has no covariance
    draws = random.random(9)
    got, wanted = np.empty((2, len(points)), np.int32)
    split_points(points, 3, draws, 1.5, 10, got)
    split_reference(points, 3, draws, 1.5, 10, wanted)
    np.testing.assert_array_equal(got, wanted)
    parcels = first_parcels(points, 3, draws)
    assert len(np.unique(parcels)) > 5
    assert (got != parcels).any()  # what the parcels begin with is not what comes out
