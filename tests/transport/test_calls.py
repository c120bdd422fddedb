"""Calls of every kind, embedded and remote."""

from __future__ import annotations

import json
import os
import pickle
import threading
import time
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from fake_engine import Both, Fake, FakeEngine

from ranvier import exceptions
from ranvier.exceptions import (
    ClientClosedError,
    ConfigurationError,
    DataProcessingError,
    DatasetError,
    RadiensError,
    ServerCommunicationError,
    ServerDiscoveryError,
)
from ranvier.models.jobs import JobProgress
from ranvier.models.signals import KeyIndex, SignalType, SigSelect
from ranvier.transport import RunningServer, connect, connection_of, disconnect, serve
from ranvier.transport.errors import describe_error, restore_error

AMP, DIN = SignalType.AMP, SignalType.DIN


def wait_for(condition, sec=5.0):
    deadline = time.monotonic() + sec
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_arguments_arrive_as_they_were_given(both: Both) -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    given = {
        "number": 2**70,
        "ratio": float("-inf"),
        "flag": True,
        "data": bytes(range(256)),
        "path": Path("/data/µ é"),
        "when": when,
        "fs": Fraction(30_000_000, 1001),
        "kinds": {SignalType.DIN: (3, 1)},
        "either": "x",
    }
    assert both.client.echo.everything("ü\udcff", **given) == {
        "text": repr("ü\udcff"),
        **{name: repr(value) for name, value in given.items()},
    }


def test_defaults_are_the_engines(both: Both) -> None:
    assert both.client.echo.everything("a") == {"text": "'a'", "number": "1"}


def test_arguments_that_do_not_fit_the_signature(both: Both) -> None:
    with pytest.raises(TypeError):
        both.client.work()
    with pytest.raises(TypeError):
        both.client.sleep(1, 2)


def test_properties_are_read_each_time(both: Both) -> None:
    assert both.client.state == "idle"
    both.engine.state = "streaming"
    assert both.client.state == "streaming"


def test_large_and_small_arrays_come_back_writeable(both: Both) -> None:
    for n in (0, 3, 1_000_000):
        values = np.arange(n, dtype=np.float64)
        back = both.client.echo.array(values)
        np.testing.assert_array_equal(back, values)
        assert back.dtype == values.dtype
        back += 1


def test_models_with_arrays(both: Both) -> None:
    select = SigSelect(amp=[3, 1], gpio_ain=[], gpio_din=[0], gpio_dout=[], key_idx=KeyIndex.SYS)
    assert both.client.echo.select(select) == select


@pytest.mark.parametrize("n", [0, 5, 200_000])
def test_blocks(both: Both, n: int) -> None:
    block = both.client.read(n)
    np.testing.assert_array_equal(block.samples[AMP], np.arange(n * 4, dtype=np.float32).reshape(n, 4))
    assert block.samples[DIN].shape == (n, 1)
    assert block.time_range.timestamp == (7, 7 + n)
    assert block.gaps == ((8, 9),)


@pytest.mark.parametrize("n", [0, 5, 200_000])
def test_out_is_filled_and_returned(both: Both, n: int) -> None:
    memory = np.full((n + 3, 4), -1, dtype=np.float32)
    block = both.client.read(n, out={AMP: memory})
    assert block.samples[AMP].shape == (n, 4)
    assert np.shares_memory(block.samples[AMP], memory) or n == 0
    np.testing.assert_array_equal(memory[:n], np.arange(n * 4, dtype=np.float32).reshape(n, 4))
    assert (memory[n:] == -1).all()
    assert block.samples[DIN].shape == (n, 1)


@pytest.mark.parametrize("n", [5, 200_000])
@pytest.mark.parametrize("shape", [(4, 4), (200_000, 3)])
def test_out_that_does_not_fit(both: Both, n: int, shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="out"):
        both.client.read(n, out={AMP: np.empty(shape, dtype=np.float32)})
    assert both.client.state == "idle"


def test_out_must_be_contiguous_and_of_its_type(remote: Fake) -> None:
    for wrong in (np.empty((10, 4)), np.empty((4, 10), np.float32).T, np.empty((10, 8), np.float32)[:, ::2]):
        with pytest.raises(ValueError, match=r"needs writeable C-contiguous float32 \(5, 4\)"):
            remote.read(5, out={AMP: wrong})


