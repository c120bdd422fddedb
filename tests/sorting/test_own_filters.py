"""Which of its own filters a sorter leaves out, as others stand in front: the same rule live and for recordings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ranvier import AllegoClient, VidereClient
from ranvier.models import DSPParams, DSPType, FilterStage, Port, SimulationSpec, SpikeSorterLaunchParams
from ranvier.sorting.source import done_in_front

BAND, REFERENCE = {"band_hz": None}, {"reference": False}
HIGHPASS = {"type": "highpass", "freq": 250.0}
NOTCH = {"type": "notch", "freq": 60.0, "notch_bandwidth": 2.0}
CAR = {"type": "car"}


@pytest.mark.parametrize(
    ("front", "ports", "left_out"),
    [
        ([], [Port.A], {}),
        ([DSPParams(type=DSPType.NOTCH, stage=2), DSPParams(type=DSPType.LOWPASS, stage=2)], [Port.A], {}),
        ([DSPParams(type=DSPType.BANDPASS, stage=2)], [Port.A, None], BAND),
        ([DSPParams(type=DSPType.HIGHPASS, stage=2, is_aux=True)], [Port.A], {}),
        ([DSPParams(type=DSPType.HIGHPASS, stage=2, port=Port.A)], [Port.A], BAND),
        ([DSPParams(type=DSPType.HIGHPASS, stage=2, port=Port.A)], [Port.A, Port.B], {}),
        ([DSPParams(type=DSPType.HIGHPASS, stage=2, port=p) for p in (Port.B, Port.A)], [Port.A, Port.B], BAND),
        ([DSPParams(type=DSPType.CAR, stage=2), DSPParams(type=DSPType.HIGHPASS, stage=3)], [Port.A], BAND | REFERENCE),
        ([DSPParams(type=DSPType.VIRTUAL_REFERENCE, stage=2, port=Port.B)], [Port.A, Port.B], {}),
    ],
)
def test_what_is_done_in_front(front: list[DSPParams], ports: list[Port | None], left_out: dict[str, Any]) -> None:
    assert done_in_front(front, ports) == left_out


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    spec = SimulationSpec(duration_sec=2.0, probe="a1x16_5mm50_177", num_units=2, seed=1)
    with VidereClient(address=f"embedded:{folder / 'home'}", progress=False) as videre:
        videre.simulate_recording(spec, folder / "rec_SIMULATED.xdat")
    return folder / "rec_SIMULATED.xdat"


@pytest.fixture
def allego() -> Iterator[AllegoClient]:
    with AllegoClient(embedded=True) as client:
        client.restart(mode="SMARTBOX_SIM_GEN_SPIKES")
        yield client


def live(allego: AllegoClient, stage: FilterStage, params: list[dict[str, Any]]) -> list[str]:
    """Return the kinds of filters in front of the live sorter."""
    allego.set_dsp_group(stage=stage, params=params)
    allego.spike_sorter_command(cmd="on", sub_cmd="detect_only")
    allego.start_streaming()
    sorter = allego._rig.sorter
    until = time.monotonic() + 20
    while sorter._sorting.engine is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    allego.stop_streaming()
    return [stage["kind"] for stage in sorter._sorting.engine.describe_filters()]


def offline(path: Path, params: list[dict[str, Any]]) -> list[str]:
    """Return the kinds of filters in front of the sorter of a recording."""
    with VidereClient(progress=False) as videre:
        ds = videre.link_data_file(path)
        videre.set_dsp_group(ds, stage="stage2", params=params)
        made = videre.spike_sorter_launch(SpikeSorterLaunchParams(dsource_id=ds.id, is_auto_on=False))
        plan = videre._hub.sorters._sorters[made.spike_sorter_id].plan
        return [stage["kind"] for stage in plan.view(plan.columns).filters]


@pytest.mark.parametrize("params", [[], [NOTCH], [HIGHPASS], [CAR], [CAR, HIGHPASS], [{**HIGHPASS, "port": "A"}]])
def test_live_and_recordings_agree(allego: AllegoClient, made: Path, params: list[dict[str, Any]]) -> None:
    kinds = live(allego, FilterStage.STAGE2, params)
    assert kinds == offline(made, params)
    given = [item["type"] for item in params]
    own = [*([] if "highpass" in given else ["bandpass"]), *([] if "car" in given else ["car"])]
    assert kinds == [*given, *own]


def test_a_notch_of_the_sorters_own_stage_takes_the_place_of_nothing(allego: AllegoClient) -> None:
    assert live(allego, FilterStage.SPIKE_SORTER, [NOTCH]) == ["notch", "bandpass", "car"]
