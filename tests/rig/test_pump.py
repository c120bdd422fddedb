from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from scripted_source import ScriptedSource, sample_counts

from ranvier.dsp import Chain, CommonAverageReference
from ranvier.exceptions import SourceError
from ranvier.models.rig import ConsumerStatus
from ranvier.recordings import Block
from ranvier.rig import pump as pump_module
from ranvier.rig.cache import SignalCache
from ranvier.rig.clock import FakeClock
from ranvier.rig.consumer import BackPressure, Consumer
from ranvier.rig.consumers import QueueConsumer
from ranvier.rig.live_dsp import LiveChain
from ranvier.rig.pump import Pump


class Bench:
    """A pump over a scripted source; the stream ends with the script."""

    def __init__(self, *steps: Block | Exception | None, then: str = "silence", **options: object) -> None:
        self.clock = FakeClock()
        self.source = ScriptedSource(self.clock, steps=steps, then=then, **options)  # type: ignore[arg-type]
        self.cache = SignalCache()
        self.failures: list[str] = []
        self.failed = threading.Event()
        self.pump = Pump(
            self.cache, self.clock, acquisition=lambda: None, persistence_sec=lambda: 5.0, failed=self._failed
        )

    def _failed(self, text: str) -> None:
        self.failures.append(text)
        self.failed.set()

    def run(self) -> str:
        """Run until the source fails (a silent one stalls); return the reason."""
        self.pump.start(self.source)
        assert self.failed.wait(10)
        self.pump.stop()
        return self.failures[0]


def block(start: int, n: int = 10, columns: int = 7) -> Block:
    channels = ScriptedSource(FakeClock()).channels
    return Block(sample_counts(start, n, columns), start, channels.gains, channels.offsets)


def test_stall_is_a_fault_with_text_and_the_source_is_stopped() -> None:
    bench = Bench(block(0), None, block(10))
    assert "stalls" in bench.run()
    assert bench.source.log == ["start", "stop"]
    assert bench.cache.span().stop == 20
    assert bench.pump.counts.received_samples == 20
    assert bench.pump.counts.lost_samples == 0


def test_lost_samples_are_counted_and_stand_in_the_gap_table() -> None:
    bench = Bench(block(100), block(110), block(133), block(143), block(200))
    bench.run()
    counts = bench.pump.counts
    assert (counts.received_samples, counts.lost_samples, counts.jumps) == (50, 13 + 47, 2)
    assert bench.cache.span().gaps == ((120, 133), (153, 200))


def test_counts_after_a_drop_out_are_those_of_a_source_that_really_drops() -> None:
    rng = np.random.default_rng(3)
    kept = np.flatnonzero(rng.random(200) > 0.2)
    bench = Bench(*(block(int(i) * 10) for i in kept))
    bench.run()
    counts = bench.pump.counts
    assert counts.received_samples == 10 * len(kept)
    assert counts.lost_samples == 10 * (kept[-1] + 1 - kept[0] - len(kept))
    assert counts.received_samples + counts.lost_samples == 10 * (kept[-1] + 1 - kept[0])
    assert counts.jumps == np.count_nonzero(np.diff(kept) > 1)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (block(5), "ran backwards from 20 to 5"),
        (block(-(2**31) + 20), "ran backwards"),  # a 32-bit counter that wrapped and was not unwrapped
        (block(20, columns=6), "6.*7 channels are configured"),
        (Block(np.zeros((10, 7), np.float64), 20), "float64"),
        (SourceError("the cable was pulled"), "cable was pulled"),
        (ValueError("unexpected header"), "ValueError: unexpected header"),
    ],
)
def test_what_cannot_belong_to_the_stream_is_a_fault(bad: Block | Exception, words: str) -> None:
    import re

    bench = Bench(block(0), block(10), bad, block(20))
    assert re.search(words, bench.run())
    assert bench.cache.span().stop == 20
    assert bench.source.log[-1] == "stop"


def test_counters_beyond_32_bits_are_fine() -> None:
    bench = Bench(block(2**31 - 10), block(2**31), block(2**31 + 10))
    assert "stalls" in bench.run()
    assert bench.pump.counts.lost_samples == 0


