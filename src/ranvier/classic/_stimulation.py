"""Stimulation parameters as the classic dict, and back: one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ranvier.classic.utils.constants import DEFAULT_STIM_PARAMS
from ranvier.exceptions import ConfigurationError
from ranvier.models.stim import StimParams

#: Documented key: field of StimParams, and how many of the field's unit one of the key's is (None: no number).
_KEYS: dict[str, tuple[str, float | None]] = {
    "stim_shape": ("stim_shape", None),
    "stim_polarity": ("stim_polarity", None),
    "first_phase_duration_us": ("first_phase_duration", 1),
    "second_phase_duration_us": ("second_phase_duration", 1),
    "interphase_delay_us": ("interphase_delay", 1),
    "first_phase_amplitude_uA": ("first_phase_amplitude", 1),
    "second_phase_amplitude_uA": ("second_phase_amplitude", 1),
    "baseline_voltage": ("baseline_voltage", 1),
    "trigger_edge_or_level": ("trigger_edge_or_level", None),
    "trigger_high_or_low": ("trigger_high_or_low", None),
    "enabled": ("enabled", None),
    "post_trigger_delay_us": ("post_trigger_delay", 1),
    "pulse_or_train": ("pulse_or_train", None),
    "number_of_stim_pulses": ("number_of_stim_pulses", None),
    "pulse_train_period_us": ("pulse_train_period", 1),
    "refactory_period_ms": ("refractory_period", 1000),
    "pre_stim_amp_settle_us": ("pre_stim_amp_settle", 1),
    "post_stim_amp_settle_us": ("post_stim_amp_settle", 1),
    "maintain_amp_settle_us": ("maintain_amp_settle", None),
    "enable_amp_settle": ("enable_amp_settle", None),
    "post_stim_charge_recovery_on_us": ("post_stim_charge_recov_on", 1),
    "post_stim_charge_recovery_off_us": ("post_stim_charge_recov_off", 1),
    "enable_charge_recovery": ("enable_charge_recovery", None),
    "trigger_source_is_keypress": ("trigger_source_is_keypress", None),
    "trigger_source_idx": ("trigger_source_idx", None),
    "stim_sys_chan_idx": ("stim_sys_chan_idx", None),
}
_ENUMS = ("stim_shape", "stim_polarity", "trigger_edge_or_level", "trigger_high_or_low", "pulse_or_train")

#: Of a channel without parameters. The documentation says that a key triggers; the constant says otherwise.
DEFAULTS = {**DEFAULT_STIM_PARAMS, "trigger_source_is_keypress": True}


class MissingKeyError(ConfigurationError, KeyError):
    """A dict without the channel that it is about: the documented KeyError."""

    __str__ = Exception.__str__


def to_dict(params: StimParams) -> dict[str, Any]:
    """Return the 26 documented keys; enums as numbers, keys of the keyboard counted from 0."""
    found = {key: getattr(params, field) for key, (field, _) in _KEYS.items()}
    found.update({key: found[key] / scale for key, (_, scale) in _KEYS.items() if scale not in (None, 1)})
    found.update({key: int(found[key]) for key in (*_ENUMS, "trigger_source_idx")})
    found["trigger_source_idx"] -= int(params.trigger_source_is_keypress)
    return found


def from_dict(given: Mapping[str, Any]) -> StimParams:
    """Return what a whole dict means; ConfigurationError for a key that there is not, or a wrong value."""
    unknown = sorted(str(key) for key in given if key not in _KEYS)
    if unknown:
        raise ConfigurationError(f"stimulation has no {', '.join(unknown)}; valid: {', '.join(_KEYS)}")
    fields = {_KEYS[key][0]: value for key, value in given.items()}
    for key in _ENUMS:
        if isinstance(given[key], str):
            fields[key] = given[key].strip().upper().removeprefix("ST_")
    try:
        scaled = {_KEYS[k][0]: float(v) * (_KEYS[k][1] or 1) for k, v in given.items() if _KEYS[k][1] is not None}
        source = int(given["trigger_source_idx"]) + bool(given["trigger_source_is_keypress"])
        return StimParams.model_validate({**fields, **scaled, "trigger_source_idx": source})
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"these are no stimulation parameters: {error}") from error
