"""Formats of other distributions: a worked example, and plug-ins that do not work."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ranvier import CurateClient
from ranvier.checks.fuzz import fuzz_reader
from ranvier.checks.sinks import SINK_RULES, SinkCase
from ranvier.exceptions import NotARecordingError, RecordingError
from ranvier.models import RadiensFileType
from ranvier.models.dataset import TransformNode
from ranvier.recordings import Block, all_formats, detect, forget_plugins, open_session, plugin_problems

EXAMPLE = Path(__file__).parent / "plugin_example"

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that makes a distribution importable, with its entry points, as pip would."""

    def make(name: str, files: dict[str, str], points: dict[str, str]) -> None:
        site = tmp_path / "site" / name
        for file, text in files.items():
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).write_text(text)
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = "".join(f"{key} = {value}\n" for key, value in points.items())
        (info / "entry_points.txt").write_text(f"[ranvier.formats]\n{lines}")
        monkeypatch.syspath_prepend(str(site))
        forget_plugins()

    yield make
    for module in [m for m in sys.modules if m.startswith(("ranvier_toy", "broken_"))]:
        del sys.modules[module]
    monkeypatch.undo()
    forget_plugins()


@pytest.fixture
def toy(install: Install) -> type:
    """Install the example as its pyproject says; return its Sink."""
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]["ranvier.formats"]
    code = (EXAMPLE / "ranvier_toy" / "__init__.py").read_text()
    install("ranvier_toy", {"ranvier_toy/__init__.py": code}, points)
    found = next(f for f in all_formats() if f.name == "toy")
    assert plugin_problems() == {}
    assert found.sink is not None
    return found.sink


@pytest.mark.parametrize("rule", SINK_RULES, ids=lambda rule: rule.__name__)
def test_the_example_passes_the_suites(rule, toy: type, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    rule(SinkCase(toy, tmp_path / "out", keeps_spike_trains=False))


def test_the_example_in_the_clients(toy: type, tmp_path: Path) -> None:
    case = SinkCase(toy, tmp_path / "in")
    samples = case.samples(300)
    path = case.write("a", samples)
    assert detect(tmp_path / "in" / "a")[1] == path
    with CurateClient() as curate:
        linked = curate.link_data_file(path)
        assert linked.file_type == RadiensFileType.UNKNOWN_FILE_TYPE
        written = curate.convert(curate.convert(linked, tmp_path / "b.xdat"), tmp_path / "c.toy")
        assert (written.base_name, (tmp_path / "c.toy.json").is_file()) == ("c", True)
        curate.move_data_source_file(tmp_path / "c.toy", tmp_path / "d")
        with open_session(tmp_path / "d.toy") as session:
            recording = session.stream()
            assert np.array_equal(recording.read(recording.start, recording.stop).samples, samples)
        assert [i.base_name for i in curate.list_directory(tmp_path)] == ["b", "d"]


def test_two_plugins_of_the_unknown_type(toy: type, install: Install, tmp_path: Path) -> None:
    """They share a type of the API; the suffix decides, also behind cuts of time, in a replay and in a retry."""
    code = (EXAMPLE / "ranvier_toy" / "__init__.py").read_text()
    other = code.replace('"toy"', '"another"').replace(".toy", ".another").replace("TOYFILE", "ANOTHER")
    install("ranvier_toy2", {"ranvier_toy2/__init__.py": other}, {"aaa": "ranvier_toy2"})
    assert [f.name for f in all_formats()][-3:-1] == ["another", "toy"]
    case = SinkCase(toy, tmp_path / "in")
    path = case.write("a", case.samples(3000))
    late = [
        TransformNode.highpass(300),
        TransformNode.slice_time(*(t / 30_000 for t in (case.start, case.start + 900))),
    ]
    with CurateClient(progress=False) as curate:
        for name, nodes in (("plain", []), ("late", late)):
            made = curate.apply_transforms(path, nodes, tmp_path / f"{name}.toy")
            assert open_session(tmp_path / f"{name}.toy").format == "toy"
            request = curate._hub.store.jobs.get(curate.jobs()[0].id).request
            assert curate.replay(made).identical
        before = (tmp_path / "late.toy").read_bytes()
        curate.remove_data_source_file(tmp_path / "late.toy")
        assert curate._hub.replays.repeat(request) == [tmp_path / "late.toy"]
        assert (tmp_path / "late.toy").read_bytes() == before
        curate.convert(path, tmp_path / "b.another")
        assert open_session(tmp_path / "b.another").format == "another"


@pytest.mark.parametrize("examples", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_the_example_with_damaged_files(toy: type, tmp_path: Path, examples: int) -> None:
    path = SinkCase(toy, tmp_path / "in").write("a", SinkCase(toy, tmp_path / "in").samples(100))
    content = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    fuzz_reader(content, lambda folder: open_session(folder / "a.toy"), tmp_path, examples=examples)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise RuntimeError('no such library')", "no such library"),
        ("import a_library_that_is_not_there", "a_library_that_is_not_there"),
        ("FORMAT = 3", "names a int, not a Format"),
        ("def broken(:", "SyntaxError"),
        ("from ranvier.recordings.formats.xdat import FORMAT", "'XDAT' exists already"),
    ],
)
def test_a_broken_plugin_is_reported_and_breaks_nothing(
    toy: type, install: Install, tmp_path: Path, code: str, words: str
) -> None:
    install("broken_one", {"broken_one.py": code}, {"broken": "broken_one"})
    names = [f.name for f in all_formats()]
    assert names.count("XDAT") == 1
    assert "toy" in names
    (problem,) = plugin_problems().values()
    assert words in problem
    assert "format plug-in 'broken' of broken_one 1.0" in problem
    path = SinkCase(toy, tmp_path / "in").write("a", SinkCase(toy, tmp_path / "in").samples(10))
    assert open_session(path).format == "toy"
    (tmp_path / "x.unknown").write_bytes(bytes(100))
    with pytest.raises(NotARecordingError, match="format plug-in 'broken'"):
        open_session(tmp_path / "x.unknown")


def test_code_of_a_plugin_that_fails_later(install: Install, tmp_path: Path) -> None:
    code = (EXAMPLE / "ranvier_toy" / "__init__.py").read_text()
    fails = code.replace("    description = description_of(path)\n", '    raise ZeroDivisionError("late")\n')
    install("ranvier_toy", {"ranvier_toy/__init__.py": fails}, {"toy": "ranvier_toy"})
    sink = next(f.sink for f in all_formats() if f.name == "toy")
    assert sink is not None
    case = SinkCase(sink, tmp_path / "in")
    with case.open("a") as opened:
        opened.write(Block(case.samples(10), 0))
        path = opened.commit()
    with pytest.raises(RecordingError, match=r"a\.toy: the format plug-in 'toy'.*ZeroDivisionError: late"):
        open_session(path)
    fails = code.replace("    for candidate in (", "    raise KeyError('detect')\n    for candidate in (")
    shutil.rmtree(tmp_path / "site")
    del sys.modules["ranvier_toy"]
    install("ranvier_toy", {"ranvier_toy/__init__.py": fails}, {"toy": "ranvier_toy"})
    (tmp_path / "some.toy").write_bytes(bytes(50))
    with pytest.raises(NotARecordingError, match=r"does not work .KeyError: 'detect'"):
        open_session(tmp_path / "some.toy")


@pytest.mark.slow
def test_the_example_installs_with_pip(tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*pip, str(shutil.copytree(EXAMPLE, tmp_path / "source"))], check=True)
    code = "from ranvier.recordings import all_formats; print([f.name for f in all_formats()])"
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r}); {code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "'toy'" in found.stdout
