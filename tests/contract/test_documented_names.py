"""Every documented name resolves under its documented path, but those that come later."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import ranvier.classic
import ranvier.exceptions
import ranvier.models

#: Names that do not resolve in this version, one a line: exactly these.
NOT_YET = Path(__file__).with_name("names_that_come_later.txt")
SEED = Path(__file__).with_name("coverage_seed.txt")


def _why_missing(path: str) -> str | None:
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        break
    else:
        return "no such module"
    for name in parts[cut:]:
        fields = getattr(found, "model_fields", {}) if inspect.isclass(found) else {}
        if name not in fields and not hasattr(found, name):
            return f"no {name!r} in {found!r}"
        found = fields.get(name) or getattr(found, name)
    return None


def test_all_documented_models_resolve(record_property: Any) -> None:
    paths = [path for path in SEED.read_text().split() if path.startswith("radiens_core.models.")]
    missing = {path: why for path in paths if (why := _why_missing(path))}
    record_property("resolved", f"{len(paths) - len(missing)} of {len(paths)}")
    print(f"{len(paths) - len(missing)} of {len(paths)} documented model names resolve")
    assert len(paths) == 504
    assert missing == {}


def test_exactly_the_names_that_come_later_are_missing() -> None:
    paths = SEED.read_text().split()
    assert len(paths) == len(set(paths)) == 739
    missing = {path: why for path in paths if (why := _why_missing(path))}
    later = set(NOT_YET.read_text().split())
    assert {path: why for path, why in missing.items() if path not in later} == {}, "stopped resolving"
    assert later - set(missing) == set(), "resolve now: take them out of names_that_come_later.txt"


def test_classic_modules_are_the_documented_ones() -> None:
    ours = Path(ranvier.classic.__path__[0])
    theirs = Path(importlib.import_module("radiens").__path__[0])
    modules = {str(f.relative_to(ours)) for f in ours.rglob("*.py") if f.name == "__init__.py" or f.name[0] != "_"}
    assert {str(f.relative_to(theirs)) for f in theirs.rglob("*.py")} == modules
    enums = importlib.import_module("radiens.utils.enums")
    assert enums.SystemMode is importlib.import_module("ranvier.classic.utils.enums").SystemMode


def test_reexports_are_the_same_objects() -> None:
    core = importlib.import_module("radiens_core")
    assert core.models.DatasetMetadata is ranvier.models.DatasetMetadata
    assert importlib.import_module("radiens_core.models.dataset").TimeRangeSpec is ranvier.models.TimeRangeSpec
    assert importlib.import_module("radiens_core.models.dsp").FlexFilterStage is ranvier.models.FlexFilterStage
    assert core.exceptions.DatasetError is ranvier.exceptions.DatasetError
    assert sorted(n for n in dir(core.models) if n in ranvier.models.__all__) == ranvier.models.__all__


def test_compatibility_table_is_up_to_date() -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, str(root / "docs" / "_tools" / "compat_table.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "run python docs/_tools/compat_table.py"
