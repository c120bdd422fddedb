"""Every operation can be made again from what provenance says about it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ranvier.dsp.operations import Operation
from ranvier.dsp.rebuild import operation_kinds, rebuild
from ranvier.exceptions import CapabilityError, ConfigurationError
from ranvier.recordings import plain_channels

FS = 30_000

#: Parameters that an operation needs; one entry per kind, so that a new operation cannot be forgotten here.
EXAMPLES: dict[str, list[dict[str, object]]] = {
    "lowpass": [{"frequency_hz": 300.0}, {"frequency_hz": 300.0, "order": 3, "zero_phase": True}],
    "highpass": [
        {"frequency_hz": 300.0},
        {"frequency_hz": 300.0, "family": "elliptic", "ripple_db": 1.0},
        {"frequency_hz": 250.5, "order": 2},
    ],
    "bandpass": [{"low_hz": 300.0, "high_hz": 6000.0}, {"low_hz": 1.0, "high_hz": 30.0, "zero_phase": True}],
    "bandstop": [{"low_hz": 55.0, "high_hz": 65.0, "order": 2}],
    "notch": [{"frequency_hz": 50.0, "bandwidth_hz": 5.0}, {"frequency_hz": 60, "bandwidth_hz": 2, "zero_phase": True}],
    "car": [{}, {"operator": "median", "groups": "port"}],
    "virtual_ref": [{"ref_channel": 3}],
    "downsample": [{"factor": 5}, {"factor": 4, "operator": "plain"}],
    "slice_channels": [{"channels": (0, 3)}],
    "correct_skew": [{}],
    "blank_artifacts": [
        {"counters": (100, 900)},
        {"counters": (5,), "before_sec": 0.002, "after_sec": 0.0, "mode": "hold", "channels": (0, 4)},
    ],
    "paired_ref": [{"ref_channel": 3, "target_channel": 1}],
}


def test_every_operation_has_an_example() -> None:
    assert set(EXAMPLES) == set(operation_kinds())


@pytest.mark.parametrize("kind", sorted(operation_kinds()))
def test_a_description_makes_the_operation_again(kind: str) -> None:
    plain = plain_channels(amp=6, ain=1, din=1)
    channels = plain.with_channels(replace(c, skew_samples=0.1 * c.ntv) for c in plain)
    for parameters in EXAMPLES[kind]:
        made: Operation = operation_kinds()[kind](**parameters)
        stage = made.bind(FS, channels)
        written = json.loads(json.dumps(stage.describe()))
        again = rebuild(written)
        assert type(again) is type(made)
        assert json.loads(json.dumps(again.bind(FS, channels).describe())) == written


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(CapabilityError, match=r"'wavelet' cannot be repeated by this version; it knows .*bandpass"):
        rebuild({"kind": "wavelet", "parameters": {}})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"frequency_hz": 300.0, "order": 4, "zero_phase": False, "family": "elliptic"}, "ripple_db"),
        ({"frequency_hz": 300.0, "order": 4, "zero_phase": False, "family": "butterworth", "new": 1}, "new"),
        ({"order": 4}, "cannot be repeated"),
    ],
)
def test_parameters_that_this_version_does_not_have_are_refused(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        rebuild({"kind": "highpass", "parameters": parameters})
