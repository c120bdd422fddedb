"""Make recordings with Ranvier's own simulation (main environment).

    python -m benchmarks.sorting.our_generate NAME SEED

Units of log-uniform amplitude (30 to 300 uV) with bursts that attenuate, amplitude jitter, sub-sample jitter and a
refractory period; far units (hash) of 2 to 14 uV that fire 5 to 15 times a second; noise with 1/f and roll-off, alike
on neighbouring sites, local field potential, hum. The noise repeats after 35 s, which no sorter looks for.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from benchmarks.sorting.recipes import FS, RECIPES, Recipe, truth_folder
from benchmarks.sorting.truth import BLOCK, Truth, is_finished, save

from ranvier.models.simulation import SimulationSpec
from ranvier.simulation.amplifier import AmplifierSignal

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

DRIFT_UM = 80.0


def specs(recipe: Recipe, seed: int) -> tuple[SimulationSpec, SimulationSpec]:
    """Return what a recipe means: units with their background, and far units alone."""
    drift = {"drift_um": DRIFT_UM, "drift_path": "walk"} if recipe.drift else {}
    common = {"fs": FS, "duration_sec": recipe.seconds, "start_sec": 0.0, **drift}
    pairs = {"overlap_fraction": 0.25, "overlap_lag_ms": 0.05, "pair_distance_um": 100.0} if recipe.collisions else {}
    units = SimulationSpec(
        seed=seed,
        num_units=recipe.units,
        amplitude_uv=(60.0, 300.0) if recipe.collisions else (30.0, 300.0),
        rate_hz=(1.0, 12.0),
        amplitude_jitter=0.08,
        refractory_ms=2.5,
        burst_fraction=0.1,
        unit_spread_um=15.0,
        unit_depth_um=(5.0, 40.0),
        noise_uv=8.0,
        lfp_uv=60.0,
        mains_uv=5.0,
        **pairs,
        **common,
    )
    far = SimulationSpec(
        seed=seed + 1,
        num_units=recipe.hash_units,
        amplitude_uv=(2.0, 14.0),
        rate_hz=(5.0, 15.0),
        unit_spread_um=40.0,
        unit_depth_um=(70.0, 130.0),
        noise_uv=0.0,
        lfp_uv=0.0,
        mains_uv=0.0,
        **common,
    )
    return units, far


def make(name: str, seed: int) -> Truth:
    """Make one recording, unless it is there."""
    recipe, folder = RECIPES[name], truth_folder(name, seed)
    if is_finished(folder):
        return Truth.load(folder)
    began = time.time()
    places = np.column_stack((recipe.layout.places_um(), np.zeros(recipe.layout.channels)))
    near, far = (AmplifierSignal(spec, places) for spec in specs(recipe, seed))
    samples = int(recipe.seconds * FS)
    # a spike that is cut by an end of the recording is nobody's
    truth = near.ground_truth(near.population.templates.points, samples - near.population.templates.points)
    made = save(
        folder,
        blocks(near, far, samples),
        places[:, :2],
        truth.counter,
        truth.unit.astype(np.int64) - 1,
        np.array([u.position_um for u in near.population.units]),
        {"name": name, "seed": seed, "recipe": "ours", "generator": "ranvier"},
    )
    print(f"{folder.name}: {len(made.unit)} spikes, sha256 {made.about['sha256'][:12]}, {time.time() - began:.0f} s")
    return made


def blocks(near: AmplifierSignal, far: AmplifierSignal, samples: int, rows: int = BLOCK) -> Iterator[F32]:
    """Yield the sum of both, ``(rows, channels)`` uV."""
    channels = np.arange(near.count, dtype=np.int64)
    rows = max(1024, min(rows, 100_000_000 // max(near.count, 1) // 4))
    total, other = np.empty((rows, near.count), np.float32), np.empty((rows, near.count), np.float32)
    for start in range(0, samples, rows):
        n = min(rows, samples - start)
        near.fill(start, channels, total[:n])
        far.fill(start, channels, other[:n])
        total[:n] += other[:n]
        yield total[:n]


if __name__ == "__main__":
    make(sys.argv[1], int(sys.argv[2]))
