"""The .spikes store with 10 million spikes: written live and finished, opened, asked; memory of a query.

384 sites, 300 units, one hour at 30 kHz. Goal: opened, and a unit's spikes in a minute read, within 10 ms each, from a
warm page cache. Nothing is compared: other programs keep spikes in arrays in memory (their loading of the same columns
from .npy files stands beside, as a floor for reading everything). Run: python benchmarks/bench_spikes.py
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from common import machine, show

from ranvier.spikes import SpikeStore, SpikeWriter, StoreInfo
from ranvier.spikes.correlograms import Binning, correlograms
from ranvier.spikes.curation import merge, split

FS, SECONDS, UNITS, SITES = 30_000, 3600, 300, 384


def packet(rng: np.random.Generator, start: int, stop: int, n: int) -> dict[str, np.ndarray]:
    unit = rng.integers(0, UNITS + 1, n).astype(np.int32)
    return {
        "sample_index": np.sort(rng.integers(start, stop, n)),
        "unit": unit,
        "site": (unit * SITES // (UNITS + 1)).astype(np.int32),
        "amplitude_uv": rng.normal(-80, 10, n).astype(np.float32),
        "margin": rng.random(n, np.float32),
        "x_um": rng.random(n, np.float32),
        "y_um": rng.random(n, np.float32),
    }


def median_ms(work: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return round(float(np.median(taken)) * 1e3, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spikes", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    step = args.spikes // SECONDS
    with tempfile.TemporaryDirectory() as folder:
        writer = SpikeWriter(Path(folder) / "a", StoreInfo(Fraction(FS)), live=True)
        appending = 0.0
        for second in range(SECONDS):
            given = packet(rng, second * FS, (second + 1) * FS, step)
            began = time.perf_counter()
            writer.append(**given)
            appending += time.perf_counter() - began
        writer.flush()
        growing = SpikeStore.open(writer.path)
        middle = SECONDS // 2 * FS
        results: dict[str, object] = {
            "machine": machine(),
            "spikes": writer.n_spikes,
            "written live, million spikes per second": round(writer.n_spikes / appending / 1e6, 2),
            "while it grows, ms": {
                "open": median_ms(lambda: SpikeStore.open(writer.path), 3),
                "a unit's spikes in 1 min": median_ms(
                    lambda: growing.unit_samples(7, middle, middle + 60 * FS), args.rounds
                ),
            },
        }
        began = time.perf_counter()
        path = writer.close()
        results["finished, s"] = round(time.perf_counter() - began, 2)
        results["bytes per spike"] = round(path.stat().st_size / writer.n_spikes, 1)
        store = SpikeStore.open(path)
        window = (middle, middle + 60 * FS)
        results["finished, ms"] = timed(store, path, window, args.rounds)
        np.save(Path(folder) / "unit.npy", store.select().units)
        np.save(Path(folder) / "sample.npy", store.select().samples)
        results["floor: all samples and units as .npy, ms"] = median_ms(
            lambda: [np.load(Path(folder) / f"{n}.npy") for n in ("unit", "sample")], 3
        )
        tracemalloc.start()
        SpikeStore.open(path).unit_samples(7, *window)
        results["memory of open and a unit's minute, kB"] = tracemalloc.get_traced_memory()[1] // 1000
        tracemalloc.stop()
        merge(path, [7, 8])
        split(path, 9, np.arange(store.count(9)) % 2)
        curated = SpikeStore.open(path)
        results["after a merge and a split, ms"] = timed(curated, path, window, args.rounds)
    show(results)


def timed(store: SpikeStore, path: Path, window: tuple[int, int], rounds: int) -> dict[str, float]:
    unit = max(store.units)
    return {
        "open": median_ms(lambda: SpikeStore.open(path), rounds),
        "open and list units with counts": median_ms(lambda: SpikeStore.open(path).counts(), rounds),
        "a unit's spikes in 1 min": median_ms(lambda: store.unit_samples(unit, *window), rounds),
        "a unit's spikes in 1 hour": median_ms(lambda: store.unit_samples(unit), rounds),
        "a site's spikes in 1 min": median_ms(lambda: store.select(*window, sites=[17]), rounds),
        "all spikes in 1 min": median_ms(lambda: store.select(*window), rounds),
        "auto-correlogram of a unit, 1 hour": median_ms(lambda: _correlogram(store, unit), 3),
    }


def _correlogram(store: SpikeStore, unit: int) -> object:
    found = store.select(units=[unit], columns=("unit",))
    return correlograms(found.samples, found.units, [unit], Binning.of(FS, 1.0, 50.0))


if __name__ == "__main__":
    main()
