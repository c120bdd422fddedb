"""A source that does what a test says, honestly or not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

import numpy as np

from ranvier.exceptions import ConfigurationError, SourceError
from ranvier.models.ports import Port
from ranvier.models.status import BackboneMode
from ranvier.recordings import Block, ChannelTable, SpikeTrains
from ranvier.recordings.channels import plain_channels
from ranvier.rig.clock import Clock
from ranvier.rig.source import PortScan, Source, SourceInfo

FS = 1000
GAIN_UV = 0.5


def sample_counts(start: int, n: int, columns: int) -> np.ndarray:
    """Counts that tell which sample and column they are."""
    counters = np.arange(start, start + n)[:, None]
    return ((counters * 7 + np.arange(columns)[None, :] * 13) % 30011 - 15000).astype(np.int16)


class ScriptedSource(Source):
    """Plays steps: blocks, None (a time-out), exceptions; then goes on by itself, or falls silent.

    Counts are ``sample_counts``; amplifier gain 0.5 uV, two digital inputs whose first one toggles every 100 samples.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        amp: int = 4,
        steps: Iterable[Block | Exception | None] = (),
        then: str = "samples",
        start_counter: int = 0,
        counts: bool = True,
        mode: BackboneMode = BackboneMode.SMARTBOX_SIM_GEN_SPIKES,
        simulated: bool = True,
    ) -> None:
        table = plain_channels(amp=amp, ain=1, din=2)
        from dataclasses import replace

        self.channels: ChannelTable = table.with_channels(
            replace(c, gain=GAIN_UV if i < amp else 1.0) for i, c in enumerate(table)
        )
        self.fs = Fraction(FS)
        self.info = SourceInfo(
            mode, "SIMULATED script", simulated, (500.0, 1000.0, 2000.0), frozenset({"ground_truth"})
        )
        self.block_sec = 0.01
        self.counts = counts
        self.clock = clock
        self.steps = list(steps)
        self.then = then
        self.start_counter = start_counter
        self.log: list[str] = []
        self.gate: threading.Semaphore | None = None
        self.on_read: Callable[[], None] = lambda: None
        self.fail_start = False
        self._next = start_counter
        self._queue: list[Block | Exception | None] = []
        self.running = False

    def block(self, n: int, start: int | None = None) -> Block:
        at = self._next if start is None else start
        counts = sample_counts(at, n, len(self.channels))
        counts[:, -2] = np.arange(at, at + n) // 100 % 2
        counts[:, -1] = 0
        if self.counts:
            return Block(counts, at, self.channels.gains, self.channels.offsets)
        return Block((counts * self.channels.gains).astype(np.float32), at)

    def scan(self) -> Sequence[PortScan]:
        return [PortScan(Port.A, "script", 4)]

    def configure(self, fs_hz: float, channels: ChannelTable) -> None:
        if self.running:
            raise ConfigurationError("it runs")
        if fs_hz not in self.info.sampling_rates_hz:
            raise ConfigurationError(f"{fs_hz} Hz is not offered")
        self.fs, self.channels = Fraction(fs_hz), channels

    def start(self) -> None:
        self.log.append("start")
        if self.fail_start:
            raise SourceError("no instrument is plugged in")
        self._next = self.start_counter
        self._queue = list(self.steps)
        self.running = True

    def read(self, timeout_sec: float) -> Block | None:
        self.on_read()
        if self.gate is not None and not self.gate.acquire(timeout=min(timeout_sec, 0.02)):
            return None
        if self._queue:
            step = self._queue.pop(0)
            if isinstance(step, Exception):
                raise step
            if step is None:
                self.clock.sleep(timeout_sec)
                return None
            self._next = step.stop
            return step
        if self.then == "silence":
            self.clock.sleep(timeout_sec)
            return None
        n = max(1, int(self.block_sec * self.fs))
        self.clock.sleep(float(n / self.fs))
        made = self.block(n)
        self._next = made.stop
        return made

    def stop(self) -> None:
        if self.running:
            self.log.append("stop")
        self.running = False

    def close(self) -> None:
        self.log.append("close")

    def ground_truth(self, start: int, stop: int) -> SpikeTrains:
        counters = np.arange(start, stop, 50, dtype=np.int64)
        return SpikeTrains(counters, np.ones(len(counters), np.int32), np.zeros(len(counters), np.int32))
