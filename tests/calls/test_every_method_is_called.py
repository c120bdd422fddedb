"""Every method of both APIs is called, embedded and on engines in processes of their own; see ``every_call``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import calls_classic
import calls_typed_files
import calls_typed_rig
import pytest
from every_call import CHECKS, CLIENTS, Check, Engine, called, due

import ranvier
from ranvier import connect
from ranvier.models.simulation import SimulationSpec
from ranvier.transport import end_process

MODULES = (calls_classic, calls_typed_files, calls_typed_rig)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    with ranvier.VidereClient(address=f"embedded:{folder / 'home'}", progress=False) as videre:
        spec = SimulationSpec(duration_sec=2.0, start_sec=3.0, probe="a1x16_5mm50_177", num_units=4)
        videre.simulate_recording(spec, folder / "rec_SIMULATED.xdat")
    return folder


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the home of the rig and the hub process that all remote checks share."""
    home = tmp_path_factory.mktemp("processes")
    yield home
    for kind in ("rig", "hub"):
        end_process(kind, home)


@pytest.fixture(params=["embedded", pytest.param("processes", marks=pytest.mark.slow)])
def engine(
    request: pytest.FixtureRequest, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """Return an idle simulator and a hub: in this process, or each in its own."""
    for file in made.iterdir():
        if file.is_file() and file.suffix != ".kpi":
            shutil.copy(file, tmp_path)
    recording = tmp_path / "rec_SIMULATED.xdat"
    if request.param == "embedded":
        monkeypatch.setenv("RANVIER_ADDRESS", "embedded")
        found = Engine(tmp_path, recording, None, "default")
    else:
        monkeypatch.setenv("RANVIER_HOME", str(request.getfixturevalue("processes")))
        connect.name_hub("served", "process")
        found = Engine(tmp_path, recording, "process", "served")
    yield found
    with ranvier.AllegoClient() as rig:
        rig.emergency_stop()
        rig.stop_recording()
        rig.stop_streaming()
        rig.restart(mode="SMARTBOX_SIM_GEN_SPIKES")
    found.close()


@pytest.mark.filterwarnings("ignore:time_range is None")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_call(check: Check, engine: Engine) -> None:
    check.run(engine)
    assert set(check.methods) - engine.seen == set(), "the check does not call what it says"


@pytest.mark.parametrize(("api", "client"), [(api, client) for api in ("typed", "classic") for client in CLIENTS[api]])
def test_every_documented_method_is_called(api: str, client: str) -> None:
    assert due(api, client) - called(api, client) == set(), "documented, and no check calls them"
    assert called(api, client) - set(CLIENTS[api][client]) == set(), "not documented"
