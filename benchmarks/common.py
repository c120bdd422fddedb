"""What the benchmarks share: interleaved rounds, medians and spread, the machine."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable


def race(
    cases: dict[str, Callable[[], object]], rounds: int = 7, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Time every case once per round, in turn, after one round to warm up; seconds."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(rounds + 1):
        for name, case in cases.items():
            began = clock()
            case()
            if turn:
                times[name].append(clock() - began)
    return times


def summary(seconds: list[float], samples: int) -> dict[str, float]:
    """Median rate in million channel-samples per second, and its range."""
    rates = sorted(samples / s / 1e6 for s in seconds)
    return {"median": statistics.median(rates), "lowest": rates[0], "highest": rates[-1], "rounds": len(rates)}


def machine() -> dict[str, object]:
    import os
    import platform
    from importlib.metadata import version

    from ranvier._platform import cpu_name

    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "load_1min": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "scipy", "numba")},
    }


def show(result: dict[str, object]) -> None:
    print(json.dumps(result, indent=1))


def peak_memory_mb() -> float:
    """Peak resident memory of this process since it was started (ru_maxrss would count the parent's, across a fork)."""
    from pathlib import Path

    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
