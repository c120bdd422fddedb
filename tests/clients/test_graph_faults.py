"""Every fault of a protocol, by node and all at once, in each face: typed, YAML of ``ranvier apply``, classic."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from ranvier import CurateClient
from ranvier import classic as classic_clients
from ranvier.cli import main
from ranvier.exceptions import GraphError, RadiensError
from ranvier.models.dataset import RadiensFileType, TransformEdge, TransformNode
from ranvier.models.simulation import SimulationSpec

N, XDAT = TransformNode, RadiensFileType.XDAT


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one recording, ``in/rec_SIMULATED`` of 10 to 10.2 s, and a link ``too`` to that folder."""
    folder = tmp_path_factory.mktemp("faults")
    with CurateClient(progress=False) as curate:
        curate.simulate_recording(SimulationSpec(duration_sec=0.2, num_units=1), folder / "in" / "rec_SIMULATED")
    (folder / "too").symlink_to(folder / "in", target_is_directory=True)
    return folder


@pytest.fixture
def curate():
    with CurateClient(progress=False) as client:
        yield client


def way(*nodes: TransformNode) -> list[TransformEdge]:
    return [TransformEdge(source=a.id, target=b.id) for a, b in pairwise(nodes)]


def named(node_id: str, made: TransformNode) -> TransformNode:
    return made.model_copy(update={"id": node_id})


def sink(node_id: str, folder: Path, name: str | None = None) -> TransformNode:
    return named(node_id, N.sink(name or node_id, str(folder), XDAT))


class Faulty:
    """A good protocol, and what is added to it to make it faulty: by fault, nodes, edges, node at fault, words."""

    def __init__(self, curate: CurateClient, home: Path) -> None:
        self.source = named("source", N.source(curate.link_data_file(home / "in" / "rec_SIMULATED")))
        self.line, self.out = named("line", N.notch(50, 2)), sink("out", home / "out")
        self.home = home

    def good(self) -> tuple[list[TransformNode], list[TransformEdge]]:
        return [self.source, self.line, self.out], way(self.source, self.line, self.out)

    def added(self, fault: str) -> tuple[list[TransformNode], list[TransformEdge], str, str]:
        source, line, out = self.source, self.line, self.home / "out"
        if fault == "cycle":
            a, b = named("a", N.car()), named("b", N.highpass(300))
            return [a, b], way(a, b, a), "a", "lies in a cycle: a -> b"
        if fault == "two inputs":
            two, end = named("two", N.car()), sink("end", out)
            return [two, end], way(source, two, end) + way(line, two), "two", "takes one input, but has 2"
        if fault == "no sink":
            dead = named("dead", N.car())
            return [dead], way(line, dead), "dead", "it leads to no sink"
        if fault == "own source":
            own = sink("own", self.home / "in", "rec_SIMULATED")
            return [own], way(line, own), "own", "is the source itself"
        if fault == "own source behind a link":
            own = sink("linked", self.home / "too", "rec_SIMULATED.xdat")
            return [own], way(line, own), "linked", "is the source itself"
        if fault == "unknown channel":
            lost, end = named("lost", N.virtual_ref(999)), sink("end2", out)
            return [lost, end], way(line, lost, end), "lost", "999"
        if fault == "unknown channel of a slice":
            few, end = named("few", N.slice_channels([3, 5000])), sink("end3", out)
            return [few, end], way(line, few, end), "few", "no channel with system index [5000]"
        if fault == "slice outside":
            late, end = named("late", N.slice_time(99, 100)), sink("end4", out)
            return [late, end], way(line, late, end), "late", "lies outside the data, which spans 10 to 10.2 s"
        if fault == "two sinks of one name":
            twin = sink("twin", out, "out.xdat")
            return [twin], way(source, twin), "twin", "is written by 'out' too"
        raise KeyError(fault)


