"""Engine processes: started once, joined, left, killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fake_engine import Fake, FakeEngine

from ranvier._version import __version__
from ranvier.exceptions import CapabilityError, ConfigurationError, ServerCommunicationError, ServerDiscoveryError
from ranvier.transport import (
    ProcessRecord,
    connect,
    connection_of,
    disconnect,
    end_process,
    find_process,
    join_process,
    serve,
    start_process,
)
from ranvier.transport.registry import Place, token_for

HERE = Path(__file__).parent
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([str(HERE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])}
posix = pytest.mark.skipif(os.name != "posix", reason="signals and permissions of POSIX")


def wait_for(condition: Callable[[], Any], sec: float = 10.0) -> None:
    deadline = time.monotonic() + sec
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Starter:
    """Starts engines under one home, and ends them after the test."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.records: list[ProcessRecord] = []

    def __call__(self, kind: str = "rig", linger_sec: float = 0.5, **options: str) -> ProcessRecord:
        record = start_process(
            kind,
            "fake_engine:entry",
            self.home,
            linger_sec=linger_sec,
            options=options,
            environment=ENVIRONMENT,
            timeout_sec=30,
        )
        self.records.append(record)
        return record

    def notes(self) -> list[str]:
        path = self.home / "notes.txt"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path / "home")
    yield starter
    for record in starter.records:
        if is_running(record.pid):
            os.kill(record.pid, signal.SIGTERM)
    for record in starter.records:
        wait_for(lambda pid=record.pid: not is_running(pid))


def test_a_process_starts_is_joined_and_ends(start: Starter) -> None:
    record = start()
    assert find_process("rig", start.home) == record
    assert start() == record
    client: Fake = connect(record.address, Fake, record.token)
    assert client.sleep(0) == record.pid != os.getpid()
    assert client.read(100_000).time_range.n == 100_000
    time.sleep(1.0)  # longer than it lingers
    assert client.state == "idle"
    disconnect(client)
    wait_for(lambda: not is_running(record.pid))
    assert start.notes() == [f"{record.pid} start", f"{record.pid} gone {os.getpid()}", f"{record.pid} closed"]
    assert find_process("rig", start.home) is None
    assert not (start.home / "engines/rig.token").exists()
    assert start().pid != record.pid


def test_a_busy_engine_stays_without_clients(start: Starter) -> None:
    record = start()
    client: Fake = connect(record.address, Fake, record.token)
    client.set_busy(True)
    client.close()
    time.sleep(1.2)
    client = connect(record.address, Fake, record.token)
    client.set_busy(False)
    client.close()
    wait_for(lambda: not is_running(record.pid))


def test_clients_that_start_at_once_get_one_process(start: Starter) -> None:
    with ThreadPoolExecutor(4) as pool:
        records = list(pool.map(lambda _: start(linger_sec=3.0, slow_sec="0.3"), range(4)))
    assert len(set(records)) == 1
    assert len(start.notes()) == 1


def test_processes_that_start_at_once_get_one_process(start: Starter) -> None:
    code = (
        "import sys, pathlib; from ranvier.transport import start_process;"
        "print(start_process('rig', 'fake_engine:entry', pathlib.Path(sys.argv[1]), linger_sec=3.0).pid)"
    )
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(start.home)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ENVIRONMENT},
        )
        for _ in range(3)
    ]
    pids = {starter.communicate(timeout=30)[0] for starter in starters}
    assert len(pids) == 1
    assert len(start.notes()) == 1
    start.records.append(start())


def test_kinds_and_homes_have_processes_of_their_own(start: Starter, tmp_path: Path) -> None:
    rig, hub = start("rig"), start("hub")
    assert rig.pid != hub.pid
    assert find_process("rig", tmp_path / "other") is None
    assert token_for(hub.address, start.home) == hub.token
    assert token_for("127.0.0.1:1", start.home) is None
    with pytest.raises(ConfigurationError, match="word"):
        find_process("../rig", start.home)


