"""The one thread that takes samples from the source: it accounts for losses, filters, caches, and hands on.

It never waits for a disk, for a client or for a consumer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction

import numpy as np

from ranvier import _platform
from ranvier.exceptions import ConfigurationError, SourceError
from ranvier.recordings.block import Block
from ranvier.rig.cache import SignalCache
from ranvier.rig.clock import Clock
from ranvier.rig.clocklog import ClockLog
from ranvier.rig.consumer import Consumer
from ranvier.rig.hooks import StreamHook
from ranvier.rig.live_dsp import LiveChain
from ranvier.rig.source import Source

#: A source is taken for stalled after so many block times, or this long, whichever is longer.
STALL_BLOCKS = 50
STALL_SEC = 1.0

#: How long one read may wait; stopping takes that long at most.
READ_TIMEOUT_SEC = 0.05

#: How long a source may take to start or stop before the engine goes on without it.
START_TIMEOUT_SEC = 30.0


class Counts:
    """What arrived and what did not, since streaming began. Written by the pump only."""

    def __init__(self) -> None:
        self.received_samples = 0
        self.lost_samples = 0
        self.jumps = 0
        self.nan_samples = 0
        self.blocks = 0


class Pump:
    """Runs one source. ``start`` and ``stop`` come from control calls, one at a time.

    Parameters
    ----------
    cache
        Where blocks go.
    acquisition
        Returns the chain of hardware and stage 1 in force (None = none). It is asked before every block: another
        object than before means other filters from that block on, and an emptied cache.
    persistence_sec
        Returns for how long the cache shall remember.
    failed
        Told once when the source failed, in the pump's thread; the stream has ended then.

    Attributes
    ----------
    in_a_hurry
        Whether the thread asks the scheduler to be preferred: for a rig in a process of its own, on real time.
    is_preferred
        Whether it is.
    """

    def __init__(
        self,
        cache: SignalCache,
        clock: Clock,
        *,
        acquisition: Callable[[], LiveChain | None],
        persistence_sec: Callable[[], float],
        failed: Callable[[str], None],
        stall_sec: float = STALL_SEC,
    ) -> None:
        self.cache = cache
        self.counts = Counts()
        self.in_a_hurry = False
        self.is_preferred = False
        self.clock_log = ClockLog()
        self.warnings: dict[str, str] = {}
        self._clock = clock
        self._acquisition = acquisition
        self._persistence_sec = persistence_sec
        self._failed = failed
        self._stall_sec = stall_sec
        self._hooks: tuple[StreamHook, ...] = ()
        self._broken: tuple[StreamHook, ...] = ()
        self._consumers: tuple[Consumer, ...] = ()
        self._edit = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._live: LiveChain | None = None
        self._next: int | None = None
        self._load = 0.0

    # --- who gets blocks ----------------------------------------------------------------------------------------

    def add_hook(self, hook: StreamHook) -> None:
        """Tell a hook of every stream and every raw block, in the pump's thread: it must be quick."""
        with self._edit:
            self._hooks = (*self._hooks, hook)

    def add_consumer(self, consumer: Consumer) -> None:
        """Offer every block, filtered as it is cached, to a consumer."""
        with self._edit:
            self._consumers = (*self._consumers, consumer)

    def remove_consumer(self, consumer: Consumer) -> None:
        """Stop offering; harmless where it is not there."""
        with self._edit:
            self._consumers = tuple(c for c in self._consumers if c is not consumer)

    @property
    def consumers(self) -> tuple[Consumer, ...]:
        """Who is offered blocks."""
        return self._consumers

    # --- control ------------------------------------------------------------------------------------------------

    @property
    def runs(self) -> bool:
        """Whether it takes samples."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def load(self) -> float:
        """Fraction of one core that this thread needed over about the last second."""
        return self._load

    def start(self, source: Source) -> None:
        """Start a source and take its samples; SourceError where it does not start."""
        if self.runs:
            raise ConfigurationError("the pump runs already; stop it first")
        self.counts = Counts()
        self.clock_log.clear()
        self.cache.clear()
        self.warnings.clear()
        self._stopping = threading.Event()
        self._next = None
        self._live = self._acquisition()
        self._load = 0.0
        started: list[Exception | None] = []
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(source, started, ready, self._stopping), name="ranvier-pump", daemon=True
        )
        self._thread.start()
        if not ready.wait(START_TIMEOUT_SEC):
            self._stopping.set()
            raise SourceError(f"{source.info.name} did not start within {START_TIMEOUT_SEC:g} s")
        if started and started[0] is not None:
            self._thread.join(START_TIMEOUT_SEC)
            raise started[0]

    def stop(self) -> None:
        """Stop taking samples and stop the source; harmless where it does not run."""
        thread, self._thread = self._thread, None
        self._stopping.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(START_TIMEOUT_SEC)
        self.cache.end()

    # --- the thread ---------------------------------------------------------------------------------------------

    def _run(
        self, source: Source, started: list[Exception | None], ready: threading.Event, stopping: threading.Event
    ) -> None:
        self.is_preferred = self.in_a_hurry and _platform.prefer_thread()
        try:
            source.start()
        except Exception as error:  # noqa: BLE001  # handed to whoever called start()
            started.append(_as_source_error(source, error))
            ready.set()
            return
        self._broken = ()
        self._tell(lambda hook: hook.stream_started(), all_hooks=True)
        started.append(None)
        ready.set()
        failure = ""
        try:
            self._loop(source, stopping)
        except Exception as error:  # noqa: BLE001  # whatever fails here ends the stream: say it, do not die silently
            failure = str(_as_source_error(source, error))
        self._tell(lambda hook: hook.stream_stopped(), all_hooks=True)
        try:
            source.stop()
        except Exception as error:  # noqa: BLE001  # it is being given up anyway
            failure = failure or str(_as_source_error(source, error))
        if self._stopping is not stopping:  # this source hung, was given up, and another stream runs by now
            return
        self.cache.end()
        if failure:
            self._failed(failure)

    def _loop(self, source: Source, stopping: threading.Event) -> None:
        clock = self._clock
        limit = max(self._stall_sec, STALL_BLOCKS * source.block_sec)
        last = clock.monotonic()
        meter = _Meter()
        while not stopping.is_set():
            block = source.read(READ_TIMEOUT_SEC)
            arrival = clock.monotonic()
            if stopping.is_set():
                return
            if block is None or len(block) == 0:
                if arrival - last > limit:
                    raise SourceError(
                        f"{source.info.name} stalls: no samples for {arrival - last:.1f} s; check cable and power, "
                        "then start_streaming() again"
                    )
                continue
            meter.begin()
            self.take(source, block, arrival)
            self._load = meter.end(self._load)
            last = arrival

    def take(self, source: Source, block: Block, arrival: float) -> None:
        """Account for a block, filter it, cache it, hand it on."""
        self._check(source, block)
        block = _writable(block)
        self._tell(lambda hook: hook.on_block(block, arrival))
        live = self._acquisition()
        if live is not self._live or self._next is None:
            self._live = live
            counts = block.is_counts and live is None
            self.cache.begin(source.channels, Fraction(source.fs), self._persistence_sec(), counts=counts)
        self._next = block.stop
        done = block if live is None else live.apply(block)
        self.cache.write(done)
        self.clock_log.note(done.stop, arrival, len(done) / float(source.fs))
        for consumer in self._consumers:
            try:
                consumer.offer(done)
            except Exception as error:  # noqa: BLE001  # a consumer never stops the stream
                self.remove_consumer(consumer)
                self.warnings[consumer.name] = f"{consumer.name} failed and gets no more samples: {error}"

    def _tell(self, call: Callable[[StreamHook], None], *, all_hooks: bool = False) -> None:
        """Call hooks; one that fails gets no more blocks of this stream, but is told of its end."""
        for hook in self._hooks:
            if hook in self._broken and not all_hooks:
                continue
            try:
                call(hook)
            except Exception as error:  # noqa: BLE001  # a closed loop never stops the stream
                name = type(hook).__name__
                self.warnings[name] = f"{name} failed and is off for this stream: {type(error).__name__}: {error}"
                self._broken = (*self._broken, hook)

    def _check(self, source: Source, block: Block) -> None:
        """Count what is missing; SourceError where the block cannot belong to this stream."""
        name, samples, counts = source.info.name, block.samples, self.counts
        if samples.ndim != 2 or samples.shape[1] != len(source.channels):
            raise SourceError(
                f"{name} sent a block of shape {samples.shape} where {len(source.channels)} channels are configured; "
                "scan_ports() finds what is plugged in now"
            )
        if samples.dtype != (np.int16 if block.is_counts else np.float32):
            raise SourceError(
                f"{name} sent samples of type {samples.dtype}: int16 counts with gain or float32 are known"
            )
        if self._next is not None and block.start < self._next:
            raise SourceError(
                f"{name}: the sample counter ran backwards from {self._next} to {block.start}; start_streaming() again"
            )
        if self._next is not None and block.start > self._next:
            counts.jumps += 1
            counts.lost_samples += block.start - self._next
        if not block.is_counts and np.isnan(samples.min()):
            counts.nan_samples += int(np.isnan(samples).any(axis=1).sum())
        counts.received_samples += len(block)
        counts.blocks += 1


def _writable(block: Block) -> Block:
    """Return a block that compiled kernels take: they refuse write-protected arrays. Nobody writes to it."""
    samples = block.samples
    with suppress(ValueError):  # the memory is ours (see Source.read), unless it is a view of something else
        samples.flags.writeable = True
    if samples.flags.writeable and samples.flags.c_contiguous:
        return block
    return Block(samples.copy(order="C"), block.start, block.gain, block.offset)


def _as_source_error(source: Source, error: Exception) -> Exception:
    if isinstance(error, (SourceError, ConfigurationError)):
        return error
    return SourceError(f"{source.info.name} failed: {type(error).__name__}: {error}")


class _Meter:
    """How busy this thread is, without what the source itself costs: CPU time of the thread over time passed."""

    def __init__(self) -> None:
        self._busy = 0.0
        self._since = time.monotonic()
        self._began = 0.0

    def begin(self) -> None:
        self._began = time.thread_time()

    def end(self, load: float) -> float:
        """Return the load: a new figure every second."""
        self._busy += time.thread_time() - self._began
        now = time.monotonic()
        if now - self._since < 1.0:
            return load
        load = self._busy / (now - self._since)
        self._busy, self._since = 0.0, now
        return load
