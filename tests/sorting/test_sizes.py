"""Which spikes of a faint unit are kept, by how large all of them are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from ranvier.sorting.sizes import best_least, mixture_of

F64 = npt.NDArray[np.float64]


def sizes_of(own: int, mean: float, noise: int, seed: int, least: float = 4.0) -> tuple[F64, F64]:
    """Return the sizes above ``least`` of a unit's own spikes, and of noise."""
    random = np.random.default_rng(seed)
    real = random.normal(mean, np.sqrt(1.0 + (0.1 * mean) ** 2), own)
    false = np.sqrt(least**2 - 2.0 * np.log(random.random(noise)))
    return real[real >= least], false


@pytest.mark.parametrize(("own", "mean", "noise"), [(250, 6.0, 150), (1500, 5.0, 200), (2000, 5.5, 20)])
def test_a_mixture_tells_how_many_spikes_are_noise(own: int, mean: float, noise: int) -> None:
    real, false = sizes_of(own, mean, noise, seed=1)
    found = mixture_of(np.concatenate([real, false]), 4.0, 5.6)
    assert found.own == pytest.approx(own, rel=0.2)
    assert found.noise == pytest.approx(noise, abs=0.1 * own)
    assert found.mean == pytest.approx(mean, abs=0.3)


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_unit_gets_a_higher_threshold_and_more_accuracy(seed: int) -> None:
    real, false = sizes_of(200, 6.0, 150, seed)
    least = best_least(np.concatenate([real, false]), 4.0, 5.6)

    def accuracy(threshold: float) -> float:
        return float((real >= threshold).sum() / (200 + (false >= threshold).sum()))

    every = [accuracy(threshold) for threshold in np.arange(4.0, 6.0, 0.05)]
    assert 4.2 < least < 5.0
    assert accuracy(least) > accuracy(4.0) + 0.15
    assert accuracy(least) > max(every) - 0.03


def test_a_frequent_unit_keeps_all_of_its_spikes() -> None:
    real, false = sizes_of(2000, 5.5, 40, seed=2)
    assert best_least(np.concatenate([real, false]), 4.0, 5.5) == 4.0


def test_too_few_spikes_or_a_clear_unit_stay_as_they_are() -> None:
    assert best_least(np.empty(0), 4.0, 5.0) == 4.0
    assert best_least(np.full(20, 4.1), 4.0, 5.0) == 4.0
    assert best_least(np.full(500, 7.5), 7.0, 10.0) == 7.0