def test_write_protected_blocks_are_filtered_too() -> None:
    given = block(0)
    given.samples.flags.writeable = False
    columns = np.asfortranarray(sample_counts(10, 10, 7))
    bench = Bench(given, Block(columns, 10, given.gain, given.offset))
    chain = CommonAverageReference().bind(bench.source.fs, bench.source.channels)
    live = LiveChain(Chain([chain]))
    bench.pump._acquisition = lambda: live
    assert "stalls" in bench.run()
    assert bench.cache.span().stop == 20


def test_nan_is_counted_and_kept() -> None:
    samples = np.zeros((10, 7), np.float32)
    samples[3:5, 2] = np.nan
    bench = Bench(Block(samples, 0), counts=False)
    bench.run()
    assert bench.pump.counts.nan_samples == 2
    assert np.isnan(bench.cache.read(0, 10, np.array([2])).samples[3:5]).all()


def test_restart_after_a_fault_begins_at_zero() -> None:
    bench = Bench(block(0), block(50))
    bench.run()
    bench.failed.clear()
    bench.source.steps = [block(0)]
    bench.pump.start(bench.source)
    assert bench.failed.wait(10)
    assert bench.pump.counts.lost_samples == 0
    assert bench.cache.span().stop == 10


def test_source_that_does_not_start() -> None:
    bench = Bench()
    bench.source.fail_start = True
    with pytest.raises(SourceError, match="no instrument"):
        bench.pump.start(bench.source)
    assert not bench.pump.runs
    assert bench.failures == []


def test_a_source_that_hangs_and_comes_back_late_disturbs_no_later_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "START_TIMEOUT_SEC", 0.2)
    bench = Bench(block(0), then="samples")
    hanging = threading.Event()
    come_back = threading.Event()

    def hang() -> None:
        hanging.set()
        assert come_back.wait(20)

    bench.source.on_read = hang
    bench.pump.start(bench.source)
    assert hanging.wait(10)
    old = next(t for t in threading.enumerate() if t.name == "ranvier-pump")
    bench.pump.stop()
    other = ScriptedSource(bench.clock, steps=[block(500)])
    other.on_read = lambda: time.sleep(0.001)
    bench.pump.start(other)
    come_back.set()
    old.join(10)
    assert not old.is_alive()
    until = time.monotonic() + 10
    while bench.cache.first is None and time.monotonic() < until:
        time.sleep(0.001)
    assert bench.pump.runs
    assert not bench.cache.ended
    assert bench.failures == []
    bench.pump.stop()
    assert bench.pump.counts.lost_samples == 0
    assert bench.cache.first == 500


def test_consumers_get_every_block_in_order() -> None:
    seen: list[Block] = []
    bench = Bench(*(block(10 * i) for i in range(50)))
    consumer = QueueConsumer("test", BackPressure.KEEP_ALL, seen.append)
    bench.pump.add_consumer(consumer)
    bench.run()
    consumer.close()
    assert [b.start for b in seen] == list(range(0, 500, 10))
    assert consumer.status().blocks == 50
    assert consumer.status().shed_samples == 0


class Broken(Consumer):
    name = "broken"
    policy = BackPressure.NEWEST_ONLY

    def offer(self, block: Block) -> None:
        raise RuntimeError("out of order")

    def status(self) -> ConsumerStatus:
        return ConsumerStatus(name=self.name, policy=self.policy.value)


def test_a_broken_consumer_or_hook_never_stops_the_stream() -> None:
    bench = Bench(*(block(10 * i) for i in range(5)))
    bench.pump.add_consumer(Broken())
    calls: list[object] = []

    class Loop:
        def stream_started(self) -> None:
            calls.append("started")

        def on_block(self, arrived: Block, arrival: float) -> None:
            calls.append(arrived.start)
            raise ValueError("loop")

        def stream_stopped(self) -> None:
            calls.append("stopped")

    bench.pump.add_hook(Loop())
    assert "stalls" in bench.run()
    assert bench.pump.counts.received_samples == 50
    assert calls == ["started", 0, "stopped"]
    assert len(bench.pump.warnings) == 2
    assert bench.pump.consumers == ()


