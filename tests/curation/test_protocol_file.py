"""The YAML form: there and back, and every mistake with its line and node."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.curation.graph import SINKS, SOURCES
from ranvier.curation.protocol_file import parse_protocol
from ranvier.curation.protocol_text import protocol_text
from ranvier.curation.protocol_words import OPERATIONS
from ranvier.exceptions import ConfigurationError
from ranvier.models.dataset import (
    BulkSinkParams,
    ProtocolGraph,
    RadiensFileType,
    SourceParams,
    TransformEdge,
    TransformNode,
    TransformNodeType,
)

TEXT = """\
protocol: 1                       # a comment
name: spikes and lfp
description: what we always do
steps:
  line:    {notch: {frequency: 50, bandwidth: 2}}
  bandpass: {low: 300, high: 6000}
  car:
  lfp:     {from: line, lowpass: {frequency: 300, order: 2, zero_phase: true}}
  part:    {slice_time: {start: 1, end: 2.5}}
outputs:
  clean:   {from: car, type: nwb}
  slow:    {from: part, suffix: lfp, dir: /elsewhere}
  copy:    {from: source, name: whole}
"""

GIVEN = [SourceParams(base_name="a", path="/data", file_type=RadiensFileType.XDAT)]


def parse(text: str, **options) -> ProtocolGraph:
    return parse_protocol(text, name="lab.yaml", **{"sources": GIVEN, "output_dir": Path("/out"), **options})


def test_the_form() -> None:
    graph = parse(TEXT)
    nodes = {n.id: n for n in graph.nodes}
    assert graph.id == "spikes and lfp"
    assert nodes["source"].type == TransformNodeType.BULK_SOURCE
    assert nodes["source"].params.sources == GIVEN
    assert nodes["line"].params == TransformNode.notch(50, 2).params
    assert nodes["bandpass"].params == TransformNode.bandpass(300, 6000).params
    assert nodes["car"].type == TransformNodeType.CAR_REF
    assert nodes["lfp"].params == TransformNode.lowpass(300, 2, zero_phase=True).params
    assert nodes["part"].params == TransformNode.slice_time(1, 2.5).params
    assert nodes["clean"].params == BulkSinkParams(suffix="clean", path="/out", file_type=RadiensFileType.NWB)
    assert nodes["slow"].params == BulkSinkParams(suffix="lfp", path="/out", file_type=RadiensFileType.XDAT)
    assert (nodes["copy"].type, nodes["copy"].params.base_name) == (TransformNodeType.SINK, "whole")
    assert {(e.source, e.target) for e in graph.edges} == {
        ("source", "line"),
        ("line", "bandpass"),
        ("bandpass", "car"),
        ("line", "lfp"),
        ("lfp", "part"),
        ("car", "clean"),
        ("part", "slow"),
        ("source", "copy"),
    }


def test_what_the_caller_names_takes_the_place_of_the_text() -> None:
    own = parse_protocol(
        TEXT.replace("clean:   {", "clean:   {dir: /d, ")
        .replace("copy:    {", "copy: {dir: /d, ")
        .replace("steps:", "sources:\n  mine: {path: /data/b.xdat}\nsteps:")
        .replace("from: source", "from: mine")
    )
    assert {n.params.path for n in own.nodes if n.type == TransformNodeType.BULK_SINK} == {"/d", "/elsewhere"}
    assert own.nodes[0].params == SourceParams(base_name="b", path="/data", file_type=RadiensFileType.XDAT)
    other = parse(TEXT, file_type=RadiensFileType.KILOSORT2)
    assert {n.params.file_type for n in other.nodes if "SINK" in n.type.name} == {RadiensFileType.KILOSORT2}


def test_sources_in_the_text() -> None:
    text = """\
protocol: 1
sources:
  one: {path: /data/a.rhd}
  all: {paths: [/data/b.xdat, {path: /data/c, type: NWB, stream: probe}]}
