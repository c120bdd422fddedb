"""A rig's client, embedded and remote from one fixture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ranvier import AllegoClient
from ranvier.models.dsp import FilterStage
from ranvier.models.rig import SafetyLimits
from ranvier.transport import end_process

MODE = "SMARTBOX_SIM_GEN_SPIKES"


@pytest.fixture(scope="session")
def process_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the home of the rig process that all remote tests of this session share."""
    home = tmp_path_factory.mktemp("process")
    yield home
    end_process("rig", home)


@pytest.fixture(params=["embedded", "remote"])
def allego(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[AllegoClient]:
    """Return a client of an idle simulator of spikes that records into ``tmp_path``."""
    embedded = request.param == "embedded"
    if not embedded:
        monkeypatch.setenv("RANVIER_HOME", str(request.getfixturevalue("process_home")))
    with AllegoClient(embedded=embedded) as client:
        make_new(client)
        config = client.get_recording_config()
        client.update_recording_config(
            config.model_copy(update={"base_file_path": str(tmp_path), "base_file_name": "rec", "time_stamp": False})
        )
        yield client
    with AllegoClient(embedded=embedded) as client:  # the test may have closed its own
        stop(client)


def stop(client: AllegoClient) -> None:
    client.emergency_stop()
    client.stop_recording()
    client.stop_streaming()


def make_new(client: AllegoClient) -> None:
    """Bring a rig back to what it is at the beginning; what a test left on is off."""
    stop(client)
    client.disable_all_triggers()
    client.restart(mode=MODE)
    if {s.port.name: s.num_channels for s in client.get_sensors()} != {"A": 32}:
        for sensor in client.get_sensors():
            if sensor.port.name != "A":
                client.set_sensor(port=sensor.port, headstage="", probe="")
        client.set_sensor(port="A", headstage="passthrough_32", probe="a1x32_poly3_8mm50s_177")
    client.update_core_config(samp_freq=30_000.0, loop_dur=5.0, pcache_persistence=20.0)
    client.set_safety_limits(SafetyLimits(), reason="the defaults")
    for stage in (FilterStage.STAGE_HARDWARE, FilterStage.STAGE1, FilterStage.STAGE2):
        client.set_dsp_group(stage=stage, params=[])
    for workspace in client.list_workspaces():
        client.delete_workspace(workspace.id)
    config = client.get_recording_config()
    client.update_recording_config(config.model_copy(update={"split_files_by_port": False}))
