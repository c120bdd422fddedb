"""Motion of simulated tissue is found again; templates move with it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from ranvier.exceptions import ConfigurationError
from ranvier.sorting.motion import Motion, MotionParameters, estimate_motion
from ranvier.sorting.moving import Kriging, can_move

F64 = npt.NDArray[np.float64]
DURATION_SEC = 180.0


def zigzag(time_sec: F64) -> F64:
    """Return a course of +-20 um with a period of 100 s."""
    return np.asarray(20.0 * (2.0 / np.pi) * np.arcsin(np.sin(2 * np.pi * time_sec / 100.0)))


def spikes(seed: int, course: F64, *, units: int = 40, rate_hz: float = 5.0) -> tuple[F64, F64, F64]:
    """Return times, depths (3 um of localisation error) and amplitudes of units that move along a course."""
    random = np.random.default_rng(seed)
    count = random.poisson(rate_hz * DURATION_SEC * units)
    time = np.sort(random.uniform(0.0, DURATION_SEC, count))
    unit = random.integers(0, units, count)
    depth = random.uniform(0.0, 600.0, units)[unit] + np.interp(time, np.linspace(0, DURATION_SEC, len(course)), course)
    size = random.uniform(50.0, 300.0, units)[unit] * (1 + 0.1 * random.standard_normal(count))
    return time, depth + 3.0 * random.standard_normal(count), size


@pytest.mark.parametrize("seed", range(4))
def test_a_zigzag_is_found_within_two_micrometres(seed: int) -> None:
    true = zigzag(np.linspace(0, DURATION_SEC, 1000))
    motion = estimate_motion(*spikes(seed, true), DURATION_SEC)
    wanted = zigzag(motion.time_sec)
    error = motion.shift_um - wanted
    error -= np.median(error)
    assert np.sqrt(np.mean(error**2)) < 1.5
    assert motion.range_um == pytest.approx(np.ptp(wanted), rel=0.1)
    assert motion.likeness.min() > 0.4


def test_an_abrupt_step_keeps_its_edge() -> None:
    step = np.where(np.linspace(0, 1, 2000) < 0.5, 0.0, 35.0)
    motion = estimate_motion(*spikes(9, step), DURATION_SEC)
    before, after = motion.at(np.array([80.0])), motion.at(np.array([100.0]))
    assert float(after[0] - before[0]) == pytest.approx(35.0, abs=3.0)


def test_tissue_that_stands_still_is_said_to_stand_still() -> None:
    motion = estimate_motion(*spikes(3, np.zeros(2)), DURATION_SEC)
    assert motion.range_um < 3.0


@pytest.mark.parametrize("units", [10, 40])
def test_units_that_come_and_go_are_no_motion(units: int) -> None:
    random = np.random.default_rng(units)
    parts = []
    for u in range(units):
        time, depth, size = spikes(100 + u, np.zeros(2), units=1, rate_hz=10.0)
        period, phase = random.uniform(20.0, 200.0), random.uniform(0.0, 6.3)
        awake = random.random(len(time)) < np.clip(0.5 + 0.8 * np.sin(2 * np.pi * time / period + phase), 0.0, 1.0)
        parts.append(np.stack([time, depth, size])[:, awake])
    time, depth, size = np.concatenate(parts, axis=1)
    assert estimate_motion(time, depth, size, DURATION_SEC).range_um < 5.0


def test_a_silent_stretch_follows_its_neighbours() -> None:
    time, depth, size = spikes(5, np.linspace(0.0, 30.0, 100))
    awake = (time < 60) | (time > 80)
    motion = estimate_motion(time[awake], depth[awake], size[awake], DURATION_SEC)
    assert float(motion.at(np.array([70.0]))[0] - motion.at(np.array([0.0]))[0]) == pytest.approx(70 / 6, abs=3.0)


def test_nothing_to_see_is_no_motion() -> None:
    nothing = np.empty(0)
    for motion in (estimate_motion(nothing, nothing, nothing, 60.0), estimate_motion(*spikes(1, np.zeros(2)), 0.5)):
        assert motion.range_um == 0.0
    assert Motion(nothing, nothing, nothing).at(np.array([1.0])).tolist() == [0.0]
    with pytest.raises(ConfigurationError, match="bin_sec"):
        MotionParameters(bin_sec=0.0)


def probe() -> F64:
    """Return two staggered columns of 32 sites, 23 um apart."""
    rows = np.arange(32) * 23.0
    return np.concatenate([np.stack([0 * rows, rows], 1), np.stack([30 + 0 * rows, rows + 11.5], 1)])


def field(positions: F64, depth: float) -> F64:
    """Return what sites see of a source 25 um beside the probe."""
    apart = np.hypot(positions[:, 0] - 12.0, positions[:, 1] - depth)
    return np.asarray(100.0 / np.sqrt(1.0 + (apart / 25.0) ** 2) ** 3)


@pytest.mark.parametrize("shift_um", [-20.0, -7.0, 3.0, 12.0, 20.0])
def test_a_moved_field_is_the_field_of_the_moved_source(shift_um: float) -> None:
    positions = probe()
    moved = field(positions, 350.0) @ Kriging(positions).moved(shift_um).T
    wanted = field(positions, 350.0 + shift_um)
    still = np.linalg.norm(field(positions, 350.0) - wanted)
    assert np.linalg.norm(moved - wanted) < 0.12 * np.linalg.norm(wanted)
    assert np.linalg.norm(moved - wanted) < 0.5 * still


def test_no_shift_changes_next_to_nothing() -> None:
    values = field(probe(), 300.0)
    np.testing.assert_allclose(values @ Kriging(probe()).moved(0.0).T, values, atol=1.5)


def test_sparse_sites_cannot_move() -> None:
    assert can_move(probe())
    assert not can_move(probe() * 6.0)
    assert not can_move(probe()[:3])
    assert not can_move(np.array([[0.0, 0.0], [25.0, 0.0], [0.0, 25.0], [25.0, 25.0]]))  # a tetrode
