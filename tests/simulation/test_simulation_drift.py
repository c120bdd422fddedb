"""Where simulated tissue is."""

from __future__ import annotations

import numpy as np

from ranvier.models.simulation import SimulationSpec
from ranvier.simulation.drift import Drift
from ranvier.simulation.rng import Purpose, generator
from ranvier.simulation.units import Population


def test_a_ramp_goes_there_and_back() -> None:
    drift = Drift(SimulationSpec(duration_sec=10.0, drift_um=20.0))
    np.testing.assert_allclose(drift.fraction(np.array([0.0, 5.0, 10.0, 15.0, 20.0])), [0, 0.5, 1, 0.5, 0])


def test_a_walk_uses_its_range_and_stays_in_it() -> None:
    spec = SimulationSpec(seed=3, duration_sec=300.0, drift_um=80.0, drift_path="walk")
    at = Drift(spec).fraction(np.arange(0, 300.0, 0.1))
    assert at.min() >= 0
    assert at.max() <= 1
    assert np.ptp(at) > 0.7
    assert np.abs(np.diff(at)).max() * 80 < 2.0  # um per 0.1 s: tissue does not jump
    again = Drift(spec).fraction(np.array([123.4]))
    np.testing.assert_array_equal(again, Drift(spec).fraction(np.array([7.0, 123.4]))[1:])
    other = Drift(spec.model_copy(update={"seed": 4})).fraction(np.arange(0, 300.0, 0.1))
    assert np.abs(other - at).max() > 0.1


def test_templates_follow_the_walk_in_small_steps() -> None:
    places = np.column_stack((np.zeros(32), np.arange(32) * 25.0, np.zeros(32)))
    spec = SimulationSpec(num_units=4, duration_sec=100.0, start_sec=0.0, drift_um=80.0, drift_path="walk", fs=30_000)
    templates = Population(spec, places).templates
    assert templates.drift_steps == 41
    steps = templates.drift_step(np.arange(0, 3_000_000, 3000))
    assert steps.min() >= 0
    assert steps.max() < 41
    assert np.ptp(steps) > 25


def test_places_of_units_keep_to_the_spec() -> None:
    places = np.column_stack((np.zeros(16), np.arange(16) * 100.0, np.zeros(16)))
    spec = SimulationSpec(num_units=12, unit_depth_um=(70.0, 130.0), unit_spread_um=40.0, pair_distance_um=10.0)
    units = Population(spec, places).units
    assert all(70 <= u.position_um[2] <= 130 for u in units)
    for a, b in zip(units[::2], units[1::2], strict=True):
        assert max(abs(a.position_um[i] - b.position_um[i]) for i in (0, 1)) <= 10
    assert generator(1, Purpose.DRIFT).random() != generator(1, Purpose.TTL).random()
