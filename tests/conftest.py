"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import itertools
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ranvier import connect

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell begins what it puts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def _folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Name folders that are not there yet; pytest's own way looks through all folders before it names one."""
    root = tmp_path_factory.mktemp("all")
    return (root / f"{number:05d}" for number in itertools.count())


@pytest.fixture
def tmp_path(_folders: Iterator[Path], request: pytest.FixtureRequest) -> Path:
    """Return an empty folder of this test's own."""
    folder = next(_folders) / re.sub(r"\W", "_", request.node.name)[:30]
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(autouse=True)
def _own_home(_folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give every test an engine store of its own."""
    home = next(_folders)
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


@pytest.fixture
def process_as_before() -> Iterator[None]:
    """Give the interpreter its turns of threads and its collector of garbage back: a rig's process changes both."""
    interval = sys.getswitchinterval()
    yield
    sys.setswitchinterval(interval)
    gc.unfreeze()