def _held(policy: BackPressure, max_blocks: int) -> tuple[QueueConsumer, list[int], threading.Event, threading.Event]:
    seen: list[int] = []
    entered, go = threading.Event(), threading.Event()

    def work(block: Block) -> None:
        seen.append(block.start)
        entered.set()
        assert go.wait(10)

    return QueueConsumer("slow", policy, work, max_blocks=max_blocks), seen, entered, go


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(BackPressure.SHED_OLDEST, [0, 70, 80, 90]), (BackPressure.NEWEST_ONLY, [0, 90])],
)
def test_a_slow_consumer_sheds_its_own_work_counted(policy: BackPressure, expected: list[int]) -> None:
    consumer, seen, entered, go = _held(policy, 3)
    consumer.offer(block(0))
    assert entered.wait(10)
    began = time.monotonic()
    for i in range(1, 10):
        consumer.offer(block(10 * i))
    assert time.monotonic() - began < 1.0
    assert consumer.status().behind_samples == 10 * len(expected)
    go.set()
    consumer.close()
    assert seen == expected
    status = consumer.status()
    assert status.blocks == len(expected)
    assert status.shed_samples == 100 - 10 * len(expected)
    assert status.behind_samples == 0


def test_blocks_that_wait_and_follow_one_another_are_handed_over_together() -> None:
    taken: list[Block] = []
    entered, go = threading.Event(), threading.Event()

    def work(block: Block) -> None:
        taken.append(block)
        entered.set()
        assert go.wait(10)

    consumer = QueueConsumer("sorter", BackPressure.SHED_OLDEST, work, max_blocks=100, together_rows=35)
    samples = np.arange(2000, dtype=np.float32).reshape(1000, 2)
    consumer.offer(Block(samples[:10], 0))
    assert entered.wait(10)
    edges = [10, 20, 30, 40, 50, 60, 200, 210, 220]  # behind 60 there is a gap
    for start in [at for at in edges if at != 60]:
        consumer.offer(Block(samples[start : start + 10], start))
    counts, gain = np.zeros((10, 2), np.int16), np.ones(2)
    consumer.offer(Block(counts, 230, gain, gain))  # of another kind
    consumer.offer(Block(counts, 240, 2 * gain, gain))  # and with another gain
    go.set()
    consumer.close()
    assert [(b.start, len(b)) for b in taken] == [(0, 10), (10, 30), (40, 20), (200, 30), (230, 10), (240, 10)]
    for b in taken[:4]:
        np.testing.assert_array_equal(b.samples, samples[b.start : b.stop])
    status = consumer.status()
    assert (status.blocks, status.behind_samples, status.shed_samples) == (11, 0, 0)


def test_a_consumer_waits_for_enough_rows_but_not_for_ever() -> None:
    taken: list[Block] = []
    told = threading.Event()

    def work(block: Block) -> None:
        taken.append(block)
        told.set()

    consumer = QueueConsumer("sorter", BackPressure.SHED_OLDEST, work, together_rows=100, least_rows=lambda: 40)
    samples = np.zeros((1000, 2), np.float32)
    for start in (0, 10, 20, 30):
        consumer.offer(Block(samples[start : start + 10], start))
    assert told.wait(10)
    told.clear()
    consumer.offer(Block(samples[40:50], 40))
    assert told.wait(10)  # no more come
    consumer.offer(Block(samples[50:60], 50))
    consumer.close()
    assert sum(map(len, taken)) == 60
    assert taken[0].start == 0
    assert taken[-1].stop == 60


def test_keep_all_fails_loudly_when_full() -> None:
    consumer, seen, entered, go = _held(BackPressure.KEEP_ALL, 3)
    consumer.offer(block(0))
    assert entered.wait(10)
    for i in range(1, 6):
        consumer.offer(block(10 * i))
    assert "behind" in consumer.failure
    go.set()
    consumer.close()
    assert seen == [0, 10, 20, 30]
    assert consumer.status().shed_samples == 20


def test_a_failing_consumer_says_why() -> None:
    def work(block: Block) -> None:
        raise OSError("disk full")

    consumer = QueueConsumer("writer", BackPressure.KEEP_ALL, work)
    consumer.offer(block(0))
    consumer.close()
    assert "disk full" in consumer.failure


def test_clock_log_ties_counters_to_time() -> None:
    bench = Bench(then="samples")
    seconds = threading.Event()
    bench.source.on_read = lambda: seconds.set() if bench.clock.monotonic() > 5 else None  # type: ignore[func-returns-value]
    bench.pump.start(bench.source)
    assert seconds.wait(20)
    bench.pump.stop()
    entries = bench.pump.clock_log.entries()
    assert len(entries) >= 5
    distance = np.diff([e.counter for e in entries[:5]])
    assert (np.abs(distance - 1000) <= 10).all()
    assert bench.pump.clock_log.entries(entries[1].counter, entries[3].counter) == entries[1:3]
