"""Metrics: packets against a NumPy transcription of the same set, a fold over an hour, and what a live stream costs.

The set: mean, SD, RMS, min, max and where they are, median absolute deviation, threshold events (number, and max, min,
range of each window), and mean, SD, min, max outside the windows. Floors: 5x the transcription (goal 12x) with all
cores; an hour of 384 channels in 10 ms (goal 5); 1024 channels x 30 kHz in 10 % of a core (goal 6 %).
Run: python benchmarks/bench_metrics.py
"""

from __future__ import annotations

import argparse
import time
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
from ranvier.metrics.packets import PacketGrid, PacketMaker, PacketTable
from ranvier.models.kpi import KpiMetric
from ranvier.recordings import Recording, Segments, plain_channels

FS = 30_000


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=384)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    x = signal(args.seconds, args.channels)
    alone, all_cores = Team(1), Team(worker_count())
    events = float(packets_of(x, alone).single[:, k.EVENTS].sum())
    times = race(
        {
            "numpy": lambda: transcription(x),
            "one thread": lambda: packets_of(x, alone),
            "all cores": lambda: packets_of(x, all_cores),
        },
        args.rounds,
    )
    best = {name: min(seconds) for name, seconds in times.items()}
    table = packets_of(x, alone)
    repeat = -(-3600 // len(table))
    hour = PacketTable(
        np.arange(3600) * FS, np.tile(table.exact, (repeat, 1, 1))[:3600], np.tile(table.single, (repeat, 1, 1))[:3600]
    )
    folds = {}
    for name in (KpiMetric.RMS, KpiMetric.NOISE_UV, KpiMetric.MAX, KpiMetric.EVENT_RATE):
        spent = []
        for _ in range(7):
            began = time.perf_counter()
            DEFINITIONS[name].compute(Totals(hour, FS, FS, 3600 * FS))
            spent.append(time.perf_counter() - began)
        folds[name.name] = round(1e3 * min(spent), 2)
    wide = signal(1, 1024)
    packets_of(wide, alone)
    began = time.process_time()
    packets_of(wide, alone)
    load = time.process_time() - began
    ratio = best["numpy"] / best["all cores"]
    show(
        {
            "machine": machine(),
            "set": f"{args.channels} channels x {args.seconds} s, {events:g} events",
            "seconds": best,
            "ratio, one thread": best["numpy"] / best["one thread"],
            "ratio, all cores": ratio,
            "ns per sample, one thread": 1e9 * best["one thread"] / x.size,
            "fold of an hour of packets, ms": folds,
            "1024 channels: fraction of one core": load,
        }
    )
    return int(ratio < 5 or max(folds.values()) > 10 or load > 0.10)


if __name__ == "__main__":
    raise SystemExit(main())
