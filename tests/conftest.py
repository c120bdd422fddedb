"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ranvier import connect


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give every test an engine store of its own."""
    monkeypatch.setenv("RANVIER_HOME", str(tmp_path_factory.mktemp("home")))
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
