"""`ranvier-radiens` and the vendor's distribution in one environment: never silently."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import ranvier

ROOT = Path(__file__).resolve().parents[2]
Install = Callable[[Sequence[str]], Any]  # gives an Environment of conftest.py

REPORT = """
from ranvier import clash
print("vendor:", sorted(str(name) for name in clash.vendor_distributions()))
print("overwritten:", sorted(str(path) for path in clash.overwritten_files()))
"""


def report_of(environment: Any) -> dict[str, str]:
    done = environment.run("-c", REPORT)
    assert done.returncode == 0, done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


def test_ours_alone_imports_and_reports_nothing(install: Install) -> None:
    environment = install(["ranvier", "compat"])
    done = environment.run("-c", "import radiens_core; print(radiens_core.__file__)")
    assert done.returncode == 0, done.stderr
    assert report_of(environment) == {"vendor": "[]", "overwritten": "[]"}


@pytest.mark.slow
def test_vendor_first_then_ours_refuses_in_one_sentence(install: Install) -> None:
    environment = install(["ranvier", "vendor", "compat"])
    done = environment.run("-c", "import radiens_core")
    assert done.returncode != 0
    kind, _, message = done.stderr.strip().splitlines()[-1].partition(": ")
    assert kind.endswith("ImportError"), done.stderr
    assert "radiens-core" in message
    assert "ranvier-radiens" in message
    assert "uninstall" in message
    assert "radiens-core" in report_of(environment)["vendor"]


@pytest.mark.parametrize("imported", ["radiens", "radiens.allego_client", "radiens_core"])
@pytest.mark.parametrize("vendor", ["radiens", "radiens-core"])
def test_every_import_beside_either_vendor_distribution_names_the_way_out(
    vendor: str, imported: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / f"{vendor.replace('-', '_')}-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {vendor}\nVersion: 1.0\n", encoding="utf-8")
    for name in [name for name in sys.modules if name.partition(".")[0] in ("radiens", "radiens_core")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError) as refused:
        importlib.import_module(imported)
    message = str(refused.value)
    assert "\n" not in message
    assert f"'pip uninstall {vendor}' and reinstall ranvier-radiens" in message
    assert "'ranvier run script.py'" in message


@pytest.mark.slow
def test_vendor_first_then_ours_leaves_ranvier_alone(install: Install) -> None:
    environment = install(["ranvier", "vendor", "compat"])
    done = environment.run("-c", "import ranvier; print(ranvier.__version__)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ranvier.__version__


def test_ours_first_then_vendor_reports_the_replaced_files(install: Install) -> None:
    environment = install(["ranvier", "compat", "vendor"])
    taken = environment.run("-c", "import radiens_core; print(radiens_core.OWNER)")
    assert taken.stdout.strip() == "vendor", "the stand-in did not replace our files: the test tests nothing"
    report = report_of(environment)
    assert "radiens-core" in report["vendor"]
    assert re.search(r"radiens_core[/\\]+__init__\.py", report["overwritten"])
    version = environment.run("-m", "ranvier", "--version")
    assert version.returncode == 0, version.stderr
    said = version.stdout + version.stderr
    assert ranvier.__version__ in said
    assert "radiens-core" in said


@pytest.mark.slow
def test_ranvier_and_the_vendor_live_side_by_side(install: Install) -> None:
    environment = install(["vendor", "ranvier"])
    done = environment.run("-c", "import ranvier, radiens_core; print(radiens_core.OWNER)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "vendor"
    assert report_of(environment)["overwritten"] == "[]"


def test_both_distributions_carry_one_version() -> None:
    project = tomllib.loads((ROOT / "compat" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == ranvier.__version__
    assert project["dependencies"] == [f"ranvier=={ranvier.__version__}"]


@pytest.mark.parametrize("key", ["ranvier", "compat"])
def test_wheels_hold_their_top_level_packages(wheels: dict[str, Path], key: str) -> None:
    import zipfile

    top = {name.split("/")[0] for name in zipfile.ZipFile(wheels[key]).namelist()}
    packages = {name for name in top if not name.endswith(".dist-info")}
    assert packages == ({"ranvier"} if key == "ranvier" else {"radiens", "radiens_core"})
