"""What learning does with sums of units, parts of units, and spikes that stand behind larger ones (simulated)."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from white_counts import counts_of

from ranvier.sorting import reservoir
from ranvier.sorting.averages import Averages, Cluster, StillClouds, averages_of
from ranvier.sorting.basis import Basis, learn_basis, textbook_shapes
from ranvier.sorting.candidates import CandidateFinder
from ranvier.sorting.composites import composites
from ranvier.sorting.geometry import Geometry
from ranvier.sorting.leftovers import Leftovers, clear_of_larger
from ranvier.sorting.matching import Matcher
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.reservoir import Pile, SpikePile, Spikes
from ranvier.sorting.templates import Templates, fractional_shift
from ranvier.sorting.window import Window

F32 = npt.NDArray[np.float32]
SAMPLES, BEFORE, CHANNELS = 61, 21, 8
NEAR = np.tile(np.arange(CHANNELS, dtype=np.int32), (CHANNELS, 1))


@cache
def basis() -> Basis:
    shapes = textbook_shapes(BEFORE, SAMPLES - BEFORE - 1, 30_000.0)
    moved = np.concatenate([np.roll(shapes, shift, axis=1) for shift in (-2, -1, 0, 0, 0, 1, 2)])
    return learn_basis(moved, BEFORE, SAMPLES - BEFORE - 1, 6, 30_000.0, 0)


def geometry() -> Geometry:
    places = np.stack([np.zeros(CHANNELS), 20.0 * np.arange(CHANNELS)], axis=1)
    return Geometry(places, np.zeros(CHANNELS, np.int32))


def unit(site: float, size: float, mix: tuple[float, ...] = (1.0,)) -> F32:
    """Return the weights of a unit that sits at a site, ``(channels, P)``."""
    profile = np.exp(-0.5 * ((np.arange(CHANNELS) - site) / 0.8) ** 2)
    profile[profile < 0.02] = 0.0
    weights = profile[:, None] * np.pad(np.array(mix), (0, 6 - len(mix)))[None]
    return np.asarray(size * weights / np.sqrt((weights**2).sum()), np.float32)


def templates(*units: F32) -> Templates:
    return Templates(np.stack(units), basis(), geometry())


def test_the_sum_of_two_units_is_found_and_units_that_are_not_sums_stay() -> None:
    one, two, third = unit(2.0, 20.0), unit(3.5, 18.0, (0.3, 1.0, 0.0)), unit(3.0, 25.0, (0.0, 0.3, 1.0))
    known = templates(one, two, one + two, third)
    assert composites(known, np.array([900, 800, 60, 70]), 0.15).tolist() == [False, False, True, False]
    # a sum that is there more often than its parts is a unit: they may be what is left of it
    assert not composites(known, np.array([90, 80, 600, 70]), 0.15).any()
    assert not composites(known, np.array([900, 60, 100, 70]), 0.15).any()
    # nor is one that others make up at sizes that their spikes do not have, though little of it is left then
    near = templates(one, two, np.asarray(1.16 * one + 0.83 * two, np.float32), third)
    assert not composites(near, np.array([900, 800, 60, 70]), 0.15).any()


def test_a_sum_at_a_lag_is_found_too() -> None:
    shapes, one, two = basis(), unit(2.0, 20.0), unit(3.5, 20.0, (0.3, 1.0, 0.0))
    later = two @ fractional_shift(shapes.components, 2.0) @ shapes.components.T
    known = templates(one, two, np.ascontiguousarray(one + later, np.float32))
    assert composites(known, np.array([900, 800, 60]), 0.15).tolist() == [False, False, True]


def cloud(mean: F32, count: int, seed: int) -> Averages:
    random = np.random.default_rng(seed)
    features = (mean[None] + random.standard_normal((count, *mean.shape))).astype(np.float32)
    members = np.arange(count, dtype=np.int64)
    return averages_of([Cluster.of(3, features, members)], members, NEAR, basis(), geometry())


def judge(first: Averages, second: Averages) -> StillClouds:
    return StillClouds(first.and_also(second), NEAR, 60.0, 6, 1.5)


@pytest.mark.parametrize("seed", range(3))
def test_parts_of_one_cloud_are_one_and_two_clouds_are_two(seed: int) -> None:
    whole = unit(3.0, 15.0)
    near, far = cloud(whole, 300, seed), cloud(whole, 200, seed + 10)
    assert judge(near, far).one_cloud(0, 1, 0)
    other = cloud(whole + unit(3.0, 5.5, (0.0, 1.0, 0.0)), 300, seed + 20)
    assert not judge(near, other).one_cloud(0, 1, 0)  # a twelfth of the energy apart, with a valley between them
    assert not judge(near, cloud(unit(4.0, 15.0), 300, seed)).one_cloud(0, 1, 0)


def test_parts_that_are_a_sample_apart_are_compared_at_one_alignment() -> None:
    shapes, whole = basis(), unit(3.0, 25.0)
    seen_late = fractional_shift(shapes.components, -1.0) @ shapes.components.T
    earlier = np.ascontiguousarray(whole @ seen_late, np.float32)
    clouds = judge(cloud(whole, 300, 1), cloud(earlier, 300, 2))
    assert not clouds.one_cloud(0, 1, 0)
    # its spikes stand a sample early in their windows, which begin a sample late
    assert clouds.one_cloud(0, 1, -1)
    assert not clouds.one_cloud(0, 1, 1)


def test_candidates_that_a_larger_one_covers_go() -> None:
    rows = np.array([100, 110, 115, 400, 410], np.int64)
    sites = np.array([0, 0, 5, 1, 1], np.int32)
    scores = np.array([20.0, 6.0, 6.0, 8.0, 6.0], np.float32)
    near = np.abs(np.subtract.outer(np.arange(8), np.arange(8))) <= 2
    assert clear_of_larger(rows, sites, scores, near, 60).tolist() == [0, 2, 3, 4]
    assert clear_of_larger(rows[:0], sites[:0], scores[:0], near, 60).tolist() == []


def test_a_small_spike_behind_a_large_known_one_is_left_and_nothing_of_the_large_one() -> None:
    trough = tuple(basis().prototypes[0] @ basis().components.T)
    large, small = unit(3.0, 40.0, trough), unit(4.0, 14.0, trough)
    known = templates(large)
    random = np.random.default_rng(4)
    white = random.standard_normal((3000, CHANNELS)).astype(np.float32)
    for row in (400, 1000, 1600):
        white[row : row + SAMPLES] += (large @ basis().components).T
    for row in (700, 1045):
        white[row : row + SAMPLES] += (small @ basis().components).T
    p = SorterParameters(detection_threshold=7.0)
    matcher = Matcher(known, p, Window(BEFORE, SAMPLES - BEFORE - 1, 15, 2))
    counts = counts_of(white)
    matched = matcher.match(counts)
    assert len(matched) == 3
    finder = CandidateFinder(basis(), geometry(), p.detection_threshold, p.exclusive_um, 15, 2)
    noise = np.stack([np.zeros(CHANNELS), np.ones(CHANNELS)]).astype(np.float32)
    near = geometry().nearest(p.template_radius_um, 32)
    matcher.subtract(counts, matched)
    left = Leftovers(matcher, finder, noise, near, 100).find(counts, matched, 100, 2900)
    np.testing.assert_allclose(left.sample + 100, [700, 1045], atol=1)
    assert left.site.tolist() == [4, 4]
    np.testing.assert_allclose(left.features[0][0], small[4], atol=4.0)


@pytest.mark.parametrize("chunk_bytes", [1, 700, 10**6])
def test_a_pile_is_its_pieces_one_below_another(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reservoir, "_CHUNK_BYTES", chunk_bytes)
    random = np.random.default_rng(1)
    pieces = [random.standard_normal((n, 3, 2)).astype(np.float32) for n in (5, 0, 40, 1, 17)]
    pile, spikes = Pile(), SpikePile()
    for n, piece in enumerate(pieces):
        pile.add(piece)
        spikes.add(Spikes(np.full(len(piece), n), np.full(len(piece), n, np.int32), piece))
    expected = np.concatenate(pieces)
    np.testing.assert_array_equal(pile.whole(), expected)
    whole = spikes.whole()
    np.testing.assert_array_equal(whole.features, expected)
    np.testing.assert_array_equal(whole.site, np.repeat(np.arange(5), [5, 0, 40, 1, 17]))
    empty = Pile()
    empty.add(pieces[1])
    assert empty.whole().shape == (0, 3, 2)
