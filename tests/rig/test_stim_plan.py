"""From stimulation parameters to samples."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from outputs_fake import AMP, FIRST_AIN, FIRST_DIN, FIRST_DOUT, FakeSource, biphasic

from ranvier.exceptions import CapabilityError, ConfigurationError, RadiensError
from ranvier.models.rig import SafetyLimits
from ranvier.models.stim import StimParams, StimPolarity, StimShape, StimStep
from ranvier.rig.stim import STEP_UA, StimPlan, plan_stimulation


def plan(params: StimParams, *, fs: int = 30_000, step: StimStep = StimStep.STIM_STEP_SIZE_100_NA) -> StimPlan:
    source = FakeSource(fs)
    return plan_stimulation(
        params, channels=source.channels, fs=Fraction(fs), info=source.info, limits=SafetyLimits(), step=step
    )


def test_a_biphasic_pulse_on_the_grid() -> None:
    made = plan(biphasic(ua=10, us=200))
    np.testing.assert_allclose(made.waveform_ua, [-10] * 6 + [10] * 6)
    assert (made.num_pulses, made.period, made.delay, made.settle) == (1, 0, 0, (0, 0))
    assert made.verdict.charge_nc == pytest.approx(2.0)
    assert made.notes == ()
    assert plan(biphasic(stim_polarity=StimPolarity.ANODIC_FIRST)).waveform_ua[0] > 0


def test_the_shapes() -> None:
    delayed = plan(biphasic(ua=10, us=100, stim_shape=StimShape.BIPHASIC_INTERPHASE_DELAY, interphase_delay=100))
    np.testing.assert_allclose(delayed.waveform_ua, [-10] * 3 + [0] * 3 + [10] * 3)
    triphasic = plan(biphasic(ua=5, us=100, stim_shape=StimShape.TRIPHASIC, second_phase_amplitude=10))
    np.testing.assert_allclose(triphasic.waveform_ua, [-5] * 3 + [10] * 3 + [-5] * 3)
    ignored = plan(biphasic(ua=10, us=100, interphase_delay=100))
    assert len(ignored.waveform_ua) == 6
    assert "interphase_delay is not used" in ignored.notes[0]
    with pytest.raises(ConfigurationError, match="behind"):
        plan(biphasic(stim_shape=StimShape.MONOPHASIC))


def test_the_documented_defaults_are_not_balanced_and_so_refused() -> None:
    with pytest.raises(ConfigurationError, match="give the second phase the charge"):
        plan(StimParams(stim_sys_chan_idx=0, trigger_source_idx=1, trigger_source_is_keypress=True))


@pytest.mark.parametrize(("us", "samples"), [(33.333, 1), (66.67, 2), (100, 3), (1000, 30)])
def test_durations_that_are_whole_samples(us: float, samples: int) -> None:
    assert len(plan(biphasic(ua=1, us=us)).waveform_ua) == 2 * samples


@pytest.mark.parametrize(
    ("us", "fs", "told"), [(50, 30_000, "33.3333 us or 66.6667 us"), (10, 30_000, "33.3333 us"), (30, 20_000, "50 us")]
)
def test_durations_between_samples_are_refused_with_what_is_possible(us: float, fs: int, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        plan(biphasic(ua=1, us=us), fs=fs)


def test_the_played_duration_is_what_the_limits_see() -> None:
    # 133.335 us are played as 4 samples (133.333 us): 4 nC / 133.333 us = 30.0 uA
    plan(biphasic(ua=30.0, us=133.335), step=StimStep.STIM_STEP_SIZE_200_NA)
    with pytest.raises(ConfigurationError, match="nC per phase exceed"):
        plan(biphasic(ua=30.2, us=133.335), step=StimStep.STIM_STEP_SIZE_200_NA)


def test_amplitudes_are_rounded_to_steps_and_that_is_told() -> None:
    made = plan(biphasic(ua=10.3, us=100), step=StimStep.STIM_STEP_SIZE_500_NA)
    assert made.waveform_ua[0] == pytest.approx(-10.5)
    assert "10.3 uA is played as 10.5 uA" in made.notes[0]
    with pytest.raises(ConfigurationError, match=r"255 steps of 0\.1 uA"):
        plan(biphasic(ua=25.6, us=100))
    with pytest.raises(ConfigurationError, match="half a step"):
        plan(biphasic(ua=0.04, us=100))


def test_rounding_cannot_break_the_balance_unseen() -> None:
    params = biphasic(ua=10.2, us=100, second_phase_amplitude=5.1, second_phase_duration=200)
    plan(params)
    with pytest.raises(ConfigurationError, match="behind"):  # 10 and 5 x 2 would do, but 10.2 -> 10, 5.1 -> 6
        plan(params.model_copy(update={"second_phase_amplitude": 5.2}), step=StimStep.STIM_STEP_SIZE_2_UA)


def test_steps_grow() -> None:
    figures = [STEP_UA[step] for step in StimStep]
    assert figures == sorted(figures)


def test_trains() -> None:
    train = {"pulse_or_train": 1, "number_of_stim_pulses": 5, "pulse_train_period": 1000}
    made = plan(biphasic(**train))
    assert (made.num_pulses, made.period, made.num_samples) == (5, 30, 4 * 30 + 12)
    with pytest.raises(ConfigurationError, match=r"pulse_train_period 300 us is shorter than the pulse \(400 us\)"):
        plan(biphasic(**{**train, "pulse_train_period": 300}))
    with pytest.raises(ConfigurationError, match="whole samples"):
        plan(biphasic(**{**train, "pulse_train_period": 1010}))
    assert plan(biphasic(number_of_stim_pulses=5)).num_pulses == 1  # a single pulse is meant


def test_times_around_the_pulse_are_rounded_up() -> None:
    made = plan(biphasic(post_trigger_delay=1001, refractory_period=5010))
    assert (made.delay, made.refractory) == (31, 151)


def test_settling() -> None:
    settle = {"enable_amp_settle": True, "pre_stim_amp_settle": 200, "post_stim_amp_settle": 1000}
    made = plan(biphasic(**settle, post_trigger_delay=200, refractory_period=1000))
    assert made.settle == (6, 30)
    assert plan(biphasic(**{**settle, "enable_amp_settle": False})).settle == (0, 0)
    with pytest.raises(ConfigurationError, match="post_trigger_delay 0 us is shorter than pre_stim_amp_settle"):
        plan(biphasic(**settle, refractory_period=1000))
    with pytest.raises(ConfigurationError, match="refractory_period 0 us is shorter than post_stim_amp_settle"):
        plan(biphasic(**settle, post_trigger_delay=200))
    train = {"pulse_or_train": 1, "number_of_stim_pulses": 2, "pulse_train_period": 10_000}
    kept = plan(biphasic(**settle, **train, maintain_amp_settle=True, post_trigger_delay=200, refractory_period=1000))
    assert kept.settle == (6, 288)


def test_charge_recovery_times() -> None:
    recover = {"enable_charge_recovery": True, "post_stim_charge_recov_on": 100, "post_stim_charge_recov_off": 500}
    plan(biphasic(**recover, refractory_period=500))
    with pytest.raises(ConfigurationError, match="shorter than post_stim_charge_recov_off"):
        plan(biphasic(**recover))
    with pytest.raises(ConfigurationError, match="comes before"):
        plan(biphasic(**{**recover, "post_stim_charge_recov_off": 50}, refractory_period=500))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"stim_sys_chan_idx": 99}, "SYS"),
        ({"stim_sys_chan_idx": -1}, "SYS"),
        ({"stim_sys_chan_idx": FIRST_DIN}, "only amplifier channels"),
        ({"trigger_source_idx": 0, "trigger_source_is_keypress": True}, "keys are 1-8"),
        ({"trigger_source_idx": 9, "trigger_source_is_keypress": True}, "keys are 1-8"),
        ({"trigger_source_idx": 0, "trigger_source_is_keypress": False}, f"SYS {AMP}-{FIRST_DOUT - 1}"),
        ({"trigger_source_idx": FIRST_DOUT, "trigger_source_is_keypress": False}, "no analog or digital input"),
        ({"number_of_stim_pulses": 0}, "1-256"),
        ({"number_of_stim_pulses": 257}, "1-256"),
        ({"first_phase_duration": 5001}, "0-5000"),
        ({"first_phase_duration": 0}, "whole samples"),
        ({"first_phase_amplitude": 0}, "needs a current"),
        ({"first_phase_amplitude": -5}, "not a magnitude"),
        ({"refractory_period": -1}, "outside"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        plan(biphasic(ua=1, us=100).model_copy(update=changes))


def test_no_field_may_be_nan() -> None:
    fields = [name for name, value in biphasic().model_dump().items() if isinstance(value, float)]
    assert len(fields) > 10
    for name in fields:
        if name != "baseline_voltage":  # of analog outputs
            with pytest.raises(RadiensError):
                plan(
                    biphasic(pulse_or_train=1, number_of_stim_pulses=2, pulse_train_period=1e4).model_copy(
                        update={name: math.nan}
                    )
                )


def test_inputs_trigger_by_their_columns() -> None:
    analog = plan(biphasic(trigger_source_idx=FIRST_AIN + 1, trigger_source_is_keypress=False))
    assert (analog.trigger.key, analog.trigger.column, analog.trigger.high_above) == (None, FIRST_AIN + 1, 1.65)
    digital = plan(biphasic(trigger_source_idx=FIRST_DIN, trigger_source_is_keypress=False, trigger_high_or_low=1))
    assert (digital.trigger.column, digital.trigger.active_high, digital.trigger.high_above) == (FIRST_DIN, False, 0.5)


def test_sources_that_cannot_stimulate_say_so() -> None:
    source = FakeSource()
    from dataclasses import replace

    with pytest.raises(CapabilityError, match="cannot stimulate"):
        plan_stimulation(
            biphasic(),
            channels=source.channels,
            fs=source.fs,
            info=replace(source.info, capabilities=frozenset()),
            limits=SafetyLimits(),
            step=StimStep.STIM_STEP_SIZE_100_NA,
        )
