"""One sorter on one recording: time, memory, scores; results as JSON files that tables are made of."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.sorting.hybrid import samples_folder
from benchmarks.sorting.recipes import RECIPES, data_folder, truth_folder
from benchmarks.sorting.score import scores
from benchmarks.sorting.truth import Truth, is_finished

ROOT = Path(__file__).resolve().parents[2]
OURS = "ranvier"
PEERS = ("lupin", "lupin_mc", "spykingcircus2", "tridesclous2", "tridesclous2_mc", "mountainsort5", "spikesift")
_POLL_SEC = 0.5


def peers_python() -> Path:
    """Return the interpreter of the peers' environment (``make peers-sorting``, or ``RANVIER_PEERS_SORTING``)."""
    return Path(os.environ.get("RANVIER_PEERS_SORTING") or ROOT / ".venv-peers-sorting" / "bin" / "python")


def get(name: str, seed: int) -> Truth | None:
    """Return a recording; it is made where it is not there yet. None: it cannot be made here (``missing`` says why)."""
    folder, recipe = truth_folder(name, seed), RECIPES[name]
    if is_finished(folder):
        return Truth.load(folder)
    if missing(name):
        return None
    module = {"ours": "our_generate", "hybrid": "hybrid"}.get(recipe.recipe, "si_generate")
    python = peers_python() if recipe.peers_make_it else Path(sys.executable)
    command = [str(python), "-m", f"benchmarks.sorting.{module}", name, str(seed)]
    subprocess.run(command, cwd=ROOT, check=True, env=_environ())
    return Truth.load(folder)


def missing(name: str) -> str:
    """Return what a recording needs to be made and is not here, "" where it can be made."""
    recipe = RECIPES[name]
    if recipe.recipe == "hybrid" and samples_folder() is None:
        return "needs the sample recordings (RANVIER_SAMPLES)"
    if recipe.peers_make_it and not peers_python().exists():
        return "SpikeInterface's generator makes it: `make peers-sorting` first"
    return ""


def result_path(sorter: str, name: str, seed: int) -> Path:
    return data_folder() / "results" / f"{name}__{seed}__{sorter}.json"


def run(
    sorter: str,
    truth: Truth,
    *,
    workers: int = 2,
    timeout_sec: float = 900.0,
    options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Run a sorter in a process of its own; return (and keep) what it took and what it is worth."""
    if sorter != OURS and not peers_python().exists():
        raise SystemExit(f"{sorter} needs the peers' environment: `make peers-sorting` first ({peers_python()})")
    name, seed = str(truth.about["name"]), int(truth.about["seed"])
    told: dict[str, Any] = {"recording": name, "seed": seed, "sorter": sorter, "workers": workers}
    with tempfile.TemporaryDirectory(prefix="ranvier-bench-") as scratch:
        out = Path(scratch) / "found.npz"
        arguments = [str(truth.folder), str(out), str(workers), json.dumps(options or {})]
        if sorter == OURS:
            command = [sys.executable, "-m", "benchmarks.sorting.our_sort", *arguments]
        else:
            command = [str(peers_python()), "-m", "benchmarks.sorting.peer_sort", sorter, *arguments]
        code, told["peak_mb"], told["total_seconds"], error = _watched(command, timeout_sec)
        if code:
            told["failed"] = "timeout" if code is _TIMEOUT else f"exit code {code}"
            told["error"] = error
        else:
            with np.load(out) as found:
                sample, unit = found["sample_index"].astype(np.int64), found["unit"]
                told["seconds"], told["cpu_seconds"] = float(found["seconds"]), float(found["cpu_seconds"])
            told["exhaustive"] = bool(truth.about.get("exhaustive", True))
            told["times_real_time"] = truth.seconds / told["seconds"]
            told |= scores(truth.sample_index, truth.unit, truth.snr, truth.cosine, sample, unit, truth.fs)
    path = result_path(sorter, name, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1))
    return told


_TIMEOUT = -1_000_000


def _watched(command: list[str], timeout_sec: float) -> tuple[int, float, float, str]:
    """Run a command; return its code, peak memory of its own (MB, all its processes), seconds, end of its messages."""
    began, peak = time.monotonic(), 0.0
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, env=_environ(), start_new_session=True
        )
        code: int | None = None
        while code is None:
            try:
                code = process.wait(_POLL_SEC)
            except subprocess.TimeoutExpired:
                peak = max(peak, sum(_own_mb(pid) for pid in _tree(process.pid)))
                if time.monotonic() - began > timeout_sec:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    code = _TIMEOUT
        log.seek(0)
        return code, peak, time.monotonic() - began, log.read().decode(errors="replace")[-2000:]


def _environ() -> dict[str, str]:
    """Return the environment of a child: this tree's code first (also where it is installed from another)."""
    here = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": here + (os.pathsep + before if before else "")}


def _tree(pid: int) -> list[int]:
    """Return a process and its descendants (Linux)."""
    found, at = [pid], 0
    while at < len(found):
        for task in Path(f"/proc/{found[at]}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
        at += 1
    return found


def _own_mb(pid: int) -> float:
    """Return a process's share of memory that is no page of a file: anonymous and shared memory (Linux)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(v.split()[1]) for v in lines if v.startswith(("Pss_Anon:", "Pss_Shmem:"))) / 1024
