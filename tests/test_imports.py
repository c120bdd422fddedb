"""Importing stays light; what is exported is what is there."""

from __future__ import annotations

import statistics
import subprocess
import sys

import ranvier

HEAVY = ("scipy", "pynwb", "sklearn", "matplotlib", "numba", "h5py", "neo", "pandas", "rich", "typer")


def test_import_ranvier_loads_nothing_heavy() -> None:
    code = f"import sys, ranvier; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_the_clients_and_models_load_nothing_heavy() -> None:
    code = (
        "import sys, ranvier.models; from ranvier import AllegoClient, CurateClient, VidereClient;"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_import_time_against_numpy_and_pydantic() -> None:
    def seconds(what: str) -> float:
        code = f"import time; t = time.perf_counter(); import {what}; print(time.perf_counter() - t)"
        return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    pairs = [(seconds("ranvier, ranvier.models"), seconds("numpy, pydantic")) for _ in range(5)]
    ratio = statistics.median(ours for ours, _ in pairs) / statistics.median(peer for _, peer in pairs)
    assert ratio < 4.0, f"import ranvier takes {ratio:.1f} times as long as numpy and pydantic (floor 2.5 when quiet)"


def test_exports() -> None:
    assert ranvier.__all__ == sorted(ranvier.__all__)
    for name in ranvier.__all__:
        assert getattr(ranvier, name) is not None
