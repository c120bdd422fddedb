"""The recordings of the sorting benchmark: the same from the same seed, and what they say is in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.sorting import hybrid, our_generate, recipes
from benchmarks.sorting.recording import open_recording
from benchmarks.sorting.truth import Truth

from ranvier.simulation.amplifier import AmplifierSignal


@pytest.fixture(autouse=True)
def _small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put recordings aside, and make short ones."""
    monkeypatch.setenv("RANVIER_BENCH_DATA", str(tmp_path))
    small = replace(recipes.RECIPES["tetrode"], seconds=4.0)
    monkeypatch.setitem(recipes.RECIPES, "tetrode", small)
    paired = replace(recipes.RECIPES["ours_64ch_collisions"], seconds=4.0, units=8, hash_units=4)
    monkeypatch.setitem(recipes.RECIPES, "ours_64ch_collisions", paired)


def test_development_and_evaluation_seeds_never_meet() -> None:
    seeds = [
        r.seed(which, i)
        for r in recipes.RECIPES.values()
        for which in (recipes.DEVELOPMENT, recipes.EVALUATION)
        for i in range(recipes.SEEDS_PER_SET)
    ]
    per_recipe = 2 * recipes.SEEDS_PER_SET
    assert all(len(set(seeds[i : i + per_recipe])) == per_recipe for i in range(0, len(seeds), per_recipe))
    with pytest.raises(ValueError, match="not 'test'"):
        recipes.RECIPES["tetrode"].seed("test", 0)


@pytest.mark.slow
def test_a_seed_makes_one_recording_and_another_seed_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = our_generate.make("tetrode", 5)
    monkeypatch.setenv("RANVIER_BENCH_DATA", str(tmp_path / "again"))
    again = our_generate.make("tetrode", 5)
    other = our_generate.make("tetrode", 6)
    assert first.folder != again.folder
    assert first.about["sha256"] == again.about["sha256"] != other.about["sha256"]
    np.testing.assert_array_equal(first.sample_index, again.sample_index)


def test_the_truth_is_where_the_troughs_are() -> None:
    truth = our_generate.make("tetrode", 5)
    recording = open_recording(truth)
    assert recording.simulated
    assert recording.stores_counts
    x = recording.read(0, recording.stop).samples
    assert x.shape == (4 * recipes.FS, 4)
    unit = int(np.argmax(truth.snr))
    at = truth.sample_index[truth.unit == unit]
    mean = np.mean([x[t - 20 : t + 21] for t in at], axis=0)
    best = int(np.argmin(mean.min(axis=0)))
    assert abs(int(np.argmin(mean[:, best])) - 20) <= 1
    assert truth.snr[unit] > 5
    assert [c.site.x_um for c in recording.channels if c.site] == truth.places_um[:, 0].tolist()
    assert np.all(np.diff(truth.sample_index) >= 0)


def test_blocks_are_the_same_whatever_their_size() -> None:
    recipe = recipes.RECIPES["tetrode"]
    places = np.column_stack((recipe.layout.places_um(), np.zeros(4)))

    def whole(rows: int) -> np.ndarray:
        near, far = (AmplifierSignal(spec, places) for spec in our_generate.specs(recipe, 5))
        return np.concatenate([b.copy() for b in our_generate.blocks(near, far, 20_000, rows)])

    np.testing.assert_array_equal(whole(20_000), whole(3_000))


@pytest.mark.slow
def test_pairs_fire_together_and_are_of_all_similarities() -> None:
    truth = our_generate.make("ours_64ch_collisions", 5)
    for unit in range(0, 8, 2):
        a, b = (truth.sample_index[truth.unit == u] for u in (unit, unit + 1))
        nearest = np.abs(b[:, None] - a[None]).min(axis=0)
        assert np.mean(nearest <= 3) > 0.12  # a quarter of them, less those that came too early after another
    pairs = np.array([truth.cosine[u, u + 1] for u in range(0, 8, 2)])
    assert np.ptp(pairs) > 0.1
    np.testing.assert_allclose(np.diag(truth.cosine), 1.0)


def test_an_unfinished_recording_is_made_again() -> None:
    truth = our_generate.make("tetrode", 5)
    (truth.folder / "about.json").unlink()
    (truth.folder / "traces.i16").write_bytes(b"half")
    assert our_generate.make("tetrode", 5).about["sha256"] == truth.about["sha256"]


def test_hybrids_need_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_SAMPLES", "")
    assert hybrid.make("hybrid_locust", 1) is None


def test_a_hybrid_is_the_real_recording_with_its_own_units_added(samples: Path) -> None:
    truth = hybrid.make("hybrid_locust", 1)
    assert isinstance(truth, Truth)
    raw = np.fromfile(samples / "tetrode_locust" / "locust_trial_01.raw", "<i2").reshape(-1, 4) - 2056
    counts = truth.counts()
    assert counts.shape == raw.shape
    touched = np.zeros(len(raw), bool)
    for t in truth.sample_index:
        touched[t - 60 : t + 60] = True
    np.testing.assert_array_equal(counts[~touched], raw[~touched])
    assert np.any(counts[touched] != raw[touched])
    assert truth.about["exhaustive"] is False
    assert truth.snr.min() > 4


def test_kilosort_templates_are_unwhitened(samples: Path) -> None:
    templates, amplitudes, places, root = hybrid.kilosort_templates(samples / "kilosort_bombcell_toy")
    assert templates.shape == (15, 82, 32)
    assert len(places) == 32
    peak_uv = [float(np.ptp(t, axis=0).max() * np.median(a)) for t, a in zip(templates, amplitudes, strict=True)]
    assert 30 < min(peak_uv) < max(peak_uv) < 500
    noise_uv = np.linalg.norm(root, axis=1)
    assert 5 < noise_uv.min() < noise_uv.max() < 40
