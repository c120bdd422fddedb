"""The closed loop: which events are answered, when the output falls, and what lateness does."""

from __future__ import annotations

import numpy as np
import pytest
from outputs_fake import FakeSource

from ranvier.exceptions import CapabilityError, ConfigurationError, DatasetError, FilterDesignError
from ranvier.models.rig import LatePolicy, LoopSettings, LoopStatus
from ranvier.recordings import Block
from ranvier.rig.clock import FakeClock
from ranvier.rig.dac import Dac
from ranvier.rig.dio import Dio
from ranvier.rig.loop import ClosedLoop


class SlowSource(FakeSource):
    """A source whose command takes time."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self.command_sec = 0.0

    def set_digital_out(self, line: int, state: bool) -> int:
        self._clock.advance(self.command_sec)
        return super().set_digital_out(line, state)


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.source = SlowSource(self.clock)
        self.dio = Dio(lambda: self.source, Dac(lambda: self.source).routed_to)
        self.loop = ClosedLoop(lambda: self.source, self.clock, self.dio)

    def run(self, n: int = 30, delay_sec: float = 0.0, **signals: object) -> None:
        """Let a block arrive when its last sample was taken; the loop gets it ``delay_sec`` later."""
        block = self.source.block(n, **signals)  # type: ignore[arg-type]
        self.clock.advance(n / 30_000)
        arrival = self.clock.monotonic()
        self.clock.advance(delay_sec)
        self.loop.on_block(block, arrival)

    def status(self) -> LoopStatus:
        status = self.loop.status()
        assert status is not None
        return status


@pytest.fixture
def bench() -> Bench:
    return Bench()


def armed(bench: Bench, **settings: object) -> Bench:
    base: dict[str, object] = {"channels": (0, 3), "threshold_uv": -50.0, "dout_idx": 1}
    bench.loop.arm(LoopSettings(**{**base, **settings}), client="me")  # type: ignore[arg-type]
    bench.loop.stream_started()
    bench.run()
    return bench


def test_an_event_raises_the_output_and_the_pulse_ends(bench: Bench) -> None:
    armed(bench, pulse_sec=0.002)
    bench.run(amp={3: {10: -60.0}})
    assert bench.source.outs[-1][:2] == (1, True)
    bench.run()
    assert bench.source.level(1)
    bench.run()
    assert not bench.source.level(1)
    assert (bench.status().events, bench.status().edges) == (1, 1)


def test_only_the_channels_and_the_side_that_are_watched(bench: Bench) -> None:
    armed(bench)
    bench.run(amp={1: {10: -60.0}, 0: {10: 60.0}, 3: {12: -49.0}})
    assert bench.source.outs == []
    armed(bench, threshold_uv=50.0)
    bench.run(amp={0: {10: 60.0}})
    assert bench.source.level(1)


def test_refractory_is_counted_in_samples(bench: Bench) -> None:
    armed(bench, refractory_sec=0.005)  # 150 samples from the edge
    for _ in range(12):
        bench.run(amp={0: {5: -60.0}})
    rises = [at for line, state, at in bench.source.outs if state]
    assert len(rises) == 2
    assert np.diff(rises)[0] >= 150
    assert bench.status().events == 12
    assert bench.status().edges == 2


def test_latency_is_from_the_sample_to_the_return_of_the_command(bench: Bench) -> None:
    armed(bench)
    bench.source.command_sec = 0.0005
    bench.run(30, delay_sec=0.001, amp={0: {14: -60.0}})
    # 15 samples (0.5 ms) before the last one of the block, 1 ms later looked at, 0.5 ms of command
    report = bench.status().latency
    assert report.count == 1
    assert report.max_ms == pytest.approx(0.5 + 1.0 + 0.5, abs=1e-6)
    assert report.missed == 0


def test_a_source_that_knows_when_samples_were_taken_is_believed(bench: Bench) -> None:
    armed(bench)
    bench.clock.advance(1.0)
    now = bench.clock.monotonic()
    bench.source.sample_time = lambda counter: now - 0.010  # type: ignore[method-assign]
    bench.run(1, amp={0: {0: -60.0}})
    assert bench.status().latency.max_ms == pytest.approx(10 + 1 / 30, abs=1e-3)
    assert bench.status().latency.missed == 1


@pytest.mark.parametrize(
    ("policy", "edges", "stays"),
    [(LatePolicy.LATE, 1, True), (LatePolicy.SKIP, 0, True), (LatePolicy.DISARM, 0, False)],
)
def test_late_events(bench: Bench, policy: LatePolicy, edges: int, stays: bool) -> None:
    armed(bench, late=policy, deadline_ms=5.0)
    bench.run(delay_sec=0.006, amp={0: {29: -60.0}})
    status = bench.status()
    assert (status.edges, status.armed, status.latency.missed) == (edges, stays, 1)
    assert bench.source.level(1) is (edges == 1)
    assert ("missed its deadline" in bench.loop.note) is not stays


def test_samples_from_before_it_was_armed_are_not_answered(bench: Bench) -> None:
    armed(bench)
    before = bench.clock.monotonic() - 0.5
    bench.source.sample_time = lambda counter: before  # type: ignore[method-assign]
    bench.run(amp={0: {5: -60.0}})
    assert bench.source.outs == []
    assert bench.status().latency.count == 0


def test_nothing_happens_while_it_is_off(bench: Bench) -> None:
    assert bench.loop.status() is None
    bench.loop.stream_started()
    bench.run(amp={0: {5: -60.0}})
    armed(bench)
    bench.loop.disarm()
    bench.run(amp={0: {5: -60.0}})
    assert bench.source.outs == []
    assert not bench.status().armed
    bench.loop.disarm()


def test_the_output_goes_low_when_the_loop_ends(bench: Bench) -> None:
    for end in (bench.loop.disarm, bench.loop.stream_stopped, lambda: bench.loop.client_gone("me")):
        armed(bench, pulse_sec=1.0, refractory_sec=2.0)
        bench.run(amp={0: {5: -60.0}})
        assert bench.source.level(1)
        end()
        assert not bench.source.level(1)
        assert not bench.loop.is_armed


def test_somebody_elses_client_may_go(bench: Bench) -> None:
    armed(bench)
    bench.loop.client_gone("another")
    assert bench.loop.is_armed
    bench.loop.client_gone("me")
    assert "client me is gone" in bench.loop.note


def test_a_source_that_fails_ends_the_loop(bench: Bench) -> None:
    armed(bench)
    bench.source.broken = True
    bench.run(amp={0: {5: -60.0}})
    assert not bench.loop.is_armed
    assert "the cable was pulled" in bench.loop.note


def test_turned_off_in_the_middle_of_a_block_it_leaves_the_output_low(bench: Bench) -> None:
    armed(bench, pulse_sec=1.0, refractory_sec=2.0)
    command = bench.source.set_digital_out

    def and_then_off(line: int, state: bool) -> int:
        if state:
            bench.loop.disarm()
        return command(line, state)

    bench.source.set_digital_out = and_then_off  # type: ignore[method-assign]
    bench.run(amp={0: {5: -60.0}})
    assert not bench.source.level(1)


def test_counts_are_answered_like_microvolts(bench: Bench) -> None:
    armed(bench)
    counts = np.zeros((30, len(bench.source.channels)), np.int16)
    counts[7, 0] = -300
    gain = np.full(counts.shape[1], 0.195)
    bench.loop.on_block(Block(counts, bench.source.head, gain, np.zeros(counts.shape[1])), 1.0)
    assert bench.source.level(1)


def test_a_high_pass_in_front_of_the_detector(bench: Bench) -> None:
    armed(bench, highpass_hz=300.0)
    bench.source.head += 1000  # a gap: the filter begins again, with the offset
    offset = {0: dict.fromkeys(range(300), -500.0)}
    for _ in range(20):
        bench.run(300, amp=offset)
    assert bench.status().events == 0  # neither the offset nor what the filter makes of its beginning
    bench.run(300, amp={0: {**offset[0], 100: -600.0}})
    assert bench.status().edges == 1


@pytest.mark.parametrize(
    ("settings", "error", "told"),
    [
        ({"channels": ()}, ConfigurationError, "one or more"),
        ({"channels": (0, 0)}, ConfigurationError, "each once"),
        ({"channels": (99,)}, DatasetError, "99"),
        ({"threshold_uv": 0.0}, ConfigurationError, "threshold"),
        ({"threshold_uv": float("nan")}, ConfigurationError, "threshold"),
        ({"dout_idx": 4}, ConfigurationError, "0-3"),
        ({"pulse_sec": 0.0}, ConfigurationError, "pulse_sec"),
        ({"pulse_sec": 0.01}, ConfigurationError, "shorter than pulse_sec"),
        ({"deadline_ms": float("inf")}, ConfigurationError, "deadline_ms"),
        ({"highpass_hz": 20_000.0}, FilterDesignError, "20000"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    bench: Bench, settings: dict[str, object], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        armed(bench, **settings)
    assert not bench.loop.is_armed
    bench.dio.set_manual(1, True)  # nothing was left claimed


def test_the_output_belongs_to_the_loop_while_it_is_armed(bench: Bench) -> None:
    armed(bench)
    with pytest.raises(ConfigurationError, match="closed loop holds"):
        bench.dio.set_manual(1, True)
    bench.dio.set_manual(0, True)
    with pytest.raises(ConfigurationError, match="closed loop holds"):
        bench.dio.set_gated(True)
    bench.loop.disarm()
    bench.dio.set_gated(True)
    with pytest.raises(ConfigurationError, match="GATED"):
        armed(bench)


def test_sources_without_outputs_have_no_loop(bench: Bench) -> None:
    from dataclasses import replace

    bench.source.info = replace(bench.source.info, capabilities=frozenset())
    with pytest.raises(CapabilityError):
        armed(bench)


def test_a_loop_armed_before_the_stream_watches_the_stream(bench: Bench) -> None:
    bench.loop.arm(LoopSettings(channels=(0,), threshold_uv=-50.0, dout_idx=1))
    bench.source.channels = bench.source.channels.take(range(1, len(bench.source.channels)))
    bench.loop.stream_started()  # channel 0 is gone
    assert not bench.loop.is_armed
    assert "closed loop disarmed" in bench.loop.note
