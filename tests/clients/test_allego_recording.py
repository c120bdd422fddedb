"""AllegoClient: recording and what triggers it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import ranvier.models as m
from ranvier import AllegoClient, VidereClient
from ranvier.exceptions import ConfigurationError, OutputError


def wait_for_duration(allego: AllegoClient, sec: float) -> None:
    until = time.monotonic() + 60
    while allego.get_status().recording.duration < sec:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_what_is_recorded_is_what_was_seen(allego: AllegoClient, tmp_path: Path) -> None:
    allego.start_recording()  # starts streaming, as documented
    assert allego.get_status().streaming.stream_mode == m.StreamMode.ON
    wait_for_duration(allego, 0.5)
    recording = allego.get_status().recording
    assert recording.record_mode == m.RecordMode.ON
    assert "SIMULATED" in recording.active_filename
    (file,) = allego.get_recording_files()
    seen = allego.get_signals(m.TimeRangeSpec.lookback(0.2))  # a recording begins somewhat later than its stream
    with pytest.raises(ConfigurationError, match=r"client \d+ is recording"):
        allego.restart(mode="SMARTBOX_SIM_GEN_SINE")
    with pytest.raises(ConfigurationError, match="is recording"):
        allego.stop_streaming()
    with pytest.raises(ConfigurationError, match="is recording"):
        allego.update_recording_config(allego.get_recording_config())
    with pytest.raises(ConfigurationError, match="is recording"):
        allego.set_dsp_group(stage="stage1", params=[{"type": "car"}])
    allego.stop_recording()
    allego.stop_recording()
    assert allego.get_status().recording.record_mode == m.RecordMode.OFF
    assert allego.get_status().streaming.stream_mode == m.StreamMode.ON
    assert allego.get_recording_files() == []
    assert file.parent == tmp_path
    with VidereClient(embedded=True) as videre:
        ds = videre.link_data_file(file)
        assert ds.simulated
        assert ds.gaps == ()
        stored = videre.get_signals(ds, seen.time_range.sec)
    assert seen.amp.shape[1] == 6000
    np.testing.assert_allclose(stored.amp, seen.amp, atol=1e-2)


def test_a_recording_is_linked_while_it_grows(allego: AllegoClient) -> None:
    allego.start_recording()
    wait_for_duration(allego, 0.3)
    with VidereClient(embedded=True) as videre:
        ds = videre.link_data_file(allego.get_recording_files()[0])
        assert videre.get_tailing_state(ds).liveness == m.LivenessState.LIVE


def test_the_configuration_makes_a_round_trip(allego: AllegoClient, tmp_path: Path) -> None:
    wanted = m.RecordingConfig(
        base_file_name="other",
        base_file_path=str(tmp_path),
        time_stamp=True,
        force_start_at_tstamp_0=True,
        recording_type="continuous",
    )
    allego.update_recording_config(wanted)
    assert allego.get_recording_config() == wanted
    with pytest.warns(DeprecationWarning, match="update_recording_config"):
        allego.set_recording_config(wanted.model_copy(update={"base_file_name": "third"}))
    assert allego.get_recording_config().base_file_name == "third"


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"base_file_path": "/no/such/folder"}, OutputError, "does not exist"),
        ({"base_file_path": ""}, ConfigurationError, "empty"),
        ({"base_file_name": "a/b"}, ConfigurationError, "a/b"),
    ],
)
def test_a_configuration_that_cannot_be_leaves_the_old_one(
    allego: AllegoClient, change: dict[str, str], error: type[Exception], match: str
) -> None:
    before = allego.get_recording_config()
    with pytest.raises(error, match=match):
        allego.update_recording_config(before.model_copy(update=change))
    with pytest.raises(ConfigurationError, match="no colour"):
        allego.update_recording_config({**before.model_dump(), "colour": "red"})  # type: ignore[arg-type]
    assert allego.get_recording_config() == before


def test_one_port_alone(allego: AllegoClient) -> None:
    allego.set_sensor(port="B", headstage="passthrough_32", probe="a1x32_poly3_8mm50s_177")
    with pytest.raises(ConfigurationError, match="split_files_by_port"):
        allego.start_recording(port="A")
    config = allego.get_recording_config()
    allego.update_recording_config(config.model_copy(update={"split_files_by_port": True}))
    allego.start_recording(port="b")
    status = allego.get_status().recording
    assert status.record_mode_port_b == m.RecordMode.ON
    assert status.record_mode_port_a == m.RecordMode.OFF
    allego.start_recording(port=0)
    assert len(allego.get_recording_files()) == 2
    allego.stop_recording(port=m.Port.B)
    assert allego.get_status().recording.record_mode_port_b == m.RecordMode.OFF
    assert allego.get_status().recording.record_mode == m.RecordMode.ON
    with pytest.raises(ConfigurationError, match="port"):
        allego.start_recording(port="Z")
    with pytest.raises(ConfigurationError, match="C"):
        allego.start_recording(port="C")


def test_the_older_forms(allego: AllegoClient) -> None:
    with pytest.warns(DeprecationWarning, match="start_recording"):
        allego.set_record_state(m.RecordStateRequest(mode=m.RecordMode.ON))
    assert allego.get_status().recording.record_mode == m.RecordMode.ON
    with pytest.warns(DeprecationWarning, match="start_recording"):
        allego.set_record_state(m.RecordStateRequest(mode=m.RecordMode.OFF, port=None))
    assert allego.get_status().recording.record_mode == m.RecordMode.OFF


# --- triggers --------------------------------------------------------------------------------------------------------


def test_triggers(allego: AllegoClient) -> None:
    assert allego.get_trigger_state() == m.TriggerState(enabled_channels=[], ports=[])
    allego.enable_trigger(channel="din_0")
    assert allego.get_trigger_state().enabled_channels == [m.TriggerChannel.T_DIN_0]
    with pytest.raises(ConfigurationError, match="one trigger is active"):
        allego.enable_trigger(channel=1)
    allego.disable_trigger(channel=m.TriggerChannel.T_DIN_0)
    allego.disable_trigger(channel="din_0")
    assert allego.get_trigger_state().enabled_channels == []
    allego.enable_trigger(channel="dout_1")
    allego.disable_all_triggers()
    assert allego.get_trigger_state().enabled_channels == []


@pytest.mark.parametrize("call", ["enable_trigger", "disable_trigger"])
def test_no_trigger_is_no_line(allego: AllegoClient, call: str) -> None:
    with pytest.raises(ValueError, match="disable_all_triggers") as caught:
        getattr(allego, call)(channel=m.TriggerChannel.T_NONE)
    assert isinstance(caught.value, ConfigurationError)


def test_the_older_form_of_triggers(allego: AllegoClient) -> None:
    with pytest.warns(DeprecationWarning, match="enable_trigger"):
        allego.set_trigger_state(channel="din_1", enabled=True, port="A")
    assert allego.get_trigger_state() == m.TriggerState(enabled_channels=[1], ports=[0])
    with pytest.warns(DeprecationWarning, match="enable_trigger"):
        allego.set_trigger_state(channel="none", enabled=False, port="A")
    assert allego.get_trigger_state().enabled_channels == []


def test_a_trigger_records(allego: AllegoClient, tmp_path: Path) -> None:
    """A digital output that is driven by hand triggers: up, it records; down, the file is finished."""
    allego.set_dio_manual(0, False)
    allego.enable_trigger(channel="dout_0")
    allego.start_streaming()
    time.sleep(0.1)
    allego.set_dio_manual(0, True)
    wait_for_duration(allego, 0.1)
    allego.set_dio_manual(0, False)
    until = time.monotonic() + 10
    while allego.get_status().recording.record_mode == m.RecordMode.ON:
        assert time.monotonic() < until
        time.sleep(0.02)
    while not (written := [*tmp_path.glob("rec*.xdat.json")]):  # it is being finished
        assert time.monotonic() < until
        time.sleep(0.02)
    with VidereClient(progress=False) as videre:
        assert videre.link_data_file(written[0]).time_range.n >= 3000  # 0.1 s
