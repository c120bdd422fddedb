"""The words of the YAML form of protocols."""

from __future__ import annotations

from ranvier.models.dataset import TransformNodeType

#: Version of the form.
VERSION = 1

#: Operations by the names that the form gives them.
OPERATIONS: dict[str, TransformNodeType] = {
    "notch": TransformNodeType.NOTCH_FILTER,
    "bandpass": TransformNodeType.BANDPASS_FILTER,
    "bandstop": TransformNodeType.BANDSTOP_FILTER,
    "highpass": TransformNodeType.HIGHPASS_FILTER,
    "lowpass": TransformNodeType.LOWPASS_FILTER,
    "car": TransformNodeType.CAR_REF,
    "virtual_ref": TransformNodeType.VIRTUAL_REF,
    "paired_ref": TransformNodeType.PAIRED_REF,
    "slice_time": TransformNodeType.SLICE_TIME,
    "slice_channels": TransformNodeType.SLICE_CHANNELS,
    "downsample": TransformNodeType.DOWNSAMPLE,
    "blank_artifacts": TransformNodeType.BLANK_ARTIFACTS,
    "correct_skew": TransformNodeType.CORRECT_SKEW,
}

#: Short names of parameters in the form.
SHORT: dict[TransformNodeType, dict[str, str]] = {
    TransformNodeType.NOTCH_FILTER: {"frequency": "notch_frequency"},
    TransformNodeType.BANDPASS_FILTER: {"low": "low_frequency", "high": "high_frequency"},
    TransformNodeType.BANDSTOP_FILTER: {"low": "low_frequency", "high": "high_frequency"},
    TransformNodeType.VIRTUAL_REF: {"reference": "ref_channel"},
    TransformNodeType.PAIRED_REF: {"reference": "ref_channel", "target": "target_channel"},
    TransformNodeType.SLICE_TIME: {"start": "start_sec", "end": "end_sec"},
}
