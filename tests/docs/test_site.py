"""Pages: every link leads somewhere, every page is in the navigation, every reference page names what exists."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)(?:\s+\"[^\"]*\")?\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def prose_of(page: Path) -> str:
    return CODE.sub("", page.read_text(encoding="utf-8"))


def anchors_of(page: Path) -> set[str]:
    """Return the ids that Markdown gives the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#{1,6}\s+(.*?)\s*$", text, re.MULTILINE)
    return {
        re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title.replace("`", "")).strip().lower()) for title in headings
    }


def broken_links(page: Path) -> Iterator[str]:
    for match in LINK.finditer(prose_of(page)):
        path, _, anchor = match["target"].partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors_of(target)):
            yield f"{page.relative_to(ROOT)}: {match['target']}"


def test_links_lead_somewhere(pages: list[Path]) -> None:
    assert [broken for page in pages for broken in broken_links(page)] == []


def test_link_check_finds_what_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# A title\n[x](#a-title) [y](#other) [z](gone.md) [w](page.md#a-title) [v](https://x.org) `[c](no.md)`\n"
    )
    assert list(broken_links(page)) == ["page.md: #other", "page.md: gone.md"]


def navigation() -> set[str]:
    def walk(entry: object) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, dict):
            for value in entry.values():
                yield from walk(value)
        elif isinstance(entry, list):
            for value in entry:
                yield from walk(value)

    return set(walk(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))


def test_navigation_holds_every_page() -> None:
    assert navigation() == {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}


def references() -> list[str]:
    pages = sorted((DOCS / "reference").glob("*.md"))
    return [
        name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]


@pytest.mark.parametrize("name", references())
def test_reference_exists(name: str) -> None:
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
            continue
        for attribute in parts[cut:]:
            found = getattr(found, attribute)
        assert found.__doc__, f"{name} has no docstring"
        return
    pytest.fail(f"nothing of {name} can be imported")


def test_command_line_page_lists_every_command_and_option() -> None:
    """Commands, their options and the environment variables of the package, each by name."""
    import typer.main

    from ranvier.cli.main import app

    page = (DOCS / "reference" / "command-line.md").read_text(encoding="utf-8")
    group: Any = typer.main.get_command(app)
    documented = set(re.findall(r"^## `ranvier ([a-z]+)", page, re.MULTILINE))
    assert documented == set(group.commands)
    options = {name for command in group.commands.values() for each in command.params for name in each.opts}
    missing = {name for name in options if name.startswith("--") and f"`{name}" not in page}
    assert missing - {"--help"} == set()
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert set(re.findall(r"RANVIER_[A-Z_]+\b", sources)) == set(re.findall(r"RANVIER_[A-Z_]+\b", page))


def test_readers_learn_that_there_is_no_affiliation() -> None:
    for page in (DOCS / "index.md", ROOT / "compat" / "README.md"):
        assert "not affiliated" in page.read_text(encoding="utf-8").lower()


@pytest.mark.slow
def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    if shutil.which("zensical") is None and not (Path(sys.executable).parent / "zensical").exists():
        pytest.skip("zensical is not installed (make docs)")
    tool = shutil.which("zensical") or str(Path(sys.executable).parent / "zensical")
    for name in ("docs", "src", "mkdocs.yml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    done = subprocess.run(
        [tool, "build", "--clean"], cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    html = [page.read_text(encoding="utf-8") for page in (tmp_path / "site").rglob("*.html")]
    assert len(html) > len(list(DOCS.rglob("*.md"))) * 0.9
    loads = re.compile(r"<(?:script|img|iframe)[^>]*\ssrc=[\"']?https?:|<link[^>]*rel=[\"']?stylesheet[^>]*https?:")
    assert [found for page in html for found in loads.findall(page)] == []
    services = (tmp_path / "site" / "reference" / "services" / "index.html").read_text(encoding="utf-8")
    assert "HubDatasets.link" in services, "mkdocstrings rendered nothing"
    assert not re.search(r":(class|meth|mod|func):", services), "reStructuredText roles were left in"


#: What the table of what readers have met calls a format of the registry, where it has no row of its own name.
ROWS = {
    "Neuralynx NCS": "Neuralynx",
    "Neuralynx session": "Neuralynx",
    "HDF5": "HDF5 (ours)",
    "NWB": "NWB signals",
    "phy folder": "phy",
    "Kilosort binary": "Kilosort",
    "Ranvier spikes": "Spikes",
    "Ranvier session": "Ranvier session",
    "headerless binary": "Headerless binary",
}


def test_the_guide_says_of_every_format_what_its_reader_has_met() -> None:
    """Real files, files that we wrote, versions, and with whom it was compared."""
    from ranvier.recordings import all_formats

    text = (DOCS / "guides" / "formats.md").read_text(encoding="utf-8")
    lines = text[text.index("## What each reader has met") : text.index("## Intan: three layouts")].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert rows[0] == ["format", "real files", "written by us", "versions", "compared with"]
    assert {len(row) for row in rows} == {5}
    for known in all_formats():
        mine = [row for row in rows[1:] if ROWS.get(known.name, known.name) in row[0]]
        assert mine, f"{known.name} has no row"
        assert all(row[1] or row[2] for row in mine), f"{known.name}: met nothing?"
