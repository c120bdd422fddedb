"""Learning that begins several times where sites are few: which start is kept, and that it mends what one missed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ranvier.recordings.channels import Site, plain_channels
from ranvier.recordings.memory import ArrayRecording
from ranvier.sorting import learning
from ranvier.sorting.basis import Basis
from ranvier.sorting.geometry import Geometry
from ranvier.sorting.offline import sort_recording
from ranvier.sorting.refining import refine
from ranvier.sorting.starts import FEW_SITES, STARTS, best_of, islands, seed_of, starts_of
from ranvier.sorting.templates import Templates

RATE = 30_000


def line(sites: int, pitch_um: float) -> Geometry:
    """Return sites in a row."""
    places = np.stack([np.zeros(sites), np.arange(sites) * pitch_um], axis=1)
    return Geometry(places, np.zeros(sites, np.int32))


def tetrode(seed: int = 3, seconds: float = 12.0) -> ArrayRecording:
    """Return a simulated tetrode with three units in white noise."""
    random = np.random.default_rng(seed)
    x = (7.0 * random.standard_normal((int(seconds * RATE), 4))).astype(np.float32)
    time = np.arange(-20, 50)
    for width, profile in ((4.0, (200, 60, 60, 30)), (5.5, (40, 170, 40, 80)), (3.5, (60, 40, 150, 150))):
        shape = -np.exp(-0.5 * (time / width) ** 2) + 0.35 * np.exp(-0.5 * ((time / width - 3.0) / 2.0) ** 2)
        wave = np.outer(shape, profile).astype(np.float32)
        train = (np.cumsum(0.004 + random.exponential(0.1, int(9 * seconds))) * RATE).astype(np.int64)
        for t in train[(train > 100) & (train < len(x) - 100)]:
            x[t - 20 : t + 50] += wave
    table = plain_channels(amp=4)
    places = ((0.0, 0.0), (25.0, 0.0), (0.0, 25.0), (25.0, 25.0))
    table = table.with_channels(replace(c, site=Site(*places[i])) for i, c in enumerate(table))
    return ArrayRecording(x, RATE, table, simulated=True, name="tetrode")


def test_islands_are_sites_that_no_template_joins() -> None:
    assert islands(line(4, 25.0), 120.0).tolist() == [0, 0, 0, 0]
    assert islands(line(4, 150.0), 120.0).tolist() == [0, 1, 2, 3]
    two = Geometry(np.array([[0.0, 0], [0, 25], [500, 0], [500, 25]]), np.zeros(4, np.int32))
    assert islands(two, 120.0).tolist() == [0, 0, 1, 1]


def test_learning_begins_several_times_where_islands_and_all_sites_are_few() -> None:
    def starts(sites: int, pitch_um: float) -> int:
        return starts_of(islands(line(sites, pitch_um), 120.0))

    fewest, most = FEW_SITES
    assert [starts(n, 25.0) for n in (fewest - 1, fewest, 4, most, most + 1)] == [1, STARTS, STARTS, STARTS, 1]
    assert starts(16, 1000.0) == 1
    assert [starts_of(np.arange(n, dtype=np.int32) // 4) for n in (16, 64, 128, 400)] == [STARTS, STARTS, 2, 1]
    assert seed_of(7, 0) == 7
    assert len({seed_of(7, start) for start in range(STARTS)}) == STARTS


def test_each_island_keeps_the_units_that_explain_most() -> None:
    geometry = Geometry(np.array([[0.0, 0], [0, 25], [500, 0]]), np.zeros(3, np.int32))
    basis = Basis(np.eye(2, 6, dtype=np.float32), np.eye(1, 6, dtype=np.float32), 2)

    def units(*sites: int) -> Templates:
        weights = np.zeros((len(sites), 3, 2), np.float32)
        weights[np.arange(len(sites)), list(sites), 0] = np.arange(1, len(sites) + 1)
        return Templates(weights, basis, geometry)

    first, second, third = units(0, 2), units(0, 1, 2, 2), units(1)
    gains = [np.array([5.0, 3.0]), np.array([4.0, 2.0, 1.0, 2.0]), np.array([6.0])]
    kept = best_of([first, second, third], gains, islands(geometry, 120.0))
    # sites 0 and 1: 5, 6 and 6, the earlier start of the equal ones; site 2: 3, 3 and 0
    assert kept.sites.tolist() == [2, 0, 1]
    np.testing.assert_array_equal(kept.weights, np.concatenate([first.weights[1:], second.weights[:2]]))
    assert len(best_of([units(), units()], [np.zeros(0), np.zeros(0)], islands(geometry, 120.0))) == 0


def test_a_unit_that_one_start_misses_is_kept_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(sort_recording(tetrode(), seed=4)) == 3

    def one_less(templates: Templates, *rest: Any, **asked: Any) -> Templates:
        found = refine(templates, *rest, **asked)
        return found.take(np.arange(len(found) - 1)) if rest[4] == 4 else found  # the seed of the first start

    monkeypatch.setattr(learning, "refine", one_less)
    assert len(sort_recording(tetrode(), seed=4)) == 3
    monkeypatch.setattr(learning, "starts_of", lambda island: 1)
    assert len(sort_recording(tetrode(), seed=4)) == 1  # one less in each of two rounds


def test_several_starts_give_the_same_bits_for_any_number_of_workers() -> None:
    one, three = (sort_recording(tetrode(seconds=6.0), workers=n) for n in (1, 3))
    np.testing.assert_array_equal(one.sample_index, three.sample_index)
    np.testing.assert_array_equal(one.unit, three.unit)
    np.testing.assert_array_equal(one.templates_uv, three.templates_uv)
