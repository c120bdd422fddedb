"""From stimulation parameters to what is played: checked, rounded to samples and steps, within the limits.

Ranges and relations of the parameters are those of the stimulators that the parameters come from (Intan RHS, in the RHX
software; see the guide *Stimulation*).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from operator import index

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import CapabilityError, ConfigurationError
from ranvier.models.rig import SafetyLimits
from ranvier.models.signals import SignalType
from ranvier.models.stim import (
    StimParams,
    StimPolarity,
    StimPulseMode,
    StimShape,
    StimStep,
    StimTriggerEdgeOrLevel,
    StimTriggerHighOrLow,
)
from ranvier.recordings.channels import Channel, ChannelTable
from ranvier.rig.safety import Phase, Verdict, check_pulse
from ranvier.rig.source import SourceInfo

#: Current of one step in uA. MIN and MAX are taken for the smallest and the largest size that has a figure.
STEP_UA: Mapping[StimStep, float] = {
    StimStep.STIM_STEP_SIZE_MIN: 0.01,
    StimStep.STIM_STEP_SIZE_10_NA: 0.01,
    StimStep.STIM_STEP_SIZE_20_NA: 0.02,
    StimStep.STIM_STEP_SIZE_50_NA: 0.05,
    StimStep.STIM_STEP_SIZE_100_NA: 0.1,
    StimStep.STIM_STEP_SIZE_200_NA: 0.2,
    StimStep.STIM_STEP_SIZE_500_NA: 0.5,
    StimStep.STIM_STEP_SIZE_1_UA: 1.0,
    StimStep.STIM_STEP_SIZE_2_UA: 2.0,
    StimStep.STIM_STEP_SIZE_5_UA: 5.0,
    StimStep.STIM_STEP_SIZE_10_UA: 10.0,
    StimStep.STIM_STEP_SIZE_MAX: 10.0,
}
DEFAULT_STEP = StimStep.STIM_STEP_SIZE_100_NA

#: A stimulator's converter has 8 bits for the magnitude.
MAX_STEPS = 255

#: Analog inputs (V) are high above the middle of 3.3 V logic.
ANALOG_HIGH_V = 1.65

#: Largest values, in us unless the name says otherwise.
_LARGEST: Mapping[str, float] = {
    "first_phase_duration": 5_000,
    "second_phase_duration": 5_000,
    "interphase_delay": 5_000,
    "post_trigger_delay": 500_000,
    "pulse_train_period": 1_000_000,
    "refractory_period": 1_000_000,
    "pre_stim_amp_settle": 500_000,
    "post_stim_amp_settle": 500_000,
    "post_stim_charge_recov_on": 1_000_000,
    "post_stim_charge_recov_off": 1_000_000,
}
_MAX_PULSES = 256

# How far (in samples) a duration may be off the sampling grid: users write 66.67 for two thirds of 100.
_GRID_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class StimTrigger:
    """What starts stimulation.

    Attributes
    ----------
    key
        1-8, or None where an input triggers.
    column
        Column of the input in the source's blocks; None for a key.
    high_above
        The input is high from this value on, in its physical unit.
    """

    key: int | None
    column: int | None
    level: bool
    active_high: bool
    high_above: float = 0.5


@dataclass(frozen=True, slots=True)
class StimPlan:
    """What one channel plays on each trigger; all times in samples.

    Attributes
    ----------
    waveform_ua
        One pulse.
    period
        From pulse to pulse of a train.
    verdict
        Charge, limit and notes of the pulse.
    notes
        What was rounded or is ignored.
    """

    channel: Channel
    waveform_ua: npt.NDArray[np.float64]
    num_pulses: int
    period: int
    delay: int
    refractory: int
    settle: tuple[int, int]
    trigger: StimTrigger
    verdict: Verdict
    notes: tuple[str, ...]

    @property
    def num_samples(self) -> int:
        """From the first sample of the first pulse to the last of the last, without settling."""
        return (self.num_pulses - 1) * self.period + len(self.waveform_ua)


def plan_stimulation(
    params: StimParams, *, channels: ChannelTable, fs: Fraction, info: SourceInfo, limits: SafetyLimits, step: StimStep
) -> StimPlan:
    """Return what is played; ConfigurationError (CapabilityError) says what is wrong, the limit, and what to do.

    Amplitudes are rounded to steps of the current; phases, delay between them and train period must be whole samples
    (to 1 % of one); other times are rounded up to the next sample. The safety limits are applied to the result.
    """
    if "stim" not in info.capabilities:
        raise CapabilityError(f"{info.name} cannot stimulate; modes with stimulation can")
    channel = _stim_channel(params.stim_sys_chan_idx, channels)
    name = f"channel {channel.name} (SYS {channel.sys})"
    _check_ranges(params, name)
    notes: list[str] = []
    shape = _Shape(params, fs, STEP_UA[step], name, notes)
    verdict = check_pulse(
        shape.phases,
        area_um2=channel.site.area_um2 if channel.site is not None else None,
        max_ua=info.max_stim_ua,
        limits=limits,
        channel=name,
    )
    train = params.pulse_or_train == StimPulseMode.PULSE_TRAIN
    num_pulses = params.number_of_stim_pulses if train else 1
    period = shape.samples("pulse_train_period", params.pulse_train_period) if num_pulses > 1 else 0
    _check_relations(params, shape.waveform, period, num_pulses, fs, name)
    settle = (params.pre_stim_amp_settle, params.post_stim_amp_settle) if params.enable_amp_settle else (0.0, 0.0)
    return StimPlan(
        channel=channel,
        waveform_ua=shape.waveform,
        num_pulses=num_pulses,
        period=period,
        delay=_up(params.post_trigger_delay, fs),
        refractory=_up(params.refractory_period, fs),
        settle=(_up(settle[0], fs), _settle_after(params, _up(settle[1], fs), period, len(shape.waveform))),
        trigger=_trigger(params, channels, name),
        verdict=verdict,
        notes=tuple(notes),
    )


class _Shape:
    """One pulse on the grid of samples and current steps."""

    def __init__(self, params: StimParams, fs: Fraction, step_ua: float, name: str, notes: list[str]) -> None:
        self._fs, self._step_ua, self._name, self._notes = fs, step_ua, name, notes
        sign = -1.0 if params.stim_polarity == StimPolarity.CATHODIC_FIRST else 1.0
        first = (
            sign * self.amplitude("first_phase_amplitude", params.first_phase_amplitude),
            self.samples("first_phase_duration", params.first_phase_duration),
        )
        pieces = [first]
        if params.stim_shape != StimShape.MONOPHASIC:
            if params.stim_shape == StimShape.BIPHASIC_INTERPHASE_DELAY:
                pieces.append((0.0, self.samples("interphase_delay", params.interphase_delay, zero=True)))
            elif params.interphase_delay:
                notes.append(f"{name}: interphase_delay is not used by the shape {params.stim_shape.name}")
            pieces.append(
                (
                    -sign * self.amplitude("second_phase_amplitude", params.second_phase_amplitude),
                    self.samples("second_phase_duration", params.second_phase_duration),
                )
            )
        if params.stim_shape == StimShape.TRIPHASIC:
            pieces.append(first)
        self.phases = [Phase(ua, float(n * 1_000_000 / fs)) for ua, n in pieces if n]
        self.waveform = np.concatenate([np.full(n, ua) for ua, n in pieces])
        self.waveform.flags.writeable = False

    def amplitude(self, field: str, ua: float) -> float:
        steps = ua / self._step_ua
        if steps > MAX_STEPS + 0.5:
            raise ConfigurationError(
                f"{self._name}: {field} {ua:g} uA is beyond the range of {MAX_STEPS} steps of {self._step_ua:g} uA; "
                "set_stim_step() with a larger step reaches it"
            )
        rounded = min(round(steps), MAX_STEPS) * self._step_ua
        if ua and not rounded:
            raise ConfigurationError(
                f"{self._name}: {field} {ua:g} uA is less than half a step of {self._step_ua:g} uA; "
                "set_stim_step() with a smaller step resolves it"
            )
        if not math.isclose(rounded, ua, rel_tol=1e-9, abs_tol=1e-12):
            self._notes.append(
                f"{self._name}: {field} {ua:g} uA is played as {rounded:g} uA (steps of {self._step_ua:g} uA)"
            )
        return rounded

    def samples(self, field: str, us: float, *, zero: bool = False) -> int:
        exact = us * float(self._fs) / 1e6
        n = round(exact)
        if abs(exact - n) <= _GRID_TOLERANCE and (n > 0 or (zero and us == 0)):
            return n
        near = sorted({max(math.floor(exact), 0 if zero else 1), max(math.ceil(exact), 1)})
        raise ConfigurationError(
            f"{self._name}: {field} {us:g} us is {exact:.4g} samples at {float(self._fs):g} Hz; whole samples are "
            + " or ".join(f"{float(k * 1_000_000 / self._fs):.6g} us" for k in near)
        )


def _stim_channel(sys_idx: int, channels: ChannelTable) -> Channel:
    found = [c for c in channels if c.sys == index(sys_idx)]
    if not found:
        last = max((c.sys for c in channels), default=-1)
        raise ConfigurationError(f"no channel has the system (SYS) index {sys_idx}; this source has 0-{last}")
    if found[0].type != SignalType.AMP:
        raise ConfigurationError(
            f"channel {found[0].name} (SYS {sys_idx}) is of type {found[0].type.name}; only amplifier channels "
            f"stimulate (SYS 0-{channels.count(SignalType.AMP) - 1})"
        )
    return found[0]


def _trigger(params: StimParams, channels: ChannelTable, name: str) -> StimTrigger:
    source = index(params.trigger_source_idx)
    level = params.trigger_edge_or_level == StimTriggerEdgeOrLevel.LEVEL
    high = params.trigger_high_or_low == StimTriggerHighOrLow.HIGH
    if params.trigger_source_is_keypress:
        if not 1 <= source <= 8:
            raise ConfigurationError(f"{name}: trigger_source_idx {source} is no key; keys are 1-8")
        return StimTrigger(source, None, level, high)
    for column, channel in enumerate(channels):
        if channel.sys == source and channel.type in (SignalType.AIN, SignalType.DIN):
            threshold = ANALOG_HIGH_V if channel.type == SignalType.AIN else 0.5
            return StimTrigger(None, column, level, high, threshold)
    inputs = [c.sys for c in channels if c.type in (SignalType.AIN, SignalType.DIN)]
    offered = f"SYS {min(inputs)}-{max(inputs)}" if inputs else "this source has none"
    raise ConfigurationError(
        f"{name}: trigger_source_idx {source} is no analog or digital input ({offered}); for a key set "
        "trigger_source_is_keypress=True"
    )


def _check_ranges(params: StimParams, name: str) -> None:
    for field, largest in _LARGEST.items():
        value = getattr(params, field)
        if not 0 <= value <= largest:  # NaN is not either
            raise ConfigurationError(f"{name}: {field} {value:g} us is outside 0-{largest:g} us")
    for field in ("first_phase_amplitude", "second_phase_amplitude"):
        value = getattr(params, field)
        if not (math.isfinite(value) and value >= 0):
            raise ConfigurationError(
                f"{name}: {field} {value:g} uA is not a magnitude; the sign comes from stim_polarity, so give it from 0"
            )
    if not params.first_phase_amplitude:
        raise ConfigurationError(f"{name}: first_phase_amplitude is 0; a pulse needs a current")
    if not 1 <= params.number_of_stim_pulses <= _MAX_PULSES:
        raise ConfigurationError(
            f"{name}: number_of_stim_pulses {params.number_of_stim_pulses} is outside 1-{_MAX_PULSES}"
        )


def _check_relations(
    params: StimParams,
    waveform: npt.NDArray[np.float64],
    period: int,
    num_pulses: int,
    fs: Fraction,
    name: str,
) -> None:
    pulse_us = float(len(waveform) * 1_000_000 / fs)
    rules = [
        (
            num_pulses > 1 and period < len(waveform),
            f"pulse_train_period {params.pulse_train_period:g} us is shorter than the pulse ({pulse_us:g} us)",
        )
    ]
    if params.enable_amp_settle:
        rules += [
            (
                params.post_trigger_delay < params.pre_stim_amp_settle,
                f"post_trigger_delay {params.post_trigger_delay:g} us is shorter than pre_stim_amp_settle "
                f"{params.pre_stim_amp_settle:g} us",
            ),
            (
                params.refractory_period < params.post_stim_amp_settle,
                f"refractory_period {params.refractory_period:g} us is shorter than post_stim_amp_settle "
                f"{params.post_stim_amp_settle:g} us",
            ),
        ]
    if params.enable_charge_recovery:
        on, off = params.post_stim_charge_recov_on, params.post_stim_charge_recov_off
        rules += [
            (off < on, f"post_stim_charge_recov_off {off:g} us comes before post_stim_charge_recov_on {on:g} us"),
            (
                params.refractory_period < off,
                f"refractory_period {params.refractory_period:g} us is shorter than post_stim_charge_recov_off "
                f"{off:g} us",
            ),
        ]
    broken = [text for is_broken, text in rules if is_broken]
    if broken:
        raise ConfigurationError(f"{name}: " + "; ".join(broken))


def _settle_after(params: StimParams, post: int, period: int, pulse: int) -> int:
    """Return for how long to settle behind one pulse: until the next one where settling lasts through the train."""
    return max(post, period - pulse) if params.maintain_amp_settle and params.enable_amp_settle and period else post


def _up(us: float, fs: Fraction) -> int:
    return math.ceil(us * float(fs) / 1e6 - _GRID_TOLERANCE)
