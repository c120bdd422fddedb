"""The contract's table is complete, agrees with itself, and the committed page is what the tool writes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

TOOL = Path(__file__).resolve().parents[2] / "docs" / "_tools" / "service_map.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("service_map", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def contract(tool: ModuleType) -> Any:
    return tool.Contract.read()


def test_totals_of_the_contract(contract: Any) -> None:
    assert sum(len(members) for members in contract.clients["typed"].values()) == 163
    assert sum(len(members) for members in contract.clients["classic"].values()) == 126
    assert len(contract.rpcs) == len(set(contract.rpcs)) == 136


@pytest.mark.parametrize("face", ["typed", "classic"])
def test_each_client_member_is_mapped(contract: Any, face: str) -> None:
    mapped = {(client, member) for f, client, member, _ in contract.uses() if f == face}
    documented = {(client, member) for client, members in contract.clients[face].items() for member in members}
    assert mapped == documented


def test_each_member_is_mapped_to_a_listed_method(contract: Any) -> None:
    unknown = {method for *_, method in contract.uses()} | set(contract.twins) | set(contract.twins.values())
    assert unknown - set(contract.methods) == set()


def test_no_key_of_the_table_is_written_twice(tool: ModuleType) -> None:
    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"written twice: {[k for k in keys if keys.count(k) > 1]}"
        return loader.construct_mapping(node, deep=True)

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    with (tool.CONTRACT / "service_map.yaml").open(encoding="utf-8") as handle:
        assert yaml.load(handle, Strict)["services"]


def test_each_rpc_is_used_or_said_to_be_unused(contract: Any) -> None:
    used = {rpc for rpcs in contract.methods.values() for rpc in rpcs}
    assert used - set(contract.rpcs) == set(), "not on the wire"
    assert used & set(contract.unused) == set(), "used, and listed as unused"
    assert used | set(contract.unused) == set(contract.rpcs)
    assert all(contract.unused.values())


def test_members_go_to_the_method_that_has_their_rpc(contract: Any) -> None:
    """A member that calls an engine goes to a service method which stands for at least one of its calls."""
    astray = []
    for face, client, member, method in contract.uses():
        seen = set(contract.clients[face][client][member])
        means = set(contract.methods[method]) | set(contract.methods[contract.twins.get(method, method)])
        if seen and not method.startswith("connect.") and not seen & means:
            astray.append((face, client, member, method, sorted(seen)))
    # get_neuron_timestamps of the classic client was only ever seen to link its file; it asks for a neuron's spikes.
    expected = [("classic", "SpikesClient", "get_neuron_timestamps")]
    assert [entry[:3] for entry in astray] == expected


def test_each_local_method_is_known_as_such(contract: Any) -> None:
    """Only our own additions and what needs no engine have no RPC."""
    local = {
        name for name, rpcs in contract.methods.items() if not rpcs and not name.startswith(("connect.", "local."))
    }
    assert local == {
        "hub.datasets.set_probe",
        "hub.datasets.streams",
        "hub.dsp.response",
        "hub.signals.events",
        "hub.sessions.concatenate",
        "hub.sessions.pieces",
        "hub.sessions.split",
        "hub.sessions.split_events",
        "hub.sessions.split_timestamps",
        "hub.sessions.align",
        "hub.sessions.map_timestamps",
        "hub.sessions.map_events",
        "hub.sessions.barcodes",
        "hub.replays.replay",
        "hub.protocols.rename",
        "hub.protocols.remove",
        "hub.protocols.check",
        "hub.protocols.from_yaml",
        "hub.protocols.to_yaml",
        "hub.jobs.list",
        "hub.jobs.get",
        "hub.jobs.cancel",
        "hub.jobs.retry",
        "hub.jobs.settings",
        "hub.jobs.change_settings",
        "hub.jobs.clear",
        "hub.metrics.channel_quality",
        "hub.simulation.simulate",
        "hub.spectra.band_power",
        "hub.spectra.coherence",
        "hub.spectra.csd",
        "hub.aligned.average",
        "hub.aligned.time_frequency",
        "hub.aligned.csd",
        "hub.aligned.spikes",
        "hub.spikes.raster",
        "hub.spikes.waveforms",
        "hub.spikes.quality",
        "hub.spikes.correlograms",
        "hub.spikes.merge",
        "hub.spikes.split",
        "hub.spikes.label",
        "hub.spikes.undo",
        "hub.spikes.log",
        "hub.spikes.sorter_log",
        "hub.spikes.export",
        "rig.control.details",
        "rig.control.ground_truth",
        "rig.sensors.assigned",
        "rig.signals.cached",
        "rig.signals.kept",
        "rig.signals.channels_revision",
        "rig.signals.subscribe",
        "rig.signals.events",
        "rig.quality.get",
        "rig.spectra.get",
        "rig.spectra.psd",
        "rig.spectra.band_power",
        "rig.spectra.coherence",
        "rig.recording.files",
        "rig.outputs.arm",
        "rig.outputs.disarm",
        "rig.outputs.safety_limits",
        "rig.outputs.set_safety_limits",
        "rig.outputs.pulses",
        "rig.triggers.arm_loop",
        "rig.triggers.disarm_loop",
        "rig.sorter.save_units",
        "rig.sorter.dynamics",
        "rig.sorter.set_dynamics",
        "rig.sorter.load_units",
    }


def test_each_method_of_the_protocols_is_in_the_table(tool: ModuleType, contract: Any) -> None:
    existing = tool.existing_methods()
    assert len(existing) > 80
    assert existing - set(contract.methods) == set()


def test_the_page_is_up_to_date(tool: ModuleType, contract: Any) -> None:
    assert tool.PAGE.read_text(encoding="utf-8") == tool.page(contract, tool.existing_methods())
