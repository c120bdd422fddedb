"""Every documented method of the typed AllegoClient."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from every_call import Engine, typed, wait_until

import ranvier.models as m
from ranvier.exceptions import CapabilityError, ClientClosedError

AMP = m.SignalType.AMP
PULSE = {
    "amplitude": 10.0,
    "pulse_duration": 200.0,
    "polarity": m.StimPolarity.CATHODIC_FIRST,
    "stim_sys_chan_idx": 0,
    "trigger_source_idx": m.StimKeypressIndex.KEYPRESS_1,
    "refractory_period": 1000.0,
}


@typed("AllegoClient", "__init__", "server_version", "healthcheck", "get_status")
def opening(e: Engine) -> None:
    client = e.allego()
    assert client.server_version == (5, 7, 0)
    assert client.healthcheck() is None
    status = client.get_status()
    assert isinstance(status, m.BackboneStatus)
    assert (status.streaming.stream_mode, status.recording.record_mode) == (m.StreamMode.OFF, m.RecordMode.OFF)


@typed("AllegoClient", "start_streaming", "stop_streaming", "set_stream_state")
def streaming(e: Engine) -> None:
    client = e.allego()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for on, off in (
            (client.start_streaming, client.stop_streaming),
            (
                lambda: client.set_stream_state(m.StreamStateRequest(mode=m.StreamMode.ON)),
                lambda: client.set_stream_state(m.StreamStateRequest(mode=m.StreamMode.OFF)),
            ),
        ):
            on()
            assert client.get_status().streaming.stream_mode == m.StreamMode.ON
            off()
            assert client.get_status().streaming.stream_mode == m.StreamMode.OFF


@typed("AllegoClient", "get_recording_config", "update_recording_config", "set_recording_config")
def recording_config(e: Engine) -> None:
    client = e.allego()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for name, change in (("one", client.update_recording_config), ("two", client.set_recording_config)):
            config = client.get_recording_config()
            assert isinstance(config, m.RecordingConfig)
            change(config.model_copy(update={"base_file_name": name, "base_file_path": str(e.folder)}))
            assert client.get_recording_config().base_file_name == name


@typed("AllegoClient", "start_recording", "stop_recording", "set_record_state")
def recording(e: Engine) -> None:
    client = e.allego()
    config = client.get_recording_config()
    change = {"base_file_path": str(e.folder), "base_file_name": "kept", "time_stamp": False}
    client.update_recording_config(config.model_copy(update=change))
    client.start_recording()
    wait_until(lambda: client.get_status().recording.duration > 0.1)
    client.stop_recording()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.set_record_state(m.RecordStateRequest(mode=m.RecordMode.ON))
        wait_until(lambda: client.get_status().recording.duration > 0.1)
        assert client.get_status().recording.record_mode == m.RecordMode.ON
        client.set_record_state(m.RecordStateRequest(mode=m.RecordMode.OFF))
    assert client.get_status().recording.record_mode == m.RecordMode.OFF
    client.stop_streaming()
    assert len(list(e.folder.glob("kept*.xdat.json"))) == 2, list(e.folder.iterdir())


@typed("AllegoClient", "restart", "get_core_config", "update_core_config", "set_core_config")
def core(e: Engine) -> None:
    client = e.allego()
    client.restart(mode="SMARTBOX_SIM_GEN_SINE")
    assert client.get_core_config().backbone_mode == m.BackboneMode.SMARTBOX_SIM_GEN_SINE
    client.update_core_config(samp_freq=20_000.0)
    assert client.get_core_config().base_samp_freq == 20_000.0  # Hz
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.set_core_config(m.SetCoreConfigRequest(samp_freq=30_000.0))
    assert client.get_core_config().base_samp_freq == 30_000.0


@typed("AllegoClient", "get_channel_metadata", "scan_ports", "get_intan_impedance")
def channels(e: Engine) -> None:
    client = e.allego()
    found = client.get_channel_metadata()
    assert isinstance(found, m.ChannelMetadata)
    assert client.scan_ports().num_channels[AMP] == found.num_channels[AMP] == 32
    impedance = client.get_intan_impedance("A")
    assert isinstance(impedance, m.Impedance)
    magnitudes = np.array([one.magnitude_ohm for one in impedance.measurements])
    assert magnitudes.shape == (32,)
    assert (magnitudes > 1e3).all()  # ohm


@typed("AllegoClient", "get_signals", "get_dsp_group", "set_dsp_group")
def signals(e: Engine) -> None:
    client = e.allego()
    high_pass = m.DSPParams(type="highpass", stage="stage2", freq=300.0)
    client.set_dsp_group(stage="stage2", params=[high_pass])
    group = client.get_dsp_group()
    assert isinstance(group, m.DSPGroup)
    assert [one.freq for one in group.software_stage2] == [300.0]
    client.start_streaming()
    wait_until(lambda: client.get_status().streaming.primary_cache_t_range[1] > 0.7)
    start = client.get_status().streaming.primary_cache_t_range[0]
    raw = client.get_signals([start + 0.1, start + 0.6], [4, 1])
    filtered = client.get_signals([start + 0.1, start + 0.6], [4, 1], apply_dsp=True)
    assert (raw.amp.shape, raw.amp.dtype) == ((2, 15_000), np.float64)
    assert 1 < np.abs(raw.amp).max() < 10_000  # uV
    assert not np.allclose(raw.amp, filtered.amp)
    client.set_dsp_group(stage="stage2", params=[])


@typed("AllegoClient", "set_selected_channels", "select_channels", "deselect_channels", "set_channel_groups")
def selection(e: Engine) -> None:
    client = e.allego()
    assert client.set_selected_channels([1, 2]).selected_sig_map[AMP].ntv == [1, 2]
    assert client.select_channels([5]).selected_sig_map[AMP].ntv == [1, 2, 5]
    assert client.deselect_channels([1]).selected_sig_map[AMP].ntv == [2, 5]
    groups = client.set_channel_groups([[2], [5]])
    colors = [groups.get_channel_info(ntv, AMP).color_group_idx for ntv in (2, 5)]
    assert colors[0] != colors[1]
    client.set_selected_channels("all")


@typed("AllegoClient", "set_stim_params", "get_stim_params", "set_stim_step", "get_stim_step")
def stimulation(e: Engine) -> None:
    client = e.allego()
    client.set_stim_step(step="stim_step_size_1_ua")
    step = client.get_stim_step()
    assert isinstance(step, m.StimStepState)
    client.set_stim_params({3: m.StimParams.biphasic(**PULSE)})
    found = client.get_stim_params()
    assert list(found) == [3]
    assert (found[3].first_phase_amplitude, found[3].first_phase_duration) == (10.0, 200.0)  # uA, us


@typed("AllegoClient", "set_stim_trigger", "toggle_stim_trigger", "manual_stim_trigger", "manual_stim_trigger_toggle")
def keypresses(e: Engine) -> None:
    client = e.allego()
    client.set_stim_params({3: m.StimParams.biphasic(**PULSE)})
    client.start_streaming()
    client.arm_outputs()
    key, before = m.StimKeypressIndex.KEYPRESS_1, len(client.get_pulses())

    def off_and_on(count: int) -> None:
        wait_until(lambda: len(client.get_pulses()) == before + count)
        client.set_stim_trigger(trigger=1, on=False)
        time.sleep(0.05)

    client.set_stim_trigger(trigger=1, on=True)
    off_and_on(1)
    client.toggle_stim_trigger(trigger=1)
    off_and_on(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.manual_stim_trigger(m.ManualStimTriggerRequest(trigger=key, trigger_on=True))
        off_and_on(3)
        client.manual_stim_trigger_toggle(m.ManualStimTriggerToggleRequest(trigger=key))
        off_and_on(4)
    assert {pulse.sys_chan_idx for pulse in client.get_pulses()[before:]} == {3}


@typed("AllegoClient", "enable_trigger", "disable_trigger", "disable_all_triggers", "set_trigger_state",
       "get_trigger_state")  # fmt: skip
def triggers(e: Engine) -> None:
    client = e.allego()
    client.enable_trigger(channel="din_0")
    found = client.get_trigger_state()
    assert isinstance(found, m.TriggerState)
    assert found.enabled_channels == [m.TriggerChannel.T_DIN_0]
    client.disable_trigger(channel="din_0")
    assert client.get_trigger_state().enabled_channels == []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.set_trigger_state(channel="din_1", enabled=True, port="A")
    assert client.get_trigger_state().enabled_channels == [m.TriggerChannel.T_DIN_1]
    client.disable_all_triggers()
    assert client.get_trigger_state().enabled_channels == []


@typed("AllegoClient", "get_dac_reg", "set_dac_gain", "set_dac_stream", "set_dac_off", "set_dac_highpass")
def analog_outputs(e: Engine) -> None:
    client = e.allego()
    client.set_dac_gain(3)
    client.set_dac_stream(0, 5)
    client.set_dac_highpass(True, 250.0)
    found = client.get_dac_reg()
    assert isinstance(found, m.AnalogOutRegister)
    assert (found.gain, found.highpass_reg.enable, found.highpass_reg.cutoff_freq) == (3, True, 250.0)  # Hz
    assert found.channels[0].pri_ntv_chan_idx == 5
    client.set_dac_off()
    assert {one.pri_ntv_chan_idx for one in client.get_dac_reg().channels} == {-1}


@typed("AllegoClient", "get_dio_reg", "set_dio_events", "set_dio_manual", "set_dio_gated", "set_dio_pulse")
def digital_outputs(e: Engine) -> None:
    client = e.allego()
    client.set_dio_manual(1, True)
    found = client.get_dio_reg()
    assert isinstance(found, m.DigitalOutRegister)
    assert found.dout_chan_registers[1].manual_state is True
    client.set_dac_stream(0, 5)
    client.set_dio_events(0, -60.0, False)
    assert client.get_dio_reg().mode == m.DIOMode.EVENTS
    client.set_dio_gated(True)
    assert client.get_dio_reg().mode == m.DIOMode.GATED
    client.set_dio_pulse(0.1, 0.02)
    assert client.get_dio_reg().mode == m.DIOMode.PULSE
    client.set_dio_manual(1, False)


@typed("AllegoClient", "get_kpi_metrics", "get_kpi_status", "set_kpi_packet_dur", "set_kpi_update_period")
def metrics(e: Engine) -> None:
    client = e.allego()
    client.set_kpi_packet_dur(0.25)
    client.set_kpi_update_period(0.25)
    status = client.get_kpi_status()
    assert isinstance(status, m.KpiStatus)
    assert (status.packet_dur, status.update_period) == (0.25, 0.25)  # s
    client.start_streaming()
    wait_until(lambda: client.get_status().streaming.primary_cache_t_range[1] > 0.8)
    found = client.get_kpi_metrics(["RMS", "NUM_PTS"], [3, 1], stream_lookback_sec=0.25)
    assert isinstance(found, m.KpiMetricsResult)
    assert (found.values.shape, found.values.dtype) == ((2, 2), np.float64)
    assert (found.values[:, 0] > 1).all()  # uV
    assert found.values[:, 1].tolist() == [7500, 7500]


@typed("AllegoClient", "get_spike_sorter_ids", "get_default_spike_sorter_id", "get_spike_sorter_state",
       "spike_sorter_command", "get_spike_sorter_dashboard", "get_detect_params", "set_detect_params",
       "update_detect_params")  # fmt: skip
def sorter(e: Engine) -> None:
    client = e.allego()
    sorter_id = client.get_default_spike_sorter_id()
    assert client.get_spike_sorter_ids() == [sorter_id, f"{sorter_id}:spikes"]
    client.spike_sorter_command(sorter_id, "init")
    state = client.get_spike_sorter_state(sorter_id)
    assert isinstance(state, m.SpikeSorterState)
    assert (state.sys, state.is_on) == (m.SpikeSorterStateSystem.OFF, False)
    client.set_detect_params(sorter_id, m.SpikeDetectParams(thr=[-60.0, 60.0]), [2])  # uV
    client.update_detect_params(sorter_id, m.SpikeDetectParams(shadow=0.002), [2])  # s
    params = client.get_detect_params(sorter_id, [2, 3])
    assert (params[2].thr, params[2].shadow_pts, params[3].shadow_pts) == ([-60.0, 60.0], 60, 30)
    client.spike_sorter_command(cmd="on", sub_cmd="detect_only")
    client.start_streaming()
    wait_until(lambda: e.allego().get_spike_sorter_dashboard(sorter_id).general.num_spikes_processed > 100)
    board = client.get_spike_sorter_dashboard(sorter_id, ["general", 1])
    assert isinstance(board, m.SpikeSorterDashboard)
    assert board.general.num_spikes_labeled == 0
    assert board.enabled_ports
    assert client.get_spike_sorter_state(sorter_id).phase == m.SpikeSorterPhase.DETECTING
    seen = board.general.num_spikes_processed
    client.spike_sorter_command(sorter_id, "clear_sort")
    assert client.get_spike_sorter_dashboard(sorter_id, ["general"]).general.num_spikes_processed < seen
    client.spike_sorter_command(sorter_id, "off")
    assert not client.get_spike_sorter_state(sorter_id).is_on
    client.spike_sorter_command(sorter_id, "init")
    params = client.get_detect_params(sorter_id, [2])
    assert (params[2].thr_sd[0], params[2].shadow_pts) == (-4.5, 30)  # the defaults again


@typed("AllegoClient", "load_all_mosi", "transmit_mosi", "read_wire_out", "get_sinaps_status_registers",
       "flash_sinaps")  # fmt: skip
def registers(e: Engine) -> None:
    client = e.allego()
    client.load_all_mosi([1, 2])
    client.transmit_mosi()
    assert client.read_wire_out(0x21) == 2
    assert isinstance(client.get_sinaps_status_registers(), m.SinapsStatusRegisters)
    client.refuses(CapabilityError, "flash_sinaps", "firmware.bit")  # there is nothing to flash in a simulator


@typed("BaseClient", "__init__", "close")
def closing(e: Engine) -> None:
    for client, anything in ((e.allego(), "get_status"), (e.videre(), "list_data_source_ids")):
        client.close()
        with pytest.raises(ClientClosedError):
            getattr(client, anything)()
