"""A compiled kernel is as old as the youngest source that went into it."""

from __future__ import annotations

from pathlib import Path

from ranvier.kernels.sources import sources, stamp
from ranvier.sorting import gated_kernels


def _package(folder: Path, constant: str) -> Path:
    package = folder / "engine"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "deep" / "limits.py").write_text(f"LIMIT = {constant}\n")
    (package / "parts.py").write_text("from engine.deep.limits import LIMIT\n")
    (package / "other.py").write_text("import os\n")
    (package / "kernels.py").write_text("import engine.parts\nfrom engine import parts as p\n")
    return package


def test_a_change_behind_an_import_changes_the_stamp(tmp_path: Path) -> None:
    first, same, changed = (_package(tmp_path / n, c) for n, c in (("a", "1"), ("b", "1"), ("c", "2")))
    names = [f.relative_to(first).as_posix() for f in sources(first / "kernels.py", first)]
    assert names == ["deep/limits.py", "kernels.py", "parts.py"]
    of = stamp(first / "kernels.py", first)
    assert of == stamp(same / "kernels.py", same)
    assert of != stamp(changed / "kernels.py", changed)


def test_the_gated_kernel_is_made_from_its_parts() -> None:
    names = {f.name for f in sources(Path(gated_kernels.__file__).resolve())}
    assert {"gated_kernels.py", "gated_parts.py", "early_kernels.py", "lanes.py"} <= names
    assert "registry.py" not in names