@pytest.mark.parametrize("name", exceptions.__all__)
def test_errors_come_back_as_they_were(both: Both, name: str) -> None:
    kind = getattr(exceptions, name)
    with pytest.raises(kind) as caught:
        both.client.echo.fail(name)
    assert type(caught.value) is kind
    assert str(caught.value) == f"{name} with µ and a reason"
    if both.is_remote:
        assert "fake_engine.py" in str(caught.value.__cause__)


def test_what_errors_carry_comes_along() -> None:
    for error in (
        exceptions.GraphError.of({"a": ["wrong", "worse"], "b": ["odd"]}),
        exceptions.PartialFailureError.of({"x.nwb": "full disk"}, ["y.nwb"]),
    ):
        told = restore_error(json.loads(json.dumps(describe_error(error))))
        assert type(told) is type(error)
        assert str(told) == str(error)
        assert told.details == error.details
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.details) == (str(error), error.details)


def test_errors_that_are_not_ours_name_their_type(remote: Fake) -> None:
    with pytest.raises(DataProcessingError, match=r"ZeroDivisionError in the engine: .*reason"):
        remote.echo.fail("ZeroDivisionError")
    with pytest.raises(DataProcessingError, match="SystemExit in the engine"):
        remote.echo.fail("SystemExit")
    with pytest.raises(DatasetError) as caught:
        remote.echo.fail("Own")
    assert type(caught.value) is DatasetError


def test_wrong_arguments_are_refused_here(remote: Fake) -> None:
    with pytest.raises(ConfigurationError, match=r"parameter sec of sleep: expected float, got 'x' \(str\)"):
        remote.sleep("x")
    with pytest.raises(ConfigurationError, match="parameter steps of work"):
        remote.work(True)


def test_a_result_of_a_wrong_type_is_the_engines_fault(remote: Fake) -> None:
    with pytest.raises(DataProcessingError, match=r"echo.wrong_type gave .* expected int, got 'three'"):
        remote.echo.wrong_type()


def test_numpy_scalars_are_numbers(remote: Fake) -> None:
    assert remote.sleep(np.float32(0)) == os.getpid()
    assert len(remote.work(np.int64(0))) == 0


