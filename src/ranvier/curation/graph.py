"""The shape of a protocol: nodes joined by edges, and every fault of it that needs no recording to be seen.

A graph is a forest: each source is the root of a tree, each step has one input, each sink is a leaf. Steps with the
same operation behind the same node are one step, so that what branches share is computed once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ranvier.exceptions import GraphError
from ranvier.models.dataset import TransformEdge, TransformNode, TransformNodeType
from ranvier.models.transform_params import PARAMS_OF

SOURCES = frozenset({TransformNodeType.SOURCE, TransformNodeType.BULK_SOURCE})
SINKS = frozenset({TransformNodeType.SINK, TransformNodeType.BULK_SINK})

#: More nodes than this are a mistake.
MAX_NODES = 300

#: Kinds that work without parameters.
_BARE = frozenset({TransformNodeType.CAR_REF})


class Faults:
    """What is wrong with a graph, by node; each thing said once, with what the node does in front of it."""

    def __init__(self, nodes: Iterable[TransformNode] = ()) -> None:
        self.by_node: dict[str, list[str]] = {}
        self._kinds = {node.id: node.type.name.lower() for node in nodes}

    def add(self, node: str, message: str) -> None:
        """Note a fault."""
        if node in self._kinds:
            message = f"{self._kinds[node]}: {message}"
        known = self.by_node.setdefault(node, [])
        if message not in known:
            known.append(message)

    def raise_any(self) -> None:
        """Raise GraphError with all of them, where there are any."""
        if self.by_node:
            raise GraphError.of(self.by_node)


@dataclass
class Step:
    """A node of the tree behind one source; ``aliases`` are nodes that do the same to the same input."""

    node: TransformNode
    children: list[Step] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)


class Graph:
    """Nodes and edges by id, for looking around in them; takes any input, also a faulty one."""

    def __init__(self, nodes: Sequence[TransformNode], edges: Sequence[TransformEdge]) -> None:
        self.nodes = {node.id: node for node in nodes}
        self.edges = list(edges)
        known = [edge for edge in edges if edge.source in self.nodes and edge.target in self.nodes]
        self.children: dict[str, list[str]] = {i: [] for i in self.nodes}
        self.parents: dict[str, list[str]] = {i: [] for i in self.nodes}
        for edge in known:
            self.children[edge.source].append(edge.target)
            self.parents[edge.target].append(edge.source)

    def of_kind(self, kinds: Iterable[TransformNodeType]) -> list[TransformNode]:
        """Return the nodes of some kinds, in their order."""
        wanted = set(kinds)
        return [node for node in self.nodes.values() if node.type in wanted]

    def reach(self, start: str) -> set[str]:
        """Return what can be reached from a node, without itself (unless it lies in a cycle)."""
        found: set[str] = set()
        todo = list(self.children[start])
        while todo:
            node = todo.pop()
            if node not in found:
                found.add(node)
                todo += self.children[node]
        return found

    def tree(self, source: str) -> Step:
        """Return the tree behind a source; equal steps behind one node are one.

        Of a graph with cycles or joins, every node is taken where it is met first.
        """
        return self._step([source], {source})

    def _step(self, same: list[str], met: set[str]) -> Step:
        groups: dict[str, list[str]] = {}
        for child in [c for node in same for c in self.children[node]]:
            if child not in met:
                met.add(child)
                groups.setdefault(_what_it_does(self.nodes[child]), []).append(child)
        return Step(self.nodes[same[0]], [self._step(group, met) for group in groups.values()], same[1:])


def _what_it_does(node: TransformNode) -> str:
    if node.type in SINKS:
        return f"sink {node.id}"
    return f"{node.type.name} {'' if node.params is None else node.params.model_dump_json()}"


def shape_faults(nodes: Sequence[TransformNode], edges: Sequence[TransformEdge], faults: Faults) -> Graph:
    """Note every fault of a graph's shape and of its nodes' parameters; return the graph."""
    for node_id, times in Counter(node.id for node in nodes).items():
        if times > 1:
            faults.add(node_id, f"{times} nodes have this id; ids are unique")
    if len(nodes) > MAX_NODES:
        faults.add("protocol", f"{len(nodes)} nodes are more than {MAX_NODES}")
        faults.raise_any()
    graph = Graph(nodes, edges)
    _edge_faults(graph, faults)
    for node in graph.nodes.values():
        _node_faults(graph, node, faults)
    for kinds, what in ((SOURCES, "source"), (SINKS, "sink")):
        if not graph.of_kind(kinds):
            faults.add("protocol", f"there is no {what}: a protocol leads from sources to sinks")
    _cycle_faults(graph, faults)
    _connection_faults(graph, faults)
    return graph


def _edge_faults(graph: Graph, faults: Faults) -> None:
    for edge in graph.edges:
        missing = [end for end in (edge.source, edge.target) if end not in graph.nodes]
        known = [end for end in (edge.source, edge.target) if end in graph.nodes]
        for end in missing:
            way = "comes from" if end == edge.source else "leads to"
            faults.add(known[0] if known else edge.id, f"an edge {way} {end!r}, which is no node (edge {edge.id})")
    for (source, target), times in Counter((e.source, e.target) for e in graph.edges).items():
        if times > 1 and target in graph.nodes:
            faults.add(target, f"{times} edges come from {source!r}; one is enough")


def _node_faults(graph: Graph, node: TransformNode, faults: Faults) -> None:
    kind, inputs = node.type, list(dict.fromkeys(graph.parents[node.id]))
    wanted = PARAMS_OF.get(kind)
    if wanted is None:
        faults.add(node.id, f"{kind.name} is no step that this version runs")
    elif not has_its_params(node):
        got = "nothing" if node.params is None else type(node.params).__name__
        faults.add(node.id, f"{kind.name} takes {wanted.__name__}, got {got}")
    if kind in SOURCES and inputs:
        faults.add(node.id, f"a source has no input, but an edge comes from {', '.join(map(repr, inputs))}")
    if kind not in SOURCES and len(inputs) > 1:
        faults.add(node.id, f"takes one input, but has {len(inputs)}: {', '.join(map(repr, inputs))}")
    if kind in SINKS and graph.children[node.id]:
        after = ", ".join(map(repr, graph.children[node.id]))
        faults.add(node.id, f"a sink ends its branch, but an edge leads on to {after}")


def has_its_params(node: TransformNode) -> bool:
    """Return whether a node has the parameters of its kind."""
    wanted = PARAMS_OF.get(node.type)
    return wanted is not None and (isinstance(node.params, wanted) or (node.params is None and node.type in _BARE))


def _cycle_faults(graph: Graph, faults: Faults) -> None:
    told: set[str] = set()
    for node in graph.nodes:
        reached = graph.reach(node)
        if node in reached and node not in told:
            circle = [other for other in graph.nodes if other in reached and node in graph.reach(other)]
            told.update(circle)
            for member in circle:
                faults.add(member, f"lies in a cycle: {' -> '.join(circle)}")


def _connection_faults(graph: Graph, faults: Faults) -> None:
    """Note nodes that lead nowhere or come from nowhere, and bulk sources that end in a plain sink."""
    fed: set[str] = set()
    for source in graph.of_kind(SOURCES):
        reached = graph.reach(source.id)
        fed |= reached
        if source.type == TransformNodeType.BULK_SOURCE:
            for sink in graph.of_kind({TransformNodeType.SINK}):
                if sink.id in reached:
                    faults.add(sink.id, f"the bulk source {source.id!r} needs a bulk sink: one name cannot hold all")
    ends = {sink.id for sink in graph.of_kind(SINKS)}
    for node in graph.nodes.values():
        if node.type not in SOURCES and node.id not in fed:
            faults.add(node.id, "no source leads to it")
        if node.type not in SINKS and not graph.reach(node.id) & ends:
            faults.add(node.id, "it leads to no sink")
