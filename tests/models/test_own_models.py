from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from ranvier.exceptions import ConfigurationError
from ranvier.models import (
    ChannelQuality,
    ChannelQualityTable,
    ChannelVerdict,
    EventTable,
    KpiMetric,
    KpiMetricId,
    ManualStimTriggerRequest,
    Port,
    RecordMode,
    RecordStateRequest,
    SimulationSpec,
    SpikeSorterLaunchParams,
    SpikeSorterSubCommand,
    StimKeypressIndex,
    StimParams,
    StimParamsPartial,
    StimPolarity,
    StimShape,
    TailingState,
    TimeRange,
    WelchConfig,
)
from ranvier.models.tailing import LivenessState


@pytest.fixture
def events() -> EventTable:
    return EventTable(
        sec=np.array([0.0, 0.5, 1.0, 1.5]),
        timestamp=np.array([0, 10, 20, 30]),
        line=np.array([0, 0, 3, -1]),
        state=np.array([1, 0, 1, -1]),
        source=("DIN", "DIN", "TTL", "message"),
        text=("", "", "", "started"),
    )


def test_event_columns_have_their_types(events: EventTable) -> None:
    assert len(events) == 4
    types = [events.sec.dtype, events.timestamp.dtype, events.line.dtype, events.state.dtype]
    assert types == [np.float64, np.int64, np.int32, np.int8]
    assert len(EventTable.empty()) == 0
    assert EventTable.model_validate_json(events.model_dump_json()) == events


@pytest.mark.parametrize(
    ("by", "kept"),
    [
        ({}, [0, 10, 20, 30]),
        ({"line": 0}, [0, 10]),
        ({"line": [0, 3], "state": 1}, [0, 20]),
        ({"source": "message"}, [30]),
        ({"source": ["TTL", "DIN"], "state": (0,)}, [10]),
        ({"line": 9}, []),
    ],
)
def test_event_filter(events: EventTable, by: dict[str, Any], kept: list[int]) -> None:
    assert events.filter(**by).timestamp.tolist() == kept


def test_event_dataframe(events: EventTable) -> None:
    frame = events.to_dataframe()
    assert list(frame.columns) == ["sec", "timestamp", "line", "state", "source", "text"]
    assert frame["text"].tolist()[-1] == "started"


def test_event_columns_of_different_length_are_refused(events: EventTable) -> None:
    with pytest.raises(ValidationError, match="differ in length"):
        EventTable(**{**dict(events), "text": ()})


def _quality(ntv_idx: int, verdict: str, *reasons: str) -> ChannelQuality:
    measures = {"rms_uv": 2.0 * ntv_idx, "sd_uv": 1.5, "noise_uv": 1.0, "min_uv": -9.0, "max_uv": 8.0}
    return ChannelQuality(
        ntv_idx=ntv_idx, name=f"pri_{ntv_idx}", verdict=ChannelVerdict(verdict), reasons=reasons, **measures
    )


def test_quality_table() -> None:
    rows = (_quality(4, "good"), _quality(6, "dead", "flat for 99 % of the time", "rms 0.1 uV"), _quality(5, "good"))
    table = ChannelQualityTable(dataset_id="d", time_range_sec=(10.0, 12.0), channels=rows)
    assert table.good == [4, 5]
    assert table.by_verdict("dead") == table.by_verdict(ChannelVerdict.DEAD) == [6]
    assert table.ntv_idx.tolist() == [4, 6, 5]
    assert table.rms_uv.tolist() == [8.0, 12.0, 10.0]
    frame = table.to_dataframe()
    assert frame["verdict"].tolist() == ["good", "dead", "good"]
    assert frame["reasons"].tolist()[1] == "flat for 99 % of the time; rms 0.1 uV"
    assert ChannelQualityTable.model_validate_json(table.model_dump_json()) == table


def test_an_empty_quality_table_has_its_columns() -> None:
    table = ChannelQualityTable(dataset_id="d", time_range_sec=(0, 1), channels=())
    assert list(table.to_dataframe().columns) == list(ChannelQuality.model_fields)
    assert table.noise_uv.shape == (0,)


