"""AllegoClient: state, configuration, ports, sensors, set-ups, and leaving."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ranvier.models as m
from ranvier import AllegoClient
from ranvier.exceptions import (
    CapabilityError,
    ClientClosedError,
    ConfigurationError,
    DatasetError,
    ProbeError,
    ServerDiscoveryError,
)

CONTRACT = Path(__file__).parents[2] / "docs" / "contract" / "clients.json"


def test_each_documented_method_is_there() -> None:
    documented = set(json.loads(CONTRACT.read_text())["typed"]["AllegoClient"])
    assert {name for name in documented if not hasattr(AllegoClient, name)} == set()
    assert len(documented) > 58


def test_status_says_what_is_and_that_it_is_simulated(allego: AllegoClient) -> None:
    status = allego.get_status()
    assert isinstance(status, m.BackboneStatus)
    assert status.streaming.stream_mode == m.StreamMode.OFF
    assert status.recording.record_mode == m.RecordMode.OFF
    assert [(p.port, p.channel_count) for p in status.ports] == [(m.Port.A, 32)]
    assert status.is_connected
    assert status.simulated
    details = allego.details()
    assert isinstance(details, m.RigStatus)
    assert details.source.simulated
    assert details.state == m.RigState.IDLE
    assert "SIMULATED" in repr(allego)
    assert "idle" in repr(allego)
    assert allego.server_version == (5, 7, 0)


def test_streaming_is_idempotent_and_so_is_stopping(allego: AllegoClient) -> None:
    allego.start_streaming()
    allego.start_streaming()
    assert allego.get_status().streaming.stream_mode == m.StreamMode.ON
    with pytest.raises(ConfigurationError, match="stop streaming first"):
        allego.restart(mode="SMARTBOX_SIM_GEN_SINE")
    allego.stop_streaming()
    allego.stop_streaming()
    assert allego.get_status().streaming.stream_mode == m.StreamMode.OFF


@pytest.mark.parametrize("mode", ["smartbox_sim_gen_lfp", m.BackboneMode.SMARTBOX_SIM_GEN_SINE])
def test_restart_takes_members_and_names(allego: AllegoClient, mode: object) -> None:
    allego.restart(mode=mode)  # type: ignore[arg-type]
    assert allego.get_core_config().backbone_mode.name == getattr(mode, "name", str(mode).upper())


def test_restart_refuses(allego: AllegoClient) -> None:
    with pytest.raises(ConfigurationError, match="backbone mode"):
        allego.restart(mode="NO_SUCH_MODE")
    with pytest.raises(CapabilityError, match="SMARTBOX_PRO"):
        allego.restart(mode="SMARTBOX_PRO")
    with pytest.raises(CapabilityError, match="simulator"):
        allego.restart(mode="SMARTBOX_SIM_GEN_SINE", require_hardware=True)
    assert allego.get_core_config().backbone_mode == m.BackboneMode.SMARTBOX_SIM_GEN_SPIKES


def test_a_recording_is_played_live(allego: AllegoClient, tmp_path: Path) -> None:
    from ranvier import VidereClient

    with VidereClient(embedded=True) as videre:
        made = videre.simulate_recording(m.SimulationSpec(duration_sec=1.0), tmp_path / "played_SIMULATED.xdat")
    allego.restart(mode="SMARTBOX_SIM_DATASOURCE", replay=tmp_path / "played_SIMULATED.xdat.json")
    counts = allego.get_channel_metadata().num_channels
    assert counts[m.SignalType.AMP] == made.channel_metadata.num_channels[m.SignalType.AMP]


def test_require_hardware_refuses_simulators(allego: AllegoClient) -> None:
    picky = AllegoClient(address=address_of(allego), require_hardware=True)
    try:
        for call in (picky.start_streaming, picky.start_recording, lambda: picky.get_signals([0, 1])):
            with pytest.raises(CapabilityError, match="simulator"):
                call()
        with pytest.raises(CapabilityError):
            picky.restart(mode="SMARTBOX_SIM_GEN_SINE")
    finally:
        picky.close()


def test_core_config(allego: AllegoClient) -> None:
    allego.update_core_config(
        samp_freq=20_000.0,
        loop_dur=10,
        cable_delay=m.CableDelay(port=m.Port.A, cable_delay=3, is_auto=False),
    )
    config = allego.get_core_config()
    assert isinstance(config, m.CoreConfig)
    assert config.base_samp_freq == 20_000.0
    assert config.stream_loop_dur_ms == 10
    assert config.cable_delays[0].cable_delay == 3
    with pytest.raises(ConfigurationError, match="30000"):
        allego.update_core_config(samp_freq=12_345.0)
    with pytest.raises(ConfigurationError, match="samp_freq"):
        allego.update_core_config(samp_freq="fast")  # type: ignore[arg-type]
    with pytest.warns(DeprecationWarning, match="update_core_config"):
        allego.set_core_config(m.SetCoreConfigRequest(samp_freq=30_000.0))
    assert allego.get_core_config().base_samp_freq == 30_000.0
    allego.start_streaming()
    with pytest.raises(ConfigurationError, match="stop streaming first"):
        allego.update_core_config(samp_freq=20_000.0)


def test_the_older_form_of_streaming(allego: AllegoClient) -> None:
    with pytest.warns(DeprecationWarning, match="start_streaming"):
        allego.set_stream_state(m.StreamStateRequest(mode=m.StreamMode.ON))
    assert allego.get_status().streaming.stream_mode == m.StreamMode.ON
    with pytest.warns(DeprecationWarning, match="stop_streaming"):
        allego.set_stream_state(m.StreamStateRequest(mode=m.StreamMode.OFF))
    assert allego.get_status().streaming.stream_mode == m.StreamMode.OFF


def test_healthcheck(allego: AllegoClient) -> None:
    allego.healthcheck()
    allego.healthcheck(m.ServiceEndpoint.ALLEGO_PCACHE)
    with pytest.raises(ConfigurationError, match="VidereClient"):
        allego.healthcheck(m.ServiceEndpoint.RADIENS_CORE)
    allego.healthcheck(m.ServiceEndpoint.ALLEGO_KPI)
    allego.healthcheck(m.ServiceEndpoint.ALLEGO_NEURONS)


def test_sensors(allego: AllegoClient) -> None:
    known = allego.get_available_sensors()
    assert set(known) == {"headstages", "probes"}
    assert "passthrough_64" in known["headstages"]
    channels = allego.set_sensor(port="B", headstage="passthrough_64", probe="v1x64_poly3_10mm25s_177")
    assert isinstance(channels, m.ChannelMetadata)
    assert channels.num_channels[m.SignalType.AMP] == 96
    by_port = {s.port: s for s in allego.get_sensors()}
    assert by_port[m.Port.B].num_channels == 64
    assert by_port[m.Port.B].probe_id.startswith("v1x64")
    with pytest.raises(ProbeError):
        allego.set_sensor(port="B", headstage="passthrough_32", probe="v1x64_poly3_10mm25s_177")
    assert allego.scan_ports().num_channels[m.SignalType.AMP] == 96


def test_workspaces(allego: AllegoClient) -> None:
    assert allego.list_workspaces() == []
    allego.set_selected_channels([1, 2])
    saved = allego.save_workspace("first", tags="test", notes="as it was")
    assert isinstance(saved, m.Workspace)
    allego.restart(mode="SMARTBOX_SIM_GEN_SINE")
    assert allego.get_selected_channels()[m.SignalType.AMP] == list(range(32))
    assert allego.switch_workspace(saved.id).name == "first"
    assert allego.get_core_config().backbone_mode == m.BackboneMode.SMARTBOX_SIM_GEN_SPIKES
    assert allego.get_selected_channels()[m.SignalType.AMP] == [1, 2]
    current = allego.get_current_workspace()
    assert current is not None
    assert (current.name, current.tags, current.notes) == ("first", "test", "as it was")
    allego.delete_workspace(saved.id)
    with pytest.raises(DatasetError):
        allego.switch_workspace(saved.id)


def test_a_closed_client_refuses(allego: AllegoClient) -> None:
    second = AllegoClient(address=address_of(allego))
    second.close()
    second.close()
    assert "closed" in repr(second)
    with pytest.raises(ClientClosedError, match="make a new one"):
        second.get_status()
    assert allego.get_status().is_connected


def test_a_client_that_leaves_lets_it_stream(allego: AllegoClient) -> None:
    with AllegoClient(address=address_of(allego)) as second:
        second.start_streaming()
    assert allego.get_status().streaming.stream_mode == m.StreamMode.ON


def test_an_address_that_fails_never_falls_back() -> None:
    with pytest.raises(ServerDiscoveryError, match=r"127\.0\.0\.1:1"):
        AllegoClient(address="127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="contradict"):
        AllegoClient(address="127.0.0.1:1", embedded=True)


def address_of(allego: AllegoClient) -> str:
    """Return how a second client gets to the same rig."""
    connection = vars(allego._rig).get("_connection")
    return "embedded" if connection is None else connection.address