steps: {car: }
outputs: {clean: {dir: /out, from: car}, other: {dir: /out, from: one, name: x}}
"""
    graph = parse_protocol(text)
    one, many = graph.nodes[:2]
    assert one.params == SourceParams(base_name="a", path="/data", file_type=RadiensFileType.RHD)
    assert [(s.base_name, s.file_type.name, s.stream) for s in many.params.sources] == [
        ("b", "XDAT", ""), ("c", "NWB", "probe"),
    ]  # fmt: skip
    assert ("all", "car") in {(e.source, e.target) for e in graph.edges}


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("frequency: 50, ", "", 5, ["'line'", "frequency:", "required"]),
        ("low: 300", "lo: 300", 6, ["'bandpass'", "'lo'", "low, high"]),
        ("low: 300", "low: loud", 6, ["'bandpass'", "low:", "'loud'"]),
        ("  car:\n", "  car: 5\n", 7, ["'car'", "5"]),
        ("from: line", "from: lien", 8, ["'lfp'", "'lien'", "known are"]),
        ("lowpass:", "low_pass:", 8, ["'lfp'", "0 operations", "bandpass"]),
        ("{from: line, lowpass", "{from: line, car: , lowpass", 8, ["'lfp'", "2 operations"]),
        ("  part:", "  line:", 9, ["'line'", "twice", "line 5"]),
        ("type: nwb", "type: nwbb", 11, ["'clean'", "nwbb", "XDAT"]),
        ("suffix: lfp", "sufix: lfp", 12, ["'slow'", "'sufix'"]),
        ("name: whole", "name: whole, suffix: x", 13, ["'copy'", "not both"]),
        ("description:", "descripton:", 3, ["'descripton'", "description"]),
        ("bandwidth: 2}}", "bandwidth: 2}", 6, ["no YAML"]),
        ("slow: ", "car: ", 12, ["'car'", "line 7"]),
    ],
)
def test_a_mistake_has_its_line_and_node(old: str, new: str, line: int, words: list[str]) -> None:
    assert old in TEXT
    with pytest.raises(ConfigurationError) as caught:
        parse(TEXT.replace(old, new))
    assert f"lab.yaml, line {line}:" in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_all_mistakes_at_once() -> None:
    wrong = TEXT.replace("low: 300", "lo: 300").replace("nwb", "nwbb").replace("from: line", "from: lien")
    with pytest.raises(ConfigurationError) as caught:
        parse(wrong)
    assert [text.split(":")[0] for text in str(caught.value).splitlines()] == [
        "lab.yaml, line 6", "lab.yaml, line 8", "lab.yaml, line 11",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "[]", "steps: {}", "protocol: 2", "protocol: true", "a: &a [*a]", "!!python/object:os.x {}"]
)
def test_other_texts(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"lab\.yaml"):
        parse(text)


def test_without_sources_or_folder() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_protocol(TEXT)
    assert "no sources" in str(caught.value)
    assert "'clean' names no folder" in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.integers(0, len(TEXT)), st.integers(0, 60))
def test_damaged_texts_give_our_error_or_a_graph(inserted: str, at: int, cut: int) -> None:
    try:
        graph = parse(TEXT[:at] + inserted + TEXT[at + cut :])
    except ConfigurationError:
        return
    assert graph.nodes


def as_set(graph: ProtocolGraph) -> tuple:
    nodes = {n.id: (n.type, None if n.params is None else n.params.model_dump()) for n in graph.nodes}
    return graph.id, nodes, {(e.source, e.target) for e in graph.edges}


def test_there_and_back() -> None:
    for graph in (parse(TEXT), parse_protocol(protocol_text(parse(TEXT)))):
        assert as_set(parse_protocol(protocol_text(graph))) == as_set(graph)


def test_nodes_without_names_get_some() -> None:
    line = [
        TransformNode(type=TransformNodeType.SOURCE, params=GIVEN[0]),
        TransformNode.notch(50, 2),
        TransformNode.notch(60, 2, zero_phase=True),
        TransformNode.paired_ref(1, 2),
        TransformNode.car(),
        TransformNode.sink("x", "/out", RadiensFileType.NWB),
    ]
    ways = [TransformEdge(source=a.id, target=b.id) for a, b in pairwise(line)]
    text = protocol_text(ProtocolGraph(id="p", nodes=line, edges=ways))
    back = parse_protocol(text)
    assert [n.id for n in back.nodes] == ["source", "notch", "notch_2", "paired_ref", "car", "output"]
    assert [(n.type, n.params) for n in back.nodes[:4]] == [(n.type, n.params) for n in line[:4]]
    cycle = [*ways, TransformEdge(source=line[4].id, target=line[1].id)]
    with pytest.raises(ConfigurationError):
        protocol_text(ProtocolGraph(nodes=line, edges=cycle))


def test_every_step_that_runs_has_a_name_in_the_form() -> None:
    """Steps of our own too: they come back from the text as they were."""
    from ranvier.models.transform_params import PARAMS_OF

    assert set(OPERATIONS.values()) == set(PARAMS_OF) - SOURCES - SINKS
    text = """\
protocol: 1
sources: {raw: {path: /data/rec.xdat}}
steps:
  correct_skew:
  quiet: {blank_artifacts: {line: 2, state: 1, before_ms: 0.5, mode: hold}}
outputs: {all: {dir: /out}}
"""
    graph = parse_protocol(text)
    nodes = {n.id: n for n in graph.nodes}
    assert nodes["quiet"].params == TransformNode.blank_artifacts(line=2, state=1, before_ms=0.5, mode="hold").params
    assert nodes["correct_skew"].params == TransformNode.correct_skew().params
    again = {n.id: n for n in parse_protocol(protocol_text(graph)).nodes}
    assert {i: n.params for i, n in again.items()} == {i: n.params for i, n in nodes.items()}
