"""What each `Flex*` type and constructor accepts, against what was measured of three releases.

Accepted is what any release accepts, with the meaning that the documented release gives it (else the oldest that
accepts it), except for the few inputs named in REFUSED_HERE.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import numpy as np
import pytest
from contract_facts import load
from pydantic import TypeAdapter, ValidationError

from ranvier import models
from ranvier.exceptions import RadiensError
from ranvier.models import (
    DSPParams,
    DSPType,
    FilterStage,
    InputFeatureType,
    KpiMetric,
    KpiMetricId,
    RecordingConfig,
    SignalSpec,
    SpectralQuery,
    SpikeSorterFeatureParams,
    StimKeypressIndex,
    StimParams,
    TimeRange,
    TimeRangeSpec,
    flex,
)

#: Accepted by some release and refused here: a reversed range would read as nothing, silently.
REFUSED_HERE = {("FlexTimeRange", "[1,0]")}

#: Inputs that the contract names rather than writes.
ARRAY = np.array([0, 1])
NAMED: dict[str, Any] = {"ndarray": ARRAY, "set": {0, 1}, "Path": Path("/a"), "None": None, '"id"': "id"}
NAMED_BY_TYPE: dict[tuple[str, str], Any] = {
    ("FlexSignalSpec", "SignalSpec"): SignalSpec.amp([0]),
    ("FlexTimeRange", "TimeRangeSpec"): TimeRangeSpec.full(),
    ("FlexTimeRange", "TimeRange"): TimeRange.from_samples(0, 10, 10),
    ("FlexKpiMetricId", "KpiMetricId"): KpiMetricId(name=KpiMetric.RMS),
    ("FlexFilterStage", "STAGE1"): FilterStage.STAGE1,
    ("FlexSpikeSorterCommand", "enum"): models.SpikeSorterCommand.ON,
    ("FlexSpikeSorterSubCommand", "enum"): models.SpikeSorterSubCommand.NULL,
    ("FlexDashElement", "enum"): models.DashElement.GENERAL,
    ("FlexBackboneMode", "enum"): models.BackboneMode.SMARTBOX_PRO,
    ("FlexStimKeypressIndex", "enum"): StimKeypressIndex.KEYPRESS_1,
    ("FlexTriggerChannel", "enum"): models.TriggerChannel.T_DIN_0,
    ("FlexSpectralRange", "dict"): {"ref_sec": 0, "post_sec": 1},
    ("FlexSpectralRange", "ndarray"): np.array([0.0, 0.0, 1.0]),
}
SPACE = {**vars(models), "nan": float("nan"), "inf": float("inf"), "PosixPath": Path}
SPACE |= {name: getattr(models, name) for name in models.__all__}


STIM = {"stim_sys_chan_idx": 0, "trigger_source_idx": 0}
KEY = StimKeypressIndex.KEYPRESS_2
QUERY: dict[str, Any] = {"ntv_chan_idxs": (0,), "ranges": [(0, 0, 1)]}
#: The calls behind the rows about constructors.
CONSTRUCTORS: dict[tuple[str, str], tuple[Any, dict[str, Any]]] = {
    ("StimParams(ctor)", "minimal"): (StimParams, STIM),
    ("StimParams(ctor)", "stim_shape=0"): (StimParams, {**STIM, "stim_shape": 0}),
    ("StimParams(ctor)", 'stim_shape="biphasic"'): (StimParams, {**STIM, "stim_shape": "biphasic"}),
    ("StimParams(ctor)", "polarity=1"): (StimParams, {**STIM, "stim_polarity": 1}),
    ("StimParams(ctor)", 'trigger "KEYPRESS_2"'): (StimParams, {**STIM, "trigger_source_idx": "KEYPRESS_2"}),
    ("StimParams(ctor)", 'trigger "5"'): (StimParams, {**STIM, "trigger_source_idx": "5"}),
    ("StimParams(ctor)", "trigger enum, flag False"): (StimParams, {**STIM, "trigger_source_idx": KEY}),
    ("StimParams(ctor)", "trigger enum, flag True"): (
        StimParams,
        {**STIM, "trigger_source_idx": KEY, "trigger_source_is_keypress": True},
    ),
    ("StimParams(ctor)", "unknown kw"): (StimParams, {**STIM, "unknown": 1}),
    ("StimParams(ctor)", "negative duration"): (StimParams, {**STIM, "first_phase_duration": -1.0}),
    ("StimParams(ctor)", "omit trigger"): (StimParams, {"stim_sys_chan_idx": 0}),
    ("DSPParams(ctor)", 'type="car",stage="stage1"'): (DSPParams, {"type": "car", "stage": "stage1"}),
    ("DSPParams(ctor)", "type=5,stage=1"): (DSPParams, {"type": 5, "stage": 1}),
    ("DSPParams(ctor)", '+port="A"'): (DSPParams, {"type": "car", "stage": "stage1", "port": "A"}),
    ("DSPParams(ctor)", 'type "CAR" port None'): (DSPParams, {"type": "CAR", "stage": "stage1", "port": None}),
    ("DSPParams(ctor)", "target 1.5"): (DSPParams, {"type": "car", "stage": "stage1", "target_ntv_chan_idx": 1.5}),
    **{
        ("RecordingConfig.recording_type", label): (
            RecordingConfig,
            {"base_file_name": "b", "base_file_path": "p", "recording_type": value},
        )
        for label, value in {'name "continuous"': "continuous", "int 0": 0, '"SPIKES"': "SPIKES"}.items()
    },
    **{
        ("SpikeSorterFeatureParams.feature_type", label): (
            SpikeSorterFeatureParams,
            {"num_features": 3, "feature_type": value},
        )
        for label, value in {'"wfm"': "wfm", "int 0": 0, "SPD": InputFeatureType.SPD}.items()
    },
    ("SpectralQuery(ctor)", 'mode="static"'): (SpectralQuery, {**QUERY, "mode": "static"}),
    ("SpectralQuery(ctor)", "mode=0"): (SpectralQuery, {**QUERY, "mode": 0}),
    ("SpectralQuery(ctor)", 'algorithm="welch"'): (SpectralQuery, {**QUERY, "algorithm": "welch"}),
    ("SpectralQuery(ctor)", "units=1"): (SpectralQuery, {**QUERY, "units": 1}),
    ("SpectralQuery(ctor)", 'window_type="hann"'): (SpectralQuery, {**QUERY, "window_type": "hann"}),
    ("SpectralQuery(ctor)", "ranges=[(0,0,1)]"): (SpectralQuery, QUERY),
    ("SpectralQuery(ctor)", "ntv list"): (SpectralQuery, {**QUERY, "ntv_chan_idxs": [0]}),
}


def _input(flex_type: str, label: str) -> Any:
    if (flex_type, label) in NAMED_BY_TYPE:
        return NAMED_BY_TYPE[flex_type, label]
    return NAMED[label] if label in NAMED else eval(label, SPACE)


def _coercer(flex_type: str) -> Any:
    """Return the plain function behind a Flex type: FlexDSPType -> coerce_dsp_type."""
    words = re.findall(r"DSP|[A-Z][a-z]+", flex_type.removeprefix("Flex"))
    return getattr(flex, "coerce_" + "_".join(words).lower())


def _without_numbers(text: str) -> str:
    """Return the ``repr`` of a result without enum numbers and the mode BASE, which releases differ in."""
    return re.sub(r": \d+>", ">", text).replace("mode=<KpiMode.BASE>, ", "")


def _expected(results: dict[str, str]) -> str | None:
    accepted = [result for _, result in sorted(results.items()) if not result.startswith("rejected")]
    return accepted[0] if accepted else None


def test_acceptance(flex_case: tuple[str, str, dict[str, str]]) -> None:
    kind, label, results = flex_case
    expected = None if (kind, label) in REFUSED_HERE else _expected(results)
    if (kind, label) == ("frozen", "assign"):
        call = lambda: setattr(StimParams(**STIM), "enabled", False)  # noqa: E731
    elif (kind, label) in CONSTRUCTORS:
        cls, arguments = CONSTRUCTORS[kind, label]
        call = lambda: cls(**arguments)  # noqa: E731
    else:
        value = _input(kind, label)
        call = lambda: TypeAdapter(getattr(models, kind)).validate_python(value)  # noqa: E731
        with pytest.raises(RadiensError) if expected is None else nullcontext():
            _coercer(kind)(value)
    with pytest.raises(ValidationError) if expected is None else nullcontext():
        result = call()
    if expected is not None and expected.startswith("-> "):
        _compare(result, expected.removeprefix("-> "))


def _compare(result: object, expected: str) -> None:
    if expected.startswith(("SignalSpec", "TimeRangeSpec", "PosixPath")):
        assert result == eval(expected, SPACE)
    else:
        assert _without_numbers(repr(result)) == _without_numbers(expected)


@pytest.mark.parametrize("name", models.flex.FLEX_TYPES)
def test_each_type_was_measured_or_is_a_plain_union(name: str) -> None:
    alias = getattr(models, name)
    measured = set(load("flex_acceptance.json")) | {"FlexDSPParams"}
    assert name in measured
    if name != "FlexDSPParams":
        assert get_origin(alias) is Annotated
        assert get_args(alias)


@pytest.mark.parametrize(
    ("coerce", "wrong", "named"),
    [
        ("coerce_port", "Z", ["'Z'", "a, b, c", "0-7"]),
        ("coerce_signal_type", 0, ["0", "amp, ain, din, dout"]),
        ("coerce_filter_stage", "hw", ["'hw'", "hardware", "stage2"]),
        ("coerce_kpi_metric_id", 18, ["18", "rms"]),
        ("coerce_time_range", 5.0, ["5.0", "TimeRangeSpec", "[start, end]", "tuple"]),
        ("coerce_signal_spec", "selected", ["'selected'", "'all'", "amp, ain, din, dout"]),
        ("coerce_dataset", 3, ["3", "DatasetMetadata", "path"]),
        ("coerce_dsp_params", {"type": "car", "stage": 1, "frequency": 3}, ["frequency", "freq_spec_band"]),
    ],
)
def test_messages_name_the_value_and_what_is_accepted(coerce: str, wrong: Any, named: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        getattr(flex, coerce)(wrong)
    assert isinstance(caught.value, RadiensError)
    for part in named:
        assert part in str(caught.value)


def test_members_of_other_enums_are_not_numbers() -> None:
    with pytest.raises(RadiensError):
        flex.coerce_port(DSPType.CAR)
    assert isinstance(flex.coerce_port(np.int64(1)), Enum)
