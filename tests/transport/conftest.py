"""Fixtures: the fake engine, embedded and remote from one fixture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fake_engine import Both, Fake, FakeEngine

from ranvier.transport import RunningServer, connect, disconnect, serve


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def server(engine: FakeEngine) -> Iterator[RunningServer]:
    with serve(engine, Fake) as running:
        yield running


@pytest.fixture
def remote(server: RunningServer) -> Iterator[Fake]:
    client = connect(server.address, Fake, server.token)
    yield client
    disconnect(client)


@pytest.fixture(params=["embedded", "remote"])
def both(request: pytest.FixtureRequest, engine: FakeEngine) -> Both:
    if request.param == "embedded":
        return Both(engine, engine, is_remote=False)
    return Both(request.getfixturevalue("remote"), engine, is_remote=True)
