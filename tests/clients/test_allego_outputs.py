"""AllegoClient: stimulation, analog and digital outputs, registers, the closed loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranvier.models as m
from ranvier import AllegoClient
from ranvier.exceptions import CapabilityError, ConfigurationError, RadiensError


def pulse(**change: Any) -> m.StimParams:
    """Return 10 uA for 200 us and back: 2 nC per phase, started by key 1."""
    fields: dict[str, Any] = {
        "amplitude": 10.0,
        "pulse_duration": 200.0,
        "polarity": m.StimPolarity.CATHODIC_FIRST,
        "stim_sys_chan_idx": 0,
        "trigger_source_idx": m.StimKeypressIndex.KEYPRESS_1,
        "refractory_period": 1000.0,
    }
    return m.StimParams.biphasic(**{**fields, **change})


def wait_for(what: Callable[[], Any], sec: float = 20.0) -> None:
    until = time.monotonic() + sec
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_stimulation_is_set_and_read_back(allego: AllegoClient) -> None:
    assert allego.get_stim_params() == {}
    allego.set_stim_params({3: pulse(), 5: pulse(amplitude=5.0)})
    found = allego.get_stim_params()
    assert set(found) == {3, 5}
    assert found[3].stim_sys_chan_idx == 3  # the key wins
    assert found[3].refractory_period == 1000.0  # us
    assert found[5].first_phase_amplitude == 5.0
    allego.set_stim_params({3: pulse().model_dump()})  # type: ignore[dict-item]


def test_what_cannot_be_stimulated_is_refused(allego: AllegoClient) -> None:
    with pytest.raises(RadiensError, match="no channel") as caught:
        allego.set_stim_params({})
    assert type(caught.value) is RadiensError
    with pytest.raises(ConfigurationError, match="255 steps"):
        allego.set_stim_params({0: pulse(amplitude=100.0)})
    allego.set_stim_step(step="stim_step_size_1_ua")
    with pytest.raises(ConfigurationError, match="4 nC"):
        allego.set_stim_params({0: pulse(amplitude=100.0)})
    with pytest.raises(ConfigurationError, match="params\\[0\\]"):
        allego.set_stim_params({0: {"stim_shape": "no_shape"}})  # type: ignore[dict-item]
    with pytest.raises(ConfigurationError, match="system index"):
        allego.set_stim_params({"A": pulse()})  # type: ignore[dict-item]
    assert allego.get_stim_params() == {}
    allego.start_streaming()
    with pytest.raises(ConfigurationError, match="stop streaming first"):
        allego.set_stim_params({0: pulse()})


def test_channels_before_a_refused_one_stay_set(allego: AllegoClient) -> None:
    with pytest.raises(ConfigurationError):
        allego.set_stim_params({0: pulse(), 1: pulse(amplitude=100.0), 2: pulse()})
    assert set(allego.get_stim_params()) == {0}


@pytest.mark.parametrize("press", ["set", "toggle", "old", "old toggle"])
def test_a_key_gives_a_pulse(allego: AllegoClient, press: str) -> None:
    allego.set_stim_params({0: pulse(), 1: pulse()})
    allego.arm_outputs()
    outputs = allego.details().outputs
    assert outputs is not None
    assert outputs.armed_by is not None
    allego.start_streaming()
    key: Any = m.StimKeypressIndex.KEYPRESS_1
    if press == "set":
        allego.set_stim_trigger(trigger="keypress_1", on=True)
    elif press == "toggle":
        allego.toggle_stim_trigger(trigger=1)
    elif press == "old":
        with pytest.warns(DeprecationWarning, match="set_stim_trigger"):
            allego.manual_stim_trigger(m.ManualStimTriggerRequest(trigger=key, trigger_on=True))
    else:
        with pytest.warns(DeprecationWarning, match="toggle_stim_trigger"):
            allego.manual_stim_trigger_toggle(m.ManualStimTriggerToggleRequest(trigger=key))
    wait_for(lambda: len(allego.get_pulses()) == 2)
    first, second = allego.get_pulses()
    assert {first.sys_chan_idx, second.sys_chan_idx} == {0, 1}
    assert first.charge_nc == pytest.approx(2.0)
    assert first.counter > 0


def test_nothing_starts_unless_armed(allego: AllegoClient) -> None:
    allego.set_stim_params({0: pulse()})
    allego.start_streaming()
    with pytest.raises(ConfigurationError, match="not armed"):
        allego.set_stim_trigger(trigger=1, on=True)
    allego.arm_outputs()
    allego.disarm_outputs()
    with pytest.raises(ConfigurationError, match="not armed"):
        allego.set_stim_trigger(trigger=1, on=True)
    allego.arm_outputs()
    allego.emergency_stop()
    with pytest.raises(ConfigurationError, match="not armed"):
        allego.toggle_stim_trigger(trigger=1)
    with pytest.raises(ConfigurationError, match="True or False"):
        allego.set_stim_trigger(trigger=1, on="off")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="key"):
        allego.set_stim_trigger(trigger=9, on=True)
    assert allego.get_pulses() == []


def test_a_client_that_leaves_is_disarmed(allego: AllegoClient) -> None:
    connection = vars(allego._rig).get("_connection")
    with AllegoClient(address="embedded" if connection is None else connection.address) as second:
        second.arm_outputs()
        second.arm_closed_loop([0], -50.0, dout_idx=0)
        details = allego.details()
        assert details.outputs is not None
        assert details.outputs.armed_by is not None

    def armed() -> bool:
        details = allego.details()
        loop = details.loop is not None and details.loop.armed
        return loop or (details.outputs is not None and details.outputs.armed_by is not None)

    wait_for(lambda: not armed())


def test_step_size(allego: AllegoClient) -> None:
    allego.set_stim_step(step=m.StimStep.STIM_STEP_SIZE_2_UA)
    assert allego.get_stim_step() == m.StimStepState(stim_step=m.StimStep.STIM_STEP_SIZE_2_UA)
    allego.set_stim_step(step="stim_step_size_1_ua")
    assert allego.get_stim_step().stim_step == m.StimStep.STIM_STEP_SIZE_1_UA
    with pytest.raises(ConfigurationError, match="step size"):
        allego.set_stim_step(step="big")


def test_limits_change_with_a_reason_and_stay_visible(allego: AllegoClient) -> None:
    assert allego.get_safety_limits() == m.SafetyLimits()
    with pytest.raises(ConfigurationError, match="reason"):
        allego.set_safety_limits(m.SafetyLimits(charge_per_phase_nc=20.0), reason=" ")
    allego.set_safety_limits(m.SafetyLimits(charge_per_phase_nc=20.0), reason="large platinum sites")
    assert allego.get_safety_limits().charge_per_phase_nc == 20.0
    outputs = allego.details().outputs
    assert outputs is not None
    assert "large platinum sites" in outputs.limits_changed


def test_analog_outputs(allego: AllegoClient) -> None:
    allego.set_dac_gain(3)
    allego.set_dac_stream(0, 5)
    allego.set_dac_highpass(True, 250.0)
    register = allego.get_dac_reg()
    assert isinstance(register, m.AnalogOutRegister)
    assert register.gain == 3
    assert register.highpass_reg == m.DACHighPass(enable=True, cutoff_freq=250.0)
    assert register.channels[0].pri_ntv_chan_idx == 5
    allego.set_dac_off()
    assert {c.pri_ntv_chan_idx for c in allego.get_dac_reg().channels} == {-1}
    for wrong in (lambda: allego.set_dac_gain(99), lambda: allego.set_dac_stream(0, 1000)):
        with pytest.raises(RadiensError):
            wrong()
    with pytest.raises(ConfigurationError, match="gain"):
        allego.set_dac_gain("loud")  # type: ignore[arg-type]


def test_digital_outputs(allego: AllegoClient) -> None:
    allego.set_dio_manual(1, True)
    register = allego.get_dio_reg()
    assert isinstance(register, m.DigitalOutRegister)
    assert register.mode == m.DIOMode.MANUAL
    assert register.dout_chan_registers[1].manual_state
    allego.set_dac_stream(0, 5)
    allego.set_dio_events(0, -60.0, False)
    register = allego.get_dio_reg()
    assert register.mode == m.DIOMode.EVENTS
    assert register.dout_chan_registers[0].event_threshold == -60.0
    assert not register.dout_chan_registers[0].event_polarity
    allego.set_dio_gated(True)
    assert allego.get_dio_reg().mode == m.DIOMode.GATED
    assert allego.get_dio_reg().gated_polarity
    allego.set_dio_pulse(0.1, 0.02)
    register = allego.get_dio_reg()
    assert register.mode == m.DIOMode.PULSE
    assert (register.req_pulse_interval_sec, register.req_pulse_duration_sec) == (0.1, 0.02)
    assert register.req_pulse_ntv_chan_idx == -1
    with pytest.raises(ConfigurationError, match="state"):
        allego.set_dio_manual(0, "off")  # type: ignore[arg-type]
    with pytest.raises(RadiensError):
        allego.set_dio_manual(99, True)


def test_pulses_show_on_the_digital_outputs(allego: AllegoClient) -> None:
    block = 600  # of 20 ms
    allego.update_core_config(loop_dur=20.0)
    allego.set_dio_pulse(0.2, 0.08, 0)
    allego.start_streaming()
    wait_for(lambda: allego.get_status().streaming.primary_cache_t_range[1] > 1.5)
    edges = allego.get_events(lines=[0], sources=["DOUT"])
    rising = edges.timestamp[edges.state == 1]
    falling = edges.timestamp[edges.state == 0]
    assert len(rising) >= 5
    widths = falling[: len(rising)] - rising[: len(falling)]
    # A machine that is busy holds up an edge now and then: how good every edge is, tests/rig/test_dac_dio.py says.
    distances = np.diff(rising) - 6000
    assert np.sort(np.abs(distances))[len(distances) * 3 // 4 - 1] <= block
    assert np.sort(np.abs(widths - 2400))[len(widths) * 3 // 4 - 1] <= block
    assert np.median(np.abs(widths - 2400)) <= block / 2  # a pulse that is always a block too long shows here


def test_impedance(allego: AllegoClient) -> None:
    found = allego.get_intan_impedance("A")
    assert isinstance(found, m.Impedance)
    assert [v.ntv_chan_idx for v in found.measurements] == list(range(32))
    assert all(1e3 < v.magnitude_ohm < 1e8 for v in found.measurements)
    assert all(-90.0 <= v.phase_deg <= 0.0 for v in found.measurements)
    with pytest.raises(RadiensError):
        allego.get_intan_impedance("H")


def test_registers_echo_on_the_simulator(allego: AllegoClient) -> None:
    allego.load_all_mosi([1, 2, 0xFFFFFFFF])
    allego.transmit_mosi()
    assert allego.read_wire_out(0x21) == 2
    with pytest.raises(ConfigurationError, match="0x20"):
        allego.read_wire_out(1)
    with pytest.raises(ConfigurationError, match="32-bit"):
        allego.load_all_mosi([2**32])
    status = allego.get_sinaps_status_registers()
    assert isinstance(status, m.SinapsStatusRegisters)
    with pytest.raises(CapabilityError, match="simulated"):
        allego.flash_sinaps("firmware.bit")


def test_the_closed_loop_answers_spikes(allego: AllegoClient) -> None:
    allego.update_core_config(loop_dur=1.0)
    allego.arm_closed_loop(range(8), -60.0, dout_idx=1, highpass_hz=300.0, late="late", refractory_sec=0.02)
    allego.start_streaming()

    def edges() -> int:
        loop = allego.details().loop
        return 0 if loop is None else loop.edges

    wait_for(lambda: edges() > 3)
    loop = allego.details().loop
    assert loop is not None
    assert loop.armed
    assert loop.latency.software_only
    assert loop.latency.count > 0
    assert 0.0 < loop.latency.p50_ms <= loop.latency.max_ms
    allego.disarm_closed_loop()
    loop = allego.details().loop
    assert loop is None or not loop.armed
    with pytest.raises(ConfigurationError, match="skip, late, disarm"):
        allego.arm_closed_loop([0], -60.0, dout_idx=1, late="never")
    assert 1 in allego.get_events(lines=[1], sources=["DOUT"]).state