@pytest.mark.parametrize(
    "wrong",
    [
        {"duration_sec": 0},
        {"fs": -1},
        {"noise_uv": float("nan")},
        {"rate_hz": (30, 20)},
        {"rate_hz": (1, 600)},
        {"dead_channels": (1,), "noisy_channels": (1,)},
        {"dead_channels": (-1,)},
        {"duration_sec": 10, "start_sec": 10, "gaps_sec": ((5, 6),)},
        {"gaps_sec": ((12, 14), (13, 15))},
        {"sed": 1},
    ],
)
def test_simulations_that_cannot_be_meant(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SimulationSpec(**wrong)


def test_simulation_survives_json() -> None:
    spec = SimulationSpec(dead_channels=(3,), drift_um=-10, gaps_sec=((12, 13), (14, 15)))
    assert SimulationSpec.model_validate_json(spec.model_dump_json()) == spec
    assert (SimulationSpec().seed, SimulationSpec().duration_sec, SimulationSpec().fs) == (1, 20, 30000)


def test_biphasic_stimulation() -> None:
    pulse = StimParams.biphasic(
        amplitude=10,
        pulse_duration=200,
        polarity=StimPolarity.ANODIC_FIRST,
        stim_sys_chan_idx=3,
        trigger_source_idx=StimKeypressIndex.KEYPRESS_2,
        interphase_delay=50,
    )
    assert (pulse.first_phase_amplitude, pulse.second_phase_amplitude) == (10, 10)
    assert (pulse.first_phase_duration, pulse.second_phase_duration, pulse.interphase_delay) == (200, 200, 50)
    assert (pulse.stim_shape, pulse.stim_polarity) == (StimShape.BIPHASIC, StimPolarity.ANODIC_FIRST)
    assert pulse.trigger_source_is_keypress
    line = StimParams.biphasic(
        amplitude=1, pulse_duration=1, polarity="cathodic_first", stim_sys_chan_idx=0, trigger_source_idx=33
    )  # type: ignore[arg-type]
    assert not line.trigger_source_is_keypress
    assert StimParams.model_validate_json(pulse.model_dump_json()).trigger_source_idx == 2


def test_biphasic_refuses() -> None:
    given: dict[str, Any] = {
        "amplitude": 1,
        "pulse_duration": 1,
        "polarity": StimPolarity.CATHODIC_FIRST,
        "stim_sys_chan_idx": 0,
    }
    with pytest.raises(ValidationError, match="trigger_source_idx"):
        StimParams.biphasic(**given)
    with pytest.raises(ConfigurationError, match="interphase_dely"):
        StimParams.biphasic(**given, trigger_source_idx=1, interphase_dely=5)


def test_partial_stimulation() -> None:
    partial = StimParamsPartial(stim_shape="triphasic", trigger_source_idx="KEYPRESS_1", enabled=False)  # type: ignore[arg-type]
    assert partial.valid_keys() == ["stim_shape", "enabled", "trigger_source_idx"]
    assert partial.stim_shape == StimShape.TRIPHASIC
    assert StimParamsPartial().valid_keys() == []


def test_keys_are_1_to_8() -> None:
    assert ManualStimTriggerRequest(trigger=8, trigger_on=True).trigger == StimKeypressIndex.KEYPRESS_8  # type: ignore[arg-type]
    for wrong in (0, 9):
        with pytest.raises(ValidationError):
            ManualStimTriggerRequest(trigger=wrong, trigger_on=True)  # type: ignore[arg-type]


def test_small_rules() -> None:
    growing = {
        state: TailingState(
            dataset_id="d", liveness=state, available_time_range=TimeRange.from_samples(0, 1, 1)
        ).is_live
        for state in LivenessState
    }
    assert growing == {LivenessState.UNKNOWN: True, LivenessState.LIVE: True, LivenessState.IDLE: False}
    with pytest.raises(ValidationError):
        WelchConfig(overlap_frac=1.0)
    assert WelchConfig(overlap_frac=0.0).overlap_frac == 0


def test_fields_of_members_take_names_and_numbers_and_say_so() -> None:
    detect = SpikeSorterSubCommand.DETECT_ONLY
    assert {SpikeSorterLaunchParams(sub_cmd=v).sub_cmd for v in (detect, 2, " Detect_only")} == {detect}
    with pytest.raises(ValidationError, match=r"'x' is not a spike .*; accepted: .* null, detect_only .* number 0, 2"):
        SpikeSorterLaunchParams(sub_cmd="x")
    assert KpiMetricId(name="snr").name == KpiMetric.SNR
    with pytest.raises(ValidationError, match="is not a metric mode"):
        KpiMetricId(name="snr", mode="x")
    asked = RecordStateRequest(mode="on", port="b")
    assert (asked.mode, asked.port, RecordStateRequest(mode=0).port) == (RecordMode.ON, Port.B, None)
    with pytest.raises(ValidationError, match="is not a port"):
        RecordStateRequest(mode="on", port="x")
    for model in (asked, SpikeSorterLaunchParams(sub_cmd=2)):
        assert type(model).model_validate_json(model.model_dump_json()) == model
