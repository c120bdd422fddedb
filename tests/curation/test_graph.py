"""Every fault of a graph is found, at its node, all at once."""

from __future__ import annotations

import numpy as np
import pytest
from protocol_tools import FS, edges, node, planned, sink, source

from ranvier.curation.graph import Faults, shape_faults
from ranvier.exceptions import ConfigurationError, GraphError
from ranvier.models.dataset import (
    BulkSourceParams,
    CARParams,
    RadiensFileType,
    SourceParams,
    TransformEdge,
    TransformNode,
    TransformNodeType,
)
from ranvier.recordings import plain_channels
from ranvier.recordings.memory import ArrayRecording

N = TransformNode


def recording(start: int = 0) -> ArrayRecording:
    return ArrayRecording(np.zeros((30_000, 6), np.float32), FS, plain_channels(amp=4, ain=2), start=start)


def faults_of(nodes, ways) -> dict[str, list[str]]:
    return planned(nodes, ways, recording())[1].by_node


GOOD = [source(), node("line", N.notch(50, 2)), node("clean", N.car()), sink("out")]


def test_a_good_graph_has_none() -> None:
    assert faults_of(GOOD, edges("source line clean out")) == {}


@pytest.mark.parametrize(
    ("nodes", "ways", "at", "what"),
    [
        ([*GOOD], ["source line clean out", "clean line"], "line", "cycle"),
        ([*GOOD], ["source line clean out", "clean line"], "line", "takes one input, but has 2"),
        ([*GOOD], ["source line clean out", "source clean"], "clean", "takes one input, but has 2"),
        ([*GOOD], ["source line clean out", "line source"], "source", "a source has no input"),
        ([*GOOD], ["source line clean out", "clean nowhere"], "clean", "'nowhere', which is no node"),
        ([*GOOD], ["source line clean out", "nowhere clean"], "clean", "comes from 'nowhere'"),
        (GOOD[1:], ["line clean out"], "protocol", "no source"),
        (GOOD[:-1], ["source line clean"], "protocol", "no sink"),
        (GOOD[:-1], ["source line clean"], "clean", "leads to no sink"),
        ([*GOOD, node("x", N.car())], ["source line clean out"], "x", "no source leads to it"),
        ([*GOOD, sink("more", "out")], ["source line clean out", "line more"], "more", "is written by 'out' too"),
        ([*GOOD, sink("own", "rec", "/data")], ["source line clean out", "line own"], "own", "is the source itself"),
        ([*GOOD, node("line", N.car())], ["source line clean out"], "line", "2 nodes have this id"),
        ([*GOOD, node("x", N.virtual_ref(77))], ["source line clean out", "line x out"], "x", "native index [77]"),
        ([*GOOD, node("x", N.paired_ref(1, 9))], ["source line clean out", "line x out"], "x", "[9]"),
        ([*GOOD, node("x", N.bandpass(300, 20_000))], ["source line clean out", "line x out"], "x", "20000"),
        ([*GOOD, node("x", N.slice_time(5, 6))], ["source line clean out", "line x out"], "x", "outside the data"),
        ([*GOOD, node("x", N.slice_time(0.5, 0.2))], ["source line clean out", "line x out"], "x", "no range"),
        ([*GOOD], ["source line clean out", "out line"], "out", "a sink ends its branch"),
        ([*GOOD], ["source line clean out", "line clean"], "clean", "2 edges come from 'line'"),
        (
            [*GOOD, N(id="x", type=TransformNodeType.NOTCH_FILTER, params=CARParams())],
            ["source x out"],
            "x",
            "takes NotchParams, got CARParams",
        ),
        (
            [*GOOD, N(id="x", type=TransformNodeType.SLICE_TIME)],
            ["source x out"],
            "x",
            "takes SliceTimeParams, got nothing",
        ),
        ([*GOOD, N(id="x", type=TransformNodeType.REMAP_SENSOR)], ["source x out"], "x", "no step that this version"),
        (
            [*GOOD, sink("far", kind=RadiensFileType.PL2)],
            ["source line clean out", "clean far"],
            "far",
            "PL2 files cannot be written",
        ),
        ([*GOOD, sink("bad", "../up")], ["source line clean out", "clean bad"], "bad", "no name of a file"),
    ],
)
def test_one_fault(nodes, ways, at: str, what: str) -> None:
    found = faults_of(nodes, edges(*ways))
    assert any(what in message for message in found[at]), found


def test_a_bulk_source_needs_a_bulk_sink() -> None:
    several = BulkSourceParams(
        sources=[SourceParams(base_name=n, path="/data", file_type=RadiensFileType.XDAT) for n in "ab"]
    )
    nodes = [N(id="all", type=TransformNodeType.BULK_SOURCE, params=several), sink("out")]
    faults = Faults(nodes)
    shape_faults(nodes, edges("all out"), faults)
    assert "needs a bulk sink" in faults.by_node["out"][0]


def test_all_faults_at_once_with_all_nodes() -> None:
    nodes = [
        *GOOD,
        node("steep", N.highpass(50_000)),
        node("lost", N.virtual_ref(99)),
        node("late", N.slice_time(10, 20)),
        node("alone", N.car()),
        sink("second", "out"),
        sink("own", "rec", "/data"),
    ]
    ways = edges("source line clean out", "source steep lost late second", "late own", "late nowhere")
    faults = planned(nodes, ways, recording())[1]
    assert set(faults.by_node) == {"steep", "lost", "late", "alone", "second", "out", "own"}
    assert len(faults.by_node["late"]) == 2
    with pytest.raises(GraphError) as caught:
        faults.raise_any()
    assert isinstance(caught.value, ConfigurationError)
    assert set(caught.value.faults) == set(faults.by_node)
    for messages in faults.by_node.values():
        assert all(message in str(caught.value) for message in messages)


def test_edges_alone_and_empty_graphs() -> None:
    faults = Faults()
    shape_faults([], [TransformEdge(id="e", source="a", target="b")], faults)
    assert set(faults.by_node) == {"e", "protocol"}
    assert len(faults.by_node["protocol"]) == 2
    faults = Faults()
    with pytest.raises(GraphError, match="more than"):
        shape_faults([N.car() for _ in range(301)], [], faults)


def test_equal_steps_behind_one_node_are_one() -> None:
    nodes = [
        source(),
        node("a", N.notch(50, 2)),
        node("b", N.notch(50, 2)),
        node("c", N.notch(60, 2)),
        node("car", N.car()),
        node("car2", N.car()),
        *[sink(f"s{i}") for i in range(4)],
    ]
    task, faults = planned(nodes, edges("source a car s0", "source b car2 s1", "b s2", "source c s3"), recording())
    assert faults.by_node == {}
    assert len(task.root.branches) == 2
    first = task.root.branches[0]
    assert [output.node for output in first.outputs] == ["s2"]
    assert sorted(output.node for output in first.branches[0].outputs) == ["s0", "s1"]


def test_a_fault_of_joined_steps_is_told_for_each() -> None:
    nodes = [source(), node("a", N.virtual_ref(9)), node("b", N.virtual_ref(9)), sink("s0"), sink("s1")]
    assert set(faults_of(nodes, edges("source a s0", "source b s1"))) == {"a", "b"}
