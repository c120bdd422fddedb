"""Wheels of both distributions and of a stand-in for the vendor's, and small environments to install them in."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

VENDOR_PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "radiens-core"
version = "0.0.8"
description = "A stand-in for the vendor's distribution, for a test"

[tool.hatch.build.targets.wheel]
packages = ["radiens_core"]
"""


@dataclass(frozen=True)
class Environment:
    """A virtual environment of its own, which borrows numpy and the like from the one that runs the tests."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run its interpreter in its own folder, without the test run's paths."""
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
        return subprocess.run(
            [str(self.python), "-X", "utf8", *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            cwd=self.folder,
            env={**clean, "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            check=False,
        )


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build the wheels of ranvier, of ranvier-radiens and of the stand-in (keys: ranvier, compat, vendor)."""
    vendor = tmp_path_factory.mktemp("vendor")
    (vendor / "radiens_core").mkdir()
    (vendor / "pyproject.toml").write_text(VENDOR_PROJECT, encoding="utf-8")
    source = '"""The vendor\'s package."""\n\nOWNER = "vendor"\n'
    (vendor / "radiens_core" / "__init__.py").write_text(source, encoding="utf-8")
    folder = tmp_path_factory.mktemp("wheels")
    sources = {"ranvier": ROOT, "compat": ROOT / "compat", "vendor": vendor}
    _pip("wheel", "--no-build-isolation", "--wheel-dir", str(folder), *map(str, sources.values()))
    names = {"ranvier": "ranvier-*.whl", "compat": "ranvier_radiens-*.whl", "vendor": "radiens_core-*.whl"}
    return {key: next(folder.glob(pattern)) for key, pattern in names.items()}


@pytest.fixture(scope="session")
def install(
    wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Sequence[str]], Environment]:
    """Return a function that installs wheels one after another into an environment of their own (made once)."""
    folder = tmp_path_factory.mktemp("environments")
    known: dict[str, Environment] = {}

    def make(order: Sequence[str]) -> Environment:
        name = "-".join(order)
        if name not in known:
            known[name] = fill(Environment(folder / name), order)
        return known[name]

    def fill(made: Environment, order: Sequence[str]) -> Environment:
        venv.create(made.folder, with_pip=False, symlinks=os.name != "nt")
        for name in order:
            _pip("--python", str(made.python), "install", "--no-deps", "--no-compile", str(wheels[name]))
        borrowed = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        inner = made.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
        Path(inner, "borrowed.pth").write_text("\n".join(borrowed) + "\n", encoding="utf-8")
        return made

    return make


def _pip(*arguments: str) -> None:
    """Run pip offline; what it says is the message of a failure."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--no-index", "--no-deps", "--quiet"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(textwrap.shorten(done.stdout + done.stderr, 2000))
