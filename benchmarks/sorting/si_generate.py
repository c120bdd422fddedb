"""Make recordings with SpikeInterface's generator: runs in the peers' environment.

    python -m benchmarks.sorting.si_generate NAME SEED

``gt`` recipes are those of the first peers' figures (the same recordings, sample for sample): ellipsoid templates in
the generator's default noise, white in time, 6 to 8 uV, correlated over 25 um. ``hard`` recipes put such units before
white plus autoregressive noise of 9 to 12 uV that neighbouring sites share, a local field potential of about 60 uV, and
three times as many far units (hash). ``garcia`` recipes are scaled from Garcia et al. 2026 (eLife RP110588).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import spikeinterface.full as si
from benchmarks.sorting.inject import inject
from benchmarks.sorting.recipes import FS, RECIPES, Layout, Recipe, truth_folder
from benchmarks.sorting.truth import BLOCK, is_finished, save
from probeinterface import generate_multi_columns_probe
from scipy import signal
from spikeinterface.core.generate import generate_templates, generate_unit_locations
from spikeinterface.generation import generate_drifting_recording

_ANGLES = (0, 2 * np.pi)
_GT_UNITS = {"alpha": (60.0, 350.0), "spatial_decay": (10, 45), "ellipse_shrink": (0.4, 1), "ellipse_angle": _ANGLES}
_GT_HASH = {"alpha": (60.0, 200.0), "spatial_decay": (20, 45), "ellipse_shrink": (0.4, 1), "ellipse_angle": _ANGLES}
_GARCIA = {"alpha": (75.0, 350.0), "spatial_decay": (10, 35), "ellipse_shrink": (0.4, 1), "ellipse_angle": _ANGLES}


def probe_of(layout: Layout) -> Any:
    """Return the probe as SpikeInterface wants it."""
    probe = generate_multi_columns_probe(
        num_columns=layout.columns,
        num_contact_per_column=layout.rows,
        xpitch=layout.x_pitch_um,
        ypitch=layout.y_pitch_um,
        y_shift_per_column=[(i % 2) * layout.stagger_um for i in range(layout.columns)],
        contact_shapes="circle",
        contact_shape_params={"radius": 6},
    )
    probe.set_device_channel_indices(np.arange(layout.channels))
    return probe


def hard_background(recipe: Recipe, places: np.ndarray, seed: int) -> np.ndarray:
    """Noise, local field potential and hash of a ``hard`` recipe, ``(samples, channels)`` float32 uV."""
    samples = int(recipe.seconds * FS)
    noise = _coloured_noise(places, samples, seed)
    at = generate_unit_locations(
        recipe.hash_units,
        places,
        margin_um=40.0,
        minimum_z=70.0,
        maximum_z=130.0,
        minimum_distance=5.0,
        distance_strict=False,
        seed=seed + 1,
    )
    templates = generate_templates(
        places,
        at,
        sampling_frequency=FS,
        ms_before=1.0,
        ms_after=2.5,
        mode="ellipsoid",
        unit_params=_GT_HASH,
        seed=seed + 1,
    ).astype("f4")
    rng = np.random.Generator(np.random.SFC64(seed + 2))
    counts = rng.poisson(rng.uniform(5.0, 15.0, recipe.hash_units) * recipe.seconds)
    times = rng.integers(0, samples, counts.sum())
    inject(noise, templates, times, np.repeat(np.arange(recipe.hash_units), counts), int(1.0e-3 * FS))
    return noise


def _coloured_noise(places: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """White and first-order autoregressive noise with a correlation of 25 um, and a slow potential of 400 um."""
    channels = len(places)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    near = np.linalg.cholesky(np.exp(-apart / 25.0) * 0.5 + 0.5 * np.eye(channels)).astype("f4")
    far = np.linalg.cholesky(np.exp(-apart / 400.0) + 1e-6 * np.eye(channels)).astype("f4")
    rng = np.random.Generator(np.random.SFC64(seed))
    level = rng.uniform(9.0, 12.0, channels).astype("f4")
    b, a = np.array([1.0]), np.array([1.0, -0.9])
    state = np.zeros((1, channels))
    sos = signal.butter(2, [1.0, 60.0], "bandpass", fs=FS, output="sos")
    slow_state = np.zeros((sos.shape[0], 2, channels))
    out = np.empty((samples, channels), "f4")
    for start in range(0, samples, BLOCK):
        n = min(BLOCK, samples - start)
        white = rng.standard_normal((n, channels), "f4") @ near.T
        other = rng.standard_normal((n, channels), "f4") @ near.T
        coloured, state = signal.lfilter(b, a, other, axis=0, zi=state)
        x = 0.75 * white + 0.66 * (coloured * np.sqrt(1 - 0.81)).astype("f4")
        x *= level
        slow = rng.standard_normal((n, channels), "f4") @ far.T
        slow, slow_state = signal.sosfilt(sos, slow, axis=0, zi=slow_state)
        out[start : start + n] = x + (60.0 / np.sqrt(2 * 59.0 / FS)) * slow.astype("f4")
    return out


def _gt(recipe: Recipe, seed: int) -> tuple[Any, Any, np.ndarray]:
    probe = probe_of(recipe.layout)
    background = None
    if recipe.recipe == "hard":
        background = si.NumpyRecording([hard_background(recipe, probe.contact_positions, seed)], FS)
        background.set_probe(probe)  # in place: what it returns is None
        background.probe = probe  # the generator of 0.105.3 asks for an attribute that recordings do not have
    motion = [
        {
            "drift_mode": "zigzag",
            "non_rigid_gradient": None,
            "t_start_drift": 30.0,
            "t_end_drift": None,
            "period_s": 100,
        }
    ]
    static, drifting, sorting, extra = generate_drifting_recording(
        num_units=recipe.units,
        duration=recipe.seconds,
        sampling_frequency=float(FS),
        probe=probe,
        noise=background,
        generate_unit_locations_kwargs={
            "margin_um": 15.0,
            "minimum_z": 5.0,
            "maximum_z": 55.0,
            "minimum_distance": 15.0,
            "max_iteration": 200,
            "distance_strict": False,
            "distribution": "uniform",
        },
        generate_displacement_vector_kwargs={
            "displacement_sampling_frequency": 5.0,
            "drift_start_um": [0, 20],
            "drift_stop_um": [0, -20],
            "drift_step_um": 1,
            "motion_list": motion,
        },
        generate_templates_kwargs={"ms_before": 1.5, "ms_after": 3.0, "mode": "ellipsoid", "unit_params": _GT_UNITS},
        generate_sorting_kwargs={"firing_rates": (1.0, 12.0), "refractory_period_ms": 3.0},
        amplitude_std=0.08,
        seed=seed,
        extra_outputs=True,
    )
    return (drifting if recipe.drift else static), sorting, extra["unit_locations"]


def _garcia(recipe: Recipe, seed: int) -> tuple[Any, Any, np.ndarray]:
    motion = [
        {
            "drift_mode": "zigzag",
            "non_rigid_gradient": None,
            "t_start_drift": min(60.0, recipe.seconds / 5),
            "t_end_drift": None,
            "period_s": 200,
            "amplitude_factor": 0.2,
        },
        {
            "drift_mode": "random_walk",
            "non_rigid_gradient": None,
            "t_start_drift": min(60.0, recipe.seconds / 5),
            "t_end_drift": None,
            "amplitude_factor": 0.8,
        },
    ]
    static, drifting, sorting, extra = generate_drifting_recording(
        num_units=recipe.units,
        duration=recipe.seconds,
        sampling_frequency=float(FS),
        probe=probe_of(recipe.layout),
        generate_unit_locations_kwargs={
            "margin_um": 20.0,
            "minimum_z": 5.0,
            "maximum_z": 50.0,
            "minimum_distance": 18.0,
            "max_iteration": 100,
            "distance_strict": False,
            "distribution": "uniform",
        },
        generate_displacement_vector_kwargs={
            "displacement_sampling_frequency": 5.0,
            "drift_start_um": [0, 40],
            "drift_stop_um": [0, -40],
            "drift_step_um": 1,
            "motion_list": motion,
        },
        generate_templates_kwargs={"ms_before": 1.5, "ms_after": 3.0, "mode": "ellipsoid", "unit_params": _GARCIA},
        generate_sorting_kwargs={"firing_rates": _garcia_rates(recipe.units, seed), "refractory_period_ms": 4.0},
        generate_noise_kwargs={"noise_levels": (6.0, 8.0), "spatial_decay": 25.0},
        seed=seed,
        extra_outputs=True,
    )
    return (drifting if recipe.drift else static), sorting, extra["unit_locations"]


def _garcia_rates(units: int, seed: int) -> np.ndarray:
    """Gamma distributed rates (shape 1.01, scale 5 Hz), none below 0.1 Hz."""
    return np.maximum(np.random.default_rng(seed + 3).gamma(1.01, 5.0, units), 0.1)


def make(name: str, seed: int) -> None:
    """Make one recording, unless it is there."""
    recipe, folder = RECIPES[name], truth_folder(name, seed)
    if is_finished(folder):
        return
    began = time.time()
    recording, sorting, units_um = (_garcia if recipe.recipe == "garcia" else _gt)(recipe, seed)
    spikes = sorting.to_spike_vector()
    samples = int(recipe.seconds * FS)

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, samples, BLOCK):
            yield recording.get_traces(start_frame=start, end_frame=min(samples, start + BLOCK))

    made = save(
        folder,
        blocks(),
        recipe.layout.places_um(),
        spikes["sample_index"].astype(np.int64),
        spikes["unit_index"].astype(np.int64),
        np.asarray(units_um, np.float64),
        {"name": name, "seed": seed, "recipe": recipe.recipe, "generator": f"spikeinterface {si.__version__}"},
    )
    print(f"{folder.name}: {len(made.unit)} spikes, sha256 {made.about['sha256'][:12]}, {time.time() - began:.0f} s")


if __name__ == "__main__":
    make(sys.argv[1], int(sys.argv[2]))
