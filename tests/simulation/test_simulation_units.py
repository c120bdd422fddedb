from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ranvier.exceptions import ConfigurationError
from ranvier.simulation import SimulatedRecording, SimulationSpec
from ranvier.simulation.templates import Waveform
from ranvier.simulation.units import Population

LINE_UM = np.array([(0.0, 25.0 * i, 0.0) for i in range(16)])


def population(**settings: object) -> Population:
    return Population(SimulationSpec(probe="a1x16_5mm25_177", **settings), LINE_UM)


def test_rates_are_the_declared_ones() -> None:
    made = population(num_units=12, rate_hz=(2.0, 40.0))
    seconds = 300
    spikes = made.spikes(0, seconds * 30000)
    counted = np.bincount(spikes.unit, minlength=12) / seconds
    declared = np.array([u.rate_hz for u in made.units])
    # bursts and refractoriness change the variance of a count; five standard deviations of a bursting train
    assert np.all(np.abs(counted - declared) < 5 * np.sqrt(1.5 * declared / seconds))
    assert declared.min() >= 2
    assert declared.max() <= 40


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_no_interval_is_refractory(overlap: float) -> None:
    made = population(num_units=8, rate_hz=(30.0, 120.0), refractory_ms=3.0, overlap_fraction=overlap)
    spikes = made.spikes(0, 60 * 30000)
    for unit in range(8):
        intervals = np.diff(spikes.counter[spikes.unit == unit])
        assert len(intervals) > 500
        assert intervals.min() >= 90


def test_bursts_are_short_intervals_of_falling_amplitude() -> None:
    made = population(num_units=1, rate_hz=(5.0, 5.0), burst_fraction=0.5, amplitude_jitter=0.0)
    spikes = made.spikes(0, 400 * 30000)
    short = np.diff(spikes.counter) <= 30 * (2 + 4)
    assert 0.45 < short.mean() < 0.6
    amplitude = spikes.amplitude
    # all but the few pauses that happen to be short
    assert np.mean(amplitude[1:][short] < amplitude[:-1][short]) > 0.95
    assert amplitude.max() == 1
    none = population(num_units=1, rate_hz=(5.0, 5.0), burst_fraction=0.0).spikes(0, 400 * 30000)
    assert (np.diff(none.counter) <= 180).mean() < 0.06


def test_forced_overlaps_come_on_top_of_chance() -> None:
    def near(overlap: float) -> float:
        spikes = population(num_units=2, rate_hz=(8.0, 8.0), overlap_fraction=overlap).spikes(0, 200 * 30000)
        first, second = (spikes.counter[spikes.unit == u] for u in (0, 1))
        gap = np.abs(first[:, None] - second[None]).min(axis=1)
        return float((gap <= 13).mean())

    assert near(0.0) < 0.03
    assert 0.35 < near(0.4) < 0.47


@settings(max_examples=40, deadline=None)
@given(
    start=st.integers(0, 10**7),
    length=st.integers(1, 10**5),
    cuts=st.lists(st.floats(0, 1), max_size=5),
    seed=st.integers(0, 2**62),
)
def test_spike_trains_do_not_depend_on_how_they_are_asked_for(
    start: int, length: int, cuts: list[float], seed: int
) -> None:
    spec = {"num_units": 3, "rate_hz": (20.0, 90.0), "overlap_fraction": 0.2, "seed": seed}
    whole = population(**spec).spikes(start, start + length)
    edges = [start, *sorted(start + int(c * length) for c in cuts), start + length]
    made = population(**spec)
    parts = [made.spikes(a, b) for a, b in pairwise(edges)]
    for name in ("counter", "unit", "amplitude", "phase"):
        np.testing.assert_array_equal(np.concatenate([getattr(p, name) for p in parts]), getattr(whole, name))
    assert np.all(np.diff(whole.counter) >= 0)


def test_waveforms_have_their_trough_at_time_zero() -> None:
    rng = np.random.default_rng(1)
    ms = np.linspace(-1, 2, 30001)
    for _ in range(20):
        shape = Waveform.draw(rng).at(ms)
        assert abs(ms[np.argmin(shape)]) < 1e-3
        assert abs(shape.min() + 1) < 1e-5
        assert 0.1 < shape[ms > 0.2].max() < 0.6
        assert abs(shape[0]) < 0.02


def test_templates_peak_where_they_say_and_decay_with_distance(quiet: SimulatedRecording) -> None:
    places = np.array([(c.site.x_um, c.site.y_um, 0) for c in quiet.channels if c.site])
    for unit in quiet.units:
        template = quiet.template_uv(unit.id)
        row, channel = np.unravel_index(np.argmin(template), template.shape)
        assert (row, channel) == (quiet.template_before, unit.peak_ntv)
        assert template.min() == pytest.approx(-unit.amplitude_uv, rel=1e-3)
        assert 60 <= unit.amplitude_uv <= 300
        distance = np.linalg.norm(places - unit.position_um, axis=1)
        assert np.argmin(distance) == unit.peak_ntv
        trough = -template.min(axis=0)
        order = np.argsort(distance)
        assert np.all(np.diff(trough[order]) < 1e-3 * unit.amplitude_uv)
        assert trough[order[-1]] < 0.05 * unit.amplitude_uv


def test_units_keep_away_from_channels_that_record_nothing() -> None:
    broken = tuple(range(0, 16, 2))
    made = population(num_units=40, dead_channels=broken[:4], saturated_channels=broken[4:])
    assert {u.peak_ntv for u in made.units} <= set(range(1, 16, 2))
    with pytest.raises(ConfigurationError, match="no channel is left"):
        population(dead_channels=tuple(range(16)))


def test_drift_moves_the_peak_channel_to_and_fro() -> None:
    recording = SimulatedRecording(
        SimulationSpec(probe="a1x16_5mm25_177", num_units=4, drift_um=60.0, duration_sec=10.0, rate_hz=(20.0, 30.0))
    )
    height = np.array([c.site.y_um for c in recording.channels if c.site])
    inner = [u for u in recording.units if 50 < u.position_um[1] < 300]
    assert inner
    for unit in inner:
        truth = recording.ground_truth()
        site = height[truth.site[truth.unit == unit.id]]
        assert site[-1] - site[0] in (50, 75)
        back = recording.ground_truth(recording.stop, recording.stop + 300000)
        # counters after the end belong to no segment
        assert len(back) == 0
    before, after = recording.template_uv(inner[0].id), recording.template_uv(inner[0].id, drift_um=60.0)
    assert height[after.min(axis=0).argmin()] - height[before.min(axis=0).argmin()] in (50, 75)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate_hz": (5.0, 1.0)},
        {"rate_hz": (5.0, 600.0)},
        {"amplitude_uv": (100.0, 50.0)},
        {"mains_hz": 6000.0},
        {"gaps_sec": ((5.0, 6.0),)},
        {"gaps_sec": ((12.0, 13.0), (12.5, 14.0))},
        {"dead_channels": (1,), "noisy_channels": (1,)},
        {"unknown": 1},
        {"noise_uv": -1.0},
        {"duration_sec": float("nan")},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SimulationSpec(**wrong)


def test_settings_survive_json() -> None:
    spec = SimulationSpec(seed=9, gaps_sec=((12.0, 13.0),), dead_channels=(1, 2))
    assert SimulationSpec.model_validate_json(spec.model_dump_json()) == spec