def test_the_token_is_found_by_address(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    record = start()
    monkeypatch.setenv("RANVIER_HOME", str(start.home))
    client = connect(record.address, Fake)
    assert client.state == "idle"
    client.close()
    monkeypatch.setenv("RANVIER_TOKEN", "another")
    with pytest.raises(ServerCommunicationError, match="RANVIER_TOKEN"):
        connect(record.address, Fake)


def test_joining_starts_and_ending_ends(start: Starter) -> None:
    def join() -> Fake:
        client: Fake = join_process(
            "rig", "fake_engine:entry", Fake, start.home, linger_sec=0.5, environment=ENVIRONMENT
        )
        return client

    one, two = join(), join()
    assert one.sleep(0) == two.sleep(0)
    one.set_busy(True)
    with pytest.raises(CapabilityError, match="streams or records"):
        end_process("rig", start.home)
    one.set_busy(False)
    pid = one.sleep(0)
    assert end_process("rig", start.home)
    wait_for(lambda: not is_running(pid))
    assert not end_process("rig", start.home)
    with pytest.raises(ServerCommunicationError):
        two.who()
    for client in (one, two):
        client.close()
    three = join()
    assert three.sleep(0) != pid
    three.close()
    start.records.append(start())


def test_a_start_waits_for_the_end_of_the_one_before(start: Starter) -> None:
    before = start(linger_sec=30, slow_close_sec="1")
    assert end_process("rig", start.home)
    wait_for(lambda: Place.of("rig", start.home).read() is None)
    after = start()
    assert after.pid != before.pid
    assert [line.split()[1] for line in start.notes()] == ["start", "closed", "start"]


def test_clients_come_and_go_while_the_process_wants_to_end(start: Starter) -> None:
    def come_and_go(_: int) -> int:
        client: Fake = join_process(
            "rig", "fake_engine:entry", Fake, start.home, linger_sec=0.0, environment=ENVIRONMENT
        )
        pid = client.sleep(0.01)
        client.close()
        return pid

    with ThreadPoolExecutor(2) as pool:
        pids = list(pool.map(come_and_go, range(6)))
    assert len(pids) == 6
    for pid in set(pids):
        wait_for(lambda pid=pid: not is_running(pid))


def test_who_joins_a_process_that_takes_no_more_clients_gets_another_one(start: Starter) -> None:
    place = Place.of("rig", start.home)
    with serve(FakeEngine(), Fake, token="secret") as server:  # it has decided to end, and is still registered
        place.file("token").write_text("secret", encoding="utf-8")
        token = str(place.file("token"))
        place.write(ProcessRecord("rig", server.address, os.getpid(), token, "2026-11-29T00:00:00.000Z", __version__))
        assert server.leases.close_if_unused()
        threading.Timer(0.3, place.forget).start()
        client: Fake = join_process(
            "rig", "fake_engine:entry", Fake, start.home, linger_sec=0.0, environment=ENVIRONMENT
        )
        assert client.sleep(0.01) not in (0, os.getpid())
        client.close()


def test_an_engine_that_does_not_start_shows_its_log(start: Starter) -> None:
    with pytest.raises(ServerDiscoveryError, match="the instrument is not there"):
        start(fail="yes")
    assert find_process("rig", start.home) is None
    with pytest.raises(ServerDiscoveryError, match="no entry function 'nothing:here'"):
        start_process("rig", "nothing:here", start.home)


@posix
def test_a_process_killed_during_a_call(start: Starter) -> None:
    record = start()
    client: Fake = connect(record.address, Fake, record.token)
    threading.Timer(0.3, os.kill, (record.pid, signal.SIGKILL)).start()
    begun = time.monotonic()
    with pytest.raises(ServerCommunicationError, match="did not answer sleep"):
        client.sleep(10)
    assert time.monotonic() - begun < 3
    with pytest.raises(ServerCommunicationError):
        list(client.ticks(3))
    with pytest.raises(ServerCommunicationError):
        client.work(3)
    assert not connection_of(client).is_alive
    disconnect(client)
    # the record is stale now
    assert find_process("rig", start.home) is None
    assert not (start.home / "engines/rig.json").exists()
    assert start().pid != record.pid


@posix
def test_a_killed_client_drops_its_lease(start: Starter) -> None:
    record = start()
    own = connect(record.address, Fake, record.token)  # until the other one is there
    code = (
        "import sys, time; from ranvier.transport import connect; from fake_engine import Fake;"
        "client = connect(sys.argv[1], Fake, sys.argv[2]); print('here', flush=True); time.sleep(60)"
    )
    client = subprocess.Popen(
        [sys.executable, "-c", code, record.address, record.token],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **ENVIRONMENT},
    )
    assert client.stdout is not None
    try:
        assert client.stdout.readline() == "here\n"
        own.close()
        time.sleep(1.0)
        assert is_running(record.pid)
    finally:
        client.kill()
        client.wait()
        client.stdout.close()
    wait_for(lambda: not is_running(record.pid))
    assert f"{record.pid} gone {client.pid}" in start.notes()


def is_stopped(pid: int) -> bool:
    """Return whether every thread of a process stands still (a signal takes a moment on a busy machine)."""
    threads = list(Path(f"/proc/{pid}/task").glob("*/stat"))  # none where there is no /proc: nothing to wait for
    return all(thread.read_text().rpartition(")")[2].split()[0] in "Tt" for thread in threads)


@posix
def test_a_process_that_hangs_is_not_doubled(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ranvier.transport.processes._ANSWER_SEC", 0.3)
    record = start()
    os.kill(record.pid, signal.SIGSTOP)
    wait_for(lambda: is_stopped(record.pid))
    try:
        with pytest.raises(ServerCommunicationError, match=f"process {record.pid}.*does not answer"):
            start()
        with pytest.raises(ServerDiscoveryError, match="no engine answers"):
            connect(record.address, Fake, record.token, timeout_sec=0.3)
    finally:
        os.kill(record.pid, signal.SIGCONT)


@posix
def test_an_engine_is_a_session_of_its_own_and_ends_on_request(start: Starter) -> None:
    record = start(linger_sec=30)
    assert os.getsid(record.pid) == record.pid
    os.kill(record.pid, signal.SIGTERM)
    wait_for(lambda: not is_running(record.pid))
    assert start.notes()[-1] == f"{record.pid} closed"
    assert Place.of("rig", start.home).read() is None


@posix
def test_only_the_user_reads_the_token(start: Starter) -> None:
    record = start()
    folder = start.home / "engines"
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("rig.token", "rig.json"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert record.token not in (folder / "rig.json").read_text(encoding="utf-8")
    assert record.token not in Path(f"/proc/{record.pid}/cmdline").read_text(encoding="utf-8")


@posix
def test_ctrl_c_during_a_call_leaves_the_client_usable(start: Starter) -> None:
    record = start(linger_sec=5)
    client: Fake = connect(record.address, Fake, record.token)
    for call in (lambda: client.sleep(1.5), lambda: client.work(500, 0.01), lambda: list(client.silence())):
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            call()
        assert time.monotonic() - begun < 1.4
        assert client.state == "idle"
    client.close()
