"""Precision and recall of channel verdicts on faults injected into synthetic tissue; no peer.

Floors: 0.95 for dead and saturated, 0.85 for noisy and bridged; outside-the-brain is reported. Limits were chosen
on seeds 0-11, and these are others. Run: python benchmarks/bench_quality.py
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np
from common import machine, show

from ranvier.checks.tissue import broken_probe
from ranvier.metrics import measure, quality_table
from ranvier.metrics.likeness import likeness
from ranvier.metrics.quality import TREND_OUTSIDE, unusable

FLOORS = {"dead": 0.95, "saturated": 0.95, "noisy": 0.85, "bridged": 0.85, "outside": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=40)
    args = parser.parse_args()
    hit: Counter[str] = Counter()
    told: Counter[str] = Counter()
    true: Counter[str] = Counter()
    mistaken: Counter[str] = Counter()
    took: list[float] = []
    for seed in range(args.first, args.first + args.seeds):
        probe = broken_probe(seed)
        r = probe.recording
        began = time.perf_counter()
        stats = measure(r)
        columns = np.arange(len(r.channels))
        alike = likeness(r, r.channels, columns, 0, r.stop, ~unusable(stats), outside_limit=TREND_OUTSIDE)
        found = quality_table("bench", stats, r.channels, alike=alike)
        took.append(time.perf_counter() - began)
        for truth, channel in zip(probe.truth, found.channels, strict=True):
            verdict = channel.verdict.value
            true[truth] += 1
            told[verdict] += 1
            if truth == verdict:
                hit[truth] += 1
            else:
                mistaken[f"{truth} called {verdict}"] += 1
    table = {
        name: {
            "channels": true[name],
            "recall": hit[name] / max(1, true[name]),
            "precision": hit[name] / max(1, told[name]),
        }
        for name in (*FLOORS, "good")
    }
    show({"machine": machine(), "verdicts": table, "mistakes": dict(mistaken), "seconds": float(np.median(took))})
    short = [n for n, floor in FLOORS.items() if min(table[n]["recall"], table[n]["precision"]) < floor]
    if short:
        raise SystemExit(f"below the floor: {', '.join(short)}")


if __name__ == "__main__":
    main()
