"""Fixtures that every test may use."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ranvier import connect


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Name a folder for one test's engine store, again and again (mktemp looks at all folders before it names one)."""
    root = tmp_path_factory.mktemp("homes")
    return (root / f"home{number}" for number in itertools.count())


@pytest.fixture(autouse=True)
def _own_home(_homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give every test an engine store of its own."""
    home = next(_homes)
    home.mkdir()
    monkeypatch.setenv("RANVIER_HOME", str(home))
    yield
    connect.close_embedded_rigs()
    connect.close_embedded_hubs()


@pytest.fixture(scope="session")
def samples() -> Path:
    """Return the folder of real sample recordings, or skip."""
    named = os.environ.get("RANVIER_SAMPLES")
    if not named or not Path(named).is_dir():
        pytest.skip("no sample recordings")
    return Path(named)
