"""Electrical stimulation. Durations in microseconds; amplitudes in uA on amplifier channels, in V on DAC channels."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

from pydantic import BeforeValidator

from ranvier.exceptions import ConfigurationError
from ranvier.models._base import Model
from ranvier.models._coerce import EnumInput

__all__ = [
    "StimKeypressIndex",
    "StimParams",
    "StimParamsPartial",
    "StimPolarity",
    "StimPulseMode",
    "StimShape",
    "StimStep",
    "StimStepRequest",
    "StimStepState",
    "StimTriggerEdgeOrLevel",
    "StimTriggerHighOrLow",
]


class StimShape(IntEnum):
    """Shape of one pulse."""

    BIPHASIC = 0
    BIPHASIC_INTERPHASE_DELAY = 1
    TRIPHASIC = 2
    MONOPHASIC = 3


class StimPolarity(IntEnum):
    """Sign of the first phase."""

    CATHODIC_FIRST = 0
    ANODIC_FIRST = 1


class StimTriggerEdgeOrLevel(IntEnum):
    """Whether an edge or a level of the trigger starts stimulation."""

    EDGE = 0
    LEVEL = 1


class StimTriggerHighOrLow(IntEnum):
    """Which edge (rising, falling) or level (high, low) of the trigger starts stimulation."""

    HIGH = 0
    LOW = 1


class StimPulseMode(IntEnum):
    """What one trigger gives."""

    SINGLE_PULSE = 0
    PULSE_TRAIN = 1


class StimKeypressIndex(IntEnum):
    """A key that triggers stimulation by hand."""

    KEYPRESS_1 = 1
    KEYPRESS_2 = 2
    KEYPRESS_3 = 3
    KEYPRESS_4 = 4
    KEYPRESS_5 = 5
    KEYPRESS_6 = 6
    KEYPRESS_7 = 7
    KEYPRESS_8 = 8


class StimStep(IntEnum):
    """Step size of the stimulation current, common to all channels of an instrument."""

    STIM_STEP_SIZE_MIN = 0
    STIM_STEP_SIZE_10_NA = 1
    STIM_STEP_SIZE_20_NA = 2
    STIM_STEP_SIZE_50_NA = 3
    STIM_STEP_SIZE_100_NA = 4
    STIM_STEP_SIZE_200_NA = 5
    STIM_STEP_SIZE_500_NA = 6
    STIM_STEP_SIZE_1_UA = 7
    STIM_STEP_SIZE_2_UA = 8
    STIM_STEP_SIZE_5_UA = 9
    STIM_STEP_SIZE_10_UA = 10
    STIM_STEP_SIZE_MAX = 11


coerce_stim_keypress_index = EnumInput(StimKeypressIndex, "a key", ints=True)
coerce_stim_step = EnumInput(StimStep, "a step size", ints=True)
_keypress_name = EnumInput(StimKeypressIndex, "a trigger source")


def _trigger_source(value: object) -> object:
    """Take digits as a number and ``keypress_n`` as a key; pydantic does the rest."""
    if isinstance(value, str) and not value.strip().isdecimal():
        return _keypress_name(value)
    return value


Shape = Annotated[StimShape, EnumInput(StimShape, "a pulse shape").field]
Polarity = Annotated[StimPolarity, EnumInput(StimPolarity, "a polarity").field]
EdgeOrLevel = Annotated[StimTriggerEdgeOrLevel, EnumInput(StimTriggerEdgeOrLevel, "edge or level").field]
HighOrLow = Annotated[StimTriggerHighOrLow, EnumInput(StimTriggerHighOrLow, "high or low").field]
PulseMode = Annotated[StimPulseMode, EnumInput(StimPulseMode, "a pulse mode").field]
TriggerSource = Annotated[int | StimKeypressIndex, BeforeValidator(_trigger_source)]


class StimParams(Model):
    """Stimulation on one channel. Enum fields also take names (any case) and numbers; numbers are not range-checked.

    Attributes
    ----------
    stim_sys_chan_idx
        The channel, system (SYS) index.
    first_phase_duration, second_phase_duration, interphase_delay
        In us.
    first_phase_amplitude, second_phase_amplitude
        In uA on amplifier channels, in V on DAC channels.
    baseline_voltage
        In V, DAC channels.
    post_trigger_delay
        From trigger to first pulse, in us.
    number_of_stim_pulses, pulse_train_period
        Pulses of a train, and us from pulse to pulse.
    refractory_period
        Triggers are ignored for so long after a pulse or train, in us.
    pre_stim_amp_settle, post_stim_amp_settle
        How long before and after a pulse the amplifier is settled, in us.
    maintain_amp_settle, enable_amp_settle, headstage_global_amp_settle
        Whether settling lasts through a train, happens at all, and covers the whole headstage.
    post_stim_charge_recov_on, post_stim_charge_recov_off
        When charge recovery starts and ends after a pulse, in us.
    trigger_source_is_keypress
        Whether ``trigger_source_idx`` is a key.
    trigger_source_idx
        A key (1-8, or :class:`StimKeypressIndex`), else the system (SYS) index of an analog or digital input.
    """

    stim_sys_chan_idx: int
    stim_shape: Shape = StimShape.BIPHASIC
    stim_polarity: Polarity = StimPolarity.CATHODIC_FIRST
    first_phase_duration: float = 100.0
    second_phase_duration: float = 100.0
    interphase_delay: float = 0.0
    first_phase_amplitude: float = 0.1
    second_phase_amplitude: float = 0.0
    baseline_voltage: float = 0.0
    trigger_edge_or_level: EdgeOrLevel = StimTriggerEdgeOrLevel.EDGE
    trigger_high_or_low: HighOrLow = StimTriggerHighOrLow.HIGH
    enabled: bool = True
    post_trigger_delay: float = 0.0
    pulse_or_train: PulseMode = StimPulseMode.SINGLE_PULSE
    number_of_stim_pulses: int = 1
    pulse_train_period: float = 0.0
    refractory_period: float = 0.0
    pre_stim_amp_settle: float = 0.0
    post_stim_amp_settle: float = 0.0
    maintain_amp_settle: bool = False
    enable_amp_settle: bool = False
    headstage_global_amp_settle: bool = False
    post_stim_charge_recov_on: float = 0.0
    post_stim_charge_recov_off: float = 0.0
    enable_charge_recovery: bool = False
    trigger_source_is_keypress: bool = False
    trigger_source_idx: TriggerSource

    @classmethod
    def biphasic(
        cls,
        *,
        amplitude: float,
        pulse_duration: float,
        polarity: StimPolarity,
        stim_sys_chan_idx: int,
        enabled: bool = True,
        **overrides: object,
    ) -> StimParams:
        """Return a charge-balanced pulse: both phases have ``amplitude`` (uA) and ``pulse_duration`` (us).

        ``trigger_source_idx`` is required among the overrides (any other field); a :class:`StimKeypressIndex` there
        also sets ``trigger_source_is_keypress``. ConfigurationError for a keyword that is no field: a misspelt
        stimulation parameter must not be dropped.
        """
        unknown = sorted(set(overrides) - set(cls.model_fields))
        if unknown:
            raise ConfigurationError(f"StimParams has no field {', '.join(unknown)}")
        both_phases = {
            "first_phase_amplitude": amplitude,
            "second_phase_amplitude": amplitude,
            "first_phase_duration": pulse_duration,
            "second_phase_duration": pulse_duration,
        }
        return cls.model_validate(
            {
                "stim_sys_chan_idx": stim_sys_chan_idx,
                "stim_shape": StimShape.BIPHASIC,
                "stim_polarity": polarity,
                "enabled": enabled,
                "trigger_source_is_keypress": isinstance(overrides.get("trigger_source_idx"), StimKeypressIndex),
                **both_phases,
                **overrides,
            }
        )


class StimParamsPartial(Model):
    """Some fields of :class:`StimParams`, with the same meaning; None = not set."""

    stim_sys_chan_idx: int | None = None
    stim_shape: Shape | None = None
    stim_polarity: Polarity | None = None
    first_phase_duration: float | None = None
    second_phase_duration: float | None = None
    interphase_delay: float | None = None
    first_phase_amplitude: float | None = None
    second_phase_amplitude: float | None = None
    baseline_voltage: float | None = None
    trigger_edge_or_level: EdgeOrLevel | None = None
    trigger_high_or_low: HighOrLow | None = None
    enabled: bool | None = None
    post_trigger_delay: float | None = None
    pulse_or_train: PulseMode | None = None
    number_of_stim_pulses: int | None = None
    pulse_train_period: float | None = None
    refractory_period: float | None = None
    pre_stim_amp_settle: float | None = None
    post_stim_amp_settle: float | None = None
    maintain_amp_settle: bool | None = None
    enable_amp_settle: bool | None = None
    headstage_global_amp_settle: bool | None = None
    post_stim_charge_recov_on: float | None = None
    post_stim_charge_recov_off: float | None = None
    enable_charge_recovery: bool | None = None
    trigger_source_is_keypress: bool | None = None
    trigger_source_idx: TriggerSource | None = None

    def valid_keys(self) -> list[str]:
        """Return the names of the fields that are set."""
        return [name for name in type(self).model_fields if getattr(self, name) is not None]


class StimStepRequest(Model):
    """Asks for a step size of the stimulation current."""

    stim_step: Annotated[StimStep, coerce_stim_step.field]


class StimStepState(Model):
    """The step size of the stimulation current."""

    stim_step: StimStep
