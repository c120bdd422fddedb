"""The documentation's Python blocks run, page by page, in the order in which a reader meets them.

A comment on the line before a block changes that: ``<!-- test: needs samples -->`` runs it only where the sample
recordings are, beside a copy of ``sampledata.rhd``; ``<!-- test: left out: needs a rig -->`` never does, and says why.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from kept_interpreter import kept_interpreter

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(r"^```python\b.*$")
LEFT_OUT = re.compile(r"^<!-- test: left out: \S.* -->$")
NEEDS_SAMPLES = "<!-- test: needs samples -->"


class CodeBlock(NamedTuple):
    line: int  # 1-based, of the first line of code
    code: str
    needs_samples: bool = False


def blocks_of(text: str) -> Iterator[CodeBlock]:
    """Yield the Python blocks that run."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        if FENCE.match(lines[at]):
            end = lines.index("```", at)
            before = next((line for line in reversed(lines[:at]) if line.strip()), "")
            if not LEFT_OUT.match(before):
                code = "\n".join(lines[at + 1 : end]) + "\n"
                yield CodeBlock(at + 2, code, before == NEEDS_SAMPLES)
            at = end
        at += 1


def pages_with_code() -> list[Path]:
    return [page for page in PAGES if any(blocks_of(page.read_text(encoding="utf-8")))]


@pytest.mark.parametrize("page", pages_with_code(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page_runs(page: Path, script_folder: Path, request: pytest.FixtureRequest) -> None:
    blocks = list(blocks_of(page.read_text(encoding="utf-8")))
    if any(block.needs_samples for block in blocks):
        shutil.copy(request.getfixturevalue("samples") / "intan" / "sampledata.rhd", script_folder)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks:
        # Empty lines in front make a traceback name the page's own line.
        source = "\n" * (block.line - 1) + block.code
        exec(compile(source, str(page), "exec"), namespace)


def test_most_guides_have_code() -> None:
    names = {page.stem for page in pages_with_code()}
    assert {"first-script", "link-and-read", "clean", "probes", "export", "provenance", "troubleshooting"} <= names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_block_escapes_the_collector(page: Path) -> None:
    """A fence that is indented, or spelled otherwise, would silently not be run."""
    lines = page.read_text(encoding="utf-8").splitlines()
    fences = [line for line in lines if re.match(r"^\s*(`{3,}|~{3,})\s*\{?\s*\.?(python|py|pycon|python3)\b", line)]
    assert all(FENCE.match(line) for line in fences), fences


def test_collector() -> None:
    page = "a\n```python\nx = 1\n```\n<!-- test: left out: needs a rig -->\n\n```python\ny = 2\n```\n```bash\nls\n```\n"
    assert list(blocks_of(page)) == [CodeBlock(3, "x = 1\n")]
    assert list(blocks_of(f"{NEEDS_SAMPLES}\n```python\nx = 1\n```\n")) == [CodeBlock(3, "x = 1\n", True)]
    without_reason = "<!-- test: left out: -->\n```python\nz = 3\n```\n"
    assert [block.code for block in blocks_of(without_reason)] == ["z = 3\n"]


CHANGES = """
import os, sys
import ranvier.redirect
ranvier.redirect.install()
import radiens
sys.path.insert(0, ".")
import mine
os.environ["MINE"], os.environ["MPLBACKEND"] = "1", "svg"
del os.environ["GONE"]
os.mkdir("below")
os.chdir("below")
"""


def test_a_page_leaves_the_interpreter_as_it_was(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GONE", "no")
    monkeypatch.setitem(sys.modules, "radiens", sys)  # another's, which redirect.install() drops
    (script_folder / "mine.py").write_text("")

    def changeable() -> list[object]:
        return [sys.path[:], sys.meta_path[:], Path.cwd(), dict(os.environ), sys.modules["radiens"]]

    before = changeable()
    with kept_interpreter(script_folder):
        exec(CHANGES, {"__name__": "__main__"})
        assert all(then != now for then, now in zip(before, changeable(), strict=True))
        assert "mine" in sys.modules
    assert changeable() == before
    assert "mine" not in sys.modules
