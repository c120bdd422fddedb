"""Start-up: importing Ranvier against NumPy and pydantic, `ranvier info`, and `ranvier demo`, in cold processes.

Floors: import 2.5x of ``import numpy, pydantic``; info 1.5 s; demo 60 s.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 9


def seconds_to_import(what: str) -> float:
    """Import in a cold process and return what the import itself took."""
    code = f"import time; t = time.perf_counter(); import {what}; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def seconds_to_run(*words: str, cwd: Path) -> float:
    """Run a command and return its wall time, interpreter start included."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "ranvier", *words], capture_output=True, check=True, cwd=cwd)
    return time.perf_counter() - started


def show(label: str, values: list[float], floor: str) -> float:
    """Print median and spread; return the median."""
    median = statistics.median(values)
    print(f"{label:44} median {median:7.3f} s  ({min(values):.3f} to {max(values):.3f}, n={len(values)})  {floor}")
    return median


def main() -> int:
    """Measure interleaved and compare with the floors."""
    names = ("numpy, pydantic", "ranvier", "ranvier.models", "ranvier.clients")
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name in names:
            times[name].append(seconds_to_import(name))
    peer = show("import numpy, pydantic", times["numpy, pydantic"], "")
    ratios = {}
    for name in names[1:]:
        ratios[name] = show(f"import {name}", times[name], "") / peer
        print(f"{'':44} ratio  {ratios[name]:7.2f}    (floor 2.5)")
    with tempfile.TemporaryDirectory() as folder:
        cwd = Path(folder)
        demo = show("ranvier demo", [seconds_to_run("demo", cwd=cwd) for _ in range(3)], "(floor 60 s)")
        file = "ranvier-demo/demo_SIMULATED.xdat.json"
        info = show(
            "ranvier info FILE, warm", [seconds_to_run("info", file, cwd=cwd) for _ in range(7)], "(floor 1.5 s)"
        )
    return int(max(ratios.values()) > 2.5 or info > 1.5 or demo > 60)


if __name__ == "__main__":
    sys.exit(main())
