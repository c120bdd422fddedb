"""Large results over the plain socket: who may have them, and what happens when it breaks."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from fake_engine import Fake

from ranvier._shared import SharedMemory
from ranvier.exceptions import ServerCommunicationError
from ranvier.transport import RunningServer, connect, connection_of
from ranvier.transport.bulk import TICKET_BYTES, BulkClient, BulkServer

TICKET = "t" * TICKET_BYTES
unix = pytest.param("unix", marks=pytest.mark.skipif(os.name != "posix", reason="no socket files"))


@pytest.fixture
def parked() -> dict[str, list[npt.NDArray[np.float64]]]:
    return {}


@pytest.fixture(params=["tcp", unix])
def bulk(request: pytest.FixtureRequest, parked: dict[str, object], tmp_path: Path) -> Iterator[BulkServer]:
    path = None
    if request.param == "unix":
        path = tmp_path / "d"
        if len(str(path)) > 100:
            pytest.skip("the temporary folder's path is too long for a socket")
    server = BulkServer(lambda ticket: parked.pop(ticket, None), "secret", path)
    yield server
    server.stop()
    server.stop()
    assert path is None or not path.exists()


def test_a_result_arrives_in_the_memory_given(bulk: BulkServer, parked: dict[str, object]) -> None:
    client = BulkClient(bulk.address, "secret")
    sent = [np.random.default_rng(1).normal(size=(500, 1000)).T, np.zeros((0, 3)), np.arange(5.0)]
    for _ in range(3):
        parked[TICKET] = sent
        memory = [np.empty(array.shape) for array in sent]
        assert client.fetch(TICKET, memory)
        for one, other in zip(sent, memory, strict=True):
            np.testing.assert_array_equal(one, other)
    client.close()


def test_threads_fetch_at_once(bulk: BulkServer, parked: dict[str, object]) -> None:
    client = BulkClient(bulk.address, "secret")
    tickets = [f"{number:016d}" for number in range(8)]
    memory = [np.empty(200_000) for _ in tickets]
    for number, ticket in enumerate(tickets):
        parked[ticket] = [np.full(200_000, float(number))]
    threads = [
        threading.Thread(target=client.fetch, args=(ticket, [array]))
        for ticket, array in zip(tickets, memory, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(array == number).all() for number, array in enumerate(memory)] == [True] * 8
    client.close()


def test_a_wrong_token_gets_nothing(bulk: BulkServer, parked: dict[str, object]) -> None:
    parked[TICKET] = [np.zeros(3)]
    assert not BulkClient(bulk.address, "guess").fetch(TICKET, [np.empty(3)])
    assert TICKET in parked


def test_a_stranger_never_sees_the_token_and_gets_nothing(bulk: BulkServer, parked: dict[str, object]) -> None:
    parked[TICKET] = [np.zeros(3)]
    family = socket.AF_UNIX if bulk.address.startswith("unix:") else socket.AF_INET
    with socket.socket(family) as stranger:
        stranger.settimeout(5)
        host, _, port = bulk.address.rpartition(":")
        stranger.connect(port if family != socket.AF_INET else (host, int(port)))
        stranger.sendall(bytes(32))
        greeting = b""
        while len(greeting) < 64:
            greeting += stranger.recv(64)
        assert b"secret" not in greeting
        stranger.sendall(greeting[32:] + TICKET.encode())  # the server's own proof is none of a client
        try:
            answer = stranger.recv(1)
        except ConnectionResetError:
            answer = b""
        assert answer == b""
    assert TICKET in parked


def test_an_unknown_ticket_and_a_wrong_size(bulk: BulkServer, parked: dict[str, object]) -> None:
    client = BulkClient(bulk.address, "secret")
    with pytest.raises(ServerCommunicationError, match="dropped"):
        client.fetch(TICKET, [np.empty(3)])
    parked[TICKET] = [np.zeros(4)]
    with pytest.raises(ServerCommunicationError, match="32 bytes came where 24"):
        client.fetch(TICKET, [np.empty(3)])
    parked[TICKET] = [np.zeros(3)]
    assert client.fetch(TICKET, [np.empty(3)]), "a failed connection is replaced"
    client.close()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="nothing to share memory with")
def test_memory_that_is_shared_is_mapped_read_only(bulk: BulkServer, parked: dict[str, object]) -> None:
    memory = SharedMemory(1 << 16)
    memory.bytes[:] = 7
    client = BulkClient(bulk.address, "secret")
    found = client.shared(memory.token)
    if not bulk.address.startswith("unix:"):
        assert found is None, "loopback carries no handles"
        return
    assert found is not None
    assert (len(found), int(found[-1])) == (1 << 16, 7)
    assert not found.flags.writeable
    memory.bytes[5] = 9
    assert found[5] == 9, "it is the same memory"
    assert client.shared("x" * TICKET_BYTES) is None
    assert BulkClient(bulk.address, "guess").shared(memory.token) is None
    parked[TICKET] = [np.zeros(3)]
    assert client.fetch(TICKET, [np.empty(3)]), "the connection is still good"
    token = memory.token
    del memory
    gc.collect()
    assert client.shared(token) is None, "memory that its owner gave up"
    assert found[-1] == 7, "who has it keeps it"
    client.close()


def test_nobody_there() -> None:
    assert not BulkClient("127.0.0.1:9", "secret").fetch(TICKET, [np.empty(3)])
    assert not BulkClient("unix:/nowhere/at/all", "secret").fetch(TICKET, [np.empty(3)])


def test_a_server_that_goes_away(bulk: BulkServer, parked: dict[str, object]) -> None:
    client = BulkClient(bulk.address, "secret")
    parked[TICKET] = [np.zeros(3)]
    assert client.fetch(TICKET, [np.empty(3)])
    bulk.stop()
    with pytest.raises(ServerCommunicationError, match="went away"):
        client.fetch(TICKET, [np.empty(3)])


def test_without_the_socket_results_come_through_grpc(server: RunningServer, remote: Fake) -> None:
    server._bulk.stop()
    memory = {0: np.empty((200_000, 4), np.float32)}
    block = remote.read(200_000, out=memory)
    assert np.shares_memory(block.samples[0], memory[0])
    np.testing.assert_array_equal(memory[0].ravel(), np.arange(800_000))


def test_results_that_nobody_fetches_are_dropped(
    server: RunningServer, remote: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ranvier.transport import calls

    held = server._calls._parked._held
    with pytest.raises(ValueError, match="out"):
        remote.read(200_000, out={0: np.empty((1, 4), np.float32)})
    assert not held, "refused here, dropped there"
    server._calls._parked.add([np.zeros(3)])
    monkeypatch.setattr(calls, "PARKED_SEC", 0.0)
    remote.read(200_000)
    assert not held


def test_a_client_that_nobody_holds_gives_its_lease_back(server: RunningServer) -> None:
    client = connect(server.address, Fake, server.token)
    echo = client.echo
    del client
    assert echo.path(Path("/a")) == Path("/a"), "a sub-service holds the connection"
    assert connection_of(echo).is_alive
    assert len(server.leases) == 1
    del echo
    _wait_for(lambda: len(server.leases) == 0)


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
