"""Prototypes of spikes: clusters that lose all their points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.cluster.vq import ClusterError, kmeans2

from ranvier.sorting import basis

RATE = 30_000.0


@pytest.mark.parametrize(("failing", "shapes"), [(0, 4), (2, 4), (3, 2), (4, 1)])
def test_a_cluster_without_points_is_begun_again_then_with_fewer(
    monkeypatch: pytest.MonkeyPatch, failing: int, shapes: int
) -> None:
    states: list[int] = []

    def empty_at_first(*given: Any, rng: np.random.Generator, missing: str, **more: Any) -> Any:
        states.append(rng.bit_generator.state["state"]["state"])
        result = kmeans2(*given, rng=rng, missing=missing, **more)
        if len(states) <= failing:
            raise ClusterError("one is empty")
        return result

    monkeypatch.setattr(basis, "kmeans2", empty_at_first)
    learned = basis.learn_basis(np.empty((0, 61), np.float32), 20, 40, 6, RATE, 1)
    assert learned.prototypes.shape == (shapes, 61)
    np.testing.assert_allclose((learned.prototypes**2).sum(axis=1), 1, rtol=1e-5)
    assert len(set(states)) == len(states) == failing + 1  # another beginning each time
