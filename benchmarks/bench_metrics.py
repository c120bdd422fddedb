"""Metrics: packets against a NumPy transcription of the same set, a fold over an hour, and what a live stream costs.

The set: mean, SD, RMS, min, max and where they are, median absolute deviation, threshold events (number, and max, min,
range of each window), and mean, SD, min, max outside the windows. Floors: 5x the transcription (goal 12x) with all
cores; an hour of 384 channels in 10 ms (goal 5); 1024 channels x 30 kHz, read from the live cache, in 10 % of a core
(goal 6 %). 300 s are streamed: four seconds of samples over and over, a fifth of the 300 s in each of five rounds.
The hour is such packets over and over, their noise scattered by 1 %. ``--cpu`` takes CPU time instead of the clock on
the wall: for a machine that other work shares (it says nothing about several cores).
Run: python benchmarks/bench_metrics.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from common import machine, race, show

from ranvier._platform import worker_count
from ranvier.dsp.parallel import Team
from ranvier.metrics import packet_columns as k
from ranvier.metrics.definitions import DEFINITIONS
from ranvier.metrics.event_levels import EventLevels
from ranvier.metrics.fold import Totals
from ranvier.metrics.packet_store import FilePackets
from ranvier.metrics.packets import PacketGrid, PacketMaker, PacketTable
from ranvier.models.kpi import KpiMetric
from ranvier.recordings import Block, Recording, Segments, plain_channels
from ranvier.recordings.channels import ChannelTable
from ranvier.rig.cache import SignalCache
from ranvier.rig.view import CacheRecording

FS = 30_000
#: Seconds of samples that are made; longer recordings are these over and over.
DISTINCT_SEC = 4
METRICS = (KpiMetric.RMS, KpiMetric.NOISE_UV, KpiMetric.MAX, KpiMetric.EVENT_RATE)


class InMemory(Recording):
    """Samples that are there already."""

    def __init__(self, samples: np.ndarray) -> None:
        self.samples = samples
        self.fs = Fraction(FS)
        self.channels = plain_channels(amp=samples.shape[1])
        self.segments = Segments.single(0, len(samples))
        self.path = Path("memory")

    def _read_rows(self, start: int, stop: int, columns: np.ndarray, out: np.ndarray) -> None:
        out[:] = (
            self.samples[start:stop] if len(columns) == self.samples.shape[1] else self.samples[start:stop, columns]
        )


def transcription(x: np.ndarray) -> int:
    """Compute the set for each second and channel, (n, channels) float32, with NumPy."""
    events = 0
    for second in range(0, len(x), FS):
        y = np.ascontiguousarray(x[second : second + FS].T)
        y.mean(axis=1, dtype=np.float64), y.std(axis=1, dtype=np.float64), np.square(y, dtype=np.float64).mean(axis=1)
        y.argmin(axis=1), y.argmax(axis=1), y.min(axis=1), y.max(axis=1)
        noise = np.median(np.abs(y - np.median(y, axis=1, keepdims=True)), axis=1) / k.MAD_OF_NORMAL
        for row, level in zip(y, 5 * noise, strict=True):
            out = np.abs(row) >= level
            crossings = np.flatnonzero(out[1:] & ~out[:-1]) + 1
            kept: list[int] = []
            for t in crossings:
                if not kept or t > kept[-1] + 30:
                    kept.append(int(t))
            between = np.ones(len(row), bool)
            for t in kept:
                window = row[max(0, t - 15) : t + 31]
                between[max(0, t - 15) : t + 31] = False
                window.max(), window.min(), np.ptp(window), np.abs(window).max()
            rest = row[between]
            rest.mean(dtype=np.float64), rest.std(dtype=np.float64), rest.min(), rest.max()
            events += len(kept)
    return events


def signal(seconds: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((seconds * FS, channels), dtype=np.float32) * 10
    for c in range(channels):
        for t in rng.integers(0, len(x) - 40, 10 * seconds):
            x[t : t + 10, c] -= 100
    return x


def packets_of(x: np.ndarray, team: Team) -> PacketTable:
    columns = np.arange(x.shape[1])
    levels = EventLevels.of({}, columns.tolist(), FS)
    maker = PacketMaker(InMemory(x), columns, levels, PacketGrid.of(Fraction(FS), 1.0), team)
    return PacketTable.concatenate([maker.make(i) for i in range(len(x) // FS)], len(columns))


def live(rounds: int) -> list[float]:
    """Return CPU seconds for one packet of 1024 channels, reading it from the live cache (int16 counts) included."""
    channels = 1024
    table = ChannelTable(tuple(replace(c, gain=0.195) for c in plain_channels(amp=channels)))
    x = np.round(signal(1, channels) / table.gains).astype(np.int16)
    cache = SignalCache()
    cache.begin(table, Fraction(FS), 3.0, counts=True)
    for at in range(0, 3 * FS, 300):
        cache.write(Block(x[at % FS : at % FS + 300], at))
    recording = CacheRecording(cache, cache.span(), Fraction(FS), table)
    columns = np.arange(channels)
    levels = EventLevels.of({}, columns.tolist(), FS)
    maker = PacketMaker(recording, columns, levels, PacketGrid.of(Fraction(FS), 1.0), Team(1))
    spent = []
    for turn in range(rounds + 1):
        began = time.process_time()
        maker.make(1)
        spent += [time.process_time() - began] * (turn > 0)
    return spent


def folds(hour: PacketTable, rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Return milliseconds for one metric over an hour of packets in memory."""
    spent: dict[str, list[float]] = {name.name: [] for name in METRICS}
    for _ in range(rounds):
        for name in METRICS:
            began = clock()
            DEFINITIONS[name].compute(Totals(hour, FS, FS, 3600 * FS))
            spent[name.name].append(1e3 * (clock() - began))
    return spent


