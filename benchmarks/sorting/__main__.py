"""The benchmark of spike sorting.

    python -m benchmarks.sorting                       # quick: four small recordings of the development set, ours
    python -m benchmarks.sorting --full                # all recordings, all development seeds
    python -m benchmarks.sorting --peers lupin spykingcircus2
    python -m benchmarks.sorting --eval                # the evaluation seeds: for reports, not to develop with
    python -m benchmarks.sorting --recordings r1_32ch_10u --seeds 1 --sorters ranvier
    python -m benchmarks.sorting --table               # what is known, without running anything

Recordings and results are kept in ``RANVIER_BENCH_DATA`` (or the user's cache); a result that is there is used again,
except ours (``--again`` runs everything). Needs Linux for the memory figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from benchmarks.sorting import measure
from benchmarks.sorting.recipes import DEVELOPMENT, EVALUATION, RECIPES, SEEDS_PER_SET
from benchmarks.sorting.tables import table

QUICK = ("ours_32ch", "ours_64ch", "ours_64ch_drift", "tetrode")


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.sorting", description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="all recordings and seeds")
    parser.add_argument("--eval", action="store_true", help="the evaluation seeds")
    parser.add_argument("--peers", nargs="*", metavar="PEER", help=f"peers too: {', '.join(measure.PEERS)}")
    parser.add_argument("--sorters", nargs="*", help="exactly these sorters")
    parser.add_argument("--recordings", nargs="*", help=f"of {', '.join(RECIPES)}")
    parser.add_argument("--seeds", type=int, help="how many seeds of the set")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds per run")
    parser.add_argument("--options", type=json.loads, default={}, help="keyword arguments of our sorter, JSON")
    parser.add_argument("--again", action="store_true", help="run what was run before")
    parser.add_argument("--make", action="store_true", help="make the recordings, run nothing")
    parser.add_argument("--table", action="store_true", help="show what is known, run nothing")
    parser.add_argument("--json", metavar="FILE", help="all results that are shown, as JSON")
    asked = parser.parse_args()
    which = EVALUATION if asked.eval else DEVELOPMENT
    every = [name for name, recipe in RECIPES.items() if not recipe.live]
    names = asked.recordings or (every if asked.full else list(QUICK))
    unknown = [n for n in names if n not in RECIPES]
    if unknown:
        parser.error(f"no recording {unknown}; there are {list(RECIPES)}")
    seeds = asked.seeds or (SEEDS_PER_SET if asked.full else 1)
    sorters = asked.sorters or [measure.OURS]
    if asked.peers is not None:
        sorters += asked.peers or list(measure.PEERS)
    results = [r for name in names for index in range(seeds) for r in _all(asked, sorters, name, which, index)]
    if results:
        print(table(results))
    if asked.json:
        with open(asked.json, "w") as file:
            json.dump(results, file, indent=1)
    return int(any("failed" in r for r in results))


def _all(asked: argparse.Namespace, sorters: list[str], name: str, which: str, index: int) -> list[dict[str, Any]]:
    """Run all sorters on one recording, or read what is known."""
    seed = RECIPES[name].seed(which, index)
    results: list[dict[str, Any]] = []
    truth = None if asked.table else measure.get(name, seed)
    if truth is None and not asked.table:
        print(f"{name}: {measure.missing(name)}; left out")
        return results
    if asked.make:
        return results
    for sorter in sorters:
        path = measure.result_path(sorter, name, seed)
        known = json.loads(path.read_text()) if path.exists() else None
        reusable = known and "failed" not in known and not asked.again and sorter != measure.OURS
        if truth is None or reusable:
            result = known
        else:
            options = asked.options if sorter == measure.OURS else None
            result = measure.run(sorter, truth, workers=asked.workers, timeout_sec=asked.timeout, options=options)
            print(f"{name} {seed} {sorter}: {result.get('failed') or round(result['accuracy'], 3)}", flush=True)
            if "failed" in result:
                print(result["error"], file=sys.stderr)
        if result:
            results.append({**result, "set": which})
    return results


if __name__ == "__main__":
    sys.exit(main())
