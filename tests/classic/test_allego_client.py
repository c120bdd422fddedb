"""Every method of the classic AllegoClient and WorkspaceClient against an embedded rig; SignalsClient against a hub."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ranvier.classic import AllegoClient, VidereClient
from ranvier.classic.utils.enums import ClientType, FftWindow, Port, SystemMode
from ranvier.classic.utils.util import make_signal_selector, make_time_range
from ranvier.classic.workspace_client import COLUMNS
from ranvier.clients.videre import VidereClient as TypedVidere
from ranvier.exceptions import CapabilityError, ClientClosedError, ServerDiscoveryError
from ranvier.models.simulation import SimulationSpec


@pytest.fixture
def allego(tmp_path: Path) -> Iterator[AllegoClient]:
    with AllegoClient(embedded=True) as client:
        client.set_recording_config(str(tmp_path), "rat", 3, is_time_stamp=False)
        yield client
    with AllegoClient(embedded=True) as client:  # the test may have closed its own
        client.set_recording("off")
        client.set_streaming("off")


def test_restart_and_status(allego: AllegoClient) -> None:
    assert allego.type is ClientType.ALLEGO
    allego.set_streaming("ON")
    allego.restart("sim-sine")  # a stream ends
    assert allego.get_status().system_mode is SystemMode.SMARTBOX_SIM_GEN_SINE
    allego.restart(2)
    status = allego.get_status()
    assert status.system_mode is SystemMode.SMARTBOX_SIM_GEN_SPIKES
    assert status.stream.mode == "S_OFF"
    with pytest.raises(ValueError, match="SMARTBOX_SIM_GEN_SPIKES"):
        allego.restart("no such mode")
    with pytest.raises(TypeError):
        allego.restart(None)  # type: ignore[arg-type]
    with pytest.raises(CapabilityError):
        allego.restart("xdaq_one_req")
    assert allego.get_stream_loop_dur_ms() > 0
    allego.set_sampling_freq(20000)
    assert allego.get_status().sample_freq == 20000
    with pytest.raises(ValueError, match="30000"):
        allego.set_samp_freq(12345)


def test_signals_since_the_last_call(allego: AllegoClient) -> None:
    allego.set_streaming(True)
    allego.set_time_to_cache_head()
    time.sleep(0.3)
    first, (start, middle) = allego.get_signals()
    second, (again, _) = allego.get_signals()
    assert first.dtype == np.float32
    assert first.shape[0] == second.shape[0] == len(allego.get_channel_metadata().table)
    assert first.shape[1] == round((middle - start) * allego.get_status().sample_freq) > 0
    assert again == pytest.approx(middle)
    assert np.abs(first[0]).max() > 1  # uV


def test_recording(allego: AllegoClient, tmp_path: Path) -> None:
    state = allego.set_recording("on")
    assert (str(state.recording.mode), str(state.stream.mode)) == ("R_ON", "S_ON")
    assert Path(state.recording.path) == tmp_path
    assert state.base_name.startswith("rat")
    time.sleep(0.2)
    assert str(allego.set_recording(0).recording) == "R_OFF"
    assert list(tmp_path.glob("*rat*.xdat*"))
    with pytest.raises(ValueError, match="ON"):
        allego.set_recording("maybe")


def test_sensors(allego: AllegoClient) -> None:
    known = allego.get_available_sensors()
    assert known["sensors"]["probes"] == known["probes"]
    assert known["headstages"]["passthrough_64"] == 64
    allego.set_sensor("a", "pass-32", " poly5-32")
    assert "poly5" in allego.get_channel_metadata().table["probe_id"].iloc[0]
    for wrong in (("H", "pass-32", "poly5-32"), ("A", "nothing", "poly5-32"), (Port.A, "pass-32", "nothing")):
        with pytest.raises(ValueError):
            allego.set_sensor(*wrong)


def test_outputs(allego: AllegoClient) -> None:
    allego.set_digital_out_manual(True, False)
    states = allego.get_digital_out_states()
    assert states["digital_outs_mode"] == "manual" == str(states["digital_outs_mode"])
    assert states["digital_outs_mode"] == "MANUAL"
    assert states["states"][:2] == [{"chan_idx": 0, "state": True}, {"chan_idx": 1, "state": False}]
    with pytest.raises(ValueError):
        allego.set_digital_out_manual("off", False)  # type: ignore[arg-type]
    assert allego.set_analog_out_high_pass(250.0)["high_pass"] == {"enable": True, "cutoff_freq": 250.0}
    assert allego.set_dac_high_pass(False, 300.0)["high_pass"] == {"enable": False, "cutoff_freq": 300.0}
    assert set(allego.get_analog_out_settings()) == {"dac", "gain", "high_pass"}


def test_stimulation(allego: AllegoClient) -> None:
    with pytest.raises(KeyError, match="stim_sys_chan_idx"):
        allego.set_stim_params({})
    asked = {
        "stim_sys_chan_idx": 4, "enabled": True, "first_phase_amplitude_uA": 10, "second_phase_amplitude_uA": 10,
        "refactory_period_ms": 2,
    }  # fmt: skip
    allego.set_stim_params(asked)
    found = allego.get_stim_params()[4]
    assert len(found) == len(asked) == 26
    assert (found["refactory_period_ms"], found["first_phase_duration_us"], found["trigger_source_idx"]) == (2, 100, 0)
    assert found["trigger_source_is_keypress"]
    allego.set_stim_params({"stim_sys_chan_idx": 4, "first_phase_duration_us": 200, "second_phase_duration_us": 200})
    assert allego.get_stim_params()[4]["first_phase_amplitude_uA"] == 10
    allego.set_stim_step(8)
    allego.set_streaming("on")
    allego.set_manual_stim_trigger(0)
    time.sleep(0.3)
    pulses = allego._typed.get_pulses()
    assert [pulse.sys_chan_idx for pulse in pulses] == [4]
    with pytest.raises(ValueError, match="0 to 7"):
        allego.set_manual_stim_trigger(8)
    with pytest.raises(ValueError, match="voltage"):
        allego.set_stim_params({"stim_sys_chan_idx": 4, "voltage": 3})


def test_workspaces(allego: AllegoClient) -> None:
    client = allego.workspace()
    assert tuple(client.workspace_current().columns) == tuple(client.workspace_list().columns) == COLUMNS
    assert len(client.workspace_list()) == 0
    with pytest.raises(ValueError):
        client.workspace_save()
    client.workspace_save("mine", tags="t", notes="n")
    row = client.workspace_current().iloc[0]
    assert (row["ID"], row["app"], row["notes"], row["tags"], bool(row["is_modified"])) == (
        "mine", "ALLEGO", "n", "t", False,
    )  # fmt: skip
    allego.set_analog_out_high_pass(123.0)
    assert bool(client.workspace_current().iloc[0]["is_modified"])
    client.workspace_switch("mine")
    assert not bool(client.workspace_current().iloc[0]["is_modified"])
    client.workspace_delete("mine")
    assert len(client.workspace_list()) == 0
    assert "default" in client.hubs
    assert client.id == ""


def test_closed(allego: AllegoClient) -> None:
    allego.close()
    with pytest.raises(ClientClosedError):
        allego.get_status()
    with pytest.raises(ServerDiscoveryError, match="default"):
        VidereClient("no such hub")


def test_signals_client(tmp_path: Path) -> None:
    with TypedVidere() as typed:
        ours = typed.simulate_recording(SimulationSpec(duration_sec=2.0), tmp_path / "rec")
        amp = typed.get_signals(ours, [10.5, 11.0], [5, 2]).amp
    with VidereClient() as videre:
        meta = videre.link_data_file(str(ours.base_path) + ".xdat", calc_metrics=False)
        signals = videre.signals()
        pick = make_signal_selector(amp=[5, 2])
        ranges = ([10.5, 11.0], np.array([10.5, 11.0]), make_time_range([10.5, 11.0], fs=meta.TR.fs))
        for span in ranges:
            found = signals.get_signals(span, sig_sel=pick, dataset_metadata=meta)
            assert np.array_equal(found.signals.amp, amp)
            assert found.channel_metadata.index("amp").ntv == [5, 2]
            assert found.signals.gpio_din.shape == (0, found.TR.N)
        for span in ([0.25, np.nan], 0.25):
            assert signals.get_signals(span, sig_type="amp", dataset_metadata=meta).TR.dur_sec == pytest.approx(0.25)
        assert signals.get_signals(11.5, "to_head", pick, meta).TR.sec.tolist() == [11.5, 12.0]
        with pytest.warns(UserWarning, match="reading all"):
            assert signals.get_signals(sig_sel=pick, dataset_metadata=meta).TR.N == meta.TR.N
        file = str(tmp_path / "p")
        psd = signals.get_psd([10, 12], sig_sel=pick, freq_resolution=2, file=file, dataset_metadata=meta)
        assert psd.psd.shape == (2, len(psd.frequencies))
        assert (psd.window_type, psd.freq_bin_width) == (FftWindow.HAMMING_p01, pytest.approx(2.0, rel=0.01))
        assert (tmp_path / "p.npz").exists()
        power = signals.get_psd([10, 12], sig_sel=pick, freq_resolution=2, collapse_freq=True, dataset_metadata=meta)
        assert power.psd.shape == (2, 1)
        with pytest.raises(ValueError, match="link_data_file"):
            signals.get_signals([10, 11])
        with pytest.raises(ValueError):
            signals.get_signals("soon", dataset_metadata=meta)
        with pytest.raises(ServerDiscoveryError):
            signals.get_signals([10, 11], dataset_metadata=meta, hub_name="no such hub")