def stored(hour: PacketTable, rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Return milliseconds with the packets in a ``.kpi`` file: to open it, and for RMS then, pages cold and warm."""
    spent: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.kpi"
        given = (path, PacketGrid.of(Fraction(FS), 1.0), hour.exact.shape[2], b"p" * 32, b"s" * 32)
        store = FilePackets(*given)
        for i in range(len(hour)):
            store.add(i, PacketTable(hour.origin[i : i + 1], hour.exact[i : i + 1], hour.single[i : i + 1]))
        for _ in range(rounds):
            for pages in ("cold", "warm"):
                if pages == "cold" and not forget(path):
                    continue
                times = [clock()]
                store = FilePackets(*given)
                for _ in range(2):
                    times.append(clock())
                    table = store.table(0, len(hour))
                    DEFINITIONS[KpiMetric.RMS].compute(Totals(table, FS, FS, 3600 * FS))
                times.append(clock())
                for what, a, b in zip(("open", "first RMS", "next RMS"), times, times[1:], strict=False):
                    spent.setdefault(f"{what}, pages {pages}", []).append(1e3 * (b - a))
    return spent


def forget(path: Path) -> bool:
    """Put a file's pages out of memory; False where the system has no way to."""
    if not hasattr(os, "posix_fadvise"):
        return False
    with path.open("r+b") as handle:
        os.fsync(handle.fileno())
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def spread_of(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=384)
    parser.add_argument("--seconds", type=int, default=300, help="of recording in all, over the rounds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["pass", "hour", "live"], nargs="*", default=["pass", "hour", "live"])
    parser.add_argument("--cpu", action="store_true", help="CPU time, not the clock on the wall")
    args = parser.parse_args()
    clock = time.process_time if args.cpu else time.perf_counter
    results: dict[str, object] = {"machine": machine(), "clock": clock.__name__}
    holds = True
    x = signal(DISTINCT_SEC, args.channels)
    if "pass" in args.only:
        again = max(1, args.seconds // args.rounds // DISTINCT_SEC)
        teams = {"one thread": Team(1), "all cores": Team(worker_count())}
        times = race(
            {
                "numpy": lambda: [transcription(x) for _ in range(again)],
                **{n: lambda t=t: [packets_of(x, t) for _ in range(again)] for n, t in teams.items()},
            },
            args.rounds,
            clock,
        )
        median = {name: statistics.median(seconds) for name, seconds in times.items()}
        results["set"] = (
            f"{args.channels} channels, {args.rounds} rounds of {again} x the same {DISTINCT_SEC} s of samples, "
            f"{packets_of(x, teams['one thread']).single[:, k.EVENTS].sum():g} events in these"
        )
        results["seconds a round"] = {name: spread_of(seconds) for name, seconds in times.items()}
        results["ratio"] = {name: median["numpy"] / median[name] for name in teams}
        holds &= median["numpy"] / median["one thread" if args.cpu else "all cores"] >= 5
    if "hour" in args.only:
        table = packets_of(x, Team(1))
        repeat = -(-3600 // len(table))
        hour = PacketTable(
            np.array([PacketGrid.of(Fraction(FS), 1.0).start_of(i) for i in range(3600)]),
            np.tile(table.exact, (repeat, 1, 1))[:3600],
            np.tile(table.single, (repeat, 1, 1))[:3600],
        )
        scatter = np.random.default_rng(2).normal(1.0, 0.01, hour.single[:, k.MAD].shape)
        hour.single[:, k.MAD] *= scatter.astype(np.float32)
        in_memory = folds(hour, args.rounds, clock)
        results["one metric of an hour, packets in memory, ms"] = {n: spread_of(v) for n, v in in_memory.items()}
        results["packets in a .kpi file, ms"] = {n: spread_of(v) for n, v in stored(hour, args.rounds, clock).items()}
        holds &= max(statistics.median(v) for v in in_memory.values()) <= 10
    if "live" in args.only:
        load = live(args.rounds)
        results["1024 channels x 30 kHz, fraction of one core"] = spread_of(load)
        holds &= statistics.median(load) <= 0.10
    show(results)
    return int(not holds)


if __name__ == "__main__":
    raise SystemExit(main())
