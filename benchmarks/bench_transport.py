"""Transport: the last second of 1024 channels (61 MB int16 with gain) from an engine process, and small calls.

The engine is a process of its own on this machine; all figures are software latencies as the client sees them. Widening
to float64 (channels, samples), which the typed clients do, is measured apart and together with the read.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ranvier.transport import Hosted, connect, disconnect, start_process

FS, CHANNELS = 30_000, 1024
POOL = ThreadPoolExecutor(2)
#: Seconds; the floor and the goal of the issue are for read and widening together, with out= reused.
FLOOR_SEC, GOAL_SEC = 0.120, 0.060


@dataclass(frozen=True)
class Counts:
    samples: npt.NDArray[np.int16]
    gain_uv: npt.NDArray[np.float32]


class Source(Protocol):
    def last_second(self, *, out: npt.NDArray[np.int16] | None = None) -> npt.NDArray[np.int16]: ...

    def small(self, number: int) -> int: ...

    def blocks(self, n: int, samples: int) -> Iterator[npt.NDArray[np.int16]]: ...


class Memory:
    def __init__(self) -> None:
        self._ring = np.random.default_rng(1).integers(-2000, 2000, (FS, CHANNELS), dtype=np.int16)

    def last_second(self, *, out: npt.NDArray[np.int16] | None = None) -> npt.NDArray[np.int16]:
        return self._ring

    def small(self, number: int) -> int:
        return number + 1

    def blocks(self, n: int, samples: int) -> Iterator[npt.NDArray[np.int16]]:
        for at in range(n):
            start = at * samples % (FS - samples)
            yield self._ring[start : start + samples]


def entry(home: Path, options: Mapping[str, str]) -> Hosted:
    return Hosted(Memory(), Source)


def times(function: Callable[[], object], rounds: int, warm: int = 2) -> npt.NDArray[np.float64]:
    for _ in range(warm):
        function()
    taken = np.empty(rounds)
    for i in range(rounds):
        start = time.perf_counter()
        function()
        taken[i] = time.perf_counter() - start
    return taken


def widen(counts: npt.NDArray[np.int16], out: npt.NDArray[np.float64]) -> None:
    """Gain and transposition in tiles that stay in the cache, in two threads."""

    def half(first: int) -> None:
        for at in range(first, len(counts), 512):
            np.multiply(counts[at : at + 256].T, 0.195, out=out[:, at : at + 256])

    list(POOL.map(half, (0, 256)))


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ranvier-bench-") as home:
        path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        record = start_process(
            "hub", "bench_transport:entry", Path(home), linger_sec=0.5, environment={"PYTHONPATH": path}
        )
        source: Source = connect(record.address, Source, record.token)
        try:
            return measure(source)
        finally:
            disconnect(source)
            time.sleep(1.0)


def measure(source: Source) -> int:
    counts, wide = np.empty((FS, CHANNELS), np.int16), np.zeros((CHANNELS, FS))
    if not np.array_equal(source.last_second(out=counts), Memory()._ring):
        print("the samples differ")
        return 1

    def both() -> None:
        source.last_second(out=counts)
        widen(counts, wide)

    fresh = times(lambda: source.last_second(), 7)
    reused = times(lambda: source.last_second(out=counts), 9)
    widening = times(lambda: widen(counts, wide), 7)
    whole = times(both, 9)
    small = times(lambda: source.small(1), 1000, 50) * 1e3
    megabytes = counts.nbytes / 1e6
    print(f"{megabytes:.1f} MB, int16 ({FS}, {CHANNELS}), medians")
    for name, taken in (("new memory", fresh), ("out= reused", reused)):
        middle = np.median(taken)
        print(f"  read, {name:12} {middle * 1e3:7.1f} ms   {megabytes / middle / 1e3:5.2f} GB/s")
    print(f"  widening to float64   {np.median(widening) * 1e3:7.1f} ms")
    limits = f"floor {FLOOR_SEC * 1e3:.0f}, goal {GOAL_SEC * 1e3:.0f}"
    print(f"  read and widening     {np.median(whole) * 1e3:7.1f} ms   {limits}")
    print(f"small call              p50 {np.percentile(small, 50):.3f} ms, p95 {np.percentile(small, 95):.3f} ms")
    for samples in (30, 300):
        n = 3000 // (samples // 30)
        start = time.perf_counter()
        got = sum(len(block) for block in source.blocks(n, samples))
        taken = time.perf_counter() - start
        print(
            f"subscription, {samples / 30:3.0f} ms blocks  {got / FS / taken:6.1f} x real time at {CHANNELS} channels"
        )
    return 0 if np.median(whole) <= FLOOR_SEC else 1


if __name__ == "__main__":
    sys.exit(main())