FAULTS = (
    "cycle", "two inputs", "no sink", "own source", "own source behind a link", "unknown channel",
    "unknown channel of a slice", "slice outside", "two sinks of one name",
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_through_the_typed_client(curate: CurateClient, home: Path, fault: str) -> None:
    faulty = Faulty(curate, home)
    nodes, edges = faulty.good()
    more, ways, at, words = faulty.added(fault)
    with pytest.raises(GraphError) as caught:
        curate.set_protocol([*nodes, *more], edges + ways)
    assert any(words in message for message in caught.value.faults[at]), caught.value.faults
    assert set(caught.value.faults) <= {node.id for node in more} | {"out"}, "nodes without a fault are named"
    assert curate.get_all_protocols() == []


def test_a_protocol_without_any_sink(curate: CurateClient, home: Path) -> None:
    faulty = Faulty(curate, home)
    with pytest.raises(GraphError) as caught:
        curate.set_protocol([faulty.source, faulty.line], way(faulty.source, faulty.line))
    assert caught.value.faults["protocol"] == ("there is no sink: a protocol leads from sources to sinks",)
    assert set(caught.value.faults) == {"protocol", "source", "line"}


def test_all_faults_at_once_through_the_typed_client(curate: CurateClient, home: Path) -> None:
    faulty = Faulty(curate, home)
    nodes, edges = faulty.good()
    wanted = {}
    for fault in FAULTS:
        more, ways, at, words = faulty.added(fault)
        nodes += more
        edges += ways
        wanted[at] = words
    with pytest.raises(GraphError) as caught:
        curate.set_protocol(nodes, edges)
    for at, words in wanted.items():
        assert any(words in message for message in caught.value.faults[at]), at
        assert words in str(caught.value)
    assert curate.get_all_protocols() == []
    assert not (home / "out").exists()


YAML = """\
protocol: 1
sources: {{rec: {{path: {home}/in/rec_SIMULATED.xdat.json}}}}
steps:
  line: {{notch: {{frequency: 50, bandwidth: 2}}}}
  a:    {{from: b, car: }}
  b:    {{from: a, highpass: {{frequency: 300}}}}
  dead: {{from: line, car: }}
  lost: {{from: line, virtual_ref: {{ref_channel: 999}}}}
  few:  {{from: line, slice_channels: {{channels: [3, 5000]}}}}
  late: {{from: line, slice_time: {{start: 99, end: 100}}}}
outputs:
  out:    {{from: line, dir: {home}/out, name: out}}
  twin:   {{from: rec, dir: {home}/out, name: out.xdat}}
  own:    {{from: line, dir: {home}/in, name: rec_SIMULATED}}
  linked: {{from: line, dir: {home}/too, name: rec_SIMULATED.xdat}}
  end2:   {{from: lost, dir: {home}/out, name: end2}}
  end3:   {{from: few, dir: {home}/out, name: end3}}
  end4:   {{from: late, dir: {home}/out, name: end4}}
"""

IN_YAML = {
    "a": "lies in a cycle",
    "b": "lies in a cycle",
    "dead": "it leads to no sink",
    "lost": "999",
    "few": "5000",
    "late": "lies outside the data",
    "twin": "is written by 'out' too",
    "out": "is written by 'twin' too",
    "own": "is the source itself",
    "linked": "is the source itself",
}


@pytest.mark.parametrize("dry", [True, False])
def test_all_faults_at_once_of_a_yaml_file(home: Path, tmp_path: Path, capsys, dry: bool) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(YAML.format(home=home))
    before = {p: p.stat().st_mtime_ns for p in (home / "in").iterdir()}
    assert main(["apply", str(file), *(["--dry-run"] if dry else []), "--force"]) == 1
    said = capsys.readouterr().err
    for node, words in IN_YAML.items():
        assert any(f"{node}: " in line and words in line for line in said.split(" | ")), (node, said)
    assert {p: p.stat().st_mtime_ns for p in (home / "in").iterdir()} == before
    assert not (home / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("from: rec, dir", "from: [line, few], dir", "line 13: 'twin' takes one input, from: the name of a step"),
        ("from: a,", "from: [a, line],", "line 6: 'b' takes one input"),
        ("outputs:", "outputs: {}\nother:", "there are no outputs"),
    ],
)
def test_what_a_yaml_file_cannot_even_say(home: Path, tmp_path: Path, capsys, old: str, new: str, words: str) -> None:
    text = YAML.format(home=home)
    assert old in text
    (tmp_path / "lab.yaml").write_text(text.replace(old, new))
    assert main(["apply", str(tmp_path / "lab.yaml")]) == 1
    assert words in capsys.readouterr().err


CLASSIC = {
    "own source": (lambda c, s, t: c.dsp_car(s, s, force=True), "is the source itself"),
    "own source behind a link": (lambda c, s, t: c.dsp_car(s, s.parent.parent / "too" / s.name, force=True), "itself"),
    "unknown reference": (lambda c, s, t: c.dsp_virtual_ref(999, s, t), "VIRTUAL_REF: .*999"),
    "unknown pair": (lambda c, s, t: c.dsp_paired_diff(1, 998, s, t), "PAIRED_REF: .*998"),
    "unknown channel of a slice": (lambda c, s, t: c.dsp_slice_channels([3, 5000], s, t), r"\[5000\]"),
    "slice outside": (lambda c, s, t: c.dsp_slice_time(99, 100, s, t), "SLICE_TIME: .*lies outside the data"),
    "reversed slice": (lambda c, s, t: c.dsp_slice_time(10.1, 10.0, s, t), "SLICE_TIME: .*is no range"),
    "steep filter": (lambda c, s, t: c.dsp_high_pass_filter(1e6, s, t), "HIGHPASS_FILTER: .*Nyquist"),
}


@pytest.mark.parametrize("fault", CLASSIC)
def test_faults_through_the_classic_client(home: Path, tmp_path: Path, fault: str) -> None:
    """Its protocols have one step; what is wrong is raised by the call, and nothing is written."""
    call, words = CLASSIC[fault]
    before = {p: p.stat().st_mtime_ns for p in (home / "in").iterdir()}
    with classic_clients.CurateClient() as client, pytest.raises(RadiensError, match=words):
        call(client, home / "in" / "rec_SIMULATED.xdat", tmp_path / "out")
    assert {p: p.stat().st_mtime_ns for p in (home / "in").iterdir()} == before
    assert list(tmp_path.iterdir()) == []