def test_relative_paths_count_from_the_callers_folder(
    remote: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert remote.echo.path(Path("a/b#c")) == tmp_path / "a/b#c"
    assert remote.echo.path(Path("~/x")) == Path("~/x")


def test_work_reports_and_returns(both: Both) -> None:
    seen: list[JobProgress] = []
    result = both.client.work(3, progress=seen.append)
    assert [report.fraction for report in seen] == pytest.approx([1 / 3, 2 / 3, 1])
    np.testing.assert_array_equal(result, np.arange(300_000))
    assert len(both.client.work(1)) == 100_000


class Stop(Exception):
    """What a caller's callback raises."""


@pytest.mark.parametrize("kind", [Stop, KeyboardInterrupt, DatasetError])
def test_what_the_callback_raises_cancels_and_comes_out(both: Both, kind: type[BaseException]) -> None:
    def show(report: JobProgress) -> None:
        raise kind("enough")

    with pytest.raises(kind, match="enough"):
        both.client.work(500, 0.01, progress=show)
    assert both.engine.cleaned == ["cancelled" if both.is_remote else kind.__name__]


def test_work_of_a_client_that_is_gone_is_cancelled(server: RunningServer, engine: FakeEngine) -> None:
    client = connect(server.address, Fake, server.token)
    started = threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            client.work(1000, 0.01, progress=lambda report: started.set())
        except RadiensError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    started.wait(5)
    disconnect(client)
    thread.join(5)
    assert not thread.is_alive()
    assert type(raised[0]) is ClientClosedError
    wait_for(lambda: engine.cleaned == ["cancelled"])


def test_subscriptions_give_every_item(both: Both) -> None:
    got = list(both.client.ticks(50))
    assert [tick.number for tick in got] == list(range(50))
    assert all((tick.samples == tick.number).all() for tick in got)


def test_large_items(both: Both) -> None:
    got = [tick.samples for tick in both.client.ticks(3, size=700_000)]
    assert [(len(samples), int(samples[-1])) for samples in got] == [(700_000, 0), (700_000, 1), (700_000, 2)]


def test_a_slow_subscriber_does_not_make_the_engine_run_ahead(remote: Fake) -> None:
    ticks = remote.ticks(1000, newest=True, period_sec=0.002)
    first = next(ticks)
    time.sleep(0.4)
    later = [next(ticks) for _ in range(8)]
    ticks.close()
    assert first.number == 0
    # a handful was on its way; behind it the newest
    assert later[-1].number > 100
    assert sum(tick.dropped for tick in later) == later[-1].number - 8


def test_a_subscriber_that_leaves_ends_the_engines_iterator(remote: Fake, engine: FakeEngine) -> None:
    ticks = remote.ticks(10**9, period_sec=0.001)
    next(ticks)
    ticks.close()
    assert engine.closed_ticks.wait(5)
    assert list(ticks) == []

    with pytest.raises(StopIteration):
        next(ticks)
    for _ in remote.ticks(10**9, period_sec=0.001):
        break
    assert engine.closed_ticks.wait(5)


def test_a_silent_iterator_is_closed_from_outside(remote: Fake, engine: FakeEngine) -> None:
    silence = remote.silence()
    ended = threading.Event()
    thread = threading.Thread(target=lambda: (list(silence), ended.set()))
    thread.start()
    wait_for(lambda: engine.silences)
    silence.close()
    assert ended.wait(5)
    assert engine.silences[0].closed.wait(5)
    thread.join()


def test_two_clients_at_once(server: RunningServer, engine: FakeEngine) -> None:
    one, two = (connect(server.address, Fake, server.token) for _ in range(2))
    wait_for(lambda: len(server.leases) == 2)
    assert one.who() != two.who()
    assert one.who().startswith(str(os.getpid()))
    threads = [threading.Thread(target=client.sleep, args=(1.0,)) for client in (one, two)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - start < 1.8, "one waited for the other"
    one.close()
    one.close()
    wait_for(lambda: len(server.leases) == 1)
    assert two.state == "idle", "closing a client closes no engine"
    with pytest.raises(ClientClosedError, match="connect again"):
        one.who()
    disconnect(two)


def test_a_wrong_token_is_refused(server: RunningServer) -> None:
    for token in ("", "wrong", server.token + "x"):
        with pytest.raises(ServerCommunicationError, match="token"):
            connect(server.address, Fake, token)
    assert len(server.leases) == 0


def test_nobody_there() -> None:
    start = time.monotonic()
    with pytest.raises(ServerDiscoveryError, match=r"no engine answers at 127.0.0.1:9 "):
        connect("127.0.0.1:9", Fake, "x")
    assert time.monotonic() - start < 3


def test_another_protocol_is_told(server: RunningServer) -> None:
    from fake_engine import Echo

    with pytest.raises(ServerCommunicationError, match=r"is a Fake of Ranvier .* not the Echo"):
        connect(server.address, Echo, server.token)


def test_a_server_that_stops_during_a_call(engine: FakeEngine) -> None:
    server = serve(engine, Fake)
    client = connect(server.address, Fake, server.token)
    assert connection_of(client).is_alive
    threading.Timer(0.2, server.stop, (0.1,)).start()
    with pytest.raises(ServerCommunicationError, match="did not answer sleep"):
        client.sleep(3)
    wait_for(lambda: not connection_of(client).is_alive)
    with pytest.raises(ServerCommunicationError):
        client.who()
    disconnect(client)


def test_servers_listen_on_this_machine_only() -> None:
    for address in ("0.0.0.0:0", "192.168.0.1:50051", "example.org:1", "127.0.0.1"):
        with pytest.raises(ConfigurationError, match="ssh -L"):
            serve(FakeEngine(), Fake, address=address)


def test_an_address_that_is_taken(server: RunningServer) -> None:
    with pytest.raises(ServerCommunicationError, match="cannot listen"):
        serve(FakeEngine(), Fake, address=server.address)


@pytest.mark.skipif(os.name != "posix", reason="socket files with permissions")
def test_socket_files_are_private(tmp_path: Path) -> None:
    socket = Path(os.path.relpath(tmp_path)) / "s" / "e.sock"
    if len(str(tmp_path)) > 85:
        pytest.skip("the temporary folder's path is too long for a socket")
    with serve(FakeEngine(), Fake, socket=socket) as server:
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        client = connect(server.address, Fake, server.token)
        assert client.read(200_000).samples[AMP].shape == (200_000, 4)
        client.close()


@pytest.mark.skipif(os.name != "posix", reason="socket files with permissions")
def test_a_socket_in_a_folder_of_others_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    folder.chmod(0o755)
    if len(str(folder)) > 90:
        pytest.skip("the temporary folder's path is too long for a socket")
    with pytest.raises(ConfigurationError, match="folder of its own"):
        serve(FakeEngine(), Fake, socket=folder / "e")
    assert folder.stat().st_mode & 0o777 == 0o755


def test_socket_paths_that_are_too_long(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="103 bytes"):
        serve(FakeEngine(), Fake, socket=tmp_path / ("x" * 100))
